"""CriticEffortController: decides the critic's learning rate and the number of its updates together."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine
from torch.optim import Optimizer

from adaptive_critic.checks import real
from adaptive_critic.handlers.base import FeedbackController, FeedbackOptions, LawNumber, initial_within
from adaptive_critic.laws.effort import CriticEffortLaw
from adaptive_critic.rate import CriticRate, relative_step
from adaptive_critic.signals import GapShare

if TYPE_CHECKING:
    from typing_extensions import Unpack

_INITIAL = 1.0
_INITIAL_RATE = 8.0
_LARGEST_STEP = 0.1  # share of the weights' root mean square that a step may be, until they have grown
_LOWEST = 0.25
_SLOWEST = 5  # iterations from one decision to the next at which the halves of the dither are still told apart
_COMPARED = 50  # iterations over which the optimizer's steps are compared with the critic updates

_FORGOTTEN = 200  # steps of the optimizer before the first observed iteration, at least; n is at most 20 by default

_logger = logging.getLogger("adaptive_critic")


class CriticEffortController(FeedbackController):
    r"""Raises the critic's learning rate first, then the number of its updates.

    A critic keeps up with the generator by its effort: the number of its updates times its learning rate. The cost
    depends on the number alone. So this controller raises the learning rate of ``optimizer_d`` as far as that helps,
    and adds updates for what the rate can't do. See :class:`~adaptive_critic.laws.effort.CriticEffortLaw` for the law,
    its equations and their source.

    The rate is multiplied only while ``optimizer_d.step`` runs (:class:`~adaptive_critic.rate.CriticRate`): schedulers,
    checkpoints and ``param_groups`` keep showing your own rate, and a rate of 0 stays 0. It holds from construction on
    until :meth:`detach`, so that a loop without an Engine needs nothing else; in a copy from ``observe`` or ``attach``
    on. The weight decay of AdamW is multiplied with the rate, as under a schedule.

    Beside the attributes of every controller, it publishes ``engine.state.critic_rate``, the current multiplier, a
    float.

    Needs ``d_real``, ``d_fake`` (n,) and ``g_fake`` () of StepOutput (``g_fake`` may be left out where ``g_loss`` is
    its negative). The critic must be the same in both measurements: clip weights after the optimizer's step.

    Args:
        optimizer_d: optimizer of the critic, and of nothing else; any with ``"lr"`` in its groups.
        initial: critic updates per generator update at the start, within the limits. None: 1, or the limit nearest
            to it.
        limits: (lower, upper) of the integer. With lower = 0 the real-valued ratio may fall to 0.25.
        rates: (low, high) of the multiplier, above 0. It starts at 8. If high is above what moves the weights by 10 %
            of their root mean square in a step of Adam or RMSprop, that is a bound at first, which doubles in 2000
            iterations. If it is below 8, the ratio is led to at most 1.5 times ``base`` in the first 150.
        setpoint: share kappa of the critic's advantage that is worth one critic update, in (0, 1).
        base: critic updates per generator update at your own learning rate where more effort does not help, above 0.
        contrast: smallest normal gap, as a multiple of its swings, at least 0; a smaller gap raises the number.
        gain: e-folds of the ratio per e-fold of distance, per iteration, in (0, 1].
        rate_gain: e-folds that the multiplier rises per iteration at most, in (0, 1].
        window: iterations that the running averages reach back, at least 1.
        warmup: iterations to observe before the first move.
        options: see :class:`~adaptive_critic.handlers.base.FeedbackOptions`. ``update_every`` should be at most 5, as
            the law compares ten iterations (or three decisions) with the next ten. While a guard overrides the number,
            the multiplier is at most 1; ``"hold"`` leaves it.

    Raises:
        TypeError: if an argument has the wrong type, or ``optimizer_d`` is not an Optimizer.
        ValueError: if an argument is out of range, or another controller multiplies the rate of ``optimizer_d``.

    Example:
        >>> import torch
        >>> critic = torch.nn.Linear(2, 1)
        >>> controller = CriticEffortController(torch.optim.Adam(critic.parameters()))
        >>> controller.num_discriminator_steps, controller.rate
        (1, 8.0)
    """

    _first: tuple[int, int, int] | None = None
    """the optimizer's steps, critic and generator updates when the first iteration of a run was over"""

    setpoint = LawNumber()
    base = LawNumber()
    contrast = LawNumber()
    gain = LawNumber()
    rate_gain = LawNumber()
    window = LawNumber()
    warmup = LawNumber()

    def __init__(
        self,
        optimizer_d: Optimizer,
        *,
        initial: float | None = None,
        limits: tuple[int, int] = (0, 20),
        rates: tuple[float, float] = (1.0, 16.0),
        setpoint: float = 0.05,
        base: float = 1.0,
        contrast: float = 2.5,
        gain: float = 0.08,
        rate_gain: float = 0.05,
        window: float = 20,
        warmup: int = 10,
        **options: Unpack[FeedbackOptions],
    ) -> None:
        self._rates = low, high = _pair(rates)
        self._critic_rate = CriticRate(optimizer_d)
        bound = _first_bound(relative_step(optimizer_d), high)
        super().__init__(
            CriticEffortLaw(
                setpoint=setpoint,
                base=base,
                contrast=contrast,
                gain=gain,
                rate_gain=rate_gain,
                window=window,
                warmup=warmup,
                bound=bound,
            ),
            GapShare(),
            initial=initial_within(limits, initial, _INITIAL),
            limits=limits,
            check_limits=_needed,
            lowest=_LOWEST,
            rates=self._rates,
            initial_rate=min(max(min(_INITIAL_RATE, bound), low), high),
            **options,
        )
        if self.update_every > _SLOWEST:
            _logger.warning(
                "CriticEffortController(update_every=%d): the law compares ten iterations with the next ten, so "
                "more than %d iterations between decisions make it slow, and with R1 a high rate can break the critic",
                self.update_every, _SLOWEST,
            )  # fmt: skip
        self._critic_rate.forgotten_after = max(_FORGOTTEN, 10 * self.num_discriminator_steps)
        self._critic_rate.attach()
        self._show()

    @property
    def rate(self) -> float:
        """Multiplier of the critic's learning rate in the next iteration."""
        rate = self._alternation.next.rate
        assert rate is not None
        return rate

    @property
    def optimizer_d(self) -> Optimizer:
        """Optimizer whose rate is multiplied."""
        return self._critic_rate.optimizer

    @property
    def rates(self) -> tuple[float, float]:
        """(low, high) of the multiplier. They stay as they were given."""
        return self._rates

    def detach(self) -> None:
        """Leave the engine, if attached to one, and let go of the optimizer: its rate is your own again.

        Raises:
            RuntimeError: if neither an engine nor the optimizer is held.
        """
        if self._engine is None and self._critic_rate.attached:
            self._critic_rate.detach()
        else:
            super().detach()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :meth:`Controller.load_state_dict`."""
        super().load_state_dict(state)
        self._first = None

    def observe(self, output: Any) -> int:
        """See :meth:`Controller.observe`."""
        self._check_alone()
        self._critic_rate.attach()
        steps = super().observe(output)
        self._compare_steps()
        return steps

    def _clear(self) -> None:
        super()._clear()
        self._first = None

    def _join(self, engine: Engine) -> None:
        saved = getattr(engine.state, "to_save", None)  # create_gan_trainer sets it
        if isinstance(saved, Mapping) and saved.get("optimizer_g") is self.optimizer_d:
            self._critic_rate.detach()
            raise ValueError(
                "optimizer_d is the trainer's optimizer_g: the controller multiplies the critic's learning rate, so "
                "make one with the discriminator's optimizer (this one has let go of the generator's)"
            )
        self._critic_rate.attach()  # ValueError if another controller multiplies the optimizer's rate
        super()._join(engine)

    def _leave(self) -> Engine:
        engine = super()._leave()
        self._critic_rate.detach()
        return engine

    def _begin(self, engine: Engine, fresh: bool) -> None:
        super()._begin(engine, fresh)
        self._first = None

    def _count(self, engine: Engine) -> None:
        super()._count(engine)
        self._compare_steps()

    def _show(self) -> None:
        super()._show()
        self._multiply()

    def _publish(self, engine: Engine) -> None:
        super()._publish(engine)
        self._multiply()

    def _multiply(self) -> None:
        if self._critic_rate.multiplier != self.rate:
            self._critic_rate.multiplier = self.rate

    def _compare_steps(self) -> None:
        """Log, once per run, if the optimizer's steps can't be those of the critic's updates."""
        self._critic_rate.forgotten_after = None
        now = self._critic_rate.steps, self.critic_updates, self.generator_updates
        first = self._first = self._first or now  # what was stepped before the first iteration's end says nothing
        made, asked, iterations = now[0] - first[0], now[1] - first[1], now[2] - first[2]
        if iterations != _COMPARED or asked == 0 or self._alternation.ignores_number:  # that is logged already
            return
        if made == 0:
            problem = "is it the optimizer that trains the critic?"
        elif made >= asked + iterations:
            problem = "if it steps the generator too, the generator's rate is multiplied as well: make one for each"
        elif made == iterations and abs(asked - made) > made / 4:
            problem = "one in each iteration: is it the generator's optimizer?"
        else:
            return
        _logger.warning(
            "optimizer_d has made %d steps in %d iterations with %d critic updates: %s",
            made, iterations, asked, problem,
        )  # fmt: skip

    def __repr__(self) -> str:
        args, kwargs = self._call
        shown = ["optimizer_d" for _ in args]
        shown += ["optimizer_d" if name == "optimizer_d" else f"{name}={self._describe(name, value)}"
                  for name, value in kwargs.items()]  # fmt: skip
        return f"{type(self).__name__}({', '.join(shown)})"


