"""Compiled updates, mixed precision, scaling and accumulation, with a controller that changes n all the time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from adaptive_critic import StepDecayController, WassersteinGapController, infinite_batches
from adaptive_critic.guard import DivergenceGuard
from adaptive_critic.rate import CriticRate
from experiments.bench.counting import host_reads
from tests.guard.engines import record_steps
from tests.training_toys import Setup, mlp, real_batches

STAIRS = {index: index % 10 + 1 for index in range(30)}  # n = 1, 2, ..., 10, over and over


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


# torch's compiler uses what torch deprecated, and looks at gradients that are not there.
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:The .grad attribute of a Tensor:UserWarning"
)
@pytest.mark.parametrize("mode", ["hold", "rollback"])
def test_compiled_updates_are_not_compiled_again_as_n_changes(mode: str) -> None:
    torch.manual_seed(0)
    generator, critic = mlp(2, 2), mlp(2, 1)
    optimizer_g = torch.optim.SGD(generator.parameters(), lr=0.01)
    optimizer_d = torch.optim.SGD(critic.parameters(), lr=0.01)
    compiler = CompileCounter()

    @torch.compile(backend=compiler)
    def critic_update(real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        optimizer_d.zero_grad()
        d_real = critic(real).mean()
        d_fake = critic(generator(torch.randn(8, 2)).detach()).mean()
        loss = d_fake - d_real
        loss.backward()
        optimizer_d.step()
        return d_real.detach(), d_fake.detach(), loss.detach()

    @torch.compile(backend=compiler)
    def generator_update() -> Tensor:
        optimizer_g.zero_grad()
        loss = -critic(generator(torch.randn(8, 2))).mean()
        loss.backward()
        optimizer_g.step()
        result: Tensor = loss.detach()
        return result

    batches = infinite_batches(real_batches())
    compiled: list[int] = []
    seen: list[int] = []

    def train_step(engine: Any, _: Any) -> dict[str, Any]:
        n = engine.state.num_discriminator_steps
        d_real, d_fake, d_loss = zip(*[critic_update(next(batches)) for _ in range(n)], strict=True)
        g_loss = generator_update()
        seen.append(n)
        compiled.append(compiler.frame_count)
        return {"d_real": d_real, "d_fake": d_fake, "d_loss": d_loss, "g_loss": g_loss}

    trainer = Engine(train_step)
    # The one that rolls back has hooks on the optimizers, whose steps are compiled.
    restored = {"optimizer_g": optimizer_g, "optimizer_d": optimizer_d} if mode == "rollback" else None
    guard = DivergenceGuard(mode, to_restore=restored, check_every=4)
    StepDecayController(milestones=STAIRS, on_divergence=guard).attach(trainer)
    follower = WassersteinGapController(param_name="other", warmup=3)
    follower.attach(trainer)
    trainer.run(range(30))
    assert set(seen) == set(range(1, 11))
    assert compiled[0] > 0, "else nothing was compiled"
    # The second update of a network may differ from the first, which finds no gradients yet; n = 2 has it.
    assert compiled[1:] == [compiled[1]] * 29
    assert follower.bad_observations == 0
    updates = [name for name in guard.state_dict()["rules"]["history"] if name.startswith("update of ")]
    assert len(updates) == (2 if mode == "rollback" else 0)


@pytest.mark.parametrize(
    "options",
    [
        {"autocast": torch.bfloat16},
        {"autocast": torch.float16},
        {"autocast": torch.float16, "gradient_accumulation_steps": 3},
        {"autocast": torch.bfloat16, "gradient_accumulation_steps": 2, "ema": 0.9},
    ],
    ids=str,
)
def test_mixed_precision_scaling_and_accumulation(options: dict[str, Any]) -> None:
    def run(attached: bool) -> tuple[Any, list[str], int]:
        setup = Setup(n=4, **options)
        controller = WassersteinGapController(initial=4, warmup=2, gain=0.3, update_every=4, on_divergence="hold")
        if attached:
            with pytest.warns(UserWarning, match="is overwritten"):
                controller.attach(setup.trainer)
        asked = record_steps(setup.trainer)
        with host_reads() as reads:
            setup.run(20)
        return controller, reads, sum(asked)

    controller, reads, asked = run(attached=True)
    _, plain, _ = run(attached=False)
    assert controller.bad_observations == 0
    assert controller.generator_updates == 20
    assert controller.ratio != 4.0
    # Reading is the scaler's, one at each optimizer step, but for the decisions (5) and the guard's checks (2).
    scaled = options["autocast"] is torch.float16
    assert len(plain) == (100 if scaled else 0)
    assert len(reads) == 7 + (asked + 20 if scaled else 0)
    skipped = asked - controller.critic_updates  # while the scaler looks for its scale
    assert 0 <= skipped < 5 if scaled else skipped == 0


# torch's compiler uses what torch deprecated, and looks at gradients that are not there.
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:The .grad attribute of a Tensor:UserWarning"
)
@pytest.mark.parametrize("what", ["step", "update"])
@pytest.mark.parametrize("first", ["attach", "compile"])
@pytest.mark.parametrize(("tensor", "more"), [(True, 0), (False, 1)], ids=["tensor", "float"])
def test_a_compiled_step_is_not_compiled_again_as_the_multiplier_changes(
    what: str, first: str, tensor: bool, more: int
) -> None:
    compiler = CompileCounter()
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=torch.tensor(0.5) if tensor else 0.5)
    rate = CriticRate(optimizer)

    def update() -> None:
        torch.autograd.backward(parameter.sum())
        optimizer.step()
        optimizer.zero_grad()

    def with_compiled_step() -> None:
        torch.autograd.backward(parameter.sum())
        compiled()
        optimizer.zero_grad()

    if first == "attach":
        rate.attach()
    compiled = torch.compile(optimizer.step if what == "step" else update, backend=compiler)
    rate.attach()
    run = with_compiled_step if what == "step" else compiled
    counts, moved = [], []
    multipliers = [1.0, 4.0, 0.5, 8.0, 3.0, 5.0, 0.125]
    for multiplier in multipliers:
        rate.multiplier = multiplier
        before = parameter.item()
        run()
        moved.append(before - parameter.item())
        counts.append(compiler.frame_count)
    assert moved == [0.5 * multiplier for multiplier in multipliers]
    assert counts[0] > 0, "else nothing was compiled"
    # A rate that is a float is compiled once more, with the number as an input.
    assert counts[1:] == [counts[0] + more] * (len(multipliers) - 1)
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_step_that_the_compiler_leaves_alone() -> None:
    torch.compile(lambda x: x + 1, backend=CompileCounter())(torch.ones(1))  # from now on LBFGS.step is marked so
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.LBFGS([parameter], lr=0.125, max_iter=1)
    rate = CriticRate(optimizer, 2.0)
    rate.attach()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (parameter - 2).square().sum()
        torch.autograd.backward(loss)
        return loss

    torch.compile(optimizer.step, backend=CompileCounter())(closure)
    assert parameter.item() == pytest.approx(0.25)  # the first step is min(1, 1 / |gradient|) * rate * gradient
    assert optimizer.param_groups[0]["lr"] == 0.125
