"""Poisson sampling of rows, and chunks of a fixed shape to compute on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["fixed_chunks", "poisson_sample"]


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


def fixed_chunks(
    indices: NDArray[np.int64], size: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Cut indices into chunks of one shape, the last one padded.

    A larger sample gives more chunks, never a shorter sample: dropping rows would change what the
    accountant was told. No index at all still gives one chunk, fully masked.

    Args:
        indices: Any number of indices.
        size: Length of a chunk.

    Yields:
        Indices `[size]` (0 where padded) and a float32 mask `[size]`, 1 for real ones.
    """
    for start in range(0, max(len(indices), 1), size):
        part = indices[start : start + size]
        chunk = np.zeros(size, dtype=np.int64)
        chunk[: len(part)] = part
        mask = np.zeros(size, dtype=np.float32)
        mask[: len(part)] = 1
        yield chunk, mask
