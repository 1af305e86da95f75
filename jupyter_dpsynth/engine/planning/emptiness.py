"""Which columns a plan expects to come out empty, before anything is read or spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.engine.model.evidence import several
from jupyter_dpsynth.engine.model.losses import NOTHING_NOISE
from jupyter_dpsynth.engine.planning.counting import least_rows
from jupyter_dpsynth.engine.planning.forecast import (
    ASSUMED_ROWS,
    expected_column_error,
    forecast,
)
from jupyter_dpsynth.errors import DPSynthError
from jupyter_dpsynth.metadata.columns import CategoricalMeta

if TYPE_CHECKING:
    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.metadata.columns import DataFrameMeta

__all__ = ["emptiness_words", "expected_empty"]

FREQUENT = 0.25  # of the rows: where not even so frequent a value would be published, next to nothing is


def expected_empty(config: ResolvedConfig, df_meta: DataFrameMeta, rows: int | None) -> tuple[str, ...]:
    """Names of the columns of which next to nothing would stand out from the noise.

    Args:
        config: The frozen parameters.
        df_meta: The table's metadata.
        rows: The row count, if it is public; otherwise `ASSUMED_ROWS` stand for it.

    Privacy:
        Reads no table: what it gives follows from what is public.
    """
    if not config.differential_privacy:
        return ()
    count = float(rows or ASSUMED_ROWS)
    learned = [meta for meta in df_meta.learned if meta.name != config.privacy_unit]
    if count < least_rows(config, count):
        return tuple(meta.name for meta in learned)
    try:
        planned = forecast(config, df_meta, count, "quick")
    except DPSynthError:  # learning will say it, in its own words
        return ()
    plan, rarest = planned.plan, planned.rare_below
    found = []
    for meta in learned:
        if isinstance(meta, CategoricalMeta) and meta.categories is None:
            empty = rarest is not None and rarest > FREQUENT * count
        else:
            empty = expected_column_error(meta, plan) >= NOTHING_NOISE
        if empty:
            found.append(meta.name)
    return tuple(found)


def emptiness_words(names: tuple[str, ...], columns: int, epsilon: float, rows: int | None) -> str:
    """What is to be expected, and what helps, in a few sentences.

    Args:
        names: The columns.
        columns: How many there are in all.
        epsilon: The budget.
        rows: The row count, if it is public.
    """
    assumed = f"{rows:,} rows" if rows else f"{ASSUMED_ROWS:,} rows (assumed; yours are not counted before)"
    return (
        f"With epsilon = {epsilon:g}, {columns:,} columns and {assumed}, {len(names):,} of them would come "
        f"out empty or as noise: {several(names)}. What helps: a larger epsilon, more rows, fewer columns "
        "(ignore), declared categories and bounds."
    )
