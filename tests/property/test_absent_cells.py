"""Rows that lack the cells of some columns, and columns that are given and never predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.training import arrangement
from jupyter_dpsynth.engine.training.gradient import BatchGradient

SIZES = np.array([3, 4, 2, 3, 5])
IMPORTANCE = np.array([1.0, 0.0, 0.0, 0.6, 0.6])
UNIT_ROWS, UNITS = 4, 12


def layout_with_gaps():
    random = np.random.default_rng(2)
    return Layout(SIZES, np.triu(random.uniform(0.3, 2, (5, 5)), 1), importance=IMPORTANCE)


def rows_with_gaps():
    random = np.random.default_rng(3)
    codes = np.stack([random.integers(-1, size, (UNITS, UNIT_ROWS)) for size in SIZES], axis=2)
    present = np.arange(UNIT_ROWS) < random.integers(1, UNIT_ROWS + 1, UNITS)[:, None]
    return codes.astype(np.int32), present


def by_hand(layout, matrix, bias, codes):
    """The gradient of one unit, summed over its rows by TensorFlow's own differentiation, float64."""
    scale, offsets = layout.mask.astype(np.float64), layout.offsets
    variables = tf.Variable(matrix.astype(np.float64)), tf.Variable(bias.astype(np.float64))
    with tf.GradientTape() as tape:
        total = 0.0
        for row in codes:
            cells = np.zeros(layout.width)
            cells[[offsets[place] + code for place, code in enumerate(row) if code >= 0]] = 1
            logits = tf.linalg.matvec(variables[0] * scale, cells, transpose_a=True) + variables[1]
            for place, code in enumerate(row):
                if code >= 0 and layout.importance[place]:
                    own = logits[offsets[place] : offsets[place + 1]]
                    total += layout.importance[place] * (tf.reduce_logsumexp(own) - own[code])
    if isinstance(total, float):  # nothing is predicted in these rows
        return matrix * 0, bias * 0
    return [each.numpy() for each in tape.gradient(total, variables)]


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("clip_norm", [0.5, 1e3])
def test_a_units_clipped_gradient_is_that_of_its_rows(blocks, clip_norm, monkeypatch):
    monkeypatch.setattr(arrangement, "WEIGHT_COST", 0.0 if blocks else np.inf)
    monkeypatch.setattr(arrangement, "INPUT_COST", 0.0)
    layout, (codes, present) = layout_with_gaps(), rows_with_gaps()
    gradient = BatchGradient(layout, clip_norm, 20.0, UNITS, UNIT_ROWS)
    random, own = np.random.default_rng(4), gradient.arrangement
    vector = random.normal(0, 0.7, own.size).astype(np.float32)
    bias = random.normal(0, 0.7, layout.width).astype(np.float32)
    weights = own.array(vector, np.zeros(own.shape, np.float32))
    matrix = np.zeros(layout.mask.size)
    matrix[own.cells] = vector
    for unit in range(UNITS):
        alone = np.zeros((1, UNIT_ROWS), bool)
        alone[0] = present[unit]
        sums = gradient.clipped_unit_sum(weights, bias, codes[unit : unit + 1], alone)
        found = own.vector(sums[0].numpy(), np.zeros(own.size)) * gradient.steps[: own.size]
        for_bias = sums[1].numpy() * gradient.grid.step
        rows = codes[unit][present[unit]]
        wanted, wanted_bias = by_hand(layout, matrix.reshape(layout.mask.shape), bias, rows)
        wanted = np.ravel(wanted)[own.cells]
        norm = np.sqrt((wanted**2).sum() + (wanted_bias**2).sum())
        factor = min(1.0, clip_norm / norm) if norm else 1.0
        np.testing.assert_allclose(found, factor * wanted, atol=0.02 * min(clip_norm, 10))
        np.testing.assert_allclose(for_bias, factor * wanted_bias, atol=0.02 * min(clip_norm, 10))
        length = np.sqrt((found**2).sum() + (for_bias**2).sum())
        assert length <= clip_norm
        if norm > clip_norm:
            assert length > 0.95 * clip_norm


def test_pairs_of_rows_without_a_cell_would_be_counted_as_having_one_in_common():
    """Planted: two absent cells taken for a common one make the norm of rows that cancel too small."""
    layout = replace(layout_with_gaps(), importance=np.ones(5))
    codes = np.full((1, UNIT_ROWS, 5), -1, np.int32)
    codes[0, :, 4] = [0, 1, 0, 1]
    gradient = BatchGradient(layout, 0.5, 20.0, 1, UNIT_ROWS)
    zeros = np.zeros(gradient.arrangement.shape, np.float32), np.zeros(layout.width, np.float32)
    present = np.ones((1, UNIT_ROWS), bool)
    sums = gradient.clipped_unit_sum(*zeros, codes, present)
    length = np.linalg.norm(sums[1].numpy()) * gradient.grid.step
    assert 0.95 * 0.5 < length <= 0.5  # of the bias alone: no weight has a cell to learn from
