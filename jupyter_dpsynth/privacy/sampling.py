"""Poisson sampling of rows, and its division into chunks that fit into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["chunks", "poisson_sample"]


def poisson_sample(rows: int, probability: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Indices of a Poisson sample: every row is in it independently with this probability.

    A binomial size and then a uniform subset of that size is the same distribution, and costs only as
    much as the sample is large.

    Args:
        rows: Number of rows of the table.
        probability: Chance of each row.
        generator: The run's generator.
    """
    size = generator.binomial(rows, probability)
    return generator.choice(rows, size, replace=False, shuffle=False).astype(np.int64)


def chunks(indices: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Divide indices into chunks that fit into memory; at least one, which may be empty.

    A larger sample gives more parts, never a shorter sample: dropping rows would change what the
    accountant was told.

    Args:
        indices: Any number of indices.
        size: Most indices of a part.
    """
    for start in range(0, max(len(indices), 1), size):
        yield indices[start : start + size]
