"""`jupyter dpsynth synthesize`: makes a synthetic table from a saved model."""

from __future__ import annotations

import ast
import os
import sys
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.sources.endings import WRITTEN_STATISTICS

if TYPE_CHECKING:
    import argparse

    from jupyter_dpsynth.sources.csvfile import CsvOptions
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["add_synthesize"]

EPILOG = """\
Every row meets the conditions: a value, None for missing, a list of values, or a range (low, high) of numbers
or dates. Quote them, so that the shell does not change them:

  --where '{"sex": "Female", "age": (18, 65)}'
  --balance income
  --balance '{"income": {"<=50K": 0.7, ">50K": 0.3}}'
  --order 'admitted <= discharged'
"""


def add_synthesize(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command."""
    import argparse

    parser = commands.add_parser(
        "synthesize",
        help="make a synthetic table from a saved model",
        description="Make a synthetic table from a saved model. It costs no epsilon, as often as you like.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", help="a model saved by learn or by %%dpsynth save")
    parser.add_argument("-n", "--rows", type=int, help="how many rows; by default the noisy row count")
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "-o",
        "--output",
        default="-",
        help="where to write the table: .csv, .csv.gz, .tsv, .parquet, .feather, .sav, .zsav, .por, .dta or "
        ".xpt; by default CSV to stdout",
    )
    place.add_argument(
        "--to",
        metavar="PATTERN",
        help="write a table of any size into several files, 'out/*.parquet' or 'out/*.csv'",
    )
    parser.add_argument(
        "--codebook",
        metavar="FILE",
        help="write the codebook, too: .json as a Table Schema, -metadata.json as CSVW, .xml as DDI",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--where", metavar="CONDITIONS", help="conditions by column, see below")
    parser.add_argument(
        "--balance",
        metavar="COLUMN",
        help="equally many rows for each category of a column, or the share of each value, see below",
    )
    parser.add_argument(
        "--order",
        action="append",
        default=[],
        metavar="'LOW <= HIGH'",
        help="two columns of which the first is never above the second; may be repeated",
    )
    parser.add_argument(
        "--weights",
        type=int,
        metavar="NUMBER",
        help="add a weight and so many replicate weights, for intervals in R, Stata or Python: 60 are usual. "
        "Needs -o with .parquet or .csv; a description is written beside it",
    )
    for name, text in {
        "--sep": "CSV: what is to separate the fields, for example ';' or tab",
        "--decimal": "CSV: the decimal mark, '.' or ','",
        "--encoding": "CSV: how the text is to be written, for example cp1252",
    }.items():
        parser.add_argument(name, help=text, metavar="NAME" if name == "--encoding" else "MARK")
    parser.add_argument("--seed", type=int, help="makes the output repeatable; does not affect privacy")
    parser.set_defaults(run=synthesize)


def synthesize(options: argparse.Namespace) -> int:
    """Make a synthetic table and write it.

    Privacy:
        Post-processing.
    """
    from jupyter_dpsynth.cli.remembered import remember
    from jupyter_dpsynth.cli.tables import REPLACED, STANDARD, check_written, checked_output
    from jupyter_dpsynth.sources.csvfile import CsvOptions
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    written = CsvOptions(options.sep, options.encoding, options.decimal)
    check_written(written, options.output if options.to is None and options.weights is None else None)
    if options.output != STANDARD:
        checked_output(
            options.output,
            replace=options.overwrite,
            otherwise=REPLACED,
        )
    elif options.overwrite and options.to is None and options.codebook is None:
        raise ConfigError("--overwrite needs a file: give -o or --to.")
    synthesizer = HighDimSynthesizer.load(options.model)
    if options.codebook is not None:
        checked_output(
            options.codebook,
            replace=options.overwrite,
            otherwise=REPLACED,
            option="--codebook",
        )
        synthesizer.write_codebook(options.codebook)
    if options.weights is not None:
        return _weighted(synthesizer, options)
    remember(_written(synthesizer, options, written))
    return 0


def _written(synthesizer: HighDimSynthesizer, options: argparse.Namespace, written: CsvOptions) -> list[Any]:
    """Make and write the table; returns the files."""
    from jupyter_dpsynth.cli.tables import STANDARD, write_table
    from jupyter_dpsynth.engine.sampling.requests import ordering_of

    asked = {
        "where": _where(options.where),
        "balance": _balance(options.balance, synthesizer),
        "constraints": [ordering_of(text, synthesizer.codec.names) for text in options.order],
    }
    statistics = options.output.lower().endswith(WRITTEN_STATISTICS)
    if options.to is not None or (statistics and synthesizer.tables_meta is None):
        to = options.to or options.output
        files = synthesizer.synthesize(
            options.rows, options.seed, **asked, to=to, overwrite=options.overwrite
        )
        sys.stdout.write("".join(f"{file}\n" for file in files) if options.to else "")
        return list(files)
    if synthesizer.tables_meta is not None:
        raise ConfigError("the model is of several tables: name a folder for them, --to 'out/*.csv'.")
    df = synthesizer.synthesize(options.rows, options.seed, **asked, frame="pandas")
    try:
        write_table(df, options.output, form=synthesizer.df_meta.form, reading=written)
    except BrokenPipeError:  # whoever read it, head for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return [] if options.output == STANDARD else [options.output]


def _weighted(synthesizer: HighDimSynthesizer, options: argparse.Namespace) -> int:
    """Write rows with weights, and what the weights are."""
    for name in ("where", "balance", "to"):
        if getattr(options, name) is not None:
            raise ConfigError(f"--weights does not go together with --{name}.")
    if options.output == "-":
        raise ConfigError("--weights needs a file: give -o rows.parquet or -o rows.csv.")
    given = {"num_rows": options.rows, "seed": options.seed}
    synthesizer.weighted(
        **{name: value for name, value in given.items() if value is not None},
        replicates=options.weights,
        to=options.output,
        overwrite=options.overwrite,
    )
    return 0


def _where(text: str | None) -> Any:  # noqa: ANN401 - what a user writes
    return None if text is None else _literal(text, "--where", '{"sex": "Female", "age": (18, 65)}')


def _balance(text: str | None, synthesizer: HighDimSynthesizer) -> Any:  # noqa: ANN401 - what a user writes
    """The name of a column, or shares written as in Python."""
    if text is None or not text.lstrip().startswith("{"):
        return text
    plain = text in synthesizer.codec.names
    return text if plain else _literal(text, "--balance", '{"income": {"high": 0.5, "low": 0.5}}')


def _literal(text: str, option: str, example: str) -> Any:  # noqa: ANN401 - what a user writes
    """A Python literal from the command line; no code is run."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ConfigError(
            f"{option} = {text!r} cannot be read: write it as in Python, with texts in quotes, for example "
            f"{example}, and quote the whole for the shell."
        ) from None
