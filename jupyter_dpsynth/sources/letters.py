"""Letters of missing values: Stata's `.a` to `.z`, and the `.A` to `.Z` and `._` of SAS.

In frames a letter is a missing number like any other: NaN, in whose bits that no arithmetic looks at the
letter is written (as R's haven does it). In metadata and codecs, where values are compared, it is a number
of its own that no data has: `letter_number`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "letter_number",
    "letter_text",
    "letters_in",
    "letters_of",
    "parsed_letter",
    "with_letters",
    "with_numbers",
]

BASE, STEP = 2.0**1023, 2.0**1011  # of doubles above the base, Stata too makes its kinds of missing values
TAGGED = 0x7FF8_4C45_0000_0000  # NaN, and two bytes that tell a letter from what else may be in its bits
WRITTEN = re.compile(r"\.([A-Za-z_])")


def letter_number(letter: str) -> float:
    """The number that stands for a letter.

    Args:
        letter: One sign: 'a' to 'z', 'A' to 'Z', or '_'.
    """
    return BASE + STEP * ord(letter)


def letter_text(value: object) -> str:
    """How the programs write a letter; '' for a value that stands for none.

    >>> letter_text(letter_number("a")), letter_text(7.0)
    ('.a', '')
    """
    if not isinstance(value, float) or not BASE < value < 2 * BASE:
        return ""
    text = f".{chr(int((value - BASE) / STEP) % 128)}"
    return text if parsed_letter(text) == value else ""


def parsed_letter(value: object) -> float | None:
    """The number that stands for a letter as the programs write it ('.a'); None for all else."""
    found = WRITTEN.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else letter_number(found[1])


def letters_of(values: Iterable[Any]) -> tuple[float, ...]:
    """Those of some values that stand for letters."""
    return tuple(value for value in values if letter_text(value))


def tagged(numbers: Sequence[float]) -> NDArray[np.float64]:
    """NaN with the letters that numbers stand for, `[n]`."""
    signs = [TAGGED + ord(letter_text(number)[1]) for number in numbers]
    return np.array(signs, dtype=np.int64).view(np.float64)


def letters_in(series: pd.Series) -> tuple[float, ...]:
    """The numbers that stand for the letters in a column."""
    if series.dtype != np.float64:
        return ()
    bits = np.unique(series[series.isna()].to_numpy().view(np.int64)) - TAGGED
    return tuple(letter_number(chr(sign)) for sign in bits.tolist() if parsed_letter(f".{chr(sign % 128)}"))


def with_letters(series: pd.Series, numbers: Sequence[float]) -> pd.Series:
    """A float64 column in which numbers that stand for letters are these letters, which are missing."""
    return _exchanged(series, np.asarray(numbers, dtype=np.float64).view(np.int64), tagged(numbers))


def with_numbers(series: pd.Series, numbers: Sequence[float]) -> pd.Series:
    """A column in which letters are the numbers that stand for them; other letters stay missing."""
    return _exchanged(series, tagged(numbers).view(np.int64), np.asarray(numbers, dtype=np.float64))


def _exchanged(series: pd.Series, bits: NDArray[np.int64], values: NDArray[np.float64]) -> pd.Series:
    """A column in which values of these bits are others; one that is not of float64 has no letters."""
    if not len(bits) or series.dtype != np.float64:
        return series
    found = series.to_numpy(copy=True)
    held = found.view(np.int64)  # moving a NaN about may lose its bits, but not moving a whole number
    new = values.view(np.int64)
    for old, each in zip(bits.tolist(), new.tolist(), strict=True):
        held[held == old] = each
    return pd.Series(found, index=series.index, name=series.name)
