"""The command `jupyter dpsynth`: calc, doctor, learn, synthesize, compare, evaluate and others.

The exit status is 0 for success, 1 for failure, 2 if the command line was not understood and 130 after
Ctrl-C. Errors and progress go to stderr, one line each; results go to stdout.
"""

from __future__ import annotations

import argparse
import ast
import functools
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_dpsynth.cli.app import add_app
from jupyter_dpsynth.cli.checking import add_doctor
from jupyter_dpsynth.cli.comparing import add_compare, add_evaluate
from jupyter_dpsynth.cli.inferring import add_infer
from jupyter_dpsynth.cli.learning import add_learn
from jupyter_dpsynth.cli.models import add_models
from jupyter_dpsynth.cli.planning import add_calc
from jupyter_dpsynth.cli.receipts import add_receipt
from jupyter_dpsynth.cli.share import add_share
from jupyter_dpsynth.cli.status import FAILED, INTERRUPTED, USAGE, in_terminal
from jupyter_dpsynth.cli.synthesizing import add_synthesize
from jupyter_dpsynth.errors import (
    ArtifactError,
    ConfigError,
    DPSynthError,
    did_you_mean,
    schema_notes_to,
    shielded,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FAILED", "INTERRUPTED", "USAGE", "main"]

PROGRAM = "jupyter dpsynth"


class Parser(argparse.ArgumentParser):
    """Reports in one line what it does not understand."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:  # noqa: ANN401
        """Refuse unknown arguments here, where the command is known, and not in the main parser."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            hint = did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            if Path(unknown[0]).exists():  # the shell has replaced a pattern by its files
                hint = " Name several files by a pattern in quotes, such as 'data/*.parquet'."
            self.error(f"unrecognized arguments: {' '.join(unknown)}.{hint}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Exit with the message and a pointer to the help."""
        end = "" if message.endswith((".", "?")) else "."
        self.exit(USAGE, f"{self.prog}: {message}{end} See {self.prog} --help.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # a parameter's name may be written as in Python: --noise_multiplier
    words = [_dashed(word) if word.startswith("--") else word for word in given]
    options = _parser().parse_args(words)
    try:
        with warnings.catch_warnings(), schema_notes_to(functools.cache(_show_note)):  # each once
            # of all warnings only ours are known to quote no value of the table
            warnings.simplefilter("ignore")
            return int(shielded(lambda: options.run(options), f"{options.command} failed"))
    except DPSynthError as error:
        sys.stderr.write(f"{PROGRAM}: {in_terminal(str(error))}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: stopped by you.\n")
        return INTERRUPTED


def _dashed(word: str) -> str:
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _show_note(words: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {words}\n")


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Differentially private synthetic tables.",
        epilog="The exit status is 0 for success, 1 for failure, 2 if the command line was not understood, "
        "130 after Ctrl-C.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_calc(commands)
    add_doctor(commands)
    add_learn(commands)
    add_synthesize(commands)
    add_compare(commands)
    add_evaluate(commands)
    add_infer(commands)
    add_receipt(commands)
    add_models(commands)
    add_share(commands)
    add_app(commands)
    verify_parser = commands.add_parser(
        "verify",
        help="recompute the figures of a receipt from its events",
        description="Recompute epsilon and the other figures of a receipt from the events it lists, with "
        "two accountants. The exit status is 0 if all agree, 1 if not.",
    )
    verify_parser.add_argument("file", type=Path, help="a receipt (JSON) or a saved model")
    verify_parser.set_defaults(run=verify)
    ledger_parser = commands.add_parser(
        "ledger",
        help="show what every dataset has cost",
        description="Show what every dataset has cost over all runs, kernels and notebooks. With --cap or "
        "--link, first set a cap or link two datasets.",
        allow_abbrev=False,
    )
    action = ledger_parser.add_mutually_exclusive_group()
    action.add_argument(
        "--cap",
        metavar="EPSILON",
        help="largest total epsilon; a run that would exceed it is refused. None removes the cap",
    )
    action.add_argument(
        "--link", nargs=2, metavar="DATASET", help="count two datasets as one from now on; cannot be undone"
    )
    ledger_parser.add_argument(
        "--dataset", help="with --cap: the dataset it applies to; by default, all without a cap of their own"
    )
    ledger_parser.set_defaults(run=ledger)
    demo_parser = commands.add_parser(
        "demo",
        help="run the quickstart notebook on the sample table",
        description="Run the quickstart notebook on the sample table of the package; needs no preparation.",
    )
    demo_parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo.html"),
        help="where to save the executed notebook as HTML (default: %(default)s)",
    )
    demo_parser.set_defaults(run=_demo)
    return parser


def verify(options: argparse.Namespace) -> int:
    """Check a receipt and print every comparison; returns 0 if figures and events agree, else 1.

    The file is the JSON of a receipt, or a saved synthesizer, which must then be sound as a whole.

    Raises:
        ArtifactError: It is neither, or damaged.
    """
    from jupyter_dpsynth.persistence import read_receipt
    from jupyter_dpsynth.privacy.verification import verify_receipt

    file = options.file
    document = read_receipt(file)
    try:
        verification = verify_receipt(document)
    except ArtifactError as error:
        raise ArtifactError(f"path = {str(file)!r} is not a receipt that can be checked: {error}") from None
    sys.stdout.write(f"{file}: {verification.to_text()}\n")
    return 0 if verification.passed else FAILED


def ledger(options: argparse.Namespace) -> int:
    """Print the ledger, after setting a cap or a link if asked to.

    Raises:
        ArtifactError: It cannot be read.
        ConfigError: A cap that is no number, or a dataset that is not there.
    """
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
    from jupyter_dpsynth.privacy.ledger.summary import cap_words

    book = PrivacyLedger()
    if options.cap is not None:
        cap = _number(options.cap)
        book.set_cap(cap, options.dataset)
        sys.stdout.write(f"{cap_words(cap, options.dataset)}\n")
    elif options.dataset is not None:
        raise ConfigError("--dataset needs --cap: it says whose cap is set.")
    if options.link is not None:
        book.link(*options.link)
    sys.stdout.write(f"{book.summary()}\n")
    return 0


def _number(text: str) -> Any:  # noqa: ANN401 - what is no number is refused by whoever uses it
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _demo(options: argparse.Namespace) -> int:
    from jupyter_dpsynth.cli.demo import demo

    demo(options.output)
    return 0