def _needed(law: CriticEffortLaw, limits: tuple[int, int] | None) -> tuple[int, int]:
    """Return limits, or raise a ValueError: an outrun critic would get any number of updates."""
    if limits is None:
        raise ValueError("limits=None: expected a pair of ints (lower, upper), such as (0, 20)")
    return limits


def _first_bound(step: float, high: float) -> float:
    """Return the first bound of the multiplier, for steps at the user's rate that move the weights by this share.

    It is infinite if ``high`` is no more, else a power of the root of 2: ranks whose weights differ a little agree.
    """
    if step * high <= _LARGEST_STEP:
        return math.inf
    return math.pow(2.0, round(2.0 * math.log2(_LARGEST_STEP / step)) / 2.0)


def _pair(rates: Any) -> tuple[float, float]:
    """Return the bounds of the multiplier.

    Raises:
        TypeError: if ``rates`` is not a pair of numbers.
        ValueError: if one is not finite and above 0, or the first is above the second.
    """
    if not isinstance(rates, (tuple, list)) or len(rates) != 2:
        raise TypeError(f"rates={rates!r}: expected a pair of numbers (low, high), such as (1, 16)")
    low, high = (
        real(f"rates={rates!r}: {name}", value, above=0.0) for name, value in zip(("low", "high"), rates, strict=True)
    )
    if low > high:
        raise ValueError(f"rates={rates!r}: low must not be above high; did you mean ({rates[1]!r}, {rates[0]!r})?")
    return low, high
