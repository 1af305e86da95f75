"""CSV files: read once, from beginning to end, into a private Parquet file that can be read by columns.

The table is what `pandas.read_csv` makes of the files, so they are read with it, many rows at a time; but
codes with leading zeros stay text.
"""

from __future__ import annotations

import contextlib
import decimal
import functools
import gzip
import warnings
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from jupyter_dpsynth.errors import DataError, shown
from jupyter_dpsynth.sources.parquet import ParquetSource
from jupyter_dpsynth.sources.partitions import TYPED_ROWS, FilesSource, rows_at_once
from jupyter_dpsynth.sources.records import are_mostly_longer, sound_records
from jupyter_dpsynth.sources.scratch import NO_ROOM, PrivateFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["CsvFile", "CsvSource", "detected", "read_csv_frame"]

HEAD_ROWS = TYPED_ROWS
FEW_VALUES = 10  # and this many in a hundred: with fewer, a column counts as one without values
LEAST_CODES = 0.01  # of the values: if so many have a leading zero, these are codes
NEARLY_ALL = 0.9  # of their values must fit a type
TRUE, FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")
NULLABLE = {"truth": "boolean", "whole": "Int64", "number": "Float64"}
EXACT = 2.0**53  # below it floats hold all whole numbers
UNREADABLE = (
    "{name} cannot be read by pandas.read_csv: it is empty or damaged, or a quote in its header is not "
    "closed. Repair it, or save the table as Parquet."
)
SEPARATED = (
    "{name} has one column, {column}: its fields seem to be separated by {mark!r}, not by commas. Pass "
    "dask.dataframe.read_csv(path, sep={mark!r}), or save the table as Parquet; in a terminal, "
    "--sep {mark!r}."
)
LONGER = (
    "{name}: its rows have more fields than its header has names. Add the missing column names, or save the "
    "table as Parquet."
)
NOT_TEXT = (
    "{name}: its header is not text in UTF-8. Save it as 'CSV UTF-8', or as Parquet; in a terminal, name its "
    "--encoding."
)
MARKS = ";\t|"  # that stand between fields where it is not a comma
DAMAGED = (ValueError, OSError, EOFError, zlib.error)  # pandas' own errors are ValueErrors


class CsvSource(FilesSource):
    """CSV files with the same header.

    The types of the first rows are taken as schema; a later value that does not fit its column counts as
    missing.

    Args:
        files: The files, in the order of their rows.
        separator: What stands between fields.
        encoding: How their text is written.
    """

    copied = True
    here = True  # the copy is on this machine's disk

    def __init__(self, files: Sequence[Path], separator: str = ",", encoding: str = "utf-8") -> None:
        super().__init__(files)
        self._csv = [self._file_at(path, separator, encoding) for path in self._files]
        self._described, self._at_once = _described(self._csv[0])
        for file in self._csv[1:]:
            if sorted(_head(file, 1).columns) != sorted(self._described.columns):
                raise DataError(
                    f"{file.name} and {self._csv[0].name} have different headers: name the files that "
                    "belong together."
                )
        self._folder: PrivateFolder | None = None
        self._copy: ParquetSource | None = None

    def _file_at(self, path: Path, separator: str, encoding: str) -> CsvFile:
        """What a file is read through."""
        return CsvFile.at(path, separator, encoding)

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
        kinds = _kinds_of(self._described)
        schema = pa.Table.from_pandas(self._described, preserve_index=False).schema
        for place, field in enumerate(schema):
            if pa.types.is_null(field.type):  # text is objects to pandas 2, and no row tells arrow so
                schema = schema.set(place, field.with_type(pa.string()))
        try:
            with self._folder.create("table.parquet") as file, pq.ParquetWriter(file, schema) as writer:
                for csv in self._csv:
                    for chunk in _exact_chunks(csv, kinds, self._at_once):
                        table = pa.Table.from_pandas(_conform(chunk, kinds), schema, preserve_index=False)
                        writer.write_table(table, row_group_size=self._at_once)
                        self.after_part()
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


@dataclass(frozen=True)
class CsvFile:
    """One file of CSV, or what came in from elsewhere.

    Attributes:
        name: Its name, for messages.
        opened: Opens it for reading from its beginning.
        separator: What stands between fields.
        encoding: How its text is written: one in which quotes and line ends are those of ASCII.
    """

    name: str
    opened: Callable[[], BinaryIO]
    separator: str = ","
    encoding: str = "utf-8"

    @classmethod
    def at(cls, path: Path, separator: str = ",", encoding: str = "utf-8") -> CsvFile:
        """The file at a path, which may be packed."""
        packed = path.name.lower().endswith(".gz")

        def opened() -> BinaryIO:
            return cast("BinaryIO", gzip.open(path)) if packed else path.open("rb")

        return cls(path.name, opened, separator, encoding)

    @functools.cached_property
    def header(self) -> list[str]:
        """Names of the columns, read once."""
        return list(_read(self, nrows=0).columns)


def detected(file: CsvFile) -> CsvFile:
    """The same file, read with the separator and the encoding that its header has: no value is looked at.

    Args:
        file: To be read with commas, in UTF-8, unless its header has other separators or is not in UTF-8.
    """
    written = "".join(file.header)
    if "\ufffd" in written and "\0" not in written:  # which text in UTF-16 has
        file = replace(file, encoding="cp1252")
    names = file.header
    marks = [mark for mark in MARKS if len(names) == 1 and mark in names[0]]
    return replace(file, separator=marks[0]) if marks else file


