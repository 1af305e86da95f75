"""Which tables are known to be synthetic, so that nothing but those is compared for free.

A table that a model made carries a stamp in `DataFrame.attrs`, which copies, slices and Parquet files keep. A
stamp also stays on a table whose columns somebody has replaced by private ones, so it is never enough. It is
a digest of the rows that were made: by it a table that another process made is known as a whole, in any
order. Of what this process made it also remembers the rows: a stamped table is known while it holds nothing
else, and an unstamped one, such as one read again from CSV, if it is one of those tables as a whole.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.errors import DataError, shielded
from jupyter_dpsynth.sources.fingerprint import row_hashes, rows_digest
from jupyter_dpsynth.sources.objects import moments, type_name
from jupyter_dpsynth.sources.values import number_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.fingerprint import RowHashes

__all__ = ["STAMP", "is_known_synthetic", "mark_synthetic", "require_synthetic"]

STAMP = "jupyter_dpsynth synthetic"
REMEMBERED_ROWS = 20_000_000  # 160 MB; of older tables the rows are forgotten


@dataclass(frozen=True, eq=False)
class _Made:
    """What is remembered of a table: sorted hashes of its rows, and its columns."""

    rows: NDArray[np.uint64]
    names: tuple[str, ...]

    def rows_of(self, df: pd.DataFrame) -> NDArray[np.uint64]:
        """Sorted hashes of another table's rows, of these columns."""
        names = list(self.names)
        return _sorted_rows(df[names] if set(names) <= set(df.columns) else df)


_known: dict[str, _Made | None] = {}
_lock = threading.Lock()


def mark_synthetic(
    df: pd.DataFrame, *, remember: bool = True, hashes: RowHashes | None = None
) -> pd.DataFrame:
    """Stamp a table that a model has just made.

    Args:
        df: The table.
        remember: Whether this process is going to see the table again; not if it is written to a file.
        hashes: Hashes of some of its columns, as decoding has found them; None for none.

    Returns:
        The same object.
    """
    rows = _sorted_rows(df, hashes)
    stamp = rows_digest(rows).hex()
    df.attrs[STAMP] = stamp
    if remember:
        with _lock:
            _known[stamp] = _Made(rows, tuple(df.columns))
            _forget_oldest()
    return df


def _forget_oldest() -> None:
    """Drop the rows of old tables, of which the stamp is then no longer enough."""
    kept = 0
    for place, (stamp, made) in enumerate(reversed(list(_known.items()))):
        kept += 0 if made is None else len(made.rows)
        if place and kept > REMEMBERED_ROWS:
            _known[stamp] = None


def is_known_synthetic(df: pd.DataFrame) -> bool:
    """Whether a table was made by a model, as far as that can be known.

    Args:
        df: The table.

    Privacy:
        The answer is yes only if all rows are ones that a model made.
    """
    stamp = df.attrs.get(STAMP)
    with _lock:
        known = dict(_known)
    if stamp is None:
        same_size = [made for made in known.values() if made is not None and len(made.rows) == len(df)]
        return any(np.array_equal(made.rows, made.rows_of(df)) for made in same_size)
    if stamp not in known:  # made by another process
        # stamps of version 0.1 were made of objects as they are
        return stamp in (rows_digest(_sorted_rows(df)).hex(), rows_digest(np.sort(row_hashes(df))).hex())
    made = known[stamp]
    if made is None or len(made.rows) == 0:
        return False
    rows = made.rows_of(df)
    places = np.minimum(np.searchsorted(made.rows, rows), len(made.rows) - 1)
    return bool((made.rows[places] == rows).all())


def require_synthetic(df_synth: pd.DataFrame, *, original: bool, synthetic: bool) -> None:
    """Refuse a table of which exact figures would be shown, unless it is known or stated to be synthetic.

    Args:
        df_synth: The table.
        original: Whether it is the very object that was learned.
        synthetic: Whether the user states that it is synthetic.

    Raises:
        DataError: It is the original, or neither known nor stated to be synthetic.
    """
    if original:
        raise DataError(
            "df_synth is the original table itself: what would be shown is not covered by epsilon. Pass a "
            "synthetic table, or compare explicitly with UtilityReport.against_original (--original)."
        )
    if synthetic or shielded(lambda: is_known_synthetic(df_synth), "the table could not be recognised"):
        return
    raise DataError(
        "df_synth is not known to be synthetic: exact figures of its rows would be shown, and if it is the "
        "private table, or a changed copy of it, no epsilon covers them. Known are tables that synthesize "
        "made: in the same kernel also parts of them, in any order, or read again; in another one whole "
        "Parquet files. If this one is synthetic, say so: "
        "synthetic=True (--synthetic). To compare with the private table, use "
        "UtilityReport.against_original (--original)."
    )


def _sorted_rows(df: pd.DataFrame, hashes: RowHashes | None = None) -> NDArray[np.uint64]:
    """Sorted hashes of rows, each of them the sum of its columns' hashes.

    Decimal numbers and days count as those that Parquet makes objects of.
    """
    known = np.zeros(len(df), np.uint64) if hashes is None else hashes.rows
    df = df if hashes is None else df.drop(columns=hashes.names)
    plain = df.assign(**dict(_plain_columns(df)))
    parts = np.array_split(np.arange(plain.shape[1]), min(os.cpu_count() or 1, max(plain.shape[1], 1)))
    with ThreadPoolExecutor(len(parts)) as pool:
        found = pool.map(lambda part: row_hashes(plain.iloc[:, part]), parts)
        return np.sort(sum(found, known))


def _plain_columns(df: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """Columns of decimal numbers and days of Python as floating numbers and points in time."""
    import pandas as pd

    for name in df.columns:
        series = df[name]
        first = next((kind for kind in map(type_name, series) if kind), "") if series.dtype == object else ""
        if first == "Decimal":
            yield name, pd.Series(number_values(series), series.index)
        elif first == "date":
            days, missing = moments(series)
            yield name, pd.Series(days.view("datetime64[us]"), series.index).mask(missing)
