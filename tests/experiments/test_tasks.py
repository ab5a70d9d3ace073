from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from experiments import tasks
from experiments.data import DataNotFoundError, ring
from experiments.tasks import all_tasks, module_of, select_tasks
from experiments.tasks._loaders import FreshSamples, ShuffledRows
from experiments.tasks._task import Game, Task

NAMES = list(all_tasks())


def _game(task: Task, seed: int = 0) -> Game:
    try:
        return task.build(seed, 50)
    except DataNotFoundError as error:
        pytest.skip(str(error))


def test_every_axis_of_the_suite_has_a_task() -> None:
    found = all_tasks().values()
    assert {"ring", "grid", "swiss-roll", "digits"} == {t.name for t in found if t.suite == "development"}
    evaluated = [t for t in found if t.suite == "evaluation"]
    assert {"wasserstein-gp", "wasserstein-clip", "non-saturating", "hinge", "least-squares"} == {
        t.objective for t in evaluated
    }
    assert {0.2, 1.0, 4.0, 5.0} == {round(t.rates[1] / t.rates[0], 6) for t in evaluated}
    assert sum(not t.cheap for t in evaluated) == 7


@pytest.mark.parametrize("name", NAMES)
def test_a_task_keeps_the_rules_of_the_suite(name: str) -> None:
    task = all_tasks()[name]
    assert task.grid <= 0.02 * task.budget
    assert module_of(task).startswith("experiments.tasks.")


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_all_contenders_the_same_start(name: str) -> None:
    task = all_tasks()[name]
    first, second, other = _game(task), _game(task), _game(task, seed=1)
    for network in ("generator", "critic"):
        weights = [torch.cat([w.flatten() for w in getattr(g, network).parameters()]) for g in (first, second, other)]
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])
    assert torch.equal(next(iter(first.loader)), next(iter(second.loader)))
    first.generator.eval()
    quality = first.evaluate(first.generator)
    assert math.isfinite(quality)
    assert quality > 0
    assert second.evaluate(second.generator.eval()) == quality


@pytest.mark.parametrize(
    ("name", "objective", "penalties", "optimizer", "rates", "settings", "batch_norm"),
    [
        ("dcgan", "non-saturating", {}, torch.optim.Adam, (2e-4, 2e-4), {"betas": (0.5, 0.999)}, True),
        ("spectral", "hinge", {}, torch.optim.Adam, (1e-4, 4e-4), {"betas": (0.0, 0.9)}, False),
        ("clipping", "wasserstein-clip", {"clip": 0.01}, torch.optim.RMSprop, (5e-5, 5e-5), {}, True),
        ("r1", "non-saturating", {"r1": 10.0}, torch.optim.Adam, (2e-3, 2e-3), {"betas": (0.0, 0.99)}, False),
    ],
)
def test_published_settings_are_those_of_their_source(
    name: str,
    objective: str,
    penalties: dict[str, float],
    optimizer: type[torch.optim.Optimizer],
    rates: tuple[float, float],
    settings: dict[str, Any],
    batch_norm: bool,
) -> None:
    task = all_tasks()[f"published-{name}"]
    game = _game(task)
    assert (task.objective, dict(task.penalties), task.rates) == (objective, penalties, rates)
    for made, rate in ((game.optimizer_g, rates[0]), (game.optimizer_d, rates[1])):
        (group,) = made.param_groups
        assert type(made) is optimizer
        assert group["lr"] == rate
        assert group.items() >= settings.items()
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in game.generator.modules())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in game.critic.modules()) is batch_norm
    weighted = [layer for layer in game.critic.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert {is_parametrized(layer, "weight") for layer in weighted} == {name == "spectral"}


@pytest.mark.parametrize("name", ["ring", "digits", "table"])
def test_an_evaluation_leaves_every_random_state_alone(name: str) -> None:
    game = _game(all_tasks()[name])
    before = torch.get_rng_state()
    game.evaluate(game.generator)
    game.sample(game.generator)
    assert torch.equal(torch.get_rng_state(), before)
    untouched = _game(all_tasks()[name])
    assert torch.equal(next(iter(game.loader)), next(iter(untouched.loader)))


def test_the_rates_of_the_optimizers_are_those_that_the_task_states() -> None:
    for name in ("two-moons-slow-critic", "two-moons-fast-critic", "digits"):
        task = all_tasks()[name]
        game = _game(task)
        assert (game.optimizer_g.param_groups[0]["lr"], game.optimizer_d.param_groups[0]["lr"]) == task.rates


def test_a_file_is_enough_to_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spiral.py").write_text(
        "from experiments.tasks._planar import planar_task\n"
        "TASK = planar_task(name='spiral', title='Spiral', suite='development', problem='swiss-roll', budget=9.0)\n"
    )
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(tmp_path)])
    all_tasks.cache_clear()
    try:
        assert set(all_tasks()) == {*NAMES, "spiral"}
    finally:
        all_tasks.cache_clear()


def test_a_file_without_a_task_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty_task_module.py").write_text("")
    monkeypatch.setattr(tasks, "__path__", [str(tmp_path), *tasks.__path__])
    all_tasks.cache_clear()
    try:
        with pytest.raises(TypeError, match="empty_task_module: defines no TASK"):
            all_tasks()
    finally:
        all_tasks.cache_clear()


def test_an_unknown_task_is_answered_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"unknown task 'rign'; there are: .*ring"):
        select_tasks(["ring", "rign"])


@pytest.mark.parametrize(
    "loader",
    [
        lambda: FreshSamples(ring, 4, seed=3),
        # 10 rows in batches of 4: a pass ends in the middle of what is drawn here.
        lambda: ShuffledRows(torch.arange(10.0), 4, seed=3),
    ],
)
@pytest.mark.parametrize("drawn", [0, 1, 2, 3, 7])
def test_a_loader_goes_on_where_it_was(loader: type[FreshSamples], drawn: int) -> None:
    original = loader()  # type: ignore[call-arg]  # a factory
    for _ in range(drawn):
        next(original)
    state = original.state_dict()
    expected = [next(original) for _ in range(5)]
    resumed = loader()  # type: ignore[call-arg]
    resumed.load_state_dict(state)
    assert all(torch.equal(next(resumed), batch) for batch in expected)


def test_a_pass_over_rows_shows_each_row_once_and_the_next_in_another_order() -> None:
    loader = ShuffledRows(torch.arange(12.0), 4, seed=0)
    passes = [torch.cat([next(loader) for _ in range(3)]) for _ in range(2)]
    assert all(sorted(seen.tolist()) == list(range(12)) for seen in passes)
    assert not torch.equal(passes[0], passes[1])


def test_too_few_rows_for_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="3 rows: at least batch_size=4"):
        ShuffledRows(torch.arange(3.0), 4, seed=0)
