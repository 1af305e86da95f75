"""The leaves of a column of numbers or times: cut at single values, and merged into bins. Post-processing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["cut", "held_leaves", "merge"]

LEAST_MASS = 1e-3  # rows of a leaf
LEAST_VALUES = 3  # single values of a cell that tell where others of it may be


def cut(
    start: float, end: float, points: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What single values leave of a cell, and how likely rows are in it, relative to its width.

    What lies before the first value and after the last one is not known to hold any: where there are several,
    so much of it is kept as there is between two of them at most, or one value. Where they leave
    little between them, so do they beyond.

    Returns:
        Starts and ends of the pieces, `[pieces, 2]`, and a factor for each of them.

    >>> cut(0.0, 4.0, np.array([0.0, 2.0, 9.0]), np.array([1.0, 3.0, 10.0]))[0]
    array([[1., 2.],
           [3., 4.]])
    >>> cut(0.0, 99.0, np.array([50.0, 51.0, 53.0]), np.array([51.0, 52.0, 54.0]))
    (array([[49., 50.],
           [52., 53.],
           [54., 55.]]), array([0.25, 1.  , 0.25]))
    """
    inside = (points >= start) & (points < end)
    pieces = np.stack([np.append(start, after[inside]), np.append(points[inside], end)], axis=1)
    likely = np.ones(len(pieces))
    if inside.sum() >= LEAST_VALUES:
        single, between = after[inside] - points[inside], pieces[1:-1, 1] - pieces[1:-1, 0]
        reach = max(between.max(), single.max())
        pieces[0, 0] = max(start, pieces[0, 1] - reach)
        pieces[-1, 1] = min(end, pieces[-1, 0] + reach)
        if between.sum() > 0:
            likely[[0, -1]] = between.sum() / (between.sum() + single.sum())
    left = pieces[:, 0] < pieces[:, 1]
    return pieces[left], likely[left]


def held_leaves(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    mass: NDArray[np.float64],
    first: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """The leaves with a positive weight, and the first leaf of each bin among them.

    Each leaf has some mass; hundreds of empty ones would put a value far out into a large table.
    """
    bins = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(mass))))
    held = (mass > 0) | (np.add.reduceat(mass, first) <= 0)[bins]
    held[first[1:]] = True
    first = np.searchsorted(bins[held], np.arange(len(first)))
    return starts[held], ends[held], np.maximum(mass[held], LEAST_MASS), first


def merge(mass: NDArray[np.float64], target: float, single: NDArray[np.bool_]) -> list[int]:
    """First leaf of each bin: heavy and `single` leaves stay alone, light neighbours join up to `target`."""
    first: list[int] = []
    alone = False
    collected = 0.0
    for index, weight in enumerate(mass):
        heavy = single[index] or weight >= 0.6 * target
        if heavy or alone or not first or collected + weight > 1.25 * target:
            first.append(index)
            collected = 0.0
        collected += weight
        alone = heavy or collected >= target
    if len(first) > 1 and not alone and collected < 0.3 * target and first[-1] - first[-2] > 1:
        first.pop()  # a meagre remainder joins its neighbour, unless that is a single spike
    return first
