"""What the check-up finds in one column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from jupyter_dpsynth.engine.planning.conversions import (
    MISSING_WORDS,
    Conversion,
    converted,
    form_of_text,
    missing_codes,
    missing_days,
)
from jupyter_dpsynth.engine.planning.findings import Finding, Remedy, amount
from jupyter_dpsynth.engine.planning.plan import MAX_CELLS
from jupyter_dpsynth.metadata.columns import CategoricalMeta, ContinuousMeta, DatetimeMeta, IdMeta
from jupyter_dpsynth.sources.objects import type_name
from jupyter_dpsynth.sources.values import factorize, number_values, time_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import ColumnMeta

__all__ = ["ExaminedColumn"]

ID_NAME = re.compile(r"(^|[_\W])(id|ids|uuid|guid|key|ssn|email|phone|iban|passport|person|patient)([_\W]|$)")
CAMEL_ID = re.compile(r"[a-z](Id|ID|Key)$")
ALMOST_ALL = 0.95
FEW_DISTINCT = 20  # a column with fewer values identifies nobody
DENSE = 2  # numbers that count rows go up to at most this many times as many as there are
RARE_SHARE = 0.2  # of the rows: if so many have rare values, the column is hard to learn
FORMS = {  # what is found, and what to do
    "numbers": (
        "{name} has numbers written as text in {rows}, with {detail}: each is a category without order.",
        "Convert them.",
    ),
    "dates": (
        "{name} has dates written as text in {rows}, {detail}: each is a category without order.",
        "Convert them.",
    ),
    "two ways": (
        "{name} has text that can be read in two ways in {rows}: {detail}.",
        "Convert it yourself, in the way that is right.",
    ),
    "codes": (
        "{name} has codes with leading zeros in {rows}.",
        "Keep it as text: numbers have no such zeros. If they are too many, group them by the first digits.",
    ),
    "free text": (
        "{name} is free text in {rows}: hardly any is there twice, and none is ever published.",
        "Leave it out.",
    ),
    "missing words": (
        "{name} has words for a missing value in {rows}: {detail}.",
        "Declare them as missing, unless they are an answer of their own.",
    ),
}


class ExaminedColumn:
    """One column with its distinct values counted, and what can be said of it.

    Args:
        series: The column.
        meta: Its metadata.
    """

    def __init__(self, series: pd.Series, meta: ColumnMeta) -> None:
        series = meta.present(series)
        self.meta, self.name, self._series = meta, meta.name, series
        codes, self.values = factorize(series)
        self.codes: NDArray[np.int64] = codes
        self.rows = len(codes)
        self.counts = np.bincount(codes[codes >= 0], minlength=len(self.values))
        self.present = int(self.counts.sum())
        self.distinct = len(self.values) / max(self.present, 1)
        self.kind_changes = series.dtype == object and self._odd_share(series) > 0

    def _odd_share(self, series: pd.Series) -> float:
        names = [type_name(value) for value, code in zip(series, self.codes, strict=True) if code >= 0]
        return sum(name != self.meta.value_type for name in names) / max(len(names), 1)

    @property
    def named_like_id(self) -> bool:
        """Whether its name is that of an identifier."""
        return bool(ID_NAME.search(self.name.lower()) or CAMEL_ID.search(self.name))

    def findings(self, threshold: float) -> list[Finding]:
        """What can be said of the column.

        Args:
            threshold: How many rows a value needs to be published.
        """
        if isinstance(self.meta, IdMeta):
            return self._several_rows(declared=True)
        if len(self.values) <= 1:
            text = (
                f"{self.name!r} has the same value in all rows, or no value: measuring it only uses up "
                "budget."
            )
            advice = "Leave it out; you can add it to the synthetic table afterwards."
            return [Finding("constant", "hint", self.name, text, advice, Remedy("ignore", self.name))]
        form = [*self._form(), *self._codes()]
        found = form or self._identifier() or self._several_rows(declared=False)
        return [*(found or self._too_many_levels(threshold)), *self._gaps()]

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
        return [Finding("identifier", "care", self.name, text, advice, Remedy("ids", self.name))]

    def _whole(self) -> bool:
        """Whether all numbers are whole, as where missing values have made floats of integers."""
        numbers = number_values(pd.Series(self.values))
        return bool((numbers == np.rint(numbers)).all())

    def _numbered(self) -> bool:
        """Whether the numbers are dense, as where somebody has numbered rows."""
        numbers = number_values(pd.Series(self.values))
        return bool(np.ptp(numbers) < DENSE * len(numbers))

    def _several_rows(self, *, declared: bool) -> list[Finding]:
        """An identifier whose values come again: several rows belong to one person."""
        if (
            not (declared or self.named_like_id)
            or len(self.values) <= FEW_DISTINCT
            or self.distinct >= ALMOST_ALL
        ):
            return []
        text = (
            f"{self.name!r} looks like an identifier of persons with several rows: such a person is "
            "protected less than the stated epsilon says, because it protects single rows."
        )
        advice = (
            "Make it the privacy unit, so that persons are protected; max_rows_per_unit limits the rows "
            "used of each."
        )
        return [Finding("several rows", "care", self.name, text, advice, Remedy("privacy_unit", self.name))]

    def _too_many_levels(self, threshold: float) -> list[Finding]:
        meta = self.meta
        if (
            not isinstance(meta, CategoricalMeta)
            or meta.categories is not None
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
        return [Finding("levels", "care", self.name, text, advice, Remedy("ignore", self.name))]

    def _form(self) -> list[Finding]:
        """Text that is something else, and objects of several types."""
        found = []
        meta = self.meta
        plain = isinstance(meta, CategoricalMeta) and meta.categories is None and meta.dtype != "category"
        form = form_of_text(self.name, self.values, self.counts) if plain else None
        if form is not None and (
            len(self.values) > FEW_DISTINCT or form.conversion is not None or form.codes
        ):
            told, advice = FORMS[form.what]
            told = told.format(name=repr(self.name), rows=self._told(form.rows), detail=form.detail)
            remedy = self._proved(form.conversion)
            if form.what == "free text":
                remedy = Remedy("ignore", self.name)
            elif form.codes:
                remedy = Remedy("missing", {self.name: list(form.codes)})
            level: Literal["care", "hint"] = "hint" if form.what in {"codes", "missing words"} else "care"
            lost = form.conversion.lost if form.conversion is not None else 0
            if remedy and lost:
                advice += f" {lost:,} rows that are written otherwise become missing."
            found.append(Finding("text form", level, self.name, told, advice, remedy))
        if self.kind_changes and self.meta.value_type:
            text = (
                f"{self.name!r} mixes types of values: those that are not {self.meta.value_type} may get "
                "lost."
            )
            advice = "Convert the column to a single type."
            found.append(Finding("mixed types", "hint", self.name, text, advice))
        return found

    def _proved(self, conversion: Conversion | None) -> Remedy | None:
        """A conversion as a remedy, if it does to the column what it is offered for."""
        if conversion is None:
            return None
        made = converted(conversion, pd.DataFrame({self.name: self._series}))
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
            and self._series.dtype.kind == "M"
        ):
            times, missing = time_values(self._series, duration=False)
            codes = missing_days(pd.Series(times[~missing].view("datetime64[us]")))
            if self.meta.bounds is not None:
                low, high = self.meta.bounds
                found += self._outside(int((~missing & ((times < low) | (times > high))).sum()))
        if codes is not None:
            listed = ", ".join(map(str, codes.codes))
            text = f"{self.name!r} has {listed} in {self._told(codes.rows)}: they seem to mean 'missing'."
            advice = "If they do, declare them; learned as they are, they would be people of that value."
            remedy = Remedy("missing", {self.name: list(codes.codes)})
            found.append(Finding("missing codes", "care", self.name, text, advice, remedy))
        return found

    def _told(self, rows: int) -> str:
        """How many rows a finding concerns; the number of all rows is not told."""
        return "all rows" if rows == self.rows else f"{rows:,} rows"

    def _outside(self, rows: int) -> list[Finding]:
        if not rows:
            return []
        text = f"{self.name!r} is outside its declared bounds in {self._told(rows)}: those would be moved."
        advice = "Declare wider bounds if they are right, or correct the rows."
        return [Finding("outside bounds", "care", self.name, text, advice)]

    def _gaps(self) -> list[Finding]:
        if self.present >= (1 - ALMOST_ALL) * self.rows:
            return []
        text = f"{self.name!r} is missing in most rows, so there is little to learn."
        return [Finding("missing", "hint", self.name, text, "Leave it out.", Remedy("ignore", self.name))]
