"""The cells that a network is trained on: those that a synthetic row may have.

A cell whose share was set to 0, because it did not stand out from the noise ('missing' and 'other' of most
columns), never appears. To train its weights would cost time, and noise that moves the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.network import TabularModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_dpsynth.engine.model.features import Derived
    from jupyter_dpsynth.engine.model.network import Layout
    from jupyter_dpsynth.engine.model.tape import Tape

__all__ = ["TrainedCells"]

NEVER = -100.0  # logit of a cell that does not appear


@dataclass(frozen=True, eq=False)
class TrainedCells:
    """Which cells of each column a network is trained on.

    Attributes:
        kept: For each column which of its cells, bool `[cells]`, at least one.
    """

    kept: tuple[NDArray[np.bool_], ...]

    @classmethod
    def of(cls, shares: Sequence[NDArray[np.float64]]) -> TrainedCells:
        """Those with a share.

        Args:
            shares: Noisy share of each cell of each column.
        """
        return cls(tuple(share > 0 for share in shares))

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Where they are among all cells of all columns, increasing."""
        return np.flatnonzero(np.concatenate(self.kept))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """First cell of each column, `[m]`."""
        return np.cumsum([0, *map(len, self.kept[:-1])])

    @cached_property
    def _own_codes(self) -> NDArray[np.int32]:
        """For every cell of every column its number among those kept of the column, -1 if it is not kept."""
        numbered = [np.where(kept, np.cumsum(kept) - 1, -1) for kept in self.kept]
        return np.concatenate(numbered).astype(np.int32)

    def codes(self, codes: NDArray[np.integer]) -> NDArray[np.int32]:
        """Codes as the network has them, `int32 [..., m]`: -1 where a row's cell is not kept.

        Args:
            codes: Codes of the table, `[..., m]`.
        """
        return self._own_codes.take(codes + self._starts)

    def table(self, codes: NDArray[np.integer]) -> NDArray[np.integer]:
        """The same of a whole table, `[n, m]`, of the type of its codes; 0 where a row's cell is not kept."""
        out = np.empty_like(codes, order="F")
        for place, start in enumerate(self._starts.tolist()):
            own = self._own_codes[start : start + len(self.kept[place])]
            out[:, place] = np.maximum(own, 0).astype(codes.dtype)[codes[:, place]]
        return out

    def select(self, values: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Shares of the kept cells, which add up to 1 again, from those of all cells of each column."""
        chosen = [value[kept] for value, kept in zip(values, self.kept, strict=True)]
        return [value / value.sum() for value in chosen]

    def ordered(self, ordered_cells: Sequence[int]) -> list[int]:
        """How many leading cells are neighbours on a line, among those kept, from the same of all cells."""
        return [int(kept[:count].sum()) for kept, count in zip(self.kept, ordered_cells, strict=True)]

    def layout(self, layout: Layout) -> Layout:
        """The network of the kept cells, from that of all cells."""
        sizes = np.array([kept.sum() for kept in self.kept], np.int64)
        return replace(layout, sizes=sizes, derived=tuple(map(self._derived, layout.derived)))

    def _derived(self, feature: Derived) -> Derived:
        groups = [
            group[self.kept[source]] for source, group in zip(feature.sources, feature.groups, strict=True)
        ]
        return replace(feature, groups=tuple(groups))

    def _inputs(self, layout: Layout) -> NDArray[np.int64]:
        """Where each input cell of the network of the kept cells is in that of all cells, increasing."""
        found, start = [self._places], layout.width
        for feature in layout.derived:
            combinations = self._derived(feature).sizes
            cells = np.unravel_index(np.arange(int(np.prod(combinations))), combinations)
            found.append(start + np.ravel_multi_index(cells, feature.sizes))
            start += feature.size
        return np.concatenate(found)

    def model(self, trained: TabularModel, layout: Layout) -> TabularModel:
        """The network of all cells, in which the others never appear.

        Args:
            trained: The network of the kept cells.
            layout: Blocks and interactions of the network of all cells.
        """
        weights = np.zeros((layout.inputs, layout.width), np.float32)
        weights[np.ix_(self._inputs(layout), self._places)] = trained.weights
        bias = np.full(layout.width, NEVER, np.float32)
        bias[self._places] = trained.bias
        return TabularModel(layout, weights, bias)

    def tape(self, tape: Tape, layout: Layout) -> Tape:
        """The tape of the network of all cells: of the others nothing was released, their gradient being 0.

        Args:
            tape: Of the network of the kept cells.
            layout: Blocks and interactions of the network of all cells.
        """
        free = layout.free
        inputs, outputs = np.divmod(self.layout(layout).free, len(self._places))
        weights = self._inputs(layout)[inputs] * layout.width + self._places[outputs]
        places = np.concatenate([np.searchsorted(free, weights), len(free) + self._places])
        sums = np.zeros(len(free) + layout.width)
        parameters = np.zeros((len(tape.parameters), len(sums)), np.float16)
        parameters[:, len(free) :] = NEVER
        sums[places], parameters[:, places] = tape.sums, tape.parameters
        return replace(tape, sums=sums, parameters=parameters)
