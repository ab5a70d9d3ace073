"""Ignite metrics of the critic's scores, to attach and to read by name."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from ignite.metrics.metric import BatchWise, MetricUsage, RunningBatchWise, reinit__is_reduced

from adaptive_critic.checks import boolean, real
from adaptive_critic.output_warnings import NO_G_FAKE
from adaptive_critic.step_output import Scalar, StepOutputError, first, generated_score, kept, lacks_g_fake

__all__ = ["ScoreDistance", "WassersteinGap"]

_PHASES = ("updates", "before", "after")
_KINDS = ("wasserstein", "energy")

_logger = logging.getLogger("adaptive_critic")


class WassersteinGap(Metric):
    """Running average of the gap E[D(x)] - E[D(G(z))], read from the step's output.

    Attach it to the trainer; by default it runs on through all epochs. It averages this rank's batches only.

    Args:
        phase: which critic measures. ``"updates"``: the mean over the iteration's critic updates, each before its
            step; ``"before"``: the first of them, which is the gap after the last generator update; ``"after"``: the
            critic after its updates and before the generator's, known one iteration later (NaN until then). It needs
            ``g_fake``; ``-g_loss`` stands for it if it is not there, which is told once: it is right under a
            Wasserstein or hinge objective alone.
        alpha: weight of the past in the average, in [0, 1).
        output_transform: turns the step's output into a StepOutput.
        device: where the average is kept; scores are moved there.

    Raises:
        ValueError: if ``phase`` or ``alpha`` is out of range.

    Example:
        >>> from ignite.engine import Engine
        >>> scores = {"d_real": [1.5, 2.5], "d_fake": [0.5, 0.5]}  # two critic updates
        >>> trainer = Engine(lambda engine, batch: scores)
        >>> WassersteinGap().attach(trainer, "gap")
        >>> trainer.run([0, 0]).metrics["gap"]
        1.5
    """

    def __init__(
        self,
        phase: str = "updates",
        alpha: float = 0.98,
        output_transform: Callable[[Any], Any] = lambda output: output,
        device: str | torch.device = "cpu",
    ) -> None:
        if phase not in _PHASES:
            raise ValueError(f"phase={phase!r}: expected one of {', '.join(map(repr, _PHASES))}")
        self.phase = phase
        self.alpha = real("alpha", alpha, at_least=0.0, below=1.0)
        self._told = False
        super().__init__(output_transform=output_transform, device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget the average."""
        self._average: Scalar = math.nan
        self._g_fake: Scalar | None = None

    @reinit__is_reduced
    def update(self, output: Any) -> None:
        """Take in one iteration's output; without critic updates or with a non-finite gap it changes nothing."""
        gap = self._gap(output)
        if gap is None:
            return
        average = self._average
        if isinstance(gap, torch.Tensor):
            gap = gap.detach().to(self._device)
            average = torch.as_tensor(average, device=self._device)
            blended = torch.where(average.isfinite(), self.alpha * average + (1.0 - self.alpha) * gap, gap)
            self._average = torch.where(gap.isfinite(), blended, average)
        elif math.isfinite(gap):
            self._average = self.alpha * average + (1.0 - self.alpha) * gap if math.isfinite(average) else gap

    def _gap(self, output: Any) -> Scalar | None:
        if _without_updates(output):
            if self.phase == "after":  # the critic stayed as it was: this generator update is the one to compare with
                self._g_fake = self._generated(output)
            return None
        if self.phase == "updates":
            return _mean(output, "d_real") - _mean(output, "d_fake")
        if self.phase == "before":
            return first(output, "d_real") - first(output, "d_fake")
        g_fake, self._g_fake = self._g_fake, self._generated(output)
        return None if g_fake is None else first(output, "d_real") - g_fake

    def _generated(self, output: Any) -> Scalar:
        if not self._told and lacks_g_fake(output):
            self._told = True
            _logger.warning(NO_G_FAKE)
        return kept(generated_score(output))

    def compute(self) -> Scalar:
        """Return the running average, NaN before the first gap."""
        return self._average

    def iteration_completed(self, engine: Engine) -> None:
        """Update from the engine's output."""
        self.update(self._output_transform(engine.state.output))

    def attach(self, engine: Engine, name: str, usage: str | MetricUsage | None = None) -> None:
        """Attach; ``usage`` as in Ignite, by default a running average over all iterations."""
        super().attach(engine, name, RunningBatchWise() if usage is None else usage)

    def detach(self, engine: Engine, usage: str | MetricUsage | None = None) -> None:
        """Detach, with the ``usage`` of :meth:`attach`."""
        super().detach(engine, RunningBatchWise() if usage is None else usage)


