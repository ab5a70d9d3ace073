"""JSON to records, every entry checked; a message names the very field."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

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
    ResultError,
    Run,
    Samples,
    Suite,
    Summary,
    TaskRecord,
)

# Reading: each helper takes the place (`where`) along, so that a message points at the very field.


def _get(data: Any, key: str, kinds: type | tuple[type, ...], where: str) -> Any:
    if not isinstance(data, dict):
        raise ResultError(f"{where}: expected an object, got {type(data).__name__}")
    if key not in data:
        raise ResultError(f"{where}: no entry {key!r}; there are {sorted(data)}")
    value = data[key]
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    # bool is an int to Python; a flag in a number's place is a mistake.
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ResultError(f"{where}.{key}: expected {names}, got {value!r:.60}")
    return value


def _choice(data: Any, key: str, allowed: Sequence[str], where: str) -> str:
    value: str = _get(data, key, str, where)
    if value not in allowed:
        raise ResultError(f"{where}.{key}: {value!r:.60} is none of {', '.join(allowed)}")
    return value


def _name(data: Any, key: str, where: str) -> str:
    value: str = _get(data, key, str, where)
    if not value:
        raise ResultError(f"{where}.{key}: an empty name")
    return value


def _number(data: Any, key: str, where: str, low: float = -math.inf, above: float = -math.inf) -> float:
    value = float(_get(data, key, (int, float), where))
    if not (math.isfinite(value) and value >= low and (value > above or above == -math.inf)):
        bound = f"above {above:g}" if above > -math.inf else f"at least {low:g}"
        raise ResultError(
            f"{where}.{key}: expected a finite number{'' if bound.endswith('-inf') else ' ' + bound}, got {value!r}"
        )
    return value


def _count(data: Any, key: str, where: str, low: int = 0) -> int:
    value: int = _get(data, key, int, where)
    if value < low:
        raise ResultError(f"{where}.{key}: expected at least {low}, got {value}")
    return value


def _check_format(data: Any, where: str) -> None:
    version = _get(data, "format", int, where)
    if version != FORMAT:
        raise FormatError(
            f"{where}: format {version}, but this code reads format {FORMAT}; run it with the version "
            "of the code that wrote it, or move the file away and run again"
        )


def _curve(data: Any, where: str) -> Curve:
    columns: dict[str, tuple[float, ...]] = {}
    # The first edition changed no rate and judged no averaged generator.
    for key, value in (("rate", 1.0), ("ema_quality", None)):
        if key not in data:
            data = {**data, key: [value] * len(_get(data, "cost", list, where))}
    for key in CURVES:
        values = _get(data, key, list, where)
        for value in values:
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise ResultError(f"{where}.{key}: expected numbers or null, got {value!r:.60}")
        columns[key] = tuple(math.nan if value is None else float(value) for value in values)
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ResultError(f"{where}: the curves differ in length: {lengths}")
    cost = columns["cost"]
    if not all(math.isfinite(c) for c in cost) or any(b <= a for a, b in itertools.pairwise(cost)):
        raise ResultError(f"{where}.cost: costs must be finite and increase strictly")
    return Curve(**columns)


def _samples(data: Any, where: str) -> Samples | None:
    if data is None:
        return None
    kind = _choice(data, "kind", ("image-grid", "points"), where)
    if kind == "image-grid":
        return Samples(kind, _get(data, "data", str, where))
    points = _get(data, "data", list, where)
    for point in points:
        if not (isinstance(point, list) and len(point) == 2 and all(isinstance(x, (int, float)) for x in point)):
            raise ResultError(f"{where}.data: expected pairs of numbers, got {point!r:.60}")
    return Samples(kind, tuple((float(x), float(y)) for x, y in points))


def run_from_json(data: Any, where: str = "result") -> Run:
    """Check and read one run.

    Args:
        data: what ``json.load`` gives for ``result.json``.
        where: begins every message; a path, for example.

    Raises:
        FormatError: another format version.
        ResultError: an entry is missing or wrong; the message names it.
    """
    _check_format(data, where)
    config = _get(data, "config", dict, where)
    at = f"{where}.config"
    known = {f.name for f in dataclasses.fields(Config)} - {"extra"}
    read_config = Config(
        task=_name(config, "task", at),
        suite=_choice(config, "suite", SUITES, at),
        contender=_name(config, "contender", at),
        seed=_count(config, "seed", at),
        seed_role=_choice(config, "seed_role", SEED_ROLES, at),
        extra={key: value for key, value in config.items() if key not in known},
    )
    cost, at = _get(data, "cost", dict, where), f"{where}.cost"
    read_cost = Cost(
        critic=_number(cost, "critic", at, above=0.0),
        generator=_number(cost, "generator", at, above=0.0),
        extra=_number(cost, "extra", at, low=0.0),
        budget=_number(cost, "budget", at, above=0.0),
        grid=_number(cost, "grid", at, above=0.0),
    )
    summary, at = _get(data, "summary", dict, where), f"{where}.summary"
    acted = _get(data, "interventions", (int, type(None)), where)
    status = _choice(data, "status", ("completed", "failed"), where)
    curve = _curve(_get(data, "curve", dict, where), f"{where}.curve")
    if status == "completed" and not curve.cost:
        raise ResultError(f"{where}.curve: a completed run without a single evaluation")
    return Run(
        identity=_name(data, "identity", where),
        config=read_config,
        status=status,
        error=_get(data, "error", (str, type(None)), where),
        diverged=_get(data, "diverged", bool, where),
        interventions=None if acted is None else _count(data, "interventions", where),
        versions={str(k): str(v) for k, v in _get(data, "versions", dict, where).items()},
        cost=read_cost,
        curve=curve,
        summary=Summary(
            mean_n=_number(summary, "mean_n", at, low=0.0),
            critic_updates=_count(summary, "critic_updates", at),
            generator_updates=_count(summary, "generator_updates", at),
            cpu_seconds=_number(summary, "cpu_seconds", at, low=0.0),
            mean_rate=_number(summary, "mean_rate", at, above=0.0) if "mean_rate" in summary else 1.0,
        ),
        samples=_samples(_get(data, "samples", (dict, type(None)), where), f"{where}.samples"),
    )


def _task(data: Any, where: str) -> TaskRecord:
    where = f"{where}.tasks[{_name(data, 'name', where + '.tasks')}]"
    targets, best = (_get(data, key, (dict, type(None)), where) for key in ("targets", "best_fixed_n"))
    if targets is not None:
        targets = {key: _number(targets, key, f"{where}.targets", above=0.0) for key in TARGETS}
        if targets["late"] >= targets["early"]:
            raise ResultError(f"{where}.targets: late must be below early, got {targets}")
    floor = _get(data, "floor", (int, float, type(None)), where)
    return TaskRecord(
        name=data["name"],
        title=_name(data, "title", where),
        suite=_choice(data, "suite", SUITES, where),
        objective=_choice(data, "objective", OBJECTIVES, where),
        metric=_name(data, "metric", where),
        learning_rate_ratio=_number(data, "learning_rate_ratio", where, above=0.0),
        cheap=_get(data, "cheap", bool, where),
        floor=None if floor is None else _number(data, "floor", where),
        targets=targets,
        best_fixed_n=None
        if best is None
        else BestFixed(
            **{f.name: _count(best, f.name, f"{where}.best_fixed_n", low=1) for f in dataclasses.fields(BestFixed)}
        ),
        best_pair=_best_pair(data, where),
        note=_get(data, "note", str, where),
    )


def _best_pair(data: Any, where: str) -> BestPair | None:
    # Suites that were described before there were pairs have neither this nor rates.
    found = _get(data, "best_pair", (dict, type(None)), where) if "best_pair" in data else None
    if found is None:
        return None
    return BestPair(**{f.name: _name(found, f.name, f"{where}.best_pair") for f in dataclasses.fields(BestPair)})


def _contender(data: Any, where: str) -> ContenderRecord:
    where = f"{where}.contenders[{_name(data, 'name', where + '.contenders')}]"
    kind = _choice(data, "kind", CONTENDER_KINDS, where)
    steps = _get(data, "steps", (int, type(None)), where)
    matches = _get(data, "matches", (str, type(None)), where)
    if (kind == "fixed") != (steps is not None) or (kind == "matched") != (matches is not None):
        raise ResultError(
            f"{where}: 'steps' belongs to kind fixed and 'matches' to kind matched, and to no other; "
            f"got kind {kind}, steps {steps}, matches {matches!r}"
        )
    rate = _number(data, "rate", where, above=0.0) if "rate" in data else 1.0
    if kind == "fixed" and rate != 1.0:
        raise ResultError(f"{where}: fixed n with another rate than 1 is of kind pair; got kind fixed, rate {rate:g}")
    return ContenderRecord(
        data["name"], _name(data, "title", where), kind, steps, matches, _get(data, "setting", dict, where), rate
    )


def suite_from_json(data: Any, where: str = "tasks.json") -> Suite:
    """Check and read the description of the suite; raises as :func:`run_from_json` does."""
    _check_format(data, where)
    tasks = tuple(_task(entry, where) for entry in _get(data, "tasks", list, where))
    contenders = tuple(_contender(entry, where) for entry in _get(data, "contenders", list, where))
    for what, names in (("task", [t.name for t in tasks]), ("contender", [c.name for c in contenders])):
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ResultError(f"{where}: {what} listed twice: {', '.join(doubled)}")
    return Suite(
        tasks,
        contenders,
        _get(data, "freeze_commit", (str, type(None)), where),
        gap=_name(data, "gap", where),
        loss_ratio=_name(data, "loss_ratio", where),
        reference=_name(data, "reference", where),
        # Suites that were described before there were pairs and rates have none of these.
        pairs=tuple(_get(data, "pairs", list, where)) if "pairs" in data else (),
        **{key: _name(data, key, where) for key in ("effort", "two_time_scales") if key in data},
    )
