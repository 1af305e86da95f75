"""How people write numbers, dates and missing values, and how such texts are read.

Privacy:
    What becomes of a text follows from the text itself. What a column holds follows from most of its texts,
    and counts as schema: no single row decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = [
    "CLOCKS",
    "CURRENCIES",
    "DAYS",
    "FALSE",
    "GROUPS",
    "ISO",
    "ISO_UTC",
    "MISSING_WORDS",
    "TRUE",
    "UNITS",
    "ColumnForm",
    "TextForms",
    "bare_numbers",
    "day_first_votes",
    "decimal_votes",
    "form_of_texts",
    "is_missing_word",
    "plain_numbers",
    "read_day",
    "times_of",
    "unclear_mark",
    "unit_of",
]

# words for a missing value, in small letters
MISSING_WORDS = frozenset(
    {"", "-", "--", ".", "?", "na", "n/a", "n.a.", "nan", "none", "null", "nil", "unknown", "missing"}
    | {"not available", "not known", "not applicable", "not recorded", "not reported", "#n/v", "#n/a"}
    | {"unbekannt", "nicht bekannt", "k.a.", "k. a.", "k.a", "keine angabe", "fehlt", "entfällt"}
    | {"nicht erhoben", "nicht angegeben", "nicht dokumentiert", "inconnu", "inconnue", "nc", "n.c.", "nr"}
    | {"nsp", "ne sait pas", "nd", "n.d.", "s.o.", "sans objet", "non renseigné", "non précisé", "manquant"}
    | {"desconocido", "no consta", "ns/nc", "sconosciuto", "non disponibile", "onbekend", "n.v.t."}
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
    "%d %b %Y",
    "%d-%b-%Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
ISO, ISO_UTC = "ISO8601", "ISO8601 with a zone"
ISO_TEXT = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"
ZONE = r"(?:Z|[+-]\d\d:?\d\d)"
CURRENCIES = r"[$€£¥₹₽₺₩₫฿]|EUR|USD|CHF|GBP|CAD|AUD|JPY|CNY|SEK|NOK|DKK|PLN|CZK|HUF|Fr\.|kr|zł|Kč"
UNITS = rf"{CURRENCIES}|[%‰]|°C|°F|mmHg|mmol/l|mg/dl|g/dl|kg|mg|µg|km|cm|mm|ml"  # behind a number
BEFORE, BEHIND = re.compile(rf"^[-+]?\s*({CURRENCIES})\s*[-+.,\d]"), re.compile(rf"\d\s*({UNITS})$")
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
        clear = ".", "%b", "%B"  # what is in formats that have one meaning
        return tuple(
            form for form in DAYS if not unclear.get(form[:2]) or any(each in form for each in clear)
        )


@dataclass(frozen=True)
class ColumnForm:
    """What a column of text holds, and how that is written.

    Attributes:
        kind: 'whole' numbers, 'number', 'truth' values, 'time' or 'text'.
        forms: How its numbers and dates are written.
        as_text: Whether pandas must not read the values itself.
        unit: What may stand before or behind its numbers, such as '$'; '' for nothing.
        day: Of times, the form for `times_of`.
    """

    kind: str
    forms: TextForms = TextForms()
    as_text: bool = False
    unit: str = ""
    day: str = ""


def plain_numbers(texts: pd.Series, forms: TextForms, unit: str = "") -> pd.Series:
    """Texts of numbers as Python writes them, without separators of thousands; all other texts are missing.

    >>> plain_numbers(pd.Series(["1.234,5", "1.5", "12,5-"]), TextForms(",", ".")).tolist()
    ['1234.5', nan, '-12.5']
    """
    plain = bare_numbers(texts, unit)
    plain = plain.where(plain.str.fullmatch(_pattern(forms)).fillna(value=False).astype(bool))
    for mark in forms.groups:
        plain = plain.str.replace(mark, "", regex=False)
    return plain.str.replace(forms.decimal, ".", regex=False)


def bare_numbers(texts: pd.Series, unit: str = "") -> pd.Series:
    """Texts without a unit around their number, and with a sign where bookkeeping writes it otherwise.

    Args:
        texts: The texts.
        unit: What is taken away; other units stay.

    >>> bare_numbers(pd.Series(["$5", "-$5", "($5)", "5 $", "5-", "€5"]), "$").tolist()
    ['5', '-5', '-5', '5', '-5', '€5']
    """
    bare = texts.str.strip().str.replace("\u2212", "-", regex=False)
    bare = bare.str.replace(r"^\(([^()-]*\d[^()-]*)\)$", r"-\1", regex=True)
    if unit:
        mark = re.escape(unit)
        bare = bare.str.replace(rf"^([-+]?)\s*{mark}\s*", r"\1", regex=True)
        bare = bare.str.replace(rf"\s*{mark}$", "", regex=True)
    return bare.str.replace(r"^(?![-+])(.*\d)-$", r"-\1", regex=True)


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


def form_of_texts(
    texts: pd.Series, forms: TextForms | None = None, others: Sequence[TextForms] = ()
) -> ColumnForm:
    """What a column holds: what nearly all of its texts are, by themselves, so that no single row decides.

    Args:
        texts: The texts; missing ones and words for a missing value do not count.
        forms: How numbers and dates are written in its table.
        others: In which other ways they may be written in a column that cannot be read so.

    >>> [form_of_texts(pd.Series([text] * 9 + ["7"])).kind for text in ("5", "2.5", "True", "x", "1,234.50")]
    ['whole', 'number', 'truth', 'text', 'number']
    >>> form_of_texts(pd.Series(["$5,945.76"] * 9)).unit
    '$'
    """
    forms = forms or TextForms()
    present = _present(texts)
    if len(present) < min(FEW_VALUES, FEW_VALUES * len(texts) / 100) or not len(present):
        return ColumnForm("number")  # as pandas has it where nothing is there
    # codes such as '01067' are no numbers: these have no leading zeros
    if present.str.fullmatch(r"0\d+").sum() >= max(FEW_VALUES, LEAST_CODES * len(present)):
        return ColumnForm("text", as_text=True)
    found = _form(present, forms)
    if found.kind == "text" and present.str.contains(r"\d", regex=True).mean() >= NEARLY_ALL:
        unit, unclear = unit_of(present), day_first_votes(present)[2]
        for each in (forms, *others):
            if each.day_first != forms.day_first and unclear:
                continue
            found = _form(bare_numbers(present, unit), each)
            if found.kind in ("whole", "number"):
                return replace(found, as_text=True, unit=unit)
            if found.kind != "text":
                return found
    return found


def _form(present: pd.Series, forms: TextForms) -> ColumnForm:
    """The form of a column's present texts, written in one way."""
    many = max(FEW_VALUES, LEAST_CODES * len(present))
    whole = present.str.fullmatch(r"[-+]?\d{1,18}").to_numpy(bool)
    number = whole  # where 1.5 is none
    if forms.decimal == ".":
        number = pd.to_numeric(present, errors="coerce").notna().to_numpy(bool)
    bare = bare_numbers(present)
    written = bare.str.fullmatch(_pattern(forms)).to_numpy(bool)
    unread = (written & ~number).sum() >= min(many, NEARLY_ALL * len(present))
    grouped = bare.str.fullmatch(_pattern(forms, whole=True)).to_numpy(bool)
    truth = present.isin([*TRUE, *FALSE]).to_numpy(bool)
    kinds = {"whole": grouped, "number": written} if unread else {"whole": whole, "number": number}
    for kind, fits in (kinds | {"truth": truth}).items():
        if fits.sum() >= NEARLY_ALL * len(present):
            return ColumnForm(kind, forms, as_text=bool(unread) and kind != "truth")
    day = next(_forms_of_times(present, forms), "")
    return ColumnForm("time" if day else "text", forms, as_text=True, day=day)


