"""`jupyter dpsynth learn`: a table from a file to a saved model."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Bool

from jupyter_dpsynth.cli.status import INTERRUPTED
from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ArtifactError, DPSynthError, NotLearnedError
from jupyter_dpsynth.parameters import ColumnName

if TYPE_CHECKING:
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["add_learn"]

DESCRIPTION = """\
Learn a private table under differential privacy and save the model. What is spent is entered into the
ledger first. Ctrl-C ends training after the current step and keeps the model.

Names and types of the columns count as public; of CSV they are what pandas reads off the first 10,000 rows.
There dates are text, of which nothing can be learned: turn them into dates in pandas and save it as Parquet.
"""
PAID = ", and what it cost cannot be spent again for nothing: give another name, or --force to replace it."


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
        help="a .csv, .csv.gz, .tsv, .parquet or .feather file; several of Parquet or CSV as a folder or a "
        "quoted pattern, 'data/*.parquet'; - for CSV from stdin",
    )
    parser.add_argument(
        "-o", "--output", required=True, help="where to save the model, for example model.dps"
    )
    parser.add_argument("--force", action="store_true", help="replace the output if it is there already")
    parser.add_argument(
        "--schema",
        help="what is public about the columns, in JSON or YAML: our form, SDV metadata or a Table Schema",
    )
    several = {"action": "append", "default": [], "metavar": "COLUMN"}
    parser.add_argument("--id", dest="ids", help="never learned, numbered anew; may be repeated", **several)
    parser.add_argument("--ignore", help="left out altogether; may be repeated", **several)
    parser.add_argument("--dataset", help="name in the ledger: all tables learned under it count together")
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
    """Learn and save; whatever can be wrong is found before anything is spent.

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
    from jupyter_dpsynth.privacy.ledger.datasets import UNNAMED
    from jupyter_dpsynth.quiet import quiet_native_stderr
    from jupyter_dpsynth.sources.opening import leave_out
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    if options.output == STANDARD:
        raise ArtifactError("--output = '-' is not allowed: a model is a file; give its name.")
    output = checked_output(options.output, replace=options.force, otherwise=PAID)
    table = leave_out(open_table(options.table), options.ignore, "--ignore")
    df_meta = MetaExtractor.extract(table, ids=options.ids, schema=options.schema)
    synthesizer = HighDimSynthesizer(df_meta, config)
    name = Path(options.table).name.partition(".")[0]
    label = name if name.isidentifier() else UNNAMED
    progress = LearningProgress()
    try:
        with stopped_by_interrupt(progress.stop), quiet_native_stderr():
            synthesizer.learn(table, progress, progress.stop, dataset=options.dataset, label=label)
    except NotLearnedError as error:
        if not progress.stop.is_set():
            raise
        sys.stderr.write(f"jupyter dpsynth: {error}\n")
        return INTERRUPTED
    _save(synthesizer, output)
    sys.stdout.write(
        f"{synthesizer.receipt.headline}\n"
        f"Saved as {output}. Next: jupyter dpsynth synthesize {output} -n 1000 -o synthetic.csv\n"
    )
    return INTERRUPTED if progress.stop.is_set() else 0


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
    """Save a model; somewhere else rather than lose it."""
    try:
        synthesizer.save(output)
    except DPSynthError as error:
        other = Path(tempfile.mkdtemp(prefix="jupyter_dpsynth-")) / output.name
        synthesizer.save(other)
        raise ArtifactError(f"{error} The model was kept as {str(other)!r}: move it.") from None
