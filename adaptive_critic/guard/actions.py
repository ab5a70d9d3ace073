"""Interventions of the guard on a divergence, and their records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ignite.engine import Engine

from adaptive_critic import state as saved
from adaptive_critic.checks import shortened
from adaptive_critic.events import CriticEvents, owner_of
from adaptive_critic.guard.rules import Verdict
from adaptive_critic.guard.snapshots import Snapshots
from adaptive_critic.handler import prefix, writes

_PUBLISHED = writes("divergence", "guard_interventions")
_RECORDS_KEPT = 100

Record: TypeAlias = "dict[str, Any]"

_logger = logging.getLogger("adaptive_critic")


class Plan(NamedTuple):
    """Planned reaction to a divergence."""

    action: str
    """one of MODES, "call" or "report" """
    why: str = ""
    """why it differs from the requested action, empty if it does not"""
    restore: bool = False
    """whether the promoted snapshot is restored first"""


class ActionsState(NamedTuple):
    """Past interventions of the guard."""

    interventions: int = 0
    cooldown_left: int = 0
    """iterations in which only the rules non_finite and stalled count"""
    records: tuple[Record, ...] = ()
    """the last 100, oldest first"""


@dataclass
class Actions:
    """Plans and carries out interventions, with a cooldown between them, and records them.

    The numbers are arguments of :class:`~adaptive_critic.DivergenceGuard`.
    """

    mode: str | Callable[..., None]
    reactions: Mapping[str, str]
    """"report", "act" or "ignore" by rule; "act" for rules without an entry"""
    snapshots: Snapshots | None
    cooldown: int
    max_interventions: int
    override_iterations: int
    param_name: str
    state: ActionsState = field(default=ActionsState(), init=False)

    def report(self, engine: Engine, verdict: Verdict) -> None:
        """Record a collapse or a spike and do nothing, at most once in ``cooldown`` iterations."""
        before = [record["iteration"] for record in self.state.records if record["rule"] == verdict.rule]
        due = not before or engine.state.iteration - before[-1] >= self.cooldown
        if due and (verdict.rule == "collapse" or not self.state.cooldown_left):
            self._record(engine, verdict, "report", logging.INFO if verdict.rule == "collapse" else logging.WARNING)

    def respond(self, engine: Engine, verdict: Verdict | None, iterations: int, in_epoch: bool) -> bool:
        """Act on the verdict of a check of so many iterations, if an epoch is running also by ending that.

        Returns whether the cooldown put off the verdict.
        """
        cooling = self.state.cooldown_left > 0
        self.state = self.state._replace(cooldown_left=max(self.state.cooldown_left - iterations, 0))
        if verdict is None:
            return False
        # During a cooldown the levels settle, by which the other rules judge. These two rules need no levels.
        if cooling and verdict.rule not in ("non_finite", "stalled"):
            return True
        planned = self._plan(owner_of(engine, self.param_name) is not None, relapse=cooling)
        if cooling and planned.action == "report":
            return True
        made = self.state.interventions + (planned.action != "report")
        self.state = self.state._replace(interventions=made, cooldown_left=self.cooldown)
        if planned.why:
            verdict = verdict._replace(reason=f"{verdict.reason}; {planned.why}")
        record = self._record(engine, verdict, planned.action, logging.WARNING)
        self.publish(engine)
        engine.fire_event(CriticEvents.DIVERGED)
        self._carry_out(engine, planned, record, in_epoch)
        return False

    def _plan(self, controlled: bool, relapse: bool) -> Plan:
        """Return the plan, given whether there is a controller to ask and whether a cooldown is running."""
        made, maximum = self.state.interventions, self.max_interventions
        exhausted = f"{made} of {maximum} interventions were made" if made >= maximum else ""
        if self.mode == "terminate":
            return Plan("terminate")
        if self.mode == "terminate_epoch":
            return Plan("terminate", f"{exhausted}, so the run is terminated") if exhausted else Plan("terminate_epoch")
        if self.mode == "rollback" and self.snapshots is not None:
            refusal = self.snapshots.refusal()
            if refusal:
                return Plan("terminate", f"{refusal}, so the run is terminated")
            if relapse:  # the restored copy diverges again at once: restoring it repeatedly would never end
                exhausted = "this is within the cooldown of the last rollback"
            if not exhausted:
                return Plan("rollback", restore=True)
            last = f"{self.snapshots.name} is restored a last time and the run is terminated"
            return Plan("terminate", f"{exhausted}, so {last}", restore=True)
        if exhausted:
            return Plan("report", f"{exhausted}, so nothing is done")
        if self.mode == "hold" and not controlled:
            return Plan("report", "there is no controller to ask, so nothing is held")
        return Plan("call" if callable(self.mode) else "hold")

    def publish(self, engine: Engine) -> None:
        """Write the latest record that was acted on, and the number of interventions, to ``engine.state``."""
        found = [record for record in self.state.records if self.reactions.get(record["rule"], "act") == "act"]
        # Two guards of two controllers on one engine must not overwrite each other's attributes.
        for name, value in zip(_PUBLISHED, (found[-1] if found else None, self.state.interventions), strict=True):
            setattr(engine.state, prefix(self.param_name) + name, value)

    def _carry_out(self, engine: Engine, planned: Plan, record: Record, in_epoch: bool) -> None:
        controller = owner_of(engine, self.param_name)
        if planned.restore and self.snapshots is not None:
            iteration = self.snapshots.restore()
            _logger.warning("iteration %d: restored the snapshot of iteration %d", engine.state.iteration, iteration)
        if planned.action == "call" and callable(self.mode):
            self.mode(engine, record)
        if planned.action == "hold" and controller is not None:
            controller.hold(self.cooldown)
        if planned.action in ("terminate_epoch", "rollback") and controller is not None:
            controller.override(self.override_iterations)
        if planned.action == "terminate_epoch" and in_epoch:
            engine.terminate_epoch(skip_epoch_completed=True)
        if planned.action == "terminate":
            engine.terminate()

    def _record(self, engine: Engine, verdict: Verdict, action: str, level: int) -> Record:
        record = {
            "iteration": int(engine.state.iteration),
            "rule": verdict.rule,
            "reason": verdict.reason,
            "values": dict(verdict.values),
            "action": action,
            "interventions": self.state.interventions,
        }
        self.state = self.state._replace(records=(*self.state.records[1 - _RECORDS_KEPT :], record))
        _logger.log(level, "iteration %d: %s: %s", record["iteration"], action, verdict.reason)
        return record

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints, and dicts of ints, strings and floats."""
        records = [dict(record) for record in self.state.records]
        return self.state._asdict() | {"records": records}

    def read(self, state: Mapping[str, Any]) -> ActionsState:
        """Return the state in a state dict, or raise a StateError."""
        interventions, cooldown_left = (saved.integer(state, key) for key in ("interventions", "cooldown_left"))
        records = saved.sequence(state, "records", "dicts")
        return ActionsState(interventions, cooldown_left, tuple(map(_read_record, records)))


def _read_record(entry: Any) -> Record:
    if not isinstance(entry, Mapping):
        raise saved.StateError(f"a record must be a dict, got {shortened(entry)}")
    for key in ("rule", "reason", "action"):
        if not isinstance(entry.get(key), str):
            raise saved.StateError(f"record[{key!r}]={shortened(entry.get(key))}: expected a str")
    values = saved.mapping(entry, "values")
    return {
        "iteration": saved.integer(entry, "iteration"),
        "rule": entry["rule"],
        "reason": entry["reason"],
        "values": {str(key): saved.floats({"value": [number]}, "value")[0] for key, number in values.items()},
        "action": entry["action"],
        "interventions": saved.integer(entry, "interventions"),
    }
