"""The table of handlers, and outputs of training steps to feed them: a new handler is a new row."""

from __future__ import annotations

import functools
import json
import math
import types
from collections.abc import Iterable, Sequence
from itertools import starmap
from typing import Any, NamedTuple

import ignite.handlers
import torch
from hypothesis import strategies as st

import adaptive_critic
from adaptive_critic.controller import Controller
from adaptive_critic.decision import Feedback
from adaptive_critic.handlers.base import FeedbackController
from tests.streams import streams

OPEN_LOOP = {
    "fixed": "FixedController(3)",
    "fixed at a fraction": "FixedController(0.6)",
    "fixed within limits": "FixedController(3, limits=(2, 4))",
    "milestones": "StepDecayController(milestones={0: 9, 3: 4, 11: 6})",
    "decay": "StepDecayController(10, gamma=0.5, step_size=4)",
    "decay within limits": "StepDecayController(10, gamma=0.5, step_size=4, limits=(2, 10))",
    "WGAN reference": "WGANReferenceController()",
    "scheduler": (
        "SchedulerAdapter(StepStateScheduler(param_name='num_discriminator_steps', initial_value=9.0, gamma=0.7, "
        "step_size=4), limits=(1, 8))"
    ),
}
FEEDBACK = {
    "gap": "WassersteinGapController(warmup=2, gain=0.2, window=2)",
    "effort": "CriticEffortController(optimizer_d, warmup=2, gain=0.2, window=2, limits=(0, 20))",
    "effort within narrow bounds": "CriticEffortController(optimizer_d, warmup=2, limits=(1, 4), rates=(0.5, 2.0))",
    "gap that may skip the critic": "WassersteinGapController(warmup=2, gain=0.3, initial=1, limits=(0, 5))",
    "gap without limits": "WassersteinGapController(warmup=2, limits=None)",
    "PID, wasserstein": "LossRatioPIDController(kp=0.7, ki=0.1, kd=0.2)",
    "PID, non-saturating": "LossRatioPIDController('non-saturating', kd=0.3, deadband=0.1)",
    "PID, hinge": "LossRatioPIDController('hinge', initial=2.5, smoothing=0.0)",
    "PID, least squares, may skip": "LossRatioPIDController('least-squares', ki=0.2, limits=(0, 5))",
    "ladder": "AccuracyLadderController(grace=3, smoothing=0.5)",
    "ladder within limits": "AccuracyLadderController(grace=3, initial=2, limits=(2, 10))",
    "loss change rate": "LossChangeRateController(initial=3, limits=(1, 6))",
    "loss variance": "LossVarianceController(high=0.1, low=0.02, window=4, cooldown=3)",
    "two thresholds": "TwoThresholdController(0.5, 0.5, initial=2)",
    "gate": "AccuracyGateController(steps=2)",
}
HANDLERS = OPEN_LOOP | FEEDBACK
NAMES = {**vars(ignite.handlers), **vars(adaptive_critic)}


def make(code: str, **more: Any) -> Controller:
    """Return the handler that the code constructs, with more keywords."""
    keywords = ", ".join(f"{name}={value!r}" for name, value in more.items())
    separator = "" if code.endswith("()") or not more else ", "
    optimizer_d = torch.optim.SGD([torch.zeros(1)], lr=0.1)  # each controller of a rate needs its own
    controller = eval(_compiled(f"{code[:-1]}{separator}{keywords})"), NAMES | {"optimizer_d": optimizer_d})
    assert isinstance(controller, Controller)
    return controller


@functools.cache
def _compiled(code: str) -> types.CodeType:
    return compile(code, code, "eval")


DECISIONS = {name: make(code)._alternation.decision for name, code in FEEDBACK.items()}
WHOLE = {name for name, decision in DECISIONS.items() if isinstance(decision, Feedback) and decision.law.whole}
DIFFUSED = {name: code for name, code in FEEDBACK.items() if name not in WHOLE}


