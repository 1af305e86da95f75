"""Draws synthetic rows from a trained model, with less sampling error than independent rows have.

Rows are drawn in blocks. After each block, the pairs of cells drawn so far are compared with what the model
expects; the next block compensates for the difference. The table as a whole then follows the model's two-way
tables several times more closely than independent rows would, while a single row stays random. The one-way
tables are steered in the same manner to the noisy measured ones, which are more exact than the model's own.

The same seed gives the same rows whatever the processor, its vector units and their number: sums that a
library may add up in any order are of whole numbers, and exact; everything else that decides a draw is done
element by element, with operations that every processor rounds alike. The chains of a large table are
independent, and drawn at the same time.

Source:
    The steering follows the idea of herding (Welling, 'Herding dynamical weights to learn', ICML 2009).
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from jupyter_dpsynth.engine.sampling.order import CellLines, drawing_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.sampling.order import DrawingOrder

__all__ = ["calibrated_bias", "generate_codes"]

CHAIN_ROWS, CHAIN_BLOCKS = 262_144, 128  # most rows that are steered together, and in how many blocks
TWO_CHAINS = 32_768  # rows: so many are drawn in two chains, because hardly a machine has one processor
WIDE_ROWS, WIDE_BLOCKS = 32_768, 128  # the same where only one-way tables are steered
# part of what is left that a block is at most: only the last ones need to be small. Where only one-way tables
# are steered fewer blocks come as close
BLOCK_SHARE, WIDE_SHARE = 16, 8
LEAST_ROWS = 16  # of a block
PART_ROWS = 256  # of a block that are multiplied at once: the products of small matrices are the fastest
UNITS = 4096  # of a logit, a nat
WEIGHT_UNITS = 2**20  # of exp(logit), relative to the likeliest cell
CHANCE_UNITS = 2**14  # of a probability: 256 of them add up to less than 2^24, exact in float32
BELOW_ONE = np.float32(1 - 2**-22)  # times a number below 1 and a sum: below the sum, also when rounded
NEVER = -(2.0**28)  # logit of a cell that must not appear
STEER_SHARES = 1 / 2  # of a cell's surplus that the next block is asked to mend
STEER_PAIRS = 1 / 4  # of a pair's; what its column's other pairs ask for adds up,
STEER_TOGETHER = 2.0  # so of all of a column's pairs together at most this: with more the errors grow
STEERED_WIDTH = 1024  # with more cells than this only the one-way tables are steered
STEERED_PAIRS = 1 / 4  # of all pairs of columns: where fewer interact, the error is that of the others
SETTLED_BLOCKS = 16  # after so many blocks the expected shares of pairs are known well enough
LARGEST_CORRECTION = 4.0  # nats
CALIBRATION_BLOCKS, CALIBRATION_ROWS = 128, 256

# exp(-k / UNITS) for k = 0, 1, ... down to where it is below half a weight unit, and then 0
EXPONENTIALS = np.rint(np.exp(-np.arange(15 * UNITS) / UNITS) * WEIGHT_UNITS).astype(np.float32)
EXPONENTIALS[-1] = 0


def generate_codes(
    model: TabularModel,
    shares: Sequence[NDArray[np.float64]],
    rows: int,
    generator: np.random.Generator,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.int32]:
    """Codes of a synthetic table, `int32 [rows, m]`.

    Args:
        model: The trained model.
        shares: Noisy one-way shares of each column, which the table's will follow; a cell with share 0
            never appears.
        rows: How many rows.
        generator: Source of randomness; it does not concern privacy.
        progress: Told how many more rows are done, from any thread.

    Privacy:
        Post-processing of the model and of measurements.
    """
    out = np.empty((rows, len(shares)), dtype=np.int32, order="F")
    most, blocks, share = CHAIN_ROWS, CHAIN_BLOCKS, BLOCK_SHARE
    if not _steers_pairs(model):
        most, blocks, share = WIDE_ROWS, WIDE_BLOCKS, WIDE_SHARE
    parts = np.array_split(out, max(math.ceil(rows / most), 2 if rows >= TWO_CHAINS else 1))

    order = drawing_order(model)

    def draw(part: NDArray[np.int32], child: np.random.Generator) -> None:
        _Chain(model, shares, order, child).draw(part, list(_blocks(len(part), blocks, share)), progress)

    # the products are too small to be shared out among threads, the chains are not
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(draw, parts, generator.spawn(len(parts))))
    return out


def _steers_pairs(model: TabularModel) -> bool:
    """Whether pairs of cells are steered, beside single ones."""
    scale = model.layout.scale
    interacting = int(np.count_nonzero(scale))
    return model.layout.width <= STEERED_WIDTH and interacting >= STEERED_PAIRS * math.comb(len(scale), 2)


class _Chain:
    """Draws rows in blocks; each block compensates for the errors of the earlier ones.

    Args:
        model: The trained model.
        shares: Noisy one-way shares of each column.
        order: In which columns are drawn.
        generator: Source of randomness.
    """

    def __init__(
        self,
        model: TabularModel,
        shares: Sequence[NDArray[np.float64]],
        order: DrawingOrder,
        generator: np.random.Generator,
    ) -> None:
        self.layout, self.generator = model.layout, generator
        layers, lines = 2 if _steers_pairs(model) else 1, CellLines(model.layout, shares, order.groups)
        self._lines = lines.count
        self.groups = [
            _Group(model, shares, columns, order.parents, lines, layers) for columns in order.groups
        ]

    def draw(
        self,
        out: NDArray[np.int32],
        bounds: Sequence[tuple[int, int, int]],
        progress: Callable[[int], None] | None,
    ) -> None:
        """Fill `out`, `int32 [n, m]`.

        Args:
            out: Where to put the codes.
            bounds: First row, end, and number of equal parts of each block.
            progress: Told how many more rows are done.
        """
        rows = max((end - start for start, end, _ in bounds), default=0)
        lines = self._lines
        room = np.empty(lines * rows, dtype=np.float32)
        scratch = _Scratch(max(group.room for group in self.groups) * rows)
        for start, end, parts in bounds:
            # one-hot rows below a line of ones, with which biases are multiplied, and above one of zeros
            block, codes = room[: lines * (end - start)].reshape(lines, -1), out[start:end]
            block[0], block[-1] = 1, 0
            points = self.generator.random((len(self.layout.sizes), end - start), dtype=np.float32)
            for group in self.groups:
                codes.T[group.columns] = group.draw(block, codes, points[group.columns], parts, scratch)
            if progress is not None:
                progress(end - start)

    def bias(self) -> NDArray[np.float64]:
        """Biases `[D]` in units, as they are steered by now."""
        out, offsets = np.zeros(self.layout.width), self.layout.offsets
        for group in self.groups:
            for column, cells, bias in zip(
                group.columns, group.cells, group.weights[-1, :, :, 0], strict=True
            ):
                out[offsets[column] + cells] = bias[: len(cells)]
        return out


def _blocks(rows: int, blocks: int, share: int = BLOCK_SHARE) -> Iterator[tuple[int, int, int]]:
    """First row, end, and number of equal parts of each block, which become smaller."""
    least = max(math.ceil(rows / blocks), LEAST_ROWS)
    start = 0
    while start < rows:
        size = max(least, (rows - start) // share)
        parts = math.ceil(size / PART_ROWS)
        size = parts * math.ceil(size / parts)
        if start + size > rows:
            size, parts = min(rows - start, PART_ROWS), 1
        yield start, start + size, parts
        start += size


class _Scratch:
    """Arrays that are reused: allocating new ones would take longer than the computation.

    Args:
        size: Most numbers of one array of a block.
    """

    def __init__(self, size: int) -> None:
        self._inputs, self._logits, self._weights = np.empty((3, size), np.float32)
        self._depths = np.empty(size, np.intp)
        self._reached = np.empty(size, np.bool_)

    def inputs(self, *shape: int) -> NDArray[np.float32]:
        return self._inputs[: math.prod(shape)].reshape(shape)

    def logits(self, *shape: int) -> NDArray[np.float32]:
        return self._logits[: math.prod(shape)].reshape(shape)

    def weights(self, *shape: int) -> NDArray[np.float32]:
        return self._weights[: math.prod(shape)].reshape(shape)

    def depths(self, *shape: int) -> NDArray[np.intp]:
        return self._depths[: math.prod(shape)].reshape(shape)

    def reached(self, *shape: int) -> NDArray[np.bool_]:
        return self._reached[: math.prod(shape)].reshape(shape)


class _Group:
    """Some columns of a chain: draws their cells given those of columns before, and steers itself.

    Cells and inputs are padded: c is the largest number of cells of a column, P that of its inputs.

    Args:
        model: The trained model.
        shares: Share of each cell of each column that the table is to have.
        columns: Places of the columns, `[G]`.
        parents: On which columns each column of the table depends.
        lines: Which line is which cell.
        layers: 2 to steer pairs, 1 not to.

    Attributes:
        columns: Places of the columns.
        cells: The cells of each column that may appear.
        weights: Biases and then weights in units, `[layers, G, c, P]`: the model's own, the steered last.
        room: Most numbers for each row in an array that is worked on.
    """

    def __init__(
        self,
        model: TabularModel,
        shares: Sequence[NDArray[np.float64]],
        columns: NDArray[np.intp],
        parents: Sequence[NDArray[np.intp]],
        lines: CellLines,
        layers: int,
    ) -> None:
        layout, offsets = model.layout, model.layout.offsets
        self.columns, self.cells = columns, [lines.cells[column] for column in columns]
        self._first_line = int(lines.of[columns[0]][0])
        self._features = [each for column in columns for each in layout.derived_inputs(column)]
        self._derived = lines.derived
        inputs = [lines.inputs(column, parents[column]) for column in columns]
        shape = len(columns), max(map(len, self.cells)), 1 + max(len(own) for own, _ in inputs)
        self._lines = np.full((shape[0], shape[2]), lines.count - 1)
        self._lines[:, 0] = 0
        self._share, self._bias = np.zeros(shape[:2]), np.full(shape[:2], np.float32(NEVER))
        weights = np.zeros(shape, np.float32)
        for place, (column, cells, (own, sources)) in enumerate(
            zip(columns, self.cells, inputs, strict=True)
        ):
            outputs = offsets[column] + cells
            self._lines[place, 1 : 1 + len(own)] = own
            self._share[place, : len(cells)] = shares[column][cells]
            self._bias[place, : len(cells)] = _to_units(model.bias[outputs])
            weights[place, : len(cells), 1 : 1 + len(own)] = _to_units(
                model.weights[np.ix_(sources, outputs)].T
            )
        self._in_line = len(columns) == 1 and np.array_equal(self._lines[0], np.arange(shape[2]))
        self.steers_pairs = layers == 2 and shape[2] > 1
        self.weights = np.repeat(weights[None], layers, axis=0)
        self.room = max(layers * shape[0] * shape[1], 0 if self._in_line else shape[0] * shape[2])
        self.surplus = np.zeros(shape[:2])  # rows of each cell beyond its share, so far
        # of each column its cells, where some of those before the last one never appear
        self._numbers = None
        if any(cells[-1] >= len(cells) for cells in self.cells):
            self._numbers = np.zeros(shape[:2], np.int32)
            for place, cells in enumerate(self.cells):
                self._numbers[place, : len(cells)] = cells
        if self.steers_pairs:
            blocks = np.array([max(len(parents[column]), 1) for column in columns])
            self._gain = np.minimum(STEER_PAIRS, STEER_TOGETHER / blocks)[:, None, None]
            self.blocks = self.rows = 0
            pairs = shape[0], shape[1], shape[2] - 1
            self.expected = np.zeros(pairs)  # rows of each pair, in the first blocks
            self.missing = np.zeros(pairs)  # rows of each pair: expected less drawn, so far

    def _inputs(
        self, drawn: NDArray[np.float32], codes: NDArray[np.int32], scratch: _Scratch
    ) -> NDArray[np.float32]:
        """What the cells depend on, one-hot below a row of ones, `[G, P, rows]`."""
        for feature, inputs in self._features:
            own = drawn[self._derived + inputs.start : self._derived + inputs.stop]
            np.equal(np.arange(feature.size)[:, None], feature.codes(codes), out=own)
        if self._in_line:
            return drawn[None, : self._lines.shape[1]]
        out = scratch.inputs(*self._lines.shape, drawn.shape[1])
        return np.take(drawn, self._lines, axis=0, out=out, mode="clip")

    def draw(
        self,
        drawn: NDArray[np.float32],
        codes: NDArray[np.int32],
        points: NDArray[np.float32],
        parts: int,
        scratch: _Scratch,
    ) -> NDArray[np.integer[Any]]:
        """Draw the cells of a block, `[G, rows]`.

        Args:
            drawn: One-hot rows below a row of ones, `[lines, rows]`; these columns' part is filled in.
            codes: Codes of the rows, `[rows, m]`, known as far as these columns depend on them.
            points: Uniform in [0, 1), `[G, rows]`.
            parts: In how many equal parts rows are multiplied.
            scratch: Room to work in.
        """
        (layers, group, cells, _), rows = self.weights.shape, points.shape[1]
        correction = STEER_SHARES * self.surplus / (self._share * rows + 1)
        np.clip(correction, -LARGEST_CORRECTION, LARGEST_CORRECTION, out=correction)
        self.weights[..., 0] = self._bias - _to_units(correction)
        earlier = _in_parts(self._inputs(drawn, codes, scratch), parts)
        logits = scratch.logits(layers, group, cells, rows)
        np.matmul(self.weights[:, :, None], earlier, out=_in_parts(logits, parts))
        depths = scratch.depths(layers, group, cells, rows)
        np.subtract(logits.max(axis=2, keepdims=True), logits, out=depths, casting="unsafe")
        weights = EXPONENTIALS.take(depths, mode="clip", out=scratch.weights(layers, group, cells, rows))
        if self.steers_pairs:
            units = CHANCE_UNITS / weights[0].sum(axis=1, keepdims=True)
            chances = np.multiply(weights[0], units, out=logits[0])
            np.rint(chances, out=chances)
        heights = weights[-1]
        for cell in range(1, cells):  # faster than cumsum along the long axis
            np.add(heights[:, cell], heights[:, cell - 1], out=heights[:, cell])
        points *= BELOW_ONE
        points *= heights[:, -1]
        reached = np.less_equal(heights, points[:, None], out=scratch.reached(group, cells, rows))
        chosen = np.add.reduce(reached.view(np.uint8), axis=1, dtype=np.min_scalar_type(cells))
        own = drawn[self._first_line : self._first_line + group * cells].reshape(group, cells, rows)
        # a cell is chosen if its height is not reached, but that of the cell before is
        np.logical_not(reached[:, 0], out=own[:, 0])
        np.not_equal(reached[:, 1:], reached[:, :-1], out=own[:, 1:])
        self.surplus += own.sum(axis=2) - rows * self._share  # a sum of ones: exact
        if self.steers_pairs:
            self._steer(earlier, own, chances, parts)
        return (
            chosen if self._numbers is None else np.take_along_axis(self._numbers, chosen.astype(np.intp), 1)
        )

    def _steer(
        self,
        earlier: NDArray[np.float32],
        own: NDArray[np.float32],
        chances: NDArray[np.float32],
        parts: int,
    ) -> None:
        """Compare what was drawn with the model's chances and correct the weights for the next block."""
        if self.blocks < SETTLED_BLOCKS:
            self.blocks += 1
            self.rows += own.shape[2]
            self.expected += _pairs(chances, earlier, parts)
        chances -= CHANCE_UNITS * own
        self.missing += _pairs(chances, earlier, parts)
        correction = self._gain * self.missing / (self.expected * (own.shape[2] / self.rows) + 1)
        np.clip(correction, -LARGEST_CORRECTION, LARGEST_CORRECTION, out=correction)
        np.add(self.weights[0, ..., 1:], _to_units(correction), out=self.weights[1, ..., 1:])


