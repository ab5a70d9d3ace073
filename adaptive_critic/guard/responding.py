"""What the guard does about a divergence, and the record of what it did."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from ignite.engine import Engine

from adaptive_critic.events import CriticEvents, owner_of
from adaptive_critic.guard.actions import Plan, plan
from adaptive_critic.guard.rules import Verdict
from adaptive_critic.guard.snapshots import Snapshots

__all__ = ["Record", "Responder"]

_RECORDS_KEPT = 100

Record: TypeAlias = "dict[str, Any]"

_logger = logging.getLogger("adaptive_critic")


class Responder:
    """Plans and carries out interventions, with a cooldown between them, and keeps their records.

    Args:
        mode: a mode or a function of (engine, record).
        snapshots: what a rollback restores, or None.
        cooldown: iterations after an intervention in which only what is not finite counts.
        max_interventions: how many are made.
        override_iterations: iterations at the controller's lower limit.
        param_name: the attribute whose controller is asked.
    """

    def __init__(
        self,
        mode: str | Callable[..., None],
        snapshots: Snapshots | None,
        *,
        cooldown: int,
        max_interventions: int,
        override_iterations: int,
        param_name: str,
    ) -> None:
        self._mode = mode
        self._snapshots = snapshots
        self._cooldown = cooldown
        self._max_interventions = max_interventions
        self._override_iterations = override_iterations
        self._param_name = param_name
        self.clear()

    def clear(self) -> None:
        """Forget what was done."""
        self.interventions = 0
        self.history: list[Record] = []
        self.cooldown_left = 0

    def restore(self, interventions: int, cooldown_left: int, history: list[Record]) -> None:
        """Put checked entries of a state in force."""
        self.interventions, self.cooldown_left, self.history = interventions, cooldown_left, history

    def report(self, engine: Engine, verdict: Verdict, level: int) -> None:
        """Record what was found without doing anything, and no more often than every ``cooldown`` iterations."""
        before = [record["iteration"] for record in self.history if record["rule"] == verdict.rule]
        if not before or engine.state.iteration - before[-1] >= self._cooldown:
            self._keep(self._record(engine, verdict, "report"), level)

    def respond(
        self, engine: Engine, verdict: Verdict | None, iterations: int, publish: Callable[[], None], in_epoch: bool
    ) -> bool:
        """Act on a verdict, unless the cooldown forbids it.

        Args:
            engine: what is watched.
            verdict: what a check found, or None.
            iterations: how many iterations the check was over.
            publish: called when there is a new record, before the event fires.
            in_epoch: whether an epoch is under way, which can be terminated.

        Returns:
            whether there was a verdict that the cooldown put off.
        """
        cooling, self.cooldown_left = self.cooldown_left > 0, max(self.cooldown_left - iterations, 0)
        if verdict is None:
            return False
        planned = self._plan(engine, relapse=cooling)
        # A cooldown lets the levels settle that the others are judged by. What is not finite needs no reference.
        if cooling and (verdict.rule != "non_finite" or planned.action == "report"):
            return True
        if planned.action != "report":
            self.interventions += 1
        self.cooldown_left = self._cooldown
        if planned.why:
            verdict = verdict._replace(reason=f"{verdict.reason}; {planned.why}")
        record = self._record(engine, verdict, planned.action)
        self._keep(record, logging.WARNING)
        publish()
        engine.fire_event(CriticEvents.DIVERGED)
        self._act(engine, planned, record, in_epoch)
        return False

    def _plan(self, engine: Engine, relapse: bool) -> Plan:
        promoted = None if self._snapshots is None else self._snapshots.usable
        return plan(
            self._mode,
            self.interventions,
            self._max_interventions,
            controlled=owner_of(engine, self._param_name) is not None,
            snapshot=None if promoted is None else promoted.iteration,
            relapse=relapse,
        )

    def _act(self, engine: Engine, planned: Plan, record: Record, in_epoch: bool) -> None:
        controller = owner_of(engine, self._param_name)
        if planned.restore and self._snapshots is not None:
            iteration = self._snapshots.restore()
            _logger.warning("iteration %d: restored the snapshot of iteration %d", engine.state.iteration, iteration)
        if planned.action == "call" and callable(self._mode):
            self._mode(engine, record)
        if planned.action == "hold" and controller is not None:
            controller.hold(self._cooldown)
        if planned.action in ("terminate_epoch", "rollback") and controller is not None:
            controller.override(self._override_iterations)
        if planned.action == "terminate_epoch" and in_epoch:
            engine.terminate_epoch(skip_epoch_completed=True)
        if planned.action == "terminate":
            engine.terminate()

    def _record(self, engine: Engine, verdict: Verdict, action: str) -> Record:
        return {
            "iteration": int(engine.state.iteration),
            "rule": verdict.rule,
            "reason": verdict.reason,
            "values": dict(verdict.values),
            "action": action,
            "interventions": self.interventions,
        }

    def _keep(self, record: Record, level: int) -> None:
        self.history = [*self.history[1 - _RECORDS_KEPT :], record]
        _logger.log(level, "iteration %d: %s: %s", record["iteration"], record["action"], record["reason"])