def make_feedback(code: str, **more: Any) -> FeedbackController:
    controller = make(code, **more)
    assert isinstance(controller, FeedbackController)
    return controller


class Sample(NamedTuple):
    """What one iteration measures, before it is known how many critic updates it makes."""

    d_real: float
    d_fake: float
    d_loss: float
    g_loss: float
    g_fake: float
    g_fake_accuracy: float


class Kind(NamedTuple):
    """Where the numbers of samples come from."""

    scores: st.SearchStrategy[float]
    accuracies: st.SearchStrategy[float]

    def sample(self) -> st.SearchStrategy[Sample]:
        return st.builds(Sample, *[self.scores] * 5, self.accuracies)

    def stream(self, longest: int, least: int = 0) -> st.SearchStrategy[list[Sample]]:
        return streams([self.scores] * 5 + [self.accuracies], longest, least).map(
            lambda rows: list(starmap(Sample, rows))
        )


ANY = Kind(st.floats(), st.floats())
FINITE = Kind(st.floats(-1e4, 1e4, width=32), st.floats(0.0, 1.0, width=32))
# Eighths of small integers are the same number in every floating-point type.
EXACT = Kind(st.integers(-128, 128).map(lambda k: k / 8), st.integers(0, 128).map(lambda k: k / 128))

FORMS = ("floats", "tuple", "tensor")


def output(sample: Sample, n: int, form: str = "floats", dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Return a StepOutput of n critic updates, whose first or last entry is the sample's, where a rule looks."""
    vectors = {
        "d_real": [sample.d_real, *[sample.d_real + 1.0] * (n - 1)],
        "d_fake": [sample.d_fake, *[sample.d_fake - 1.0] * (n - 1)],
        "d_loss": [*[sample.d_loss + 1.0] * (n - 1), sample.d_loss],
    }
    scalars = {key: getattr(sample, key) for key in ("g_loss", "g_fake", "g_fake_accuracy")}
    if n == 0:
        vectors = {"d_real": [], "d_fake": []}  # d_loss is absent: both are allowed
    if form == "floats":
        return {**vectors, **scalars}
    entries: dict[str, Any] = {key: torch.tensor(values, dtype=dtype) for key, values in vectors.items()}
    if form == "tuple":
        entries = {key: tuple(value.unbind()) for key, value in entries.items()}
    return entries | {key: torch.tensor(value, dtype=dtype) for key, value in scalars.items()}


def feed(
    controller: Controller, stream: Iterable[Sample], form: str = "floats", dtype: torch.dtype = torch.float32
) -> tuple[list[int], list[float]]:
    """Return n and the ratio of each iteration, as they were in force when it ran."""
    steps, ratios = [], []
    for sample in stream:
        n, ratio = controller.num_discriminator_steps, controller.ratio
        assert controller.observe(output(sample, min(n, 50), form, dtype)) == controller.num_discriminator_steps
        steps.append(n)
        ratios.append(ratio)
    return steps, ratios


def snapshot(controller: Controller) -> str:
    """Return the whole state, comparable even where it holds NaN."""
    return json.dumps(controller.state_dict(), sort_keys=True)


@functools.cache
def healthy(count: int, share: float = 0.2, start: int = 0) -> Sequence[Sample]:
    """Return samples of a run in which every law has something to do."""
    return tuple(
        Sample(
            d_real=2.0 + 0.1 * math.sin(0.7 * k),
            d_fake=share * (1.0 + 0.5 * math.sin(1.3 * k)),
            d_loss=1.0 + 0.8 * math.sin(0.31 * k),
            g_loss=0.7 + 0.5 * math.cos(0.4 * k),
            g_fake=0.1 * math.cos(1.1 * k),
            g_fake_accuracy=0.5 + 0.45 * math.sin(0.23 * k),
        )
        for k in range(start, start + count)
    )
