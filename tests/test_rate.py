"""The critic's learning rate: multiplied while its optimizer steps, and the user's own at every other time."""

from __future__ import annotations

import copy
import gc
import inspect
import io
import math
import pickle
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.distributed.fsdp
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, Events
from ignite.handlers import LinearCyclicalScheduler
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim import lr_scheduler as schedulers
from torch.utils._python_dispatch import TorchDispatchMode

from adaptive_critic.rate import CriticRate, relative_step
from tests.processes import run_side_by_side
from tests.training_toys import HostReads

KEPT: list[CriticRate] = []
"""what multiplies in the running test: an optimizer does not keep it alive"""


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    KEPT.clear()


def weight(size: int = 3) -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1.0, 1.0, size))


def step(optimizer: Optimizer, gradient: float = 1.0) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = gradient * (1 + torch.arange(parameter.numel(), dtype=parameter.dtype))
    optimizer.step()


def rates(optimizer: Optimizer) -> list[Any]:
    return [group["lr"] for group in optimizer.param_groups]


def attached(optimizer: Optimizer, multiplier: float = 1.0) -> CriticRate:
    rate = CriticRate(optimizer, multiplier)
    rate.attach()
    KEPT.append(rate)
    return rate


def hooks(optimizer: Optimizer) -> int:
    return len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


# What is multiplied

MULTIPLIERS = [1.0, 8.0, 0.25, 3.7, 16.0, 1.0]


def fused(kind: Callable[..., Optimizer]) -> Callable[[Any, Any], Optimizer]:
    return lambda params, lr: kind(params, lr=lr, fused=True)


def runs(make: Callable[[Any, Any], Optimizer]) -> bool:
    """Whether this version of torch has it on the CPU."""
    parameter = weight()
    parameter.grad = torch.ones_like(parameter)
    try:
        make([parameter], 0.1).step()
    except (RuntimeError, NotImplementedError):
        return False
    return True


FUSED = {f"{kind.__name__}, fused": fused(kind) for kind in (SGD, Adam) if runs(fused(kind))}

OPTIMIZERS: dict[str, Callable[[Any, Any], Optimizer]] = {
    "SGD": lambda params, lr: SGD(params, lr=lr),
    "SGD, momentum and decay": lambda params, lr: SGD(params, lr=lr, momentum=0.9, nesterov=True, weight_decay=0.1),
    "RMSprop": lambda params, lr: torch.optim.RMSprop(params, lr=lr),
    "Adam": lambda params, lr: Adam(params, lr=lr, betas=(0.5, 0.9)),
    "Adam, foreach": lambda params, lr: Adam(params, lr=lr, foreach=True),
    "AdamW": lambda params, lr: torch.optim.AdamW(params, lr=lr, weight_decay=0.1),
    "NAdam": lambda params, lr: torch.optim.NAdam(params, lr=lr),
    "Adagrad": lambda params, lr: torch.optim.Adagrad(params, lr=lr),
    **FUSED,
}


def two_groups(make: Callable[[Any, Any], Optimizer], lr: Any) -> Optimizer:
    optimizer = make([{"params": [weight()]}, {"params": [weight(2)], "lr": 0.003}], lr)
    assert rates(optimizer) == [lr, 0.003]
    return optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_one_at_the_product_of_rate_and_multiplier(name: str) -> None:
    ours, by_hand = (two_groups(OPTIMIZERS[name], 0.05) for _ in range(2))
    rate = attached(ours)
    for index, multiplier in enumerate(MULTIPLIERS):
        rate.multiplier = multiplier
        by_hand.param_groups[0]["lr"], by_hand.param_groups[1]["lr"] = 0.05 * multiplier, 0.003 * multiplier
        step(ours, 1.0 + index)
        step(by_hand, 1.0 + index)
        assert rates(ours) == [0.05, 0.003]
    weights = zip(ours.param_groups, by_hand.param_groups, strict=True)
    assert all(torch.equal(a["params"][0], b["params"][0]) for a, b in weights)
    assert rate.steps == len(MULTIPLIERS)


