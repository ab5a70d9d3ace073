"""What counts as a divergence: floats in, verdict out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple, TypeAlias

from adaptive_critic.checks import integer, real

__all__ = ["PREFIX", "DivergenceRules", "Evidence", "Judgement", "RulesState", "Verdict", "gather"]

LEVELS = ("gap", "spread", "d_loss", "d_penalty")
"""what is watched for explosion; a constant added to the critic changes none of them, unless it changes the loss"""

PREFIX = "update of "
"""what the name of an optimizer follows where the sizes of its updates are judged"""

# Share of their own norm by which one step may move the weights whatever is usual: 1 %. Below it a schedule may begin
# with a tenth or a thousandth of its rate.
_SMALL_UPDATE = 0.01

_MAY_DIE = ("gap", "spread")  # losses are 0 for a critic that always wins, updates at the end of a schedule


class Evidence(NamedTuple):
    """What one check sees: a summary of the iterations since the check before."""

    non_finite: tuple[str, ...]
    """names of what has a NaN or an infinity among its values, of levels too large for a float"""
    levels: dict[str, float]
    """median of |gap|, of the larger spread, of |d_loss|, of |d_penalty|, of each optimizer's updates; those that there
    were values for"""
    peaks: dict[str, float]
    """the largest |gap|, spread, |d_loss| and |d_penalty| among them"""
    gap: tuple[float, float] | None
    """mean of the gap and its standard error; None with fewer than two critic updates"""


class Verdict(NamedTuple):
    """A divergence that was found."""

    rule: str
    """"non_finite", "explosion", "dead", "collapse" or "spike" """
    reason: str
    """a sentence for a person"""
    values: dict[str, float]
    """the numbers that decided"""


class Judgement(NamedTuple):
    """What a check concludes."""

    verdict: Verdict | None
    """a divergence, None while there is none"""
    clean: bool
    """no verdict, and none on its way but a collapse"""


class RulesState(NamedTuple):
    """What the rules remember."""

    history: dict[str, tuple[float, ...]]
    """each level at the latest checks but suspicious ones; of updates the first, the largest, the latest"""
    suspicious: int
    """checks in a row with a level beyond one of its limits"""
    significant: int
    """checks in a row with a gap of more than two standard errors, at most ``patience``"""
    flat: int
    """checks in a row with a gap within two standard errors of 0, after it had been significant"""


def gather(columns: Mapping[str, Sequence[float]]) -> Evidence:
    """Summarise the values that were seen since the last check.

    Args:
        columns: all values by name: ``d_loss`` of every critic update; ``d_real``, ``d_fake``, ``d_real_std``,
            ``d_fake_std``, ``d_penalty`` of each iteration's last one; ``g_loss``, ``g_fake`` of each iteration. Any
            may be absent. ``update of NAME`` is how far an update of that optimizer moved its weights, as a share of
            their norm.
    """
    non_finite = tuple(
        name
        for name, values in columns.items()
        if not name.startswith(PREFIX) and not math.isfinite(sum(values)) and not all(map(math.isfinite, values))
    )
    if non_finite:
        return Evidence(non_finite, {}, {}, None)
    gaps = [real - fake for real, fake in zip(columns.get("d_real", ()), columns.get("d_fake", ()), strict=False)]
    spreads = [max(pair) for pair in zip(columns.get("d_real_std", ()), columns.get("d_fake_std", ()), strict=False)]
    watched = (gaps, spreads, columns.get("d_loss", ()), columns.get("d_penalty", ()))
    sizes = {name: [abs(value) for value in values] for name, values in zip(LEVELS, watched, strict=True) if values}
    levels = {name: median(values) for name, values in sizes.items()}
    peaks = {name: max(values) for name, values in sizes.items()}
    for name, values in columns.items():
        # None of weights that were all 0, or are infinite on purpose; one of 0 says nothing of how far the next may go.
        moved = [value for value in values if name.startswith(PREFIX) and 0.0 < value < math.inf]
        if moved:
            levels[name] = median(moved)
    overflowed = tuple(name for name, level in levels.items() if not level < math.inf)
    if overflowed:
        return Evidence(overflowed, {}, {}, None)
    return Evidence((), levels, peaks, _mean_and_error(gaps) if len(gaps) > 1 else None)


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error (statistics.stdev is exact and slow; squares overflow, a distance not)."""
    count = len(values)
    mean = math.fsum([value / count for value in values])
    return mean, math.dist(values, [mean] * count) / math.sqrt(count * (count - 1))