def _pairs(chances: NDArray[np.float32], earlier: NDArray[np.float32], parts: int) -> NDArray[np.float64]:
    """Rows of each pair of cells, `[G, cells, inputs]`, in chances and one-hot rows that are in parts."""
    # products of a 0 or 1 and a whole number, at most 2^24 in sum: exact in any order
    sums = np.matmul(_in_parts(chances, parts), earlier.swapaxes(-2, -1))
    return sums[..., 1:].sum(axis=1, dtype=np.float64) / CHANCE_UNITS


def _in_parts(values: NDArray[np.float32], parts: int) -> NDArray[np.float32]:
    """A view of `[..., cells, rows]` as `[..., parts, cells, rows of a part]`."""
    return values.reshape(*values.shape[:-1], parts, -1).swapaxes(-3, -2)


def _to_units(values: NDArray[Any]) -> NDArray[np.float32]:
    """Nats as whole multiples of a fixed scale, as floats."""
    return np.rint(values * UNITS).astype(np.float32)


def calibrated_bias(
    model: TabularModel, shares: Sequence[NDArray[np.float64]], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Biases `[D]` with which single rows follow the measured one-way marginals on average.

    What steering has to add to a column's biases is, in the mean, what the model lacks.

    Privacy:
        Post-processing of the model and of measurements.
    """
    chain = _Chain(model, shares, drawing_order(model), generator)
    sums = np.zeros(model.layout.width)
    blocks = 0

    def add(_: int) -> None:
        nonlocal blocks
        blocks += 1
        if blocks > CALIBRATION_BLOCKS // 4:
            sums[:] += chain.bias()

    # of equal size: a correction that large blocks ask for is too large for a small one
    starts = CALIBRATION_ROWS * np.arange(CALIBRATION_BLOCKS)
    bounds = [(start, start + CALIBRATION_ROWS, 1) for start in starts.tolist()]
    out = np.empty((CALIBRATION_BLOCKS * CALIBRATION_ROWS, len(shares)), dtype=np.int32, order="F")
    with threadpool_limits(1, user_api="blas"):
        chain.draw(out, bounds, add)
    bias = sums / (blocks - CALIBRATION_BLOCKS // 4) / UNITS
    # what must not appear is impossible, however much else speaks for it
    return np.where(np.concatenate(shares) == 0, NEVER / UNITS, bias)
