"""CSV files: read once, from beginning to end, into a private Parquet file that can be read by columns.

The table is what `pandas.read_csv` makes of the files, so they are read with it, many rows at a time; but
codes with leading zeros stay text.
"""

from __future__ import annotations

import copy
import decimal
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.errors import DataError, shown, tell_schema_note
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.csvfile import CsvFile, CsvOptions, detected, first_rows, read
from jupyter_dpsynth.sources.parquet import ParquetSource, named_by_folders
from jupyter_dpsynth.sources.partitions import TYPED_ROWS, FilesSource, rows_at_once
from jupyter_dpsynth.sources.scratch import NO_ROOM, PrivateFolder
from jupyter_dpsynth.sources.written import (
    FALSE,
    TRUE,
    ColumnForm,
    form_of_texts,
    is_missing_word,
    plain_numbers,
    times_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["CsvFrame", "CsvSource"]

HEAD_ROWS = TYPED_ROWS
NULLABLE = {"truth": "boolean", "whole": "Int64", "number": "Float64"}
TEXT, WHOLE_NUMBERS = ColumnForm("text", as_text=True), ColumnForm("whole")  # of what folders tell
WHOLE = re.compile(r"0|[1-9]\d{0,17}")
EXACT = 2.0**53  # below it floats hold all whole numbers


class CsvSource(FilesSource):
    """CSV files with the same header.

    The types of the first rows are taken as schema; a later value that does not fit its column counts as
    missing.

    Args:
        files: The files, in the order of their rows.
        options: What is known of how they are written; the rest is found in the first file.
    """

    options = frozenset(field.name for field in fields(CsvOptions))  # that say how it is written
    copied = True
    here = True  # the copy is on this machine's disk

    def __init__(self, files: Sequence[Path], options: CsvOptions | None = None) -> None:
        super().__init__(files)
        first, *others = map(self._file_at, self._files)
        folders = _folders(self._files)
        first, head = detected(first, options or CsvOptions(), HEAD_ROWS)
        self._csv = [first, *(file.like(first) for file in others)]
        self._csv = [file.written(folders=known) for file, known in zip(self._csv, folders, strict=True)]
        first = self._csv[0]
        self._described, self._at_once, self._columns = _described(first, head)
        for file in self._csv[1:]:
            if sorted(first_rows(file, 1).columns) != sorted(head.columns):
                raise DataError(
                    f"{file.name} and {first.name} have different headers: name the files that belong "
                    "together."
                )
        self._folder: PrivateFolder | None = None
        self._copy: ParquetSource | None = None

    def _file_at(self, path: Path) -> CsvFile:
        """What a file is read through."""
        return CsvFile.at(path)

    def __copy__(self) -> CsvSource:
        """A source for the same files, which makes its own private copy when it is read."""
        twin = CsvSource.__new__(CsvSource)
        vars(twin).update(vars(self), _folder=None, _copy=None)
        return twin

    def _check_unchanged(self) -> None:
        if self._copy is None:  # the copy is what is read, once it is there
            super()._check_unchanged()

    def _tasks(
        self, function: Callable[[pd.DataFrame], Any], columns: list[str], kept: Iterator[Any]
    ) -> Iterator[Any]:
        if self._copy is None:
            self._copy = self._copied()
        return self._copy._tasks(function, columns, kept)  # noqa: SLF001 - of the same family

    def _copied(self) -> ParquetSource:
        """The table as Parquet in a private folder."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._folder = PrivateFolder()
        columns = {name: self._columns[name] for name in self._described.columns}
        schema = pa.Table.from_pandas(self._described, preserve_index=False).schema
        for place, field in enumerate(schema):
            if pa.types.is_null(field.type):  # text is objects to pandas 2, and no row tells arrow so
                schema = schema.set(place, field.with_type(pa.string()))
        try:
            with self._folder.create("table.parquet") as file, pq.ParquetWriter(file, schema) as writer:
                for csv in self._csv:
                    for chunk in _exact_chunks(csv, columns, self._at_once):
                        table = pa.Table.from_pandas(_conform(chunk, columns), schema, preserve_index=False)
                        writer.write_table(table, row_group_size=self._at_once)
                        self.after_part()
            full = False
        except OSError:
            full = True
        if full:
            raise DataError(NO_ROOM.format(folder=self._folder.path.parent.parent))
        self._check_unchanged()
        return ParquetSource([self._folder.path / "table.parquet"])

    def unread(self, most: int) -> dict[str, int]:
        """By column, in how many of the first rows a text that does not fit was read as missing: private."""
        found = dict.fromkeys(self._described.columns, 0)
        for csv in self._csv:
            for name, rows in _unread(csv, self._columns, most).items():
                found[name] = found.get(name, 0) + rows
        return {name: rows for name, rows in found.items() if rows and name in self._described.columns}

    def close(self) -> None:
        """Remove the private copy."""
        self._copy = None
        if self._folder is not None:
            self._folder.remove()


class CsvFrame(FrameSource):
    """A CSV file in memory, with the types and values that `CsvSource` gives: for pipes, and without Dask.

    Args:
        file: The file.
        options: What is known of how it is written.

    Raises:
        ConfigError: An option that is not allowed.
        DataError: It is no table.
    """

    def __init__(self, file: CsvFile, options: CsvOptions | None = None) -> None:
        import pandas as pd

        self._csv, head = detected(file, options or CsvOptions(), HEAD_ROWS)
        described, at_once, columns = _described(self._csv, head)
        self._columns = columns
        chunks = [_conform(chunk, columns) for chunk in _exact_chunks(self._csv, columns, at_once)]
        super().__init__(pd.concat([described, *chunks], ignore_index=True) if chunks else described)

    def without(self, names: Sequence[str]) -> CsvFrame:
        """A source without these columns, of the same file."""
        twin = copy.copy(self)
        super(CsvFrame, twin).__init__(self.described.drop(columns=list(names)))
        return twin

    def unread(self, most: int) -> dict[str, int]:
        """By column, in how many of the first rows a text that does not fit was read as missing: private."""
        found = _unread(self._csv, self._columns, most)
        return {name: rows for name, rows in found.items() if rows and name in self.described.columns}


def _unread(file: CsvFile, columns: dict[str, ColumnForm], most: int) -> dict[str, int]:
    """By column, how many texts of the first rows are no value of its kind and no word for a missing one."""
    own = {name: columns[name] for name in file.header if columns[name].kind != "text"}
    found, left = dict.fromkeys(own, 0), most
    for chunk in read(file, names=file.header, header=0, dtype=str, chunksize=TYPED_ROWS):
        made = _conform(chunk.head(left), own)
        left -= len(made)
        for name in own:
            lost = made[name].isna().to_numpy(bool) & chunk[name].head(len(made)).notna().to_numpy(bool)
            found[name] += int((lost & ~is_missing_word(chunk[name].head(len(made)))).sum())
        if left <= 0:
            break
    return found


def _described(file: CsvFile, head: pd.DataFrame) -> tuple[pd.DataFrame, int, dict[str, ColumnForm]]:
    """An empty frame with the types of the first rows, how many rows are read at once, and what columns hold.

    What was found out of how the file is written is told by a SchemaWarning.

    Args:
        file: The file.
        head: Its first rows, as text.
    """
    columns = {
        str(name): TEXT if name in file.text else form_of_texts(head[name], file.forms, file.others)
        for name in head.columns
    }
    told = [*file.told, *_told(columns, file)]
    for name, value in file.folders:
        columns.setdefault(name, WHOLE_NUMBERS if isinstance(value, int) else TEXT)
        head = head if name in head.columns else head.assign(**{name: value})
    if told:
        tell_schema_note(f"{file.name} is read with {', '.join(told)}.", stacklevel=3)
    frame = _conform(head, columns)
    at_once = rows_at_once(frame.memory_usage(deep=True).sum() / max(len(frame), 1))
    return frame.iloc[:0], at_once, columns


def _told(columns: dict[str, ColumnForm], file: CsvFile) -> Iterator[str]:
    """In words which columns are written otherwise than the file, or have a unit."""
    for name, column in columns.items():
        if column.unit:
            yield f"{column.unit!r} at the numbers of {shown(name)}"
        number = column.as_text and column.kind in ("whole", "number")
        if number and column.forms.decimal != file.forms.decimal:
            yield f"a decimal {'comma' if column.forms.decimal == ',' else 'point'} in {shown(name)}"
        if column.day and column.forms.day_first != file.forms.day_first:
            yield f"the {'day' if column.forms.day_first else 'month'} first in {shown(name)}"


def _folders(files: Sequence[Path]) -> list[tuple[tuple[str, Any], ...]]:
    """Columns that the names of folders tell, with their value for each file; whole numbers if all are."""
    values = named_by_folders(files)
    whole = {name for name, known in values.items() if all(WHOLE.fullmatch(value) for value in known)}
    found = []
    for path in files:
        parts = [part.partition("=") for part in path.parent.parts]
        known = {name: value for name, _, value in parts if name in values}
        if known.keys() != values.keys():
            lacking = min(values.keys() - known.keys())
            raise DataError(
                f"{path}: its folders tell no {lacking}=..., as those of other files do: name files that "
                "belong together."
            )
        found.append(tuple((name, int(v) if name in whole else v) for name, v in known.items()))
    return found


def _exact_chunks(file: CsvFile, columns: dict[str, ColumnForm], rows: int) -> Iterator[pd.DataFrame]:
    """The chunks of a file, with whole numbers that pandas has rounded restored to what is written.

    Beside a fraction pandas makes floats of all numbers of a chunk, which changes long ones: two persons
    could become one. Such chunks are taken from a second pass, which ends with the last of them.
    """
    whole = [name for name, each in columns.items() if each.kind == "whole" and not each.as_text]
    written = _numbered(file, {name: replace(columns[name], as_text=True) for name in whole}, rows)
    for number, chunk in enumerate(_typed_chunks(file, columns, rows)):
        rounded = [name for name in whole if _may_be_rounded(chunk[name])]
        texts = next((each for place, each in written if place == number), chunk) if rounded else chunk
        yield chunk.assign(**{name: texts[name] for name in rounded})


def _typed_chunks(file: CsvFile, columns: dict[str, ColumnForm], rows: int) -> Iterator[pd.DataFrame]:
    """The chunks of a file, in the types that pandas finds for each of them.

    Args:
        file: The file.
        columns: What each column holds; text is not taken for anything else.
        rows: Rows of a chunk.
    """
    chunks = read(
        file,
        names=file.header,
        header=0,
        dtype={name: str for name, each in columns.items() if each.as_text},
        dtype_backend="numpy_nullable",  # whole numbers stay exact beside missing ones
        chunksize=rows,
    )
    told = {name: value for name, value in file.folders if name not in file.header}
    return (chunk.assign(**told)[list(columns)] for chunk in chunks)


def _numbered(file: CsvFile, columns: dict[str, ColumnForm], rows: int) -> Iterator[tuple[int, pd.DataFrame]]:
    """The chunks of a file with their numbers; the file is opened when the first one is needed."""
    yield from enumerate(_typed_chunks(file, columns, rows))


def _may_be_rounded(series: pd.Series) -> bool:
    import pandas as pd

    floats = pd.api.types.is_float_dtype(series.dtype)
    return floats and bool((np.abs(series.to_numpy(np.float64, na_value=np.nan)) >= EXACT).any())


def _conform(chunk: pd.DataFrame, columns: dict[str, ColumnForm]) -> pd.DataFrame:
    """The chunk with the types of the schema; values that do not fit become missing, and nothing raises.

    Privacy:
        What becomes of a value follows from its own text alone, never from other rows of its chunk: pandas
        finds another type for all of them if one is written differently.
    """
    import pandas as pd

    made: dict[str, Any] = {}
    for name, column in columns.items():
        series, kind = chunk[name], column.kind
        if kind == "time":
            made[name] = times_of(series.astype(object), column.day)
            continue
        if kind in ("whole", "number") and column.as_text:
            series = plain_numbers(series.astype(object), column.forms, column.unit)
        truth = pd.api.types.is_bool_dtype(series.dtype)
        numeric = not truth and pd.api.types.is_numeric_dtype(series.dtype)
        if kind == "text":
            made[name] = series.astype(str) if len(series) == 0 else series
        elif truth if kind != "truth" else numeric:  # in a chunk of text these would not fit
            made[name] = pd.Series(pd.NA, chunk.index, NULLABLE[kind])
        elif kind == "truth":
            known = dict.fromkeys(TRUE, True) | dict.fromkeys(FALSE, False) | {True: True, False: False}
            made[name] = series.astype(object).map(known).astype("boolean")
        else:
            numbers = pd.to_numeric(series, errors="coerce", dtype_backend="numpy_nullable")
            made[name] = _whole(numbers, series) if kind == "whole" else numbers
        if kind == "number":
            made[name] = made[name].astype(np.float64)
    return pd.DataFrame(made, index=chunk.index)


def _whole(numbers: pd.Series, texts: pd.Series) -> pd.Series:
    """Whole numbers as Int64; all other values become missing.

    Args:
        numbers: What pandas makes of them.
        texts: What they were made of: text, wherever a float may have lost a digit.
    """
    import pandas as pd

    if pd.api.types.is_integer_dtype(numbers.dtype):
        return numbers.where(numbers < 2**63).astype("Int64")
    values = numbers.to_numpy(np.float64, na_value=np.nan)
    short = (values == np.rint(values)) & (np.abs(values) < EXACT)
    found = pd.Series(np.where(short, values, 0).astype(np.int64), numbers.index, "Int64").where(short)
    long = np.flatnonzero(np.abs(values) >= EXACT)
    found.iloc[long] = pd.array([_to_the_last_digit(text) for text in texts.iloc[long]], dtype="Int64")
    return found


def _to_the_last_digit(text: str) -> Any:  # noqa: ANN401 - an int or missing
    """A long whole number; missing if it does not fit into 64 bits."""
    import pandas as pd

    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return pd.NA
    whole = -(2**63) <= number < 2**63 and number == number.to_integral_value()
    return int(number) if whole else pd.NA
