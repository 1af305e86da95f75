"""A table of public knowledge alone: names, types and what is declared, filled with invented values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.encoding.building import build_series
from jupyter_dpsynth.metadata.columns import CategoricalMeta, ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.sources.dtypes import dtype_of

if TYPE_CHECKING:
    from jupyter_dpsynth.metadata.columns import ColumnMeta, DataFrameMeta

__all__ = ["mock_table"]

NUMBERS = (0.0, 100.0)  # where no bounds are declared
TIMES = ("2000-01-01", "2001-01-01")
LONGEST_MICROSECONDS = 86_400 * 10**6  # a duration up to a day
TEXTS = ("A", "B", "C")


def mock_table(df_meta: DataFrameMeta, rows: int, generator: np.random.Generator) -> pd.DataFrame:
    """Make a table with the columns and dtypes that the metadata names.

    Values are drawn evenly from declared bounds and categories, and otherwise from the same few values for
    every table.

    Args:
        df_meta: What is public.
        rows: How many rows.
        generator: Draws the values.

    Returns:
        The table, `[rows, columns]`.

    Privacy:
        Reads nothing but public metadata: free, and nothing can be learned from it.
    """
    made = {meta.name: _column(meta, rows, generator) for meta in df_meta.columns}
    return pd.DataFrame(made, columns=list(df_meta.names))


def _column(meta: ColumnMeta, rows: int, generator: np.random.Generator) -> pd.Series:
    values: Any
    if isinstance(meta, ContinuousMeta):
        low, high = meta.bounds or NUMBERS
        values = generator.uniform(low, high, rows)
        values = values if meta.decimals is None else np.round(values, meta.decimals)
        return build_series(values, meta)
    if isinstance(meta, DatetimeMeta):
        return build_series(_moments(meta, rows, generator), meta)
    if isinstance(meta, CategoricalMeta):
        known = _categories(meta)
        chosen = [known[place] for place in generator.integers(len(known), size=rows)]
        if meta.dtype == "category":
            return pd.Series(pd.Categorical(chosen, categories=list(known), ordered=meta.ordered))
        return build_series(chosen, meta)
    numbers = np.arange(1, rows + 1)
    plain = pd.api.types.is_numeric_dtype(dtype_of(meta.dtype))
    return build_series(numbers.astype(float) if plain else [str(each) for each in numbers], meta)


def _moments(meta: DatetimeMeta, rows: int, generator: np.random.Generator) -> Any:  # noqa: ANN401 - numpy times
    """Times or durations within the declared bounds."""
    first, last = meta.bounds or (
        (0, LONGEST_MICROSECONDS)
        if meta.is_duration
        else tuple(int(np.datetime64(each, "us").astype(np.int64)) for each in TIMES)
    )
    microseconds = generator.integers(first, last + 1, size=rows)
    return microseconds.astype("timedelta64[us]" if meta.is_duration else "datetime64[us]")


def _categories(meta: CategoricalMeta) -> tuple[Any, ...]:
    """The declared categories, or placeholders that fit the type."""
    if meta.categories:
        return meta.categories
    if meta.value_type == "bool" or "bool" in meta.dtype:
        return (False, True)
    return TEXTS
