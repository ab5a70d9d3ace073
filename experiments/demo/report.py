"""The demonstration's report: one HTML page that needs nothing else, and one picture.

Its charts are drawn by the script that the suite's report uses, plotly.js-basic (MIT licence).
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import torch
from markupsafe import Markup
from numpy.typing import NDArray

from experiments.demo.contenders import colours, parse
from experiments.demo.curves import CHARTS, CLASSES, MEASURED, QUALITY, binned
from experiments.demo.figures import overview
from experiments.demo.summary import columns, cost_to, figure, goal, quality, ranked, rows, verdict
from experiments.demo.training import BETAS, LEARNING_RATE, Run, Settings
from experiments.png import png_of
from experiments.report.page import ASSETS as SHARED

ASSETS = Path(__file__).resolve().parent / "assets"


@dataclass(frozen=True)
class Made:
    """How a page was made.

    Attributes:
        command: The command that makes it again.
        date: When, in words.
        versions: Of what computed it.
    """

    command: str
    date: str
    versions: dict[str, str]


def page(runs: Sequence[Run], real: NDArray[Any], settings: Settings, made: Made) -> str:
    """Write the page. Everything that comes from outside is escaped; nothing is loaded from elsewhere.

    Args:
        runs: One per contender.
        real: Real images to show beside the generated ones, (36, side, side), bytes.
        settings: What the runs shared.
        made: How it was made.
    """
    library = (SHARED / "plotly-basic.min.js").read_text(encoding="utf-8")
    script = (ASSETS / "page.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    headline, *sentences = verdict(runs, settings)
    best = ranked(runs)[0].name if len(runs) > 1 else None
    return environment.get_template("page.html.j2").render(
        settings=settings,
        headline=headline,
        sentences=sentences,
        columns=columns(runs),
        rows=[(run.name, run.name == best, cells) for run, cells in zip(runs, rows(runs), strict=True)],
        colours=dict(zip((run.name for run in runs), colours(len(runs)), strict=True)),
        target=goal(runs).what,
        charts=[(chart.title, chart.caption) for chart in CHARTS],
        quality=QUALITY,
        classes=CLASSES,
        measured={title: caption for title, (caption, _) in MEASURED.items()},
        method=_method(runs, settings),
        made=made,
        hashes=[_hash(library), _hash(script)],
        library=Markup(library),
        script=Markup(script),
        style=Markup("".join((path / "page.css").read_text(encoding="utf-8") for path in (SHARED, ASSETS))),
        data=Markup(json.dumps(page_data(runs, real), allow_nan=False).replace("<", "\\u003c")),
    )


def page_data(runs: Sequence[Run], real: NDArray[Any]) -> dict[str, Any]:
    """What the page's script draws: curves, the compute to reach the goal, and samples."""
    target = goal(runs)
    return {
        "goal": {"value": _number(target.value), "what": target.what},
        "real": _png(real),
        "quality": QUALITY,
        "logarithmic": [chart.title for chart in CHARTS if chart.log],
        "contenders": [
            {
                "name": run.name,
                "title": parse(run.name).title,
                "color": colour,
                "final": figure(quality(run)),
                "reached": _number(cost_to(run, target.value)),
                "cost": _numbers(run.quality_cost),
                "measured": {title: _numbers(values(run)) for title, (_, values) in MEASURED.items()},
                "curves": {
                    chart.title: [_numbers(part) for part in binned(run, chart.values(run))] for chart in CHARTS
                },
                "samples": [_png(samples) for samples in run.samples],
            }
            for run, colour in zip(runs, colours(len(runs)), strict=True)
        ],
    }


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _number(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _numbers(values: NDArray[Any]) -> list[float | None]:
    return [_number(float(value)) for value in values]


def _png(samples: NDArray[Any]) -> str:
    scaled = torch.from_numpy(samples).unsqueeze(1) / 127.5 - 1.0
    return base64.b64encode(png_of(scaled)).decode("ascii")


def _method(runs: Sequence[Run], settings: Settings) -> str:
    return (
        f"All contenders start from the same weights (seed {settings.seed}) and see the images in the same order, a "
        f"fresh batch of {settings.batch_size} for every critic update. Adam, learning rate {LEARNING_RATE:g}, betas "
        f"{BETAS}, gradient penalty 10. One critic update costs {runs[0].critic_cost:.2f} generator updates in FLOPs. "
        f"Quality is measured at {settings.evaluations} equal distances of cost on {settings.evaluated:,} images from "
        "the same latents; measuring is not charged. The default limits of the Wasserstein gap controller were chosen "
        "after trials on small images such as these: this is a demonstration, no test on unseen problems."
    )


def write(runs: Sequence[Run], real: NDArray[Any], settings: Settings, made: Made, folder: Path) -> tuple[Path, Path]:
    """Write report.html and report.png into ``folder``, which exists; returns their paths."""
    html, png = folder / "report.html", folder / "report.png"
    html.write_text(page(runs, real, settings, made), encoding="utf-8")
    overview(runs, real, verdict(runs, settings)[0]).savefig(png, dpi=110, metadata={"Software": None})
    return html, png
