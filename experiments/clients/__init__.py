"""Training loops written elsewhere, and loops without an Engine, driven by the controllers. See docs/clients.md."""
