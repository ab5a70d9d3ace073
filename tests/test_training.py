from __future__ import annotations

import copy
import itertools
import statistics
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch import Tensor, nn
from torch.nn.functional import relu, softplus
from torch.utils.data import DataLoader, TensorDataset

from adaptive_critic.data import infinite_batches
from adaptive_critic.training import OBJECTIVES, create_gan_trainer
from tests.training_toys import (
    CRITIC_KEYS,
    GENERATOR_KEYS,
    Conditional,
    HostReads,
    Setup,
    mlp,
    real_batches,
)

OBJECTIVE_OPTIONS: list[dict[str, Any]] = [
    *({"objective": name} for name in OBJECTIVES),
    {"objective": "non-saturating", "r1": 0.3},
]
every_objective = pytest.mark.parametrize("options", OBJECTIVE_OPTIONS, ids=str)


def labelled(count: int = 7, size: int = 8) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [(batch, torch.randint(3, (size,), generator=generator)) for batch in real_batches(count, size)]


@every_objective
def test_every_objective_moves_the_generator_towards_the_data(options: dict[str, Any]) -> None:
    torch.manual_seed(1)  # of the networks, which are made before Setup seeds
    setup = Setup(
        n=3, networks=(nn.Linear(2, 2), mlp(2, 1)), lr=(0.02, 0.02), make_optimizer=torch.optim.RMSprop, **options
    )
    data_mean = torch.cat(real_batches()).mean(dim=0)

    def distance() -> float:
        with torch.no_grad():
            return float((setup.generator(torch.randn(500, 2)).mean(dim=0) - data_mean).norm())

    before = distance()
    setup.run(60)
    assert distance() < 0.7 * before


def by_hand(options: dict[str, Any], n: int) -> tuple[list[Tensor], dict[str, list[float]]]:
    """One iteration of n critic updates as a reader of the papers would write it; returns weights and scores."""
    name = options["objective"]
    torch.manual_seed(0)
    generator, critic = mlp(2, 2), mlp(2, 1)
    optimizer_g = torch.optim.SGD(generator.parameters(), lr=0.05)
    optimizer_d = torch.optim.SGD(critic.parameters(), lr=0.05)
    out: dict[str, list[float]] = {key: [] for key in (*CRITIC_KEYS, *GENERATOR_KEYS)}
    boundary = 0.5 if name == "least-squares" else 0.0
    for real in real_batches()[:n]:
        fake = generator(torch.randn(8, 2)).detach()
        d_real, d_fake = critic(real)[:, 0], critic(fake)[:, 0]
        if name.startswith("wasserstein"):
            loss = d_fake.mean() - d_real.mean()
        elif name == "non-saturating":
            loss = (softplus(-d_real) + softplus(d_fake)).mean()
        elif name == "hinge":
            loss = (relu(1 - d_real) + relu(1 + d_fake)).mean()
        else:
            loss = ((d_real - 1) ** 2 + d_fake**2).mean()
        penalty = torch.zeros(())
        if name == "wasserstein-gp":
            mix = torch.rand(8, 1)
            between = (real + mix * (fake - real)).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = 10 * ((slope.norm(dim=1) - 1) ** 2).mean()
        if "r1" in options:
            point = real.clone().requires_grad_()
            (slope,) = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
            penalty = 0.3 / 2 * (slope**2).sum(dim=1).mean()
        right = torch.cat([d_real > boundary, d_fake <= boundary]).float().mean()
        spread = [((scores - scores.mean()) ** 2).mean().sqrt() for scores in (d_real, d_fake)]
        for key, value in zip(CRITIC_KEYS, (d_real.mean(), d_fake.mean(), loss, *spread, right, penalty), strict=True):
            out[key].append(value.item())
        optimizer_d.zero_grad()
        torch.autograd.backward(loss + penalty)
        optimizer_d.step()
        if name == "wasserstein-clip":
            for weight in critic.parameters():
                weight.data.clamp_(-0.01, 0.01)
    scores = critic(generator(torch.randn(8, 2)))[:, 0]
    if name == "non-saturating":
        g_loss = softplus(-scores).mean()
    elif name == "least-squares":
        g_loss = ((scores - 1) ** 2).mean()
    else:
        g_loss = -scores.mean()
    for key, value in zip(GENERATOR_KEYS, (g_loss, scores.mean(), (scores <= boundary).float().mean()), strict=True):
        out[key].append(value.item())
    optimizer_g.zero_grad()
    torch.autograd.backward(g_loss)
    optimizer_g.step()
    return [*generator.parameters(), *critic.parameters()], out


