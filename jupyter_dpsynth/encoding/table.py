"""The codec of a whole table: the codecs of its columns, orderings between columns, and new identifiers."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.derived import DerivedColumn, derived_columns
from jupyter_dpsynth.encoding.difference import DifferenceCodec, exchanged, on_steps
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.errors import ArtifactError, ConfigError, MetadataError
from jupyter_dpsynth.metadata.columns import (
    ContinuousMeta,
    DataFrameMeta,
    DatetimeMeta,
    IdMeta,
    column_meta_from_dict,
)
from jupyter_dpsynth.metadata.derived import check_derived
from jupyter_dpsynth.metadata.formulas import in_order
from jupyter_dpsynth.metadata.identifiers import identifiers
from jupyter_dpsynth.metadata.orders import comparable
from jupyter_dpsynth.sources.codebook import Codebook
from jupyter_dpsynth.sources.dtypes import dtype_of
from jupyter_dpsynth.sources.forms import PANDAS, TableForm
from jupyter_dpsynth.sources.values import is_above

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from jupyter_dpsynth.sources.fingerprint import RowHashes

__all__ = ["ColumnCodec", "TableCodec"]

ColumnCodec = NumericCodec | CategoryCodec | DifferenceCodec
CODECS: dict[str, Any] = {
    "numeric": NumericCodec,
    "category": CategoryCodec,
    "difference": DifferenceCodec,
}


@dataclass(frozen=True, eq=False)
class TableCodec:
    """Encodes a table to integer codes and decodes codes to a table with the same columns and types.

    Attributes:
        df_meta: The table's metadata, identifiers included.
        columns: One codec for each learned column, in the table's order.
        orderings: Names of columns (low, high) of which the first is never above the second.
        formulas: Learned columns of numbers that were found to follow from others, and how, each behind those
            that it follows from.
    """

    df_meta: DataFrameMeta
    columns: tuple[ColumnCodec, ...]
    orderings: tuple[tuple[str, str], ...] = ()
    formulas: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the learned columns."""
        return tuple(codec.meta.name for codec in self.columns)

    @functools.cached_property
    def derived(self) -> tuple[DerivedColumn, ...]:
        """The columns that are computed from others, each behind those that it follows from."""
        steps = {each.meta.name: each.resolution for each in self.columns if isinstance(each, NumericCodec)}
        return derived_columns(
            self.df_meta, steps, (*in_order(dict(self.formulas)), *self.df_meta.derivations)
        )

    @property
    def without_categories(self) -> tuple[str, ...]:
        """Names of the categorical columns of which no category was published."""
        return tuple(c.meta.name for c in self.columns if isinstance(c, CategoryCodec) and not c.published)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of cells of each learned column, `[m]`."""
        return np.array([codec.size for codec in self.columns], dtype=np.int64)

    @property
    def code_type(self) -> np.dtype[Any]:
        """The smallest integer type for the codes of all columns."""
        return np.min_scalar_type(int(self.sizes.max()) - 1)

    def encode(self, df: pd.DataFrame) -> NDArray[np.integer[Any]]:
        """Codes `[n, m]` of the learned columns, of type `code_type`."""
        codes = np.empty((len(df), len(self.columns)), dtype=self.code_type, order="F")
        for index, codec in enumerate(self.columns):
            if isinstance(codec, DifferenceCodec):
                codes[:, index] = codec.difference.encode_points(self.lengths(df, codec))
            else:
                codes[:, index] = codec.encode(df[codec.meta.name])
        return codes

    def lengths(self, df: pd.DataFrame, codec: DifferenceCodec) -> NDArray[np.float64]:
        """The times between a column and its base, in points `[n]`."""
        return codec.lengths(df[codec.meta.name], df[codec.base], self.moments(codec.base))

    def moments(self, name: str) -> DatetimeMeta:
        """Metadata of a column of points in time."""
        meta = self.df_meta[name]
        if not isinstance(meta, DatetimeMeta):
            raise TypeError
        return meta

    @property
    def sizes_apart(self) -> NDArray[np.int64]:
        """Number of codes of each learned column that `encode_apart` gives, `[m]`."""
        return np.array([codec.size + len(codec.moved_into) for codec in self.columns], dtype=np.int64)

    def encode_apart(self, df: pd.DataFrame) -> NDArray[np.integer[Any]]:
        """Codes `[n, m]` that tell rows whose value no synthetic row has from those of the cell it is in."""
        code_type = np.min_scalar_type(int(self.sizes_apart.max()) - 1)
        codes = np.empty((len(df), len(self.columns)), dtype=code_type, order="F")
        for index, codec in enumerate(self.columns):
            if isinstance(codec, DifferenceCodec):
                codes[:, index] = codec.difference.encode_points_apart(self.lengths(df, codec))
            else:
                codes[:, index] = codec.encode_apart(df[codec.meta.name])
        return codes

    def joined(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """What `encode` gives, from what `encode_apart` gives."""
        out = np.empty(codes.shape, dtype=self.code_type, order="F")
        for index, codec in enumerate(self.columns):
            cells = np.append(np.arange(codec.size), codec.moved_into).astype(self.code_type)
            out[:, index] = cells[codes[:, index]]
        return out

    def present(self, df: pd.DataFrame) -> pd.DataFrame:
        """The columns that are learned or computed, in which what stands for a missing value is missing.

        Args:
            df: The learned columns at least.
        """
        present = {meta.name: meta.present(df[meta.name]) for meta in self.df_meta.learned}
        for each in self.derived:
            if each.meta.name in df:
                present[each.meta.name] = each.meta.present(df[each.meta.name])
        return pd.DataFrame(present)

    def decode(
        self,
        codes: NDArray[np.int32],
        generator: np.random.Generator,
        first: int = 1,
        of: int | None = None,
        hashes: RowHashes | None = None,
    ) -> pd.DataFrame:
        """A table `[n, columns]` with the original names, order and dtypes.

        Args:
            codes: `int32 [n, m]`, each below its column's size.
            generator: Draws the value within a bin and within a pool.
            first: Number of the first row, for identifiers.
            of: Rows of the whole table, if this is a part of it.
            hashes: What the hashes of columns with few distinct values are added to; None for nothing.
        """
        children = generator.spawn(len(self.columns))
        waiting = {codec.meta.name: codec for codec in self.columns if isinstance(codec, DifferenceCodec)}
        own = {index: c for index, c in enumerate(self.columns) if not isinstance(c, DifferenceCodec)}

        def decode(index: int) -> pd.Series:
            codec, cells = own[index], codes[:, index]
            if isinstance(codec, CategoryCodec):
                return codec.decode(cells, children[index], hashes)
            return codec.decode(cells, children[index])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            series = pool.map(decode, own)
            learned = {own[index].meta.name: made for index, made in zip(own, series, strict=True)}
        while waiting:  # a base may be a difference itself
            name = next(name for name, codec in waiting.items() if codec.base in learned)
            codec, place = waiting.pop(name), self.names.index(name)
            learned[name] = codec.decode(codes[:, place], learned[codec.base], children[place])
        self._put_in_order(learned)
        for found in self.derived:
            if (name := found.meta.name) in learned:
                parts = pd.DataFrame({part: learned[part] for part in found.formula.columns})
                learned[name] = found.imposed(learned[name], parts)
        for each, child in zip(self.columns, children, strict=True):
            if isinstance(each, NumericCodec):
                learned[each.meta.name] = each.with_codes(learned[each.meta.name], child)
        return self._whole(learned, len(codes), first, of)

    def _put_in_order(self, learned: dict[str, pd.Series]) -> None:
        """Let values change places in rows that break an order, in columns `[n]` by name."""
        # a value out of order sits in the same or a neighbouring bin: the two change places
        steps = {
            each.meta.name: each.resolution for each in self.columns if not isinstance(each, CategoryCodec)
        }
        for _ in self.orderings:
            for low, high in self.orderings:
                wrong = is_above(learned[low], learned[high])
                learned[low], learned[high] = exchanged(
                    (learned[low], learned[high]), (self.df_meta[low], self.df_meta[high]), wrong
                )
                if steps.get(low) != steps.get(high):  # a day of birth has no time of day
                    learned[low] = on_steps(learned[low], self.df_meta[low], steps[low], wrong)
                    learned[high] = on_steps(learned[high], self.df_meta[high], steps[high], wrong, up=True)

    def numbered(self, df: pd.DataFrame, first: int = 1, of: int | None = None) -> pd.DataFrame:
        """The table in its original order, with new identifiers, computed columns and a new index.

        Args:
            df: The learned columns of synthetic rows; identifiers and computed columns in it are replaced.
            first: Number of the first row.
            of: Rows of the whole table, if this is a part of it.
        """
        index = pd.RangeIndex(len(df))
        learned = {meta.name: df[meta.name].set_axis(index) for meta in self.df_meta.learned}
        return self._whole(learned, len(df), first, of)

    def _whole(self, learned: Mapping[str, pd.Series], rows: int, first: int, of: int | None) -> pd.DataFrame:
        """As `numbered`, of learned columns that are numbered from 0."""
        numbers, last, index = np.arange(first, first + rows), of or rows, pd.RangeIndex(rows)
        # a table of many columns takes its time, so none is made where nothing is computed
        columns = self.with_derived(pd.DataFrame(learned, index=index)) if self.derived else learned
        made = {
            meta.name: _numbered(meta, numbers, last) if isinstance(meta, IdMeta) else columns[meta.name]
            for meta in self.df_meta.columns
        }
        return pd.DataFrame(made, index=index)

    def with_derived(self, df: pd.DataFrame) -> pd.DataFrame:
        """The table with the columns that are declared to follow from others."""
        for each in self.derived:
            if each.meta.name in self.names:
                continue
            parts = {name: self.df_meta[name].present(df[name]) for name in each.formula.columns}
            df = df.assign(
                **{each.meta.name: each.made(pd.DataFrame(parts, index=df.index)).set_axis(df.index)}
            )
        return df

    def check_rows(self, rows: int) -> None:
        """Raise ConfigError if a table of so many rows would repeat an identifier."""
        for meta in self.df_meta.columns:
            most = _most_ids(meta) if isinstance(meta, IdMeta) else None
            if most is not None and rows > most:
                raise ConfigError(
                    f"rows = {rows:,} is too many for the identifier {meta.name!r}: its dtype {meta.dtype} "
                    f"numbers at most {most:,} rows without repeating one. Ask for fewer, or convert the "
                    f"column before learning (df[{meta.name!r}] = df[{meta.name!r}].astype('Int64'))."
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for saved models."""
        ids = [meta.to_dict() for meta in self.df_meta.columns if isinstance(meta, IdMeta)]
        declared = [self.df_meta[name].to_dict() for name, _ in self.df_meta.derivations]
        return {
            "names": list(self.df_meta.names),
            "ids": ids,
            "columns": [codec.to_dict() for codec in self.columns],
            "orderings": [list(pair) for pair in self.orderings],
            **({"formulas": [list(pair) for pair in self.formulas]} if self.formulas else {}),
            **({"derived": declared} if declared else {}),
            **({} if self.df_meta.form == PANDAS else {"form": self.df_meta.form.to_dict()}),
            **({"codebook": self.df_meta.codebook.to_dict()} if self.df_meta.codebook else {}),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TableCodec:
        """Rebuild from `to_dict`."""
        columns = tuple(CODECS[column["codec"]].from_dict(column) for column in values["columns"])
        metas = {codec.meta.name: codec.meta for codec in columns}
        others = [*values["ids"], *values.get("derived", ())]
        metas |= {column["name"]: column_meta_from_dict(column) for column in others}
        orderings = tuple((low, high) for low, high in values["orderings"])
        _check_pairs(columns, orderings)
        if len(metas) != len(columns) + len(others) or set(metas) != set(values["names"]):
            raise ArtifactError("the names do not fit the columns.")
        form = TableForm(**values["form"]) if "form" in values else PANDAS
        codebook = Codebook.from_dict(values.get("codebook", {}))
        df_meta = DataFrameMeta(tuple(metas[name] for name in values["names"]), form, codebook)
        try:
            check_derived(df_meta)
        except MetadataError as error:
            raise ArtifactError(str(error)) from None
        if [meta.name for meta in df_meta.learned] != [codec.meta.name for codec in columns]:
            raise ArtifactError("the columns that are learned are not those that have cells.")
        formulas = tuple((name, text) for name, text in values.get("formulas", ()))
        _check_formulas(df_meta, formulas)
        return cls(df_meta, columns, orderings, formulas)


def _check_pairs(columns: tuple[ColumnCodec, ...], orderings: tuple[tuple[str, str], ...]) -> None:
    """Raise ArtifactError unless the columns of orderings and differences fit, and each can be decoded."""
    ordered = {codec.meta.name: codec.meta for codec in columns if not isinstance(codec, CategoryCodec)}
    found = [codec for codec in columns if isinstance(codec, DifferenceCodec)]
    for one, other in (*orderings, *((codec.meta.name, codec.base) for codec in found)):
        pair = ordered[one], ordered[other]
        if not comparable(*pair):
            raise ArtifactError("columns of different types cannot be compared.")
    bases = {codec.meta.name: codec.base for codec in found}
    while bases:
        left = {name: base for name, base in bases.items() if base in bases}
        if len(left) == len(bases):
            raise ArtifactError("columns are differences of each other.")
        bases = left


def _check_formulas(df_meta: DataFrameMeta, formulas: tuple[tuple[str, str], ...]) -> None:
    """Raise ArtifactError unless learned columns of numbers follow from others that are learned and fit."""
    learned = {meta.name: meta for meta in df_meta.learned}
    found = in_order(dict(formulas))
    sound = len(found) == len(formulas)
    for name, formula in found:
        parts = [learned.get(part) for part in formula.columns]
        wanted = DatetimeMeta if formula.unit else ContinuousMeta
        sound &= isinstance(learned.get(name), ContinuousMeta) and name not in formula.columns
        sound &= all(isinstance(part, wanted) and not getattr(part, "is_duration", False) for part in parts)
    if not sound:
        raise ArtifactError("what columns follow from does not fit them.")


def _numbered(meta: IdMeta, numbers: NDArray[np.int64], last: int) -> pd.Series:
    """New identifiers for a column, in its dtype; nothing of the original ones is left."""
    dtype = dtype_of(meta.dtype)
    if pd.api.types.is_numeric_dtype(dtype):
        most = _most_ids(meta)  # rows that are drawn and left out again may be more
        return pd.Series(numbers if most is None else np.minimum(numbers, most)).astype(dtype)
    if meta.value_type in ("int", "float", "Decimal"):
        made = Decimal if meta.value_type == "Decimal" else int
        return pd.Series([made(int(number)) for number in numbers], dtype=object)
    if meta.look:
        return pd.Series(identifiers(meta.name, meta.look, numbers.tolist())).astype(dtype)
    digits = len(str(last))
    names = [f"{meta.name}-{number:0{digits}d}" for number in numbers]
    return pd.Series(names).astype(dtype)


def _most_ids(meta: IdMeta) -> int | None:
    """The largest whole number up to which an identifier's dtype holds all; None if there is none."""
    dtype = dtype_of(meta.dtype)
    if not pd.api.types.is_numeric_dtype(dtype):
        return None
    kind: Any = getattr(dtype, "pyarrow_dtype", None)
    if hasattr(kind, "scale"):  # decimal numbers
        return int(10 ** max(kind.precision - kind.scale, 0)) - 1
    held = np.dtype(getattr(dtype, "subtype", getattr(dtype, "numpy_dtype", dtype)))
    if held.kind == "b":
        return 1
    return int(np.iinfo(held).max) if held.kind in "iu" else 2 ** (np.finfo(held).nmant + 1)
