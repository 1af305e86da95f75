"""Codec of a column of times that is learned as the time since another column, or until it.

Two dates of one row (admission and discharge) are mostly close together, and far from those of other rows.
A cell of dates is months long, and which cells two dates are in says nothing about the days between them. So
the second date is learned as the difference, and made by adding it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.building import build_series, with_cells
from jupyter_dpsynth.encoding.numeric import NumericCodec, to_points
from jupyter_dpsynth.encoding.patterns import Pattern
from jupyter_dpsynth.errors import ArtifactError, shown
from jupyter_dpsynth.metadata.columns import DatetimeMeta, column_meta_from_dict
from jupyter_dpsynth.sources.values import RESOLUTIONS, WALL_EPOCH, stored_times, time_limits, time_values

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import ColumnMeta

__all__ = ["DifferenceCodec", "difference_meta", "differences", "exchanged", "follow", "on_steps"]

FARTHEST = 2**61  # microseconds: differences of two times up to here do not overflow


def difference_meta(name: str) -> DatetimeMeta:
    """Metadata of the differences, as of a column of durations."""
    return DatetimeMeta(name, "timedelta64[us]", nullable=True, is_duration=True)


def differences(
    column: pd.Series, meta: DatetimeMeta, base: pd.Series, base_meta: DatetimeMeta, *, later: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds `[n]` from one column to the other, and a mask of rows in which one of both is missing.

    Args:
        column: Points in time.
        meta: Its metadata.
        base: Other points in time.
        base_meta: Its metadata.
        later: Whether they are counted from the base to the column, or the other way.
    """
    own, absent = time_values(meta.present(column), duration=False)
    other, unknown = time_values(base_meta.present(base), duration=False)
    length = np.clip(own, -FARTHEST, FARTHEST) - np.clip(other, -FARTHEST, FARTHEST)
    return (length if later else -length), absent | unknown


