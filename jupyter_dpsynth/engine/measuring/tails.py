"""The ends of a column whose range is found: what lies beyond the cells that stand out, and how it falls off.

The coarsest cells stand out one by one; thin ends of a distribution do not. Every further histogram of the
column therefore also counts what lies beyond those cells and between them, in cells that get longer with the
distance. That costs nothing: one row still counts in one cell. Everything here is post-processing.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.measuring.presence import SURE_ALONE, SURE_TOGETHER

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Tails", "shortened", "tails_of", "with_slopes"]

# Cells beyond an end that are told apart, by how many cells of an even grid each of them joins. What is
# farther out would be noise.
JOINED = (1, 2, 4, 8, 16, 32, 64, 64)
# Standard deviations of noise by which cells must stand out: the next one, that after it, and those beyond.
# Of a grid that doubles, noise that is taken for rows would be far out.
STANDS_OUT = {"even": (2.0, 2.0, 4.0), "doubling": (2.0, 3.0, 4.0)}
ALONE = -1  # in place of a distance: the cell of zero stands out by itself
MOST_GAPS = 16  # stretches between cells that are looked at
PIECES = 4  # into which a cell that doubles is cut
WIDE = 8  # steps of the resolution: what is shorter is not cut
THINNED = 5.0  # times as thinly as all rows are on average: so those of a tail may be spread
STEEPEST = 6.0  # power of x with which a density falls or rises inside a cell


@dataclass(frozen=True, eq=False)
class Tails:
    """Cells beside those that stand out, in increasing order.

    Attributes:
        starts: First point of each, `[cells]`.
        ends: Point after each, `[cells]`.
        distance: How far each is from the cells that stand out: 0 between them, 1, 2, ... below and above;
            `ALONE` of the cell of zero.
        below: Whether it is below them.
        across: Whether it is on the other side of zero.
        least: By how many standard deviations the next one must stand out, that after it, and others.
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    distance: NDArray[np.int64]
    below: NDArray[np.bool_]
    across: NDArray[np.bool_]
    least: tuple[float, float, float] = STANDS_OUT["even"]

    @classmethod
    def none(cls) -> Tails:
        """Where a range is declared."""
        empty = np.zeros(0)
        return cls(empty, empty, empty.astype(np.int64), empty.astype(bool), empty.astype(bool))

    def held(
        self,
        counts: NDArray[np.float64],
        noise: float,
        reached: tuple[bool, bool] = (True, True),
    ) -> NDArray[np.bool_]:
        """Which cells hold rows: those that stand out, and what lies between them and the others.

        Args:
            counts: Noisy count of each, `[cells]`.
            noise: Standard deviation of their noise.
            reached: Whether rows come near to the lower and the upper end of what stands out. If not, it is
                not likely that there are any beyond it.
        """
        out: NDArray[np.bool_] = (self.distance == 0) & (counts > self.least[0] * noise)
        out |= (self.distance == ALONE) & (counts > SURE_TOGETHER * noise)
        for below in (True, False):
            places = np.flatnonzero((self.distance > 0) & (self.below == below))
            outwards = places[np.argsort(self.distance[places])]
            kept = 0
            for end in range(1, len(outwards) + 1):
                place = outwards[end - 1]
                farther = end - kept
                least = self.least[min(farther, len(self.least)) - 1]
                run = counts[outwards[kept:end]].sum() > SURE_TOGETHER * noise * np.sqrt(farther)
                if self.across[place]:
                    least, run = SURE_ALONE, False
                elif not reached[0 if below else 1]:
                    least, run = max(self.least), False
                if run or counts[place] > least * noise:
                    kept = end
            out[outwards[:kept]] = True
        return out


def tails_of(
    edges: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    sides: NDArray[np.bool_],
    *,
    doubling: bool,
) -> Tails:
    """The cells beside those of a grid that stand out.

    Args:
        edges: Edges of the grid, `[cells + 1]`.
        chosen: Which of its cells stand out, `[cells]`.
        sides: On which side of zero each is, `[cells]`.
        doubling: Whether each cell of the grid is twice as long as the one before. Equal ones are joined.
    """
    places = np.flatnonzero(chosen)
    first, last = int(places[0]), int(places[-1])
    spans: list[tuple[int, int, int, bool]] = []  # first cell, cell after, distance, below
    gaps = [(a + 1, z) for a, z in itertools.pairwise(places.tolist()) if z > a + 1]
    longest = sorted(gaps, key=lambda gap: edges[gap[0]] - edges[gap[1]])[:MOST_GAPS]
    spans += [(*gap, 0, False) for gap in sorted(longest)]
    low, high = first, last + 1
    for distance, cells in enumerate([1] * len(JOINED) if doubling else JOINED, 1):
        if low > 0:
            spans.append((max(low - cells, 0), low, distance, True))
        if high < len(chosen):
            spans.append((high, min(high + cells, len(chosen)), distance, False))
        low, high = max(low - cells, 0), min(high + cells, len(chosen))
    # zero is measured again however far it is: a few percent of newborns do not stand out at first
    zero = int(np.searchsorted(edges, 0.0)) if doubling else len(chosen)
    near = any(start <= zero < end and (end - start > 1 or far < 2) for start, end, far, _ in spans)
    if zero < len(chosen) and edges[zero] == 0 and not near and not chosen[zero]:
        spans = [span for span in spans if span[0] != zero] + [(zero, zero + 1, ALONE, True)]
    # all that is left down to zero: the age of a newborn, in hours, is farther from others than any tail
    if zero + 1 < low and edges[zero] == 0:
        spans.append((zero + 1, low, len(JOINED) + 1, True))
    spans.sort()
    if not spans:
        return Tails.none()
    a, z, far, below = (np.array(each) for each in zip(*spans, strict=True))
    own = np.where(below, sides[first], sides[last])
    across = (far > 0) & ((sides[a] != own) | (sides[z - 1] != own))
    least = STANDS_OUT["doubling" if doubling else "even"]
    return Tails(edges[a], edges[z], far.astype(np.int64), below.astype(bool), across, least)


