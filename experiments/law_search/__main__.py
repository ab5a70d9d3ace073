"""Command line: ``python -m experiments.law_search run|score --split development|held-out``."""

from experiments.law_search.cli import main

if __name__ == "__main__":
    main()
