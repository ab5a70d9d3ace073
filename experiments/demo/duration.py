"""How long the demonstration will take, from a short measurement on the machine that it runs on."""

from __future__ import annotations

import math
import time

from torch import Tensor

from adaptive_critic import FixedController, StopAtBudget
from experiments.demo.training import Settings, make_trainer
from experiments.image_quality import Classifier

TRIED = 60.0  # generator updates' worth of training that are measured
SCORED = 200  # images that the classifier is measured on
REFERENCE_IMAGES = 10_000  # that each process puts through the classifier once
REPORT_SECONDS = 3.0


def expected_seconds(real: Tensor, settings: Settings, critic_cost: float, contenders: int, workers: int) -> float:
    """Return the seconds from now to the report.

    Args:
        real: Training images.
        settings: Of the comparison.
        critic_cost: From :func:`experiments.demo.training.critic_cost`.
        contenders: How many there are.
        workers: Processes that train them; each takes the next contender when it has done one.
    """
    _, trainer = make_trainer(real, settings)
    FixedController(2).attach(trainer)
    StopAtBudget(cost=TRIED, critic_cost=critic_cost, generator_cost=1.0).attach(trainer)
    started = time.perf_counter()
    trainer.run(max_iters=int(TRIED), epoch_length=int(TRIED))
    of_unit = (time.perf_counter() - started) / TRIED
    classifier = Classifier().eval().requires_grad_(False)
    started = time.perf_counter()
    classifier.features(real[:SCORED])
    of_image = (time.perf_counter() - started) / SCORED
    of_contender = settings.budget * of_unit + (settings.evaluations + 1) * settings.evaluated * of_image
    # A process imports what this one has imported, and scores the images that others are compared with.
    start = REFERENCE_IMAGES * of_image + (time.process_time() if workers > 1 else 0.0)
    return math.ceil(contenders / workers) * of_contender + start + REPORT_SECONDS


def in_words(seconds: float) -> str:
    """Say a duration as people do: in steps of ten seconds, or in minutes above a minute and a half."""
    return f"{max(10, 10 * round(seconds / 10))} seconds" if seconds < 90 else f"{round(seconds / 60)} minutes"
