"""Regressions by formula, as functions of weighted rows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.errors import ConfigError, MissingDependencyError, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["FAMILIES", "Regression"]

FAMILIES = ("gaussian", "binomial", "poisson")
EVERYTHING: Mapping[str, Sequence[Any]] = {}


class Regression:
    """A generalised linear model of rows that get other weights again and again.

    Args:
        formula: Such as 'income ~ sex + age', in the language of R and of the library formulaic.
        family: One of `FAMILIES`; each with its canonical link.
        df: The rows.
        published: Published categories by column; what is none of them is 'other', whatever it was.

    Attributes:
        columns: Names of the columns that the formula uses.
        names: Names of the coefficients.
        outcome: What is explained, in words.
        explaining: What explains it, float64 `[rows, coefficients]`; rows with missing values are left out.
        explained: The outcome, float64 `[rows]`.

    Raises:
        ConfigError: The formula cannot be read or names other columns, or the outcome does not fit.
        MissingDependencyError: The extra `inference` is not installed.
    """

    def __init__(
        self,
        formula: str,
        family: str,
        df: pd.DataFrame,
        published: Mapping[str, Sequence[Any]] = EVERYTHING,
    ) -> None:
        formulaic = _library("formulaic")
        if family not in FAMILIES:
            known = ", ".join(map(repr, FAMILIES))
            raise ConfigError(f"family = {shown(family)} is not allowed: give one of {known}.")
        outcome, tilde, explaining = (part.strip() for part in formula.partition("~"))
        if not tilde or not outcome or not explaining:
            raise ConfigError(
                f"formula = {shown(formula)} is not allowed: write the outcome, a tilde and what explains "
                "it, such as 'income ~ sex + age'."
            )
        self._family = family
        rows, self.outcome = _with_numeric_outcome(df, outcome, published.get(outcome))
        try:
            parsed = formulaic.Formula(formula)
            self.columns = sorted(map(str, parsed.required_variables))
            self._check_columns(df)
            matrices = formulaic.model_matrix(parsed, rows, na_action="drop")
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a formula brings about
            words = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise ConfigError(f"formula = {shown(formula)} cannot be used: {words}") from None
        self.names = [str(name) for name in matrices.rhs.columns]
        self.explaining = np.asarray(matrices.rhs, np.float64)
        self.explained = np.asarray(matrices.lhs, np.float64)[:, -1]  # a condition has a column for True
        self._rows = df.index.get_indexer(matrices.rhs.index)
        self._start: NDArray[np.float64] | None = None
        self._check_outcome()

    def _check_columns(self, df: pd.DataFrame) -> None:
        unknown = [name for name in self.columns if name not in df.columns]
        if unknown:
            hint = did_you_mean(unknown[0], [str(name) for name in df.columns])
            raise ConfigError(f"formula: {shown(unknown[0])} is not a learned column.{hint}")

    def _check_outcome(self) -> None:
        found = self.explained
        fits = {
            "gaussian": True,
            "binomial": bool(np.isin(found, (0, 1)).all()),
            "poisson": bool((found >= 0).all()),
        }
        if not fits[self._family]:
            wanted = "be 0 or 1, or have two values" if self._family == "binomial" else "not be negative"
            raise ConfigError(f"family = {self._family!r}: {self.outcome} must {wanted}.")

    def __call__(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficients with these weights of the rows, `[coefficients]`."""
        statsmodels = _library("statsmodels.api")
        family = getattr(statsmodels.families, self._family.capitalize())()
        own = weights[self._rows]
        model = statsmodels.GLM(self.explained, self.explaining, family, var_weights=own / own.mean())
        found = np.asarray(model.fit(start_params=self._start).params, np.float64)
        if self._start is None:  # other weights move it little
            self._start = found
        return found


def _with_numeric_outcome(
    df: pd.DataFrame, outcome: str, published: Sequence[Any] | None
) -> tuple[pd.DataFrame, str]:
    """The rows, with an outcome of two values as 0 and 1; and the outcome in words.

    Rows with another value than the two that are published count as missing.
    """
    if outcome not in df.columns or (
        pd.api.types.is_numeric_dtype(df[outcome]) and not pd.api.types.is_bool_dtype(df[outcome])
    ):
        return df, outcome
    known = None if published is None else set(published)
    values = sorted((v for v in df[outcome].dropna().unique() if known is None or v in known), key=str)
    if len(values) != 2:
        raise ConfigError(
            f"formula: the outcome {shown(outcome)} has {len(values)} values and is no number: say which one "
            f"is explained, such as 'I({outcome} == \"{values[0] if values else ''}\") ~ ...'."
        )
    indicator = df[outcome].map({values[0]: 0.0, values[1]: 1.0}).astype("float64")
    return df.assign(**{outcome: indicator}), f"{outcome} = {values[1]}"


def _library(name: str) -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingDependencyError(
            "regressions need statsmodels and formulaic: pip install 'jupyter_dpsynth[inference]'."
        ) from None