@pytest.mark.parametrize("n", [1, 3])
@every_objective
def test_an_iteration_is_the_one_written_out_by_hand(options: dict[str, Any], n: int) -> None:
    setup = Setup(n=n, **options)
    torch.manual_seed(0)
    mlp(2, 2), mlp(2, 1)  # leaves the random state where by_hand has it
    (output,) = setup.run(1)
    weights, expected = by_hand(options, n)
    for key, values in expected.items():
        assert output[key].flatten().tolist() == pytest.approx(values, rel=1e-4, abs=1e-6), key
    for ours, theirs in zip(setup.weights(), weights, strict=True):
        torch.testing.assert_close(ours, theirs.detach())


def assert_step_output(output: dict[str, Any], n: int, num_samples: int) -> None:
    assert set(output) == {*CRITIC_KEYS, *GENERATOR_KEYS, "num_samples"}
    for key in CRITIC_KEYS:
        assert output[key].shape == (n,), key
    for key in GENERATOR_KEYS:
        assert output[key].shape == (), key
    for key in (*CRITIC_KEYS, *GENERATOR_KEYS):
        assert not output[key].requires_grad, key
        assert output[key].dtype == torch.float32, key
        assert output[key].isfinite().all(), key
    assert type(output["num_samples"]) is int
    assert output["num_samples"] == num_samples


@every_objective
def test_the_output_has_every_entry_whatever_n_is(options: dict[str, Any]) -> None:
    setup = Setup(**options)
    for n in (1, 0, 4, 0, 2):
        setup.set(n)
        (output,) = setup.run(1)
        # A list states no batch size: without a critic update a batch is drawn to learn it.
        assert_step_output(output, n, num_samples=8 * max(n, 1))


def test_without_critic_updates_only_the_generator_moves() -> None:
    setup = Setup(n=0)
    before = setup.weights()
    setup.run(1)
    moved = [not torch.equal(a, b) for a, b in zip(before, setup.weights(), strict=True)]
    assert moved == [True] * 4 + [False] * 4


def test_without_critic_updates_no_batch_is_drawn_if_the_loader_states_its_size() -> None:
    sizes: list[int] = []

    def sample_latent(size: int) -> Tensor:
        sizes.append(size)
        return torch.randn(size, 2)

    data: DataLoader[Any] = DataLoader(TensorDataset(torch.cat(real_batches())), batch_size=8)
    (output,) = Setup(n=0, data=data, sample_latent=sample_latent).run(1)
    assert (output["num_samples"], sizes) == (0, [8])


def test_every_critic_update_gets_a_fresh_batch() -> None:
    seen: list[Tensor] = []
    setup = Setup(n=3, objective="hinge", data=infinite_batches(real_batches(count=6)))
    setup.discriminator.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    setup.run(2)
    real = [batch for index, batch in enumerate(seen) if index % 7 in (0, 2, 4)]  # 3 * (real, fake) + generator's
    assert len(real) == 6
    assert all(torch.equal(a, b) for a, b in zip(real, real_batches(count=6), strict=True))


