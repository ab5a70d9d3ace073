"""A controller that is saved, loaded and fed rubbish goes the way of a twin that only ever observed."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from adaptive_critic import StateError, StepOutputError
from adaptive_critic.controller import Controller
from tests.handlers.table import ANY, FEEDBACK, FINITE, FORMS, HANDLERS, Sample, make, output, snapshot


class Interruptions(RuleBasedStateMachine):
    """Rules change the subject by way of saving and loading; the twin sees the same observations and overrides."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: tuple[Any, str] | None = None
        self.since_saved: list[tuple[str, Any]] = []

    @initialize(code=st.sampled_from(sorted(HANDLERS.values())), every=st.integers(1, 4), lagged=st.booleans())
    def build(self, code: str, every: int, lagged: bool) -> None:
        self.code = code
        self.more: dict[str, Any] = {"update_every": every, "lagged": lagged} if code in FEEDBACK.values() else {}
        self.subject, self.twin = make(code, **self.more), make(code, **self.more)

    def _do(self, controller: Controller, action: tuple[str, Any]) -> None:
        kind, what = action
        if kind == "observe":
            sample, form = what
            controller.observe(output(sample, min(controller.num_discriminator_steps, 30), form, torch.float64))
        else:
            controller.override(*what)

    def _both(self, action: tuple[str, Any]) -> None:
        self._do(self.subject, action)
        self._do(self.twin, action)
        self.since_saved.append(action)

    @rule(sample=FINITE.sample(), form=st.sampled_from(FORMS))
    def observe(self, sample: Sample, form: str) -> None:
        self._both(("observe", (sample, form)))

    @rule(sample=FINITE.sample(), count=st.integers(2, 12))
    def observe_many(self, sample: Sample, count: int) -> None:
        for _ in range(count):
            self._both(("observe", (sample, "floats")))

    @rule(sample=ANY.sample())
    def observe_anything(self, sample: Sample) -> None:
        self._both(("observe", (sample, "floats")))

    @rule(value=st.sampled_from([math.nan, math.inf, -math.inf]))
    def bad_observation(self, value: float) -> None:
        self._both(("observe", (Sample(*[value] * 6), "tensor")))

    @rule(iterations=st.integers(1, 4), steps=st.none() | st.integers(0, 30))
    def override(self, iterations: int, steps: int | None) -> None:
        self._both(("override", (iterations, steps)))

    @rule()
    def save(self) -> None:
        buffer = io.BytesIO()
        torch.save(self.subject.state_dict(), buffer)
        buffer.seek(0)
        self.saved = torch.load(buffer, weights_only=True), snapshot(self.subject)
        self.since_saved = []

    @rule(anew=st.booleans(), text=st.booleans())
    def load(self, anew: bool, text: bool) -> None:
        """Go back to what was saved, in this object or a new one, and do the same again."""
        if self.saved is None:
            return
        if anew:
            self.subject = make(self.code, **self.more)
        state, before = self.saved
        self.subject.load_state_dict(json.loads(json.dumps(state)) if text else state)
        assert snapshot(self.subject) == before
        for action in self.since_saved:
            self._do(self.subject, action)

    @rule(broken=st.sampled_from([None, {}, {"handler": "FixedController"}, {"handler": 3, "version": 99}]))
    def a_broken_checkpoint_changes_nothing(self, broken: Any) -> None:
        try:
            self.subject.load_state_dict(broken)
        except StateError:
            return
        raise AssertionError("it was loaded")

    @rule(broken=st.sampled_from([None, "loss", 3.5, {"loss": 1.0}]))
    def an_output_that_is_refused_changes_nothing(self, broken: Any) -> None:
        if self.code not in FEEDBACK.values() or self.subject.state_dict()["override"][1] > 0:
            return
        try:
            self.subject.observe(broken)
        except StepOutputError:
            return
        raise AssertionError("it was observed")

    @invariant()
    def equals_the_twin(self) -> None:
        assert snapshot(self.subject) == snapshot(self.twin)
        assert self.subject.num_discriminator_steps == self.twin.num_discriminator_steps
        assert type(self.subject.num_discriminator_steps) is int


TestInterruptions = Interruptions.TestCase
