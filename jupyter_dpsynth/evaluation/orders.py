"""How many synthetic rows break an order of two columns that the original keeps, as of two dates."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.evidence import ordering_text
from jupyter_dpsynth.evaluation.metrics import as_numbers, is_number, unit_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["LEAST_APART", "MISTAKES", "broken_by_chance", "order_broken"]

MOST_COLUMNS = 40  # of one kind; of more, the first ones
MISTAKES = 0.005  # of the original's rows may break an order that it keeps; more are no mistakes
LEAST_APART = 0.5  # of the rows: whose values differ, or it would be no order


def order_broken(df: pd.DataFrame, df_synth: pd.DataFrame) -> tuple[str, float, float] | None:
    """The order of two columns of one kind that most synthetic rows break although the original keeps it.

    Any two dates are compared. Numbers and durations only if more rows than mistakes would break the order
    were the columns independent: that a pulse is below a height says nothing.

    Args:
        df: The original, `[n, m]`.
        df_synth: A synthetic table with its columns.

    Returns:
        The order in words, the share of synthetic rows that break it, and that of the original's; None if the
        original keeps no order. Rows without one of both values count in neither.
    """
    kinds: dict[str, list[str]] = {}
    for name in df.columns:
        if is_number(df[name]):
            kinds.setdefault(unit_of(df[name]), []).append(name)
    worst: tuple[str, float, float] | None = None
    for unit, names in kinds.items():
        values = {name: (as_numbers(df[name]), as_numbers(df_synth[name])) for name in names[:MOST_COLUMNS]}
        for low, high in itertools.permutations(values, 2):
            there, apart = _broken(values[low][0], values[high][0])
            if there > MISTAKES or apart < LEAST_APART:
                continue
            if unit != "date" and broken_by_chance(values[low][0], values[high][0]) <= MISTAKES:
                continue
            here, _ = _broken(values[low][1], values[high][1])
            if worst is None or here - there > worst[1] - worst[2]:
                worst = ordering_text(low, high), here, there
    return worst


def _broken(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[float, float]:
    """Share of the rows in which the first is above the second, and of those in which both differ."""
    known = ~(np.isnan(low) | np.isnan(high))
    if not known.any():
        return 1.0, 0.0
    return float((low[known] > high[known]).mean()), float((low[known] != high[known]).mean())


def broken_by_chance(low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """Share of the rows in which the first would be above the second if the columns were independent."""
    known = ~(np.isnan(low) | np.isnan(high))
    return float(np.searchsorted(np.sort(high[known]), low[known]).mean() / known.sum())
