"""Drawing synthetic rows from a trained model, with less chance error than independent rows have.

Rows are drawn in blocks. After each block it is known how far the pairs of cells drawn so far are from
what the model expected of them; the next block leans the other way. The table as a whole then follows the
model's two-way tables several times more closely than independent rows would, while a single row stays
random. The one-way tables are steered in the same manner to the noisy measured ones, which are more exact
than the model's own.

All arithmetic that decides a draw is on integers (or on floats that hold integers exactly), so the same
seed gives the same rows whatever the processor, its vector units or the order in which it adds.

Source:
    The steering follows the idea of herding (Welling, 'Herding dynamical weights to learn', ICML 2009).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model import TabularModel

__all__ = ["generate_codes"]

CHAIN_ROWS = 131_072  # most rows that are steered together
CHAIN_BLOCKS = 128
BLOCK_ROWS = (64, 1024)  # least and most
UNITS = 4096  # of a logit, a nat
WEIGHT_UNITS = 2**20  # of exp(logit), relative to the likeliest cell
CHANCE_UNITS = 2**14  # of a probability: 1024 of them add up to 2^24, exact in float32
NEVER = -(2.0**28)  # logit of a cell that must not appear
STEER_SHARES = 1 / 2  # of a cell's surplus that the next block is asked to mend
STEER_PAIRS = 1 / 8  # of a pair's; what its column's other pairs ask for adds up
STEERED_WIDTH = 1024  # with more cells than this only the one-way tables are steered
SETTLED_BLOCKS = 16  # after so many blocks the expected shares of pairs are known well enough
LARGEST_CORRECTION = 4.0  # nats

# exp(-k / UNITS) for k = 0, 1, ... down to where it is below half a weight unit, and then 0
EXPONENTIALS = np.rint(np.exp(-np.arange(15 * UNITS) / UNITS) * WEIGHT_UNITS).astype(np.int32)
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
        progress: Told how many more rows are done.

    Privacy:
        Post-processing of the model and of measurements.
    """
    out = np.empty((rows, len(shares)), dtype=np.int32, order="F")
    parts = np.array_split(out, math.ceil(rows / CHAIN_ROWS))
    # the products are too small to be shared out among threads, and Python's threads wait for each other
    with threadpool_limits(1, user_api="blas"):
        for part, child in zip(parts, generator.spawn(len(parts)), strict=True):
            _Chain(model, shares, child).draw(part, progress)
    return out


