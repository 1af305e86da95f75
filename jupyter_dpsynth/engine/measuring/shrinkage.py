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


def shrink_siblings(
    counts: NDArray[np.float64],
    group: NDArray[np.int64],
    parents: NDArray[np.float64],
    sigma: float,
    widths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Denoise the counts of siblings: keep those that stand out, and draw the others towards an even spread.

    Args:
        counts: Noisy counts `[cells]`.
        group: Which parent each cell has, `[cells]`.
        parents: Noisy count of each parent.
        sigma: Noise of each count.
        widths: Width of each cell.

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
