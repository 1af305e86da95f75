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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.features import Derived
    from jupyter_dpsynth.engine.model.network import TabularModel

__all__ = ["calibrated_bias", "generate_codes"]

CHAIN_ROWS = 262_144  # most rows that are steered together
CHAIN_BLOCKS = 128
LEAST_ROWS = 64  # of a block
PART_ROWS = 256  # of a block that are multiplied at once: the products of small matrices are the fastest
UNITS = 4096  # of a logit, a nat
WEIGHT_UNITS = 2**20  # of exp(logit), relative to the likeliest cell
CHANCE_UNITS = 2**14  # of a probability: 256 of them add up to less than 2^24, exact in float32
BELOW_ONE = np.float32(1 - 2**-22)  # times a number below 1 and a sum: below the sum, also when rounded
NEVER = -(2.0**28)  # logit of a cell that must not appear
STEER_SHARES = 1 / 2  # of a cell's surplus that the next block is asked to mend
STEER_PAIRS = 1 / 8  # of a pair's; what its column's other pairs ask for adds up
STEERED_WIDTH = 1024  # with more cells than this only the one-way tables are steered
SETTLED_BLOCKS = 16  # after so many blocks the expected shares of pairs are known well enough
LARGEST_CORRECTION = 4.0  # nats
CALIBRATION_BLOCKS, CALIBRATION_ROWS = CHAIN_BLOCKS, 256

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
    parts = np.array_split(out, math.ceil(rows / CHAIN_ROWS))

    def draw(part: NDArray[np.int32], child: np.random.Generator) -> None:
        _Chain(model, shares, child).draw(part, progress)

    # the products are too small to be shared out among threads, the chains are not
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(draw, parts, generator.spawn(len(parts))))
    return out


class _Chain:
    """Draws rows in blocks; each block compensates for the errors of the earlier ones.

    Args:
        model: The trained model.
        shares: Noisy one-way shares of each column.
        generator: Source of randomness.
    """

    def __init__(
        self, model: TabularModel, shares: Sequence[NDArray[np.float64]], generator: np.random.Generator
    ) -> None:
        self.width = model.layout.width
        self.generator = generator
        layers = 2 if self.width <= STEERED_WIDTH else 1
        bounds = model.layout.offsets.tolist()
        self.columns = []
        for target, (share, first, end) in enumerate(zip(shares, bounds[:-1], bounds[1:], strict=True)):
            derived = list(model.layout.derived_inputs(target))
            weights = [model.weights[:first], *(model.weights[inputs] for _, inputs in derived)]
            own = np.concatenate(weights)[:, first:end]
            column = _Column(share, first, _to_units(model.bias[first:end]), _to_units(own.T), layers)
            column.derived = [feature for feature, _ in derived]
            self.columns.append(column)

    def draw(self, out: NDArray[np.int32], progress: Callable[[int], None] | None) -> None:
        """Fill `out`, `int32 [n, m]`."""
        rows = max(math.ceil(len(out) / CHAIN_BLOCKS), LEAST_ROWS)
        parts = math.ceil(rows / PART_ROWS)
        rows = parts * math.ceil(rows / parts)
        whole = len(out) // rows * rows
        blocks = [(start, start + rows, parts) for start in range(0, whole, rows)]
        blocks += [
            (start, min(start + PART_ROWS, len(out)), 1) for start in range(whole, len(out), PART_ROWS)
        ]
        drawn = np.empty((1 + self.width, rows), dtype=np.float32)
        scratch = _Scratch(max(len(column.share) for column in self.columns) * rows)
        for start, end, parts in blocks:
            block = drawn[:, : end - start]
            block[0] = 1  # what the biases are multiplied with
            points = self.generator.random((len(self.columns), end - start), dtype=np.float32)
            for place, column in enumerate(self.columns):
                earlier = column.inputs(block, out[start:end])
                out[start:end, place] = column.draw(block, earlier, points[place], parts, scratch)
            if progress is not None:
                progress(end - start)


class _Scratch:
    """Arrays that are reused: allocating new ones would take longer than the computation.

    Args:
        size: Most cells of one block.
    """

    def __init__(self, size: int) -> None:
        self._logits, self._weights = np.empty((2, 2 * size), np.float32)
        self._depths = np.empty(2 * size, np.intp)
        self._reached = np.empty(size, np.bool_)

    def logits(self, *shape: int) -> NDArray[np.float32]:
        return self._logits[: math.prod(shape)].reshape(shape)

    def weights(self, *shape: int) -> NDArray[np.float32]:
        return self._weights[: math.prod(shape)].reshape(shape)

    def depths(self, *shape: int) -> NDArray[np.intp]:
        return self._depths[: math.prod(shape)].reshape(shape)

    def reached(self, *shape: int) -> NDArray[np.bool_]:
        return self._reached[: math.prod(shape)].reshape(shape)


