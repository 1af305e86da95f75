"""Measures with noise which columns are never above another one."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.numeric import NumericCodec, points_of
from jupyter_dpsynth.engine.model.evidence import RARE_BREAKS, certainty
from jupyter_dpsynth.engine.model.plan import ORDERINGS
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.metadata.orders import comparable, line_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.metadata.columns import ColumnMeta, DataFrameMeta
    from jupyter_dpsynth.privacy.releases import Allowance, Releases
    from jupyter_dpsynth.sources.base import Source

__all__ = [
    "MAX_ORDERINGS",
    "MeasuredColumn",
    "Orderings",
    "check_orders",
    "is_moment",
    "may_be_low",
    "measure_orderings",
    "planned_differences",
    "planned_orderings",
    "tellable",
]

WHOLE = Fraction(1)
MAX_ORDERINGS = 8  # pairs of columns that are compared
MAX_DIFFERENCES = 3  # columns that are learned as the time since another one, or until it
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
        tested: Whether any pair was tested, so that what is planned for that is used up.
    """

    kept: tuple[tuple[str, str], ...] = ()
    untold: tuple[tuple[str, str], ...] = ()
    tested: bool = False


@dataclass(frozen=True, eq=False)
class MeasuredColumn:
    """A column's codec, and the noisy shares of its cells.

    Attributes:
        codec: The codec.
        shares: Share of each cell, `[cells]`.
        noise: Standard deviation of each share's noise, `[cells]`.
    """

    codec: NumericCodec
    shares: NDArray[np.float64]
    noise: NDArray[np.float64]

    @property
    def name(self) -> str:
        """The column's name."""
        return self.codec.meta.name


def is_moment(meta: ColumnMeta) -> bool:
    """Whether a column holds points in time."""
    return isinstance(meta, DatetimeMeta) and not meta.is_duration


def planned_orderings(df_meta: DataFrameMeta) -> int:
    """How many pairs of columns that are no points in time are compared at most."""
    pairs = itertools.combinations((meta for meta in df_meta.learned if not is_moment(meta)), 2)
    return min(sum(comparable(*pair) for pair in pairs), MAX_ORDERINGS)


def planned_differences(df_meta: DataFrameMeta) -> int:
    """How many columns of points in time may be learned as the time between them and another one."""
    lines = Counter(line_of(meta) for meta in df_meta.learned if is_moment(meta) and comparable(meta, meta))
    return min(sum(count - 1 for count in lines.values()), MAX_DIFFERENCES)


def measure_orderings(
    source: Source,
    codec: TableCodec,
    reference: MeasuredReference,
    weights: RowWeights,
    releases: Releases,
    share: Fraction = WHOLE,
) -> Orderings:
    """Find the pairs of columns in which one is never above the other; not of points in time.

    An order is kept if a test rejects that `RARE_BREAKS` of the rows break it, and if those that seem to
    break it are no more than noise. Then imposing it moves no share of a cell beyond the noise. As many pairs
    are compared as can be told with the noise, the most dependent ones.

    Args:
        source: The private table.
        codec: Codecs of its columns.
        reference: The noisy measurements, which rule out most pairs for free.
        weights: How much each row counts.
        releases: What is planned.
        share: Of what is planned for orders, which the tests of formulas may have used a part of.

    Privacy:
        At most `MAX_ORDERINGS` histograms, one for each pair.
    """
    planned = planned_orderings(codec.df_meta)
    if not planned:
        return Orderings()
    measured = {
        place: MeasuredColumn(column, reference.shares[place], reference.noise[place])
        for place, column in enumerate(codec.columns)
        if isinstance(column, NumericCodec) and not is_moment(column.meta)
    }
    places = np.argwhere(np.triu(reference.dependence >= ORDERED_DEPENDENCE, 1))
    order = np.argsort(-reference.dependence[tuple(places.T)], kind="stable")
    related = [(i, j) for i, j in places[order].tolist() if i in measured and j in measured]
    told = {frozenset(pair) for pair in codec.df_meta.orders}
    found = (
        _pair(measured[i], measured[j], reference.rows)
        for i, j in related
        if frozenset((measured[i].name, measured[j].name)) not in told
    )
    candidates = list(itertools.islice((pair for pair in found if pair is not None), planned))
    # which pairs these are follows from other noise; each is tested in both directions
    return _tested(
        source, candidates, weights, releases.allowance(ORDERINGS, share), reference.rows, 2 * planned
    )


def check_orders(
    source: Source,
    pairs: Sequence[tuple[MeasuredColumn, MeasuredColumn]],
    weights: RowWeights,
    allowance: Allowance,
    rows: float,
) -> Orderings:
    """Test pairs (low, high) of points in time of which the first one seems never to be above the second.

    Args:
        source: The private table.
        pairs: The pairs, those first that matter most: as many are tested as can be told with the noise.
        weights: How much each row counts.
        allowance: For all of them.
        rows: Noisy number of rows.

    Privacy:
        One histogram for each pair that is tested.
    """
    candidates = [
        _Pair(low.codec.meta, high.codec.meta, first_may_be_low=True, second_may_be_low=False)
        for low, high in pairs
    ]
    return _tested(source, candidates, weights, allowance, rows)


