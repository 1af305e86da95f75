"""Estimates what noisy counts of sibling cells say of the rows in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.measuring.grids import BRANCHES
from jupyter_dpsynth.engine.measuring.presence import SURE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLEAR", "onto_sum", "shrink_siblings"]

CLEAR = 2.0  # standard deviations of noise that a part's count should be
AT_AN_END = 2.0, 3.5  # standard deviations by which siblings at an end stand out, or are fewer than expected
# How dense rows are beside a cell, as many times as in it: where a column ends, and where its rows come from.
NOTHING, DENSE = 0.05, 4.0
RATES = 1 / np.geomspace(0.2, 64, 26)  # of the fall, for the mean width of a cell
SLOW = RATES[RATES < 1 / 5]  # where no cell stands out: the first ones may be noise
LEAST_BEYOND = 1.0  # rows: fewer are not put beyond an end


def shrink_siblings(
    counts: NDArray[np.float64],
    group: NDArray[np.int64],
    parents: NDArray[np.float64],
    sigma: float,
    widths: NDArray[np.float64],
    around: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Denoise the counts of siblings: keep those that stand out, and draw the others towards an even spread.

    Where the rows of a column end, siblings beyond those that stand out get fewer outwards instead: noise,
    which is anywhere, would be values far from all others.

    Args:
        counts: Noisy counts `[cells]`.
        group: Which parent each cell has, `[cells]`.
        parents: Noisy count of each parent.
        sigma: Noise of each count.
        widths: Width of each cell.
        around: How dense rows are below and above each parent, as many times as in it, `[parents, 2]`; None
            if it is not known.

    Source:
        James and Stein 1961 (positive part), applied to the deviations from the parent's spread.
    """
    out = counts.copy()
    if sigma == 0:
        return out
    for index, parent in enumerate(parents):
        members = np.flatnonzero(group == index)
        size = len(members)
        if size < 4:
            continue
        values, share = counts[members], widths[members] / widths[members].sum()
        # the parent's own count has one unit of variance, the children's sum has `size` of them
        total = (parent * size + values.sum()) / (size + 1)
        inside = _between_ends(values, parent, sigma, share)
        if not inside.all():
            out[members[~inside]] = 0.0
            members, values, share = members[inside], values[inside], share[inside] / share[inside].sum()
            size = len(members)
        if around is not None:
            ends = _fallen(values, total, sigma, widths[members], around[index])
            out[members[ends >= 0]] = ends[ends >= 0]
            total, members, values = total - ends[ends >= 0].sum(), members[ends < 0], values[ends < 0]
            size, share = len(members), widths[members] / max(widths[members].sum(), 1e-300)
        rest = values <= np.maximum(total, 0) * share + _sure_of(size) * sigma
        if rest.sum() < 4:
            continue
        left, spikes = total - values[~rest].sum(), np.count_nonzero(~rest)
        if spikes and left < CLEAR * sigma * np.sqrt(1 + spikes):
            left = 0.0  # beside spikes so little is noise: values that nobody has would come of it
        if spikes:  # most of what is beside spikes is near them
            share = share / _to_nearest(np.flatnonzero(~rest), size).clip(1) ** 2
        even = max(left, 0) * share[rest] / share[rest].sum()
        spread = max(float(((values[rest] - even) ** 2).sum()), 1e-9)
        keep = max(0.0, 1 - sigma**2 * rest.sum() / spread)
        out[members[rest]] = onto_sum(even + keep * (values[rest] - even), max(left, 0.0))
    return out