class _Column:
    """One column of a chain: draws its cells given those of earlier columns, and steers itself.

    Args:
        share: Share of each of its cells that the table is to have, `[cells]`.
        first: Position of its first cell.
        bias: Biases in units, `[cells]`.
        weights: Weights in units from the cells of earlier columns and then of derived features,
            `[cells, inputs]`.
        layers: 2 to steer pairs, 1 not to.

    Attributes:
        derived: Its derived features.
    """

    derived: Sequence[Derived] = ()

    def __init__(
        self,
        share: NDArray[np.float64],
        first: int,
        bias: NDArray[np.float32],
        weights: NDArray[np.float32],
        layers: int,
    ) -> None:
        self.first, self.share = 1 + first, share  # the row of ones comes before all cells
        self.bias = np.where(share == 0, np.float32(NEVER), bias)
        # the model's own weights first, the steered ones last
        self.weights = np.repeat(np.column_stack([self.bias, weights])[None], layers, axis=0)
        self.surplus = np.zeros(len(share))  # rows of each cell beyond its share, so far
        self.steers_pairs = layers == 2 and first > 0
        if self.steers_pairs:
            self.blocks = 0
            self.expected = np.zeros(weights.shape)  # rows of each pair, in the first blocks
            self.missing = np.zeros(weights.shape)  # rows of each pair: expected less drawn, so far

    def inputs(self, drawn: NDArray[np.float32], codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """What its cells depend on, one-hot below a row of ones, `[1 + inputs, rows]`.

        Args:
            drawn: One-hot rows below a row of ones, `[1 + D, rows]`.
            codes: Codes of the rows, `[rows, m]`, known up to this column.
        """
        earlier = drawn[: self.first]
        if not self.derived:
            return earlier
        extra = [np.arange(feature.size)[:, None] == feature.codes(codes) for feature in self.derived]
        return np.concatenate([earlier, *extra], dtype=np.float32)

    def draw(
        self,
        drawn: NDArray[np.float32],
        inputs: NDArray[np.float32],
        points: NDArray[np.float32],
        parts: int,
        scratch: _Scratch,
    ) -> NDArray[np.integer[Any]]:
        """Draw the cells of a block.

        Args:
            drawn: One-hot rows below a row of ones, `[1 + D, rows]`; this column's part is filled in.
            inputs: What `inputs` gave.
            points: Uniform in [0, 1), `[rows]`.
            parts: In how many equal parts rows are multiplied.
            scratch: Room to work in.
        """
        layers, cells, rows = len(self.weights), len(self.share), len(points)
        correction = STEER_SHARES * self.surplus / (self.share * rows + 1)
        np.clip(correction, -LARGEST_CORRECTION, LARGEST_CORRECTION, out=correction)
        self.weights[:, :, 0] = self.bias - _to_units(correction)
        earlier = _in_parts(inputs, parts)
        logits = scratch.logits(layers, cells, rows)
        np.matmul(self.weights[:, None], earlier, out=_in_parts(logits, parts))
        depths = scratch.depths(layers, cells, rows)
        np.subtract(logits.max(axis=1, keepdims=True), logits, out=depths, casting="unsafe")
        weights = EXPONENTIALS.take(depths, mode="clip", out=scratch.weights(layers, cells, rows))
        if self.steers_pairs:
            chances = np.multiply(weights[0], CHANCE_UNITS / weights[0].sum(axis=0), out=logits[0])
            np.rint(chances, out=chances)
        heights = weights[-1]
        for cell in range(1, cells):  # faster than cumsum along the long axis
            np.add(heights[cell], heights[cell - 1], out=heights[cell])
        points *= BELOW_ONE
        points *= heights[-1]
        reached = np.less_equal(heights, points, out=scratch.reached(cells, rows))
        chosen = np.add.reduce(reached.view(np.uint8), axis=0, dtype=np.min_scalar_type(cells))
        own = drawn[self.first : self.first + cells]
        # a cell is chosen if its height is not reached, but that of the cell before is
        np.logical_not(reached[0], out=own[0])
        np.not_equal(reached[1:], reached[:-1], out=own[1:])
        self.surplus += np.bincount(chosen, minlength=cells) - rows * self.share
        if self.steers_pairs:
            self._steer(earlier, own, chances, parts)
        return chosen

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
            self.expected += _pairs(chances, earlier, parts)
        chances -= CHANCE_UNITS * own
        self.missing += _pairs(chances, earlier, parts)
        correction = STEER_PAIRS * self.missing / (self.expected / self.blocks + 1)
        np.clip(correction, -LARGEST_CORRECTION, LARGEST_CORRECTION, out=correction)
        np.add(self.weights[0, :, 1:], _to_units(correction), out=self.weights[1, :, 1:])


def _pairs(chances: NDArray[np.float32], earlier: NDArray[np.float32], parts: int) -> NDArray[np.float64]:
    """Rows of each pair of cells, `[cells, earlier cells]`, in chances and one-hot rows that are in parts."""
    # products of a 0 or 1 and a whole number, at most 2^24 in sum: exact in any order
    sums = np.matmul(_in_parts(chances, parts), earlier.swapaxes(1, 2))
    return sums[:, :, 1:].sum(axis=0, dtype=np.float64) / CHANCE_UNITS


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
    chain = _Chain(model, shares, generator)
    sums = np.zeros(model.layout.width)
    blocks = 0

    def add(_: int) -> None:
        nonlocal blocks
        blocks += 1
        if blocks > CALIBRATION_BLOCKS // 4:
            sums[:] += np.concatenate([column.weights[-1, :, 0] for column in chain.columns])

    rows = CALIBRATION_BLOCKS * CALIBRATION_ROWS
    with threadpool_limits(1, user_api="blas"):
        chain.draw(np.empty((rows, len(shares)), dtype=np.int32, order="F"), add)
    bias = sums / (blocks - CALIBRATION_BLOCKS // 4) / UNITS
    # what must not appear is impossible, however much else speaks for it
    return np.where(np.concatenate(shares) == 0, NEVER / UNITS, bias)
