"""Where the cells of a column lie, on a line or as names beside each other; and quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from jupyter_dpsynth.metadata.columns import DatetimeMeta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.numeric import NumericCodec

__all__ = [
    "MICROSECONDS",
    "MOST_DAYS",
    "QUANTILES",
    "YEAR",
    "CellAxis",
    "Quantile",
    "Unit",
    "axis_of",
    "quantiles_of_shares",
    "value_text",
]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MICROSECONDS = 1e6
YEAR = 365.25 * 86_400.0  # seconds
MOST_DAYS = 5 * YEAR  # of longer durations nobody counts the days
Unit = Literal["number", "date", "duration"]


@dataclass(frozen=True, eq=False)
class CellAxis:
    """Where the first cells of a column lie on a line; the others (missing, moved rows) have names only.

    Attributes:
        starts: Where each begins, float64 `[bins]`, increasing; seconds (since 1970) for times.
        ends: Where each ends, not below its start.
        unit: What the values are.
        step: Distance of neighbouring values of numbers; 0 where any value is possible.
        since: The column that durations are counted from; empty if they are the column's own values.
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    unit: Unit
    step: float = 0.0
    since: str = ""


@dataclass(frozen=True)
class Quantile:
    """One quantile in two tables.

    Attributes:
        share: Of the rows below it.
        reference: In what is compared with.
        error: Standard deviation of the noise in it, about; 0 if it is exact.
        synthetic: In the synthetic table.
    """

    share: float
    reference: float
    error: float
    synthetic: float


def axis_of(
    codec: NumericCodec, starts: NDArray[np.float64], ends: NDArray[np.float64], since: str = ""
) -> CellAxis:
    """Where cells of a model's column lie.

    Args:
        codec: The column's codec.
        starts: First point of each cell.
        ends: Point after each.
        since: The column that durations are counted from, if there is one.
    """
    scale = codec.resolution or 1.0
    starts, ends = starts * scale, ends * scale
    if codec.resolution > 0 and not isinstance(codec.meta, DatetimeMeta):
        ends = np.maximum(ends, np.nextafter(starts, np.inf))
    if not isinstance(codec.meta, DatetimeMeta):
        return CellAxis(starts, ends, "number", codec.resolution)
    unit: Unit = "duration" if codec.meta.is_duration else "date"
    return CellAxis(starts / MICROSECONDS, ends / MICROSECONDS, unit, since=since)


def quantiles_of_shares(
    axis: CellAxis,
    reference: NDArray[np.float64],
    synthetic: NDArray[np.float64],
    noise: NDArray[np.float64] | None,
) -> tuple[Quantile, ...]:
    """Quantiles of a column whose values are known by their cells; values lie evenly inside each.

    Args:
        axis: Where the cells lie.
        reference: Shares of the cells, those without a place included.
        synthetic: The same of the synthetic table.
        noise: Standard deviations of the noise in `reference`; None if it has none.
    """
    bins = len(axis.starts)
    if min(reference[:bins].sum(), synthetic[:bins].sum()) <= 0:
        return ()
    whole = float(reference[:bins].sum())
    below = np.zeros(bins) if noise is None else np.sqrt(np.cumsum(noise[:bins] ** 2)) / whole

    found = []
    for share in QUANTILES:
        value = _quantile(axis, reference[:bins], share)
        place = min(int(np.searchsorted(axis.starts, value, side="right")) - 1, bins - 1)
        # what is measured below it is uncertain by so much, and so is where it lies
        spread = 0.0 if noise is None else float(below[max(place, 0)])
        ends = (min(max(share + side, 0.0), 1.0) for side in (-spread, spread))
        low, high = (_quantile(axis, reference[:bins], end) for end in ends)
        made = _quantile(axis, synthetic[:bins], share)
        found.append(Quantile(share, _possible(axis, value), (high - low) / 2, _possible(axis, made)))
    return tuple(found)


def _possible(axis: CellAxis, value: float) -> float:
    """The value that a row may have: whole numbers lie at the start of their cell."""
    return float(np.floor(value / axis.step + 1e-9) * axis.step) if axis.step else value


def _quantile(axis: CellAxis, shares: NDArray[np.float64], share: float) -> float:
    total = np.append(0.0, np.cumsum(shares)) / shares.sum()
    cell = int(np.clip(np.searchsorted(total, share, side="left") - 1, 0, len(shares) - 1))
    width = total[cell + 1] - total[cell]
    inside = (share - total[cell]) / width if width > 0 else 0.0
    return float(axis.starts[cell] + inside * (axis.ends[cell] - axis.starts[cell]))


def value_text(value: float, unit: Unit, span: float) -> str:
    """A value of an axis as a person writes it.

    Args:
        value: The value.
        unit: What it is.
        span: How long the axis is, for how exact it needs to be.

    >>> value_text(1_234_567.8, "number", 1e6), value_text(0.12345, "number", 1)
    ('1,234,568', '0.123')
    >>> value_text(86400.0 * 365, "date", 1e8), value_text(5400, "duration", 1e4)
    ('1971-01-01', '01:30:00')
    """
    if unit == "date":
        text = str(np.datetime64(int(value), "s")).replace("T", " ")
        return text[:10] if span > 10 * 86_400 else text[:16]
    if unit == "duration" and span >= MOST_DAYS:
        return f"{value / YEAR:.1f} years"
    if unit == "duration" and span > 10 * 86_400:
        return f"{value / 86_400:.1f} days"
    if unit == "duration":
        return str(pd.Timedelta(seconds=round(value))).replace("0 days ", "").removesuffix(" 00:00:00")
    if abs(value) >= 1e15 or (value and abs(value) < 1e-5):
        return f"{value:.3g}"
    digits = int(np.clip(3 - np.floor(np.log10(max(span, 1e-12))), 0, 6)) if span < 1000 else 0
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
