"""Draw how each controller responds to its signal: ``python docs/responses.py`` writes docs/images/response_*.png.

The curves come from the controllers themselves, which are fed made-up outputs of a training step. Each picture carries
a digest of its curves, so that a test can tell when a law has changed and its picture has not.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from adaptive_critic import (
    AccuracyGateController,
    AccuracyLadderController,
    FixedController,
    LossChangeRateController,
    LossRatioPIDController,
    StepDecayController,
    TwoThresholdController,
    WassersteinGapController,
    WGANReferenceController,
)
from adaptive_critic.controller import Controller

IMAGES = Path(__file__).parent / "images"
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e9ed",
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a94a0",
    "legend.frameon": False,
    "savefig.dpi": 160,
}
_SHADES = ("#f7b59c", "#ea7a50", "#d6400c", "#7a2204")
_SIGNAL, _N = "#3179b4", "#d6400c"

Output = Callable[[Sequence[float], int], dict[str, Any]]
Curve = tuple[str, Sequence[float], Sequence[float]]
"""What it is called, x, y."""


class Response:
    """A controller's answer to constant signals, and to one that changes."""

    def __init__(
        self,
        make: Callable[[], Controller],
        output: Output,
        *,
        name: str,
        values: Sequence[float],
        after: Sequence[int],
        trace: Sequence[float],
        log_x: bool = False,
        log_y: bool = False,
        legend: Literal["best", "upper left", "center right"] = "best",
    ) -> None:
        """Keep what is drawn; ``output`` makes a step's output of the signal so far and n, ``after`` iterations."""
        self.make, self.output = make, output
        self.name, self.values, self.after, self.trace = name, values, after, trace
        self.log_x, self.log_y, self.legend = log_x, log_y, legend

    def curves(self) -> list[Curve]:
        """Return n over the signal after so many iterations; then the signal, the ratio and n over the iterations."""
        at: dict[int, list[float]] = {count: [] for count in self.after}
        for value in self.values:
            ratios, _ = self._run([value] * max(self.after))
            for count in self.after:
                at[count].append(ratios[count])
        word = {1: "iteration"}
        constant = [(f"after {c} {word.get(c, 'iterations')}", self.values, at[c]) for c in self.after]
        ratios, steps = self._run(self.trace)
        iterations = list(range(1, len(self.trace) + 2))
        return [
            *constant,
            ("signal", iterations[:-1], self.trace),
            ("real-valued ratio", iterations, ratios),
            ("n", iterations, steps),
        ]

    def _run(self, signal: Sequence[float]) -> tuple[list[float], list[float]]:
        controller = self.make()
        ratios, steps = [controller.ratio], [float(controller.num_discriminator_steps)]
        for count in range(1, len(signal) + 1):
            controller.observe(self.output(signal[:count], controller.num_discriminator_steps))
            ratios.append(controller.ratio)
            steps.append(float(controller.num_discriminator_steps))
        return ratios, steps

    def draw(self, curves: Sequence[Curve]) -> Figure:
        """Return the picture: constant signals on the left, a changing one on the right."""
        figure = Figure(figsize=(7.6, 2.9), layout="constrained")
        grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.5), width_ratios=(1, 1.15))
        left, upper = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1])
        lower = figure.add_subplot(grid[1, 1], sharex=upper)
        *constant, (_, time, signal), (_, beyond, ratios), (_, _, steps) = curves
        whole = ratios == steps
        for (label, x, y), color in zip(constant, _SHADES[-len(constant) :], strict=True):
            left.plot(x, y, color=color, linewidth=2, label=label, drawstyle="steps-mid" if whole else "default")
        left.set(title="a signal held constant", xlabel=self.name, ylabel="critic updates")
        left.legend(loc=self.legend, fontsize=8)
        upper.step(time, signal, where="post", color=_SIGNAL)
        upper.set(title="one that changes", ylabel="signal")
        upper.tick_params(labelbottom=False)
        if whole:
            lower.step(beyond, steps, where="post", color=_N, linewidth=2)
        else:
            lower.step(beyond, steps, where="post", color=_N, alpha=0.45, linewidth=0.8, label="n")
            lower.plot(beyond, ratios, color=_N, linewidth=2, label="real-valued ratio")
            lower.legend(fontsize=8)
        lower.set(xlabel="iteration", ylabel="critic updates")
        if self.log_x:
            _plain_log(left.xaxis, self.values)
            _plain_log(upper.yaxis, signal)
        for panel in (left, lower):
            if self.log_y:
                _plain_log(panel.yaxis, steps if panel is lower else [v for _, _, y in constant for v in y])
            else:
                panel.set_ylim(bottom=0 if min(steps) > 0 else -0.05)
                panel.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        return figure