def _listed(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


_Levels: TypeAlias = "dict[str, tuple[float, float]]"


def _values(levels: _Levels) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, (level, limit) in levels.items():
        values |= {name: level, f"{name}_limit": limit}
    return values


def _of_spikes(spikes: _Levels) -> Verdict:
    """Return the verdict on single values that were far beyond the limits of their levels."""
    parts = [f"{name} {peak:.4g} is beyond {limit:.4g}" for name, (peak, limit) in spikes.items()]
    return Verdict("spike", f"{', '.join(parts)} once", _values(spikes))


def _of_levels(beyond: _Levels, dead: _Levels, checks: int) -> Verdict:
    """Return the verdict on levels that were outside of their limits."""
    parts = [f"{name} {level:.4g} is beyond {limit:.4g}" for name, (level, limit) in beyond.items()]
    parts += [f"{name} {level:.4g} is below {limit:.4g}" for name, (level, limit) in dead.items()]
    rule = "explosion" if beyond else "dead"
    return Verdict(rule, f"{', '.join(parts)} at {checks} checks in a row", _values(beyond | dead))


@dataclass(frozen=True)
class DivergenceRules:
    """The rules of DivergenceGuard, one check at a time.

    - non_finite: a loss, a score or the penalty is NaN or infinite. One check is enough.
    - explosion: at ``patience`` checks in a row a level x is beyond
      m + threshold * max(MAD, floor, relative_floor * m), where m is the median and MAD the median absolute deviation
      of the level over the last ``window`` checks that were not suspicious; or an optimizer's update moves its weights
      by more than 1 % of their norm and ``update_limit`` times the usual share, and by more than that share at the
      further checks; usual is the second largest so far, or the latest if that is larger. Either is judged once
      ``warmup`` checks have been seen, updates after as many more: the first ``warmup`` are not compared with, since
      those of RMSprop are larger than any later one, and out of small weights updates grow. An update that was found
      belongs to what is usual from then on: a run is judged once for a rate that was raised on purpose.
    - dead: the gap or the spread is, at ``patience`` checks in a row, below ``dead`` times its median: the critic no
      longer responds to what it is shown. A critic that merely can't tell the two apart still has noise in both.
    - collapse: the gap is within two standard errors of 0 at ``patience`` checks in a row, after it was outside at
      ``patience`` checks in a row. Found once; it has to be outside again before it is found again.
    - spike: of a level that is within its limits, a single value is beyond ``spike_limit`` times the upper one.

    Args:
        patience: checks, at least 1.
        window: checks in the history, at least 3.
        warmup: checks before the first judgement of a level, from 1 to ``window``.
        threshold: deviations beyond the median, above 0.
        floor: lower bound of the deviation in units of the score, above 0: a change of less than threshold * floor is
            never an explosion.
        relative_floor: the same as a share of the median, at least 0.
        dead: share of the median under which a gap or a spread counts as none, at least 0, below 1; 0 for never.
        update_limit: times the usual share of their norm that an update may move the weights, above 1; None for any.
        spike_limit: times the limit of an explosion that a single value may reach, at least 1.

    Raises:
        TypeError: if an argument is not a number.
        ValueError: if it is out of its range.

    Example:
        >>> rules = DivergenceRules(patience=2)
        >>> state = rules.init()
        >>> for d_real in [1.0] * 6 + [50.0] * 2:
        ...     evidence = gather({"d_real": [d_real], "d_fake": [0.0]})
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
        return RulesState({}, 0, 0, 0)

    def update(self, state: RulesState, evidence: Evidence) -> tuple[RulesState, Judgement]:
        """Judge the evidence of one check."""
        if evidence.non_finite:
            verdict = Verdict("non_finite", f"{_listed(evidence.non_finite)} not finite", {})
            return state._replace(suspicious=0, flat=0), Judgement(verdict, clean=False)
        history, beyond, dead, spikes = self._compare(state, evidence)
        state = self._follow_gap(state._replace(history=history), evidence.gap)
        if beyond or dead:
            suspicious = state.suspicious + 1
            if suspicious < self.patience:
                return state._replace(suspicious=suspicious), Judgement(None, clean=False)
            for name, (level, _) in beyond.items():
                if name.startswith(PREFIX):
                    history[name] = self.kept(name, (*history[name], level, level))
            return state._replace(suspicious=0), Judgement(_of_levels(beyond, dead, suspicious), clean=False)
        state = state._replace(suspicious=0)
        if evidence.gap is not None and state.flat == self.patience:
            mean, error = evidence.gap
            reason = (
                f"the gap {mean:.4g} is within two standard errors ({error:.4g}) of 0 at {state.flat} checks in a row"
            )
            verdict = Verdict("collapse", reason, {"gap": mean, "gap_standard_error": error})
            return state._replace(significant=0, flat=0), Judgement(verdict, clean=False)
        if spikes:
            return state, Judgement(_of_spikes(spikes), clean=False)
        return state, Judgement(None, clean=True)

    def arm(self, state: RulesState) -> RulesState:
        """Return a state in which a collapse that was found can be found again."""
        return state._replace(significant=self.patience)

    def _compare(
        self, state: RulesState, evidence: Evidence
    ) -> tuple[dict[str, tuple[float, ...]], _Levels, _Levels, _Levels]:
        """Return the new history, and (level, limit) of the levels that are too high, too low, or were so once."""
        grown, beyond, dead, spikes = dict(state.history), {}, {}, {}
        for name, level in evidence.levels.items():
            past, update = state.history.get(name, ()), name.startswith(PREFIX)
            if len(past) >= (2 * self.warmup if update else self.warmup):
                lower, upper = self._update_limits(past, state.suspicious) if update else self.limits(past)
                if level > upper:
                    beyond[name] = (level, upper)
                    continue
                if level < lower and name in _MAY_DIE:
                    dead[name] = (level, lower)
                    continue
                peak, spike = evidence.peaks.get(name, 0.0), self.spike_limit * upper  # updates have no peak
                if peak > spike:
                    spikes[name] = (peak, spike)
            grown[name] = self.kept(name, (*past, level))
        return grown, beyond, dead, spikes

    def kept(self, name: str, levels: Sequence[float]) -> tuple[float, ...]:
        """Return what is remembered of the levels of ``name``, the latest last.

        Of updates the first ``warmup`` ones, to be known as such, and the largest of the others, in ascending order: a
        critic that has won may have small ones for long, then go on as before.
        """
        if not name.startswith(PREFIX):
            return tuple(levels[-self.window :])
        others = levels[self.warmup :]
        return (*levels[: self.warmup], *sorted(others[:-1])[1 - self.window :], *others[-1:])

    def _update_limits(self, past: Sequence[float], suspicious: int) -> tuple[float, float]:
        """Return (lower, upper) of an update, given those of earlier checks, and how many were suspicious since."""
        if self.update_limit is None:
            return 0.0, math.inf
        # The second largest, since one that was large for once does not count; the latest, where updates are growing.
        usual = max(past[-1], sorted(past[self.warmup :])[-2:][0])
        # A raised rate makes the weights grow, of which the next updates are a smaller share.
        return 0.0, max(usual if suspicious else self.update_limit * usual, _SMALL_UPDATE)

    def limits(self, past: Sequence[float]) -> tuple[float, float]:
        """Return (lower, upper): a level outside is suspicious, given those of earlier checks."""
        centre = median(past)
        deviation = median([abs(level - centre) for level in past])
        upper = centre + self.threshold * max(deviation, self.floor, self.relative_floor * centre)
        return self.dead * centre, upper

    def _follow_gap(self, state: RulesState, gap: tuple[float, float] | None) -> RulesState:
        if gap is None:
            return state
        mean, error = gap
        if abs(mean) > 2 * error:
            return state._replace(significant=min(state.significant + 1, self.patience), flat=0)
        if state.significant == self.patience:
            return state._replace(flat=state.flat + 1)
        return state._replace(significant=0)
