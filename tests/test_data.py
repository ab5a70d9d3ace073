from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler, IterableDataset, RandomSampler

from adaptive_critic.data import infinite_batches

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")

NUMBERS = torch.arange(11.0)


class Numbers(Dataset[torch.Tensor]):
    """0 to 10, plus noise from torch's global generator if wanted, as a random augmentation draws it."""

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise

    def __len__(self) -> int:
        return len(NUMBERS)

    def __getitem__(self, index: int) -> torch.Tensor:
        return NUMBERS[index] + self.noise * torch.rand(()) if self.noise else NUMBERS[index]


def numbers(**options: Any) -> DataLoader[Any]:
    return DataLoader(Numbers(), batch_size=2, **options)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def stateful(**options: Any) -> Iterable[Any]:
    module = pytest.importorskip("torchdata.stateful_dataloader")
    loader: Iterable[Any] = module.StatefulDataLoader(Numbers(), batch_size=2, **options)
    return loader


def distributed(**options: Any) -> DataLoader[Any]:
    sampler: DistributedSampler[Any] = DistributedSampler(Numbers(), num_replicas=2, rank=1)
    return numbers(sampler=sampler, **options)


LOADERS: dict[str, Callable[[], Iterable[Any]]] = {
    "list": lambda: list(torch.split(NUMBERS, 2)),
    "sequential": numbers,
    "shuffled by the global generator": lambda: numbers(shuffle=True),
    "shuffled by the loader's generator": lambda: numbers(shuffle=True, generator=seeded()),
    "shuffled by the sampler's generator": lambda: numbers(sampler=RandomSampler(Numbers(), generator=seeded())),
    "with replacement": lambda: numbers(sampler=RandomSampler(Numbers(), replacement=True)),
    "augmented": lambda: DataLoader(Numbers(noise=1.0), batch_size=2, shuffle=True),
    "distributed": distributed,
    "stateful": lambda: stateful(shuffle=True),
    "stateful with a generator": lambda: stateful(shuffle=True, generator=seeded()),
}
WORKERS: dict[str, Callable[[], Iterable[Any]]] = {
    "workers": lambda: numbers(shuffle=True, num_workers=1),
    "persistent workers": lambda: numbers(shuffle=True, num_workers=1, persistent_workers=True),
    "stateful workers": lambda: stateful(shuffle=True, num_workers=1, generator=seeded()),
}


def draw(batches: Iterator[Any], count: int) -> list[tuple[list[float], float]]:
    """Draw batches, and after each a random number, as a training step does."""
    return [(next(batches).tolist(), torch.rand(()).item()) for _ in range(count)]


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def test_it_starts_over_when_the_loader_is_exhausted() -> None:
    batches = infinite_batches(["a", "b", "c"])
    assert list(itertools.islice(batches, 7)) == ["a", "b", "c", "a", "b", "c", "a"]
    assert (batches.passes, batches.batches) == (2, 1)


def test_every_pass_of_a_shuffled_loader_holds_all_samples_in_another_order() -> None:
    torch.manual_seed(0)
    batches = infinite_batches(numbers(shuffle=True))
    passes = [torch.cat([next(batches) for _ in range(6)]) for _ in range(2)]
    assert all(torch.equal(one.sort().values, NUMBERS) for one in passes)
    assert not torch.equal(*passes)


def test_it_has_no_length_that_ignite_could_take_for_an_epoch() -> None:
    assert not hasattr(infinite_batches([1]), "__len__")


def test_batch_size_is_what_the_loader_states() -> None:
    assert infinite_batches(numbers()).batch_size == 2
    assert infinite_batches([1]).batch_size is None


class RecordingSampler:
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def __iter__(self) -> Iterator[int]:
        return iter(range(4))

    def __len__(self) -> int:
        return 4


@pytest.mark.parametrize("nested", [False, True])
def test_the_sampler_is_told_the_number_of_each_pass_before_it(nested: bool) -> None:
    sampler = RecordingSampler()
    loader: DataLoader[Any]
    if nested:
        loader = DataLoader(Numbers(), batch_sampler=BatchSampler(sampler, 2, False))
    else:
        loader = DataLoader(Numbers(), batch_size=2, sampler=sampler)
    batches = infinite_batches(loader)
    assert sampler.epochs == []
    for _ in range(5):
        next(batches)
    assert sampler.epochs == [0, 1, 2]


