"""Which interactions of three and four columns are looked for, and by which functions of their sources.

An interaction shows in the rows' residuals: what the target's cells have beside what the model expects of
them. A candidate, a function of two or three columns with values in [-1, 1], is correlated with them. Of two
columns it is a product of one contrast of each, less its additive part: what a sum of a function of each
could tell, the model learns from pairs. Everything here follows from the model, noisy shares and public
figures.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.model.features import FEW_CELLS, RARE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["CANDIDATE_UNITS", "Candidate", "candidates_of"]

CANDIDATE_UNITS = 2**15
LARGEST_CANDIDATE = CANDIDATE_UNITS - 2**7  # so that a row's score stays at most 1 when it is rounded
CONTRAST_UNITS = 2**5  # three of which multiply to a candidate's
MOST_SETS = 1200  # candidates at most, of which half may be of two columns: their time is that of some steps
LEAST_SPREAD = 0.1  # root mean square of a candidate: below it next to nothing can be seen
UNRELATED = 0.1  # correlation below which the contrasts of three columns are multiplied as they are
TAIL = 4.0  # root mean squares above which a candidate is cut
BACKFITTING_ROUNDS = 8


@dataclass(frozen=True, eq=False)
class Candidate:
    """A function of two or three columns.

    Attributes:
        sources: Places of the columns, increasing.
        factors: Its value is the product of theirs, in whole numbers of 1 / `CANDIDATE_UNITS` in [-1, 1]: one
            table `[cells, cells]` of two columns, or one `[cells]` of each of three.
        spread: Root mean square in rows of the model.
    """

    sources: tuple[int, ...]
    factors: tuple[NDArray[np.float64], ...]
    spread: float

    def values(self, codes: NDArray[np.integer[Any]], out: NDArray[np.float64]) -> None:
        """Its value in each row, in whole numbers.

        Args:
            codes: Codes `[n, m]`, each column's in one piece of memory.
            out: Where to put them, float64 `[n]`.
        """
        if len(self.factors) == 1:
            first, second = (codes[:, source] for source in self.sources)
            table = self.factors[0]
            np.take(table, first.astype(np.intp) * table.shape[1] + second, out=out)
            return
        np.take(self.factors[0], codes[:, self.sources[0]], out=out)
        for factor, source in zip(self.factors[1:], self.sources[1:], strict=True):
            out *= factor[codes[:, source]]


def candidates_of(
    shares: Sequence[NDArray[np.float64]],
    ordered_cells: Sequence[int],
    made: NDArray[np.integer[Any]],
    generator: np.random.Generator,
) -> list[Candidate]:
    """The candidates that are looked at: all of small tables, a random part of them of wide ones.

    Args:
        shares: Noisy share of each cell of each column.
        ordered_cells: How many leading cells of each column are neighbours on a line.
        made: Rows that were drawn from the model, codes `[rows, m]`.
        generator: Chooses where there are too many; it does not concern privacy.

    Privacy:
        Post-processing of the model and of measurements.
    """
    contrasts = [_contrasts(*column) for column in zip(shares, ordered_cells, strict=True)]
    columns = range(len(shares) - 1)  # the last one is no source
    pairs = _some(list(itertools.combinations(columns, 2)), MOST_SETS // 2, generator)
    found = list(_candidates_of_pairs(pairs, shares, contrasts, made))
    triples = _triples(len(columns), MOST_SETS - len(found), generator)
    return found + list(_candidates_of_triples(triples, contrasts, made))


def _triples(columns: int, most: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    """All sets of three columns, or so many random ones."""
    if math.comb(columns, 3) <= most:
        return list(itertools.combinations(range(columns), 3))
    found: set[tuple[int, ...]] = set()
    while len(found) < most:
        found.add(tuple(sorted(generator.choice(columns, 3, replace=False).tolist())))
    return sorted(found)


def _some(every: Sequence[Any], most: int, generator: np.random.Generator) -> list[Any]:
    """All, or a random part of them, in their order."""
    if len(every) <= most:
        return list(every)
    return [every[place] for place in sorted(generator.choice(len(every), most, replace=False).tolist())]


def _contrasts(share: NDArray[np.float64], ordered: int) -> list[NDArray[np.float64]]:
    """One or two functions of a column's cells, of mean 0 and with 1 as the largest absolute value.

    On a line they are the rank, and its square; of names the likeliest against the rest, and the second.
    """
    if ordered > FEW_CELLS:
        line = share[:ordered]
        rank = np.zeros(len(share))
        rank[:ordered] = 2 * (np.cumsum(line) - line / 2) / max(line.sum(), 1e-9) - 1
        found = [rank, 1.5 * rank**2 - 0.5]
    else:
        two_only = np.count_nonzero(share > RARE) <= 2
        likeliest = np.argsort(-share, kind="stable")[: 1 if two_only else 2]
        found = list(np.eye(len(share))[likeliest])
    centred = [each - share @ each for each in found]
    return [each / max(float(np.abs(each).max()), 1e-9) for each in centred]


def _candidates_of_pairs(
    pairs: Sequence[tuple[int, int]],
    shares: Sequence[NDArray[np.float64]],
    contrasts: Sequence[Sequence[NDArray[np.float64]]],
    made: NDArray[np.integer[Any]],
) -> Iterator[Candidate]:
    """Candidates of two columns: one or two contrasts of each, as many as there is room for."""
    every = sum(len(contrasts[first]) * len(contrasts[second]) for first, second in pairs)
    most = 2 if every <= MOST_SETS // 2 else 1
    for first, second in pairs:
        shape = len(shares[first]), len(shares[second])
        keys = made[:, first].astype(np.intp) * shape[1] + made[:, second]
        counts = np.bincount(keys, minlength=shape[0] * shape[1]).reshape(shape)
        weights = counts + np.outer(shares[first], shares[second])
        for one, other in itertools.product(contrasts[first][:most], contrasts[second][:most]):
            candidate, spread = _without_additive(np.outer(one, other), weights)
            if spread > LEAST_SPREAD:
                yield Candidate((first, second), (np.rint(LARGEST_CANDIDATE * candidate),), spread)


def _without_additive(
    candidate: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """A candidate `[cells, cells]` less its best additive fit, within [-1, 1], and its root mean square."""
    rows, columns = weights.sum(axis=1) + 1e-9, weights.sum(axis=0) + 1e-9
    for _ in range(BACKFITTING_ROUNDS):
        candidate = candidate - ((candidate * weights).sum(axis=1) / rows)[:, None]
        candidate = candidate - (candidate * weights).sum(axis=0) / columns
    spread = float(np.sqrt((candidate**2 * weights).sum() / weights.sum()))
    largest = max(min(TAIL * spread, float(np.abs(candidate).max())), 1e-9)
    return np.clip(candidate / largest, -1, 1), spread / largest


def _candidates_of_triples(
    triples: Sequence[tuple[int, ...]],
    contrasts: Sequence[Sequence[NDArray[np.float64]]],
    made: NDArray[np.integer[Any]],
) -> Iterator[Candidate]:
    """Candidates of three columns that are nearly unrelated: products of their first contrasts."""
    whole = [np.trunc((CONTRAST_UNITS - 1) * own[0]) for own in contrasts]
    values = np.stack([each[made[:, place]] for place, each in enumerate(whole)]) / CONTRAST_UNITS
    deviations = values.std(axis=1)
    standard = (values - values.mean(axis=1, keepdims=True)) / np.maximum(deviations, 1e-9)[:, None]
    related = np.abs(standard @ standard.T / values.shape[1])
    for sources in triples:
        most = max(related[first, second] for first, second in itertools.combinations(sources, 2))
        spread = float(np.prod(deviations[list(sources)]))
        if most < UNRELATED and spread > LEAST_SPREAD:
            yield Candidate(sources, tuple(whole[source] for source in sources), spread)
