"""A law's numbers, under the names that the controller's constructor gives them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, overload

from adaptive_critic.feedback import FeedbackController

__all__ = ["LawNumber"]


class LawNumber:
    """Makes ``controller.kp`` the law's ``kp``; one that is assigned is checked, and put into force with a new law.

    Without it an assignment would make an attribute that nothing reads.
    """

    def __set_name__(self, owner: type[FeedbackController], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, controller: None, owner: type[FeedbackController]) -> LawNumber: ...
    @overload
    def __get__(self, controller: FeedbackController, owner: type[FeedbackController]) -> float: ...
    def __get__(self, controller: FeedbackController | None, owner: type[FeedbackController]) -> LawNumber | float:
        if controller is None:
            return self
        number: float = getattr(controller.law, self._name)
        return number

    def __set__(self, controller: FeedbackController, number: float) -> None:
        law: Any = controller.law
        controller.law = replace(law, **{self._name: number})