class _Chain:
    """Draws rows that are steered together.

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
        bounds = model.layout.offsets
        self.columns = [
            _Column(
                first,
                share,
                _to_units(model.bias[first:end]),
                _to_units(model.weights[:first, first:end].T),
                layers,
            )
            for share, first, end in zip(shares, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ]

    def draw(self, out: NDArray[np.int32], progress: Callable[[int], None] | None) -> None:
        """Fill `out`, `int32 [n, m]`."""
        size = min(max(math.ceil(len(out) / CHAIN_BLOCKS), BLOCK_ROWS[0]), BLOCK_ROWS[1])
        one_hot = np.empty((self.width, size), dtype=np.float32)
        scratch = _Scratch(2 * max(len(column.share) for column in self.columns) * size)
        for start in range(0, len(out), size):
            block = out[start : start + size]
            drawn = one_hot[:, : len(block)]
            drawn[:] = 0
            points = self.generator.random((len(self.columns), len(block)))
            for place, column in enumerate(self.columns):
                block[:, place] = column.draw(drawn, points[place], scratch)
            if progress is not None:
                progress(len(block))


class _Scratch:
    """Arrays that are used again and again: fresh ones would cost more than what is done in them.

    Args:
        size: Most elements of one array.
    """

    def __init__(self, size: int) -> None:
        self._arrays = [np.empty(size, dtype) for dtype in (np.float32, np.intp, np.int32)]

    def _shaped(self, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        return array[: math.prod(shape)].reshape(shape)

    def floats(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return self._shaped(self._arrays[0], shape)

    def indices(self, shape: tuple[int, ...]) -> NDArray[np.intp]:
        return self._shaped(self._arrays[1], shape)

    def integers(self, shape: tuple[int, ...]) -> NDArray[np.int32]:
        return self._shaped(self._arrays[2], shape)


class _Column:
    """One column of a chain: draws its cells given those of earlier columns, and steers itself.

    Args:
        first: Position of its first cell among all cells.
        share: Share of each of its cells that the table is to have, `[cells]`.
        bias: Biases in units, `[cells]`.
        weights: Weights in units from the earlier columns' cells, `[cells, first]`.
        layers: 2 to steer pairs, 1 not to.
    """

    def __init__(
        self,
        first: int,
        share: NDArray[np.float64],
        bias: NDArray[np.float32],
        weights: NDArray[np.float32],
        layers: int,
    ) -> None:
        self.first, self.share = first, share
        self.bias = np.where(share == 0, np.float32(NEVER), bias)
        # the model's own weights first, the steered ones last
        self.weights = np.repeat(weights[None], layers, axis=0)
        self.surplus = np.zeros(len(share))  # rows of each cell beyond its share, so far
        self.steers_pairs = layers == 2 and first > 0
        if self.steers_pairs:
            self.blocks = 0
            self.expected = np.zeros(weights.shape)  # rows of each pair, in the first blocks
            self.missing = np.zeros(weights.shape)  # rows of each pair: expected less drawn, so far

    def draw(
        self, drawn: NDArray[np.float32], points: NDArray[np.float64], scratch: _Scratch
    ) -> NDArray[np.int32]:
        """Draw the cells of a block.

        Args:
            drawn: One-hot rows, `[D, rows]`; this column's part is filled in.
            points: Uniform in [0, 1), `[rows]`.
            scratch: Room to work in.
        """
        cells, rows = len(self.share), len(points)
        earlier = drawn[: self.first]
        correction = STEER_SHARES * self.surplus / (self.share * rows + 1)
        bias = self.bias - _to_units(np.clip(correction, -LARGEST_CORRECTION, LARGEST_CORRECTION))
        shape = len(self.weights), cells, rows
        logits = np.matmul(self.weights, earlier, out=scratch.floats(shape))
        logits += bias[:, None]
        depth = scratch.indices(shape)
        np.subtract(logits.max(axis=1, keepdims=True), logits, out=depth, casting="unsafe")
        weights = EXPONENTIALS.take(depth, mode="clip", out=scratch.integers(shape))
        if self.steers_pairs:
            scale = (CHANCE_UNITS / weights[0].sum(axis=0)).astype(np.float32)
            chances = np.multiply(weights[0], scale, out=logits[0])
            np.rint(chances, out=chances)
        heights = weights[-1]
        for cell in range(1, cells):  # faster than cumsum along the long axis
            heights[cell] += heights[cell - 1]
        reached = (points * heights[-1]).astype(np.int32)
        chosen = (heights <= reached).sum(axis=0, dtype=np.int32)
        chosen = np.minimum(chosen, cells - 1)
        own = drawn[self.first : self.first + cells]
        own[chosen, np.arange(rows)] = 1
        self.surplus += np.bincount(chosen, minlength=cells) - rows * self.share
        if self.steers_pairs:
            self._steer(earlier, own, chances)
        return chosen

    def _steer(
        self, earlier: NDArray[np.float32], own: NDArray[np.float32], chances: NDArray[np.float32]
    ) -> None:
        """Compare what was drawn with the model's chances and correct the weights for the next block."""
        # products of a 0 or 1 and a whole number, at most 2^24 in sum: exact in any order
        if self.blocks < SETTLED_BLOCKS:
            self.blocks += 1
            self.expected += (chances @ earlier.T) / CHANCE_UNITS
        self.missing += ((chances - CHANCE_UNITS * own) @ earlier.T) / CHANCE_UNITS
        correction = STEER_PAIRS * self.missing / (self.expected / self.blocks + 1)
        np.clip(correction, -LARGEST_CORRECTION, LARGEST_CORRECTION, out=correction)
        self.weights[1] = self.weights[0] + _to_units(correction)


def _to_units(values: NDArray[Any]) -> NDArray[np.float32]:
    """Nats in whole units, as floats."""
    return np.rint(values * UNITS).astype(np.float32)
