"""How people write numbers, dates and missing values, and how such texts are read.

Privacy:
    What becomes of a text follows from the text itself. What a column holds follows from most of its texts,
    and counts as schema: no single row decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "CLOCKS",
    "DAYS",
    "FALSE",
    "GROUPS",
    "ISO",
    "ISO_UTC",
    "MISSING_WORDS",
    "TRUE",
    "TextForms",
    "day_first_votes",
    "decimal_votes",
    "kind_of_texts",
    "plain_numbers",
    "read_day",
    "times_of",
]

# words for a missing value, in small letters
MISSING_WORDS = frozenset(
    {"", "-", "--", ".", "?", "na", "n/a", "n.a.", "nan", "none", "null", "nil", "unknown", "missing"}
    | {"not available", "not known", "#n/v", "#n/a", "unbekannt", "k.a.", "k. a.", "keine angabe", "fehlt"}
    | {"inconnu", "inconnue", "nc", "n.c.", "non renseigné", "manquant"}
)
TRUE, FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")
SPACES = " \u00a0\u202f"
GROUPS = {".": f",{SPACES}'\u2019", ",": f".{SPACES}'\u2019"}  # thousands separators beside a decimal mark
DAYS = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
ISO, ISO_UTC = "ISO8601", "ISO8601 with a zone"
ISO_TEXT = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"
ZONE = r"(?:Z|[+-]\d\d:?\d\d)"
FEW_VALUES = 10  # and this many in a hundred: with fewer, a column counts as one without values
LEAST_CODES = 0.01  # of the values: if so many have a leading zero, these are codes
NEARLY_ALL = 0.9  # of their values must fit a type


@dataclass(frozen=True)
class TextForms:
    """How the numbers and dates of a table are written.

    Attributes:
        decimal: The decimal mark, '.' or ','.
        groups: Characters of which one may stand between groups of three digits.
        day_first: Whether 01/02/2024 is in February; None if such dates stay text.
    """

    decimal: str = "."
    groups: str = GROUPS["."]
    day_first: bool | None = None

    @property
    def days(self) -> tuple[str, ...]:
        """The formats of days that can be read in one way."""
        unclear = {"%d": self.day_first is not True, "%m": self.day_first is not False}
        return tuple(form for form in DAYS if form[2] == "." or form[:2] == "%Y" or not unclear[form[:2]])


def plain_numbers(texts: pd.Series, forms: TextForms) -> pd.Series:
    """Texts of numbers as Python writes them, without separators of thousands; all other texts are missing.

    >>> plain_numbers(pd.Series(["1.234,5", "1.5"]), TextForms(",", ".")).tolist()
    ['1234.5', nan]
    """
    plain = texts.str.strip()
    plain = plain.where(plain.str.fullmatch(_pattern(forms)).fillna(value=False).astype(bool))
    for mark in forms.groups:
        plain = plain.str.replace(mark, "", regex=False)
    return plain.str.replace(forms.decimal, ".", regex=False)


def _pattern(forms: TextForms, *, whole: bool = False) -> str:
    point = f"[{forms.decimal}]"
    grouped = "|".join(rf"\d{{1,3}}(?:[{mark}]\d{{3}})+" for mark in forms.groups)
    broken = "" if whole else rf"(?:{point}\d*)?(?:[eE][-+]?\d+)?"
    short = "" if whole else rf"|{point}\d+"
    return rf"[-+]?(?:(?:{grouped + '|' if grouped else ''}\d+){broken}{short})"


def times_of(texts: pd.Series, form: str) -> pd.Series:
    """Texts as points in time in microseconds; what is written otherwise is missing.

    Args:
        texts: The texts.
        form: `ISO`, `ISO_UTC`, or a format of a day, behind which a time of day may stand.
    """
    if form not in (ISO, ISO_UTC):
        return read_day(texts.str.strip(), form).astype("datetime64[us]")
    zoned = form == ISO_UTC
    plain = texts.str.strip().str.replace(r"(\.\d{6})\d+", r"\1", regex=True)  # no finer than microseconds
    fits = plain.str.fullmatch(ISO_TEXT + (ZONE if zoned else "")).fillna(value=False).astype(bool)
    found = pd.to_datetime(plain.where(fits), format="ISO8601", errors="coerce", utc=True)
    return (found if zoned else found.dt.tz_localize(None)).astype(
        "datetime64[us, UTC]" if zoned else "datetime64[us]"
    )


def read_day(texts: pd.Series, form: str) -> pd.Series:
    """Days in one format, also with a time of day behind them; NaT for all else."""
    found = pd.to_datetime(texts, format=form, errors="coerce")
    for clock in CLOCKS[1:]:
        found = found.fillna(pd.to_datetime(texts, format=form + clock, errors="coerce"))
    return found


def kind_of_texts(texts: pd.Series, forms: TextForms | None = None) -> str:
    """What a column holds: what nearly all of its texts are, by themselves, so that no single row decides.

    Args:
        texts: The texts; missing ones and words for a missing value do not count.
        forms: How numbers and dates are written.

    Returns:
        'whole', 'number', 'truth', 'text', 'grouped whole' or 'grouped number' for what pandas does not read
        itself, or 'time ' and a form of `times_of`.

    >>> [kind_of_texts(pd.Series([text] * 9 + ["7"])) for text in ("5", "2.5", "True", "x", "1,234.50")]
    ['whole', 'number', 'truth', 'text', 'grouped number']
    """
    forms = forms or TextForms()
    present = _present(texts)
    if len(present) < min(FEW_VALUES, FEW_VALUES * len(texts) / 100) or not len(present):
        return "number"  # as pandas has it where nothing is there
    many = max(FEW_VALUES, LEAST_CODES * len(present))
    # codes such as '01067' are no numbers: these have no leading zeros
    if present.str.fullmatch(r"0\d+").sum() >= many:
        return "text"
    if forms.decimal == ".":
        whole = present.str.fullmatch(r"[-+]?\d{1,18}").to_numpy(bool)
        number = pd.to_numeric(present, errors="coerce").notna().to_numpy(bool)
    else:  # 1.5 is none
        whole = number = present.str.fullmatch(r"[-+]?\d{1,18}").to_numpy(bool)
    written = present.str.fullmatch(_pattern(forms)).to_numpy(bool)
    unread = (written & ~number).sum() >= min(many, NEARLY_ALL * len(present))
    grouped = present.str.fullmatch(_pattern(forms, whole=True)).to_numpy(bool)
    truth = present.isin([*TRUE, *FALSE]).to_numpy(bool)
    kinds = {
        "whole": whole & (not unread),
        "grouped whole": grouped & unread,
        "number": number & (not unread),
        "grouped number": written & unread,
        "truth": truth,
    }
    for kind, fits in kinds.items():
        if fits.sum() >= NEARLY_ALL * len(present):
            return kind
    return next((f"time {form}" for form in _forms_of_times(present, forms)), "text")


def _present(texts: pd.Series) -> pd.Series:
    """The texts without spaces around them, without words for a missing value."""
    plain = texts[texts.notna()].astype(str).str.strip()
    return plain[~plain.str.casefold().isin(MISSING_WORDS)]


def _forms_of_times(present: pd.Series, forms: TextForms) -> Iterator[str]:
    """The forms in which nearly all texts are points in time."""
    if not present.str.contains(r"\d[-./]\d", regex=True).mean() >= NEARLY_ALL:
        return
    for form in (ISO, ISO_UTC, *forms.days):
        if times_of(present, form).notna().sum() >= NEARLY_ALL * len(present):
            yield form


def decimal_votes(texts: pd.Series) -> NDArray[np.int64]:
    """Whether a column can only be read with a decimal point, or only with a decimal comma, `[2]`."""
    present, votes = _present(texts), np.zeros(2, dtype=np.int64)
    if len(present) >= FEW_VALUES:
        fits = [present.str.fullmatch(_pattern(TextForms(mark, GROUPS[mark]))).mean() for mark in GROUPS]
        good = [share >= NEARLY_ALL for share in fits]
        votes[:] = [good[0] and not good[1], good[1] and not good[0]]
    return votes


def day_first_votes(texts: pd.Series) -> NDArray[np.int64]:
    """Whether the dates of a column can only have the day first, or only the month; and neither, `[3]`."""
    present, votes = _present(texts), np.zeros(3, dtype=np.int64)
    if len(present) < FEW_VALUES or present.str.match(r"\d{1,2}[/-]\d{1,2}[/-]\d").mean() < NEARLY_ALL:
        return votes
    fits = [
        max(read_day(present, form).notna().mean() for form in forms) >= NEARLY_ALL
        for forms in (("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y"), ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y"))
    ]
    votes[:] = [fits[0] and not fits[1], fits[1] and not fits[0], fits[0] and fits[1]]
    return votes
