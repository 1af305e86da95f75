"""In which order the columns of a synthetic table are drawn, and which of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import TabularModel

__all__ = ["DrawingOrder", "drawing_order"]

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
