"""A small GAN training with everything that has a state, and a line of text for each of its iterations."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.utils import manual_seed
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from adaptive_critic import DivergenceGuard, WassersteinGapController, create_gan_trainer

ITERATIONS = 200
EPOCH = 40
SPOILT = 110
"""the iteration that is spoilt, so that there is an intervention to be resumed from as well"""

MODES = ("rollback", "terminate_epoch")


class Training:
    """create_gan_trainer on eight points on a circle, a WassersteinGapController with a guard, an average.

    Args:
        mode: what the guard does about the spoilt iteration. With ``"rollback"`` that is a gradient that is not a
            number. ``"terminate_epoch"`` would go on with the network that it leaves, in which all runs look alike, so
            that there only the reported loss is none.
        save_every: iterations from checkpoint to checkpoint.
        save_first: whether the checkpoint's handler is attached before the controller, or after it.
        rank: this process's rank in a distributed run, None outside one.
    """

    def __init__(self, mode: str, *, save_every: int = 7, save_first: bool = False, rank: int | None = None) -> None:
        manual_seed(20)  # Python's and NumPy's as well: they are part of the random state that is compared
        circle = torch.arange(400) % 8 * (math.pi / 4)
        points = 2 * torch.stack((circle.cos(), circle.sin()), 1) + 0.05 * torch.randn(400, 2)
        # Dropout and batch normalisation: random numbers and buffers are part of the state too.
        generator = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
        critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(32, 1))
        optimizer_g = torch.optim.Adam(generator.parameters(), 1e-3, betas=(0.5, 0.9))
        optimizer_d = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.5, 0.9))
        data = TensorDataset(points)
        sampler: DistributedSampler[Any] | None = None
        trained: tuple[nn.Module, nn.Module] = (generator, critic)
        if rank is not None:
            # Buffers that are a rank's own, its own part of the data, its own noise: one rank's file is not enough.
            wrap = partial(nn.parallel.DistributedDataParallel, broadcast_buffers=False)
            trained = (wrap(generator), wrap(critic))
            sampler = DistributedSampler(data, seed=3)
            manual_seed(21 + rank)
        self.trainer = create_gan_trainer(
            trained[0],
            trained[1],
            optimizer_g,
            optimizer_d,
            data=DataLoader(data, batch_size=32, shuffle=sampler is None, sampler=sampler),
            latent_dim=4,
            ema=0.99,
        )
        saved: dict[str, Any] = vars(self.trainer.state)["to_save"]
        restored = ("generator", "discriminator", "optimizer_g", "optimizer_d", "ema_generator")
        guard = DivergenceGuard(
            mode,
            to_restore={name: saved[name] for name in restored} if mode == "rollback" else None,
            check_every=5,
            snapshot_every=20,
            cooldown=30,
            override_iterations=25,
        )
        self.controller = WassersteinGapController(on_divergence=guard)
        self.guard = guard
        self.to_save: dict[str, Any] = {**saved, "controller": self.controller}
        self._save_every = save_every
        self._save_first = save_first
        if mode == "rollback":
            next(generator.parameters()).register_hook(self._spoilt_gradient)  # type: ignore[no-untyped-call]
        else:
            self.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=SPOILT), self._spoil_loss)

    def _spoilt_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * math.nan if self.trainer.state.iteration == SPOILT else gradient

    @staticmethod
    def _spoil_loss(trainer: Engine) -> None:
        state = vars(trainer.state)
        state["output"] = {**state["output"], "g_loss": state["output"]["g_loss"] * math.nan}

    def run(
        self, save: Callable[[Engine], None] | None, trace: Callable[[str], None], iterations: int = ITERATIONS
    ) -> None:
        """Go on until so many iterations have been made in all.

        Args:
            save: called with the trainer every ``save_every`` iterations, or None.
            trace: gets a line for each iteration.
            iterations: where it ends.
        """
        moments = Events.ITERATION_COMPLETED(every=self._save_every)
        if save is not None and self._save_first:
            self.trainer.add_event_handler(moments, save)
        steps = vars(self.trainer.state)
        made: list[int] = []
        self.trainer.add_event_handler(
            Events.ITERATION_STARTED, lambda _: made.append(steps["num_discriminator_steps"])
        )
        self.controller.attach(self.trainer)
        if save is not None and not self._save_first:
            self.trainer.add_event_handler(moments, save)
        # Last, so that looking at the states changes nothing that a checkpoint could have missed.
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: trace(self._line(made[-1])))
        self.trainer.run(max_iters=iterations, epoch_length=EPOCH)

    def _line(self, steps: int) -> str:
        entries = {"iteration": str(self.trainer.state.iteration), "n": str(steps)}
        output = self.trainer.state.output
        assert isinstance(output, Mapping)
        for key in ("d_loss", "g_loss", "d_real", "d_fake", "g_fake"):
            entries[key] = ",".join(value.hex() for value in torch.as_tensor(output[key]).flatten().tolist())
        for name, item in self.to_save.items():
            # The engine's own counters include an epoch, which Ignite works out anew after a shortened one.
            if name != "trainer":
                entries[name] = digest(item.state_dict())
        return " ".join(f"{key}={value}" for key, value in entries.items())


def digest(state: Any) -> str:
    """Return a hash of every bit of nested dicts, lists, numbers, strings and tensors."""
    found = hashlib.sha256()
    for part in _parts(state):
        found.update(part)
    return found.hexdigest()[:16]


def _parts(state: Any) -> Iterator[bytes]:
    if isinstance(state, Mapping):
        for key, value in state.items():
            yield f"{key}:".encode()
            yield from _parts(value)
    elif isinstance(state, (list, tuple)):
        yield f"[{len(state)}]".encode()
        for value in state:
            yield from _parts(value)
    elif isinstance(state, torch.Tensor):
        yield f"{state.dtype}{tuple(state.shape)}".encode()
        yield state.detach().contiguous().numpy().tobytes()
    elif isinstance(state, float):
        yield state.hex().encode()
    elif state is None or isinstance(state, (int, str)):
        yield repr(state).encode()
    else:
        raise TypeError(f"{state!r}: a {type(state).__name__} has no place in a checkpoint")


def first_difference(line: str, expected: str) -> str | None:
    """Return what the first entry is in which two lines differ, None if they are equal."""
    if line == expected:
        return None
    ours, theirs = (dict(entry.split("=", 1) for entry in text.split(" ")) for text in (line, expected))
    for key in {**theirs, **ours}:
        if ours.get(key) != theirs.get(key):
            return f"iteration {theirs['iteration']}: {key} is {ours.get(key)}, uninterrupted {theirs.get(key)}"
    return f"iteration {theirs['iteration']}: the entries are in another order"
