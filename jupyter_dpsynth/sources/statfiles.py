"""Files of SPSS, Stata and SAS, read with pyreadstat into Arrow, many rows at a time.

What a column holds follows from the file's dictionary alone. Codes stay codes, and times are computed here
from the numbers that are stored: pyreadstat would show durations of more than a day without the days, and
mix texts with numbers where only some codes have labels. Text is taken as bytes and decoded value by value,
because one value that is no text would otherwise end the reading of all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.errors import DataError, MissingDependencyError, shielded
from jupyter_dpsynth.sources.codebook import Codebook, Variable
from jupyter_dpsynth.sources.forms import PANDAS
from jupyter_dpsynth.sources.frames import ArrowFrame
from jupyter_dpsynth.sources.letters import letter_number, letters_of, with_letters
from jupyter_dpsynth.sources.partitions import MAX_ROWS, rows_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["NEEDED", "READERS", "moment_kind", "program_of", "stat_frame", "stored_number"]

READERS = {  # of pyreadstat, by the end of a file's name
    ".sav": "read_sav",
    ".zsav": "read_sav",
    ".por": "read_por",
    ".dta": "read_dta",
    ".xpt": "read_xport",
    ".sas7bdat": "read_sas7bdat",
}
ROWS = MAX_ROWS  # that are read at once; to find its place, each read passes over all rows before it
CELL_BYTES = 24  # of a value in memory, about
DAY = 86_400
SPSS, STATA, SAS = "spss", "stata", "sas"
# seconds from the first day of each program's calendar to 1970
EPOCHS = {SPSS: 12_219_379_200, STATA: 315_619_200, SAS: 315_619_200}
BYTES = "ISO-8859-1"  # in which every byte is a character
FORMATS = {  # by program: patterns of formats of days, of points in time, and of durations
    SPSS: (r"[AEJS]?DATE\d*|QYR\d*|MOYR\d*|WKYR\d*", r"DATETIME[\d.]*|YMDHMS[\d.]*", r"[DM]?TIME[\d.]*"),
    STATA: (r"%-?t?d.*", r"%-?t[cC].*", r"(?!)"),
    SAS: (
        r"(DATE|(DDMM|MMDD)YY|YYMMDD|JULIAN|MONYY|(WEEK|WORD)DAT[EX]|[EB]8601DA|NLDATE|YYMM|MMYY)[A-Z]?[\d.]*",
        r"(DATETIME|DTDATE|[EB]8601D[TZN]|NLDATM|MDYAMPM|DATEAMPM|DTMONYY|DTYEAR)[\d.]*",
        r"(TIME|HHMM|MMSS|TOD|HOUR|TIMEAMPM|[EB]8601T[MZ]|NLTIME)[\d.]*",
    ),
}
MOMENTS = "day", "moment", "duration"
NEEDED = "files of SPSS, Stata and SAS are read with pyreadstat: install jupyter_dpsynth[stats]."
LARGEST = 2.0**62  # microseconds


@dataclass(frozen=True)
class _Column:
    """How a column is read.

    Attributes:
        name: Its name.
        variable: What the codebook says about it.
        kind: 'text', 'number', or one of `MOMENTS`.
        type: Its type in Arrow.
        coded: Whether its categories are the codebook's.
    """

    name: str
    variable: Variable
    kind: str
    type: Any
    coded: bool

    @property
    def codes(self) -> tuple[Any, ...]:
        """Numbers beside measured ones that stand for a missing value."""
        return () if self.coded or self.kind != "number" else self.variable.codes_among_numbers


def program_of(path: Path) -> str:
    """Whose format a file has: 'spss', 'stata' or 'sas'."""
    ending = path.suffix.lower()
    return STATA if ending == ".dta" else SPSS if ending in (".sav", ".zsav", ".por") else SAS


def moment_kind(program: str, shown_as: str) -> str:
    """What numbers in a format stand for: 'day', 'moment', 'duration', or '' for numbers.

    Args:
        program: 'spss', 'stata' or 'sas'.
        shown_as: The format, such as 'DATE11' or '%td'.

    >>> [moment_kind("spss", each) for each in ("DATE11", "DATETIME20", "TIME8", "F8.2")]
    ['day', 'moment', 'duration', '']
    """
    patterns = zip(MOMENTS, FORMATS[program], strict=True)
    # Stata tells apart small and capital letters
    flags = 0 if program == STATA else re.IGNORECASE
    return next((kind for kind, pattern in patterns if re.fullmatch(pattern, shown_as, flags)), "")


def stat_frame(path: Path) -> ArrowFrame:
    """A file of SPSS, Stata or SAS, of which only the dictionary is read.

    Args:
        path: The file.

    Raises:
        DataError: It cannot be read.
        MissingDependencyError: pyreadstat or pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyreadstat
    except ImportError:
        raise MissingDependencyError(NEEDED) from None
    read = getattr(pyreadstat, READERS[path.suffix.lower()])
    try:
        meta = read(str(path), metadataonly=True, **_user_missing(path))[1]
    except Exception:  # noqa: BLE001 - whatever it raises; its message may quote the file
        meta = None
    if meta is None:
        raise DataError(
            f"{path.name} cannot be read by pyreadstat: it is damaged, or not what its name says."
        )
    program = program_of(path)
    columns = [_column(program, meta, name) for name in meta.column_names]
    codebook = Codebook({each.name: each.variable for each in columns})
    coded = {each.name: each.variable for each in columns if each.coded}
    spans = {name: each.span for name, each in coded.items() if each.span is not None}
    levels = {name: tuple(each.categories or ()) for name, each in coded.items() if name not in spans}
    made = [name for name in meta.column_names if _labels(meta, name).is_made_from_rows]
    return ArrowFrame(
        pa.schema([(each.name, each.type) for each in columns]),
        PANDAS,
        lambda: _batches(path, read, program, columns, meta.file_encoding),
        levels=levels,
        spans=spans,
        missing={each.name: each.codes for each in columns if each.codes},
        lettered=[e.name for e in columns if e.kind == "number" and pa.types.is_float64(e.type)]
        if path.suffix.lower() in (".dta", ".sas7bdat")
        else (),
        codebook=codebook,
        plain=True,
        note=_note(made),
    )


