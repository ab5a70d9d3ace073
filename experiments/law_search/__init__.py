"""Batched prototype for the search of a control law (many replicas trained at once, one matrix product each)."""
