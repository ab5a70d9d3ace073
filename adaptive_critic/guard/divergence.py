"""All rules of divergence together, as DivergenceGuard applies them at a check, and their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from adaptive_critic import state as saved
from adaptive_critic.checks import integer, real, shortened
from adaptive_critic.guard.evidence import LEVELS, Evidence, update_of
from adaptive_critic.guard.limits import Dead, Explosion, Spike, judged
from adaptive_critic.guard.rules import Collapse, OutsideLimits, Patience, RulesState, Stalled, Verdict, verdict

_COUNTS = ("suspicious", "significant", "flat")
_LATER_COUNTS = ("idle", "longest_idle")  # states of 0.1.0 have none


class Judgement(NamedTuple):
    """Conclusion of a check."""

    verdict: Verdict | None
    """a divergence, or None"""
    clean: bool
    """whether there is no verdict, and no finding that waits for patience except a collapse"""


class RuleNumbers(TypedDict, total=False):
    """Numbers of :class:`DivergenceRules`, as keyword arguments of the guard."""

    patience: int
    window: int
    warmup: int
    threshold: float
    floor: float
    relative_floor: float
    dead: float
    update_limit: float | None
    spike_limit: float


@dataclass(frozen=True)
class DivergenceRules:
    """The rules of :class:`~adaptive_critic.DivergenceGuard`, applied to one check at a time.

    - *non_finite*: a loss, a score or the penalty is NaN or infinite. One check is enough.
    - *stalled*: no optimizer made a step at ``patience`` checks in a row with critic updates, and longer than ever
      before. Or the loss scale of the gradient scaler fell below 2**-24. No weight moves then, so losses look healthy.
    - *explosion*: at ``patience`` checks in a row a level is above m + threshold * max(MAD, floor, relative_floor * m),
      with its running median m and median absolute deviation MAD. With the defaults that is at least 10 score units,
      and ten times the median, above the median: a healthy run's gap grows by orders of magnitude while the critic
      learns. Levels are the critic's gap abs(E[D(x)] - E[D(G(z))]), the spread of its scores (``d_real_std`` and
      ``d_fake_std``), abs(d_loss) and the penalty (``d_penalty``).
    - *explosion*, of an update: one step of an optimizer moves its weights by more than 1 % of their norm and
      ``update_limit`` times the usual share. The share then stays above the usual one at ``patience`` checks in a row.
      Usual is the second largest share so far, or the latest if that is larger, without the first ``warmup``. A share
      that was found counts as usual afterwards, so a rate raised on purpose is found once.
    - *dead*: the gap or the spread is below ``dead`` times its running median at ``patience`` checks in a row.
    - *collapse*: the gap is within two standard errors of 0 at ``patience`` checks in a row, after as many checks
      outside. It is found again only after the gap has been outside again.
    - *spike*: while all levels are within their limits, a single value is beyond ``spike_limit`` times the limit of an
      explosion.

    In a run that is wrong from its first iterations, which has no healthy past, they find only values that are not
    finite.

    Args:
        patience: checks in a row for which a finding must persist, at least 1.
        window: checks of the running median, at least 3.
        warmup: checks before levels are judged; updates are judged after twice as many. From 1 to ``window``.
        threshold: deviations above the median that make an explosion, above 0.
        floor: lower bound of the deviation in the units of the score, above 0.
        relative_floor: lower bound of the deviation as a share of the median, at least 0.
        dead: share of the running median below which a gap or a spread is dead, at least 0, below 1; 0 disables it.
        update_limit: largest normal update, as a multiple of the usual share, above 1. None disables the check, for
            schedules that raise the rate suddenly and far.
        spike_limit: largest normal single value, as a multiple of the limit of an explosion, at least 1.

    Example:
        >>> from adaptive_critic.guard.evidence import summarise
        >>> rules = DivergenceRules(patience=2)
        >>> state = rules.init()
        >>> for d_real in [1.0] * 6 + [50.0] * 2:
        ...     evidence = summarise({"d_real": [d_real], "d_fake": [0.0]})
        ...     state, judgement = rules.update(state, evidence)
        >>> judgement.verdict.reason
        'gap 50 is beyond 11 at 2 checks in a row'
    """

    patience: int = 3
    window: int = 50
    warmup: int = 5
    threshold: float = 50.0
    floor: float = 0.2
    relative_floor: float = 0.2
    dead: float = 1e-4
    update_limit: float | None = 5.0
    spike_limit: float = 100.0

    def __post_init__(self) -> None:
        integer("patience", self.patience, at_least=1)
        integer("window", self.window, at_least=3)
        if integer("warmup", self.warmup, at_least=1) > self.window:
            raise ValueError(f"warmup={self.warmup!r}: expected an int of at most window={self.window!r}")
        real("threshold", self.threshold, above=0)
        real("floor", self.floor, above=0)
        real("relative_floor", self.relative_floor, at_least=0)
        real("dead", self.dead, at_least=0, below=1)
        if self.update_limit is not None:
            real("update_limit", self.update_limit, above=1)
        real("spike_limit", self.spike_limit, at_least=1)

    def init(self) -> RulesState:
        """Return the state before the first check."""
        return RulesState({}, {}, suspicious=0, significant=0, flat=0)

    @property
    def outside_limits(self) -> OutsideLimits:
        """The rule of levels and updates, before patience."""
        update_limit = math.inf if self.update_limit is None else self.update_limit
        explosion = Explosion(self.threshold, self.floor, self.relative_floor)
        return OutsideLimits(explosion, Dead(self.dead), update_limit, self.warmup, self.window)

    def update(self, state: RulesState, evidence: Evidence) -> tuple[RulesState, Judgement]:
        """Judge the evidence of one check."""
        if evidence.non_finite:
            *others, last = evidence.non_finite
            names = f"{', '.join(others)} and {last}" if others else last
            found = Verdict("non_finite", f"{names} not finite", {})
            return state._replace(suspicious=0, flat=0), Judgement(found, clean=False)
        stall = Stalled(self.patience)
        state, stalled = stall.update(state, evidence)
        if stalled is not None:
            return state._replace(suspicious=0, flat=0), Judgement(stalled, clean=False)
        rule, collapse = self.outside_limits, Collapse(self.patience)
        spikes = Spike(rule.explosion, self.spike_limit).find(evidence.peaks, judged(state.levels, self.warmup))
        state, outside = Patience(rule, self.patience).update(state, evidence)
        state = collapse.update(state, evidence.gap)
        if outside is not None or state.suspicious:
            return state, Judgement(outside, clean=False)
        collapsed = collapse.verdict(state, evidence.gap)
        if collapsed is not None:
            return state._replace(significant=0, flat=0), Judgement(collapsed, clean=False)
        if spikes:
            spike = verdict("spike", spikes, {})
            return state, Judgement(spike._replace(reason=f"{spike.reason} once"), clean=False)
        return state, Judgement(None, clean=not stall.is_begun(state))

    def arm(self, state: RulesState) -> RulesState:
        """Return a state after which a collapse can be found again."""
        return state._replace(significant=self.patience)

    def state_dict(self, state: RulesState) -> dict[str, Any]:
        """Return a state as lists and ints, with updates under their names in reports."""
        history = {**state.levels, **{update_of(name): sizes for name, sizes in state.updates.items()}}
        counts = {name: getattr(state, name) for name in (*_COUNTS, *_LATER_COUNTS)}
        return {"history": {name: list(values) for name, values in history.items()}, **counts}

    def read(self, state: Mapping[str, Any]) -> RulesState:
        """Return the state in a state dict, cut to this window and patience."""
        history, prefix = saved.mapping(state, "history"), update_of("")
        levels, updates = {}, {}
        for name in history:
            values = saved.floats(history, name)
            if not all(0 <= value < math.inf for value in values):
                shown = f"history[{shortened(name)}]={shortened(values)}"
                raise saved.StateError(f"{shown}: expected finite numbers of at least 0")
            if name in LEVELS:
                levels[name] = values[-self.window :]
            elif str(name).startswith(prefix):
                updates[str(name).removeprefix(prefix)] = self.outside_limits.kept(values)
            else:
                known = ", ".join(map(repr, LEVELS))
                raise saved.StateError(
                    f"the history is of {shortened(name)}: expected one of {known}, or {prefix!r} and a name"
                )
        suspicious, significant, flat = [saved.integer(state, key) for key in _COUNTS]
        idle, longest_idle = [saved.integer(state, key) if key in state else 0 for key in _LATER_COUNTS]
        suspicious, significant = min(suspicious, self.patience - 1), min(significant, self.patience)
        return RulesState(levels, updates, suspicious, significant, min(flat, self.patience), idle, longest_idle)
