"""Several tables of the same persons in a terminal."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, shown
from jupyter_dpsynth.sources.dtypes import dtype_of, dtype_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.sources.base import Source

__all__ = [
    "DECLARED",
    "add_children",
    "add_other_tables",
    "meta_of_several",
    "private_tables",
    "several_tables",
    "synthetic_tables",
    "typed",
    "with_types",
]

REFUSED = ("ignore", "schema")
DECLARED = ("at_least", "bounds", "categories", "decimals", "derived", "hierarchy", "ids", "missing")
BY_TABLE = ("order", "most", "exactly", "window", "times", "of", "ends")


def add_other_tables(parser: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the option that names the other private tables of a model of several ones."""
    parser.add_argument(
        "--children",
        action="append",
        default=[],
        metavar="NAME=...",
        help="of a model of several tables: where another private one is, 'visits=visits.parquet'; may be "
        "repeated. The synthetic ones are in one folder or pattern, such as 'out/*.csv'",
    )


def private_tables(options: argparse.Namespace, first: str, meta: TablesMeta | None) -> Any:  # noqa: ANN401
    """The private tables of a model by name; of a model of one table, that table.

    Args:
        options: What was given.
        first: Where the table of persons is, or the first one of rows.
        meta: What the model says of its tables; None if there is one.

    Raises:
        ConfigError: The tables are not those of the model.
    """
    from jupyter_dpsynth.cli.tables import open_table, reading_of

    others, reading = _by_table("children", options.children), reading_of(options)
    if meta is None:
        if others:
            raise ConfigError("--children is for a model of several tables: leave it out.")
        return open_table(first, reading)
    name = meta.parent or meta.children[0].table
    wanted = [each for each in meta.tables if each != name]
    if sorted(others) != sorted(wanted):
        given = " ".join(f"--children {each}=..." for each in wanted)
        raise ConfigError(
            f"the model is of the tables {', '.join(meta.tables)}: give {given or 'no --children'}."
        )
    paths = {name: first, **others}
    return {each: open_table(paths[each], reading) for each in meta.tables}


def synthetic_tables(path: str, meta: TablesMeta) -> dict[str, pd.DataFrame]:
    """Synthetic tables from the files of a folder, or of a pattern like 'out/*.csv'.

    Args:
        path: The folder or pattern, as `synthesize --to` took it.
        meta: What the model says of its tables.

    Raises:
        ConfigError: It is neither.
        DataError: A file cannot be read.
    """
    from jupyter_dpsynth.cli.tables import read_table
    from jupyter_dpsynth.persons.writing import files_of

    files = files_of(path, meta, "the synthetic tables")
    found = {name: read_table(str(file)) for name, file in zip(meta.tables, files, strict=True)}
    return with_types(found, meta)


def with_types(tables: Mapping[str, pd.DataFrame], meta: TablesMeta) -> dict[str, pd.DataFrame]:
    """Tables with the types of those that were learned, which a text file does not keep, where values fit.

    Args:
        tables: Tables by name, synthetic or for their owner's eyes: whether values fit shows in errors.
        meta: What the model says of its tables.
    """
    return {name: typed(df, meta.tables[name]) for name, df in tables.items()}


def typed(df: pd.DataFrame, meta: DataFrameMeta) -> pd.DataFrame:
    """The same for one table; one that has these types is returned itself.

    Args:
        df: The table.
        meta: What the model says of it.
    """
    found = {}
    for each in meta.columns:
        if each.name in df and dtype_text(df[each.name].dtype) != each.dtype:
            with contextlib.suppress(ValueError, TypeError, OverflowError):  # the check then names the types
                found[each.name] = df[each.name].astype(dtype_of(each.dtype))
    return df.assign(**found) if found else df