def shortened(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    counts: NDArray[np.float64],
    low: float,
    high: float,
    rows: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of tails of an even grid, of which the outermost reach no further than their rows need.

    A cell far out joins many years. What seems to be in it may be noise, which must not make dates that are
    decades away from all others.

    Args:
        starts: First point of each cell that holds rows, `[cells]`, increasing.
        ends: Point after each.
        counts: Noisy rows of each.
        low: First point of what stands out.
        high: Point after it.
        rows: Noisy number of rows.
    """
    needed = THINNED * np.maximum(counts, 0) * (high - low) / rows
    starts, ends = starts.copy(), ends.copy()
    if len(starts) and starts[0] < low:
        starts[0] = max(starts[0], np.floor(ends[0] - needed[0]))
    if len(ends) and ends[-1] > high:
        ends[-1] = min(ends[-1], np.ceil(starts[-1] + needed[-1]))
    return starts, ends


def with_slopes(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    mass: NDArray[np.float64],
    noise: float,
    *,
    discrete: bool,
    even: bool,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Cut long cells, so that values in them fall off as around them.

    In a heavy tail a cell's mean lies well below its middle. Of numbers, cells that reach from one to its
    double are cut, and the density in them is a power of x; of times, cells at both ends, and the density
    falls off exponentially. How fast is what the neighbourhood shows.

    Args:
        starts: First point of each cell, `[cells]`, increasing.
        ends: Point after each, `[cells]`.
        mass: Rows of each, at least 0.
        noise: Standard deviation of a count's noise.
        discrete: Whether points are whole numbers.
        even: Whether the grid is even, as that of times, or doubles.

    Returns:
        Edges of all pieces, `[pieces, 2]`; the cell of each; and its share of that cell.
    """
    line, reached = np.stack([starts, ends], axis=1).ravel(), np.repeat(np.cumsum(mass), 2)
    reached[0::2] -= mass

    def between(low: float, high: float) -> float:
        rows = float(np.diff(np.interp([low, high], line, reached))[0])
        return max(rows, noise / 2, 1e-9)

    pieces, cells, shares = [], [], []
    for cell, (start, end, own) in enumerate(zip(starts.tolist(), ends.tolist(), mass.tolist(), strict=True)):
        cuts = None
        if own > 0 and (end - start >= WIDE or not discrete):
            cuts = (
                _doubling(start, end, between)
                if not even
                else _evenly(start, end, between)
                if cell in {0, len(starts) - 1}
                else None
            )
        edges, part = (np.array([start, end]), np.ones(1)) if cuts is None else cuts
        edges = np.rint(edges) if discrete and cuts is not None else edges
        edges[[0, -1]] = start, end
        pieces += list(itertools.pairwise(edges.tolist()))
        cells += [cell] * len(part)
        shares += (part / part.sum()).tolist()
    return np.array(pieces).reshape(-1, 2), np.array(cells, dtype=np.int64), np.array(shares)


def _doubling(
    start: float, end: float, between: Callable[[float, float], float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Edges and weights of the pieces of a cell that reaches from a number to its double; else None."""
    inner, outer = sorted((abs(start), abs(end)))
    if start * end <= 0 or not 1.9 * inner <= outer <= 2.1 * inner:
        return None
    sign = 1.0 if start > 0 else -1.0
    nearer = between(*sorted((sign * inner / 2, sign * inner)))
    farther = between(*sorted((sign * outer, sign * 2 * outer)))
    power = float(np.clip(np.log2(farther / nearer) / 2 - 1, -STEEPEST, STEEPEST))
    grown = (outer / inner) ** (np.arange(PIECES + 1) / PIECES)
    part = np.diff(np.log(grown) if abs(power + 1) < 1e-6 else grown ** (power + 1) / (power + 1))
    cuts = inner * grown
    return (cuts, part) if sign > 0 else (-cuts[::-1], part[::-1])


def _evenly(
    start: float, end: float, between: Callable[[float, float], float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Edges and weights of the pieces of the first or last cell, if rows get fewer outwards; else None."""
    before, own, after = (
        between(*ends) for ends in ((2 * start - end, start), (start, end), (end, 2 * end - start))
    )
    falls = min(np.log(max(before, after) / own), STEEPEST)
    if falls <= 0:
        return None
    part = np.exp(-falls * np.arange(PIECES) / PIECES)
    return np.linspace(start, end, PIECES + 1), part if before > after else part[::-1]