def _plain_log(axis: Any, values: Sequence[float]) -> None:
    axis._set_axes_scale("log")
    low, high = min(values) * 0.99, max(values) * 1.01
    multiples = (1, 2, 5) if high < 110.0 * low else (1, 3)
    every = [m * 10.0**p for p in range(-4, 4) for m in multiples]
    shown = [tick for tick in every if low <= tick <= high]
    axis.set_ticks(shown, labels=[f"{tick:g}" for tick in shown])
    axis.set_minor_formatter(NullFormatter())


# An even count: no value lies on a threshold, where the last bit of a sum would decide.
def _spread(low: float, high: float, count: int = 60) -> list[float]:
    return [low * (high / low) ** (i / (count - 1)) for i in range(count)]


def _even(low: float, high: float, count: int = 60) -> list[float]:
    return [low + (high - low) * i / (count - 1) for i in range(count)]


def _gap(shares: Sequence[float], n: int) -> dict[str, Any]:
    # The gap is 1 before each generator update, which takes the share of it away.
    return {"d_real": [1.0] * n, "d_fake": [shares[-1]] * n, "g_fake": 0.0}


def _hinge(leads: Sequence[float], n: int) -> dict[str, Any]:
    return {"d_loss": [2.0 * (1.0 - leads[-1])] * n, "g_loss": 0.0}


def _accuracy(accuracies: Sequence[float], n: int) -> dict[str, Any]:
    return {"g_fake_accuracy": accuracies[-1]}


def _rates(quotients: Sequence[float], n: int) -> dict[str, Any]:
    # The generator's loss changes by 1 % from one iteration to the next, the critic's by the quotient times that.
    d_loss = math.prod(1.0 + 0.01 * quotient for quotient in quotients)
    return {"d_loss": [d_loss] * n, "g_loss": 1.01 ** len(quotients)}


def _losses(d_losses: Sequence[float], n: int) -> dict[str, Any]:
    return {"d_loss": [d_losses[-1]] * n, "g_loss": 1.5}


def _steps(*pieces: tuple[float, int]) -> list[float]:
    return [value for value, count in pieces for _ in range(count)]


