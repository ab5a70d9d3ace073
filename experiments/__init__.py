"""Data, metrics, networks, tasks and reports that put adaptive_critic to the test; it never imports them."""
