"""Exact relations between columns: one is a function of another, or never above another.

A network that was trained with noise reproduces such relations nearly, but not exactly. If the noisy
measurements say that a relation holds (up to their own noise), the synthetic table is made to keep it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.evidence import RARE_BREAKS, certainty
from jupyter_dpsynth.engine.model.reference import PAIR_ROWS, chance_distance
from jupyter_dpsynth.engine.sampling.generation import generate_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.model.reference import MeasuredReference

__all__ = ["Functions", "functional_relations", "sharpen"]

LEAST_SPREAD = 0.05  # a column that is almost constant is everybody's function
# of the largest dependence, after the correction for chance, which is too much for functions
LEAST_CERTAINTY = 0.8
MODEL_ROWS = 50_000  # drawn from the model to see which cell belongs to which
LEAST_DRAWS = 10
FORBIDDEN = 15.0  # nats
SAME_SHARES = 4.0  # standard deviations by which shares may contradict a function that holds


@dataclass(frozen=True)
class Functions:
    """Which columns are functions of others, by their places.

    Attributes:
        kept: Pairs (a, b) in which b is a function of a.
        untold: Pairs that may be such ones, which the noise does not tell.
    """

    kept: tuple[tuple[int, int], ...] = ()
    untold: tuple[tuple[int, int], ...] = ()


def functional_relations(reference: MeasuredReference) -> Functions:
    """Which columns are functions of others, according to the measurements.

    The distance of a pair from independence is largest, 1 - sum p_b^2, if b is a function of a. If
    `RARE_BREAKS` of the rows break it, with any value of b, it is smaller by that share, less what chance
    makes of rare combinations. A function is taken to hold if a test rejects that so many rows break it.

    Privacy:
        Post-processing of noisy marginals and pair dependences.
    """
    rows = min(reference.rows, PAIR_ROWS)
    columns = len(reference.columns)
    reach = certainty(columns * (columns - 1)) * reference.dependence_noise
    largest = np.array([1 - (share**2).sum() for share in reference.shares])
    likely = (largest >= LEAST_SPREAD) & (reference.dependence - reach >= LEAST_CERTAINTY * largest)
    np.fill_diagonal(likely, val=False)
    kept, untold = [], []
    for a, b in np.argwhere(likely).tolist():
        most, corrected = float(largest[b]), float(reference.dependence[a, b])
        expected = np.outer(reference.shares[a], reference.shares[b])
        plain = corrected + chance_distance(expected, rows) / (2 * rows)
        if plain - reach >= (1 - RARE_BREAKS) * most + _chance_of_rare(rows * expected) / (2 * rows):
            kept.append((a, b))
        elif plain + reach >= most:
            untold.append((a, b))
    return Functions(tuple(kept), tuple(untold))


def _chance_of_rare(expected: NDArray[np.float64]) -> float:
    """By how much chance raises the distance from independence of rows that break a function, in rows.

    Of each cell there are a Poisson number, `RARE_BREAKS` times what independence expects. Where that is less
    than a row, nearly every row that is there seems to be one too many, and every other too few.

    Args:
        expected: Rows of each cell that independence expects.
    """
    from scipy.stats import poisson

    mean, below = RARE_BREAKS * expected, np.floor(expected)
    # E|X - e| - |E X - e| = 2 E max(X - e, 0), of a Poisson X
    return float(2 * (mean * poisson.sf(below - 1, mean) - expected * poisson.sf(below, mean)).sum())


def sharpen(
    model: TabularModel, reference: MeasuredReference, generator: np.random.Generator
) -> tuple[TabularModel, Functions]:
    """Forbid the combinations of cells that contradict the functional relations.

    A function whose cells' measured shares do not add up to those of what they determine is given up.

    Args:
        model: The trained model.
        reference: The measurements that tell where one column is a function of another.
        generator: Draws rows from the model, to see which cell it assigns to which.

    Returns:
        The model, and the functions that it keeps.

    Privacy:
        Post-processing.
    """
    found = functional_relations(reference)
    if not found.kept:
        return model, found
    codes = generate_codes(model, reference.shares, MODEL_ROWS, generator)
    weights = model.weights.copy()
    offsets, sizes = model.layout.offsets, model.layout.sizes
    kept = []
    for a, b in found.kept:
        table = np.zeros((sizes[a], sizes[b]))
        np.add.at(table, (codes[:, a], codes[:, b]), 1)
        clear = (table.max(axis=1) >= LEAST_DRAWS) & (table.max(axis=1) > table.sum(axis=1) / 2)
        if not _shares_agree(clear, table.argmax(axis=1), a, b, reference):
            continue
        kept.append((a, b))
        wrong = clear[:, None] & (np.arange(sizes[b]) != table.argmax(axis=1)[:, None])
        first, second = min(a, b), max(a, b)
        block = (
            slice(offsets[first], offsets[first + 1]),
            slice(offsets[second], offsets[second + 1]),
        )
        weights[block] -= (FORBIDDEN * (wrong if a < b else wrong.T)).astype(np.float32)
    return replace(model, weights=weights), replace(found, kept=tuple(kept))


def _shares_agree(
    clear: NDArray[np.bool_], target: NDArray[np.intp], a: int, b: int, reference: MeasuredReference
) -> bool:
    """Whether the shares of b's cells are those of a's cells that determine them, up to noise.

    Args:
        clear: Which cells of a determine one of b.
        target: The cell of b that each cell of a determines.
        a: Place of the column that determines.
        b: Place of the column that is determined.
        reference: The measurements.
    """
    size = len(reference.shares[b])
    share, noise = reference.shares[a][clear], reference.noise[a][clear]
    implied = np.bincount(target[clear], share, size)
    variance = np.bincount(target[clear], noise**2, size) + reference.noise[b] ** 2
    open_share = float(reference.shares[a][~clear].sum()) + RARE_BREAKS
    too_far = np.abs(implied - reference.shares[b]) > SAME_SHARES * np.sqrt(variance) + open_share
    return not bool(too_far.any())