def responses() -> dict[str, Response]:
    """Return what there is to draw, by file name."""
    return {
        "response_gap.png": Response(
            WassersteinGapController,
            _gap,
            name=r"share $\kappa$ of the gap used up by a generator update",
            values=_spread(0.001, 0.5),
            after=(30, 45, 60, 400),
            trace=_steps((0.05, 80), (0.4, 90), (0.05, 100), (0.002, 80)),
            log_x=True,
        ),
        "response_pid.png": Response(
            lambda: LossRatioPIDController("hinge"),
            _hinge,
            name="how far the critic is ahead (0: parity, 1: perfect)",
            values=_even(0.0, 1.0),
            after=(10, 25, 50, 400),
            trace=_steps((0.3, 50), (0.6, 60), (0.3, 60), (0.1, 130), (0.5, 100)),
        ),
        "response_ladder.png": Response(
            AccuracyLadderController,
            _accuracy,
            name="critic's accuracy on generated batches",
            values=_even(0.3, 1.0),
            after=(200, 400, 1000),
            trace=_steps((0.8, 300), (0.5, 500), (0.8, 400)),
            log_y=True,
            legend="center right",
        ),
        "response_change_rate.png": Response(
            LossChangeRateController,
            _rates,
            name="critic loss's rate of change over the generator loss's",
            values=_spread(0.2, 20),
            after=(2, 4, 10),
            trace=_steps((5.0, 14), (1.0, 6), (2.5, 4), (0.5, 12)),
            log_x=True,
        ),
        "response_thresholds.png": Response(
            lambda: TwoThresholdController(0.5, 1.0, initial=5),
            _losses,
            name="critic loss (generator loss above its threshold)",
            values=_even(0.0, 1.0),
            after=(1, 3, 10),
            trace=_steps((0.8, 4), (0.3, 3), (0.6, 8), (0.2, 14)),
            legend="upper left",
        ),
        "response_gate.png": Response(
            AccuracyGateController,
            _accuracy,
            name="critic's accuracy on the generated batch",
            values=_even(0.5, 1.0, 100),
            after=(1,),
            trace=[0.78 + 0.1 * math.sin(i / 3.0) for i in range(60)],
        ),
    }


def open_loop_curves() -> list[Curve]:
    """Return n over the iterations for the open-loop controllers."""

    def curve(name: str, values: list[list[int]]) -> Curve:
        return name, [index + 1 for index, _ in values], [float(n) for _, n in values]

    return [
        curve("FixedController(5)", FixedController.simulate_values(100, steps=5)),
        curve("milestones={0: 25, 25: 10}", StepDecayController.simulate_values(100, milestones={0: 25, 25: 10})),
        curve(
            "initial=20, gamma=0.5,\nstep_size=20",
            StepDecayController.simulate_values(100, initial=20, gamma=0.5, step_size=20),
        ),
        curve("WGANReferenceController()", WGANReferenceController.simulate_values(1100)),
    ]


def open_loop(curves: Sequence[Curve]) -> Figure:
    """Return the picture of the open-loop controllers."""
    figure = Figure(figsize=(7.6, 2.6), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, 3)
    titles = ("FixedController", "StepDecayController", "WGANReferenceController")
    for panel, title, group in zip(panels, titles, (curves[:1], curves[1:3], curves[3:]), strict=True):
        for (label, x, y), color in zip(group, ("#d6400c", "#3179b4"), strict=False):
            panel.step(x, y, where="post", color=color, linewidth=2, label=label)
        panel.set_title(title)
        panel.set_xlabel("iteration")
        if len(group) > 1:
            panel.legend(fontsize=8)
        panel.set_ylim(0, 1.45 * panel.get_ylim()[1] if len(group) > 1 else None)
    panels[0].set_ylabel("n")
    return figure


def digest(curves: Sequence[Curve]) -> str:
    """Return a digest of the curves, to four significant digits."""
    rounded = [[name, *([float(f"{v:.4g}") for v in values] for values in rest)] for name, *rest in curves]
    return hashlib.sha256(json.dumps(rounded).encode()).hexdigest()[:16]


def pictures() -> dict[str, tuple[list[Curve], Callable[[Sequence[Curve]], Figure]]]:
    """Return file name -> its curves and what draws them."""
    found: dict[str, tuple[list[Curve], Callable[[Sequence[Curve]], Figure]]]
    found = {"response_open_loop.png": (open_loop_curves(), open_loop)}
    for name, response in responses().items():
        found[name] = response.curves(), response.draw
    return found


def main(folder: Path = IMAGES) -> None:
    """Write all pictures."""
    with mpl.rc_context(_STYLE):
        for name, (curves, draw) in pictures().items():
            figure = draw(curves)
            FigureCanvasAgg(figure)
            figure.savefig(folder / name, metadata={"Software": None, "Curves": digest(curves)})
            print(folder / name)


if __name__ == "__main__":
    main()
