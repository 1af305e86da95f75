"""`jupyter dpsynth doctor`: looks in a table for what would spoil a run, before anything is spent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.cli.options import add_declarations, add_table, declared_ids_of

if TYPE_CHECKING:
    import argparse

__all__ = ["add_doctor"]

APPLY = (
    "Lines that begin with df[ are for pandas: run them where you read the table, and save it as Parquet. Of "
    "the others, ids is --id, ignore is --ignore, missing belongs into the --schema, and parameters are "
    "options of 'learn'."
)


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
    parser.add_argument("--epsilon", type=float, default=1.0, help="of the run (default: %(default)s)")
    parser.add_argument(
        "--privacy-unit", default=None, metavar="COLUMN", help="the column that names persons"
    )
    parser.set_defaults(run=doctor)


def doctor(options: argparse.Namespace) -> int:
    """Print the findings.

    Privacy:
        None: they depend on the rows, and no noise is added. They say so.
    """
    from jupyter_dpsynth.cli.tables import open_table, reading_of
    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.engine.planning.doctor import examine
    from jupyter_dpsynth.engine.planning.findings import findings_text
    from jupyter_dpsynth.sources.opening import leave_out

    config = HighDimConfig(epsilon=options.epsilon, privacy_unit=options.privacy_unit).resolve()
    table = leave_out(open_table(options.table, reading_of(options)), options.ignore, "--ignore")
    ids = declared_ids_of(options.ids, list(table.described.columns))
    declared = {"ids": ids, "schema": options.schema}
    sys.stdout.write(f"{findings_text(examine(table, config, declared=declared), APPLY)}\n")
    return 0
