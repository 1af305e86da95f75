"""Finds what text columns and codes of real exports stand for, and the line of Python that converts them.

A line is tried on the column before it is offered: what it would lose is counted. All of it is for the owner
of the data only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jupyter_dpsynth.sources.sample import joined
from jupyter_dpsynth.sources.written import (
    CLOCKS,
    DAYS,
    MISSING_WORDS,
    bare_numbers,
    is_missing_word,
    unit_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.base import Source

__all__ = [
    "MISSING_WORDS",
    "TABLE",
    "Conversion",
    "MissingCodes",
    "TextForm",
    "converted",
    "converted_table",
    "days_in_numbers",
    "form_of_text",
    "missing_codes",
    "missing_days",
]

MISSING_NUMBERS = (-1, -7, -8, -9, -77, -88, -99, -999, -9999, 9, 77, 88, 99, 777, 888, 999, 9999, 99999)
MISSING_DAYS = ("9999-12-31", "2999-12-31", "2099-12-31", "1111-11-11", "1900-01-01", "1899-12-30")
AMERICAN_CLOCKS = ("%I:%M %p", "%I:%M%p", "%I:%M:%S %p")
SPACES = "[ \u00a0\u202f]"
GROUPED = r"[-+]?\d{{1,3}}(?:{group}\d{{3}})+(?:{point}\d+)?|[-+]?\d*{point}?\d+"
# decimal point, thousands separator (as patterns), and what they are called
NUMBERS = (
    (r"\.", "", "a decimal point"),
    (",", "", "a decimal comma"),
    (r"\.", ",", "a decimal point and thousands commas"),
    (",", r"\.", "a decimal comma and thousands points"),
    (",", SPACES, "a decimal comma and thousands spaces"),
    (r"\.", SPACES, "a decimal point and thousands spaces"),
    (r"\.", "['\u2019]", "a decimal point and thousands apostrophes"),
)
SIGNS, SIGNED = r"^\((.*)\)$|^(.*)-$", r"\(.*\)|.*-"  # negative numbers in bookkeeping
TABLE = "\0"  # stands for the table in an expression
MOST_LOST = 0.1  # of the rows with a value: with more, no conversion is offered
NEARLY_ALL_DIGITS = 0.98  # of the texts of a column of codes
MOST_WORDS = 2  # among numbers that may stand for a missing value
MOST_ANSWERS = 10  # different texts: more of one length are abbreviations, among which no word is looked for
LEAST_CODED = 0.002  # of the rows, and at least this many, must have a code for it to count as one
FEWEST = 3
FAR = 1.0  # how many times the range of nearly all other values a code is away from them
WORDS = 3.5  # on average, from which a text with hardly any value twice is free text


@dataclass(frozen=True)
class Conversion:
    """A line that converts a column.

    Attributes:
        column: The column.
        expression: What becomes of it, with `TABLE` where the name of the DataFrame stands.
        lost: How many rows with a value would have none afterwards.
    """

    column: str
    expression: str
    lost: int = 0

    def line(self, table: str = "df") -> str:
        """The line to run.

        Args:
            table: The name of the DataFrame.

        >>> Conversion("x", TABLE + "['x'].str.strip()").line("stays")
        "stays['x'] = stays['x'].str.strip()"
        """
        return f"{table}[{self.column!r}] = {self.expression.replace(TABLE, table)}"


@dataclass(frozen=True)
class TextForm:
    """What a column of text stands for.

    Attributes:
        what: 'numbers', 'dates', 'clocks', 'codes' with leading zeros, 'free text', 'two ways', or
            'missing words'.
        rows: How many rows it concerns.
        detail: How it is written, in words.
        conversion: The line that converts it, if there is one that loses (nearly) nothing.
        codes: Of missing words, these words.
    """

    what: str
    rows: int
    detail: str = ""
    conversion: Conversion | None = None
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MissingCodes:
    """Values that stand for a missing one.

    Attributes:
        codes: Those of a public list that are there.
        rows: How many rows have one of them.
    """

    codes: tuple[object, ...]
    rows: int


def converted(conversion: Conversion, df: pd.DataFrame) -> pd.Series:
    """What a conversion makes of its column; the table stays as it is."""
    return eval(conversion.expression.replace(TABLE, "df"), {"df": df, "pd": pd})  # noqa: S307 - ours


def converted_table(source: Source, conversions: Sequence[Conversion]) -> pd.DataFrame:
    """The whole table in memory, with its columns converted.

    Args:
        source: The private table.
        conversions: Of its columns.

    Privacy:
        Private rows, for their owner.
    """
    names = [str(name) for name in source.described.columns]
    df = joined(list(source.map(lambda part: part, names)), source.described)[names]
    return df.assign(**{each.column: converted(each, df) for each in conversions})


def form_of_text(name: str, values: list[object], counts: NDArray[np.int64]) -> TextForm | None:
    """What the texts of a column stand for; None if they are ordinary categories.

    Args:
        name: The column.
        values: Its different values; what is no text counts as lost in a conversion.
        counts: Rows with each of them, `[values]`.
    """
    texts = pd.Series(
        [value if isinstance(value, str) else "\0" for value in values], dtype=object
    ).str.strip()
    absent = is_missing_word(texts) & ~_codes_among_others(texts)
    if absent.all():
        return None
    words = sorted({str(values[place]) for place in np.flatnonzero(absent)})
    column = f"{TABLE}[{name!r}]"
    blank = f"{column}.mask({column}.isin({words!r}))" if words else column
    present, rows = texts[~absent], counts[~absent]
    total = int(rows.sum())
    coded = present.str.fullmatch(r"0\d+(\.\d+)?").to_numpy(bool)  # of numbers only 0.5 begins so
    length = present.str.len()
    alike = present.str.fullmatch(r"[0-9A-Za-z.]+") & (length == length.mode().iloc[0])  # 2A004 beside 06088
    digits = present.str.fullmatch(r"\d+")
    if (
        rows[coded].sum() >= max(FEWEST, LEAST_CODED * total)
        and max(digits.mean(), alike.mean()) > NEARLY_ALL_DIGITS
    ):
        return TextForm("codes", int(rows[coded].sum()))
    known = Counted(name, present, rows, blank)
    found = known.as_numbers() or known.as_dates() or known.as_clocks()
    if found is None and len(present) > total / 2 and present.str.split().str.len().mean() >= WORDS:
        return TextForm("free text", total)
    if found is None and words:
        told = ", ".join(map(repr, words))
        return TextForm("missing words", int(counts[absent].sum()), told, codes=tuple(words))
    return found


def _codes_among_others(texts: pd.Series) -> NDArray[np.bool_]:
    """Which texts are as long as nearly all of many others: ND among the states, which is no 'no data'."""
    if len(texts) <= MOST_ANSWERS:
        return np.zeros(len(texts), dtype=bool)
    lengths = texts.str.len()
    same = (lengths == lengths.mode().iloc[0]).to_numpy(bool)
    return same & texts.str.isalpha().to_numpy(bool) & (same.mean() >= NEARLY_ALL_DIGITS)


@dataclass(frozen=True)
class Counted:
    """Different texts of a column, with how many rows have them.

    Attributes:
        name: The column.
        texts: The texts, without spaces around them and without words for a missing value.
        rows: Rows with each of them, `[texts]`.
        blank: The column in a line, without its words for a missing value.
    """

    name: str
    texts: pd.Series
    rows: NDArray[np.int64]
    blank: str

    def as_numbers(self) -> TextForm | None:
        """The form if nearly all are numbers in one way of writing them."""
        unit = unit_of(self.texts, self.rows)
        plain = bare_numbers(self.texts, unit)
        fits = {}
        for point, group, words in NUMBERS:
            pattern = GROUPED.format(group=group or "(?!)", point=point)
            good = plain.str.fullmatch(pattern).to_numpy(bool)
            read = plain[good].str.replace(group, "", regex=True) if group else plain[good]
            fits[words] = good, pd.to_numeric(read.str.replace(point, ".", regex=True)), (point, group)
        lost = {words: int(self.rows[~good].sum()) for words, (good, _, _) in fits.items()}
        best = min(lost.values())
        ways = [words for words in fits if lost[words] == best]
        good, read, (point, group) = fits[ways[0]]
        if not self._readable(good):
            return None
        if any(not fits[words][1].equals(read) for words in ways[1:]):
            return TextForm("two ways", int(self.rows.sum()), f"numbers with {ways[0]} or with {ways[1]}")
        told = ways[0] + f" and {unit!r}" * bool(unit)
        steps = f"{self.blank}.str.strip()"
        if unit:
            mark = re.escape(unit)
            steps += rf".str.replace(r'^([-+]?)\s*{mark}\s*|\s*{mark}$', r'\1', regex=True)"
        if self.texts.str.fullmatch(SIGNED).any():
            steps += rf".str.replace(r'{SIGNS}', r'-\1\2', regex=True)"
        if group:
            steps += f".str.replace({group!r}, '', regex=True)"
        if point == ",":
            steps += ".str.replace(',', '.')"
        coerce = ", errors='coerce'" if best else ""
        whole = bool((read == np.rint(read)).all()) and bool((read.abs() < 2**53).all())
        expression = f"pd.to_numeric({steps}{coerce})" + ".astype('Int64')" * whole
        return TextForm("numbers", int(self.rows.sum()), told, Conversion(self.name, expression, best))

    def as_dates(self) -> TextForm | None:
        """The form if nearly all are dates in one order of day, month and year."""
        fits = dict(self._readings())
        lost = {form: int(self.rows[read.isna().to_numpy(bool)].sum()) for form, read in fits.items()}
        best = min(lost.values())
        ways = [form for form in fits if lost[form] == best]
        read = fits[ways[0]]
        if not self._readable(read.notna().to_numpy(bool)):
            return None
        if any(not fits[form].equals(read) for form in ways[1:]):
            return TextForm("two ways", int(self.rows.sum()), f"dates written {ways[0]} or {ways[1]}")
        steps = f"{self.blank}.str.strip()"
        coerce = ", errors='coerce'"
        if ways[0] == "ISO8601":
            expression = f"pd.to_datetime({steps}, format='ISO8601'{coerce if best else ''})"
        else:
            clocks = [clock for clock in CLOCKS if _read(self.texts, ways[0] + clock).notna().any()]
            one = coerce if best or len(clocks) > 1 else ""
            parts = [f"pd.to_datetime({steps}, format={ways[0] + clock!r}{one})" for clock in clocks]
            expression = parts[0] + "".join(f".fillna({part})" for part in parts[1:])
        return TextForm(
            "dates", int(self.rows.sum()), f"as {ways[0]}", Conversion(self.name, expression, best)
        )

    def as_clocks(self) -> TextForm | None:
        """The form if nearly all are times of day, or hours and minutes."""
        found = self._as_american_clocks()
        if found is not None:
            return found
        fits = self.texts.str.fullmatch(r"\d{1,3}:[0-5]\d(:[0-5]\d)?").to_numpy(bool)
        lost = int(self.rows[~fits].sum())
        if not self._readable(fits):
            return None
        steps = rf"{self.blank}.str.strip().str.replace(r'^(\d+:\d\d)$', r'\1:00', regex=True)"
        coerce = ", errors='coerce'" if lost else ""
        made = Conversion(self.name, f"pd.to_timedelta({steps}{coerce})", lost)
        return TextForm("clocks", int(self.rows.sum()), "as hours and minutes", made)

    def _as_american_clocks(self) -> TextForm | None:
        """The form if nearly all are times of day with AM and PM."""
        for form in AMERICAN_CLOCKS:
            fits = pd.to_datetime(self.texts, format=form, errors="coerce").notna().to_numpy(bool)
            if not self._readable(fits):
                continue
            lost = int(self.rows[~fits].sum())
            coerce = ", errors='coerce'" if lost else ""
            read = f"pd.to_datetime({self.blank}.str.strip(), format={form!r}{coerce})"
            made = Conversion(self.name, f"pd.to_timedelta({read}.dt.strftime('%H:%M:%S'))", lost)
            return TextForm("clocks", int(self.rows.sum()), "as hours and minutes with AM and PM", made)
        return None

    def _readable(self, good: NDArray[np.bool_]) -> bool:
        """Whether next to all rows can be read, or all of many values but one or two words, such as 'n/v'."""
        others, lost = self.texts[~good], int(self.rows[~good].sum())
        words = len(others) <= MOST_WORDS and not others.str.contains(r"\d", regex=True).any()
        coded = words and good.sum() >= MOST_ANSWERS and lost <= self.rows.sum() / 2
        return coded or lost <= MOST_LOST * self.rows.sum()

    def _readings(self) -> Iterator[tuple[str, pd.Series]]:
        yield "ISO8601", _read(self.texts.where(self.texts.str.match(r"\d{4}-\d")), "ISO8601")
        for form in DAYS:
            found = _read(self.texts, form)
            for clock in CLOCKS[1:]:
                found = found.fillna(_read(self.texts, form + clock))
            yield form, found


def _read(texts: pd.Series, form: str) -> pd.Series:
    found = pd.to_datetime(texts, format=form, errors="coerce", utc=form == "ISO8601")
    return found.dt.tz_localize(None) if form == "ISO8601" else found


def days_in_numbers(name: str, values: NDArray[np.float64], counts: NDArray[np.int64]) -> Conversion | None:
    """The line that makes dates of whole numbers such as 20240131; None unless nearly all are such.

    Args:
        name: The column.
        values: Its different numbers.
        counts: Rows with each of them, `[values]`.
    """
    usual = (values >= 19_000_101) & (values <= 21_001_231) & (values == np.rint(values))
    if len(values) < FEWEST or counts[~usual].sum() > MOST_LOST * counts.sum():
        return None
    texts = pd.Series(np.where(usual, values, 0).astype(np.int64)).astype(str)
    lost = int(counts[pd.to_datetime(texts, format="%Y%m%d", errors="coerce").isna().to_numpy(bool)].sum())
    if lost > MOST_LOST * counts.sum():
        return None
    column = f"{TABLE}[{name!r}].astype('Int64').astype('string')"
    coerce = ", errors='coerce'" if lost else ""
    return Conversion(name, f"pd.to_datetime({column}, format='%Y%m%d'{coerce})", lost)


def missing_codes(values: NDArray[np.float64], counts: NDArray[np.int64]) -> MissingCodes | None:
    """Numbers of the usual list of codes for a missing value that lie far from all others.

    Args:
        values: The different numbers of a column.
        counts: Rows with each of them, `[values]`.
    """
    listed = np.isin(values, MISSING_NUMBERS)
    others = np.sort(values[~listed & np.isfinite(values)])
    if not listed.any() or len(others) < FEWEST:
        return None
    low, high = np.quantile(others, [0.01, 0.99])
    reach = FAR * max(high - low, 1.0)
    far = (values > high + reach) | (values < low - reach) | ((values < 0) & (others[0] >= 0))
    enough = counts >= max(FEWEST, LEAST_CODED * counts.sum())
    found = np.flatnonzero(listed & far & enough)
    if not len(found):
        return None
    codes = tuple(sorted(int(values[place]) for place in found))
    return MissingCodes(codes, int(counts[found].sum()))


def missing_days(days: pd.Series) -> MissingCodes | None:
    """Days of the usual list of those that stand for a missing one.

    Args:
        days: The points in time of a column, without a zone.
    """
    known: Mapping[str, int] = {
        day: int((days.dt.normalize() == pd.Timestamp(day)).sum()) for day in MISSING_DAYS
    }
    codes = tuple(day for day, rows in known.items() if rows >= max(FEWEST, LEAST_CODED * len(days)))
    if not codes:
        return None
    return MissingCodes(codes, sum(known[day] for day in codes))
