"""`MetaExtractor`: makes a table's metadata from its header and the user's declarations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from jupyter_dpsynth.errors import MetadataError, did_you_mean, shown, tell_schema_note
from jupyter_dpsynth.metadata.columns import (
    CategoricalMeta,
    ContinuousMeta,
    DataFrameMeta,
    DatetimeMeta,
    IdMeta,
    check_column_names,
)
from jupyter_dpsynth.metadata.declarations import (
    MAX_DECIMALS,
    by_column,
    declared_categories,
    declared_decimals,
    declared_numbers,
    declared_times,
    read_schema,
)
from jupyter_dpsynth.metadata.derived import check_derived, declared_derived
from jupyter_dpsynth.metadata.hierarchy import declared_list, declared_prefixes, declared_tree
from jupyter_dpsynth.metadata.identifiers import checked_look, declared_ids
from jupyter_dpsynth.metadata.kinds import category_kind, column_kind, identifier_type, kind_of
from jupyter_dpsynth.metadata.missing import check_apart, declared_missing, missing_moments
from jupyter_dpsynth.metadata.orders import check_orders, declared_orders
from jupyter_dpsynth.sources.dtypes import dtype_text, is_kept, levels_told, zone_of
from jupyter_dpsynth.sources.letters import letters_of, parsed_letter
from jupyter_dpsynth.sources.missing import holds_missing
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.sources.refusals import column_call
from jupyter_dpsynth.sources.values import is_duration, levels_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import pandas as pd

    from jupyter_dpsynth.metadata.columns import ColumnMeta
    from jupyter_dpsynth.metadata.tables import Children, TablesMeta
    from jupyter_dpsynth.sources.base import Source

__all__ = ["OPTIONS", "MetaExtractor", "column_meta", "gather_declarations"]

# what can be declared of a column
OPTIONS = ("at_least", "bounds", "categories", "decimals", "derived", "hierarchy", "id", "missing")


class MetaExtractor:
    """Combines the column names and types of a table with what the user declares as public."""

    @overload
    @staticmethod
    def extract(
        df: object,
        *,
        bounds: Mapping[str, Sequence[Any]] | None = None,
        categories: Mapping[str, Sequence[Hashable]] | None = None,
        decimals: Mapping[str, int] | None = None,
        missing: Mapping[str, Sequence[Any]] | None = None,
        hierarchy: Mapping[str, Any] | None = None,
        at_least: Mapping[str, str | Sequence[str]] | None = None,
        derived: Mapping[str, str] | None = None,
        ids: Sequence[str] | Mapping[str, Any] = (),
        schema: object = None,
        children: None = None,
    ) -> DataFrameMeta: ...

    @overload
    @staticmethod
    def extract(
        df: Mapping[str, object],
        *,
        bounds: Mapping[str, Any] | None = None,
        categories: Mapping[str, Any] | None = None,
        decimals: Mapping[str, Any] | None = None,
        missing: Mapping[str, Any] | None = None,
        hierarchy: Mapping[str, Any] | None = None,
        at_least: Mapping[str, Any] | None = None,
        ids: Mapping[str, Any] | None = None,
        schema: Mapping[str, Any] | None = None,
        children: Sequence[Children],
    ) -> TablesMeta: ...

    @staticmethod
    def extract(
        df: object,
        *,
        bounds: Mapping[str, Any] | None = None,
        categories: Mapping[str, Any] | None = None,
        decimals: Mapping[str, Any] | None = None,
        missing: Mapping[str, Any] | None = None,
        hierarchy: Mapping[str, Any] | None = None,
        at_least: Mapping[str, Any] | None = None,
        derived: Mapping[str, Any] | None = None,
        ids: Any = (),
        schema: Any = None,
        children: Sequence[Children] | None = None,
    ) -> Any:
        """Return the public metadata of a table.

        Args:
            df: The table, `[n, columns]`: of pandas, polars, pyarrow, DuckDB or Dask, another one with
                the Arrow PyCapsule interface, or a path or pattern of Parquet or CSV files.
                Only names and dtypes are read (and, in object columns of pandas, which Python type most
                values have). Of CSV files the types of the first 10,000 rows are taken as schema.
                Levels of an enumeration (Enum of polars, ENUM of DuckDB) are public categories.
            bounds: Public lowest and highest value by column: numbers, or dates as text or
                timestamps. Values outside are clamped.
            categories: Public categories by column. Other values come back as one of these.
            decimals: Public number of digits after the point by column, 0 to 9.
            missing: Values by column that stand for a missing one, such as -9 or 'unknown'; a day stands for
                all of it. They are learned as missing. In the synthetic table they are missing, too: numpy's
                whole numbers and truth values, which cannot hold that, become pandas' nullable ones.
            hierarchy: Public groups of codes by column, as the lengths of the groups' codes: 'prefix:1,3' for
                diagnoses such as I21.4, with groups I21 and I. Or a tree, as a dict from each code to its
                group or as a CSV file of such pairs ('tree.csv'). Or a classification: 'icd10', 'nace2',
                'isco08' or 'nuts'. Codes that are too rare to be published come back as their group. A level
                costs a part of what the column is measured with.
            at_least: Public orders: by column the name of another one, or several, whose value is never above
                its own in a row that has both: {'discharged': 'admitted'}. All synthetic rows keep it, and
                dates in order are learned as the time between them. Rows that break it count as mistakes.
            derived: Columns of numbers that publicly follow from others: {'total': 'net + tax', 'age':
                'years(admitted - born)'}. They are not learned, which costs nothing, but computed in every
                synthetic row, and missing where one of the others is. A sum has as many digits as its parts,
                or those of 'round(net + tax, 2)'; units of time are whole ones that have passed.
            ids: Columns that identify rows: never learned, numbered anew on output. Or, by column, what new
                ones look like: a public format such as 'H-{:06d}', or {'realistic': 'name', 'locale':
                'de_DE'} for what Faker makes (names, addresses, phone numbers, ...).
            schema: The same declarations as the path of a YAML or JSON file, or its content:
                `columns: {age: {bounds: [17, 90]}, sex: {categories: [F, M]}, key: {id: true}}`. Or
                SDV metadata, a Frictionless Table Schema (as a file, its content or an object), CSVW
                metadata, a data contract (ODCS 3), or a pandera schema (also as its file). A
                SchemaWarning says what of those has no counterpart here.
            children: Of several tables of the same persons, `df = {"patients": ..., "visits": ...}`: those
                in which a person has any number of rows. Declarations are then given by table, as in
                `bounds={"visits": {"stay": (0, 90)}}`.

        Returns:
            The metadata; of several tables a `TablesMeta`.

        Raises:
            MetadataError: A declaration names an unknown column, does not fit its type or
                contradicts itself; a column has a type that cannot be learned.
            DataError: The frame has no columns, or unusable column names.

        Privacy:
            Free: what is declared is stated to be public by whoever declares it.
        """
        if children is not None:
            options = {"bounds": bounds, "categories": categories, "decimals": decimals, "missing": missing}
            options |= {"hierarchy": hierarchy, "at_least": at_least, "derived": derived}
            options |= {"ids": ids or None, "schema": schema}
            return _extract_tables(df, children, options)
        source = open_source(df)
        check_column_names(source.described)
        declared = gather_declarations(
            source,
            bounds=bounds,
            categories=categories,
            decimals=decimals,
            missing=missing,
            hierarchy=hierarchy,
            at_least=at_least,
            derived=derived,
            ids=ids,
            schema=schema,
        )
        columns = tuple(column_meta(source, name, declared) for name in source.described.columns)
        check_orders(columns)
        df_meta = DataFrameMeta(columns, source.form, source.codebook)
        check_derived(df_meta)
        return df_meta


def _extract_tables(df: object, children: Sequence[Children], given: dict[str, Any]) -> TablesMeta:
    """The metadata of several tables.

    Args:
        df: Tables by name.
        children: Those in which a person has any number of rows.
        given: Declarations by option, then by table.
    """
    from jupyter_dpsynth.metadata.tables import check_children, public_times, tables_meta

    found, parent = check_children(df, children)
    if not isinstance(df, Mapping):
        raise TypeError
    by_table: dict[str, dict[str, Any]] = {name: {} for name in df}
    for option, values in given.items():
        for name, value in by_column(option, values).items():
            if name not in by_table:
                hint = did_you_mean(str(name), by_table)
                raise MetadataError(f"{option}: declarations go by table, and {shown(name)} is none.{hint}")
            by_table[name][option] = value
    windows = {each.table: {each.column: each.window} for each in found if each.window is not None}
    for name, window in windows.items():
        by_table[name]["bounds"] = {**by_table[name].get("bounds", {}), **window}
    metas = {}
    for name, table in df.items():
        metas[name] = MetaExtractor.extract(table, **by_table[name])
        for column, _ in metas[name].derivations:
            raise MetadataError(
                f"derived names column {column!r} of {name!r}: columns of several tables cannot be derived "
                "yet. Leave it out of derived, or out of the table (and compute it in the synthetic one)."
            )
    timed = [
        each if each.times is None else public_times(df[each.table], each, column_meta) for each in found
    ]
    return tables_meta(metas, timed, parent)


def gather_declarations(
    source: Source,
    *,
    bounds: Mapping[str, Sequence[Any]] | None = None,
    categories: Mapping[str, Sequence[Hashable]] | None = None,
    decimals: Mapping[str, int] | None = None,
    missing: Mapping[str, Sequence[Any]] | None = None,
    hierarchy: Mapping[str, Any] | None = None,
    at_least: Mapping[str, str | Sequence[str]] | None = None,
    derived: Mapping[str, str] | None = None,
    ids: Sequence[str] | Mapping[str, Any] = (),
    schema: object = None,
) -> dict[str, dict[str, Any]]:
    """All declarations about the columns of a table, including those in a schema.

    Args:
        source: The table.
        bounds: As for `MetaExtractor.extract`; so are the others.
        categories: Public categories by column.
        decimals: Public digits after the point by column.
        missing: Codes for a missing value by column.
        hierarchy: Public groups of codes by column.
        at_least: Public orders of columns.
        derived: Columns that follow from others.
        ids: Columns that identify rows.
        schema: The same as a file or its content, or another library's schema.

    Returns:
        What is declared, by option (of `OPTIONS`) and by column. Whether it fits the column is found out by
        `column_meta`.

    Raises:
        MetadataError: A declaration names an unknown column, or has not the form of one.
    """
    frame = source.described
    declared: dict[str, dict[str, Any]] = {
        "bounds": by_column("bounds", bounds),
        "categories": by_column("categories", categories),
        "decimals": by_column("decimals", decimals),
        "hierarchy": by_column("hierarchy", hierarchy),
        "at_least": by_column("at_least", at_least),
        "derived": by_column("derived", derived),
        "id": declared_ids(ids),
        "missing": by_column("missing", missing),
    }
    if schema is not None:
        read_schema(
            schema, declared, list(frame.columns), lambda name: column_kind(source.first_values(name))
        )
    _add_stated(source, declared)
    for option, values in declared.items():
        for name in values:
            if name not in set(frame.columns):
                hint = did_you_mean(str(name), map(str, frame.columns))
                raise MetadataError(f"{option} names column {shown(name)}, which is not in the table.{hint}")
    return declared


def _add_stated(source: Source, declared: dict[str, dict[str, Any]]) -> None:
    """Add what the table itself states, such as levels of an enumeration; what users declare goes first."""
    if source.note:
        tell_schema_note(source.note, stacklevel=4)
    taken = {name for option in ("bounds", "categories", "derived", "id") for name in declared[option]}
    for name, codes in source.declared.get("missing", {}).items():
        if name not in declared["id"]:  # what users declare comes on top
            own = declared["missing"].get(name, ())
            categories = declared["categories"].get(name, ())
            declared["missing"][name] = [*own, *(c for c in codes if c not in (*own, *categories))]
    for option, by_name in source.declared.items():
        if option == "missing":
            continue
        for name, value in by_name.items():
            besides = option == "decimals" and name not in declared["id"]
            if besides or name not in taken:
                declared[option].setdefault(name, value)


def column_meta(source: Source, name: str, declared: Mapping[str, Mapping[str, Any]]) -> ColumnMeta:
    """The metadata of one column.

    Args:
        source: The table.
        name: The column.
        declared: By option and by column, as `gather_declarations` returns it; options may be left out.

    Raises:
        MetadataError: A declaration does not fit the column's type or contradicts another one; or the column
            has a type that cannot be learned.
    """
    if name in source.refused:
        raise MetadataError(
            f"column {name!r} has a type that cannot be learned ({source.refused[name]}): leave it out "
            f"(ignore = [{name!r}] in a cell, --ignore {name!r} in a terminal), or convert it "
            f"({column_call(name, source.refused[name], source.form)})."
        )
    options = {option: declared.get(option, {}).get(name) for option in OPTIONS}
    if name in source.lettered and isinstance(options["missing"], list | tuple):
        known = ((code, parsed_letter(code)) for code in options["missing"])
        options["missing"] = [code if letter is None else letter for code, letter in known]
    meta = _column_meta(source.first_values(name), **options)
    if not isinstance(meta, ContinuousMeta) or not meta.missing:
        return meta
    if name in source.declared.get("missing", ()) or letters_of(meta.missing):
        return replace(meta, coded=True)
    return meta


def _column_meta(
    series: pd.Series,
    *,
    at_least: str | Sequence[str] | None,
    bounds: Sequence[Any] | None,
    categories: Sequence[Hashable] | None,
    decimals: int | None,
    derived: str | None,
    hierarchy: object,
    id: Any,  # noqa: A002, ANN401 - the schema file's own word; True, or what new ones look like
    missing: Sequence[Any] | None,
) -> ColumnMeta:
    import pandas as pd
    from pandas.api import types

    name = str(series.name)
    dtype = dtype_text(series.dtype)
    id = None if id is False else id  # noqa: A001 - a schema file may say so
    nullable = holds_missing(series.dtype) or missing is not None
    declared = [("bounds", bounds), ("categories", categories), ("hierarchy", hierarchy), ("id", id)]
    declared.append(("derived", derived))
    given = [option for option, value in declared if value is not None]
    given += ["missing"] * (id is not None and missing is not None)
    given += ["at_least"] * (at_least is not None and given not in ([], ["bounds"]))
    if len(given) > 1:
        raise MetadataError(f"column {name!r} has both {given[0]} and {given[1]}: declare only one of them.")
    if id is not None:
        return _id_meta(series, name, dtype, id, nullable=nullable)
    kind, value_type = kind_of(series)
    ordered = isinstance(series.dtype, pd.CategoricalDtype) and bool(series.dtype.ordered)
    level_type = levels_told(series.dtype)
    duration = is_duration(series.dtype) or value_type in ("timedelta", "Timedelta")
    zone = zone_of(series.dtype, value_type)
    codes = _codes_for_missing(series, kind, missing, duration=duration, zone=zone)
    if hierarchy is not None:
        of_values = category_kind(series)
        tree = declared_tree(name, hierarchy, of_values)
        code_list = declared_list(name, hierarchy, of_values)
        lengths = () if tree or code_list else declared_prefixes(name, hierarchy, of_values)
        return CategoricalMeta(
            name,
            dtype,
            nullable,
            value_type,
            None,
            ordered,
            missing=codes,
            prefixes=lengths,
            tree=tree,
            code_list=code_list,
            level_type=level_type,
        )
    if categories is not None:
        known = declared_categories(name, categories, category_kind(series), series.dtype)
        check_apart(name, known, codes)
        known = _in_order(known, series) if ordered else known
        return CategoricalMeta(
            name, dtype, nullable, value_type, known, ordered, missing=codes, level_type=level_type
        )
    if decimals is not None and kind != "number":
        raise MetadataError(f"decimals names column {name!r}, which does not contain numbers: remove it.")
    lower, formula = declared_orders(name, at_least, kind), declared_derived(name, derived, kind)
    if kind == "category":
        if bounds is not None:
            raise MetadataError(
                f"bounds name column {name!r} of dtype {dtype}, which does not contain numbers or dates: "
                "declare categories, or convert the column first."
            )
        boolean = types.is_bool_dtype(series.dtype) or value_type in ("bool", "bool_")
        public = (False, True) if boolean else None
        return CategoricalMeta(
            name, dtype, nullable, value_type, public, ordered, missing=codes, level_type=level_type
        )
    if kind == "number":
        integer = types.is_integer_dtype(series.dtype) or value_type == "int"
        # a decimal type of Arrow has its digits in its name
        scale = getattr(getattr(series.dtype, "pyarrow_dtype", None), "scale", None)
        if decimals is None and scale is not None and 0 <= scale <= MAX_DECIMALS:
            decimals = scale
        places = 0 if integer else declared_decimals(name, decimals)
        limits = declared_numbers(name, bounds)
        return ContinuousMeta(
            name,
            dtype,
            nullable,
            value_type,
            limits,
            places,
            missing=codes,
            at_least=lower,
            derived=formula,
        )
    span = declared_times(name, bounds, duration=duration, zone=zone)
    return DatetimeMeta(name, dtype, nullable, value_type, span, duration, missing=codes, at_least=lower)


def _in_order(categories: tuple[Hashable, ...], series: pd.Series) -> tuple[Hashable, ...]:
    """Declared categories of an ordered column in its own order, if it has all of them."""
    place = {level: number for number, level in enumerate(levels_of(series.dtype.categories))}
    return tuple(sorted(categories, key=place.__getitem__)) if place.keys() >= set(categories) else categories


def _codes_for_missing(
    series: pd.Series,
    kind: str,
    missing: Sequence[Any] | None,
    *,
    duration: bool,
    zone: Any,  # noqa: ANN401
) -> tuple[Any, ...]:
    """The declared values of a column that stand for a missing one, as its own values are."""
    name = str(series.name)
    if missing is None:
        return ()
    if kind == "datetime":
        return missing_moments(name, missing, duration=duration, zone=zone)
    return declared_missing(name, missing, category_kind(series))


def _id_meta(series: pd.Series, name: str, dtype: str, look: object, *, nullable: bool) -> IdMeta:
    """The metadata of an identifier; MetadataError if new ones could not be told apart in its dtype."""
    from pandas.api import types

    objects = types.is_object_dtype(series.dtype)
    value_type = identifier_type(series) if objects else ""
    number = types.is_numeric_dtype(series.dtype) and not types.is_complex_dtype(series.dtype)
    text = value_type == "str" or (types.is_string_dtype(series.dtype) and not objects)
    known = number or text or bool(value_type)
    if types.is_bool_dtype(series.dtype) or not known or not is_kept(series.dtype):
        raise MetadataError(
            f"ids names column {name!r} of dtype {dtype}: identifiers are numbers or text. Convert it "
            f"(df[{name!r}] = df[{name!r}].astype(str)), or leave it out of ids."
        )
    return IdMeta(name, dtype, nullable, value_type, look=checked_look(name, look, text=text))