def unit_of(present: pd.Series, rows: NDArray[np.int64] | None = None) -> str:
    """What stands before or behind most of some numbers; '' if nothing does.

    Args:
        present: The numbers as text.
        rows: How often each is there; once by default.
    """
    found = present.str.extract(BEFORE)[0].fillna(present.str.extract(BEHIND)[0])
    weights = pd.Series(1, found.index) if rows is None else pd.Series(rows, found.index)
    known = weights.groupby(found).sum()
    return str(known.idxmax()) if known.sum() > (1 - NEARLY_ALL) * weights.sum() else ""


def is_missing_word(texts: pd.Series) -> NDArray[np.bool_]:
    """Which of some texts are a word for a missing value, `[n]`."""
    found: NDArray[np.bool_] = texts.str.strip().str.casefold().isin(MISSING_WORDS).to_numpy(bool)
    return found


def _present(texts: pd.Series) -> pd.Series:
    """The texts without spaces around them, without words for a missing value."""
    plain = texts[texts.notna()].astype(str).str.strip()
    return plain[~plain.str.casefold().isin(MISSING_WORDS)]


def _forms_of_times(present: pd.Series, forms: TextForms) -> Iterator[str]:
    """The forms in which nearly all texts are points in time."""
    if not present.str.contains(r"\d[-./]\d|[^\W\d]{3}[- .]|\d\s[^\W\d]{3}", regex=True).mean() >= NEARLY_ALL:
        return
    for form in (ISO, ISO_UTC, *forms.days):
        if times_of(present, form).notna().sum() >= NEARLY_ALL * len(present):
            yield form


def decimal_votes(texts: pd.Series) -> NDArray[np.int64]:
    """Whether a column can only be read with a decimal point, or only with a decimal comma, `[2]`."""
    present, votes = _present(texts), np.zeros(2, dtype=np.int64)
    if len(present) >= FEW_VALUES and present.str.contains(r"\d", regex=True).mean() >= NEARLY_ALL:
        present = bare_numbers(present, unit_of(present))
        fits = [present.str.fullmatch(_pattern(TextForms(mark, GROUPS[mark]))).mean() for mark in GROUPS]
        good = [share >= NEARLY_ALL for share in fits]
        votes[:] = [good[0] and not good[1], good[1] and not good[0]]
    return votes


def unclear_mark(texts: pd.Series) -> str:
    """The mark in a column's numbers that may be decimal or stand between thousands; '' if that is clear.

    >>> [unclear_mark(pd.Series([*texts] * 9)) for texts in (["1.250", "12.100"], ["1.25", "1.250"])]
    ['.', '']
    """
    present = _present(texts)
    if len(present) < FEW_VALUES or present.str.contains(r"\d", regex=True).mean() < NEARLY_ALL:
        return ""
    present = bare_numbers(present, unit_of(present))
    for mark in GROUPS:
        grouped = present.str.fullmatch(rf"[-+]?[1-9]\d{{0,2}}[{mark}]\d{{3}}").to_numpy(bool)
        whole = present.str.fullmatch(r"[-+]?\d{1,3}").to_numpy(bool)
        if (grouped | whole).mean() >= NEARLY_ALL and grouped.mean() >= 1 - NEARLY_ALL:
            return mark
    return ""


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
