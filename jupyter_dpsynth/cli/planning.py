"""`jupyter dpsynth calc`: what a run would cost and give, without reading a value."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.cli.options import (
    add_declarations,
    add_parameters,
    add_table,
    config_of,
    declarations_of,
)
from jupyter_dpsynth.cli.several import DECLARED, add_children, meta_of_several
from jupyter_dpsynth.display.console import working
from jupyter_dpsynth.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from jupyter_dpsynth.metadata.columns import DataFrameMeta

__all__ = ["add_calc"]


def add_calc(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command."""
    parser = commands.add_parser(
        "calc",
        help="forecast a run: epsilon, noise, error, time",
        description="Forecast a run: epsilon, noise, error, time. Only names and types of columns are read. "
        "The row count is private, so give an approximate one. Without a table, the plan is for some columns "
        "of each kind.",
        allow_abbrev=False,
    )
    add_table(parser, nargs="?")
    parser.add_argument("--rows", type=int, help="about how many rows to plan for; 10,000 if not given")
    parser.add_argument("--columns", type=int, help="without a table: how many columns to plan for")
    add_declarations(parser)
    add_children(parser)
    add_parameters(parser)
    parser.set_defaults(run=calc)


def calc(options: argparse.Namespace) -> int:
    """Print the forecast.

    Raises:
        ConfigError: The options do not go together, or no plan keeps within epsilon.

    Privacy:
        Free: names and types of the columns are public.
    """
    for name in ("rows", "columns"):
        given = getattr(options, name)
        if given is not None and given < 1:
            raise ConfigError(f"--{name} = {given} is not allowed: give a whole number from 1.")
    with working("planning"):  # the first time the accountant is loaded
        text = _forecast(options)
    sys.stdout.write(f"{text}\n")
    return 0


def _forecast(options: argparse.Namespace) -> str:
    """The forecast as text."""
    from jupyter_dpsynth.engine.planning.forecast import ASSUMED_ROWS, forecast
    from jupyter_dpsynth.engine.planning.forecast_words import forecast_text

    config = config_of(options)
    several = meta_of_several(options)
    if several is not None:
        from jupyter_dpsynth.persons.forecast import forecast_persons, forecast_title

        persons = float(options.rows or ASSUMED_ROWS)
        together = forecast_persons(config.resolve(), several, persons)
        return forecast_text(together, forecast_title(together, several, known=bool(options.rows)))
    df_meta, partitioned, copied = _metadata(options, config.privacy_unit)
    rows = options.rows or ASSUMED_ROWS
    plan = forecast(
        config.resolve(), df_meta, float(rows), timed=True, partitioned=partitioned, copied=copied
    )
    learned = [column for column in df_meta.learned if column.name != config.privacy_unit]
    known = "" if options.rows else " (assumed; give your number with --rows, the rows are not counted)"
    what = options.table or "a table that you have not named"
    title = f"Plan for {what}, {len(learned)} columns to learn, about {rows:,} rows{known}."
    return forecast_text(plan, title)


def _metadata(options: argparse.Namespace, privacy_unit: str | None) -> tuple[DataFrameMeta, bool, bool]:
    """The columns to plan for, whether the table is read part by part, and whether it is copied before."""
    from jupyter_dpsynth.cli.tables import open_table, reading_of
    from jupyter_dpsynth.engine.planning.forecast import ASSUMED_COLUMNS, assumed_metadata
    from jupyter_dpsynth.metadata.extracting import MetaExtractor
    from jupyter_dpsynth.sources.opening import leave_out

    if options.table is None:
        if any(getattr(options, name) for name in (*DECLARED, "ignore", "schema")):
            raise ConfigError("to declare something about columns, name the table: calc TABLE.")
        return assumed_metadata(options.columns or ASSUMED_COLUMNS, privacy_unit), False, False
    if options.columns is not None:
        raise ConfigError("--columns is only for a plan without a table: leave it out.")
    with leave_out(open_table(options.table, reading_of(options)), options.ignore, "--ignore") as table:
        df_meta = MetaExtractor.extract(table, **declarations_of(options, table))
        return df_meta, table.partitioned, table.copied
