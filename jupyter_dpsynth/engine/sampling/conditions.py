"""Turns conditions into the share of each cell that they allow, and a codec for the allowed values.

A condition is a value, None (missing), a list of values, or for numbers and times a range (low, high), both
ends included and None where it is open. It is a public statement of whoever makes it. A column that is
learned as the time since another one has no cells of its own values: rows outside a range are drawn again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.difference import DifferenceCodec
from jupyter_dpsynth.encoding.numeric import NumericCodec, in_steps, points_of
from jupyter_dpsynth.errors import ConfigError, did_you_mean, shown
from jupyter_dpsynth.metadata.columns import DatetimeMeta
from jupyter_dpsynth.sources.dtypes import dtype_of, zone_of
from jupyter_dpsynth.sources.letters import letters_of, parsed_letter
from jupyter_dpsynth.sources.moments import in_zone, require_clear
from jupyter_dpsynth.sources.objects import as_text, same_key
from jupyter_dpsynth.sources.values import as_held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.derived import DerivedColumn
    from jupyter_dpsynth.encoding.table import ColumnCodec, TableCodec

__all__ = ["Within", "condition_table", "within"]

MOST_LISTED = 8


@dataclass(frozen=True, eq=False)
class Within:
    """The values of a column that does not follow from cells alone are in some intervals, or missing.

    Attributes:
        column: A column that is learned as a difference, or computed from others.
        intervals: Half-open intervals of its points.
        missing: Whether a value may be missing.
    """

    column: NumericCodec | DifferenceCodec | DerivedColumn
    intervals: tuple[tuple[float, float], ...]
    missing: bool

    def holds(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows meet it, `[n]`."""
        points = points_of(df[self.column.meta.name], self.column.meta, self.column.resolution)
        inside = [(low <= points) & (points < high) for low, high in self.intervals]
        return np.logical_or.reduce([self.missing & np.isnan(points), *inside])


def condition_table(
    codec: TableCodec, where: Mapping[str, Any]
) -> tuple[list[NDArray[np.float64]], TableCodec, tuple[Within, ...]]:
    """Share of each cell of each column that conditions allow, and a codec that decodes to what is allowed.

    Of columns that are learned as differences, or computed, the rows must be looked at afterwards: what they
    must meet is returned, too.

    Args:
        codec: The table's codec.
        where: Conditions by column.

    Raises:
        ConfigError: An unknown column, a condition of the wrong form, or one that no released cell meets.

    Privacy:
        Post-processing: errors list what the model has published.
    """
    if not isinstance(where, dict):
        raise ConfigError(
            f"where = {shown(where)} is not allowed: give conditions by column, like {{'age': (18, 65)}}."
        )
    computed = {each.meta.name: each for each in codec.derived}  # learned or not
    for name in where:
        if name not in codec.names and name not in computed:
            hint = did_you_mean(str(name), (*codec.names, *computed))
            known = (
                "an identifier (identifiers get new numbers)" if name in codec.df_meta.names else "no column"
            )
            raise ConfigError(f"where names {shown(name)}, which is {known}.{hint}")
    allowed: list[NDArray[np.float64]] = []
    columns: list[ColumnCodec] = []
    checks = [within(each, where[name]) for name, each in computed.items() if name in where]
    for column in codec.columns:
        name = column.meta.name
        share: NDArray[np.float64] = np.ones(column.size)
        left: ColumnCodec = column
        if name in where:
            if isinstance(column, CategoryCodec):
                share, left = _categories(column, where[name])
            elif isinstance(column, DifferenceCodec):
                share, check = _difference(column, where[name])
                checks.append(check)
            else:
                share, left = _numbers(column, where[name])
        allowed.append(share)
        columns.append(left)
    return allowed, replace(codec, columns=tuple(columns)), tuple(checks)


