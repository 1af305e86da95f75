"""Rows that lack the cells of some columns, and columns that are given and never predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from jupyter_dpsynth.engine.model.cells import TrainedCells
from jupyter_dpsynth.engine.model.features import Derived
from jupyter_dpsynth.engine.model.network import Layout, TabularModel
from jupyter_dpsynth.engine.model.tape import Tape, Window
from jupyter_dpsynth.engine.training import arrangement
from jupyter_dpsynth.engine.training.gradient import BatchGradient
from jupyter_dpsynth.engine.training.release import NativeRelease, codes_at
from jupyter_dpsynth.inference.gradients import mean_residuals

SIZES = np.array([3, 4, 2, 3, 5])
IMPORTANCE = np.array([1.0, 0.0, 0.0, 0.6, 0.6])
UNIT_ROWS, UNITS = 4, 12


def layout_with_gaps(importance=IMPORTANCE):
    random = np.random.default_rng(2)
    return Layout(SIZES, np.triu(random.uniform(0.3, 2, (5, 5)), 1), importance=importance)


def rows_with_gaps():
    random = np.random.default_rng(3)
    codes = np.stack([random.integers(-1, size, (UNITS, UNIT_ROWS)) for size in SIZES], axis=2)
    present = np.arange(UNIT_ROWS) < random.integers(1, UNIT_ROWS + 1, UNITS)[:, None]
    return codes.astype(np.int32), present


def by_hand(layout, matrix, bias, codes):
    """The gradient of one unit, summed over its rows by TensorFlow's own differentiation, float64."""
    scale, offsets = layout.mask.astype(np.float64), layout.offsets
    importance = np.ones(len(layout.sizes)) if layout.importance is None else layout.importance
    variables = tf.Variable(matrix.astype(np.float64)), tf.Variable(bias.astype(np.float64))
    with tf.GradientTape() as tape:
        total = 0.0
        for row in codes:
            cells = np.zeros(layout.width)
            cells[[offsets[place] + code for place, code in enumerate(row) if code >= 0]] = 1
            logits = tf.linalg.matvec(variables[0] * scale, cells, transpose_a=True) + variables[1]
            for place, code in enumerate(row):
                if code >= 0 and importance[place]:
                    own = logits[offsets[place] : offsets[place + 1]]
                    total += importance[place] * (tf.reduce_logsumexp(own) - own[code])
    if isinstance(total, float):  # nothing is predicted in these rows
        return matrix * 0, bias * 0
    return [each.numpy() for each in tape.gradient(total, variables)]


@pytest.mark.long
@pytest.mark.parametrize("importance", [IMPORTANCE, None])
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("clip_norm", [0.5, 1e3])
def test_a_units_clipped_gradient_is_that_of_its_rows(blocks, clip_norm, importance, monkeypatch):
    monkeypatch.setattr(arrangement, "WEIGHT_COST", 0.0 if blocks else np.inf)
    monkeypatch.setattr(arrangement, "INPUT_COST", 0.0)
    layout, (codes, present) = layout_with_gaps(importance), rows_with_gaps()
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


