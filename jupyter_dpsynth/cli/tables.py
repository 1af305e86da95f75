"""Files of tables that the command line reads and writes; the end of the name tells the format."""

from __future__ import annotations

import glob
import io
import os
import sys
from argparse import BooleanOptionalAction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ArtifactError, ConfigError, DataError, MissingDependencyError
from jupyter_dpsynth.sources.endings import WRITTEN_STATISTICS
from jupyter_dpsynth.sources.refusals import file_call

if TYPE_CHECKING:
    from argparse import Namespace

    import pandas as pd

    from jupyter_dpsynth.sources.base import FrameSource, Source
    from jupyter_dpsynth.sources.csvfile import CsvOptions
    from jupyter_dpsynth.sources.forms import TableForm

__all__ = [
    "REPLACED",
    "STANDARD",
    "add_reading",
    "check_format",
    "check_written",
    "checked_output",
    "open_table",
    "read_table",
    "reading_of",
    "write_table",
]

REPLACED = ": give another name, or --overwrite to replace it."
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
IN_PARTS = ("CSV", "TSV", "Parquet")


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
    call = file_call(path)
    if call and option == "the table":
        raise DataError(f"{option} {path!r} is {call}, or save that as Parquet and name the Parquet file.")
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
    """Add the options that say how a CSV file is written; their names are those of `CsvOptions`."""
    group = parser.add_argument_group(
        "CSV", "What is not given is found in the header and in most of the first 10,000 rows, and told."
    )
    group.add_argument("--sep", metavar="MARK", help="what separates the fields, for example ';' or tab")
    group.add_argument("--encoding", metavar="NAME", help="how the text is written, for example cp1252")
    group.add_argument("--decimal", metavar="MARK", help="the decimal mark, '.' or ','")
    group.add_argument(
        "--thousands", metavar="MARK", help="what may stand between groups of three digits; '' for nothing"
    )
    group.add_argument(
        "--dayfirst",
        dest="day_first",
        action=BooleanOptionalAction,
        default=None,
        help="whether 01/02/2024 is in February",
    )
    group.add_argument(
        "--na",
        action="append",
        default=[],
        metavar="TEXT",
        help="a text that is a missing value; may be repeated",
    )
    group.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column that stays text, whatever it looks like; may be repeated",
    )


def reading_of(options: Namespace) -> CsvOptions:
    """How CSV is written, as the command line says."""
    from jupyter_dpsynth.sources.csvfile import CsvOptions

    named = ("sep", "encoding", "decimal", "thousands", "day_first")
    given = {name: getattr(options, name) for name in named}
    return CsvOptions(**given, na=tuple(options.na), text=tuple(options.text))


def open_table(path: str, reading: CsvOptions | None = None) -> Source:
    """Open a private table: Parquet or CSV files part by part if Dask is installed, others in memory.

    Args:
        path: A file, a folder of Parquet or CSV files, a pattern of them, or - for CSV from stdin; a sheet
            of a workbook is named behind it ('book.xlsx#Sheet1').
        reading: How CSV is written; what is not given is found out, and told.

    Raises:
        ConfigError: There is no such separator, encoding or mark.
        DataError: It cannot be read. The message says nothing of what is in it.
        MissingDependencyError: pyarrow is needed; or Dask, because there are several files.

    Privacy:
        Names and types of the columns count as public. Of CSV and TSV they are read off the first 10,000
        rows.
    """
    from jupyter_dpsynth.sources.opening import open_source, reads_by_itself

    if reads_by_itself(path):
        return open_source(path, reading)
    several = _are_several(path)
    if several or (Path(path).is_file() and check_format(path, "the table") in IN_PARTS):
        try:
            return open_source(path, reading)
        except MissingDependencyError:
            if several:
                raise
    return _in_memory(path, reading)


def _are_several(path: str) -> bool:
    place = Path(path)
    return place.is_dir() or (glob.has_magic(path) and not place.exists())