def test_batches_of_different_size_are_measured_one_by_one() -> None:
    ragged = [real_batches()[0], real_batches()[1][:5]]
    (output,) = Setup(n=2, lr=(0.0, 0.0), objective="hinge", data=ragged).run(1)
    critic = Setup().discriminator
    with torch.no_grad():
        expected = [critic(batch).mean().item() for batch in ragged]
        spread = [critic(batch).std(correction=0).item() for batch in ragged]
    assert output["d_real"].tolist() == pytest.approx(expected, rel=1e-5)
    assert output["d_real_std"].tolist() == pytest.approx(spread, rel=1e-4)
    assert output["num_samples"] == 13


@every_objective
def test_the_critic_of_g_fake_is_the_one_that_d_fake_starts_from(options: dict[str, Any]) -> None:
    # kappa's numerator is d_fake[0] at t+1 - g_fake at t: with a generator that stands still and the same latents
    # it has to vanish exactly, so weights, mode and clipping are the same in both.
    latents = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    networks = (mlp(2, 2), nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1)))
    outputs = Setup(n=2, networks=networks, lr=(0.0, 0.05), sample_latent=lambda size: latents[:size], **options).run(6)
    for now, after in itertools.pairwise(outputs):
        assert after["d_fake"][0].item() == now["g_fake"].item()
    assert len({output["g_fake"].item() for output in outputs}) == 6  # and yet the critic moves


def test_kappa_s_numerator_is_zero_on_average_if_the_generator_stands_still() -> None:
    outputs = Setup(n=1, lr=(0.0, 0.01), objective="hinge").run(400)
    numerators = [b["d_fake"][0].item() - a["g_fake"].item() for a, b in itertools.pairwise(outputs)]
    error = statistics.stdev(numerators) / len(numerators) ** 0.5
    assert abs(statistics.mean(numerators)) < 4 * error
    # and its noise is that of two means of 8 samples, nothing else
    of_one = statistics.mean(output["d_fake_std"][0].item() for output in outputs) / 8**0.5
    assert statistics.stdev(numerators) == pytest.approx(of_one * 2**0.5, rel=0.2)


def test_clipping_comes_after_the_step() -> None:
    setup = Setup(n=1, objective="wasserstein-clip", clip=0.02)
    setup.run(1)
    assert max(weight.abs().max().item() for weight in setup.discriminator.parameters()) <= 0.02


def test_the_generator_gets_no_gradients_from_critic_updates_nor_the_critic_from_the_generator_s() -> None:
    setup = Setup(n=1)
    gradients: list[list[Tensor]] = []

    def keep(optimizer: Any, args: Any, kwargs: Any) -> None:
        assert all(parameter.grad is None for parameter in setup.generator.parameters())
        gradients.append([p.grad.clone() for p in setup.discriminator.parameters() if p.grad is not None])

    setup.optimizer_d.register_step_pre_hook(keep)
    setup.run(1)
    after = [parameter.grad for parameter in setup.discriminator.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(gradients[0], after, strict=True) if b is not None)
    assert len(gradients[0]) == 4


def test_a_frozen_layer_of_the_critic_stays_frozen() -> None:
    setup = Setup(n=1)
    first, *rest = setup.discriminator.parameters()
    first.requires_grad_(False)
    before = first.clone()
    setup.run(2)
    assert torch.equal(first, before)
    assert not first.requires_grad
    assert all(parameter.requires_grad for parameter in rest)


def test_the_critic_is_trainable_again_after_an_error_in_the_generator_s_update() -> None:
    setup = Setup(n=0)
    with setup.generator.register_forward_hook(lambda *args: 1 / 0), pytest.raises(ZeroDivisionError):
        setup.run(1)
    assert all(parameter.requires_grad for parameter in setup.discriminator.parameters())


def test_networks_left_in_evaluation_mode_are_trained_in_training_mode() -> None:
    setup = Setup()
    setup.generator.eval(), setup.discriminator.eval()
    setup.run(1)
    assert setup.generator.training
    assert setup.discriminator.training


