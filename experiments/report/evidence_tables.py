"""Tables of contenders: cost ratios, what went wrong, what was not run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace

from experiments.report import formatting
from experiments.report.averages import denominators
from experiments.report.markdown import NOTHING, cell, table
from experiments.report.outcomes import outcomes, tally
from experiments.schema import Results, Suite
from experiments.statistics import (
    BEST_FIXED,
    BEST_PAIR,
    OWN_MEAN,
    Comparison,
    Table,
    averaged_generator,
    compare,
    log_ratio,
    mean_ratio,
)


def evidence(results: Results, contenders: Collection[str] | None = None) -> str:
    """One row per contender: cost against the three opponents, worst task, wins and losses, runs that failed.

    Args:
        results: those of the suite.
        contenders: names of those that get a row, "pairs" for the constants that are the best over all tasks; None:
            all.

    Raises:
        ValueError: the suite has no contender of one of these names.
    """
    scores, suite = Table.of(results), results.suite
    chosen = _chosen(suite, contenders)
    tasks = scores.tasks("evaluation")
    bad = {a.contender: a for a in outcomes(results, scores, tasks)}
    against = denominators(suite)
    rows = []
    for contender in suite.contenders:
        best = compare(scores, contender.name, BEST_FIXED, tasks)
        if contender.name not in chosen or not best.tasks:
            continue
        found = [compare(scores, contender.name, opponent, tasks) for opponent in against]
        counts, outcome, worst = tally(best), bad[contender.name], best.worst()
        rows.append(
            [
                cell(contender.title) + _partial(best),
                *(formatting.figure(each.cost()) if each.tasks else "–" for each in found),
                f"{formatting.figure(worst.cost)}, {cell(worst.title)}",
                f"{len(counts.won)} / {len(counts.undecided)} / {len(counts.lost)}",
                f"{outcome.bad} of {outcome.runs}",
            ]
        )
    return table(
        [
            "contender",
            *(cell(f"cost to {title}") for title in against.values()),
            "worst task (to best fixed n)",
            "tasks won / undecided / lost",
            "runs off the late target",
        ],
        rows,
    )


def summary(results: Results, contenders: Collection[str] | None = None) -> str:
    """Return the evidence in four columns, on the seeds of the law on rate and number alone, so that rows compare.

    Args:
        results: those of the suite.
        contenders: as :func:`evidence` takes them.
    """
    suite = results.suite
    common = {(r.config.task, r.config.seed) for r in results.runs if r.config.contender == suite.effort}
    runs = tuple(r for r in results.runs if (r.config.task, r.config.seed) in common)
    alone = replace(results, runs=runs)
    scores = Table.of(alone)
    chosen, tasks, against = _chosen(suite, contenders), scores.tasks("evaluation"), denominators(suite)
    bad = {a.contender: a for a in outcomes(alone, scores, tasks)}
    rows = []
    for contender in suite.contenders:
        found = [compare(scores, contender.name, opponent, tasks) for opponent in against]
        if contender.name in chosen and found[0].tasks:
            outcome = bad[contender.name]
            figures = [formatting.figure(each.cost()) if each.tasks else "–" for each in found]
            rows.append([cell(contender.title) + _partial(found[0]), *figures, f"{outcome.bad} of {outcome.runs}"])
    head = ["contender", *(cell(f"cost to {title}") for title in against.values()), "late targets missed"]
    return table(head, rows)


def _chosen(suite: Suite, contenders: Collection[str] | None) -> set[str]:
    """The contenders of these names, checked; "pairs" stands for the constants that are the best over all tasks."""
    known = [contender.name for contender in suite.contenders]
    chosen = {name for wanted in contenders or known for name in (suite.pairs if wanted == "pairs" else (wanted,))}
    if unknown := chosen - set(known):
        raise ValueError(f"unknown contender {', '.join(map(repr, sorted(unknown)))}; there are: {', '.join(known)}")
    return chosen


def averaged_table(results: Results, contenders: Collection[str] | None = None) -> str:
    """One row per contender, judged by the live and by the averaged generator: cost and quality to the best fixed n.

    Args:
        results: those of the suite.
        contenders: as :func:`evidence` takes them.
    """
    suite, averaged = results.suite, averaged_generator(results)
    chosen, tables = _chosen(suite, contenders), (Table.of(results), Table.of(averaged))
    tasks = tables[1].tasks("evaluation")
    rows = []
    for contender in suite.contenders:
        live, mean = (compare(scores, contender.name, BEST_FIXED, tasks) for scores in tables)
        if contender.name in chosen and live.tasks and mean.tasks:
            gains = [
                log_ratio(theirs.mine.quality[:, -1:], mine.mine.quality[:, -1:])
                for theirs, mine in zip(mean.tasks, live.tasks, strict=True)
                if theirs.mine.seeds.tolist() == mine.mine.seeds.tolist()
            ]
            figures = [live.cost(), mean.cost(), live.quality(), mean.quality(), mean_ratio(gains) if gains else None]
            rows.append([cell(contender.title) + _partial(mean), *map(formatting.figure, figures)])
    return table(
        [
            "contender",
            "cost to best fixed n",
            "the same, averaged generators",
            "quality to best fixed n",
            "the same, averaged generators",
            "quality, averaged over live of the same run",
        ],
        rows,
    )


def _partial(found: Comparison) -> str:
    """Say on how many tasks a figure stands that does not stand on all of them."""
    return f" ({len(found.tasks)} of {len(found.tasks) + len(found.missing)} tasks)" if found.missing else ""


def rivals_table(results: Results) -> str:
    """One row per opponent of the law on rate and number: cost ratio over all tasks and on the worst one."""
    scores, suite = Table.of(results), results.suite
    if all(c.name != suite.effort for c in suite.contenders):
        return NOTHING
    tasks = scores.tasks("evaluation")
    titles = {BEST_FIXED: BEST_FIXED, BEST_PAIR: BEST_PAIR, OWN_MEAN: "its own mean n and rate, held"}
    pairs = {c.name for c in suite.contenders if c.kind == "pair"}
    own = {c.name for c in suite.contenders if c.matches == suite.effort}
    titles |= {c.name: c.title for c in suite.contenders if c.name not in own and c.name != suite.effort}
    rows = []
    for opponent, title in titles.items():
        found = compare(scores, suite.effort, opponent, tasks)
        # Pairs that ran where they are the best alone would each have a mean over other tasks.
        if found.tasks and not (opponent in pairs and found.missing):
            counts, worst = tally(found), found.worst()
            rows.append(
                [
                    cell(title) + _partial(found),
                    formatting.figure(found.cost()),
                    f"{formatting.figure(worst.cost)}, {cell(worst.title)}",
                    f"{len(counts.won)} / {len(counts.undecided)} / {len(counts.lost)}",
                    formatting.figure(found.quality()),
                ]
            )
    return table(
        ["opponent", "cost to the opponent's", "worst task", "tasks won / undecided / lost", "quality at equal cost"],
        rows,
    )


def not_run_table(results: Results) -> str:
    """One row per set of evaluation tasks without final runs, with the contenders that lack them."""
    suite = results.suite
    ran = {(r.config.task, r.config.contender) for r in results.runs if r.config.seed_role == "final"}
    tasks = [t for t in suite.tasks if t.suite == "evaluation"]
    lacking: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for contender in suite.contenders:
        lacking[tuple(t.title for t in tasks if (t.name, contender.name) not in ran)].append(contender.title)
    rows = [
        [
            "all" if len(missing) == len(tasks) else f"{len(missing)}: {cell('; '.join(missing))}",
            cell("; ".join(titles)),
        ]
        for missing, titles in sorted(lacking.items(), key=lambda item: -len(item[0]))
        if missing
    ]
    return table(["evaluation tasks without final runs", "contenders"], rows)


def failures_table(results: Results) -> str:
    """One row per contender on evaluation tasks: every way in which a run fell short."""
    scores = Table.of(results)
    titles = {c.name: c.title for c in results.suite.contenders}
    rows = [
        [cell(titles[a.contender]), *(str(n) for n in (a.runs, a.failed, a.diverged, a.missed_early, a.missed_late))]
        for a in outcomes(results, scores, scores.tasks("evaluation"))
    ]
    return table(["contender", "runs", "failed", "diverged", "missed early target", "missed late target"], rows)