def add_children(parser: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the options that are about several tables."""
    group = parser.add_argument_group("several tables of the same persons, or rows in order")
    several = {"action": "append", "default": [], "metavar": "NAME=..."}
    group.add_argument(
        "--children",
        help="a table in which a person has any number of rows: 'visits=visits.parquet'; may be repeated",
        **several,
    )
    group.add_argument(
        "--order",
        help="the column by which these are in order: 'visits=admitted'; may be repeated",
        **several,
    )
    group.add_argument(
        "--most", help="most rows of a person that are used: 'visits=12'; may be repeated", **several
    )
    group.add_argument(
        "--exactly",
        help="how many rows every person has, where that is public: 'years=8'; may be repeated",
        **several,
    )
    group.add_argument(
        "--window",
        help="public first and last value of the order: 'visits=2021-01-01,2023-12-31'; may be repeated",
        **several,
    )
    group.add_argument(
        "--times",
        help="public values of the order at which everybody is observed: 'waves=2018,2020'; may be repeated",
        **several,
    )
    group.add_argument(
        "--of",
        help="a table to whose rows the rows belong, and the column that names these: "
        "'visits=members,member_id'; may be repeated",
        **several,
    )
    group.add_argument(
        "--ends",
        help="values of a column after which a person has no further row: 'visits=outcome:died'; may be "
        "repeated",
        **several,
    )


def several_tables(options: argparse.Namespace, table: Source) -> tuple[dict[str, Source], TablesMeta] | None:
    """The tables and their metadata; None if the command is about one table without an order.

    Args:
        options: What was given.
        table: The first table, opened.

    Raises:
        ConfigError: An option has not the form of one, or is not possible with several tables.
    """
    from jupyter_dpsynth.cli.tables import open_table, reading_of
    from jupyter_dpsynth.metadata.extracting import MetaExtractor
    from jupyter_dpsynth.metadata.tables import MOST_CHILDREN, Children

    given = {name: _by_table(name, getattr(options, name)) for name in ("children", *BY_TABLE)}
    if not any(given.values()):
        return None
    for name in REFUSED:
        if getattr(options, name):
            raise ConfigError(
                f"--{name} is not possible with several tables in a terminal: use Python for it."
            )
    first = Path(options.table).name.partition(".")[0]
    tables = {first: table}
    for name, path in given["children"].items():
        tables[name] = open_table(path, reading_of(options))
    events = list(given["children"]) or [first]
    for option in BY_TABLE:
        for name in given[option]:
            if name not in events:
                raise ConfigError(f"--{option} names the table {shown(name)}, which is not among --children.")
    windows, times, of = (
        {name: tuple(part.strip() for part in text.split(",")) for name, text in given[option].items()}
        for option in ("window", "times", "of")
    )
    children = [
        Children(
            name,
            given["order"].get(name),
            _number("most", given["most"].get(name, str(MOST_CHILDREN))),
            windows.get(name),
            _number("exactly", given["exactly"][name]) if name in given["exactly"] else None,
            times.get(name),
            of.get(name),
            _ends(given["ends"][name]) if name in given["ends"] else None,
        )
        for name in events
    ]
    return tables, MetaExtractor.extract(tables, children=children, **_declarations(options, tables))


def _declarations(options: argparse.Namespace, tables: dict[str, Source]) -> dict[str, Any]:
    """What is declared of columns that are written 'visits.stay', by option and table.

    Raises:
        ConfigError: A column is of no table, or a declaration has not the form of one.
    """
    from jupyter_dpsynth.cli.options import declarations_of

    found: dict[str, dict[str, Any]] = {}
    left = {option: list(getattr(options, option)) for option in DECLARED}
    for name, table in tables.items():
        own = {option: [text for text in left[option] if text.startswith(f"{name}.")] for option in DECLARED}
        left = {option: [text for text in left[option] if text not in own[option]] for option in DECLARED}
        bare = {option: [text.removeprefix(f"{name}.") for text in own[option]] for option in DECLARED}
        for option, value in declarations_of(argparse.Namespace(**bare, schema=None), table).items():
            if value:
                found.setdefault(option, {})[name] = value
    for option, texts in left.items():
        for text in texts:
            written = "--id" if option == "ids" else f"--{option.replace('_', '-')}"
            raise ConfigError(
                f"{written} = {shown(text)} names a column of no table: write '{next(iter(tables))}.{text}' "
                "or with another table's name before the point."
            )
    return found


def meta_of_several(options: argparse.Namespace) -> TablesMeta | None:
    """The metadata of the tables that are named; None if the command is about one table without an order.

    Raises:
        ConfigError: As `several_tables`.
    """
    from jupyter_dpsynth.cli.tables import open_table, reading_of

    if options.table is None:
        return None
    with open_table(options.table, reading_of(options)) as table:
        several = several_tables(options, table)
        return None if several is None else several[1]


def _by_table(option: str, given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"--{option} = {shown(text)} is not allowed: write 'NAME=...'.")
        found[name] = value
    return found


def _number(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"--{option} = {shown(text)} is not allowed: write 'visits=12'.") from None


def _ends(text: str) -> dict[str, list[str]]:
    column, colon, values = text.partition(":")
    if not (column and colon and values):
        raise ConfigError(f"--ends = {shown(text)} is not allowed: write 'visits=outcome:died'.")
    return {column.strip(): [part.strip() for part in values.split(",")]}
