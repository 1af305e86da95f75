"""How the weights lie in memory while a network is trained: as one matrix, or in blocks of columns.

Where every column may depend on all earlier ones, half of the matrix `[I, D]` exists, and one product of
matrices is the fastest. Where columns depend on few others nearly all of it would be zeros. Then each column
has a block of its own, with a row for each cell of its inputs only. Blocks of about equal size form a group,
padded to the largest, so that a group is multiplied at once.

The weights that exist have one order, whatever the arrangement: that of their places in the matrix.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from threadpoolctl import ThreadpoolController

from jupyter_dpsynth.engine.model.weights import FreeWeights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import Layout

    Smoothing = Callable[[NDArray[np.float32]], None]

__all__ = ["Arrangement", "BlockArrangement", "Group", "MatrixArrangement", "arrange", "blocks_pay"]

# What an input cell, and a weight, of a block costs beside a weight of the matrix, measured on two cores
INPUT_COST, WEIGHT_COST = 14.0, 6.0
PADDED = 1.5  # times the cells of a group's smallest column: its largest one
GROUP_CELLS = 4_000  # input cells of a group, padding included, at most: with more the memory is slow


class Arrangement(Protocol):
    """Where the F weights that exist are in an array that also has places for others.

    Attributes:
        layout: Blocks and interactions.
        shape: Shape of the array.
        places: Place of each weight in the flattened array, int64 `[F]`.
        cells: Its place in the flattened matrix `[I, D]`, int64 `[F]`, increasing.
        scale: Its scale, float32 `[F]`.
        size: F.
    """

    layout: Layout
    shape: tuple[int, ...]
    places: NDArray[np.int64]
    cells: NDArray[np.int64]
    scale: NDArray[np.float32]
    size: int

    def vector(self, array: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Copy the weights of an array of this shape into the first F places of `out`."""
        ...

    def array(self, vector: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Copy the first F values of a vector into their places in `out`, and no others."""
        ...

    def smoothing(self, smoothers: Sequence[NDArray[np.float32] | None]) -> Smoothing:
        """What averages weights of neighbouring cells, in place, in an array of the shape above.

        Args:
            smoothers: Of each column the symmetric matrix that averages its cells, None for none.
        """
        ...


def arrange(layout: Layout) -> Arrangement:
    """The arrangement in which a step of this layout takes less time."""
    inputs = _input_cells(layout)
    matrix = layout.inputs * len(layout.predicted)
    in_blocks = blocks_pay(float(inputs.sum()), float(inputs @ layout.sizes), matrix)
    return BlockArrangement(layout) if in_blocks else MatrixArrangement(layout)


def blocks_pay(inputs: float, weights: float, matrix: float) -> bool:
    """Whether a step in blocks takes less time.

    Args:
        inputs: Input cells of all blocks.
        weights: Weights that exist.
        matrix: Weights of the matrix, whether they exist or not.
    """
    return INPUT_COST * inputs + WEIGHT_COST * weights < matrix


class MatrixArrangement:
    """One matrix, a row for each input cell and a column for each cell that is predicted.

    Args:
        layout: Blocks and interactions.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout, self._predicted = layout, layout.predicted
        self.shape: tuple[int, ...] = layout.inputs, len(self._predicted)
        self.mask = layout.mask[:, self._predicted]
        self.places = np.flatnonzero(self.mask)
        row, column = np.divmod(self.places, len(self._predicted))
        self.cells = row * layout.width + self._predicted[column]
        self.scale = self.mask.ravel()[self.places]
        weights = FreeWeights(layout, self._predicted)
        self.size, self.vector, self.array = weights.size, weights.vector, weights.matrix

    def smoothing(self, smoothers: Sequence[NDArray[np.float32] | None]) -> Smoothing:
        """As stated for every arrangement."""
        offsets, width = self.layout.offsets, self.layout.width
        places = np.searchsorted(self._predicted, offsets)
        columns = [
            (slice(start, end), slice(first, last), smoother)
            for start, end, first, last, smoother in zip(
                offsets[:-1], offsets[1:], places[:-1], places[1:], smoothers, strict=True
            )
            if smoother is not None
        ]

        def smooth(array: NDArray[np.float32]) -> None:
            for rows, own, smoother in columns:
                array[rows, own.stop :] = smoother @ array[rows, own.stop :]
                if own.start == own.stop:  # it is only given
                    continue
                array[: rows.start, own] = array[: rows.start, own] @ smoother
                if self.layout.derived:
                    array[width:, own] = array[width:, own] @ smoother

        return smooth


@dataclass(frozen=True, eq=False)
class Group:
    """Columns whose blocks are multiplied at once.

    Attributes:
        columns: Their places, `[G]`.
        inputs: Input cells of each block, `[G, P]`; I where a block has fewer.
        outputs: Cells of each column, `[G, c]`; D where it has fewer.
        scale: Scale of the weights from each input cell, float32 `[G, P, 1]`, zero where there is none.
        start: Place of its first weight in the array.
    """

    columns: NDArray[np.int64]
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    scale: NDArray[np.float32]
    start: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of its weights, `[G, P, c]`."""
        return (*self.inputs.shape, self.outputs.shape[1])

    @property
    def end(self) -> int:
        """Place behind its last weight."""
        return self.start + int(np.prod(self.shape))


class BlockArrangement:
    """A block for each column, with a row for each of its own input cells.

    Args:
        layout: Blocks and interactions.

    Attributes:
        groups: The blocks.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        sources = [_sources(layout, column) for column in range(len(layout.sizes))]
        widths = np.array([len(cells) for cells, _ in sources])
        order = np.lexsort((widths, layout.sizes))
        self.groups: list[Group] = []
        start = 0
        for part in self._apart(order, widths):
            taken = 0
            while taken < len(part):
                columns = part[taken : taken + _fitting(layout.sizes[part[taken:]], widths[part[taken:]])]
                group = _group(layout, columns, [sources[column] for column in columns], start)
                self.groups.append(group)
                start, taken = group.end, taken + len(columns)
        self.shape: tuple[int, ...] = (start,)
        self.places, self.cells, self.scale = self._weights()
        self.size = len(self.places)

    def _apart(self, order: NDArray[np.int64], widths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Columns whose blocks may be multiplied at once: those that are only given have no inputs."""
        if self.layout.importance is None:
            return [order]
        given = widths[order] == 0
        return [order[given], order[~given]]

    def _weights(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Places in the array and in the matrix of all weights that exist, and their scales."""
        width, places, cells, scales = self.layout.width, [], [], []
        for group in self.groups:
            exists = (group.scale > 0) & (group.outputs < width)[:, None]
            own = np.flatnonzero(exists)
            places.append(group.start + own)
            matrix = group.inputs[:, :, None] * width + group.outputs[:, None]
            cells.append(matrix.ravel()[own])
            scales.append(np.broadcast_to(group.scale, group.shape).ravel()[own])
        together = np.concatenate(cells)
        order = np.argsort(together)
        return np.concatenate(places)[order], together[order], np.concatenate(scales)[order]

    def vector(self, array: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """As stated for every arrangement."""
        out[: self.size] = array[self.places]
        return out

    def array(self, vector: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """As stated for every arrangement."""
        out[self.places] = vector[: self.size]
        return out

    @functools.cached_property
    def columns(self) -> NDArray[np.int64]:
        """The columns in the order of their blocks, `[m]`."""
        return np.concatenate([group.columns for group in self.groups])

    @property
    def input_cells(self) -> int:
        """Input cells of all blocks, padding included: so many numbers are read of each row."""
        return sum(group.inputs.size for group in self.groups)

    def smoothing(self, smoothers: Sequence[NDArray[np.float32] | None]) -> Smoothing:
        """As stated for every arrangement."""
        found = [(group, self._averaging(group, smoothers)) for group in self.groups]
        averaging = [(group, *matrices) for group, matrices in found if matrices is not None]
        threads = ThreadpoolController()

        def smooth(array: NDArray[np.float32]) -> None:
            # the products are too small to be shared out among threads
            with threads.limit(limits=1, user_api="blas"):
                for group, inner, outer in averaging:
                    block = array[group.start : group.end].reshape(group.shape)
                    block[:] = inner @ (block @ outer)

        return smooth

    def _averaging(
        self, group: Group, smoothers: Sequence[NDArray[np.float32] | None]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """What averages a group's inputs, `[G, P, P]`, and outputs, `[G, c, c]`; None if nothing does."""
        (blocks, rows, cells), sizes = group.shape, self.layout.sizes
        inner = np.tile(np.eye(rows, dtype=np.float32), (blocks, 1, 1))
        outer = np.tile(np.eye(cells, dtype=np.float32), (blocks, 1, 1))
        averages = False
        for place, column in enumerate(group.columns.tolist()):
            first = 0
            for source in np.flatnonzero(self.layout.scale[:, column]).tolist():
                _put(inner[place], first, smoothers[source])
                first += sizes[source]
                averages = averages or smoothers[source] is not None
            _put(outer[place], 0, smoothers[column])
            averages = averages or smoothers[column] is not None
        return (inner, outer) if averages else None


def _put(matrix: NDArray[np.float32], first: int, smoother: NDArray[np.float32] | None) -> None:
    """Put a smoother on a matrix's diagonal."""
    if smoother is not None:
        place = slice(first, first + len(smoother))
        matrix[place, place] = smoother


def _input_cells(layout: Layout) -> NDArray[np.float64]:
    """Number of input cells of each column, `[m]`."""
    cells = layout.sizes @ (layout.scale > 0)
    for feature in layout.derived:
        cells[feature.target] += feature.size
    return cells.astype(np.float64)


def _sources(layout: Layout, column: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Input cells of a column, increasing, and the scale of each one's weights."""
    cells, scales = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for source in np.flatnonzero(layout.scale[:, column]).tolist():
        cells.append(np.arange(layout.offsets[source], layout.offsets[source + 1]))
        scales.append(np.full(layout.sizes[source], layout.scale[source, column], np.float32))
    for feature, inputs in layout.derived_inputs(column):
        cells.append(np.arange(inputs.start, inputs.stop))
        scales.append(np.full(feature.size, feature.scale, np.float32))
    return np.concatenate(cells), np.concatenate(scales)


def _fitting(sizes: NDArray[np.int64], widths: NDArray[np.int64]) -> int:
    """How many of the next columns, in increasing order of their sizes, form a group."""
    most = 1
    while most < len(sizes):
        if sizes[most] > PADDED * sizes[0] or (most + 1) * widths[: most + 1].max() > GROUP_CELLS:
            break
        most += 1
    return most


def _group(
    layout: Layout,
    columns: NDArray[np.int64],
    sources: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]],
    start: int,
) -> Group:
    most = max(1, *(len(cells) for cells, _ in sources))
    shape = len(columns), most
    inputs, scale = np.full(shape, layout.inputs), np.zeros((*shape, 1), np.float32)
    outputs = np.full((len(columns), int(layout.sizes[columns].max())), layout.width)
    for place, (column, (cells, scales)) in enumerate(zip(columns, sources, strict=True)):
        inputs[place, : len(cells)] = cells
        scale[place, : len(cells), 0] = scales
        outputs[place, : layout.sizes[column]] = np.arange(layout.offsets[column], layout.offsets[column + 1])
    return Group(columns, inputs, outputs, scale, start)
