"""Public constraints that every synthetic row must keep.

A constraint is a statement of the user about what is possible at all, known without looking at the private
table ('nobody leaves before arriving'). What a single column may contain is a condition: see `where` of
`HighDimSynthesizer.synthesize`.

Where a column follows from others ('age is the years since birth'), it is computed from these instead.

Privacy:
    Rows of the model that break a constraint are drawn again, or computed: post-processing, free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, did_you_mean, shown
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.metadata.declarations import microseconds_of
from jupyter_dpsynth.metadata.formulas import UNITS, Formula
from jupyter_dpsynth.metadata.kinds import kind_of
from jupyter_dpsynth.sources.dtypes import dtype_of, zone_of
from jupyter_dpsynth.sources.moments import require_clear
from jupyter_dpsynth.sources.objects import same_key
from jupyter_dpsynth.sources.values import as_held, is_above, is_duration, time_values

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Hashable, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from jupyter_dpsynth.metadata.columns import DataFrameMeta

__all__ = ["Combinations", "Constraint", "Derivation", "Elapsed", "Ordering", "Total", "check_constraints"]


@dataclass(frozen=True)
class Ordering:
    """The value of one column is never above that of another, where both are present.

    Attributes:
        low: The column with the lower values.
        high: The column with the higher values.
    """

    low: str
    high: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it concerns."""
        return self.low, self.high

    def check(self, df_meta: DataFrameMeta) -> None:
        """Raise ConfigError unless the columns' values can be compared."""
        metas = [df_meta[name] for name in self.columns]
        kinds = {(meta.kind, getattr(meta, "is_duration", False)) for meta in metas}
        if len(kinds) > 1 or not kinds <= {("number", False), ("datetime", False), ("datetime", True)}:
            raise ConfigError(
                f"Ordering({self.low!r}, {self.high!r}): the columns cannot be compared; give two columns "
                "of numbers, of dates or of durations."
            )
        zoned = [meta.name for meta in metas if zone_of(dtype_of(meta.dtype), meta.value_type)]
        if len(zoned) == 1:
            raise ConfigError(
                f"Ordering({self.low!r}, {self.high!r}): only {zoned[0]!r} has a time zone, so the columns "
                "cannot be compared; before learning, give the other one its zone with .dt.tz_localize."
            )

    def holds(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows meet it, `[n]`."""
        kept: NDArray[np.bool_] = ~is_above(df[self.low], df[self.high])
        return kept


@dataclass(frozen=True)
class Combinations:
    """Some columns only hold certain values together.

    Attributes:
        columns: The columns.
        allowed: All combinations that are possible, each with one value a column; None or NaN is missing.
            Days and moments are compared by the time they tell, whatever their type; text is read as a date
            where the column holds dates, and a time with a zone is converted to that of the column.
    """

    columns: tuple[str, ...]
    allowed: tuple[tuple[Hashable, ...], ...]

    def __init__(self, columns: Sequence[str], allowed: Sequence[Sequence[Hashable]]) -> None:
        names, rows = tuple(columns), tuple(map(tuple, allowed))
        if (
            isinstance(columns, str)
            or len(names) < 2
            or not rows
            or {len(row) for row in rows} != {len(names)}
        ):
            raise ConfigError(
                f"Combinations({shown(columns)}, ...): give at least two columns, and at least one "
                "combination with a value for each of them."
            )
        object.__setattr__(self, "columns", names)
        object.__setattr__(self, "allowed", rows)

    def check(self, df_meta: DataFrameMeta) -> None:
        """Any columns can be combined; raises ConfigError for a value of a column of times that is none."""
        for place, name in enumerate(self.columns):
            meta = df_meta[name]
            if not isinstance(meta, DatetimeMeta):
                continue
            for row in self.allowed:
                _moment(
                    row[place], name, zone_of(dtype_of(meta.dtype), meta.value_type), length=meta.is_duration
                )

    def holds(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows meet it, `[n]`."""
        import numpy as np

        values, wanted = [], []
        for place, name in enumerate(self.columns):
            series, allowed = df[name], [row[place] for row in self.allowed]
            kind, value_type = kind_of(series)
            if kind == "datetime":
                length = is_duration(series.dtype) or value_type in ("timedelta", "Timedelta")
                zone = zone_of(series.dtype, value_type)
                times, missing = time_values(series, duration=length)
                values.append(
                    [None if no else time for time, no in zip(times.tolist(), missing, strict=True)]
                )
                wanted.append([_moment(each, name, zone, length=length) for each in allowed])
            else:
                values.append(list(map(same_key, series.astype(object))))
                wanted.append(list(map(same_key, as_held(allowed, series.dtype))))
        known = set(zip(*wanted, strict=True))
        return np.fromiter((row in known for row in zip(*values, strict=True)), bool, len(df))


def _moment(value: Any, name: str, zone: dt.tzinfo | None, *, length: bool) -> int | None:  # noqa: ANN401
    """A value of a column of times in microseconds, in the column's zone; None if it is a missing one."""
    if same_key(value) is None:
        return None
    told = f"Combinations: column {name!r} has"
    if not length:
        require_clear(value, told, ConfigError)
    try:
        return microseconds_of(value, told, duration=length, zone=zone)
    except (TypeError, ValueError, OverflowError):
        what = "durations" if length else "dates"
        raise ConfigError(f"{told} {shown(value)}, but it holds {what}: give {what}, or None.") from None


@dataclass(frozen=True)
class Total:
    """A column of numbers is the sum of others (price = net + tax), and is computed from them.

    Attributes:
        column: The sum.
        parts: The columns that add up to it, at least two.
    """

    column: str
    parts: tuple[str, ...]

    def __init__(self, column: str, parts: Sequence[str]) -> None:
        if isinstance(parts, str) or len(tuple(parts)) < 2 or column in parts:
            raise ConfigError(
                f"Total({shown(column)}, {shown(parts)}): give at least two other columns that add up to it."
            )
        object.__setattr__(self, "column", column)
        object.__setattr__(self, "parts", tuple(parts))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it concerns."""
        return self.column, *self.parts

    def check(self, df_meta: DataFrameMeta) -> None:
        """Raise ConfigError unless all columns hold numbers."""
        _require_numbers("Total", self.columns, df_meta)

    def values(self, df: pd.DataFrame) -> NDArray[np.float64]:
        """What the column is in each row, float64 `[n]`; NaN where a part is missing."""
        return Formula(self.parts).values(df)


@dataclass(frozen=True)
class Elapsed:
    """A column counts whole units of time between two others (age at admission), and is computed from them.

    Attributes:
        column: The number of units that have passed in full; it is negative if the second time is earlier.
        since: Points in time from which is counted.
        until: Points in time to which is counted.
        unit: 'years' or 'months' by the calendar, 'weeks', 'days', 'hours', 'minutes' or 'seconds'.
    """

    column: str
    since: str
    until: str
    unit: str = "years"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it concerns."""
        return self.column, self.since, self.until

    def check(self, df_meta: DataFrameMeta) -> None:
        """Raise ConfigError unless a number is counted between two points in time."""
        if self.unit not in UNITS:
            hint = did_you_mean(str(self.unit), UNITS)
            raise ConfigError(
                f"Elapsed: unit = {shown(self.unit)} is not allowed: one of {', '.join(UNITS)}.{hint}"
            )
        _require_numbers("Elapsed", self.columns[:1], df_meta)
        for name in self.columns[1:]:
            meta = df_meta[name]
            if not isinstance(meta, DatetimeMeta) or meta.is_duration:
                raise ConfigError(f"Elapsed: column {name!r} does not hold points in time.")

    def values(self, df: pd.DataFrame) -> NDArray[np.float64]:
        """What the column is in each row, float64 `[n]`; NaN where one of both times is missing."""
        return Formula((self.until,), (self.since,), self.unit).values(df)


Derivation = Total | Elapsed
Constraint = Ordering | Combinations | Derivation


def _require_numbers(kind: str, names: Sequence[str], df_meta: DataFrameMeta) -> None:
    for name in names:
        if not isinstance(df_meta[name], ContinuousMeta):
            raise ConfigError(f"{kind}: column {name!r} does not hold numbers.")


def check_constraints(constraints: Any, df_meta: DataFrameMeta) -> tuple[Constraint, ...]:  # noqa: ANN401
    """The constraints as a tuple.

    Raises:
        ConfigError: Something else was given, or a column does not exist or fit.
    """
    given = (constraints,) if isinstance(constraints, Constraint) else constraints
    if not isinstance(given, list | tuple) or not all(isinstance(each, Constraint) for each in given):
        raise ConfigError(
            f"constraints = {shown(constraints)} is not allowed: give a list of Ordering(low, high), "
            "Combinations(columns, allowed), Total(column, parts) and Elapsed(column, since, until, unit); "
            "conditions on a single column go into where."
        )
    learned = {meta.name for meta in df_meta.learned}
    for constraint in given:
        for name in constraint.columns:
            if name not in learned:
                hint = did_you_mean(str(name), learned)
                raise ConfigError(f"constraints name {shown(name)}, which is not a learned column.{hint}")
        constraint.check(df_meta)
    derivations = [each for each in given if isinstance(each, Derivation)]
    for place, each in enumerate(derivations):
        if any(other.column in each.columns for other in derivations[place + 1 :]):
            raise ConfigError(
                f"constraints: column {each.column!r} follows from a column that is computed after it, or is "
                "computed twice: give them in the order in which they follow from each other."
            )
    return tuple(given)