def _user_missing(path: Path) -> dict[str, Any]:
    """So that codes of missing values come as they are (SPSS), and letters as such (Stata, SAS)."""
    return {} if path.suffix.lower() in (".por", ".xpt") else {"user_missing": True}


def _note(made: list[str]) -> str:
    if not made:
        return ""
    names = ", ".join(map(repr, made[:5])) + (f" and {len(made) - 5} more" if len(made) > 5 else "")
    return (
        f"the value labels of {names} are in alphabetical order and many, so a program has probably made "
        "them from the rows: they are not used. Declare the categories that are public."
    )


def _column(program: str, meta: Any, name: str) -> _Column:  # noqa: ANN401 - of pyreadstat
    import pyarrow as pa

    stored = meta.readstat_variable_types.get(name, "double")
    variable = _labels(meta, name)
    if variable.is_made_from_rows:
        variable = Variable(variable.label, (), variable.missing, variable.measure, variable.format)
    if stored == "string":
        return _Column(name, variable, "text", pa.string(), variable.categories is not None)
    kind = moment_kind(program, variable.format)
    types = {"day": pa.date32(), "moment": pa.timestamp("us"), "duration": pa.duration("us")}
    if kind:
        return _Column(name, variable, kind, types[kind], coded=False)
    lettered = bool(letters_of(low for low, _ in variable.missing))  # which numpy's whole numbers cannot hold
    whole = (
        {}
        if lettered
        else {"int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "float": pa.float32()}
    )
    coded = variable.categories is not None
    return _Column(name, variable, "number", whole.get(stored, pa.float64()), coded)


def _labels(meta: Any, name: str) -> Variable:  # noqa: ANN401 - of pyreadstat
    """What the dictionary of a file says about a column."""
    text = meta.readstat_variable_types.get(name) == "string"
    labels = meta.variable_value_labels.get(name) or {}
    # which letters there are is private: of those that the dictionary labels it is public
    known = {code: letter_number(code) for code in labels if isinstance(code, str) and not text}
    pairs = tuple(
        (known.get(code, code), str(label))
        for code, label in labels.items()
        if code in known or isinstance(code, str) == text
    )
    ranges = tuple((each["lo"], each["hi"]) for each in meta.missing_ranges.get(name) or ())
    ranges += tuple((number, number) for number in known.values())
    measure = meta.variable_measure.get(name) or ""
    return Variable(
        str(meta.column_names_to_labels.get(name) or ""),
        pairs,
        ranges,
        "" if measure == "unknown" else measure,
        str(meta.original_variable_types.get(name) or ""),
    )


def _batches(
    path: Path,
    read: Any,  # noqa: ANN401 - a function of pyreadstat
    program: str,
    columns: list[_Column],
    encoding: str | None,
) -> Iterator[Any]:
    """The rows as record batches of Arrow, in their order."""
    import pyarrow as pa

    most = min(ROWS, rows_at_once(CELL_BYTES * len(columns)))
    options = {"disable_datetime_conversion": True, "row_limit": most, **_user_missing(path)}
    if path.suffix.lower() != ".por":
        options["encoding"] = BYTES
    start = 0
    while True:
        part = shielded(
            lambda: read(str(path), row_offset=start, **options)[0],  # noqa: B023 - called at once
            f"reading {path.name} failed",
        )
        arrays = [
            _array(part.iloc[:, place], column, program, encoding, taken_as_bytes="encoding" in options)
            for place, column in enumerate(columns)
        ]
        yield pa.record_batch(arrays, pa.schema([(each.name, each.type) for each in columns]))
        start += len(part)
        if len(part) < most:
            return


def _array(
    series: Any,  # noqa: ANN401 - of pandas
    column: _Column,
    program: str,
    encoding: str | None,
    *,
    taken_as_bytes: bool,
) -> Any:  # noqa: ANN401 - of pyarrow
    """A column's values in its type; what does not fit is missing."""
    import pandas as pd
    import pyarrow as pa

    if column.kind == "text":
        codes, texts = pd.factorize(series)
        known = [_decoded(str(text), encoding) if taken_as_bytes else str(text) or None for text in texts]
        # of what is missing the code is -1
        return pa.array([None, *known], pa.string()).take(pa.array(codes + 1))
    numbers = _numbers(series)
    if column.kind == "number":
        numbers = _without_codes(numbers, column)
        with np.errstate(all="ignore"):
            held = numbers.astype(column.type.to_pandas_dtype())
        whole = pa.types.is_integer(column.type)
        if pa.types.is_float64(column.type):
            return pa.array(np.where(np.isinf(held), np.nan, held), column.type)  # NaN with its letters
        lost = (held != numbers) if whole else ~np.isfinite(numbers)
        return pa.array(held, column.type, mask=lost)
    return _moments(_without_codes(numbers, column), column.kind, program, column.type)


def _numbers(series: Any) -> NDArray[np.float64]:  # noqa: ANN401 - of pandas
    """Numbers, among which letters of missing values are NaN with these letters."""
    import pandas as pd

    if series.dtype != object:
        plain: NDArray[np.float64] = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return plain
    numbers = pd.to_numeric(series, errors="coerce").astype(np.float64)
    found = [each for each in series[numbers.isna()].unique() if isinstance(each, str) and len(each) == 1]
    codes = [letter_number(each) for each in found]
    for each, code in zip(found, codes, strict=True):
        numbers[series == each] = code
    lettered: NDArray[np.float64] = with_letters(numbers, codes).to_numpy()
    return lettered


def _without_codes(numbers: NDArray[np.float64], column: _Column) -> NDArray[np.float64]:
    """Numbers with those missing that the file declares to be, without telling which codes there are."""
    numbers = numbers.copy()
    kept = np.isin(numbers, (column.variable.categories or ()) if column.coded else column.codes)
    for low, high in column.variable.missing:
        if not isinstance(low, str):
            numbers[(numbers >= low) & (numbers <= high) & ~kept] = np.nan
    return numbers


def _moments(numbers: NDArray[np.float64], kind: str, program: str, held: Any) -> Any:  # noqa: ANN401
    """Days, points in time or durations from what a program stores: seconds, milliseconds or days."""
    import pyarrow as pa

    day = kind == "day"
    if program == SPSS:
        seconds = numbers
    elif day:
        seconds = numbers * DAY
    else:
        seconds = numbers / 1_000 if program == STATA else numbers
    if kind != "duration":
        seconds = seconds - EPOCHS[program]
    steps = np.floor(seconds / DAY) if day else np.rint(seconds * 1e6)
    lost = ~(np.abs(steps) < (2.0**31 - 1 if day else LARGEST))
    whole = np.where(lost, 0, steps).astype(np.int32 if day else np.int64)
    return pa.array(whole, pa.int32() if day else pa.int64(), mask=lost).view(held)


def _decoded(text: str, encoding: str | None) -> str | None:
    """Text from the characters that its bytes were taken for; None for what is none, and for an empty one."""
    raw = text.encode(BYTES, "replace")
    for each in (encoding,) if encoding else ("utf-8", "cp1252"):
        try:
            return raw.decode(each) or None
        except (UnicodeDecodeError, LookupError):
            continue
    return None


def stored_number(values: NDArray[np.float64], kind: str, program: str) -> NDArray[np.float64]:
    """What a program stores for days or points in time, in seconds since 1970, or for durations in seconds.

    Args:
        values: Seconds, NaN where missing.
        kind: 'day', 'moment' or 'duration'.
        program: 'spss', 'stata' or 'sas'.
    """
    seconds = values if kind == "duration" else values + EPOCHS[program]
    if program == SPSS or (kind != "day" and program == SAS):
        return seconds
    return np.floor(seconds / DAY) if kind == "day" else seconds * 1_000
