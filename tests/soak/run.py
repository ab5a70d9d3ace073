"""One engine, one controller, a guard, a budget and a history, and every iteration checked."""

from __future__ import annotations

import logging
import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from ignite.engine import Engine, Events

from adaptive_critic import ControllerHistory, StopAtBudget, WGANReferenceController
from adaptive_critic.controller import Controller
from adaptive_critic.events import CriticEvents
from adaptive_critic.handlers.base import FeedbackController
from adaptive_critic.step_output import StepOutputError
from tests.soak.cases import COOLDOWN, OVERRIDE, Case
from tests.soak.growth import Sample, grown, sample
from tests.soak.twin import Twin
from tests.soak.wander import FORMS, Wander

__all__ = ["Raised", "Soak", "SoakError"]

EPOCH = 97
POINTS = 50
"""points of the history: few, so that how full it is makes no difference to memory"""
_TOLERANCE = 1e-6  # of the carry, whose last bits are rounded at every iteration
_NEVER = 1_000_000_000
MADE_ANEW = ("begun_afresh", "loaded", "resumed", "loaded_within_other_limits")
"""faults after which there are other handlers, or emptied ones"""


class Raised(Exception):
    """A user's own error."""


class SoakError(AssertionError):
    """Something is not as it should be; the message says at which iteration and after which fault."""


