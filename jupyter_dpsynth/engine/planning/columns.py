"""What the check-up finds in one column."""

from __future__ import annotations

import decimal
import functools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from jupyter_dpsynth.engine.planning.conversions import (
    MISSING_WORDS,
    TABLE,
    Conversion,
    TextForm,
    converted,
    days_in_numbers,
    form_of_text,
    missing_codes,
    missing_days,
)
from jupyter_dpsynth.engine.planning.findings import Finding, Remedy, amount
from jupyter_dpsynth.engine.planning.plan import MAX_CELLS
from jupyter_dpsynth.metadata.codelists import listed_groups
from jupyter_dpsynth.metadata.columns import CategoricalMeta, ContinuousMeta, DatetimeMeta, IdMeta
from jupyter_dpsynth.metadata.missing import missing_moments
from jupyter_dpsynth.sources.dtypes import zone_of
from jupyter_dpsynth.sources.objects import as_float, zoned_name
from jupyter_dpsynth.sources.values import factorize, number_values, time_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import ColumnMeta

__all__ = ["ExaminedColumn"]

ID_NAME = re.compile(
    r"(^|[_\W])(id|ids|uuid|guid|key|ssn|email|phone|iban|passport|person|patient|pat|mrn|nhs|ipp|iep|matricule"
    r"|nr|num|numero|numéro|n°|nummer|number|no)([_\W]|$)|(nummer|number|nr\.?|_no|_num)$"
)
CODE_NAME = re.compile(
    r"plz|postleitzahl|post\W?_?code|zip|postal|phone|telefon|téléphone|\btel\b|iban|siret"
    r"|insee|commune|département|municip|gemeinde|\bags\b|fips"
)
LEAST_DIGITS = 4  # of codes that may begin with a zero
CAMEL_ID = re.compile(r"[a-z](Id|ID|Key|Nr|No|Num)$")
NUMBER_TYPES = ("int", "float")  # which mix freely
ALMOST_ALL = 0.95
DIAGNOSES = "icd10"  # the classification whose codes are like no others
INDUSTRIES = "nace2"  # that of economic activities, which the column's name tells
FEW_DISTINCT = 20  # a column with fewer values identifies nobody
MOST_ROWS_EACH = 50  # on average, of what names persons
DENSE = 2  # numbers that count rows go up to at most this many times as many as there are
RARE_SHARE = 0.2  # of the rows: if so many have rare values, the column is hard to learn
CONVERT = "Convert them."
FORMS = {  # what is found, and what to do
    "numbers": (
        "{name} has numbers written as text, with {detail}: each is a category without order.",
        CONVERT,
    ),
    "dates": ("{name} has dates written as text, {detail}: each is a category without order.", CONVERT),
    "clocks": (
        "{name} has times of day or lengths written as text, {detail}: each is a category without order.",
        CONVERT,
    ),
    "two ways": (
        "{name} has text that can be read in two ways: {detail}.",
        "Convert it yourself, in the way that is right.",
    ),
    "codes": (
        "{name} has codes with leading zeros.",
        "Keep it as text: numbers have no such zeros. If they are too many, group them by the first digits.",
    ),
    "free text": (
        "{name} is free text: hardly any is there twice, and none is ever published.",
        "Leave it out.",
    ),
    "missing words": (
        "{name} has words for a missing value: {detail}.",
        "Declare them as missing, unless they are an answer of their own.",
    ),
}
IN_TERMINAL = {  # what to do in a terminal, where that is something else
    "two ways": "Say in which way it is right: --dayfirst or --no-dayfirst, --decimal, --thousands.",
    "missing words": "Declare them as missing, unless they are an answer of their own.",
}


