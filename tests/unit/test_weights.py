"""Weights as rectangles of a matrix and as a vector."""

import numpy as np
import pytest

from jupyter_dpsynth.engine.model.features import Derived
from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.model.weights import FreeWeights

SIZES = np.array([3, 1, 4, 2])
TOGETHER = Derived((0, 2), (np.array([0, 1, 1]), np.array([0, 0, 1, 1])), 3, 0.5)


@pytest.mark.parametrize("derived", [(), (TOGETHER,)], ids=["columns", "and a derived feature"])
@pytest.mark.parametrize(
    "kept",
    [np.ones((4, 4)), np.zeros((4, 4)), [[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]],
    ids=["all pairs", "no pair", "some pairs"],
)
def test_the_vector_has_the_weights_that_exist_in_their_order(kept, derived):
    layout = Layout(SIZES, np.triu(np.asarray(kept, float), 1), derived)
    weights = FreeWeights(layout)
    matrix = np.random.default_rng(0).normal(size=(layout.inputs, layout.width))
    vector = weights.vector(matrix, np.zeros(weights.size))
    assert np.array_equal(vector, matrix.ravel()[layout.free])
    back = weights.matrix(vector, np.zeros_like(matrix))
    assert np.array_equal(back, np.where(layout.mask != 0, matrix, 0))
