"""What is exact in a table, and whether it is still so in the synthetic one.

    python -m benchmarks.structure --data FOLDER

For each table: functional relations (one column's cell tells another's), orders (one column is never above
another), spikes (a value of more than a tenth of a column of numbers), joint missingness and combinations of
names that the original does not have. Relations are looked for in the original, which is not private.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks import record
from benchmarks.tables import read_tables
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor

if TYPE_CHECKING:
    from benchmarks.tables import Table

SPIKE = 0.1
MOST_NAMES = 100
LEAST_DISTINCT = 3


def _numbers(df: pd.DataFrame) -> list[str]:
    types = pd.api.types
    return [c for c in df if types.is_numeric_dtype(df[c]) and not types.is_bool_dtype(df[c])]


def _names(df: pd.DataFrame) -> list[str]:
    return [c for c in df if 1 < df[c].nunique(dropna=False) <= MOST_NAMES]


def functional(df: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs (a, b) of columns with few values of which b is a function of a."""
    columns = [c for c in _names(df) if df[c].nunique(dropna=False) >= LEAST_DISTINCT]
    return [
        (a, b)
        for a, b in itertools.permutations(columns, 2)
        if df.groupby(a, dropna=False, observed=True)[b].nunique(dropna=False).max() == 1
    ]


def orders(df: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of numbers with overlapping ranges of which the first is never above the second."""
    return [
        (a, b)
        for a, b in itertools.permutations(_numbers(df), 2)
        if (df[a] <= df[b])[df[a].notna() & df[b].notna()].all()
        and df[a].quantile(0.95) > df[b].quantile(0.05)
        and not df[a].equals(df[b])
    ]


def describe(df: pd.DataFrame, made: pd.DataFrame) -> list[dict[str, Any]]:
    """One row for every kind of structure that the original has."""
    rows: list[dict[str, Any]] = []

    def add(kind: str, what: str, value: float) -> None:
        rows.append({"kind": kind, "what": what, "value": round(value, 4)})

    for a, b in functional(df):
        known = dict(zip(df[a], df[b], strict=True))
        listed = made[made[a].isin(known)]  # the rest first: a gap would turn whole numbers into floats
        wrong = listed[a].map(known).astype(str) != listed[b].astype(str)
        add("rows that violate a functional dependency", f"{a} -> {b}", float(wrong.mean()))
    for a, b in orders(df):
        both = made[a].notna() & made[b].notna()
        add("rows against an order", f"{a} <= {b}", float((made[a] > made[b])[both].mean()))
    for name in _numbers(df):
        shares = df[name].value_counts(normalize=True)
        if len(shares) and shares.iloc[0] > SPIKE and df[name].nunique() > LEAST_DISTINCT:
            gap = abs(
                float((made[name] == shares.index[0]).mean()) - float((df[name] == shares.index[0]).mean())
            )
            add("difference in the share of a frequent value", f"{name} = {shares.index[0]:g}", gap)
    if df.isna().any(axis=None):
        patterns = [t[list(df)].isna().value_counts(normalize=True) for t in (df, made)]
        gap = patterns[0].subtract(patterns[1], fill_value=0).abs().sum() / 2
        add("distance of missingness patterns", "all columns", float(gap))
    unseen = []
    for a, b in itertools.combinations(_names(df), 2):
        seen = pd.MultiIndex.from_frame(df[[a, b]].astype(str).drop_duplicates())
        pairs = pd.MultiIndex.from_frame(made[[a, b]].astype(str))
        listed = made[a].astype(str).isin(set(df[a].astype(str))) & made[b].astype(str).isin(
            set(df[b].astype(str))
        )
        unseen.append(float((~pairs.isin(seen) & listed.to_numpy()).mean()))
    add(
        "rows with a pair of categories that never occurs in the original",
        "mean over pairs",
        float(np.mean(unseen)),
    )
    return rows


def measure(table: Table, epsilon: float) -> list[dict[str, Any]]:
    """The structure of one synthetic table with default settings and nothing declared."""
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(table.train), HighDimConfig(epsilon=epsilon))
    synthesizer.learn(table.train, callback=lambda _: None, ledger=record.scratch_ledger())
    made = synthesizer.synthesize(len(table.train), seed=0)
    return [{"table": table.name, "epsilon": epsilon, **row} for row in describe(table.train, made)]


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--data", type=Path, required=True, help="folder with CSV or Parquet files")
    line.add_argument("--tables", nargs="*", help="file names without endings; by default all")
    line.add_argument("--epsilon", nargs="*", type=float, default=[1.0, 3.0])
    options = line.parse_args()
    rows = []
    for table in read_tables(options.data, options.tables, {}):
        for epsilon in options.epsilon:
            for row in measure(table, epsilon):
                rows.append(row)
                print(*row.values(), flush=True)
    record.write("structure", rows)


if __name__ == "__main__":
    main()
