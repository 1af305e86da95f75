"""Checks which values users declare to stand for a missing one."""

from __future__ import annotations

import math
import numbers
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MetadataError, shown
from jupyter_dpsynth.metadata.declarations import PLURALS, is_one, microseconds_of
from jupyter_dpsynth.sources.letters import letter_text
from jupyter_dpsynth.sources.objects import same_key

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Hashable, Sequence

__all__ = ["check_apart", "declared_missing", "missing_moments"]


def declared_missing(name: str, codes: Sequence[Any], kind: str) -> tuple[Any, ...]:
    """Declared codes for a missing value, without repetitions.

    Args:
        name: The column.
        codes: What was declared.
        kind: What the column's values are, as for `declared_categories`; empty if unknown.

    Raises:
        MetadataError: These are no values, or not such as the column can hold.
    """
    found = []
    for code in _listed(name, codes):
        plain = getattr(code, "item", lambda code=code: code)()
        known = "number" if kind in ("whole number", "decimal number") else kind
        if kind and not is_one(plain, known):
            raise MetadataError(
                f"missing of column {name!r} has {shown(code)}, a {type(code).__name__}, but the column "
                f"holds {PLURALS[kind]}: give values of that type."
            )
        whole = isinstance(plain, numbers.Real | Decimal) and not isinstance(plain, bool)
        if whole and math.isfinite(plain) and plain == int(plain) and not letter_text(plain):
            plain = int(plain)
        if kind != "whole number" or isinstance(plain, int):  # which hold no 2.5
            found.append(float(plain) if isinstance(plain, Decimal) else plain)
    return tuple({same_key(code): code for code in found}.values())


def missing_moments(
    name: str, codes: Sequence[Any], *, duration: bool, zone: dt.tzinfo | None
) -> tuple[int, ...]:
    """The same for a column of times, in microseconds.

    Args:
        name: The column.
        codes: Points in time or durations. A day without a time stands for all of that day.
        duration: Whether these are durations.
        zone: The column's time zone, in whose wall time they are; None if it has none.
    """
    found, told = [], f"missing of column {name!r} has"
    for code in _listed(name, codes):
        try:
            found.append(microseconds_of(code, told, duration=duration, zone=zone))
        except MetadataError:
            raise
        except (TypeError, ValueError, OverflowError):
            what = "durations" if duration else "dates"
            raise MetadataError(
                f"missing of column {name!r} has {shown(code)}, but the column holds {what}: give {what}."
            ) from None
    return tuple(dict.fromkeys(found))


def _listed(name: str, codes: Sequence[Any]) -> list[Any]:
    if not isinstance(codes, list | tuple | set | frozenset) or not len(codes):
        raise MetadataError(
            f"missing of column {name!r} is {shown(codes)}: give a list of the values that stand for a "
            "missing one, such as [-9, 999]."
        )
    for code in codes:
        if code is None or code != code:  # noqa: PLR0124 - NaN, NaT
            raise MetadataError(
                f"missing of column {name!r} has a missing value: leave it out; it is one already."
            )
    return list(codes)


def check_apart(name: str, categories: Sequence[Hashable], codes: Sequence[Any]) -> None:
    """Raise MetadataError if a value is declared to be a category and to be missing."""
    known = set(map(same_key, codes))
    for value in categories:
        if same_key(value) in known:
            raise MetadataError(
                f"column {name!r} has {shown(value)} both in categories and in missing: leave it out of one."
            )
