"""Values apart from all others that mean something else: 9999-12-31 for 'for ever', -9 for 'not asked'.

On the axis of the other values they would leave these no room, and a bin that holds both hides them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.evaluation.axes import CellAxis

__all__ = ["SEEN", "cells_apart", "edges_around", "long_stretches", "values_apart"]

MOST_APART = 3  # values at an end
LEAST_NEAR = 3  # cells that are left
GAP = 0.2  # of the range of all other values: so far apart they are
WIDER = 4.0  # times the longest gap between others
THIN = 0.05  # of the usual density: hardly any row is in so thin a stretch
LONGEST_END = 3.0  # times as long as all others: a thin end of these; what is longer reaches to far ones
SPIKE = 0.25  # of the rows: a value with so many does not tell where the others lie
NARROW = 1e-3  # of the range: so short a cell holds one value
SEEN = 5e-4  # a share that can be seen
OFTEN = 0.005  # of the rows have a value that means something


def values_apart(
    starts: NDArray[np.float64], ends: NDArray[np.float64], often: NDArray[np.bool_]
) -> tuple[int, int]:
    """How many of the first and of the last values lie apart from all others.

    Args:
        starts: Where values, or cells that have rows, begin, increasing.
        ends: Where they end.
        often: Which are single values that many rows have: others are never apart.

    >>> values, many = np.array([-9.0, 0.0, 1.0, 2.0, 3.0, 4.0, 9999.0]), np.ones(7, bool)
    >>> values_apart(values, values, many), values_apart(values[1:-1], values[1:-1], many[1:-1])
    ((1, 1), (0, 0))
    """
    gaps, number = starts[1:] - ends[:-1], len(starts)
    found = (0, 0)
    for first in range(MOST_APART + 1):
        for last in range(MOST_APART + 1):
            stop = number - last
            if stop - first < LEAST_NEAR or first + last <= sum(found):
                continue
            if not (often[:first].all() and often[stop:].all()):
                continue
            within = ends[stop - 1] - starts[first]
            least = max(GAP * within, WIDER * float(gaps[first : stop - 1].max()), 1e-300)
            if (not first or gaps[first - 1] >= least) and (not last or gaps[stop - 1] >= least):
                found = first, last
    return found


def edges_around(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges that give values far from all others, which many rows have, cells of their own: 9999, -9.

    What lies between is another cell if there are synthetic rows.

    Args:
        values: Those of the original, without missing ones.
        others: Those of the synthetic table.
    """
    found, counts = np.unique(values, return_counts=True)
    first, last = values_apart(found, found, counts >= OFTEN * len(values)) if len(found) > 1 else (0, 0)
    after = np.nextafter(found, np.inf)
    edges = [*after[:first], found[first]] if first else []
    if last:
        stop = len(found) - last
        between = ((others > found[stop - 1]) & (others < found[stop])).any()
        edges += [*after[stop - 1 : stop - 1 + between], *found[stop:]]
    return np.array(edges)


def long_stretches(
    starts: NDArray[np.float64], ends: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], float]:
    """Which intervals are long and have hardly any row, and how long a gap is that counts as one.

    Args:
        starts: Where they begin, increasing.
        ends: Where they end.
        shares: Of the rows, in each.
    """
    usual = np.where(shares >= SPIKE, 0.0, shares)
    held = np.flatnonzero(shares > SEEN)
    usual[np.append(held[:MOST_APART], held[-MOST_APART:])] = 0.0  # which may lie anywhere
    usual = usual if usual.sum() > 0 else shares
    reached = np.cumsum(usual) / max(float(usual.sum()), 1e-300)
    low, high = np.minimum(np.searchsorted(reached, (0.05, 0.95)), len(starts) - 1)
    span = max(float(ends[high] - starts[low]), 1e-300)
    density = 0.9 * float(usual.sum()) / span
    lengths = ends - starts
    return (lengths >= GAP * span) & (shares < THIN * density * lengths), GAP * span


def cells_apart(line: CellAxis, shares: NDArray[np.float64]) -> tuple[list[int], NDArray[np.int64]]:
    """The cells that stand beside an axis, and those on it; no others have rows that are seen.

    Args:
        line: Where the cells lie.
        shares: Of the rows in each, in one of both tables.
    """
    everything = np.arange(len(shares))
    thin, _ = long_stretches(line.starts, line.ends, shares)
    solid = np.flatnonzero(~thin & (shares > SEEN))
    if len(solid) <= LEAST_NEAR:
        return [], everything
    starts, ends = line.starts[solid], line.ends[solid]
    inner = ends[-2] - starts[1]
    narrow = ends - starts <= max(line.step * 1.5, NARROW * inner, 1e-9 * abs(float(ends[-1])))
    first, last = values_apart(starts, ends, narrow & (shares[solid] >= OFTEN))
    if not first + last:
        return [], everything
    low = solid[first] if first else 0
    high = solid[len(solid) - last - 1] if last else len(shares) - 1
    longest = LONGEST_END * (line.ends[high] - line.starts[low])
    # the thin end of all others is on their axis, but what reaches to the far ones is not
    if first and low > solid[first - 1] + 1 and line.ends[low - 1] - line.starts[low - 1] <= longest:
        low -= 1
    if last and high < solid[-last] - 1 and line.ends[high + 1] - line.starts[high + 1] <= longest:
        high += 1
    on = everything[low : high + 1]
    return np.setdiff1d(np.flatnonzero(shares > SEEN), on).tolist(), on
