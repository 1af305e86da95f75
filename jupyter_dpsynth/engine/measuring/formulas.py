"""Finds columns of numbers that follow from two others: sums, and whole units of time between two dates."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.encoding.difference import DifferenceCodec
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.measuring.orderings import (
    LEAST_PRESENT,
    NOISE_ONLY,
    ORDERED_DEPENDENCE,
    is_moment,
    planned_orderings,
    tellable,
)
from jupyter_dpsynth.engine.model.evidence import RARE_BREAKS, certainty
from jupyter_dpsynth.engine.model.plan import ORDERINGS
from jupyter_dpsynth.metadata.columns import ContinuousMeta
from jupyter_dpsynth.metadata.formulas import MICROSECONDS, Formula, in_order, written
from jupyter_dpsynth.sources.values import number_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.metadata.columns import ColumnMeta, DataFrameMeta
    from jupyter_dpsynth.privacy.releases import Releases
    from jupyter_dpsynth.sources.base import Source

__all__ = ["MAX_FORMULAS", "Formulas", "agree_with_orders", "measure_formulas", "planned_formulas"]

MAX_FORMULAS = 4  # that are tested
MOST_COLUMNS = 40  # of numbers, and as many of dates, among which they are looked for
PART = Fraction(1, 3)  # of what is planned for orders and formulas, if both are
FAR = 0.25  # standard deviations between the mean of a column and that of its formula, beside noise
SURE = 4.0  # standard deviations of the noise of means
SMALLEST_PART = 0.02  # of the spread of a sum: what is smaller hardly matters
SPREADS = 1.3  # times: so much further spreads may be from each other than they could be without noise
EXACT = 1e-9  # of a value: the error of sums of decimal fractions is less
LENGTHS = MICROSECONDS | {"months": 2_629_746_000_000, "years": 31_556_952_000_000}  # on average


@dataclass(frozen=True)
class Formulas:
    """What is known of columns that follow from others.

    Attributes:
        kept: Columns with their formulas as text, each behind those that it follows from.
        untold: The same of formulas that may hold, which the noise does not tell.
        used: Share of what is planned for orders and formulas that the tests took.
    """

    kept: tuple[tuple[str, str], ...] = ()
    untold: tuple[tuple[str, str], ...] = ()
    used: Fraction = Fraction(0)


def planned_formulas(df_meta: DataFrameMeta) -> int:
    """How many formulas are tested at most."""
    numbers = sum(isinstance(meta, ContinuousMeta) for meta in df_meta.learned)
    moments = sum(is_moment(meta) for meta in df_meta.learned)
    return MAX_FORMULAS if numbers > 2 or (numbers and moments > 1) else 0


def measure_formulas(
    source: Source,
    codec: TableCodec,
    reference: MeasuredReference,
    weights: RowWeights,
    releases: Releases,
) -> Formulas:
    """Find columns that are the sum of two others, or count whole units of time between two dates.

    Which ones are tested follows from noisy means, spreads and dependences. A formula is kept if a test
    rejects that `RARE_BREAKS` of the rows break it, up to rounding, and if those that seem to break it are no
    more than noise.

    Args:
        source: The private table.
        codec: Codecs of its columns.
        reference: The noisy measurements.
        weights: How much each row counts.
        releases: What is planned.

    Privacy:
        One histogram of three cells for each of at most `MAX_FORMULAS` formulas; a privacy unit changes each
        by what its rows count. What they do not use is left to orders.
    """
    if not planned_formulas(codec.df_meta):
        return Formulas()
    candidates = _candidates(codec, reference)[:MAX_FORMULAS]
    if not candidates:
        return Formulas()
    part = PART if planned_orderings(codec.df_meta) else Fraction(1)
    whole = releases.allowance(ORDERINGS, part)
    tested = tellable(whole, len(candidates), MAX_FORMULAS, RARE_BREAKS * reference.rows)
    untold = [(name, written(formula)) for name, formula in candidates[tested:]]
    kept: dict[str, str] = {}
    for name, formula in candidates[:tested]:
        allowance = whole.part(Fraction(1, tested))
        columns = [codec.df_meta[each] for each in (name, *formula.columns)]
        place = codec.columns[codec.names.index(name)]
        if not isinstance(place, NumericCodec):
            raise TypeError
        cells = functools.partial(_cells, metas=columns, formula=formula, step=place.resolution)
        holds, breaks, missing = weights.release(
            source, cells, list(dict.fromkeys(meta.name for meta in columns)), 3, allowance
        )
        present = holds + breaks
        if present < LEAST_PRESENT * (present + missing) or breaks > NOISE_ONLY * allowance.noise:
            continue
        if breaks + certainty(MAX_FORMULAS) * allowance.noise <= RARE_BREAKS * present:
            kept.setdefault(name, written(formula))
        else:
            untold.append((name, written(formula)))
    ordered = tuple((name, written(formula)) for name, formula in in_order(kept))
    return Formulas(ordered, tuple(untold), part if tested else Fraction(0))


def _cells(
    df: pd.DataFrame, metas: Sequence[ColumnMeta], formula: Formula, step: float
) -> NDArray[np.integer[Any]]:
    """Of each row of a part whether a formula holds (0), is broken (1), or lacks a value (2).

    Args:
        df: The part.
        metas: Metadata of the column that may follow from others, and of these.
        formula: How it may follow.
        step: In which the column is recorded.
    """
    present = pd.DataFrame({meta.name: meta.present(df[meta.name]) for meta in metas})
    own, made = number_values(present[metas[0].name]), formula.values(present)
    away = np.abs(own - made)
    limit = EXACT * np.abs(own) + (0.0 if formula.unit else 0.5 * step * (1 + EXACT))
    return np.where(np.isnan(away), 2, ~(away <= limit)).astype(np.intp)


@dataclass(frozen=True)
class _Spread:
    """Noisy mean and standard deviation of a column, and the standard deviation of the mean's noise."""

    mean: float
    deviation: float
    noise: float