def test_passes_over_a_distributed_sampler_differ() -> None:
    batches = infinite_batches(distributed())
    first, second = ([next(batches).tolist() for _ in range(3)] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    "loader", [[], DataLoader(Numbers(), batch_size=12, drop_last=True)], ids=["list", "drop_last"]
)
def test_an_empty_loader_is_an_error_each_time(loader: Any) -> None:
    batches = infinite_batches(loader)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"yielded no batches in pass 0: is the data set empty"):
            next(batches)


def test_a_later_pass_that_yields_nothing_is_an_error() -> None:
    rows = [1, 2]
    batches = infinite_batches(rows)
    assert [next(batches), next(batches)] == [1, 2]
    rows.clear()
    with pytest.raises(ValueError, match="the list yielded no batches in pass 1"):
        next(batches)


def test_a_generator_that_ran_dry_is_told_from_an_empty_loader() -> None:
    batches = infinite_batches(row for row in (1, 2))
    assert [next(batches), next(batches)] == [1, 2]
    with pytest.raises(ValueError, match=r"generator has no batches left after 1 pass\(es\)"):
        next(batches)


def test_an_endless_iterator_is_welcome() -> None:
    assert list(itertools.islice(infinite_batches(itertools.count()), 3)) == [0, 1, 2]


def test_an_empty_loader_inside_a_step_does_not_end_the_epoch_silently() -> None:
    batches = infinite_batches(list[int]())
    with pytest.raises(ValueError, match="yielded no batches"):
        Engine(lambda engine, batch: next(batches)).run(max_epochs=1, epoch_length=3)


@pytest.mark.parametrize("loader", [5, None, "batches", b"batches", {"x": 1}, infinite_batches([1])])
def test_what_is_no_source_of_batches_is_refused(loader: Any) -> None:
    with pytest.raises(TypeError, match=r"expected an iterable of batches|InfiniteBatches already"):
        infinite_batches(loader)


def test_a_class_in_place_of_a_loader_is_refused() -> None:
    with pytest.raises(TypeError, match="^loader is the class DataLoader: expected an object of it"):
        infinite_batches(torch.utils.data.DataLoader)  # type: ignore[arg-type]


