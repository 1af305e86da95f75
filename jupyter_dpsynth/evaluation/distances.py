"""The figures of a comparison: distances, the value that would be good for each, and the overall score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.evaluation.metrics import (
    Discretizer,
    cell_counts,
    cramers_v,
    mean_total_variation,
    prediction_auc,
    separation_auc,
    total_variation,
)
from jupyter_dpsynth.evaluation.overall import Overall, overall_of
from jupyter_dpsynth.evaluation.plots import ColumnComparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "Metric",
    "chance_floor",
    "distance_of_halves",
    "distances",
    "joint_of_measured",
    "joint_of_tables",
    "learned_figures",
    "overall_by_halves",
    "overall_by_noise",
    "sorted_columns",
]

HOLDOUT_SHARE = 0.2
BY_HALVES = (
    "100: pairs of columns differ no more than between two random halves of the original; 0: as much as in "
    "a table in which each column was shuffled separately"
)
BY_NOISE = (
    "100: the differences are no larger than the noise of the measurements and chance explain; 0: as large "
    "as for a table with the right columns but no dependence between them"
)


@dataclass(frozen=True)
class Metric:
    """One figure of a report.

    Attributes:
        name: Short name.
        value: The figure.
        good: What a perfect table would give here; not always 0, for real halves differ too.
        meaning: What it says, in one line.
    """

    name: str
    value: float
    good: float
    meaning: str


def sorted_columns(
    names: tuple[str, ...],
    labels: tuple[tuple[str, ...], ...],
    reference: tuple[NDArray[np.float64], ...],
    synthetic: tuple[NDArray[np.float64], ...],
    noise: tuple[NDArray[np.float64], ...] | None,
    ordered: tuple[bool, ...],
    good: Sequence[float],
) -> tuple[ColumnComparison, ...]:
    """The columns of two tables side by side, largest difference first."""
    columns = [
        ColumnComparison(
            name,
            labels[place],
            reference[place],
            synthetic[place],
            None if noise is None else noise[place],
            ordered[place],
            0.5 * float(np.abs(reference[place] - synthetic[place]).sum()),
            good[place],
        )
        for place, name in enumerate(names)
    ]
    return tuple(sorted(columns, key=lambda column: -column.distance))


def _halves(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two random halves of a table."""
    order = np.random.default_rng(0).permutation(len(codes))
    return codes[order[: len(codes) // 2]], codes[order[len(codes) // 2 :]]


def distance_of_halves(codes: NDArray[np.int64], sizes: Sequence[int]) -> list[float]:
    """Distance of every column between two random halves."""
    halves = _halves(codes)
    if not len(halves[0]):
        return [0.0] * len(sizes)
    return [total_variation(*halves, sizes, (column,)) for column in range(len(sizes))]


def overall_by_halves(
    codes: NDArray[np.int64], synthetic: NDArray[np.int64], sizes: Sequence[int]
) -> Overall | None:
    """Score of the pairs' distance: one half of the original against as many rows of something else.

    The others are synthetic rows, the other half, and the other half with each column shuffled. All have
    the same number of rows, for chance alone makes small tables differ more.
    """
    if len(sizes) < 2 or len(codes) < 2:
        return None
    generator = np.random.default_rng(0)
    half, other = _halves(codes)
    rows = min(len(half), len(synthetic))
    shuffled = generator.permuted(other, axis=0)
    drawn = synthetic[generator.permutation(len(synthetic))[:rows]]
    value, good, nothing = (
        mean_total_variation(half[:rows], each[:rows], sizes, 2) for each in (drawn, other, shuffled)
    )
    return overall_of(value, good, nothing, BY_HALVES)


def chance_floor(share: NDArray[np.float64], noise: NDArray[np.float64], parts: float) -> float:
    """The distance between a measured and a synthetic column that noise and chance alone give.

    Args:
        share: Shares of the cells.
        noise: Standard deviation of each share's noise.
        parts: Sum of one over each table's rows.
    """
    deviation = np.sqrt(noise**2 + share * (1 - share) * parts)
    return float(deviation.sum() * np.sqrt(2 / np.pi) / 2)


def overall_by_noise(table: Sequence[Metric], dependence: NDArray[np.float64]) -> Overall | None:
    """Score of the differences, from a table without dependence (0) to the noise (100)."""
    figures = {metric.name: metric for metric in table}
    columns, pairs = figures["one-way difference"], figures.get("pair dependence difference")
    if pairs is None:
        return None
    nothing = columns.good + float(dependence.mean())
    # columns that fit better than chance do not make up for a missing dependence
    value = max(columns.value, columns.good) + pairs.value
    return overall_of(value, columns.good + pairs.good, nothing, BY_NOISE)


def joint_of_tables(
    codes: NDArray[np.int64], synthetic: NDArray[np.int64], sizes: Sequence[int], first: int, second: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joint shares of two columns in two tables."""
    shape = sizes[first], sizes[second]
    one, other = (
        cell_counts(each, sizes, (first, second)).reshape(shape) / len(each) for each in (codes, synthetic)
    )
    return one, other


def joint_of_measured(
    shares: Sequence[NDArray[np.float64]],
    synthetic: NDArray[np.int64],
    sizes: Sequence[int],
    first: int,
    second: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measured shares of two columns as if independent, and the synthetic table's joint shares."""
    joint = cell_counts(synthetic, sizes, (first, second)).reshape(sizes[first], sizes[second])
    return np.outer(shares[first], shares[second]), joint / len(synthetic)


def distances(
    grid: Discretizer,
    codes: NDArray[np.int64],
    synthetic: NDArray[np.int64],
    dependence: NDArray[np.float64],
    dependence_synthetic: NDArray[np.float64],
) -> list[Metric]:
    """Marginal and dependence figures, each beside what two random halves of the original give."""
    halves = _halves(codes)
    table = []
    for ways, text in ((1, "columns"), (2, "pairs of columns"), (3, "triples of columns")):
        if len(grid.sizes) < ways:
            break
        good = mean_total_variation(*halves, grid.sizes, ways) if len(halves[0]) else 0.0
        value = mean_total_variation(codes, synthetic, grid.sizes, ways)
        meaning = f"mean total-variation distance over {text}; good: two random halves of the original"
        table.append(Metric(f"{ways}-way difference", value, good, meaning))
    pairs = np.triu_indices(len(grid.sizes), 1)
    if len(pairs[0]):
        gaps = np.abs(dependence_synthetic - dependence)[pairs]
        halves_v = [cramers_v(half, grid.sizes) for half in halves if len(half)]
        good = float(np.abs(halves_v[0] - halves_v[-1])[pairs].mean())
        meaning = "mean difference of Cramer's V over all pairs; good: two random halves"
        table.append(Metric("correlation difference", float(gaps.mean()), good, meaning))
    return table


def learned_figures(
    df: pd.DataFrame, df_synth: pd.DataFrame, target: str, holdout: pd.DataFrame | None
) -> list[Metric]:
    """Figures of models that were trained on the tables."""
    train, where = df, "the holdout rows"
    if holdout is None:
        order = np.random.default_rng(0).permutation(len(df))
        cut = max(1, int(HOLDOUT_SHARE * len(df)))
        holdout, train = df.iloc[order[:cut]], df.iloc[order[cut:]]
        where = "a fifth of the original rows, which the reference model did not see, but learning did"
    synthetic = prediction_auc(df, df_synth, holdout, target)
    real = prediction_auc(df, train, holdout, target)
    return [
        Metric(
            "train on synthetic, test on real",
            synthetic,
            real,
            f"ROC AUC of predicting {target} on {where}; good: the value of a model trained on the original",
        ),
        Metric(
            "real against synthetic",
            separation_auc(holdout, df_synth),
            0.5,
            "ROC AUC of a classifier that tells synthetic rows from real ones; good: guessing",
        ),
    ]