TENSOR_RATES: dict[str, Callable[[Any, Any], Optimizer]] = {
    "SGD": lambda params, lr: SGD(params, lr=lr),
    "Adam": lambda params, lr: Adam(params, lr=lr),
    "Adam, capturable": lambda params, lr: Adam(params, lr=lr, capturable=True, foreach=False),
    "AdamW": lambda params, lr: torch.optim.AdamW(params, lr=lr),
    **FUSED,
}


@pytest.mark.parametrize("name", TENSOR_RATES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_tensor_rates_are_multiplied_in_place_and_put_back_bit_for_bit_without_a_read(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "Adam, capturable":
        for module in (torch.compiler, torch._utils):  # it wants an accelerator otherwise
            monkeypatch.setattr(module, "is_compiling", lambda: True, raising=False)
    lr = torch.tensor(0.1, dtype=dtype)
    ours, by_hand = (TENSOR_RATES[name]([weight()], lr.clone()) for _ in range(2))
    (tensor,) = rates(ours)
    rate = attached(ours)
    for multiplier in MULTIPLIERS:
        rate.multiplier = multiplier
        by_hand.param_groups[0]["lr"] = lr * torch.tensor(multiplier, dtype=dtype)
        reads = []
        for optimizer in (ours, by_hand):
            with HostReads() as counter:
                step(optimizer)
            reads.append(counter.found)
        assert reads[0] == reads[1], "the optimizer may read, the multiplier not"
        assert rates(ours)[0] is tensor
        assert torch.equal(tensor, lr)
    assert torch.equal(ours.param_groups[0]["params"][0], by_hand.param_groups[0]["params"][0])


def test_a_tensor_that_is_the_rate_of_two_groups_is_multiplied_once() -> None:
    lr = torch.tensor(0.5)
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = SGD([{"params": [parameter], "lr": lr} for parameter in parameters], lr=0.1)
    assert optimizer.param_groups[0]["lr"] is optimizer.param_groups[1]["lr"]
    attached(optimizer, 4.0)
    for _ in range(2):
        step(optimizer)
    # Twice 0.5 * 4, not 0.5 * 4 * 4.
    assert [parameter.item() for parameter in parameters] == [-4.0, -4.0]


def test_each_tensor_is_multiplied_in_its_own_precision() -> None:
    parameters = [nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2)]
    lr = [torch.tensor(0.1), torch.tensor(0.1, dtype=torch.float64)]
    optimizer = SGD([{"params": [p], "lr": r} for p, r in zip(parameters, lr, strict=True)], lr=0.1)
    attached(optimizer, 3.7)
    step(optimizer)
    products = [(r * torch.tensor(3.7, dtype=r.dtype)).item() for r in lr]
    assert [-parameter.item() for parameter in parameters] == products


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own hook is untyped
    """Notes the arguments of each in-place multiplication."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket is torch.ops.aten.mul_:
            self.found.append(args)
        return func(*args, **(kwargs or {}))


def test_a_captured_graph_would_follow_the_multiplier() -> None:
    # A graph repeats operations on the tensors that it was captured with: the factor has to be one of them.
    lr = torch.tensor(0.5)
    optimizer = SGD([weight()], lr=lr)
    rate = attached(optimizer, 4.0)
    with Recorder() as recorder:
        step(optimizer)
    ((multiplied, factor),) = recorder.found
    assert multiplied is lr
    rate.multiplier = 2.0
    assert torch.equal(factor, torch.tensor(2.0))


def test_a_rate_that_is_differentiated_through_is_replaced() -> None:
    if torch.__version__ < "2.4":
        pytest.skip("torch 2.4 takes such a rate for SGD")
    lr = torch.tensor(0.5, requires_grad=True)
    source = torch.zeros(1, requires_grad=True)
    copied = source.clone()
    optimizer = SGD([copied], lr=lr, differentiable=True)
    attached(optimizer, 4.0)
    copied.grad = torch.ones(1)
    optimizer.step()
    torch.autograd.backward(copied.sum())
    assert lr.grad is not None
    assert lr.grad.item() == -4.0
    assert rates(optimizer)[0] is lr


@given(
    user=st.floats(1e-8, 1e3),
    multipliers=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8),
    tensor=st.booleans(),
)
def test_nothing_accumulates(user: float, multipliers: list[float], tensor: bool) -> None:
    optimizer = SGD([weight()], lr=torch.tensor(user) if tensor else user)
    before = copy.deepcopy(rates(optimizer))
    rate = attached(optimizer)
    for multiplier in multipliers:
        rate.multiplier = multiplier
        step(optimizer, 0.0)
        assert rates(optimizer) == before


def test_decay_grows_with_the_rate_as_under_a_schedule() -> None:
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.AdamW([parameter], lr=0.01, weight_decay=0.5)
    attached(optimizer, 8.0)
    step(optimizer, 0.0)
    assert parameter.item() == pytest.approx(1 - 8 * 0.01 * 0.5)


# Beside it


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: schedulers.LambdaLR(optimizer, lambda k: 0.9**k),
        lambda optimizer: schedulers.ExponentialLR(optimizer, 0.8),
        lambda optimizer: schedulers.OneCycleLR(optimizer, max_lr=0.5, total_steps=20),
        lambda optimizer: schedulers.CosineAnnealingLR(optimizer, 7),
        lambda optimizer: schedulers.ReduceLROnPlateau(optimizer, patience=1),
    ],
    ids=["LambdaLR", "ExponentialLR", "OneCycleLR", "CosineAnnealingLR", "ReduceLROnPlateau"],
)
@pytest.mark.parametrize("first", ["rate", "scheduler"])
@pytest.mark.parametrize("tensor", [False, True], ids=["float", "tensor"])
def test_a_scheduler_sees_and_sets_the_users_rate(make: Any, first: str, tensor: bool) -> None:
    def run(multiplied: bool) -> list[list[float]]:
        optimizer = SGD([weight()], lr=torch.tensor(0.1) if tensor else 0.1, momentum=0.9)
        rate = CriticRate(optimizer, 8.0)
        if multiplied and first == "rate":
            rate.attach()
        scheduler = make(optimizer)
        if multiplied and first == "scheduler":
            rate.attach()
        seen = []
        for index in range(12):
            step(optimizer)
            if isinstance(scheduler, schedulers.ReduceLROnPlateau):
                scheduler.step(float(index))
            else:
                scheduler.step()
            seen.append([*map(float, rates(optimizer)), *map(float, scheduler.get_last_lr())])
            if index == 8:
                rate.detach()
        assert rate.steps == 9 * multiplied
        return seen

    assert run(multiplied=True) == run(multiplied=False)


def test_a_scheduler_that_a_hook_steps_sees_the_users_rate() -> None:
    optimizer = SGD([weight()], lr=0.1)
    scheduler = schedulers.ExponentialLR(optimizer, 0.5)
    optimizer.register_step_post_hook(lambda *_: scheduler.step())
    attached(optimizer, 8.0)
    step(optimizer)
    step(optimizer)
    assert rates(optimizer) == [0.1 * 0.5 * 0.5]


def test_a_hook_that_sets_the_rate_before_a_step_counts() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=0.1)
    seen = []

    def warm_up(stepping: Optimizer, args: Any, kwargs: Any) -> None:
        seen.extend(rates(stepping))
        stepping.param_groups[0]["lr"] = 0.25

    optimizer.register_step_pre_hook(warm_up)
    attached(optimizer, 8.0)
    step(optimizer)
    assert parameter.item() == -2.0
    step(optimizer)
    assert seen == [0.1, 0.25]
    assert rates(optimizer) == [0.25]


def test_a_rate_that_is_assigned_during_the_step_stays() -> None:
    optimizer = SGD([weight()], lr=0.1)
    attached(optimizer, 8.0)

    def closure() -> float:
        optimizer.param_groups[0]["lr"] = 0.7
        return 0.0

    optimizer.step(closure)
    assert rates(optimizer) == [0.7]


def test_a_tensor_that_is_written_during_the_step_keeps_the_value() -> None:
    optimizer = SGD([weight()], lr=torch.tensor(0.5))
    rate = attached(optimizer, 8.0)

    def closure() -> float:
        optimizer.param_groups[0]["lr"].fill_(0.25)
        return 0.0

    optimizer.step(closure)
    assert rates(optimizer) == [0.25]
    optimizer.step()
    assert rates(optimizer) == [0.25]
    rate.detach()


def test_a_scheduler_that_writes_0_stops_the_critic_at_any_multiplier() -> None:
    parameter = weight()
    optimizer = SGD([parameter], lr=0.1)
    schedulers.LambdaLR(optimizer, lambda _: 0.0)
    attached(optimizer, 1e6)
    before = parameter.detach().clone()
    step(optimizer)
    assert torch.equal(parameter, before)


def test_ignites_schedulers_see_the_users_rate() -> None:
    def run(multiplier: float | None) -> list[float]:
        optimizer = SGD([weight()], lr=0.1)
        trainer = Engine(lambda engine, batch: step(optimizer))
        scheduler = LinearCyclicalScheduler(optimizer, "lr", 0.1, 0.01, 6)
        trainer.add_event_handler(Events.ITERATION_STARTED, scheduler)
        seen: list[float] = []
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.extend(rates(optimizer)))
        if multiplier is not None:
            attached(optimizer, multiplier)
        trainer.run([0] * 12)
        return seen

    assert run(8.0) == run(None)


@pytest.mark.parametrize("in_one_kernel", [False, True] if "SGD, fused" in FUSED else [False])
def test_a_step_that_the_scaler_skips_changes_nothing(in_one_kernel: bool) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=0.5, fused=in_one_kernel)
    rate = attached(optimizer, 4.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for gradient in (1.0, math.inf, 1.0):
        scaler.scale(torch.zeros(()))
        parameter.grad = torch.full((1,), 2.0 * gradient)  # times the scale
        scaler.step(optimizer)
        scaler.update(2.0)
        assert rates(optimizer) == [0.5]
    assert parameter.item() == -4.0
    assert rate.steps == (3 if in_one_kernel else 2)


def test_accumulated_gradients_are_one_step() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=0.5)
    rate = attached(optimizer, 4.0)
    for _ in range(3):
        torch.autograd.backward(parameter.sum() / 3)
    optimizer.step()
    assert parameter.item() == pytest.approx(-2.0)
    assert rate.steps == 1


def test_closures() -> None:
    def run(multiplier: float | None, lr: float) -> Tensor:
        parameter = weight()
        optimizer = torch.optim.LBFGS([parameter], lr=lr, max_iter=3)
        if multiplier is not None:
            attached(optimizer, multiplier)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = (parameter - 2).pow(4).sum()
            torch.autograd.backward(loss)
            return loss

        for _ in range(3):
            loss = optimizer.step(closure)  # type: ignore[no-untyped-call]
            assert isinstance(loss, Tensor)
            assert rates(optimizer) == [lr]
        return parameter.detach()

    assert torch.equal(run(4.0, 0.125), run(None, 0.5))


# A step that raises


class Breaks(SGD):
    """Raises in the middle of its step."""

    def step(self, closure: Any = None) -> Any:
        super().step()
        raise ArithmeticError(f"at rate {rates(self)}")


def fails_in_closure() -> None:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize("tensor", [False, True], ids=["float", "tensor"])
@pytest.mark.parametrize("scheduler", [None, "before", "after"])
def test_a_step_that_raises_leaves_the_users_rate(tensor: bool, scheduler: str | None) -> None:
    lr = torch.tensor(0.1) if tensor else 0.1
    optimizer = SGD([weight()], lr=lr)
    if scheduler == "before":
        schedulers.ExponentialLR(optimizer, 1.0)
    rate = attached(optimizer, 8.0)
    if scheduler == "after":
        schedulers.ExponentialLR(optimizer, 1.0)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="out of memory"):
            optimizer.step(fails_in_closure)
        assert rates(optimizer) == [torch.tensor(0.1) if tensor else 0.1]
    parameter = optimizer.param_groups[0]["params"][0]
    before = parameter.detach().clone()
    step(optimizer)
    assert torch.allclose(parameter, before - 0.8 * (1 + torch.arange(3)))
    assert rate.steps == 4


def test_a_step_that_raises_after_its_base_classes_step() -> None:
    optimizer = Breaks([weight()], lr=0.1)
    attached(optimizer, 8.0)
    with pytest.raises(ArithmeticError):
        step(optimizer)
    assert rates(optimizer) == [0.1]


def test_a_hook_that_raises_leaves_the_users_rate() -> None:
    optimizer = SGD([weight()], lr=0.1)
    attached(optimizer, 8.0)

    def refuse(*_: Any) -> None:
        raise ArithmeticError

    optimizer.register_step_pre_hook(refuse)
    with pytest.raises(ArithmeticError):
        step(optimizer)
    assert rates(optimizer) == [0.1]


# Where step is called from


def test_a_step_that_was_taken_hold_of_before_is_multiplied() -> None:
    # accelerate does so: it puts the step that it found back after each scaled step.
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=0.5)
    held = optimizer.step
    rate = attached(optimizer, 4.0)
    parameter.grad = torch.ones(1)
    held()
    assert parameter.item() == -2.0
    optimizer.step = held  # type: ignore[method-assign]
    optimizer.step()
    assert parameter.item() == -4.0
    # Nothing learns of an error there; whatever comes next begins with the user's rate.
    with pytest.raises(RuntimeError):
        optimizer.step(fails_in_closure)
    optimizer.step()
    assert parameter.item() == -6.0
    with pytest.raises(RuntimeError):
        optimizer.step(fails_in_closure)
    rate.detach()
    assert rates(optimizer) == [0.5]


def test_optimizers_whose_hooks_the_compiler_took_off() -> None:
    class Unhooked(SGD):
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.data -= group["lr"] * parameter.grad

    setattr(Unhooked.step, "hooked", True)  # noqa: B010  # what older versions of torch do, and the hooks are off
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = Unhooked([parameter], lr=0.5)
    signature = inspect.signature(optimizer.step)
    rate = attached(optimizer, 4.0)
    assert inspect.signature(optimizer.step) == signature
    schedulers.ExponentialLR(optimizer, 1.0)
    step(optimizer)
    assert parameter.item() == -2.0
    assert rates(optimizer) == [0.5]
    assert rate.steps == 1
    rate.detach()
    step(optimizer)
    assert parameter.item() == -2.5
    rate.attach()
    step(optimizer)
    assert parameter.item() == -4.5
    assert rate.steps == 2


def test_a_step_that_calls_its_base_classes_step_is_multiplied_once() -> None:
    class Twice(SGD):
        def step(self, closure: Any = None) -> Any:
            super().step()
            super().step()

    parameter = nn.Parameter(torch.zeros(1))
    SGD([parameter], lr=0.1)  # its step has hooks from now on as well
    optimizer = Twice([parameter], lr=0.5)
    attached(optimizer, 4.0)
    step(optimizer)
    assert parameter.item() == -4.0
    assert rates(optimizer) == [0.5]


class Forwarding(Optimizer):
    """An optimizer around another, with its groups, as Ignite's for XLA and accelerate's are."""

    def __init__(self, inner: Optimizer) -> None:
        super().__init__(cast(Any, inner.param_groups), {})
        self.inner = inner

    def step(self, closure: Any = None) -> Any:
        return self.inner.step(closure)


def test_a_wrapper_with_hooks_is_multiplied_once() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    inner = SGD([parameter], lr=0.5)
    wrapper = Forwarding(inner)
    attached(wrapper, 4.0)
    step(wrapper)
    assert parameter.item() == -2.0
    assert rates(inner) == rates(wrapper) == [0.5]


def test_the_scaler_sees_what_a_step_accepts() -> None:
    class Accepts(SGD):
        def step(self, closure: Any = None, *, grad_scaler: Any = None) -> Any:
            return super().step(closure)

    optimizer = Accepts([weight()], lr=0.1)
    signature = inspect.signature(optimizer.step)
    rate = attached(optimizer)
    assert inspect.signature(optimizer.step) == signature
    assert optimizer.step.__name__ == "step"
    rate.detach()
    assert "step" not in vars(optimizer)


def zero_redundancy(rank: int, folder: str) -> None:
    from torch import distributed
    from torch.distributed.optim import ZeroRedundancyOptimizer

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))]
    optimizer = ZeroRedundancyOptimizer(parameters, SGD, lr=0.5)
    rate = attached(optimizer, 4.0)
    for multiplier in (4.0, 2.0):
        rate.multiplier = multiplier
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    torch.save({"weights": [p.detach() for p in parameters], "rates": rates(optimizer)}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_zero_redundancy_optimizers_are_multiplied_once(tmp_path: Path) -> None:
    run_side_by_side(zero_redundancy, [(rank, str(tmp_path)) for rank in range(2)], tmp_path, limit=120.0)
    for rank in range(2):
        saved = torch.load(tmp_path / f"{rank}.pt")
        assert saved["rates"] == [0.5]
        assert all((parameter == -3.0).all() for parameter in saved["weights"])


# States, copies, and what comes and goes


def test_saved_states_hold_the_users_rate() -> None:
    for lr in (0.1, torch.tensor(0.1)):
        optimizer = Adam([weight()], lr=lr)
        attached(optimizer, 8.0)
        step(optimizer)
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        saved = torch.load(file)
        assert saved["param_groups"][0]["lr"] == lr


def test_a_rollback_goes_on_multiplied() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=torch.tensor(0.5))
    rate = attached(optimizer, 4.0)
    snapshot = copy.deepcopy(optimizer.state_dict())
    step(optimizer)
    optimizer.load_state_dict(snapshot)
    step(optimizer)
    assert parameter.item() == -4.0
    assert rates(optimizer) == [torch.tensor(0.5)]
    assert rate.steps == 2
    assert hooks(optimizer) == 2


def test_a_group_that_is_added_is_multiplied() -> None:
    optimizer = SGD([weight()], lr=0.1)
    attached(optimizer, 4.0)
    step(optimizer)
    added = nn.Parameter(torch.zeros(1))
    optimizer.add_param_group({"params": [added], "lr": 0.25})
    step(optimizer)
    assert added.item() == -1.0
    assert rates(optimizer) == [0.1, 0.25]


@pytest.mark.parametrize("scheduler", [None, "before", "after"])
def test_detach_leaves_the_optimizer_as_it_was(scheduler: str | None) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=0.5)
    if scheduler == "before":
        schedulers.ExponentialLR(optimizer, 1.0)
    before = vars(optimizer).get("step")
    rate = attached(optimizer, 4.0)
    if scheduler == "after":
        schedulers.ExponentialLR(optimizer, 1.0)
    marked = vars(optimizer).get("step")
    step(optimizer)
    for _ in range(2):
        rate.detach()
        assert not rate.attached
        assert hooks(optimizer) == 0
        # A scheduler that came after has wrapped what was there, and marked it.
        assert vars(optimizer).get("step") is (marked if scheduler == "after" else before)
    step(optimizer)
    assert parameter.item() == -2.5
    for _ in range(2):
        rate.attach()
        assert rate.attached
        assert hooks(optimizer) == 2
    step(optimizer)
    assert parameter.item() == -4.5
    assert rate.steps == 2


def test_a_copied_optimizer_steps_at_the_users_rate() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=0.5)
    rate = attached(optimizer, 4.0)
    step(optimizer)
    for again in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        step(again)
        assert again.param_groups[0]["params"][0].item() == -2.5
        assert rates(again) == [0.5]
    assert rate.steps == 1


def test_a_copy_that_took_the_hooks_along_steps_at_the_users_rate() -> None:
    class Whole(SGD):
        def __getstate__(self) -> dict[str, Any]:
            return dict(vars(self))

    optimizer = Whole([nn.Parameter(torch.zeros(1))], lr=0.5)
    schedulers.ExponentialLR(optimizer, 1.0)  # has put a step of its own there, which steps the original
    rate = attached(optimizer, 4.0)
    again = copy.deepcopy(optimizer)
    assert hooks(again) == 2
    step(again)
    assert again.param_groups[0]["params"][0].item() == -0.5
    step(optimizer)
    assert optimizer.param_groups[0]["params"][0].item() == -2.0
    assert rate.steps == 1


def test_a_copy_is_of_the_copied_optimizer_and_not_attached() -> None:
    optimizer = SGD([weight()], lr=0.5)
    rate = attached(optimizer, 4.0)
    again, other = copy.deepcopy((rate, optimizer))
    assert again.optimizer is other
    assert (again.multiplier, again.attached, again.steps) == (4.0, False, 0)
    again.attach()
    rate.detach()
    assert hooks(other) == 2


def test_the_hooks_do_not_keep_it_alive() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=0.5)
    seen = weakref.ref(attached(optimizer, 4.0))
    KEPT.clear()
    gc.collect()
    assert seen() is None
    assert hooks(optimizer) == 0
    assert "step" not in vars(optimizer)
    step(optimizer)
    assert parameter.item() == -0.5


def test_it_does_not_keep_the_optimizer_alive() -> None:
    rate = attached(SGD([weight()], lr=0.5), 4.0)
    seen = weakref.ref(rate.optimizer)
    KEPT.clear()
    del rate
    gc.collect()
    assert seen() is None


# Bad input


def test_two_on_one_optimizer_are_refused() -> None:
    optimizer = SGD([weight()], lr=0.5)
    first, second = attached(optimizer, 4.0), CriticRate(optimizer)
    with pytest.raises(
        ValueError, match=r"another controller \(at multiplier 4\) multiplies .* of optimizer_d \(SGD\)"
    ):
        second.attach()
    assert not second.attached
    assert hooks(optimizer) == 2
    first.detach()
    second.attach()
    with pytest.raises(ValueError, match=r"call its detach\(\) first"):
        first.attach()


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, 10**400], ids=str)
def test_multipliers_that_are_not_finite_and_above_0_are_refused(bad: float) -> None:
    rate = CriticRate(SGD([weight()], lr=0.5), 4.0)
    with pytest.raises(ValueError, match="multiplier="):
        rate.multiplier = bad
    assert rate.multiplier == 4.0
    with pytest.raises(ValueError, match="multiplier="):
        CriticRate(rate.optimizer, bad)


@pytest.mark.parametrize("bad", ["8", None, True, torch.tensor(2.0)], ids=str)
def test_multipliers_that_are_not_numbers_are_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="multiplier="):
        CriticRate(SGD([weight()], lr=0.5), bad)


def test_what_is_not_an_optimizer_is_refused() -> None:
    for bad in (None, "Adam", nn.Linear(1, 1), SGD):
        with pytest.raises(TypeError, match=r"optimizer_d=.*: expected a torch.optim.Optimizer, got"):
            CriticRate(cast(Any, bad))


def test_optimizers_without_a_rate_are_refused() -> None:
    class Scaled(Optimizer):
        def __init__(self, params: Any, **group: Any) -> None:
            super().__init__(params, {"scale": 1.0, **group})

    with pytest.raises(
        ValueError, match=r"group 0 of optimizer_d \(Scaled\) has no learning rate 'lr' .* it has \['scale'\]"
    ):
        CriticRate(Scaled([weight()]))
    with pytest.raises(ValueError, match=r"group 0 of optimizer_d \(Scaled\) has no learning rate"):
        CriticRate(Scaled([weight()], lr=None))


def test_an_optimizer_that_ignores_its_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="Rprop: it reads its learning rate at the first step only"):
        CriticRate(torch.optim.Rprop([weight()], lr=0.1))


def test_wrappers_without_hooks_are_refused() -> None:
    class AcceleratedOptimizer(Optimizer):
        def __init__(self, optimizer: Optimizer) -> None:
            self.optimizer = optimizer

    with pytest.raises(ValueError, match=r"AcceleratedOptimizer without step hooks: .* AcceleratedOptimizer.optimizer"):
        CriticRate(AcceleratedOptimizer(SGD([weight()], lr=0.1)))


# --- how far a step goes -------------------------------------------------------------------------------------------


def matrix(size: float, count: int = 4) -> nn.Parameter:
    return nn.Parameter(torch.full((2, count // 2), -size))


def test_a_step_relative_to_the_weights() -> None:
    assert relative_step(Adam([matrix(0.1)], lr=0.01)) == pytest.approx(0.1)
    two = Adam([{"params": [matrix(0.1)], "lr": 0.01}, {"params": [matrix(0.3, 12)], "lr": 0.02}])
    assert relative_step(two) == pytest.approx(math.sqrt((4 * 1e-4 + 12 * 4e-4) / (4 * 0.01 + 12 * 0.09)))


def test_vectors_and_weights_without_values_say_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch 2.3 warns of every lazy module
        lazy = nn.LazyLinear(3).weight
    meta = nn.Parameter(torch.empty(2, 2, device="meta"))
    assert relative_step(Adam([matrix(0.1), nn.Parameter(torch.ones(3)), lazy, meta], lr=0.01)) == pytest.approx(0.1)
    assert relative_step(Adam([nn.Parameter(torch.ones(3)), lazy, meta], lr=0.01)) == 0.0
    assert relative_step(Adam([matrix(0.0)], lr=0.01)) == 0.0


@pytest.mark.parametrize(
    ("lr", "size"), [(math.inf, 0.1), (1e300, 1e-15), (0.01, math.nan), (0.01, math.inf), (0.0, 0.1)]
)
def test_steps_without_a_size(lr: float, size: float) -> None:
    assert relative_step(Adam([matrix(size)], lr=lr)) == 0.0


def test_adagrad_begins_as_adam_does() -> None:
    assert relative_step(torch.optim.Adagrad([matrix(0.1)], lr=0.01)) == pytest.approx(0.1)


def test_steps_that_depend_on_the_gradients() -> None:
    for optimizer in (SGD([matrix(0.1)], lr=0.01), torch.optim.ASGD([matrix(0.1)], lr=0.01)):
        assert relative_step(optimizer) == 0.0


def test_a_schedule_that_warms_up_hides_no_step() -> None:
    optimizer = Adam([matrix(0.1)], lr=torch.tensor(0.01))
    schedulers.LinearLR(optimizer, start_factor=0.1)
    assert relative_step(optimizer) == pytest.approx(0.1)
    assert relative_step(Adam([{"params": [matrix(0.1)], "initial_lr": None}], lr=0.01)) == pytest.approx(0.1)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64, torch.complex64])
def test_weights_of_other_kinds(kind: torch.dtype) -> None:
    assert relative_step(Adam([nn.Parameter(matrix(0.125).detach().to(kind))], lr=0.0125)) == pytest.approx(0.1)


def sharded(rank: int, folder: str) -> None:
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.manual_seed(0)
    network = nn.Linear(8, 9)
    whole = relative_step(Adam(network.parameters(), lr=0.01))
    fully_shard(network, mesh=init_device_mesh("cpu", (2,)))
    torch.save((whole, relative_step(Adam(network.parameters(), lr=0.01))), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.skipif(not hasattr(torch.distributed.fsdp, "fully_shard"), reason="torch has no fully_shard yet")
def test_weights_spread_over_ranks_count_as_a_whole(tmp_path: Path) -> None:
    run_side_by_side(sharded, [(rank, str(tmp_path)) for rank in range(2)], tmp_path, limit=120.0)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert found[0][1] == found[1][1] == pytest.approx(found[0][0])