def _listed(wanted: object) -> list[Any]:
    several = isinstance(wanted, list | set | frozenset | np.ndarray | pd.Series | pd.Index)
    return list(wanted) if several else [wanted]  # type: ignore[call-overload]


def _known_letters(column: ColumnCodec, wanted: object) -> list[Any]:
    """The wanted values; of letters of missing values that the column has ('.a'), their numbers."""
    known = letters_of((*column.meta.missing, *(getattr(column, "published", None) or ())))
    found = ((value, parsed_letter(value)) for value in _listed(wanted))
    return [letter if letter in known else value for value, letter in found]


def _missing(value: object, column: ColumnCodec | DerivedColumn | None = None) -> bool:
    if column is not None and column.kind != "datetime" and column.meta.missing:
        return _missing(value) or same_key(value) in map(same_key, column.meta.missing)
    return (
        value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))
    )


def _allow_missing(column: ColumnCodec, share: NDArray[np.float64]) -> None:
    name = column.meta.name
    if not column.meta.nullable:
        raise ConfigError(f"where: column {name!r} of dtype {column.meta.dtype} has no missing values.")
    share[-1] = 1


def _categories(column: CategoryCodec, wanted: object) -> tuple[NDArray[np.float64], CategoryCodec]:
    """A published category is a cell; of the pool's cell only the wanted categories are left."""
    name, share = column.meta.name, np.zeros(column.size)
    weights = np.zeros(len(column.pool))
    if isinstance(wanted, tuple) and wanted not in (*column.published, *column.pool):
        raise ConfigError(
            f"where: ranges do not apply to column {name!r}: give a value, None or a list of values."
        )
    for value in as_held(_known_letters(column, wanted), dtype_of(column.meta.dtype)):
        if _missing(value, column):
            _allow_missing(column, share)
            continue
        found = False
        if value in column.published:
            share[column.published.index(value)], found = 1, True
        if value in column.pool:  # published ones that are rare, or 'other'
            at = column.pool.index(value)
            weights[at], found = column.pool_weights[at], True
        if not found:
            known = dict.fromkeys(map(as_text, (*column.published, *column.pool)))
            some = ", ".join(list(known)[:MOST_LISTED]) + ", \u2026" * (len(known) > MOST_LISTED)
            raise ConfigError(
                f"where: {shown(value)} is not a published category of column "
                f"{name!r}.{did_you_mean(str(value), known)} Published: {some}."
            )
    if weights.any():
        share[len(column.published)] = weights.sum() / column.pool_weights.sum()
        column = replace(column, pool_weights=weights)
    return share, column


def _numbers(column: NumericCodec, wanted: object) -> tuple[NDArray[np.float64], NumericCodec]:
    """Cuts the leaves to the wanted intervals; a bin's share is the mass that is left of it."""
    share: NDArray[np.float64] = np.zeros(column.size)
    intervals: list[tuple[float, float]] = []
    for value in _known_letters(column, wanted):
        if _missing(value, column):
            _allow_missing(column, share)
        else:
            intervals.append(_interval(column, value))
    pieces: list[tuple[float, float, float]] = []
    first: list[int] = []
    last = np.append(column.first_leaf[1:], len(column.starts))
    points = column.leaf_points() if column.resolution == 0 else np.full(len(column.starts), np.nan)
    for cell, (a, z) in enumerate(zip(column.first_leaf, last, strict=True)):
        cut = [piece for leaf in range(a, z) for piece in _cut(column, leaf, points[leaf], intervals)]
        share[cell] = sum(piece[2] for piece in cut) / column.weights[a:z].sum()
        # a bin that nothing is left of is never drawn, but has to be somewhere
        cut = cut or [(column.starts[a], column.ends[a], column.weights[a])]
        first.append(len(pieces))
        pieces += cut
    if not share.any():
        raise ConfigError(
            f"where: {shown(wanted)} matches no value of column {column.meta.name!r}, whose published range "
            f"is {column.range_text}: give a range (low, high) that overlaps it."
        )
    starts, ends, weights = np.array(pieces).T.copy()
    return np.minimum(share, 1), replace(
        column, starts=starts, ends=ends, weights=weights, first_leaf=np.array(first, dtype=np.int64)
    )


