"""Rounds: a controller for a training loop that has no ``for`` over the critic updates."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NoReturn

from ignite.engine import Engine, Events

from adaptive_critic import state as saved
from adaptive_critic.checks import kind_of, shortened
from adaptive_critic.controller import Controller
from adaptive_critic.reports import RoundReports
from adaptive_critic.step_output import Scalar

_FORMAT = 1
_UNREPORTED = 200  # questions in a row; accumulated gradients take one or two for each micro-batch

_logger = logging.getLogger("adaptive_critic")


class _LoopEngine(Engine):
    """Holds state and handlers for a loop that is not Ignite's. Rounds fires its events."""

    def __init__(self) -> None:
        super().__init__(lambda engine, batch: None)

    def run(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            "rounds.engine can't be run: your own loop drives it by rounds.critic(...) and rounds.generator(...)"
        )

    def terminate_epoch(self, skip_epoch_completed: bool = False) -> NoReturn:
        raise RuntimeError(
            "terminate_epoch: a loop of your own has no epoch that rounds.engine could end. "
            "Use on_divergence='hold', 'terminate' or DivergenceGuard('rollback', ...)"
        )


class Rounds:
    """Drives a controller from any training loop that reports each of its updates.

    A round is n critic updates and the generator update that follows. The loop calls :meth:`critic` after each critic
    update and :meth:`generator` after each generator update. ``critic_due`` and ``generator_due`` say what comes next:

    .. code-block:: python

        rounds = Rounds(WassersteinGapController())
        for real in loader:
            if rounds.critic_due:
                ...                                            # critic update on this batch
                rounds.critic(d_real=d_real, d_fake=d_fake, d_loss=d_loss)
            if rounds.generator_due:
                ...                                            # generator update
                rounds.generator(g_fake=g_fake)

    All counts are of updates made. A loop that makes another number than n gets an error that says what to change. A
    loop may begin with the generator. Its update before the first critic update belongs to no round, and counts only in
    ``rounds.generator_updates``.

    Each round is one iteration of ``rounds.engine``, an Ignite Engine that is never run. Before the first update attach
    to it the handlers of a trainer: ``ControllerHistory``, ``StopAtBudget``, ``Checkpoint``, loggers, metrics. It fires
    STARTED, ITERATION_STARTED (at the report of the first update of a round), ITERATION_COMPLETED, TERMINATE and
    COMPLETED. A guard (``on_divergence=``) or a budget ends the training by ``rounds.should_stop``, which the loop has
    to check.

    Scores are means over a batch, as in :doc:`/step_output`. With gradient accumulation report optimizer steps, not
    micro-batches. In a distributed run every rank makes the same calls. In the step of an Engine of your own, whose
    iteration is one critic update or one batch, use it in the same way.

    Args:
        controller: decides the number. It is attached to ``rounds.engine``.

    Raises:
        TypeError: if ``controller`` is not a controller.
        ValueError: if its guard ends epochs.
        RuntimeError: if it is attached to an engine already.

    Example:
        >>> from adaptive_critic import StepDecayController
        >>> rounds = Rounds(StepDecayController(milestones={0: 3, 1: 2}))
        >>> for batch in range(7):
        ...     print("critic", end=" ")
        ...     if rounds.critic():
        ...         print("generator", end=" ")
        ...         rounds.generator()
        critic critic critic generator critic critic generator critic critic generator
        >>> rounds.critic_updates, rounds.generator_updates
        (7, 3)
    """

    def __init__(self, controller: Controller) -> None:
        if not isinstance(controller, Controller):
            raise TypeError(f"controller={shortened(controller)}: expected a controller, got {kind_of(controller)}")
        if controller.guard is not None and controller.guard.ends_epochs:
            raise ValueError(
                "on_divergence='terminate_epoch': a loop of your own has no epoch that a guard could end. Use "
                "on_divergence='hold', 'terminate' or DivergenceGuard('rollback', ...)"
            )
        self.controller = controller
        self.engine: Engine = _LoopEngine()
        self.critic_updates = 0
        """critic updates reported, including the current round"""
        self.generator_updates = 0
        """generator updates reported"""
        self._reports = RoundReports()
        self._started = False
        self._open = False  # whether ITERATION_STARTED has fired for the current round
        self._asked = 0  # questions since the last report; stays where the warning was logged
        controller.attach(self.engine)

    @property
    def steps(self) -> int:
        """Critic updates of the current round; between two rounds, of the next."""
        return self.controller.num_discriminator_steps

    @property
    def generator_due(self) -> bool:
        """Whether all critic updates of the current round have been made."""
        self._note_question()
        return self._is_full

    @property
    def critic_due(self) -> bool:
        """Whether the next update is the critic's. With n = 0 the critic rests for a round."""
        self._note_question()
        return not self._is_full

    @property
    def _is_full(self) -> bool:
        return self._reports.critic_updates >= self.steps

    def _note_question(self) -> None:
        self._asked += 1
        if self._asked == _UNREPORTED:
            name = "generator" if self._is_full else "critic"
            _logger.warning(
                "the %s's update has been due for %d questions in a row, and none was reported: call "
                "rounds.%s(...) after each %s update",
                name, self._asked, name, name,
            )  # fmt: skip

    @property
    def should_stop(self) -> bool:
        """Whether a guard, a budget or another handler has ended the training."""
        return bool(self.engine.should_terminate)

    def critic(
        self,
        *,
        d_real: Scalar | None = None,
        d_fake: Scalar | None = None,
        d_loss: Scalar | None = None,
        d_real_std: Scalar | None = None,
        d_fake_std: Scalar | None = None,
        d_accuracy: Scalar | None = None,
        d_penalty: Scalar | None = None,
        num_samples: int = 0,
    ) -> bool:
        """Report a critic update. Values may be left out, always or from some update of a round on.

        Args:
            d_real: mean critic score of the real batch before the critic's step, () or float, on any device.
            d_fake: mean critic score of the generated batch before the critic's step, ().
            d_loss: critic loss, ().
            d_real_std: standard deviation of the real batch's scores, ().
            d_fake_std: standard deviation of the generated batch's scores, ().
            d_accuracy: share of both batches on the right side of the boundary, ().
            d_penalty: penalty, ().
            num_samples: real samples consumed, at least 0.

        Returns:
            whether the generator's update is due now.

        Raises:
            RuntimeError: if the round has all of its critic updates, or the training has ended.
            StepOutputError: if a value is not a 0-d tensor or a float, or was left out in the update before.
        """
        self._check_running("critic")
        if self._is_full:
            raise RuntimeError(
                f"rounds.critic(): critic update {self._reports.critic_updates + 1} of a round of {self.steps}. The "
                "generator is due: make critic updates only `if rounds.critic_due:` and generator updates "
                "`if rounds.generator_due:`, or let an AttributeActuator give your loop its number"
            )
        values = {"d_real": d_real, "d_fake": d_fake, "d_loss": d_loss, "d_real_std": d_real_std}
        values |= {"d_fake_std": d_fake_std, "d_accuracy": d_accuracy, "d_penalty": d_penalty}
        self._reports.add(values, num_samples)
        self.critic_updates += 1
        self._begin()
        return self._is_full

    def generator(
        self,
        *,
        g_loss: Scalar | None = None,
        g_fake: Scalar | None = None,
        g_fake_accuracy: Scalar | None = None,
        num_samples: int = 0,
    ) -> None:
        """Report a generator update. It ends the round; the controller then decides on the next.

        Args:
            g_loss: generator loss before the generator's step, () or float, on any device.
            g_fake: mean critic score of the generator's batch at that moment, ().
            g_fake_accuracy: share of that batch that the critic calls fake, ().
            num_samples: real samples consumed beside those of the critic updates, at least 0.

        Raises:
            RuntimeError: if critic updates of the round are still to be made, or the training has ended.
            StepOutputError: if a value is not a 0-d tensor or a float, or the controller needs another one. In the
                second case the round has ended without a decision.
        """
        self._check_running("generator")
        values = {"g_loss": g_loss, "g_fake": g_fake, "g_fake_accuracy": g_fake_accuracy}
        output = self._reports.merged(values, num_samples)
        leads = self.critic_updates == self.generator_updates == 0  # in a loop that begins with the generator
        if not self._is_full and not leads:
            raise RuntimeError(
                f"rounds.generator(): {self._reports.critic_updates} of the round's {self.steps} critic updates "
                "reported. Make generator updates only `if rounds.generator_due:` and report every "
                "critic update, or let an AttributeActuator give your loop its number"
            )
        self.generator_updates += 1
        if not self._is_full:
            return
        self._begin()
        if not self._open:
            return
        self._reports, self._open = RoundReports(), False
        state: Any = self.engine.state
        state.output = output
        self.engine.fire_event(Events.ITERATION_COMPLETED)
        self._end_if_asked()

    def _check_running(self, update: str) -> None:
        if self._asked < _UNREPORTED:
            self._asked = 0
        if self._started and self.should_stop:
            raise RuntimeError(
                f"rounds.{update}(): the training was ended after {self.engine.state.iteration} rounds. Leave the "
                "loop then: `if rounds.should_stop: break` after rounds.generator(...)"
            )

    def _begin(self) -> None:
        """Fire the events that begin the run and the round, once each."""
        engine = self.engine
        if not self._started:
            self._started = True
            engine.fire_event(Events.STARTED)
            self._end_if_asked()
        if not self._open and not self.should_stop:
            self._open = True
            engine.state.iteration += 1
            engine.state.output = None
            engine.fire_event(Events.ITERATION_STARTED)

    def _end_if_asked(self) -> None:
        engine = self.engine
        if engine.should_terminate:
            engine.fire_event(Events.TERMINATE)
            if engine.should_terminate != "skip_completed":
                engine.fire_event(Events.COMPLETED)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, the controller's included: Python numbers, strings, lists, dicts and 0-d tensors.

        The other handlers that you attach to ``rounds.engine`` have states of their own.
        """
        return {
            "version": _FORMAT,
            "handler": type(self).__name__,
            "iteration": self.engine.state.iteration - self._open,
            "critic_updates": self.critic_updates,
            "generator_updates": self.generator_updates,
            "round": self._reports.state_dict(),
            "controller": self.controller.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned, before the first update is reported.

        Raises:
            RuntimeError: if an update was reported already.
            StateError: if it is a state of something else, of a newer format, or has entries missing or out of range.
                Nothing is changed then.
        """
        if self._started:
            raise RuntimeError("rounds.load_state_dict(): updates were reported already; load into new Rounds(...)")
        state = saved.header(state, type(self).__name__, _FORMAT)
        names = ("iteration", "critic_updates", "generator_updates")
        iteration, critic, generator = (saved.integer(state, name) for name in names)
        reports = RoundReports.from_state(saved.mapping(state, "round"))
        self.controller.load_state_dict(saved.mapping(state, "controller"))
        self.critic_updates, self.generator_updates, self._reports = critic, generator, reports
        self.engine.state.iteration = iteration
