"""Rules of divergence, one class each: evidence in, verdict out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adaptive_critic.guard.evidence import Evidence, update_of
from adaptive_critic.guard.limits import Dead, Explosion, LargeUpdate, Outside, judged

# Under a smaller scale, a gradient that float16 can hold stands for one above 65504 * 2**24, or 1e12.
_SMALLEST_SCALE = 2.0**-24

_MAY_DIE = ("gap", "spread")  # losses of a critic that always wins are 0, and so are updates at the end of a schedule


class Verdict(NamedTuple):
    """A divergence that was found."""

    rule: str
    """"non_finite", "stalled", "explosion", "dead", "collapse" or "spike" """
    reason: str
    """a sentence for a person"""
    values: dict[str, float]
    """the numbers that decided"""


class RulesState(NamedTuple):
    """State of the rules."""

    levels: dict[str, tuple[float, ...]]
    """each level at the latest checks, without suspicious ones"""
    updates: dict[str, tuple[float, ...]]
    """the first, the largest and the latest update sizes of each optimizer"""
    suspicious: int
    """checks in a row with a level or an update beyond one of its limits"""
    significant: int
    """checks in a row with a gap of more than two standard errors, at most ``patience``"""
    flat: int
    """checks in a row with a gap within two standard errors of 0, after it was significant; at most ``patience``"""
    idle: int = 0
    """checks in a row with critic updates but without a step of any optimizer"""
    longest_idle: int = 0
    """largest such number that a step has followed"""


@dataclass(frozen=True)
class OutsideLimits:
    """Finds levels and updates outside their limits, and adds the others to the past."""

    explosion: Explosion
    dead: Dead
    update_limit: float
    warmup: int
    window: int

    def update(self, state: RulesState, evidence: Evidence) -> tuple[RulesState, Verdict | None]:
        """Judge one check, and remember its levels and updates for the next."""
        past = judged(state.levels, self.warmup)
        above = self.explosion.find(evidence.levels, past)
        below = self.dead.find({name: evidence.levels[name] for name in _MAY_DIE if name in evidence.levels}, past)
        usual = {name: level for name, level in evidence.levels.items() if name not in above and name not in below}
        grown = {name: (*state.levels.get(name, ()), level)[-self.window :] for name, level in usual.items()}
        # A raised rate makes the weights grow, so that the next updates are a smaller share of them.
        multiple = 1.0 if state.suspicious and self.update_limit < math.inf else self.update_limit
        large = LargeUpdate(multiple, self.warmup).find(evidence.updates, judged(state.updates, 2 * self.warmup))
        moved = {name: size for name, size in evidence.updates.items() if name not in large}
        state = self.remember(state._replace(levels={**state.levels, **grown}), moved)
        above |= {update_of(name): found for name, found in large.items()}
        if not above and not below:
            return state, None
        return state, verdict("explosion" if above else "dead", above, below)

    def remember(self, state: RulesState, updates: Mapping[str, float], times: int = 1) -> RulesState:
        """Return the state with these sizes of updates added to the past."""
        grown = {name: self.kept((*state.updates.get(name, ()), *[size] * times)) for name, size in updates.items()}
        return state._replace(updates={**state.updates, **grown})

    def kept(self, sizes: Sequence[float]) -> tuple[float, ...]:
        """Return the sizes to remember: the first ones, the largest in ascending order, and the latest.

        A critic that has won may have small updates for long, then go on as before.
        """
        others = sizes[self.warmup :]
        return (*sizes[: self.warmup], *sorted(others[:-1])[1 - self.window :], *others[-1:])


@dataclass(frozen=True)
class Patience:
    """Wraps a rule, whose finding counts only after ``patience`` checks in a row."""

    rule: OutsideLimits
    patience: int

    def update(self, state: RulesState, evidence: Evidence) -> tuple[RulesState, Verdict | None]:
        """Judge one check; ``state.suspicious`` counts the findings in a row that are not reported yet."""
        state, found = self.rule.update(state, evidence)
        suspicious = 0 if found is None else state.suspicious + 1
        if found is None or suspicious < self.patience:
            return state._replace(suspicious=suspicious), None
        # Large updates that are reported count as usual afterwards: a rate raised on purpose is found once.
        large = {name: size for name, size in evidence.updates.items() if update_of(name) in found.values}
        state = self.rule.remember(state._replace(suspicious=0), large, times=2)
        return state, found._replace(reason=f"{found.reason} at {suspicious} checks in a row")


@dataclass(frozen=True)
class Stalled:
    """Finds training that no longer moves a weight, as under a gradient scaler with NaN gradients in every step."""

    patience: int

    def update(self, state: RulesState, evidence: Evidence) -> tuple[RulesState, Verdict | None]:
        """Judge one check; ``state.idle`` counts those in a row without a step."""
        if evidence.loss_scale < _SMALLEST_SCALE:
            reason = f"the loss scale fell to {evidence.loss_scale:.3g}, so updates are skipped for good"
            return state._replace(idle=0), Verdict("stalled", reason, {"loss_scale": evidence.loss_scale})
        if evidence.idle is None:
            return state, None
        if not evidence.idle:
            return state._replace(idle=0, longest_idle=max(state.longest_idle, state.idle)), None
        state = state._replace(idle=state.idle + 1)
        if not self.is_begun(state) or state.idle < self.patience:
            return state, None
        reason = f"no optimizer made a step at {state.idle} checks in a row, while there were critic updates"
        return state._replace(idle=0), Verdict("stalled", reason, {})

    def is_begun(self, state: RulesState) -> bool:
        """Return whether optimizers that made steps have made none for longer than ever before."""
        return bool(state.updates) and state.idle > state.longest_idle


@dataclass(frozen=True)
class Collapse:
    """Finds a gap that became indistinguishable from 0: within two standard errors, after it was outside."""

    patience: int

    def update(self, state: RulesState, gap: tuple[float, float] | None) -> RulesState:
        """Count checks in a row, first with a significant gap, then with one that is not; None counts as neither."""
        if gap is None:
            return state
        mean, error = gap
        if abs(mean) > 2 * error:
            return state._replace(significant=min(state.significant + 1, self.patience), flat=0)
        if state.significant == self.patience:
            return state._replace(flat=min(state.flat + 1, self.patience))
        return state._replace(significant=0)

    def verdict(self, state: RulesState, gap: tuple[float, float] | None) -> Verdict | None:
        """Return the verdict if the gap has been flat for long enough."""
        if gap is None or state.flat != self.patience:
            return None
        mean, error = gap
        reason = f"the gap {mean:.4g} is within two standard errors ({error:.4g}) of 0 at {state.flat} checks in a row"
        return Verdict("collapse", reason, {"gap": mean, "gap_standard_error": error})


def verdict(rule: str, above: Outside, below: Outside) -> Verdict:
    """Return a verdict that names values outside their limits."""
    words = dict.fromkeys(above, "beyond") | dict.fromkeys(below, "below")
    outside = above | below
    parts = [f"{name} {value:.4g} is {words[name]} {limit:.4g}" for name, (value, limit) in outside.items()]
    numbers: dict[str, float] = {}
    for name, (value, limit) in outside.items():
        numbers |= {name: value, f"{name}_limit": limit}
    return Verdict(rule, ", ".join(parts), numbers)
