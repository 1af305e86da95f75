"""Tables that Dask reads part by part: what files and Dask DataFrames have in common, and Dask DataFrames.

What comes back of a part is small: counts, codes, hashes.
"""

from __future__ import annotations

import copy
import functools
import itertools
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jupyter_dpsynth.errors import DataError, DPSynthError, shielded
from jupyter_dpsynth.sources.base import CHANGED, Source
from jupyter_dpsynth.sources.dask import AHEAD, computed, import_dask
from jupyter_dpsynth.sources.forms import TableForm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "MAX_BYTES",
    "MAX_ROWS",
    "TYPED_ROWS",
    "DaskSource",
    "FilesSource",
    "Partitioned",
    "apply_to_part",
    "rows_at_once",
    "stamps_of",
]

T = TypeVar("T")
MAX_ROWS = 262_144  # rows of a part that are read at once
MAX_BYTES = 2**26  # and what they take in memory: fewer rows, if they hold long texts or many columns
LEAST_ROWS = 256
TYPED_ROWS = 10_000  # whose types are taken as schema where a dtype does not tell them


def apply_to_part(
    function: Callable[[pd.DataFrame], T],
    kept: NDArray[np.uint8] | None,
    frames: Callable[..., Iterator[pd.DataFrame]],
    *where: Any,  # noqa: ANN401 - the arguments of `frames`
) -> list[tuple[int, T]] | DPSynthError:
    """One task: a function of all frames of a part, each with its number of rows.

    An error is returned, not raised: a worker writes the arguments of what fails, which may be rows, and
    the exception into its log.

    Args:
        function: Of a frame.
        kept: Which rows of the part it gets, one bit for each; None for all.
        frames: Makes the part's frames.
        *where: Of what.
    """
    bits = None if kept is None else np.unpackbits(kept).astype(bool)

    def work() -> list[tuple[int, T]]:
        found, place = [], 0
        # whether arithmetic overflows depends on single values
        with np.errstate(all="ignore"):
            for frame in frames(*where):
                rows, place = len(frame), place + len(frame)
                if bits is not None:
                    if place > len(bits):
                        raise DataError(CHANGED)
                    chosen = frame[bits[place - rows : place]].reset_index(drop=True)
                    found.append((rows, function(chosen)))
                else:
                    found.append((rows, function(frame)))
        return found

    try:
        return shielded(work, "reading the table failed")
    except DPSynthError as error:
        return error.with_traceback(None)


