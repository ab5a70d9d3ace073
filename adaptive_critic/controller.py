"""Controller: writes a decision's number of critic updates for the training step, at every iteration of an engine."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ignite.engine import Engine, Events

from adaptive_critic import distributed
from adaptive_critic import state as saved
from adaptive_critic.alternation import Alternation
from adaptive_critic.checks import integer
from adaptive_critic.decision import Decision
from adaptive_critic.events import CriticEvents, fire
from adaptive_critic.exchange import Ranks
from adaptive_critic.guard import DivergenceGuard, as_guard
from adaptive_critic.handler import DEFAULT_NAME, Handler
from adaptive_critic.published import Published
from adaptive_critic.step_output import StepOutputError

_FORMAT = 2

_logger = logging.getLogger("adaptive_critic")


class Controller(Handler):
    """Writes ``engine.state.<param_name>``, the number of critic updates, for the training step to read.

    Published on ``engine.state`` for loggers, before the first and after every iteration. A ``param_name`` of your own
    and an underscore precede each other name:

    - ``num_discriminator_steps``: int, critic updates of the next iteration;
    - ``critic_ratio``: float, the real-valued ratio behind it;
    - ``critic_signal``: float, the quantity that the law regulates, NaN while there is none;
    - ``critic_updates``, ``generator_updates``: int, updates so far. The latter counts iterations, the former the
      critic updates asked of them, minus those that a gradient scaler skipped (``num_critic_updates``). Other updates
      of the step are not counted; where they show, a warning is logged;
    - ``samples_seen``: int, real samples consumed so far on this rank, as the step reports them (``num_samples``).

    Args:
        decision: decides the number.
        output_transform: turns the step's output into a StepOutput, or None.
        param_name: name of the attribute of ``engine.state``.
        on_divergence: None, a mode of :class:`DivergenceGuard`, or a configured guard, which has an
            ``output_transform`` of its own. It is attached, detached and saved together with the controller.
    """

    def __init__(
        self,
        decision: Decision,
        *,
        output_transform: Callable[[Any], Any] | None = None,
        param_name: str = DEFAULT_NAME,
        on_divergence: str | Callable[..., None] | DivergenceGuard | None = None,
    ) -> None:
        if output_transform is not None and not callable(output_transform):
            raise TypeError(f"output_transform={output_transform!r}: expected a function of the step's output or None")
        self._published = Published(param_name)
        self.param_name = param_name
        self.guard: DivergenceGuard | None = as_guard(on_divergence, param_name, output_transform)
        self._decision = decision
        self._alternation = Alternation(decision, output_transform)
        self._made_with = decision.settings()
        self._ranks = Ranks()
        self._clear()

    def _clear(self) -> None:
        self._alternation.clear()
        self._newest: int | None = None  # iteration of the engine that was counted last; None: not known, or none
        self._published.forget()

    @property
    def num_discriminator_steps(self) -> int:
        """Critic updates of the next iteration."""
        return self._alternation.next.steps

    @property
    def ratio(self) -> float:
        """Real-valued number of critic updates per generator update, before rounding."""
        return self._alternation.next.ratio

    @property
    def critic_updates(self) -> int:
        """Critic updates asked of the iterations so far."""
        return self._alternation.critic_updates

    @property
    def generator_updates(self) -> int:
        """Iterations so far."""
        return self._alternation.generator_updates

    @property
    def samples_seen(self) -> int:
        """Real samples consumed so far on this rank, as the step reports them."""
        return self._alternation.samples_seen

    @property
    def signal(self) -> float:
        """Quantity that the law regulates, NaN while there is none."""
        return self._decision.measurement

    @property
    def limits(self) -> tuple[int, int] | None:
        """(lower, upper) of the integer, or None. They can be assigned.

        New limits apply at once: the controller clamps number and ratio to them and publishes both. A later run starts
        within them. A running iteration and an :meth:`override` keep their numbers. In a distributed run every rank
        must assign the same, between two runs or at the same iteration. Errors are those of the constructor.
        """
        return self._decision.limits

    @limits.setter
    def limits(self, limits: tuple[int, int] | None) -> None:
        self._decision.limits = limits
        self._refresh()

    def _refresh(self) -> None:
        """Publish a new decision, unless an iteration is running: it keeps its number."""
        if self._is_within_iteration():
            return
        before = self.num_discriminator_steps
        self._alternation.refresh()
        self._show()
        if self._engine is not None and self.num_discriminator_steps != before:
            fire(self._engine, CriticEvents.STEPS_CHANGED)

    def override(self, iterations: int, steps: int | None = None) -> None:
        """Use ``steps`` for the next iterations, whatever the law says. The law pauses and goes on afterwards.

        Called between two runs it is for the next one, also where that starts afresh. In a loop without an Engine call
        it after ``observe``, and read ``num_discriminator_steps`` anew. ``iterations`` is at least 1, ``steps`` at
        least 0; None means the lower limit, but 1 in place of 0 or without limits, and the critic's own learning rate.
        """
        iterations = integer("iterations", iterations, at_least=1)
        lower_rate = steps is None
        if steps is None:
            steps = max(1, self.limits[0]) if self.limits else 1  # with 0 the critic would stand still all the while
        steps = integer("steps", steps, at_least=0)
        running = self._is_within_iteration()
        self._alternation.override(steps, iterations + running, lower_rate=lower_rate, waits=self._is_before_a_run())
        self._refresh()

    def hold(self, iterations: int) -> None:
        """Freeze the number for the next iterations, at 1 or above: 0 is for single iterations, as in override."""
        self.override(iterations, max(self.num_discriminator_steps, 1))

    _also_listens: ClassVar[dict[Events, str]] = {Events.COMPLETED: "_on_completed"}

    def _on_completed(self, engine: Engine) -> None:
        _logger.info("%s", self.summary())

    def summary(self) -> str:
        """Return the run so far in one line; the controller logs it (INFO) when a run of an Engine is completed."""
        guard = "" if self.guard is None else f", interventions of the guard {self.guard.interventions}"
        return f"{type(self).__name__}: {self._alternation.summary()}{guard}"

    def observe(self, output: Any) -> int:
        """Observe one iteration of a loop without an Engine (a StepOutput); return the critic updates of the next.

        Before the first iteration read ``num_discriminator_steps``. In a distributed run every rank must call it.

        Raises:
            RuntimeError: if the controller is attached to an engine, or has a guard, which acts through one.
            StepOutputError: if the output is not what this controller needs.
        """
        self._check_alone()
        if distributed.world_size() != self._ranks.count:
            self._begin_on_ranks()
        self._newest = None
        self._alternation.advance(output, {}, self.generator_updates + 1)
        self._show()
        return self.num_discriminator_steps

    def _check_alone(self) -> None:
        """Raise RuntimeError unless a loop without an engine may drive this."""
        if self._engine is not None:
            raise RuntimeError(
                f"{self!r} is attached to an engine, which lets it observe every iteration already; detach() it first"
            )
        if self.guard is not None:
            raise RuntimeError(
                f"{self!r} has a guard, which acts through an Engine: attach the controller to one, report to "
                "Rounds(controller), which has one, or leave on_divergence= out"
            )

    def attach(self, engine: Engine) -> None:
        """Write the attribute now and after every iteration of ``engine``; attach the guard, if there is one.

        Raises:
            TypeError: if ``engine`` is not an Ignite Engine.
            RuntimeError: if this controller is attached already, or another one owns the attribute.
            ValueError: if ranks of a distributed run attach different configurations.
        """
        self._check_free(engine)
        if distributed.world_size() > 1:
            settings = self._decision.settings()  # law and limits may have been replaced since construction
            distributed.all_equal(repr(self) if settings == self._made_with else f"{self!r} with {settings}")
        overwritten = self._published.claim(engine, self)
        try:
            self._join(engine)
            if self.guard is not None:
                self.guard.attach(engine)
        except (RuntimeError, ValueError):  # such as a guard that watches another engine: leave this engine as it was
            if self._engine is not None:
                self._leave()
            self._published.release(engine)
            raise
        self._begin_on_ranks()
        if not self._loaded:
            self._alternation.index = self._counted
        self._alternation.refresh()
        self._publish(engine)
        if overwritten:
            warnings.warn(overwritten, stacklevel=2)

    def detach(self) -> None:
        """Stop writing; the attribute keeps its value and can be claimed. RuntimeError if it is not attached."""
        self._published.release(self._leave())
        if self.guard is not None and self.guard._engine is not None:  # the guard may have been detached separately
            self.guard.detach()

    def reset(self) -> None:
        """Go back to the state after construction."""
        self._alternation.clear_override()
        self._clear()
        self._alternation.refresh()
        super().reset()

    def _begin_on_ranks(self) -> None:
        self._ranks = distributed.AllRanks()
        self._decision.begin(self._ranks)

    def _begin(self, engine: Engine, fresh: bool) -> None:
        if fresh:
            self._alternation.begin_fresh()
        self._begin_on_ranks()
        self._alternation.go_on_at(self._counted)
        if self._ranks.count > 1:
            # Ranks that disagree on n hang at the first collective that only one of them makes.
            distributed.same_start(
                f"{type(self).__name__} at iteration {self._counted}, n={self.num_discriminator_steps}, "
                f"ratio {self.ratio:g}, state {distributed.fingerprint(self._alternation.fingerprint())}"
            )

    def _count(self, engine: Engine) -> None:
        state, asked = engine.state, self._alternation.next.steps
        note = self._published.check(engine, asked, self)
        if self._newest is not None and state.iteration != self._newest + 1:
            # Detached for a while, or a handler or an output failed: those were missed.
            self._decision.skip(max(state.iteration - self._newest - 1, 1))
        try:
            self._alternation.advance(state.output, state.metrics, state.iteration)
        except StepOutputError as error:
            if not note:
                raise
            raise StepOutputError(f"{error}{note}") from error
        self._newest = state.iteration
        self._publish(engine)
        if self._alternation.next.steps != asked:
            fire(engine, CriticEvents.STEPS_CHANGED)

    def _publish(self, engine: Engine) -> None:
        made = self._alternation
        counts = made.critic_updates, made.generator_updates, made.samples_seen
        self._published.write(engine, made.next, self._decision.measurement, *counts)

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints, floats, strings, lists and dicts of them. Configuration is not part of it.

        If a handler that was attached before the controller calls this at ITERATION_COMPLETED, the controller observes
        the iteration first, so that a resume loses nothing.
        """
        self._catch_up()
        state: dict[str, Any] = {"version": _FORMAT, "handler": type(self).__name__, **self._alternation.state_dict()}
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
        read = self._alternation.read_state(state)
        if self.guard is not None and "guard" in state:  # the last check; it changes nothing if it fails
            self.guard.load_state_dict(saved.mapping(state, "guard"))
        self._alternation.restore(read)
        self._newest = None
        self._loaded = True
        self._show()
