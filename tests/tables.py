"""Tables that tests make themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd


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
