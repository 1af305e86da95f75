"""Decides from noisy counts which cells of an open-ended grid contain rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.metadata.columns import DatetimeMeta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import ContinuousMeta

__all__ = ["REACH", "SURE", "SURE_ALONE", "SURE_TOGETHER", "present_cells", "sides_of"]

SURE = 4.0  # standard deviations of noise by which a value stands out
SURE_ALONE = 6.0  # of one of thousands of cells that reach from 1e-301 to 1e301: a false one would be far out
REACH = ((2, 2.0), (8, SURE))  # up to so many cells from others it takes so many standard deviations
SURE_TOGETHER = 3.5  # of the noise of a run of cells beside others
LONGEST_RUN = 8  # cells
# Standard deviations of noise by which cells that stand out must hold fewer than all rows, for a run of cells
# elsewhere to be looked for; and by which that run must stand out among the usual cells, and among all.
FEWER = 3.5
SURE_ELSEWHERE = 4.0, 5.5
SURE_MISSED = 2.0  # of zero, where rows are missed: a few percent of answers are 'no', none is 2048
USUAL_NUMBERS = 1e-3, 1e6  # and zero itself: nine of ten cells lie between zero and the first of them
USUAL_YEARS = "1950", "2050"
USUAL_DURATIONS = 0.0, 3.2e13  # microseconds, up to a year


def present_cells(
    counts: NDArray[np.float64],
    sigma: float,
    starts: NDArray[np.float64],
    meta: ContinuousMeta | DatetimeMeta,
    resolution: float,
    rows: float,
) -> NDArray[np.bool_]:
    """Cells of an open-ended grid that contain more than noise.

    How far a cell must stand out depends on how far it is from those that do: `REACH`, `SURE_ALONE` beyond.
    Cells of which none stands out may do so together: a run of them beside those that do is taken as a
    whole. The other side of zero is far: what is never negative stays so; zero itself is not. If nothing
    stands out at all, it is the clearest of the cells where values most often are. If those that do hold
    certainly less than all rows (a third of customers spend nothing, the others amounts of any size), zero
    is taken, too, or else a run of cells anywhere that is clear enough.

    Args:
        counts: Noisy counts `[cells]`.
        sigma: Noise of each count.
        starts: First point of each cell, in steps of the resolution.
        meta: The column's metadata.
        resolution: Size of one step.
        rows: Noisy number of rows that are somewhere on the grid.

    Privacy:
        Post-processing.
    """
    sides, usual = sides_of(starts, meta), _usual(starts, meta, resolution)
    # zero is one cell, and never far out: it means 'none', or 'on the same day'
    sure = (counts > SURE_ALONE * sigma) | (_is_zero(starts, meta) & (counts > SURE_TOGETHER * sigma))
    if not sure.any():
        sure = _clearest_run(counts, sides)
        if counts[sure].sum() <= SURE_ALONE * sigma * np.sqrt(sure.sum()):
            sure = _clearest_run(np.where(usual, counts, -np.inf), sides)
    while True:
        grown = sure.copy()
        for distance, least in REACH:
            near = np.zeros(len(sure), dtype=bool)
            for shift in range(1, distance + 1):
                same = sides[shift:] == sides[:-shift]
                near[shift:] |= sure[:-shift] & same
                near[:-shift] |= sure[shift:] & same
            grown |= near & (counts > least * sigma)
        if (grown == sure).all():
            grown |= _runs_beside(sure, counts, sides, sigma)
        if (grown == sure).all() and rows - counts[sure].sum() > FEWER * sigma * np.sqrt(1 + sure.sum()):
            zero = _is_zero(starts, meta) & (counts > SURE_MISSED * sigma) & ~sure
            grown |= zero if zero.any() else _elsewhere(sure, counts, sides, usual, sigma)
        if (grown == sure).all():
            return grown
        sure = grown


def _clearest_run(counts: NDArray[np.float64], sides: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The sequence of cells on one side of zero that stands out most (a single cell may do so by chance)."""
    best, chosen = -np.inf, (0, 1)
    for length in range(1, min(LONGEST_RUN, len(counts)) + 1):
        scores = np.lib.stride_tricks.sliding_window_view(counts, length).sum(axis=1) / np.sqrt(length)
        scores[sides[: len(scores)] != sides[length - 1 :]] = -np.inf
        first = int(np.argmax(scores))
        if scores[first] > best:
            best, chosen = scores[first], (first, first + length)
    out = np.zeros(len(counts), dtype=bool)
    out[slice(*chosen)] = True
    return out


def _runs_beside(
    sure: NDArray[np.bool_], counts: NDArray[np.float64], sides: NDArray[np.bool_], sigma: float
) -> NDArray[np.bool_]:
    """Sequences of cells beside the certain ones that stand out together."""
    out = np.zeros(len(sure), dtype=bool)
    for place in np.flatnonzero(sure):
        for step in (-1, 1):
            run = place + step * np.arange(1, LONGEST_RUN + 1)
            run = run[(run >= 0) & (run < len(sure))]
            run = run[np.cumprod(~sure[run] & (sides[run] == sides[place])).astype(bool)]
            scores = np.cumsum(counts[run]) / np.sqrt(np.arange(1, len(run) + 1))
            if len(run) and scores.max() > SURE_TOGETHER * sigma:
                out[run[: np.argmax(scores) + 1]] = True
    return out


def _elsewhere(
    sure: NDArray[np.bool_],
    counts: NDArray[np.float64],
    sides: NDArray[np.bool_],
    usual: NDArray[np.bool_],
    sigma: float,
) -> NDArray[np.bool_]:
    """The clearest sequence of cells that are not among the certain ones; none if it may be noise."""
    for among, least in zip((usual, np.ones_like(usual)), SURE_ELSEWHERE, strict=True):
        run = _clearest_run(np.where(among & ~sure, counts, -np.inf), sides)
        if counts[run].sum() > least * sigma * np.sqrt(run.sum()) and not (run & sure).any():
            return run
    return np.zeros_like(sure)


def sides_of(starts: NDArray[np.float64], meta: ContinuousMeta | DatetimeMeta) -> NDArray[np.bool_]:
    """On which side of zero each cell is; for points in time, zero has no special meaning."""
    if isinstance(meta, DatetimeMeta) and not meta.is_duration:
        return np.ones(len(starts), dtype=bool)
    return starts >= 0


def _usual(
    starts: NDArray[np.float64], meta: ContinuousMeta | DatetimeMeta, resolution: float
) -> NDArray[np.bool_]:
    """Cells in which values usually are; in the whole grid, the largest count would often be noise."""
    if meta.bounds is not None:
        return np.ones(len(starts), dtype=bool)
    if not isinstance(meta, DatetimeMeta):
        first, end = USUAL_NUMBERS
    elif meta.is_duration:
        first, end = USUAL_DURATIONS
    else:
        first, end = np.array(USUAL_YEARS, dtype="datetime64[us]").astype(np.float64).tolist()
    values = starts * (resolution or 1.0)
    ends = np.append(values[1:], np.inf)  # of joined years the usual ones may be the last
    among: NDArray[np.bool_] = (ends > first) & (values < end)
    return among | _is_zero(starts, meta)


def _is_zero(starts: NDArray[np.float64], meta: ContinuousMeta | DatetimeMeta) -> NDArray[np.bool_]:
    """The cell of nothing but zero; of points in time, none is."""
    moments = isinstance(meta, DatetimeMeta) and not meta.is_duration
    return np.zeros(len(starts), dtype=bool) if moments else starts == 0