@pytest.mark.parametrize(
    "extra", [{}, {"ema": 0.9}, {"autocast": torch.bfloat16}, {"gradient_accumulation_steps": 2}], ids=str
)
@every_objective
def test_nothing_is_read_back_to_the_host(options: dict[str, Any], extra: dict[str, Any]) -> None:
    setup = Setup(n=2, **options, **extra)
    with HostReads() as reads:
        setup.run(2)
    assert reads.found == []


def test_the_counter_of_host_reads_counts() -> None:
    setup = Setup()
    setup.generator.register_forward_hook(lambda module, args, output: output.sum().item() and None)
    with HostReads() as reads:
        setup.run(1)
    assert len(reads.found) == 3  # two critic updates and the generator's


def test_conditional_networks_get_labels_and_generated_samples_those_of_the_real_batch() -> None:
    calls: list[tuple[str, Tensor]] = []
    networks = (Conditional(2, 2), Conditional(2, 1))
    setup = Setup(n=2, networks=networks, objective="hinge", data=labelled(), conditional=True)
    for name, network in zip("gd", networks, strict=True):
        network.register_forward_hook(lambda module, args, output, name=name: calls.append((name, args[1])))
    (output,) = setup.run(1)
    assert_step_output(output, 2, 16)
    first, second = (labels for _, labels in labelled()[:2])
    expected = [*"gdd", *"gdd", *"gd"]
    assert [name for name, _ in calls] == expected
    for (_, labels), wanted in zip(calls, [first] * 3 + [second] * 5, strict=True):
        assert torch.equal(labels, wanted)


@pytest.mark.parametrize("options", [{}, {"objective": "non-saturating", "r1": 1.0}], ids=str)
def test_conditional_training_with_penalties_and_without_critic_updates(options: dict[str, Any]) -> None:
    networks = (Conditional(2, 2), Conditional(2, 1))
    setup = Setup(n=2, networks=networks, data=labelled(), conditional=True, **options)
    assert_step_output(setup.run(1)[0], 2, 16)
    setup.set(0)
    assert_step_output(setup.run(1)[0], 0, 8)


@pytest.mark.parametrize("batch", [lambda x: (x, torch.zeros(8)), lambda x: [x, "name"], lambda x: (x,)])
def test_an_unconditional_trainer_takes_the_first_of_a_tuple(batch: Callable[[Tensor], Any]) -> None:
    tuples = [batch(x) for x in real_batches()]
    a, b = Setup(objective="hinge", data=tuples).run(2), Setup(objective="hinge").run(2)
    assert a[1]["d_loss"].tolist() == b[1]["d_loss"].tolist()


def test_other_forms_of_batches_go_through_prepare_batch() -> None:
    rows = [{"image": x} for x in real_batches()]
    with pytest.raises(ValueError, match=r"a batch is a dict with keys \['image'\].*prepare_batch= can make that"):
        Setup(data=rows).run(1)
    with pytest.raises(ValueError, match=r"a batch is a list of \['str', 'Tensor'\].*prepare_batch= can make that"):
        Setup(data=[["name", x] for x in real_batches()]).run(1)
    outputs = Setup(objective="hinge", data=rows, prepare_batch=lambda batch: batch["image"]).run(2)
    assert outputs[1]["d_loss"].tolist() == Setup(objective="hinge").run(2)[1]["d_loss"].tolist()


def test_a_sequence_of_latent_dims_is_a_shape() -> None:
    shapes: list[tuple[int, ...]] = []
    generator = nn.Sequential(nn.Flatten(), mlp(6, 2))
    generator.register_forward_hook(lambda module, args, output: shapes.append(tuple(args[0].shape)))
    Setup(networks=(generator, mlp(2, 1)), latent_dim=(6, 1, 1)).run(1)
    assert set(shapes) == {(8, 6, 1, 1)}


