"""Draws noisy one-way counts to what is likely: neighbouring bins alike, all cells together the table.

Post-processing. With little noise nothing changes; where noise is as large as the counts of a number's bins,
it takes a fifth of their error away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.numeric import SPIKE_WIDTH, NumericCodec
from jupyter_dpsynth.engine.measuring.presence import SURE
from jupyter_dpsynth.engine.measuring.shrinkage import onto_sum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import ColumnCodec

__all__ = ["likely_counts", "smooth_bins"]

FEWEST_BINS = 5  # that are smoothed
FAR = 3.0  # standard deviations of noise by which a bin may be moved
SMOOTHNESS = 2.0 ** np.arange(-5, 4)  # how far neighbours may differ, in standard deviations of noise


def likely_counts(
    counts: Sequence[NDArray[np.float64]],
    variances: Sequence[NDArray[np.float64]],
    codecs: Sequence[ColumnCodec],
    rows: float,
    rows_variance: float,
) -> list[NDArray[np.float64]]:
    """Counts of every column's cells that are nearer to the exact ones than the noisy counts.

    Bins of numbers and times with declared bounds are smoothed, and each column's counts are moved, by their
    variances, to non-negative ones whose sum is the number of rows, of which all columns' sums tell together.
    Columns whose range was found stay as they are: their bins grow towards the ends, where a few rows decide
    about the mean.

    Args:
        counts: Noisy counts `[cells]` of each column.
        variances: Variance of the noise of each count.
        codecs: The columns' codecs.
        rows: Noisy number of rows.
        rows_variance: Variance of its noise.

    Privacy:
        Post-processing.
    """
    if not any(variance.any() for variance in variances):
        return list(counts)
    sums = np.array([rows, *(count.sum() for count in counts)])
    spread = np.array([rows_variance, *(variance.sum() for variance in variances)])
    precision = 1 / np.maximum(spread, 1e-9)
    total = max(float(precision @ sums / precision.sum()), 1.0)
    out = []
    for count, variance, codec in zip(counts, variances, codecs, strict=True):
        smooth = count.copy()
        if isinstance(codec, NumericCodec):
            if codec.meta.bounds is None:
                out.append(smooth)
                continue
            bins = slice(codec.ordered_cells)
            widths, single = _widths(codec)
            smooth[bins] = smooth_bins(count[bins], variance[bins], widths, single)
        out.append(onto_sum(smooth, total, variance))
    return out


def _widths(codec: NumericCodec) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How wide the leaves of each bin are together, and whether the bin is a single value."""
    first, widths = codec.first_leaf, codec.ends - codec.starts
    largest = np.maximum(np.abs(codec.starts), np.abs(codec.ends))
    narrow = widths <= (SPIKE_WIDTH * largest if codec.resolution == 0 else 1)
    return np.add.reduceat(widths, first), np.logical_and.reduceat(narrow, first) & (
        np.diff(np.append(first, len(widths))) == 1
    )


def smooth_bins(
    counts: NDArray[np.float64],
    variances: NDArray[np.float64],
    widths: NDArray[np.float64],
    single: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Counts of neighbouring bins with their densities drawn to each other, as far as noise explains.

    How strongly is chosen by Stein's unbiased estimate of the error. Single values that stand out, and bins
    that would be moved far, have nothing to do with their neighbours and stay as they are.

    Args:
        counts: Noisy counts `[bins]`.
        variances: Variance of the noise of each.
        widths: Width of each bin, positive.
        single: Which bins are one value.

    Source:
        Stein 1981, 'Estimation of the mean of a multivariate normal distribution'.
    """
    if not variances.all():
        return counts
    noise = np.sqrt(variances)
    alone = single & (counts > SURE * noise)
    while True:
        rest, out = ~alone, counts.copy()
        if rest.sum() < FEWEST_BINS:
            return out
        out[rest] = noise[rest] * _least_error(counts[rest] / noise[rest], noise[rest], widths[rest])
        far = np.abs(out - counts) > FAR * noise
        if not far.any():
            return out
        alone |= far


def _least_error(
    points: NDArray[np.float64], noise: NDArray[np.float64], widths: NDArray[np.float64]
) -> NDArray[Any]:
    """Smoothed counts, in standard deviations of noise, of the smoothness that has the least estimated error.

    What is penalised is by how much the narrower one of two neighbours differs from what the density of the
    other one says of it.
    """
    narrower = np.minimum(widths[1:], widths[:-1])
    place = np.arange(len(narrower))
    difference = np.zeros((len(narrower), len(points)))
    difference[place, place] = -narrower / widths[:-1]
    difference[place, place + 1] = narrower / widths[1:]
    scaled = difference * noise / np.sqrt((noise**2).mean())
    strengths, directions = np.linalg.eigh(scaled.T @ scaled)
    along = directions.T @ points
    kept = 1 / (1 + np.maximum(strengths, 0) / SMOOTHNESS[:, None] ** 2)
    kept = np.concatenate([kept, np.ones((1, len(points)))])
    errors = (((1 - kept) * along) ** 2).sum(axis=1) + 2 * kept.sum(axis=1)
    out: NDArray[np.float64] = directions @ (kept[np.argmin(errors)] * along)
    return out
