"""What a controller and the guard cost: processor time, host reads, collectives and memory (``make bench``)."""
