"""Opens several tables for a run, and refuses, before anything is spent, what is not supported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, DataError
from jupyter_dpsynth.persons.planning import persons_config
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.sources.sample import joined

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.persons.planning import PersonsConfig
    from jupyter_dpsynth.sources.base import Source

__all__ = ["in_memory", "open_tables", "opened_tables"]


def open_tables(
    tables: object, meta: TablesMeta, config: ResolvedConfig, refused: Mapping[str, Any]
) -> tuple[dict[str, Source], TablesMeta, PersonsConfig]:
    """The tables, opened, their metadata with the key as an identifier, and the parameters.

    Args:
        tables: Private tables by name.
        meta: Their metadata.
        config: The parameters.
        refused: Arguments of `learn` that have no meaning for several tables, by name; None if not given.

    Raises:
        ConfigError: A parameter or argument is not supported.
        DataError: The tables are not those of the metadata.
        MetadataError: A table has other columns, or lacks the key.
    """
    for name, value in refused.items():
        if value is not None:
            raise ConfigError(f"{name} is not supported for several tables yet: leave it out.")
    checked = persons_config(config)
    meta = meta.with_id(checked.privacy_unit or "")
    return opened_tables(tables, meta), meta, checked


def opened_tables(tables: object, meta: TablesMeta) -> dict[str, Source]:
    """Opened tables, which are those of the metadata.

    Args:
        tables: Private tables by name.
        meta: Their metadata.

    Raises:
        DataError: The tables are not those of the metadata.
        MetadataError: A table has other columns.
    """
    if not isinstance(tables, Mapping) or set(tables) != set(meta.tables):
        names = ", ".join(map(repr, meta.tables))
        raise DataError(
            f"df must be a dict of the tables {names}, as they were given to MetaExtractor.extract."
        )
    opened = {name: open_source(tables[name]) for name in meta.tables}
    for name, table_meta in meta.tables.items():
        table_meta.check(opened[name])
    return opened


def in_memory(tables: Mapping[str, Source]) -> dict[str, pd.DataFrame]:
    """Tables in memory; what is read part by part is read whole, because a person may be in any part.

    Args:
        tables: Opened private tables by name.

    Privacy:
        Exact private rows.
    """
    return {name: _whole(source) for name, source in tables.items()}


def _whole(source: Source) -> pd.DataFrame:
    if not source.partitioned:
        return source.described
    parts = list(source.map(_itself, list(source.described.columns)))
    return joined(parts, source.described) if parts else source.described


def _itself(df: pd.DataFrame) -> pd.DataFrame:
    return df
