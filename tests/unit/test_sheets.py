"""Sheets of workbooks: the sheet is named, and its cells are read like CSV."""

import zipfile

import pandas as pd
import pytest

from jupyter_dpsynth.errors import ConfigError, DataError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.sources.csvfile import CsvOptions
from jupyter_dpsynth.sources.opening import open_source

pytest.importorskip("python_calamine")
pytest.importorskip("dask")

ROWS = 60
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TABLE = [["code", "age", "weight", "member", "note"]] + [
    [f"{i % 7:05d}", i % 50, 50.5 + i % 20, i % 2 == 0, 'x, "y"' if i % 3 else ""] for i in range(ROWS)
]


def xlsx_cell(value):
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, (int, float)):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t>{value.replace(chr(34), "&quot;")}</t></is></c>'


def write_xlsx(path, sheets):
    """A workbook as Excel writes it, but for what is not read."""
    names = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets, 1))
    links = "".join(
        f'<Relationship Id="r{i}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        for i in range(1, len(sheets) + 1)
    )
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r" '
            f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{names}</sheets></workbook>',
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>',
        )
        for i, rows in enumerate(sheets.values(), 1):
            lines = "".join(f"<row>{''.join(map(xlsx_cell, row))}</row>" for row in rows)
            book.writestr(
                f"xl/worksheets/sheet{i}.xml",
                f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>',
            )


def ods_cell(value):
    if isinstance(value, bool):
        return f'<table:table-cell office:value-type="boolean" office:boolean-value="{str(value).lower()}"/>'
    if isinstance(value, (int, float)):
        return f'<table:table-cell office:value-type="float" office:value="{value}"/>'
    return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'


def write_ods(path, sheets):
    """A spreadsheet as LibreOffice writes it, but for what is not read."""
    space = "urn:oasis:names:tc:opendocument:xmlns"
    tables = "".join(
        f'<table:table table:name="{name}">'
        + "".join(f"<table:table-row>{''.join(map(ods_cell, row))}</table:table-row>" for row in rows)
        + "</table:table>"
        for name, rows in sheets.items()
    )
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr("META-INF/manifest.xml", "<manifest/>")
        book.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{space}:office:1.0" xmlns:table="{space}:table:1.0" '
            f'xmlns:text="{space}:text:1.0"><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>'
            "</office:document-content>",
        )


WRITE = {".xlsx": write_xlsx, ".ods": write_ods}


@pytest.fixture(params=WRITE)
def book(request, tmp_path):
    path = tmp_path / f"stays{request.param}"
    WRITE[request.param](path, {"notes": [["a"], [1]], "ward 3": TABLE})
    return path


def test_the_named_sheet_is_read_with_the_types_of_its_cells(book):
    table = f"{book}#ward 3"
    df_meta = MetaExtractor.extract(table)
    assert [(column.name, column.kind) for column in df_meta.columns] == [
        ("code", "category"),
        ("age", "number"),
        ("weight", "number"),
        ("member", "category"),
        ("note", "category"),
    ]
    with open_source(table) as source:
        rows = pd.concat(source.map(lambda part: part, list(df_meta.names)), ignore_index=True)
    assert rows["code"].tolist() == [row[0] for row in TABLE[1:]]  # leading zeros stay
    assert rows["age"].tolist() == [row[1] for row in TABLE[1:]]
    assert rows["weight"].tolist() == [row[2] for row in TABLE[1:]]
    assert rows["member"].tolist() == [row[3] for row in TABLE[1:]]
    assert rows["note"].isna().sum() == ROWS / 3
    assert rows["note"].iloc[1] == 'x, "y"'


def test_a_sheet_that_is_not_named_or_not_there_is_answered_with_the_names(book):
    with pytest.raises(DataError, match=r"several sheets \('notes', 'ward 3'\)"):
        open_source(book)
    with pytest.raises(DataError, match="has no sheet 'ward 4': there are 'notes'"):
        open_source(f"{book}#ward 4")
    book.write_bytes(b"PLANTEDNAME")
    with pytest.raises(DataError, match="is no workbook") as caught:
        open_source(f"{book}#notes")
    assert "PLANTEDNAME" not in str(caught.value)


def test_the_only_sheet_needs_no_name(tmp_path):
    write_xlsx(tmp_path / "one.xlsx", {"only": TABLE})
    assert MetaExtractor.extract(tmp_path / "one.xlsx").names == tuple(TABLE[0])


def test_what_is_said_of_texts_counts_for_sheets_too(tmp_path):
    rows = [[place, f"{place % 12 + 1:02d}/{place % 11 + 1:02d}/2024", "nix"] for place in range(ROWS)]
    write_xlsx(tmp_path / "t.xlsx", {"one": [["n", "day", "word"], *rows]})
    with open_source(tmp_path / "t.xlsx", CsvOptions(day_first=True, text=("n",), na=("nix",))) as source:
        df = next(source.map(lambda part: part, ["n", "day", "word"]))
    assert df["n"].tolist() == [str(place) for place in range(ROWS)]
    assert (df["day"].dt.day == [place % 12 + 1 for place in range(ROWS)]).all()
    assert df["word"].isna().all()
    with pytest.raises(ConfigError, match="leave them out"):
        open_source(tmp_path / "t.xlsx", CsvOptions(sep=";", day_first=True))
