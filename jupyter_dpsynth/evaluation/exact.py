"""The comparison of a synthetic table with the original, for the eyes of its owner."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.losses import column_losses
from jupyter_dpsynth.evaluation.cells import cells_of
from jupyter_dpsynth.evaluation.comparison import Comparison
from jupyter_dpsynth.evaluation.distances import (
    Chance,
    Metric,
    distances,
    joint_of_tables,
    learned_figures,
    overall_of_tables,
    sorted_columns,
)
from jupyter_dpsynth.evaluation.metrics import Discretizer, cramers_v, one_way_shares, total_variation
from jupyter_dpsynth.evaluation.orders import order_broken

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["compare_with_original"]


def compare_with_original(
    df: pd.DataFrame,
    df_synth: pd.DataFrame,
    target: str | None,
    holdout: pd.DataFrame | None,
    banner: str,
    synthesizer: HighDimSynthesizer | None,
) -> Comparison:
    """Compare with the original rows: not private.

    Args:
        df: The original table.
        df_synth: A synthetic one with the same columns.
        target: A column to predict, or None.
        holdout: Original rows that were not learned from, or None.
        banner: Says that it is not private.
        synthesizer: The model that made the table, if it is known: the score then has its cells.
    """
    names = tuple(df.columns)
    grid = Discretizer(df, df_synth)
    codes, synthetic = grid.codes(df), grid.codes(df_synth)
    chance = Chance(codes, (len(codes), len(synthetic)))
    columns = sorted_columns(
        names,
        grid.labels,
        one_way_shares(codes, grid.sizes),
        one_way_shares(synthetic, grid.sizes),
        None,
        grid.axes,
        [
            chance.of(partial(total_variation, sizes=grid.sizes, columns=(place,)))
            for place in range(len(names))
        ],
    )
    dependence, dependence_synthetic = (cramers_v(each, grid.sizes) for each in (codes, synthetic))
    table = distances(grid, codes, synthetic, dependence, dependence_synthetic)
    order = order_broken(df, df_synth)
    if order is not None:
        words, here, there = order
        meaning = f"share of rows that break what the original keeps: {words}; good: as in the original"
        table.append(Metric("order broken", here, there, f"{meaning}. The worst pair of columns"))
    if target is not None:
        table += learned_figures(df, df_synth, target, holdout)
    overall = overall_of_tables(codes, synthetic, grid.sizes)
    if synthesizer is not None:
        cells = cells_of(synthesizer.codec, synthesizer.reference)
        real, made = (cells.encode_apart(each).astype(np.int64) for each in (df, df_synth))
        overall = overall_of_tables(real, made, cells.sizes)
    return Comparison(
        "original table",
        tuple(table),
        columns,
        names,
        dependence,
        dependence_synthetic,
        "0 for none, 1 for the strongest (bias-corrected Cramer's V)",
        overall,
        partial(joint_of_tables, codes, synthetic, grid.sizes),
        banner,
        () if synthesizer is None else column_losses(synthesizer.codec, synthesizer.reference),
        (len(df), len(df_synth)),
    )