def _spread(codec: NumericCodec, shares: NDArray[np.float64], noise: NDArray[np.float64]) -> _Spread:
    bins = len(codec.first_leaf)
    middle = (codec.starts + codec.ends) / 2 - (0.5 if codec.resolution > 0 else 0.0)
    weight = np.add.reduceat(codec.weights, codec.first_leaf)
    points = np.add.reduceat(codec.weights * middle, codec.first_leaf) / weight * (codec.resolution or 1.0)
    share = shares[:bins] / max(float(shares[:bins].sum()), EXACT)
    mean = float(share @ points)
    away = points - mean
    with np.errstate(over="ignore"):  # of numbers that are too large to be squared no sum is looked for
        return _Spread(mean, float(np.sqrt(share @ away**2)), float(np.sqrt(noise[:bins] ** 2 @ away**2)))


def _candidates(codec: TableCodec, reference: MeasuredReference) -> list[tuple[str, Formula]]:
    """Formulas that noisy measurements allow, the likeliest first."""
    numbers, moments = {}, {}
    for place, column in enumerate(codec.columns):
        own = reference.shares[place], reference.noise[place]
        if isinstance(column, NumericCodec) and isinstance(column.meta, ContinuousMeta):
            numbers[place] = _spread(column, *own)
        elif isinstance(column, NumericCodec) and is_moment(column.meta):
            moments[place] = _spread(column, *own)
    for _ in codec.columns:  # a base may be a difference itself
        for place, column in enumerate(codec.columns):
            if isinstance(column, DifferenceCodec) and codec.names.index(column.base) in moments:
                length = _spread(column.difference, reference.shares[place], reference.noise[place])
                base, sign = moments[codec.names.index(column.base)], 1 if column.later else -1
                moments[place] = _Spread(base.mean + sign * length.mean, length.deviation, length.noise)
    numbers = {place: own for place, own in numbers.items() if 0 < own.deviation < np.inf}
    numbers, moments = (dict(list(found.items())[:MOST_COLUMNS]) for found in (numbers, moments))
    related = reference.dependence + reference.dependence.T
    every = itertools.chain(_sums(codec, numbers, related), _times(codec, numbers, moments, related))
    return [found for _, found in sorted(every, key=lambda each: each[0])]


def _sums(
    codec: TableCodec, numbers: dict[int, _Spread], related: NDArray[np.float64]
) -> Iterator[tuple[float, tuple[str, Formula]]]:
    """Sums of two columns, each with how unlikely it is."""
    for one, two in itertools.combinations(numbers, 2):
        first, second = numbers[one], numbers[two]
        most = (first.deviation + second.deviation) * SPREADS
        least = abs(first.deviation - second.deviation) / SPREADS
        for place, own in numbers.items():
            if place in (one, two) or not least <= own.deviation <= most:
                continue
            if min(first.deviation, second.deviation) < SMALLEST_PART * own.deviation:
                continue
            tied = related[place, [one, two]]
            noise = np.sqrt(own.noise**2 + first.noise**2 + second.noise**2)
            away = abs(own.mean - first.mean - second.mean)
            if tied.max() >= ORDERED_DEPENDENCE and away <= FAR * own.deviation + SURE * noise:
                formula = Formula((codec.names[one], codec.names[two]))
                yield float(away / own.deviation / tied.sum()), (codec.names[place], formula)


def _times(
    codec: TableCodec,
    numbers: dict[int, _Spread],
    moments: dict[int, _Spread],
    related: NDArray[np.float64],
) -> Iterator[tuple[float, tuple[str, Formula]]]:
    """Whole units of time between two dates, each with how unlikely it is."""
    for since, until in itertools.permutations(moments, 2):
        length = moments[until].mean - moments[since].mean
        noise = np.hypot(moments[until].noise, moments[since].noise)
        for place, own in numbers.items():
            column, tied = codec.columns[place], related[place, [since, until]]
            whole = isinstance(column, NumericCodec) and column.resolution >= 1
            if not whole or tied.max() < ORDERED_DEPENDENCE or not own.deviation:
                continue
            away, unit = min((abs(own.mean + 0.5 - length / size), unit) for unit, size in LENGTHS.items())
            if away <= FAR * own.deviation + SURE * np.hypot(own.noise, noise / LENGTHS[unit]):
                formula = Formula((codec.names[until],), (codec.names[since],), unit)
                yield float(away / own.deviation / tied.sum()), (codec.names[place], formula)


def agree_with_orders(name: str, text: str, orders: Sequence[tuple[str, str]], codec: TableCodec) -> bool:
    """Whether no order can be broken by computing a column.

    That is so if it is part of none, or the sum of a column that it is never below and of one that is never
    negative.

    Args:
        name: The column.
        text: Its formula.
        orders: Pairs (low, high).
        codec: Codecs of the columns.
    """
    (formula,) = (each for _, each in in_order({name: text}))
    for low, high in orders:
        if name not in (low, high):
            continue
        others = [part for part in formula.added if part != low]
        rest = codec.columns[codec.names.index(others[0])] if len(others) == 1 else None
        negative = not isinstance(rest, NumericCodec) or rest.starts[0] < 0
        if low == name or formula.unit or len(formula.added) < 2 or negative:
            return False
    return True
