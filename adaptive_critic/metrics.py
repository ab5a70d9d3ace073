"""Ignite metric of the critic's scores, to attach and to read by name."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from ignite.metrics.metric import MetricUsage, RunningBatchWise, reinit__is_reduced

from adaptive_critic.checks import real
from adaptive_critic.output_warnings import NO_G_FAKE
from adaptive_critic.step_output import Scalar, first, generated_score, kept, lacks_g_fake, require

_PHASES = ("updates", "before", "after")

_logger = logging.getLogger("adaptive_critic")


class WassersteinGap(Metric):
    """Running average of the gap E[D(x)] - E[D(G(z))], read from the step's output.

    Attach it to the trainer; by default it runs on through all epochs. It averages this rank's batches only.

    Args:
        phase: which critic measures. ``"updates"``: the mean over the iteration's critic updates, each before its
            step. ``"before"``: the first of them, which is the gap after the last generator update. ``"after"``: the
            critic after its updates and before the generator's, known one iteration later (NaN until then). It needs
            ``g_fake``. If that is missing, the metric takes ``-g_loss`` and logs a warning once: the two are the same
            only under a Wasserstein or hinge objective.
        alpha: weight of the past in the average, in [0, 1).
        output_transform: turns the step's output into a StepOutput.
        device: device of the average; scores are moved there.

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
        self._warned = False
        super().__init__(output_transform=output_transform, device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget the average."""
        self._average: Scalar = math.nan
        self._g_fake: Scalar | None = None

    @reinit__is_reduced
    def update(self, output: Any) -> None:
        """Add one iteration's output. Without critic updates or with a non-finite gap, nothing changes."""
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
            if self.phase == "after":  # the critic did not change: compare with this generator update
                self._g_fake = self._generated(output)
            return None
        if self.phase == "updates":
            require(output, "d_real", "d_fake")
            return _mean(output, "d_real") - _mean(output, "d_fake")
        require(output, "d_real", "d_fake" if self.phase == "before" else "g_fake")
        d_real = _single(first(output, "d_real"))
        if self.phase == "before":
            return d_real - _single(first(output, "d_fake"))
        g_fake, self._g_fake = self._g_fake, self._generated(output)
        return None if g_fake is None else d_real - _single(g_fake)

    def _generated(self, output: Any) -> Scalar:
        if not self._warned and lacks_g_fake(output):
            self._warned = True
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


def _single(score: Scalar) -> Scalar:
    """Return a score in single precision at least: float16 holds no gap above 65,504."""
    return score.to(torch.promote_types(score.dtype, torch.float32)) if isinstance(score, torch.Tensor) else score


def _mean(output: Any, key: str) -> Scalar:
    value = _single(first(output, key))  # checks the entry
    entries = output[key]
    if isinstance(entries, torch.Tensor):
        return entries.mean(dtype=torch.promote_types(entries.dtype, torch.float32))
    return sum(map(_single, entries[1:]), start=value) / len(entries)
