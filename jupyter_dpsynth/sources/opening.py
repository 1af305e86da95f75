"""Opens the table that a user passes, in whichever form, as a `Source`; this happens only once per call."""

from __future__ import annotations

import glob
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, DataError, MetadataError, did_you_mean, shielded, shown
from jupyter_dpsynth.sources.base import FrameSource, Source
from jupyter_dpsynth.sources.endings import CSV, PARQUET, SHEETS, STATISTICS
from jupyter_dpsynth.sources.forms import PANDAS, TableForm
from jupyter_dpsynth.sources.frames import arrow_frame, is_frame
from jupyter_dpsynth.sources.refusals import file_call, library_of, object_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from jupyter_dpsynth.sources.csvfile import CsvOptions

__all__ = [
    "form_of",
    "in_memory",
    "is_csv",
    "is_dask",
    "is_table",
    "known_columns",
    "leave_out",
    "names_files",
    "no_table",
    "open_source",
    "reads_by_itself",
    "sheet_of",
    "source_files",
]


def open_source(data: object, reading: CsvOptions | None = None) -> Source:
    """A source for a table; the schema of files is read, no value.

    Args:
        data: A table of pandas, Dask, polars, pyarrow or DuckDB, another one with the Arrow PyCapsule
            interface, the path of a file or a folder of Parquet or CSV files, a pattern
            such as 'data/*.parquet', or a source.
        reading: How CSV files are written; what is not given is found out, and told by a SchemaWarning.

    Raises:
        ConfigError: `reading` has something that is not allowed.
        DataError: It is none of these, or there is no such file.
        MissingDependencyError: Dask or pyarrow is needed, and is not installed.
    """
    source = _opened(data, reading)
    given = {name for name, value in vars(reading).items() if value} if reading is not None else set()
    if given - getattr(source, "options", frozenset()):
        raise ConfigError(
            "sep, decimal and the like say how CSV files are written: leave them out for others."
        )
    return source


def _opened(data: object, reading: CsvOptions | None) -> Source:
    import pandas as pd

    if isinstance(data, Source):
        return data
    if isinstance(data, pd.DataFrame):
        return FrameSource(data)
    if is_dask(data):
        from jupyter_dpsynth.sources.partitions import DaskSource

        return DaskSource(data)
    if is_frame(data):
        from jupyter_dpsynth.sources.arrowtable import ArrowSource

        return ArrowSource(arrow_frame(data))
    if not isinstance(data, str | os.PathLike):
        raise DataError(f"df {no_table(data)}, or the path of Parquet or CSV files.")
    path, sheet = sheet_of(os.fspath(data))
    if path.lower().endswith(SHEETS):
        from jupyter_dpsynth.sources.sheets import SheetSource

        return SheetSource(source_files(path), sheet, reading)
    return _open_files(source_files(data), reading)


def no_table(data: object) -> str:
    """What is said of an object that is no table: what it is, the call that makes one of it, what is allowed.

    Args:
        data: The object; only its type is looked at.
    """
    home, call = library_of(data), object_call(data)
    library = "" if home in ("builtins", "_io", "__main__") else f" of {home}"
    convert = f"make one of it ({call}), or " if call else ""
    return (
        f"has the type {type(data).__name__}{library} and is no table: {convert}pass a table of pandas, "
        "polars, pyarrow, DuckDB or Dask, one that offers __arrow_c_stream__"
    )


def leave_out(source: Source, names: str | Sequence[str], option: str) -> Source:
    """A table without some columns; arguments and errors as for `known_columns`."""
    left_out = known_columns(source, names, option)
    return source.without(left_out) if left_out else source


def known_columns(source: Source, names: str | Sequence[str], option: str) -> list[str]:
    """The column names that a user gave, one or several, as a list; checks that they exist.

    Args:
        source: The table.
        names: Which columns.
        option: How the user calls them, for the message.

    Raises:
        MetadataError: There is no such column, or no other one.
    """
    columns = source.described.columns
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in columns:
            hint = did_you_mean(str(name), map(str, columns))
            raise MetadataError(f"{option} names column {name!r}, which is not in the table.{hint}")
    if wanted and set(columns) <= set(wanted):
        raise MetadataError(f"{option} names all columns of the table: leave at least one to be learned.")
    return wanted


def in_memory(data: Any, parameter: str) -> pd.DataFrame:  # noqa: ANN401 - any frame
    """A synthetic table, or one to be imputed, as a DataFrame of pandas; columns keep their values.

    Args:
        data: A table in any form but files.
        parameter: What the user calls it, for the message.

    Raises:
        DataError: It is no table.
    """
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    if is_dask(data):
        found: pd.DataFrame = shielded(data.compute, f"computing {parameter} failed")
        return found
    if not is_frame(data):
        raise DataError(f"{parameter} {no_table(data)}.")
    from jupyter_dpsynth.sources.arrowtable import whole_frame

    return shielded(lambda: whole_frame(data), f"reading {parameter} failed")


