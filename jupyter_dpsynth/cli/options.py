"""Options that several commands take: the table, the parameters of a run, what is declared."""

from __future__ import annotations

import argparse
import ast
import csv
from typing import TYPE_CHECKING, Any

from traitlets import Bool

from jupyter_dpsynth.cli.tables import add_reading
from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.metadata.kinds import category_kind, column_kind
from jupyter_dpsynth.parameters import ColumnName

if TYPE_CHECKING:
    from collections.abc import Collection

    from jupyter_dpsynth.sources.base import Source

__all__ = [
    "add_dataset",
    "add_declarations",
    "add_parameters",
    "add_table",
    "config_of",
    "declarations_of",
    "declared_ids_of",
]


def add_table(parser: Any, **options: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the table, and how CSV is written.

    Args:
        parser: The parser.
        **options: Of `add_argument`, such as nargs.
    """
    parser.add_argument(
        "table",
        help="a .csv, .csv.gz, .tsv, .parquet or .feather file; .sav, .zsav, .por, .dta, .xpt or .sas7bdat; "
        "a sheet as 'book.xlsx#Sheet1' (.xlsx, .ods); for several Parquet or CSV files, a folder or a quoted "
        "pattern such as 'data/*.parquet'; - for CSV from stdin",
        **options,
    )
    add_reading(parser)


def add_declarations(parser: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add what is public about the columns."""
    parser.add_argument(
        "--schema",
        help="what is public about the columns, as JSON or YAML: our own form, SDV metadata, a Table "
        "Schema, CSVW, a data contract (ODCS) or a file of pandera",
    )
    several = {"action": "append", "default": [], "metavar": "COLUMN"}
    listed = {"action": "append", "default": [], "metavar": "COLUMN=VALUES"}
    parser.add_argument(
        "--missing", help="values that stand for a missing one: 'height=-9,999'; may be repeated", **listed
    )
    parser.add_argument("--bounds", help="lowest and highest value: 'age=0,120'; may be repeated", **listed)
    parser.add_argument(
        "--categories", help="all values that may occur: 'city=Graz,Linz'; may be repeated", **listed
    )
    parser.add_argument(
        "--at-least",
        help="columns that are never above another one: 'discharged=admitted,operated'; may be repeated",
        **listed,
    )
    parser.add_argument("--decimals", help="digits after the point: 'price=2'; may be repeated", **listed)
    parser.add_argument(
        "--hierarchy",
        help="groups of codes: 'icd=icd10', 'postcode=prefix:1,2', 'branch=tree.csv'; may be repeated",
        action="append",
        default=[],
        metavar="COLUMN=RULE",
    )
    parser.add_argument(
        "--derived",
        help="a column that follows from others: 'total=net + tax', 'age=years(admitted - born)'; may be "
        "repeated",
        action="append",
        default=[],
        metavar="COLUMN=FORMULA",
    )
    parser.add_argument(
        "--id",
        dest="ids",
        help="a column of identifiers: never learned, gets new numbers, or what 'case=H-{:06d}' says; may be "
        "repeated",
        **several,
    )
    parser.add_argument("--ignore", help="a column to leave out altogether; may be repeated", **several)


def add_dataset(parser: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add what is said of the table to the ledger."""
    parser.add_argument(
        "--dataset", help="the dataset's name in the ledger; all tables learned under it count together"
    )
    parser.add_argument(
        "--new-dataset",
        action="store_true",
        help="your word that the table is about other people than all tables in the ledger, even if its "
        "columns or rows are like theirs",
    )
    parser.add_argument(
        "--infinite-total",
        action="store_true",
        help="let the dataset's total become infinite, where this run protects another unit (rows or "
        "persons) than the runs before it",
    )


def add_parameters(parser: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the parameters of `HighDimConfig`."""
    group = parser.add_argument_group("parameters")
    traits = HighDimConfig.class_traits()
    for name in HighDimConfig.option_names():
        trait = traits[name]
        text = str(trait.help).replace("%", "%%")
        options: dict[str, Any] = {"metavar": "VALUE", "help": text, "default": argparse.SUPPRESS}
        if isinstance(trait, Bool):
            options = {"action": argparse.BooleanOptionalAction, "help": text, "default": argparse.SUPPRESS}
        elif choices := getattr(trait, "values", ()):
            options |= {"choices": choices, "metavar": None}
        group.add_argument(f"--{name.replace('_', '-')}", **options)


def config_of(options: argparse.Namespace) -> HighDimConfig:
    """The parameters that were given."""
    traits, values = HighDimConfig.class_traits(), {}
    for name in HighDimConfig.option_names():
        if hasattr(options, name):
            text = getattr(options, name)
            column = isinstance(traits[name], ColumnName)  # its name is taken as it is written
            values[name] = text if column else HighDimConfig.parse(name, text)
    return HighDimConfig(**values)


def declarations_of(options: argparse.Namespace, table: Source) -> dict[str, Any]:
    """What is declared of the columns, as `MetaExtractor.extract` takes it.

    Args:
        options: What was given.
        table: The table.

    Raises:
        ConfigError: A declaration has not the form of one.
    """
    names = [str(name) for name in table.described.columns]
    return {
        "ids": declared_ids_of(options.ids, names),
        "schema": options.schema,
        **{
            name: _by_column(f"--{name}", getattr(options, name), table)
            for name in ("missing", "bounds", "categories")
        },
        "at_least": _by_column("--at-least", options.at_least, table, plain=True),
        "decimals": {name: _literal(text) for name, text in _words("decimals", options, table, "2").items()},
        "derived": _words("derived", options, table, "net + tax"),
        "hierarchy": _words("hierarchy", options, table, "prefix:1,3"),
    }


def _by_column(option: str, given: list[str], table: Source, *, plain: bool = False) -> dict[str, list[Any]]:
    """What some options of the form 'column=one,two' say, by column."""
    names, found = set(table.described.columns), dict[str, list[Any]]()
    for text in given:
        name, listed = _split(option, text, names, "one,two")
        series = table.first_values(name) if name in names else None
        # numbers, unless the column holds text; of a column that is not there the declaration is refused
        texts = plain or series is None or column_kind(series) == "datetime"
        texts = texts or (series is not None and category_kind(series) == "text")
        values = next(csv.reader([listed], skipinitialspace=True), [])
        found.setdefault(name, []).extend(values if texts else map(_literal, values))
    return found


def _words(name: str, options: argparse.Namespace, table: Source, example: str) -> dict[str, str]:
    """What the options of a name say, by column, as it was written."""
    names = set(table.described.columns)
    return dict(_split(f"--{name}", text, names, example) for text in getattr(options, name))


def _split(option: str, text: str, names: Collection[str], example: str) -> tuple[str, str]:
    """A column's name, which may have a sign of equality, and what is said of it."""
    places = [place for place, letter in enumerate(text) if letter == "="]
    place = next((each for each in reversed(places) if text[:each] in names), *places[:1] or [-1])
    if place < 1:
        raise ConfigError(f"{option} = {text!r} is not allowed: write 'column={example}'.")
    return text[:place], text[place + 1 :]


def _literal(text: str) -> Any:  # noqa: ANN401 - a number, a truth value, or the text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def declared_ids_of(given: list[str], columns: list[str]) -> dict[str, Any]:
    """What --id says, by column: True, or the format behind the sign of equality.

    >>> declared_ids_of(["person", "case=H-{:06d}"], ["person", "case"])
    {'person': True, 'case': 'H-{:06d}'}
    """
    pairs = ((text, "") if text in columns else text.partition("=")[::2] for text in given)
    return {name: look or True for name, look in pairs}
