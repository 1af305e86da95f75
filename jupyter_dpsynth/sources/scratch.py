"""Private temporary files for what does not fit into memory.

Arrays are in files without a name: nobody else can open them, and the operating system frees them however the
process ends, even after kill -9. Files that other processes must open are in a private folder, which is
removed at the end of its run; if the process was killed, the next run removes it.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
import stat
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["PrivateFolder", "scratch_array"]

OWNER = "owner"
NO_ROOM = (
    "there is not enough space for temporary files in {folder}: free some, or set the environment variable "
    "TMPDIR to a larger folder before Python starts. %dpsynth calc says about how much is needed."
)


def scratch_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array in a file without a name, which is freed with the array.

    Args:
        shape: Its shape.
        dtype: Its type.

    Raises:
        DataError: The disk has not that much room. It does not say how much: that is the row count.
    """
    size = math.prod(shape) * dtype.itemsize
    if size == 0:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="jupyter_dpsynth-") as file:
        if not _allocated(file.fileno(), size):
            raise DataError(NO_ROOM.format(folder=tempfile.gettempdir()))
        return np.asarray(np.memmap(file, dtype, "w+", shape=shape))


def _allocated(handle: int, size: int) -> bool:
    """Reserve a file's space on disk; says whether there was enough, which extending alone does not."""
    if not hasattr(os, "posix_fallocate"):
        return True
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:  # other errors: the file system cannot say
        return error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return True


class PrivateFolder:
    """A folder that only this user can read, and that is removed soon after its process ends.

    Attributes:
        path: The folder, mode 0700; write files with `create`.
    """

    def __init__(self) -> None:
        home = _home()
        with _lock(home / "lock"):  # nobody takes the new folder for a leftover before it is locked
            _sweep(home)
            self.path = Path(tempfile.mkdtemp(prefix="run-", dir=home))
            handle = os.open(self.path / OWNER, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            _try_lock(handle)
        self._finalizer = weakref.finalize(self, _remove, self.path, handle, os.getpid())

    def create(self, name: str) -> Any:  # noqa: ANN401 - a binary file
        """A new file in the folder for writing, mode 0600."""
        return os.fdopen(os.open(self.path / name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "wb")

    def remove(self) -> None:
        """Remove the folder and all that is in it; once is enough."""
        self._finalizer()


def _remove(path: Path, handle: int, process: int) -> None:
    if os.getpid() == process:  # a forked child leaves its parent's folder alone
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(handle)


def _home() -> Path:
    """The folder of all runs of this user.

    Raises:
        DataError: It belongs to somebody else, or others may enter it.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    home = Path(tempfile.gettempdir()) / f"jupyter_dpsynth-{user}"
    with contextlib.suppress(FileExistsError):
        home.mkdir(mode=0o700)
    found = home.lstat()
    private = stat.S_ISDIR(found.st_mode) and (os.name == "nt" or stat.S_IMODE(found.st_mode) & 0o077 == 0)
    if not private or getattr(found, "st_uid", user) != user:
        raise DataError(
            f"{home} is not a folder that only you can read: remove it, or set the environment variable "
            "TMPDIR to another folder before Python starts."
        )
    return home


def _sweep(home: Path) -> None:
    """Remove the folders whose process is gone: their lock is free."""
    for folder in home.glob("run-*"):
        try:
            handle = os.open(folder / OWNER, os.O_RDWR)
        except OSError:
            continue
        try:
            if _try_lock(handle):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock that is needed to create and to remove folders."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _try_lock(handle, wait=True)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int, *, wait: bool = False) -> bool:
    """Try to lock an open file; returns whether it worked. The lock is freed however the process ends."""
    try:
        import fcntl
    except ImportError:  # where there are no such locks nothing is taken for a leftover
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
