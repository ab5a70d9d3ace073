"""A long run in which something goes wrong all the time: nothing may grow, nothing may drift."""
