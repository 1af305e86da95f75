"""A table's content as one digest that does not depend on the order of rows or columns.

The ledger knows a table again by it, whatever the variable is called. The digest is computed from private
rows and is no release: it goes nowhere but, keyed with a local secret, into the owner's ledger.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.encoding.series import factorize, number_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["table_fingerprint"]

MISSING = np.uint64(0x9E3779B97F4A7C15)


def table_fingerprint(df: pd.DataFrame) -> bytes:
    """SHA-256 of a table's rows in sorted order.

    Column names count, their order, the index and the dtype of numbers do not; infinite numbers and what
    does not fit its column count as missing, as they do in learning. Nothing here raises because of a
    value.

    Args:
        df: The table.

    Privacy:
        A function of the exact rows: never shown, never logged, and stored only as its HMAC.
    """
    rows = np.zeros(len(df), dtype=np.uint64)
    for position, name in enumerate(_text_hashes([str(name) for name in df.columns])):
        # mixed with the name before it is added: columns may change places, values may not
        rows += _mix(_value_hashes(df.iloc[:, position]) ^ name)
    content = hashlib.sha256(b"jupyter_dpsynth table 1")
    content.update(np.sort(rows).astype("<u8").tobytes())
    return content.digest()


def _value_hashes(series: pd.Series) -> NDArray[np.uint64]:
    """One hash per value, uint64 `[n]`; equal values have equal hashes."""
    if pd.api.types.is_numeric_dtype(series.dtype):
        numbers = number_values(series) + 0.0  # minus zero is zero
        return np.where(np.isnan(numbers), MISSING, _mix(numbers.view(np.uint64)))
    if series.dtype.kind in "mM":
        if isinstance(series.dtype, pd.DatetimeTZDtype):
            series = series.dt.tz_convert(None)
        moments = series.to_numpy(dtype=f"{series.dtype.kind}8[us]")
        return np.where(np.isnat(moments), MISSING, _mix(moments.view(np.uint64)))
    codes, values = factorize(series)
    hashes = np.append(_text_hashes([_text(value) for value in values]), MISSING)
    return hashes[codes]  # code -1, a missing value, is the last one


def _text(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # a whole number of more digits than Python prints
        return hex(value) if isinstance(value, int) else ""


def _text_hashes(texts: list[str]) -> NDArray[np.uint64]:
    """64 bits of each text's hash, whatever characters it holds."""
    encoded = (text.encode("utf-8", "backslashreplace") for text in texts)
    digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in encoded)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over the whole word.

    Source:
        Steele, Lea and Flood 2014, 'Fast splittable pseudorandom number generators': the finaliser.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
