"""`jupyter dpsynth learn`: learns a table from a file and saves the model."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Bool

from jupyter_dpsynth.cli.status import INTERRUPTED
from jupyter_dpsynth.cli.tables import add_reading
from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ArtifactError, DPSynthError, NotLearnedError
from jupyter_dpsynth.parameters import ColumnName

if TYPE_CHECKING:
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["add_learn"]

DESCRIPTION = """\
Learn a private table under differential privacy and save the model. The cost is recorded in the ledger first.
Ctrl-C ends training after the current step and saves the model.

Names and types of the columns count as public; for CSV, types are those of nine tenths
of the values in the first 10,000 rows.
Dates in CSV are read as text, from which nothing can be learned: convert them in pandas and save as Parquet.
"""
PAID = ", and the epsilon it cost is spent: give another name, or --force to replace it."


def add_learn(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command; its parameters are those of `HighDimConfig`."""
    parser = commands.add_parser(
        "learn",
        help="learn a private table and save the model",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "table",
        help="a .csv, .csv.gz, .tsv, .parquet or .feather file; .sav, .zsav, .por, .dta, .xpt or .sas7bdat; "
        "a sheet as 'book.xlsx#Sheet1' (.xlsx, .ods); for several Parquet or CSV files, a folder or a quoted "
        "pattern such as 'data/*.parquet'; - for CSV from stdin",
    )
    add_reading(parser)
    parser.add_argument(
        "-o", "--output", required=True, help="where to save the model, for example model.dps"
    )
    parser.add_argument("--force", action="store_true", help="replace the output file if it exists")
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
    parser.set_defaults(run=learn)


def learn(options: argparse.Namespace) -> int:
    """Learn and save; everything that can be checked is checked before anything is spent.

    Returns:
        0, or 130 if it was stopped.

    Privacy:
        What is printed is privatised, besides the ledger's line, which is for the owner.
    """
    config = _config(options)
    config.resolve()
    from jupyter_dpsynth.cli.progress import LearningProgress, stopped_by_interrupt
    from jupyter_dpsynth.cli.tables import STANDARD, checked_output, open_table
    from jupyter_dpsynth.metadata.extracting import MetaExtractor
    from jupyter_dpsynth.privacy.ledger.datasets import label_of
    from jupyter_dpsynth.quiet import quiet_native_stderr
    from jupyter_dpsynth.sources.opening import leave_out
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    if options.output == STANDARD:
        raise ArtifactError("--output = '-' is not allowed: give the name of a file for the model.")
    output = checked_output(options.output, replace=options.force, otherwise=PAID)
    table = leave_out(open_table(options.table, options.sep, options.encoding), options.ignore, "--ignore")
    ids = declared_ids_of(options.ids, list(table.described.columns))
    df_meta = MetaExtractor.extract(table, ids=ids, schema=options.schema)
    synthesizer = HighDimSynthesizer(df_meta, config)
    label = label_of(Path(options.table).name.partition(".")[0])
    progress = LearningProgress()
    try:
        with stopped_by_interrupt(progress.stop), quiet_native_stderr():
            synthesizer.learn(
                table,
                progress,
                progress.stop,
                dataset=options.dataset,
                label=label,
                new_dataset=options.new_dataset,
                infinite_total=options.infinite_total,
            )
    except NotLearnedError as error:
        if not progress.stop.is_set():
            raise
        sys.stderr.write(f"jupyter dpsynth: {error}\n")
        return INTERRUPTED
    _save(synthesizer, output)
    lines = (synthesizer.receipt.headline, *synthesizer.receipt.structure_lines())
    sys.stdout.write(
        "".join(f"{line}\n" for line in lines)
        + f"Saved as {output}. Next: jupyter dpsynth synthesize {output} -n 1000 -o synthetic.csv\n"
    )
    return INTERRUPTED if progress.stop.is_set() else 0


def declared_ids_of(given: list[str], columns: list[str]) -> dict[str, Any]:
    """What --id says, by column: True, or the format behind the sign of equality.

    >>> declared_ids_of(["person", "case=H-{:06d}"], ["person", "case"])
    {'person': True, 'case': 'H-{:06d}'}
    """
    pairs = ((text, "") if text in columns else text.partition("=")[::2] for text in given)
    return {name: look or True for name, look in pairs}


def _config(options: argparse.Namespace) -> HighDimConfig:
    """The parameters that were given."""
    traits, values = HighDimConfig.class_traits(), {}
    for name in HighDimConfig.option_names():
        if hasattr(options, name):
            text = getattr(options, name)
            column = isinstance(traits[name], ColumnName)  # its name is taken as it is written
            values[name] = text if column else HighDimConfig.parse(name, text)
    return HighDimConfig(**values)


def _save(synthesizer: HighDimSynthesizer, output: Path) -> None:
    """Save a model; if its place cannot be written, somewhere else."""
    try:
        synthesizer.save(output)
    except DPSynthError as error:
        other = Path(tempfile.mkdtemp(prefix="jupyter_dpsynth-")) / output.name
        synthesizer.save(other)
        raise ArtifactError(
            f"{error} The model was saved as {str(other)!r} instead: move it where you want it."
        ) from None
