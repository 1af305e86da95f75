"""How round the values of a column are: whole numbers among decimals, thousands among amounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Rounding", "exactly", "is_multiple"]


@dataclass(frozen=True, eq=False)
class Rounding:
    """How many rows a value has beside its neighbours, by which steps it is a multiple of.

    Attributes:
        steps: The steps in points, whole numbers `[steps]`, falling; the last one is 1.
        rates: Rows that each multiple of a step has because it is one, relative to each other, `[steps]`: at
            least 0, the last one above it.

    Privacy:
        A function of noisy counts: post-processing.
    """

    steps: NDArray[np.float64]
    rates: NDArray[np.float64]

    @classmethod
    def even(cls) -> Rounding:
        """All values alike."""
        return cls(np.ones(1), np.ones(1))

    @property
    def is_even(self) -> bool:
        """Whether no value is rounder than others."""
        return len(self.steps) == 1

    @property
    def is_sound(self) -> bool:
        """Whether steps and rates can be drawn from."""
        steps, rates = self.steps, self.rates
        whole = np.isfinite(steps).all() and (steps == np.rint(steps)).all()
        falling = len(steps) == len(rates) and steps[-1] == 1 and (np.diff(steps) < 0).all()
        return bool(whole and falling and np.isfinite(rates).all() and (rates >= 0).all() and rates[-1] > 0)

    def _rows(self, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected rows of each interval because of each step, relative to each other, `[steps, cells]`.

        Zero is a multiple of every step, and round in no sense: it counts as of the last one.
        """
        steps = self.steps[:, None]
        zero = (starts <= 0) & (ends > 0) & (steps > 1)
        multiples = np.ceil(ends / steps) - np.ceil(starts / steps) - zero
        found: NDArray[np.float64] = self.rates[:, None] * multiples
        return found

    def extents(self, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows that intervals are expected to have, relative to each other, positive `[cells]`.

        Args:
            starts: First point of each, `[cells]`.
            ends: Point after each.
        """
        found: NDArray[np.float64] = ends - starts if self.is_even else self._rows(starts, ends).sum(axis=0)
        return found

    def draw(
        self,
        starts: NDArray[np.float64],
        ends: NDArray[np.float64],
        inside: NDArray[np.float64],
        generator: np.random.Generator,
    ) -> NDArray[np.float64]:
        """A point of each interval, `[n]`.

        Args:
            starts: First point of each, `[n]`.
            ends: Point after each.
            inside: Where in the interval the point lies, from 0 up to 1, `[n]`.
            generator: Draws of which step it is a multiple.
        """
        reached = np.cumsum(self._rows(starts, ends), axis=0)
        chosen = (reached <= generator.random(len(starts)) * reached[-1]).sum(axis=0)
        step = self.steps[np.minimum(chosen, len(self.steps) - 1)]
        first, after = np.ceil(starts / step), np.ceil(ends / step)
        found: NDArray[np.float64] = step * (first + np.floor(inside * (after - first)))
        return np.clip(found, starts, np.nextafter(ends, starts))  # far beyond 2^53 points are not 1 apart


def is_multiple(step: float, other: float) -> bool:
    """Whether a step is a whole number of smaller ones."""
    return step >= other > 0 and abs(step / other - round(step / other)) < 1e-6


def exactly(steps: NDArray[np.float64], multiples: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many multiples of each step are none of a coarser one, `[steps]`.

    Args:
        steps: Steps, coarsest first. What is a multiple of two of them is one of a coarser one, or of both.
        multiples: Number of multiples of each step, `[steps]`.
    """
    found = np.array(multiples, dtype=np.float64)
    for index, step in enumerate(steps.tolist()):
        for coarser in range(index):
            if is_multiple(float(steps[coarser]), step):
                found[index] -= found[coarser]
    return found
