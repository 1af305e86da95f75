"""`jupyter dpsynth models`: lists the models that are kept beside the ledger, or deletes them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

__all__ = ["add_models"]


def add_models(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command."""
    parser = commands.add_parser(
        "models",
        help="list the models that are kept beside the ledger, or delete them",
        description="List the models that are kept beside the ledger, with their files, or delete them. What "
        "they have cost stays in the ledger.",
        allow_abbrev=False,
    )
    parser.add_argument("--delete", metavar="RUN", help="delete the model of that run, or 'all'")
    parser.set_defaults(run=models)


def models(options: argparse.Namespace) -> int:
    """Print the list, or what was deleted.

    Raises:
        ArtifactError: The ledger or a file is out of reach.
        ConfigError: There is no such model.
    """
    from jupyter_dpsynth.kept_models import KeptModels

    kept = KeptModels()
    if options.delete is not None:
        deleted = kept.delete(options.delete)
        lines = [f"Deleted: {model.words}" for model in deleted] or ["There was none."]
    else:
        lines = [f"{model.words}\n  {model.path}" for model in kept.all()]
        lines = lines or ["No model is kept beside the ledger."]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
