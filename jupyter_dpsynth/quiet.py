"""Hides the messages about hardware that TensorFlow's native libraries print."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["has_stderr_of_its_own", "quiet_native_stderr"]

# What TensorFlow 2.15 to 2.21 say when they are imported on a machine without a GPU.
NOTE = re.compile(
    rb"[IWE]\d{4} \d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] |WARNING: All log messages before absl"
    rb"|To enable the following instructions:|Skipping registering GPU devices|\s*$"
)
NOTHING = re.compile(rb"(?!)")
_redirected = threading.Lock()


def has_stderr_of_its_own() -> bool:
    """Whether Python's stderr goes elsewhere than to file descriptor 2, as it does in a Jupyter kernel.

    Only then can the descriptor be redirected for seconds without holding back what Python writes meanwhile,
    the lines of a progress for example.
    """
    try:
        return sys.stderr is not None and sys.stderr.fileno() != 2
    except (OSError, ValueError):  # it has no descriptor, or is closed
        return True


@contextlib.contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Keep TensorFlow's messages about hardware out of a notebook or a progress bar.

    Its C++ code prints a page of them to file descriptor 2 before any log level applies, and Jupyter puts
    that into whatever cell is running. Whatever else is written there meanwhile appears afterwards; if
    the block fails, everything does. `sys.stderr` is not touched. The descriptor belongs to all threads:
    while one of them is in such a block, the blocks of others do nothing.
    """
    if not _redirected.acquire(blocking=False):
        yield
        return
    try:
        saved = os.dup(2)
    except OSError:  # no such descriptor: nothing to keep quiet
        _redirected.release()
        yield
        return
    dropped = NOTE
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        except BaseException:
            dropped = NOTHING
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            _redirected.release()
            sink.seek(0)
            for line in sink:
                if not dropped.match(line):
                    os.write(2, line)
