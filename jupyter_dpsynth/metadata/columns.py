"""What is public about a table: column names, types, and what the user declares.

`MetaExtractor.extract` reads the names and types of the columns only. It looks at no value, with one stated
exception: the Python type that most values of an `object` column have counts as metadata, like a dtype. What
is not declared (bounds, categories, decimals) is measured later, as a part of epsilon.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_dpsynth.errors import DataError, MetadataError, did_you_mean, shown
from jupyter_dpsynth.metadata.codelists import LEVELS, listed_groups
from jupyter_dpsynth.metadata.formulas import in_order
from jupyter_dpsynth.metadata.hierarchy import Tree, prefixes_of
from jupyter_dpsynth.sources.base import Source
from jupyter_dpsynth.sources.codebook import NO_CODEBOOK, Codebook
from jupyter_dpsynth.sources.dtypes import dtype_text
from jupyter_dpsynth.sources.forms import PANDAS, TableForm
from jupyter_dpsynth.sources.letters import letters_of, with_numbers
from jupyter_dpsynth.sources.missing import without_codes, without_moments

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

    from jupyter_dpsynth.metadata.formulas import Formula

__all__ = [
    "CategoricalMeta",
    "ColumnMeta",
    "ContinuousMeta",
    "DataFrameMeta",
    "DatetimeMeta",
    "IdMeta",
    "check_column_names",
    "column_meta_from_dict",
]


@dataclass(frozen=True)
class ColumnMeta:
    """Metadata of one column.

    Attributes:
        name: Column name.
        dtype: Its dtype as text (`str(series.dtype)`, mostly); the synthetic column gets the same one.
        nullable: Whether a value can be missing: the dtype can hold that, or `missing` has codes for it.
        value_type: For `object` columns the Python type of the values ('str', 'date', ...), else ''.
        missing: Values that are declared to stand for a missing one; of times, microseconds.
    """

    kind: ClassVar[str]
    name: str
    dtype: str
    nullable: bool = True
    value_type: str = ""
    missing: tuple[Any, ...] = field(default=(), kw_only=True)

    def present(self, series: pd.Series) -> pd.Series:
        """The column as it is learned, `[n]`: what is declared to stand for a missing value is missing."""
        return without_codes(series, self.missing)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, read back by `column_meta_from_dict`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        if not values["missing"]:
            del values["missing"]  # which saved models of earlier versions do not have
        return {"kind": self.kind, **values}


@dataclass(frozen=True)
class CategoricalMeta(ColumnMeta):
    """A categorical column; `categories` are the declared ones, None if they are to be measured.

    `prefixes` are the public lengths of the codes of groups, increasing: with (1, 3) the groups of 'I21.4'
    are 'I' and 'I21'; `tree` says the same of codes whose groups have other names, and `code_list` names a
    classification that comes with the package. Codes that are too rare to be published become the narrowest
    group that is not.
    `level_type` is the dtype of a `category` column's categories, where the values do not tell it: 'int8'.
    """

    kind: ClassVar[str] = "category"
    categories: tuple[Hashable, ...] | None = None
    ordered: bool = False
    prefixes: tuple[int, ...] = field(default=(), kw_only=True)
    tree: Tree | None = field(default=None, kw_only=True)
    code_list: str = field(default="", kw_only=True)
    level_type: str = field(default="", kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """As of every column; without groups and the type of categories if there are none."""
        values = super().to_dict()
        rare = {key: values.pop(key) for key in ("prefixes", "tree", "code_list", "level_type")}
        if rare["tree"] is not None:
            rare["tree"] = dict(rare["tree"].pairs)
        return {**values, **{key: value for key, value in rare.items() if value}}

    def present(self, series: pd.Series) -> pd.Series:
        """As of every column; letters of missing values that are categories are there, as their numbers."""
        return with_numbers(super().present(series), letters_of(self.categories or ()))

    @property
    def levels(self) -> int:
        """How many levels of groups its codes have."""
        if self.code_list:
            return LEVELS
        return len(self.prefixes) if self.tree is None else self.tree.levels

    def groups_of(self, value: object) -> tuple[str, ...]:
        """The groups that a code belongs to, the narrowest first."""
        if self.code_list:
            return tuple(each for each in listed_groups(self.code_list, value) if each != value)
        if self.tree is not None:
            return self.tree.above(value) if isinstance(value, str) else ()
        return prefixes_of(value, self.prefixes)

    def group_at(self, value: object, level: int) -> object:
        """The group of a code at a level, 1 for the widest; a code that is as wide itself stays.

        Args:
            value: The code.
            level: 1 to `levels`.
        """
        if not isinstance(value, str):
            return value
        if self.code_list:
            found = listed_groups(self.code_list, value)
            return found[-level] if len(found) >= level else found[0] if found else value
        if self.tree is None:
            return value[: self.prefixes[level - 1]]
        above = self.tree.above(value)
        return above[len(above) - level] if level <= len(above) else value

    def is_group(self, value: object) -> bool:
        """Whether other codes may belong to a code."""
        if not isinstance(value, str):
            return False
        if self.code_list:
            return value in listed_groups(self.code_list, value)
        return len(value) in self.prefixes if self.tree is None else value in self.tree.groups


@dataclass(frozen=True)
class ContinuousMeta(ColumnMeta):
    """A column of numbers; `bounds` are the declared (lowest, highest), None if to be measured.

    `decimals` is the public number of digits after the point (0 for integers), None if to be learned.
    `coded` says that synthetic values have the codes for missing ones again, as in statistical files, where
    it is measured how often each is there; otherwise they are missing. `at_least` names columns whose value
    is publicly never above this one's in a row that has both. `derived` is the public formula by which the
    column follows from others ('net + tax'); it is then not learned but computed.
    """

    kind: ClassVar[str] = "number"
    bounds: tuple[float, float] | None = None
    decimals: int | None = None
    coded: bool = field(default=False, kw_only=True)
    at_least: tuple[str, ...] = field(default=(), kw_only=True)
    derived: str = field(default="", kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """As of every column; without `coded`, `at_least` and `derived` if nothing is declared."""
        values, rare = super().to_dict(), ("coded", "at_least", "derived")
        return {key: value for key, value in values.items() if value or key not in rare}


@dataclass(frozen=True)
class DatetimeMeta(ColumnMeta):
    """A column of points in time, dates or durations.

    `bounds` are the public first and last value in microseconds (since 1970 for points in time, in
    local wall time), None if they are to be learned. `at_least` names columns whose value is publicly never
    later than this one's in a row that has both.
    """

    kind: ClassVar[str] = "datetime"
    bounds: tuple[int, int] | None = None
    is_duration: bool = False
    at_least: tuple[str, ...] = field(default=(), kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """As of every column; without `at_least` if nothing is declared."""
        values = super().to_dict()
        return {key: value for key, value in values.items() if value or key != "at_least"}

    def present(self, series: pd.Series) -> pd.Series:
        """As of every column; midnight stands for all of its day."""
        return without_moments(series, self.missing, duration=self.is_duration)


@dataclass(frozen=True)
class IdMeta(ColumnMeta):
    """A column of identifiers: never learned; it gets new numbers in the synthetic table.

    `look` is a public format of text with one place for the number, or what Faker is to make; '' for numbers.
    """

    kind: ClassVar[str] = "id"
    look: str = field(default="", kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """As of every column; without `look` if there is none."""
        values = super().to_dict()
        if not self.look:
            del values["look"]
        return values


TEXTS = "object", "str", "large_string", "string_view"  # how the names of dtypes of text begin
KINDS: dict[str, type[ColumnMeta]] = {
    cls.kind: cls for cls in (CategoricalMeta, ContinuousMeta, DatetimeMeta, IdMeta)
}


def column_meta_from_dict(values: Mapping[str, Any]) -> ColumnMeta:
    """Rebuild a column's meta from `ColumnMeta.to_dict`."""
    rest = dict(values)
    cls = KINDS[rest.pop("kind")]
    for key in ("at_least", "bounds", "categories", "missing", "prefixes"):
        if rest.get(key) is not None:
            rest[key] = tuple(rest[key])
    if rest.get("tree") is not None:
        rest["tree"] = Tree(tuple(sorted(rest["tree"].items())))
    return cls(**rest)