class Partitioned(Source):
    """A table that is read with Dask.

    Attributes:
        here: Whether only this machine can read it, and the workers of a cluster cannot.
    """

    partitioned = True
    here = False

    def __init__(self) -> None:
        import_dask()
        self._lengths: list[int] | None = None

    @abstractmethod
    def _tasks(
        self, function: Callable[[pd.DataFrame], T], columns: list[str], kept: Iterator[Any]
    ) -> Iterator[Any]:
        """One delayed `apply_to_part` for each part, with the next of `kept`, which has no end."""

    def _kept_bits(self, kept: NDArray[np.bool_] | None) -> Iterator[Any]:
        """For each part which of its rows are kept, one bit for each, or None; without an end."""
        if kept is not None:
            place = 0
            for rows in self.lengths:
                yield np.packbits(kept[place : place + rows])
                place += rows
        yield from itertools.repeat(None if kept is None else np.zeros(0, np.uint8))

    def _check_unchanged(self) -> None:
        """Raise DataError if the table is known to have changed."""

    @property
    def rows(self) -> int:
        """Exact number of rows, counted once: private."""
        return sum(self.lengths)

    @property
    def lengths(self) -> list[int]:
        """Exact number of rows of each part, counted once: private."""
        if self._lengths is None:
            names = [str(name) for name in self.described.columns]
            for _ in self.map(len, names[:1]):
                pass
        return self._lengths or []

    def map(
        self,
        function: Callable[[pd.DataFrame], T],
        columns: Sequence[str],
        kept: NDArray[np.bool_] | None = None,
    ) -> Iterator[T]:
        """Apply the function to each part; raises if an earlier pass had other rows."""
        self._check_unchanged()
        lengths: list[int] = []
        found = False
        tasks = self._tasks(function, list(columns), self._kept_bits(kept))
        # what is made of the rows of long parts is long: of these fewer are under way at once
        longest = max(self._lengths or [0])
        ahead = int(np.clip(AHEAD * MAX_ROWS // max(longest, 1), 1, AHEAD))
        for results in self._results(tasks, ahead):
            lengths.append(sum(rows for rows, _ in results))
            for _, result in results:
                found = True
                yield result
            self.after_part()
        if not found:  # a sum over no parts has no shape
            yield function(self.described[list(columns)])
        self._check_unchanged()
        if self._lengths is None:
            self._lengths = lengths
        elif lengths != self._lengths:
            raise DataError(CHANGED)

    def some(
        self, numbers: Collection[int], function: Callable[[pd.DataFrame], T], columns: Sequence[str]
    ) -> Iterator[T]:
        """What a function makes of some parts; the others are not read.

        Args:
            numbers: Which parts, from 0.
            function: As for `map`.
            columns: As for `map`.
        """
        self._check_unchanged()
        tasks = enumerate(self._tasks(function, list(columns), itertools.repeat(None)))
        for results in self._results(task for number, task in tasks if number in numbers):
            yield from (result for _, result in results)

    def _results(self, tasks: Iterator[Any], ahead: int = AHEAD) -> Iterator[list[tuple[int, Any]]]:
        """What `apply_to_part` found in each part; raises the error that it returned instead."""
        for found in computed(tasks, ahead, here=self.here):
            if isinstance(found, DPSynthError):
                raise found
            yield found


class DaskSource(Partitioned):
    """A Dask DataFrame.

    Args:
        ddf: The table. Its graph is computed again for every pass, so it must give the same rows each time.
    """

    volatile = True

    def __init__(self, ddf: Any) -> None:  # noqa: ANN401 - dask ships no types
        super().__init__()
        self._ddf = ddf
        self._described: pd.DataFrame = ddf._meta.copy()  # noqa: SLF001 - Dask's name, which its users use
        for name, dtype in self._described.dtypes.items():  # two may have one name, which is told later
            if getattr(dtype, "ordered", False) and not ddf[name].cat.known:
                raise DataError(
                    f"the categories of the ordered column {str(name)!r} are not known: call "
                    f"ddf = ddf.categorize([{str(name)!r}]) first."
                )

    @property
    def described(self) -> pd.DataFrame:
        """Dask's own empty frame."""
        return self._described

    @property
    def form(self) -> TableForm:
        """A Dask DataFrame."""
        return TableForm("dask")

    def first_values(self, name: str) -> pd.Series:
        """Of an object column, the first rows of the first part that has any."""
        empty = self.described[name]
        return self._first_rows.get(name, empty) if empty.dtype == object else empty

    @functools.cached_property
    def _first_rows(self) -> dict[str, pd.Series]:
        """The same of all object columns."""
        from pandas.api.types import is_object_dtype

        described = self.described
        names = [name for name, dtype in described.dtypes.items() if is_object_dtype(dtype)]
        for number in range(self._ddf.npartitions):
            rows = next(self.some([number], _beginning, names), described)
            if len(rows):
                return {name: rows[name] for name in names}
        return {}

    def without(self, names: Sequence[str]) -> DaskSource:
        """The same table without these columns."""
        return DaskSource(self._ddf.drop(columns=list(names)))

    def _tasks(
        self, function: Callable[[pd.DataFrame], T], columns: list[str], kept: Iterator[Any]
    ) -> Iterator[Any]:
        apply = import_dask().delayed(apply_to_part, pure=False)
        for part in self._ddf[columns].to_delayed():
            yield apply(function, next(kept), _slices, part)

    def close(self) -> None:
        """Release the graph."""
        self._ddf = None


def _beginning(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.head(TYPED_ROWS)


def _slices(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    rows = rows_at_once(frame.memory_usage(index=False).sum() / max(len(frame), 1))
    for start in range(0, len(frame), rows):
        yield frame.iloc[start : start + rows].reset_index(drop=True)


class FilesSource(Partitioned):
    """Files that must not change from when they are opened until they have been read.

    Args:
        files: The files, in the order of their rows.
    """

    _described: pd.DataFrame

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__()
        self._files = list(files)
        self._stamps = stamps_of(self._files)

    @property
    def described(self) -> pd.DataFrame:
        """An empty frame with the columns and dtypes that were found when the files were opened."""
        return self._described

    def without(self, names: Sequence[str]) -> FilesSource:
        """The same files without these columns."""
        left = copy.copy(self)
        left._described = self._described.drop(columns=list(names))  # noqa: SLF001 - of the same class
        return left

    def _check_unchanged(self) -> None:
        if stamps_of(self._files) != self._stamps:
            raise DataError(CHANGED)


def stamps_of(files: Iterable[Path]) -> list[tuple[int, int] | None]:
    """Size and time of the last change of each file; None if it is gone."""
    found: list[tuple[int, int] | None] = []
    for path in files:
        try:
            status = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return found


def rows_at_once(bytes_per_row: float) -> int:
    """How many rows of this size are read at once.

    >>> rows_at_once(100), rows_at_once(10_000), rows_at_once(1e9)
    (262144, 6710, 256)
    """
    return int(np.clip(MAX_BYTES / max(bytes_per_row, 1.0), LEAST_ROWS, MAX_ROWS))
