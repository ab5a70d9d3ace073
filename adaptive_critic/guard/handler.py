"""DivergenceGuard: watches losses and scores, and acts on a divergence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from ignite.engine import Engine

from adaptive_critic import distributed
from adaptive_critic import state as saved
from adaptive_critic.checks import attribute_name, boolean, integer, known
from adaptive_critic.events import register_events
from adaptive_critic.guard import options
from adaptive_critic.guard.actions import Actions, ActionsState, Record
from adaptive_critic.guard.divergence import DivergenceRules, RuleNumbers
from adaptive_critic.guard.evidence import summarise, update_of
from adaptive_critic.guard.scores import Scores
from adaptive_critic.guard.snapshots import Restorable, Snapshots, SnapshotsState
from adaptive_critic.guard.updates import Updates, smallest_loss_scale
from adaptive_critic.handler import DEFAULT_NAME, Handler

if TYPE_CHECKING:
    from typing_extensions import Unpack

_FORMAT = 1


class DivergenceGuard(Handler):
    """Watches the losses and scores of a training step, and acts when they diverge.

    It gathers them on the device and judges them every ``check_every`` iterations by
    :class:`~adaptive_critic.guard.DivergenceRules`. A check costs one device-to-host read and, in a distributed run,
    one all_reduce, so that all ranks act together. ``on_divergence`` is the action:

    - ``"hold"`` asks the controller to freeze the number of critic updates, at 1 or above, for ``cooldown`` iterations;
    - ``"terminate_epoch"`` ends the epoch and asks the controller for its lower limit, but at least 1 critic update,
      during ``override_iterations``; after ``max_interventions`` it ends the run. EPOCH_COMPLETED, whose handlers
      would save the diverged model, does not fire. Handlers of TERMINATE_SINGLE_EPOCH need a parameter named
      ``iter_counter``;
    - ``"terminate"`` ends the run. COMPLETED fires, as with Ignite's TerminateOnNan;
    - ``"rollback"`` restores ``to_restore`` from a copy that was followed by ``patience`` clean checks, asks for the
      same, and goes on with other batches and noise. After ``max_interventions``, or within the cooldown of the
      last one, it restores a last time and ends the run. Without a copy that fits it ends the run;
    - a function is called with (engine, record), on every rank.

    Before the action it fires ``CriticEvents.DIVERGED`` and sets ``engine.state.divergence`` to the record, a dict with
    ``iteration``, ``rule``, ``reason``, ``values``, ``action`` and ``interventions``. The logger ``adaptive_critic``
    writes it, too. ``engine.state.guard_interventions`` counts. Without a controller, ``"hold"`` only reports.

    Args:
        on_divergence: a mode, or a function of (engine, record).
        to_restore: for ``"rollback"``: models, optimizers, EMA, gradient scaler, ... by name; no engine. The guard
            holds two copies of them in memory. A controller's counts go back too. Hooks on each torch optimizer measure
            how far the first step after each check moves the weights.
        check_every: iterations from check to check, at least 1. Collapse needs two iterations with critic updates.
        cooldown: iterations after an intervention in which levels may settle, at least 1. Explosion, dead and collapse
            wait. The guard acts on non-finite values and stalled training at once, but reports them no more often.
        max_interventions: at least 1. Afterwards the guard only reports instead of ``"hold"`` or the function.
        override_iterations: iterations at the controller's lower limit, at least 1.
        on_collapse: ``"report"`` (history and log, no event, at most once in ``cooldown`` iterations), ``"act"`` as on
            any divergence, or ``"ignore"``. The end of a successful training looks like a collapse.
        on_spike: the same for a spike. Most runs recover from a spike by themselves.
        snapshot_every: iterations from copy to copy, at least 1.
        save_snapshots: whether ``state_dict`` holds the copies. Without them a checkpoint is smaller, but a resumed run
            can't roll back until a new copy is trusted.
        output_transform: turns the step's output into a StepOutput, or None.
        param_name: attribute of the controller that the guard asks, and prefix of the guard's own.
        rules: numbers of :class:`~adaptive_critic.guard.DivergenceRules` by name, such as ``patience=5``.

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

    _saving = False

    def __init__(
        self,
        on_divergence: str | Callable[[Engine, Record], None] = "hold",
        *,
        to_restore: Mapping[str, Restorable] | None = None,
        check_every: int = 10,
        cooldown: int = 200,
        max_interventions: int = 3,
        override_iterations: int = 100,
        on_collapse: str = "report",
        on_spike: str = "report",
        snapshot_every: int = 200,
        save_snapshots: bool = True,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = DEFAULT_NAME,
        **rules: Unpack[RuleNumbers],
    ) -> None:
        if output_transform is not None and not callable(output_transform):
            raise TypeError(f"output_transform={output_transform!r}: expected a function of the step's output or None")
        mode = options.checked_mode(on_divergence)
        objects = options.checked_objects(to_restore, mode)
        self.param_name = attribute_name("param_name", param_name)
        known(type(self), rules, RuleNumbers.__annotations__)
        self._rules = DivergenceRules(**rules)
        self._check_every = integer("check_every", check_every, at_least=1)
        self.save_snapshots = boolean("save_snapshots", save_snapshots)
        every = integer("snapshot_every", snapshot_every, at_least=1)
        self.snapshots = Snapshots(objects, self._rules.patience, every) if objects else None
        judged = {} if self._rules.update_limit is None else objects
        self._updates = Updates({name: one for name, one in judged.items() if isinstance(one, torch.optim.Optimizer)})
        self._window = Scores([update_of(name) for name in self._updates.names])
        self._scalers = [one for one in objects.values() if isinstance(one, torch.amp.GradScaler)]
        self._output_transform = output_transform
        self._actions = Actions(
            mode,
            options.checked_reactions(on_collapse=on_collapse, on_spike=on_spike),
            self.snapshots,
            cooldown=integer("cooldown", cooldown, at_least=1),
            max_interventions=integer("max_interventions", max_interventions, at_least=1),
            override_iterations=integer("override_iterations", override_iterations, at_least=1),
            param_name=param_name,
        )
        self._clear()

    def _clear(self) -> None:
        self._window.clear()
        self._rules_state = self._rules.init()
        self._actions.state = ActionsState()
        if self.snapshots is not None:
            self.snapshots.state = SnapshotsState()

    @property
    def ends_epochs(self) -> bool:
        """Whether it ends an epoch on divergence."""
        return self._actions.mode == "terminate_epoch"

    @property
    def interventions(self) -> int:
        """Interventions made so far."""
        return self._actions.state.interventions

    @property
    def history(self) -> list[Record]:
        """Records of the last 100 findings, oldest first."""
        return list(self._actions.state.records)

    def attach(self, engine: Engine) -> None:
        """Watch every iteration of ``engine``; a ValueError if ranks attach different guards."""
        self._check_free(engine)
        if distributed.world_size() > 1:
            distributed.all_equal(repr(self))
        register_events(engine)
        super().attach(engine)
        self._updates.watch(self._iteration_to_measure)

    def _iteration_to_measure(self, optimizer: str) -> int | None:
        """Return the number of the running iteration, if an update of this optimizer is to be measured."""
        if self._engine is None or self._window.has(update_of(optimizer)):
            return None
        # Rounds begins an iteration after its first update, so an iteration that was gathered is followed by the next.
        iteration = self._engine.state.iteration
        return iteration + (iteration == self._counted)

    def _leave(self) -> Engine:
        self._updates.leave()
        return super()._leave()

    def _begin(self, engine: Engine, fresh: bool) -> None:
        self._window.ranks = distributed.AllRanks()
        if self._window.ranks.count > 1:
            begun, left = engine.state.iteration, self._actions.state.cooldown_left
            waiting, judged = len(self._window), distributed.fingerprint(self._rules_state)
            distributed.same_start(
                f"DivergenceGuard at iteration {begun}, {self.interventions} interventions, cooldown for {left}, "
                f"{waiting} iterations since the last check, state {judged}"
            )
        # A checkpoint may have been written after an iteration and before its check.
        self._check_if_due(engine, in_epoch=False)

    def _on_iteration_completed(self, engine: Engine) -> None:
        super()._on_iteration_completed(engine)
        if not self._saving:
            self._check_if_due(engine, in_epoch=True)

    def _count(self, engine: Engine) -> None:
        output = engine.state.output
        if self._output_transform is not None:
            output = self._output_transform(output)
        self._window.add(output, self._updates.take(engine.state.iteration))

    def _publish(self, engine: Engine) -> None:
        self._actions.publish(engine)

    def _check_if_due(self, engine: Engine, in_epoch: bool) -> None:
        if len(self._window) < self._check_every:
            return
        iterations, scalers = len(self._window), [*self._scalers, getattr(engine.state, "scaler", None)]
        columns, scale = self._window.read(smallest_loss_scale(scalers, self._window.device))
        self._window.clear()
        updates = {name: columns.pop(update_of(name), []) for name in self._updates.names}
        evidence = summarise(columns, {} if self._updates.captured else updates, scale)
        self._rules_state, (verdict, clean) = self._rules.update(self._rules_state, evidence)
        if self._actions.reactions["collapse"] == "act":
            clean = clean and self._rules_state.flat == 0
        if verdict is not None:
            reaction = self._actions.reactions.get(verdict.rule, "act")
            if reaction == "report":
                self._actions.report(engine, verdict)
            if reaction != "act":
                clean = verdict.rule == "collapse" or reaction == "ignore"
                verdict = None
        if self.snapshots is not None:
            self.snapshots.follow(engine.state.iteration, clean)
        put_off = self._actions.respond(engine, verdict, iterations, in_epoch)
        if put_off and verdict is not None and verdict.rule == "collapse":
            self._rules_state = self._rules.arm(self._rules_state)

    # --- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints, floats, strings, lists and dicts of them, and the snapshots' tensors.

        Of the iterations since the last check it has only this rank's values. So in a distributed run save at multiples
        of ``check_every``, where there are none.
        """
        if self.snapshots is not None and self.snapshots.busy:
            return {}  # a controller is being copied: the guard does not forget what it has done
        self._saving = True  # a due check is made in the guard's own turn
        try:
            self._catch_up()
        finally:
            self._saving = False
        state = {"version": _FORMAT, "handler": "DivergenceGuard", **self._actions.state_dict()}
        state |= {"window": self._window.state_dict(), "rules": self._rules.state_dict(self._rules_state)}
        if self.snapshots is not None and self.save_snapshots:
            state["snapshots"] = self.snapshots.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            StateError: if it is of another handler or a newer format, lacks an entry, has one out of range, or holds
                snapshots of other objects. Nothing is changed then.
        """
        if self.snapshots is not None and self.snapshots.busy:
            return
        state = saved.header(state, "DivergenceGuard", _FORMAT)
        window = self._window.read_state(saved.mapping(state, "window"))
        actions, rules = self._actions.read(state), self._rules.read(saved.mapping(state, "rules"))
        copies = SnapshotsState()
        if self.snapshots is not None and "snapshots" in state:
            copies = self.snapshots.read(saved.mapping(state, "snapshots"))
        if self.snapshots is not None:  # nothing above changes the guard, nothing below can fail
            self.snapshots.state = copies
        self._window.restore(window)
        self._actions.state, self._rules_state, self._loaded = actions, rules, True
        self._show()

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for a copy; a TypeError if there are objects to restore."""
        if self.snapshots is not None:
            raise TypeError(
                f"{self!r} can't be copied or pickled: the copy would restore copies of those objects, not the ones "
                "that are trained; make another guard for them, and load this one's state_dict()"
            )
        return super().__getstate__()

    def _describe(self, name: str, value: Any) -> str:
        if name == "to_restore" and isinstance(value, Mapping):
            return f"{{{', '.join(f'{key!r}: {key}' for key in value)}}}"  # names alone: equal on every rank
        return super()._describe(name, value)


def as_guard(on_divergence: Any, param_name: str, output_transform: Any) -> DivergenceGuard | None:
    """Return the guard for a controller's ``on_divergence=``: None, a mode, a function or a guard."""
    if on_divergence is None:
        return None
    if isinstance(on_divergence, DivergenceGuard):
        if on_divergence.param_name == param_name:
            return on_divergence
        raise ValueError(
            f"on_divergence=DivergenceGuard(..., param_name={on_divergence.param_name!r}) asks another controller than "
            f"this one, whose param_name is {param_name!r}: give both the same"
        )
    if isinstance(on_divergence, str) and on_divergence == "rollback":
        raise ValueError(
            "on_divergence='rollback' has to be told what to restore: "
            "on_divergence=DivergenceGuard('rollback', to_restore={'generator': generator, ...})"
        )
    if isinstance(on_divergence, type) or not (isinstance(on_divergence, str) or callable(on_divergence)):
        raise TypeError(f"on_divergence={on_divergence!r}: {options.expected_modes()}, a DivergenceGuard, or None")
    return DivergenceGuard(on_divergence, output_transform=output_transform, param_name=param_name)
