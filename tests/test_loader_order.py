"""The order of batches from loaders of all sorts: where something else than one generator decides it, or fails."""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, Subset

from adaptive_critic import infinite_batches
from adaptive_critic.random_state import GlobalStates

pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"),
]

SIZE, BATCH = 12, 2


class Numbers(Dataset[int]):
    """0 to 11, of which some can't be read."""

    def __init__(self, unreadable: tuple[int, ...] = ()) -> None:
        self.unreadable = unreadable

    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, index: int) -> int:
        if index in self.unreadable:
            raise OSError(f"sample {index} can't be read")
        return index


def loader(dataset: Any = None, **options: Any) -> DataLoader[Any]:
    return DataLoader(Numbers() if dataset is None else dataset, batch_size=BATCH, **options)


def draw(batches: Iterator[Any], count: int) -> list[Any]:
    """Draw batches; "unreadable" stands for one that can't be read."""
    drawn: list[Any] = []
    for _ in range(count):
        try:
            batch = next(batches)
            drawn.append(batch.tolist() if isinstance(batch, torch.Tensor) else batch)
        except OSError:
            drawn.append("unreadable")
    return drawn


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def seed(value: int) -> None:
    torch.manual_seed(value)
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002  # the global one is meant


def assert_exact(build: Callable[[], Any], drawn: int, rest: int, same_process: bool = False) -> None:
    """A position restored in a new process, or in this one after more was drawn, gives what comes next."""
    seed(1)
    batches = infinite_batches(build())
    draw(batches, drawn)
    state, random_state = through_a_file(batches.state_dict()), GlobalStates.now()
    expected = draw(batches, rest)
    if not same_process:
        seed(2)
        batches = infinite_batches(build())
    batches.load_state_dict(state)
    random_state.restore()
    assert draw(batches, rest) == expected


# --- what can't be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("drawn", [2, 3, 5, 6, 8])
def test_batches_that_could_not_be_read_count_in_the_position(drawn: int, workers: int) -> None:
    """A training step that skips them goes on after them, and so does a resumed one."""
    assert_exact(lambda: loader(Numbers(unreadable=(2, 7)), shuffle=True, num_workers=workers), drawn, 9)


def test_a_step_that_skips_unreadable_batches_is_resumed_where_it_was() -> None:
    batches = infinite_batches(loader(Numbers(unreadable=(2,))))
    assert draw(batches, 3) == [[0, 1], "unreadable", [4, 5]]
    assert (batches.passes, batches.batches) == (0, 3)
    resumed = infinite_batches(loader(Numbers(unreadable=(2,))))
    resumed.load_state_dict(batches.state_dict())
    assert draw(resumed, 1) == [[6, 7]]


class Broken:
    """A loader whose iterator ends when it raises, as generators do."""

    def __iter__(self) -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")


def test_a_generator_that_raised_has_ended_its_pass() -> None:
    batches = infinite_batches(Broken())
    assert draw(batches, 4) == [1, "unreadable", 1, "unreadable"]
    assert_exact(Broken, 2, 3)
    assert_exact(Broken, 3, 3)


# --- persistent workers -----------------------------------------------------------------------------------------------


def persistent() -> DataLoader[Any]:
    return loader(shuffle=True, num_workers=1, persistent_workers=True)


def peeked() -> DataLoader[Any]:
    made = persistent()
    next(iter(made))  # to see what a batch looks like: its workers are there when the first pass begins
    return made


@pytest.mark.parametrize("same_process", [False, True])
@pytest.mark.parametrize("drawn", [2, 8])
@pytest.mark.parametrize("build", [persistent, peeked])
def test_persistent_workers_are_exact(build: Callable[[], Any], drawn: int, same_process: bool) -> None:
    assert_exact(build, drawn, 9, same_process)


def stateful(**options: Any) -> Any:
    module = pytest.importorskip("torchdata.stateful_dataloader")
    return module.StatefulDataLoader(Numbers(), batch_size=BATCH, shuffle=True, **options)


