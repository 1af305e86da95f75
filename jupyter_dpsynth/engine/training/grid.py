"""The grid of whole numbers to which clipped gradients are rounded, so that their sums are exact.

Sums of floating-point numbers depend on their order, and one row more moves all later roundings: in float32
by more than one row may. Here each row's clipped gradient is rounded to whole numbers of a small step before
it is summed. Sums of whole numbers are exact while they stay below the largest number to which the type
counts in ones, in any order, on any device, over any number of workers.

Rounding may lengthen a gradient, by at most half a step in every coordinate. And another row, whose place in
its chunk the row takes (`privacy.sampling`), may be computed with other last digits, and rounded to the
neighbouring whole numbers, by at most one step more in every coordinate. The clip norm is made shorter by all
three beforehand. That the last digits differ by no more than what is kept for them is an assumption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from jupyter_dpsynth.privacy.sampling import MOST_ROWS, FixedChunks

if TYPE_CHECKING:
    from jupyter_dpsynth.engine.model.network import Layout

__all__ = ["Grid", "product_error"]

WHOLE_NUMBERS = {tf.float32: 2**24, tf.float64: 2**53}  # up to which the type counts in ones
ROWS_AT_ONCE = (MOST_ROWS, 4_096, 2_048, 1_024, 512, 256)  # at most; the fewer, the finer is the grid
DOUBLE_ROWS = 2**16  # most rows whose largest numbers add up exactly in float64, over all chunks
MOST_LOST = 0.005  # of the clip norm, for rounding
PLACE = 2.0**-12  # of the clip norm, for float32 results whose last digits are others at another place
ROUNDING = 2.0**-24  # largest relative error of one float32 operation
OTHER_OPERATIONS = 16  # of a row's norm, beside the sum over its cells


def product_error(layout: Layout) -> float:
    """Largest relative error of the float32 product of two rows' gradients.

    A unit's norm is taken to be at least the root of it times its rows' summed norms.

    Args:
        layout: Blocks and interactions: sums over a block's cells, over inputs, over blocks.
    """
    terms = int(layout.sizes.max()) + 2 * len(layout.input_sizes) + OTHER_OPERATIONS
    return terms * ROUNDING


@dataclass(frozen=True)
class Grid:
    """How finely the gradients of the logits and the losses are rounded.

    Attributes:
        dtype: TensorFlow's type in which rows are summed.
        chunks: How many units are summed at once.
        step: Size of one whole number of a gradient.
        loss_step: Size of one whole number of a loss, nats.
        limit: Norm to which a privacy unit's gradient is clipped, so that it is at most C when it is rounded.
    """

    dtype: Any
    chunks: FixedChunks
    step: float
    loss_step: float
    limit: float

    @classmethod
    def of(
        cls, layout: Layout, clip_norm: float, loss_bound: float, unit_rows: int, expected: float, most: int
    ) -> Grid:
        """The coarsest grid that loses next to nothing of the clip norm; in float64 if float32 has none.

        Args:
            layout: Blocks and interactions.
            clip_norm: C, the largest L2 norm of one privacy unit's contribution.
            loss_bound: The largest loss in nats that one row contributes.
            unit_rows: Most rows of a privacy unit. Each row is rounded by itself.
            expected: How many units a step is expected to sample: public.
            most: Most units that memory has room for at once.
        """
        weights = layout.squared_inputs[layout.owner]
        if layout.importance is not None:  # what is never predicted is zero, and not rounded
            weights = weights * (layout.importance[layout.owner] > 0)
        moved = unit_rows * math.sqrt(float(weights.sum())) * (0.5 + 1)
        sizes = [rows // unit_rows for rows in ROWS_AT_ONCE if rows >= unit_rows]
        # No coordinate is larger than 1, a share, or than the clip norm. But rows of a unit may cancel: their
        # sum is then short, and each of them may be longer than the clip norm.
        longest = clip_norm if unit_rows == 1 else clip_norm / math.sqrt(product_error(layout))
        for dtype, size in [*((tf.float32, size) for size in sizes), (tf.float64, max([1, *sizes]))]:
            chunks = FixedChunks(expected, min(most, size))
            rows = chunks.largest * unit_rows
            # half a step is left for the rounding of each row
            levels = WHOLE_NUMBERS[dtype] // (rows if dtype is tf.float32 else max(rows, DOUBLE_ROWS)) - 1
            step = min(1.0, longest) / levels
            if moved * step <= MOST_LOST * clip_norm:
                break
        slack = 1 - (layout.width + OTHER_OPERATIONS) * ROUNDING
        limit = (clip_norm * (1 - PLACE) - moved * step) * slack
        return cls(dtype, chunks, step, loss_bound / (WHOLE_NUMBERS[tf.float32] // rows - 1), limit)
