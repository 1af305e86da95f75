"""Exact relations between columns: one is a function of another, or never above another.

A network that was trained with noise reproduces such relations nearly, but not exactly. If the noisy
measurements say that a relation holds (up to their own noise), the synthetic table is made to keep it.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.reference import PAIR_ROWS, chance_distance
from jupyter_dpsynth.engine.sampling.generation import generate_codes

if TYPE_CHECKING:
    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.model.reference import MeasuredReference

__all__ = ["functional_relations", "sharpen"]

LEAST_SPREAD = 0.05  # a column that is almost constant is everybody's function
LEAST_DEGREE = 0.985  # of the largest dependence that a function could have
LEAST_CERTAINTY = 0.8  # the same after the correction for chance, which is too much for functions
MODEL_ROWS = 50_000  # drawn from the model to see which cell belongs to which
LEAST_DRAWS = 10
FORBIDDEN = 15.0  # nats


def functional_relations(reference: MeasuredReference) -> list[tuple[int, int]]:
    """Pairs (a, b) of columns in which b is a function of a, according to the measurements.

    The distance of a pair from independence is largest, 1 - sum p_b^2, if b is a function of a.

    Privacy:
        Post-processing of noisy marginals and pair dependences.
    """
    rows = min(reference.rows, PAIR_ROWS)
    found = []
    for a, b in itertools.permutations(range(len(reference.columns)), 2):
        most = 1 - float((reference.shares[b] ** 2).sum())
        if most < LEAST_SPREAD or reference.dependence_noise > 0.3 * (1 - LEAST_DEGREE) * most:
            continue
        corrected = float(reference.dependence[a, b])
        expected = np.outer(reference.shares[a], reference.shares[b])
        plain = corrected + chance_distance(expected, rows) / (2 * rows)
        if plain >= LEAST_DEGREE * most and corrected >= LEAST_CERTAINTY * most:
            found.append((a, b))
    return found


def sharpen(
    model: TabularModel, reference: MeasuredReference, generator: np.random.Generator
) -> TabularModel:
    """Forbid the combinations of cells that contradict the functional relations.

    Args:
        model: The trained model.
        reference: The measurements that tell where one column is a function of another.
        generator: Draws rows from the model, to see which cell it assigns to which.

    Privacy:
        Post-processing.
    """
    relations = functional_relations(reference)
    if not relations:
        return model
    codes = generate_codes(model, reference.shares, MODEL_ROWS, generator)
    weights = model.weights.copy()
    offsets, sizes = model.layout.offsets, model.layout.sizes
    for a, b in relations:
        table = np.zeros((sizes[a], sizes[b]))
        np.add.at(table, (codes[:, a], codes[:, b]), 1)
        clear = (table.max(axis=1) >= LEAST_DRAWS) & (table.max(axis=1) > table.sum(axis=1) / 2)
        wrong = clear[:, None] & (np.arange(sizes[b]) != table.argmax(axis=1)[:, None])
        first, second = min(a, b), max(a, b)
        block = (
            slice(offsets[first], offsets[first + 1]),
            slice(offsets[second], offsets[second + 1]),
        )
        weights[block] -= (FORBIDDEN * (wrong if a < b else wrong.T)).astype(np.float32)
    return replace(model, weights=weights)
