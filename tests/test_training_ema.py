"""create_gan_trainer(ema=...): what an averaged generator holds, whatever its layers keep beside their weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.training_toys import Setup, mlp


def average_of(setup: Setup) -> AveragedModel:
    return cast(AveragedModel, vars(setup.trainer.state)["ema_generator"])


def run(generator: nn.Module, iterations: int = 20, **options: Any) -> Setup:
    setup = Setup(n=1, networks=(generator, mlp(2, 1)), **({"ema": 0.9} | options))
    setup.run(iterations)
    return setup


def parameters(module: nn.Module) -> list[Tensor]:
    return [parameter.detach() for parameter in module.parameters()]


def hooked(normalise: str, layer: nn.Module) -> nn.Module:
    """Apply one of torch's older norms, whose hooks compute the weight."""
    with pytest.warns(Warning, match="deprecated") if normalise == "weight_norm" else nullcontext():
        normalised: nn.Module = getattr(nn.utils, normalise)(layer)
    return normalised


# What is averaged


def test_the_average_moves_once_per_generator_update_whatever_n_is() -> None:
    setup = Setup(n=1, ema=0.75)
    average = average_of(setup)
    expected: Tensor | None = None
    for n in (1, 4, 0, 2):
        setup.set(n)
        setup.run(1)
        weight = parameters(setup.generator)[0].clone()
        expected = weight if expected is None else 0.75 * expected + 0.25 * weight
        torch.testing.assert_close(parameters(average)[0], expected)
    assert average.n_averaged.item() == 4


def test_it_begins_with_the_weights_of_the_first_update() -> None:
    # They may have been loaded after the trainer was made.
    setup = Setup(n=1, ema=0.999)
    with torch.no_grad():
        parameters(setup.generator)[0].fill_(3.0)
    setup.run(1)
    assert all(map(torch.equal, parameters(average_of(setup)), parameters(setup.generator)))


def test_it_samples_in_evaluation_mode_and_is_not_trained() -> None:
    setup = run(nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)))
    average, latents = average_of(setup), torch.randn(4, 2)
    assert torch.equal(average(latents), average(latents))
    assert not average(latents).requires_grad
    own = {id(tensor) for tensor in [*setup.generator.parameters(), *setup.generator.buffers()]}
    assert not own & {id(tensor) for tensor in [*average.parameters(), *average.buffers()]}


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    norm = nn.BatchNorm1d(2)
    setup = Setup(n=0, networks=(nn.Sequential(nn.Linear(2, 2), norm), mlp(2, 1)), ema=0.5)
    means: list[Tensor] = []
    for _ in range(2):
        setup.run(1)
        assert norm.running_mean is not None
        means.append(norm.running_mean.clone())
    averaged = average_of(setup).module[1]  # type: ignore[index]  # it is a Sequential
    torch.testing.assert_close(averaged.running_mean, (means[0] + means[1]) / 2)
    assert averaged.num_batches_tracked.item() == 2


