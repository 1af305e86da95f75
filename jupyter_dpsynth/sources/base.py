"""A private table as the engine reads it: part by part, in whatever format it is stored.

Everything that is measured is a sum over the parts of a table, and noise is added once, to the sum. A table
in memory is a source with one part. So there is one way to measure, and how a table is split changes no exact
count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jupyter_dpsynth.errors import DataError
from jupyter_dpsynth.sources.codebook import NO_CODEBOOK, Codebook
from jupyter_dpsynth.sources.forms import PANDAS, TableForm
from jupyter_dpsynth.sources.scratch import scratch_array

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["CHANGED", "FrameSource", "KeptRows", "Source", "TableChecksum"]

T = TypeVar("T")
CHANGED = (
    "the table has changed since it was opened. Open it again (in a notebook, run the cell again), and do "
    "not change it until learning has ended. What the run had reserved counts as spent if measuring had "
    "begun."
)


class Source(ABC):
    """A private table that has been opened: its columns are known, its rows are read part by part.

    Attributes:
        partitioned: Whether it may have more parts than one, and is never in memory as a whole.
        copied: Whether it is copied into a private file before it is read part by part.
        volatile: Whether it can change between two passes unseen, so that its checksum is compared.
        checksum: What is known of all rows once the fingerprint was taken: private.
        in_order: Whether the order of its rows must be the same in every pass.
        after_part: Called after every part that was read; may raise to stop.
    """

    partitioned: bool
    copied = False
    volatile = False
    checksum: TableChecksum | None = None
    in_order = False
    after_part: Callable[[], object] = staticmethod(lambda: None)

    @property
    @abstractmethod
    def described(self) -> pd.DataFrame:
        """A DataFrame with the table's columns and dtypes; its rows, if it has any, are private."""

    def first_values(self, name: str) -> pd.Series:
        """The rows of an object column whose Python types are taken as schema: private; of others, none."""
        return self.described[name]

    @property
    @abstractmethod
    def rows(self) -> int:
        """Exact number of rows: private."""

    @property
    def refused(self) -> Mapping[str, str]:
        """Columns whose type pandas can store but that cannot be learned, with that type."""
        return {}

    @property
    def declared(self) -> Mapping[str, Mapping[str, Any]]:
        """What the table's own types or dictionary state to be public, by option and by column."""
        return {}

    @property
    def codebook(self) -> Codebook:
        """What the table's file says about its columns: public."""
        return NO_CODEBOOK

    @property
    def note(self) -> str:
        """What of the table's own statements is not used, for a warning; empty if nothing."""
        return ""

    @property
    def lettered(self) -> Collection[str]:
        """Columns that may have letters of missing values (`.a`), which can be declared."""
        return ()

    def unread(self, most: int) -> Mapping[str, int]:  # noqa: ARG002 - not every source is made of text
        """By column, in how many rows a text that does not fit was read as missing: private.

        Args:
            most: How many of the first rows are looked at.
        """
        return {}

    @property
    def form(self) -> TableForm:
        """What kind of object the table is, so that a synthetic one can be of the same kind."""
        return PANDAS

    @property
    def lengths(self) -> list[int]:
        """Exact number of rows of each part: private."""
        return [self.rows]

    def some(
        self, numbers: Collection[int], function: Callable[[pd.DataFrame], T], columns: Sequence[str]
    ) -> Iterator[T]:
        """What a function makes of some parts.

        Args:
            numbers: Which parts, from 0.
            function: As for `map`.
            columns: As for `map`.
        """
        yield from (found for number, found in enumerate(self.map(function, columns)) if number in numbers)

    @abstractmethod
    def without(self, names: Sequence[str]) -> Source:
        """The table without some columns, as a new source that must be closed separately.

        Nothing is opened again: what opening has found of the table is taken over.
        """

    @abstractmethod
    def map(
        self,
        function: Callable[[pd.DataFrame], T],
        columns: Sequence[str],
        kept: NDArray[np.bool_] | None = None,
    ) -> Iterator[T]:
        """Apply a function to each part, in the order of the rows.

        Args:
            function: Gets a frame that has at least these columns. It may run in another process.
            columns: Names of the columns that it reads.
            kept: Which rows it gets, `[rows]`; by default all.
        """

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array as long as the table: in memory if the table is, otherwise in a file without a name.

        Args:
            shape: Its shape.
            dtype: Its type.
        """
        return scratch_array(shape, dtype) if self.partitioned else np.empty(shape, dtype)

    def concatenate(
        self, arrays: Iterable[NDArray[Any]], dtype: np.dtype[Any], width: int | None = None
    ) -> NDArray[Any]:
        """Concatenate the arrays of all parts, outside the process's own memory if necessary.

        Args:
            arrays: One `[rows]` or `[rows, width]` a part, of at most as many rows as the part.
            dtype: Their type.
            width: Their second dimension, None if they have none.
        """
        if not self.partitioned:
            (array,) = arrays
            return array
        rows = self.rows
        out = self.empty((rows,) if width is None else (rows, width), dtype)
        place = 0
        for array in arrays:
            end = place + len(array)
            if end > rows:
                raise DataError(CHANGED)
            out[place:end] = array
            place = end
        return out[:place]

    def require(self, found: TableChecksum) -> None:
        """Raise DataError unless a pass found the rows that were there before."""
        known = self.checksum
        if known is not None and (found != known if self.in_order else found.plain != known.plain):
            raise DataError(CHANGED)

    def close(self) -> None:  # noqa: B027 - not every source has something to let go of
        """Release the table and everything that was stored for it."""

    def __enter__(self) -> Source:  # noqa: PYI034 - Python 3.10 has no Self
        """The source, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class FrameSource(Source):
    """A table in memory: one part.

    Args:
        df: The table.
        form: What it was made of, if that has types that pandas does not tell.
    """

    partitioned = False

    def __init__(self, df: pd.DataFrame, form: TableForm = PANDAS) -> None:
        self._df: pd.DataFrame | None = df
        self._form = form

    @property
    def form(self) -> TableForm:
        """One of pandas, with types of the file that it was read from."""
        return self._form

    @property
    def described(self) -> pd.DataFrame:
        """The table itself."""
        if self._df is None:
            raise RuntimeError("this source is closed")
        return self._df

    @property
    def rows(self) -> int:
        """Its length."""
        return len(self.described)

    def without(self, names: Sequence[str]) -> FrameSource:
        """A source without these columns; it shares the DataFrame if there are none to leave out."""
        return FrameSource(self.described.drop(columns=list(names)) if names else self.described, self._form)

    def map(
        self,
        function: Callable[[pd.DataFrame], T],
        columns: Sequence[str],
        kept: NDArray[np.bool_] | None = None,
    ) -> Iterator[T]:
        """What the function makes of the whole table, or of the rows that are kept."""
        if kept is None:
            yield function(self.described)  # choosing columns would copy them
        else:
            yield function(self.described.loc[kept, list(columns)].reset_index(drop=True))

    def close(self) -> None:
        """Let go of the table."""
        self._df = None


