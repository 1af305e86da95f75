"""Tables of other libraries as sources: each part alone becomes a frame of pandas."""

from __future__ import annotations

import copy
import tempfile
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_dpsynth.errors import DataError, shielded
from jupyter_dpsynth.sources.arrow import decoded_table, is_plain, nullable_dtype
from jupyter_dpsynth.sources.base import CHANGED, Source
from jupyter_dpsynth.sources.frames import ArrowFrame, arrow_frame
from jupyter_dpsynth.sources.partitions import rows_at_once
from jupyter_dpsynth.sources.scratch import NO_ROOM

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.codebook import Codebook
    from jupyter_dpsynth.sources.forms import TableForm

__all__ = ["ArrowSource", "whole_frame"]

T = TypeVar("T")


class ArrowSource(Source):
    """A table of polars, pyarrow, DuckDB, or of another library that offers a stream of Arrow.

    Args:
        frame: The table.
    """

    partitioned = True

    def __init__(self, frame: ArrowFrame) -> None:
        self._rows = _Rows(frame)
        self._frame = frame
        self.copied = not frame.held
        self._described = _described(frame)
        self._refused = {each.name: str(each.type) for each in frame.schema if not is_plain(each.type)}
        self._refused |= frame.refused
        self._lengths: list[int] | None = None

    @property
    def described(self) -> pd.DataFrame:
        """An empty frame with the table's columns and dtypes."""
        return self._described

    @property
    def refused(self) -> dict[str, str]:
        """Columns of nested values, bytes, times of day, and what Arrow has no type for."""
        return {name: kind for name, kind in self._refused.items() if name in self._described.columns}

    @property
    def declared(self) -> Mapping[str, Mapping[str, Any]]:
        """The levels of enumerations, codes with value labels, and codes for missing values."""
        columns = self._described.columns
        levels = {name: each for name, each in self._frame.levels.items() if name in columns}
        spans = {name: each for name, each in self._frame.spans.items() if name in columns}
        codes = {name: each for name, each in self._frame.missing.items() if name in columns}
        return {
            "categories": levels,
            "bounds": spans,
            "decimals": dict.fromkeys(spans, 0),
            "missing": codes,
        }

    @property
    def codebook(self) -> Codebook:
        """What the dictionary of a statistical file says."""
        return self._frame.codebook.only(self._described.columns)

    @property
    def lettered(self) -> Collection[str]:
        """Columns of Stata and SAS that may have letters of missing values."""
        return self._frame.lettered

    @property
    def note(self) -> str:
        """What of that is not used."""
        return self._frame.note

    @property
    def form(self) -> TableForm:
        """Its library, and types that pandas does not tell."""
        return self._frame.form

    @property
    def rows(self) -> int:
        """Exact number of rows: private."""
        return sum(self.lengths)

    @property
    def lengths(self) -> list[int]:
        """Exact number of rows of each part: private."""
        if self._lengths is None:
            self._lengths = [part.num_rows for part in self._rows.parts()]
        return self._lengths

    def without(self, names: Sequence[str]) -> ArrowSource:
        """The same table without these columns; what was copied of it is shared."""
        left = copy.copy(self)
        left._described = self._described.drop(columns=list(names))  # noqa: SLF001 - of the same class
        return left

    def map(
        self,
        function: Callable[[pd.DataFrame], T],
        columns: Sequence[str],
        kept: NDArray[np.bool_] | None = None,
    ) -> Iterator[T]:
        """Apply the function to each part, one after the other."""
        names, place, lengths = list(columns), 0, []
        for part in self._rows.parts():
            frame = _to_pandas(part.select(names), self._described, plain=self._frame.plain)
            lengths.append(len(frame))
            if kept is not None:
                frame = frame[kept[place : place + len(frame)]].reset_index(drop=True)
            place += lengths[-1]
            yield function(frame)
            self.after_part()
        if not lengths:  # a sum over no parts has no shape
            yield function(self._described[names])
        if self._lengths not in (None, lengths):
            raise DataError(CHANGED)
        self._lengths = lengths

    def some(
        self, numbers: Collection[int], function: Callable[[pd.DataFrame], T], columns: Sequence[str]
    ) -> Iterator[T]:
        """What a function makes of some parts; of the others no frame is made."""
        for number, part in enumerate(self._rows.parts()):
            if number in numbers:
                chosen = part.select(list(columns))
                yield function(_to_pandas(chosen, self._described, plain=self._frame.plain))

    def close(self) -> None:
        """Let go of the table."""
        self._rows = _Rows(self._frame)


