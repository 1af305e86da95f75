"""Values after which a person has no further row, as death has none: public where they are declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import MetadataError, did_you_mean, shown
from jupyter_dpsynth.metadata.columns import CategoricalMeta
from jupyter_dpsynth.sources.objects import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from jupyter_dpsynth.metadata.columns import DataFrameMeta

__all__ = ["check_end_columns", "check_ends", "is_end"]


def is_end(ends: Mapping[str, Sequence[Any]] | None, column: str, value: object) -> bool:
    """Whether a value of a column is declared to have no row after it; values are told apart as text."""
    return as_text(value) in map(as_text, (ends or {}).get(column, ()))


def check_ends(table: str, ends: object, *, fixed: bool) -> None:
    """Raise MetadataError unless ends are values by column, of histories that may end early.

    Args:
        table: The name of the table.
        ends: What is declared.
        fixed: Whether every person has as many rows.
    """
    if ends is None:
        return
    if not isinstance(ends, Mapping) or not all(isinstance(each, list | tuple) for each in ends.values()):
        raise MetadataError(
            f"ends = {shown(ends)} of {table!r} is not allowed: give the values by column, such as "
            '{"outcome": ["died"]}.'
        )
    if fixed:
        raise MetadataError(
            f"ends of {table!r} are given, but every person has as many rows: leave one of both out."
        )


def check_end_columns(table: str, ends: Mapping[str, Sequence[Any]] | None, meta: DataFrameMeta) -> None:
    """Raise MetadataError if ends name no column of categories, or none of those that are declared."""
    for name, values in (ends or {}).items():
        if name not in meta.names:
            hint = did_you_mean(str(name), meta.names)
            raise MetadataError(f"ends: {table!r} has no column {shown(name)}.{hint}")
        column = meta[name]
        if not isinstance(column, CategoricalMeta):
            raise MetadataError(
                f"ends name {name!r} of {table!r}, which holds no categories: convert it to text, or declare "
                "its categories."
            )
        if column.categories is None:
            continue
        known = [as_text(each) for each in column.categories]
        for value in values:
            if as_text(value) not in known:
                hint = did_you_mean(as_text(value), known)
                raise MetadataError(
                    f"ends: {shown(value)} is none of the categories of {name!r} in {table!r}.{hint}"
                )
        if set(known) <= set(map(as_text, values)):
            raise MetadataError(f"ends name all categories of {name!r} in {table!r}: leave one out.")