class KeptRows(Source):
    """Some rows of another source, in the same order; both are closed together.

    Which rows these are is known by their places, so the order of a volatile source must stay.

    Args:
        source: The table.
        kept: Which rows are kept, `[rows]`.
        rows: How many these are.
    """

    in_order = True

    def __init__(self, source: Source, kept: NDArray[np.bool_], rows: int) -> None:
        self._source, self._kept, self._rows = source, kept, rows
        self.partitioned, self.volatile, self.after_part = (
            source.partitioned,
            source.volatile,
            source.after_part,
        )

    @property
    def described(self) -> pd.DataFrame:
        """An empty frame with the other source's columns and dtypes."""
        return self._source.described.iloc[:0]

    @property
    def rows(self) -> int:
        """Exact number of rows that are kept: private."""
        return self._rows

    @property
    def refused(self) -> Mapping[str, str]:
        """Those of the other source."""
        return self._source.refused

    def without(self, names: Sequence[str]) -> KeptRows:
        """The same rows without these columns."""
        return KeptRows(self._source.without(names), self._kept, self._rows)

    def map(
        self,
        function: Callable[[pd.DataFrame], T],
        columns: Sequence[str],
        kept: NDArray[np.bool_] | None = None,
    ) -> Iterator[T]:
        """What the function makes of the kept rows of each part."""
        chosen = self._kept
        if kept is not None:
            chosen = chosen.copy()
            chosen[self._kept] = kept
        self._source.after_part = self.after_part
        return self._source.map(function, columns, chosen)

    def close(self) -> None:
        """Close the other source."""
        self._source.close()


AT_ONCE = 2**20  # rows whose hashes are copied at once


@dataclass(frozen=True)
class TableChecksum:
    """Sums of row hashes, modulo 2^64, that show whether a table changed between two passes: private.

    Attributes:
        rows: How many rows.
        plain: Sum of their hashes, whatever their order.
        placed: Sum of hash times (2 place + 1): another one if rows change places.
    """

    rows: int = 0
    plain: int = 0
    placed: int = 0

    @classmethod
    def of(cls, hashes: NDArray[np.uint64]) -> TableChecksum:
        """The sums of some rows."""
        found = cls()
        for start in range(0, len(hashes), AT_ONCE):
            part = hashes[start : start + AT_ONCE]
            placed = part * (2 * np.arange(len(part), dtype=np.uint64) + np.uint64(1))
            found += cls(len(part), int(part.sum()), int(placed.sum()))
        return found

    def __add__(self, other: TableChecksum) -> TableChecksum:
        """The sums of these rows followed by the others, whose positions shift accordingly."""
        placed = self.placed + other.placed + 2 * self.rows * other.plain
        return TableChecksum(self.rows + other.rows, (self.plain + other.plain) % 2**64, placed % 2**64)
