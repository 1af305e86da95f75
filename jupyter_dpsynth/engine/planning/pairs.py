"""What the check-up finds in two columns together: orders of dates or numbers, persons with several rows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.engine.planning.findings import Finding, Remedy
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta, IdMeta
from jupyter_dpsynth.sources.values import number_values, stored_times, time_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.planning.columns import ExaminedColumn

__all__ = ["dates_of_persons", "orders_kept", "orders_nearly_kept"]

NEARLY_KEPT = 0.05  # of the rows with both values break an order that is probably meant
LEAST_ROWS = 20  # with both values
MOST_NAMED = 4  # pairs of columns in a sentence
MOST_COLUMNS = 60  # that are compared with each other
LOOKED_AT = 5_000  # rows that tell whether all of them are worth it
MOST_DAYS = 3  # columns of days that are looked at
RELATED = 0.5  # rank correlation of numbers that are compared
ONE_PERSON = 0.98  # of the rows with the same identifier have the same day
MANY_DAYS = 50  # and that many days there are at least


def orders_nearly_kept(columns: Sequence[ExaminedColumn]) -> list[Finding]:
    """Pairs of dates, or of numbers of one range, that are in order in all but a few rows.

    Args:
        columns: The columns.
    """
    compared = [each for each in map(_compared, columns) if each is not None][:MOST_COLUMNS]
    found = []
    for one, two in itertools.combinations(compared, 2):
        if one.kind != two.kind or not _may_be_kept(one, two):
            continue
        present = ~(np.isnan(one.points) | np.isnan(two.points))
        if present.sum() < LEAST_ROWS:
            continue
        first, second = one.points[present], two.points[present]
        above, below = int((first > second).sum()), int((first < second).sum())
        low, high, breaking = (one, two, above) if above < below else (two, one, below)
        if not 0 < breaking <= NEARLY_KEPT * present.sum() or not _are_related(one, two, present):
            continue
        later = "later" if one.kind == "time" else "greater"
        found.append(
            Finding(
                "order",
                "care",
                low.name,
                f"{low.name!r} is {later} than {high.name!r}, and in all other rows it is not.",
                "Correct these rows if they are mistakes. If nobody can break this order, have every "
                "synthetic row keep it.",
                Remedy("order", (low.name, high.name)),
                breaking,
            )
        )
    return found


def orders_kept(columns: Sequence[ExaminedColumn]) -> list[Finding]:
    """Points in time that are in order in all rows, though their ranges overlap.

    Where persons are protected, noise may hide this from a run; declared, it costs nothing.

    Args:
        columns: The columns.
    """
    compared = [each for each in map(_compared, columns) if each is not None and each.kind != "number"]
    kept: dict[str, list[str]] = {}
    rows = 0
    for one, two in itertools.permutations(compared[:MOST_COLUMNS], 2):
        present = ~(np.isnan(one.points) | np.isnan(two.points))
        first, second = one.points[present], two.points[present]
        if one.kind != two.kind or len(first) < LEAST_ROWS or (first > second).any():
            continue
        if first.max() > second.min() and (first < second).any() and one.name not in two.declared:
            kept.setdefault(two.name, []).append(one.name)
            rows = max(rows, len(first))
    if not kept:
        return []
    names = [f"{low!r} and {high!r}" for high, lows in kept.items() for low in lows]
    more = f" and {len(names) - MOST_NAMED} more pairs" if len(names) > MOST_NAMED else ""
    return [
        Finding(
            "dates in order",
            "hint",
            "",
            f"The first is never later than the second: {', '.join(names[:MOST_NAMED])}{more}.",
            "If nobody can break this order, declare it: it then costs nothing to find, every synthetic row "
            "keeps it, and the time between both is learned.",
            Remedy("at_least", kept),
            rows,
        )
    ]


def _may_be_kept(one: _Compared, two: _Compared) -> bool:
    """Whether few of some rows break an order; with many columns this is quicker than to look at all."""
    step = max(1, len(one.points) // LOOKED_AT)
    first, second = one.points[::step], two.points[::step]
    above, below = int((first > second).sum()), int((first < second).sum())
    return min(above, below) <= 2 * NEARLY_KEPT * (above + below) + LEAST_ROWS


@dataclass(frozen=True, eq=False)
class _Compared:
    """A column whose values have an order: its kind, float64 `[n]`, NaN where missing; declared orders."""

    name: str
    kind: str
    points: NDArray[np.float64]
    declared: tuple[str, ...] = ()


def _compared(column: ExaminedColumn) -> _Compared | None:
    """A column of points in time or of numbers, as its values are compared; None for others."""
    meta, series = column.meta, column.series
    if isinstance(meta, DatetimeMeta) and not meta.is_duration:
        moments, missing = time_values(series, duration=False)
        zoned = meta.value_type.endswith("[UTC]") or getattr(series.dtype, "tz", None) is not None
        if getattr(series.dtype, "tz", None) is not None:  # of two zones the moments are compared
            moments, missing = stored_times(series)
        kind = "zoned time" if zoned else "time"
        points = np.where(missing, np.nan, moments.astype(np.float64))
        return _Compared(column.name, kind, points, meta.at_least)
    if isinstance(meta, ContinuousMeta):
        return _Compared(column.name, "number", number_values(series))
    return None


def _are_related(one: _Compared, two: _Compared, present: NDArray[np.bool_]) -> bool:
    """Whether an order of two columns says anything: of numbers, only if they have one range and depend."""
    if one.kind != "number":
        return True
    first, second = one.points[present], two.points[present]
    (low, high), (other_low, other_high) = (np.quantile(each, [0.05, 0.95]) for each in (first, second))
    if max(low, other_low) >= min(high, other_high):
        return False
    ranks = [pd.Series(each).rank().to_numpy() for each in (first, second)]
    if min(map(np.ptp, ranks)) == 0:
        return False
    return float(np.corrcoef(*ranks)[0, 1]) >= RELATED


def dates_of_persons(columns: Sequence[ExaminedColumn]) -> set[str]:
    """Columns whose values name persons: rows with the same one have the same day, such as that of birth.

    Args:
        columns: The columns.
    """
    days = [each for each in columns if each.holds_days and len(each.values) >= MANY_DAYS][:MOST_DAYS]
    found = set()
    for column in columns:
        if isinstance(column.meta, IdMeta | DatetimeMeta) or column.holds_days or not column.may_name_persons:
            continue
        if any(_share_alike(column.codes, day.codes) >= ONE_PERSON for day in days):
            found.add(column.name)
    return found


def _share_alike(codes: NDArray[np.int64], days: NDArray[np.int64]) -> float:
    """Of the rows behind another one with the same code, the share that has the same day as that one."""
    kept = (codes >= 0) & (days >= 0)
    order = np.lexsort((days[kept], codes[kept]))
    codes, days = codes[kept][order], days[kept][order]
    again = codes[1:] == codes[:-1]
    return float((days[1:] == days[:-1])[again].mean()) if again.any() else 0.0