class Reshape(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(self.shape)


@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 1, 1, 1)])
def test_one_score_per_sample_in_any_shape(shape: tuple[int, ...]) -> None:
    critic = nn.Linear(2, 1)
    (output,) = Setup(n=1, networks=(mlp(2, 2), nn.Sequential(critic, Reshape(shape))), lr=(0.0, 0.0)).run(1)
    with torch.no_grad():
        assert output["d_real"][0].item() == pytest.approx(critic(real_batches()[0]).mean().item())


@pytest.mark.parametrize("shape", [(4, 4), (), (1,), (16,), (2, 8)])
def test_scores_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.weight.expand(shape)

    with pytest.raises(ValueError, match=r"scores of shape \(.*\) for 8 samples: expected \(8,\) or \(8, 1\)"):
        Setup(networks=(mlp(2, 2), Wrong())).run(1)


def test_scores_that_are_no_tensor_are_refused() -> None:
    critic = mlp(2, 1)
    critic.register_forward_hook(lambda module, args, output: (output,))
    with pytest.raises(TypeError, match="the discriminator returned tuple: expected a tensor of scores"):
        Setup(networks=(mlp(2, 2), critic)).run(1)


def test_the_number_of_critic_updates_has_to_be_set() -> None:
    setup = Setup(n=None)
    with pytest.raises(RuntimeError, match=r"num_discriminator_steps is not set: attach a controller such as Fixed"):
        setup.run(1)


@pytest.mark.parametrize(
    ("n", "error"), [(-1, ValueError), (2.0, TypeError), (True, TypeError), (torch.tensor(2), TypeError)]
)
def test_the_number_of_critic_updates_has_to_be_a_count(n: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"engine\.state\.num_discriminator_steps="):
        Setup(n=n).run(1)


def test_the_number_can_be_read_from_another_attribute() -> None:
    setup = Setup(n=None, param_name="n_critic")
    setup.trainer.state.n_critic = 3  # type: ignore[attr-defined]  # Ignite's State is open
    assert_step_output(setup.run(1)[0], 3, 24)
    with pytest.raises(RuntimeError, match=r"trainer\.state\.ratio = 5"):
        Setup(n=2, param_name="ratio").run(1)


def test_data_given_to_run_is_refused_as_it_would_be_ignored() -> None:
    setup = Setup()
    with pytest.raises(ValueError, match=r"run\(\) was given data \(a batch of type Tensor\), but this trainer draws"):
        setup.trainer.run(real_batches(), max_epochs=1)
    setup.trainer.run(range(3), max_epochs=1)  # the habit of counting iterations by a range is harmless


def test_a_stop_iteration_inside_the_step_is_an_error_and_not_the_end_of_an_epoch() -> None:
    latents = iter([torch.randn(8, 2)])
    with pytest.raises(RuntimeError, match="StopIteration inside the training step"):
        Setup(sample_latent=lambda size: next(latents)).run(3)


def test_an_empty_loader_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="the list yielded no batches"):
        Setup(data=[]).run(1)


def test_labels_that_are_missing_are_named() -> None:
    with pytest.raises(ValueError, match=r"conditional=True, but a batch has no labels \(a Tensor\)"):
        Setup(networks=(Conditional(2, 2), Conditional(2, 1)), conditional=True).run(1)


def test_generated_samples_of_another_shape_are_refused_by_the_gradient_penalty() -> None:
    class SumOfFeatures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return x.sum(dim=1) * self.weight

    with pytest.raises(ValueError, match=r"real samples of shape \(8, 2\), generated ones of \(8, 5\)"):
        Setup(networks=(mlp(2, 5), SumOfFeatures())).run(1)


