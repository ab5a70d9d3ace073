"""Tables with columns of mixed kinds, encoded for a GAN and decoded again, and a distance between two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

# The continuous columns, those of them that are so skewed that log(1 + x) is modelled, and the categories.
_COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "fair": (
        ("age", "yrs_married", "children", "educ", "affairs"),
        ("affairs",),
        ("rate_marriage", "religious", "occupation", "occupation_husb"),
    ),
    "randhie": (
        ("mdvis", "lncoins", "lpi", "fmde", "physlm", "disea"),
        ("mdvis", "disea"),
        ("idp", "hlthg", "hlthf", "hlthp"),
    ),
}
TABLES = tuple(_COLUMNS)


@dataclass(frozen=True)
class Table:
    """A table, encoded: continuous columns standardised and first, then one one-hot block for each category.

    Attributes:
        name: The name that :func:`table` knows it by.
        rows: (n, width), float32, the encoded rows.
        continuous: Names of the continuous columns, in order.
        logarithmic: Those of them that were encoded as log(1 + x).
        mean: (continuous,), of the continuous columns after the logarithm.
        scale: (continuous,), their standard deviation.
        levels: For each category column, in order, the values that its one-hot block stands for.
    """

    name: str
    rows: Tensor
    continuous: tuple[str, ...]
    logarithmic: tuple[str, ...]
    mean: np.ndarray[Any, Any]
    scale: np.ndarray[Any, Any]
    levels: dict[str, np.ndarray[Any, Any]]

    @property
    def block_sizes(self) -> tuple[int, ...]:
        """Widths of the one-hot blocks, in order; a generator applies a softmax to each."""
        return tuple(len(values) for values in self.levels.values())

    def decode(self, rows: Tensor) -> dict[str, np.ndarray[Any, Any]]:
        """Turn encoded or generated rows, shape (n, width), into named columns, each of shape (n,).

        A category is the largest entry of its block. Continuous values are not rounded.
        """
        values = self._checked(rows)
        columns = {}
        for position, column in enumerate(self.continuous):
            plain = values[:, position] * self.scale[position] + self.mean[position]
            columns[column] = np.expm1(plain) if column in self.logarithmic else plain
        for column, levels, codes in zip(self.levels, self.levels.values(), self._codes(values), strict=True):
            columns[column] = levels[codes]
        return columns

    def distance(self, rows: Tensor) -> float:
        """How far generated rows, shape (n, width), are from this table; 0 for the table itself.

        The mean over columns of the distance between marginals (1-D Wasserstein distance of a standardised
        column, total variation of a category) plus the mean absolute difference between the two correlation
        matrices of the encoded rows, with categories decided.
        """
        real, generated = self._decided(self.rows), self._decided(rows)
        width = len(self.continuous)
        marginals = [wasserstein_distance(real[:, column], generated[:, column]) for column in range(width)]
        for size in self.block_sizes:
            block = slice(width, width + size)
            marginals.append(0.5 * np.abs(real[:, block].mean(0) - generated[:, block].mean(0)).sum())
            width += size
        return float(np.mean(marginals) + np.abs(_correlation(real) - _correlation(generated)).mean())

    def _checked(self, rows: Tensor) -> np.ndarray[Any, Any]:
        if rows.ndim != 2 or rows.shape[1] != self.rows.shape[1]:
            raise ValueError(f"rows of shape {tuple(rows.shape)}: must be (n, {self.rows.shape[1]})")
        return rows.detach().cpu().numpy().astype(np.float64)

    def _codes(self, values: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        ends = np.cumsum(self.block_sizes)
        blocks = np.split(values[:, len(self.continuous) :], ends[:-1], axis=1)
        return [block.argmax(axis=1) for block in blocks]

    def _decided(self, rows: Tensor) -> np.ndarray[Any, Any]:
        values = self._checked(rows)
        codes = self._codes(values)
        blocks = [np.eye(size)[code] for size, code in zip(self.block_sizes, codes, strict=True)]
        return np.concatenate([values[:, : len(self.continuous)], *blocks], axis=1)


def _correlation(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Correlation matrix in which a constant column is uncorrelated with everything instead of NaN."""
    centred = values - values.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(norm > 0, norm, 1.0)
    return np.asarray(unit.T @ unit)


def table(name: str) -> Table:
    """Load a table that ships with statsmodels.

    Args:
        name: "fair" (6,366 rows of a survey) or "randhie" (20,190 rows of a health insurance experiment).

    Raises:
        ValueError: The name is unknown; the message lists the valid ones.

    Example:
        >>> fair = table("fair")
        >>> fair.rows.shape, fair.block_sizes
        (torch.Size([6366, 26]), (5, 4, 6, 6))
        >>> fair.levels["rate_marriage"].tolist()
        [1.0, 2.0, 3.0, 4.0, 5.0]
    """
    if name not in _COLUMNS:
        raise ValueError(f"table={name!r}: must be one of {', '.join(_COLUMNS)}")
    import statsmodels.api as statsmodels

    frame = getattr(statsmodels.datasets, name).load_pandas().data
    continuous, logarithmic, categories = _COLUMNS[name]
    plain = np.stack(
        [np.log1p(frame[column]) if column in logarithmic else frame[column] for column in continuous], axis=1
    ).astype(np.float64)
    mean, scale = plain.mean(axis=0), plain.std(axis=0)
    levels = {}
    blocks = [(plain - mean) / scale]
    for column in categories:
        values, codes = np.unique(frame[column].to_numpy(), return_inverse=True)
        levels[column] = values
        blocks.append(np.eye(len(values))[codes])
    rows = torch.from_numpy(np.concatenate(blocks, axis=1).astype(np.float32))
    return Table(name, rows, continuous, logarithmic, mean, scale, levels)
