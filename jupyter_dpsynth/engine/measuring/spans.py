"""Finds, with noise, which points in time of a row lie close to each other, and which comes first.

One histogram for each pair of columns counts rows by the sign of the time between them and by how long it is,
relative to the range of the columns. It decides which differences are worth a measurement of their own, and
which orders are worth a test.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.difference import differences
from jupyter_dpsynth.engine.measuring.orderings import MeasuredColumn, is_moment
from jupyter_dpsynth.metadata.columns import DatetimeMeta
from jupyter_dpsynth.metadata.orders import comparable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.privacy.releases import Allowance
    from jupyter_dpsynth.sources.base import Source

__all__ = ["MAX_SPANS", "Span", "measure_spans", "planned_spans"]

MAX_SPANS = 10  # pairs of points in time that are compared
# Up to these parts of the narrower column's range lengths are told apart; longer ones are one more class.
CLASSES = (1 / 512, 1 / 128, 1 / 32, 1 / 8, 1 / 2)
SIGN = len(CLASSES) + 1
# Cells: the second column first, longest lengths first; both equal; the first one first; one of both missing
EQUAL, MISSING, CELLS = SIGN, 2 * SIGN + 1, 2 * SIGN + 2
SURE = 2.0  # standard deviations: a wrong choice costs a measurement, and claims nothing
LIKELY = 1.0  # the same of what breaks an order, beside `FEW_BREAKS`
CLOSE = 0.75  # of the rows that have both at least, if a length is to count as how far they are apart
FEW_BREAKS = 0.1  # of the rows: if fewer break an order, one of both may be learned as the time between them


@dataclass(frozen=True)
class Span:
    """What the noise lets see of the time between two columns.

    Attributes:
        early: The column that mostly comes first.
        late: The other one.
        breaks: Noisy share in which the late one comes first, of the rows that have both.
        noise: Standard deviation of it.
        width: How wide the time between them is at most, relative to the narrower column; 1 if that is not
            less, or not known.
        length: How long it is on average, as the place of its class.
        declared: Whether the early one is declared to be never after the late one.
    """

    early: str
    late: str
    breaks: float
    noise: float
    width: float
    length: float
    declared: bool = False

    @property
    def one_sided(self) -> bool:
        """Whether few rows, or none, have them the other way round."""
        return self.declared or self.breaks + LIKELY * self.noise <= FEW_BREAKS

    @property
    def may_be_order(self) -> bool:
        """Whether what breaks the order may be noise alone."""
        return self.breaks <= SURE * self.noise


def planned_spans(df_meta: DataFrameMeta) -> int:
    """How many pairs of points in time are compared at most."""
    return min(len(_pairs([meta for meta in df_meta.learned if is_moment(meta)])), MAX_SPANS)


def _pairs(metas: Sequence[Any]) -> list[tuple[Any, Any]]:
    return [pair for pair in itertools.combinations(metas, 2) if comparable(*pair)]


def measure_spans(
    source: Source,
    columns: Sequence[MeasuredColumn],
    orders: Collection[tuple[str, str]],
    weights: RowWeights,
    allowance: Allowance,
) -> list[Span]:
    """What can be seen of each pair of points in time, the closest ones first.

    Args:
        source: The private table.
        columns: What is known of the columns of points in time.
        orders: Pairs of which the first is declared to be never after the second.
        weights: How much each row counts.
        allowance: For all pairs.

    Privacy:
        One histogram for each of at most `MAX_SPANS` pairs.
    """
    by_name = {column.name: column for column in columns}
    pairs = [
        (one.name, other.name)
        for one, other in itertools.combinations(columns, 2)
        if comparable(one.codec.meta, other.codec.meta)
    ]
    pairs.sort(key=lambda pair: abs(by_name[pair[0]].codec.median - by_name[pair[1]].codec.median))
    pairs = pairs[:MAX_SPANS]
    spans, share = [], Fraction(1, max(len(pairs), 1))
    for names in pairs:
        codecs = [by_name[name].codec for name in names]
        metas = tuple(codec.meta for codec in codecs if isinstance(codec.meta, DatetimeMeta))
        width = min(high - low for low, high in (codec.middle for codec in codecs))
        classify = functools.partial(_classes, metas=metas, width=max(width, 1.0))
        part = allowance.part(share)
        noisy = weights.release(source, classify, list(names), CELLS, part)
        declared = next((pair for pair in (names, names[::-1]) if pair in orders), None)
        span = _span(names, noisy, part.noise)
        if declared is not None:
            span = replace(span, early=declared[0], late=declared[1], declared=True)
        spans.append(span)
    return sorted(spans, key=lambda span: span.length)


def _classes(df: pd.DataFrame, metas: tuple[DatetimeMeta, ...], width: float) -> NDArray[np.integer[Any]]:
    """The cell of each row of a part, `[n]`."""
    first, second = metas
    lengths, missing = differences(df[second.name], second, df[first.name], first, later=True)
    length = 1 + np.searchsorted(width * np.array(CLASSES), np.abs(lengths))
    cells = EQUAL + np.sign(lengths) * length
    return np.where(missing, MISSING, cells)


def _span(names: tuple[str, str], noisy: NDArray[np.float64], noise: float) -> Span:
    """What a noisy histogram says."""
    early, late = names
    line = noisy[:MISSING]
    if line[EQUAL + 1 :].sum() < line[:EQUAL].sum():
        early, late, line = late, early, line[::-1]
    present = max(float(line.sum()), 1.0)
    against = float(line[:EQUAL].sum())
    of_sum = noise * np.sqrt(SIGN)
    width, two_sided = 1.0, against > SURE * of_sum
    for place, part in enumerate(CLASSES, 1):
        inside = line[EQUAL - place : EQUAL + place + 1]
        if inside.sum() - SURE * noise * np.sqrt(len(inside)) >= CLOSE * present:
            width = min(2 * part if two_sided else part, 1.0)
            break
    length = float(line @ np.abs(np.arange(MISSING) - EQUAL)) / present
    return Span(early, late, against / present, float(of_sum / present), width, length)
