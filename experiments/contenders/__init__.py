"""The contenders of the ablation suite: a table. Each has one setting, the same on every task."""

from __future__ import annotations

from collections.abc import Iterable

from adaptive_critic import (
    AccuracyGateController,
    AccuracyLadderController,
    CriticEffortController,
    FixedController,
    LossChangeRateController,
    LossRatioPIDController,
    LossVarianceController,
    StepDecayController,
    TwoThresholdController,
    WassersteinGapController,
    WGANReferenceController,
)
from experiments.contenders.average_course import AverageCourse, course_tasks
from experiments.contenders.contender import Contender, Context, Handler
from experiments.contenders.critic_rates import GapAwareRate, TimeScaleRatio, TwoTimeScales
from experiments.contenders.matched_mean import HeldMean, RandomSteps
from experiments.contenders.per_update import ExactAccuracyGate, ExactLossChangeRate, ExactTwoThresholds

__all__ = ["CONTENDERS", "DEVELOPMENT_PAIR", "Contender", "Context", "Handler", "select_contenders"]

DEVELOPMENT_PAIR = ("ring", "digits")
"""The two development tasks on which the wider field is tried."""


def _fixed(steps: int) -> Contender:
    return Contender(f"fixed-{steps}", f"n = {steps}", "fixed", FixedController, {"steps": steps})


def _pair(steps: int, rate: int) -> Contender:
    title = f"n = {steps}, rate x {rate}"
    return Contender(f"pair-{steps}x{rate}", title, "pair", FixedController, {"steps": steps}, rate=float(rate))


def _lazy(every: int, steps: int, rate: int) -> Contender:
    name = f"fixed-{steps}" if rate == 1 else f"pair-{steps}x{rate}"
    title = f"n = {steps}" if rate == 1 else f"n = {steps}, rate x {rate}"
    return Contender(
        f"lazy-{every}:{name}",
        f"{title}, penalty at every {every} updates",
        "rival",
        FixedController,
        {"steps": steps},
        rate=float(rate),
        penalty_every=every,
    )


def _mean_of(name: str, title: str, tasks: tuple[str, ...] | None = None) -> Contender:
    return Contender(
        f"mean-of:{name}",
        f"mean n and rate of {title}, held" if name == "effort" else f"mean n of {title}, held",
        "matched",
        HeldMean,
        told=("steps",),
        matches=name,
        tasks=tasks,
    )


def _exact_change_rate(balance: float) -> Contender:
    return Contender(
        f"exact-change-rate-{balance:g}",
        f"loss change rate, per update, lambda {balance:g}",
        "published",
        ExactLossChangeRate,
        {"balance": balance},
        told=("most_critic_updates",),
        tasks=DEVELOPMENT_PAIR,
    )


def _change_rate(balance: float) -> Contender:
    return Contender(
        f"change-rate-{balance:g}",
        f"loss change rate, lambda {balance:g}",
        "published",
        LossChangeRateController,
        {"balance": balance},
        tasks=DEVELOPMENT_PAIR,
    )


