"""AttributeActuator: loops that were written elsewhere, driven through the attribute that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch

from adaptive_critic.checks import boolean
from adaptive_critic.controller import Controller

__all__ = ["AttributeActuator", "merge_reports"]

_DRIVEN = "_adaptive_critic_driven"  # on the class made for an object: the name of its attribute that is driven


def merge_reports(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make one StepOutput of what was reported in a round.

    Entries of the critic (``d_...``) become lists in the order in which they were
    reported: a report may hold one update's number or 0-d tensor, or a sequence or
    tensor (n,) of several updates. ``num_samples`` is added up. Of anything else the
    last report counts.

    Args:
        reports: dicts, each with some of the entries of a StepOutput.

    Returns:
        one dict.

    Example:
        >>> merge_reports([{"d_loss": 1.5}, {"d_loss": 1.25}, {"g_loss": 0.5}])
        {'d_loss': [1.5, 1.25], 'g_loss': 0.5}
    """
    merged: dict[str, Any] = {}
    for report in reports:
        for key, value in report.items():
            if key.startswith("d_"):
                several = value.ndim > 0 if isinstance(value, torch.Tensor) else isinstance(value, Sequence)
                merged.setdefault(key, []).extend(value if several else [value])
            elif key == "num_samples":
                merged[key] = merged.get(key, 0) + value
            else:
                merged[key] = value
    return merged


class AttributeActuator:
    """Drives a loop that was written elsewhere, through the attribute from which it takes its number of critic updates.

    For loops that read ``obj.<name>`` once per round (n critic updates and a generator
    update), at its beginning. From now on reading that attribute begins a round: the
    controller observes what was reported since the last read, and its number is what
    the loop gets. The first read observes nothing. A loop that reads once before all
    rounds is not driven by this, and every other read, for a message or with
    ``hasattr``, counts as a round: look at ``controller.num_discriminator_steps``
    instead. Writing the attribute is refused.

    The property sits on a class made for this one object, so that others of its class
    are left alone; copies and pickles of the object are of its own class and hold the
    value from before.

    Args:
        obj: the object that holds the attribute.
        name: name of the attribute.
        controller: decides; not attached to an engine, and without a guard.
        combine: turns the list of what was reported in a round into the step's output
            for the controller.

    Raises:
        TypeError: if an argument is of the wrong type, or Python can't give ``obj``
            another class (built-in types).
        ValueError: if ``obj`` has no such attribute.
        RuntimeError: if the controller is attached to an engine, which lets it observe
            already, or has a guard (``on_divergence``), which acts through an engine; if
            another AttributeActuator drives the attribute already.

    Example:
        >>> from adaptive_critic import StepDecayController
        >>> class Elsewhere:
        ...     critic_steps = 5
        ...     def fit(self, rounds):
        ...         for _ in range(rounds):
        ...             print(self.critic_steps, end=" ")
        >>> model = Elsewhere()
        >>> with AttributeActuator(model, "critic_steps", StepDecayController(milestones={0: 4, 3: 2})):
        ...     model.fit(5)
        4 4 4 2 2
        >>> model.critic_steps
        5
    """

    def __init__(
        self,
        obj: Any,
        name: str,
        controller: Controller,
        *,
        combine: Callable[[list[Any]], Any] = merge_reports,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name={name!r}: expected a str, got {type(name).__name__}")
        if not isinstance(controller, Controller):
            raise TypeError(f"controller={controller!r}: expected a controller, got {type(controller).__name__}")
        if not callable(combine):
            raise TypeError(f"combine={combine!r}: expected a function of the list of reports")
        if any(vars(cls).get(_DRIVEN) == name for cls in type(obj).__mro__):  # before a read, which begins a round
            raise RuntimeError(
                f"name={name!r}: an AttributeActuator drives it already on this {type(obj).__name__} object; "
                "restore() that one first"
            )
        if not hasattr(obj, name):
            raise ValueError(f"name={name!r}: {type(obj).__name__} object has no such attribute")
        controller._check_alone()
        self.controller = controller
        self.name = name
        self._obj = obj
        self._combine = combine
        self._reports: list[Any] = []
        self._in_round = False
        self._own_class = type(obj)
        self._driven_class = self._subclass(type(obj), obj.__class__)
        _set_class(obj, self._driven_class)

    def _subclass(self, own: type, shown: type) -> type:
        def read(_: Any) -> int:
            return self._begin_round()

        def write(_: Any, value: Any) -> None:
            raise AttributeError(
                f"{self.name} can't be set to {value!r}: {self.controller!r} drives it; restore() first"
            )

        def reduce(obj: Any, protocol: Any) -> Any:
            driven = type(obj)  # which may be that of another actuator on top
            _set_class(obj, own)
            try:
                return obj.__reduce_ex__(protocol)
            finally:
                _set_class(obj, driven)

        names = {
            "__slots__": (),
            "__doc__": own.__doc__,
            "__module__": own.__module__,
            "__qualname__": own.__qualname__,
            "__class__": property(lambda _: shown),  # pickle compares this with the class that it writes
            "__reduce_ex__": reduce,
            _DRIVEN: self.name,
            self.name: property(read, write),
        }
        return type(own)(own.__name__, (own,), names)

    def _begin_round(self) -> int:
        self._end_round()
        self._in_round = True
        return self.controller.num_discriminator_steps

    def _end_round(self) -> None:
        reports, self._reports = self._reports, []
        if self._in_round:
            self._in_round = False
            self.controller.observe(self._combine(reports))

    def report(self, output: Any) -> None:
        """Keep something of the round that is running, for the controller to observe when the next one begins.

        Args:
            output: a whole StepOutput or entries of it, such as one critic update's
                scores; or whatever ``combine`` takes. Detach tensors: they are kept
                until the round ends. What is reported before the first round is
                dropped.

        Raises:
            TypeError: if it is no dict, and there is no ``combine`` of your own.
        """
        if self._combine is merge_reports and not isinstance(output, Mapping):
            raise TypeError(f"report({output!r}): expected a dict of StepOutput's entries, got {type(output).__name__}")
        self._reports.append(output)

    def restore(self, *, completed: bool = True) -> None:
        """Put the object back as it was.

        Args:
            completed: whether the last round was completed; the controller observes it
                then, too.

        Raises:
            RuntimeError: if the object was restored already, or has been given another
                class since.
        """
        boolean("completed", completed)
        if type(self._obj) is not self._driven_class:
            raise RuntimeError(
                f"{self.name} is not driven by this actuator any more, or by one on top of it: restore that first"
            )
        _set_class(self._obj, self._own_class)
        if completed:
            self._end_round()

    def __enter__(self) -> AttributeActuator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the object; the last round counts as completed unless an exception ended it."""
        self.restore(completed=kind is None)


def _set_class(obj: Any, cls: type) -> None:
    vars(object)["__class__"].__set__(obj, cls)  # past a __setattr__ or a __class__ of the object's own