class Soak:
    """A training without networks that runs on whatever happens to it.

    What is counted here is counted from what the training step sees: the number that it reads and the ratio beside it.

    Args:
        case: the controller.
        seed: of signals and faults.
        faults: what goes wrong, each with the soak as its argument; none for a run in which nothing does.
        quiet: mean number of iterations from fault to fault.
    """

    def __init__(self, case: Case, seed: int, faults: tuple[Callable[[Soak], None], ...], quiet: float = 40.0) -> None:
        self.case = case
        self.random = random.Random(f"faults {seed}")
        self.faults: dict[str, int] = dict.fromkeys((fault.__name__ for fault in faults), 0)
        self._given, self._all, self._quiet = faults, faults, quiet
        self._lasting = tuple(fault for fault in faults if fault.__name__ not in MADE_ANEW)
        self._wander = Wander(seed)
        self._form = FORMS[0]
        self.done = 0
        """iterations whose step was called"""
        self.spoil: Callable[[dict[str, Any], int], Any] | None = None
        """what the step's output is replaced by, for ``spoilt`` iterations"""
        self.spoilt = 0
        self.raise_in = ""
        """where the running iteration raises: "before", "step" or "after", or "" for nowhere"""
        self.save_early = False
        """whether a checkpoint's handler that was attached first asks for the state in this iteration"""
        self.write: int | None = None
        """what the step writes to the attribute, which is not its business"""
        self.between: Callable[[], None] | None = None
        """ends the run after this iteration; called before the next one begins"""
        self.end_epoch = ""
        """whether the running iteration ends its epoch: "completed", "skipped" or "" for no"""
        self.away = 0
        """iterations until a detached controller is attached again"""
        self.afresh = False
        """whether the next run begins at iteration 0"""
        self.last = "nothing"
        self.sampled: list[int] = []
        """iterations after which memory was looked at"""
        self.errors = 0
        self.lines = 0
        """lines in the log of this project"""
        self.warnings = 0
        self.fewest, self.most = _NEVER, 0
        self.overridden = 0
        self.widest = 0.0
        """largest distance between the sum of n and the sum of ratios"""
        self._next_fault = self._until_next()
        self.controller: Controller = case.build()
        self.make_engine()
        self.begin_afresh()

    # --- building ------------------------------------------------------------------------------------------------

    def begin_afresh(self) -> None:
        """Start the books of a run from iteration 0."""
        self.left = 0  # iterations of an override that are left, with the running one
        self._keeps: bool | None = None  # whether the running one was overridden, where an override came within it
        self._ordered: int | None = None  # by the guard, at the end of the running one
        self._open: tuple[int, float, bool, Any] | None = None
        self._counted = self.controller.generator_updates
        self.critic_updates = self.controller.critic_updates
        self.excess = Fraction()
        """sum of n less the sum of ratios, over iterations whose number is the law's"""
        self.seen_by_history = self.seen_by_budget = 0
        self.twin: Twin | None = None
        if isinstance(self.controller, FeedbackController):
            assert self.case.signal is not None
            self.twin = Twin(self.controller, self.case.signal())
            start = self.twin.clamped(self.case.build().ratio)
            self.require(self.twin.ratio == start, f"a run begins with the ratio {self.twin.ratio}")

    def make_engine(self) -> None:
        """Make an engine, and what is attached to it but for the controller."""
        self.engine = Engine(self._step)
        self.engine.logger.setLevel(logging.CRITICAL)  # Ignite's report of each exception
        self.budget = StopAtBudget(critic_updates=_NEVER)
        self.history = ControllerHistory(POINTS)
        self.engine.add_event_handler(Events.ITERATION_STARTED, self._begin)
        self.engine.add_event_handler(Events.ITERATION_COMPLETED, self._first)
        self.join()

    def join(self) -> None:
        """Attach everything, in the order that what is counted here relies on."""
        self.controller.attach(self.engine)
        self.budget.attach(self.engine)
        self.history.attach(self.engine)
        self.engine.add_event_handler(Events.ITERATION_COMPLETED, self._after_budget)
        self.engine.add_event_handler(CriticEvents.DIVERGED, self._on_diverged)
        self.engine.add_event_handler(Events.ITERATION_COMPLETED, self._last)

    def leave(self) -> None:
        """Detach everything."""
        for handler in (self.controller, self.budget, self.history):
            handler.detach()
        self.engine.remove_event_handler(self._after_budget, Events.ITERATION_COMPLETED)
        self.engine.remove_event_handler(self._on_diverged, CriticEvents.DIVERGED)
        self.engine.remove_event_handler(self._last, Events.ITERATION_COMPLETED)

    # --- running -------------------------------------------------------------------------------------------------

    def run(
        self, iterations: int, samples: int = 20, progress: Callable[[int], None] = lambda done: None
    ) -> list[Sample]:
        """Go on until the step was called so many times; return what was in memory, at regular distances.

        In the second half nothing is made anew: what the same handlers keep would be lost with them.
        """
        found: list[Sample] = []
        with self._listening():
            for number in range(1, samples + 1):
                self._all = self._given if 2 * number <= samples + 1 else self._lasting
                self._until(iterations * number // samples)
                found.append(sample(self.engine, self.controller, self.history))
                self.sampled.append(self.done)
                progress(self.done)
        return found

    def complaints(self, samples: Sequence[Sample]) -> list[str]:
        """Return what is wrong about a run whose every iteration was right: what has grown in it."""
        half = len(samples) // 2
        found = [
            f"{name} grew from {early} to {late} in the {where} half"
            for where, part in (("first", samples[:half]), ("second", samples[half:]))
            for name, (early, late) in grown(part).items()
        ]
        faults = sum(self.faults.values())
        if self.lines + self.warnings > faults:
            found.append(f"{self.lines} lines in the log and {self.warnings} warnings of {faults} faults")
        return found

    def _until(self, goal: int) -> None:
        """Run until the goal was reached and nothing is going wrong any more."""
        self._goal = goal
        while self.done < goal or self.busy:
            try:
                self.engine.run(range(EPOCH), max_epochs=_NEVER, epoch_length=EPOCH)
            except (Raised, StepOutputError):
                self.errors += 1
            self._close()
            if self.between is not None:
                act, self.between = self.between, None
                act()
                self._check_handlers()

    @property
    def busy(self) -> bool:
        """Whether a fault is still under way."""
        return bool(
            self.spoilt or self.raise_in or self.between or self.away or self.write is not None or self.end_epoch
        )

    @contextmanager
    def _listening(self) -> Iterator[None]:
        logger = logging.getLogger("adaptive_critic")
        counter, propagated = _Counter(self), logger.propagate
        logger.addHandler(counter)
        logger.propagate = False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.showwarning = self._on_warning
                yield
        finally:
            logger.removeHandler(counter)
            logger.propagate = propagated

    def _on_warning(self, *_: Any, **__: Any) -> None:
        self.warnings += 1

    def _until_next(self) -> int:
        return 2 + int(self.random.expovariate(1.0 / self._quiet))

    # --- one iteration -------------------------------------------------------------------------------------------

    def _begin(self, engine: Engine) -> None:
        self._close()
        if self.afresh:
            self.afresh = False
            self.require(engine.state.iteration == 1, "a new run does not begin at iteration 1")
            self.begin_afresh()
        self._check(engine)
        self._form = FORMS[engine.state.iteration // EPOCH % len(FORMS)]
        if self.away:
            self.away -= 1
            if self.away == 0:
                self.controller.attach(engine)
        elif not self.busy and self._all and self.done < self._goal:
            self._next_fault -= 1
            if self._next_fault <= 0:
                self._next_fault = self._until_next()
                fault = self.random.choice(self._all)
                self.last = f"{fault.__name__} at iteration {engine.state.iteration}"
                self.faults[fault.__name__] += 1
                fault(self)

    def _step(self, engine: Engine, batch: Any) -> Any:
        state = vars(engine.state)
        n, ratio = state["num_discriminator_steps"], state["critic_ratio"]
        self.done += 1
        self.seen_by_history += n
        output: Any = self._wander.output(n, self._form)
        if self.spoil is not None:
            output = self.spoil(output, n)
            self.spoilt -= 1
            if self.spoilt == 0:
                self.spoil = None
        self._open = n, ratio, self.left > 0 if self._keeps is None else self._keeps, output
        if self.write is not None:
            state["num_discriminator_steps"], self.write = self.write, None
        if self.between is not None or (self.done >= self._goal and not self.busy):
            engine.terminate()
        if self.raise_in == "step":
            self.raise_in = ""
            raise Raised
        if self.end_epoch:
            engine.terminate_epoch(skip_epoch_completed=self.end_epoch == "skipped")
            self.end_epoch = ""
        return output

    def _first(self, engine: Engine) -> None:
        if self.raise_in == "before":
            self.raise_in = ""
            raise Raised
        if self.save_early:
            self.save_early = False
            self.controller.state_dict()

    def _after_budget(self, engine: Engine) -> None:
        assert self._open is not None
        self.seen_by_budget += self._open[0]

    def _last(self, engine: Engine) -> None:
        if self.raise_in == "after":
            self.raise_in = ""
            raise Raised

    def _on_diverged(self, engine: Engine) -> None:
        action = vars(engine.state)["divergence"]["action"]
        if action in ("terminate_epoch", "hold"):
            self._ordered = OVERRIDE if action == "terminate_epoch" else COOLDOWN

    # --- books ---------------------------------------------------------------------------------------------------

    def override(self, iterations: int, steps: int | None, *, within: bool) -> None:
        """Override the number, within an iteration or between two runs."""
        self.controller.override(iterations, steps)
        if within:
            self._keeps = self.left > 0 if self._keeps is None else self._keeps
        self.left = iterations + within

    def _close(self) -> None:
        """Enter the iteration that is over, unless that was done."""
        if self._open is None:
            return
        (n, ratio, overridden, output), self._open = self._open, None
        made, self._counted = self.controller.generator_updates - self._counted, self.controller.generator_updates
        twin = self.twin
        if made == 1:
            self.critic_updates += n
            self.fewest, self.most = min(self.fewest, n), max(self.most, n)
            self.overridden += overridden
            if not overridden:
                self.excess += n - Fraction(ratio)
                self.widest = max(self.widest, abs(float(self.excess)))
            if self.left > 0:
                self.left -= 1
                if twin is not None:
                    twin.leave_out()
            elif twin is not None:
                try:
                    twin.observe(output, n)
                except StepOutputError as error:
                    self.require(False, f"an output was taken that should have been refused: {error}")
            self._keeps = None
        elif twin is not None:
            twin.leave_out()
        if self._ordered is not None:
            self.left, self._ordered = self._ordered, None
        self.require(made in (0, 1), f"the controller counted {made} iterations, not one")

    def require(self, holds: bool, text: str) -> None:
        """Check that something holds.

        Raises:
            SoakError: if it does not.
        """
        if not holds:
            raise SoakError(
                f"{text} (seed's iteration {self.done}, engine's {self.engine.state.iteration}; last fault: "
                f"{self.last}; {self.controller!r})"
            )

    def _check(self, engine: Engine) -> None:
        state = vars(engine.state)
        n, ratio, controller = state["num_discriminator_steps"], state["critic_ratio"], self.controller
        self.require(type(n) is int and n >= 0, f"n is {n!r}")
        self.require(math.isfinite(ratio), f"the ratio is {ratio!r}")
        excess = abs(float(self.excess))
        self.require(excess <= 0.5 + _TOLERANCE, f"the sum of n is {excess:.3f} away from the sum of ratios")
        if self.away:
            return
        self.require(n == controller.num_discriminator_steps, f"n is {n}, but {controller.num_discriminator_steps}")
        self.require(ratio == controller.ratio, f"the ratio is {ratio}, but {controller.ratio}")
        counted = controller.critic_updates
        self.require(counted == self.critic_updates, f"{self.critic_updates} critic updates, {counted} were counted")
        overridden = self.left > 0 if self._keeps is None else self._keeps
        twin = self.twin
        if twin is None:
            if not overridden:
                self._check_schedule(n, engine.state.iteration)
            return
        assert isinstance(controller, FeedbackController)
        self.require(ratio == twin.ratio, f"the ratio is {ratio!r}, the twin's is {twin.ratio!r}")
        self.require(
            controller.bad_observations == twin.held,
            f"{controller.bad_observations} decisions were held, {twin.held} by the twin",
        )
        if not overridden:
            assert twin.limits is not None
            lower, upper = twin.limits
            self.require(lower <= n <= upper, f"n is {n}, outside of [{lower}, {upper}]")

    def _check_schedule(self, n: int, iteration: int) -> None:
        assert isinstance(self.controller, WGANReferenceController)
        expected = 100 if iteration <= 25 or iteration % 500 == 1 else 5
        self.require(n == expected, f"n is {n} at iteration {iteration}, the schedule says {expected}")

    def _check_handlers(self) -> None:
        """Check what the others have counted; called between two runs."""
        budget = self.budget.spent.critic_updates
        self.require(budget == self.seen_by_budget, f"the budget counted {budget}, not {self.seen_by_budget}")
        recorded = sum(point.critic_updates for point in self.history.points)
        self.require(recorded == self.seen_by_history, f"the history has {recorded}, not {self.seen_by_history}")
        self.require(len(self.history.points) <= POINTS, f"the history has {len(self.history.points)} points")


class _Counter(logging.Handler):
    """Counts the lines of a log."""

    def __init__(self, soak: Soak) -> None:
        super().__init__()
        self._soak = soak

    def emit(self, record: logging.LogRecord) -> None:
        """Count a line, after making sure that it can be written."""
        record.getMessage()
        self._soak.lines += 1
