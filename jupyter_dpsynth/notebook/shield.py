"""`PrivateTable`: a handle for a table that tools which look at variables learn nothing from.

The tables themselves are kept in this module, out of the user's variables. That keeps them from inspectors
of variables, completion, assistants that read the variables, and careless display. It is no lock: whoever
runs code in the kernel can call `reveal`.
"""

from __future__ import annotations

import weakref
from typing import Any, NoReturn

__all__ = ["PrivateTable", "reveal", "taken_from"]

WORDS = "PrivateTable: hidden. The commands of %dpsynth take it by its name."


class PrivateTable:
    """Stands for a private table; it has no content that could be shown, listed, completed or saved.

    Args:
        table: The private table.
        name: The variable that it was taken from.
    """

    __slots__ = ("__weakref__",)

    def __init__(self, table: Any, name: str) -> None:  # noqa: ANN401 - of any library
        _TABLES[self] = (table, name)

    def __repr__(self) -> str:
        """The same for every table."""
        return WORDS

    def __dir__(self) -> list[str]:
        """Nothing to complete."""
        return []

    def __getattr__(self, name: str) -> NoReturn:
        """Say why there is nothing."""
        raise AttributeError(f"a PrivateTable has no {name!r}: %dpsynth shield NAME --off brings it back.")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be copied into files."""
        raise TypeError("a PrivateTable is not saved: its table is private.")


_TABLES: weakref.WeakKeyDictionary[PrivateTable, tuple[Any, str]] = weakref.WeakKeyDictionary()


def reveal(value: Any) -> Any:  # noqa: ANN401 - whatever a variable holds
    """The table behind a handle; anything else as it is."""
    return _TABLES[value][0] if isinstance(value, PrivateTable) else value


def taken_from(handle: PrivateTable) -> str:
    """The variable that a handle's table was taken from."""
    return _TABLES[handle][1]
