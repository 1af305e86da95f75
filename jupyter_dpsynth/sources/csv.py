"""CSV files: read once, from beginning to end, into a private Parquet file that can be read by columns.

The table is what `pandas.read_csv` makes of the files, so they are read with it, many rows at a time.
"""

from __future__ import annotations

import decimal
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.errors import DataError, shown
from jupyter_dpsynth.sources.parquet import ParquetSource
from jupyter_dpsynth.sources.partitions import FilesSource, rows_at_once
from jupyter_dpsynth.sources.scratch import NO_ROOM, PrivateFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["CsvSource"]

HEAD_ROWS = 10_000  # whose types are taken as schema
TRUE, FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")
NULLABLE = {"truth": "boolean", "whole": "Int64", "number": "Float64"}
EXACT = 2.0**53  # below it floats hold all whole numbers
UNREADABLE = (
    "{name} cannot be read by pandas.read_csv: it is empty or damaged, a line has more fields than the "
    "first one, or a quote is not closed. Repair it, or save the table as Parquet."
)
SEPARATED = (
    "{name} has one column, {column}: its fields seem to be separated by {mark!r}, not by commas. Pass "
    "dask.dataframe.read_csv(path, sep={mark!r}), or save the table as Parquet."
)
LONGER = (
    "{name}: its rows have more fields than its header has names. Add the missing column names, or save the "
    "table as Parquet."
)
NOT_TEXT = "{name}: its header is not text in UTF-8. Save it as 'CSV UTF-8', or as Parquet."
MARKS = ";\t|"  # that stand between fields where it is not a comma
DAMAGED = (ValueError, OSError, EOFError, zlib.error)  # pandas' own errors are ValueErrors


class CsvSource(FilesSource):
    """CSV files with the same header.

    The types of the first rows are taken as schema; a later value that does not fit its column counts as
    missing.

    Args:
        files: The files, in the order of their rows.
    """

    copied = True
    here = True  # the copy is on this machine's disk

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(files)
        head = _head(self._files[0], HEAD_ROWS)
        self._at_once = rows_at_once(head.memory_usage(deep=True).sum() / max(len(head), 1))
        for path in self._files[1:]:
            if sorted(_head(path, 1).columns) != sorted(head.columns):
                raise DataError(
                    f"{path.name} and {self._files[0].name} have different headers: name the files that "
                    "belong together."
                )
        self._described = _conform(head.iloc[:0], head.dtypes.map(_kind).to_dict())
        self._folder: PrivateFolder | None = None
        self._copy: ParquetSource | None = None

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
        kinds = {name: _kind(dtype) for name, dtype in self._described.dtypes.items()}
        schema = pa.Table.from_pandas(self._described, preserve_index=False).schema
        for place, field in enumerate(schema):
            if pa.types.is_null(field.type):  # text is objects to pandas 2, and no row tells arrow so
                schema = schema.set(place, field.with_type(pa.string()))
        try:
            with self._folder.create("table.parquet") as file, pq.ParquetWriter(file, schema) as writer:
                for path in self._files:
                    for chunk in _exact_chunks(path, kinds, self._at_once):
                        table = pa.Table.from_pandas(_conform(chunk, kinds), schema, preserve_index=False)
                        writer.write_table(table, row_group_size=self._at_once)
                        self.pulse()
            full = False
        except OSError:
            full = True
        if full:
            raise DataError(NO_ROOM.format(folder=self._folder.path.parent.parent))
        self._check_unchanged()
        return ParquetSource([self._folder.path / "table.parquet"])

    def close(self) -> None:
        """Remove the private copy."""
        self._copy = None
        if self._folder is not None:
            self._folder.remove()


def _head(path: Path, rows: int) -> pd.DataFrame:
    """The first rows.

    Raises:
        DataError: The file is not what its name says, or has other fields than its header says.
    """
    import pandas as pd

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        # a comma at the end of every line begins no field, and the first field is no index
        head: pd.DataFrame = _read(path, nrows=rows, index_col=False)
    names = [str(name) for name in head.columns]
    if any(odd in name for name in names for odd in "\0\ufffd"):
        raise DataError(NOT_TEXT.format(name=path.name))
    for mark in MARKS if len(names) == 1 else "":
        if mark in names[0]:
            raise DataError(SEPARATED.format(name=path.name, column=shown(names[0]), mark=mark))
    if any(issubclass(each.category, pd.errors.ParserWarning) for each in told):
        raise DataError(LONGER.format(name=path.name))
    return head


