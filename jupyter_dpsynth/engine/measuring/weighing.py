"""As how many rows the rows of a privacy unit count, in everything that is counted before training.

Each row of a person with few rows counts fully. A person with more rows than the plan's cap counts as so many
rows: each of its rows counts as a part. So noise need grow with the cap only, not with the number of rows
that a person may have, and shares are nearly those of rows. Counts are scaled up to the noisy row count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.privacy.releases import Allowance
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = ["EVERY_ROW", "UNIT_PARTS", "RowWeights", "capped_rows", "weighed_counts"]

UNIT_PARTS = 720_720  # can be divided by every number up to 16


@dataclass(frozen=True, eq=False)
class RowWeights:
    """How much each row counts.

    Attributes:
        weights: In whole parts, int64 `[rows]`; None if every row is a privacy unit, and counts as one part.
            Those of one unit add up to at most `UNIT_PARTS`. Private.
        row: Of how many parts a row is, in the noisy counts.
    """

    weights: NDArray[np.int64] | None = None
    row: float = 1.0

    @classmethod
    def of(
        cls, units: PrivacyUnits | None, plan: RunPlan, source: Source | None = None, *, once: bool = False
    ) -> RowWeights:
        """What follows from which rows belong together.

        Args:
            units: Which rows belong to which privacy unit; None if each is one.
            plan: Its cap, and the noise that follows from it.
            source: The private table, which knows where arrays as long as it are stored; by default memory.
            once: Whether all rows of a unit count as one row, instead of as the plan's cap.

        Raises:
            ValueError: Units have several rows, and which these are is not told.

        Privacy:
            A row's weight depends on the number of its own unit's rows, and on nothing else that is private.
        """
        if units is None:
            if plan.unit_rows > 1:
                raise ValueError("Which rows belong to which privacy unit must be told.")
            return cls()
        sizes, cap = np.diff(units.starts), 1.0 if once else plan.cap
        parts = np.floor(UNIT_PARTS / np.maximum(sizes, cap)).astype(np.int64)
        shape, kind = (len(units.rows),), np.dtype(np.int64)
        weights = np.empty(shape, kind) if source is None else source.empty(shape, kind)
        weights[units.rows] = np.repeat(parts, sizes)
        return cls(weights, UNIT_PARTS / (plan.once if once else plan.counted))

    @property
    def of_units(self) -> NDArray[np.float64] | None:
        """The weights as parts of a privacy unit, float64 `[rows]`; None if every row is one."""
        return None if self.weights is None else self.weights / UNIT_PARTS

    def own(self, first: int, rows: int) -> NDArray[np.int64] | None:
        """The weights of so many rows from a first one on; None if every row counts as one part."""
        return None if self.weights is None else self.weights[first : first + rows]

    def release(
        self,
        source: Source,
        function: Callable[[pd.DataFrame], NDArray[np.integer[Any]]],
        columns: Sequence[str],
        cells: int,
        allowance: Allowance,
    ) -> NDArray[np.float64]:
        """Noisy number of rows in each cell, float64 `[cells]`.

        Args:
            source: The private table.
            function: Gives the cell of each row of a part.
            columns: Names of the columns that it reads.
            cells: How many cells there are.
            allowance: For one histogram.

        Privacy:
            The parts of one unit's rows add up to at most `UNIT_PARTS`, so it changes the histogram by at
            most so many in L1, and so in L2: what the allowance's noise is scaled to.
        """
        exact, first = np.zeros(cells, np.int64), 0
        for found in source.map(function, columns):
            exact += weighed_counts(found, self.own(first, len(found)), cells)
            first += len(found)
        return allowance.counts(exact, self.row)


EVERY_ROW = RowWeights()


def weighed_counts(
    cells: NDArray[np.integer[Any]], weights: NDArray[np.int64] | None, size: int
) -> NDArray[np.int64]:
    """How many parts are in each cell, int64 `[size]`, exact.

    Args:
        cells: Cell of each row.
        weights: Parts of each row; None if each counts as one.
        size: How many cells there are.
    """
    # whole numbers below 2^53 are exact in float64
    return np.bincount(cells, weights, minlength=size).astype(np.int64)


def capped_rows(units: PrivacyUnits, caps: Sequence[float]) -> NDArray[np.int64]:
    """How many rows count if those of each unit count as at most so many, int64 `[caps]`, exact.

    Each is in parts of its cap, of which there are `UNIT_PARTS`.

    Args:
        units: Which rows belong to which privacy unit.
        caps: Most rows as which a unit counts, increasing.

    Privacy:
        Not private. One privacy unit changes each figure by at most `UNIT_PARTS`.
    """
    sizes = np.diff(units.starts)
    found = [np.floor(UNIT_PARTS * np.minimum(sizes, cap) / cap).sum() for cap in caps]
    return np.array(found).astype(np.int64)
