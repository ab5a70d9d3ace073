"""What docs/migration.md says makes kappa wrong: a loop's choice of fakes, measured on a ring of points."""

from __future__ import annotations

import statistics
from functools import cache

import pytest
import torch
from torch import Tensor

from experiments.clients import plain_loop
from tests.loops.plain import ImagePool

N = 3  # critic updates per generator update, enough for this critic to keep up


@cache
def kappa(fakes: str, iterations: int = 250) -> float:
    """Return the share of the gap that a generator update takes, with the critic trained and scored on such fakes."""
    gan = plain_loop.RingGAN()
    pool = ImagePool(gan.noise)
    used: list[float] = []
    gaps: list[float] = []
    before: float | None = None
    made = gan.fake()
    for _ in range(iterations):
        for update in range(N):
            noise = torch.randn(plain_loop.BATCH, 2, generator=gan.noise)
            real, current = gan.real(), gan.generator(noise).detach()
            trained: Tensor = current
            if fakes.startswith("pool"):
                trained = pool.query(current)
            elif fakes == "from before the step" and update == 0:
                trained = made.detach()
            d_real, d_fake = gan.critic(real).mean(), gan.critic(trained).mean()
            reported = gan.critic(current).mean() if fakes == "pool, current scored" else d_fake
            if update == 0 and before is not None:
                used.append(reported.item() - before)
                gaps.append(d_real.item() - before)
            gan.optimizer_d.zero_grad()
            (d_fake - d_real + 10.0 * gan.penalty(real, trained)).backward()
            gan.optimizer_d.step()
        made = gan.generator(noise) if fakes == "shared" else gan.fake()
        g_fake = gan.critic(made).mean()
        gan.optimizer_g.zero_grad()
        (-g_fake).backward()
        gan.optimizer_g.step()
        before = g_fake.item()
    return statistics.fmean(used[50:]) / statistics.fmean(gaps[50:])


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_loop, "BATCH", 16)


def test_fresh_fakes_give_a_small_share() -> None:
    assert 0.0 < kappa("fresh") < 0.1


def test_a_pool_gives_a_share_below_0_and_scoring_current_fakes_mends_it() -> None:
    assert kappa("pool") < 0.0 < kappa("pool, current scored") < 0.1


def test_shared_fakes_give_too_large_a_share() -> None:
    assert kappa("shared") > 1.3 * kappa("fresh")


def test_fakes_from_before_the_generators_step_give_none() -> None:
    assert kappa("from before the step") == pytest.approx(0.0, abs=1e-6)


def test_means_in_bfloat16_lose_it() -> None:
    """A generator update moves the mean by 0.1; at these offsets neighbouring numbers are 0.125 and 0.25 apart."""
    noise = torch.randn(64, generator=torch.Generator().manual_seed(0))
    for offset, apart in ((20.0, 0.125), (60.0, 0.25)):
        before, after = (offset + mean + noise for mean in (0.0, 0.1))
        exact = (after.bfloat16().float().mean() - before.bfloat16().float().mean()).item()
        lost = (after.bfloat16().mean() - before.bfloat16().mean()).item()
        assert exact == pytest.approx(0.1, abs=0.03)
        assert lost in (0.0, apart)
