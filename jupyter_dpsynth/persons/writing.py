"""Writes synthetic tables of persons into a folder, one file for each table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import ConfigError, DataError, shown

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_dpsynth.metadata.tables import TablesMeta

__all__ = ["checked_folder", "files_of", "write_tables"]

ENDINGS = (".parquet", ".csv")


def checked_folder(to: str | Path, meta: TablesMeta, *, overwrite: bool) -> list[Path]:
    """The files that tables are to be written into, one for each.

    Args:
        to: A folder, or a pattern like 'out/*.csv'.
        meta: Metadata of the tables.
        overwrite: Whether files that are there may be replaced.

    Raises:
        ConfigError: It is neither, or one of the files exists.
    """
    files = files_of(to, meta, "to")
    for file in files:
        if file.exists() and not overwrite:
            raise ConfigError(
                f"{shown(str(file))} exists already. Choose another folder, or set overwrite = True "
                "(--overwrite) to replace it."
            )
    return files


def files_of(to: str | Path, meta: TablesMeta, option: str) -> list[Path]:
    """The files that a folder, or a pattern like 'out/*.csv', stands for: one for each table, by its name.

    Args:
        to: The folder or pattern.
        meta: Metadata of the tables.
        option: What gives it, for messages.

    Raises:
        ConfigError: It is neither.
    """
    path = Path(to)
    if path.suffix and path.suffix not in ENDINGS:
        raise ConfigError(
            f"{option} = {shown(str(to))} is not allowed: give a folder, or a pattern like 'out/*.csv'."
        )
    if path.suffix and path.stem != "*":
        raise ConfigError(
            f"{option} = {shown(str(to))} is one file, and there are several tables: give a folder, or "
            "'out/*.csv'."
        )
    folder, ending = (path.parent, path.suffix) if path.suffix else (path, ".parquet")
    files = [folder / f"{name}{ending}" for name in meta.tables]
    for file in files:
        if file.parent != folder:
            raise ConfigError(f"the table {shown(file.stem)} has a name that is no file name: rename it.")
    return files


def write_tables(tables: dict[str, pd.DataFrame], files: list[Path]) -> list[Path]:
    """Write each table into its file.

    Raises:
        DataError: A file cannot be written.
    """
    try:
        for table, file in zip(tables.values(), files, strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".csv":
                table.to_csv(file, index=False)
            else:
                table.to_parquet(file, index=False)
    except OSError as error:
        raise DataError(f"to = {shown(str(files[0].parent))} cannot be written: {error.strerror}.") from None
    return files
