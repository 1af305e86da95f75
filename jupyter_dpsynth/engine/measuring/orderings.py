"""Measures with noise which columns are never above another one."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.numeric import NumericCodec, points_of
from jupyter_dpsynth.engine.model.evidence import RARE_BREAKS, certainty
from jupyter_dpsynth.engine.model.plan import ORDERINGS
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.metadata.columns import ColumnMeta, DataFrameMeta
    from jupyter_dpsynth.privacy.releases import Allowance, Releases
    from jupyter_dpsynth.sources.base import Source

__all__ = ["MAX_ORDERINGS", "Orderings", "comparable", "measure_orderings", "planned_orderings"]

MAX_ORDERINGS = 8  # pairs of columns that are compared
ORDERED_DEPENDENCE = 0.1  # columns that keep an order depend on each other
FOUND = 2.0  # an order that no row breaks is missed once in 44 tables: so many standard deviations
NOISE_ONLY = 3.0  # rows that seem to break an order that holds: at most so many standard deviations
LEAST_PRESENT = 0.1  # of the rows have a value in both columns
SAME_SHARES = 4.0  # standard deviations by which shares may contradict an order that holds


@dataclass(frozen=True)
class Orderings:
    """What is known of the orders between columns.

    Attributes:
        kept: Pairs of names (low, high) in which the first is never above the second.
        untold: Pairs that may keep an order, which the noise does not tell.
    """

    kept: tuple[tuple[str, str], ...] = ()
    untold: tuple[tuple[str, str], ...] = ()


def comparable(first: ColumnMeta, second: ColumnMeta) -> bool:
    """Whether the values of two columns can be compared: they have the same kind and dtype."""
    if not isinstance(first, ContinuousMeta | DatetimeMeta) or type(first) is not type(second):
        return False
    return first.dtype == second.dtype != "object"


def planned_orderings(df_meta: DataFrameMeta) -> int:
    """How many pairs of columns are compared at most."""
    found = sum(comparable(*pair) for pair in itertools.combinations(df_meta.learned, 2))
    return min(found, MAX_ORDERINGS)


def measure_orderings(
    source: Source, codec: TableCodec, reference: MeasuredReference, releases: Releases
) -> Orderings:
    """Find the pairs of columns in which one is never above the other.

    An order is kept if a test rejects that `RARE_BREAKS` of the rows break it, and if those that seem to
    break it are no more than noise. Then imposing it moves no share of a cell beyond the noise. As many pairs
    are compared as can be told with the noise, the most dependent ones.

    Args:
        source: The private table.
        codec: Codecs of its columns.
        reference: The noisy measurements, which rule out most pairs for free.
        releases: What is planned.

    Privacy:
        At most `MAX_ORDERINGS` histograms, one for each pair: below, equal, above.
    """
    planned = planned_orderings(codec.df_meta)
    if not planned:
        return Orderings()
    candidates = _candidates(codec.columns, reference, planned)
    whole, sure = releases.allowance(ORDERINGS), certainty(2 * planned)
    compared = min(_tellable(whole, planned, sure, reference.rows), len(candidates))
    kept: list[tuple[str, str]] = []
    untold = [pair.names for pair in candidates[compared:]]
    for pair in candidates[:compared]:
        allowance = whole.part(Fraction(1, compared))
        metas = pair.first.meta, pair.second.meta
        parts = source.map(functools.partial(_sides, metas=metas), [meta.name for meta in metas])
        below, equal, above = allowance.counts(sum(parts, np.zeros(3, np.int64)))
        present = below + equal + above
        breaking = [(above, pair.names)] if pair.first_may_be_low else []
        breaking += [(below, pair.names[::-1])] if pair.second_may_be_low else []
        against, names = min(breaking)
        if against > NOISE_ONLY * allowance.noise or present < LEAST_PRESENT * reference.rows:
            continue
        told = against + sure * allowance.noise <= RARE_BREAKS * present
        (kept if told else untold).append(names)
    return Orderings(tuple(kept), tuple(untold))


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two columns that may keep an order.

    Attributes:
        first: Codec of the first column.
        second: Codec of the second one.
        first_may_be_low: Whether the measured shares allow that the first is never above the second.
        second_may_be_low: The reverse.
    """

    first: NumericCodec
    second: NumericCodec
    first_may_be_low: bool
    second_may_be_low: bool

    @property
    def names(self) -> tuple[str, str]:
        """Names of both columns."""
        return self.first.meta.name, self.second.meta.name