SGD = torch.optim.SGD
BAD_OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"objective": "wgan"}, ValueError, "objective='wgan': expected one of 'wasserstein-gp' or 'wgan-gp'"),
    ({"latent_dim": None}, ValueError, "got neither of latent_dim and sample_latent"),
    ({"sample_latent": torch.randn, "latent_dim": 2}, ValueError, "got both of latent_dim and sample_latent"),
    ({"sample_latent": 3}, TypeError, "sample_latent=3: expected a callable"),
    ({"latent_dim": 0}, ValueError, "latent_dim=0"),
    ({"latent_dim": (4, -1)}, ValueError, "latent_dim=-1"),
    ({"latent_dim": 2.0}, TypeError, r"latent_dim=2\.0"),
    ({"latent_dim": "64"}, TypeError, "latent_dim='64': expected an int of at least 1"),
    ({"param_name": "two words"}, ValueError, "param_name='two words': expected a name that works as an attribute"),
    ({"gradient_accumulation_steps": 0}, ValueError, "gradient_accumulation_steps=0"),
    ({"gradient_accumulation_steps": 1.5}, TypeError, r"gradient_accumulation_steps=1\.5"),
    ({"gradient_penalty": -1.0}, ValueError, r"gradient_penalty=-1\.0"),
    ({"objective": "non-saturating", "r1": -1.0}, ValueError, r"r1=-1\.0"),
    ({"objective": "wasserstein-clip", "clip": 0.0}, ValueError, r"clip=0\.0"),
    ({"objective": "hinge", "clip": 0.01}, ValueError, r"clip=0\.01 with objective 'hinge'"),
    ({"data": 5}, TypeError, "expected an iterable of batches, such as a DataLoader, got 5"),
    ({"device": "meta"}, ValueError, "device='meta', but the generator is on 'cpu'"),
    ({"ema": 1.0}, ValueError, r"^ema=1\.0"),
    ({"latent_size": 2}, TypeError, "^create_gan_trainer has no argument 'latent_size': did you mean 'latent_dim'"),
    ({"z_dim": 2}, TypeError, "no argument 'z_dim': did you mean 'latent_dim'"),
    ({"ema": True}, TypeError, r"^ema=True: expected the decay, such as 0\.999"),
    ({"n_critic": 5}, TypeError, r"no argument 'n_critic': .* FixedController\(5\)\.attach\(trainer\)"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD_OPTIONS, ids=[str(list(row[0])) for row in BAD_OPTIONS])
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Setup(**options)


def test_a_value_without_its_name_is_refused() -> None:
    g, d = mlp(2, 2), mlp(2, 1)
    optimizers = SGD(g.parameters(), lr=0.1), SGD(d.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"^create_gan_trainer\(\[1\]\): give this value by name, such as data=\[1\]"):
        create_gan_trainer(g, d, *optimizers, [1])  # type: ignore[call-arg]


def create(generator: Any, discriminator: Any, optimizer_g: Any, optimizer_d: Any) -> Engine:
    return create_gan_trainer(generator, discriminator, optimizer_g, optimizer_d, data=real_batches(), latent_dim=2)


def test_swapped_optimizers_are_found() -> None:
    g, d = mlp(2, 2), mlp(2, 1)
    for optimizers in (
        (SGD(d.parameters(), lr=0.1), SGD(g.parameters(), lr=0.1)),
        (SGD([*g.parameters(), *d.parameters()], lr=0.1), SGD(d.parameters(), lr=0.1)),
    ):
        with pytest.raises(ValueError, match=r"optimizer_g steps 4 parameter\(s\) of the discriminator, such as '0.w"):
            create(g, d, *optimizers)
    with pytest.raises(ValueError, match=r"optimizer_d steps 4 parameter\(s\) of the generator.*swapped\?"):
        create(g, d, SGD(g.parameters(), lr=0.1), SGD(g.parameters(), lr=0.1))


def test_an_optimizer_of_a_copy_of_the_network_is_found() -> None:
    g, d = mlp(2, 2), mlp(2, 1)
    with pytest.raises(ValueError, match=r"optimizer_g steps 4 tensor\(s\) that are not parameters of the generator"):
        create(g, d, SGD(copy.deepcopy(g).parameters(), lr=0.1), SGD(d.parameters(), lr=0.1))


