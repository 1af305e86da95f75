"""Sentences that commands and the panel share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PAGE", "page_words"]

PAGE = "report.html"  # where no other file is named


def page_words(path: Path) -> str:
    """Where a page was written, and how large it is."""
    size = path.stat().st_size
    large = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
    return f"The report is in {path.resolve()} ({large}): open it in a browser, mail it or print it."
