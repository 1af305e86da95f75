"""The clipped gradient sum of a batch: one pass, no per-row gradient is ever formed.

A row enters as one-hot vectors, so its gradient is an outer product: for column j's logits it is `g_j =
softmax - onehot`, once for the bias and once, times `scale_ij`, for the cell of every earlier column i. Its
squared norm is therefore `sum_j |g_j|^2 (1 + sum_i scale_ij^2)`, and the clipped sum is `X^T (w * g)` with
the rows' clip factors w, times `scale_ij`. A derived feature is a further one-hot vector of the row, which
only the logits of its target see. `w * g` is rounded to whole numbers of a small step (see `grid`), so that
the sums are exact; `scale_ij` and the step are applied to what is released.
"""

from __future__ import annotations

import contextlib
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from jupyter_dpsynth.engine.training.grid import Grid, product_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_dpsynth.engine.model.network import Layout

__all__ = ["LOSS_BOUND_FACTOR", "BatchGradient", "Tensor", "full_precision"]

Tensor = Any  # TensorFlow ships no types

LOSS_BOUND_FACTOR = 1.5
PAIR_CELLS = 2**24
GROUP_LEVELS = 2.0**32  # whole numbers of a microbatch's clip norm
LEAST_LOGIT = -80.0  # below a row's largest; exp(-80) is still a normal float32
_switching = threading.Lock()
_switched_from: list[bool] = []  # by trainings that are under way: whoever ends last puts back the first


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 matrices in full float32 precision inside this context.

    By default TensorFlow lets newer GPUs round the factors to 10 bits (TensorFloat-32). Norms and sums would
    then be wrong by up to 1e-3 of themselves, and whole numbers would not stay whole. There is one switch for
    the whole process; it is put back when no thread trains any more.
    """
    config = tf.config.experimental
    with _switching:
        _switched_from.append(config.tensor_float_32_execution_enabled())
        config.enable_tensor_float_32_execution(False)  # noqa: FBT003 - TensorFlow takes no keyword
    try:
        yield
    finally:
        with _switching:
            config.enable_tensor_float_32_execution(_switched_from.pop())


class BatchGradient:
    """Computes the gradients of rows and their clipped sums for one layout.

    Args:
        layout: Blocks and interactions.
        clip_norm: C, the largest L2 norm of one privacy unit's contribution (one group's, for microbatches).
        loss_bound: L, the largest loss in nats that one row contributes.
        expected: How many privacy units a step is expected to sample. It decides about the sizes of chunks,
            which must not depend on the rows.
        unit_rows: Most rows of a privacy unit.

    Attributes:
        grid: To what gradients and losses are rounded, and how many units are summed at once.
        steps: Size of one whole number of each figure of a clipped sum, float64 `[F + D + 1]`: of the weights
            that exist, of the biases, and of the loss.
        group_steps: The same for `clipped_mean`.
    """

    def __init__(
        self, layout: Layout, clip_norm: float, loss_bound: float, expected: float, unit_rows: int = 1
    ) -> None:
        self.layout = layout
        self.clip_norm = clip_norm
        self.loss_bound = loss_bound
        self.expected = expected
        self.unit_rows = unit_rows
        # the products of all pairs of a unit's rows are in memory at once
        pairs = unit_rows**2 * layout.width if unit_rows > 1 else 1
        self.grid = Grid.of(layout, clip_norm, loss_bound, unit_rows, expected, max(1, PAIR_CELLS // pairs))
        scale = layout.mask.ravel()[layout.free].astype(np.float64)
        figures, loss_step = len(layout.free) + layout.width, [self.grid.loss_step]
        self.steps = np.concatenate(
            [scale * self.grid.step, np.full(layout.width, self.grid.step), loss_step]
        )
        self.group_steps = np.concatenate([np.full(figures, clip_norm / GROUP_LEVELS), loss_step])
        self._inputs = _Inputs(layout)
        self._mask = tf.constant(layout.mask)
        blocks = np.eye(len(layout.sizes), dtype=np.float32)[layout.owner]
        self._blocks = tf.constant(blocks)
        self._owners = tf.constant(np.ascontiguousarray(blocks.T))
        self._block_weights = tf.constant(blocks @ layout.squared_inputs.astype(np.float32))
        self._squared_scale = tf.constant(_squared_scale(layout), tf.float32)
        self._product_error = product_error(layout)
        # rounding of a group's vector and of its norm in float64
        self._group_limit = GROUP_LEVELS * (1 - figures * 2.0**-52) - math.sqrt(figures) / 2

    def errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One-hot rows, gradients of the logits and losses of a batch.

        Args:
            weights: Unscaled weights, float32 `[I, D]`.
            bias: Biases, float32 `[D]`.
            codes: `int32 [B, m]`.

        Returns:
            One-hot rows `[B, I]`, softmax minus one-hot `[B, D]`, losses `[B]`; the last two may hold
            what is not finite.
        """
        inputs = self._inputs.one_hot(codes)
        rows = inputs[:, : self.layout.width]
        logits = tf.matmul(inputs, weights * self._mask) + bias
        # all columns' softmaxes at once: sums over a column's cells are a product with its indicator. One
        # shift serves a whole row, so a column far below it is held above the smallest exponential.
        shifted = tf.maximum(logits - tf.reduce_max(logits, axis=1, keepdims=True), LEAST_LOGIT)
        exponentials = tf.exp(shifted)
        totals = tf.matmul(exponentials, self._blocks)
        error = exponentials * tf.matmul(1 / totals, self._owners) - rows
        losses = tf.reduce_sum(tf.math.log(totals), axis=1) - tf.reduce_sum(shifted * rows, axis=1)
        return inputs, error, losses

    def _losses_in_steps(self, losses: Tensor, finite: Tensor) -> Tensor:
        """Losses in steps, at most L less two; the largest where a row is not finite.

        The steps that are left are for other rows, which may be rounded differently at another place, or in
        another group: of a group only the sum is rounded.
        """
        most = float(round(self.loss_bound / self.grid.loss_step)) - 2
        return tf.where(finite, tf.clip_by_value(losses / self.grid.loss_step, 0.0, most), most)

    def _summed(self, rows: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of whole numbers for all weights, `[D, D]`, and for the biases, `[D]`: exact."""
        products = tf.matmul(tf.cast(rows, self.grid.dtype), whole, transpose_a=True)
        return products, tf.reduce_sum(whole, axis=0)

    @tf.function
    def clipped_sum(
        self, weights: Tensor, bias: Tensor, codes: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Exact sum of the clipped gradients of the rows of one chunk, of which there may be none.

        Rows that are not finite count as zero: a NaN would pass through any clip.

        Args:
            weights: Unscaled weights, float32 `[I, D]`.
            bias: Biases, float32 `[D]`.
            codes: `int32 [B, m]`.
            present: Which of them are rows; the others are not counted, bool `[B]`.

        Returns:
            Sum for all weights `[D, D]`, of which only those count that exist, for the bias `[D]`, and of the
            clipped losses, in whole numbers of `steps`.

        Privacy:
            Adding or removing one row changes the first two, times their steps, by at most C in joint L2
            norm, the loss by at most L; also if another row, whose place it takes, is rounded differently
            elsewhere.
        """
        rows, error, losses = self.errors(weights, bias, codes)
        squares = tf.linalg.matvec(error * error, self._block_weights)
        finite = tf.math.is_finite(squares)  # if the error is, so is the loss: both come from `shifted`
        whole = self._whole(error, self._factor(squares), finite & present)
        counted = tf.where(present, tf.round(self._losses_in_steps(losses, finite)), 0.0)
        return *self._summed(rows, whole), tf.reduce_sum(counted)

    def _factor(self, squares: Tensor) -> Tensor:
        """What a gradient of this squared norm is multiplied by: clipped, in steps."""
        return tf.minimum((self.grid.limit / self.grid.step) * tf.math.rsqrt(squares), 1 / self.grid.step)

    def _whole(self, error: Tensor, factor: Tensor, finite: Tensor) -> Tensor:
        """Clipped errors in whole steps; zero where a row is not finite or none."""
        error, factor = tf.cast(error, self.grid.dtype), tf.cast(factor, self.grid.dtype)
        # where the factor is zero the product is, whatever it multiplies
        return tf.round(tf.math.multiply_no_nan(error, tf.where(finite, factor, 0.0)[:, None]))

    def _finite_errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `errors`, with no gradient and the largest loss where a row is not finite; losses in steps."""
        rows, error, losses = self.errors(weights, bias, codes)
        finite = tf.reduce_all(tf.math.is_finite(error), axis=1) & tf.math.is_finite(losses)
        return rows, tf.where(finite[:, None], error, 0.0), self._losses_in_steps(losses, finite)

    @tf.function(reduce_retracing=True)
    def clipped_mean(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The clipped mean gradient of one microbatch `[B, m]`, and its summed clipped losses.

        Returns:
            As `clipped_sum`, in whole numbers of `group_steps`.

        Privacy:
            One row turns the group's vector of norm at most C into another one: sensitivity 2 C.
        """
        rows, error, losses = self._finite_errors(weights, bias, codes)
        size = tf.maximum(tf.cast(tf.shape(codes)[0], tf.float64), 1.0)
        products = tf.cast(tf.matmul(rows, error, transpose_a=True), tf.float64)
        gradient = products * tf.cast(self._mask, tf.float64) / size
        for_bias = tf.reduce_sum(tf.cast(error, tf.float64), axis=0) / size
        norm = tf.sqrt(tf.reduce_sum(gradient**2) + tf.reduce_sum(for_bias**2))
        factor = tf.minimum(self._group_limit / tf.maximum(norm, 1e-300), GROUP_LEVELS / self.clip_norm)
        # a group may be of any size
        loss = tf.round(tf.reduce_sum(tf.cast(losses, tf.float64)))
        return tf.round(gradient * factor), tf.round(for_bias * factor), loss

    @tf.function(reduce_retracing=True)
    def clipped_unit_sum(
        self, weights: Tensor, bias: Tensor, codes: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sum over units of the clipped sum of their rows' gradients.

        The squared norm of a unit's sum is the sum, over all pairs of its rows, of the products of their
        gradients: column by column the product of their errors, once for the bias and `scale_ij^2` times for
        every earlier column, or derived feature, i in whose cell both rows are. Products of opposite signs
        cancel and leave their rounding errors, at most a known part of the square of the rows' summed norms:
        that part is added.

        Args:
            weights: Unscaled weights, float32 `[I, D]`.
            bias: Biases, float32 `[D]`.
            codes: `int32 [units, rows, m]`.
            present: Which of the rows exist, bool `[units, rows]`.

        Returns:
            As `clipped_sum`.

        Privacy:
            Adding or removing one unit changes the first two, times their steps, by at most C in joint L2
            norm, the loss by at most L for each of its rows.
        """
        units, most = tf.shape(codes)[0], tf.shape(codes)[1]
        flat = tf.reshape(codes, [-1, codes.shape[2]])
        exists = tf.reshape(present, [-1])
        rows, error, losses = self._finite_errors(weights, bias, flat)
        error = tf.where(exists[:, None], error, 0.0)
        apart = tf.reshape(error, [units, most, self.layout.width])
        products = tf.matmul(apart[:, :, None] * apart[:, None], self._blocks)
        cells = tf.reshape(self._inputs.all_codes(flat), [units, most, -1])
        together = tf.cast(tf.equal(cells[:, :, None], cells[:, None]), tf.float32)
        pairs = tf.reduce_sum(products * (1 + tf.matmul(together, self._squared_scale)), axis=3)
        norms = tf.sqrt(tf.linalg.matvec(error * error, self._block_weights))
        summed = tf.reduce_sum(tf.cast(tf.reshape(norms, [units, most]), tf.float64), axis=1)
        squares = tf.reduce_sum(tf.cast(pairs, tf.float64), axis=[1, 2])
        # at least the added part, so that no row of a unit whose rows cancel becomes too large for the grid
        squares = tf.maximum(squares, 0.0) + self._product_error * summed**2
        factor = tf.repeat(self._factor(squares), most)
        return *self._summed(rows, self._whole(error, factor, exists)), tf.reduce_sum(
            tf.where(exists, tf.round(losses), 0.0)
        )

    def whole_losses(self, weights: Tensor, bias: Tensor, codes: Tensor) -> Tensor:
        """Each row's loss `[B]`, in [0, L], in whole numbers of the loss's step."""
        return tf.round(self._finite_errors(weights, bias, codes)[2])

    @tf.function(reduce_retracing=True)
    def row_gradients(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Every row's own gradient, `[B, I, D]` and `[B, D]`: large, for libraries that clip it."""
        rows, error, _ = self._finite_errors(weights, bias, codes)
        return rows[:, :, None] * error[:, None, :] * self._mask, error


class _Inputs:
    """Codes of columns as one-hot rows, derived features included.

    Args:
        layout: Blocks and interactions.
    """

    def __init__(self, layout: Layout) -> None:
        sizes, columns = layout.input_sizes, len(layout.sizes)
        owners = np.eye(len(sizes), dtype=np.float32)[np.repeat(np.arange(len(sizes)), sizes)].T
        cells = np.concatenate([np.arange(size) for size in sizes])
        self._width = layout.width
        self._owners, self._cells = tf.constant(owners), tf.constant(cells, tf.float32)
        self._own_owners = tf.constant(np.ascontiguousarray(owners[:columns, : layout.width]))
        addends = np.zeros((layout.width, len(layout.derived)), np.float32)
        for place, feature in enumerate(layout.derived):
            for source, addend in zip(feature.sources, feature.addends, strict=True):
                addends[layout.owner == source, place] = addend
        self._addends = tf.constant(addends) if layout.derived else None

    def all_codes(self, codes: Tensor) -> Tensor:
        """Codes of columns `int32 [B, m]`, and of derived features behind them, float32 `[B, m + f]`."""
        own = tf.cast(codes, tf.float32)
        if self._addends is None:
            return own
        # each position gets its own column's code, to be compared with the cell it stands for
        rows = tf.equal(tf.matmul(own, self._own_owners), self._cells[: self._width])
        # sums of whole numbers: exact
        return tf.concat([own, tf.matmul(tf.cast(rows, tf.float32), self._addends)], axis=1)

    def one_hot(self, codes: Tensor) -> Tensor:
        """One-hot rows, float32 `[B, I]`."""
        return tf.cast(tf.equal(tf.matmul(self.all_codes(codes), self._owners), self._cells), tf.float32)


def _squared_scale(layout: Layout) -> np.ndarray[Any, Any]:
    """By what a common cell of two rows multiplies the product of their errors, `[m + f, m]`."""
    out = np.zeros((len(layout.input_sizes), len(layout.sizes)))
    out[: len(layout.sizes)] = layout.scale**2
    for place, feature in enumerate(layout.derived, len(layout.sizes)):
        out[place, feature.target] = feature.scale**2
    return out
