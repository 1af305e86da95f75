"""Points in time as users write them: only such as can be read in one way, and in the column's zone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import shown

if TYPE_CHECKING:
    import datetime as dt

    from jupyter_dpsynth.errors import DPSynthError

__all__ = ["in_zone", "require_clear"]

# the year first, all of it, and then nothing that may be a day or a month; or a word of pandas
CLEAR = re.compile(
    r"\s*([-+]?\d{4,}([-/]\d{1,2}([-/]\d{1,2})?)?([T ].*)?|\d{8}([T ].*)?|today|now)\s*", re.IGNORECASE
)
MONTHS = 12
NAMED = re.compile(r"[A-Za-z]{3,}.*\b\d{4}\b|\b\d{4}\b.*[A-Za-z]{3,}")  # a month by its name, and a year
NUMBERS = re.compile(r"\s*(\d{1,2})[-./](\d{1,2})[-./](\d{4})\b")


def require_clear(value: object, what: str, error: type[DPSynthError]) -> None:
    """Raise an error unless a date that is text can be read in one way, whatever is written beside it.

    Args:
        value: A date; what is not text is clear.
        what: The beginning of the message, up to the value.
        error: The error's class.
    """
    if not isinstance(value, str) or CLEAR.fullmatch(value) or not any(map(str.isdigit, value)):
        return
    found = NUMBERS.match(value)
    if found is None:
        if NAMED.search(value):
            return
        right = "2024-02-01"
    else:
        one, other, year = found.groups()
        if one == other or max(int(one), int(other)) > MONTHS:
            return
        right = f"{year}-{int(one):02d}-{int(other):02d} or {year}-{int(other):02d}-{int(one):02d}"
    raise error(
        f"{what} {shown(value)}, which can be read in several ways: write the date as year-month-day "
        f"({right})."
    )


def in_zone(moment: Any, zone: dt.tzinfo | None) -> Any:  # noqa: ANN401 - of pandas
    """A point in time, or a duration, as the wall time of a column.

    A time with a zone is converted to that of the column; one without is that of the column already.

    Args:
        moment: A Timestamp or Timedelta of pandas.
        zone: The column's time zone; None if it has none.
    """
    if getattr(moment, "tzinfo", None) is None:
        return moment
    return (moment if zone is None else moment.tz_convert(zone)).tz_localize(None)
