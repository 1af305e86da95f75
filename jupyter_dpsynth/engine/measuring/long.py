"""Finds, with noise, which whole numbers stand behind single values that float64 cannot tell apart.

Beyond 2^53 float64 holds one of several whole numbers, and bins are made of float64. Of the few values that
come again and again there, each row's distance from the float is counted; what stands out comes back exactly.
What is counted in private rows leaves through `RowWeights.release` alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.measuring.presence import SURE
from jupyter_dpsynth.sources.values import number_values, whole_values

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.numeric import ExactValues
    from jupyter_dpsynth.engine.measuring.weighing import RowWeights
    from jupyter_dpsynth.metadata.columns import ContinuousMeta
    from jupyter_dpsynth.privacy.releases import Allowance
    from jupyter_dpsynth.sources.base import Source

    WholeNumbers = Callable[[NDArray[np.float64], Allowance], ExactValues]

__all__ = ["WHOLE_NUMBERS", "find_whole_numbers"]

WHOLE_NUMBERS = 2.0**53  # up to here float64 holds every whole number
MODULUS = 2**64  # beyond it distances are not told
MOST_CELLS = 2**24  # of the histogram: where more would be needed, all values stay rounded


def find_whole_numbers(
    points: NDArray[np.float64],
    allowance: Allowance,
    *,
    source: Source,
    meta: ContinuousMeta,
    weights: RowWeights,
) -> ExactValues:
    """The whole numbers behind single values, and a weight of each, by the float that stands for them.

    Values beyond 64 bits are left out, and all where there are too many.

    Args:
        points: The values that were published, beyond 2^53, float64 `[values]`, increasing.
        allowance: For one histogram.
        source: The private table.
        meta: Metadata of the column, which holds whole numbers.
        weights: How much each row counts.

    Privacy:
        One histogram, whose cells follow from `points` alone; one row counts in one of them.
    """
    points = points[np.abs(points) <= MODULUS]
    if not len(points):
        return {}
    reach = int(np.spacing(np.abs(points).max()) / 2)  # a whole number is not farther from its float
    width = 2 * reach + 1
    if len(points) * width > MOST_CELLS:
        return {}
    place = functools.partial(_distances, meta=meta, points=points, reach=reach)
    noisy = weights.release(source, place, [meta.name], len(points) * width + 1, allowance)[:-1]
    found: ExactValues = {}
    least = allowance.noise * np.sqrt(SURE**2 + 2 * np.log(len(noisy)))
    for point, counts in zip(points.tolist(), noisy.reshape(len(points), width), strict=True):
        clear = np.flatnonzero(counts > least)
        chosen = clear if len(clear) else np.array([np.argmax(counts)])
        share = np.maximum(counts[chosen], 1.0) / np.maximum(counts[chosen], 1.0).sum()
        numbers = [int(point) + int(distance) - reach for distance in chosen]
        found[point] = dict(zip(numbers, share.tolist(), strict=True))
    return found


def _distances(
    df: pd.DataFrame, meta: ContinuousMeta, points: NDArray[np.float64], reach: int
) -> NDArray[np.int64]:
    """The cell of each row of a part: its float, and its distance from that; the last one for other rows."""
    series, width = meta.present(df[meta.name]), 2 * reach + 1
    floats = number_values(series)
    place = np.minimum(np.searchsorted(points, floats), len(points) - 1)
    base = np.array([int(point) % MODULUS for point in points], dtype=np.uint64)
    # the difference modulo 2^64 is right where it is small, whatever the signs
    distance = (whole_values(series) - base[place]).view(np.int64)
    among = (points[place] == floats) & (np.abs(distance) <= reach)
    return np.where(among, place * width + distance + reach, len(points) * width)
