"""Public orders of columns: the value of one is never above that of another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import MetadataError, did_you_mean, shown
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth.metadata.columns import ColumnMeta

__all__ = ["check_orders", "comparable", "declared_orders", "line_of"]

UNIT = re.compile(r"(?<=\[)(?:ns|us|ms|s)(?=[],])")


def comparable(first: ColumnMeta, second: ColumnMeta) -> bool:
    """Whether the values of two columns can be compared: they have the same kind and dtype.

    The unit in which times are stored (nanoseconds, microseconds) may differ.
    """
    if not isinstance(first, ContinuousMeta | DatetimeMeta) or type(first) is not type(second):
        return False
    return line_of(first) == line_of(second) != "object"


def line_of(meta: ColumnMeta) -> str:
    """What columns have in common whose values lie on one line: the dtype, of times without its unit.

    >>> line_of(DatetimeMeta("at", "datetime64[ns, UTC]"))
    'datetime64[, UTC]'
    """
    return UNIT.sub("", meta.dtype) if isinstance(meta, DatetimeMeta) else meta.dtype


def declared_orders(name: str, columns: object, kind: str) -> tuple[str, ...]:
    """The columns that one is declared to be at least as large as.

    Args:
        name: The column.
        columns: What was declared: a name, or several.
        kind: What the column holds: 'number', 'datetime' or 'category'.

    Raises:
        MetadataError: These are no names, or the column holds neither numbers nor times.
    """
    if columns is None:
        return ()
    found = (columns,) if isinstance(columns, str) else columns
    if not isinstance(found, list | tuple) or not found or not all(isinstance(each, str) for each in found):
        raise MetadataError(
            f"at_least of column {name!r} is {shown(columns)}: give the name of a column that is never "
            "above it, or a list of names."
        )
    if kind not in ("number", "datetime"):
        raise MetadataError(
            f"at_least names column {name!r}, which contains neither numbers nor dates: convert it first, or "
            "leave it out of at_least."
        )
    return tuple(dict.fromkeys(found))


def check_orders(columns: Sequence[ColumnMeta]) -> None:
    """Raise MetadataError unless declared orders name columns that can be compared, and do not go round."""
    metas = {meta.name: meta for meta in columns}
    lower = {meta.name: meta.at_least for meta in columns if isinstance(meta, ContinuousMeta | DatetimeMeta)}
    for name, others in lower.items():
        for other in others:
            if other not in metas:
                hint = did_you_mean(other, metas)
                raise MetadataError(
                    f"at_least of column {name!r} names {shown(other)}, which is not in the table.{hint}"
                )
            if not comparable(metas[name], metas[other]):
                raise MetadataError(
                    f"at_least: columns {name!r} ({metas[name].dtype}) and {other!r} ({metas[other].dtype}) "
                    "cannot be compared: give two columns of numbers or of times with one dtype."
                )
    left = dict(lower)
    while left:
        free = [name for name, others in left.items() if not set(others) & set(left)]
        if not free:
            names = ", ".join(map(repr, list(left)[:3]))
            raise MetadataError(f"at_least goes round in a circle among {names}: leave one of them out.")
        for name in free:
            del left[name]
