"""The files of the ablation suite.

A results folder holds ``tasks.json`` and, in any depth, any of the others:

- ``tasks.json``: the suite (:class:`Suite`): tasks with targets, contenders with their frozen settings;
- ``result.json``: one run (:class:`Run`), written last and atomically by the runner;
- ``<block>.jsonl.gz``: the compact form that is committed, one run a line (:func:`compact`).

:func:`load_results` reads them all. A number that is not finite is ``null`` in the files and NaN in memory.
"""

from __future__ import annotations

from experiments.schema.folder import load_results
from experiments.schema.reading import run_from_json, suite_from_json
from experiments.schema.records import (
    CONTENDER_KINDS,
    CURVES,
    FORMAT,
    OBJECTIVES,
    SEED_ROLES,
    SUITES,
    TARGETS,
    BestFixed,
    BestPair,
    Config,
    ContenderRecord,
    Cost,
    Curve,
    FormatError,
    Problem,
    ResultError,
    Results,
    Run,
    Samples,
    Suite,
    Summary,
    TaskRecord,
)
from experiments.schema.writing import compact, run_key, run_to_json, suite_to_json, write_json

__all__ = [
    "CONTENDER_KINDS",
    "CURVES",
    "FORMAT",
    "OBJECTIVES",
    "SEED_ROLES",
    "SUITES",
    "TARGETS",
    "BestFixed",
    "BestPair",
    "Config",
    "ContenderRecord",
    "Cost",
    "Curve",
    "FormatError",
    "Problem",
    "ResultError",
    "Results",
    "Run",
    "Samples",
    "Suite",
    "Summary",
    "TaskRecord",
    "compact",
    "load_results",
    "run_from_json",
    "run_key",
    "run_to_json",
    "suite_from_json",
    "suite_to_json",
    "write_json",
]