@dataclass(frozen=True)
class DataFrameMeta:
    """The public metadata of a table: one `ColumnMeta` per column, in the table's order.

    Attributes:
        columns: The columns.
        form: What kind of object the table is; a synthetic one is of the same kind.
        codebook: What the table's file says about its columns besides.
    """

    columns: tuple[ColumnMeta, ...]
    form: TableForm = field(default=PANDAS, compare=False)  # the same columns are the same metadata
    codebook: Codebook = field(default=NO_CODEBOOK, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def learned(self) -> tuple[ColumnMeta, ...]:
        """The columns that are learned: all but the identifiers, and those that follow from others."""
        return tuple(
            column
            for column in self.columns
            if not isinstance(column, IdMeta) and not getattr(column, "derived", "")
        )

    @property
    def orders(self) -> tuple[tuple[str, str], ...]:
        """Pairs of columns (low, high) of which the first is declared to be never above the second."""
        metas = [meta for meta in self.learned if isinstance(meta, ContinuousMeta | DatetimeMeta)]
        learned = {meta.name for meta in metas}
        return tuple((low, meta.name) for meta in metas for low in meta.at_least if low in learned)

    @property
    def derivations(self) -> tuple[tuple[str, Formula], ...]:
        """Columns that are computed, with their formulas, each behind those that it follows from."""
        return in_order({meta.name: getattr(meta, "derived", "") for meta in self.columns})

    @property
    def undeclared(self) -> tuple[CategoricalMeta, ...]:
        """The categorical columns whose categories are not declared."""
        return tuple(m for m in self.learned if isinstance(m, CategoricalMeta) and m.categories is None)

    def __getitem__(self, name: str) -> ColumnMeta:
        for column in self.columns:
            if column.name == name:
                return column
        hint = did_you_mean(str(name), map(str, self.names))
        raise MetadataError(f"column {name!r} is not in the table.{hint}")

    def to_list(self) -> list[dict[str, Any]]:
        """JSON-ready form of the columns."""
        return [column.to_dict() for column in self.columns]

    def with_id(self, name: str) -> DataFrameMeta:
        """The same metadata with one column as an identifier.

        Raises:
            MetadataError: There is no such column, or it holds neither numbers nor text.
        """
        column = self[name]
        number = isinstance(column, ContinuousMeta) and column.value_type in ("", "int", "float", "Decimal")
        text = isinstance(column, CategoricalMeta) and column.dtype.startswith(TEXTS)
        text = text and column.value_type in ("", "str")
        if not (number or text or isinstance(column, IdMeta)):
            raise MetadataError(
                f"column {name!r} of dtype {column.dtype} cannot be the privacy unit: identifiers are "
                f"numbers or text. Convert it: df[{name!r}] = df[{name!r}].astype(str)."
            )
        if isinstance(column, IdMeta):
            return self
        follows = next((other for other, formula in self.derivations if name in formula.columns), None)
        if follows is not None:
            raise MetadataError(
                f"derived of column {follows!r} names {name!r}, which is the privacy unit and so not "
                f"learned: leave {follows!r} out of derived."
            )
        found = IdMeta(column.name, column.dtype, column.nullable, column.value_type)
        return replace(self, columns=tuple(found if each is column else each for each in self.columns))

    def check(self, table: Source | pd.DataFrame) -> None:
        """Raise MetadataError unless the table has exactly these columns and types.

        Names and dtypes are compared, no value is read.

        Args:
            table: The table, opened or in memory.
        """
        frame = table.described if isinstance(table, Source) else table
        check_column_names(frame)
        missing = [name for name in self.names if name not in set(frame.columns)]
        extra = [name for name in frame.columns if name not in set(self.names)]
        if missing or extra:
            parts = [f"it lacks {_listed(missing)}"] * bool(missing)
            parts += [f"it has {_listed(extra)} in addition"] * bool(extra)
            raise MetadataError(
                f"the DataFrame does not fit df_meta: {' and '.join(parts)}. Pass the table that df_meta was "
                "extracted from, or call MetaExtractor.extract again."
            )
        for column in self.columns:
            dtype = dtype_text(frame[column.name].dtype)
            if dtype != column.dtype:
                raise MetadataError(
                    f"column {column.name!r} has dtype {dtype} but df_meta says {column.dtype}: "
                    "convert the column, or call MetaExtractor.extract again."
                )


def check_column_names(frame: pd.DataFrame) -> None:
    """Raise DataError unless the column names of a DataFrame are texts and unique.

    Whether it has rows is not asked: that is the row count, which only its noisy measurement may tell.
    """
    if frame.shape[1] == 0:
        raise DataError("df has no columns: pass a DataFrame with at least one column.")
    twice = [name for name, count in Counter(frame.columns).items() if count > 1]
    if twice:
        raise DataError(f"column {twice[0]!r} appears more than once: rename the duplicates.")
    odd = [name for name in frame.columns if not isinstance(name, str)]
    if odd:
        raise DataError(
            f"column name {shown(odd[0])} has the type {type(odd[0]).__name__}, not text: rename the "
            "columns, for example with df.columns = df.columns.map(str)."
        )


def _listed(names: Sequence[object], most: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
