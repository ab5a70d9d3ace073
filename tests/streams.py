"""Long streams for properties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

DIFFERENT = 8


@st.composite
def streams(
    draw: st.DrawFn, columns: Sequence[st.SearchStrategy[Any]], longest: int, least: int = 0
) -> list[tuple[Any, ...]]:
    """Return ``least`` to ``longest`` tuples with an entry from each column, all lengths alike.

    Hypothesis draws lists of about six, whatever their ``max_size`` (measured for 40: six on average, no window of 20
    was ever full). Here the length is drawn first, then up to eight values for each different column, and in the end
    which of them each entry is: many times as long, with values that come again, in less time. It shrinks like a list.
    """
    length = draw(st.integers(least, longest))
    different = {id(column): column for column in columns}
    values = {key: draw(st.lists(column, min_size=1, max_size=DIFFERENT)) for key, column in different.items()}
    width = len(columns)
    picks = draw(st.binary(min_size=length * width, max_size=length * width))
    table = [values[id(column)] for column in columns]
    return [
        tuple(choices[pick % len(choices)] for choices, pick in zip(table, picks[k : k + width], strict=True))
        for k in range(0, length * width, width)
    ]
