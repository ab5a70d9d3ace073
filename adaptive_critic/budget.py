"""End of a run at equal compute: with an adaptive number of critic updates, iterations do not show the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import add, mul
from typing import Any, ClassVar, NamedTuple

from ignite.engine import Engine, Events

from adaptive_critic import state as saved
from adaptive_critic.checks import attribute_name, integer, real
from adaptive_critic.handler import DEFAULT_NAME, Handler, critic_updates, prefix, writes

_FORMAT = 1
(_PUBLISHED,) = writes("cost_spent")


class Spent(NamedTuple):
    """Updates and cost of a run so far."""

    critic_updates: int
    """critic updates of completed iterations"""
    generator_updates: int
    """completed iterations"""
    cost: float
    """critic_cost * critic_updates, of all critics, + generator_cost * generator_updates"""


class StopAtBudget(Handler):
    """Terminates a run after the iteration in which a budget is used up.

    It reads ``engine.state.<param_name>`` when each iteration begins, and counts when it is completed. So it works with
    any controller, and with an attribute that was set by hand. The last iteration is not cut short: the run may exceed
    the budget by less than one iteration's cost. COMPLETED fires as at any end of a run. A run that starts with its
    budget used up ends at once; ``reset()`` gives it a new budget. Let ``trainer.run`` have
    enough iterations for the budget to come first. ``engine.state.cost_spent`` holds the cost for loggers
    (``<param_name>_cost_spent`` with one ``param_name`` of your own).

    Args:
        critic_updates: budget of critic updates, at least 1, or None for no such budget.
        cost: budget of cost = critic_cost * critic updates + generator_cost * generator updates, above 0, or None.
            With both budgets, the first to be used up ends the run.
        critic_cost: cost of one critic update, at least 0. Count it in FLOPs of your networks; 2.5 is about right for
            WGAN-GP with networks of equal size, where the penalty's gradient is differentiated a second time. Several
            critics share one number, or have one each in the order of ``param_name``.
        generator_cost: cost of one generator update, at least 0.
        param_name: name of the attribute that holds the critic updates of an iteration. Several names share the budget:
            ``("image_steps", "patch_steps")``.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if no budget is given, or a number is out of its range.

    Example:
        >>> from ignite.engine import Engine
        >>> trainer = Engine(lambda engine, batch: None)
        >>> trainer.state.num_discriminator_steps = 3
        >>> budget = StopAtBudget(critic_updates=10)
        >>> budget.attach(trainer)
        >>> trainer.run(range(100)).iteration
        4
        >>> budget.spent
        Spent(critic_updates=12, generator_updates=4, cost=34.0)
    """

    def __init__(
        self,
        *,
        critic_updates: int | None = None,
        cost: float | None = None,
        critic_cost: float | Sequence[float] = 2.5,
        generator_cost: float = 1.0,
        param_name: str | Sequence[str] = DEFAULT_NAME,
    ) -> None:
        if critic_updates is None and cost is None:
            raise ValueError("StopAtBudget() has no budget: expected critic_updates=, cost= or both")
        self.critic_updates = None if critic_updates is None else integer("critic_updates", critic_updates, at_least=1)
        self.cost = None if cost is None else real("cost", cost, above=0)
        self.param_name = param_name
        names = param_name if isinstance(param_name, (tuple, list)) else (param_name,)
        self._names = tuple(attribute_name("param_name", name) for name in names)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"param_name={param_name!r}: expected one name, or several that differ")
        costs = critic_cost if isinstance(critic_cost, (tuple, list)) else (critic_cost,) * len(names)
        if len(costs) != len(names):
            raise ValueError(f"critic_cost={critic_cost!r}: expected a number, or one for each of {self._names}")
        self._costs = tuple(real("critic_cost", cost, at_least=0) for cost in costs)
        self.generator_cost = real("generator_cost", generator_cost, at_least=0)
        if not any((*self._costs, self.generator_cost)):
            raise ValueError("critic_cost=0 and generator_cost=0: at least one must be above 0")
        self._prefix = prefix(names[0] if len(names) == 1 else DEFAULT_NAME)
        self._clear()

    def _clear(self) -> None:
        self._critic_updates = (0,) * len(self._names)
        self._generator_updates = 0
        self._steps: tuple[int, ...] | None = None  # critic updates of the running iteration

    @property
    def spent(self) -> Spent:
        """Updates and cost so far."""
        critic, generator = self._critic_updates, self._generator_updates
        return Spent(sum(critic), generator, sum(map(mul, self._costs, critic)) + self.generator_cost * generator)

    @property
    def exhausted(self) -> bool:
        """Whether a budget is used up."""
        spent = self.spent
        return (self.critic_updates is not None and spent.critic_updates >= self.critic_updates) or (
            self.cost is not None and spent.cost >= self.cost
        )

    _also_listens: ClassVar[dict[Events, str]] = {Events.ITERATION_STARTED: "_on_iteration_started"}

    def _join(self, engine: Engine) -> None:
        self._steps = None  # of another engine, or of this one before detach()
        super()._join(engine)

    def _begin(self, engine: Engine, fresh: bool) -> None:
        self._steps = None
        self._finish(engine)

    def _on_iteration_started(self, engine: Engine) -> None:
        # Read before the iteration: afterwards a controller may already have written the next number.
        self._steps = tuple(critic_updates(engine, name, "StopAtBudget") for name in self._names)

    def _count(self, engine: Engine) -> None:
        if self._steps is None:
            return  # attached within this iteration
        self._critic_updates = tuple(map(add, self._critic_updates, self._steps))
        self._generator_updates += 1
        self._steps = None
        self._finish(engine)

    def _finish(self, engine: Engine) -> None:
        self._publish(engine)
        if self.exhausted:
            engine.terminate()

    def _publish(self, engine: Engine) -> None:
        setattr(engine.state, self._prefix + _PUBLISHED, self.spent.cost)

    def state_dict(self) -> dict[str, Any]:
        """Return the counts.

        If a handler that was attached before this one calls it at ITERATION_COMPLETED, it counts the iteration first,
        so that a resume loses nothing.
        """
        self._catch_up()
        one = len(self._names) == 1
        return {
            "version": _FORMAT,
            "handler": type(self).__name__,
            "critic_updates": self._critic_updates[0] if one else list(self._critic_updates),
            "generator_updates": self._generator_updates,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned.

        Raises:
            StateError: if it is a state of another handler, of a newer format, or has entries missing or out of range.
                Nothing is changed then.
        """
        state = saved.header(state, type(self).__name__, _FORMAT)
        critic: tuple[int, ...]
        if len(self._names) == 1:
            critic = (saved.integer(state, "critic_updates"),)
        else:
            critic = saved.integers(state, "critic_updates", len(self._names))
        self._generator_updates = saved.integer(state, "generator_updates")
        self._critic_updates = critic
        self._steps = None
        self._loaded = True
        if self._engine is not None:
            self._publish(self._engine)
