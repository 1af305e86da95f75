"""Estimates how round a column's values are, from the noisy histogram from which its resolution is learned.

Which values stand within a cell is not measured; that most of the column's values are round is. Cells with
round values are then expected to hold more rows than others, and synthetic values are as round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.rounding import Rounding, exactly, is_multiple
from jupyter_dpsynth.engine.measuring.presence import SURE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Levels"]

ROUNDER = 2.0  # times as many rows a round value must have: less may be a few values that many rows share

LEAST_RATE = 1e-9  # of the largest one: an interval without a round value still has its length


@dataclass(frozen=True, eq=False)
class Levels:
    """Noisy rows by how round their values are.

    Attributes:
        steps: Steps in points, whole numbers, coarsest first; the last one is 1.
        rows: Noisy rows of which each is the coarsest step that divides the value, `[steps]`.
        noise: Standard deviation of the noise of each.
    """

    steps: NDArray[np.float64]
    rows: NDArray[np.float64]
    noise: float

    @classmethod
    def none(cls) -> Levels:
        """Where they were not measured."""
        return cls(np.ones(1), np.ones(1), 0.0)

    @classmethod
    def of(
        cls, candidates: list[float], resolution: float, counts: NDArray[np.float64], noise: float
    ) -> Levels:
        """The levels of the points of a column.

        Args:
            candidates: Steps in values, coarsest first.
            resolution: The column's; 0 if it has none.
            counts: Noisy rows of each step, `[steps]`.
            noise: Standard deviation of the noise of each.
        """
        fits = [index for index, step in enumerate(candidates) if is_multiple(step, resolution)]
        if not fits:
            return cls.none()
        steps, rows = np.rint(np.array(candidates)[fits] / resolution), counts[fits]
        if steps[-1] != 1:
            steps, rows = np.append(steps, 1.0), np.append(rows, 0.0)
        rows[-1] += np.delete(counts, fits).sum()  # finer ones are rounded to this
        return cls(steps, rows, noise)

    def without(self, points: NDArray[np.float64], counts: NDArray[np.float64]) -> Levels:
        """The levels of other rows than those with some values.

        Args:
            points: The values, in points.
            counts: Noisy rows of each.
        """
        rows, left = self.rows.copy(), points != 0
        for index, step in enumerate(self.steps):
            own = left & (points % step == 0)
            rows[index] -= counts[own].sum()
            left &= ~own
        return replace(self, rows=rows)

    def fine_rows(self, rounding: Rounding) -> float:
        """How many rows certainly have a value that is not round."""
        few = self.steps < (rounding.steps[-2] if not rounding.is_even else np.inf)
        return float(self.rows[few].sum() - SURE * self.noise * np.sqrt(few.sum()))

    def grain(self, rounding: Rounding, most: float) -> float:
        """The coarsest step of which the values of all but so many rows are multiples."""
        for step in rounding.steps[:-1].tolist():
            finer = [not is_multiple(float(own), step) for own in self.steps]
            if self.rows[finer].sum() - SURE * self.noise * np.sqrt(sum(finer)) <= most:
                return float(step)
        return 1.0

    def rounding(self) -> Rounding:
        """How many rows values of each level have.

        Values of a level count as those of the next finer one unless that they have more rows is clear.
        """
        densities, steps = exactly(self.steps, 1 / self.steps), [1.0]
        rows, room = [max(float(self.rows[-1]), 0.0)], [float(densities[-1])]
        for step, own, density in zip(self.steps[-2::-1], self.rows[-2::-1], densities[-2::-1], strict=True):
            ratio = density / room[-1]
            expected, noise = ratio * rows[-1], self.noise * np.sqrt(1 + ratio**2)
            if own > max(ROUNDER * expected, expected + SURE * noise):
                steps.append(float(step))
                rows.append(float(own))
                room.append(float(density))
            else:
                rows[-1] = max(rows[-1] + float(own), 0.0)
                room[-1] += float(density)
        return _by_step(np.array(steps[::-1]), np.array(rows[::-1]) / np.array(room[::-1]))


def _by_step(steps: NDArray[np.float64], rates: NDArray[np.float64]) -> Rounding:
    """Rows of a value by all steps that divide it, from those by the first one that does.

    Args:
        steps: The steps, coarsest first.
        rates: Rows of a value of which each is the first one that divides it.
    """
    own = rates.copy()
    for index in reversed(range(len(steps))):
        finer = [k for k in range(index + 1, len(steps)) if is_multiple(float(steps[index]), float(steps[k]))]
        own[index] = max(own[index] - own[finer].sum(), 0.0)
    own[-1] = max(own[-1], LEAST_RATE * own.max(), np.finfo(float).tiny)
    return Rounding(steps, own)