def _difference(column: DifferenceCodec, wanted: object) -> tuple[NDArray[np.float64], Within]:
    """All differences are possible if any value is wanted; which values come of them is looked at later."""
    share: NDArray[np.float64] = np.zeros(column.size)
    check = within(column, wanted)
    if check.missing:
        _allow_missing(column, share)
    share[: column.ordered_cells] = bool(check.intervals)
    return share, check


def within(column: NumericCodec | DifferenceCodec | DerivedColumn, wanted: object) -> Within:
    """A condition on a column, to be looked at in rows that are made."""
    values = _listed(wanted)
    intervals = tuple(_interval(column, value) for value in values if not _missing(value, column))
    return Within(column, intervals, len(intervals) < len(values))


def _cut(
    column: NumericCodec, leaf: int, point: float, intervals: Sequence[tuple[float, float]]
) -> list[tuple[float, float, float]]:
    """What intervals leave of a leaf: start, end and weight of each piece."""
    start, end, weight = column.starts[leaf], column.ends[leaf], column.weights[leaf]
    if not np.isnan(point):  # all of the leaf is one value
        return [(start, end, weight)] if any(low <= point < high for low, high in intervals) else []
    pieces = []
    reached = start
    for low, high in sorted(intervals):
        first, last = max(low, reached), min(high, end)
        if first == start and last == end:  # also of a published value, which need not be on the pattern
            return [(start, end, weight)]
        if first < last:
            share = column.widths(np.array([first, start]), np.array([last, end]))
            if share[0] > 0:
                pieces.append((first, last, weight * share[0] / share[1]))
            reached = last
    return pieces


def _interval(column: NumericCodec | DifferenceCodec | DerivedColumn, value: object) -> tuple[float, float]:
    """A value or a range as a half-open interval of points of the column."""
    name, ends = column.meta.name, value if isinstance(value, tuple) else (value, value)
    if len(ends) != 2:
        raise ConfigError(
            f"where: the range {shown(value)} of column {name!r} is not a range: give (low, high)."
        )
    try:
        low, high = (None if _missing(end) else _number(column, end) for end in ends)
    except ConfigError:
        raise
    except (TypeError, ValueError, OverflowError):
        what = "dates or durations" if isinstance(column.meta, DatetimeMeta) else "numbers"
        raise ConfigError(
            f"where: {shown(value)} does not fit column {name!r}, which holds {what}: give a value, "
            "a range (low, high), None or a list of values."
        ) from None
    if low is not None and high is not None and low > high:
        raise ConfigError(f"where: the range {shown(value)} of column {name!r} ends before it starts.")
    if column.resolution == 0:
        return -np.inf if low is None else low, np.inf if high is None else float(np.nextafter(high, np.inf))
    # whole points: from the first one inside to the one after the last; 1e-9 for decimals such as 0.1
    first = -np.inf if low is None else np.ceil(in_steps(low, column.resolution) - 1e-9)
    return first, np.inf if high is None else np.floor(in_steps(high, column.resolution) + 1e-9) + 1


def _number(column: NumericCodec | DifferenceCodec | DerivedColumn, value: Any) -> float:  # noqa: ANN401 - what a user writes
    """A value as a number, or as microseconds in wall time."""
    if not isinstance(column.meta, DatetimeMeta):
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    meta = column.meta
    if meta.is_duration:
        moment: Any = pd.Timedelta(value)
    else:
        require_clear(value, f"where: column {meta.name!r} has", ConfigError)
        moment = in_zone(pd.Timestamp(value), zone_of(dtype_of(meta.dtype), meta.value_type))
    return float(moment.as_unit("us").to_numpy().astype(np.int64))
