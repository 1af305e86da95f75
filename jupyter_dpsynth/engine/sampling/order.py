"""In which order the columns of a synthetic table are drawn, which at once, and which cells there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import Layout, TabularModel

__all__ = ["CellLines", "DrawingOrder", "drawing_order"]

MOST_TOGETHER = 16  # columns that are drawn at once
PADDED = 2.0  # times the weights that there are: so many there may be with those that pad them


@dataclass(frozen=True, eq=False)
class DrawingOrder:
    """An order in which columns can be drawn.

    Attributes:
        parents: Places of the columns on which each column depends directly, increasing.
        groups: Places of columns that are drawn at once, since none of them depends on another one. They have
            about as many cells and inputs, so that not much is padded.
    """

    parents: tuple[NDArray[np.intp], ...]
    groups: tuple[NDArray[np.intp], ...]


def drawing_order(model: TabularModel) -> DrawingOrder:
    """In which order columns are drawn, and which of them at once."""
    layout, parents = model.layout, _parents(model)
    before: list[set[int]] = []
    inputs = np.zeros(len(parents), np.int64)
    for column, own in enumerate(parents):
        features = [feature for feature, _ in layout.derived_inputs(column)]
        before.append({*own.tolist(), *(source for feature in features for source in feature.sources)})
        inputs[column] = 1 + layout.sizes[own].sum() + sum(feature.size for feature in features)
    groups: list[NDArray[np.intp]] = []
    left, drawn = set(range(len(parents))), set[int]()
    while left:
        ready = np.array([column for column in sorted(left) if before[column] <= drawn], np.intp)
        order = ready[np.lexsort((inputs[ready], layout.sizes[ready]))]
        chosen = max(_alike(order, layout.sizes, inputs), key=len)
        groups.append(chosen)
        drawn.update(chosen.tolist())
        left.difference_update(chosen.tolist())
    return DrawingOrder(tuple(parents), tuple(groups))


def _parents(model: TabularModel) -> list[NDArray[np.intp]]:
    """The columns on which each column depends directly, in increasing order."""
    layout = model.layout
    starts = layout.offsets[:-1]
    by_input = np.logical_or.reduceat(model.weights[: layout.width] != 0, starts, axis=1)
    depends = np.logical_or.reduceat(by_input, starts, axis=0)
    return [np.flatnonzero(depends[:column, column]) for column in range(len(starts))]


def _alike(
    columns: NDArray[np.intp], sizes: NDArray[np.int64], inputs: NDArray[np.int64]
) -> Iterator[NDArray[np.intp]]:
    """Neighbouring columns together, as many as can be without much padding.

    Args:
        columns: Places of columns, sorted by their sizes.
        sizes: Number of cells of every column.
        inputs: Number of inputs of every column.
    """
    start = 0
    while start < len(columns):
        end = start + 1
        while end < min(len(columns), start + MOST_TOGETHER):
            own = columns[start : end + 1]
            if len(own) * sizes[own].max() * inputs[own].max() > PADDED * (sizes[own] @ inputs[own]):
                break
            end += 1
        yield columns[start:end]
        start = end


class CellLines:
    """Which line of a block of one-hot rows is which cell: line 0 is of ones, and the last one of zeros.

    A cell that never appears has no line, so nothing is computed for it. Columns that are drawn at once have
    their lines together, each as many as the one with the most cells.

    Args:
        layout: Of the model.
        shares: Share of each cell of each column that the table is to have.
        groups: Columns that are drawn at once.

    Attributes:
        cells: The cells of each column that may appear.
        of: Their lines.
        derived: Line of a derived feature's cell, less its place among all inputs.
        count: How many lines there are.
    """

    def __init__(
        self, layout: Layout, shares: Sequence[NDArray[np.float64]], groups: Sequence[NDArray[np.intp]]
    ) -> None:
        self._layout = layout
        self.cells = [np.flatnonzero(share) for share in shares]
        self.of = [np.zeros(0, np.intp)] * len(shares)
        start = 1
        for columns in groups:
            most = max(len(self.cells[column]) for column in columns)
            for column in columns:
                self.of[column] = np.arange(start, start + len(self.cells[column]))
                start += most
        self.derived = start - layout.width
        self.count = self.derived + layout.inputs + 1

    def inputs(self, column: int, parents: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Lines of the cells on which a column depends, and the places of these cells among all inputs.

        Args:
            column: Place of the column.
            parents: Places of the columns on which it depends.
        """
        derived = [np.arange(cells.start, cells.stop) for _, cells in self._layout.derived_inputs(column)]
        first = self._layout.offsets
        none = np.zeros(0, np.int64)
        lines = [none, *(self.of[one] for one in parents), *(self.derived + cells for cells in derived)]
        places = [none, *(first[one] + self.cells[one] for one in parents), *derived]
        return np.concatenate(lines), np.concatenate(places)
