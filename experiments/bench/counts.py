"""Host reads and collectives, as counts: at a decision or a check, and in all iterations between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ignite.engine import Engine, Events

from adaptive_critic import WassersteinGapController
from adaptive_critic.guard import DivergenceGuard
from experiments.bench.counting import collectives, host_reads
from experiments.bench.outputs import engine

EVERY = 10
ITERATIONS = 100


def per_iteration(attach: Callable[[Engine], None], every: int = EVERY) -> dict[str, Any]:
    """Return the largest counts at a decision, and the sum of all between decisions."""
    trainer = engine(lambda _: None)
    with host_reads() as reads, collectives() as messages:
        counted: list[tuple[int, int]] = []
        for found in (reads, messages):
            trainer.add_event_handler(Events.ITERATION_STARTED, found.clear)
        attach(trainer)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: counted.append((len(reads), len(messages))))
        trainer.run(range(ITERATIONS))
    due = [counted[index] for index in range(every - 1, ITERATIONS, every)]
    between = [pair for index, pair in enumerate(counted, start=1) if index % every]
    return {
        "reads at a decision": max(pair[0] for pair in due),
        "reads between": sum(pair[0] for pair in between),
        "collectives at a decision": max(pair[1] for pair in due),
        "collectives between": sum(pair[1] for pair in between),
    }


def rows() -> dict[str, Callable[[Engine], None]]:
    return {
        "WassersteinGapController(update_every=10)": WassersteinGapController(update_every=EVERY).attach,
        "WassersteinGapController(update_every=10, lagged=True)": WassersteinGapController(
            update_every=EVERY, lagged=True
        ).attach,
        "DivergenceGuard(check_every=10)": DivergenceGuard(check_every=EVERY).attach,
    }


def measure() -> dict[str, dict[str, Any]]:
    return {name: per_iteration(attach) for name, attach in rows().items()}