def read_table(path: str, reading: CsvOptions | None = None) -> pd.DataFrame:
    """Read a table into memory.

    Args:
        path: A file, or - for CSV from stdin; or several files, as for `open_table`.
        reading: As for `open_table`.

    Raises:
        ConfigError: There is no such separator, encoding or mark.
        DataError: It cannot be read. The message says nothing of what is in it.
        MissingDependencyError: pyarrow is needed.

    Privacy:
        Names and types of the columns count as public. Of CSV and TSV they are read off the first 10,000
        rows.
    """
    from jupyter_dpsynth.sources.opening import open_source, reads_by_itself
    from jupyter_dpsynth.sources.sample import joined

    if not (reads_by_itself(path) or _are_several(path)):
        return _in_memory(path, reading).described
    with open_source(path, reading) as source:
        names = list(source.described.columns)
        return joined(list(source.map(lambda part: part, names)), source.described)[names]


def _in_memory(path: str, reading: CsvOptions | None) -> FrameSource:
    """A table that is read as a whole; errors as those of `read_table`."""
    from jupyter_dpsynth.sources.arrow import file_form, read_arrow_frame
    from jupyter_dpsynth.sources.base import FrameSource
    from jupyter_dpsynth.sources.csv import CsvFrame
    from jupyter_dpsynth.sources.csvfile import CsvFile

    kind = check_format(path, "the table")
    try:
        if kind in ("Parquet", "Feather"):
            return FrameSource(read_arrow_frame(path, kind), file_form(path, kind))
        if path != STANDARD:
            file = CsvFile.at(Path(path))
            file.opened().close()  # a missing file has a message of its own
            return CsvFrame(file, reading)
        content = sys.stdin.buffer.read()
        return CsvFrame(CsvFile("the table on stdin", lambda: io.BytesIO(content)), reading)
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


def check_written(reading: CsvOptions, path: str | None) -> None:
    """Check that a table can be written as it is asked for, before it is made.

    Args:
        reading: How CSV is to be written.
        path: The file; None for what is always written in the usual way.

    Raises:
        ConfigError: It cannot.
        DataError: The file has none of the known endings.
    """
    if path == STANDARD and reading.encoding is not None:
        raise ConfigError("--encoding needs a file: give -o.")
    _style("several files" if path is None else check_format(path, "--output"), reading)


def _style(kind: str, reading: CsvOptions | None) -> dict[str, Any]:
    """How CSV is to be written, as `to_csv` takes it."""
    given = None if reading is None else reading.checked()
    said = {} if given is None else {name: getattr(given, name) for name in ("sep", "decimal", "encoding")}
    style = {name: value for name, value in said.items() if value is not None}
    if style and kind not in ("CSV", "TSV"):
        raise ConfigError(f"--{next(iter(style))} is for CSV: leave it out.")
    if style.get("decimal") == "," and style.get("sep", ",") == "," and kind == "CSV":
        raise ConfigError("--decimal , needs another mark between fields: give --sep ';' or --sep tab.")
    return {"sep": "\t" if kind == "TSV" else ",", **style}


def write_table(
    df: pd.DataFrame,
    path: str,
    option: str = "--output",
    form: TableForm | None = None,
    reading: CsvOptions | None = None,
) -> None:
    """Write a table; to stdout it goes as CSV.

    Args:
        df: The table.
        path: The file, or - for stdout.
        option: What names it, for messages.
        form: Of the table that was learned.
        reading: How CSV is to be written: what is between fields, the decimal mark, the encoding.

    Raises:
        ArtifactError: It cannot be written.
        ConfigError: How CSV is to be written is not possible, or said of another format.
        MissingDependencyError: pyarrow is needed.
    """
    from jupyter_dpsynth.encoding.storing import write_arrow_file
    from jupyter_dpsynth.sources.forms import PANDAS

    kind = check_format(path, option)
    style = _style(kind, reading)
    try:
        if path == STANDARD:
            df.to_csv(sys.stdout, index=False, **style)
            sys.stdout.flush()
        elif kind in ("Parquet", "Feather"):
            write_arrow_file(df, path, form or PANDAS, feather=kind == "Feather")
        else:
            df.to_csv(path, index=False, **style)
    except UnicodeEncodeError:
        Path(path).unlink(missing_ok=True)
        raise ArtifactError(
            f"--encoding = {style['encoding']!r} lacks letters of the table: give utf-8-sig, for example."
        ) from None
    except ImportError:
        raise MissingDependencyError(f"{kind} files are written with pyarrow: pip install pyarrow") from None
    except BrokenPipeError:
        raise
    except OSError as error:
        name = str(Path(path))
        raise ArtifactError(f"{option} = {name!r} cannot be written: {error.strerror or error}.") from None
