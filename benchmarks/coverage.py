"""How often intervals hold the truth: ours, those of real rows, and those of synthetic rows taken for real.

    python -m benchmarks.coverage
    python -m benchmarks.coverage --data FOLDER --populations census --rows 5000 --epsilon 1 --runs 100

A population is a generator whose figures are known, or a table of FOLDER that counts as the population: rows
are drawn from it with replacement, and its own figures are the truth. In each run a sample is drawn and
learned, and the same figures are asked of the synthesizer, of as many synthetic rows as there were real ones
(naive), and of the real rows. The seed of a run's sample is its number; the noise has none.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from benchmarks import record
from benchmarks.tables import public_domain, read_tables
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor, PrivacyLedger
from jupyter_dpsynth.inference.formulas import Regression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEVEL = 0.95
NORMAL = float(norm.ppf((1 + LEVEL) / 2))
GENERATED = 1_000_000  # rows that stand for an infinite population
WAYS = ("ours", "naive", "real")


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
        """The same of rows that count as a sample, by the usual formulas."""
        kind, about, count = self.kind, self.about, len(df)
        if "share" in kind:
            pairs = zip(about[::2], about[1::2], strict=True)
            hits = np.logical_and.reduce([df[name].astype(str) == value for name, value in pairs])
            share = float(hits.mean())
            return _normal([share], [np.sqrt(share * (1 - share) / count)])
        if kind == "mean":
            return _normal([df[about[0]].mean()], [df[about[0]].std() / np.sqrt(count)])
        if kind.startswith("quantile"):
            at = float(kind.split()[1])
            margin = NORMAL * np.sqrt(at * (1 - at) / count)
            low, found, high = df[about[0]].quantile([at - margin, at, at + margin])
            return pd.DataFrame({"estimate": [found], "low": low, "high": high})
        return _regression(about[0], kind == "logit slope", df)


def _normal(estimate: list[float], spread: list[float]) -> pd.DataFrame:
    found, margin = np.array(estimate), NORMAL * np.array(spread)
    return pd.DataFrame({"estimate": found, "low": found - margin, "high": found + margin})


def _regression(formula: str, logistic: bool, df: pd.DataFrame) -> pd.DataFrame:  # noqa: FBT001
    import statsmodels.api as sm

    model = Regression(formula, "binomial" if logistic else "gaussian", df)
    family = sm.families.Binomial() if logistic else sm.families.Gaussian()
    fitted = sm.GLM(model.explained, model.explaining, family).fit(cov_type="HC0")
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
    """

    name: str
    draw: Callable[[int, np.random.Generator], pd.DataFrame]
    declared: dict[str, Any]
    questions: tuple[Question, ...]
    truth: tuple[list[float], ...]


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
SIX = ["age", "education_num", "marital_status", "sex", "hours_per_week", "income"]


def population(name: str, folder: Path | None) -> Population:
    """One of the populations, with its true figures."""
    if name == "generator":
        table = generated(GENERATED, np.random.default_rng(99))
        declared = public_domain(table) | {"bounds": {"x": (-3.0, 10.0)}}
        truth = [each.of_rows(table)["estimate"].tolist() for each in GENERATOR_QUESTIONS]
        truth[-1] = [0.8, -0.5, 0.3]
        return Population(name, generated, declared, GENERATOR_QUESTIONS, tuple(truth))
    if folder is None:
        raise SystemExit(f"{name} is a table: give --data FOLDER")
    (read,) = read_tables(folder, [name.partition("_six")[0]], {})
    table = pd.concat([read.train, read.holdout], ignore_index=True)
    table = table[SIX] if name.endswith("_six") else table

    def draw(rows: int, generator: np.random.Generator) -> pd.DataFrame:
        return table.iloc[generator.integers(0, len(table), rows)].reset_index(drop=True)

    truth = [each.of_rows(table)["estimate"].tolist() for each in QUESTIONS[name]]
    return Population(name, draw, public_domain(table), QUESTIONS[name], tuple(truth))


def run(
    source: Population, rows: int, epsilon: float, number: int
) -> Iterator[tuple[str, str, bool, float, float]]:
    """One sample, learned and asked: kind, way, whether the interval holds the truth, width and error."""
    df = source.draw(rows, np.random.default_rng(number))
    synthesizer = HighDimSynthesizer(
        MetaExtractor.extract(df, **source.declared), HighDimConfig(epsilon=epsilon)
    )
    with tempfile.TemporaryDirectory() as folder:
        ledger = PrivacyLedger(Path(folder) / "ledger.sqlite3")
        synthesizer.learn(df, lambda _: None, ledger=ledger)
    made = synthesizer.synthesize(rows, seed=number)
    for question, true in zip(source.questions, source.truth, strict=True):
        answers = {
            "ours": question.of_synthesizer(synthesizer),
            "naive": question.of_rows(made),
            "real": question.of_rows(df),
        }
        for way, found in answers.items():
            for value, (_, line) in zip(true, found.iterrows(), strict=True):
                held = bool(line["low"] <= value <= line["high"])
                yield (question.kind, way, held, line["high"] - line["low"], line["estimate"] - value)


def study(source: Population, rows: int, epsilon: float, runs: range) -> list[dict[str, Any]]:
    """Coverage of all kinds and ways in one setting, and median width relative to that of real rows."""
    held: dict[tuple[str, str], list[bool]] = defaultdict(list)
    widths: dict[tuple[str, str], list[float]] = defaultdict(list)
    errors: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in runs:
        for kind, way, hit, width, error in run(source, rows, epsilon, number):
            for name in (kind, "all"):
                held[name, way].append(hit)
                widths[name, way].append(width)
                errors[name, way].append(error)
    setting = {"population": source.name, "rows": rows, "epsilon": epsilon, "runs": len(runs)}
    return [
        {
            **setting,
            "kind": kind,
            "way": way,
            "coverage": round(float(np.mean(hits)), 4),
            "figures": len(hits),
            "width": _ratio(widths[kind, way], widths[kind, "real"]),
            "seeds": [runs.start, runs.stop - 1],
        }
        for (kind, way), hits in held.items()
    ]


def _ratio(own: list[float], real: list[float]) -> float | None:
    """Median width relative to that of the real rows' interval of the same figure and run."""
    pairs = [(a, b) for a, b in zip(own, real, strict=True) if b > 0]
    return round(float(np.median([a / b for a, b in pairs])), 3) if pairs else None


def main() -> int:
    """Run the settings that are asked for, and print them as they come."""
    parser = record.parser(__doc__ or "")
    parser.add_argument("--data", type=Path, help="folder with census.csv.gz and other tables")
    parser.add_argument("--populations", nargs="+", default=["generator"])
    parser.add_argument("--rows", nargs="+", type=int, default=[5000])
    parser.add_argument("--epsilon", nargs="+", type=float, default=[1.0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number, and seed, of the first run")
    parser.add_argument("--keep", action="store_true", help="add to earlier results")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found: list[dict[str, Any]] = []
    for name in options.populations:
        source = population(name, options.data)
        for rows in options.rows:
            for epsilon in options.epsilon:
                started = time.perf_counter()
                lines = study(source, rows, epsilon, range(options.first, options.first + options.runs))
                found += lines
                seconds = (time.perf_counter() - started) / options.runs
                print(f"{name}, {rows:,} rows, epsilon {epsilon:g}: {seconds:.1f} s a run", flush=True)
                for line in lines:
                    figures = f"{line['coverage']:7.1%} of {line['figures']:4d}, width {line['width']}"
                    print(f"  {line['kind']:14s} {line['way']:6s} {figures}", flush=True)
    record.write("coverage", found, keep=options.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
