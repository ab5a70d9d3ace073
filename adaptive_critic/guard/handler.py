"""The handler that watches losses and scores and acts on a divergence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

from adaptive_critic import distributed
from adaptive_critic.checks import attribute_name, boolean, integer
from adaptive_critic.events import register_events
from adaptive_critic.guard import saving
from adaptive_critic.guard.actions import checked_mode, expected_modes
from adaptive_critic.guard.monitor import Monitor
from adaptive_critic.guard.responding import Record, Responder
from adaptive_critic.guard.rules import DivergenceRules
from adaptive_critic.guard.snapshots import Restorable, Snapshots, checked_objects
from adaptive_critic.guard.updates import Updates
from adaptive_critic.handler import DEFAULT_NAME, Handler, prefix, writes

__all__ = ["DivergenceGuard", "as_guard"]

_REACTIONS = ("report", "act", "ignore")
_PUBLISHED = writes("divergence", "guard_interventions")
_BETWEEN_RUNS = (None, Events.COMPLETED, Events.TERMINATE, Events.INTERRUPT, Events.EXCEPTION_RAISED)


class DivergenceGuard(Handler):
    r"""Watches the losses and scores of a training step, and acts when they diverge.

    It gathers them on the device and looks at them once every ``check_every`` iterations: one device-to-host read, and
    in a distributed run one all_reduce, so that all ranks act together. Five rules:

    - *non_finite*: a loss, a score or the penalty is NaN or infinite;
    - *explosion*: the critic's gap :math:`|E[D(x)] - E[D(G(z))]|`, the spread of its scores (where the step reports
      ``d_real_std`` and ``d_fake_std``), \|d_loss\| or the penalty (where it reports ``d_penalty``) is, at
      ``patience`` checks in a row, beyond
      :math:`m + \text{threshold} \cdot \max(\text{MAD}, \text{floor}, \text{relative\_floor} \cdot m)`, with the
      running median m and median absolute deviation MAD: by default at least 10 score units and ten times the median
      above it. The defaults are wide, since a healthy run's gap grows by orders of magnitude while the critic learns.
      Or one step of an optimizer in ``to_restore`` moves its weights, as a share of their norm, by more than 1 % and
      ``update_limit`` times the usual share, and stays beyond the usual one, as after a learning rate that is too high
      by so much; usual is the second largest that was measured before, or the latest if that is larger, without those
      of the first ``warmup`` checks. What was found once is usual from then on, so that a rate raised on purpose ends
      no run.
      A run that is wrong from its first iterations has no healthy past to compare with, and is found when something is
      not finite;
    - *dead*: the gap or the spread is below ``dead`` times its running median at ``patience`` checks in a row: the
      critic no longer responds to what it is shown;
    - *collapse*: the gap is within two standard errors of 0 at ``patience`` checks in a row, after it was not. That is
      also what the end of a successful training looks like, where the critic can no longer tell the two apart, so by
      default it is reported and nothing more;
    - *spike*: while all levels are within their limits, a single gap, spread, loss or penalty is beyond
      ``spike_limit`` times the limit of an explosion, as after one corrupted batch. Most runs recover by themselves, so
      by default it is reported and nothing more.

    What it then does:

    - ``"hold"`` asks the controller to freeze the number of critic updates for ``cooldown`` iterations;
    - ``"terminate_epoch"`` ends the epoch, once per divergence, and asks the controller for its lower limit during
      ``override_iterations``. EPOCH_COMPLETED does not fire for that epoch, else its handlers would save the diverged
      model. Ending an epoch heals nothing by itself: it lets the handlers of TERMINATE_SINGLE_EPOCH act, and starts the
      next epoch's data. Use it with ``trainer.run(..., max_iters=N)`` (Ignite 0.5.5), where a shortened epoch costs no
      iterations; with ``max_epochs`` the rest of the epoch is lost. When ``max_interventions`` have been made, the next
      divergence terminates the run;
    - ``"terminate"`` ends the run. COMPLETED fires, as with Ignite's TerminateOnNan;
    - ``"rollback"`` restores ``to_restore`` from a copy that was followed by ``patience`` clean checks, asks the
      controller for its lower limit during ``override_iterations``, and goes on. Iterations go on counting, and random
      states and data are left alone: the same batches and noise would diverge again. When ``max_interventions`` have
      been made, or the next is called for within the cooldown, it restores a last time and terminates; without a copy
      yet it terminates;
    - a function is called with (engine, record), on every rank.

    It never writes ``num_discriminator_steps`` itself; without a controller, ``"hold"`` only reports. First it fires
    ``CriticEvents.DIVERGED`` with ``engine.state.divergence`` set to the record of what was found: a dict with
    ``iteration``, ``rule``, ``reason``, ``values``, ``action`` and ``interventions``. Records are kept in ``history``
    (the last 100) and written to the logger ``adaptive_critic``; ``engine.state.guard_interventions`` counts.

    After a terminated epoch, Ignite's iteration counter does not jump to the epoch's end, so a resume from a checkpoint
    works out an earlier epoch and other epoch boundaries than the uninterrupted run had: with epochs of 50 and one that
    was ended at iteration 20, the next end at 70, 120, 170; resumed from 60, at 100, 150, 200 (Ignite 0.5.5). Guard and
    controllers count iterations alone and are not affected; attach checkpoints and evaluations to iterations
    (``Events.ITERATION_COMPLETED(every=k)``), and they are not either. Handlers of TERMINATE_SINGLE_EPOCH need a
    parameter named ``iter_counter``.

    Args:
        on_divergence: a mode, or a function of (engine, record).
        to_restore: for ``"rollback"``: models, optimizers, EMA, gradient scaler, ... by name. Two copies of them are
            held in memory. The engine can't be among them; a controller can, its counts then go back too. While the
            guard is attached, each torch optimizer among them has two hooks on its ``step``, which copy its weights in
            the first step after each check and measure how far it moves them. One whose parameter groups are no longer
            those of a copy can't go back to it.
        check_every: iterations from check to check, at least 1. Collapse needs two iterations with critic updates.
        patience: checks, at least 1: that an explosion or a collapse lasts before it counts, and that have to be clean
            before a copy is trusted.
        cooldown: iterations after an intervention in which levels may settle, at least 1: explosion, dead and collapse
            wait. What is not finite does not: it is acted on at once, but reported no more often than this.
        max_interventions: at least 1. Afterwards ``"hold"`` and a function are no longer carried out, only reported.
        override_iterations: iterations at the controller's lower limit, at least 1.
        on_collapse: ``"report"`` (history and log, no event, at most once in ``cooldown`` iterations), ``"act"`` as on
            any divergence, or ``"ignore"``.
        on_spike: the same of a spike.
        window: checks that the running median is taken over, at least 3.
        warmup: checks before explosions are judged, twice as many before updates are, from 1 to ``window``.
        threshold: deviations beyond the median that make an explosion, above 0.
        floor: lower bound of the deviation in the units of the score, above 0.
        relative_floor: lower bound of the deviation as a share of the median, at least 0.
        dead: share of the running median under which a gap or a spread counts as none, at least 0, below 1.
        update_limit: times the usual share of their norm that an optimizer's update may move the weights, above 1;
            None if that is not to be judged, as with a schedule that raises the rate so much at once above all it was.
        spike_limit: times the limit of an explosion that a single value may reach, at least 1.
        snapshot_every: iterations from copy to copy, at least 1.
        save_snapshots: whether ``state_dict`` holds the copies. Without them a checkpoint is smaller, and a resumed run
            can't roll back until a new copy has been trusted.
        output_transform: turns the step's output into a StepOutput, or None.
        param_name: the attribute whose controller is asked. With one of your own, ``divergence`` and
            ``guard_interventions`` on ``engine.state`` are prefixed with it and an underscore, as a controller's are.

    Raises:
        TypeError: if an argument is of the wrong type, or an object to restore lacks state_dict or load_state_dict.
        ValueError: if a mode is unknown, a number out of its range, or ``"rollback"`` is given nothing to restore.

    Example:
        >>> from ignite.engine import Engine
        >>> def train_step(engine, batch):
        ...     return {"g_loss": float("nan") if engine.state.iteration > 15 else 1.0}
        >>> trainer = Engine(train_step)
        >>> guard = DivergenceGuard("terminate")
        >>> guard.attach(trainer)
        >>> trainer.run(range(100)).iteration
        20
        >>> trainer.state.divergence["reason"]
        'g_loss not finite'
    """

    def __init__(
        self,
        on_divergence: str | Callable[[Engine, Record], None] = "hold",
        *,
        to_restore: Mapping[str, Restorable] | None = None,
        check_every: int = 10,
        patience: int = 3,
        cooldown: int = 200,
        max_interventions: int = 3,
        override_iterations: int = 100,
        on_collapse: str = "report",
        on_spike: str = "report",
        window: int = 50,
        warmup: int = 5,
        threshold: float = 50.0,
        floor: float = 0.2,
        relative_floor: float = 0.2,
        dead: float = 1e-4,
        update_limit: float | None = 5.0,
        spike_limit: float = 100.0,
        snapshot_every: int = 200,
        save_snapshots: bool = True,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = DEFAULT_NAME,
    ) -> None:
        if output_transform is not None and not callable(output_transform):
            raise TypeError(f"output_transform={output_transform!r}: expected a function of the step's output or None")
        mode = checked_mode(on_divergence)
        self.on_collapse = _reaction("on_collapse", on_collapse)
        self.on_spike = _reaction("on_spike", on_spike)
        self.param_name = attribute_name("param_name", param_name)
        rules = DivergenceRules(
            patience, window, warmup, threshold, floor, relative_floor, dead, update_limit, spike_limit
        )
        check_every = integer("check_every", check_every, at_least=1)
        self.save_snapshots = boolean("save_snapshots", save_snapshots)
        self.snapshots: Snapshots | None = None
        every = integer("snapshot_every", snapshot_every, at_least=1)
        if to_restore is not None:
            if isinstance(on_divergence, str) and on_divergence != "rollback":
                raise ValueError(f"to_restore is used by 'rollback' only, and on_divergence={on_divergence!r}")
            self.snapshots = Snapshots(checked_objects(to_restore), patience, every)
        elif mode == "rollback":
            raise ValueError(
                "on_divergence='rollback' needs to_restore={'generator': ..., 'optimizer_g': ..., ...}: the models, "
                "optimizers and whatever else has to go back with them"
            )
        judged = {} if to_restore is None or update_limit is None else to_restore
        optimizers = {name: one for name, one in judged.items() if isinstance(one, torch.optim.Optimizer)}
        self._monitor = Monitor(rules, check_every, output_transform, Updates(optimizers))
        self._responder = Responder(
            mode,
            self.snapshots,
            cooldown=integer("cooldown", cooldown, at_least=1),
            max_interventions=integer("max_interventions", max_interventions, at_least=1),
            override_iterations=integer("override_iterations", override_iterations, at_least=1),
            param_name=param_name,
        )
        self._clear()

    def _clear(self) -> None:
        self._responder.clear()
        self._monitor.clear()
        if self.snapshots is not None:
            self.snapshots.clear()

    # --- use ----------------------------------------------------------------------------------------------------

    @property
    def interventions(self) -> int:
        """Interventions made so far."""
        return self._responder.interventions

    @property
    def history(self) -> list[Record]:
        """Records of what was found, oldest first, the last 100."""
        return self._responder.history

    def attach(self, engine: Engine) -> None:
        """Watch every iteration of ``engine``. A controller's own guard is attached by the controller.

        Raises:
            TypeError: if ``engine`` is not an Ignite Engine.
            RuntimeError: if the guard is attached already.
            ValueError: if ranks of a distributed run attach different guards.
        """
        self._check_free(engine)
        if distributed.world_size() > 1:
            distributed.all_equal(repr(self))
        register_events(engine)
        self._join(engine)
        self._monitor.updates.watch(self._iteration_to_measure)
        self._publish(engine)

    def _iteration_to_measure(self, optimizer: str) -> int | None:
        """Return the number of the iteration that is running, if an update of this optimizer is to be measured."""
        if self._engine is None or not self._monitor.wants(optimizer):
            return None
        # Rounds begins an iteration when its first update has been made: after one that was gathered comes the next.
        iteration = self._engine.state.iteration
        return iteration + (iteration == self._monitor.seen)

    def detach(self) -> None:
        """Stop watching.

        Raises:
            RuntimeError: if the guard is not attached.
        """
        self._leave()
        self._monitor.updates.leave()

    # --- handlers -----------------------------------------------------------------------------------------------

    def _begin(self, engine: Engine, fresh: bool) -> None:
        self._monitor.seen = engine.state.iteration
        self._monitor.window.ranks = distributed.world_size()
        self._publish(engine)
        if self._monitor.window.ranks > 1:
            waiting, judged = len(self._monitor.window), distributed.fingerprint(self._monitor.state)
            distributed.same_start(
                f"DivergenceGuard at iteration {self._monitor.seen}, {self.interventions} interventions, cooldown for "
                f"{self._responder.cooldown_left}, {waiting} iterations since the last check, state {judged}"
            )
        if self._monitor.due:
            # The checkpoint was written after the iteration and before its check.
            self._check(engine, in_epoch=False)

    def _count(self, engine: Engine) -> None:
        monitor = self._monitor
        monitor.gather(engine.state.iteration, engine.state.output)
        if monitor.due:
            self._check(engine, in_epoch=True)

    def _check(self, engine: Engine, in_epoch: bool) -> None:
        (verdict, clean), iterations = self._monitor.check()
        if self.on_collapse == "act":
            clean = clean and self._monitor.state.flat == 0
        elif verdict is not None and verdict.rule == "collapse":
            if self.on_collapse == "report":
                self._responder.report(engine, verdict, logging.INFO)
            verdict, clean = None, True
        if verdict is not None and verdict.rule == "spike" and self.on_spike != "act":
            if self.on_spike == "report" and not self._responder.cooldown_left:
                self._responder.report(engine, verdict, logging.WARNING)
            verdict, clean = None, self.on_spike == "ignore"
        if self.snapshots is not None:
            self.snapshots.follow(engine.state.iteration, clean)
        put_off = self._responder.respond(engine, verdict, iterations, lambda: self._publish(engine), in_epoch)
        if put_off and verdict is not None and verdict.rule == "collapse":
            self._monitor.rearm()

    def _publish(self, engine: Engine) -> None:
        reactions = {"collapse": self.on_collapse, "spike": self.on_spike}
        found = [record for record in self.history if reactions.get(record["rule"], "act") == "act"]
        # Two guards on one engine, one for each of two controllers, must not write over each other's.
        for name, value in zip(_PUBLISHED, (found[-1] if found else None, self.interventions), strict=True):
            setattr(engine.state, prefix(self.param_name) + name, value)

    # --- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints, floats, strings, lists and dicts of them, and the snapshots' tensors.

        Called at ITERATION_COMPLETED by a handler that was attached before the guard, it gathers the iteration first,
        so that a resume loses nothing. Iterations since the last check are held with this rank's values: in a
        distributed run save at multiples of ``check_every``, where there are none.
        """
        if self.snapshots is not None and self.snapshots.busy:
            return {}  # a controller is being copied: the guard does not forget what it has done
        if self._engine is not None and self._engine.last_event_name not in _BETWEEN_RUNS:
            run = self._engine.state
            # Ignite clears the output before each iteration, so that there is one if the step has returned. The latest
            # event does not tell: a controller that was asked for its state just before may have fired one of its own.
            if run.output is not None:
                self._monitor.gather(run.iteration, run.output)
        state: dict[str, Any] = {
            "version": saving.FORMAT,
            "handler": "DivergenceGuard",
            "interventions": self.interventions,
            "cooldown_left": self._responder.cooldown_left,
            "window": self._monitor.window.state_dict(),
            "rules": saving.rules_to_dict(self._monitor.state),
            "records": [dict(record) for record in self.history],
        }
        if self.snapshots is not None and self.save_snapshots:
            state["snapshots"] = self.snapshots.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            StateError: if it is a state of another handler, of a newer format, has entries missing or out of range, or
                snapshots of other objects. Nothing is changed then.
        """
        if self.snapshots is not None and self.snapshots.busy:
            return
        loaded = saving.read(state, self._monitor, self.snapshots)
        self._responder.restore(loaded.interventions, loaded.cooldown_left, loaded.records)
        self._monitor.state = loaded.rules
        self._monitor.window.restore(loaded.masks, loaded.rows)
        if self.snapshots is not None:
            self.snapshots.put(loaded.promoted, loaded.candidate, loaded.clean_checks)
        self._loaded = True
        if self._engine is not None:
            self._publish(self._engine)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle holds.

        Raises:
            TypeError: if there are objects to restore: those of a copy would not be the ones that are trained.
        """
        if self.snapshots is not None:
            raise TypeError(
                f"{self!r} can't be copied or pickled: the copy would restore copies of those objects, not the ones "
                "that are trained; make another guard for them, and load this one's state_dict()"
            )
        return super().__getstate__()

    def _describe(self, name: str, value: Any) -> str:
        if name == "to_restore" and isinstance(value, Mapping):
            # What the objects hold does not belong here; the names are the same on every rank.
            return f"{{{', '.join(f'{key!r}: {key}' for key in value)}}}"
        return super()._describe(name, value)


