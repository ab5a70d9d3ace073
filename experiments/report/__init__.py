"""The report of the ablation suite, built from result files alone.

:func:`build` writes one self-contained HTML page and the PNGs of README and docs; :mod:`experiments.report.tables`
writes the tables of README and docs between their markers.
"""

from __future__ import annotations

from experiments.report.build import RESULTS, add_arguments, build, report

__all__ = ["RESULTS", "add_arguments", "build", "report"]
