"""Measures with noise which columns are never above another one."""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.numeric import NumericCodec, points_of
from jupyter_dpsynth.engine.model.plan import ORDERINGS
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.metadata.columns import ColumnMeta, DataFrameMeta
    from jupyter_dpsynth.privacy.releases import Releases
    from jupyter_dpsynth.sources.base import Source

__all__ = ["MAX_ORDERINGS", "comparable", "measure_orderings", "planned_orderings"]

MAX_ORDERINGS = 8  # pairs of columns that are compared
ORDERED_DEPENDENCE = 0.1  # columns that keep an order depend on each other
LARGEST_NOISE = 0.02  # of the rows; with more, an order that one row in ten breaks could be taken to hold
# Rows that seem to break an order that holds are noise: at most so many standard deviations and, where noise
# is large, so many of the rows. An order that holds is given up once in 4,300 tables; there once in 160.
MOST_AGAINST, MOST_AGAINST_SHARE = 3.5, 0.05


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
    source: Source,
    codec: TableCodec,
    dependence: NDArray[np.float64],
    releases: Releases,
    rows: float,
) -> tuple[tuple[str, str], ...]:
    """Pairs of column names (low, high) in which the first is never above the second.

    Args:
        source: The private table.
        codec: Codecs of its columns.
        dependence: Noisy dependence of each pair: only dependent columns are compared.
        releases: What is planned.
        rows: Noisy row count.

    Privacy:
        At most `MAX_ORDERINGS` histograms, one for each pair: below, equal, above.
    """
    planned = planned_orderings(codec.df_meta)
    if not planned:
        return ()
    allowance = releases.allowance(ORDERINGS, Fraction(1, planned))
    if allowance.noise > LARGEST_NOISE * rows:
        return ()
    found, most_against = [], min(MOST_AGAINST * allowance.noise, MOST_AGAINST_SHARE * rows)
    for first, second in _candidates(codec.columns, dependence):
        metas = first.meta, second.meta
        parts = source.map(functools.partial(_sides, metas=metas), [meta.name for meta in metas])
        exact = sum(parts, np.zeros(3, np.int64))
        below, equal, above = allowance.counts(exact)
        present = below + equal + above
        for low, high, against in ((first, second, above), (second, first, below)):
            if present > 0.1 * rows and against <= most_against:
                found.append((low.meta.name, high.meta.name))
                break
    return tuple(found)


def _sides(df: pd.DataFrame, metas: tuple[ContinuousMeta | DatetimeMeta, ...]) -> NDArray[np.int64]:
    """In how many rows of a part the first of two columns is below, equal to and above the second."""
    first, second = (_values(df[meta.name], meta) for meta in metas)
    sides = np.sign(first - second)
    return np.array([(sides == side).sum() for side in (-1, 0, 1)])


def _values(series: pd.Series, meta: ContinuousMeta | DatetimeMeta) -> NDArray[np.float64]:
    """Values as they are, or microseconds; NaN where missing."""
    return points_of(series, meta, 1.0 if isinstance(meta, DatetimeMeta) else 0.0)


def _candidates(
    columns: Sequence[object], dependence: NDArray[np.float64]
) -> list[tuple[NumericCodec, NumericCodec]]:
    """Comparable columns with overlapping values, the most dependent first."""
    pairs = []
    for i, j in itertools.combinations(range(len(columns)), 2):
        first, second = columns[i], columns[j]
        if not isinstance(first, NumericCodec) or not isinstance(second, NumericCodec):
            continue
        if not comparable(first.meta, second.meta) or dependence[i, j] < ORDERED_DEPENDENCE:
            continue
        (low, high), (other_low, other_high) = first.middle, second.middle
        if max(low, other_low) < min(high, other_high):
            pairs.append((dependence[i, j], i, j, first, second))
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return [(first, second) for _, _, _, first, second in pairs[:MAX_ORDERINGS]]
