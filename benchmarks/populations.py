"""The populations that intervals are tried on: what is known of each, and what is asked.

A population is a generator whose figures are known, or a table that counts as the population: rows are drawn
from it with replacement, and its own figures are the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from benchmarks.tables import public_domain, read_tables
from jupyter_dpsynth.inference.formulas import Regression

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jupyter_dpsynth import HighDimSynthesizer

LEVEL = 0.95
NORMAL = float(norm.ppf((1 + LEVEL) / 2))
GENERATED = 1_000_000  # rows that stand for an infinite population
UNIT = "person"  # the column of persons, where there are any


@dataclass(frozen=True)
class Question:
    """One thing that is asked: a kind, and what it is about.

    Attributes:
        kind: 'share', 'two-way share', 'mean', 'quantile 0.5', 'OLS slope' and so on.
        about: Columns and values, a column, or a formula.
    """

    kind: str
    about: tuple[str, ...]

    def of_synthesizer(self, synthesizer: HighDimSynthesizer) -> pd.DataFrame:
        """Estimates and bounds: one row for each figure."""
        kind, about = self.kind, self.about
        if kind == "share":
            return synthesizer.table(about[0]).frame.loc[[about[1]]]
        if kind == "two-way share":
            return synthesizer.table(about[0], about[2]).frame.loc[[(about[1], about[3])]]
        if kind == "mean":
            return synthesizer.mean(about[0]).frame
        if kind.startswith("quantile"):
            return synthesizer.quantile(about[0], float(kind.split()[1])).frame
        return synthesizer.infer(about[0], "binomial" if kind == "logit slope" else "gaussian").frame.iloc[1:]

    def of_rows(self, df: pd.DataFrame) -> pd.DataFrame:
        """The same of rows that count as a sample, by the usual formulas; persons are clusters."""
        kind, about, count = self.kind, self.about, len(df)
        if "share" in kind:
            pairs = zip(about[::2], about[1::2], strict=True)
            hits = np.logical_and.reduce([df[name].astype(str) == value for name, value in pairs])
            return _mean_of(df, hits.astype(float))
        if kind == "mean":
            return _mean_of(df, df[about[0]].to_numpy(float))
        if kind.startswith("quantile"):
            at = float(kind.split()[1])
            below = (df[about[0]] <= df[about[0]].quantile(at)).to_numpy(float)
            margin = _margin(df, below) if UNIT in df else NORMAL * np.sqrt(at * (1 - at) / count)
            low, found, high = df[about[0]].quantile([at - margin, at, at + margin])
            return pd.DataFrame({"estimate": [found], "low": low, "high": high})
        return _regression(about[0], kind == "logit slope", df)


def _mean_of(df: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    centre, margin = values.mean(), _margin(df, values)
    return pd.DataFrame({"estimate": [centre], "low": centre - margin, "high": centre + margin})


def _margin(df: pd.DataFrame, values: np.ndarray) -> float:
    """Half the width of the interval of a mean of rows, or of rows of persons."""
    if UNIT not in df:
        return float(NORMAL * values.std() / np.sqrt(len(df)))
    of_persons = pd.Series(values - values.mean()).groupby(df[UNIT].to_numpy()).sum()
    return float(NORMAL * np.sqrt((of_persons**2).sum()) / len(df))


def _normal(estimate: list[float], spread: list[float]) -> pd.DataFrame:
    found, margin = np.array(estimate), NORMAL * np.array(spread)
    return pd.DataFrame({"estimate": found, "low": found - margin, "high": found + margin})


def _regression(formula: str, logistic: bool, df: pd.DataFrame) -> pd.DataFrame:  # noqa: FBT001
    import statsmodels.api as sm

    model = Regression(formula, "binomial" if logistic else "gaussian", df)
    family = sm.families.Binomial() if logistic else sm.families.Gaussian()
    usual: dict[str, Any] = {"cov_type": "HC0"}
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": df[UNIT].to_numpy()}} if UNIT in df else usual
    fitted = sm.GLM(model.explained, model.explaining, family).fit(**clustered)
    return _normal(list(fitted.params[1:]), list(fitted.bse[1:]))


@dataclass(frozen=True)
class Population:
    """What samples are drawn from.

    Attributes:
        name: Its name.
        draw: Draws a sample of so many rows.
        declared: What is public about the columns.
        questions: What is asked.
        truth: The true figures of each question.
        parameters: Of learning, beside epsilon.
    """

    name: str
    draw: Callable[[int, np.random.Generator], pd.DataFrame]
    declared: dict[str, Any]
    questions: tuple[Question, ...]
    truth: tuple[list[float], ...]
    parameters: dict[str, Any] = field(default_factory=dict)

    def named(self) -> dict[str, str]:
        """The parameters that name all questions about several columns beforehand."""
        tables = [each.about for each in self.questions if each.kind == "two-way share"]
        analyses = [each.about[0] for each in self.questions if "slope" in each.kind]
        return {
            "tables": ", ".join("*".join(about[::2]) for about in tables),
            "analyses": "; ".join(analyses),
        }


def _asked(*questions: tuple[str, str]) -> tuple[Question, ...]:
    return tuple(
        Question(kind, (about,) if "~" in about else tuple(about.split("|"))) for kind, about in questions
    )


def generated(rows: int, generator: np.random.Generator) -> pd.DataFrame:
    """Six categories and a number, of which the logistic model of y is known."""
    a = generator.random(rows) < 0.4
    b = generator.random(rows) < 0.3 + 0.3 * a
    c = generator.random(rows) < 0.5 - 0.2 * b
    y = generator.random(rows) < 1 / (1 + np.exp(-(-1 + 0.8 * a - 0.5 * b + 0.3 * c)))
    e = generator.random(rows) < 0.2 + 0.4 * y
    x = np.clip(3 + a - 0.7 * b + generator.normal(0, 1.5, rows), -3, 10)
    columns = {"a": a, "b": b, "c": c, "d": generator.integers(0, 4, rows), "e": e, "y": y}
    return pd.DataFrame({**{name: values.astype(np.int64) for name, values in columns.items()}, "x": x})


def of_persons(rows: int, generator: np.random.Generator) -> pd.DataFrame:
    """Visits of persons, of whom each has one to three that resemble each other."""
    per_person = generator.integers(1, 4, rows)
    person = np.repeat(np.arange(rows), per_person)[:rows]
    sex, ward = (generator.integers(0, size, rows)[person] for size in (2, 4))
    frail = generator.normal(0, 1, rows)[person]
    moved = generator.random(rows) < 0.2
    ward = np.where(moved, generator.integers(0, 4, rows), ward)
    age = np.clip(np.rint(55 + 12 * generator.normal(0, 1, rows)[person] + 4 * frail), 18, 99)
    acute = generator.random(rows) < 1 / (1 + np.exp(-(-0.8 + 0.6 * sex + 0.8 * frail)))
    stay = np.clip(4 + 1.5 * acute + frail + generator.normal(0, 1.5, rows), 0, 15)
    columns = {"sex": sex, "ward": ward, "age": age.astype(np.int64), "acute": acute.astype(np.int64)}
    return pd.DataFrame({UNIT: person, **columns, "stay": np.round(stay, 1)})


PERSONS_QUESTIONS = _asked(
    ("share", "acute|1"),
    ("share", "ward|2"),
    ("two-way share", "sex|1|acute|1"),
    ("two-way share", "ward|1|acute|1"),
    ("mean", "age"),
    ("mean", "stay"),
    ("quantile 0.5", "age"),
    ("quantile 0.9", "stay"),
    ("OLS slope", "stay ~ acute + sex"),
    ("logit slope", "acute ~ sex + age"),
)
GENERATOR_QUESTIONS = _asked(
    ("share", "y|1"),
    ("share", "d|2"),
    ("two-way share", "a|1|y|1"),
    ("two-way share", "e|1|y|1"),
    ("mean", "x"),
    ("quantile 0.5", "x"),
    ("quantile 0.9", "x"),
    ("OLS slope", "x ~ a + b"),
    ("logit slope", "y ~ a + b + c"),
)
CENSUS_QUESTIONS = _asked(
    ("share", "sex|Female"),
    ("share", "income|>50K"),
    ("two-way share", "sex|Female|income|>50K"),
    ("two-way share", "marital_status|Never-married|income|>50K"),
    ("mean", "age"),
    ("mean", "hours_per_week"),
    ("quantile 0.5", "age"),
    ("quantile 0.9", "hours_per_week"),
    ("OLS slope", "hours_per_week ~ sex + age"),
    ("logit slope", "income ~ sex + education_num + age"),
)
QUESTIONS = {
    "census": CENSUS_QUESTIONS,
    "census_six": CENSUS_QUESTIONS,
    "bank_marketing": _asked(
        ("share", "housing|yes"),
        ("share", "y|yes"),
        ("two-way share", "housing|yes|y|yes"),
        ("two-way share", "marital|single|housing|yes"),
        ("mean", "age"),
        ("mean", "duration"),
        ("quantile 0.5", "age"),
        ("quantile 0.9", "duration"),
        ("OLS slope", "age ~ housing + marital"),
        ("logit slope", "y ~ housing + age + duration"),
    ),
    "online_shoppers": _asked(
        ("share", "Weekend|True"),
        ("share", "Revenue|True"),
        ("two-way share", "Weekend|True|Revenue|True"),
        ("two-way share", "VisitorType|New_Visitor|Revenue|True"),
        ("mean", "ExitRates"),
        ("mean", "ProductRelated"),
        ("quantile 0.5", "ProductRelated"),
        ("quantile 0.9", "ProductRelated"),
        ("OLS slope", "ExitRates ~ Weekend + VisitorType"),
        ("logit slope", "Revenue ~ Weekend + ExitRates"),
    ),
}
QUESTIONS["fair"] = _asked(
    ("share", "affair|1"),
    ("share", "religious|4"),
    ("two-way share", "religious|4|affair|1"),
    ("two-way share", "rate_marriage|5|affair|1"),
    ("mean", "age"),
    ("mean", "yrs_married"),
    ("quantile 0.5", "age"),
    ("quantile 0.9", "yrs_married"),
    ("OLS slope", "rate_marriage ~ religious + yrs_married"),
    ("logit slope", "affair ~ rate_marriage + age + religious"),
)
SIX = ["age", "education_num", "marital_status", "sex", "hours_per_week", "income"]


def population(name: str, folder: Path | None) -> Population:
    """One of the populations, with its true figures."""
    if name == "generator":
        found = _generated(name, generated, GENERATOR_QUESTIONS, {"x": (-3.0, 10.0)})
        found.truth[-1][:] = [0.8, -0.5, 0.3]
        return found
    if name == "persons":
        bounds = {"age": (18, 99), "stay": (0.0, 15.0)}
        unit = {"privacy_unit": UNIT, "max_rows_per_unit": 3}
        return _generated(name, of_persons, PERSONS_QUESTIONS, bounds, unit)
    table = fair() if name == "fair" else _table_of(name, folder)

    def draw(rows: int, generator: np.random.Generator) -> pd.DataFrame:
        return table.iloc[generator.integers(0, len(table), rows)].reset_index(drop=True)

    truth = [each.of_rows(table)["estimate"].tolist() for each in QUESTIONS[name]]
    return Population(name, draw, public_domain(table), QUESTIONS[name], tuple(truth))


def _generated(
    name: str,
    draw: Callable[[int, np.random.Generator], pd.DataFrame],
    questions: tuple[Question, ...],
    bounds: dict[str, tuple[float, float]],
    parameters: dict[str, Any] | None = None,
) -> Population:
    table = draw(GENERATED, np.random.default_rng(99))
    rows = table.drop(columns=UNIT, errors="ignore")
    truth = [each.of_rows(rows)["estimate"].tolist() for each in questions]
    domain = public_domain(rows.drop(columns=list(bounds)))
    return Population(name, draw, domain | {"bounds": bounds}, questions, tuple(truth), parameters or {})


def fair() -> pd.DataFrame:
    """A survey of 6,366 wives of 1974, which comes with statsmodels."""
    import statsmodels.api as sm

    table = sm.datasets.fair.load_pandas().data
    table = table.assign(affair=table["affairs"] > 0).drop(columns="affairs")
    whole = [name for name in table if name not in ("age", "yrs_married")]
    return table.astype(dict.fromkeys(whole, np.int64))


def _table_of(name: str, folder: Path | None) -> pd.DataFrame:
    if folder is None:
        raise SystemExit(f"{name} is a table: give --data FOLDER")
    (read,) = read_tables(folder, [name.partition("_six")[0]], {})
    table = pd.concat([read.train, read.holdout], ignore_index=True)
    return table[SIX] if name.endswith("_six") else table