class Keeps(nn.Module):
    """A generator with buffers of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))
        self.register_buffer("missing", torch.tensor([math.nan]))
        self.register_buffer("seen", torch.tensor(0))
        self.register_buffer("odd", torch.tensor(False))
        self.register_buffer("scale", torch.tensor(1 / 3))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            cast(Tensor, self.seen).add_(1)
            cast(Tensor, self.odd).logical_not_()
        shares = torch.softmax(cast(Tensor, self.mask), 0)
        return cast(Tensor, self.layer(x) * shares[0] * self.scale)


def test_other_buffers_are_copied() -> None:
    setup = run(Keeps())
    live, averaged = dict(setup.generator.named_buffers()), dict(average_of(setup).module.named_buffers())
    assert live["seen"].item() == 40  # one forward pass for the critic, one for the generator
    for name, buffer in live.items():
        torch.testing.assert_close(averaged[name], buffer, rtol=0, atol=0, equal_nan=True)
        assert averaged[name] is not buffer
    assert average_of(setup)(torch.ones(3, 2)).isfinite().all()


# Normalised weights


def spectral(layer: nn.Linear, kind: str) -> nn.Module:
    return parametrizations.spectral_norm(layer) if kind == "parametrization" else hooked("spectral_norm", layer)


@pytest.mark.parametrize("kind", ["parametrization", "hook"])
def test_the_average_of_spectrally_normalised_weights_is_normalised(kind: str) -> None:
    torch.manual_seed(1)
    generator = nn.Sequential(spectral(nn.Linear(2, 16), kind), nn.ReLU(), spectral(nn.Linear(16, 2), kind))
    setup = Setup(n=0, networks=(generator, mlp(2, 1)), ema=0.99)
    average = average_of(setup)
    means = [torch.randn_like(parameter) for parameter in parameters(generator)]
    for _ in range(500):
        # Weights that an optimizer throws about, so that their largest singular vectors tell nothing of the average's.
        for parameter, mean in zip(parameters(generator), means, strict=True):
            parameter.copy_(mean + 3 * torch.randn_like(mean))
        generator(torch.randn(4, 2))
        average.update_parameters(generator)
    average(torch.randn(4, 2))  # the hook computes the weight
    for index in (0, 2):
        weight = average.module[index].weight  # type: ignore[index]  # it is a Sequential
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1.0, abs=0.02)
    assert not any(layer.training for layer in average.modules()), "else samples would move the estimates"


@pytest.mark.parametrize("kind", ["parametrization", "hook"])
def test_the_first_update_is_an_exact_copy_of_a_normalised_network(kind: str) -> None:
    setup = run(spectral(nn.Linear(2, 2), kind), iterations=1)
    latents = torch.randn(4, 2)
    assert torch.equal(average_of(setup)(latents), setup.generator.eval()(latents))


@pytest.mark.parametrize("normalise", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("used", [False, True])
def test_networks_with_hooked_norms_can_be_averaged(normalise: str, used: bool) -> None:
    # Such a hook keeps the weight it computed, with its graph, and torch copies no tensor that has one.
    generator = hooked(normalise, nn.Linear(2, 2))
    if used:
        generator(torch.randn(3, 2))
    setup = run(generator)
    average, latents = average_of(setup), torch.randn(3, 2)
    assert not torch.equal(average(latents), setup.generator.eval()(latents))
    again = hooked(normalise, nn.Linear(2, 2)).eval()
    again.load_state_dict(average.module.state_dict())
    torch.testing.assert_close(again(latents), average(latents))


def test_a_parametrised_weight_norm_is_averaged_in_its_parameters() -> None:
    setup = run(parametrizations.weight_norm(nn.Linear(2, 2)))
    weight = average_of(setup).module.weight
    raw = dict(average_of(setup).module.named_parameters())
    magnitude = raw["parametrizations.weight.original0"]
    direction = raw["parametrizations.weight.original1"]
    torch.testing.assert_close(weight, magnitude * direction / direction.norm(dim=1, keepdim=True))


# Half precision


class Half(nn.Module):
    """A generator with weights in half precision, which makes latents and noise in it."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2, dtype=dtype)
        self.norm = nn.BatchNorm1d(2, dtype=dtype)

    def forward(self, z: Tensor) -> Tensor:
        made = self.layer(z.to(self.layer.weight.dtype)) + torch.ones(2, dtype=self.layer.weight.dtype)
        return cast(Tensor, self.norm(made))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_the_average_of_weights_in_half_precision_does_not_stop_short(dtype: torch.dtype) -> None:
    generator = Half(dtype)
    setup = Setup(n=0, networks=(generator, mlp(2, 1).to(dtype)), lr=(0.0, 0.0), ema=0.999)
    with torch.no_grad():
        generator.layer.weight.fill_(0.5)
    setup.run(1)
    with torch.no_grad():
        generator.layer.weight.fill_(1.0)
    for _ in range(4000):
        average_of(setup).update_parameters(generator)
    averaged = average_of(setup).module.layer.weight  # type: ignore[union-attr]  # it is Half
    assert averaged.dtype is dtype
    expected = 1 - 0.5 * 0.999**4000
    torch.testing.assert_close(averaged.double(), torch.full((2, 2), expected, dtype=torch.float64), rtol=4e-3, atol=0)
    assert average_of(setup)(torch.randn(4, 2)).dtype is dtype


def test_an_average_in_half_precision_is_saved_as_exact_as_it_is_kept() -> None:
    def made() -> tuple[Half, Any]:
        torch.manual_seed(3)
        generator = Half(torch.bfloat16)
        return generator, average_of(Setup(n=0, networks=(generator, mlp(2, 1)), ema=0.99))

    generator, average = made()
    targets = torch.randn(40, generator=torch.Generator().manual_seed(0)).tolist()

    def move(average: Any, generator: Half, some: list[float]) -> list[Tensor]:
        for target in some:
            with torch.no_grad():
                generator.layer.weight.fill_(target)
            average.update_parameters(generator)
        return [tensor.clone() for tensor in average.state_dict().values()]

    expected = move(average, generator, targets)
    generator, average = made()
    move(average, generator, targets[:20])
    other, resumed = made()
    resumed.load_state_dict(average.state_dict())
    assert all(map(torch.equal, move(resumed, other, targets[20:]), expected))


