"""`MetaExtractor`: from a table's header and the user's declarations to its metadata."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MetadataError, did_you_mean, shown
from jupyter_dpsynth.metadata.columns import (
    CategoricalMeta,
    ContinuousMeta,
    DataFrameMeta,
    DatetimeMeta,
    IdMeta,
)
from jupyter_dpsynth.metadata.declarations import (
    by_column,
    declared_categories,
    declared_decimals,
    declared_numbers,
    declared_times,
    identifier_names,
    read_schema,
)
from jupyter_dpsynth.metadata.kinds import category_kind, column_kind, is_nullable, kind_of
from jupyter_dpsynth.sources.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

    from jupyter_dpsynth.metadata.columns import ColumnMeta


__all__ = ["MetaExtractor", "check_frame"]


class MetaExtractor:
    """Reads a table's public schema and joins it with what the user declares as public."""

    @staticmethod
    def extract(
        df: object,
        *,
        bounds: Mapping[str, Sequence[Any]] | None = None,
        categories: Mapping[str, Sequence[Hashable]] | None = None,
        decimals: Mapping[str, int] | None = None,
        ids: Sequence[str] = (),
        schema: object = None,
    ) -> DataFrameMeta:
        """Return the public schema of a table.

        Args:
            df: The table, `[n, columns]`: a pandas or Dask DataFrame, or a path or pattern of Parquet or
                CSV files. Only names and dtypes are read (and, in object columns of pandas, which Python
                type most values have). Of CSV files the types of the first 10,000 rows are taken as schema.
            bounds: Public lowest and highest value by column: numbers, or dates as text or
                timestamps. Values outside are clamped.
            categories: Public categories by column. Other values count as 'not listed'.
            decimals: Public number of digits after the point by column, 0 to 9.
            ids: Columns that identify rows: never learned, numbered anew on output.
            schema: The same declarations as the path of a YAML or JSON file, or its content:
                `columns: {age: {bounds: [17, 90]}, sex: {categories: [F, M]}, key: {id: true}}`. Or
                SDV metadata, a Frictionless Table Schema (as a file, its content or an object), or a
                pandera schema. A SchemaWarning says what of those has no counterpart here.

        Raises:
            MetadataError: A declaration names an unknown column, does not fit its type or
                contradicts itself; a column has a type that cannot be learned.
            DataError: The frame has no columns, or unusable column names.

        Privacy:
            Free: what is declared is stated to be public by whoever declares it.
        """
        source = open_source(df)
        frame = source.described
        check_frame(frame)
        for name, kind in source.refused.items():
            raise MetadataError(
                f"column {name!r} has a type that cannot be learned ({kind}): leave it out (ignore = "
                f"[{name!r}] in a cell; in Python pass dask.dataframe.read_parquet(path, columns=[...])), or "
                "convert it."
            )
        declared: dict[str, dict[str, Any]] = {
            "bounds": by_column("bounds", bounds),
            "categories": by_column("categories", categories),
            "decimals": by_column("decimals", decimals),
            "id": dict.fromkeys(identifier_names(ids), True),
        }
        if schema is not None:
            read_schema(schema, declared, list(frame.columns), lambda name: column_kind(frame, name))
        names = [str(name) for name in frame.columns]
        for option, values in declared.items():
            for name in values:
                if name not in set(frame.columns):
                    hint = did_you_mean(str(name), names)
                    message = f"{option} names column {shown(name)}, which is not in the table.{hint}"
                    raise MetadataError(message)
        return DataFrameMeta(
            tuple(
                _column_meta(
                    frame[name],
                    **{option: values.get(name) for option, values in declared.items()},
                )
                for name in frame.columns
            )
        )


def check_frame(df: object) -> None:
    """Raise DataError unless the argument is a DataFrame with unique, nameable columns.

    Whether it has rows is not asked: that is the row count, which only its noisy measurement may tell.
    """
    import pandas as pd

    from jupyter_dpsynth.errors import DataError

    if not isinstance(df, pd.DataFrame):
        raise DataError(f"df is a {type(df).__name__}: pass a pandas DataFrame.")
    if df.shape[1] == 0:
        raise DataError("df has no columns: pass a DataFrame with at least one column.")
    twice = [name for name, count in Counter(df.columns).items() if count > 1]
    if twice:
        raise DataError(f"column {twice[0]!r} appears more than once: rename the duplicates.")
    odd = [name for name in df.columns if not isinstance(name, str)]
    if odd:
        raise DataError(
            f"column name {shown(odd[0])} is a {type(odd[0]).__name__}, not text: rename the columns, "
            "for example with df.columns = df.columns.map(str)."
        )


def _column_meta(
    series: pd.Series,
    *,
    bounds: Sequence[Any] | None,
    categories: Sequence[Hashable] | None,
    decimals: int | None,
    id: bool | None,  # noqa: A002 - the schema file's own word
) -> ColumnMeta:
    import pandas as pd
    from pandas.api import types

    name = str(series.name)
    dtype = str(series.dtype)
    nullable = is_nullable(series)
    declared = ("bounds", bounds), ("categories", categories), ("id", id or None)
    given = [option for option, value in declared if value is not None]
    if len(given) > 1:
        raise MetadataError(f"column {name!r} has both {given[0]} and {given[1]}: declare one.")
    if id:
        text = types.is_object_dtype(series.dtype) or types.is_string_dtype(series.dtype)
        if not text and not types.is_numeric_dtype(series.dtype):
            raise MetadataError(
                f"ids names column {name!r} of dtype {dtype}: identifiers are numbers or text."
            )
        value_type = "str" if types.is_object_dtype(series.dtype) else ""
        return IdMeta(name, dtype, nullable, value_type)
    kind, value_type = kind_of(series)
    ordered = isinstance(series.dtype, pd.CategoricalDtype) and bool(series.dtype.ordered)
    if categories is not None:
        return CategoricalMeta(
            name,
            dtype,
            nullable,
            value_type,
            declared_categories(name, categories, category_kind(series), series.dtype),
            ordered,
        )
    if decimals is not None and kind != "number":
        raise MetadataError(f"decimals names column {name!r}, which holds no numbers: remove it.")
    if kind == "category":
        if bounds is not None:
            raise MetadataError(
                f"bounds name column {name!r} of dtype {dtype}, which holds no numbers or dates: declare "
                "categories, or convert the column first."
            )
        boolean = types.is_bool_dtype(series.dtype) or value_type in ("bool", "bool_")
        public = (False, True) if boolean else None
        return CategoricalMeta(name, dtype, nullable, value_type, public, ordered)
    if kind == "number":
        integer = types.is_integer_dtype(series.dtype) or value_type == "int"
        places = 0 if integer else declared_decimals(name, decimals)
        limits = declared_numbers(name, bounds)
        return ContinuousMeta(name, dtype, nullable, value_type, limits, places)
    duration = types.is_timedelta64_dtype(series.dtype) or value_type in ("timedelta", "Timedelta")
    span = declared_times(name, bounds, duration=duration)
    return DatetimeMeta(name, dtype, nullable, value_type, span, duration)
