"""What a controller publishes arrives in Ignite's loggers, and it gets along with the handlers that others attach.

The code is that of docs/loggers.md, block by block: what the page shows is what runs here.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, TensorboardLogger

from adaptive_critic import StepDecayController, StopAtBudget, WassersteinGapController
from adaptive_critic.controller import Controller

PAGE = Path(__file__).parents[1] / "docs" / "loggers.md"
ITERATIONS = 40


def page_blocks() -> dict[str, str]:
    """Return heading -> the one block of Python under it."""
    blocks = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        (code,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        blocks[section.partition("\n")[0]] = code
    return blocks


class Session:
    """A trainer whose critic's advantage moves, a controller, and the values that the state had along the way."""

    def __init__(self, controller: Controller) -> None:
        self.ran: list[int] = []  # critic updates that each iteration made
        self.generator = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(self.generator.weight, 0.0)
        self.trainer = Engine(self._step)
        self.controller = controller

    def attach(self) -> Session:
        self.controller.attach(self.trainer)
        return self

    def _step(self, engine: Engine, batch: Any) -> dict[str, Any]:
        n = getattr(engine.state, self.controller.param_name)
        self.ran.append(n)
        with torch.no_grad():
            self.generator.weight += 0.01 * n  # so that an average of the weights depends on n
        i = engine.state.iteration
        return {
            "d_real": [1.0] * n,
            "d_fake": [0.3 * math.sin(i / 3.0)] * n,
            "g_fake": 0.1 * math.cos(i / 5.0),
            "num_samples": 8 * n,
            "distance": abs(i - 20),
        }

    def run_block(self, heading: str) -> dict[str, Any]:
        names: dict[str, Any] = {"trainer": self.trainer, "controller": self.controller, "generator": self.generator}
        exec(compile(page_blocks()[heading], f"{PAGE.name}: {heading}", "exec"), names)
        return names

    def run(self, iterations: int = ITERATIONS) -> list[dict[str, Any]]:
        """Run; return what engine.state had after each iteration, when all handlers had run."""
        seen: list[dict[str, Any]] = []
        names = ("num_discriminator_steps", "critic_ratio", "critic_signal", "critic_updates", "generator_updates")

        def note(engine: Engine) -> None:
            seen.append({name: getattr(engine.state, name) for name in names})

        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, note)
        self.trainer.run(range(10), max_epochs=iterations // 10)
        return seen


def feedback() -> Session:
    return Session(WassersteinGapController())


def open_loop() -> Session:
    return Session(StepDecayController(milestones={0: 7, 4: 3}))


def test_every_section_of_the_page_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    unused = [heading for heading in page_blocks() if f'run_block("{heading}")' not in source]
    assert not unused, f"docs/loggers.md shows {unused}, which no test runs"


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    session = open_loop().attach()
    session.run_block("Progress bar")
    session.run(10)
    shown = re.findall(r"num_discriminator_steps=(\S+?), critic_ratio=(\S+)", capsys.readouterr().err)
    assert [(float(n), float(ratio)) for n, ratio in dict.fromkeys(shown)] == [(7.0, 7.0), (3.0, 3.0)]


def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.chdir(tmp_path)
    session = feedback().attach()
    session.run_block("TensorBoard")
    seen = session.run()
    events = accumulator.EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert len({entry["num_discriminator_steps"] for entry in seen}) > 1  # else a constant would do
    for name in ("num_discriminator_steps", "critic_ratio", "critic_signal", "critic_updates"):
        written = events.Scalars(f"critic/{name}")
        assert [event.step for event in written] == list(range(1, ITERATIONS + 1))
        expected = torch.tensor([entry[name] for entry in seen], dtype=torch.float32)  # an event file holds float32
        torch.testing.assert_close(
            torch.tensor([event.value for event in written]), expected, rtol=0, atol=0, equal_nan=True
        )


def test_attributes_of_every_handler_arrive_in_an_event_file(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    session = Session(WassersteinGapController(param_name="critic_steps", on_divergence="hold"))
    trainer = session.attach().trainer
    StopAtBudget(cost=60, critic_cost=2, generator_cost=1, param_name="critic_steps").attach(trainer)
    names = [
        *("critic_steps", "critic_steps_critic_ratio", "critic_steps_critic_signal", "critic_steps_critic_updates"),
        *("critic_steps_generator_updates", "critic_steps_samples_seen", "critic_steps_cost_spent"),
        "critic_steps_guard_interventions",
    ]
    with TensorboardLogger(log_dir=str(tmp_path)) as logger:
        logger.attach_output_handler(trainer, Events.ITERATION_COMPLETED, tag="critic", state_attributes=names)
        trainer.run(range(10), max_epochs=4)
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    last = {name: events.Scalars(f"critic/{name}")[-1] for name in names}
    controller = session.controller
    assert {event.step for event in last.values()} == {len(session.ran)}
    assert last["critic_steps_cost_spent"].value == 2 * controller.critic_updates + controller.generator_updates >= 60
    assert last["critic_steps_guard_interventions"].value == 0.0
    assert last["critic_steps"].value == controller.num_discriminator_steps
    assert last["critic_steps_critic_ratio"].value == pytest.approx(controller.ratio)
    assert last["critic_steps_critic_signal"].value == pytest.approx(controller.signal)
    assert last["critic_steps_critic_updates"].value == sum(session.ran)
    assert last["critic_steps_generator_updates"].value == len(session.ran)
    assert last["critic_steps_samples_seen"].value == 8 * sum(session.ran)


def test_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    monkeypatch.chdir(tmp_path)
    session = feedback().attach()
    session.run_block("JSON lines")
    seen = session.run()
    lines = (tmp_path / "critic.jsonl").read_text(encoding="utf-8").splitlines()
    read = [json.loads(line, parse_constant=refuse) for line in lines]
    assert read[0]["critic_signal"] is None  # nothing to show yet
    for iteration, (entry, state) in enumerate(zip(read, seen, strict=True), start=1):
        assert entry.pop("iteration") == iteration
        assert entry == {name: None if math.isnan(value) else value for name, value in state.items()}


def test_a_logger_before_the_controller_shows_what_the_iteration_was_run_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = {}
    for before in (True, False):
        session = feedback()
        if before:
            session.trainer.state.num_discriminator_steps = None  # type: ignore[attr-defined]
            session.run_block("JSON lines")
            del session.trainer.state.num_discriminator_steps  # type: ignore[attr-defined]
            session.attach()
        else:
            session.attach().run_block("JSON lines")
        session.run()
        lines = (tmp_path / "critic.jsonl").read_text(encoding="utf-8").splitlines()
        shown[before] = [json.loads(line)["num_discriminator_steps"] for line in lines]
        (tmp_path / "critic.jsonl").unlink()
    assert shown[True] == session.ran
    assert shown[False][:-1] == session.ran[1:]
    assert shown[True] != shown[False]


def test_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    session = feedback().attach()
    with plt.rc_context({"backend": "agg"}):
        history = session.run_block("A picture of the run")["history"]
        session.run()
        plt.close()
    assert [point.critic_updates for point in history.points] == session.ran
    assert (tmp_path / "critic.png").read_bytes().startswith(b"\x89PNG")


def test_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = feedback().attach()
    whole.run()
    first = feedback().attach()
    checkpoint = first.run_block("Checkpoint")["checkpoint"]
    first.run(20)
    saved = torch.load(checkpoint.last_checkpoint, weights_only=True)
    resumed = feedback().attach()
    Checkpoint.load_objects(
        {"trainer": resumed.trainer, "controller": resumed.controller, "generator": resumed.generator}, saved
    )
    resumed.run()
    assert first.ran + resumed.ran == whole.ran
    assert len(set(whole.ran[20:])) > 1
    torch.testing.assert_close(resumed.generator.weight, whole.generator.weight, rtol=0, atol=0)
    assert resumed.controller.state_dict() == whole.controller.state_dict()


@pytest.mark.parametrize("controller_first", [True, False])
def test_early_stopping_and_averaged_weights_beside_a_controller(controller_first: bool) -> None:
    session = feedback()
    if controller_first:
        session.attach()
    names = session.run_block("Early stopping and averaged weights")
    if not controller_first:
        session.attach()
    session.run()
    assert session.trainer.state.iteration == 25  # nearest at 20, then five that are no better
    alone = feedback().attach()
    alone.run()
    assert session.ran == alone.ran[:25]
    weight, average = 0.0, 0.0
    for n in session.ran:
        weight += 0.01 * n
        average += 0.01 * (weight - average)
    found = names["averaged"].ema_model.weight
    torch.testing.assert_close(found, torch.full_like(found, average))


def test_a_scheduler_of_ignite() -> None:
    session = open_loop()
    controller = session.run_block("Ignite's schedulers")["controller"]
    session.run()
    falling = [min(math.floor(10.0 - 8.0 * index / 30 + 0.5), 8) for index in range(30)]
    assert session.ran == [*falling, *[2] * 10]
    assert controller.critic_updates == sum(session.ran)