def _between_ends(
    counts: NDArray[np.float64], parent: float, sigma: float, shares: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which siblings lie between the first and the last that hold rows, `[cells]`.

    Many cells of noise would be values far from all others. Those at an end are taken to be empty if they
    certainly hold fewer rows than they would of an even spread, and no sequence of them stands out.

    Args:
        counts: Noisy counts, `[cells]`.
        parent: Noisy count of all of them.
        sigma: Noise of each count.
        shares: Share of each cell in an even spread, `[cells]`.
    """
    inside = np.ones(len(counts), dtype=bool)
    size = len(counts)
    for outwards in (slice(None), slice(None, None, -1)):
        sums = np.append(0.0, np.cumsum(counts[outwards]))
        cut = size - 1
        for last in range(1, size):
            clear = (sums[last] - sums[:last]) / np.sqrt(np.arange(last, 0, -1))
            if clear.max() > AT_AN_END[0] * sigma:
                cut = int(np.argmax(clear))
                break
        # rows beyond the cut: what is counted there, and what the others leave of the parent's
        beyond = (sums[cut] * (1 + size - cut) + (parent - sums[-1] + sums[cut]) * cut) / (1 + size)
        spread = sigma * np.sqrt(cut * (1 + size - cut) / (1 + size))
        if cut and beyond + AT_AN_END[1] * spread < shares[outwards][:cut].sum() * parent:
            inside[outwards][:cut] = False
    return inside


def _fallen(
    counts: NDArray[np.float64],
    total: float,
    sigma: float,
    widths: NDArray[np.float64],
    around: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Rows of the siblings beyond those that stand out, where the column ends, `[cells]`; -1 for the others.

    Args:
        counts: Noisy counts, `[cells]`.
        total: Noisy count of all of them.
        sigma: Noise of each count.
        widths: Width of each cell.
        around: How dense rows are below and above, as many times as in them.
    """
    out, size = np.full(len(counts), -1.0), len(counts)
    sure = np.flatnonzero(counts > SURE * sigma)
    for below, inwards in ((True, slice(None)), (False, slice(None, None, -1))):
        beyond, before = around if below else around[::-1]
        if beyond > NOTHING:
            continue
        if len(sure):
            many = 1 + int(sure[0] if below else size - 1 - sure[-1])
            fitted = _falling_off(counts[inwards][:many][::-1], sigma, widths[inwards][:many][::-1])
            out[inwards][: many - 1] = fitted[1:][::-1]
        elif before > DENSE:
            fitted = _falling_off(counts[inwards][::-1], sigma, widths[inwards][::-1], SLOW)
            if fitted.sum() > 0:
                out[inwards] = fitted[::-1] * max(total, 0.0) / fitted.sum()
    return out


def _falling_off(
    counts: NDArray[np.float64],
    sigma: float,
    widths: NDArray[np.float64],
    rates: NDArray[np.float64] = RATES,
) -> NDArray[np.float64]:
    """Rows of cells that get fewer outwards, by the exponential that is nearest to the counts, `[cells]`.

    Where the counts differ from it by more than noise does, they are drawn to it less.

    Args:
        counts: Noisy counts, from the nearest cell outwards, `[cells]`.
        sigma: Noise of each count.
        widths: Width of each cell.
        rates: How fast they may fall, for the mean width of a cell.
    """
    distance = (np.cumsum(widths) - widths / 2) / widths.mean()
    shapes = np.exp(-np.outer(rates, distance)) * widths / widths.mean()
    sizes = np.maximum(shapes @ counts / (shapes**2).sum(axis=1), 0.0)
    fits = sizes[:, None] * shapes
    fit = fits[np.argmin(((counts - fits) ** 2).sum(axis=1))]
    apart, cells = float(((counts - fit) ** 2).sum()), len(counts)
    if apart > sigma**2 * (cells + CLEAR * np.sqrt(2 * cells)):
        fit = np.maximum(fit + (1 - sigma**2 * cells / apart) * (counts - fit), 0.0)
    left = np.cumsum(fit[::-1])[::-1]
    return np.where(left < LEAST_BEYOND, 0.0, fit)


def _to_nearest(chosen: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Distance of each of `size` positions from the nearest chosen one.

    >>> _to_nearest(np.array([1, 4]), 6)
    array([1, 0, 1, 1, 0, 1])
    """
    place = np.arange(size)
    after = np.searchsorted(chosen, place).clip(max=len(chosen) - 1)
    before = (after - 1).clip(min=0)
    nearest: NDArray[np.int64] = np.minimum(abs(chosen[after] - place), abs(chosen[before] - place))
    return nearest


def _sure_of(cells: int) -> float:
    """By how many standard deviations one of so many cells must exceed the noise to stand out."""
    return float(np.sqrt(SURE**2 + 2 * np.log(max(cells / BRANCHES, 1.0))))


def onto_sum(
    values: NDArray[np.float64], total: float, variances: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """The likeliest non-negative numbers that add up to `total`.

    Setting negative ones to zero alone would leave the noise of the others: mass where nobody is.

    Args:
        values: Noisy numbers.
        total: What they are to add up to, not negative.
        variances: Of the noise of each, positive; None if all are alike.

    Source:
        Duchi et al. 2008, 'Efficient projections onto the l1-ball'.

    >>> onto_sum(np.array([5.0, 3.0, -1.0]), 6.0)
    array([4., 2., 0.])
    >>> onto_sum(np.array([5.0, 3.0, -1.0]), 6.0, np.array([3.0, 1.0, 1.0]))
    array([3.5, 2.5, 0. ])
    """
    weights = np.ones(len(values)) if variances is None else variances
    order = np.argsort(-values / weights, kind="stable")
    falling = (values / weights)[order]
    excess = (np.cumsum(values[order]) - total) / np.cumsum(weights[order])
    held = max(int(np.count_nonzero(falling > excess)), 1)
    out: NDArray[np.float64] = np.maximum(values - weights * excess[held - 1], 0.0)
    return out
