"""Small GANs and inspection tools that the tests of create_gan_trainer share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor, distributed, nn
from torch.utils._python_dispatch import TorchDispatchMode

from adaptive_critic.training import create_gan_trainer

CRITIC_KEYS = ("d_real", "d_fake", "d_loss", "d_real_std", "d_fake_std", "d_accuracy", "d_penalty")
GENERATOR_KEYS = ("g_loss", "g_fake", "g_fake_accuracy")


class Conditional(nn.Module):
    """An MLP that takes a one-hot label of 3 classes beside its input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = mlp(inputs + 3, outputs)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        output: Tensor = self.layers(torch.cat([x, nn.functional.one_hot(labels, 3).to(x.dtype)], dim=1))
        return output


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 16), nn.LeakyReLU(0.2), nn.Linear(16, outputs))


def real_batches(count: int = 7, size: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(11)
    return [torch.randn(size, 2, generator=generator) * 0.3 + torch.tensor([2.0, -1.0]) for _ in range(count)]


class Setup:
    """Two networks, their SGD optimizers and a trainer with 2-D latents over real_batches()."""

    def __init__(
        self,
        n: int | None = 2,
        networks: tuple[nn.Module, nn.Module] | None = None,
        lr: tuple[float, float] = (0.05, 0.05),
        make_optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
        wrap: Callable[[nn.Module], nn.Module] = lambda network: network,
        **options: Any,
    ) -> None:
        torch.manual_seed(0)
        self.generator, self.discriminator = networks or (mlp(2, 2), mlp(2, 1))
        self.optimizer_g = make_optimizer(self.generator.parameters(), lr=lr[0])
        self.optimizer_d = make_optimizer(self.discriminator.parameters(), lr=lr[1])
        defaults = {"data": real_batches()} | ({} if "sample_latent" in options else {"latent_dim": 2})
        self.trainer = create_gan_trainer(
            wrap(self.generator),
            wrap(self.discriminator),
            self.optimizer_g,
            self.optimizer_d,
            **(defaults | options),
        )
        if n is not None:
            self.set(n)

    def set(self, n: Any) -> None:
        self.trainer.state.num_discriminator_steps = n  # type: ignore[attr-defined]  # Ignite's State is open

    def run(self, iterations: int = 1) -> list[dict[str, Any]]:
        return run(self.trainer, iterations)

    def weights(self) -> list[Tensor]:
        return [
            parameter.detach().clone()
            for network in (self.generator, self.discriminator)
            for parameter in network.parameters()
        ]


def run(trainer: Engine, iterations: int) -> list[dict[str, Any]]:
    """Run that many iterations more and return their outputs."""
    outputs: list[dict[str, Any]] = []
    with trainer.add_event_handler("ITERATION_COMPLETED", lambda engine: outputs.append(engine.state.output)):
        # Epochs of one iteration: every Ignite goes on after them, and none loses an iteration at their end.
        trainer.run(max_epochs=trainer.state.iteration + iterations, epoch_length=1)
    return outputs


LATENTS = torch.randn(8, 2, generator=torch.Generator().manual_seed(4))


def train_one_rank(rank: int, folder: str, options: dict[str, Any]) -> None:
    """Train on this rank's half of real_batches(16) as one of two processes, and save the weights."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    setup = Setup(
        n=2,
        wrap=nn.parallel.DistributedDataParallel,
        data=real_batches(16)[rank::2],
        sample_latent=lambda size: LATENTS[:size],
        gradient_accumulation_steps=2,
        **options,
    )
    setup.run(2)
    setup.set(0)  # an iteration without critic updates must not confuse the wrappers
    setup.run(1)
    torch.save(setup.weights(), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


class HostReads(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own hook is untyped
    """Counts operations that make the host wait for a value on the device."""

    OPERATIONS = ("_local_scalar_dense", "equal", "nonzero", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket.__name__ in self.OPERATIONS:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))
