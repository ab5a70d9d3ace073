"""What check_resume compares, and where it finds it."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn

from adaptive_critic.resume.recipe import GeneratorState
from adaptive_critic.resume.watch import entries, stateful_objects


def test_every_bit_type_and_shape_of_an_entry_shows() -> None:
    two = torch.ones(2)
    different = [
        two,
        two.double(),
        two.reshape(2, 1),
        torch.nextafter(two, 2 * two),
        two.to(torch.bfloat16),
        [1.0, 1.0],
        [1, 1],
        (1, True),
        [],
        {},
        None,
        0.0,
        -0.0,
        math.nan,
        np.ones(3, dtype=np.float32),
        np.float32(1.0),
        {"a": two},
    ]
    shown = [tuple(entries(state)) for state in different]
    assert len(set(shown)) == len(different)
    assert tuple(entries(two.clone())) == shown[0]
    assert dict(entries({"a": [object()]})) == {"a.0": "object"}  # nothing to compare it by


def test_where_objects_are_found() -> None:
    keyword, positional, default, closed, held, listed = (nn.Linear(1, 1) for _ in range(6))
    generator = torch.Generator()

    class Holder:
        def __init__(self) -> None:
            self.held = held
            self.generator = generator

        def method(self, engine: Engine) -> None:
            return None

    def handler(engine: Engine, network: nn.Module, *, named: Any = None) -> None:
        return None

    def with_default(engine: Engine, network: nn.Module = default, *, only: Any = (closed,)) -> Any:
        return later

    trainer = Engine(functools.partial(lambda engine, batch, **_: None, network=keyword))
    trainer.add_event_handler(Events.STARTED, handler, positional)
    trainer.add_event_handler(Events.STARTED(every=1), with_default)
    trainer.add_event_handler(Events.STARTED, Holder().method)
    found = stateful_objects(trainer, {"listed": listed, "trainer": trainer})
    later = None  # the closure has a cell that is filled only here
    generators = [item.generator for item in found.values() if isinstance(item, GeneratorState)]
    assert generators == [generator]
    networks = {id(item): name for name, item in found.items() if isinstance(item, nn.Module)}
    expected = {keyword: "network", positional: "Linear", default: "another Linear", closed: "only", held: "held"}
    assert networks == {id(item): name for item, name in expected.items()} | {id(listed): "listed"}
    assert list(found)[-1] == "listed"
    assert later is None
