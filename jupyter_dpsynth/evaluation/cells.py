"""The cells in which tables are compared: those of the model, where losses have cells of their own.

A row whose value no synthetic row can have (too rare to be published, not declared, beyond the ends of the
range) is in no cell of the synthetic table: it counts as a difference, not as equal to what stands in its
place. Intervals that the model could not divide are divided here, and codes told apart that became one large
group, so that a coarse column is not taken for a good one. Where only measurements are compared with, long
stretches with hardly any row are cells of their own, so that pictures show where the rows are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.encoding.difference import DifferenceCodec
from jupyter_dpsynth.encoding.numeric import points_of
from jupyter_dpsynth.evaluation.apart import long_stretches
from jupyter_dpsynth.evaluation.axes import axis_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.encoding.numeric import NumericCodec
    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.evaluation.axes import CellAxis
    from jupyter_dpsynth.metadata.columns import DataFrameMeta

__all__ = ["Cells", "cells_of"]

LARGEST_INTERVAL = 0.05  # share of a column's rows in one interval; larger ones are divided


@dataclass(frozen=True, eq=False)
class _Grouped:
    """A column of codes with groups.

    Attributes:
        codec: The column's codec.
        large: Which of its groups hold many rows: rows with a longer code are told apart, for these have no
            synthetic row. Those of other groups count as their group.
    """

    codec: CategoryCodec
    large: tuple[bool, ...]

    @property
    def moved_labels(self) -> tuple[str, ...]:
        """The labels of rows that are told apart."""
        first, *others = self.codec.moved_labels
        return (first, *(label for label, large in zip(others, self.large, strict=True) if large))

    def encode(self, series: pd.Series) -> NDArray[np.int32]:
        """Codes `[n]` of a column."""
        own = self.codec.size + 1
        after = own + np.cumsum(self.large) - 1
        places = np.where(self.large, after, self.codec.groups)
        table = np.concatenate([np.arange(own), places])
        return table[self.codec.encode_apart(series)].astype(np.int32)


@dataclass(frozen=True, eq=False)
class _Divided:
    """A column of numbers or times whose bins are divided further.

    Attributes:
        codec: The column's codec.
        edges: First point of each cell, `[cells]`, increasing.
        within: Share of its bin's weight in each cell.
        bins: Which bin each cell is in.
        hidden: Share of the weight in intervals that were divided: the model knows nothing about them.
    """

    codec: NumericCodec
    edges: NDArray[np.float64]
    within: NDArray[np.float64]
    bins: NDArray[np.int64]
    hidden: float

    @property
    def size(self) -> int:
        """Number of cells, without those of moved rows."""
        return len(self.edges) + int(self.codec.meta.nullable)

    def encode(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Codes `[n]` of points."""
        codec = self.codec
        codes = np.searchsorted(self.edges[1:], points, side="right")
        codes[np.isnan(points)] = len(self.edges) if codec.meta.nullable else 0
        codes[points < codec.starts[0]] = self.size
        codes[points >= codec.ends[-1]] = self.size + 1
        return codes.astype(np.int32)

    @property
    def ends(self) -> NDArray[np.float64]:
        """Point after the last one in each cell that a synthetic row may have."""
        codec, after = self.codec, np.append(self.edges[1:], np.inf)
        last = np.searchsorted(codec.starts, after, side="left") - 1
        return np.minimum(codec.ends[last], after)

    @property
    def labels(self) -> tuple[str, ...]:
        """One text a cell."""
        codec, own = self.codec, self.codec.labels
        parts = np.bincount(self.bins, minlength=len(codec.first_leaf))
        cells = zip(self.bins.tolist(), self.edges, self.ends, strict=True)
        names = [own[place] if parts[place] == 1 else codec.interval_text(a, z) for place, a, z in cells]
        return (*names, *own[len(codec.first_leaf) :])

    def of_bins(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Figures of the model's cells, which add up, as figures of these cells."""
        bins = len(self.codec.first_leaf)
        return np.append(values[:bins][self.bins] * self.within, values[bins:])


def _divided(codec: NumericCodec, *, divide: bool) -> _Divided:
    """The cells of one column of numbers or times."""
    weights = codec.weights / codec.weights.sum()
    discrete = codec.resolution > 0
    single = codec.ends - codec.starts <= 1 if discrete else ~np.isnan(codec.leaf_points())
    heavy = np.flatnonzero(~single & (weights > LARGEST_INTERVAL))
    cuts = [codec.starts[codec.first_leaf]]
    if not divide:
        cuts.append(_around_stretches(codec, weights))
    for leaf in heavy.tolist() if divide else ():
        parts = int(np.ceil(weights[leaf] / LARGEST_INTERVAL))
        inner = np.linspace(codec.starts[leaf], codec.ends[leaf], parts + 1)
        cuts.append((np.ceil(inner) if discrete else inner)[:-1])
        if leaf + 1 < len(codec.starts):
            cuts.append(codec.starts[leaf + 1 : leaf + 2])
    edges = np.unique(np.concatenate(cuts))
    # the weight up to each edge: nothing between two leaves
    total = np.append(0.0, np.cumsum(weights))
    around = np.clip(np.searchsorted(codec.starts, edges, side="right") - 1, 0, None)
    starts, ends = codec.starts[around], codec.ends[around]
    widths, inside = codec.widths(starts, ends), np.clip(edges, starts, ends)
    share = codec.widths(starts, inside) / np.where(widths > 0, widths, 1.0)
    reached = total[around] + weights[around] * np.where(inside == ends, 1.0, share)
    mass = np.diff(np.append(reached, 1.0))
    bins = np.searchsorted(codec.starts[codec.first_leaf[1:]], edges, side="right")
    whole = np.bincount(bins, mass, minlength=len(codec.first_leaf))
    within = np.where(whole[bins] > 0, mass / np.maximum(whole[bins], 1e-300), 0.0)
    return _Divided(codec, edges, within, bins, float(weights[heavy].sum()))


def _around_stretches(codec: NumericCodec, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where long stretches with hardly any row, by the weights of the leaves, begin and end."""
    thin, long = long_stretches(codec.starts, codec.ends, weights)
    after = thin[:-1] | (codec.starts[1:] - codec.ends[:-1] >= long)
    return codec.starts[thin | np.append(False, after)]


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of all columns of a model.

    Attributes:
        codec: The model's codec.
        divided: The columns of numbers and times by their places; others have the codec's cells.
        grouped: Columns of codes with groups that hold many rows, by their places.
    """

    codec: TableCodec
    divided: dict[int, _Divided]
    grouped: dict[int, _Grouped]

    @property
    def df_meta(self) -> DataFrameMeta:
        """The table's metadata."""
        return self.codec.df_meta

    @property
    def names(self) -> tuple[str, ...]:
        """The columns: neither identifiers nor the column of the privacy unit are among them."""
        return self.codec.names

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """One text for each cell of each column."""
        found = []
        for place, column in enumerate(self.codec.columns):
            cells = self.divided[place].labels if place in self.divided else column.labels
            if isinstance(column, DifferenceCodec):
                bins = len(self.divided[place].edges)
                cells = (*map(column.told, cells[:bins]), *cells[bins:])
            moved = self.grouped[place].moved_labels if place in self.grouped else column.moved_labels
            found.append((*cells, *moved))
        return tuple(found)

    @property
    def axes(self) -> tuple[CellAxis | None, ...]:
        """Where the cells of each column lie; None for categories."""
        return tuple(
            axis_of(divided.codec, divided.edges, divided.ends, getattr(column, "base", ""))
            if (divided := self.divided.get(place))
            else None
            for place, column in enumerate(self.codec.columns)
        )

    @cached_property
    def sizes_apart(self) -> NDArray[np.int64]:
        """Number of cells of each column, those of moved rows included, `[m]`."""
        sizes = [
            (self.divided[place].size if place in self.divided else column.size)
            + (1 + sum(self.grouped[place].large) if place in self.grouped else len(column.moved_into))
            for place, column in enumerate(self.codec.columns)
        ]
        return np.array(sizes, dtype=np.int64)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The same as whole numbers of Python."""
        return tuple(self.sizes_apart.tolist())

    @property
    def hidden(self) -> NDArray[np.float64]:
        """Share of each column's rows in intervals of which the model knows nothing but the ends, `[m]`."""
        places = range(len(self.codec.columns))
        return np.array([self.divided[k].hidden if k in self.divided else 0.0 for k in places])

    def encode_apart(self, df: pd.DataFrame) -> NDArray[np.integer[Any]]:
        """Codes `[n, m]` of a table."""
        code_type = np.min_scalar_type(int(self.sizes_apart.max()) - 1)
        codes = np.empty((len(df), len(self.sizes)), dtype=code_type, order="F")
        for place, column in enumerate(self.codec.columns):
            if place in self.grouped:
                codes[:, place] = self.grouped[place].encode(df[column.meta.name])
            elif isinstance(column, CategoryCodec):
                codes[:, place] = column.encode_apart(df[column.meta.name])
            elif isinstance(column, DifferenceCodec):
                codes[:, place] = self.divided[place].encode(self.codec.lengths(df, column))
            else:
                points = points_of(df[column.meta.name], column.meta, column.resolution)
                codes[:, place] = self.divided[place].encode(points)
        return codes

    def joined(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Codes of the model's cells, from what `encode_apart` gives."""
        out = np.empty(codes.shape, dtype=np.int64, order="F")
        for place, column in enumerate(self.codec.columns):
            own, into = np.arange(column.size), np.array(column.moved_into)
            if place in self.divided:
                divided = self.divided[place]
                own = np.append(divided.bins, own[len(divided.codec.first_leaf) :])
            if place in self.grouped:
                into = into[np.append(True, self.grouped[place].large)]
            out[:, place] = np.append(own, into)[codes[:, place]]
        return out

    def measured(
        self, reference: MeasuredReference
    ) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
        """Measured shares of the cells, and the standard deviations of their noise, for each column."""
        shares, noise = [], []
        for place, codec in enumerate(self.codec.columns):
            share, deviation = reference.shares[place].copy(), reference.noise[place]
            into = np.array(codec.moved_into)
            moved, error = np.zeros(len(into)), np.full(len(into), reference.moved_noise)
            if reference.moved:
                moved = np.clip(reference.moved[place], 0.0, share[into])
            if isinstance(codec, CategoryCodec) and codec.meta.categories is None:
                moved[0], error[0] = share[into[0]], deviation[into[0]]  # all of the pool are moved rows
            if place in self.grouped:
                told = np.append(True, self.grouped[place].large)
                into, moved, error = into[told], moved[told], error[told]
            for cell, lost in zip(into, moved, strict=True):
                share[cell] = max(share[cell] - lost, 0.0)
            if place in self.divided:
                divided = self.divided[place]
                share, deviation = divided.of_bins(share), divided.of_bins(deviation)
            shares.append(np.append(share, moved))
            noise.append(np.append(deviation, error))
        return shares, noise


def cells_of(codec: TableCodec, reference: MeasuredReference, *, divide: bool = True) -> Cells:
    """The cells in which tables of a model are compared.

    Args:
        codec: The model's codec.
        reference: Its measurements.
        divide: Whether large intervals are divided; only rows tell what is in their parts.
    """
    divided, grouped = {}, {}
    for place, column in enumerate(codec.columns):
        if isinstance(column, CategoryCodec):
            if column.groups:
                large = reference.shares[place][list(column.groups)] > LARGEST_INTERVAL
                grouped[place] = _Grouped(column, tuple(large.tolist()))
            continue
        numeric = column.difference if isinstance(column, DifferenceCodec) else column
        divided[place] = _divided(numeric, divide=divide)
    return Cells(codec, divided, grouped)
