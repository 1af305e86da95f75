"""Parquet files, read row group by row group."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_dpsynth.errors import DataError
from jupyter_dpsynth.sources.arrow import is_plain, is_text, text_dictionaries, to_frame, untold_types
from jupyter_dpsynth.sources.dask import import_dask
from jupyter_dpsynth.sources.forms import TableForm
from jupyter_dpsynth.sources.partitions import FilesSource, apply_to_part, rows_at_once, stamps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["ParquetSource", "named_by_folders"]

T = TypeVar("T")
LEAST_BYTES = 8  # of a value in memory, about
PROBED_ROWS = 1_024  # that tell how long the texts are that are stored once for many rows
MOST_DIGITS = 9  # behind the point that can be declared
FOOTERS = 16  # of files that are kept read
BUFFER_BYTES = 2**20  # of each column that is read ahead
UNREADABLE = "{path} is not a Parquet file, or is damaged."
UNSEEN = (
    "{path} cannot be opened. If Dask's client is active, all of its workers must have the file under this "
    "path: put it on a shared disk, or close the client to read it here."
)


class ParquetSource(FilesSource):
    """Parquet files with one schema. Row groups are the parts.

    Args:
        files: The files, in the order of their rows.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(files)
        self._groups: list[tuple[Path, int]] = []
        self._lengths, schemas = [], []
        for path in self._files:
            footer = _footer(path, UNREADABLE)
            schemas.append(footer.schema.to_arrow_schema())
            self._groups += [(path, group) for group in range(footer.num_row_groups)]
            self._lengths += [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
        self._schema = first = schemas[0]
        for path, schema in zip(self._files[1:], schemas[1:], strict=True):
            _check_same(schema, first, path, self._files[0])
            if sorted(_types_in_pandas(schema)) != sorted(_types_in_pandas(first)):
                # a type of one file may have no place for what is missing in another
                self._schema = first.remove_metadata()
        for name in sorted(set(named_by_folders(self._files)) - set(first.names)):
            raise DataError(
                f"column {name!r} exists only in the names of the folders, not in the files: pass "
                "dask.dataframe.read_parquet(folder), or name the files of a single folder."
            )
        names = _column_names(first)
        self._odd = {
            name: str(first.field(name).type) for name in names if not is_plain(first.field(name).type)
        }
        self._described = self._empty_frame(names)

    def _empty_frame(self, names: list[str]) -> pd.DataFrame:
        """A DataFrame with these columns and the types of the files' schema, without rows."""
        plain = [name for name in names if name not in self._odd]
        frame = to_frame(self._schema.empty_table().select(plain), self._schema, None)
        # pandas cannot even name the types of some of them
        frame = frame.reindex(columns=names) if self._odd else frame
        for name in names:
            if getattr(self._schema.field(name).type, "ordered", False):  # the order is schema
                frames = (part for place in self._groups for part in _row_group(*place, [name], None))
                frame[name] = next(frames, frame)[name].iloc[:0]
        return frame

    @property
    def refused(self) -> dict[str, str]:
        """Columns of nested values, bytes or times of day."""
        return {name: kind for name, kind in self._odd.items() if name in self._described.columns}

    @property
    def form(self) -> TableForm:
        """The types of decimal numbers and days, which pandas does not tell."""
        return TableForm("pandas", untold_types(self._schema, self._described.columns))

    @property
    def declared(self) -> Mapping[str, Mapping[str, Any]]:
        """The digits of decimal numbers, which are part of their type."""
        kinds = {name: self._schema.field(name).type for name in self._described.columns}
        scales = {name: getattr(kind, "scale", -1) for name, kind in kinds.items()}
        return {"decimals": {name: scale for name, scale in scales.items() if 0 <= scale <= MOST_DIGITS}}

    def _tasks(
        self, function: Callable[[pd.DataFrame], T], columns: list[str], kept: Iterator[Any]
    ) -> Iterator[Any]:
        apply = import_dask().delayed(apply_to_part, pure=False)
        dtypes = {name: self.described[name].dtype for name in columns}
        for path, group in self._groups:
            yield apply(function, next(kept), _row_group, path, group, columns, dtypes)

    def some(
        self, numbers: Collection[int], function: Callable[[pd.DataFrame], T], columns: Sequence[str]
    ) -> Iterator[T]:
        """As of every source; texts are text, because these rows are looked at."""
        texts = [name for name in columns if _is_pandas_text(self.described[name].dtype)]
        return super().some(numbers, functools.partial(_with_texts, function=function, names=texts), columns)


def named_by_folders(files: Iterable[Path]) -> dict[str, set[str]]:
    """Columns whose values are names of folders, such as 'year=2024', which differ, with these values."""
    found: dict[str, set[str]] = {}
    for path in files:
        for name, mark, value in (part.partition("=") for part in path.parent.parts):
            if mark:
                found.setdefault(name, set()).add(value)
    return {name: values for name, values in found.items() if len(values) > 1}


def _column_names(schema: Any) -> list[str]:  # noqa: ANN401
    """Names of the columns, without the index columns that pandas stored."""
    index = (schema.pandas_metadata or {}).get("index_columns", ())
    return [name for name in schema.names if name not in index]


def _types_in_pandas(schema: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    """Names and types of the columns of the frame that a file was written from, if pandas wrote it."""
    columns = (schema.pandas_metadata or {}).get("columns", ())
    return [(str(each["name"]), str(each["numpy_type"])) for each in columns]


def _check_same(schema: Any, first: Any, path: Path, first_path: Path) -> None:  # noqa: ANN401
    """Raise DataError unless two files have the same columns, in whichever order."""
    kinds, others = (dict(zip(each.names, each.types, strict=True)) for each in (schema, first))
    if kinds == others:
        return
    name = min(name for name in kinds | others if kinds.get(name) != others.get(name))
    raise DataError(
        f"{path.name} and {first_path.name} differ in column {name!r}: all files must have the same columns "
        "with the same types. Rewrite them, or name only files that belong together."
    )


def _footer(path: Path, otherwise: str) -> Any:  # noqa: ANN401 - a pyarrow.parquet.FileMetaData
    """The footer of a file; raises DataError with this message if it cannot be read.

    Of many columns that is long, and it is needed for each row group, so the last ones are kept.
    """
    import pyarrow as pa

    try:
        return _read_footer(path, *stamps_of([path]))
    except (OSError, pa.ArrowException):
        pass
    raise DataError(otherwise.format(path=path))


@functools.lru_cache(maxsize=FOOTERS)
def _read_footer(path: Path, _: tuple[int, int] | None) -> Any:  # noqa: ANN401 - as `_footer`
    """Read the footer once, as long as the file's size and time of change stay the same."""
    import pyarrow.parquet as pq

    return pq.read_metadata(path)


def _row_group(
    path: Path, group: int, columns: list[str], dtypes: dict[str, Any] | None
) -> Iterator[pd.DataFrame]:
    """The frames of one row group.

    Texts are stored once for many rows, and are left so, as categories: to spell them out, and to find out
    anew which are the same, takes half of the time of a pass.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    footer = _footer(path, UNSEEN)
    schema = footer.schema.to_arrow_schema()
    texts = [name for name, dtype in (dtypes or {}).items() if _is_pandas_text(dtype)]
    coded = [name for name in texts if is_text(schema.field(name).type)]
    stored_once = [*text_dictionaries(schema), *coded]
    try:
        file = pq.ParquetFile(path, metadata=footer, buffer_size=BUFFER_BYTES, read_dictionary=stored_once)
    except OSError:
        raise DataError(UNSEEN.format(path=path)) from None
    with file:
        read = functools.partial(file.iter_batches, row_groups=[group], columns=columns, use_threads=False)
        stored = _stored_bytes(footer.row_group(group), set(columns))
        held = max(
            (_held_bytes(batch, coded) for batch in itertools.islice(read(PROBED_ROWS), 1)), default=0.0
        )
        for batch in read(rows_at_once(max(stored, held, LEAST_BYTES * len(columns)))):
            yield to_frame(pa.Table.from_batches([batch]), schema, dtypes, coded)


def _is_pandas_text(dtype: Any) -> bool:  # noqa: ANN401 - a pandas dtype
    """Whether this is pandas' own text."""
    return str(dtype) == "str"


def _with_texts(frame: pd.DataFrame, function: Callable[[pd.DataFrame], T], names: list[str]) -> T:
    """What a function makes of a frame in which these columns are texts, not categories."""
    return function(frame.astype(dict.fromkeys(names, "str")))


def _stored_bytes(group: Any, names: set[str]) -> float:  # noqa: ANN401 - a pyarrow.parquet.RowGroupMetaData
    """About how many bytes the columns of a row take before compression."""
    columns = map(group.column, range(group.num_columns))
    size = sum(int(each.total_uncompressed_size) for each in columns if each.path_in_schema in names)
    return size / max(int(group.num_rows), 1)


def _held_bytes(batch: Any, coded: Sequence[str]) -> float:  # noqa: ANN401 - a pyarrow.RecordBatch
    """About how many bytes a row takes in memory; for categories, only the codes count.

    Texts in `coded` count as if each row had its own, which it gets where the rows are looked at.
    """
    size = sum(int(getattr(column, "indices", column).nbytes) for column in batch.columns)
    texts = [batch.column(name).dictionary for name in coded]
    return size / max(len(batch), 1) + sum(int(each.nbytes) / max(len(each), 1) for each in texts)
