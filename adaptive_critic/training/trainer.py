"""create_gan_trainer: the counterpart of Ignite's create_supervised_trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from adaptive_critic.checks import integer, keywords
from adaptive_critic.data import InfiniteBatches, infinite_batches
from adaptive_critic.handler import DEFAULT_NAME, free_name, writes
from adaptive_critic.random_state import RandomState
from adaptive_critic.training.objectives import Objective, get_objective
from adaptive_critic.training.options import (
    averaged,
    batch_reader,
    check_networks,
    configured,
    latent_source,
    precision,
    resolved_device,
)
from adaptive_critic.training.step import GANTrainingStep

_PUBLISHED = writes("batches", "ema_generator", "scaler", "to_save")

_NUMBER = "a controller sets the number of critic updates, FixedController(5).attach(trainer) a constant one"


@keywords(n_critic=_NUMBER, n_dis=_NUMBER, num_discriminator_steps=_NUMBER, critic_iters=_NUMBER)
def create_gan_trainer(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer_g: torch.optim.Optimizer,
    optimizer_d: torch.optim.Optimizer,
    *,
    data: Iterable[Any],
    latent_dim: int | Sequence[int] | None = None,
    sample_latent: Callable[[int], Tensor] | None = None,
    objective: str | Objective = "wasserstein-gp",
    gradient_penalty: float | None = None,
    r1: float | None = None,
    clip: float | None = None,
    penalty_every: int = 1,
    conditional: bool = False,
    device: str | torch.device | None = None,
    non_blocking: bool = False,
    prepare_batch: Callable[[Any], Any] | None = None,
    autocast: torch.dtype | None = None,
    scaler: bool | torch.amp.GradScaler | None = None,
    gradient_accumulation_steps: int = 1,
    ema: float | AveragedModel | None = None,
    param_name: str = DEFAULT_NAME,
) -> Engine:
    """Return an engine that makes ``num_discriminator_steps`` critic updates, then one generator update.

    The trainer draws its own batches, a fresh one for every critic update. So run it without data:
    ``trainer.run(max_iters=N, epoch_length=E)`` (Ignite 0.5.5; ``max_epochs=`` in older versions). It reads
    ``trainer.state.num_discriminator_steps`` at each iteration; attach a controller, or set it. Learning-rate schedules
    attached to iterations step once per generator update.

    ``trainer.state.output`` is the whole :class:`StepOutput`, tensors detached and on the device: of shape (n,) those
    of the critic, measured before each of its steps, of shape () those of the generator, measured before its own.
    ``d_penalty`` is as added to the loss, weight included. Standard deviations are the population's. Accuracies are
    relative to the objective's ``boundary``.

    Args:
        generator: latents [, labels] -> samples. The trainer moves neither network to a device: do that before making
            the optimizers.
        discriminator: samples [, labels] -> scores (batch,) or (batch, 1), logits, higher for more real.
        optimizer_g: optimizer over the generator's parameters.
        optimizer_d: optimizer over the discriminator's parameters.
        data: a loader, or ``infinite_batches(loader)``. A batch is a tensor, or a tuple or list that begins with one.
            With ``conditional`` it is a tuple or list (samples, labels).
        latent_dim: size of standard normal latents (batch, latent_dim). A sequence such as (100, 1, 1) gives
            (batch, 100, 1, 1). Give either this or ``sample_latent``.
        sample_latent: batch size -> latents; they are moved to ``device``.
        objective: ``"wasserstein-gp"``, ``"wasserstein-clip"``, ``"non-saturating"``, ``"hinge"``, ``"least-squares"``
            or an :class:`Objective`. Other usual names, such as ``"wgan-gp"`` and ``"lsgan"``, are accepted.
        gradient_penalty: weight of the gradient penalty, >= 0, for any objective. Default: the objective's, which is
            10 for ``"wasserstein-gp"`` and 0 for the others.
        r1: gamma of the R1 penalty, >= 0, usually with ``"non-saturating"``. Default: the objective's, 0.
        clip: for ``"wasserstein-clip"``, the limit of the critic's weights, > 0. Default: the objective's, 0.01.
        penalty_every: k, at least 1: take the penalties, about half the cost of a critic update, only at every k-th
            one, with k times their weight. The count covers the whole run, a resume included, whatever n is.
            ``d_penalty`` leaves out the factor k; updates between report the last measured penalty.
        conditional: call the networks with labels: generator(z, y), discriminator(x, y). Generated samples get the
            labels of the real batch, in the generator's update those of the iteration's last critic update.
        device: device for batches and latents. Default: the device of the generator's first parameter.
        non_blocking: as in Ignite: copies from pinned memory may overlap with computation.
        prepare_batch: batch -> samples, or (samples, labels) with ``conditional``, for batches of another form. The
            result is moved to ``device``.
        autocast: ``torch.bfloat16`` or ``torch.float16`` for forward passes in mixed precision. Losses, and penalties
            with their forward passes, are computed in single precision.
        scaler: whether to scale gradients, or a ``torch.amp.GradScaler``, which is used unchanged. Only float16 needs
            it. Default: on with ``autocast=torch.float16``. It reads one flag back to the host at each optimizer step,
            unless the optimizers are fused.
        gradient_accumulation_steps: micro-batches per optimizer step, each a fresh batch. The number of critic updates
            counts optimizer steps.
        ema: decay of an exponential moving average of the generator, in [0, 1), moved once per generator update. The
            average starts with the weights after the first update and is in evaluation mode. Averages of float16 and
            bfloat16 weights are kept in float32. Weights under torch's ``spectral_norm`` are normalised anew, running
            statistics are averaged, and other buffers are copied. An ``AveragedModel`` of this generator is used
            unchanged.
        param_name: attribute of ``trainer.state`` that holds the number of critic updates.

    Returns:
        the trainer. Beside Ignite's own attributes its ``state`` has

        - ``batches``: the :class:`InfiniteBatches`;
        - ``ema_generator``: the averaged generator, to sample from, an ``AveragedModel`` of ``torch.optim.swa_utils``,
          or None;
        - ``scaler``: the gradient scaler, or None;
        - ``to_save``: a dict of everything here that has a state, for Ignite's ``Checkpoint``: ``trainer``,
          ``generator``, ``discriminator``, ``optimizer_g``, ``optimizer_d``, ``batches``, ``random_state``, and
          ``ema_generator``, ``scaler`` and ``lazy_penalty`` (if ``penalty_every`` is above 1) if used. Add the
          controller. A run resumed from it goes on bit for bit if the loader's position can be restored exactly; see
          :meth:`InfiniteBatches.load_state_dict`.

    Raises:
        ValueError: if an optimizer steps parameters of another network. While running: if a batch is empty or lacks
            labels, or scores are not one per sample.

    Note:
        Wrap networks in ``DistributedDataParallel`` before calling this, and use a ``DistributedSampler``. Give the
        critic no batch normalisation, or ``broadcast_buffers=False``, since it is called twice before each backward
        pass. Penalties and the generator's update call the bare critic; gradients are still averaged in one backward
        pass per update. The critic's parameters require no gradients during the generator's update.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> _ = torch.manual_seed(0)
        >>> generator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
        >>> discriminator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
        >>> trainer = create_gan_trainer(
        ...     generator,
        ...     discriminator,
        ...     torch.optim.Adam(generator.parameters(), lr=1e-3),
        ...     torch.optim.Adam(discriminator.parameters(), lr=1e-3),
        ...     data=torch.utils.data.DataLoader(torch.randn(100, 2), batch_size=20, shuffle=True),
        ...     latent_dim=2,
        ... )
        >>> trainer.state.num_discriminator_steps = 5  # or FixedController(5).attach(trainer)
        >>> state = trainer.run(max_epochs=2, epoch_length=2)
        >>> state.output["d_real"].shape, state.output["g_loss"].shape, state.output["num_samples"]
        (torch.Size([5]), torch.Size([]), 100)
        >>> sorted(trainer.state.to_save)
        ['batches', 'discriminator', 'generator', 'optimizer_d', 'optimizer_g', 'random_state', 'trainer']
    """
    check_networks(generator, discriminator, optimizer_g, optimizer_d)
    integer("gradient_accumulation_steps", gradient_accumulation_steps, at_least=1)
    free_name(param_name)
    target = resolved_device(generator, device)
    prepare = batch_reader(prepare_batch, conditional, target, non_blocking)
    batches = data if isinstance(data, InfiniteBatches) else infinite_batches(data)
    context, grad_scaler = precision(target, autocast, scaler)
    average = averaged(generator, ema)
    step = GANTrainingStep(
        generator,
        discriminator,
        optimizer_g,
        optimizer_d,
        batches=batches,
        sample_latent=latent_source(latent_dim, sample_latent, target),
        prepare_batch=prepare,
        objective=configured(get_objective(objective), gradient_penalty, r1, clip),
        conditional=conditional,
        autocast=context,
        scaler=grad_scaler,
        gradient_accumulation_steps=gradient_accumulation_steps,
        ema=average,
        penalty_every=penalty_every,
        param_name=param_name,
    )
    trainer = Engine(step)
    to_save = {
        "trainer": trainer,
        "generator": generator,
        "discriminator": discriminator,
        "optimizer_g": optimizer_g,
        "optimizer_d": optimizer_d,
        "batches": batches,
        "random_state": RandomState(target),
        "ema_generator": average,
        "scaler": grad_scaler,
        "lazy_penalty": step.lazy_penalty if penalty_every > 1 else None,
    }
    used = {name: item for name, item in to_save.items() if item is not None}
    for name, value in zip(_PUBLISHED, (batches, average, grad_scaler, used), strict=True):
        setattr(trainer.state, name, value)
    return trainer