CONTENDERS: tuple[Contender, ...] = (
    *(_fixed(steps) for steps in (1, 2, 3, 5, 10, 20)),
    *(_pair(steps, rate) for steps in (1, 2, 3, 5, 10) for rate in (2, 4, 8, 16)),
    Contender("half", "n = 0.5", "schedule", FixedController, {"steps": 0.5}),
    Contender("wgan-reference", "WGAN reference", "schedule", WGANReferenceController),
    Contender("gap", "Wasserstein gap", "adaptive", WassersteinGapController),
    Contender("pid", "loss-ratio PID", "adaptive", LossRatioPIDController, told=("objective",)),
    Contender("effort", "critic effort", "adaptive", CriticEffortController, told=("optimizer_d",)),
    *(
        Contender(
            f"gap-x{rate}",
            f"Wasserstein gap from n = 1, rate x {rate}",
            "adaptive",
            WassersteinGapController,
            {"base": 1.0, "initial": 1},
            rate=float(rate),
        )
        for rate in (4, 8)
    ),
    *(
        Contender(
            f"lazy-{every}:effort",
            f"critic effort, penalty at every {every} updates",
            "adaptive",
            CriticEffortController,
            told=("optimizer_d",),
            penalty_every=every,
        )
        for every in (2, 4)
    ),
    Contender("ladder", "accuracy ladder", "published", AccuracyLadderController),
    Contender("adarpgan", "loss variance", "published", LossVarianceController),
    Contender("change-rate", "loss change rate", "published", LossChangeRateController),
    _mean_of("gap", "Wasserstein gap"),
    _mean_of("pid", "loss-ratio PID"),
    _mean_of("effort", "critic effort"),
    *(
        Contender(
            name,
            f"average course of critic effort on other {others}",
            "rival",
            AverageCourse,
            {"of_others": others == "tasks"},
            told=("task", "seed", "optimizer_d"),
            tasks=course_tasks() if others == "seeds" else None,
        )
        for name, others in (("course-of:effort", "seeds"), ("course-of-others:effort", "tasks"))
    ),
    Contender(
        "ttur",
        "two time scales",
        "rival",
        TwoTimeScales,
        {"factor": 4.0},
        told=("optimizer_d", "generator_rate"),
    ),
    Contender(
        "gap-aware-rate",
        "gap-aware rate",
        "rival",
        GapAwareRate,
        told=("objective", "optimizer_d"),
        needs_scores_with_a_scale=True,
    ),
    Contender("time-scale-ratio", "TiAda-like rates", "rival", TimeScaleRatio, told=("optimizer_d",)),
    *(_lazy(every, steps, rate) for steps, rate in ((5, 1), (2, 16)) for every in (2, 4)),
    # Tried on two development tasks only.
    _mean_of("ladder", "accuracy ladder", DEVELOPMENT_PAIR),
    _mean_of("change-rate", "loss change rate", DEVELOPMENT_PAIR),
    Contender(
        "step-decay",
        "step decay 25, then 10",
        "schedule",
        StepDecayController,
        {"milestones": {0: 25, 25: 10}},
        tasks=DEVELOPMENT_PAIR,
    ),
    Contender(
        "random-of:gap",
        "random n with the mean of Wasserstein gap",
        "schedule",
        RandomSteps,
        told=("steps", "seed"),
        matches="gap",
        tasks=DEVELOPMENT_PAIR,
    ),
    Contender(
        "two-thresholds",
        "two thresholds",
        "published",
        TwoThresholdController,
        {"critic_threshold": -0.2, "generator_threshold": 0.0},
        tasks=DEVELOPMENT_PAIR,
    ),
    Contender(
        "accuracy-gate",
        "accuracy gate",
        "published",
        AccuracyGateController,
        tasks=DEVELOPMENT_PAIR,
    ),
    *(_change_rate(balance) for balance in (1.0, 5.0, 10.0)),
    *(_exact_change_rate(balance) for balance in (1.0, 2.0, 5.0, 10.0)),
    Contender(
        "exact-two-thresholds",
        "two thresholds, per update",
        "published",
        ExactTwoThresholds,
        {"critic_threshold": -0.2, "generator_threshold": 1e6},
        told=("most_critic_updates",),
        tasks=DEVELOPMENT_PAIR,
    ),
    Contender(
        "exact-accuracy-gate",
        "accuracy gate, per update",
        "published",
        ExactAccuracyGate,
        told=("most_critic_updates",),
        tasks=DEVELOPMENT_PAIR,
    ),
)


def select_contenders(names: Iterable[str] | None = None) -> list[Contender]:
    """Return the contenders of these names, in the table's order; all of them when ``names`` is None.

    Raises:
        ValueError: A name is unknown; the message lists the contenders.
    """
    known = {contender.name: contender for contender in CONTENDERS}
    if names is None:
        return list(CONTENDERS)
    wanted = set(names)
    if unknown := sorted(wanted - set(known)):
        raise ValueError(f"unknown contender {', '.join(map(repr, unknown))}; there are: {', '.join(known)}")
    return [contender for name, contender in known.items() if name in wanted]
