"""Tells, with noise, whether a column has few values that come again and again: codes, not amounts.

The rows with one value are numbered from 1, and a histogram counts the rows of all values by these numbers:
one row more of any value adds one to one cell. How many values there are is in the first cell; how many rows
they share, in the others. What is counted in private rows leaves through `Allowance.counts` alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.measuring.repeated import rows_of_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.cells import Cells
    from jupyter_dpsynth.engine.measuring.reading import ColumnValues
    from jupyter_dpsynth.privacy.releases import Allowance

__all__ = ["Ranks", "measure_ranks"]

SURE = 2.0  # standard deviations of noise by which there must be few values
FEW_OF_ROWS = 0.1  # of the rows: so many values at most
FEW_OF_PLACES = 0.5  # of the rows of each value that come first, if values were anywhere in their cells
RARE_ROWS = 3.0  # rows that each of the rarer values has on average: else they are amounts beside codes
NO_ROWS = 0.02  # of the rows: of so few it does not matter
MOST_FIRST = 7  # cells of the first rows


@dataclass(frozen=True, eq=False)
class Ranks:
    """Noisy rows by how many rows have the same value before them.

    Attributes:
        edges: Of the cells, in rows: 0, 1 and the powers of two, `[cells + 1]`.
        counts: Noisy rows of each cell, `[cells]`.
        noise: Standard deviation of the noise of each.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.float64]
    noise: float

    def values_above(self, rows: float) -> float:
        """About how many values have more than so many rows."""
        place = min(int(np.searchsorted(self.edges, rows, side="right")), len(self.counts)) - 1
        return max(float(self.counts[place] / (self.edges[place + 1] - self.edges[place])), 0.0)

    def rows_above(self, rows: float) -> float:
        """About how many rows have a value that more than so many have."""
        sizes = np.diff(self.edges)
        inside = np.clip((self.edges[1:] - rows) / sizes, 0.0, 1.0)
        return float(self.counts @ inside) + rows * self.values_above(rows)

    def are_few(self, cells: Cells, places: NDArray[np.float64], present: float, least: float) -> bool:
        """Whether the values are so few that those which are not found are no amounts of any size.

        Args:
            cells: The coarsest cells that hold rows.
            places: How many values each of them has room for, `[cells]`.
            present: Noisy number of rows that have a value.
            least: Rows that a value must have to be found.
        """
        many, noise = float(self.counts[0]), SURE * self.noise
        rest = max(present - self.rows_above(least), 0.0)
        rarer = many - self.values_above(least) - np.sqrt(2) * noise
        if many + noise > FEW_OF_ROWS * present or rarer > max(rest / RARE_ROWS, NO_ROWS * present):
            return False
        # of the first rows of each value, where values anywhere would have about twice as many rows
        first = int(np.clip(np.log2(max(present / places.sum(), 2.0)), 1, MOST_FIRST))
        here = float(self.counts[:first].sum()) + noise * np.sqrt(first)
        return here <= FEW_OF_PLACES * _first_rows(np.maximum(cells.raw, 0.0), places, 2 ** (first - 1))


def _first_rows(rows: NDArray[np.float64], places: NDArray[np.float64], most: int) -> float:
    """Rows of values that are anywhere in some cells, if of each value only so many count.

    >>> round(_first_rows(np.array([1000.0]), np.array([10.0]), 4))
    40
    """
    from scipy.stats import poisson

    rows_of_value = rows / np.maximum(places, 1.0)
    return float((places * poisson.sf(np.arange(most)[:, None], rows_of_value)).sum())


def measure_ranks(values: ColumnValues, allowance: Allowance, rows: float) -> Ranks:
    """Count the rows of a column by how many rows have the same value before them.

    Args:
        values: The points of each part of the table, sorted: private.
        allowance: For one histogram.
        rows: Noisy number of rows.

    Privacy:
        One histogram. A row more adds one to one cell; where rows are weighed it adds its parts to several,
        and never takes any from one, whatever the other rows weigh.
    """
    edges = np.append(0.0, 2.0 ** np.arange(np.ceil(np.log2(max(rows, 2.0))) + 1))
    cuts = np.rint(edges * values.row).astype(np.int64)
    cuts[-1] = np.iinfo(np.int64).max
    cells = list(itertools.pairwise(cuts.tolist()))
    exact = np.zeros(len(cells), np.int64)
    for rows_of in rows_of_values(values):
        exact += [np.clip(rows_of, low, high).sum() - low * len(rows_of) for low, high in cells]
    return Ranks(edges, allowance.counts(exact, values.row), allowance.noise)
