"""Poisson sampling of rows, and its division into chunks that fit into memory."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["MOST_ROWS", "FixedChunks", "poisson_sample"]

MOST_ROWS = 8_192  # that are in the network at once
ENOUGH = 2.0  # standard deviations of a sample's size for which there is room from the first
ALIGNED = 16  # rows


def poisson_sample(rows: int, probability: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Indices of a Poisson sample, in random order: every row is in it independently with this probability.

    A binomial size and then a uniform subset of that size is the same distribution, and costs only as
    much as the sample is large.

    Args:
        rows: Number of rows of the table.
        probability: Chance of each row.
        generator: The run's generator.
    """
    size = generator.binomial(rows, probability)
    return generator.choice(rows, size, replace=False).astype(np.int64)


class FixedChunks:
    """Divides samples into chunks whose sizes do not depend on the sample; places that are left stay empty.

    How a row's gradient is rounded may depend on its place in a chunk and on the chunk's size, by one unit in
    the last place. So the sizes are fixed, and a row takes one place. In a random order a further row can
    take any place: the row that was there goes to the end, all others stay, and the order is as random as
    before. One row more thus changes the place of at most one other row.

    Args:
        expected: How large a sample is expected to be: public.
        most: Most rows of a chunk.
    """

    def __init__(self, expected: float, most: int) -> None:
        deviation = math.sqrt(expected)
        enough = expected + ENOUGH * deviation
        self._count = max(1, math.ceil(enough / most))
        self._size = min(most, _aligned(enough / self._count))
        self._spare = min(most, _aligned(2 * ENOUGH * deviation))

    @property
    def largest(self) -> int:
        """Places of the largest chunk."""
        return max(self._size, self._spare)

    def of(self, indices: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        """Chunks of a sample, at least one: its indices, 0 where a place is empty, and which are not.

        No row is dropped, however large the sample is: that would change what the accountant was told.

        Args:
            indices: Any number of indices, in random order.
        """
        start = 0
        sizes = itertools.chain(itertools.repeat(self._size, self._count), itertools.repeat(self._spare))
        for number, size in enumerate(sizes):
            if number and start >= len(indices):
                return
            part = indices[start : start + size]
            present = np.arange(size) < len(part)
            yield np.pad(part, (0, size - len(part))), present
            start += size


def _aligned(rows: float) -> int:
    return max(1, math.ceil(rows / ALIGNED)) * ALIGNED
