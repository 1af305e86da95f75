"""Weights with which rows of the model reproduce what was released, and replicates for the uncertainty.

The weights are the least change of equal ones (Kullback-Leibler divergence, times `prior` rows) that brings
the rows' means near the released ones (chi square, in units of the noise). A replicate disturbs the released
means as they were disturbed: by the sampling of the table, by the noise and the steps' samples, and by what
they do not tell. The last is as uncertain as the composition of `prior` rows.

Source:
    Deville and Sarndal 1992 (calibration of weights); Raisa, Jalko and Honkela 2023 (NAPSU-MQ: maximum
    entropy from noisy queries); Fay's method (replicates that go part of the way, so that weights
    stay positive).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from jupyter_dpsynth.inference.gradients import Block

__all__ = ["Weights", "weigh"]

PRIOR_SHARE = 1 / 50  # of the table's rows: for so many, at most, the model's word counts
LEAST_PRIOR = 5.0  # rows
TOLD = 0.1  # of the prior's information: directions that tell less are left out
LEAST_SAMPLING = 0.1  # of the sampling variance of a figure: nothing is reproduced more closely
MOST_FIGURES = 1500  # whose directions are looked for together
LEAST_OF_BLOCK = 8  # directions of a block, where there are more figures than that
MOST_DIRECTIONS = 600
LARGEST_STEP = 0.1  # of a replicate
LARGEST_CHANGE = 0.4  # of a usual row's weight by the prior's part, so that few weights would become negative
NEWTON_STEPS = 30


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of rows, and replicates of them.

    Attributes:
        weights: Weight of each row, sum 1, float64 `[N]`.
        replicates: Replicate weights, sum 1 each, float64 `[B, N]`.
        parts: The same with one part of the uncertainty each, by the names of `results.PARTS`.
        step: How far a replicate goes: a variance over the replicates is divided by its square.
        word: Replicates as uncertain as the model's word alone, `[B, N]`.
    """

    weights: NDArray[np.float64]
    replicates: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]]
    step: float
    word: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Directions:
    """Rows in independent directions, each in units of its noise.

    Attributes:
        rows: `[N, k]`, centred under equal weights.
        sampled: The same of what the steps' samples disturb, times its relative standard deviation.
        gap: How far equal weights are from what was released, `[k]`.
    """

    rows: NDArray[np.floating[Any]]
    sampled: NDArray[np.floating[Any]]
    gap: NDArray[np.float64]


def weigh(blocks: Iterable[Block], rows: float, replicates: int, generator: np.random.Generator) -> Weights:
    """Weights of rows that reproduce what was released of a table, and replicates.

    Args:
        blocks: What was released, and the same of the rows.
        rows: Noisy number of the table's rows.
        replicates: How many replicates (B).
        generator: Source of randomness; it has no bearing on privacy.

    Privacy:
        Post-processing.
    """
    standard, informed = [], [np.zeros(0)]
    for block in blocks:
        standard.append(_standardised(block, rows))
        if block.trained:
            informed.append(np.square(standard[-1].rows).mean(axis=0, dtype=np.float64))
    prior = _prior(np.concatenate(informed), rows)
    found = _directions(standard, prior)
    weights, factor = _tilted(found, prior)
    changes = _changes(found, weights, factor, (rows, prior), replicates, generator)
    word = changes.pop("word")
    step = min(LARGEST_STEP, LARGEST_CHANGE * float(np.sqrt(prior / len(weights))))
    together = changes["table"] + changes["noise"] + changes["model"]
    parts = {name: _moved(weights, change, step) for name, change in changes.items()}
    return Weights(weights, _moved(weights, together, step), parts, step, _moved(weights, word, step))


