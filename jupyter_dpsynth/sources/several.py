"""Several private tables that are opened together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_dpsynth.sources.base import Source

__all__ = ["TABLE_NAMES", "SeveralTables"]

#: Names that a cell sets to learn several tables of the same persons, or the rows of a person in order.
TABLE_NAMES = ("children", "order", "most_children", "window", "exactly", "times", "of", "ends")


class SeveralTables(dict[str, "Source"]):
    """Opened tables by name, which are closed together."""

    def close(self) -> None:
        """Close all of them."""
        for source in self.values():
            source.close()
