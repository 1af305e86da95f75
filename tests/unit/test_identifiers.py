"""New identifiers: in a public format, or realistic; made anew, whatever the column holds."""

import datetime as dt
import json
import re
import uuid
import zipfile
from decimal import Decimal

import pandas as pd
import pytest

from jupyter_dpsynth.cli.options import declared_ids_of
from jupyter_dpsynth.errors import DPSynthError, MetadataError, MissingDependencyError
from jupyter_dpsynth.metadata import IdMeta, MetaExtractor, column_meta_from_dict
from jupyter_dpsynth.metadata.identifiers import identifiers
from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained

ROWS = 60
PERSONS = {"realistic": "name", "locale": "de_DE"}


@pytest.fixture(scope="module")
def df():
    return pd.DataFrame(
        {
            "case": [f"PLANTED{i}" for i in range(ROWS)],
            "patient": [f"SECRET{i}" for i in range(ROWS)],
            "number": range(ROWS),
            "age": [20 + i % 7 for i in range(ROWS)],
        }
    )


def test_formatted_and_realistic_identifiers_are_made_anew(df, tmp_path):
    pytest.importorskip("faker")
    ids = {"case": "H-{:06d}", "patient": PERSONS, "number": None}
    synthesizer = untrained(df, ids=ids)
    made = synthesizer.synthesize(40, seed=0)
    assert made["case"].tolist() == [f"H-{i:06d}" for i in range(1, 41)]
    assert made["number"].tolist() == list(range(1, 41))
    assert made["patient"].nunique() > 20
    assert all(re.search(r"\w+ \w+", name) for name in made["patient"])
    synthesizer.save(tmp_path / "model.dps")
    again = HighDimSynthesizer.load(tmp_path / "model.dps")
    assert again.df_meta == synthesizer.df_meta
    assert again.synthesize(40, seed=0)["patient"].tolist() == made["patient"].tolist()
    with zipfile.ZipFile(tmp_path / "model.dps") as file:
        assert not any(
            b"SECRET" in file.read(name) or b"PLANTED" in file.read(name) for name in file.namelist()
        )


def test_parts_of_a_table_have_the_identifiers_of_the_whole():
    pytest.importorskip("faker")
    whole = identifiers("patient", "realistic phone_number en_US", range(1, 9))
    assert identifiers("patient", "realistic phone_number en_US", range(5, 9)) == whole[4:]
    assert identifiers("other", "realistic phone_number en_US", range(1, 9)) != whole
    assert "\n" not in "".join(identifiers("home", "realistic address en_US", range(5)))


@pytest.mark.parametrize(
    ("look", "message"),
    [
        ("H-{0.__class__}", "'case' are to look like"),
        ("H-{}{}", "one place for a number"),
        ("H-", "one place for a number"),
        ("", "one place for a number"),
        ("H-{:999999d}", "one place for a number"),
        ({"realistic": "nmae"}, "Did you mean 'name'"),
        ({"realistic": "seed_instance"}, "which is unknown"),
        ({"realistic": "name", "seed": 1}, "write a text"),
        (7, "write a text"),
    ],
)
def test_what_is_no_look_is_answered_with_how_to_write_one(df, look, message):
    with pytest.raises(MetadataError, match=re.escape(message)):
        MetaExtractor.extract(df, ids={"case": look})


@pytest.mark.parametrize(
    "values",
    [[True], [b"x"], [dt.date(2024, 1, 1)], [dt.timedelta(1)], [uuid.UUID(int=3)]],
    ids=lambda values: type(values[0]).__name__,
)
def test_objects_that_are_neither_numbers_nor_text_identify_nothing(values):
    df = pd.DataFrame({"key": pd.Series(values * ROWS, dtype=object), "age": range(ROWS)})
    with pytest.raises(MetadataError, match=r"identifiers are numbers or text.*astype\(str\)"):
        MetaExtractor.extract(df, ids=["key"])


def test_decimal_numbers_stay_what_they_are():
    df = pd.DataFrame({"key": [Decimal(i) for i in range(ROWS)], "age": range(ROWS)})
    made = untrained(df, ids=["key"]).synthesize(3, seed=0)["key"]
    assert list(map(repr, made)) == ["Decimal('1')", "Decimal('2')", "Decimal('3')"]
    assert MetaExtractor.extract(df).with_id("key") == MetaExtractor.extract(df, ids=["key"])
    assert MetaExtractor.extract(df, schema={"columns": {"key": {"id": False}}}) == MetaExtractor.extract(df)


def test_numbers_have_no_look_and_locales_are_known(df, monkeypatch):
    with pytest.raises(MetadataError, match=r"holds numbers: convert it \(df\['number'\]"):
        MetaExtractor.extract(df, ids={"number": "H-{:06d}"})
    pytest.importorskip("faker")
    with pytest.raises(MetadataError, match="Did you mean 'de_DE'"):
        MetaExtractor.extract(df, ids={"case": {"realistic": "name", "locale": "de_De"}})
    monkeypatch.setitem(__import__("sys").modules, "faker", None)
    with pytest.raises(MissingDependencyError, match="realistic"):
        MetaExtractor.extract(df, ids={"case": PERSONS})


def test_a_schema_the_panel_and_the_terminal_say_the_same(df):
    wanted = MetaExtractor.extract(df, ids={"case": "H-{:06d}"})
    assert MetaExtractor.extract(df, schema={"columns": {"case": {"id": "H-{:06d}"}}}) == wanted
    assert MetaExtractor.extract(df, ids=declared_ids_of(["case=H-{:06d}"], list(df.columns))) == wanted
    draft = SchemaDraft(FrameSource(df), {"ids": {"case": "H-{:06d}"}})
    assert MetaExtractor.extract(df, **draft.arguments()) == wanted
    assert SchemaDraft(FrameSource(df), {"ids": ["case"]}).arguments() == {"ids": ["case"]}
    assert wanted.with_id("case") == wanted  # also as the privacy unit
    meta = IdMeta("case", "str", look="H-{}")
    assert column_meta_from_dict(meta.to_dict()) == meta
    assert "look" not in IdMeta("case", "str").to_dict()


def test_a_saved_model_with_another_look_is_refused(df, tmp_path):
    synthesizer = untrained(df.drop(columns="patient"), ids={"case": "H-{}"})
    synthesizer.save(tmp_path / "model.dps")
    with zipfile.ZipFile(tmp_path / "model.dps") as file:
        content = {name: file.read(name) for name in file.namelist()}
    (name,) = (each for each in content if b'"H-{}"' in content[each])
    document = json.loads(content[name])
    document["codec"]["ids"][0]["look"] = "H-{0.__class__}"
    content[name] = json.dumps(document).encode()
    with zipfile.ZipFile(tmp_path / "bad.dps", "w") as file:
        for each, text in content.items():
            file.writestr(each, text)
    with pytest.raises(DPSynthError, match="are to look like"):
        HighDimSynthesizer.load(tmp_path / "bad.dps")
