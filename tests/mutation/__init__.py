"""Mutation testing: does any test notice when a line of the package is changed? ``python -m tests.mutation``."""