def _tested(
    source: Source,
    candidates: Sequence[_Pair],
    weights: RowWeights,
    whole: Allowance,
    rows: float,
    tests: int | None = None,
) -> Orderings:
    """What the noisy counts of below, equal and above say of some pairs.

    Args:
        source: The private table.
        candidates: The pairs, the likeliest first.
        weights: How much each row counts.
        whole: For all of them.
        rows: Noisy number of rows.
        tests: How many tests are made at most; by default one for each pair.
    """
    compared = tellable(whole, len(candidates), tests, RARE_BREAKS * rows)
    kept: list[tuple[str, str]] = []
    untold = [pair.names for pair in candidates[compared:]]
    sure = certainty(tests or compared)
    for pair in candidates[:compared]:
        allowance = whole.part(Fraction(1, compared))
        sides = functools.partial(_sides, metas=(pair.first, pair.second))
        below, equal, above, missing = weights.release(source, sides, list(pair.names), 4, allowance)
        present = below + equal + above
        breaking = [(above, pair.names)] if pair.first_may_be_low else []
        breaking += [(below, pair.names[::-1])] if pair.second_may_be_low else []
        against, names = min(breaking)
        if present < LEAST_PRESENT * (present + missing):
            continue
        if against <= NOISE_ONLY * allowance.noise:
            most = against + sure * allowance.noise
            (kept if most <= RARE_BREAKS * present else untold).append(names)
    return Orderings(tuple(kept), tuple(untold), compared > 0)


@dataclass(frozen=True)
class _Pair:
    """Two columns that may keep an order.

    Attributes:
        first: Metadata of the first column.
        second: Of the second one.
        first_may_be_low: Whether the measured shares allow that the first is never above the second.
        second_may_be_low: The reverse.
    """

    first: ContinuousMeta | DatetimeMeta
    second: ContinuousMeta | DatetimeMeta
    first_may_be_low: bool
    second_may_be_low: bool

    @property
    def names(self) -> tuple[str, str]:
        """Names of both columns."""
        return self.first.name, self.second.name


def tellable(whole: Allowance, planned: int, tests: int | None, breaks: float) -> int:
    """How many pairs can be compared so that an order which no row breaks is told from one that many do.

    Args:
        whole: For all pairs.
        planned: How many pairs there are.
        tests: How many tests are made; by default one for each pair that is compared.
        breaks: Rows that break an order, at least, if it is to be rejected.
    """
    for pairs in range(planned, 0, -1):
        noise = whole.part(Fraction(1, pairs)).noise
        if (certainty(tests or pairs) + FOUND) * noise <= breaks:
            return pairs
    return 0


def _sides(df: pd.DataFrame, metas: tuple[ContinuousMeta | DatetimeMeta, ...]) -> NDArray[np.integer[Any]]:
    """Of each row of a part whether the first column is below (0), equal to (1) or above (2) the second.

    3 where one of both is missing.
    """
    first, second = (_values(df[meta.name], meta) for meta in metas)
    sides = np.sign(first - second)
    return np.where(np.isnan(sides), 3, np.nan_to_num(sides) + 1).astype(np.intp)


def _values(series: pd.Series, meta: ContinuousMeta | DatetimeMeta) -> NDArray[np.float64]:
    """Values as they are, or microseconds; NaN where missing."""
    return points_of(series, meta, 1.0 if isinstance(meta, DatetimeMeta) else 0.0)


def _pair(first: MeasuredColumn, second: MeasuredColumn, rows: float) -> _Pair | None:
    """Two columns, if they are comparable and their measured shares allow an order."""
    if not comparable(first.codec.meta, second.codec.meta):
        return None
    (low, high), (other_low, other_high) = first.codec.middle, second.codec.middle
    if max(low, other_low) >= min(high, other_high):
        return None
    upward, downward = may_be_low(first, second, rows), may_be_low(second, first, rows)
    return _Pair(first.codec.meta, second.codec.meta, upward, downward) if upward or downward else None


def may_be_low(low: MeasuredColumn, high: MeasuredColumn, rows: float) -> bool:
    """Whether the measured shares allow that one column is never above another, for free.

    If it is, then for every value at most as many rows reach it in the low column as in the high one, and
    those where the high one is missing.
    """
    shares, variances = [low.shares, high.shares], [low.noise**2, high.noise**2]
    from_low, from_high = low.codec.bin_starts(), high.codec.bin_starts()
    from_low[0] = -np.inf
    for starts in (from_low[1:], from_high[1:]):
        # bins in which every value reaches a start, and bins in which one may reach it
        reaching = from_low[:, None] >= starts
        may_reach = np.append(from_high[1:], np.inf)[:, None] > starts
        missing = shares[1][len(from_high) :].sum()
        surplus = shares[0][: len(from_low)] @ reaching - shares[1][: len(from_high)] @ may_reach - missing
        noise = np.sqrt(variances[0][: len(from_low)] @ reaching + variances[1][: len(from_high)] @ may_reach)
        floors = (len(shares[0]) + len(shares[1])) / rows  # empty cells count as part of a row
        if (surplus > SAME_SHARES * noise + floors).any():
            return False
    return True