def _reaction(name: str, value: Any) -> str:
    """Return what is to be done about something, checked."""
    expected = f"expected one of {', '.join(map(repr, _REACTIONS))}"
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}: {expected}, got {type(value).__name__}")
    if value not in _REACTIONS:
        raise ValueError(f"{name}={value!r}: {expected}")
    return value


def as_guard(
    on_divergence: Any, param_name: str, output_transform: Callable[[Any], Any] | None = None
) -> DivergenceGuard | None:
    """Return the guard that a controller's ``on_divergence=`` stands for.

    Raises:
        TypeError: if it is none of None, a mode, a function and a DivergenceGuard.
        ValueError: if it is an unknown mode, ``"rollback"``, which has to be told what to restore, or a guard with
            another ``param_name``, which would ask another controller.
    """
    if isinstance(on_divergence, DivergenceGuard) and on_divergence.param_name != param_name:
        raise ValueError(
            f"on_divergence=DivergenceGuard(..., param_name={on_divergence.param_name!r}) asks another controller than "
            f"this one, whose param_name is {param_name!r}: give both the same"
        )
    if on_divergence is None or isinstance(on_divergence, DivergenceGuard):
        return on_divergence
    if isinstance(on_divergence, str) and on_divergence == "rollback":
        raise ValueError(
            "on_divergence='rollback' has to be told what to restore: "
            "on_divergence=DivergenceGuard('rollback', to_restore={'generator': generator, ...})"
        )
    if isinstance(on_divergence, str) or callable(on_divergence):
        return DivergenceGuard(on_divergence, output_transform=output_transform, param_name=param_name)
    raise TypeError(f"on_divergence={on_divergence!r}: {expected_modes()}, a DivergenceGuard, or None")
