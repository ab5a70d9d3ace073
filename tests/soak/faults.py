"""What goes wrong, or is done to a controller, in the course of a long run. Each is called as an iteration begins."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from adaptive_critic import ControllerHistory, StopAtBudget
from adaptive_critic.handlers.base import FeedbackController
from adaptive_critic.state import StateError
from tests.soak.run import POINTS, Soak

__all__ = ["FAULTS"]

_KEYS = ("d_real", "d_fake", "d_loss", "g_loss", "g_fake", "g_fake_accuracy")


def _spoil(soak: Soak, iterations: int, spoil: Callable[[dict[str, Any], int], Any]) -> None:
    soak.spoil, soak.spoilt = spoil, iterations


def _replaced(value: Any, new: float) -> Any:
    """Return an entry of a StepOutput of the same form with another number in it."""
    if isinstance(value, torch.Tensor):
        return torch.full_like(value, new, dtype=torch.float64).to(value.dtype)
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(entry, new) for entry in value)
    return new


# --- what the step returns -------------------------------------------------------------------------------------------


def not_finite(soak: Soak) -> None:
    """NaN or an infinity in some entries."""
    draw = soak.random
    keys = draw.sample(_KEYS, draw.randint(1, len(_KEYS)))
    bad = draw.choice((math.nan, math.inf, -math.inf))

    def spoil(output: dict[str, Any], n: int) -> Any:
        return output | {key: _replaced(output[key], bad) for key in keys}

    _spoil(soak, draw.randint(1, 40), spoil)


def huge(soak: Soak) -> None:
    """Finite numbers that are far too large, up to ones whose square is none."""
    draw = soak.random
    keys = draw.sample(_KEYS, draw.randint(1, len(_KEYS)))
    large = draw.choice((1.0, -1.0)) * 10.0 ** draw.choice((2, 4, 6, 20, 160, 300))

    def spoil(output: dict[str, Any], n: int) -> Any:
        return output | {key: _replaced(output[key], large) for key in keys}

    _spoil(soak, draw.randint(1, 10), spoil)


def constant(soak: Soak) -> None:
    """The same number at every iteration, 0 among them."""
    draw = soak.random
    numbers = {key: draw.choice((0.0, draw.gauss(0.0, 1.0))) for key in _KEYS}

    def spoil(output: dict[str, Any], n: int) -> Any:
        return {key: _replaced(output[key], number) for key, number in numbers.items()}

    _spoil(soak, draw.randint(1, 60), spoil)


def swapped(soak: Soak) -> None:
    """Real samples scored below generated ones, now and then for so long that it is told."""

    def spoil(output: dict[str, Any], n: int) -> Any:
        return output | {"d_real": output["d_fake"], "d_fake": output["d_real"]}

    _spoil(soak, soak.random.choice((5, 20, 20, 20, 1100)), spoil)


def missing(soak: Soak) -> None:
    """An entry that is not there."""
    key = soak.random.choice(_KEYS)
    _spoil(soak, 1, lambda output, n: {name: value for name, value in output.items() if name != key})


def misshapen(soak: Soak) -> None:
    """An entry of another shape or type, another number of entries, or no dict at all."""
    key = soak.random.choice(_KEYS)
    wrong = soak.random.choice(
        (1.0, None, "high", [[1.0]], torch.ones(2, 3), torch.tensor(2.0), [1.0, 2.0, 3.0], [], True, object())
    )
    whole = soak.random.choice((None, 1.0, [1.0, 2.0], "output"))
    no_dict = soak.random.random() < 0.2
    _spoil(soak, 1, lambda output, n: whole if no_dict else output | {key: wrong})


# --- what a user does ------------------------------------------------------------------------------------------------


def overridden(soak: Soak) -> None:
    """The user knows better for a while, within an iteration."""
    draw = soak.random
    soak.override(draw.randint(1, 50), draw.choice((None, 0, 1, 3, 25)), within=True)


def overridden_between_runs(soak: Soak) -> None:
    """The user knows better, before a run goes on."""
    draw = soak.random
    iterations, steps = draw.randint(1, 50), draw.choice((None, 0, 1, 3, 25))
    soak.between = lambda: soak.override(iterations, steps, within=False)


def limits(soak: Soak) -> None:
    """Other limits."""
    if soak.twin is not None:
        soak.controller.limits = soak.random.choice(soak.case.limits)
        soak.twin.clamp(soak.controller.limits)


def law(soak: Soak) -> None:
    """Other numbers in the law."""
    controller = soak.controller
    if soak.twin is not None and isinstance(controller, FeedbackController):
        controller.law = soak.case.tuned(controller.law, soak.random.randrange(100))
        soak.twin.law = controller.law


def written(soak: Soak) -> None:
    """A step that writes the attribute."""
    soak.write = soak.random.choice((0, 7))


def raised(soak: Soak) -> None:
    """An error of the user's, in the step, before the controller's handler or after all handlers."""
    soak.raise_in = soak.random.choice(("step", "before", "after"))


def terminated(soak: Soak) -> None:
    """A run that is ended, and goes on."""
    soak.between = lambda: None


def epoch_terminated(soak: Soak) -> None:
    """An epoch that a user ends."""
    soak.end_epoch = soak.random.choice(("completed", "skipped"))


def saved_early(soak: Soak) -> None:
    """A checkpoint's handler that comes before the controller's."""
    soak.save_early = True


def detached(soak: Soak) -> None:
    """Detached, and attached again at once or some iterations later."""
    soak.controller.detach()
    soak.away = soak.random.choice((0, 1, 5, 50))
    if soak.away == 0:
        soak.controller.attach(soak.engine)


def begun_afresh(soak: Soak) -> None:
    """A new run, from iteration 0."""

    def act() -> None:
        soak.engine.state.max_epochs = None
        soak.afresh = True

    soak.between = act


# --- saving and loading ----------------------------------------------------------------------------------------------


def _through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def _load(soak: Soak, engine_too: bool, limits: tuple[int, int] | None) -> None:
    """Put new handlers with the states of the old ones in their place."""
    old = soak.controller
    states = [_through_a_file(handler.state_dict()) for handler in (old, soak.budget, soak.history)]
    position = _through_a_file(soak.engine.state_dict())
    attached_first = soak.random.random() < 0.5
    new = soak.case.build()
    if isinstance(old, FeedbackController) and isinstance(new, FeedbackController):
        new.limits, new.law = limits or old.limits, old.law
    soak.leave()
    soak.controller = new
    if engine_too:
        soak.make_engine()
        soak.engine.load_state_dict(position)
    else:
        soak.budget, soak.history = StopAtBudget(critic_updates=soak.budget.critic_updates), ControllerHistory(POINTS)
        if attached_first:
            soak.join()
    new.load_state_dict(states[0])
    soak.budget.load_state_dict(states[1])
    soak.history.load_state_dict(states[2])
    if not engine_too and not attached_first:
        soak.join()
    if soak.twin is not None and new.limits is not None:
        soak.twin.clamp(new.limits)


def loaded(soak: Soak) -> None:
    """Saved, and loaded into new handlers on the same engine."""
    soak.between = lambda: _load(soak, False, None)


def resumed(soak: Soak) -> None:
    """Saved, and loaded into new handlers on a new engine."""
    soak.between = lambda: _load(soak, True, None)


def loaded_within_other_limits(soak: Soak) -> None:
    """Loaded into a controller with other limits, to which the state is clamped."""
    if soak.case.limits:
        limits = soak.random.choice(soak.case.limits)
        soak.between = lambda: _load(soak, False, limits)


def refused(soak: Soak) -> None:
    """A state that is damaged: refused, and nothing changes."""
    before = soak.controller.state_dict()
    damaged = _damaged(soak, before)
    try:
        soak.controller.load_state_dict(damaged)
    except StateError:
        pass
    else:
        soak.require(False, f"a damaged state was loaded: {damaged!r}")
    soak.require(repr(soak.controller.state_dict()) == repr(before), "a state that was refused changed the controller")


def _damaged(soak: Soak, state: Mapping[str, Any]) -> dict[str, Any]:
    damaged = dict(state)
    key = soak.random.choice(sorted(damaged))
    if isinstance(damaged[key], Mapping) and damaged[key] and soak.random.random() < 0.8:
        damaged[key] = _damaged(soak, damaged[key])
    else:
        damaged[key] = soak.random.choice((None, "nothing", [[math.nan]]))
    return damaged


FAULTS: tuple[Callable[[Soak], None], ...] = (
    not_finite,
    huge,
    constant,
    swapped,
    missing,
    misshapen,
    overridden,
    overridden_between_runs,
    limits,
    law,
    written,
    raised,
    terminated,
    epoch_terminated,
    saved_early,
    detached,
    begun_afresh,
    loaded,
    resumed,
    loaded_within_other_limits,
    refused,
)
