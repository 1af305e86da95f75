"""`jupyter dpsynth doctor`: looks in a table for what would spoil a run, before anything is spent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.cli.tables import add_reading

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
    parser.add_argument("table", help="as for learn")
    add_reading(parser)
    parser.add_argument("--schema", help="what is public about the columns, as for learn")
    several = {"action": "append", "default": [], "metavar": "COLUMN"}
    parser.add_argument("--id", dest="ids", help="a column of identifiers; may be repeated", **several)
    parser.add_argument("--ignore", help="a column to leave out; may be repeated", **several)
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
    from jupyter_dpsynth.cli.tables import open_table
    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.engine.planning.doctor import examine
    from jupyter_dpsynth.engine.planning.findings import findings_text
    from jupyter_dpsynth.sources.opening import leave_out

    config = HighDimConfig(epsilon=options.epsilon, privacy_unit=options.privacy_unit).resolve()
    table = leave_out(open_table(options.table, options.sep, options.encoding), options.ignore, "--ignore")
    declared = {"ids": options.ids, "schema": options.schema}
    sys.stdout.write(f"{findings_text(examine(table, config, declared=declared), APPLY)}\n")
    return 0
