"""The guard's state dict: every entry is checked before anything is changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from adaptive_critic import state as saved
from adaptive_critic.checks import shortened
from adaptive_critic.guard.monitor import Monitor
from adaptive_critic.guard.rules import LEVELS, PREFIX, DivergenceRules, RulesState
from adaptive_critic.guard.snapshots import Snapshot, Snapshots
from adaptive_critic.guard.window import ScoreWindow
from adaptive_critic.state import StateError

__all__ = ["FORMAT", "Loaded", "read", "rules_to_dict"]

FORMAT = 1


class Loaded(NamedTuple):
    """The entries of a state that passed all checks."""

    interventions: int
    cooldown_left: int
    rules: RulesState
    masks: list[int]
    rows: list[tuple[float, ...]]
    records: list[dict[str, Any]]
    promoted: Snapshot | None
    candidate: Snapshot | None
    clean_checks: int


def rules_to_dict(state: RulesState) -> dict[str, Any]:
    """Return the rules' state as plain lists and ints."""
    return {
        "history": {name: list(levels) for name, levels in state.history.items()},
        "suspicious": state.suspicious,
        "significant": state.significant,
        "flat": state.flat,
    }


def _rules(state: Mapping[str, Any], rules: DivergenceRules) -> RulesState:
    saved_history = saved.mapping(state, "history")
    history = {}
    for name in saved_history:
        if name not in LEVELS and not str(name).startswith(PREFIX):
            known = ", ".join(map(repr, LEVELS))
            raise StateError(f"the history is of {shortened(name)}: expected one of {known}, or {PREFIX!r} and a name")
        levels = saved.floats(saved_history, name)
        if not all(0 <= level < math.inf for level in levels):
            raise StateError(f"history[{shortened(name)}]={shortened(levels)}: expected finite numbers of at least 0")
        history[name] = rules.kept(name, levels)
    return RulesState(
        history,
        min(saved.integer(state, "suspicious"), rules.patience - 1),
        min(saved.integer(state, "significant"), rules.patience),
        min(saved.integer(state, "flat"), rules.patience - 1),
    )


def _list(state: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = saved.entry(state, key)
    if not isinstance(value, (list, tuple)):
        raise StateError(f"state[{key!r}]={shortened(value)}: expected a list")
    return value


def _window(state: Mapping[str, Any], window: ScoreWindow) -> tuple[list[int], list[tuple[float, ...]]]:
    entries = _list(state, "rows")
    masks = list(saved.integers(state, "masks", len(entries)))
    named = {str(index): row for index, row in enumerate(entries)}
    updates = _list(state, "updates") if "updates" in state else ()
    if not all(isinstance(name, str) for name in updates) or len(set(updates)) < len(updates):
        raise StateError(f"state['updates']={shortened(updates)}: expected names of updates")
    adopted = []
    for mask, row in zip(masks, [saved.floats(named, key) for key in named], strict=True):
        fits = window.adopted(mask, row, updates)
        if fits is None:
            raise StateError(f"the row {shortened(row)} of the window can't have the mask {shortened(mask)}")
        adopted.append(fits)
    return [mask for mask, _ in adopted], [row for _, row in adopted]


def _record(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise StateError(f"a record must be a dict, got {shortened(entry)}")
    texts = {}
    for key in ("rule", "reason", "action"):
        texts[key] = entry.get(key)
        if not isinstance(texts[key], str):
            raise StateError(f"record[{key!r}]={shortened(texts[key])}: expected a str")
    values = saved.mapping(entry, "values")
    numbers = {str(key): saved.floats({"value": [number]}, "value")[0] for key, number in values.items()}
    return {
        "iteration": saved.integer(entry, "iteration"),
        "rule": texts["rule"],
        "reason": texts["reason"],
        "values": numbers,
        "action": texts["action"],
        "interventions": saved.integer(entry, "interventions"),
    }


def read(state: Any, monitor: Monitor, snapshots: Snapshots | None) -> Loaded:
    """Check a state and return its entries.

    Raises:
        StateError: if an entry is missing, of the wrong type or out of range.
    """
    state = saved.header(state, "DivergenceGuard", FORMAT)
    masks, rows = _window(saved.mapping(state, "window"), monitor.window)
    promoted = candidate = None
    clean_checks = 0
    if snapshots is not None and "snapshots" in state:
        copies = saved.mapping(state, "snapshots")
        promoted = snapshots.checked("promoted", saved.entry(copies, "promoted"))
        candidate = snapshots.checked("candidate", saved.entry(copies, "candidate"))
        clean_checks = saved.integer(copies, "clean_checks")
    return Loaded(
        saved.integer(state, "interventions"),
        saved.integer(state, "cooldown_left"),
        _rules(saved.mapping(state, "rules"), monitor.rules),
        masks,
        rows,
        [_record(entry) for entry in _list(state, "records")],
        promoted,
        candidate,
        clean_checks,
    )
