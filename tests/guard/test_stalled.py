"""Training whose optimizers no longer step, as when gradients are NaN under a gradient scaler; outputs stay finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from adaptive_critic import DivergenceGuard, FixedController, create_gan_trainer
from adaptive_critic.guard.divergence import DivergenceRules
from adaptive_critic.guard.evidence import summarise
from adaptive_critic.guard.updates import smallest_loss_scale
from experiments.bench.counting import host_reads
from tests.guard.engines import healthy, published, through_file
from tests.guard.test_rollback import same


class Scaled:
    """A training under a gradient scaler, with what each iteration's gradient is multiplied by."""

    def __init__(self, gradient: Callable[[int], float], critic_steps: Callable[[int], int] = lambda i: 2) -> None:
        self.weight = torch.nn.Parameter(torch.ones(4))
        self.optimizer = torch.optim.SGD([self.weight], lr=1e-3)
        self.scaler = torch.amp.GradScaler("cpu")
        self.gradient = gradient
        self.critic_steps = critic_steps
        self.engine = Engine(self.step)

    def step(self, engine: Engine, batch: Any) -> dict[str, Any]:
        iteration = engine.state.iteration
        factor = self.gradient(iteration)
        if factor != 0.0:
            self.optimizer.zero_grad()
            loss = (self.weight * factor).sum()
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's annotation
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return healthy(iteration, self.critic_steps(iteration))

    def objects(self) -> dict[str, Any]:
        return {"weight": torch.nn.ParameterList([self.weight]), "optimizer": self.optimizer, "scaler": self.scaler}


def spoilt(iteration: int) -> float:
    return math.nan if iteration >= 60 else 1.0


def test_a_run_whose_steps_are_all_skipped_is_rolled_back_with_its_loss_scale() -> None:
    training = Scaled(lambda i: math.nan if 60 <= i <= 90 else 1.0)
    guard = DivergenceGuard("rollback", to_restore=training.objects())
    guard.attach(training.engine)
    training.engine.run(range(200))
    (record,) = guard.history
    assert (record["iteration"], record["rule"], record["action"]) == (90, "stalled", "rollback")
    assert record["reason"] == "no optimizer made a step at 3 checks in a row, while there were critic updates"
    assert training.scaler.get_scale() == 65536.0
    assert float(training.weight[0].detach()) == pytest.approx(
        1.0 - 1e-3 * (10 + 110), abs=1e-5
    )  # from the copy of iteration 10


def test_a_run_that_stays_stalled_ends_within_the_cooldown() -> None:
    training = Scaled(spoilt)
    guard = DivergenceGuard("rollback", to_restore=training.objects())
    guard.attach(training.engine)
    assert training.engine.run(range(400)).iteration == 120
    assert [(r["iteration"], r["rule"], r["action"]) for r in guard.history] == [
        (90, "stalled", "rollback"),
        (120, "stalled", "terminate"),
    ]


@pytest.mark.parametrize("known", ["engine", "to_restore"])
def test_a_loss_scale_that_vanished_is_found_at_once(known: str) -> None:
    """It halves with each update that is skipped: 2**16 falls below 2**-24 after 41 of them."""
    training = Scaled(spoilt)
    if known == "engine":
        training.engine.state.scaler = training.scaler  # type: ignore[attr-defined]  # as create_gan_trainer does
        guard = DivergenceGuard("terminate")
    else:
        guard = DivergenceGuard("rollback", to_restore={"scaler": training.scaler})
    guard.attach(training.engine)
    assert training.engine.run(range(400)).iteration == (100 if known == "engine" else 150)
    record = guard.history[0]
    assert (record["iteration"], record["rule"], record["values"]) == (100, "stalled", {"loss_scale": 2.0**-25})
    assert record["reason"] == "the loss scale fell to 2.98e-08, so updates are skipped for good"


def test_the_scaler_of_create_gan_trainer_is_watched() -> None:
    torch.manual_seed(0)
    generator, critic = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    trainer = create_gan_trainer(
        generator,
        critic,
        torch.optim.SGD(generator.parameters(), 1e-3),
        torch.optim.SGD(critic.parameters(), 1e-3),
        data=[torch.randn(16, 2) for _ in range(4)],
        latent_dim=2,
        objective="hinge",
        autocast=torch.float16,
    )
    critic.weight.register_hook(lambda gradient: gradient * math.nan)  # type: ignore[no-untyped-call]  # torch's
    FixedController(3, on_divergence="terminate").attach(trainer)
    before = critic.weight.detach().clone()
    trainer.run(max_epochs=1, epoch_length=500)
    assert trainer.state.iteration < 60
    assert published(trainer).divergence["rule"] == "stalled"
    assert torch.equal(critic.weight, before)


QUIET: dict[str, tuple[Callable[[int], float], Callable[[int], int]]] = {
    "a scale that is found at first": (lambda i: math.inf if i < 12 else 1.0, lambda i: 2),
    "one step in 47 iterations": (lambda i: 1.0 if i % 47 == 0 else 0.0, lambda i: 2),
    "no critic updates, and no step of its optimizer": (
        lambda i: 0.0 if 100 <= i < 200 else 1.0,
        lambda i: 0 if 100 <= i < 200 else 2,
    ),
    "two checks without a step": (lambda i: math.nan if 60 <= i < 85 else 1.0, lambda i: 2),
}


