"""Options that several commands take: the table, the parameters of a run, what is declared."""

from __future__ import annotations

import argparse
from typing import Any

from traitlets import Bool

from jupyter_dpsynth.cli.tables import add_reading
from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.parameters import ColumnName

__all__ = [
    "add_dataset",
    "add_declarations",
    "add_parameters",
    "add_table",
    "config_of",
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
        "Schema, CSVW or a data contract (ODCS)",
    )
    several = {"action": "append", "default": [], "metavar": "COLUMN"}
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


def declared_ids_of(given: list[str], columns: list[str]) -> dict[str, Any]:
    """What --id says, by column: True, or the format behind the sign of equality.

    >>> declared_ids_of(["person", "case=H-{:06d}"], ["person", "case"])
    {'person': True, 'case': 'H-{:06d}'}
    """
    pairs = ((text, "") if text in columns else text.partition("=")[::2] for text in given)
    return {name: look or True for name, look in pairs}