# States


@pytest.mark.parametrize("kind", ["parametrization", "hook"])
def test_a_resumed_average_goes_on_bit_for_bit(kind: str) -> None:
    def made() -> Setup:
        torch.manual_seed(2)
        generator = nn.Sequential(spectral(nn.Linear(2, 8), kind), nn.BatchNorm1d(8), nn.Linear(8, 2))
        return Setup(n=1, networks=(generator, mlp(2, 1)), ema=0.9)

    first = made()
    first.run(5)
    state = copy.deepcopy(average_of(first).state_dict())
    weights = copy.deepcopy(first.generator.state_dict())
    second = made()
    average_of(second).load_state_dict(state)
    second.generator.load_state_dict(weights)
    for _ in range(3):
        for setup in (first, second):
            with torch.no_grad():
                for parameter in setup.generator.parameters():
                    parameter.mul_(1.5)
            average_of(setup).update_parameters(setup.generator)
    ours, theirs = average_of(first).state_dict(), average_of(second).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_states_of_version_0_1_0_load() -> None:
    setup = run(nn.Linear(2, 2))
    old = {"module.weight": torch.ones(2, 2), "module.bias": torch.zeros(2), "_extra_state": 7}
    average = average_of(setup)
    average.load_state_dict(old)
    assert average.n_averaged.item() == 7
    assert torch.equal(parameters(average)[0], torch.ones(2, 2))
    average.update_parameters(setup.generator)
    torch.testing.assert_close(parameters(average)[0], 0.9 + 0.1 * parameters(setup.generator)[0])


def test_states_of_version_0_1_0_in_half_precision_load() -> None:
    setup = Setup(n=0, networks=(Half(torch.bfloat16), mlp(2, 1)), ema=0.9)
    average = average_of(setup)
    old = {f"module.{name}": tensor + 1 for name, tensor in setup.generator.state_dict().items()} | {"_extra_state": 7}
    average.load_state_dict(old)
    average.update_parameters(setup.generator)
    expected = setup.generator.state_dict()["layer.weight"].float() + 0.9
    torch.testing.assert_close(average.state_dict()["module.layer.weight"].float(), expected, rtol=0, atol=0.02)


def test_a_state_that_lacks_weights_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Missing key.*module.bias"):
        average_of(run(nn.Linear(2, 2))).load_state_dict({"module.weight": torch.ones(2, 2), "_extra_state": 7})


# One of the user's own


def test_an_averaged_model_of_ones_own_is_used_as_it_is() -> None:
    generator = mlp(2, 2)
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(0.5))  # type: ignore[no-untyped-call]
    setup = run(generator, iterations=3, ema=average)
    assert average_of(setup) is average
    assert average.n_averaged.item() == 3


@pytest.mark.parametrize("kind", ["parametrization", "hook"])
def test_torchs_average_of_spectrally_normalised_weights_is_refused(kind: str) -> None:
    generator = nn.Sequential(nn.Linear(2, 2), spectral(nn.Linear(2, 2), kind))
    with pytest.raises(ValueError, match=r"ema is an AveragedModel of a generator with spectral_norm.* such as ema=0"):
        run(generator, ema=AveragedModel(generator))


def test_an_average_of_another_network_is_refused() -> None:
    for other in (nn.Linear(3, 2), nn.Sequential(mlp(2, 2), mlp(2, 2)), nn.Linear(2, 2, dtype=torch.float64)):
        with pytest.raises(ValueError, match=r"ema averages another network.*AveragedModel\(generator"):
            run(mlp(2, 2), ema=AveragedModel(other))


@pytest.mark.parametrize("wrap", [lambda generator: generator, nn.DataParallel], ids=["bare", "wrapped"])
def test_the_wrapper_of_a_data_parallel_generator_is_taken_off(wrap: Callable[[nn.Module], nn.Module]) -> None:
    setup = Setup(n=1, ema=0.5, wrap=wrap)
    setup.run(2)
    assert next(name for name, _ in average_of(setup).named_parameters()) == "module.0.weight"
    assert average_of(setup).n_averaged.item() == 2
