from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training_toys import CRITIC_KEYS, GENERATOR_KEYS, Setup, mlp, real_batches

WITHOUT_RANDOMNESS: list[dict[str, Any]] = [
    {"objective": "hinge"},
    {"objective": "non-saturating", "r1": 0.5},
    {"objective": "least-squares"},
    {"objective": "wasserstein-clip"},
]


class Stream:
    """Latents in a fixed order: how they are cut into batches does not change them."""

    def __init__(self) -> None:
        self.latents = torch.randn(2000, 2, generator=torch.Generator().manual_seed(9))
        self.used = 0

    def __call__(self, size: int) -> Tensor:
        self.used += size
        return self.latents[self.used - size : self.used]


@pytest.mark.parametrize("options", WITHOUT_RANDOMNESS, ids=str)
def test_accumulation_over_micro_batches_equals_one_large_batch(options: dict[str, Any]) -> None:
    small = real_batches(count=12)
    large = [torch.cat(small[index : index + 2]) for index in range(0, 12, 2)]
    one = Setup(n=2, data=large, sample_latent=Stream(), **options)
    many = Setup(n=2, data=small, sample_latent=Stream(), gradient_accumulation_steps=2, **options)
    for a, b in zip(one.run(3), many.run(3), strict=True):
        assert a["num_samples"] == b["num_samples"] == 32
        for key in (*CRITIC_KEYS, *GENERATOR_KEYS):
            torch.testing.assert_close(a[key], b[key], msg=key)
    for x, y in zip(one.weights(), many.weights(), strict=True):
        torch.testing.assert_close(x, y)


def test_with_accumulation_the_ratio_counts_optimizer_steps() -> None:
    setup = Setup(n=3, gradient_accumulation_steps=4, ema=0.9)
    steps = {"g": 0, "d": 0}

    def count(name: str) -> Any:
        def hook(*args: Any) -> None:
            steps[name] += 1

        return hook

    setup.optimizer_g.register_step_post_hook(count("g"))
    setup.optimizer_d.register_step_post_hook(count("d"))
    outputs = setup.run(2)
    assert steps == {"g": 2, "d": 6}
    assert [output["d_loss"].shape for output in outputs] == [(3,), (3,)]
    assert outputs[0]["num_samples"] == 3 * 4 * 8
    assert setup.trainer.state.ema_generator.n_averaged == 2  # type: ignore[attr-defined]


def test_without_a_critic_update_accumulation_still_takes_all_its_micro_batches() -> None:
    (output,) = Setup(n=0, gradient_accumulation_steps=3).run(1)
    assert output["num_samples"] == 24


def forward_dtypes(network: nn.Module) -> list[torch.dtype]:
    dtypes: list[torch.dtype] = []
    network.register_forward_hook(lambda module, args, output: dtypes.append(output.dtype))
    return dtypes


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_runs_networks_in_half_precision_penalties_and_losses_in_single(dtype: torch.dtype) -> None:
    setup = Setup(n=1, autocast=dtype)
    of_g, of_d = forward_dtypes(setup.generator), forward_dtypes(setup.discriminator)
    (output,) = setup.run(1)
    assert of_g == [dtype, dtype]
    assert of_d == [dtype, dtype, torch.float32, dtype]  # real, generated, penalty, the generator's update
    assert {output[key].dtype for key in (*CRITIC_KEYS, *GENERATOR_KEYS)} == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("objective", ["wasserstein-gp", "hinge"])
def test_mixed_precision_trains_as_single_precision_does(dtype: torch.dtype, objective: str) -> None:
    # Scaling starts low enough that it skips no step, so that the two runs are comparable.
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0) if dtype == torch.float16 else None
    half = Setup(n=2, objective=objective, autocast=dtype, scaler=scaler).run(20)[-1]
    single = Setup(n=2, objective=objective).run(20)[-1]
    assert half["d_loss"].tolist() == pytest.approx(single["d_loss"].tolist(), abs=0.05)
    assert half["g_loss"].item() == pytest.approx(single["g_loss"].item(), abs=0.05)


def test_gradients_are_scaled_only_for_float16() -> None:
    assert Setup().trainer.state.scaler is None  # type: ignore[attr-defined]
    assert Setup(autocast=torch.bfloat16).trainer.state.scaler is None  # type: ignore[attr-defined]
    assert Setup(autocast=torch.float16, scaler=False).trainer.state.scaler is None  # type: ignore[attr-defined]
    setup = Setup(autocast=torch.float16)
    assert isinstance(setup.trainer.state.scaler, torch.amp.GradScaler)  # type: ignore[attr-defined]
    assert setup.trainer.state.to_save["scaler"] is setup.trainer.state.scaler  # type: ignore[attr-defined]
    own = torch.amp.GradScaler("cpu", init_scale=8.0)
    assert Setup(autocast=torch.float16, scaler=own).trainer.state.scaler is own  # type: ignore[attr-defined]


def test_a_step_that_overflows_is_skipped_and_the_scale_lowered() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    setup = Setup(n=1, objective="hinge", autocast=torch.float16, scaler=scaler)
    before = setup.weights()
    setup.run(1)
    assert all(torch.equal(a, b) for a, b in zip(before, setup.weights(), strict=True))
    assert scaler.get_scale() == 2.0**125  # halved after the critic's and after the generator's step
    setup = Setup(n=1, objective="hinge", autocast=torch.float16)
    setup.run(8)  # the first of which may overflow
    assert not any(torch.equal(a, b) for a, b in zip(before, setup.weights(), strict=True))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scaler": True}, ValueError, "only gradients of float16 need scaling"),
        ({"scaler": True, "autocast": torch.bfloat16}, ValueError, "scaler=True with autocast=torch.bfloat16"),
        ({"scaler": torch.amp.GradScaler("cpu")}, ValueError, "only gradients of float16 need scaling"),
        ({"scaler": 2.0, "autocast": torch.float16}, TypeError, r"scaler=2\.0: expected True, False or a torch"),
        ({"autocast": torch.float32}, ValueError, r"autocast=torch\.float32: expected torch\.bfloat16, torch\.float16"),
        ({"autocast": True}, ValueError, "autocast=True: expected"),
    ],
)
def test_contradicting_precisions_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Setup(**options)


def test_float64_networks_keep_their_precision() -> None:
    networks = (mlp(2, 2).double(), mlp(2, 1).double())
    data = [batch.double() for batch in real_batches()]
    setup = Setup(networks=networks, data=data, sample_latent=lambda size: torch.randn(size, 2, dtype=torch.float64))
    (output,) = setup.run(1)
    assert output["d_loss"].dtype == torch.float64