def read_csv_frame(file: CsvFile) -> pd.DataFrame:
    """A file as a frame in memory, with the types and values that `CsvSource` gives.

    Raises:
        DataError: It is no table.
    """
    import pandas as pd

    described, at_once = _described(file)
    kinds = _kinds_of(described)
    chunks = [_conform(chunk, kinds) for chunk in _exact_chunks(file, kinds, at_once)]
    return pd.concat([described, *chunks], ignore_index=True) if chunks else described


def _described(file: CsvFile) -> tuple[pd.DataFrame, int]:
    """An empty frame with the types of the first rows, and how many rows are read at once."""
    head = _head(file, HEAD_ROWS)
    frame = _conform(head, {name: _kind_of_texts(head[name]) for name in head.columns})
    return frame.iloc[:0], rows_at_once(frame.memory_usage(deep=True).sum() / max(len(frame), 1))


def _head(file: CsvFile, rows: int) -> pd.DataFrame:
    """The first rows, as text.

    Raises:
        DataError: The file is not what its name says, or most of its first rows have more fields than its
            header.
    """
    names = file.header
    if any(odd in name for name in names for odd in "\0\ufffd"):
        raise DataError(NOT_TEXT.format(name=file.name))
    for mark in MARKS if len(names) == 1 else "":
        if mark in names[0]:
            raise DataError(SEPARATED.format(name=file.name, column=shown(names[0]), mark=mark))
    with sound_records(file.opened(), file.separator) as records:
        if are_mostly_longer(records, file.separator):
            raise DataError(LONGER.format(name=file.name))
    head: pd.DataFrame = _read(file, names=names, header=0, nrows=rows, dtype=str)
    return head


def _read(file: CsvFile, **options: Any) -> Any:  # noqa: ANN401 - a frame, or an iterator of frames
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


def _exact_chunks(file: CsvFile, kinds: dict[str, str], rows: int) -> Iterator[pd.DataFrame]:
    """The chunks of a file, with whole numbers that pandas has rounded restored to what is written.

    Beside a fraction pandas makes floats of all numbers of a chunk, which changes long ones: two persons
    could become one. Such chunks are taken from a second pass, which ends with the last of them.
    """
    whole = {name: "text" for name, kind in kinds.items() if kind == "whole"}
    written = _numbered(file, whole, rows)
    for number, chunk in enumerate(_typed_chunks(file, kinds, rows)):
        rounded = [name for name in whole if _may_be_rounded(chunk[name])]
        texts = next((each for place, each in written if place == number), chunk) if rounded else chunk
        yield chunk.assign(**{name: texts[name] for name in rounded})


def _typed_chunks(file: CsvFile, kinds: dict[str, str], rows: int) -> Iterator[pd.DataFrame]:
    """The chunks of a file, in the types that pandas finds for each of them.

    Args:
        file: The file.
        kinds: What each column holds; text is not taken for anything else.
        rows: Rows of a chunk.
    """
    chunks = _read(
        file,
        names=file.header,
        header=0,
        dtype={name: str for name, kind in kinds.items() if kind == "text"},
        dtype_backend="numpy_nullable",  # whole numbers stay exact beside missing ones
        chunksize=rows,
    )
    return (chunk[list(kinds)] for chunk in chunks)


def _numbered(file: CsvFile, kinds: dict[str, str], rows: int) -> Iterator[tuple[int, pd.DataFrame]]:
    """The chunks of a file with their numbers; the file is opened when the first one is needed."""
    yield from enumerate(_typed_chunks(file, kinds, rows))


def _may_be_rounded(series: pd.Series) -> bool:
    import pandas as pd

    floats = pd.api.types.is_float_dtype(series.dtype)
    return floats and bool((np.abs(series.to_numpy(np.float64, na_value=np.nan)) >= EXACT).any())


def _kind_of_texts(texts: pd.Series) -> str:
    """What a column holds: what nearly all of its texts are, by themselves, so that no single row decides.

    >>> import pandas as pd
    >>> [_kind_of_texts(pd.Series([text] * 9 + ["7"])) for text in ("5", "2.5", "True", "x")]
    ['whole', 'number', 'truth', 'text']
    """
    import pandas as pd

    present = texts[texts.notna()]
    if len(present) < min(FEW_VALUES, FEW_VALUES * len(texts) / 100) or not len(present):
        return "number"  # as pandas has it where nothing is there
    # codes such as '01067' are no numbers: these have no leading zeros
    if present.str.fullmatch(r"0\d+").sum() >= max(FEW_VALUES, LEAST_CODES * len(present)):
        return "text"
    whole = present.str.fullmatch(r"\s*[-+]?\d{1,18}\s*").to_numpy(bool)
    number = pd.to_numeric(present, errors="coerce").notna().to_numpy(bool)
    truth = present.isin([*TRUE, *FALSE]).to_numpy(bool)
    for kind, fits in (("whole", whole), ("number", number), ("truth", truth)):
        if fits.sum() >= NEARLY_ALL * len(present):
            return kind
    return "text"


def _kinds_of(described: pd.DataFrame) -> dict[str, str]:
    """What the columns of an empty frame hold, by name."""
    return {str(name): _kind(dtype) for name, dtype in described.dtypes.items()}


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
