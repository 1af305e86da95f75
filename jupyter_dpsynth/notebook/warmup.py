"""Bring TensorFlow in without disturbing the notebook.

Importing TensorFlow takes 5 to 15 s and, while its libraries come from a cold disk, holds Python's lock
for seconds at a time. So the background warm-up first only reads the libraries into the disk cache
(reading releases the lock), and imports them when the kernel has been idle for a moment. Measured on two
cores: the longest stall of a busy cell was 6.4 s without the reading and 0.3 s with it.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dpsynth.quiet import quiet_native_stderr

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TensorFlowWarmup", "import_engine", "is_ready"]

logger = logging.getLogger(__name__)

ENGINE = "jupyter_dpsynth.engine.training.trainer"  # the one module whose import brings TensorFlow
CHUNK = 4 << 20
SETTLE_SECONDS = 1.0  # idle time after which the import may begin

_lock = threading.Lock()


def is_ready() -> bool:
    """Whether TensorFlow, and what trains with it, has been imported."""
    return ENGINE in sys.modules and not _lock.locked()


def import_engine() -> None:
    """Import TensorFlow and what trains with it; waits if another thread is doing it already."""
    with _lock:
        if ENGINE not in sys.modules:
            with quiet_native_stderr():
                importlib.import_module(ENGINE)
                sys.modules["tensorflow"].constant(0)  # looks for devices, with some more notes


class TensorFlowWarmup:
    """Gets TensorFlow ready in a background thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None

    def start_when_idle(self, is_idle: Callable[[], bool]) -> None:
        """Read the libraries now and import them when the kernel is between cells."""
        self._start(lambda: self._work_when_idle(is_idle))

    def start_now(self) -> None:
        """Import at once: somebody is waiting for it."""
        self._start(import_engine)

    def cancel(self) -> None:
        """Begin nothing more; an import that has begun goes on."""
        self._cancelled.set()

    def _start(self, work: Callable[[], None]) -> None:
        if self._thread is not None or is_ready():
            return

        def guarded() -> None:
            try:
                work()
            except Exception:  # a warm-up must never be noticed; learn reports what is wrong
                logger.debug("warming TensorFlow failed", exc_info=True)

        self._thread = threading.Thread(target=guarded, name="dpsynth-warmup", daemon=True)
        self._thread.start()

    def _work_when_idle(self, is_idle: Callable[[], bool]) -> None:
        self._read_libraries()
        while not self._cancelled.wait(SETTLE_SECONDS):
            if is_idle():
                import_engine()
                return

    def _read_libraries(self) -> None:
        """Read TensorFlow's shared libraries once, so that they come from memory afterwards."""
        spec = importlib.util.find_spec("tensorflow")
        for folder in (spec and spec.submodule_search_locations) or ():
            for path in sorted(Path(folder).rglob("*.so*")):
                with path.open("rb", buffering=0) as library:
                    while library.read(CHUNK):
                        if self._cancelled.is_set():
                            return
