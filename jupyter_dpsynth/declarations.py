"""What users declare to be public: checked, and brought into one form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MetadataError, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

__all__ = [
    "declared_categories",
    "declared_decimals",
    "declared_numbers",
    "declared_times",
    "read_schema",
]

MAX_DECIMALS = 9


def read_schema(path: Path, declared: dict[str, dict[str, Any]]) -> None:
    """Add the declarations of a YAML or JSON file to `declared`; keywords given in code win."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        columns = content["columns"].items()
    except OSError as error:
        raise MetadataError(f"schema = {str(path)!r} cannot be read: {error.strerror}.") from None
    except (ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise MetadataError(
            f"schema = {str(path)!r} is not a schema file: it needs the form "
            "'columns: {name: {bounds: [low, high]}}'."
        ) from None
    for name, options in columns:
        for option, value in (options or {}).items():
            if option not in declared:
                hint = did_you_mean(str(option), declared)
                raise MetadataError(
                    f"schema option {option!r} of column {name!r} is unknown.{hint} "
                    f"Known: {', '.join(declared)}."
                )
            declared[option].setdefault(name, value)


def declared_categories(name: str, categories: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Public categories as a tuple without repetitions; MetadataError if they are none."""
    if isinstance(categories, (str, bytes)):
        raise MetadataError(f"categories of column {name!r} are one text: give a list of values.")
    values = tuple(dict.fromkeys(categories))
    if not values:
        raise MetadataError(f"categories of column {name!r} are empty: give at least one value.")
    return values


def declared_decimals(name: str, decimals: int | None) -> int | None:
    """Public digits after the point, 0 to 9; MetadataError for anything else."""
    if decimals is None:
        return None
    if isinstance(decimals, bool) or decimals not in range(MAX_DECIMALS + 1):
        raise MetadataError(
            f"decimals of column {name!r} are {shown(decimals)}: give a whole number from 0 to "
            f"{MAX_DECIMALS}."
        )
    return int(decimals)


def _pair(name: str, bounds: Sequence[Any]) -> tuple[Any, Any]:
    if isinstance(bounds, (str, bytes)) or len(bounds) != 2:
        raise MetadataError(f"bounds of column {name!r} are {shown(bounds)}: give (lowest, highest).")
    return bounds[0], bounds[1]


def declared_numbers(name: str, bounds: Sequence[Any] | None) -> tuple[float, float] | None:
    """Public bounds of a column of numbers; MetadataError unless finite and in order."""
    if bounds is None:
        return None
    first, last = _pair(name, bounds)
    try:
        low, high = float(first), float(last)
    except (TypeError, ValueError):
        raise MetadataError(f"bounds of column {name!r} are {shown(bounds)}: give two numbers.") from None
    if not -1e300 < low <= high < 1e300:
        raise MetadataError(
            f"bounds of column {name!r} are {shown(bounds)}: give two finite numbers, lowest first."
        )
    return low, high


def declared_times(name: str, bounds: Sequence[Any] | None, *, duration: bool) -> tuple[int, int] | None:
    """Public bounds of a column of times, in microseconds; MetadataError unless in order."""
    import pandas as pd

    if bounds is None:
        return None
    first, last = _pair(name, bounds)
    parse = pd.Timedelta if duration else pd.Timestamp
    try:
        limits = [parse(value) for value in (first, last)]
        low, high = (_microseconds(limit) for limit in limits)
    except (TypeError, ValueError):
        what = "durations" if duration else "dates"
        raise MetadataError(f"bounds of column {name!r} are {shown(bounds)}: give two {what}.") from None
    if low > high:
        raise MetadataError(f"bounds of column {name!r} are {shown(bounds)}: give the earliest first.")
    return low, high


def _microseconds(moment: Any) -> int:  # noqa: ANN401 - Timestamp or Timedelta
    """Since 1970 in local wall time, in which days are whole days; or the length of a duration."""
    if getattr(moment, "tzinfo", None) is not None:
        moment = moment.tz_localize(None)
    return int(moment.to_numpy().astype(f"{moment.to_numpy().dtype.kind}8[us]").astype("int64"))
