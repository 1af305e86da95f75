"""Importing TensorFlow, which takes 5 to 15 s, while something else is done.

Nothing else in the package imports TensorFlow before a training needs it. A run imports it while it measures
(`BackgroundImport`); a notebook gets it ready while nobody is waiting (`WarmUp`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dpsynth.quiet import has_stderr_of_its_own, quiet_native_stderr

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["BackgroundImport", "WarmUp", "import_trainer", "is_loading"]

logger = logging.getLogger(__name__)

CHUNK = 4 << 20
SETTLE_SECONDS = 1.0  # from one look at whether the kernel is idle to the next

_importing = threading.Lock()


def is_loading() -> bool:
    """Whether the import of TensorFlow has begun, by whomever; it may also have ended."""
    return "tensorflow" in sys.modules


def import_trainer(*, quiet: bool = True) -> ModuleType:
    """Import TensorFlow and the trainer; wait if another thread is already doing so.

    Args:
        quiet: Whether to keep back what TensorFlow says about the machine.

    Returns:
        The module that trains.
    """
    # quiet also while waiting: the thread that imports may not be
    with quiet_native_stderr() if quiet else contextlib.nullcontext(), _importing:
        import tensorflow as tf

        from jupyter_dpsynth.engine.training import trainer

        tf.constant(0)  # the first time it looks for devices, with some more notes
    return trainer


class BackgroundImport:
    """Imports TensorFlow in a thread of its own, beginning now.

    Args:
        quiet: Whether to keep back what TensorFlow says about the machine. By default that is done in a
            notebook; in a script or a terminal, what Python itself writes would be kept back with it.
    """

    def __init__(self, *, quiet: bool | None = None) -> None:
        self._quiet = has_stderr_of_its_own() if quiet is None else quiet
        self._trainer: ModuleType | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="dpsynth-import", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._trainer = import_trainer(quiet=self._quiet)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error

    def wait(self, seconds: float) -> bool:
        """Whether the import has ended, after at most so many seconds; raises what went wrong with it."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    @property
    def trainer(self) -> ModuleType:
        """The module that trains; known once `wait` says that the import has ended."""
        if self._trainer is None:
            raise TypeError
        return self._trainer


class WarmUp:
    """Prepares TensorFlow in a background thread without disturbing the notebook.

    While TensorFlow's libraries come from a cold disk, importing them holds Python's lock for seconds at a
    time. So they are first only read into the disk cache (reading releases the lock), and imported when the
    kernel has been idle for a moment. Measured on two cores: the longest stall of a busy cell was 6.4 s
    without the reading and 0.3 s with it.
    """

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, is_idle: Callable[[], bool]) -> None:
        """Read the libraries now, and import them when the kernel is idle.

        Args:
            is_idle: Asked about once a second, from the thread.
        """
        if self._thread is not None or is_loading():
            return
        self._thread = threading.Thread(target=self._run, args=(is_idle,), name="dpsynth-warmup", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Start nothing new; an import that has begun goes on."""
        self._cancelled.set()

    def _run(self, is_idle: Callable[[], bool]) -> None:
        try:
            self._read_libraries()
            while not self._cancelled.wait(SETTLE_SECONDS):
                if is_idle():
                    import_trainer()
                    return
        except Exception:  # a warm-up must never be noticed; learn reports what is wrong
            logger.debug("warming TensorFlow failed", exc_info=True)

    def _read_libraries(self) -> None:
        """Read TensorFlow's shared libraries once, so that they are in the disk cache."""
        spec = importlib.util.find_spec("tensorflow")
        for folder in (spec and spec.submodule_search_locations) or ():
            for path in sorted(Path(folder).rglob("*.so*")):
                with path.open("rb", buffering=0) as library:
                    while library.read(CHUNK):
                        if self._cancelled.is_set():
                            return
