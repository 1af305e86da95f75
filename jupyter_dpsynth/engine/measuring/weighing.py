"""Counts in which every privacy unit weighs as much, however many rows it has.

A person with five rows adds a fifth to five cells, not one. So the noise need not grow with the number of
rows that a person may have, and shares are those of persons' rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.privacy.releases import Allowance
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.bounding import PrivacyUnits

__all__ = ["EqualUnits"]

UNIT_PARTS = 720_720  # can be divided by every number up to 16


@dataclass(frozen=True, eq=False)
class EqualUnits:
    """How much each row counts.

    Attributes:
        weights: In parts of a privacy unit, int64 `[rows]`; None if every row is a unit. Private.
        parts: Of how many parts a unit is.
    """

    weights: NDArray[np.int64] | None = None
    parts: int = 1

    @classmethod
    def of(cls, source: Source, units: PrivacyUnits | None, unit_rows: int) -> EqualUnits:
        """What follows from which rows belong together.

        Args:
            source: The private table, of whose rows only those are left that count.
            units: Which rows belong to which privacy unit; None if each is one.
            unit_rows: Most rows of one privacy unit.

        Raises:
            ValueError: Units have several rows, and which these are is not told.
        """
        if units is None:
            if unit_rows > 1:
                raise ValueError("Which rows belong to which privacy unit must be told.")
            return cls()
        sizes = np.diff(units.starts)
        weights = source.empty((len(units.rows),), np.dtype(np.int64))
        weights[units.rows] = np.repeat(UNIT_PARTS // np.maximum(sizes, 1), sizes)
        return cls(weights, UNIT_PARTS)

    def release(
        self,
        source: Source,
        function: Callable[[pd.DataFrame], NDArray[np.integer[Any]]],
        columns: Sequence[str],
        cells: int,
        allowance: Allowance,
    ) -> NDArray[np.float64]:
        """Noisy number of units in each cell, float64 `[cells]`.

        Args:
            source: The private table.
            function: Gives the cell of each row of a part.
            columns: Names of the columns that it reads.
            cells: How many cells there are.
            allowance: For one histogram, planned for a privacy unit that changes it by at most 1.

        Privacy:
            The parts of one unit's rows add up to at most one unit, so it changes the histogram by at most 1
            in L1, and so in L2.
        """
        exact, first = np.zeros(cells, np.int64), 0
        for found in source.map(function, columns):
            own = None if self.weights is None else self.weights[first : first + len(found)]
            # whole numbers below 2^53 are exact in float64
            exact += np.bincount(found, own, minlength=cells).astype(np.int64)
            first += len(found)
        return allowance.counts(exact, self.parts)
