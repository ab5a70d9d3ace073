"""How long the demonstration will take, from a short measurement on the machine that it runs on."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from torch import Tensor

from adaptive_critic import FixedController, StopAtBudget
from experiments.demo.training import Settings, make_trainer
from experiments.image_quality import Classifier

TRIED = 60.0  # generator updates' worth of training that are measured
SCORED = 200  # images that the classifier is measured on
REFERENCE_IMAGES = 10_000  # that each process puts through the classifier once
REPORT_SECONDS = 3.0


class Pace(NamedTuple):
    """Seconds on this machine: a generator update's worth of training, scoring an image, starting a process."""

    unit: float
    image: float
    start: float


def measured_pace(real: Tensor, settings: Settings, critic_cost: float) -> Pace:
    """Train and score for a moment; ``critic_cost`` is from :func:`experiments.demo.training.critic_cost`."""
    _, trainer = make_trainer(real, settings)
    FixedController(2).attach(trainer)
    StopAtBudget(cost=TRIED, critic_cost=critic_cost, generator_cost=1.0).attach(trainer)
    started = time.perf_counter()
    trainer.run(max_iters=int(TRIED), epoch_length=int(TRIED))
    unit = (time.perf_counter() - started) / TRIED
    classifier = Classifier().eval().requires_grad_(False)
    started = time.perf_counter()
    classifier.features(real[:SCORED])
    # A process imports what this one has imported until now.
    return Pace(unit, (time.perf_counter() - started) / SCORED, time.process_time())


def expected_seconds(settings: Settings, pace: Pace, contenders: int, workers: int) -> float:
    """Return the seconds until the report is written; each worker takes the next contender when it has done one."""
    scoring = (settings.evaluations + 1) * settings.evaluated * pace.image
    rounds = math.ceil(contenders / workers) * (settings.budget * pace.unit + scoring)
    return rounds + REFERENCE_IMAGES * pace.image + (pace.start if workers > 1 else 0.0) + REPORT_SECONDS


def in_words(seconds: float) -> str:
    """Say a duration as people do: in steps of ten seconds, or in minutes above a minute and a half."""
    return f"{max(10, 10 * round(seconds / 10))} seconds" if seconds < 90 else f"{round(seconds / 60)} minutes"