def _without_updates(output: Any) -> bool:
    """Return whether the output is one of n = 0 critic updates."""
    if not isinstance(output, Mapping):
        return False
    d_real = output.get("d_real", ())
    return d_real.numel() == 0 if isinstance(d_real, torch.Tensor) else isinstance(d_real, Sequence) and not d_real


def _mean(output: Any, key: str) -> Scalar:
    value = first(output, key)  # checks what is there
    entries = output[key]
    if isinstance(entries, torch.Tensor):
        return entries.mean()
    return sum(entries[1:], start=value) / len(entries)


class ScoreDistance(Metric):
    r"""Distance between the distributions of real and of generated scores, in one dimension.

    ``"wasserstein"``: first Wasserstein distance, :func:`scipy.stats.wasserstein_distance`; ``"energy"``: energy
    distance, :func:`scipy.stats.energy_distance`. Both are free of the critic's offset and grow with its scale; with
    ``standardize`` they are divided by the pooled standard deviation of the scores (its square root for energy), which
    frees them of the scale too. It is computed on the host: meant for evaluators and for occasional use.

    Args:
        kind: ``"wasserstein"`` or ``"energy"``.
        standardize: whether to divide by the spread.
        output_transform: returns (real scores, generated scores), each (batch,) or (batch, 1).
        device: where the scores are kept until the distance is computed. With that of the critic, no update waits for
            a copy to the host.

    Raises:
        ValueError: if ``kind`` is unknown; in ``update`` if the scores have another shape.

    Example:
        >>> from ignite.engine import Engine
        >>> real, generated = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0])
        >>> evaluator = Engine(lambda engine, batch: (real, generated))
        >>> ScoreDistance().attach(evaluator, "distance")
        >>> evaluator.run([0]).metrics["distance"]
        1.0
    """

    def __init__(
        self,
        kind: str = "wasserstein",
        *,
        standardize: bool = False,
        output_transform: Callable[[Any], Any] = lambda output: output,
        device: str | torch.device = "cpu",
    ) -> None:
        if kind not in _KINDS:
            raise ValueError(f"kind={kind!r}: expected one of {', '.join(map(repr, _KINDS))}")
        self.kind = kind
        self.standardize = boolean("standardize", standardize)
        super().__init__(output_transform=output_transform, device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget the scores."""
        self._real: list[torch.Tensor] = []
        self._fake: list[torch.Tensor] = []

    @reinit__is_reduced
    def update(self, output: Sequence[torch.Tensor]) -> None:
        """Take in the scores of one real and one generated batch."""
        real_scores, fake_scores = (_scores(part, self._device) for part in output)
        self._real.append(real_scores)
        self._fake.append(fake_scores)

    def compute(self) -> float:
        """Return the distance over all scores since the last reset; NaN without any or with a non-finite score."""
        if not self._real:
            return math.nan
        # scipy.stats takes long to import, and only this metric needs it
        from scipy.stats import energy_distance, wasserstein_distance

        real_scores, fake_scores = (torch.cat(parts).cpu().double() for parts in (self._real, self._fake))
        both = torch.cat((real_scores, fake_scores))
        if not bool(both.isfinite().all()):
            return math.nan
        distance = wasserstein_distance if self.kind == "wasserstein" else energy_distance
        value = float(distance(real_scores.numpy(), fake_scores.numpy()))
        if not self.standardize:
            return value
        within = torch.cat((real_scores - real_scores.mean(), fake_scores - fake_scores.mean()))
        spread = float(within.square().mean().sqrt())
        spread = spread if self.kind == "wasserstein" else math.sqrt(spread)
        return value / spread if spread > 0.0 else math.nan

    def attach(self, engine: Engine, name: str, usage: str | MetricUsage | None = None) -> None:
        """Attach; ``usage`` as in Ignite, by default each iteration by itself."""
        super().attach(engine, name, BatchWise() if usage is None else usage)

    def detach(self, engine: Engine, usage: str | MetricUsage | None = None) -> None:
        """Detach, with the ``usage`` of :meth:`attach`."""
        super().detach(engine, BatchWise() if usage is None else usage)


def _scores(part: Any, device: torch.device) -> torch.Tensor:
    if not isinstance(part, torch.Tensor) or part.ndim not in (1, 2) or (part.ndim == 2 and part.shape[1] != 1):
        shape = tuple(part.shape) if isinstance(part, torch.Tensor) else type(part).__name__
        raise StepOutputError(
            f"expected (real scores, generated scores), each of shape (batch,) or (batch, 1), got {shape}"
        )
    return part.detach().reshape(-1).to(device, copy=True)  # a buffer that is written again must not change them
