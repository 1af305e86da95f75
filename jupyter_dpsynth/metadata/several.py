"""Reads what a learn cell, or a panel, says of several tables of the same persons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, did_you_mean, shown
from jupyter_dpsynth.sources.several import TABLE_NAMES, SeveralTables

if TYPE_CHECKING:
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.sources.base import Source

__all__ = ["several_tables"]


def several_tables(
    argument: str, table: Source, schema: dict[str, Any]
) -> tuple[SeveralTables, TablesMeta] | None:
    """The tables and their metadata; None if the cell is about one table without an order.

    Args:
        argument: The table's name in the line.
        table: That table, opened.
        schema: What the cell declares; what is about several tables is taken out of it.

    Raises:
        ConfigError: The names do not fit each other.
        MetadataError: As `MetaExtractor.extract`.
    """
    from jupyter_dpsynth.metadata.extracting import MetaExtractor
    from jupyter_dpsynth.metadata.tables import MOST_CHILDREN, Children
    from jupyter_dpsynth.sources.opening import open_source

    given = {name: schema.pop(name) for name in TABLE_NAMES if name in schema}
    if not given:
        return None
    for name, value in given.items():
        if not isinstance(value, dict):
            raise ConfigError(
                f'{name} = {shown(value)}: write it by table, as in {name} = {{"visits": ...}}.'
            )
    children = given.get("children", {})
    if argument in children:
        raise ConfigError(f"children name {argument!r}, the table that has one row for each person.")
    events = list(children) or [argument]
    for name, value in given.items():
        for table_name in value:
            if table_name not in events:
                hint = did_you_mean(str(table_name), events)
                raise ConfigError(f"{name} names the table {shown(table_name)}, which is not learned.{hint}")
    tables = SeveralTables({argument: table})
    tables |= {name: open_source(each) for name, each in children.items()}
    order, most, window, exactly, times, of, ends = (given.get(name, {}) for name in TABLE_NAMES[1:])
    described = [
        Children(
            name,
            order.get(name),
            most.get(name, MOST_CHILDREN),
            window.get(name),
            exactly.get(name),
            times.get(name),
            of.get(name),
            ends.get(name),
        )
        for name in events
    ]
    return tables, MetaExtractor.extract(tables, children=described, **schema)
