"""Noisy one-way marginals and pair dependences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.engine.model.reference import PAIR_ROWS, pair_dependence
from jupyter_dpsynth.privacy.sampling import poisson_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.measuring.discovered import Discovered
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.privacy.releases import Histograms


__all__ = ["measure_one_way", "measure_pairs"]


def measure_one_way(
    exact: Sequence[NDArray[np.int64]],
    discovered: Sequence[Discovered],
    histograms: Histograms,
    sigma: float,
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Noisy counts of every column's cells, joined by precision with what discovery measured.

    Args:
        exact: Exact counts of every column's cells: private.
        discovered: What discovery measured.
        histograms: The door to private counts.
        sigma: Noise of each histogram.

    Returns:
        Counts and their noise variances, one `[cells]` array for each column.

    Privacy:
        One histogram a column with noise `sigma`.
    """
    counts, variances = [], []
    for own, column in zip(exact, discovered, strict=True):
        noisy = histograms.measure(own, sigma)
        if sigma == 0:
            counts.append(noisy)
            variances.append(np.zeros(len(noisy)))
            continue
        precision = 1 / sigma**2 + 1 / column.variances
        counts.append((noisy / sigma**2 + column.counts / column.variances) / precision)
        variances.append(1 / precision)
    return counts, variances


def measure_pairs(
    codes: NDArray[np.integer[Any]],
    sizes: NDArray[np.int64],
    shares: Sequence[NDArray[np.float64]],
    rows: float,
    sigma: float,
    noise: NoiseSource,
) -> NDArray[np.float64]:
    """Noisy total-variation distance of every pair of columns from independence, `[m, m]`.

    Args:
        codes: Private codes `int32 [n, m]`.
        sizes: Number of cells of each column.
        shares: Noisy one-way shares of each column.
        rows: Noisy row count; the distance is taken to this many independent rows.
        sigma: Noise of each pair's L1 distance in rows.
        noise: Source of the noise.

    Privacy:
        One row changes one cell of a pair's table by one, and nothing else (shares and rows are already
        noisy constants), so each distance has sensitivity 1. In tables of more than `PAIR_ROWS` rows
        only a Poisson sample of about so many is looked at: that can but lower the sensitivity, and the
        noise is planned as if it did not.
    """
    columns = len(sizes)
    if rows > PAIR_ROWS:
        sample = poisson_sample(len(codes), PAIR_ROWS / rows, noise.generator)
        codes, rows = np.asfortranarray(codes[sample]), PAIR_ROWS
    errors = noise.normal(columns * (columns - 1) // 2, sigma) if sigma else None
    return pair_dependence(codes, sizes, shares, rows, errors)
