"""Columns that are computed from others in every synthetic row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.encoding.building import build_series
from jupyter_dpsynth.metadata.columns import ContinuousMeta
from jupyter_dpsynth.sources.dtypes import dtype_text
from jupyter_dpsynth.sources.missing import decoded_dtype

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
        digits: Digits after the point that its values have at most; None if they are not rounded.
    """

    meta: ContinuousMeta
    formula: Formula
    digits: int | None

    @property
    def kind(self) -> str:
        """'number'."""
        return self.meta.kind

    @property
    def resolution(self) -> float:
        """The step in which its values are recorded; 0 if they are not rounded."""
        return 0.0 if self.digits is None else 10.0**-self.digits

    def values(self, df: pd.DataFrame) -> NDArray[np.float64]:
        """Its values, float64 `[n]`; NaN where one of the others is missing.

        Args:
            df: The others; what stands for a missing value is missing.
        """
        found = self.formula.values(df)
        return found if self.digits is None else np.round(found, self.digits)

    def made(self, df: pd.DataFrame) -> pd.Series:
        """The column `[n]` in its dtype; numpy's whole numbers are pandas' where a value is missing."""
        values, meta = self.values(df), self.meta
        if np.isnan(values).any():
            meta = replace(meta, dtype=dtype_text(decoded_dtype(meta.dtype)))
        return build_series(values, meta, self.resolution)


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
        if digits is None and name in steps:
            digits = known[name]
        elif digits is None and formula.unit:
            digits = 0
        elif digits is None:
            parts = [known.get(part) for part in formula.columns]
            finest = [part for part in parts if part is not None]
            digits = max(finest) if len(finest) == len(parts) else None
            if formula.digits is not None:
                digits = formula.digits
        known[name] = digits
        found.append(DerivedColumn(meta, formula, digits))
    return tuple(found)


def _digits(step: float) -> int | None:
    """Digits after the point of whole multiples of a step; None of a column without one.

    >>> _digits(0.25), _digits(100.0), _digits(0.0)
    (2, 0, None)
    """
    fits = (places for places in range(MOST_DIGITS + 1) if step and (step * 10**places) % 1 == 0)
    return next(fits, None)
