"""Sentences that commands and the panel share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PAGE", "page_words"]

PAGE = "report.html"  # where no other file is named


def page_words(path: Path) -> str:
    """Where a page was written, and how large it is."""
    size = path.stat().st_size / 1e6
    return f"The report is in {path.resolve()} ({size:.1f} MB): open it in a browser, mail it or print it."