def test_a_critic_that_ends_in_a_sigmoid_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Setup(networks=(nn.Sequential(mlp(2, 2), nn.Sigmoid()), mlp(2, 1)))
    assert caplog.records == []
    Setup(networks=(mlp(2, 2), nn.Sequential(mlp(2, 1), nn.Sigmoid())))
    (record,) = caplog.records
    assert "the last module of the discriminator is a Sigmoid: its scores must be logits" in record.getMessage()


def test_networks_and_optimizers_have_to_be_what_they_are_called() -> None:
    g, d = mlp(2, 2), mlp(2, 1)
    optimizer_g, optimizer_d = SGD(g.parameters(), lr=0.1), SGD(d.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"generator=<.*>: expected a torch\.nn\.Module, got function"):
        create(lambda z: z, d, optimizer_g, optimizer_d)
    with pytest.raises(TypeError, match=r"discriminator=None: expected a torch\.nn\.Module"):
        create(g, None, optimizer_g, optimizer_d)
    with pytest.raises(TypeError, match=r"optimizer_d=None: expected a torch\.optim\.Optimizer"):
        create(g, d, optimizer_g, None)


def test_the_trainer_counts_iterations_and_epochs_as_ignite_does() -> None:
    setup = Setup()
    epochs: list[int] = []
    setup.trainer.add_event_handler("EPOCH_COMPLETED", lambda engine: epochs.append(engine.state.iteration))
    setup.trainer.run(max_epochs=2, epoch_length=3)
    assert (setup.trainer.state.iteration, epochs) == (6, [3, 6])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"conditional": 1}, TypeError, "^conditional=1: expected True or False, got int$"),
        ({"non_blocking": "no"}, TypeError, "^non_blocking='no': expected True or False, got str$"),
        ({"prepare_batch": "first"}, TypeError, "^prepare_batch='first': expected a function of a batch, or None$"),
        ({"sample_latent": 3}, TypeError, "^sample_latent=3: expected a callable"),
        (
            {"latent_dim": []},
            ValueError,
            r"^latent_dim=\[\]: expected an int of at least 1, or a sequence of such ints$",
        ),
        ({"latent_dim": ()}, ValueError, r"^latent_dim=\(\): expected an int"),
        ({"device": 7}, TypeError, "^device=7: expected a torch.device, text such as 'cuda:0', or None, got int$"),
        ({"device": ["cpu"]}, TypeError, r"^device=\['cpu'\]: expected a torch.device"),
        ({"device": "gpu"}, ValueError, "^device='gpu': expected what torch.device takes"),
        ({"device": ""}, ValueError, "^device='': expected what torch.device takes"),
        ({"ema": 1.0}, ValueError, r"^ema=1\.0: expected a number at least 0 and below 1$"),
        ({"ema": "slow"}, TypeError, "^ema='slow': expected a finite number, got str$"),
    ],
)
def test_bad_options_are_quoted_when_the_trainer_is_made(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Setup(**options)


def test_a_function_without_latents_is_told() -> None:
    with pytest.raises(TypeError, match=r"^sample_latent\(8\) returned None: expected 8 latents, such as a tensor$"):
        Setup(sample_latent=lambda batch: None).trainer.run(max_epochs=1, epoch_length=1)


@pytest.mark.parametrize(("batch", "shape"), [(torch.empty(0, 2), r"\(0, 2\)"), (torch.tensor(1.0), r"\(\)")])
def test_a_batch_without_samples_is_told(batch: torch.Tensor, shape: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^a batch has samples of shape {shape}: expected \(batch, \.\.\.\) with at least one"
    ):
        Setup(data=[batch]).trainer.run(max_epochs=1, epoch_length=1)
