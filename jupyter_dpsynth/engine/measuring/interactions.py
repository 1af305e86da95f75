"""Chooses, with noise, interactions of three and four columns that the model lacks after some training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from jupyter_dpsynth.engine.measuring.candidates import CANDIDATE_UNITS, candidates_of
from jupyter_dpsynth.engine.measuring.weighing import EVERY_ROW
from jupyter_dpsynth.engine.model.dependence import estimated_dependence
from jupyter_dpsynth.engine.model.features import RARE, Derived, grouped_cells
from jupyter_dpsynth.engine.model.network import kept_pairs, pair_strength
from jupyter_dpsynth.engine.model.plan import INTERACTIONS, STRENGTHS
from jupyter_dpsynth.engine.model.reference import PAIR_ROWS
from jupyter_dpsynth.privacy.releases import ROW_PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.candidates import Candidate
    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.privacy.releases import Releases

__all__ = ["Interaction", "choose_interactions", "interaction_scores"]

RESIDUAL_UNITS = 2**16  # of a probability
PART_ROWS = 2048  # that are scored at once: the numbers stay in the cache
CLEAR = 5.0  # standard deviations, of noise and of chance, that a strength must have
LEAST_STRENGTH = 0.01  # of the rows
COMBINATIONS = 36  # cells of a derived feature, about
MANY_COMBINATIONS, MUCH_SIGNAL = 64, 2.0  # the same where the signal is larger
LEAST_ROOM = 256  # cells of derived features that every table has room for, however few cells it has itself


@dataclass(frozen=True)
class Interaction:
    """Columns that together may tell about another one.

    Attributes:
        sources: Their places, increasing.
        target: The other one's, behind them.
    """

    sources: tuple[int, ...]
    target: int


def choose_interactions(
    codes: NDArray[np.integer[Any]],
    model: TabularModel,
    reference: MeasuredReference,
    ordered_cells: Sequence[int],
    made: NDArray[np.integer[Any]],
    plan: RunPlan,
    releases: Releases,
    generator: np.random.Generator,
    report: Callable[[], None],
    weights: RowWeights = EVERY_ROW,
) -> tuple[Derived, ...]:
    """The derived features by which the model is to be extended, the strongest first.

    Args:
        codes: Private codes of all rows, `[n, m]`.
        model: The model so far.
        reference: The noisy measurements.
        ordered_cells: How many leading cells of each column are neighbours on a line.
        made: Rows that were drawn from the model, `[rows, m]`.
        plan: How many are chosen at most.
        releases: What is planned for this.
        generator: Chooses among too many candidates; it does not concern privacy.
        report: Called now and then.
        weights: How much each row counts.

    Privacy:
        One exponential mechanism for each choice, and one Gaussian measurement of all chosen scores. One row
        changes each score by at most 1. In tables of more than `PAIR_ROWS` rows only a Poisson sample of
        about that many is scored, as for pairs.
    """
    rows, own = plan.rows, weights.of_units
    if rows > PAIR_ROWS:
        sample = releases.subsample(len(codes), PAIR_ROWS / rows)
        codes, rows, own = codes[sample], PAIR_ROWS, None if own is None else own[sample]
    parts = ROW_PARTS / plan.counted  # of a row: `ROW_PARTS` are a privacy unit
    candidates = candidates_of(reference.shares, ordered_cells, made, generator)
    interactions, scores = interaction_scores(
        codes, model, reference.shares, candidates, rows, report, own, parts
    )
    left = list(range(len(interactions)))
    one = releases.allowance(INTERACTIONS, Fraction(1, plan.picks))
    chosen: list[int] = []
    while left and len(chosen) < plan.picks:
        chosen.append(left.pop(one.choose(scores[left], parts)))
    if not chosen:
        return ()
    allowance = releases.allowance(STRENGTHS, sensitivity=math.sqrt(plan.picks))
    strengths = allowance.counts(scores[chosen], parts)
    # without an interaction chance moves a score by at most half the root of the rows
    least = max(CLEAR * math.hypot(allowance.noise, math.sqrt(rows) / 2), LEAST_STRENGTH * rows)
    found = [
        _derived(interactions[chosen[place]], strengths[place] / rows, reference, ordered_cells, plan)
        for place in np.argsort(-strengths, kind="stable")
        if strengths[place] >= least
    ]
    return _within(found, max(sum(map(len, reference.shares)), LEAST_ROOM))


def interaction_scores(
    codes: NDArray[np.integer[Any]],
    model: TabularModel,
    shares: Sequence[NDArray[np.float64]],
    candidates: Sequence[Candidate],
    rows: float,
    report: Callable[[], None] = lambda: None,
    own: NDArray[np.float64] | None = None,
    parts: float = ROW_PARTS,
) -> tuple[list[Interaction], NDArray[np.int64]]:
    """How much of each target's residuals follows some candidate of its sources, exact.

    A score is half the L1 norm, over the target's cells, of the sum over rows of candidate times residual,
    where the residual is the row's own cell less the model's chances; it is the largest over the sources'
    candidates. What chance alone is expected to give is taken off.

    Args:
        codes: Codes of the rows, `[n, m]`.
        model: The model.
        shares: Noisy share of each cell of each column.
        candidates: What is looked at.
        rows: Noisy number of rows.
        report: Called after each part of the rows.
        own: What each row counts, in privacy units, `[n]`; None if each is one.
        parts: Of how many parts a row of `rows` is.

    Returns:
        The interactions, and their scores in parts of a row, int64 `[interactions]`.

    Privacy:
        Not private. One privacy unit more or less changes each score by at most `ROW_PARTS`: a candidate is
        below 1, and a row's residual has an L1 norm of at most 2. Every sum is of whole numbers, and a row's
        numbers are computed element by element, so that they do not depend on the other rows.
    """
    offsets, columns = model.layout.offsets, len(shares)
    by_last: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        by_last.setdefault(candidate.sources[-1], []).append(candidate)
    width = model.layout.width
    sums = {last: np.zeros((len(own), width - offsets[last + 1])) for last, own in by_last.items()}
    weights, bias = model.weights.astype(np.float64), model.bias.astype(np.float64)
    with threadpool_limits(1, user_api="blas"):  # the products are too small to be shared out among threads
        for start in range(0, len(codes), PART_ROWS):
            part = np.asfortranarray(codes[start : start + PART_ROWS])
            residuals = _residuals(part, weights, bias, offsets)
            for last, candidates_of_last in by_last.items():
                values = np.empty((len(candidates_of_last), len(part)))
                for candidate, out in zip(candidates_of_last, values, strict=True):
                    candidate.values(part, out)
                if own is not None:  # rounded towards zero, so that a unit's add up to no more than one
                    np.trunc(values * own[start : start + PART_ROWS], out=values)
                sums[last] += values @ residuals[:, offsets[last + 1] :]
            report()
    spreads = np.concatenate([share * (1 - share) for share in shares])
    noise = np.add.reduceat(np.sqrt(2 / np.pi * rows * spreads), offsets[:-1]) / 2
    best: dict[Interaction, int] = {}
    for last, candidates_of_last in by_last.items():
        starts = offsets[last + 1 : -1] - offsets[last + 1]
        halves = np.add.reduceat(np.abs(sums[last]), starts, axis=1) / (2 * CANDIDATE_UNITS * RESIDUAL_UNITS)
        whole = np.rint(ROW_PARTS * halves).astype(np.int64)
        for candidate, scores in zip(candidates_of_last, whole, strict=True):
            chance = np.rint(parts * candidate.spread * noise[last + 1 :]).astype(np.int64)
            for target, score in zip(range(last + 1, columns), (scores - chance).tolist(), strict=True):
                key = Interaction(candidate.sources, target)
                best[key] = max(score, best.get(key, score))
    return list(best), np.array(list(best.values()), np.int64)


def _residuals(
    codes: NDArray[np.integer[Any]],
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    offsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Own cells less the model's chances, in whole numbers of 1 / `RESIDUAL_UNITS`, `[n, D]`.

    Chances are rounded down, and a column's add up to zero with the own cell's: the L1 norm is at most 2.
    """
    logits = np.tile(bias, (len(codes), 1))
    starts = offsets[:-1]
    cells = codes + starts
    for place, end in enumerate(offsets[1:]):
        logits[:, end:] += weights[cells[:, place], end:]
    for start, end in zip(starts, offsets[1:], strict=True):
        block = logits[:, start:end]
        block -= block.max(axis=1, keepdims=True)
        np.exp(block, out=block)
        block *= RESIDUAL_UNITS / block.sum(axis=1, keepdims=True)
    whole = np.nan_to_num(
        np.floor(logits, out=logits), copy=False, nan=0.0
    )  # a row that is not finite tells nothing
    totals = np.add.reduceat(whole, starts, axis=1)
    others = totals - np.take_along_axis(whole, cells, axis=1)
    np.negative(whole, out=whole)
    np.put_along_axis(whole, cells, others, axis=1)
    return whole