def _added(start: NDArray[np.int64], lengths: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Sums in whole steps; what is not before the start does not come before it by that."""
    times = (start + lengths) // step * step
    times += np.where((lengths >= 0) & (times < start), step, 0)
    return times


def follow(known: pd.Series, other: pd.Series, own: pd.Series, resolution: float) -> NDArray[Any]:
    """What a column is if another one is known and the time between them was drawn, numpy times `[n]`.

    Args:
        known: The other column's values, none missing.
        other: The other column as it was drawn.
        own: The column as it was drawn with it.
        resolution: The column's resolution, microseconds.
    """
    start, drawn, end = (time_values(each, duration=False)[0] for each in (known, other, own))
    times = np.clip(_added(start, end - drawn, int(resolution)), *time_limits(str(own.dtype)))
    found: NDArray[Any] = WALL_EPOCH + times.astype("timedelta64[us]")
    return found


def exchanged(
    pair: tuple[pd.Series, pd.Series], metas: tuple[ColumnMeta, ColumnMeta], rows: NDArray[np.bool_]
) -> tuple[pd.Series, pd.Series]:
    """Two columns that can be compared, with the values of some rows in each other's place; dtypes stay.

    Args:
        pair: The columns `[n]`.
        metas: Their metadata.
        rows: In which rows both change places, `[n]`; there neither is missing.
    """
    first, second = pair
    if first.dtype == second.dtype:
        return first.where(~rows, second), first.where(rows, second)
    found, places = [], np.flatnonzero(rows)
    for own, other, meta in ((first, second, metas[0]), (second, first, metas[1])):
        duration = isinstance(meta, DatetimeMeta) and meta.is_duration
        times = np.clip(time_values(other.iloc[places], duration=duration)[0], *time_limits(str(own.dtype)))
        values: NDArray[Any] = times.astype("timedelta64[us]")
        made = build_series(values if duration else WALL_EPOCH + values, meta)
        found.append(with_cells(own, places, made))
    return found[0], found[1]


def on_steps(
    series: pd.Series, meta: ColumnMeta, step: float, rows: NDArray[np.bool_], *, up: bool = False
) -> pd.Series:
    """A column whose values in some rows are multiples of its resolution; only of points in time.

    Args:
        series: The column `[n]`.
        meta: Its metadata.
        step: Its resolution, microseconds.
        rows: In which rows, `[n]`; there none is missing.
        up: Whether to the next multiple, or to the one before.
    """
    places = np.flatnonzero(rows)
    if not isinstance(meta, DatetimeMeta) or meta.is_duration or not len(places) or step <= 1:
        return series
    times = time_values(series.iloc[places], duration=False)[0]
    whole = -(-times // int(step)) if up else times // int(step)
    kept = np.clip(whole * int(step), *time_limits(str(series.dtype)))
    made = build_series(WALL_EPOCH + kept.astype("timedelta64[us]"), meta)
    return with_cells(series, places, made)


@dataclass(frozen=True, eq=False)
class DifferenceCodec:
    """The bins of the time between a column and its base.

    Attributes:
        meta: The column's metadata.
        base: Name of the other column.
        later: Whether the column is the base plus the difference, or the base less it.
        resolution: The step in which the column's own values are recorded, microseconds.
        difference: The bins, of a column of durations with the same name.
        reach: First and last value of the column on its own, microseconds: no value is made beyond them that
            need not be. None in models of earlier versions.
        pattern: Where in a period the column's own values are; None if they are everywhere.

    Privacy:
        Everything here is a function of noisy counts and public declarations: post-processing.
    """

    meta: DatetimeMeta
    base: str
    later: bool
    resolution: float
    difference: NumericCodec
    reach: tuple[int, int] | None = None
    pattern: Pattern | None = None

    @property
    def kind(self) -> str:
        """'datetime'."""
        return self.meta.kind

    @property
    def ordered_cells(self) -> int:
        """How many of the first cells are bins, which have an order."""
        return self.difference.ordered_cells

    @property
    def size(self) -> int:
        """Number of cells: the bins, and one for rows in which this column or its base is missing."""
        return self.difference.size

    @property
    def optional_cells(self) -> tuple[int, ...]:
        """The cell of missing values, which exists whether or not the table has any."""
        return self.difference.optional_cells

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each cell."""
        return tuple(
            label if place in self.optional_cells else self.told(label)
            for place, label in enumerate(self.difference.labels)
        )

    @property
    def range_text(self) -> str:
        """The range that the bins cover, as text."""
        return self.told(self.difference.range_text)

    def told(self, length: str) -> str:
        """The text of a length, with what it is counted from."""
        return f"{length} {'after' if self.later else 'before'} {self.base}"

    @property
    def moved_into(self) -> tuple[int, ...]:
        """The bins that hold what is below and above the range, which synthetic values never are."""
        return self.difference.moved_into

    @property
    def moved_labels(self) -> tuple[str, ...]:
        """The labels of these rows, if they are told apart."""
        below, above = self.difference.moved_labels
        lengths = below.replace("below", "less than", 1), above.replace("above", "more than", 1)
        return tuple(map(self.told, lengths))

    def lengths(self, series: pd.Series, base: pd.Series, base_meta: DatetimeMeta) -> NDArray[np.float64]:
        """The time between both columns as points of `difference`, float64 `[n]`, NaN where one is missing.

        Args:
            series: The column.
            base: The other column.
            base_meta: Its metadata.
        """
        lengths, absent = differences(series, self.meta, base, base_meta, later=self.later)
        points = to_points(lengths, self.difference.meta, self.difference.resolution)
        points[absent] = np.nan
        return points

    def decode(self, codes: NDArray[np.int32], base: pd.Series, generator: np.random.Generator) -> pd.Series:
        """A column `[n]` of the original dtype, missing where the base is.

        A difference that is not negative is never made negative by the column's own, coarser resolution.
        Cells of long differences are wide: where one leads beyond the column's own values, another one is
        drawn that does not.

        Args:
            codes: Codes `int32 [n]`.
            base: The other column, decoded.
            generator: Draws the difference within a bin.
        """
        lengths, absent = stored_times(self.difference.decode(codes, generator))
        start, unknown = time_values(base, duration=False)
        times = _added(start, lengths if self.later else -lengths, int(self.resolution))
        first, last = self.meta.bounds or time_limits(self.meta.dtype)
        if self.reach is not None:
            beyond = (times < self.reach[0]) | (times > self.reach[1])
            rows = np.flatnonzero(beyond & ~(absent | unknown))
            times[rows] = self._within(codes[rows], start[rows], self.reach, generator)
        if self.pattern is not None:
            times = self._on_the_pattern(times, start, self.pattern)
        found: NDArray[Any] = WALL_EPOCH + np.clip(times, first, last).astype("timedelta64[us]")
        found = np.where(absent | unknown, np.datetime64("NaT", "us"), found)
        return build_series(found, self.meta, self.resolution)

    def _on_the_pattern(
        self, times: NDArray[np.int64], start: NDArray[np.int64], pattern: Pattern
    ) -> NDArray[np.int64]:
        """The nearest values that the column's own pattern has, on the same side of the other column.

        Args:
            times: Values, microseconds `[n]`.
            start: The other column, microseconds `[n]`.
            pattern: The pattern of the column's values.
        """
        step = int(self.resolution)
        points = (times // step).astype(np.float64)
        before, after = pattern.around(points)
        nearest = np.where(points - before < after - points, before, after)
        own, base = points * step, (start // step * step).astype(np.float64)
        other = np.where(nearest == before, after, before)
        crossed = ((own >= base) & (nearest * step < base)) | ((own <= base) & (nearest * step > base))
        return np.where(crossed, other, nearest).astype(np.int64) * step

    def _within(
        self,
        codes: NDArray[np.int32],
        start: NDArray[np.int64],
        limits: tuple[int, int],
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        """Values that differences lead to, within limits if that is possible.

        A difference is drawn by weight from the part of its cell that stays within, or if there is none, from
        all those of its sign that do.

        Args:
            codes: The cells, none of them that of missing values, `[n]`.
            start: The other column, microseconds `[n]`.
            limits: First and last value, microseconds.
            generator: Draws the differences.
        """
        found, step = self.difference, self.difference.resolution
        edges = np.stack([found.starts, found.ends], axis=1).ravel() * step
        mass = np.concatenate([[0.0], np.repeat(np.cumsum(found.weights), 2)[:-1]])
        last_leaf = np.append(found.first_leaf[1:], len(found.starts)) - 1
        shortest, longest = found.starts[found.first_leaf][codes] * step, found.ends[last_leaf][codes] * step
        nearest, farthest = (limits[0] - start, limits[1] - start)
        least, most = (nearest, farthest) if self.later else (-farthest, -nearest)
        most = most + int(self.resolution)
        inside = np.maximum(least, shortest) < np.minimum(most, longest)
        first = np.where(inside, shortest, np.where(shortest >= 0, max(edges[0], 0.0), edges[0]))
        last = np.where(inside, longest, np.where(longest <= 0, min(edges[-1], 0.0), edges[-1]))
        low, high = (np.clip(each, first, last) for each in (least, most))
        reached = [np.interp(each, edges, mass) for each in (low, high)]
        drawn = np.interp(reached[0] + generator.random(len(codes)) * (reached[1] - reached[0]), mass, edges)
        drawn = np.clip(drawn, low, np.maximum(np.nextafter(high, -np.inf), low))
        lengths = (drawn // step * step).astype(np.int64)
        return _added(start, lengths if self.later else -lengths, int(self.resolution))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form for saved models."""
        return {
            "codec": "difference",
            "meta": self.meta.to_dict(),
            "base": self.base,
            "later": self.later,
            "unit": self.resolution,
            "difference": self.difference.to_dict(),
            **({} if self.reach is None else {"reach": list(self.reach)}),
            **({} if self.pattern is None else {"pattern": self.pattern.to_dict()}),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DifferenceCodec:
        """Rebuild from `to_dict`."""
        meta, difference = column_meta_from_dict(values["meta"]), NumericCodec.from_dict(values["difference"])
        if not isinstance(meta, DatetimeMeta):
            raise TypeError
        fits = (
            not meta.is_duration
            and difference.meta == difference_meta(meta.name)
            and values["unit"] in RESOLUTIONS
        )
        if not fits:
            raise ArtifactError(f"the differences of column {shown(meta.name)} contradict each other.")
        reach = None
        if "reach" in values:
            reach = int(values["reach"][0]), int(values["reach"][1])
            if reach[0] > reach[1]:
                raise ArtifactError(f"the range of column {shown(meta.name)} ends before it starts.")
        unit, pattern = float(values["unit"]), None
        if "pattern" in values:
            pattern = Pattern.from_dict(values["pattern"], meta, unit)
        return cls(meta, values["base"], bool(values["later"]), unit, difference, reach, pattern)
