"""Public grids: the coarsest intervals into which a column of numbers or times is divided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.numeric import LARGEST, LARGEST_NUMBER, in_steps
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.sources.values import time_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BRANCHES", "FLAT_SPAN", "LEVELS", "branches", "coarsest_cells", "is_flat", "is_found"]

LEVELS = 3  # histograms of a tree, the coarsest included
BRANCHES = 32  # most children of a cell
FLAT_SPAN = 128  # a declared range of so few whole values needs no tree
# A declared range of more points than a tree of equal cells tells apart (of numbers without a resolution:
# units) has powers of two for edges, as if it were not declared: amounts between 0 and a thousand million
# are mostly so small that all of them would be in one leaf.
WIDE_SPAN = BRANCHES**LEVELS
# of two, up to which numbers are told apart, and down to whose inverse
POWERS = round(np.log2(LARGEST_NUMBER))
YEARS = np.arange(1700, 2263)
# centuries before and after it, and the last year of all, which often stands for 'for ever'
FAR_YEARS = np.array([1, *range(100, 1700, 100), *range(2300, 10_000, 100), 9999])


def branches(span: float) -> int:
    """Into how many parts to divide an interval, so that `LEVELS` levels resolve `span` points."""
    return int(np.clip(np.ceil(span ** (1 / LEVELS)), 4, BRANCHES))


def coarsest_cells(meta: ContinuousMeta | DatetimeMeta, resolution: float) -> NDArray[np.float64]:
    """Public edges of the coarsest intervals, in points.

    Without bounds: powers of two on both sides of an exact zero for numbers and durations, calendar
    years for points in time, and centuries far from now. With bounds: equal cells, or, of numbers and
    durations between bounds far from each other, powers of two; 0 and both bounds in cells of their own.
    """
    if meta.bounds is not None:
        return _declared_grid(meta, resolution)
    if isinstance(meta, DatetimeMeta) and not meta.is_duration:
        first, last = time_limits(meta.dtype + ", " * meta.value_type.endswith("[UTC]"))
        years = (np.union1d(YEARS, FAR_YEARS) - 1970).astype("datetime64[Y]").astype("datetime64[us]")
        starts = np.append(np.clip(years.astype(np.int64), first, None), last + 1)
        return np.unique(starts[starts <= last + 1] // int(resolution)).astype(np.float64)
    return _powers(meta, resolution)


def _powers(meta: ContinuousMeta | DatetimeMeta, resolution: float) -> NDArray[np.float64]:
    """Powers of two on both sides of an exact zero."""
    powers = 2.0 ** np.arange(0 if resolution > 0 else -POWERS, POWERS + 1)
    if isinstance(meta, DatetimeMeta):
        powers = powers[powers <= LARGEST / resolution]  # in microseconds: what a duration can be
    zero = np.array([0.0] if resolution > 0 else [0.0, np.nextafter(0.0, 1.0)])
    return np.concatenate([-powers[::-1], zero, powers])


def is_found(meta: ContinuousMeta | DatetimeMeta, resolution: float) -> bool:
    """Whether the cells that hold values are found among very many of a grid that is not even."""
    if meta.bounds is None:
        return True
    if isinstance(meta, DatetimeMeta) and not meta.is_duration:
        return False
    low, high = _declared_steps(meta, resolution or 1.0)
    return high - low > WIDE_SPAN


def is_flat(meta: ContinuousMeta | DatetimeMeta, resolution: float) -> bool:
    """Whether so few values are possible, by declared bounds, that each is a cell of the coarsest grid."""
    if meta.bounds is None or resolution == 0:
        return False
    low, high = _declared_steps(meta, resolution)
    return high - low < FLAT_SPAN


def _declared_steps(meta: ContinuousMeta | DatetimeMeta, resolution: float) -> tuple[float, float]:
    """The first and the last step between declared bounds."""
    largest = LARGEST if isinstance(meta, DatetimeMeta) else LARGEST_NUMBER
    with np.errstate(over="ignore"):  # what overflows is cut
        low, high = in_steps(np.array(meta.bounds, dtype=np.float64), resolution)
    first, last = np.clip([np.floor(low + 1e-9), np.ceil(high - 1e-9)], -largest, largest)
    return float(first), float(last)


def _declared_grid(meta: ContinuousMeta | DatetimeMeta, resolution: float) -> NDArray[np.float64]:
    if resolution == 0:
        low, high = np.clip(meta.bounds or (0.0, 0.0), -LARGEST_NUMBER, LARGEST_NUMBER)
        cells = np.linspace(low, high, BRANCHES + 1)
        if is_found(meta, resolution):
            cells = _between(_powers(meta, resolution), low, high)
        after_high = np.nextafter(high, np.inf)
        extra = [low, np.nextafter(low, np.inf), high, after_high]
        if low <= 0 <= high:
            extra += [0.0, np.nextafter(0.0, 1.0)]
        return np.unique(np.append(cells, extra))
    low, high = _declared_steps(meta, resolution)
    after = [max(edge + 1, np.nextafter(edge, np.inf)) for edge in (low, high)]
    span = high - low + 1
    if span <= FLAT_SPAN:
        return np.unique(np.append(np.arange(low, high + 1), after))
    if is_found(meta, resolution):
        return np.unique(np.append(_between(_powers(meta, resolution), low, high), [low, high, *after]))
    width = np.ceil(span / branches(span))
    edges = np.append(low + width * np.arange(branches(span)), [*after, high])
    edges = edges[edges <= after[1]]
    if low <= 0 <= high:
        edges = np.append(edges, [0.0, 1.0])
    return np.unique(edges)


def _between(edges: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    inside: NDArray[np.float64] = edges[(edges >= low) & (edges <= high)]
    return inside