def _changes(
    found: _Directions,
    weights: NDArray[np.float64],
    factor: tuple[NDArray[np.float64], bool],
    sizes: tuple[float, float],
    replicates: int,
    generator: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Random relative changes of the weights, by the names of `results.PARTS` and 'word', `[B, N]` each.

    Args:
        found: Rows in directions.
        weights: Their weights.
        factor: Of the information matrix at them.
        sizes: Noisy number of the table's rows, and for how many rows the model's word counts.
        replicates: How many replicates.
        generator: Source of randomness.
    """
    rows, prior = sizes
    shape = replicates, len(weights)
    root = np.sqrt(np.maximum(weights, 1e-12))

    def shifts(
        number: float, own: NDArray[np.floating[Any]], signs: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """By how much the mean over so many rows differs from its expectation, `[B, k]`."""
        change = signs * (root / np.sqrt(number))
        return np.asarray(change @ own - change.sum(axis=1, keepdims=True) * (weights @ own))

    def solved(disturbed: NDArray[np.float64]) -> NDArray[np.float64]:
        """What disturbed means bring about."""
        return np.asarray(cho_solve(factor, disturbed.T).T @ found.rows.T)

    noise = generator.standard_normal((replicates, found.rows.shape[1]))
    noise += shifts(rows, found.sampled, _signs(shape, generator))
    own = _signs(shape, generator)
    word = own / (np.sqrt(prior) * root)
    return {
        "table": solved(shifts(rows, found.rows, _signs(shape, generator))),
        "noise": solved(noise),
        # what the release does tell, it corrects
        "model": word - solved(shifts(prior, found.rows, own)),
        "word": word,
    }


def _signs(shape: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float64]:
    return np.where(generator.random(shape) < 0.5, -1.0, 1.0)


def _moved(weights: NDArray[np.float64], changes: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Weights that go a step towards some relative changes, none below 0, sum 1 each."""
    centred = changes - (changes @ weights)[:, None]
    moved = weights * np.maximum(1 + step * centred, 0)
    return np.asarray(moved / moved.sum(axis=1, keepdims=True))


def _prior(informed: NDArray[np.float64], rows: float) -> float:
    """For how many rows the model's word counts.

    Training pulls what it is told little of towards 0, and the less it is told, the farther. So the model's
    word does not count for more than what a released figure tells on average.

    Args:
        informed: How many rows each figure that training released tells as much as, `[figures]`.
        rows: Noisy number of the table's rows.
    """
    usual = PRIOR_SHARE * rows
    return max(min(usual, float(informed.mean())), LEAST_PRIOR) if len(informed) else usual


def _directions(standard: list[_Directions], prior: float) -> _Directions:
    """Directions in which what was released tells more than the prior's tenth, the most telling first."""
    if sum(len(each.gap) for each in standard) > MOST_FIGURES:
        most = max(LEAST_OF_BLOCK, MOST_FIGURES // len(standard))
        standard = [_reduced(each, prior, most) for each in standard]
    joined = _Directions(
        *(
            np.concatenate([getattr(each, name) for each in standard], axis=-1)
            for name in ("rows", "sampled", "gap")
        )
    )
    return _reduced(joined, prior, MOST_DIRECTIONS)


def _standardised(block: Block, rows: float) -> _Directions:
    """A block's figures in units of their noise; those that are the same in all rows tell nothing."""
    variance = block.rows.var(axis=0, dtype=np.float64)
    told = variance > 1e-12
    noise = np.sqrt(
        np.broadcast_to(block.noise, told.shape)[told] ** 2 + LEAST_SAMPLING * variance[told] / rows
    )
    standard = (block.rows[:, told] - block.released[told].astype(np.float32)) / noise.astype(np.float32)
    gap = standard.mean(axis=0, dtype=np.float64)
    standard -= gap.astype(np.float32)
    return _Directions(standard, standard * np.float32(np.sqrt(block.sampled)), gap)


def _reduced(figures: _Directions, prior: float, most: int) -> _Directions:
    """The directions of the largest variance; turning them keeps the noise independent and of unit size."""
    if not figures.rows.shape[1]:
        return figures
    covariance = (figures.rows.T @ figures.rows).astype(np.float64) / len(figures.rows)
    values, vectors = np.linalg.eigh(covariance)
    kept = np.flatnonzero(values > max(TOLD * prior, 1e-9 * values[-1]))[::-1][:most]
    turn = vectors[:, kept]
    narrow = turn.astype(figures.rows.dtype)
    return _Directions(figures.rows @ narrow, figures.sampled @ narrow, figures.gap @ turn)


def _tilted(found: _Directions, prior: float) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], bool]]:
    """The weights, and a factor of the information matrix at them: damped Newton steps on the dual."""
    rows, gap = found.rows.astype(np.float64), found.gap
    multipliers = np.zeros(rows.shape[1])

    def dual(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        heights = rows @ at
        top = heights.max()
        weights = np.exp(heights - top)
        total = weights.sum()
        return float(top + np.log(total) + gap @ at + prior / 2 * (at @ at)), weights / total

    value, weights = dual(multipliers)
    for _ in range(NEWTON_STEPS):
        mean = weights @ rows
        information = (rows * weights[:, None]).T @ rows - np.outer(mean, mean)
        information[np.diag_indices_from(information)] += prior
        factor = cho_factor(information)
        step = cho_solve(factor, mean + gap + prior * multipliers)
        decrease = float(step @ information @ step)
        length = 1.0
        while decrease > 1e-6 and length > 1e-3:
            nearer, changed = dual(multipliers - length * step)
            if np.isfinite(nearer) and nearer < value - 0.1 * length * decrease:
                break
            length /= 2
        else:
            return weights, factor
        multipliers -= length * step
        value, weights = nearer, changed
    return weights, factor
