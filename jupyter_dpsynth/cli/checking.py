"""`jupyter dpsynth doctor`: looks in a table for what would spoil a run, before anything is spent."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.cli.options import add_declarations, add_table, declarations_of
from jupyter_dpsynth.cli.several import add_children, several_tables
from jupyter_dpsynth.errors import ConfigError, shielded

if TYPE_CHECKING:
    import argparse

    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.sources.base import Source

__all__ = ["add_doctor"]


def add_doctor(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        help="check a table for what would spoil a run",
        description="Look in a private table for what would spoil a run, before anything is spent. What is "
        "printed is computed from the rows and not covered by epsilon: it is for the owner's eyes only.",
        allow_abbrev=False,
    )
    add_table(parser)
    add_declarations(parser)
    add_children(parser)
    parser.add_argument("--epsilon", type=float, default=1.0, help="of the run (default: %(default)s)")
    parser.add_argument(
        "--privacy-unit", default=None, metavar="COLUMN", help="the column that names persons"
    )
    parser.add_argument(
        "--convert",
        metavar="FILE",
        help="write the table with all conversions that are offered to a .parquet, .feather or .csv file. It "
        "has private rows",
    )
    parser.set_defaults(run=doctor)


def doctor(options: argparse.Namespace) -> int:
    """Print the findings.

    Privacy:
        None: they depend on the rows, and no noise is added. They say so.
    """
    from jupyter_dpsynth.cli.tables import check_format, checked_output, open_table, reading_of, write_table
    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.engine.planning.conversions import converted_table
    from jupyter_dpsynth.engine.planning.doctor import examine
    from jupyter_dpsynth.engine.planning.findings import Place, conversions_of, findings_text
    from jupyter_dpsynth.sources.opening import leave_out

    config = HighDimConfig(epsilon=options.epsilon, privacy_unit=options.privacy_unit).resolve()
    target = options.convert
    if target is not None:
        check_format(target, "--convert")
        checked_output(target, replace=False, otherwise=": give another name.", option="--convert")
    with leave_out(open_table(options.table, reading_of(options)), options.ignore, "--ignore") as table:
        several = several_tables(options, table)
        if several is not None:
            sys.stdout.write(f"{_several(options, *several)}\n")
            return 0
        declared = declarations_of(options, table)
        with table.without([]) as examined:
            findings = examine(examined, config, declared=declared)
        if target is not None:
            write_table(converted_table(table, conversions_of(findings)), target, "--convert")
            sys.stdout.write(
                f"{target}: the table with all conversions; its rows are private. Next: jupyter dpsynth "
                f"doctor {shlex.quote(target)}\n"
            )
            return 0
    place = Place(options.table, in_pandas=False, terminal=True)
    sys.stdout.write(f"{findings_text(findings, place)}\n")
    return 0


def _several(options: argparse.Namespace, tables: dict[str, Source], meta: TablesMeta) -> str:
    """The findings in several tables of the same persons, as text."""
    from jupyter_dpsynth.engine.planning.findings import Place, findings_text
    from jupyter_dpsynth.persons.checkup import examine_histories
    from jupyter_dpsynth.persons.learning import in_memory

    if options.convert is not None:
        raise ConfigError("--convert is for one table: leave it out, or check the tables one by one.")
    if options.privacy_unit is None:
        raise ConfigError("--privacy-unit is missing: name the column that all tables have.")
    findings = shielded(
        lambda: examine_histories(in_memory(tables), meta, options.privacy_unit), "the check-up failed"
    )
    return findings_text(findings, Place(options.table, in_pandas=False, terminal=True))
