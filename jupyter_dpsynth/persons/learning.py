"""Opens several tables for a run, and refuses, before anything is spent, what is not supported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, DataError
from jupyter_dpsynth.metadata.tables import require_in_memory
from jupyter_dpsynth.persons.planning import persons_config
from jupyter_dpsynth.sources.opening import open_source

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.persons.planning import PersonsConfig

__all__ = ["open_tables"]


def open_tables(
    tables: object, meta: TablesMeta, config: ResolvedConfig, refused: Mapping[str, Any]
) -> tuple[dict[str, pd.DataFrame], TablesMeta, PersonsConfig]:
    """The tables in memory, their metadata with the key as an identifier, and the parameters.

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
    checked = persons_config(config, meta)
    if not isinstance(tables, Mapping) or set(tables) != set(meta.tables):
        names = ", ".join(map(repr, meta.tables))
        raise DataError(
            f"df must be a dict of the tables {names}, as they were given to MetaExtractor.extract."
        )
    meta = meta.with_key(checked.privacy_unit or "")
    found = {}
    for name, table_meta in meta.tables.items():
        source = open_source(tables[name])
        require_in_memory(name, source)
        table_meta.check(source)
        found[name] = source.described
    return found, meta, checked