def _derived(
    interaction: Interaction,
    strength: float,
    reference: MeasuredReference,
    ordered_cells: Sequence[int],
    plan: RunPlan,
) -> Derived:
    """The derived feature of an interaction, with groups of cells that the signal can tell apart."""
    most = MANY_COMBINATIONS if plan.snr > MUCH_SIGNAL else COMBINATIONS
    common = {source: np.count_nonzero(reference.shares[source] > RARE) for source in interaction.sources}
    groups: dict[int, NDArray[np.int64]] = {}
    left = float(most)
    for done, source in enumerate(sorted(common, key=lambda place: int(common[place]))):
        wanted = max(2, math.floor(left ** (1 / (len(common) - done)) + 1e-9))
        groups[source] = grouped_cells(reference.shares[source], ordered_cells[source], wanted)
        left /= groups[source].max() + 1
    dependence = estimated_dependence(reference, plan.parents)
    pairs = dependence[kept_pairs(dependence, plan.parents)]
    scale = pair_strength(np.array([min(strength, 1.0)]), pairs, plan.pair_exponent)
    ordered = tuple(groups[source] for source in interaction.sources)
    return Derived(interaction.sources, ordered, interaction.target, float(scale[0]))


def _within(found: Sequence[Derived], cells: int) -> tuple[Derived, ...]:
    """As many as have together at most so many cells: the network would become slow."""
    kept: list[Derived] = []
    for feature in found:
        if sum(each.size for each in kept) + feature.size <= cells:
            kept.append(feature)
    return tuple(kept)
