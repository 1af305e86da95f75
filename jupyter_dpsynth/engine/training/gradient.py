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

from jupyter_dpsynth.engine.training.arrangement import BlockArrangement, arrange
from jupyter_dpsynth.engine.training.grid import Grid, product_error
from jupyter_dpsynth.engine.training.kernels import Tensor, kernel_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_dpsynth.engine.model.network import Layout

__all__ = ["LOSS_BOUND_FACTOR", "BatchGradient", "Tensor", "full_precision"]

LOSS_BOUND_FACTOR = 1.5
CELLS_AT_ONCE = 2**24  # of the products of all pairs of a unit's rows, or of the inputs of all blocks
GROUP_LEVELS = 2.0**32  # whole numbers of a microbatch's clip norm
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
        self.arrangement = arrange(layout)
        cells = unit_rows**2 * layout.width if unit_rows > 1 else 1
        if isinstance(self.arrangement, BlockArrangement):
            cells = max(cells, unit_rows * self.arrangement.input_cells)
        self.grid = Grid.of(
            layout, clip_norm, loss_bound, unit_rows, expected, max(1, CELLS_AT_ONCE // cells)
        )
        scale = self.arrangement.scale.astype(np.float64)
        figures, loss_step = len(scale) + layout.width, [self.grid.loss_step]
        self.steps = np.concatenate(
            [scale * self.grid.step, np.full(layout.width, self.grid.step), loss_step]
        )
        self.group_steps = np.concatenate([np.full(figures, clip_norm / GROUP_LEVELS), loss_step])
        self._kernel = kernel_of(self.arrangement)
        scales = np.zeros(self.arrangement.shape, np.float32)
        scales.ravel()[self.arrangement.places] = self.arrangement.scale
        self._scales = tf.constant(scales)
        squared_scale = _squared_scale(layout)
        self._predicted: tuple[Tensor, Tensor] | None = None
        if layout.importance is not None:  # what is only given has no errors
            columns: np.ndarray[Any, Any] = np.flatnonzero(layout.importance > 0)
            of_cells = self._kernel.cell_columns
            places = np.flatnonzero(np.isin(of_cells, columns))
            owners = (of_cells[places] == columns[:, None]).astype(np.float32)
            self._predicted = tf.constant(places), tf.constant(owners)
            squared_scale = squared_scale[:, columns]
        self._pair_scale = tf.constant(squared_scale, tf.float32)
        self._product_error = product_error(layout)
        # rounding of a group's vector and of its norm in float64
        self._group_limit = GROUP_LEVELS * (1 - figures * 2.0**-52) - math.sqrt(figures) / 2

    @property
    def parameter_specs(self) -> tuple[Tensor, Tensor]:
        """Forms of weights, in the arrangement's array, and biases."""
        return tf.TensorSpec(self.arrangement.shape), tf.TensorSpec((self.layout.width,))

    def errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One-hot rows, gradients of the logits and losses of a batch.

        Args:
            weights: Unscaled weights, float32, in the arrangement's array.
            bias: Biases, float32 `[D]`.
            codes: `int32 [B, m]`, -1 where a row has no cell.

        Returns:
            One-hot rows, softmax minus one-hot, both in the kernel's own order, and losses `[B]`; the last
            two may hold what is not finite.
        """
        return self._kernel.errors(weights, bias, codes)

    def _along_rows(self, values: Tensor) -> Tensor:
        """One value for each row `[B]`, to be combined with gradients of the logits."""
        return tf.expand_dims(values, 1 - self._kernel.rows_axis)

    def _losses_in_steps(self, losses: Tensor, finite: Tensor) -> Tensor:
        """Losses in steps, at most L less two; the largest where a row is not finite.

        The steps that are left are for other rows, which may be rounded differently at another place, or in
        another group: of a group only the sum is rounded.
        """
        most = float(round(self.loss_bound / self.grid.loss_step)) - 2
        return tf.where(finite, tf.clip_by_value(losses / self.grid.loss_step, 0.0, most), most)

    def _summed(self, rows: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of whole numbers for all weights, and for the biases, `[D]`: exact."""
        return self._kernel.products(rows, whole, self.grid.dtype), self._kernel.bias_sums(whole)

    @tf.function(autograph=False)
    def clipped_sum(
        self, weights: Tensor, bias: Tensor, codes: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Exact sum of the clipped gradients of the rows of one chunk, of which there may be none.

        Rows that are not finite count as zero: a NaN would pass through any clip.

        Args:
            weights: Unscaled weights, float32, in the arrangement's array.
            bias: Biases, float32 `[D]`.
            codes: `int32 [B, m]`.
            present: Which of them are rows; the others are not counted, bool `[B]`.

        Returns:
            Sum for all weights, of which only those count that exist, for the bias `[D]`, and of the clipped
            losses, in whole numbers of `steps`.

        Privacy:
            Adding or removing one row changes the first two, times their steps, by at most C in joint L2
            norm, the loss by at most L; also if another row, whose place it takes, is rounded differently
            elsewhere.
        """
        rows, error, losses = self.errors(weights, bias, codes)
        squares = self._kernel.squares(error)
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
        return tf.round(tf.math.multiply_no_nan(error, self._along_rows(tf.where(finite, factor, 0.0))))

    def _finite_errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `errors`, with no gradient and the largest loss where a row is not finite; losses in steps."""
        rows, error, losses = self.errors(weights, bias, codes)
        cells = 1 - self._kernel.rows_axis
        finite = tf.reduce_all(tf.math.is_finite(error), axis=cells) & tf.math.is_finite(losses)
        return rows, tf.where(self._along_rows(finite), error, 0.0), self._losses_in_steps(losses, finite)

    @tf.function(reduce_retracing=True, autograph=False)
    def clipped_mean(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The clipped mean gradient of one microbatch `[B, m]`, and its summed clipped losses.

        Returns:
            As `clipped_sum`, in whole numbers of `group_steps`.

        Privacy:
            One row turns the group's vector of norm at most C into another one: sensitivity 2 C.
        """
        rows, error, losses = self._finite_errors(weights, bias, codes)
        size = tf.maximum(tf.cast(tf.shape(codes)[0], tf.float64), 1.0)
        products = tf.cast(self._kernel.products(rows, error, tf.float32), tf.float64)
        gradient = products * tf.cast(self._scales, tf.float64) / size
        for_bias = self._kernel.bias_sums(tf.cast(error, tf.float64)) / size
        norm = tf.sqrt(tf.reduce_sum(gradient**2) + tf.reduce_sum(for_bias**2))
        factor = tf.minimum(self._group_limit / tf.maximum(norm, 1e-300), GROUP_LEVELS / self.clip_norm)
        # a group may be of any size
        loss = tf.round(tf.reduce_sum(tf.cast(losses, tf.float64)))
        return tf.round(gradient * factor), tf.round(for_bias * factor), loss

    @tf.function(reduce_retracing=True, autograph=False)
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
            weights: Unscaled weights, float32, in the arrangement's array.
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
        error = tf.where(self._along_rows(exists), error, 0.0)
        by_cells = error if self._kernel.rows_axis else tf.transpose(error)
        apart = tf.reshape(by_cells, [-1, units, most])
        products = self._column_products(apart)
        cells = tf.reshape(tf.transpose(self._kernel.all_codes(flat)), [-1, units, most])
        # two rows without a cell have none in common
        together = tf.equal(cells[:, :, :, None], cells[:, :, None]) & (cells[:, :, None] >= 0)
        together = tf.cast(together, tf.float32)
        inputs = 1 + tf.tensordot(self._pair_scale, together, [[0], [0]])
        pairs = tf.reduce_sum(products * inputs, axis=0)
        norms = tf.sqrt(self._kernel.squares(error))
        summed = tf.reduce_sum(tf.cast(tf.reshape(norms, [units, most]), tf.float64), axis=1)
        squares = tf.reduce_sum(tf.cast(pairs, tf.float64), axis=[1, 2])
        # at least the added part, so that no row of a unit whose rows cancel becomes too large for the grid
        squares = tf.maximum(squares, 0.0) + self._product_error * summed**2
        factor = tf.repeat(self._factor(squares), most)
        return *self._summed(rows, self._whole(error, factor, exists)), tf.reduce_sum(
            tf.where(exists, tf.round(losses), 0.0)
        )

    def _column_products(self, apart: Tensor) -> Tensor:
        """Products of all pairs of a unit's errors, column by column, of the columns that are predicted.

        Args:
            apart: Errors `[cells, units, rows]`, in the kernel's order.
        """
        if self._predicted is None:
            return self._kernel.column_sums(apart[:, :, :, None] * apart[:, :, None])
        places, owners = self._predicted
        apart = tf.gather(apart, places)
        return tf.tensordot(owners, apart[:, :, :, None] * apart[:, :, None], 1)

    def whole_losses(self, weights: Tensor, bias: Tensor, codes: Tensor) -> Tensor:
        """Each row's loss `[B]`, in [0, L], in whole numbers of the loss's step."""
        return tf.round(self._finite_errors(weights, bias, codes)[2])

    @tf.function(reduce_retracing=True, autograph=False)
    def row_gradients(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Every row's own gradient, `[B, ...]` and `[B, D]`: large, for libraries that clip it."""
        rows, error, _ = self._finite_errors(weights, bias, codes)
        return self._kernel.row_gradients(rows, error)


def _squared_scale(layout: Layout) -> np.ndarray[Any, Any]:
    """By what a common cell of two rows multiplies the product of their errors, `[m + f, m]`."""
    out = np.zeros((len(layout.input_sizes), len(layout.sizes)))
    out[: len(layout.sizes)] = layout.scale**2
    for place, feature in enumerate(layout.derived, len(layout.sizes)):
        out[place, feature.target] = feature.scale**2
    return out
