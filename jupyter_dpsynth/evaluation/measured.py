"""The comparison of a synthetic table with the noisy measurements of its model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.losses import column_losses
from jupyter_dpsynth.engine.model.reference import pair_dependence
from jupyter_dpsynth.evaluation.cells import cells_of
from jupyter_dpsynth.evaluation.comparison import Comparison
from jupyter_dpsynth.evaluation.distances import (
    Metric,
    chance_floor,
    compared_pairs,
    joint_of_measured,
    sorted_columns,
)
from jupyter_dpsynth.evaluation.metrics import one_way_shares
from jupyter_dpsynth.evaluation.overall import overall_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.evaluation.overall import Overall
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["compare_with_measurements"]


def compare_with_measurements(synthesizer: HighDimSynthesizer, df_synth: pd.DataFrame) -> Comparison:
    """Compare with the noisy measurements that epsilon already paid for.

    Args:
        synthesizer: A learned synthesizer.
        df_synth: A synthetic table with its columns.
    """
    reference, codec = synthesizer.reference, synthesizer.codec
    cells = cells_of(codec, reference, divide=False)
    codes = cells.encode_apart(df_synth).astype(np.int64)
    shares, noise = cells.measured(reference)
    synthetic = one_way_shares(codes, cells.sizes)
    rows = 1 / reference.rows + 1 / len(codes)
    floors = [chance_floor(share, error, rows) for share, error in zip(shares, noise, strict=True)]
    columns = sorted_columns(
        reference.columns, cells.labels, tuple(shares), synthetic, tuple(noise), cells.axes, floors
    )
    # of no more rows than were measured: the correction for chance depends on their number
    joined = cells.joined(codes[: max(reference.rows, 2)])
    dependence = pair_dependence(joined, codec.sizes)
    pairs = np.triu_indices(len(codec.sizes), 1)
    gaps = np.abs(dependence - reference.dependence)[pairs]
    overall = estimated_overall(
        shares,
        noise,
        synthetic,
        (gaps, reference.dependence_noise),
        reference.dependence[pairs],
        cells.hidden,
        len(codes),
    )
    table = [
        Metric(
            "one-way difference",
            float(np.mean([column.distance for column in columns])),
            float(np.mean(floors)),
            "share of the rows that would have to change for a column's shares to be as measured "
            "(total-variation distance), mean over the columns; good: what noise and chance alone give",
        ),
        Metric(
            "largest one-way difference",
            columns[0].distance,
            max(floors),
            f"the same for the column with the largest difference, {columns[0].name}",
        ),
    ]
    if len(gaps):
        table.append(
            Metric(
                "pair dependence difference",
                float(gaps.mean()),
                float(reference.dependence_noise * np.sqrt(2 / np.pi)),
                "how differently strong two columns depend on each other, mean over all pairs (distance from "
                "independence); good: what noise alone gives",
            )
        )
    return Comparison(
        "noisy measurements of the original",
        tuple(table),
        columns,
        reference.columns,
        reference.dependence,
        dependence,
        "0 for none, 1 for the strongest (total-variation distance from independence)",
        overall,
        partial(joint_of_measured, shares, codes, cells.sizes),
        losses=column_losses(codec, reference),
        rows=(reference.rows, len(codes)),
    )


def estimated_overall(
    shares: Sequence[NDArray[np.float64]],
    noise: Sequence[NDArray[np.float64]],
    synthetic: Sequence[NDArray[np.float64]],
    gaps: tuple[NDArray[np.float64], float],
    dependence: NDArray[np.float64],
    hidden: NDArray[np.float64],
    rows: int,
) -> Overall | None:
    """What the measurements tell of the score.

    The true shares of a column are the measured ones, give or take their noise: so is its distance from them.
    If the columns were all that differs, two of them together would differ by 1 - (1 - a) (1 - b). Joint
    shares were never measured, only how strong each dependence is: where it differs by more than its noise,
    that may come on top, or be in the columns' distances already. The stated error covers both, and a table
    that is as good as the noise allows to think.

    Args:
        shares: Measured shares of each column.
        noise: Standard deviations of their noise.
        synthetic: Shares of each column in the synthetic table.
        gaps: Differences of each pair's dependence `[pairs]`, and the standard deviation of their noise.
        dependence: Measured dependence of each pair `[pairs]`.
        hidden: Share of each column in large intervals, inside which nothing was measured, `[m]`.
        rows: Rows of the synthetic table.
    """
    likely, least = np.zeros(len(shares)), np.zeros(len(shares))
    for place, (measured, error, made) in enumerate(zip(shares, noise, synthetic, strict=True)):
        # what chance alone adds to a table of so few rows is not the model's
        square = (made - measured) ** 2 - made * (1 - made) / rows
        gap = np.sqrt(np.maximum(square, 0.0))
        likely[place] = _expected_distance(gap, error).sum() / 2
        least[place] = max(0.0, gap.sum() / 2 - np.sqrt(2 / np.pi) * error.sum() / 2)
    likely = np.minimum(likely + hidden / 4, 1.0)
    sets = compared_pairs(len(shares))
    if len(shares) == 1:
        return overall_of(float(likely[0]), 0.0, error=float(likely[0] - least[0]) / 2)
    one, two = np.array(sets).T
    together, at_least = (1 - (1 - each[one]) * (1 - each[two]) for each in (likely, least))
    column = np.zeros((len(shares),) * 2, dtype=int)
    column[np.triu_indices(len(shares), 1)] = np.arange(len(dependence))
    chosen = column[one, two]
    more = np.sqrt(max(float(np.mean(gaps[0][chosen] ** 2)) - gaps[1] ** 2, 0.0)) / 2
    error = float((together - at_least).mean()) / 2 + more
    apart = None
    if dependence[chosen].mean() > 2 * gaps[1]:  # else most of it is noise
        apart = float(np.minimum(together + dependence[chosen], 1.0).mean())
    return overall_of(float(together.mean()), 0.0, error=error, apart=apart)


def _expected_distance(gap: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean absolute value of normal variables around `gap` (folded normal distribution)."""
    from scipy.special import erf

    deviation = np.maximum(noise, 1e-300)
    ratio = gap / deviation
    folded = deviation * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + gap * erf(ratio / np.sqrt(2))
    return np.where(noise > 0, folded, gap)