def form_of(data: object) -> TableForm:
    """What kind of table something is."""
    if is_dask(data):
        return TableForm("dask")
    return arrow_frame(data).form if is_frame(data) else PANDAS


def is_table(data: object) -> bool:
    """Whether something is a table in memory, or one that a library computes; no path."""
    frame: Any = getattr(sys.modules.get("pandas"), "DataFrame", ())
    return isinstance(data, frame) or is_dask(data) or is_frame(data)


def is_dask(data: object) -> bool:
    """Whether something is a Dask DataFrame; Dask is not imported for it."""
    frame: Any = getattr(sys.modules.get("dask.dataframe"), "DataFrame", ())
    return isinstance(data, frame)


def source_files(path: str | os.PathLike[str]) -> list[Path]:
    """The files that a path or pattern stands for, sorted.

    Raises:
        DataError: There is none, or it is at another computer.
    """
    text = os.fspath(path)
    if "://" in text:
        kind = text.lower()
        read = "read_parquet" if kind.endswith(PARQUET) else "read_csv" if kind.endswith(CSV) else ""
        call = f"dask.dataframe.{read}({shown(text)})" if read else "what its library reads from there"
        raise DataError(f"df = {shown(text)} is not on this computer: pass {call}.")
    place = Path(text).expanduser().absolute()  # workers of a cluster have other working directories
    if place.is_file():  # whatever characters are in its name
        return [place]
    if place.is_dir():
        # hidden ones are no part of a table, as with a pattern
        found = [
            each
            for each in place.iterdir()
            if each.name.lower().endswith((*PARQUET, *CSV)) and not each.name.startswith(".")
        ]
    else:
        found = [Path(each) for each in glob.glob(str(place), recursive=True)]  # noqa: PTH207 - absolute too
    files = sorted(each for each in found if each.is_file())
    if not files:
        if place.is_dir() and any(place.glob("_delta_log")):
            raise DataError(f"df = {shown(text)} is a Delta table: pass polars.scan_delta({shown(text)}).")
        inside = f" Subfolders are not searched: name them ({shown(f'{text}/*/*.parquet')})."
        raise DataError(
            f"df = {shown(text)}: there is no such file, and no folder with .parquet or .csv "
            f"files.{inside if place.is_dir() else ''}"
        )
    return files


def names_files(text: str) -> bool:
    """Whether a text ends like the name of a table file, or of one and a sheet in it."""
    return text.lower().endswith((*PARQUET, *CSV)) or reads_by_itself(text)


def reads_by_itself(path: str) -> bool:
    """Whether a path names a file of SPSS, Stata or SAS, or a workbook: these need no options."""
    return sheet_of(path)[0].lower().endswith((*STATISTICS, *SHEETS))


def sheet_of(text: str) -> tuple[str, str | None]:
    """A workbook's path and the sheet that is named behind it: 'stays.xlsx#2024'.

    >>> sheet_of("stays.xlsx#ward 3"), sheet_of("stays.xlsx"), sheet_of("a#b.csv")
    (('stays.xlsx', 'ward 3'), ('stays.xlsx', None), ('a#b.csv', None))
    """
    path, mark, sheet = text.rpartition("#")
    named = mark and path.lower().endswith(SHEETS)
    return (path, sheet) if named else (text, None)


def is_csv(files: Sequence[Path]) -> bool:
    """Whether all files are CSV, by their names."""
    return all(path.name.lower().endswith(CSV) for path in files)


def _open_files(files: list[Path], reading: CsvOptions | None) -> Source:
    if any(path.suffix.lower() in STATISTICS for path in files):
        from jupyter_dpsynth.sources.arrowtable import ArrowSource
        from jupyter_dpsynth.sources.statfiles import stat_frame

        if len(files) > 1:
            raise DataError(f"{files[0].name}: name one file of SPSS, Stata or SAS, or save them as Parquet.")
        return ArrowSource(stat_frame(files[0]))
    if all(path.name.lower().endswith(PARQUET) for path in files):
        from jupyter_dpsynth.sources.parquet import ParquetSource

        return ParquetSource(files)
    if is_csv(files):
        from jupyter_dpsynth.sources.csv import CsvSource

        return CsvSource(files, reading)
    call = file_call(files[0].name)
    if call:
        raise DataError(f"{files[0].name} is {call}.")
    if len(files) == 1:
        raise DataError(
            f"{files[0].name} does not end like a table file (.parquet, .csv, .tsv, .sav, .dta, .xpt, "
            ".sas7bdat, .xlsx, .ods): read it with its library, such as pandas.read_csv, and pass the "
            "DataFrame."
        )
    raise DataError(
        f"{files[0].name}: the files must all end in .parquet, or all in .csv or .csv.gz. Name them with a "
        "pattern such as 'data/*.parquet'."
    )
