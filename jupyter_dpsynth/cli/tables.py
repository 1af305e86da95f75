"""Files of tables that the command line reads and writes; the end of the name tells the format."""

from __future__ import annotations

import glob
import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ArtifactError, ConfigError, DataError, MissingDependencyError
from jupyter_dpsynth.sources.endings import WRITTEN_STATISTICS

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.csv import CsvFile

__all__ = [
    "STANDARD",
    "add_reading",
    "check_format",
    "checked_output",
    "open_table",
    "read_table",
    "write_table",
]

STANDARD = "-"  # stdin or stdout, as CSV
FORMATS = {
    ".csv": "CSV",
    ".csv.gz": "CSV",
    ".tsv": "TSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".feather": "Feather",
    **dict.fromkeys(WRITTEN_STATISTICS, "statistics"),
}
IN_PARTS = ("CSV", "Parquet")


def check_format(path: str, option: str) -> str:
    """The format of a file, by its name.

    Raises:
        DataError: It has none of the known endings.
    """
    if path == STANDARD:
        return "CSV"
    for ending, name in FORMATS.items():
        if path.lower().endswith(ending):
            return name
    raise DataError(f"{option} = {path!r} does not end like a table file: give {', '.join(FORMATS)}, or -.")


def checked_output(name: str, *, replace: bool, otherwise: str, option: str = "--output") -> Path:
    """The file that an option names; checks that it can be written before anything is spent or made.

    Args:
        name: What the user gave.
        replace: Whether a file that is there may be replaced.
        otherwise: What to do if it is there and may not.
        option: The option, for messages.

    Raises:
        ArtifactError: It cannot be written, or is there already.
    """
    path = Path(name)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ArtifactError(f"{option} = {name!r}: the folder does not exist: create it first.")
    if path.is_dir():
        raise ArtifactError(f"{option} = {name!r} is a folder: give the name of a file.")
    if not os.access(folder, os.W_OK):
        raise ArtifactError(f"{option} = {name!r} cannot be written: choose a folder in which you may write.")
    if path.exists() and not replace:
        raise ArtifactError(f"{option} = {name!r} exists already{otherwise}")
    return path


