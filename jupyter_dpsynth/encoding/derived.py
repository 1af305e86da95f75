"""Columns that are computed from others in every synthetic row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.building import build_series, with_cells
from jupyter_dpsynth.encoding.numeric import from_steps, in_steps
from jupyter_dpsynth.metadata.columns import ContinuousMeta
from jupyter_dpsynth.sources.dtypes import dtype_text
from jupyter_dpsynth.sources.missing import decoded_dtype
from jupyter_dpsynth.sources.values import missing_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.formulas import Formula

__all__ = ["DerivedColumn", "derived_columns"]

MOST_DIGITS = 9


@dataclass(frozen=True)
class DerivedColumn:
    """A column that is computed from others.

    Attributes:
        meta: The column's metadata.
        formula: How it follows from them.
        resolution: The step in which its values are recorded; 0 if they are not rounded.
    """

    meta: ContinuousMeta
    formula: Formula
    resolution: float

    @property
    def kind(self) -> str:
        """'number'."""
        return self.meta.kind

    def values(self, df: pd.DataFrame) -> NDArray[np.float64]:
        """Its values, float64 `[n]`; NaN where one of the others is missing.

        Args:
            df: The others; what stands for a missing value is missing.
        """
        found = self.formula.values(df)
        if self.resolution > 0:
            found = from_steps(np.rint(in_steps(found, self.resolution)), self.resolution)
        return found if self.meta.bounds is None else np.clip(found, *self.meta.bounds)

    def made(self, df: pd.DataFrame) -> pd.Series:
        """The column `[n]` in its dtype; numpy's whole numbers are pandas' where a value is missing."""
        values, meta = self.values(df), self.meta
        if np.isnan(values).any():
            meta = replace(meta, dtype=dtype_text(decoded_dtype(meta.dtype)))
        return build_series(values, meta, self.resolution)

    def imposed(self, series: pd.Series, df: pd.DataFrame) -> pd.Series:
        """A drawn column with its values computed, where neither it nor one of the others is missing.

        Args:
            series: The column `[n]`.
            df: The others.
        """
        values = self.values(df)
        rows = np.flatnonzero(~np.isnan(values) & ~missing_values(series))
        return with_cells(series, rows, build_series(values[rows], self.meta, self.resolution))


def derived_columns(
    df_meta: DataFrameMeta, steps: Mapping[str, float], formulas: Iterable[tuple[str, Formula]]
) -> tuple[DerivedColumn, ...]:
    """Columns that are computed, each behind those of the others that it follows from.

    Args:
        df_meta: The table's metadata.
        steps: The step in which each learned column of numbers is recorded; 0 if it has none.
        formulas: By which they are computed, in this order.
    """
    known = {name: _digits(step) for name, step in steps.items()}
    found = []
    for name, formula in formulas:
        meta = df_meta[name]
        if not isinstance(meta, ContinuousMeta):
            raise TypeError
        digits = meta.decimals
        if name in steps:  # of a column that is learned its own step was found
            found.append(DerivedColumn(meta, formula, steps[name]))
            continue
        if digits is None and formula.unit:
            digits = 0
        elif digits is None:
            parts = [known.get(part) for part in formula.columns]
            finest = [part for part in parts if part is not None]
            digits = max(finest) if len(finest) == len(parts) else None
            if formula.digits is not None:
                digits = formula.digits
        known[name] = digits
        found.append(DerivedColumn(meta, formula, 0.0 if digits is None else 10.0**-digits))
    return tuple(found)


def _digits(step: float) -> int | None:
    """Digits after the point of whole multiples of a step; None of a column without one.

    >>> _digits(0.25), _digits(100.0), _digits(0.0)
    (2, 0, None)
    """
    fits = (places for places in range(MOST_DIGITS + 1) if step and (step * 10**places) % 1 == 0)
    return next(fits, None)
