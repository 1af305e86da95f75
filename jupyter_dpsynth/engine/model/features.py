"""Derived features: what two or three columns are together, as a further input of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Derived", "grouped_cells"]

RARE = 0.005  # share below which a cell is no group of its own where there is a choice
FEW_CELLS = 4  # so few cells on a line are groups of their own


@dataclass(frozen=True, eq=False)
class Derived:
    """A one-hot feature: one cell for each combination of groups of cells of some columns.

    Attributes:
        sources: Places of the columns, increasing.
        groups: For each of them the group of each of its cells, int64 `[cells]`, numbered from 0.
        target: Place of the column whose logits it enters; behind all sources.
        scale: Interaction strength.
    """

    sources: tuple[int, ...]
    groups: tuple[NDArray[np.int64], ...]
    target: int
    scale: float

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of groups of each source."""
        return tuple(int(group.max()) + 1 for group in self.groups)

    @property
    def size(self) -> int:
        """Number of combinations."""
        return int(np.prod(self.sizes))

    @property
    def addends(self) -> tuple[NDArray[np.int64], ...]:
        """What each source's cells add to the feature's code, `[cells]` each."""
        strides = np.cumprod((1, *self.sizes[:0:-1]))[::-1]
        return tuple(group * stride for group, stride in zip(self.groups, strides, strict=True))

    def codes(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The feature's code in each row, `[n]`.

        Args:
            codes: Codes of the columns, `[n, m]`.
        """
        total = np.zeros(len(codes), np.int64)
        for source, addend in zip(self.sources, self.addends, strict=True):
            total += addend[codes[:, source]]
        return total

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, read back by `from_dict`."""
        return {
            "sources": list(self.sources),
            "groups": [group.tolist() for group in self.groups],
            "target": self.target,
            "scale": self.scale,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], sizes: Sequence[int]) -> Derived:
        """Rebuild from `to_dict`.

        Args:
            values: The form, of the right types.
            sizes: Number of cells of each column.

        Raises:
            ValueError: It does not fit the columns.
        """
        sources, target = tuple(values["sources"]), values["target"]
        places = [*sources, target]
        if places != sorted(set(places)) or places[0] < 0 or target >= len(sizes):
            raise ValueError("the columns of a derived feature are not in order")
        groups = tuple(np.array(group, np.int64) for group in values["groups"])
        if [len(group) for group in groups] != [sizes[source] for source in sources]:
            raise ValueError("the groups of a derived feature do not fit its columns")
        if any(set(group.tolist()) != set(range(int(group.max()) + 1)) for group in groups):
            raise ValueError("the groups of a derived feature are not numbered from 0")
        return cls(sources, groups, target, float(values["scale"]))


def grouped_cells(share: NDArray[np.float64], ordered: int, most: int) -> NDArray[np.int64]:
    """Group of each cell of a column, int64 `[cells]`, at most about `most` groups.

    Cells that are neighbours on a line are put together to groups of about equal weight, those behind them to
    one more. Of others the likeliest stay alone, and the rest is one group.

    Args:
        share: Noisy share of each cell.
        ordered: How many leading cells are neighbours on a line.
        most: How many groups are wanted, at least 2.
    """
    out = np.zeros(len(share), np.int64)
    common = np.flatnonzero(share > RARE)
    if 0 < len(common) <= most:
        out[:] = np.argmax(share[common])
        out[common] = np.arange(len(common))
    elif ordered > FEW_CELLS:
        line = share[:ordered]
        middle = np.cumsum(line) - line / 2
        place = np.minimum((middle / line.sum() * most).astype(np.int64), most - 1)
        out[:ordered] = np.unique(place, return_inverse=True)[1]
        out[ordered:] = out[:ordered].max() + 1
    else:
        alone = np.argsort(-share, kind="stable")[: most - 1]
        out[:] = len(alone)
        out[alone] = np.arange(len(alone))
    return out
