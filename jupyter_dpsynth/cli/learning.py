"""`jupyter dpsynth learn`: learns a table from a file and saves the model."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.cli.options import (
    add_dataset,
    add_declarations,
    add_parameters,
    add_table,
    config_of,
    declarations_of,
)
from jupyter_dpsynth.cli.several import add_children, several_tables
from jupyter_dpsynth.cli.status import INTERRUPTED
from jupyter_dpsynth.errors import ArtifactError, DPSynthError, NotLearnedError

if TYPE_CHECKING:
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["add_learn"]

DESCRIPTION = """\
Learn a private table under differential privacy and save the model. The cost is recorded in the ledger first.
Ctrl-C ends training after the current step and saves the model.

Names and types of the columns count as public; for CSV, types are those of nine tenths
of the values in the first 10,000 rows.
ISO dates in CSV are dates, others if they can be read in one way; codes with leading zeros stay text.
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
    add_table(parser)
    parser.add_argument(
        "-o", "--output", required=True, help="where to save the model, for example model.dps"
    )
    parser.add_argument("--force", action="store_true", help="replace the output file if it exists")
    add_declarations(parser)
    add_children(parser)
    add_dataset(parser)
    add_parameters(parser)
    parser.set_defaults(run=learn)


def learn(options: argparse.Namespace) -> int:
    """Learn and save; everything that can be checked is checked before anything is spent.

    Returns:
        0, or 130 if it was stopped.

    Privacy:
        What is printed is privatised, besides the ledger's line, which is for the owner.
    """
    config = config_of(options)
    config.resolve()
    from jupyter_dpsynth.cli.progress import LearningProgress, stopped_by_interrupt
    from jupyter_dpsynth.cli.tables import STANDARD, checked_output, open_table, reading_of
    from jupyter_dpsynth.engine.model.losses import lost_headline, told
    from jupyter_dpsynth.metadata.extracting import MetaExtractor
    from jupyter_dpsynth.privacy.ledger.datasets import label_of
    from jupyter_dpsynth.quiet import quiet_native_stderr
    from jupyter_dpsynth.sources.opening import leave_out
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    if options.output == STANDARD:
        raise ArtifactError("--output = '-' is not allowed: give the name of a file for the model.")
    output = checked_output(options.output, replace=options.force, otherwise=PAID)
    table = leave_out(open_table(options.table, reading_of(options)), options.ignore, "--ignore")
    several = several_tables(options, table)
    learned: object = table
    if several is None:
        df_meta = MetaExtractor.extract(table, **declarations_of(options, table))
        synthesizer = HighDimSynthesizer(df_meta, config)
    else:
        learned, meta = several
        synthesizer = HighDimSynthesizer(meta, config)
    label = label_of(Path(options.table).name.partition(".")[0])
    progress = LearningProgress()
    try:
        with stopped_by_interrupt(progress.stop), quiet_native_stderr():
            synthesizer.learn(
                learned,
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
    lost = lost_headline(synthesizer.losses)
    lines = (
        *((f"⚠ {lost[:1].upper()}{lost[1:]}.",) if lost else ()),
        synthesizer.receipt.headline,
        *told(synthesizer.losses),
        *synthesizer.receipt.structure_lines(),
    )
    into = "-o synthetic.csv" if several is None else "--to 'synthetic/*.csv'"
    sys.stdout.write(
        "".join(f"{line}\n" for line in lines)
        + f"Saved as {output}. Next: jupyter dpsynth synthesize {output} -n 1000 {into}\n"
    )
    return INTERRUPTED if progress.stop.is_set() else 0


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