@pytest.mark.parametrize("blocks", [False, True])
def test_a_row_adds_at_most_the_clip_norm_whatever_cells_it_lacks(blocks, monkeypatch):
    """One row more or less, for every pattern of lacking cells: `clipped_sum`, which releases use."""
    monkeypatch.setattr(arrangement, "WEIGHT_COST", 0.0 if blocks else np.inf)
    monkeypatch.setattr(arrangement, "INPUT_COST", 0.0)
    layout, clip_norm = layout_with_gaps(None), 0.5
    native = NativeRelease(BatchGradient(layout, clip_norm, 20.0, 40))
    random, own = np.random.default_rng(6), native.gradient.arrangement
    weights = own.array(random.normal(0, 2, own.size).astype(np.float32), np.zeros(own.shape, np.float32))
    bias = random.normal(0, 2, layout.width).astype(np.float32)
    codes = np.stack([random.integers(size, size=2**5) for size in SIZES], axis=1)
    codes[(np.arange(2**5)[:, None] >> np.arange(5)) & 1 == 1] = -1
    for row in range(len(codes)):
        sums = native.clipped_sums(weights, bias, codes, np.array([row]))
        length = np.sqrt((sums.weights**2).sum() + (sums.bias**2).sum())
        assert length <= clip_norm
        assert (length == 0) == (codes[row] < 0).all()
        matrix, offsets = np.zeros(layout.mask.size), layout.offsets
        matrix[own.cells] = sums.weights
        for place in np.flatnonzero(codes[row] < 0):
            cells = slice(offsets[place], offsets[place + 1])
            assert not sums.bias[cells].any()
            assert not matrix.reshape(layout.mask.shape)[:, cells].any()
            assert not matrix.reshape(layout.mask.shape)[cells].any()


KEPT = TrainedCells.of(
    [np.array(each) for each in ([1, 0, 1], [1, 1, 1, 0], [1, 1], [0, 1, 0], [1, 1, 0, 1, 1])]
)


def whole_layout():
    """Of all cells, with a derived feature one of whose groups does not appear."""
    groups = np.array([0, 1, 0]), np.array([0, 1, 0, 2])
    return layout_with_gaps(None).with_derived([Derived((0, 1), groups, 4, 0.7)])


def test_codes_are_those_of_the_cells_that_appear_and_others_have_none():
    codes = np.array([[2, 3, 1, 1, 4], [1, 0, 0, 2, 2]], np.uint8)
    wanted = [[1, -1, 1, 0, 3], [-1, 0, 0, -1, -1]]
    for table in (codes, np.asfortranarray(codes)):
        assert codes_at(table, np.array([0, 1]), KEPT).tolist() == wanted
        assert codes_at(table, np.array([[1, 0]]), KEPT).tolist() == [wanted[::-1]]
        assert codes_at(table, np.array([1]), None).tolist() == codes[1:].tolist()


def test_the_network_and_the_tape_of_all_cells_say_of_rows_what_those_of_fewer_cells_do():
    random, whole = np.random.default_rng(5), whole_layout()
    trained = KEPT.layout(whole)
    assert trained.sizes.tolist() == [2, 3, 2, 1, 4]
    figures = len(trained.free) + trained.width
    parameters = random.normal(size=(4, figures)).astype(np.float16)
    tape = Tape(
        random.normal(size=figures), tuple(Window(5, 0.8, 0.1, True) for _ in range(4)), parameters, 0.1
    )
    grown = KEPT.tape(tape, whole)
    assert len(grown.sums) == len(whole.free) + whole.width
    assert np.sort(grown.sums[grown.sums != 0]).tolist() == np.sort(tape.sums).tolist()
    rows = np.stack([random.choice(np.flatnonzero(kept), 50) for kept in KEPT.kept], axis=1)
    places = np.flatnonzero(np.concatenate(KEPT.kept))
    of_all, of_kept = mean_residuals(whole, grown, rows), mean_residuals(trained, tape, KEPT.codes(rows))
    for derived in (False, True):
        np.testing.assert_allclose(of_all[derived][:, places], of_kept[derived], atol=1e-6)
        assert np.abs(np.delete(of_all[derived], places, axis=1)).max() < 1e-30
    weights = np.zeros(trained.mask.size, np.float32)
    weights[trained.free] = random.normal(size=len(trained.free))
    model = TabularModel(trained, weights.reshape(trained.mask.shape), random.normal(size=trained.width))
    grown_model = KEPT.model(model, whole)
    assert np.array_equal(
        grown_model.derived_logits(rows, 4)[:, KEPT.kept[4]], model.derived_logits(KEPT.codes(rows), 4)
    )
    assert np.count_nonzero(grown_model.weights) == np.count_nonzero(model.weights)
    assert np.array_equal(grown_model.bias[places], model.bias.astype(np.float32))
