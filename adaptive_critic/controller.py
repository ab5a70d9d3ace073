"""What all controllers share: attaching, writing the attribute, counting, overriding, saving."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

from ignite.engine import Engine, Events

from adaptive_critic import distributed
from adaptive_critic import state as saved
from adaptive_critic.attachable import Attachable
from adaptive_critic.checks import integer, limits_pair
from adaptive_critic.events import CriticEvents, claim, fire, register_events, release
from adaptive_critic.guard import DivergenceGuard, as_guard
from adaptive_critic.overriding import Override
from adaptive_critic.publishing import Published
from adaptive_critic.signals import StepOutputError

__all__ = ["Controller"]

_FORMAT = 1
# Handlers of ITERATION_COMPLETED fire our events, and those that follow find them as the engine's last event.
_OBSERVED_AT = (Events.ITERATION_COMPLETED, *CriticEvents)
# What is asked for after one of these is for the next run; at STARTED by a handler that was attached before ours.
_BEFORE_A_RUN = (
    None,
    Events.STARTED,
    Events.COMPLETED,
    Events.TERMINATE,
    Events.INTERRUPT,
    Events.EXCEPTION_RAISED,
)


class Controller(Attachable):
    """Writes ``engine.state.<param_name>``, the number of critic updates, for the training step to read.

    Published on ``engine.state`` for loggers, before the first and after every iteration (with a ``param_name`` of
    your own, each is prefixed with it and an underscore):

    - ``num_discriminator_steps``: int, critic updates of the next iteration;
    - ``critic_ratio``: float, the real-valued ratio behind it;
    - ``critic_signal``: float, what the law regulates, NaN while there is nothing;
    - ``critic_updates``, ``generator_updates``: int, updates so far: iterations, and the critic updates that this
      controller asked of them. A step that makes another number (told once in the log where its output shows it), or a
      second writer of the attribute (which is warned about), is not in the count;
    - ``samples_seen``: int, real samples consumed so far on this rank, as the step reports them (``num_samples``).

    Args:
        limits: (lower, upper) of the integer, or None for none; a law's own values are then at least 0.
        output_transform: turns the step's output into a StepOutput, or None.
        param_name: name of the attribute of ``engine.state``.
        on_divergence: None, a mode of :class:`DivergenceGuard`, or a configured guard; it is attached, detached and
            saved together with the controller. A guard made from a mode has this ``output_transform`` too, a
            configured one has its own.
    """

    def __init__(
        self,
        *,
        limits: tuple[int, int] | None,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = "num_discriminator_steps",
        on_divergence: str | Callable[..., None] | DivergenceGuard | None = None,
    ) -> None:
        if output_transform is not None and not callable(output_transform):
            raise TypeError(f"output_transform={output_transform!r}: expected a function of the step's output or None")
        self._published = Published(param_name)
        self._limits = self._checked_limits(limits)
        self.param_name = param_name
        self.guard: DivergenceGuard | None = as_guard(on_divergence, param_name, output_transform)
        self._output_transform = output_transform
        self._override = Override()
        self._seen = 0  # engine.state.iteration when an iteration was last observed
        self._loaded = False
        self._made_with = self._settings()
        self._clear()

    def _clear(self) -> None:
        self.critic_updates = 0
        self.generator_updates = 0
        self.samples_seen = 0
        self._warned = False
        self._newest: int | None = None  # iteration of the engine that was taken in last; None: not known, or none
        self._steps = 0
        self._unfitted = False  # limits were assigned within an iteration, whose ratio is yet to be clamped to them
        self._decided = True  # ratio or signal may have changed since they were published

    # --- what a subclass says -----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def ratio(self) -> float:
        """Real-valued number of critic updates per generator update that is in force."""

    @property
    @abstractmethod
    def signal(self) -> float:
        """What the law regulates, NaN while there is nothing to show."""

    @abstractmethod
    def _steps_at(self, index: int) -> int:
        """Return the steps of the iteration with this index when nothing new was observed."""

    @abstractmethod
    def _next_steps(self, output: Any, metrics: Mapping[str, Any], steps: int, index: int) -> int:
        """Observe an iteration that made ``steps`` critic updates, return the steps of the next."""

    @abstractmethod
    def _take_back(self) -> None:
        """Forget that the steps were handed out: an override replaces them before they were run."""

    @abstractmethod
    def _skip(self) -> None:
        """Let iterations pass without observing them, as under an override."""

    # --- use ----------------------------------------------------------------------------------------------------

    @property
    def limits(self) -> tuple[int, int] | None:
        """(lower, upper) of the integer, or None. Others may take their place.

        They hold at once: number and ratio are clamped to them and published, and a start (``initial``) outside of them
        is the nearest bound in later runs. An iteration that is running keeps the number that it was begun with, and an
        :meth:`override` its own. In a distributed run every rank must assign the same, between two runs or at the same
        iteration.

        Raises:
            TypeError: if what is assigned is neither a pair of ints nor None.
            ValueError: if it is out of range, or the constructor would refuse it beside its other arguments.
        """
        return self._limits

    @limits.setter
    def limits(self, limits: tuple[int, int] | None) -> None:
        self._limits = self._checked_limits(limits)
        if self._is_within_iteration():
            self._unfitted = True
        else:
            self._set_steps(self._fitted(self._steps, self._override.left > 0))

    def _checked_limits(self, limits: tuple[int, int] | None) -> tuple[int, int] | None:
        """Return limits as ints, for the constructor and for an assignment; a subclass refuses what it can't keep."""
        return None if limits is None else limits_pair(limits)

    @property
    def num_discriminator_steps(self) -> int:
        """Critic updates of the next iteration."""
        return self._steps

    def attach(self, engine: Engine) -> None:
        """Write the attribute now and after every iteration of ``engine``; attach the guard, if there is one.

        Raises:
            TypeError: if ``engine`` is not an Ignite Engine.
            RuntimeError: if this controller is attached already, or another one owns the attribute.
            ValueError: if ranks of a distributed run attach different configurations.
        """
        self._check_free(engine)
        if distributed.world_size() > 1:
            settings = self._settings()  # law and limits may have been replaced since this was made
            distributed.all_equal(repr(self) if settings == self._made_with else f"{self!r} with {settings}")
        found = getattr(engine.state, self.param_name, None)
        known = claim(engine, self.param_name, self)
        register_events(engine)
        self._join(engine)
        begun = engine.last_event_name is Events.ITERATION_STARTED  # an iteration that its step is yet to run
        self._seen = engine.state.iteration - begun
        if self.guard is not None:
            try:
                self.guard.attach(engine)
            except (RuntimeError, ValueError):  # such as that it watches another engine: leave this one as it was
                self._leave()
                release(engine, self.param_name)
                raise
        if not self._loaded and self._override.left == 0:
            self._steps = self._resumed_steps(self._seen)
        self._write(engine)
        if found is not None and not known:
            warnings.warn(f"engine.state.{self.param_name}={found!r} is overwritten by {self!r}", stacklevel=2)

    def detach(self) -> None:
        """Stop writing. The attribute keeps its last value and can be claimed by another controller.

        Raises:
            RuntimeError: if the controller is not attached.
        """
        release(self._leave(), self.param_name)
        if self.guard is not None and self.guard._engine is not None:  # it may have been detached by itself
            self.guard.detach()

    def reset(self) -> None:
        """Go back to the state after construction."""
        self._clear()
        self._override.clear()
        self._loaded = False
        self._steps = self._steps_at(0)
        if self._engine is not None:
            self._write(self._engine)

    def observe(self, output: Any) -> int:
        """Observe one iteration of a loop without an Engine; return the critic updates of the next.

        Before the first iteration read ``num_discriminator_steps``.

        Args:
            output: what a training step would return (StepOutput).

        Raises:
            RuntimeError: if the controller is attached to an engine, which calls it already, or has a guard
                (``on_divergence``), which acts through an engine.
            StepOutputError: if the output is not what this controller needs.
        """
        self._check_alone()
        self._newest = None
        self._advance(output, {}, self.generator_updates + 1)
        return self._steps

    def _check_alone(self) -> None:
        """Check that a loop without an engine may drive this.

        Raises:
            RuntimeError: if it may not.
        """
        if self._engine is not None:
            raise RuntimeError(
                f"{self!r} is attached to an engine, which lets it observe every iteration already; detach() it first"
            )
        if self.guard is not None:
            raise RuntimeError(
                f"{self!r} has a guard, which acts through an Engine: attach the controller to one, or leave "
                "on_divergence= out and look at the losses in the loop"
            )

    def override(self, iterations: int, steps: int | None = None) -> None:
        """Use ``steps`` for the next iterations, whatever the law says; the law pauses and goes on afterwards.

        Called between two runs it is for the next one, also where that starts afresh.

        Args:
            iterations: how many, at least 1.
            steps: critic updates, at least 0; None means the lower limit (1 without limits).
        """
        iterations = integer("iterations", iterations, at_least=1)
        if steps is None:
            steps = 1 if self.limits is None else self.limits[0]
        steps = integer("steps", steps, at_least=0)
        waits = self._engine is None or self._engine.last_event_name in _BEFORE_A_RUN
        if self._is_within_iteration():  # which keeps the steps that it was run with
            self._override.order(steps, iterations + 1, waits=waits)
            return
        if self._override.left == 0:
            self._take_back()
        self._override.order(steps, iterations, waits=waits)
        self._set_steps(steps)

    def hold(self, iterations: int) -> None:
        """Freeze the number of critic updates for the next iterations."""
        self.override(iterations, self._steps)

    def _is_within_iteration(self) -> bool:
        """Return whether there is an iteration that is still to be observed."""
        return self._engine is not None and self._engine.state.iteration != self._seen

    # --- handlers -----------------------------------------------------------------------------------------------

    def _handlers(self) -> tuple[tuple[Events, Callable[[Engine], None]], ...]:
        return (Events.STARTED, self._on_started), (Events.ITERATION_COMPLETED, self._on_iteration_completed)

    def _on_started(self, engine: Engine) -> None:
        if engine.state.iteration == 0 and not self._loaded:
            self._clear()
            self._override.begin_afresh()
            self._steps = self._override.steps if self._override.left > 0 else self._steps_at(0)
        elif self._override.left == 0:
            self._steps = self._resumed_steps(engine.state.iteration)
        self._loaded = False
        self._seen = engine.state.iteration
        self._write(engine)
        if distributed.world_size() > 1:
            # Ranks that disagree on n hang at the first collective that one of them makes alone.
            law = {key: value for key, value in self._law_state().items() if key != "moments"}  # those are this rank's
            state = distributed.fingerprint((self._settings(), law, self._override.steps, self._override.left))
            distributed.same_start(
                f"{type(self).__name__} at iteration {self._seen}, n={self._steps}, ratio {self.ratio:g}, state {state}"
            )

    def _settings(self) -> str:
        """Return the arguments for which others may be assigned, as they are now."""
        return f"law={getattr(self, 'law', None)!r}, limits={self._limits!r}"

    def _resumed_steps(self, index: int) -> int:
        """Return the steps with which a run goes on at ``index``."""
        return self._steps

    def _on_iteration_completed(self, engine: Engine) -> None:
        state = engine.state
        if state.iteration == self._seen:
            return  # a checkpoint made it observe this iteration already
        found = getattr(state, self.param_name)
        if found != self._steps and not self._warned:
            self._warned = True
            warnings.warn(
                f"something else wrote engine.state.{self.param_name}={found!r}; {self!r} wrote {self._steps} and "
                "will overwrite it: only one of the two should write",
                stacklevel=2,
            )
        before = self._steps
        self._loaded = False  # a load in the middle of a run does not keep the next one from starting afresh
        self._override.observe()
        self._seen = state.iteration  # first: an output that is refused must not be observed again by state_dict
        if self._newest is not None and state.iteration != self._newest + 1:
            self._skip()  # detached for a while, or a handler or an output failed: those iterations were missed
        try:
            self._advance(state.output, state.metrics, state.iteration)
        except StepOutputError as error:
            if found == before:
                raise
            raise StepOutputError(
                f"{error}; something else had written engine.state.{self.param_name}={found!r}"
            ) from error
        self._newest = state.iteration
        if found != self._steps:
            setattr(state, self.param_name, self._steps)
        self._publish(state)
        if before != self._steps:
            fire(engine, CriticEvents.STEPS_CHANGED)

    def _advance(self, output: Any, metrics: Mapping[str, Any], index: int) -> None:
        """Count and observe an iteration; leave the steps of the iteration with this index."""
        if self._output_transform is not None:
            output = self._output_transform(output)
        samples = output.get("num_samples", 0) if isinstance(output, (dict, Mapping)) else 0
        if isinstance(samples, bool) or not isinstance(samples, (int, Integral)) or samples < 0:
            raise StepOutputError(
                f"'num_samples' must be an int of at least 0, got {samples!r} ({type(samples).__name__})"
            )
        steps = self._steps
        override = self._override
        if self._unfitted:
            self._unfitted, self._decided = False, True
            self._fitted(steps, True)  # the ratio alone: this iteration was run with these steps
        if override.left > 0:
            override.left -= 1
            self._decided = True
            self._skip()
            following = override.steps if override.left > 0 else self._steps_at(index)
        else:
            following = self._next_steps(output, metrics, steps, index)
        self.critic_updates += steps
        self.generator_updates += 1
        self.samples_seen += int(samples)
        self._steps = following

    def _set_steps(self, steps: int) -> None:
        changed = steps != self._steps
        self._steps = steps
        if self._engine is not None:
            self._write(self._engine)
            if changed:
                fire(self._engine, CriticEvents.STEPS_CHANGED)

    def _write(self, engine: Engine) -> None:
        self._decided = True
        setattr(engine.state, self.param_name, self._steps)
        self._publish(engine.state)

    def _publish(self, state: Any) -> None:
        if self._decided:
            self._decided = False
            self._published.write_decision(state, self.ratio, self.signal)
        self._published.write_counts(state, self.critic_updates, self.generator_updates, self.samples_seen)

    # --- state --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints, floats, strings, lists and dicts of them. Configuration is not part of it.

        Called at ITERATION_COMPLETED by a handler that was attached before the controller, it observes the iteration
        first, so that a resume loses nothing.
        """
        if self._engine is not None and self._engine.last_event_name in _OBSERVED_AT:
            self._on_iteration_completed(self._engine)
        state: dict[str, Any] = {
            "version": _FORMAT,
            "handler": type(self).__name__,
            "steps": self._steps,
            "critic_updates": self.critic_updates,
            "generator_updates": self.generator_updates,
            "samples_seen": self.samples_seen,
            "override": [self._override.steps, self._override.left],
            "law": self._law_state(),
        }
        if self.guard is not None:
            state["guard"] = self.guard.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned, clamped to the current limits.

        Raises:
            StateError: if it is a state of another handler, of a newer format, or has entries missing or out of range.
                Nothing is changed then.
        """
        state = saved.header(state, type(self).__name__, _FORMAT)
        steps = saved.integer(state, "steps")
        counts = [saved.integer(state, key) for key in ("critic_updates", "generator_updates", "samples_seen")]
        override = saved.integers(state, "override", 2)
        apply_law = self._read_law_state(saved.mapping(state, "law"))
        if self.guard is not None and "guard" in state:
            # the last thing that can fail: it changes nothing either, if it does
            self.guard.load_state_dict(saved.mapping(state, "guard"))
        apply_law()
        self.critic_updates, self.generator_updates, self.samples_seen = counts
        self._override.restore(*override)
        self._steps = self._fitted(steps, self._override.left > 0)
        self._newest = None
        self._loaded = True
        if self._engine is not None:
            self._write(self._engine)

    def _fitted(self, steps: int, overridden: bool) -> int:
        """Return steps as the current limits allow them; those of an override are not the law's."""
        return steps if overridden else self._clamp_steps(steps)

    def _clamp_steps(self, steps: int) -> int:
        return steps if self._limits is None else min(max(steps, self._limits[0]), self._limits[1])

    @abstractmethod
    def _law_state(self) -> dict[str, Any]:
        """Return the law's part of the state."""

    @abstractmethod
    def _read_law_state(self, state: Mapping[str, Any]) -> Callable[[], None]:
        """Check the law's part of a state, return the function that puts it in force."""
