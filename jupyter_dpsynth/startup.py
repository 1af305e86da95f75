"""Imports that take seconds, while something else is done."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from typing import Any

from jupyter_dpsynth.quiet import has_stderr_of_its_own, quiet_native_stderr

__all__ = ["BackgroundImport"]


class BackgroundImport:
    """Imports a module in a thread of its own, so that measuring goes on meanwhile.

    In a notebook, what TensorFlow says about the machine is kept back. In a script or a terminal it is not:
    there Python's own lines take the same way.

    Args:
        name: The module's full name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"import {name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        quiet = quiet_native_stderr() if has_stderr_of_its_own() else contextlib.nullcontext()
        loaded = "tensorflow" in sys.modules
        try:
            with quiet:
                importlib.import_module(self._name)
                if not loaded and "tensorflow" in sys.modules:
                    sys.modules["tensorflow"].constant(0)  # looks for devices, with some more notes
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error

    def wait(self, seconds: float) -> bool:
        """Whether the module is there, after at most so many seconds."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    @property
    def module(self) -> Any:  # noqa: ANN401 - a module
        """The imported module."""
        return importlib.import_module(self._name)
