"""`jupyter dpsynth receipt`: shows a receipt, or makes the record for the public registry of deployments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_receipt"]


def add_receipt(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command."""
    parser = commands.add_parser(
        "receipt",
        help="show what a run spent epsilon on, or make its record for the public registry",
        description="Show what a run spent epsilon on, and what an attacker could find out at most. With "
        "--registry, make the record that the Differential Privacy Deployments Registry asks for (tier 3), "
        "and answer the questions of NIST SP 800-226. What a receipt cannot answer is marked TO BE ANSWERED.",
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, help="a receipt (JSON) or a saved model")
    parser.add_argument("--registry", action="store_true", help="make the record; by default as Markdown")
    parser.add_argument(
        "--to",
        metavar="FILE",
        help="with --registry: write a new file, .yaml for the registry, .md to read and fill in, or .json",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(run=receipt)


def receipt(options: argparse.Namespace) -> int:
    """Print a receipt or a record, or write a record to a file.

    Raises:
        ArtifactError: The file is neither a receipt nor a saved model, or the record cannot be written.
        ConfigError: The receipt states no guarantee; or the options do not go together.
    """
    from jupyter_dpsynth.persistence import read_receipt
    from jupyter_dpsynth.privacy.receipt import PrivacyReceipt
    from jupyter_dpsynth.privacy.registry import deployment_record

    if options.to is not None and not options.registry:
        raise ConfigError("--to needs --registry: a receipt itself is printed.")
    if options.overwrite and options.to is None:
        raise ConfigError("--overwrite needs a file: give --to.")
    spent = PrivacyReceipt.from_dict(read_receipt(options.file))
    if not options.registry:
        sys.stdout.write(f"{spent.to_text()}\n")
        return 0
    record = deployment_record(spent)
    if options.to is None:
        sys.stdout.write(record.to_markdown())
        return 0
    record.save(options.to, overwrite=options.overwrite)
    sys.stdout.write(f"{options.to}: {record.left}\n")
    return 0
