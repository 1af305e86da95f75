"""Reads what users ask of a synthetic table as they write it in a line of a terminal or a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.constraints import Ordering
from jupyter_dpsynth.errors import ConfigError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ordering_of"]

ORDER = "<="


def ordering_of(text: str, names: Sequence[str], option: str = "--order") -> Ordering:
    """An ordering as it is written in a line.

    Args:
        text: Two columns with `<=` between them.
        names: The columns of the table; a name may have such a sign itself.
        option: What names it, for messages.

    Raises:
        ConfigError: It is none.

    >>> ordering_of("admitted <= discharged", ["admitted", "discharged"])
    Ordering(low='admitted', high='discharged')
    """
    parts = text.split(ORDER)
    pairs = [(ORDER.join(parts[:at]), ORDER.join(parts[at:])) for at in range(1, len(parts))]
    plain = [(low.strip(), high.strip()) for low, high in pairs]
    if not plain:
        raise ConfigError(f"{option} = {shown(text)} is not allowed: write two columns, 'first <= last'.")
    known = [pair for pair in plain if set(pair) <= set(names)]
    return Ordering(*(known or plain)[0])
