"""The HTML page: all data, styles and scripts within, no request to anywhere.

Names and titles come from result files, so nothing of them is trusted: the template escapes all that it shows, the data
goes compressed, as base64, into a script element that no browser runs, and a content security policy lets only the
two scripts run whose hashes it names. ``assets/plotly-basic.min.js`` is plotly.js-basic-dist-min 4.1.1 (MIT licence).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Container, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from experiments.report import formatting
from experiments.report.averages import AVERAGES, SOURCE, denominators
from experiments.report.data import page_data
from experiments.report.outcomes import failures, outcomes
from experiments.report.palette import KIND_TITLES
from experiments.report.seeds import groups, seen_note
from experiments.schema import SEED_ROLES, SUITES, Results, TaskRecord
from experiments.statistics import BEST_FIXED, BEST_PAIR, Table, compare, verdict

ASSETS = Path(__file__).resolve().parent / "assets"


def render(results: Results) -> str:
    """Return the page.

    Args:
        results: may hold no runs; every chart then says so.
    """
    table = Table.of(results)
    library, script = ((ASSETS / name).read_text(encoding="utf-8") for name in ("plotly-basic.min.js", "page.js"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    suite = results.suite
    return environment.get_template("page.html.j2").render(
        formatting=formatting,
        suite=suite,
        suites=SUITES[::-1],
        kinds=KIND_TITLES,
        titles={c.name: c.title for c in suite.contenders},
        task_titles={t.name: t.title for t in suite.tasks},
        problems=results.problems,
        failures=failures(results),
        opening=opening(results, table),
        verdict=verdict(table),
        outcomes={name: outcomes(results, table, table.tasks(name)) for name in SUITES},
        counts={role: sum(run.config.seed_role == role for run in results.runs) for role in SEED_ROLES},
        seed_groups=groups(results),
        seen_note=seen_note(results),
        averages=AVERAGES,
        source=SOURCE,
        versions=_versions(results),
        hashes=[_hash(library), _hash(script)],
        # Safe as they are: our own file, which ends no script element, and base64.
        script=Markup(script),
        library=Markup(pack(library)),
        style=Markup((ASSETS / "page.css").read_text(encoding="utf-8")),
        data=Markup(pack(json.dumps(page_data(results), allow_nan=False, separators=(",", ":")))),
    )


def pack(text: str) -> str:
    """Return the text compressed, in letters that can stand inside a script element; the page's script unpacks it."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def opening(results: Results, table: Table) -> tuple[str, ...]:
    """Return the two sentences that the page begins with: what the law costs, and what went against it."""
    suite, tasks = results.suite, table.tasks("evaluation")
    titles = {c.name: c.title for c in suite.contenders}
    law = next((name for name in (suite.effort, suite.gap) if _has_results(table, name, tasks, titles)), None)
    if law is None:
        return ("No results of this library's laws on evaluation tasks yet.",)
    ratios = [
        f"{formatting.figure(found.cost())} times {'the ' if opponent in (BEST_FIXED, BEST_PAIR) else ''}{title}"
        for opponent, title in denominators(suite).items()
        if (found := compare(table, law, opponent, tasks)).tasks
    ]
    best = compare(table, law, BEST_FIXED, tasks)
    bad = next(a for a in outcomes(results, table, tasks) if a.contender == law)
    worst, every = best.worst(), sum(task.suite == "evaluation" for task in suite.tasks)
    return (
        f"To a target quality, {titles[law]} costs {', '.join(ratios)}: geometric means over {len(best.tasks)} of "
        f"{every} evaluation tasks, with 95 % intervals.",
        f"On its worst task, {worst.title}, it costs {formatting.figure(worst.cost)} times the best fixed n, and "
        f"{bad.bad} of {bad.runs} runs diverged, failed or never reached the late target.",
    )


def _has_results(table: Table, law: str, tasks: Sequence[TaskRecord], known: Container[str]) -> bool:
    """Whether a contender of this name has results beside the best fixed n."""
    return law in known and bool(compare(table, law, BEST_FIXED, tasks).tasks)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _versions(results: Results) -> dict[str, list[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for run in results.runs:
        for name, version in run.versions.items():
            found[name].add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}
