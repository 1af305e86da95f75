"""The figures of a comparison: distances, the value that would be good for each, and the overall score."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.evaluation.axes import quantiles_of_shares
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
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.evaluation.axes import CellAxis

__all__ = [
    "Chance",
    "Metric",
    "chance_floor",
    "compared_pairs",
    "distances",
    "joint_of_measured",
    "joint_of_tables",
    "learned_figures",
    "mean_distance",
    "overall_of_tables",
    "sorted_columns",
]

HOLDOUT_SHARE = 0.2
MOST_PAIRS = 300  # more tell little about the mean, and with noise each single one less


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
    axes: tuple[CellAxis | None, ...],
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
            axis,
            0.5 * float(np.abs(reference[place] - synthetic[place]).sum()),
            good[place],
            ()
            if axis is None
            else quantiles_of_shares(
                axis, reference[place], synthetic[place], None if noise is None else noise[place]
            ),
        )
        for place, (name, axis) in enumerate(zip(names, axes, strict=True))
    ]
    return tuple(sorted(columns, key=lambda column: -column.distance))


def compared_pairs(columns: int) -> list[tuple[int, ...]]:
    """The pairs of columns that a score is the mean of: all, or `MOST_PAIRS` random ones; of one column, it.

    The same ones for every comparison of tables with so many columns.
    """
    if columns < 2:
        return [(column,) for column in range(columns)]
    pairs = list(itertools.combinations(range(columns), 2))
    chosen = np.sort(np.random.default_rng(0).permutation(len(pairs))[:MOST_PAIRS])
    return [pairs[place] for place in chosen]


class Chance:
    """What a distance between two samples of one population is, by chance alone.

    A table is divided into two parts at random, whose sizes are as those of the tables that are compared
    as far as it has rows, and what they differ by is scaled to these.

    Args:
        codes: Codes of a table `[n, columns]`.
        rows: Rows of both tables that are compared.
    """

    def __init__(self, codes: NDArray[np.integer[Any]], rows: tuple[float, float]) -> None:
        size, generator = len(codes), np.random.default_rng(0)
        fewer, more = sorted(rows)
        first = int(max(min(fewer, size // 2), 1)) if size > 1 else 0
        second = int(min(more, size - first))
        order = generator.permutation(size)[: first + second]
        self.parts = codes[order[:first]], codes[order[first:]]
        self.scale = 0.0
        if first and second:
            wanted, given = 1 / fewer + 1 / more, 1 / first + 1 / second
            self.scale = float(np.sqrt(wanted / given))

    def of(self, measure: Callable[[NDArray[Any], NDArray[Any]], float]) -> float:
        """A distance's expectation; 0 if the table has less than two rows."""
        return min(1.0, self.scale * measure(*self.parts)) if self.scale else 0.0


def mean_distance(
    first: NDArray[Any], second: NDArray[Any], sizes: Sequence[int], sets: Sequence[tuple[int, ...]]
) -> float:
    """Mean total-variation distance over some marginals."""
    return float(np.mean([total_variation(first, second, sizes, columns) for columns in sets]))


def overall_of_tables(
    codes: NDArray[np.int64], synthetic: NDArray[np.int64], sizes: Sequence[int]
) -> Overall | None:
    """The score of two tables that are both known."""
    sets = compared_pairs(len(sizes))
    shuffled = np.random.default_rng(0).permuted(synthetic, axis=0)
    chance = Chance(codes, (len(codes), len(synthetic)))
    return overall_of(
        mean_distance(codes, synthetic, sizes, sets),
        chance.of(lambda first, second: mean_distance(first, second, sizes, sets)),
        apart=mean_distance(codes, shuffled, sizes, sets) if len(sizes) > 1 else None,
    )


def chance_floor(share: NDArray[np.float64], noise: NDArray[np.float64], parts: float) -> float:
    """The distance between a measured and a synthetic column that noise and chance alone give.

    Args:
        share: Shares of the cells.
        noise: Standard deviation of each share's noise.
        parts: Sum of one over each table's rows.
    """
    deviation = np.sqrt(noise**2 + share * (1 - share) * parts)
    return float(deviation.sum() * np.sqrt(2 / np.pi) / 2)


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
    """Marginal and dependence figures, each beside what as many real rows would give."""
    sizes, chance = grid.sizes, Chance(codes, (len(codes), len(synthetic)))
    table = []
    for ways, text in ((1, "columns"), (2, "pairs of columns"), (3, "triples of columns")):
        if len(sizes) < ways:
            break

        def mean(first: NDArray[Any], second: NDArray[Any], ways: int = ways) -> float:
            return mean_total_variation(first, second, sizes, ways)

        meaning = (
            "share of the rows that would have to change for the shares to be equal (total-variation "
            f"distance), mean over {text}; good: as many rows of the original"
        )
        table.append(Metric(f"{ways}-way difference", mean(codes, synthetic), chance.of(mean), meaning))
    pairs = np.triu_indices(len(sizes), 1)
    if len(pairs[0]):

        def gap(first: NDArray[Any], second: NDArray[Any]) -> float:
            return float(np.abs(cramers_v(first, sizes) - cramers_v(second, sizes))[pairs].mean())

        value = float(np.abs(dependence_synthetic - dependence)[pairs].mean())
        meaning = (
            "how differently strong two columns depend on each other, mean over all pairs (bias-corrected "
            "Cramer's V, from 0 to 1); good: as many rows of the original"
        )
        table.append(Metric("correlation difference", value, chance.of(gap), meaning))
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
            f"how well a model that learned from synthetic rows predicts {target} on {where} (ROC AUC: 0.5 "
            "is guessing, 1 is always right); good: a model that learned from the original",
        ),
        Metric(
            "real against synthetic",
            separation_auc(holdout, df_synth),
            0.5,
            "how well a classifier tells synthetic rows from real ones (ROC AUC: 0.5 is guessing, 1 is "
            "always right); good: guessing",
        ),
    ]
