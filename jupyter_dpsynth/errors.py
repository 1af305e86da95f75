"""The exceptions of the package, with one common base class and short messages.

A message names the parameter, the value that was given, the allowed range and the next step. It never
quotes a cell of the private table: an exception that reaches a screen or a log is a release that no
part of epsilon pays for.
"""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
import difflib
import numbers
import os
import warnings
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "ArtifactError",
    "BudgetExhaustedError",
    "ConfigError",
    "DPSynthError",
    "DataError",
    "MetadataError",
    "MissingDependencyError",
    "NotLearnedError",
    "SchemaWarning",
    "UnplannedReleaseError",
    "WorkerLostError",
    "did_you_mean",
    "schema_notes_to",
    "shielded",
    "shown",
    "tell_schema_note",
]

T = TypeVar("T")
PLAIN = (str, bytes, numbers.Number, dt.date, dt.timedelta, os.PathLike, type(None))
LONGEST = 80  # characters of a value in a message


class DPSynthError(Exception):
    """Base of every error that jupyter_dpsynth raises on purpose."""


class ConfigError(DPSynthError, ValueError):
    """A parameter has a name, type or value that cannot be used."""


class MetadataError(DPSynthError, ValueError):
    """The declared metadata and the table, or two declarations, contradict each other."""


class DataError(DPSynthError, ValueError):
    """The table cannot be learned: its shape, its columns or their types are unusable."""


class BudgetExhaustedError(DPSynthError, RuntimeError):
    """The privacy budget does not allow the requested computation."""


class NotLearnedError(DPSynthError, RuntimeError):
    """A result was asked for before `learn` produced one."""


class ArtifactError(DPSynthError, ValueError):
    """A saved file is damaged, has an unknown version, or was not made by this package."""


class MissingDependencyError(DPSynthError, ImportError):
    """An optional package that this feature needs is not installed."""


class WorkerLostError(DPSynthError, RuntimeError):
    """Another worker of a distributed training ended or cannot be reached."""


class UnplannedReleaseError(DPSynthError, RuntimeError):
    """A release was asked for that the privacy plan does not have: an error of this package, not of its user.

    It is raised before noise is drawn, so nothing that was not planned has been released.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem} This is an error of jupyter_dpsynth, not of your input; nothing beyond the plan was "
            "released. Please report it."
        )


class SchemaWarning(UserWarning):
    """A part of a schema was left out, or a file is read otherwise than is usual."""


# Python's warnings belong to all threads: while another one imports TensorFlow, a handler of ours is gone
_listener: contextvars.ContextVar[Callable[[str], object] | None] = contextvars.ContextVar(
    "listener", default=None
)


@contextlib.contextmanager
def schema_notes_to(listener: Callable[[str], object]) -> Iterator[None]:
    """Tell a function what would be a SchemaWarning, as long as the block runs.

    Args:
        listener: Takes a sentence.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell_schema_note(words: str, stacklevel: int) -> None:
    """Say what was left out of a schema, or how a file is read.

    Args:
        words: A sentence.
        stacklevel: Of the warning, where nobody listens; 1 is the caller.
    """
    listener = _listener.get()
    if listener is None:
        warnings.warn(words, SchemaWarning, stacklevel=stacklevel + 1)
    else:
        listener(words)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest candidate, or an empty string.

    >>> did_you_mean("epsilonn", ["epsilon", "delta"]), did_you_mean("patient_Id", ["PATIENT_ID"])
    (" Did you mean 'epsilon'?", " Did you mean 'PATIENT_ID'?")
    >>> did_you_mean("banana", ["epsilon", "delta"])
    ''
    """
    known = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f" Did you mean '{known[close[0]]}'?" if close else ""


def shown(value: object) -> str:
    """A value as messages may quote it: plain values as they are, everything else by its type.

    A table or an array that was passed in the wrong place must not be printed.

    >>> shown(1.5), shown((0, 9)), shown([1, 2, 3, 4, 5])
    ('1.5', '(0, 9)', 'a list')
    """
    parts = value if isinstance(value, tuple | list) and len(value) <= 3 else (value,)
    if all(isinstance(part, PLAIN) for part in parts):
        try:
            text = repr(value)
        except (ValueError, RecursionError):  # whole numbers of thousands of digits have no text
            return f"a very long {type(value).__name__}"
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}\u2026"
    return f"a {type(value).__name__}"


def shielded(action: Callable[[], T], failure: str) -> T:
    """Run code in which libraries touch private values, and hide their messages, which may quote such values.

    Args:
        action: What to run.
        failure: What failed, for the message: 'learning failed'.

    Raises:
        DPSynthError: Ours as they are; of any other exception only its type and our own line of source
            are told. Nothing leads to the original one: `from None` would keep it, with its message and
            the private values of its frames, in `__context__`, where debuggers and error reporters look.
    """
    try:
        return action()
    except DPSynthError as error:
        error.__context__ = None
        raise
    except MemoryError:
        short = True
    except Exception as error:  # noqa: BLE001 - whatever a library raises
        short, kind, place = False, type(error).__name__, _place(error)
    if short:
        raise DPSynthError(
            f"{failure}: this machine has too little memory. Learn the table from its files, write the "
            "synthetic table part by part (to='out/*.parquet', --to), or ask for fewer rows."
        )
    raise DPSynthError(
        f"{failure} inside a library ({kind}{place}). The library's message is hidden because it may quote "
        "private values. If your input looks right, please report this as a bug."
    )


def _place(error: BaseException) -> str:
    """The line of our own code where a library failed; it contains no data."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("jupyter_dpsynth") and module != __name__:
            place = f" at {module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