class Stream(IterableDataset[torch.Tensor]):
    """A data set that can only be iterated."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield torch.zeros(1)


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (
            Numbers(),
            r"loader is a Numbers, a data set, which gives single samples: pass DataLoader\(dataset, batch_size",
        ),
        (Stream(), r"loader is a Stream, a data set, .* with batch_size=None if its items are whole batches already"),
        (torch.zeros(10, 2), r"loader is a Tensor of shape \(10, 2\), whose rows .* DataLoader\(TensorDataset\(tensor"),
        (np.zeros((10, 2)), r"loader is a ndarray of shape \(10, 2\), whose rows are single samples"),
    ],
)
def test_what_gives_single_samples_is_refused_with_what_to_pass(loader: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        infinite_batches(loader)
    next(infinite_batches(DataLoader(Stream(), batch_size=None)))


def assert_resumes_exactly(build: Callable[[], Iterable[Any]], drawn: int, rng_first: bool) -> None:
    torch.manual_seed(1)
    batches = infinite_batches(build())
    draw(batches, drawn)
    state, rng = batches.state_dict(), torch.get_rng_state()
    expected = draw(batches, 14)  # the rest of this pass and two more
    position = (batches.passes, batches.batches)

    torch.manual_seed(2)
    resumed = infinite_batches(build())
    if rng_first:
        torch.set_rng_state(rng)
    resumed.load_state_dict(through_a_file(state))
    if not rng_first:
        torch.set_rng_state(rng)
    assert draw(resumed, 14) == expected
    assert (resumed.passes, resumed.batches) == position


@pytest.mark.parametrize("rng_first", [True, False])
@pytest.mark.parametrize("drawn", [0, 1, 4, 6, 7, 12])
@pytest.mark.parametrize("name", LOADERS)
def test_a_restored_position_gives_the_batches_that_would_have_come(name: str, drawn: int, rng_first: bool) -> None:
    assert_resumes_exactly(LOADERS[name], drawn, rng_first)


@pytest.mark.parametrize("name", WORKERS)
def test_a_position_is_restored_with_worker_processes(name: str) -> None:
    assert_resumes_exactly(WORKERS[name], 8, rng_first=True)


def test_a_position_can_be_restored_into_a_source_that_has_been_used() -> None:
    torch.manual_seed(1)
    batches = infinite_batches(numbers(shuffle=True))
    draw(batches, 4)
    state, rng = batches.state_dict(), torch.get_rng_state()
    expected = draw(batches, 9)
    batches.load_state_dict(state)
    torch.set_rng_state(rng)
    assert draw(batches, 9) == expected


def test_a_restored_position_sets_the_sampler_s_epoch() -> None:
    batches = infinite_batches(distributed())
    draw(batches, 7)
    resumed = infinite_batches(loader := distributed())
    resumed.load_state_dict(batches.state_dict())
    assert loader.sampler.epoch == 2  # type: ignore[attr-defined]  # a DistributedSampler


def test_a_failed_load_leaves_the_sampler_s_epoch() -> None:
    batches = infinite_batches(loader := distributed())
    draw(batches, 1)
    with pytest.raises(ValueError, match="saved position is 50 batches into a pass"):
        batches.load_state_dict(batches.state_dict() | {"passes": 3, "batches": 50})
    assert loader.sampler.epoch == 0  # type: ignore[attr-defined]  # a DistributedSampler


def deeper_than_any_pass(state: dict[str, Any]) -> None:
    state["batches"] = 50
    state.pop("loader", None)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another kind": (lambda state: state.update(handler="FixedController"), "this is a state of 'FixedController'"),
    "newer version": (lambda state: state.update(version=9), "format version 9"),
    "missing key": (lambda state: state.pop("passes"), "has no 'passes'; it has"),
    "float": (lambda state: state.update(batches=2.0), re.escape("state['batches']=2.0: expected an int")),
    "negative": (lambda state: state.update(passes=-1), re.escape("state['passes']=-1: expected an int of at least 0")),
    "no random state": (lambda state: state.update(pass_rng=None), re.escape("state['pass_rng']=None: expected saved")),
    "other generators": (
        lambda state: state["generators"].append(torch.get_rng_state()),
        r"random state\(s\), expected",
    ),
    "too far": (deeper_than_any_pass, "saved position is 50 batches into a pass, but the"),
}


# Starting processes takes time: with them, only the fault that shows after the loader was touched.
@pytest.mark.parametrize(("name", "fault"), [*itertools.product(LOADERS, BROKEN), ("persistent workers", "too far")])
def test_a_failed_load_says_why_and_changes_nothing(name: str, fault: str) -> None:
    build = (LOADERS | WORKERS)[name]
    spoil, message = BROKEN[fault]
    torch.manual_seed(1)
    untouched = infinite_batches(build())
    draw(untouched, 9)
    expected = draw(untouched, 9)

    torch.manual_seed(1)
    batches = infinite_batches(build())
    draw(batches, 9)
    state = batches.state_dict()
    spoil(state)
    with pytest.raises(ValueError, match=message):
        batches.load_state_dict(state)
    assert draw(batches, 9) == expected


def test_a_broken_state_of_the_loader_itself_changes_nothing() -> None:
    torch.manual_seed(1)
    untouched = infinite_batches(stateful(shuffle=True))
    draw(untouched, 9)
    expected = draw(untouched, 9)
    torch.manual_seed(1)
    batches = infinite_batches(stateful(shuffle=True))
    draw(batches, 9)
    with pytest.raises(AssertionError, match="_num_yielded"):  # torchdata's own words
        batches.load_state_dict(batches.state_dict() | {"loader": {"nothing": 1}})
    assert draw(batches, 9) == expected


def test_a_loader_s_own_state_needs_a_loader_that_can_read_it() -> None:
    batches = infinite_batches(stateful())
    next(batches)
    with pytest.raises(ValueError, match=r"DataLoader has none: use the same kind of loader, such as torchdata's"):
        infinite_batches(numbers()).load_state_dict(batches.state_dict())


@pytest.mark.parametrize("state", [None, 3, [1]])
def test_what_is_no_state_is_refused(state: Any) -> None:
    with pytest.raises(ValueError, match=r"expected the dict that InfiniteBatches\.state_dict\(\) returned"):
        infinite_batches([1]).load_state_dict(state)
