"""`jupyter dpsynth infer`, `table` and `ask`: what is known about the population, with intervals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.cli.options import add_dataset, add_table
from jupyter_dpsynth.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from jupyter_dpsynth.inference.results import Estimates

__all__ = ["add_infer"]


def add_infer(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the commands."""
    infer_parser = commands.add_parser(
        "infer",
        help="estimate a regression from a saved model, with intervals that count the noise",
        description="Estimate a regression from a saved model, with intervals that count the noise. It needs "
        "no data and costs no epsilon. It needs the extra 'inference'.",
        allow_abbrev=False,
    )
    infer_parser.add_argument("model", help="a model saved by learn or by %%dpsynth save")
    infer_parser.add_argument("formula", help="such as 'income ~ sex + age'")
    infer_parser.set_defaults(run=infer)
    ask_parser = commands.add_parser(
        "ask",
        help="ask the real rows one question, for an epsilon of its own",
        description="Ask the real rows one question, for an epsilon of its own, and compare it with the "
        "model's answer. The cost is recorded in the ledger first.",
        allow_abbrev=False,
    )
    ask_parser.add_argument("model", help="a model saved by learn or by %%dpsynth save")
    add_table(ask_parser)
    ask_parser.add_argument("formula", help="such as 'income ~ sex'")
    ask_parser.add_argument(
        "--epsilon", type=float, required=True, help="what the question may spend, in addition to learning"
    )
    add_dataset(ask_parser)
    ask_parser.set_defaults(run=ask)
    for parser in (infer_parser, ask_parser):
        parser.add_argument(
            "--family",
            choices=("gaussian", "binomial", "poisson"),
            default="gaussian",
            help="least squares, logistic regression, or a regression of counts (default: %(default)s)",
        )
    table_parser = commands.add_parser(
        "table",
        help="show the share of every value, or combination of values, of a saved model, with intervals",
        description="Show the share of every value of a column, or of every combination of several, with "
        "intervals that count the noise. It needs no data and costs no epsilon.",
        allow_abbrev=False,
    )
    table_parser.add_argument("model", help="a model saved by learn or by %%dpsynth save")
    table_parser.add_argument("columns", nargs="+", metavar="COLUMN", help="one or more columns")
    table_parser.set_defaults(run=table)
    for parser in (infer_parser, ask_parser, table_parser):
        parser.add_argument(
            "--level",
            type=float,
            default=0.95,
            help="about which share of the intervals hold the true figure (default: %(default)s)",
        )
        parser.add_argument("-o", "--output", metavar="FILE", help="write the figures to a .csv file, too")
        parser.add_argument("--overwrite", action="store_true", help="replace an existing file")


def infer(options: argparse.Namespace) -> int:
    """Print a regression's estimates and intervals.

    Privacy:
        Post-processing of a saved model.
    """
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    synthesizer = HighDimSynthesizer.load(options.model)
    return _tell(options, synthesizer.infer(options.formula, options.family, options.level))


def ask(options: argparse.Namespace) -> int:
    """Print the answer of the real rows.

    Privacy:
        What is printed is privatised, besides the ledger's line, which is for the owner.
    """
    from jupyter_dpsynth.cli.tables import open_table, reading_of
    from jupyter_dpsynth.privacy.ledger.datasets import label_of
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    _checked_output(options)  # before anything is spent
    synthesizer = HighDimSynthesizer.load(options.model)
    answer = synthesizer.ask(
        options.formula,
        open_table(options.table, reading_of(options)),
        options.epsilon,
        options.family,
        options.level,
        dataset=options.dataset,
        label=label_of(Path(options.table).name.partition(".")[0]),
        new_dataset=options.new_dataset,
        infinite_total=options.infinite_total,
    )
    return _tell(options, answer)


def table(options: argparse.Namespace) -> int:
    """Print shares with intervals.

    Privacy:
        Post-processing of a saved model.
    """
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    synthesizer = HighDimSynthesizer.load(options.model)
    return _tell(options, synthesizer.table(*options.columns, level=options.level))


def _checked_output(options: argparse.Namespace) -> Path | None:
    """The file that figures are written to, if any."""
    from jupyter_dpsynth.cli.tables import REPLACED, checked_output

    if options.output is None:
        return None
    if not options.output.lower().endswith(".csv"):
        raise ConfigError(f"--output = {options.output!r} is not allowed: give a .csv file.")
    return checked_output(options.output, replace=options.overwrite, otherwise=REPLACED)


def _tell(options: argparse.Namespace, answer: Estimates) -> int:
    path = _checked_output(options)
    if path is not None:
        answer.frame.to_csv(path)
    sys.stdout.write(f"{answer.summary()}\n")
    return 0
