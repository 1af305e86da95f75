"""The clipped gradient sum of a batch: one pass, no per-row gradient is ever formed.

A row enters as one-hot vectors, so its gradient is an outer product: for column j's logits it is
`g_j = softmax - onehot`, once for the bias and once, times `scale_ij`, for the cell of every earlier
column i. Its squared norm is therefore `sum_j |g_j|^2 (1 + sum_i scale_ij^2)`, and the clipped sum is
`X^T (w * g)` with the rows' clip factors w.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_dpsynth.engine.model.network import Layout

__all__ = ["LOSS_BOUND_FACTOR", "BatchGradient", "Tensor", "full_precision"]

Tensor = Any  # TensorFlow ships no types

# Float32 rounding must not push a row's effect over the clip norm: neither that of its own gradient nor that
# of the sum of a whole chunk, which the row moves to another rounding (up to 6e-5 of C in 8,192 equal rows).
CLIP_SLACK = 1 - 2e-4
LOSS_BOUND_FACTOR = 1.5
LEAST_LOGIT = -80.0  # below a row's largest; exp(-80) is still a normal float32
_switching = threading.Lock()
_switched_from: list[bool] = []  # by trainings that are under way: whoever ends last puts back the first


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 matrices in full float32 precision inside this context.

    By default TensorFlow lets newer GPUs round the factors to 10 bits (TensorFloat-32). Norms and sums would
    then be wrong by up to 1e-3 of themselves, more than `CLIP_SLACK` allows for. There is one switch for the
    whole process; it is put back when no thread trains any more.
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
        clip_norm: C, the largest L2 norm of one row's contribution (one group's, for microbatches).
        loss_bound: L, the largest loss in nats that one row contributes.
    """

    def __init__(self, layout: Layout, clip_norm: float, loss_bound: float) -> None:
        self.layout = layout
        self.clip_norm = clip_norm
        self.loss_bound = loss_bound
        self._cells = tf.constant(np.concatenate([np.arange(size) for size in layout.sizes]), tf.float32)
        self._mask = tf.constant(layout.mask)
        blocks = np.eye(len(layout.sizes), dtype=np.float32)[layout.owner]
        self._free = tf.constant(layout.free)
        self._free_mask = tf.constant(layout.mask.ravel()[layout.free])
        self._blocks = tf.constant(blocks)
        self._owners = tf.constant(np.ascontiguousarray(blocks.T))
        self._block_weights = tf.constant(blocks @ layout.squared_inputs.astype(np.float32))
        self._squared_scale = tf.constant(layout.scale**2, tf.float32)
        self._limit = clip_norm * CLIP_SLACK

    def errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One-hot rows, gradients of the logits and losses of a batch.

        Args:
            weights: Unscaled weights, float32 `[D, D]`.
            bias: Biases, float32 `[D]`.
            codes: `int32 [B, m]`.

        Returns:
            One-hot rows `[B, D]`, softmax minus one-hot `[B, D]`, losses `[B]`; the last two may hold
            what is not finite.
        """
        # each position gets its own column's code, to be compared with the cell it stands for
        rows = tf.cast(tf.equal(tf.matmul(tf.cast(codes, tf.float32), self._owners), self._cells), tf.float32)
        logits = tf.matmul(rows, weights * self._mask) + bias
        # all columns' softmaxes at once: sums over a column's cells are a product with its indicator. One
        # shift serves a whole row, so a column far below it is held above the smallest exponential.
        shifted = tf.maximum(logits - tf.reduce_max(logits, axis=1, keepdims=True), LEAST_LOGIT)
        exponentials = tf.exp(shifted)
        totals = tf.matmul(exponentials, self._blocks)
        error = exponentials * tf.matmul(1 / totals, self._owners) - rows
        losses = tf.reduce_sum(tf.math.log(totals), axis=1) - tf.reduce_sum(shifted * rows, axis=1)
        return rows, error, losses

    def _bounded(self, losses: Tensor, finite: Tensor) -> Tensor:
        """Losses in [0, L]; L where a row is not finite."""
        return tf.where(finite, tf.clip_by_value(losses, 0.0, self.loss_bound), self.loss_bound)

    @tf.function
    def clipped_sum(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sum of the clipped gradients of the rows, of which there may be none.

        Rows that are not finite count as zero: a NaN would pass through any clip.

        Returns:
            Sum for the weights that exist, `[F]`, for the bias `[D]`, and of the clipped losses.

        Privacy:
            Adding or removing one row changes the first two by at most C in joint L2 norm, the loss by
            at most L.
        """
        rows, error, losses = self.errors(weights, bias, codes)
        squares = tf.linalg.matvec(error * error, self._block_weights)
        finite = tf.math.is_finite(squares)  # if the error is, so is the loss: both come from `shifted`
        factor = tf.minimum(1.0, self._limit * tf.math.rsqrt(squares))
        # where the factor is zero the product is, whatever it multiplies
        scaled = tf.math.multiply_no_nan(error, tf.where(finite, factor, 0.0)[:, None])
        gradient = self._to_free(tf.matmul(rows, scaled, transpose_a=True))
        return gradient, tf.reduce_sum(scaled, axis=0), tf.reduce_sum(self._bounded(losses, finite))

    def _to_free(self, products: Tensor) -> Tensor:
        """Gradient of the weights that exist, `[F]`, from inputs times errors, `[D, D]`."""
        return tf.gather(tf.reshape(products, [-1]), self._free) * self._free_mask

    def _finite_errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `errors`, with zero gradients and the largest loss where a row is not finite."""
        rows, error, losses = self.errors(weights, bias, codes)
        finite = tf.reduce_all(tf.math.is_finite(error), axis=1) & tf.math.is_finite(losses)
        return rows, tf.where(finite[:, None], error, 0.0), self._bounded(losses, finite)

    @tf.function(reduce_retracing=True)
    def clipped_mean(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The clipped mean gradient of one microbatch `[B, m]`, and its summed clipped losses.

        Privacy:
            One row turns the group's vector of norm at most C into another one: sensitivity 2 C.
        """
        rows, error, losses = self._finite_errors(weights, bias, codes)
        size = tf.maximum(tf.cast(tf.shape(codes)[0], tf.float32), 1.0)
        gradient = self._to_free(tf.matmul(rows, error, transpose_a=True)) / size
        for_bias = tf.reduce_sum(error, axis=0) / size
        norm = tf.sqrt(tf.reduce_sum(gradient**2) + tf.reduce_sum(for_bias**2))
        factor = tf.minimum(1.0, self._limit / tf.maximum(norm, 1e-30))
        return gradient * factor, for_bias * factor, tf.reduce_sum(losses)

    @tf.function(reduce_retracing=True)
    def clipped_unit_sum(
        self, weights: Tensor, bias: Tensor, codes: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sum over units of the clipped sum of their rows' gradients.

        The squared norm of a unit's sum is the sum, over all pairs of its rows, of the products of their
        gradients: column by column the product of their errors, once for the bias and `scale_ij^2` times
        for every earlier column i in whose cell both rows are.

        Args:
            weights: Unscaled weights, float32 `[D, D]`.
            bias: Biases, float32 `[D]`.
            codes: `int32 [units, rows, m]`.
            present: Which of the rows exist, bool `[units, rows]`.

        Returns:
            As `clipped_sum`.

        Privacy:
            Adding or removing one unit changes the first two by at most C in joint L2 norm, the loss by
            at most L for each of its rows.
        """
        units, most = tf.shape(codes)[0], tf.shape(codes)[1]
        flat = tf.reshape(codes, [-1, codes.shape[2]])
        exists = tf.reshape(present, [-1])
        rows, error, losses = self._finite_errors(weights, bias, flat)
        error = tf.where(exists[:, None], error, 0.0)
        apart = tf.reshape(error, [units, most, self.layout.width])
        products = tf.matmul(apart[:, :, None] * apart[:, None], self._blocks)
        together = tf.cast(tf.equal(codes[:, :, None], codes[:, None]), tf.float32)
        squares = tf.reduce_sum(products * (1 + tf.matmul(together, self._squared_scale)), axis=[1, 2, 3])
        factor = tf.minimum(1.0, self._limit * tf.math.rsqrt(tf.maximum(squares, 1e-30)))
        scaled = error * tf.repeat(factor, most)[:, None]
        gradient = self._to_free(tf.matmul(rows, scaled, transpose_a=True))
        return gradient, tf.reduce_sum(scaled, axis=0), tf.reduce_sum(tf.where(exists, losses, 0.0))

    def bounded_losses(self, weights: Tensor, bias: Tensor, codes: Tensor) -> Tensor:
        """Each row's loss `[B]`, in [0, L]."""
        return self._finite_errors(weights, bias, codes)[2]

    @tf.function(reduce_retracing=True)
    def row_gradients(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Every row's own gradient, `[B, D, D]` and `[B, D]`: large, for libraries that clip it."""
        rows, error, _ = self._finite_errors(weights, bias, codes)
        return rows[:, :, None] * error[:, None, :] * self._mask, error
