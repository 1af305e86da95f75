"""The exceptions of the package: one tree, one short message each.

A message names the parameter, the value that was given, the allowed range and the next step. It never
quotes a cell of the private table: an exception that reaches a screen or a log is a release that no
part of epsilon pays for.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ArtifactError",
    "BudgetExhaustedError",
    "ConfigError",
    "DPSynthError",
    "DataError",
    "MetadataError",
    "MissingDependencyError",
    "NotLearnedError",
    "did_you_mean",
]


class DPSynthError(Exception):
    """Base of every error that jupyter_dpsynth raises on purpose."""


class ConfigError(DPSynthError, ValueError):
    """A parameter has a name, type or value that cannot be used."""


class MetadataError(DPSynthError, ValueError):
    """The declared schema and the table, or two declarations, contradict each other."""


class DataError(DPSynthError, ValueError):
    """The table cannot be learned: its shape or schema is unusable."""


class BudgetExhaustedError(DPSynthError, RuntimeError):
    """The privacy budget does not allow the requested computation."""


class NotLearnedError(DPSynthError, RuntimeError):
    """A result was asked for before `learn` produced one."""


class ArtifactError(DPSynthError, ValueError):
    """A saved file is damaged, of an unknown version, or not one of ours."""


class MissingDependencyError(DPSynthError, ImportError):
    """An optional package that this feature needs is not installed."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest candidate, or an empty string.

    >>> did_you_mean("epsilonn", ["epsilon", "delta"])
    " Did you mean 'epsilon'?"
    >>> did_you_mean("banana", ["epsilon", "delta"])
    ''
    """
    close = difflib.get_close_matches(name.lower(), list(candidates), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
