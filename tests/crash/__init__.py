"""Training that is killed and resumed: ``python -m tests.crash``. The test suite runs a short cut of it."""
