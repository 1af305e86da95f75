"""The weights that exist, as rectangles of the matrix and as one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import Layout

__all__ = ["FreeWeights"]


class FreeWeights:
    """Copies the F weights that exist between a matrix `[I, D]` and a vector in the order of `Layout.free`.

    All cells of one column or derived feature have weights to the same columns, so the weights that exist
    are rectangles of the matrix. To copy those takes a fraction of the time of looking up every position.

    Args:
        layout: Which weights exist.
        predicted: The cells for which the matrix has columns, if it lacks some that have no weights.

    Attributes:
        size: F.
    """

    def __init__(self, layout: Layout, predicted: NDArray[np.int64] | None = None) -> None:
        mask = layout.mask if predicted is None else layout.mask[:, predicted]
        self.size = 0
        self._bands: list[tuple[slice, int, slice, list[tuple[slice, slice]]]] = []
        first = 0
        for cells in layout.input_sizes.tolist():
            columns = np.flatnonzero(mask[first])
            part = slice(self.size, self.size + cells * len(columns))
            self._bands.append((slice(first, first + cells), cells, part, list(_runs(columns))))
            first, self.size = first + cells, part.stop

    def vector(self, matrix: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Copy the weights of a matrix `[I, D]` into the first F places of `out`."""
        for rows, cells, part, runs in self._bands:
            band = out[part].reshape(cells, -1)
            for columns, places in runs:
                band[:, places] = matrix[rows, columns]
        return out

    def matrix(self, vector: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Copy the first F values of a vector into their places in `out` `[I, D]`, and no others."""
        for rows, cells, part, runs in self._bands:
            band = vector[part].reshape(cells, -1)
            for columns, places in runs:
                out[rows, columns] = band[:, places]
        return out


def _runs(columns: NDArray[np.int64]) -> Iterator[tuple[slice, slice]]:
    """Neighbouring positions taken together: where they are, and where they are among those given."""
    bounds = np.flatnonzero(np.diff(columns) != 1) + 1
    start = 0
    for run in np.split(columns, bounds):
        if len(run):
            yield slice(int(run[0]), int(run[-1]) + 1), slice(start, start + len(run))
            start += len(run)