def add_reading(parser: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the options that say how a CSV file is written."""
    parser.add_argument(
        "--sep",
        metavar="MARK",
        help="what separates the fields of CSV; by default as in its header, and told",
    )
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="how the text of CSV is written, for example cp1252; by default utf-8, or cp1252 if the header "
        "is not utf-8, and told",
    )


def _with_options(file: CsvFile, sep: str | None, encoding: str | None) -> CsvFile:
    """A file of CSV with the separator and encoding that were given, or else those of its header."""
    from jupyter_dpsynth.sources.csv import detected

    if sep is not None:
        sep = {"\\t": "\t", "tab": "\t"}.get(sep, sep)
        if len(sep) != 1 or not sep.isascii() or sep in '"\r\n':
            raise ConfigError(f"--sep = {sep!r} is not allowed: give one character, such as ';' or 'tab'.")
        file = replace(file, separator=sep)
    if encoding is not None:
        try:
            good = "\"',;\n".encode(encoding) == b"\"',;\n"
        except (LookupError, UnicodeError):
            good = False
        if not good:
            raise ConfigError(
                f"--encoding = {encoding!r} is not allowed: give utf-8, cp1252, or another one that extends "
                "ASCII."
            )
        file = replace(file, encoding=encoding)
    found = detected(file) if sep is None or encoding is None else file
    told = [f"{found.separator!r} between fields"] * (sep is None and found.separator != file.separator)
    told += [f"text in {found.encoding}"] * (encoding is None and found.encoding != file.encoding)
    if told:
        sys.stderr.write(f"jupyter dpsynth: {file.name} is read with {' and '.join(told)}.\n")
    return replace(
        file,
        separator=found.separator if sep is None else file.separator,
        encoding=found.encoding if encoding is None else file.encoding,
    )


def open_table(path: str, sep: str | None = None, encoding: str | None = None) -> Source:
    """Open a private table: Parquet or CSV files part by part if Dask is installed, others in memory.

    Args:
        path: A file, a folder of Parquet or CSV files, a pattern of them, or - for CSV from stdin; a sheet
            of a workbook is named behind it ('book.xlsx#Sheet1').
        sep: What separates the fields of CSV; None to take it from the header, and tell.
        encoding: How the text of CSV is written; None for UTF-8, unless the header shows that it is not.

    Raises:
        ConfigError: There is no such separator or encoding.
        DataError: It cannot be read. The message says nothing of what is in it.
        MissingDependencyError: pyarrow is needed; or Dask, because there are several files.

    Privacy:
        Names and types of the columns count as public. Of CSV and TSV they are read off the first 10,000
        rows.
    """
    from jupyter_dpsynth.sources.base import FrameSource
    from jupyter_dpsynth.sources.csv import CsvFile, CsvSource
    from jupyter_dpsynth.sources.opening import is_csv, open_source, reads_by_itself, source_files

    if reads_by_itself(path):
        return open_source(path)
    place = Path(path)
    several = place.is_dir() or (glob.has_magic(path) and not place.exists())
    if several or (place.is_file() and check_format(path, "the table") in IN_PARTS):
        try:
            files = source_files(path)
            if not is_csv(files):
                return open_source(path)
            first = _with_options(CsvFile.at(files[0]), sep, encoding)
            return CsvSource(files, first.separator, first.encoding)
        except MissingDependencyError:
            if several:
                raise
    return FrameSource(read_table(path, sep, encoding))


def read_table(path: str, sep: str | None = None, encoding: str | None = None) -> pd.DataFrame:
    """Read a private table into memory.

    Args:
        path: A file, or - for CSV from stdin.
        sep: As for `open_table`.
        encoding: As for `open_table`.

    Raises:
        ConfigError: There is no such separator or encoding.
        DataError: It cannot be read. The message says nothing of what is in it.
        MissingDependencyError: pyarrow is needed.

    Privacy:
        Names and types of the columns count as public. Of CSV and TSV they are read off the first 10,000
        rows.
    """
    from jupyter_dpsynth.sources.arrow import read_arrow_frame
    from jupyter_dpsynth.sources.csv import CsvFile, read_csv_frame

    kind = check_format(path, "the table")
    try:
        if kind in ("Parquet", "Feather"):
            return read_arrow_frame(path, kind)
        separator = "\t" if kind == "TSV" else ","
        if path != STANDARD:
            file = CsvFile.at(Path(path), separator)
            file.opened().close()  # a missing file has a message of its own
            return read_csv_frame(_with_options(file, sep, encoding))
        content = sys.stdin.buffer.read()
        piped = CsvFile("the table on stdin", lambda: io.BytesIO(content), separator)
        return read_csv_frame(_with_options(piped, sep, encoding))
    except (ConfigError, DataError):
        raise
    except ImportError:
        failure: Exception = MissingDependencyError(
            f"{kind} files are read with pyarrow: pip install pyarrow"
        )
    except OSError as error:
        failure = DataError(f"the table {path!r} cannot be read: {error.strerror or type(error).__name__}.")
    except Exception as error:  # noqa: BLE001 - its message may quote what is in the file
        failure = DataError(
            f"the table {path!r} is no {kind} that pandas can read ({type(error).__name__}): repair it, or "
            "save it as Parquet with pandas."
        )
    raise failure


def write_table(df: pd.DataFrame, path: str) -> None:
    """Write a synthetic table; to stdout it goes as CSV.

    Raises:
        ArtifactError: It cannot be written.
        MissingDependencyError: pyarrow is needed.
    """
    kind = check_format(path, "--output")
    try:
        if path == STANDARD:
            df.to_csv(sys.stdout, index=False)
            sys.stdout.flush()
        elif kind == "Parquet":
            df.to_parquet(path, index=False)
        elif kind == "Feather":
            df.to_feather(path)
        else:
            df.to_csv(path, sep="\t" if kind == "TSV" else ",", index=False)
    except ImportError:
        raise MissingDependencyError(f"{kind} files are written with pyarrow: pip install pyarrow") from None
    except BrokenPipeError:
        raise
    except OSError as error:
        name = str(Path(path))
        raise ArtifactError(f"--output = {name!r} cannot be written: {error.strerror or error}.") from None
