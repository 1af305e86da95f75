"""One file of CSV: how it is written, and reading it with pandas.

How it is written is found in its header and in most of its first rows, unless the user says it.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import gzip
import re
import warnings
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from jupyter_dpsynth.errors import ConfigError, DataError, did_you_mean, shown
from jupyter_dpsynth.sources.partitions import TYPED_ROWS
from jupyter_dpsynth.sources.records import are_mostly_longer, sound_records
from jupyter_dpsynth.sources.written import GROUPS, TextForms, day_first_votes, decimal_votes, unclear_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

__all__ = ["CsvFile", "CsvOptions", "detected", "first_rows", "read"]

AMERICAN = TextForms()
HEAD_BYTES = 2**22  # in which it is looked up how letters are written
UNREADABLE = (
    "{name} cannot be read by pandas.read_csv: it is empty or damaged, or a quote in its header is not "
    "closed. Repair it, or save the table as Parquet."
)
SEPARATED = (
    "{name} has one column, {column}: its fields seem to be separated by {mark!r}, not by {given!r}. Give "
    "--sep {mark!r}, or leave it out."
)
LONGER = (
    "{name}: its rows have more fields than its header has names. Remove the lines above the header (a "
    "title, a comment, 'sep=;'), add the missing column names, or save the table as Parquet "
    "(pandas.read_csv(path, skiprows=1))."
)
NOT_TEXT = (
    "{name}: its header is not text in UTF-8. Save it as 'CSV UTF-8' or as Parquet, or name its --encoding."
)
UNUSUAL = re.compile(r"\w\s*[^\w\s.()%/'-]\s*\w")  # what may stand between names of columns
UNCLEAR = {
    ".": "1.234 as a bit more than 1: give --thousands . if it is a thousand",
    ",": "1,234 as more than a thousand: give --decimal , if it is a bit more than 1",
}
MARKS = ";\t|"  # that stand between fields where it is not a comma
LEAST_ODD = 10  # lines that are no UTF-8 must be there, where the header is ASCII
DAMAGED = (ValueError, OSError, EOFError, zlib.error)  # pandas' own errors are ValueErrors


@dataclass(frozen=True)
class CsvOptions:
    """What a user says of how CSV is written; None for what is to be found out.

    Attributes:
        sep: What stands between fields, one character, or 'tab'.
        encoding: How its text is written, for example 'cp1252'.
        decimal: The decimal mark, '.' or ','.
        thousands: The character between groups of three digits; '' for none.
        day_first: Whether 01/02/2024 is in February.
        na: Texts that are missing values, besides those that pandas takes for such.
        text: Columns that stay text, whatever they look like.
    """

    sep: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    day_first: bool | None = None
    na: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def checked(self) -> CsvOptions:
        """The same; raises ConfigError for what is not allowed."""
        sep = None if self.sep is None else {"\\t": "\t", "tab": "\t"}.get(self.sep, self.sep)
        if sep is not None and (len(sep) != 1 or not sep.isascii() or sep in '"\r\n'):
            raise ConfigError(f"sep = {sep!r} is not allowed: give one character, such as ';' or 'tab'.")
        if self.encoding is not None and not _extends_ascii(self.encoding):
            raise ConfigError(
                f"encoding = {self.encoding!r} is not allowed: give utf-8, cp1252, or another one that "
                "extends ASCII."
            )
        if self.decimal not in (None, *GROUPS):
            raise ConfigError(f"decimal = {self.decimal!r} is not allowed: give '.' or ','.")
        known = "".join(GROUPS.values())
        if self.thousands and (len(self.thousands) > 1 or self.thousands not in known):
            raise ConfigError(
                f"thousands = {self.thousands!r} is not allowed: give ',', '.', ' ', an apostrophe, or '' "
                "for none."
            )
        if self.thousands and self.thousands == self.decimal:
            raise ConfigError(
                f"thousands = {self.thousands!r} is the decimal mark, too: give another one as decimal."
            )
        return replace(self, sep=sep)


def _extends_ascii(encoding: str) -> bool:
    try:
        return "\"',;\n".encode(encoding) == b"\"',;\n"
    except (LookupError, UnicodeError):
        return False


@dataclass(frozen=True)
class CsvFile:
    """One file of CSV, or what came in from elsewhere.

    Attributes:
        name: Its name, for messages.
        opened: Opens it for reading from its beginning.
        separator: What stands between fields.
        encoding: How its text is written: one in which quotes and line ends are those of ASCII.
        forms: How its numbers and dates are written.
        na: Texts that are missing values, besides those that pandas takes for such.
        folders: Columns that the names of its folders tell, such as 'year=2024', with their value.
        told: What was found out of how it is written, in words.
        others: In which other ways its numbers and dates may be written in single columns.
        text: Columns that stay text.
    """

    name: str
    opened: Callable[[], BinaryIO]
    separator: str = ","
    encoding: str = "utf-8"
    forms: TextForms = AMERICAN
    na: tuple[str, ...] = ()
    folders: tuple[tuple[str, Any], ...] = ()
    told: tuple[str, ...] = ()
    others: tuple[TextForms, ...] = ()
    text: tuple[str, ...] = ()

    @classmethod
    def at(cls, path: Path) -> CsvFile:
        """The file at a path, which may be packed."""
        packed = path.name.lower().endswith(".gz")

        def opened() -> BinaryIO:
            return cast("BinaryIO", gzip.open(path)) if packed else path.open("rb")

        return cls(path.name, opened, "\t" if path.name.lower().endswith(".tsv") else ",")

    def like(self, other: CsvFile) -> CsvFile:
        """The same file, written as another one is."""
        return replace(other, name=self.name, opened=self.opened, folders=self.folders)

    def written(self, **changes: Any) -> CsvFile:  # noqa: ANN401 - each has its own type
        """The same file, of which something else is known; its header is read again only if it may differ."""
        changed = replace(self, **changes)
        if "header" in vars(self) and not changes.keys() & {"encoding", "separator"}:
            vars(changed)["header"] = self.header
        return changed

    @functools.cached_property
    def header(self) -> list[str]:
        """Names of the columns, read once."""
        return list(read(self, nrows=0).columns)


def detected(file: CsvFile, options: CsvOptions, rows: int = TYPED_ROWS) -> tuple[CsvFile, pd.DataFrame]:
    """The file as it is written, and its first rows as text.

    What is found out differs from what is usual if the header, or nearly all of the first rows, can only be
    read so; `CsvFile.told` says it.

    Args:
        file: To be read with commas, in UTF-8, with decimal points, unless something else is found out.
        options: What the user says.
        rows: How many rows are looked at.

    Raises:
        ConfigError: An option that is not allowed, or names no column.
        DataError: It is no table.

    Privacy:
        What most of the first rows show counts as schema, as the types of columns do.
    """
    options = options.checked()
    told: list[str] = []
    file = _separated(_encoded(file.written(na=options.na, text=options.text), options, told), options, told)
    head = first_rows(file, rows)
    decimal, day_first = _decimal_mark(head, options, told), options.day_first
    if day_first is None:
        days, months, both = sum((day_first_votes(head[name]) for name in head.columns), np.zeros(3))
        day_first = None if days == months else bool(days > months)
        told += [f"dates with the {'day' if day_first else 'month'} first"] * (day_first is not None)
        if both and day_first is None:
            told.append(
                "dates such as 01/02/2024 as text, because they can be read in two ways: give --dayfirst or "
                "--no-dayfirst"
            )
    groups = GROUPS[decimal] if options.thousands is None else options.thousands
    forms, others = TextForms(decimal, groups, day_first), []
    if options.decimal is None and options.thousands is None:
        others += [replace(forms, decimal=mark, groups=GROUPS[mark]) for mark in GROUPS if mark != decimal]
    if options.day_first is None:
        others += [replace(forms, day_first=first) for first in (True, False) if first != day_first]
    return file.written(forms=forms, others=tuple(others), told=tuple(told)), head


def _encoded(file: CsvFile, options: CsvOptions, told: list[str]) -> CsvFile:
    """The file with its encoding; what is found out is added to what is told."""
    others = _is_cp1252(file)
    if options.encoding is None:
        told += ["text in cp1252"] * others
        return file.written(encoding="cp1252") if others else file
    if others and codecs.lookup(options.encoding).name == "utf-8":
        told.append("letters lost that are not UTF-8: give --encoding cp1252")
    return file.written(encoding=options.encoding)


def _separated(file: CsvFile, options: CsvOptions, told: list[str]) -> CsvFile:
    """The file with what stands between its fields; what is found out is added to what is told."""
    if options.sep is not None:
        return file.written(separator=options.sep)
    names = file.header
    for mark in MARKS if len(names) == 1 else "":
        if mark in names[0]:
            told.insert(0, f"{mark!r} between fields")
            return file.written(separator=mark)
    if len(names) == 1 and UNUSUAL.search(names[0]):
        told.append("a single column: if there are several, give what stands between them as --sep")
    return file


def _decimal_mark(head: pd.DataFrame, options: CsvOptions, told: list[str]) -> str:
    """The decimal mark of a table, by its first rows; what is found out is added to what is told."""
    if options.decimal is not None:
        return options.decimal
    points, commas = sum((decimal_votes(head[name]) for name in head.columns), np.zeros(2))
    if points == commas and options.thousands is None:
        unclear = {unclear_mark(head[name]) for name in head.columns}
        told += [text for mark, text in UNCLEAR.items() if mark in unclear]
    if options.thousands in GROUPS:  # of point and comma, the other one
        commas, points = float(options.thousands == "."), float(options.thousands == ",")
    told += ["a decimal comma"] * bool(commas > points)
    return "," if commas > points else "."


def _is_cp1252(file: CsvFile) -> bool:
    """Whether most of the first lines with letters beyond ASCII are no UTF-8."""
    try:
        with file.opened() as opened:
            content = opened.read(HEAD_BYTES)
    except DAMAGED:
        return False  # the reader tells it
    if b"\0" in content[:1000]:  # as in UTF-16
        return False
    lines = content.splitlines()
    odd = [line for line in lines[1:-1] if not line.isascii()]
    wrong = sum(not _is_utf8(line) for line in odd)
    named = bool(lines) and not lines[0].isascii()
    return not _is_utf8(lines[0]) if named else wrong >= LEAST_ODD and wrong > len(odd) / 2


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def first_rows(file: CsvFile, rows: int) -> pd.DataFrame:
    """The first rows, as text.

    Raises:
        ConfigError: A column that is to stay text is not there.
        DataError: The file is not what its name says, or most of its first rows have more fields than its
            header.
    """
    names = file.header
    for name in file.text:
        if name not in names:
            hint = did_you_mean(name, names)
            raise ConfigError(f"text names column {shown(name)}, which is not in {file.name}.{hint}")
    if any(odd in name for name in names for odd in "\0\ufffd"):
        raise DataError(NOT_TEXT.format(name=file.name))
    for mark in MARKS if len(names) == 1 else "":
        if mark in names[0]:
            column, given = shown(names[0]), file.separator
            raise DataError(SEPARATED.format(name=file.name, column=column, mark=mark, given=given))
    with sound_records(file.opened(), file.separator) as records:
        if are_mostly_longer(records, file.separator):
            raise DataError(LONGER.format(name=file.name))
    head: pd.DataFrame = read(file, names=names, header=0, nrows=rows, dtype=str)
    return head


def read(file: CsvFile, **options: Any) -> Any:  # noqa: ANN401 - a frame, or an iterator of frames
    """What pandas reads of a file; of a row that has more fields than there are names, the first ones.

    Args:
        file: The file.
        **options: Of `pandas.read_csv`. With `chunksize`, frames are given one after the other.
    """
    import pandas as pd

    found = None
    names = options.get("names")  # what a row has behind these is left out
    with contextlib.suppress(*DAMAGED), warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.ParserWarning)  # it tells that a row has too many fields
        found = pd.read_csv(
            sound_records(file.opened(), file.separator),
            sep=file.separator,
            usecols=names,
            index_col=False,  # the first field is no index
            encoding=file.encoding,
            encoding_errors="replace",
            na_values=list(file.na) or None,
            low_memory=False,  # types that change within a column would make pandas warn
            **options,
        )
    if found is None:
        raise DataError(UNREADABLE.format(name=file.name))
    return _chunks(found, file.name) if "chunksize" in options else found


def _chunks(reader: Any, name: str) -> Iterator[pd.DataFrame]:  # noqa: ANN401 - pandas' reader
    with reader:
        while True:
            try:
                chunk = next(reader, None)
            except DAMAGED:
                break
            if chunk is None:
                return
            yield chunk
    raise DataError(UNREADABLE.format(name=name))