@pytest.mark.parametrize("name", QUIET)
def test_optimizers_that_step_seldom_are_healthy(name: str) -> None:
    training = Scaled(*QUIET[name])
    guard = DivergenceGuard("rollback", to_restore=training.objects())
    guard.attach(training.engine)
    training.engine.run(range(400))
    assert guard.history == []


@pytest.mark.parametrize(("gradient", "trusted"), [(spoilt, None), (lambda i: 1.0 if i % 47 == 0 else 0.0, 190)])
def test_a_copy_is_not_trusted_where_steps_are_missing(gradient: Callable[[int], float], trusted: int | None) -> None:
    training = Scaled(gradient)
    guard = DivergenceGuard("rollback", to_restore=training.objects(), snapshot_every=10)
    guard.attach(training.engine)
    training.engine.run(range(80 if trusted is None else 200))
    assert guard.snapshots is not None
    candidate = guard.snapshots.state.candidate
    assert (candidate and candidate.iteration) == trusted


def test_a_stall_is_counted_through_a_state() -> None:
    training = Scaled(spoilt)
    guard = DivergenceGuard("rollback", to_restore=training.objects())
    guard.attach(training.engine)
    training.engine.run(range(85))
    state = through_file(guard.state_dict())
    assert (state["rules"]["idle"], state["rules"]["longest_idle"]) == (2, 0)
    guard.detach()
    resumed = DivergenceGuard("rollback", to_restore=training.objects())
    resumed.load_state_dict(state)
    assert same(resumed.state_dict(), state)
    resumed.attach(training.engine)
    training.engine.run(range(85), max_epochs=2)
    assert [record["iteration"] for record in resumed.history][:1] == [90]
    early = {**state, "rules": {key: value for key, value in state["rules"].items() if "idle" not in key}}
    resumed.load_state_dict(early)
    assert resumed.state_dict()["rules"]["idle"] == 0


@pytest.mark.parametrize(
    ("checks", "found", "unclean"),
    [
        ("s iii", [3], [1, 2, 3]),
        ("iii s iii", [], []),  # as seldom as at first
        ("iii s iiii", [7], [7]),
        ("s ii s ii s iii", [9], [1, 2, 9]),
        ("iiiiii", [], []),  # nothing is known to have stepped
        ("s i-i-i", [5], [1, 2, 3, 4, 5]),  # iterations without critic updates tell nothing
        ("s iiiiii", [3, 6], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_when_optimizers_that_do_not_step_are_found(checks: str, found: list[int], unclean: list[int]) -> None:
    rules, judged = DivergenceRules(patience=3), []
    state = rules.init()
    evidence = {
        "s": summarise({"d_loss": [1.0]}, {"g": [0.5], "d": []}),
        "i": summarise({"d_loss": [1.0]}, {"g": [], "d": []}),
        "-": summarise({"g_loss": [1.0]}, {"g": [], "d": []}),
    }
    for kind in checks.replace(" ", ""):
        state, judgement = rules.update(state, evidence[kind])
        judged.append(judgement)
    assert [index for index, judgement in enumerate(judged) if judgement.verdict] == found
    assert [index for index, judgement in enumerate(judged) if not judgement.clean] == unclean


def test_steps_that_a_cuda_graph_replays_are_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks of an optimizer are called while a graph is captured, and never again."""
    training = Scaled(lambda i: 1.0 if i <= 30 else 0.0)
    guard = DivergenceGuard("rollback", to_restore=training.objects())
    guard.attach(training.engine)
    training.engine.run(range(29))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    training.engine.run(range(200), max_epochs=2)
    assert guard.history == []


@pytest.mark.parametrize("tensors", [True, False])
def test_the_loss_scale_costs_no_read_of_its_own(tensors: bool) -> None:
    training = Scaled(lambda i: 1.0)
    training.engine.state.scaler = training.scaler  # type: ignore[attr-defined]  # as create_gan_trainer does
    with host_reads() as plain:
        training.engine.run(range(40))
    if not tensors:
        step = training.step
        training.engine._process_function = lambda engine, batch: {
            "d_loss": 1.0,
            **dict.fromkeys(step(engine, batch), 1.0),
        }
    DivergenceGuard("terminate").attach(training.engine)
    with host_reads() as reads:
        training.engine.run(range(40))
    assert len(reads) - len(plain) == 4


@pytest.mark.parametrize("scale", [0.5, 2.0**-60])
def test_the_smallest_of_several_scales_counts(scale: float) -> None:
    scalers = [torch.amp.GradScaler("cpu", init_scale=value) for value in (4.0, scale, 8.0)]
    off = torch.amp.GradScaler("cpu", enabled=False)
    found = smallest_loss_scale([None, off, *scalers], torch.device("cpu"))
    assert float(found) == scale
    other = smallest_loss_scale(scalers, torch.device("meta"))  # where the scaler is not
    assert isinstance(other, torch.Tensor)
    assert other.device.type == "meta"
    assert smallest_loss_scale([None, off], torch.device("cpu")) == math.inf
