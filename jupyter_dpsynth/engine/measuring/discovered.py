"""What private discovery gives of a column: its codec, and the noisy counts of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.measuring.weighing import weighed_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import ColumnCodec

__all__ = ["Discovered", "count_in"]


@dataclass(frozen=True)
class Discovered:
    """A column's codec, and the noisy counts of its cells that were measured with it.

    Attributes:
        codec: The column's codec.
        counts: Noisy count of each cell, float64 `[cells]`.
        variances: Variance of each count's noise, infinite where nothing was measured.
        replaced: Noisy number of rows below and above declared bounds; or of those with none of the declared
            categories. Empty if nothing of this kind is declared.
        replaced_noise: Standard deviation of the noise of each of these.
        told: Whether a test rejects that more than few rows are where the codec's pattern has none.
    """

    codec: ColumnCodec
    counts: NDArray[np.float64]
    variances: NDArray[np.float64]
    replaced: tuple[float, ...] = ()
    replaced_noise: float = 0.0
    told: bool = True


def count_in(
    values: NDArray[np.float64],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    weights: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """How many of the sorted values are in each of several disjoint cells, or how many parts with weights.

    >>> count_in(np.array([1.0, 2.0, 2.5, 9.0]), np.array([1.0, 3.0]), np.array([2.5, 9.5]))
    array([2, 1])
    >>> count_in(np.array([0.0, 2.0]), np.array([1.0, 3.0, 9.0]), np.array([2.5, 9.0, 9.5]))
    array([1, 0, 0])
    >>> count_in(np.array([1.0, 2.0, 9.0]), np.array([1.0, 3.0]), np.array([2.5, 9.5]), np.array([5, 2, 1]))
    array([7, 1])
    """
    if len(starts) <= len(values):
        first, last = (np.searchsorted(values, edges, side="left") for edges in (starts, ends))
        if weights is None:
            return last - first
        before = np.append(0, np.cumsum(weights))
        return before[last] - before[first]
    place = np.searchsorted(starts, values, side="right") - 1
    inside = (place >= 0) & (values < ends[place])
    return weighed_counts(place[inside], None if weights is None else weights[inside], len(starts))
