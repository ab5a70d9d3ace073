"""The demonstration's report: one self-contained HTML page, and one picture."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from numpy.typing import NDArray

from experiments.demo.contenders import colours, parse
from experiments.demo.figures import CHARTS, chart_svg, grid_png, overview
from experiments.demo.summary import COLUMNS, quality, ranked, rows, verdict
from experiments.demo.training import BETAS, LEARNING_RATE, Run, Settings

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>adaptive_critic: demonstration</title>
<style>
  :root { color-scheme: light; }
  * { box-sizing: border-box; }
  body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 76rem; color: #1c1c1c; background: #fff;
         font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
  h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
  h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
  .verdict { border-left: .3rem solid #444; padding: .5rem 1rem; background: #f5f5f3; margin: 1rem 0; }
  .verdict strong { font-size: 1.15rem; }
  .verdict p { margin: .25rem 0; max-width: 60rem; }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: .35rem .75rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
  th:first-child, td:first-child { text-align: left; padding-left: 0; }
  thead th { white-space: normal; vertical-align: bottom; font-weight: 600; border-bottom: 2px solid #888; }
  tr.best td { background: #f0f6ee; font-weight: 600; }
  @media (max-width: 40rem) { table { font-size: .85rem; } th, td { padding: .3rem .45rem; } }
  .chip { display: inline-block; width: .8em; height: .8em; border-radius: .15em; margin-right: .5em; }
  .charts { display: grid; gap: 1.25rem 1.5rem;
            grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
  .grids { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); }
  figure { margin: 0; min-width: 0; }
  figure svg { width: 100%; height: auto; display: block; }
  figure img { width: 100%; max-width: 28rem; display: block; image-rendering: pixelated; border-top: .3rem solid; }
  figcaption { font-size: .9rem; color: #444; }
  code, pre { font-size: .9rem; }
  pre { background: #f5f5f3; padding: .6rem .8rem; overflow-x: auto; }
</style>
</head>
<body>
<h1>One GAN, the same compute, different numbers of critic updates</h1>
<p>$subtitle</p>
<section class="verdict">$verdict</section>
<h2>In numbers</h2>
<div class="scroll">$table</div>
<p>$legend</p>
<h2>Over the run</h2>
<div class="charts">$charts</div>
<h2>What they draw</h2>
<p>The same 64 latents for all, at the end of the run.</p>
<div class="grids">$grids</div>
<h2>How it was made</h2>
<p>$method</p>
<pre>$command</pre>
</body>
</html>
""")


def page(runs: Sequence[Run], real: NDArray[Any], settings: Settings, command: str) -> str:
    """Write the page. Everything that comes from outside is escaped; nothing is loaded from elsewhere.

    Args:
        runs: One per contender.
        real: Real images to show beside the generated ones, (64, side, side), bytes.
        settings: What the runs shared.
        command: The command that makes this page again.
    """
    colour = dict(zip((run.name for run in runs), colours(len(runs)), strict=True))
    headline, *sentences = verdict(runs, settings)
    return _PAGE.substitute(
        subtitle=escape(
            f"WGAN-GP with multilayer perceptrons on {settings.data}; each contender spent "
            f"{settings.budget:,.0f} generator updates' worth of compute."
        ),
        verdict=f"<p><strong>{escape(headline)}</strong></p>"
        + "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences),
        table=_table(runs, colour),
        legend=escape(
            "Quality: Frechet distance to real images in the features of this project's own small classifier, the "
            "mean of the last three measurements; smaller is better, and it is not comparable with published FID "
            "values. Cost to common target: compute spent when the quality that every contender reached was first "
            "measured. Cost is counted in generator updates by FLOPs. CPU s: processor seconds of training alone."
        ),
        charts="".join(
            f"<figure>{chart_svg(chart, runs)}<figcaption>{escape(chart.caption)}</figcaption></figure>"
            for chart in CHARTS
        ),
        grids="".join(
            _grid(f"{parse(run.name).title}: {quality(run):.3g}", run.samples, colour[run.name]) for run in runs
        )
        + _grid("Real images", real, "#444444"),
        method=escape(_method(runs, settings)),
        command=escape(command),
    )


def _table(runs: Sequence[Run], colour: dict[str, str]) -> str:
    best = ranked(runs)[0].name
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in COLUMNS)
    body = ""
    for run, cells in zip(runs, rows(runs), strict=True):
        first = f'<td><span class="chip" style="background:{colour[run.name]}"></span>{escape(cells[0])}</td>'
        others = "".join(f"<td>{escape(cell)}</td>" for cell in cells[1:])
        row = '<tr class="best">' if run.name == best and len(runs) > 1 else "<tr>"
        body += f"{row}{first}{others}</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _grid(title: str, samples: NDArray[Any], colour: str) -> str:
    data = base64.b64encode(grid_png(samples)).decode("ascii")
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><img style="border-color:{colour}" '
        f'alt="{escape(title)}, 64 images" src="data:image/png;base64,{data}"></figure>'
    )


def _method(runs: Sequence[Run], settings: Settings) -> str:
    return (
        f"All contenders start from the same weights (seed {settings.seed}) and see the images in the same order, a "
        f"fresh batch of {settings.batch_size} for every critic update. Adam, learning rate {LEARNING_RATE:g}, betas "
        f"{BETAS}, gradient penalty 10. One critic update costs {runs[0].critic_cost:.2f} generator updates in FLOPs. "
        f"Quality is measured at {settings.evaluations} equal distances of cost on {settings.evaluated:,} images from "
        "the same latents; measuring is not charged. The default limits of the Wasserstein gap controller were chosen "
        "after trials on small images such as these: this is a demonstration, no test on unseen problems."
    )


def write(runs: Sequence[Run], real: NDArray[Any], settings: Settings, command: str, folder: Path) -> tuple[Path, Path]:
    """Write report.html and report.png into ``folder``, which exists; returns their paths."""
    html, png = folder / "report.html", folder / "report.png"
    html.write_text(page(runs, real, settings, command), encoding="utf-8")
    overview(runs, real, verdict(runs, settings)[0]).savefig(png, dpi=110, metadata={"Software": None})
    return html, png
