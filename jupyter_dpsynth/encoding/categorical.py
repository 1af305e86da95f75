"""Codec of a categorical column: frequent categories have a cell each, rare ones share one."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.encoding.building import build_series
from jupyter_dpsynth.errors import ArtifactError, shown
from jupyter_dpsynth.metadata.columns import CategoricalMeta, column_meta_from_dict
from jupyter_dpsynth.sources.dtypes import dtype_of
from jupyter_dpsynth.sources.letters import letters_of, with_letters
from jupyter_dpsynth.sources.objects import as_text, key_of
from jupyter_dpsynth.sources.values import factorize

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.fingerprint import RowHashes

__all__ = ["OTHER", "CategoryCodec"]

OTHER = "other"
STORED = {"kept": "published", "pool": "pool", "order": "order"}  # words of saved models, and ours


@dataclass(frozen=True, eq=False)
class CategoryCodec:
    """The cells of one categorical column.

    The cells are the published categories, then one for the pool, then one for missing values (if the dtype
    can hold them). A pooled cell decodes to one of `pool`, drawn by `pool_weights`.

    Attributes:
        meta: The column's metadata.
        published: Categories with a cell of their own: declared, or found with noise; also groups of codes.
        pool: The values that the pool's cell stands for: rare published categories, or ('other',).
        pool_weights: Noisy weights of `pool`, positive, `[pool]`.
        order: Order of the output categories of an ordered pandas categorical.

    Privacy:
        A function of noisy counts and public declarations: post-processing.
    """

    meta: CategoricalMeta
    published: tuple[Hashable, ...]
    pool: tuple[Hashable, ...]
    pool_weights: NDArray[np.float64]
    order: tuple[Hashable, ...] = ()

    ordered_cells = 0  # no cell is another's neighbour

    @property
    def kind(self) -> str:
        """'category'."""
        return self.meta.kind

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.published) + 1 + int(self.meta.nullable)

    @property
    def optional_cells(self) -> tuple[int, ...]:
        """Cells that exist even if the table has no such values: the pool, missing values."""
        return tuple(range(len(self.published), self.size))

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each cell."""
        pooled = as_text(self.pool[0]) if len(self.pool) == 1 else OTHER
        names = (*map(as_text, self.published), pooled)
        return (*names, "missing") if self.meta.nullable else names

    @property
    def groups(self) -> tuple[int, ...]:
        """Cells that may hold other codes than their own, because it is that of a group."""
        return tuple(cell for cell, value in enumerate(self.published) if self.meta.is_group(value))

    @property
    def moved_into(self) -> tuple[int, ...]:
        """The cells that hold rows whose value no synthetic row has, besides those of their own values.

        These are the pool, and groups of codes.
        """
        return (len(self.published), *self.groups)

    @property
    def moved_labels(self) -> tuple[str, ...]:
        """The labels of these rows, if they are told apart."""
        unknown = "too rare to publish" if self.meta.categories is None else "not declared"
        return (unknown, *(f"{as_text(self.published[cell])}, longer code" for cell in self.groups))

    def encode(self, series: pd.Series) -> NDArray[np.int32]:
        """Codes `int32 [n]` of a column; unknown values get the code of the pool."""
        return self._encode(series, len(self.published), {})

    def encode_apart(self, series: pd.Series) -> NDArray[np.int32]:
        """The same, but rows that are moved have codes of their own, after those of the cells."""
        after = self.size + 1
        return self._encode(series, self.size, {cell: after + k for k, cell in enumerate(self.groups)})

    def _encode(self, series: pd.Series, unknown: int, of_groups: Mapping[int, int]) -> NDArray[np.int32]:
        codes, values = factorize(self.meta.present(series))
        published, pool = list(self.published), list(self.pool)
        if self.meta.dtype == "object" and self.meta.categories is None:
            published, pool, values = ([key_of(v) for v in each] for each in (published, pool, values))
        index = dict.fromkeys(pool, len(published)) | {value: cell for cell, value in enumerate(published)}
        cells = (self._cell_of(value, index, unknown, of_groups) for value in values)
        table = np.array([*cells, self._missing_cell])
        return table[codes].astype(np.int32)  # -1, missing, is the table's last entry

    def _cell_of(
        self,
        value: Any,  # noqa: ANN401 - any category value
        index: Mapping[Any, int],
        unknown: int,
        of_groups: Mapping[int, int],
    ) -> int:
        """The cell of a value: its own, that of its narrowest group that has one, or that of unknown ones."""
        if value in index:
            return index[value]
        for name in self.meta.groups_of(value):
            if name in index:
                return of_groups.get(index[name], index[name])
        return unknown

    @property
    def _missing_cell(self) -> int:
        return len(self.published) + int(self.meta.nullable)

    def decode(
        self, codes: NDArray[np.int32], generator: np.random.Generator, hashes: RowHashes | None = None
    ) -> pd.Series:
        """A column `[n]` of the original dtype.

        Args:
            codes: Its codes, `[n]`.
            generator: Draws the value within a pool.
            hashes: What the hashes of its values are added to, if it has few distinct ones; None for nothing.
        """
        published = len(self.published)
        values = [*self.published, *self.pool, None]
        places = np.full(self.size, len(values) - 1)  # of each cell among the values
        places[: published + 1] = np.arange(published + 1)
        index = places.take(codes)
        pooled = np.flatnonzero(codes == published) if len(self.pool) > 1 else places[:0]
        if len(pooled):
            share = self.pool_weights / self.pool_weights.sum()
            index[pooled] += generator.choice(len(self.pool), len(pooled), p=share)
        if self.meta.dtype == "category":
            return self._categorical(values, index)
        if not self.meta.nullable or not (index == len(values) - 1).any():
            values = values[:-1]
        distinct = build_series(self._typed(values), self.meta)
        distinct = with_letters(distinct, letters_of(self.published))
        if hashes is not None and distinct.dtype != object:
            hashes.add(self.meta.name, distinct, index)
        return _repeated(distinct, index)

    def _typed(self, values: list[Any]) -> Any:  # noqa: ANN401 - a list or an array
        # an object array keeps mixed values apart: a list would turn [True, 'other'] into text
        box = np.empty(len(values), dtype=object)
        box[:] = values
        return box

    def _categorical(self, values: list[Any], index: NDArray[np.int64]) -> pd.Series:
        known = dict.fromkeys((*self.published, *self.pool))
        ordered = dict.fromkeys(value for value in self.order if value in known)
        # 'other' stands for levels of any height, and must not be above the highest one
        outside = [value for value in known if value not in ordered]
        present = [*outside, *ordered] if self.meta.ordered else [*ordered, *outside]
        position = {value: place for place, value in enumerate(present)}
        table = np.array([position.get(value, -1) for value in values[:-1]] + [-1])
        categories = pd.Index(present, tupleize_cols=False)
        if self.meta.level_type:
            with contextlib.suppress(TypeError, ValueError):  # 'other' is no number, and not always a level
                categories = categories.astype(dtype_of(self.meta.level_type))
        return pd.Series(
            pd.Categorical.from_codes(table[index], categories=categories, ordered=self.meta.ordered)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for saved models."""
        names = {key: [_pack(v) for v in getattr(self, name)] for key, name in STORED.items()}
        meta = self.meta.to_dict()
        for key in ("categories", "missing"):
            if meta.get(key) is not None:
                meta[key] = [_pack(v) for v in meta[key]]
        weights = self.pool_weights.tolist()
        return {"codec": "category", "meta": meta, "pool_weights": weights, **names}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CategoryCodec:
        """Rebuild from `to_dict`."""
        meta = dict(values["meta"])
        for key in ("categories", "missing"):
            if meta.get(key) is not None:
                meta[key] = [_unpack(v) for v in meta[key]]
        column = column_meta_from_dict(meta)
        if not isinstance(column, CategoricalMeta):
            raise TypeError
        names = {name: tuple(_unpack(v) for v in values[key]) for key, name in STORED.items()}
        weights = np.asarray(values["pool_weights"], np.float64)
        if len(weights) != len(names["pool"]) or not np.isfinite(weights.sum()):
            raise ArtifactError(
                f"the pooled categories of column {shown(column.name)} contradict each other."
            )
        return cls(column, pool_weights=weights, **names)


def _repeated(values: pd.Series, places: NDArray[np.int64]) -> pd.Series:
    """The values at these places.

    Texts that Arrow stores are taken by Arrow itself: pandas takes them from an array in chunks, which is
    several times slower.
    """
    if getattr(values.dtype, "storage", "") != "pyarrow":
        return values.take(places).reset_index(drop=True)
    import pyarrow as pa

    texts = pa.array(values, pa.large_string(), from_pandas=True)
    return pd.Series(values.dtype.__from_arrow__(texts.take(pa.array(places))))


def _pack(value: Any) -> Any:  # noqa: ANN401 - any category value
    """A category as JSON; plain values stay as they are."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    compound = _parts(value)
    if compound is not None:
        return {type(value).__name__: json.dumps(compound)}
    if isinstance(value, dt.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, dt.date | Decimal):
        return {type(value).__name__: str(value)}
    raise ArtifactError(
        f"categories of type {type(value).__name__} cannot be saved: convert the column to text first."
    )


def _parts(value: Any) -> list[Any] | None:  # noqa: ANN401 - any category value
    """What a value of pandas, or a tuple, consists of; None for all else."""
    found: list[Any] | None = None
    if isinstance(value, tuple):
        found = [_pack(part) for part in value]
    elif isinstance(value, pd.Interval):
        ends = [end if isinstance(end, float) else _pack(end) for end in (value.left, value.right)]
        found = [*ends, value.closed]
    elif isinstance(value, pd.Period):
        found = [value.ordinal, value.freqstr]
    elif type(value) is dt.timedelta:
        found = [value.days, value.seconds, value.microseconds]
    elif isinstance(value, pd.Timedelta | pd.Timestamp):
        found = [int(value.asm8.astype(np.int64)), value.unit]
        zone = getattr(value, "tzinfo", None)
        found += [] if zone is None else [str(zone)]
    return found


def _timestamp(count: int, unit: str, zone: str | None = None) -> pd.Timestamp:
    moment = pd.Timestamp(np.int64(count).astype(f"datetime64[{unit}]"))
    return moment if zone is None else moment.tz_localize("UTC").tz_convert(zone)


COMPOUND: dict[str, Callable[..., Any]] = {
    "tuple": lambda *parts: tuple(map(_unpack, parts)),
    "Interval": lambda left, right, closed: pd.Interval(_unpack(left), _unpack(right), closed),
    "Period": lambda ordinal, freq: pd.Period(ordinal=ordinal, freq=freq),
    "timedelta": dt.timedelta,
    "Timedelta": lambda count, unit: pd.Timedelta(np.int64(count).astype(f"timedelta64[{unit}]")),
    "Timestamp": _timestamp,
}


def _unpack(value: Any) -> Any:  # noqa: ANN401 - any category value
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    if kind == "bytes":
        return base64.b64decode(text)
    if kind in COMPOUND:
        return COMPOUND[kind](*json.loads(text))
    parse: dict[str, Callable[[str], Any]] = {
        "datetime": dt.datetime.fromisoformat,
        "date": dt.date.fromisoformat,
        "Decimal": Decimal,
    }
    return parse[kind](text)