class _Rows:
    """The rows of a table, part by part: of what is in memory as they are, else from a private copy.

    Args:
        frame: The table.
    """

    def __init__(self, frame: ArrowFrame) -> None:
        self._frame = frame
        self._file: Any = None

    def parts(self) -> Iterator[Any]:
        """Tables of pyarrow of as many rows as are read at once, in their order."""
        import pyarrow as pa

        if self._frame.held:
            found = iter(self._frame.parts())
        else:
            if self._file is None:
                self._file = shielded(self._copied, "reading the table failed")
            self._file.seek(0)
            found = iter(pa.ipc.open_stream(pa.PythonFile(self._file, "r")))
        for batch in found:
            table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
            rows = rows_at_once(table.nbytes / max(table.num_rows, 1))
            for start in range(0, table.num_rows, rows):
                yield table.slice(start, rows)

    def _copied(self) -> Any:  # noqa: ANN401 - a binary file
        """A file without a name with all rows.

        Raises:
            DataError: The disk has not that much room.
        """
        import pyarrow as pa

        file = tempfile.TemporaryFile(prefix="jupyter_dpsynth-")  # noqa: SIM115 - is kept open
        weakref.finalize(self, file.close)
        try:
            with pa.ipc.new_stream(pa.PythonFile(file, "w"), self._frame.schema) as writer:
                for batch in self._frame.parts():
                    writer.write(batch)
        except OSError:
            full = True
        else:
            full = False
        if not full:
            return file
        raise DataError(NO_ROOM.format(folder=tempfile.gettempdir()))


def whole_frame(data: object) -> pd.DataFrame:
    """A table of another library as a frame of pandas, with the dtypes that `ArrowSource` gives.

    Args:
        data: What `is_frame` knows; it is small enough for memory.
    """
    import pyarrow as pa

    frame = arrow_frame(data)
    described = _described(frame)
    parts = [each if isinstance(each, pa.Table) else pa.Table.from_batches([each]) for each in frame.parts()]
    table = pa.concat_tables([frame.schema.empty_table(), *parts])
    return _to_pandas(table.select(list(described.columns)), described, plain=frame.plain)


def _described(frame: ArrowFrame) -> pd.DataFrame:
    """An empty frame with the columns and dtypes of a table, without the index that pandas stored."""
    import pandas as pd
    import pyarrow as pa

    found = []
    for each in frame.schema:
        if not is_plain(each.type):
            found.append(pd.Series(dtype=object, name=each.name))
            continue
        series = _to_pandas(pa.schema([each]).empty_table(), None, plain=frame.plain).iloc[:, 0]
        if each.name in frame.orders:
            levels = decoded_table(pa.table({"": frame.orders[each.name]})).column(0).to_pandas()
            series = pd.Series(pd.Categorical([], levels, ordered=True), name=each.name)
        found.append(series)
    found += [pd.Series(dtype=object, name=name) for name in frame.refused if name not in frame.schema.names]
    index = list((frame.schema.pandas_metadata or {}).get("index_columns", ()))
    kept = [series for series in found if series.name not in index]
    return pd.concat(kept, axis=1) if kept else pd.DataFrame()


def _to_pandas(table: Any, described: Any, *, plain: bool) -> pd.DataFrame:  # noqa: ANN401 - a pyarrow.Table; a frame or None
    """A frame whose dtypes follow from the schema alone; Arrow's own, unless pandas' are asked for."""
    import pandas as pd

    mapper = nullable_dtype if plain else _dtype
    options = {"ignore_metadata": True, "date_as_object": False, "integer_object_nulls": True}
    frame = decoded_table(table).to_pandas(types_mapper=mapper, **options)
    for name in () if described is None else frame.columns:
        dtype = described[name].dtype
        if getattr(dtype, "ordered", False) and frame[name].dtype != dtype:
            frame[name] = pd.Categorical(frame[name], dtype=dtype)
    return frame


def _dtype(kind: Any) -> Any:  # noqa: ANN401 - a pyarrow.DataType; a dtype of pandas or None
    import pandas as pd
    import pyarrow.types as t

    return None if t.is_dictionary(kind) else pd.ArrowDtype(kind)
