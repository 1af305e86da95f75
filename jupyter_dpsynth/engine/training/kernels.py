"""The products of a training step: from rows to the gradients of their logits, and from these to sums.

There is one kernel for each arrangement of the weights. They compute the same figures; what is clipped,
rounded and released of them is stated once, in `gradient`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

from jupyter_dpsynth.engine.training.arrangement import BlockArrangement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import Layout
    from jupyter_dpsynth.engine.training.arrangement import Arrangement, Group, MatrixArrangement

__all__ = ["Kernel", "Tensor", "kernel_of"]

Tensor = Any  # TensorFlow ships no types

LEAST_LOGIT = -80.0  # below a row's, or a block's, largest; exp(-80) is still a normal float32
NO_CELL = -1e9  # logit of a place that pads a block


class Kernel(Protocol):
    """Computes with the weights of one arrangement. The B rows of a batch are along one axis of its arrays.

    Attributes:
        rows_axis: Which axis of the gradients of the logits that is, 0 or 1. Along the other one are cells,
            in an order of the kernel's own, and places that pad it.
        cell_columns: The column of each of these cells, `[cells]`; -1 for places that pad.
    """

    rows_axis: int
    cell_columns: NDArray[np.int64]

    def errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One-hot rows, gradients of the logits (softmax minus one-hot), and losses `[B]`.

        Args:
            weights: Unscaled weights, float32, in the arrangement's array.
            bias: Biases, float32 `[D]`.
            codes: `int32 [B, m]`; -1 where a row has no cell: it is neither predicted nor tells of others.
        """
        ...

    def squares(self, error: Tensor) -> Tensor:
        """Squared norms of the rows' gradients, `[B]`."""
        ...

    def products(self, rows: Tensor, error: Tensor, dtype: Any) -> Tensor:  # noqa: ANN401 - TensorFlow's type
        """Sums over the rows for all weights, without their scales, in the arrangement's array."""
        ...

    def bias_sums(self, error: Tensor) -> Tensor:
        """Sums over the rows for the biases, `[D]`."""
        ...

    def column_sums(self, values: Tensor) -> Tensor:
        """Sums over each column's cells, `[m, ...]`, of values `[cells, ...]` in the kernel's own order.

        Of columns all of which are predicted.
        """
        ...

    def all_codes(self, codes: Tensor) -> Tensor:
        """Codes of columns `int32 [B, m]`, and of derived features behind them, `[B, m + f]`."""
        ...

    def row_gradients(self, rows: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        """Every row's own gradient: of the weights `[B, ...]`, behind it the array's shape, and `[B, D]`."""
        ...


def kernel_of(arrangement: Arrangement) -> Kernel:
    """The kernel for an arrangement."""
    if isinstance(arrangement, BlockArrangement):
        return _BlockKernel(arrangement)
    return _MatrixKernel(arrangement)  # type: ignore[arg-type]


def _importance(layout: Layout) -> Tensor | None:
    """What the layout says of it, float32 `[m]`."""
    return None if layout.importance is None else tf.constant(layout.importance, tf.float32)


class _MatrixKernel:
    """Multiplies with one matrix. Rows are `[B, I]`, gradients of logits `[B, P]` of the cells predicted.

    Args:
        arrangement: Where the weights are.
    """

    rows_axis = 0

    def __init__(self, arrangement: MatrixArrangement) -> None:
        layout = arrangement.layout
        self._width = layout.width
        self._mask = tf.constant(arrangement.mask)
        predicted, self.cell_columns = layout.predicted, layout.owner[layout.predicted]
        # None if all are: the commonest network is spared the copies
        self._predicted = None if len(predicted) == layout.width else tf.constant(predicted)
        places = np.full(layout.width, len(predicted))
        places[predicted] = np.arange(len(predicted))
        self._bias_places = tf.constant(places)  # the last one is a zero
        columns = np.arange(len(layout.sizes)) if self._predicted is None else np.unique(self.cell_columns)
        self._columns = tf.constant(columns)
        blocks = (self.cell_columns[:, None] == columns).astype(np.float32)
        self._blocks = tf.constant(blocks)
        self._owners = tf.constant(np.ascontiguousarray(blocks.T))
        self._block_weights = tf.constant(layout.squared_inputs.astype(np.float32)[self.cell_columns])
        sizes, own = layout.input_sizes, len(layout.sizes)
        owners = np.eye(len(sizes), dtype=np.float32)[np.repeat(np.arange(len(sizes)), sizes)].T
        cells = np.concatenate([np.arange(size) for size in sizes])
        self._input_owners, self._cells = tf.constant(owners), tf.constant(cells, tf.float32)
        self._own_owners = tf.constant(np.ascontiguousarray(owners[:own, : layout.width]))
        addends = np.zeros((layout.width, len(layout.derived)), np.float32)
        for place, feature in enumerate(layout.derived):
            for source, addend in zip(feature.sources, feature.addends, strict=True):
                addends[layout.owner == source, place] = addend
        self._addends = tf.constant(addends) if layout.derived else None
        self._importance = None
        if layout.importance is not None:
            self._importance = tf.constant(layout.importance[columns], tf.float32)

    def errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inputs = self._one_hot(codes)
        if self._predicted is None:
            rows = inputs[:, : self._width]
        else:
            rows, bias = tf.gather(inputs, self._predicted, axis=1), tf.gather(bias, self._predicted)
        logits = tf.matmul(inputs, weights * self._mask) + bias
        # all columns' softmaxes at once: sums over a column's cells are a product with its indicator. One
        # shift serves a whole row, so a column far below it is held above the smallest exponential.
        shifted = tf.maximum(logits - tf.reduce_max(logits, axis=1, keepdims=True), LEAST_LOGIT)
        exponentials = tf.exp(shifted)
        totals = tf.matmul(exponentials, self._blocks)
        counted = tf.cast(tf.gather(codes, self._columns, axis=1) >= 0, tf.float32)
        if self._importance is not None:
            counted *= self._importance
            rows *= tf.matmul(counted, self._owners)
        error = exponentials * tf.matmul(counted / totals, self._owners) - rows
        losses = tf.reduce_sum(counted * tf.math.log(totals), axis=1)
        return inputs, error, losses - tf.reduce_sum(shifted * rows, axis=1)

    def squares(self, error: Tensor) -> Tensor:
        return tf.linalg.matvec(error * error, self._block_weights)

    def products(self, rows: Tensor, error: Tensor, dtype: Any) -> Tensor:  # noqa: ANN401
        return tf.matmul(tf.cast(rows, dtype), error, transpose_a=True)

    def bias_sums(self, error: Tensor) -> Tensor:
        return self._of_all_cells(tf.reduce_sum(error, axis=0))

    def _of_all_cells(self, values: Tensor) -> Tensor:
        """Values of the cells predicted `[..., P]` among zeros for the others, `[..., D]`."""
        if self._predicted is None:
            return values
        ended = tf.concat([values, tf.zeros_like(values[..., :1])], axis=-1)
        return tf.gather(ended, self._bias_places, axis=-1)

    def column_sums(self, values: Tensor) -> Tensor:
        return tf.tensordot(self._owners, values, 1)

    def all_codes(self, codes: Tensor) -> Tensor:
        own = tf.cast(codes, tf.float32)
        if self._addends is None:
            return own
        # each position gets its own column's code, to be compared with the cell it stands for
        rows = tf.equal(tf.matmul(own, self._own_owners), self._cells[: self._width])
        # sums of whole numbers: exact
        return tf.concat([own, tf.matmul(tf.cast(rows, tf.float32), self._addends)], axis=1)

    def _one_hot(self, codes: Tensor) -> Tensor:
        """One-hot rows, float32 `[B, I]`."""
        return tf.cast(
            tf.equal(tf.matmul(self.all_codes(codes), self._input_owners), self._cells), tf.float32
        )

    def row_gradients(self, rows: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        return rows[:, :, None] * error[:, None, :] * self._mask, self._of_all_cells(error)


class _BlockKernel:
    """Multiplies block by block, with rows along the last axis, so that picking input cells copies memory.

    Rows are the input cells of each group, `[G, P, B]`; gradients of logits `[cells, B]`, padding included.

    Args:
        arrangement: Where the weights are.
    """

    rows_axis = 1

    def __init__(self, arrangement: BlockArrangement) -> None:
        layout = arrangement.layout
        self._layout, self._groups = layout, arrangement.groups
        sizes = layout.input_sizes
        self._owner = tf.constant(np.repeat(np.arange(len(sizes)), sizes))
        cells = np.concatenate([np.arange(size) for size in sizes])
        self._cells = tf.constant(cells[:, None], tf.int32)
        outputs = np.concatenate([group.outputs.ravel() for group in self._groups])
        cell_weights = np.append(layout.squared_inputs[layout.owner], 0.0)[outputs]
        self._cell_weights = tf.constant(cell_weights, tf.float32)
        # where each cell, and each column, is in the order of the blocks
        self._cell_places = tf.constant(np.argsort(outputs, kind="stable")[: layout.width])
        self._column_places = tf.constant(np.argsort(arrangement.columns))
        self._importance = _importance(layout)
        self.cell_columns: NDArray[np.int64] = np.append(layout.owner, -1)[outputs]

    def _parts(self, values: Tensor) -> Iterator[tuple[Group, Tensor]]:
        """Each group's part of `[cells, ...]`, as `[G, c, ...]`."""
        start = 0
        for group in self._groups:
            size = group.outputs.size
            part = values[start : start + size]
            yield group, tf.reshape(part, [*group.outputs.shape, *tf.unstack(tf.shape(part))[1:]])
            start += size

    def errors(self, weights: Tensor, bias: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = self._one_hot(codes)
        counted = tf.transpose(tf.cast(codes >= 0, tf.float32))
        if self._importance is not None:
            counted *= self._importance[:, None]
        biases = tf.concat([bias, [NO_CELL]], axis=0)
        inputs, errors, losses = [], [], []
        for group in self._groups:
            block = tf.reshape(weights[group.start : group.end], group.shape) * group.scale
            inputs.append(tf.gather(rows, group.inputs))
            logits = tf.matmul(block, inputs[-1], transpose_a=True)
            logits += tf.gather(biases, group.outputs)[:, :, None]
            shifted = tf.maximum(logits - tf.reduce_max(logits, axis=1, keepdims=True), LEAST_LOGIT)
            exponentials = tf.exp(shifted)
            totals = tf.reduce_sum(exponentials, axis=1, keepdims=True)
            own = tf.gather(rows, self._rows_of(group.outputs))
            by_column = tf.gather(counted, group.columns)[:, None]
            if self._importance is not None:
                own *= by_column
            error, surprise = exponentials * (by_column / totals) - own, tf.math.log(totals) * by_column
            errors.append(tf.reshape(error, [group.outputs.size, -1]))
            losses.append(tf.reduce_sum(surprise, axis=[0, 1]) - tf.reduce_sum(shifted * own, axis=[0, 1]))
        return inputs, tf.concat(errors, axis=0), tf.add_n(losses)

    def _rows_of(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Lines of the one-hot rows for cells of columns; the line of zeros where there is no cell."""
        return np.where(cells < self._layout.width, cells, self._layout.inputs)

    def squares(self, error: Tensor) -> Tensor:
        return tf.linalg.matvec(error * error, self._cell_weights, transpose_a=True)

    def products(self, rows: Tensor, error: Tensor, dtype: Any) -> Tensor:  # noqa: ANN401
        sums = [
            tf.matmul(tf.cast(inputs, dtype), part, transpose_b=True)
            for inputs, (_, part) in zip(rows, self._parts(error), strict=True)
        ]
        return tf.concat([tf.reshape(each, [-1]) for each in sums], axis=0)

    def bias_sums(self, error: Tensor) -> Tensor:
        return tf.gather(tf.reduce_sum(error, axis=1), self._cell_places)

    def column_sums(self, values: Tensor) -> Tensor:
        sums = [tf.reduce_sum(part, axis=1) for _, part in self._parts(values)]
        return tf.gather(tf.concat(sums, axis=0), self._column_places)

    def all_codes(self, codes: Tensor) -> Tensor:
        found = [codes]
        for feature in self._layout.derived:
            addends = [
                # what is not there, -1, adds nothing
                tf.gather(tf.constant([0, *addend], tf.int32), codes[:, source] + 1)
                for source, addend in zip(feature.sources, feature.addends, strict=True)
            ]
            found.append(tf.add_n(addends)[:, None])
        return tf.concat(found, axis=1)

    def _one_hot(self, codes: Tensor) -> Tensor:
        """One-hot rows with a line of zeros below them, float32 `[I + 1, B]`."""
        every = tf.gather(tf.transpose(self.all_codes(codes)), self._owner)
        rows = tf.cast(tf.equal(every, self._cells), tf.float32)
        return tf.concat([rows, tf.zeros_like(rows[:1])], axis=0)

    def row_gradients(self, rows: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        gradients = []
        for inputs, (group, part) in zip(rows, self._parts(error), strict=True):
            outer = tf.einsum("gpb,gcb->bgpc", inputs * group.scale, part)
            gradients.append(tf.reshape(outer, [tf.shape(outer)[0], -1]))
        return tf.concat(gradients, axis=1), tf.transpose(tf.gather(error, self._cell_places))
