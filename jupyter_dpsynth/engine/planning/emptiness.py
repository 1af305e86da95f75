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
    round_up,
)
from jupyter_dpsynth.errors import DPSynthError
from jupyter_dpsynth.metadata.columns import CategoricalMeta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.metadata.columns import ColumnMeta, DataFrameMeta

__all__ = ["emptiness_question", "emptiness_words", "expected_empty"]

FREQUENT = 0.25  # of the rows: where not even so frequent a value would be published, next to nothing is
ONLY_TEXT = (
    "All {columns} text without declared values. Before they are read nobody can know whether they come "
    "again and again, as categories do{rare}. Of free text, names, numbers of persons, and dates or numbers "
    "written as text nothing would be left. What helps: declare the categories of one column or more, if "
    "they are public (then you are not asked), convert dates and numbers (doctor gives the lines), leave "
    "free text out (ignore)."
)


def emptiness_question(config: ResolvedConfig, df_meta: DataFrameMeta, rows: int | None) -> str:
    """What is to be told before anything is spent, since columns may come out empty; empty if nothing is.

    Args:
        config: The frozen parameters.
        df_meta: The table's metadata.
        rows: The row count, if it is public.

    Privacy:
        Reads no table: what it gives follows from what is public.
    """
    names = expected_empty(config, df_meta, rows)
    learned = _learned(config, df_meta)
    if names:
        return emptiness_words(names, len(learned), config.epsilon, rows)
    if not config.differential_privacy or not _only_unknown_text(learned):
        return ""
    try:
        rarest = forecast(config, df_meta, float(rows or ASSUMED_ROWS), "quick").rare_below
    except DPSynthError:  # learning will say it, in its own words
        return ""
    columns = "columns are" if len(learned) > 1 else "there is to learn is one column of"
    rare = ""
    if rarest is not None:
        rare = (
            f": what fewer than about {round_up(rarest):,.0f} of {_assumed(rows)} have comes out as 'other'"
        )
    return ONLY_TEXT.format(columns=columns, rare=rare)


def _only_unknown_text(learned: Sequence[ColumnMeta]) -> bool:
    """Whether nothing but text is to be learned of which nothing is declared.

    A number, a date, a truth value or a `category` column has something to learn for sure, and whoever
    declares a column has thought of the others.
    """
    return bool(learned) and all(
        isinstance(meta, CategoricalMeta)
        and meta.categories is None
        and not meta.levels
        and meta.dtype != "category"
        and meta.value_type in ("", "str")
        for meta in learned
    )


def _learned(config: ResolvedConfig, df_meta: DataFrameMeta) -> list[ColumnMeta]:
    return [meta for meta in df_meta.learned if meta.name != config.privacy_unit]


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
    learned = _learned(config, df_meta)
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
    return (
        f"With epsilon = {epsilon:g}, {columns:,} columns and {_assumed(rows)}, {len(names):,} of them would "
        f"come out empty or as noise: {several(names)}. What helps: a larger epsilon, more rows, fewer "
        "columns (ignore), declared categories and bounds."
    )


def _assumed(rows: int | None) -> str:
    return f"{rows:,} rows" if rows else f"{ASSUMED_ROWS:,} rows (assumed; yours are not counted before)"
