"""Disjoint cells of a column with their noisy counts, and how two counts of the same rows are joined."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Cells", "weighed"]


@dataclass(frozen=True, eq=False)
class Cells:
    """Disjoint cells in increasing order, all `[cells]`.

    Attributes:
        starts: First point of each.
        ends: Point after each.
        shrunk: Estimated rows of each.
        raw: Noisy count of each.
        variances: Variance of the noise of `raw`.
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    shrunk: NDArray[np.float64]
    raw: NDArray[np.float64]
    variances: NDArray[np.float64]

    def at(self, chosen: NDArray[Any]) -> Cells:
        """Some of them, by a mask or by their places."""
        return Cells(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def joined(self, other: Cells) -> Cells:
        """Together with others, in increasing order."""
        columns = [np.append(getattr(self, each.name), getattr(other, each.name)) for each in fields(self)]
        return Cells(*columns).at(np.argsort(columns[0]))


def weighed(first: Any, first_variance: Any, second: Any, second_variance: float) -> tuple[Any, Any]:  # noqa: ANN401 - numbers or arrays
    """Two noisy figures of the same thing joined by their precisions, and the variance of that."""
    if second_variance == 0:
        return second, np.zeros_like(first_variance)
    if np.all(np.isinf(first_variance)):
        return second, second_variance
    total = first_variance + second_variance
    return (
        (first * second_variance + second * first_variance) / total,
        first_variance * second_variance / total,
    )
