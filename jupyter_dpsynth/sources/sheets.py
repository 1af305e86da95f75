"""Sheets of Excel and OpenDocument workbooks: read once, and from then on like CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import DataError, MissingDependencyError, shielded, shown
from jupyter_dpsynth.sources.csv import CsvSource
from jupyter_dpsynth.sources.csvfile import CsvFile, CsvOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["SheetSource"]

AS_MADE = CsvOptions(sep=",", encoding="utf-8")  # the CSV that is made of a sheet


class SheetSource(CsvSource):
    """One sheet of a workbook; its first row has the names of the columns.

    Cells are taken as the text that CSV would have, so that types are found out as those of CSV are, and a
    value that does not fit its column counts as missing. A formula counts as what it was when it was saved.

    Args:
        files: The workbook.
        sheet: Which sheet; None if there is only one.
        options: What is known of how its texts are written.
    """

    options = CsvSource.options - {"sep", "encoding"}

    def __init__(self, files: Sequence[Path], sheet: str | None, options: CsvOptions | None = None) -> None:
        if len(files) > 1:
            raise DataError(f"{files[0].name}: name one workbook, and a sheet in it ('book.xlsx#Sheet1').")
        self._sheet = sheet
        super().__init__(files, replace(options or AS_MADE, sep=AS_MADE.sep, encoding=AS_MADE.encoding))

    def _file_at(self, path: Path) -> CsvFile:
        content = shielded(lambda: _as_csv(path, self._sheet), f"reading {path.name} failed")
        return CsvFile(path.name, lambda: io.BytesIO(content))


def _as_csv(path: Path, sheet: str | None) -> bytes:
    """A sheet as CSV in UTF-8.

    Raises:
        DataError: It is no workbook, or has no such sheet.
        MissingDependencyError: python-calamine is not installed.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise MissingDependencyError(
            "workbooks are read with python-calamine: install jupyter_dpsynth[stats], or save the sheet as "
            "CSV."
        ) from None
    try:
        book = CalamineWorkbook.from_path(str(path))
    except (CalamineError, OSError):
        book = None
    if book is None:
        raise DataError(
            f"{path.name} is no workbook of Excel or OpenDocument, is damaged, or has a password."
        )
    with book:
        names = book.sheet_names
        if sheet is None and len(names) != 1:
            raise DataError(
                f"{path.name} has several sheets ({', '.join(map(repr, names))}): name one, as in "
                f"{path.name + '#' + names[0]!r}."
            )
        if sheet is not None and sheet not in names:
            raise DataError(
                f"{path.name} has no sheet {shown(sheet)}: there are {', '.join(map(repr, names))}."
            )
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        for row in book.get_sheet_by_name(names[0] if sheet is None else sheet).iter_rows():
            writer.writerow(map(_text, row))
    return text.getvalue().encode("utf-8", "replace")


def _text(cell: Any) -> str:  # noqa: ANN401 - of calamine: text, a number, a truth value, a date or a time
    """A cell as CSV has it."""
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float) and cell == int(cell) and abs(cell) < 2**53:
        return str(int(cell))
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(" ")
    return str(cell)
