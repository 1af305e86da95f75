"""Tables that tests make themselves."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pandas as pd

#: As a batch size: every row is in every step. Then the accountant has a closed form, where it otherwise
#: composes distributions for seconds. For tests whose property does not depend on sampling.
EVERY_ROW = 100_000_000


def mixed_table(rows: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Numbers, names, booleans, dates and missing values with plain dependences between them."""
    generator = np.random.default_rng(seed)
    group = generator.choice(["north", "south", "west"], rows, p=[0.5, 0.3, 0.2])
    age = np.clip(generator.normal(45, 12, rows), 18, 90).astype(np.int64)
    income = np.round(1000 + 40 * age + 500 * (group == "north") + generator.gamma(2, 200, rows), 2)
    member = generator.random(rows) < age / 120
    day = pd.Timestamp("2021-01-01") + pd.to_timedelta(generator.integers(0, 365, rows), unit="D")
    df = pd.DataFrame({"group": group, "age": age, "income": income, "member": member, "day": day})
    df.loc[generator.random(rows) < 0.1, "income"] = np.nan
    return df


EVERY_TYPE = {
    "int64": pd.Series(np.arange(400) % 90),
    "int8": pd.Series(np.arange(400) % 90, dtype="int8"),
    "uint64": pd.Series(np.arange(400) % 90, dtype="uint64"),
    "Int64": pd.Series([1, None, 3, 4] * 100, dtype="Int64"),
    "float32": pd.Series(np.linspace(-5, 5, 400), dtype="float32"),
    "float64": pd.Series([0.0, 1.25, np.nan, np.inf] * 100),
    "Float64": pd.Series([0.5, None] * 200, dtype="Float64"),
    "bool": pd.Series([True, False] * 200),
    "boolean": pd.Series([True, None] * 200, dtype="boolean"),
    "text": pd.Series(["a", "b", None, "c"] * 100),
    "string": pd.Series(["a", None] * 200, dtype="string"),
    "object": pd.Series(["a", None] * 200, dtype=object),
    "object_int": pd.Series([1, 2, None, 2] * 100, dtype=object),
    "decimal": pd.Series([decimal.Decimal("1.25"), None] * 200, dtype=object),
    "category": pd.Series(["x", "y"] * 200, dtype="category"),
    "category_int": pd.Series([3, 7] * 200, dtype="category"),
    "ordered": pd.Series(pd.Categorical(["lo", "hi"] * 200, ["lo", "hi"], ordered=True)),
    "datetime": pd.Series(pd.date_range("2020-01-01", periods=400)),
    "datetime_ns": pd.Series(pd.date_range("2020-01-01", periods=400)).astype("datetime64[ns]"),
    "datetime_tz": pd.Series(pd.date_range("2020-03-01", periods=400, tz="Europe/Vienna")),
    "date": pd.Series([dt.date(2020, 1, 1), None] * 200, dtype=object),
    "timedelta": pd.Series(pd.to_timedelta(np.arange(400), unit="h")),
    "constant": pd.Series([7] * 400),
    "all_missing": pd.Series([np.nan] * 400),
    "all_none": pd.Series([None] * 400, dtype=object),
    "spike": pd.Series([0] * 380 + [99999] * 20),
    "huge": pd.Series([2**62, -(2**62)] * 200),
    "unique_text": pd.Series([f"id{i}" for i in range(400)]),
    "mixed": pd.Series(["a", 1, None, ("t",)] * 100, dtype=object),
}


def every_type_table() -> pd.DataFrame:
    """400 rows with one column of every type that can be learned."""
    return pd.DataFrame(EVERY_TYPE)
