"""Intervals for a regression, or for any function of weighted rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.engine.model.evidence import several
from jupyter_dpsynth.errors import ConfigError, did_you_mean, shown
from jupyter_dpsynth.inference.formulas import Regression
from jupyter_dpsynth.inference.results import PARTS, Estimates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.inference.rows import ModelRows
    from jupyter_dpsynth.inference.weighting import Weights

__all__ = [
    "ALIKE",
    "PROMISE",
    "REPLICATES",
    "Asked",
    "check_level",
    "infer",
    "intervals",
    "question_of",
    "stretched",
]

REPLICATES = 60
FEW_ROWS, LOW_EPSILON = 1000, 0.5
LEAST_TOLD = 0.5
STRETCHED = 0.1  # of what is told: the interval counts no smaller share
HIDDEN = (
    "Most of what decides about {} is hidden by the noise: less than {:.0%} of it was told, and the model's "
    "word stands for the rest. These intervals are wide, and still hold the truth less often than they say, "
    "because the estimates may be too near to what independent columns would give. Name the question before "
    "learning, leave columns out, or spend more."
)
ALIKE = (
    "How much the rows of one person resemble each other is not known: the intervals are as wide as if each "
    "person had as many equal rows as were allowed."
)
PROMISE = (
    "Intervals for the population that the table was drawn from. They count the sampling of the table, the "
    "noise that was added, and that the model was pulled towards a simpler one. They are approximate. They "
    "do not count dependence that shows in three columns together only, values within a bin, values moved to "
    "bounds, and errors in the table."
)


@dataclass(frozen=True, eq=False)
class Asked:
    """A question, as a function of the weights of given rows.

    Attributes:
        title: What is asked, in words.
        names: Of the figures.
        columns: Names of the columns that are used.
        evaluate: The figures for weights of the rows.
        notes: What is to be known of the question.
    """

    title: str
    names: list[str]
    columns: list[str]
    evaluate: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    notes: tuple[str, ...] = ()


def question_of(
    df: pd.DataFrame,
    codec: TableCodec,
    question: str | Callable[[pd.DataFrame, NDArray[np.float64]], Any],
    family: str,
    columns: Sequence[str] | None,
) -> Asked:
    """A question about rows.

    Args:
        df: The rows.
        codec: The learned columns.
        question: A formula, or a function of rows and their weights that returns numbers.
        family: Of a regression.
        columns: Which columns a function uses; None to find out.

    Raises:
        ConfigError: The formula, the function or a column cannot be used.
    """
    known = codec.names
    if isinstance(question, str):
        categorical = [each for each in codec.columns if isinstance(each, CategoryCodec)]
        published = {each.meta.name: each.published for each in categorical}
        regression = Regression(question, family, df[list(known)], published)
        plain = regression.outcome == question.partition("~")[0].strip()
        notes = () if plain else (f"Explained is {regression.outcome}.",)
        return Asked(f"{question} ({family})", regression.names, regression.columns, regression, notes)
    if not callable(question):
        raise ConfigError(
            f"the question {shown(question)} is not understood: give a formula such as 'income ~ sex + age', "
            "or a function of a DataFrame and weights."
        )
    used = _checked(known, columns) if columns is not None else _used_columns(df, known, question)
    names, evaluate = _function_of(df, question)
    title = getattr(question, "__name__", "function").replace("<lambda>", "function")
    return Asked(title, names, used, evaluate)


def infer(
    rows: ModelRows,
    question: str | Callable[[pd.DataFrame, NDArray[np.float64]], Any],
    family: str,
    level: float,
    columns: Sequence[str] | None,
    epsilon: float,
) -> Estimates:
    """Estimates with intervals.

    Args:
        rows: Rows of the model.
        question: A formula, or a function of rows and their weights that returns numbers.
        family: Of the regression.
        level: Share of such intervals that are meant to hold the true figure.
        columns: Which columns a function uses; None to find out.
        epsilon: What the run cost.

    Raises:
        ConfigError: The formula, the function or a column cannot be used.
    """
    check_level(level)
    asked = question_of(rows.df, rows.learned.codec, question, family, columns)
    weights = rows.weigh(asked.columns, REPLICATES, seed=1)
    total = rows.learned.reference.rows
    frame = intervals(weights, asked.evaluate, asked.names, level, total)
    apart = question_of(_independent(rows.df), rows.learned.codec, question, family, asked.columns)
    frame = stretched(frame, apart.evaluate(np.full(len(rows.df), total / len(rows.df))), level)
    notes = (*asked.notes, *_limits(total, epsilon))
    if rows.config.privacy_unit is not None:
        notes = (*notes, ALIKE)
    hidden = [str(name) for name, told in frame["told"].items() if told < LEAST_TOLD]
    if hidden:
        notes = (*notes, HIDDEN.format(several(hidden), LEAST_TOLD))
    return Estimates(asked.title, frame, level, PROMISE, notes)


def intervals(
    weights: Weights,
    evaluate: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    names: Sequence[str],
    level: float,
    total: float,
) -> pd.DataFrame:
    """Estimates, standard errors by part, and intervals, one row for each figure.

    Args:
        weights: Weights and replicates.
        evaluate: The figures for weights of the rows.
        names: Of the figures.
        level: Share of such intervals that are meant to hold the true figure.
        total: What all weights add up to.
    """
    estimate = evaluate(total * weights.weights)
    spread = _spread(weights.replicates, evaluate, estimate, weights.step, total)
    parts = {name: _spread(weights.parts[name], evaluate, estimate, weights.step, total) for name in PARTS}
    # how much of what the model's word leaves open is told by the release
    word = _spread(weights.word, evaluate, estimate, weights.step, total)
    told = 1 - np.clip(parts["model"] / np.maximum(word, 1e-300), 0, 1) ** 2
    margin = student.ppf((1 + level) / 2, len(weights.replicates) - 1) * spread
    figures = {"estimate": estimate, "se": spread, "low": estimate - margin, "high": estimate + margin}
    return pd.DataFrame({**figures, **parts, "told": told}, index=pd.Index(names))


def stretched(frame: pd.DataFrame, apart: NDArray[np.float64], level: float) -> pd.DataFrame:
    """Intervals that reach as far as what training pulled away from may be.

    Training under noise pulls what it is told little of towards independence. Weights undo that where the
    release tells; of what it does not tell they know nothing. If an effect is spread evenly over both, the
    estimate has the told share of it. So the end that lies away from independence is moved outwards: half of
    the possible pull counts as a further standard error there.

    Args:
        frame: Of `intervals`.
        apart: The figures of independent columns.
        level: Share of such intervals that are meant to hold the true figure.

    Returns:
        The same with the column `pull`, and with other ends.
    """
    away = frame["estimate"] - apart
    pull = away.abs() * (1 / frame["told"].clip(STRETCHED, 1) - 1) / 2
    margin = student.ppf((1 + level) / 2, REPLICATES - 1) * np.hypot(frame["se"], pull)
    low = frame["low"].where(away >= 0, frame["estimate"] - margin)
    high = frame["high"].where(away <= 0, frame["estimate"] + margin)
    return frame.assign(low=low, high=high, pull=pull)


def _independent(df: pd.DataFrame) -> pd.DataFrame:
    """Rows in which every column is shuffled by itself."""
    generator = np.random.default_rng(0)
    columns = {name: df[name].iloc[generator.permutation(len(df))].set_axis(df.index) for name in df}
    return pd.DataFrame(columns)


def _spread(
    replicates: NDArray[np.float64],
    evaluate: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    estimate: NDArray[np.float64],
    step: float,
    total: float,
) -> NDArray[np.float64]:
    """Standard error from replicates that go a step of the way."""
    found = np.stack([evaluate(total * each) for each in replicates])
    spread: NDArray[np.float64] = np.sqrt(((found - estimate) ** 2).mean(axis=0)) / step
    return spread


def check_level(level: float) -> None:
    """Raise ConfigError unless a level is between 0 and 1."""
    if isinstance(level, bool) or not isinstance(level, float) or not 0 < level < 1:
        raise ConfigError(
            f"level = {shown(level)} is not allowed: give a number between 0 and 1, such as 0.95."
        )


def _function_of(
    df: pd.DataFrame, question: Callable[[pd.DataFrame, NDArray[np.float64]], Any]
) -> tuple[list[str], Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """Names of what a user's function returns, and the function of weights alone."""
    first = pd.Series(question(df.copy(), np.ones(len(df))))
    names = [str(name) for name in first.index]

    def evaluate(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.asarray(pd.Series(question(df, weights)), np.float64)
        if found.shape != (len(names),) or not np.isfinite(found).all():
            raise ConfigError("the function must return the same finite numbers for all weights of the rows.")
        return found

    return names if names != ["0"] else ["figure"], evaluate


def _checked(known: Sequence[str], columns: Sequence[str]) -> list[str]:
    for name in columns:
        if name not in known:
            raise ConfigError(
                f"columns: {shown(name)} is not a learned column.{did_you_mean(str(name), known)}"
            )
    return list(columns)


def _used_columns(
    df: pd.DataFrame, known: Sequence[str], question: Callable[[pd.DataFrame, NDArray[np.float64]], Any]
) -> list[str]:
    """The columns that a function uses: its figures change, or it fails, if their values change places."""
    generator = np.random.default_rng(0)
    weights = generator.exponential(size=len(df))
    usual = np.asarray(pd.Series(question(df.copy(), weights)), np.float64)
    used = []
    for name in known:
        changed = df.copy()
        changed[name] = changed[name].iloc[generator.permutation(len(changed))].set_axis(changed.index)
        try:
            found = np.asarray(pd.Series(question(changed, weights)), np.float64)
        except Exception:  # noqa: BLE001 - whatever a user's function does with such rows
            used.append(name)
            continue
        if not np.array_equal(found, usual):
            used.append(name)
    if not used:
        raise ConfigError("the function does not depend on any learned column.")
    return used


def _limits(rows: float, epsilon: float) -> list[str]:
    """Where intervals were not tried, in words."""
    notes = []
    if rows < FEW_ROWS:
        notes.append(f"Not tried for tables of fewer than {FEW_ROWS:,} rows: take the intervals with care.")
    if epsilon < LOW_EPSILON:
        notes.append(f"Not tried below epsilon = {LOW_EPSILON:g}: take the intervals with care.")
    return notes
