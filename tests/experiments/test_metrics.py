from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance

from experiments import metrics

SHIFT = np.array([3.0, 4.0])  # of length 5


def _normal(n: int, dimension: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dimension))


def test_sliced_w1_of_a_shift_is_two_over_pi_times_its_length() -> None:
    points = _normal(500)
    assert metrics.sliced_w1(points, points + SHIFT) == pytest.approx(2 / np.pi * 5.0, rel=1e-3)
    assert metrics.sliced_w1(points, points[::-1]) == 0.0


@pytest.mark.parametrize("size", [400, 100])
def test_sliced_w1_agrees_with_scipy_direction_by_direction(size: int) -> None:
    a, b = _normal(400, 5), 0.5 * _normal(size, 5, seed=1) + 1.0
    axes = metrics.directions(5, 20)
    expected = np.mean([wasserstein_distance(a @ axis, b @ axis) for axis in axes])
    assert metrics.sliced_w1(a, b, projections=20) == pytest.approx(expected, rel=1e-9)
    assert np.linalg.norm(axes, axis=1) == pytest.approx(np.ones(20))


def test_energy_distance_of_two_points_is_twice_their_distance() -> None:
    assert metrics.energy_distance([[0.0, 0.0]], [[3.0, 4.0]]) == pytest.approx(10.0)
    points = _normal(300)
    assert metrics.energy_distance(points, points) == 0.0


def test_exact_w1_of_a_shift_is_its_length_and_dominates_the_sliced_one() -> None:
    a, b = _normal(200), 2.0 * _normal(200, seed=1)
    assert metrics.exact_w1(a, a + SHIFT) == pytest.approx(5.0)
    assert metrics.exact_w1([[0.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]) == 0.0
    assert metrics.exact_w1(a, b) >= metrics.sliced_w1(a, b)
    with pytest.raises(ValueError, match="samples of 200 and 3 points"):
        metrics.exact_w1(a, b[:3])


def test_modes_are_counted_once_and_only_when_near() -> None:
    modes = [[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]]
    points = [[0.05, 0.0], [0.0, 0.05], [1.0, 0.02], [5.0, 5.15]]
    assert metrics.modes_covered(points, modes, radius=0.1) == (2, 0.75)
    assert metrics.modes_covered(points, modes, radius=0.1, least=2) == (1, 0.75)


def test_frechet_distance_of_known_gaussians() -> None:
    identity = np.eye(3)
    assert metrics.frechet_distance([0, 0, 0], identity, [1, 2, 2], identity) == pytest.approx(9.0)
    assert metrics.frechet_distance([0.0], [[4.0]], [0.0], [[9.0]]) == pytest.approx(1.0)
    rotated = np.array([[2.0, 0.9], [0.9, 1.0]])
    other = np.array([[1.0, -0.3], [-0.3, 0.5]])
    expected = np.trace(rotated + other - 2 * np.real(sqrtm(rotated @ other)))
    assert metrics.frechet_distance([0, 0], rotated, [0, 0], other) == pytest.approx(expected)
    singular = np.diag([1.0, 0.0])
    assert metrics.frechet_distance([0, 0], singular, [0, 0], singular) == pytest.approx(0.0, abs=1e-12)


def test_frechet_distance_of_samples_finds_the_gaussians() -> None:
    a, b = _normal(20_000, 3), 2.0 * _normal(20_000, 3, seed=1) + 1.0
    assert metrics.frechet_distance_of_samples(a, b) == pytest.approx(3.0 * (1.0 + 1.0), rel=0.03)


def test_kernel_distance_is_unbiased_and_notices_a_shift() -> None:
    same = [metrics.kernel_distance(_normal(100, 4, seed), _normal(100, 4, 1000 + seed)) for seed in range(60)]
    error = np.std(same) / np.sqrt(len(same))
    assert abs(np.mean(same)) < 4 * error
    assert metrics.kernel_distance(_normal(100, 4), _normal(100, 4, 1) + 1.0) > 20 * np.std(same)


def test_kernel_distance_by_hand() -> None:
    # One dimension, kernel (xy + 1)^3: within a 8 (1*1), within b 1 (0*0), across 1 each.
    assert metrics.kernel_distance([[1.0], [1.0]], [[0.0], [0.0]]) == pytest.approx(8.0 + 1.0 - 2.0)


def test_support_tells_lost_variety_from_lost_realism() -> None:
    real = _normal(400)
    same = metrics.support(real, _normal(400, seed=1))
    assert min(same.precision, same.recall, same.coverage) > 0.9
    assert same.density == pytest.approx(1.0, abs=0.15)
    narrow = metrics.support(real, 0.1 * _normal(400, seed=1))
    assert narrow.precision > 0.95
    assert narrow.recall < 0.3
    assert narrow.coverage < 0.5
    far = metrics.support(real, _normal(400, seed=1) + 50.0)
    assert far == (0.0, 0.0, 0.0, 0.0)


def test_support_by_hand() -> None:
    # With k = 1 each real ball has radius 1; the first two generated ones have 0.3, the others 0.5.
    found = metrics.support([[0.0], [1.0], [2.0]], [[0.1], [0.4], [9.0], [9.5]], neighbours=1)
    assert found.precision == 0.5
    assert found.recall == pytest.approx(1 / 3)
    assert found.density == pytest.approx(4 / 4)
    assert found.coverage == pytest.approx(2 / 3)


def test_class_histogram_and_total_variation() -> None:
    assert metrics.class_histogram([0, 0, 2, 2], 4).tolist() == [0.5, 0.0, 0.5, 0.0]
    assert metrics.total_variation([1.0, 0.0], [0.0, 1.0]) == 1.0
    assert metrics.total_variation([0.5, 0.5], [0.25, 0.75]) == 0.25
    with pytest.raises(ValueError, match=r"each in 0\.\.3"):
        metrics.class_histogram([0, 4], 4)


@pytest.mark.parametrize(
    "distance",
    [
        metrics.sliced_w1,
        metrics.energy_distance,
        metrics.exact_w1,
        metrics.frechet_distance_of_samples,
        metrics.kernel_distance,
    ],
)
def test_distances_are_symmetric_and_refuse_bad_input(distance: object) -> None:
    assert callable(distance)
    a, b = _normal(50), _normal(50, seed=1) + 0.5
    assert distance(a, b) == pytest.approx(distance(b, a))
    with pytest.raises(ValueError, match="dimensions 2 and 3 differ"):
        distance(a, _normal(50, 3))
    with pytest.raises(ValueError, match=r"of shape \(50,\)"):
        distance(a, b[:, 0])
    with pytest.raises(ValueError, match="1 of 100 values are not finite"):
        distance(np.where(a == a[3, 1], np.nan, a), b)


@given(scale=st.floats(0.1, 10.0), angle=st.floats(0.0, 6.28))
def test_w1_and_energy_scale_with_the_points_and_ignore_rotations(scale: float, angle: float) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    a, b = _normal(40), _normal(40, seed=1) + 1.0
    for distance in (metrics.exact_w1, metrics.energy_distance):
        assert distance(scale * a @ turn, scale * b @ turn) == pytest.approx(scale * distance(a, b), rel=1e-6)
