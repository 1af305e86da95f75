"""Files that `jupyter dpsynth synthesize` wrote: unless they are changed, they are known to be synthetic.

Parquet files have a stamp that tells so; of the others the digests are kept beside the ledger.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["are_remembered", "remember"]

PRIVATE = 0o600


def _place() -> Path:
    path = PrivacyLedger().path
    return path.with_name(f"{path.stem}-synthetic.txt")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remember(files: Iterable[str | Path]) -> None:
    """Keep the digests of files that have just been written.

    A place that cannot be written is no error: the files then need the user's word.

    Args:
        files: Synthetic tables.
    """
    with contextlib.suppress(OSError):
        lines = "".join(f"{_digest(Path(file))}\n" for file in files)
        place = _place()
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE), "w") as kept:
            kept.write(lines)


def are_remembered(path: str) -> bool:
    """Whether a file, or all files of a pattern or a folder, are as `synthesize` has written them.

    Args:
        path: What the user calls them.
    """
    named = Path(path)
    files = sorted(named.iterdir()) if named.is_dir() else [named]
    if not named.exists():
        files = [Path(each) for each in sorted(glob.glob(path))]  # noqa: PTH207 - the folder may be absolute
    try:
        known = set(_place().read_text(encoding="ascii").split())
        return bool(files) and all(_digest(file) in known for file in files)
    except (OSError, ValueError):
        return False
