"""The clipped gradient sum of a batch: one pass, no per-row gradient is ever formed.

A row enters as one-hot vectors, so its gradient is an outer product: for column j's logits it is
`g_j = softmax - onehot`, once for the bias and once, times `scale_ij`, for the cell of every earlier
column i. Its squared norm is therefore `sum_j |g_j|^2 (1 + sum_i scale_ij^2)`, and the clipped sum is
`X^T (w * g)` with the rows' clip factors w.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from jupyter_dpsynth.engine.model import Layout

__all__ = ["LOSS_BOUND_FACTOR", "BatchGradient", "Tensor"]

Tensor = Any  # TensorFlow ships no types

# Float32 rounding must not push a clipped row over the clip norm.
CLIP_SLACK = 1 - 1e-5
LOSS_BOUND_FACTOR = 1.5


class BatchGradient:
    """Computes rows' gradients and their clipped sums for one layout.

    Args:
        layout: Blocks and interactions.
        clip_norm: C, the largest L2 norm of one row's contribution (one group's, for microbatches).
        loss_bound: L, the largest loss in nats that one row contributes.
    """

    def __init__(self, layout: Layout, clip_norm: float, loss_bound: float) -> None:
        self.layout = layout
        self.clip_norm = clip_norm
        self.loss_bound = loss_bound
        self._sizes = [int(size) for size in layout.sizes]
        self._mask = tf.constant(layout.mask)
        blocks = np.eye(len(self._sizes), dtype=np.float32)[layout.owner]
        self._block_weights = tf.constant(blocks @ layout.squared_inputs.astype(np.float32))
        self._limit = clip_norm * CLIP_SLACK

    def errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One-hot rows, gradients of the logits and losses of a batch.

        Args:
            weights: Unscaled weights, float32 `[D, D]`.
            bias: Biases, float32 `[D]`.
            codes: `int32 [B, m]`.

        Returns:
            One-hot rows `[B, D]`, softmax minus one-hot `[B, D]` (rows that are not finite are zero, as
            a NaN would pass through any clip), losses `[B]`.
        """
        one_hot = [tf.one_hot(codes[:, j], size) for j, size in enumerate(self._sizes)]
        rows = tf.concat(one_hot, axis=1)
        logits = tf.split(tf.matmul(rows, weights * self._mask) + bias, self._sizes, axis=1)
        losses = tf.add_n(
            [
                tf.nn.softmax_cross_entropy_with_logits(labels=label, logits=logit)
                for label, logit in zip(one_hot, logits, strict=True)
            ]
        )
        error = tf.concat([tf.nn.softmax(logit) for logit in logits], axis=1) - rows
        finite = tf.reduce_all(tf.math.is_finite(error), axis=1) & tf.math.is_finite(losses)
        error = tf.where(finite[:, None], error, tf.zeros_like(error))
        losses = tf.where(finite, losses, tf.fill(tf.shape(losses), self.loss_bound))
        return rows, error, tf.clip_by_value(losses, 0.0, self.loss_bound)

    @tf.function(reduce_retracing=True)
    def clipped_sum(
        self, weights: Tensor, bias: Tensor, codes: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sum of the clipped gradients of the rows with mask 1.

        Returns:
            Sum for the weights `[D, D]` (zero where there is none), for the bias `[D]`, and of the
            clipped losses.

        Privacy:
            Adding or removing one row changes the first two by at most C in joint L2 norm, the loss by
            at most L.
        """
        rows, error, losses = self.errors(weights, bias, codes)
        norms = tf.sqrt(tf.linalg.matvec(error * error, self._block_weights))
        factor = mask * tf.minimum(1.0, tf.math.divide_no_nan(self._limit, norms))
        scaled = error * factor[:, None]
        gradient = tf.matmul(rows, scaled, transpose_a=True) * self._mask
        return gradient, tf.reduce_sum(scaled, axis=0), tf.reduce_sum(losses * mask)

    @tf.function(reduce_retracing=True)
    def clipped_mean(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The clipped mean gradient of one microbatch `[B, m]`, and its summed clipped losses.

        Privacy:
            One row turns the group's vector of norm at most C into another one: sensitivity 2 C.
        """
        rows, error, losses = self.errors(weights, bias, codes)
        size = tf.maximum(tf.cast(tf.shape(codes)[0], tf.float32), 1.0)
        gradient = tf.matmul(rows, error, transpose_a=True) * self._mask / size
        for_bias = tf.reduce_sum(error, axis=0) / size
        norm = tf.sqrt(tf.reduce_sum(gradient**2) + tf.reduce_sum(for_bias**2))
        factor = tf.minimum(1.0, self._limit / tf.maximum(norm, 1e-30))
        return gradient * factor, for_bias * factor, tf.reduce_sum(losses)

    @tf.function(reduce_retracing=True)
    def row_gradients(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Every row's own gradient, `[B, D, D]` and `[B, D]`: large; for other people's clipping."""
        rows, error, _ = self.errors(weights, bias, codes)
        return rows[:, :, None] * error[:, None, :] * self._mask, error