class ExaminedColumn:
    """One column with its distinct values counted, and what can be said of it.

    Args:
        series: The column.
        meta: Its metadata.
    """

    def __init__(self, series: pd.Series, meta: ColumnMeta) -> None:
        series = meta.present(series)
        self.meta, self.name, self.series = meta, meta.name, series
        codes, self.values = factorize(series)
        self.codes: NDArray[np.int64] = codes
        self.rows = len(codes)
        self.counts = np.bincount(codes[codes >= 0], minlength=len(self.values))
        self.present = int(self.counts.sum())
        self.distinct = len(self.values) / max(self.present, 1)
        self.odd_rows = self._odd_rows() if series.dtype == object else 0

    def _odd_rows(self) -> int:
        """How many rows have a value of another type than most."""
        same = NUMBER_TYPES if self.meta.value_type in NUMBER_TYPES else (self.meta.value_type,)
        names = map(zoned_name, self.series)
        return sum(bool(name) and name not in same for name in names)

    def without(self, codes: Sequence[Any]) -> ExaminedColumn:
        """The same column, in which some values are missing.

        Args:
            codes: Values as they are declared to stand for a missing one.
        """
        if isinstance(self.meta, DatetimeMeta):
            zone = zone_of(self.series.dtype, self.meta.value_type)
            codes = missing_moments(self.name, codes, duration=self.meta.is_duration, zone=zone)
        return ExaminedColumn(self.series, replace(self.meta, missing=(*self.meta.missing, *codes)))

    @property
    def named_like_id(self) -> bool:
        """Whether its name is that of an identifier."""
        return bool(ID_NAME.search(self.name.lower()) or CAMEL_ID.search(self.name))

    @functools.cached_property
    def form(self) -> TextForm | None:
        """What the texts of the column stand for; None if they are ordinary categories, or no texts."""
        meta = self.meta
        plain = isinstance(meta, CategoricalMeta) and meta.categories is None and meta.dtype != "category"
        return form_of_text(self.name, self.values, self.counts) if plain else None

    @property
    def holds_days(self) -> bool:
        """Whether it holds dates, also as text."""
        times = isinstance(self.meta, DatetimeMeta) and not self.meta.is_duration
        return times or (self.form is not None and self.form.what == "dates")

    @property
    def may_name_persons(self) -> bool:
        """Whether it has many values, each of which comes again in a few rows."""
        discrete = isinstance(self.meta, IdMeta | CategoricalMeta) or (
            isinstance(self.meta, ContinuousMeta) and self._whole()
        )
        enough = len(self.values) > FEW_DISTINCT and self.present <= MOST_ROWS_EACH * len(self.values)
        return discrete and enough and self.distinct < ALMOST_ALL

    def findings(self, *, names_persons: bool = False) -> list[Finding]:
        """What can be said of the column, besides rare values.

        Args:
            names_persons: Whether rows with the same value seem to be about the same person.
        """
        if isinstance(self.meta, IdMeta):
            return self._several_rows() if self.may_name_persons else []
        if len(self.values) <= 1:
            text = (
                f"{self.name!r} has the same value in all rows, or no value: measuring it only uses up "
                "budget."
            )
            advice = "Leave it out; you can add it to the synthetic table afterwards."
            return [Finding("constant", "hint", self.name, text, advice, Remedy("ignore", self.name))]
        form = [*self._form(), *self._days(), *self._codes(), *self._zeros(), *self._scale()]
        # how numbers of cases and of persons are written does not matter
        numbered = self.form is not None and self.form.what == "numbers" and self.named_like_id
        found = (self._identifier() if numbered else []) or form or self._identifier() or self._long()
        if self.form is not None and self.form.what == "codes":
            found = [*form, *self._identifier()]  # that zeros lead is true of numbers of cases, too
        coded = numbered or (self.form is not None and self.form.what == "codes")
        numbers_of_persons = self.named_like_id and not CODE_NAME.search(self.name.lower())
        if self.may_name_persons and (
            names_persons or (self.named_like_id and not found) or (numbers_of_persons and coded)
        ):
            found = [*([] if coded else form), *self._several_rows()]
        return [*found, *self._levels(), *self._gaps()]

    def _identifier(self) -> list[Finding]:
        number = isinstance(self.meta, ContinuousMeta)
        # whole numbers are amounts, unless their name or their being numbered says otherwise
        counted = number and self._whole() and (self.named_like_id or self._numbered())
        discrete = isinstance(self.meta, CategoricalMeta) or counted
        limit = 0.5 if self.named_like_id else ALMOST_ALL
        text_or_name = isinstance(self.meta, CategoricalMeta) or self.named_like_id or self.distinct == 1
        if not discrete or not text_or_name or self.distinct < limit or len(self.values) <= FEW_DISTINCT:
            return []
        if self.named_like_id and self.distinct < ALMOST_ALL:
            return []
        text = f"{self.name!r} looks like an identifier: almost every row has a different value."
        advice = (
            "Declare it as an identifier: it is then never learned, and gets new numbers in the synthetic "
            "table."
        )
        remedy = Remedy("ids", self.name)
        return [Finding("identifier", "care", self.name, text, advice, remedy, self._of(self.present))]

    def _long(self) -> list[Finding]:
        """Whole numbers of more digits than float64, in which numbers are measured, tells apart."""
        if not isinstance(self.meta, ContinuousMeta):
            return []
        rounded = np.array([isinstance(value, int) and value != as_float(value) for value in self.values])
        if not rounded.any():
            return []
        text = (
            f"{self.name!r} has whole numbers of so many digits that those which few rows share would come "
            "back rounded."
        )
        advice = "If they are codes, convert them to text, which keeps every digit."
        remedy = self._proved(Conversion(self.name, f"{TABLE}[{self.name!r}].astype('string')"))
        rows = self._of(int(self.counts[rounded].sum()))
        return [Finding("long numbers", "care", self.name, text, advice, remedy, rows)]

    def _whole(self) -> bool:
        """Whether all numbers are whole, as where missing values have made floats of integers."""
        numbers = number_values(pd.Series(self.values))
        return bool((numbers == np.rint(numbers)).all())

    def _numbered(self) -> bool:
        """Whether the numbers are dense, as where somebody has numbered rows."""
        numbers = number_values(pd.Series(self.values))
        return bool(np.ptp(numbers) < DENSE * len(numbers))

    def _several_rows(self) -> list[Finding]:
        """An identifier whose values come again: several rows belong to one person."""
        text = (
            f"{self.name!r} looks like an identifier of persons with several rows: such a person is "
            "protected less than the stated epsilon says, because it protects single rows."
        )
        advice = (
            "Make it the privacy unit, so that persons are protected; max_rows_per_unit limits the rows "
            "used of each."
        )
        again = self._of(int(self.counts[self.counts > 1].sum()))
        remedy = Remedy("privacy_unit", self.name)
        return [Finding("several rows", "care", self.name, text, advice, remedy, again)]

    def rare_values(self, threshold: float) -> list[Finding]:
        """Whether many rows would become 'other', and how codes could be grouped instead.

        Args:
            threshold: How many rows a value needs to be published.
        """
        meta = self.meta
        if (
            not isinstance(meta, CategoricalMeta)
            or meta.categories is not None
            or meta.levels
            or len(self.values) <= FEW_DISTINCT  # if these are lost, the rows are too few
        ):
            return []
        order = np.sort(self.counts)[::-1]
        kept = order[: MAX_CELLS - 2]
        lost = 1 - float(kept[kept > threshold].sum()) / max(self.present, 1)
        if lost < RARE_SHARE:
            return []
        text = (
            f"{self.name!r} has so many rare values that {amount(lost)} rows would become 'other' (at most "
            f"{MAX_CELLS - 2} values are kept apart, and rare ones are never published)."
        )
        advice = "Group its values, declare its categories if they are public, or leave it out."
        many = self.present - int(kept[kept > threshold].sum())
        remedy = Remedy("ignore", self.name)
        groups = self._groups()
        if groups:
            remedy = Remedy("hierarchy", {self.name: groups})
            advice = "They seem to be codes: declare their groups, and rare ones come back as their group."
        return [Finding("levels", "care", self.name, text, advice, remedy, self._of(many))]

    def _groups(self) -> str:
        """The rule that gives nearly all codes of the column a group; empty if they are no codes."""
        counts = self.counts if all(isinstance(value, str) for value in self.values) else self.counts[:0]
        if not counts.sum():
            return ""
        named = INDUSTRIES.removesuffix("2") in self.name.lower()
        for name in (DIAGNOSES, *([INDUSTRIES] if named else [])):
            known = np.array([bool(listed_groups(name, value)) for value in self.values])
            if self.counts[known].sum() >= ALMOST_ALL * counts.sum():
                return name
        lengths = {len(value) for value in self.values}
        digits = [value.replace(".", "", 1).isdigit() for value in self.values]  # 01.10 is a code, too
        nearly = np.mean(digits) >= ALMOST_ALL and all(value.isalnum() for value in self.values)  # 2A004
        coded = len(lengths) == 1 and lengths.pop() >= LEAST_DIGITS and (all(digits) or nearly)
        return "prefix:1,2" if coded else ""

    def _levels(self) -> list[Finding]:
        """Levels of a `category` column that no row has, and that nobody has declared."""
        meta, dtype = self.meta, self.series.dtype
        if not isinstance(meta, CategoricalMeta) or meta.categories is not None:
            return []
        if not isinstance(dtype, pd.CategoricalDtype) or len(dtype.categories) <= len(self.values):
            return []
        text = (
            f"{self.name!r} has levels that no row has: the synthetic table will have only levels that its "
            "rows have, because a list of levels may have been made from the rows."
        )
        advice = "If the list is public, declare it: then all levels are kept."
        told = "If the list is public, declare it, with --categories or in a --schema: then all are kept."
        remedy = Remedy("categories", self.name)
        return [Finding("unused levels", "hint", self.name, text, advice, remedy, 0, told)]

    def _form(self) -> list[Finding]:
        """Text that is something else, and objects of several types."""
        found, form = [], self.form
        if form is not None and (
            len(self.values) > FEW_DISTINCT or form.conversion is not None or form.codes
        ):
            told, advice = FORMS[form.what]
            told = told.format(name=repr(self.name), detail=form.detail)
            remedy = self._proved(form.conversion)
            if form.what == "free text":
                remedy = Remedy("ignore", self.name)
            elif form.codes:
                remedy = Remedy("missing", {self.name: list(form.codes)})
            level: Literal["care", "hint"] = "hint" if form.what in {"codes", "missing words"} else "care"
            lost = form.conversion.lost if form.conversion is not None else 0
            if remedy and lost:
                advice += f" {lost:,} rows that are written otherwise become missing."
            elsewhere, rows = IN_TERMINAL.get(form.what, ""), self._of(form.rows)
            found.append(Finding("text form", level, self.name, told, advice, remedy, rows, elsewhere))
        if self.odd_rows and self.meta.value_type:
            text = (
                f"{self.name!r} holds values of the type {self.meta.value_type}; these are of another type, "
                + ("and stay apart." if isinstance(self.meta, CategoricalMeta) else "and count as missing.")
            )
            advice = "Convert the column to a single type; as text it loses nothing."
            as_text = Conversion(self.name, f"{TABLE}[{self.name!r}].map(str, na_action='ignore')")
            remedy = self._proved(as_text)
            found.append(Finding("mixed types", "care", self.name, text, advice, remedy, self.odd_rows))
        return found

    def _days(self) -> list[Finding]:
        """Dates written as whole numbers."""
        if not isinstance(self.meta, ContinuousMeta) or self.meta.bounds is not None:
            return []
        conversion = days_in_numbers(self.name, number_values(pd.Series(self.values)), self.counts)
        remedy = self._proved(conversion)
        if conversion is None or remedy is None:
            return []
        text = f"{self.name!r} has dates written as numbers, as 20240131: values between them are no dates."
        told = f" {conversion.lost:,} rows that are none become missing." if conversion.lost else ""
        advice = CONVERT + told
        return [Finding("text form", "care", self.name, text, advice, remedy, self._of(self.present))]

    def _zeros(self) -> list[Finding]:
        """Numbers that are probably codes which have lost their leading zeros in reading."""
        if not isinstance(self.meta, ContinuousMeta) or not CODE_NAME.search(self.name.lower()):
            return []
        numbers = number_values(pd.Series(self.values))
        if not self._whole() or (numbers < 0).any():
            return []
        digits = np.array([len(str(int(number))) for number in numbers])
        short = digits < digits.max()
        if digits.max() < LEAST_DIGITS or not short.any() or self.counts[short].sum() > self.present / 2:
            return []
        text = (
            f"{self.name!r} has numbers with fewer digits: they seem to be codes without their leading zeros."
        )
        advice = f"Read the table again with text in it: pandas.read_csv(..., dtype={{{self.name!r}: str}})."
        rows, told = self._of(int(self.counts[short].sum())), f"Keep it as text: --text {self.name}."
        return [Finding("lost zeros", "care", self.name, text, advice, rows=rows, in_terminal=told)]

    def _scale(self) -> list[Finding]:
        """Decimal numbers written with more digits than any of them needs."""
        meta = self.meta
        if not isinstance(meta, ContinuousMeta) or meta.decimals is not None or meta.value_type != "Decimal":
            return []
        # by their type: values of others may answer to `isinstance` with any error
        numbers = [v for v in self.series if issubclass(type(v), decimal.Decimal) and v.is_finite()]
        if not numbers:
            return []
        digits = [max(-int(number.as_tuple().exponent), 0) for number in numbers]
        needed = max(-int(number.normalize().as_tuple().exponent) for number in numbers)
        usual = max(set(digits), key=digits.count)
        more = sum(own > needed for own in digits)
        if usual <= needed or more < ALMOST_ALL * len(numbers):
            return []
        text = f"{self.name!r} has zeros after the point that no value needs, as 8.90: noise may lose them."
        advice = "If that many digits are public, declare them: then the zeros come back for certain."
        remedy = Remedy("decimals", {self.name: usual})
        return [Finding("digits", "hint", self.name, text, advice, remedy, self._of(more))]

    def _proved(self, conversion: Conversion | None) -> Remedy | None:
        """A conversion as a remedy, if it does to the column what it is offered for."""
        if conversion is None:
            return None
        try:
            made = converted(conversion, pd.DataFrame({self.name: self.series}))
        except Exception:  # noqa: BLE001 - an object may raise anything
            return None
        gone = int((made.isna().to_numpy(bool) & (self.codes >= 0)).sum())
        blank = self._blank() if isinstance(self.meta, CategoricalMeta) else gone
        return Remedy("convert", conversion) if gone <= conversion.lost + blank else None

    def _blank(self) -> int:
        """How many rows have a word for a missing value."""
        words = [isinstance(v, str) and v.strip().casefold() in MISSING_WORDS for v in self.values]
        return int(self.counts[np.array(words, dtype=bool)].sum())

    def _codes(self) -> list[Finding]:
        """Numbers and days that stand for a missing value, and values outside declared bounds."""
        found: list[Finding] = []
        codes = None
        if isinstance(self.meta, ContinuousMeta):
            numbers = number_values(pd.Series(self.values))
            codes = missing_codes(numbers, self.counts)
            if self.meta.bounds is not None:
                low, high = self.meta.bounds
                outside = int(self.counts[(numbers < low) | (numbers > high)].sum())
                found += self._outside(outside)
        elif (
            isinstance(self.meta, DatetimeMeta)
            and not self.meta.is_duration
            and self.series.dtype.kind == "M"
        ):
            times, missing = time_values(self.series, duration=False)
            codes = missing_days(pd.Series(times[~missing].view("datetime64[us]")))
            if self.meta.bounds is not None:
                low, high = self.meta.bounds
                found += self._outside(int((~missing & ((times < low) | (times > high))).sum()))
        if codes is not None:
            listed = ", ".join(map(str, codes.codes))
            text = f"{self.name!r} has values that seem to mean 'missing': {listed}."
            advice = "If they do, declare them; learned as they are, they would count as values."
            remedy = Remedy("missing", {self.name: list(codes.codes)})
            rows = self._of(codes.rows)
            found.append(Finding("missing codes", "care", self.name, text, advice, remedy, rows))
        return found

    def _of(self, rows: int) -> int | None:
        """How many rows a finding concerns, None if all: the number of all rows is not told."""
        return None if rows == self.rows else rows

    def _outside(self, rows: int) -> list[Finding]:
        if not rows:
            return []
        text = f"{self.name!r} is outside its declared bounds: such values would be moved."
        advice = "Declare wider bounds if they are right, or correct the rows."
        return [Finding("outside bounds", "care", self.name, text, advice, rows=self._of(rows))]

    def _gaps(self) -> list[Finding]:
        if self.present >= (1 - ALMOST_ALL) * self.rows:
            return []
        text = f"{self.name!r} is missing in most rows, so there is little to learn."
        remedy, gone = Remedy("ignore", self.name), self._of(self.rows - self.present)
        return [Finding("missing", "hint", self.name, text, "Leave it out.", remedy, gone)]
