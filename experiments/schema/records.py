"""What one run leaves behind and what describes the suite, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

_T = TypeVar("_T")

FORMAT = 1
"""Version of all files described here; a reader refuses every other one."""

SUITES = ("development", "evaluation")
SEED_ROLES = ("tuning", "final")
OBJECTIVES = ("wasserstein", "non-saturating", "hinge", "least-squares")
CONTENDER_KINDS = ("fixed", "pair", "schedule", "adaptive", "published", "matched", "rival")
CURVES = ("cost", "quality", "n", "signal", "critic_updates", "generator_updates", "cpu_seconds", "rate", "ema_quality")
TARGETS = ("early", "late")


class ResultError(ValueError):
    """A result file that is not what this package describes; the message says where and what is right."""


class FormatError(ResultError):
    """A file of another format version."""


@dataclass(frozen=True)
class Config:
    """What was run.

    Attributes:
        task: name of a task in ``tasks.json``.
        suite: "development" (laws may be tuned on it) or "evaluation".
        contender: name of a contender in ``tasks.json``.
        seed: at least 0; runs of one task with one seed are paired.
        seed_role: "tuning" or "final"; the same seed never has both roles.
        extra: everything else that the runner keeps, e.g. the contender's setting.
    """

    task: str
    suite: str
    contender: str
    seed: int
    seed_role: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """Costs in units of one generator update.

    Attributes:
        critic: cost of one critic update.
        generator: always 1.0.
        extra: what the controller's own forward passes add to one iteration; the cost curve contains it
            already.
        budget: cost at which the run ends.
        grid: distance of two evaluations, at most 2 % of the budget.
    """

    critic: float
    generator: float
    extra: float
    budget: float
    grid: float


@dataclass(frozen=True)
class Curve:
    """What was seen at each evaluation; every field has the shape (evaluations,), costs increase strictly.

    Attributes:
        cost: cost spent, in generator updates.
        quality: the task's metric, lower is better; NaN where it was not finite.
        n: mean number of critic updates per iteration since the evaluation before.
        signal: the controller's signal, NaN where it has none.
        critic_updates: critic updates so far.
        generator_updates: generator updates so far.
        cpu_seconds: processor seconds of training so far, evaluation left out.
        rate: the critic's learning rate as a multiple of the task's, geometric mean since the evaluation before.
        ema_quality: the metric of the averaged generator; NaN where it was not finite, and in runs that had none.
    """

    cost: tuple[float, ...]
    quality: tuple[float, ...]
    n: tuple[float, ...]
    signal: tuple[float, ...]
    critic_updates: tuple[float, ...]
    generator_updates: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    rate: tuple[float, ...]
    ema_quality: tuple[float, ...]


@dataclass(frozen=True)
class Summary:
    """Totals of a run: mean critic updates per iteration, updates of each kind, processor seconds, mean rate.

    ``mean_rate`` is the geometric mean of the critic's learning rate over the iterations, as a multiple of the task's.
    """

    mean_n: float
    critic_updates: int
    generator_updates: int
    cpu_seconds: float
    mean_rate: float = 1.0


@dataclass(frozen=True)
class Samples:
    """What the generator makes at the end.

    Attributes:
        kind: "image-grid" or "points".
        data: base64 of a PNG, or pairs of numbers.
    """

    kind: str
    data: str | tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Run:
    """One run: ``result.json``.

    Attributes:
        identity: hash of the configuration and of the code that it depends on.
        status: "completed" or "failed" (an exception ended it; ``error`` has the traceback).
        diverged: whether the guard or the task called it diverged.
        interventions: how often a guard acted; None if none watched the run.
        versions: package names and their versions.
        curve: empty where a run failed before its first evaluation.
    """

    identity: str
    config: Config
    status: str
    error: str | None
    diverged: bool
    interventions: int | None
    versions: Mapping[str, str]
    cost: Cost
    curve: Curve
    summary: Summary
    samples: Samples | None = None


@dataclass(frozen=True)
class BestFixed:
    """The best fixed n of a task, picked on tuning seeds alone.

    Attributes:
        early, late: the cheapest to that target.
        budget: the best by quality at the whole budget.
    """

    early: int
    late: int
    budget: int


@dataclass(frozen=True)
class BestPair:
    """The best constant pair of n and critic's rate of a task, picked on tuning seeds alone; names of contenders.

    Attributes:
        early, late: the cheapest to that target.
        budget: the best by quality at the whole budget.
    """

    early: str
    late: str
    budget: str


@dataclass(frozen=True)
class TaskRecord:
    """What a results folder says of a task of the suite.

    Attributes:
        name: unique, as in the runs' configuration.
        title: for people.
        suite: "development" or "evaluation".
        objective: one of :data:`OBJECTIVES`.
        metric: name of the quality metric; positive, lower is better.
        learning_rate_ratio: the critic's learning rate over the generator's.
        cheap: True for cheap tasks (20 seeds), False for images (5).
        floor: the metric between two true samples, or None where it is not known.
        targets: quality per name in :data:`TARGETS`, late below early; None until tuning seeds have run.
        best_fixed_n: None until tuning seeds have run.
        best_pair: None until pairs have run on tuning seeds, too.
        note: what is special (regularizer, small data, noise), for people.
    """

    name: str
    title: str
    suite: str
    objective: str
    metric: str
    learning_rate_ratio: float
    cheap: bool
    floor: float | None = None
    targets: Mapping[str, float] | None = None
    best_fixed_n: BestFixed | None = None
    best_pair: BestPair | None = None
    note: str = ""


@dataclass(frozen=True)
class ContenderRecord:
    """What a results folder says of a contender of the suite, at its one frozen setting.

    Attributes:
        name: unique, as in the runs' configuration.
        title: for people.
        kind: "fixed" (``steps``), "pair" (fixed n, with the critic's learning rate times ``rate``), "schedule" (open
            loop), "adaptive" (this library's own laws), "published" (a rule of the literature), "matched" (the mean n
            of ``matches``, of the same task and seed, held fixed) or "rival" (another knob than n).
        steps: the n of a "fixed" contender, else None.
        matches: the contender whose mean n a "matched" one holds, else None.
        setting: the constructor's arguments.
        rate: factor of the critic's learning rate, above 0; 1 for a "fixed" contender.
    """

    name: str
    title: str
    kind: str
    steps: int | None = None
    matches: str | None = None
    setting: Mapping[str, Any] = field(default_factory=dict)
    rate: float = 1.0


@dataclass(frozen=True)
class Suite:
    """``tasks.json``.

    Attributes:
        freeze_commit: commit at which all settings were frozen, None while they are not.
        gap: name of the contender that the targets on the Wasserstein gap are about.
        loss_ratio: name of the contender that the target on the loss ratio is about.
        reference: name of the contender that runs the WGAN reference schedule.
        effort: name of the contender that sets the critic's rate and the number of its updates.
        two_time_scales: name of the contender with n = 1 and a higher rate of the critic.
        pairs: names of the constant pairs that are the best over all tasks, picked on tuning seeds alone.
    """

    tasks: tuple[TaskRecord, ...]
    contenders: tuple[ContenderRecord, ...]
    freeze_commit: str | None = None
    gap: str = "wasserstein_gap"
    loss_ratio: str = "loss_ratio_pid"
    reference: str = "wgan_reference"
    effort: str = "effort"
    two_time_scales: str = "ttur"
    pairs: tuple[str, ...] = ()

    def task(self, name: str) -> TaskRecord:
        """Return the task of this name; a ValueError lists what there is."""
        return _named(self.tasks, name, "task")

    def contender(self, name: str) -> ContenderRecord:
        """Return the contender of this name; a ValueError lists what there is."""
        return _named(self.contenders, name, "contender")

    def fixed(self, steps: int) -> ContenderRecord:
        """Return the contender that holds n at ``steps``; a ValueError lists what there is."""
        found = {c.steps: c for c in self.contenders if c.kind == "fixed"}
        if steps not in found:
            raise ValueError(f"no contender holds n at {steps}; fixed n in this suite: {sorted(map(str, found))}")
        return found[steps]


@dataclass(frozen=True)
class Problem:
    """A file, or a line of one, that could not be used, and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class Results:
    """All that a results folder holds; ``problems`` counts what was skipped, never silently."""

    suite: Suite
    runs: tuple[Run, ...]
    problems: tuple[Problem, ...] = ()


def _named(items: Iterable[_T], name: str, what: str) -> _T:
    found = {getattr(item, "name"): item for item in items}  # noqa: B009
    if name not in found:
        raise ValueError(f"unknown {what} {name!r}; there are: {', '.join(sorted(found)) or 'none'}")
    return found[name]