def _tellable(whole: Allowance, planned: int, sure: float, rows: float) -> int:
    """How many pairs can be compared so that an order which no row breaks is found."""
    for pairs in range(planned, 0, -1):
        noise = whole.part(Fraction(1, pairs)).noise
        if (sure + FOUND) * noise <= RARE_BREAKS * rows:
            return pairs
    return 0


def _sides(df: pd.DataFrame, metas: tuple[ContinuousMeta | DatetimeMeta, ...]) -> NDArray[np.int64]:
    """In how many rows of a part the first of two columns is below, equal to and above the second."""
    first, second = (_values(df[meta.name], meta) for meta in metas)
    sides = np.sign(first - second)
    return np.array([(sides == side).sum() for side in (-1, 0, 1)])


def _values(series: pd.Series, meta: ContinuousMeta | DatetimeMeta) -> NDArray[np.float64]:
    """Values as they are, or microseconds; NaN where missing."""
    return points_of(series, meta, 1.0 if isinstance(meta, DatetimeMeta) else 0.0)


def _candidates(columns: Sequence[object], reference: MeasuredReference, most: int) -> list[_Pair]:
    """Comparable columns whose measured shares allow an order, so many of the most dependent ones."""
    places = np.argwhere(np.triu(reference.dependence >= ORDERED_DEPENDENCE, 1))
    order = np.argsort(-reference.dependence[tuple(places.T)], kind="stable")
    pairs: list[_Pair] = []
    for i, j in places[order].tolist():
        first, second = columns[i], columns[j]
        if len(pairs) == most:
            break
        if not isinstance(first, NumericCodec) or not isinstance(second, NumericCodec):
            continue
        if not comparable(first.meta, second.meta):
            continue
        (low, high), (other_low, other_high) = first.middle, second.middle
        if max(low, other_low) >= min(high, other_high):
            continue
        upward = _may_be_low(first, second, (i, j), reference)
        downward = _may_be_low(second, first, (j, i), reference)
        if upward or downward:
            pairs.append(_Pair(first, second, upward, downward))
    return pairs


def _may_be_low(
    low: NumericCodec, high: NumericCodec, places: tuple[int, int], reference: MeasuredReference
) -> bool:
    """Whether the measured shares allow that one column is never above another, for free.

    If it is, then for every value at most as many rows reach it in the low column as in the high one, and
    those where the high one is missing.

    Args:
        low: Codec of the one.
        high: Codec of the other.
        places: Their places in the table.
        reference: The noisy measurements.
    """
    shares = [reference.shares[place] for place in places]
    variances = [reference.noise[place] ** 2 for place in places]
    from_low, from_high = (codec.bin_starts() for codec in (low, high))
    from_low[0] = -np.inf
    for starts in (from_low[1:], from_high[1:]):
        # bins in which every value reaches a start, and bins in which one may reach it
        reaching = from_low[:, None] >= starts
        may_reach = np.append(from_high[1:], np.inf)[:, None] > starts
        missing = shares[1][len(from_high) :].sum()
        surplus = shares[0][: len(from_low)] @ reaching - shares[1][: len(from_high)] @ may_reach - missing
        noise = np.sqrt(variances[0][: len(from_low)] @ reaching + variances[1][: len(from_high)] @ may_reach)
        floors = (len(shares[0]) + len(shares[1])) / reference.rows  # empty cells count as part of a row
        if (surplus > SAME_SHARES * noise + floors).any():
            return False
    return True
