"""The open loop that shows when kappa answers to the number of critic updates."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.law_search.response import HALF, PROBLEMS, Trace, offset, play, response


def made_up(share: float, delay: int, noise: float = 0.0, iterations: int = 2000) -> Trace:
    """Return a trace whose kappa of 0.2 responds by this share, so many iterations late."""
    random = np.random.default_rng(0)
    kappa = np.array([0.2 * (1.0 - share * offset(max(at - delay, 0))) for at in range(iterations)])
    gap = 3.0 + 0.1 * random.standard_normal(iterations)
    return Trace(kappa * gap + noise * random.standard_normal(iterations), gap)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, -0.5])
def test_a_share_that_responds_at_once_is_found_in_every_part(share: float) -> None:
    found, errors = response([made_up(share, 0)])
    np.testing.assert_allclose(found, share, atol=0.02)
    assert (errors < 0.05).all()


def test_a_response_that_is_late_shows_the_other_half_first() -> None:
    found, _ = response([made_up(1.0, 8)])
    np.testing.assert_allclose(found, [-1.0, -1.0, 1.0, 1.0, 1.0], atol=0.02)


def test_the_errors_are_those_of_the_noise() -> None:
    found, errors = response([made_up(0.5, 0, noise=0.3), made_up(0.5, 0, noise=0.3, iterations=1500)])
    assert (np.abs(found - 0.5) < 4.0 * errors).all()
    # 0.3 / 3 over 0.16 = 0.2 * 2 * 0.4, twice, each from a tenth of some 3,200 iterations
    np.testing.assert_allclose(errors, 0.1 / 0.16 * np.sqrt(2.0 / 320.0), rtol=0.2)


def test_the_number_moves_around_two() -> None:
    task, rate, _ = PROBLEMS["ring of 8"]
    trace = play(task, 0, rate, 3 * HALF)
    assert trace.used.shape == trace.gap.shape == (3 * HALF - 1,)
    assert np.isfinite(trace.used).all()
    assert np.isfinite(trace.gap).all()