@pytest.mark.parametrize("build", [persistent, stateful, lambda: stateful(num_workers=1, persistent_workers=True)])
def test_a_loader_whose_one_iterator_is_used_elsewhere_too_is_told(build: Callable[[], Any]) -> None:
    """Each of the two resets the other, and an epoch shows a part of the samples."""
    shared = build()
    batches = infinite_batches(shared)
    trainer = Engine(lambda engine, batch: [next(batches), next(batches)])
    with pytest.raises(
        RuntimeError, match=r"The loader has one iterator, .* give infinite_batches a loader of its own"
    ):
        trainer.run(shared, max_epochs=3)


def test_a_validation_between_two_passes_takes_nothing_from_them() -> None:
    shared = persistent()
    batches = infinite_batches(shared)
    for _ in range(2):
        assert sorted(itertools.chain(*draw(batches, SIZE // BATCH))) == list(range(SIZE))
        assert len(list(shared)) == SIZE // BATCH


class Prefetching:
    """A loader whose thread draws ahead from an iterator of its own."""

    def __init__(self) -> None:
        self._iterator = iter(loader())

    def __iter__(self) -> Iterator[Any]:
        for batch in loader():
            yield batch
            next(self._iterator)  # at any moment, as far as others can tell


def test_a_loader_that_draws_ahead_by_itself_is_no_sharing() -> None:
    prefetching = Prefetching()
    batches = infinite_batches(prefetching)
    for expected in range(3):
        assert draw(batches, 1) == [[2 * expected, 2 * expected + 1]]
        next(prefetching._iterator)


# --- loaders that seem to have a state --------------------------------------------------------------------------------


class SeededSampler(RandomSampler):
    """Makes its generator when it is first iterated and seeds it for each pass, as accelerate's does."""

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        if self.generator is None:
            self.generator = torch.Generator()
        self.generator.manual_seed(self.epoch)
        yield from super().__iter__()
        self.epoch += 1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class KeptSampler(RandomSampler):
    """Makes its generator when it is first iterated, and draws from it in all passes."""

    def __iter__(self) -> Iterator[int]:
        if self.generator is None:
            self.generator = torch.Generator().manual_seed(7)
        yield from super().__iter__()


class Prepared:
    """A wrapper of a loader, as accelerate makes it: one batch ahead, with a state only where the loader has one."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.iteration = 0

    def __getattr__(self, name: str) -> Any:
        if name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)

    def __iter__(self) -> Iterator[Any]:
        self.set_epoch(self.iteration)
        ahead = iter(self.base)
        batch = next(ahead)
        for following in ahead:
            yield batch
            batch = following
        yield batch
        self.iteration += 1

    def set_epoch(self, epoch: int) -> None:
        self.iteration = epoch
        if hasattr(self.batch_sampler.sampler, "set_epoch"):
            self.batch_sampler.sampler.set_epoch(epoch)

    def state_dict(self) -> Any:
        return self.saved_state

    def load_state_dict(self, state: Any) -> None:
        self.base.load_state_dict(state)


def prepared(sampler: Callable[[Any], RandomSampler] = SeededSampler) -> Prepared:
    return Prepared(loader(sampler=sampler(Numbers())))


@pytest.mark.parametrize("same_process", [False, True])
@pytest.mark.parametrize("drawn", [0, 1, 4, 6, 8])
def test_a_wrapped_loader_without_a_state_is_drawn_again(
    drawn: int, same_process: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert_exact(prepared, drawn, 14, same_process)
    said = [message for message in caplog.messages if "state_dict" in message]
    assert len(said) == (1 if drawn or same_process else 0)
    for message in said:
        assert "state_dict() of the Prepared raised AttributeError" in message
        assert "its batches are drawn once more" in message


class NotAhead(Prepared):
    """The same without the batch ahead, over a loader that has a state."""

    def __iter__(self) -> Iterator[Any]:
        self.set_epoch(self.iteration)
        yield from self.base
        self.iteration += 1

    def state_dict(self) -> Any:
        return self.base.state_dict()


@pytest.mark.parametrize("drawn", [1, 4, 8])
@pytest.mark.parametrize("late", [False, True])
def test_a_wrapped_loader_with_a_state_goes_on_from_it(
    late: bool, drawn: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its iterator begins with the first batch, and what it draws then must be what it drew when the pass began."""

    def build() -> Any:
        module = pytest.importorskip("torchdata.stateful_dataloader")
        sampler = SeededSampler(Numbers()) if late else RandomSampler(Numbers(), generator=torch.Generator())
        return NotAhead(module.StatefulDataLoader(Numbers(), batch_size=BATCH, sampler=sampler))

    assert_exact(build, drawn, 14)
    assert caplog.messages == []


@pytest.mark.parametrize("drawn", [1, 6, 8])
def test_a_generator_that_a_sampler_makes_late_is_restored(drawn: int) -> None:
    assert_exact(lambda: loader(sampler=KeptSampler(Numbers())), drawn, 14)


@pytest.mark.parametrize("state", [None, 3, {}])
def test_a_loader_whose_state_is_none_is_drawn_again(state: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Stateless(DataLoader[Any]):
        def state_dict(self) -> Any:
            return state

        def load_state_dict(self, state: Any) -> None:
            raise AssertionError("there is none to load")

    assert_exact(lambda: Stateless(Numbers(), batch_size=BATCH, shuffle=True), 4, 9)
    assert f"state_dict() of the Stateless returned {state!r}" in caplog.text


def test_a_generator_less_than_when_it_was_saved_is_refused() -> None:
    batches = infinite_batches(loader(shuffle=True, generator=torch.Generator()))
    draw(batches, 2)
    with pytest.raises(ValueError, match=r"state\['pass_generators'\] holds 1 random state\(s\), expected 0: give the"):
        infinite_batches(loader(shuffle=True)).load_state_dict(batches.state_dict())
    with pytest.raises(ValueError, match=r"holds 0 random state\(s\), expected 1: give the"):
        batches.load_state_dict(infinite_batches(loader(shuffle=True)).state_dict())


# --- the number of the pass -------------------------------------------------------------------------------------------


class Streamed(IterableDataset[int]):
    """A stream that is shuffled by a seed of its own and the number of the pass."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        yield from torch.randperm(SIZE, generator=torch.Generator().manual_seed(self.epoch)).tolist()


class BatchesOfPass:
    """A loader, or a sampler of batches, that has its order from the number of the pass."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(self.epoch))
        yield from order.reshape(-1, BATCH).tolist()


class Shard:
    """A part of a batch sampler's batches, as accelerate makes it for each rank."""

    def __init__(self, batch_sampler: Any) -> None:
        self.batch_sampler = batch_sampler

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batch_sampler)


class Told(Numbers):
    """A data set of which each pass shows other samples."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> int:
        return 100 * self.epoch + index


@pytest.mark.parametrize(
    "build",
    [
        lambda: loader(Streamed()),
        lambda: loader(Streamed(), num_workers=1),
        lambda: DataLoader(Numbers(), batch_sampler=BatchesOfPass()),
        BatchesOfPass,
        lambda: DataLoader(Numbers(), batch_sampler=Shard(BatchesOfPass())),
        lambda: loader(Told()),
        lambda: loader(Subset(Told(), range(SIZE))),
    ],
    ids=[
        "streamed",
        "streamed by a worker",
        "batch sampler",
        "the loader itself",
        "batch sampler of a shard",
        "data set",
        "subset of a data set",
    ],
)
def test_whatever_wants_the_number_of_the_pass_gets_it(build: Callable[[], Any]) -> None:
    batches = infinite_batches(build())
    first, second = draw(batches, SIZE // BATCH), draw(batches, SIZE // BATCH)
    assert first != second
    assert_exact(build, 8, 9)


# --- streams that draw random numbers ---------------------------------------------------------------------------------


class Shuffled(IterableDataset[int]):
    """A stream that is shuffled by a global generator when it begins."""

    def __init__(self, shuffle: Callable[[list[int]], None]) -> None:
        self.shuffle = shuffle

    def __iter__(self) -> Iterator[int]:
        order = list(range(SIZE))
        self.shuffle(order)
        yield from order


def by_numpy(order: list[int]) -> None:
    np.random.shuffle(order)  # noqa: NPY002  # the global one is meant


def by_torch(order: list[int]) -> None:
    order[:] = torch.randperm(len(order)).tolist()


@pytest.mark.parametrize("shuffle", [random.shuffle, by_numpy, by_torch], ids=["random", "numpy", "torch"])
@pytest.mark.parametrize("drawn", [1, 4, 8])
def test_a_stream_shuffled_as_it_begins_is_exact(
    shuffle: Callable[[list[int]], None], drawn: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the training step draws meanwhile."""

    def step(batches: Iterator[Any], count: int) -> list[Any]:
        return [(draw(batches, 1), random.random(), np.random.rand(), torch.rand(()).item()) for _ in range(count)]  # noqa: NPY002

    seed(1)
    batches = infinite_batches(loader(Shuffled(shuffle)))
    step(batches, drawn)
    state, random_state = through_a_file(batches.state_dict()), GlobalStates.now()
    expected = step(batches, 9)
    seed(2)
    resumed = infinite_batches(loader(Shuffled(shuffle)))
    resumed.load_state_dict(state)
    random_state.restore()
    assert step(resumed, 9) == expected
    assert caplog.messages == []


def below_by_numpy(count: int) -> int:
    return int(np.random.randint(count))  # noqa: NPY002  # the global one is meant


def below_by_torch(count: int) -> int:
    return int(torch.randint(count, ()))


class Buffered(IterableDataset[int]):
    """A stream with a shuffle buffer, which draws a random number for each sample."""

    def __init__(self, below: Callable[[int], int]) -> None:
        self.below = below

    def __iter__(self) -> Iterator[int]:
        waiting = list(range(SIZE))
        while waiting:
            yield waiting.pop(self.below(len(waiting)))


@pytest.mark.parametrize("drawn_between", [False, True])
@pytest.mark.parametrize("below", [random.randrange, below_by_numpy, below_by_torch], ids=["random", "numpy", "torch"])
def test_a_stream_that_goes_on_drawing_is_told(
    below: Callable[[int], int], drawn_between: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is exact only if nothing else draws from the same generator meanwhile."""
    seed(1)
    batches = infinite_batches(loader(Buffered(below)))
    for _ in range(3):
        draw(batches, 1)
        if drawn_between:
            below(2)
    state, random_state = batches.state_dict(), GlobalStates.now()
    expected = draw(batches, 3)
    resumed = infinite_batches(loader(Buffered(below)))
    resumed.load_state_dict(state)
    assert "The data set of the DataLoader draws random numbers while it is iterated" in caplog.text
    random_state.restore()
    assert (draw(resumed, 3) == expected) is not drawn_between


def test_augmentations_of_single_samples_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """They decide no order."""

    class Augmented(Numbers):
        def __getitem__(self, index: int) -> int:
            return index + random.randrange(2)

    batches = infinite_batches(loader(Augmented(), shuffle=True))
    draw(batches, 3)
    infinite_batches(loader(Augmented(), shuffle=True)).load_state_dict(batches.state_dict())
    assert caplog.messages == []


def test_random_states_are_left_as_they_were() -> None:
    batches = infinite_batches(loader(Shuffled(random.shuffle)))
    draw(batches, 3)
    before = GlobalStates.now()
    batches.load_state_dict(batches.state_dict())
    assert before.same_as(GlobalStates.now())