def _read(path: Path, kinds: dict[str, str] | None = None, **options: Any) -> Any:  # noqa: ANN401
    """What pandas reads of a file: a frame, or an iterator of frames.

    Args:
        path: The file.
        kinds: Type of each column that is wanted; None to find out.
        **options: Of `pandas.read_csv`.
    """
    import pandas as pd

    text = {name: str for name, kind in (kinds or {}).items() if kind == "text"}
    if kinds is not None:  # whole numbers stay exact beside missing ones: a person's number must not change
        options["dtype_backend"] = "numpy_nullable"
    try:
        found = pd.read_csv(
            path,
            dtype=text,
            usecols=None if kinds is None else list(kinds),
            encoding_errors="replace",
            low_memory=False,  # types that change within a column would make pandas warn
            **options,
        )
        if "chunksize" not in options:
            return found
    except DAMAGED:
        found = None
    if found is None:
        raise DataError(UNREADABLE.format(name=path.name))
    return _chunks(found, path.name)


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


def _exact_chunks(path: Path, kinds: dict[str, str], rows: int) -> Iterator[pd.DataFrame]:
    """The chunks of a file, with whole numbers that pandas has rounded restored to what is written.

    Beside a fraction pandas makes floats of all numbers of a chunk, which changes long ones: two persons
    could become one. Such chunks are taken from a second pass, which ends with the last of them.
    """
    whole = {name: "text" for name, kind in kinds.items() if kind == "whole"}
    written = _numbered(path, whole, rows)
    for number, chunk in enumerate(_read(path, kinds, chunksize=rows)):
        rounded = [name for name in whole if _may_be_rounded(chunk[name])]
        texts = next((each for place, each in written if place == number), chunk) if rounded else chunk
        yield chunk.assign(**{name: texts[name] for name in rounded})


def _numbered(path: Path, kinds: dict[str, str], rows: int) -> Iterator[tuple[int, pd.DataFrame]]:
    """The chunks of a file with their numbers; the file is opened when the first one is needed."""
    yield from enumerate(_read(path, kinds, chunksize=rows))


def _may_be_rounded(series: pd.Series) -> bool:
    import pandas as pd

    floats = pd.api.types.is_float_dtype(series.dtype)
    return floats and bool((np.abs(series.to_numpy(np.float64, na_value=np.nan)) >= EXACT).any())


def _kind(dtype: Any) -> str:  # noqa: ANN401 - a pandas dtype
    """What a column contains, according to the first rows."""
    from pandas.api import types

    if types.is_bool_dtype(dtype):
        return "truth"
    if types.is_integer_dtype(dtype):
        return "whole"
    return "number" if types.is_float_dtype(dtype) else "text"


def _conform(chunk: pd.DataFrame, kinds: dict[str, str]) -> pd.DataFrame:
    """The chunk with the types of the schema; values that do not fit become missing, and nothing raises.

    Privacy:
        What becomes of a value follows from its own text alone, never from other rows of its chunk: pandas
        finds another type for all of them if one is written differently.
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    for name, kind in kinds.items():
        series = chunk[name]
        truth = pd.api.types.is_bool_dtype(series.dtype)
        numeric = not truth and pd.api.types.is_numeric_dtype(series.dtype)
        if kind == "text":
            columns[name] = series.astype(str) if len(series) == 0 else series
        elif truth if kind != "truth" else numeric:  # in a chunk of text these would not fit
            columns[name] = pd.Series(pd.NA, chunk.index, NULLABLE[kind])
        elif kind == "truth":
            known = dict.fromkeys(TRUE, True) | dict.fromkeys(FALSE, False) | {True: True, False: False}
            columns[name] = series.astype(object).map(known).astype("boolean")
        else:
            numbers = pd.to_numeric(series, errors="coerce", dtype_backend="numpy_nullable")
            columns[name] = _whole(numbers, series) if kind == "whole" else numbers
        if kind == "number":
            columns[name] = columns[name].astype(np.float64)
    return pd.DataFrame(columns, index=chunk.index)


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
