"""Train a GAN on several ranks, with a controller and a guard that decide the same on all of them.

Started by torch's launcher, which gives each rank its own part of the data and its own noise:

    torchrun --nproc_per_node=4 experiments/examples/distributed.py

by the same launcher under Ignite's ``idist.Parallel``, or by Ignite alone:

    torchrun --nproc_per_node=4 experiments/examples/distributed.py --parallel
    python experiments/examples/distributed.py --parallel --nproc_per_node=4

Networks exchange gradients through DistributedDataParallel, over NCCL where CUDA is there and over gloo otherwise.
Nothing in the training says anything about ranks to the controller: it sums what it has observed over all ranks at each
decision (every ``--update_every`` iterations), and every rank then decides by itself. At the end each rank prints the
hash of all the n that it ran with and of the control state that it ended with; they are the same, or the run fails.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.distributed.launcher import Parallel
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from adaptive_critic import WassersteinGapController, create_gan_trainer, infinite_batches
from adaptive_critic.guard import DivergenceGuard

LATENTS = 4


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--iterations", type=int, default=200, help="generator updates")
    parser.add_argument("--update_every", type=int, default=5, help="iterations between the controller's decisions")
    parser.add_argument("--batch_size", type=int, default=32, help="real samples per critic update, on each rank")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for a checkpoint at the end, written by rank 0")
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from, also one of another number of ranks")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds that a rank waits for the others")
    parser.add_argument("--parallel", action="store_true", help="set up the ranks with Ignite's idist.Parallel")
    parser.add_argument("--nproc_per_node", type=int, help="ranks to start with --parallel, where torchrun has not")
    return parser.parse_args(arguments)


def start(work: Callable[[int, argparse.Namespace], Any], args: argparse.Namespace) -> None:
    """Call ``work(local_rank, args)`` on every rank."""
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    timeout = timedelta(seconds=args.timeout)
    if args.parallel:
        spawn = {} if args.nproc_per_node is None else {"nproc_per_node": args.nproc_per_node}
        with Parallel(backend=backend, timeout=timeout, **spawn) as parallel:
            parallel.run(work, args)
        return
    torch.distributed.init_process_group(backend, timeout=timeout)
    try:
        if torch.cuda.is_available():
            torch.cuda.set_device(idist.get_local_rank())
        work(idist.get_local_rank(), args)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def ring(count: int = 4096) -> TensorDataset:
    """Return points (count, 2) around eight centres on a circle, the same on every rank."""
    generator = torch.Generator().manual_seed(0)
    angles = torch.randint(8, (count,), generator=generator) * (math.pi / 4.0)
    noise = 0.05 * torch.randn(count, 2, generator=generator)
    return TensorDataset(torch.stack((angles.cos(), angles.sin()), dim=1) + noise)


def mlp(inputs: int, outputs: int) -> nn.Module:
    layers = [nn.Linear(inputs, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, outputs)]
    return nn.Sequential(*layers)


def make_trainer(args: argparse.Namespace) -> Engine:
    """Return a trainer whose networks are replicated, and whose data and noise are this rank's."""
    rank, ranks = idist.get_rank(), idist.get_world_size()
    torch.manual_seed(args.seed)
    # auto_model moves to the rank's device and wraps in DistributedDataParallel, which sends rank 0's weights to all.
    generator, critic = idist.auto_model(mlp(LATENTS, 2)), idist.auto_model(mlp(2, 1))
    optimizers = [torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.0, 0.9)) for network in (generator, critic)]
    torch.manual_seed(args.seed * ranks + rank)  # noise and penalties must differ between ranks
    data = ring()
    sampler: DistributedSampler[Any] = DistributedSampler(
        data, num_replicas=ranks, rank=rank, seed=args.seed, drop_last=True
    )
    loader = DataLoader(data, batch_size=args.batch_size, sampler=sampler, drop_last=True)
    # A fresh batch for each critic update; before each pass it tells the sampler which one begins (set_epoch).
    return create_gan_trainer(generator, critic, *optimizers, data=infinite_batches(loader), latent_dim=LATENTS)


def load(checkpoint: Path, to_load: dict[str, Any], ranks: int) -> None:
    """Restore a run. The position in the data and the random state belong to the number of ranks they were saved by."""
    saved = torch.load(checkpoint, map_location=idist.device(), weights_only=True)
    if saved["ranks"]["ranks"] != ranks:
        to_load = {name: item for name, item in to_load.items() if name not in ("batches", "random_state")}
    Checkpoint.load_objects(to_load=to_load, checkpoint=saved)


class Ranks:
    """The number of ranks, for a checkpoint."""

    def state_dict(self) -> dict[str, int]:
        return {"ranks": idist.get_world_size()}


def train(local_rank: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train, and return what this rank ran with."""
    ran = run(args)
    # The trainer's networks hold the process group, in reference cycles. A group that outlives its destruction has
    # threads that need the interpreter when it has gone, which aborts the process.
    gc.collect()
    return ran


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train on this rank."""
    torch.set_num_threads(1)
    trainer = make_trainer(args)
    guard = DivergenceGuard("terminate_epoch", check_every=10)
    controller = WassersteinGapController(update_every=args.update_every, on_divergence=guard)
    controller.attach(trainer)
    to_save = {**trainer.state.to_save, "controller": controller}  # type: ignore[attr-defined]  # State is open
    if args.resume is not None:
        load(args.resume, to_save, idist.get_world_size())

    steps: list[int] = []
    state: Any = trainer.state
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda: steps.append(state.num_discriminator_steps))
    if args.save is not None:
        saver = DiskSaver(args.save, require_empty=False)
        checkpoint = Checkpoint({**to_save, "ranks": Ranks()}, saver, global_step_transform=lambda *_: state.iteration)
        trainer.add_event_handler(Events.COMPLETED, checkpoint)
    trainer.run(max_iters=args.iterations, epoch_length=50)

    control = controller.state_dict()
    control["law"].pop("moments")  # what this rank alone has seen since the last decision
    control["guard"].pop("window")
    digest = hashlib.sha256(json.dumps([steps, control], sort_keys=True).encode()).hexdigest()[:12]
    line = (
        f"rank {idist.get_rank()} of {idist.get_world_size()}: {len(steps)} iterations, {sum(steps)} critic updates, "
        f"n from {min(steps)} to {max(steps)}, hash {digest}\n"
    )
    print(line, end="", flush=True)  # in one piece: the ranks share a terminal
    hashes: Any = idist.all_gather(digest)
    if len(set(hashes)) > 1:
        raise RuntimeError("ranks disagree")
    return {"steps": steps, "control": control, "hash": digest}


if __name__ == "__main__":
    options = parse()
    start(train, options)
