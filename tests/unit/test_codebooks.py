"""The codebook of a synthetic table, written in three forms, and read again as a schema."""

import json
import warnings
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from jupyter_dpsynth.errors import ConfigError, SchemaWarning
from jupyter_dpsynth.interop.codebooks import codebook_text, write_codebook
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.metadata.columns import DataFrameMeta
from jupyter_dpsynth.sources.codebook import Codebook, Variable
from tests.support.models import untrained

DDI = "{ddi:codebook:2_5}"
ROWS = 60


def table():
    return pd.DataFrame(
        {
            "person": [f"p{i}" for i in range(ROWS)],
            "sex": [1.0, 2.0, 9.0] * (ROWS // 3),
            "age": list(range(ROWS)),
            "weight": [50.5 + i for i in range(ROWS)],
            "room|bed": ["suite", "single.bed"] * (ROWS // 2),
            "arrival": pd.date_range("2024-01-01", periods=ROWS),
            "member": [True, False] * (ROWS // 2),
            "town": ["Ulm", "Bonn"] * (ROWS // 2),
        }
    )


DECLARED = {
    "ids": ["person"],
    "bounds": {"age": (0, 120), "weight": (30.5, 150), "arrival": ("2024-01-01", "2024-12-31")},
    "categories": {"sex": [1, 2, 9], "room|bed": ["suite", "single.bed"]},
}
SEX = Variable(
    "Sex of the person", ((1.0, "male"), (2.0, "female"), (9.0, "unknown")), ((9.0, 9.0), (90, 99)), "nominal"
)


@pytest.fixture(scope="module")
def df_meta():
    meta = MetaExtractor.extract(table(), **DECLARED)
    return DataFrameMeta(meta.columns, meta.form, Codebook({"sex": SEX}))


@pytest.mark.parametrize("form", ["frictionless", "csvw"])
def test_what_is_written_is_read_again_as_a_schema(form, df_meta, tmp_path):
    path = write_codebook(df_meta, tmp_path / "codebook.json", form)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SchemaWarning)
        again = MetaExtractor.extract(table(), schema=path)
    assert again["person"] == df_meta["person"]
    for name in ("age", "weight", "arrival"):
        assert again[name].bounds == df_meta[name].bounds
    assert again["room|bed"] == df_meta["room|bed"]
    assert again["age"].decimals == 0
    assert again["member"] == df_meta["member"]
    if form == "frictionless":
        assert again["sex"].categories == (1.0, 2.0)  # the code of a missing value is none


def test_frictionless_has_labels_and_labelled_codes_of_missing_values(df_meta):
    document = json.loads(codebook_text(df_meta))
    assert document["$schema"] == "https://datapackage.org/profiles/2.0/tableschema.json"
    assert document["primaryKey"] == ["person"]
    (sex,) = (field for field in document["fields"] if field["name"] == "sex")
    assert sex == {
        "name": "sex",
        "type": "integer",
        "title": "Sex of the person",
        "categories": [{"value": 1, "label": "male"}, {"value": 2, "label": "female"}],
        "missingValues": [{"value": ""}, {"value": "9", "label": "unknown"}],
    }


def test_csvw_describes_codes_in_words(df_meta):
    document = json.loads(codebook_text(df_meta, "csvw", "stays.json"))
    assert document["url"] == "stays.csv"
    columns = {column["titles"]: column for column in document["tableSchema"]["columns"]}
    assert columns["sex"]["dc:description"] == "Sex of the person. 1 = male; 2 = female; 9 = unknown"
    assert columns["sex"]["null"] == ["", "9"]
    assert columns["room|bed"]["name"] == "room_bed"
    assert columns["room|bed"]["datatype"]["format"] == r"suite|single\.bed"


def test_ddi_has_the_parts_of_the_standard_in_its_order(df_meta, tmp_path):
    path = write_codebook(df_meta, tmp_path / "codebook.xml")
    book = ET.parse(path).getroot()
    assert book.tag == f"{DDI}codeBook"
    variables = {each.get("name"): each for each in book.iter(f"{DDI}var")}
    assert list(variables) == list(df_meta.names)
    sex = variables["sex"]
    assert [part.tag.removeprefix(DDI) for part in sex] == ["labl", "invalrng", *["catgry"] * 3, "varFormat"]
    assert [
        (each.find(f"{DDI}catValu").text, each.find(f"{DDI}labl").text) for each in sex.iter(f"{DDI}catgry")
    ] == [
        ("1", "male"),
        ("2", "female"),
        ("9", "unknown"),
    ]
    assert [each.get("missing") for each in sex.iter(f"{DDI}catgry")] == [None, None, "Y"]
    assert variables["age"].find(f"{DDI}valrng/{DDI}range").attrib == {"min": "0", "max": "120"}
    assert variables["weight"].get("intrvl") == "contin"


def test_a_synthesizer_writes_measured_categories_but_no_measured_range(tmp_path):
    synthesizer = untrained(table().drop(columns="person"))
    document = json.loads(synthesizer.write_codebook(tmp_path / "codebook.json").read_text(encoding="utf-8"))
    fields = {field["name"]: field for field in document["fields"]}
    made = synthesizer.synthesize(200, seed=0)
    assert set(made["town"].dropna()) <= set(fields["town"]["categories"])
    assert "constraints" not in fields["weight"]
    with pytest.raises(ConfigError, match="'frictionless', 'csvw', 'ddi'"):
        synthesizer.write_codebook(tmp_path / "codebook.json", "spss")
