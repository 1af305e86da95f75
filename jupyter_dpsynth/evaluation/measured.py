"""The comparison of a synthetic table with the noisy measurements of its model."""

from __future__ import annotations

from dataclasses import replace
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

CLEARLY_NEARER = 0.5  # than other rows would be: so near to the measurements are those that share their noise


def compare_with_measurements(
    synthesizer: HighDimSynthesizer, df_synth: pd.DataFrame, *, own: bool
) -> Comparison:
    """Compare with the noisy measurements that epsilon already paid for.

    Args:
        synthesizer: A learned synthesizer.
        df_synth: A synthetic table with its columns.
        own: Whether it is known that a model made it.
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
        (reference.rows, len(codes)),
        own=own,
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
    rows: tuple[float, float],
    *,
    own: bool,
) -> Overall | None:
    """What the measurements tell of the score.

    The true shares of a column are the measured ones, give or take their noise: so is its distance from them.
    If the columns were all that differs, two of them together would differ by 1 - (1 - a) (1 - b). Joint
    shares were never measured, only how strong each dependence is: where it differs by more than its noise,
    that may come on top, or be in the columns' distances already. The stated error covers both, and a table
    that is as good as the noise allows to think.

    That holds of the model's own rows, which share the measurements' noise. Others are as far from the
    measurements as the noise alone takes these from the truth, and none of it is theirs. Where both may be,
    the score is between, and the stated error covers both.

    Args:
        shares: Measured shares of each column.
        noise: Standard deviations of their noise.
        synthetic: Shares of each column in the synthetic table.
        gaps: Differences of each pair's dependence `[pairs]`, and the standard deviation of their noise.
        dependence: Measured dependence of each pair `[pairs]`.
        hidden: Share of each column in large intervals, inside which nothing was measured, `[m]`.
        rows: Of the learned table, about, and of the synthetic one.
        own: Whether it is known that a model made the table.
    """
    columns = [_column(*each, rows) for each in zip(shares, noise, synthetic, strict=True)]
    shared, alone, least, distance, expected = np.array(columns).T
    shared, alone = (np.minimum(each + hidden / 4, 1.0) for each in (shared, alone))
    either = not own and distance.sum() > CLEARLY_NEARER * expected.sum()
    sets = compared_pairs(len(shares))
    if len(shares) == 1:
        return _between(shared, alone, least, 0.0, None, either=either)
    one, two = np.array(sets).T
    shared, alone, least = (1 - (1 - each[one]) * (1 - each[two]) for each in (shared, alone, least))
    column = np.zeros((len(shares),) * 2, dtype=int)
    column[np.triu_indices(len(shares), 1)] = np.arange(len(dependence))
    chosen = column[one, two]
    more = np.sqrt(max(float(np.mean(gaps[0][chosen] ** 2)) - gaps[1] ** 2, 0.0)) / 2
    apart = None
    if dependence[chosen].mean() > 2 * gaps[1]:  # else most of it is noise
        apart = float(np.minimum(shared + dependence[chosen], 1.0).mean())
    return _between(shared, alone, least, more, apart, either=either)


def _between(
    shared: NDArray[np.float64],
    alone: NDArray[np.float64],
    least: NDArray[np.float64],
    more: float,
    apart: float | None,
    *,
    either: bool,
) -> Overall | None:
    """The score of mean distances: of the model's own rows, or halfway to that of other rows."""
    likely, best = float(shared.mean()), float((np.minimum(least, alone) if either else least).mean())
    distance = (likely + float(alone.mean())) / 2 if either else likely
    found = overall_of(distance, 0.0, error=(likely - best) / 2 + more, apart=apart)
    return None if found is None else replace(found, either=either)


def _column(
    measured: NDArray[np.float64],
    error: NDArray[np.float64],
    made: NDArray[np.float64],
    rows: tuple[float, float],
) -> tuple[float, float, float, float, float]:
    """Distances of a column from the truth, and from the measurements.

    Returns:
        If the rows share the noise of the measurements; if they do not; the least that the noise allows to
        think. Then the distance from the measurements, and what it is expected to be of as many other rows.
    """
    half = np.sqrt(2 / np.pi) / 2  # of the sum of standard deviations: half the mean absolute value
    gap, variance = np.abs(made - measured), made * (1 - made)
    distance, floor = float(gap.sum()) / 2, half * float(error.sum())
    # what chance alone adds to a table of so few rows is not the model's
    chance = half * float(np.sqrt(variance / rows[1]).sum())
    left = np.sqrt(max(distance**2 - chance**2, 0.0))
    shared = _expected_distance(gap * (left / distance if distance else 0.0), error).sum() / 2
    expected = half * float(np.sqrt(variance * (1 / rows[0] + 1 / rows[1]) + error**2).sum())
    alone = np.sqrt(max(distance**2 - expected**2, 0.0))
    return float(shared), float(alone), max(0.0, left - floor), distance, expected


def _expected_distance(gap: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean absolute value of normal variables around `gap` (folded normal distribution)."""
    from scipy.special import erf

    deviation = np.maximum(noise, 1e-300)
    ratio = gap / deviation
    folded = deviation * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + gap * erf(ratio / np.sqrt(2))
    return np.where(noise > 0, folded, gap)
