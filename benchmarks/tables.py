"""The tables that are measured: any CSV or Parquet files, split into rows to learn and rows held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Columns that a model is trained to predict, where the file's name is known; others: --target NAME=COLUMN.
TARGETS = {"census": "income", "bank_marketing": "y", "online_shoppers": "Revenue"}
FEW_VALUES = 16
MOST_DECIMALS = 4


@dataclass(frozen=True)
class Table:
    """One table, split.

    Attributes:
        name: Of the file, without endings.
        train: Rows that are learned, 80 %.
        holdout: The others.
        target: Column to predict, or None.
    """

    name: str
    train: pd.DataFrame
    holdout: pd.DataFrame
    target: str | None


def read_tables(folder: Path, names: list[str] | None, targets: dict[str, str]) -> list[Table]:
    """All tables of a folder, or the named ones."""
    files = [path for path in sorted(folder.iterdir()) if {".csv", ".parquet"} & set(path.suffixes)]
    by_name = {path.name.split(".")[0]: path for path in files}
    missing = set(names or ()) - set(by_name)
    if missing or not by_name:
        raise SystemExit(f"{folder} has {', '.join(by_name) or 'no table'}; not {', '.join(sorted(missing))}")
    return [_read(name, by_name[name], targets) for name in names or by_name]


def _read(name: str, path: Path, targets: dict[str, str]) -> Table:
    df = pd.read_parquet(path) if ".parquet" in path.suffixes else pd.read_csv(path)
    order = np.random.default_rng(0).permutation(len(df))
    cut = int(0.8 * len(df))
    train, holdout = (df.iloc[rows].reset_index(drop=True) for rows in (order[:cut], order[cut:]))
    return Table(name, train, holdout, {**TARGETS, **targets}.get(name))


def _has_places(values: NDArray[np.float64], places: int) -> bool:
    """Whether no value has more decimal places."""
    return np.allclose(np.round(values, places), values, atol=1e-9, rtol=0)


def public_domain(df: pd.DataFrame) -> dict[str, Any]:
    """Bounds, decimals and categories read off the table, as if they were public knowledge.

    What systems that cannot learn a domain privately are given; reading it off private rows would not
    be private.
    """
    bounds: dict[str, Any] = {}
    categories: dict[str, Any] = {}
    decimals: dict[str, int] = {}
    types = pd.api.types
    for name, series in df.items():
        if series.dtype.kind in "mM":  # dates and durations
            bounds[str(name)] = (series.min(), series.max())
            continue
        number = types.is_numeric_dtype(series) and not types.is_bool_dtype(series)
        whole = types.is_integer_dtype(series)
        wide = number and (not whole or series.max() - series.min() > 1.5 * FEW_VALUES)
        if not (wide and series.nunique() > FEW_VALUES):
            categories[str(name)] = list(series.dropna().unique())
            continue
        values = series.dropna().to_numpy(np.float64)
        places = next((p for p in range(MOST_DECIMALS) if _has_places(values, p)), MOST_DECIMALS)
        scale = 10.0**places
        bounds[str(name)] = (np.floor(values.min() * scale) / scale, np.ceil(values.max() * scale) / scale)
        if whole:
            bounds[str(name)] = (int(series.min()), int(series.max()))
        elif _has_places(values, places):  # fewer decimals than there are would round every value
            decimals[str(name)] = places
    return {"bounds": bounds, "categories": categories, "decimals": decimals}
