"""Files of SPSS, Stata and SAS: read as their dictionary says, and written with the same codebook."""

import datetime as dt
import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.constraints import Ordering
from jupyter_dpsynth.errors import ConfigError, DataError, MetadataError, SchemaWarning
from jupyter_dpsynth.interop.codebooks import codebook_text
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.persistence import load, save
from jupyter_dpsynth.sources import statfiles
from jupyter_dpsynth.sources.codebook import Codebook, Variable
from jupyter_dpsynth.sources.fingerprint import table_fingerprint
from jupyter_dpsynth.sources.letters import letter_number, letter_text, letters_in, with_numbers
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.sources.statfiles import moment_kind
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained

pyreadstat = pytest.importorskip("pyreadstat")
pytest.importorskip("pyarrow")

ROWS = 240
PLACE = np.arange(ROWS)
DAY = 86_400.0
SPSS_1970, STATA_1970 = 12_219_379_200.0, 3_653 * DAY
SEXES = {1: "male", 2: "female", 9: "unknown"}
READ = {
    ".sav": pyreadstat.read_sav,
    ".zsav": pyreadstat.read_sav,
    ".por": pyreadstat.read_por,
    ".dta": pyreadstat.read_dta,
    ".xpt": pyreadstat.read_xport,
}


def plain_table():
    return pd.DataFrame(
        {
            "sex": np.choose(PLACE % 3, [1.0, 2.0, 9.0]),
            "height": np.where(PLACE % 10, 150.0 + PLACE % 40, 999.0),
            "zero": PLACE % 2 * 1.0,
            "word": np.array(["ä", "b"])[PLACE % 2],
        }
    )


def timed_table(epoch, per_day, per_second):
    return plain_table().assign(
        born=(epoch / DAY + 18_000 + PLACE % 30) * per_day,
        seen=(epoch + 1.6e9 + PLACE % 30) * per_second,
    )


def write_sav(path):
    table = timed_table(SPSS_1970, DAY, 1.0).assign(stay=(PLACE % 5) * 50_000.0)
    pyreadstat.write_sav(
        table,
        str(path),
        column_labels={"sex": "Sex of the person"},
        compress=path.suffix == ".zsav",
        variable_value_labels={"sex": SEXES, "height": {999: "refused"}},
        missing_ranges={"sex": [9], "height": [{"lo": 990, "hi": 999}]},
        variable_measure={"sex": "nominal", "height": "scale"},
        variable_format={"born": "EDATE10", "seen": "DATETIME20", "stay": "TIME8"},
    )


def write_dta(path):
    table = timed_table(STATA_1970, 1.0, 1000.0).astype({"sex": "int8"})
    formats = {"born": "%td", "seen": "%tc"}
    labels = {"sex": "Sex of the person"}
    pyreadstat.write_dta(
        table, str(path), variable_value_labels={"sex": SEXES}, column_labels=labels, variable_format=formats
    )


def write_xpt(path):
    table = timed_table(STATA_1970, 1.0, 1.0).assign(stay=(PLACE % 5) * 50_000.0)
    formats = {"born": "DATE9.", "seen": "DATETIME20.", "stay": "TIME8."}
    labels = {"sex": "Sex of the person"}
    pyreadstat.write_xport(
        table, str(path), file_format_version=5, column_labels=labels, variable_format=formats
    )


def write_por(path):
    table = timed_table(SPSS_1970, DAY, 1.0).drop(columns="word")
    formats = {"born": "EDATE10", "seen": "DATETIME20"}
    pyreadstat.write_por(
        table.rename(columns=str.upper), str(path), variable_format={k.upper(): v for k, v in formats.items()}
    )


WRITE = {".sav": write_sav, ".zsav": write_sav, ".dta": write_dta, ".xpt": write_xpt, ".por": write_por}
KEPT = (
    "column_labels",
    "variable_value_labels",
    "original_variable_types",
    "missing_ranges",
    "variable_measure",
)


@pytest.fixture(scope="module", params=WRITE)
def file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("statistics") / f"table{request.param}"
    WRITE[request.param](path)
    return path


def read_whole(path):
    with open_source(path) as source:
        parts = list(source.map(lambda part: part, list(source.described.columns)))
    return pd.concat(parts, ignore_index=True).rename(columns=str.lower)


def user_missing(path):
    return {} if path.suffix in (".por", ".xpt") else {"user_missing": True}


def test_values_are_those_of_the_program(file):
    df = read_whole(file)
    assert df["sex"].tolist() == plain_table()["sex"].tolist()
    assert (df["zero"] == PLACE % 2).all()  # pandas.read_sas has 5.4e-79 for the zeros of XPORT
    assert (
        df["born"] == pd.Series(pd.Timestamp("1970-01-01") + pd.to_timedelta(18_000 + PLACE % 30, "D"))
    ).all()
    assert df["seen"].tolist() == [pd.Timestamp(1.6e9 + i % 30, unit="s") for i in range(ROWS)]
    if "stay" in df:  # pyreadstat itself shows 100,000 seconds as 03:46:40
        assert df["stay"].max() == pd.Timedelta(200_000, "s")
    if file.suffix in (".sav", ".zsav"):
        assert (df["height"] == 999).sum() == ROWS / 10
        assert df["height"].isna().sum() == 0


def test_a_file_that_sas_has_written_is_read(tmp_path):
    path = tmp_path / "sample.sas7bdat"
    path.write_bytes(
        gzip.decompress((Path(__file__).parents[1] / "data" / "sample.sas7bdat.gz").read_bytes())
    )
    df = read_whole(path)
    assert df["integer_row"].tolist() == [1, 2, 3, 4, 5]
    assert df["float_row"].tolist()[:2] == [2.5, 17.23]
    assert df["text_row"].tolist()[:2] == ["Some text", "Some more text"]
    assert df["date_row"].dt.strftime("%Y-%m-%d").tolist()[::3] == ["2018-01-02", "2016-05-19"]
    assert [column.kind for column in MetaExtractor.extract(path).columns] == [
        "number",
        "category",
        "number",
        "datetime",
    ]


def test_codes_for_missing_numbers_come_back_as_often_as_they_were(tmp_path):
    rows = 4_000
    place = np.arange(rows)
    income = np.select([place % 10 == 0, place % 20 == 5, place % 50 == 9], [-9.0, -8.0, np.nan], place % 900)
    path = tmp_path / "income.sav"
    pyreadstat.write_sav(
        pd.DataFrame({"income": income, "other": place % 7 * 1.0}),
        str(path),
        missing_ranges={"income": [{"lo": -9, "hi": -1}]},
        variable_value_labels={"income": {-9: "refused", -8: "does not know"}},
        variable_measure={"income": "scale"},
    )
    assert MetaExtractor.extract(path)["income"].missing == (-9, -8, -7, -6, -5, -4, -3, -2, -1)
    declared = MetaExtractor.extract(path, bounds={"income": (0, 899)}, missing={"income": [77]})["income"]
    assert declared.missing[:3] == (77, -9, -8)
    synthesizer = untrained(path, rows=rows)
    save(synthesizer.config, synthesizer.learned, tmp_path / "model.dps")
    again = HighDimSynthesizer.restore(*load(tmp_path / "model.dps"))
    made = again.synthesize(rows, seed=0)["income"]
    assert set(made[made < 0]) == {-9, -8}  # those that no row has do not come of the noise
    absent = made[made < 0].value_counts().reindex([-9, -8]).to_numpy() / (made.isna() | (made < 0)).sum()
    assert absent == pytest.approx(np.array([400, 200]) / 680, abs=0.06)
    ordered = again.synthesize(500, seed=0, constraints=[Ordering("other", "income")])
    present = ordered[ordered["income"] >= 0].dropna()
    assert (present["other"] <= present["income"]).all()
    assert (ordered["income"] == -9).any()


def test_codes_for_missing_texts_come_back_as_texts(tmp_path):
    df = pd.DataFrame({"region": np.array(["north", "south", "XX"])[PLACE % 3], "n": PLACE * 1.0})
    pyreadstat.write_sav(df, str(tmp_path / "t.sav"), missing_ranges={"region": ["XX"]})
    assert read_whole(tmp_path / "t.sav")["region"].tolist() == df["region"].tolist()
    made = untrained(tmp_path / "t.sav", rows=ROWS).synthesize(ROWS, seed=0)
    assert (made["region"] == "XX").mean() == pytest.approx(1 / 3, abs=0.1)


def test_the_dictionary_alone_gives_types_and_public_categories(file, monkeypatch):
    monkeypatch.setattr(statfiles, "_batches", lambda *_: pytest.fail("rows were read"))
    df_meta = MetaExtractor.extract(file)
    kinds = {column.name.lower(): column.kind for column in df_meta.columns}
    assert kinds["born"] == kinds["seen"] == "datetime"
    labelled = file.suffix not in (".xpt", ".por")
    assert kinds["sex"] == ("category" if labelled else "number")
    if labelled:
        assert df_meta["sex"].categories == (1, 2, 9)
        assert df_meta.codebook["sex"].label == "Sex of the person"
    assert kinds["height"] == "number"  # one labelled code among measured numbers


def test_a_synthetic_file_has_the_codebook_of_the_original(file, tmp_path):
    synthesizer = untrained(file, rows=ROWS)
    save(synthesizer.config, synthesizer.learned, tmp_path / "model.dps")
    again = HighDimSynthesizer.restore(*load(tmp_path / "model.dps"))
    (written,) = again.synthesize(50, seed=0, to=tmp_path / f"synthetic{file.suffix}")
    read, options = READ[file.suffix], user_missing(file)
    made, known = read(str(written), **options)
    _, original = read(str(file), **options)
    assert len(made) == 50
    for name in KEPT:
        assert getattr(known, name) == getattr(original, name), name
    if file.suffix == ".sav":
        assert set(made["sex"].dropna()) <= {1, 2, 9}
    assert MetaExtractor.extract(written).codebook == synthesizer.df_meta.codebook
    with pytest.raises(ConfigError, match="overwrite"):
        again.synthesize(5, to=written)


@pytest.mark.parametrize(
    ("variable", "categories"),
    [
        (Variable(labels=((1, "a"), (2, "b"), (9, "?")), missing=((9, 9),)), (1, 2, 9)),
        (Variable(labels=((1, "no"), (5, "yes"))), (1, 5, 2, 3, 4)),  # two ends of a scale
        (Variable(labels=((0, "no"), (9, "yes")), measure="nominal"), (0, 9)),
        (Variable(labels=((1, "low"), (2, "-"), (4, "high")), measure="ordinal"), (1, 2, 4, 3)),
        (Variable(labels=((0, "a"), (999, "b"))), (0, 999)),
        (Variable(labels=((999, "refused"),)), None),  # partly labelled: measured numbers
        (Variable(labels=((1, "a"), (2, "b")), measure="scale"), None),
        (Variable(labels=(("f", "female"), ("m", "male"))), ("f", "m")),
        (Variable(labels=((1, "a"), (2, "b")), missing=((97, 99),)), (1, 2)),
        (Variable(), None),
    ],
)
def test_categories_follow_from_the_codebook(variable, categories):
    assert variable.categories == categories
    assert Variable.from_dict(variable.to_dict()) == variable


def test_codes_in_an_order_are_whole_numbers_within_bounds(tmp_path):
    path, table = tmp_path / "scale.sav", pd.DataFrame({"often": PLACE % 5 + 1.0, "again": PLACE % 5 + 1.0})
    labels = dict(enumerate(["never", "seldom", "sometimes", "often", "always"], 1))
    missing, measure = {"again": [5]}, dict.fromkeys(table, "ordinal")
    pyreadstat.write_sav(
        table,
        str(path),
        variable_value_labels=dict.fromkeys(table, labels),
        variable_measure=measure,
        missing_ranges=missing,
    )
    df_meta = MetaExtractor.extract(path)
    assert df_meta["often"].bounds == (1.0, 5.0)
    assert df_meta["often"].decimals == 0
    assert df_meta["again"].categories == (
        1,
        2,
        3,
        4,
        5,
    )  # a code of a missing value has no place in the order
    made = untrained(path, rows=ROWS).synthesize(50, seed=0)
    assert set(made["often"].dropna()) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    field = json.loads(codebook_text(df_meta))["fields"][0]
    assert [each["label"] for each in field["categories"]] == list(labels.values())
    given = MetaExtractor.extract(path, categories={"often": [1, 5]})
    assert given["often"].categories == (1.0, 5.0)


def test_labels_that_a_program_made_from_the_rows_are_neither_used_nor_written(tmp_path):
    names = [f"town {i:03d}" for i in range(40)]
    path = tmp_path / "encoded.dta"
    table = pd.DataFrame({"town": PLACE % 40 + 1})
    pyreadstat.write_dta(table, str(path), variable_value_labels={"town": dict(enumerate(names, 1))})
    with pytest.warns(SchemaWarning, match="'town' are in alphabetical order"):
        df_meta = MetaExtractor.extract(path)
    assert df_meta["town"].kind == "number"
    assert "town 007" not in str(df_meta.codebook.to_dict())
    few = Variable(labels=((1, "female"), (2, "male")))
    assert not few.is_made_from_rows
    by_meaning = Variable(labels=tuple((i, name) for i, name in enumerate(reversed(names))))
    assert not by_meaning.is_made_from_rows


def test_one_text_that_is_no_text_costs_the_others_nothing(tmp_path):
    path = tmp_path / "table.sav"
    write_sav(path)
    good = read_whole(path)
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xff\xfe", 1))
    bad = read_whole(path)
    assert good["word"].isna().sum() == 0
    assert bad["word"].isna().sum() == 1
    assert bad["word"].iloc[2:].tolist() == good["word"].iloc[2:].tolist()


def test_dates_beyond_all_calendars_are_missing_and_stop_nothing(tmp_path):
    path = tmp_path / "table.sav"
    table = pd.DataFrame({"born": [SPSS_1970, 1e300, np.nan], "seen": [SPSS_1970, 1e300, -1e300]})
    pyreadstat.write_sav(table, str(path), variable_format={"born": "DATE11", "seen": "DATETIME20"})
    df = read_whole(path)
    assert df["born"].isna().tolist() == [False, True, True]
    assert df["seen"].isna().tolist() == [False, True, True]


def test_many_rows_are_read_in_parts(tmp_path, monkeypatch):
    path = tmp_path / "table.sav"
    write_sav(path)
    with open_source(path) as source:
        whole = table_fingerprint(source)
    monkeypatch.setattr(statfiles, "ROWS", 100)
    with open_source(path) as source:
        assert table_fingerprint(source) == whole
        assert source.lengths == [100, 100, 40]


def test_damaged_files_and_several_of_them_are_refused_by_name(tmp_path):
    path = tmp_path / "table.sav"
    path.write_bytes(b"PLANTEDNAME" * 100)
    with pytest.raises(DataError, match=r"table.sav cannot be read") as caught:
        open_source(path)
    assert "PLANTEDNAME" not in str(caught.value)
    (tmp_path / "other.sav").write_bytes(b"")
    with pytest.raises(DataError, match="name one file"):
        open_source(str(tmp_path / "*.sav"))


@pytest.mark.parametrize(
    ("program", "shown_as", "kind"),
    [
        ("spss", "ADATE10", "day"),
        ("spss", "YMDHMS16", "moment"),
        ("spss", "DTIME10", "duration"),
        ("spss", "F8.2", ""),
        ("stata", "%tdD_m_Y", "day"),
        ("stata", "%tC", "moment"),
        ("stata", "%tm", ""),
        ("sas", "YYMMDD10.", "day"),
        ("sas", "E8601DT19.", "moment"),
        ("sas", "DATETIME", "moment"),
        ("sas", "TIME8.", "duration"),
        ("sas", "BEST12.", ""),
    ],
)
def test_formats_tell_days_moments_and_durations(program, shown_as, kind):
    assert moment_kind(program, shown_as) == kind


def test_a_table_without_a_codebook_is_written_too(tmp_path):
    df = pd.DataFrame(
        {
            "number": pd.array([1, None] * 20, dtype="Int64"),
            "truth": [True, False] * 20,
            "day": [pd.Timestamp("2024-02-03"), pd.Timestamp("2024-02-04")] * 20,
            "stay": [pd.Timedelta("30h"), pd.NaT] * 20,
            "word": ["a", None] * 20,
        }
    )
    synthesizer = untrained(df, bounds={"day": ("2024-02-03", "2024-02-04")})
    for ending in (".sav", ".dta", ".xpt"):
        (path,) = synthesizer.synthesize(30, seed=0, to=tmp_path / f"out{ending}")
        again = read_whole(path)
        assert set(again["truth"]) <= {0, 1}
        assert again["day"].dropna().between("2024-02-03", "2024-02-05").all()
    assert not synthesizer.df_meta.codebook
    assert Codebook.from_dict({}) == synthesizer.df_meta.codebook


def test_reading_spss_days_gives_no_warning(tmp_path):
    path = tmp_path / "table.sav"
    write_sav(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_whole(path)["born"].iloc[0] == pd.Timestamp(dt.date(2019, 4, 14))


def test_a_terminal_writes_a_statistical_file_and_its_codebook(tmp_path, capsys):
    from jupyter_dpsynth.cli import main

    write_sav(tmp_path / "table.sav")
    synthesizer = untrained(tmp_path / "table.sav", rows=ROWS)
    synthesizer.save(tmp_path / "model.dps")
    names = [str(tmp_path / name) for name in ("model.dps", "out.sav", "book.xml")]
    assert main(["synthesize", names[0], "-n", "20", "-o", names[1], "--codebook", names[2]]) == 0
    assert len(pyreadstat.read_sav(names[1])[0]) == 20
    assert main(["compare", *names[:2], "--synthetic"]) == 0
    assert "Synthetic table against" in capsys.readouterr().out
    assert "Sex of the person" in (tmp_path / "book.xml").read_text()
    assert main(["synthesize", names[0], "-n", "20", "-o", names[1]]) == 1
    assert "exists already" in capsys.readouterr().err


def lettered_file(path, rows=4_000):
    place = np.arange(rows)
    income = (place % 900 * 1.0).astype(object)
    income[place % 10 == 0], income[place % 20 == 5] = "a", "b"
    income[place % 50 == 9], income[place % 50 == 8] = np.nan, "q"
    sex = (place % 2 + 1.0).astype(object)
    sex[place % 8 == 0] = "z"
    pyreadstat.write_dta(
        pd.DataFrame({"income": income, "sex": sex}),
        str(path),
        missing_user_values={"income": ["a", "b", "c", "q"], "sex": ["z"]},
        variable_value_labels={
            "income": {"a": "refused", "b": "does not know", "c": "in no row"},
            "sex": {1: "male", 2: "female", "z": "no answer"},
        },
    )


def letters_and_codes(path):
    """Shares of letters, and of negative codes, by column."""
    made = READ[path.suffix](str(path), user_missing=True)[0]
    return {
        name: made[name][made[name].map(lambda x: isinstance(x, str) or x < 0)].value_counts() / len(made)
        for name in made
    }


def test_labelled_letters_of_missing_values_come_back(tmp_path):
    lettered_file(tmp_path / "t.dta")
    df_meta = MetaExtractor.extract(tmp_path / "t.dta")
    assert [letter_text(each) for each in df_meta["income"].missing] == [".a", ".b", ".c"]
    assert [letter_text(each) for each in df_meta["sex"].categories] == ["", "", ".z"]
    with open_source(tmp_path / "t.dta") as source:  # in frames a letter is a missing number
        df = pd.concat(list(source.map(lambda part: part, ["income", "sex"])))
    assert df["income"].isna().mean() == pytest.approx(0.19)
    assert df["income"].max() < 900
    synthesizer = untrained(tmp_path / "t.dta", rows=4_000)
    save(synthesizer.config, synthesizer.learned, tmp_path / "model.dps")
    again = HighDimSynthesizer.restore(*load(tmp_path / "model.dps"))
    made = again.synthesize(4_000, seed=0)
    assert made["income"].isna().mean() == pytest.approx(0.19, abs=0.04)
    assert made["income"].max() < 2_000
    assert set(made["sex"].dropna()) == {1, 2}
    # letters that have no label may be private, and none comes of the noise
    (stata,) = again.synthesize(4_000, seed=0, to=tmp_path / "out.dta")
    shares = letters_and_codes(stata)
    assert shares["income"].to_dict() == pytest.approx({"a": 0.1, "b": 0.05}, abs=0.03)
    assert shares["sex"].to_dict() == pytest.approx({"z": 0.125}, abs=0.05)
    assert MetaExtractor.extract(stata).codebook == df_meta.codebook
    (spss,) = again.synthesize(4_000, seed=0, to=tmp_path / "out.sav")
    assert letters_and_codes(spss)["income"].to_dict() == pytest.approx({-1: 0.1, -2: 0.05}, abs=0.03)
    known = pyreadstat.read_sav(str(spss), user_missing=True)[1]
    assert known.variable_value_labels["income"] == {-1: "refused", -2: "does not know", -3: "in no row"}
    assert known.missing_ranges["income"] == [{"lo": -3, "hi": -1}]
    for ending in (".xpt", ".csv", ".parquet"):  # which have no letters
        again.synthesize(20, seed=0, to=tmp_path / f"out{ending}")
    assert again.synthesize(50, seed=0, where={"sex": ".z"})["sex"].isna().all()
    assert again.synthesize(50, seed=0, where={"income": ".a"})["income"].isna().all()
    with pytest.raises(ConfigError, match=r"Published: 1.0, 2.0, .z"):
        again.synthesize(50, where={"sex": 7})
    assert "e+307" not in (text := codebook_text(df_meta))
    assert '".a"' in text


def test_letters_without_a_label_come_back_if_they_are_declared(tmp_path):
    lettered_file(tmp_path / "t.dta")
    synthesizer = untrained(tmp_path / "t.dta", rows=4_000, missing={"income": [".q"]})
    assert letter_text(synthesizer.df_meta["income"].missing[0]) == ".q"
    (stata,) = synthesizer.synthesize(4_000, seed=0, to=tmp_path / "out.dta")
    assert letters_and_codes(stata)["income"]["q"] == pytest.approx(0.02, abs=0.015)
    with pytest.raises(MetadataError, match="give values of that type"):
        MetaExtractor.extract(pd.DataFrame({"income": [1.0, 2.0]}), missing={"income": [".q"]})


def test_letters_are_categories_of_measured_and_compared_tables(tmp_path):
    lettered_file(tmp_path / "t.dta")
    synthesizer = untrained(tmp_path / "t.dta", rows=4_000)
    made = synthesizer.synthesize(2_000, seed=0)
    codec = synthesizer.learned.codec
    cells = codec.encode(made)[:, codec.names.index("sex")]
    assert codec.columns[codec.names.index("sex")].labels[2] == ".z"
    assert (cells == 2).mean() == pytest.approx(0.125, abs=0.05)
    filled = synthesizer.impute(made, seed=0)
    assert filled["income"].notna().all()


@pytest.mark.parametrize("source", WRITE)
@pytest.mark.parametrize("target", [".sav", ".dta", ".xpt"])
def test_a_program_s_file_is_written_for_another_program(tmp_path, source, target):
    WRITE[source](tmp_path / f"table{source}")
    (path,) = untrained(tmp_path / f"table{source}", rows=ROWS).synthesize(20, to=tmp_path / f"out{target}")
    made = read_whole(path)
    assert made["born"].dropna().between("2019-01-01", "2019-12-31").all()
    kinds = {
        name.lower(): each.format for name, each in MetaExtractor.extract(path).codebook.variables.items()
    }
    assert moment_kind({".sav": "spss", ".dta": "stata", ".xpt": "sas"}[target], kinds["born"]) == "day"


def test_letters_in_files_of_sas_are_read():
    series = pd.Series([1.0, "A", "_", np.nan, 2.0], dtype=object)
    found = pd.Series(statfiles._numbers(series))
    assert found.isna().tolist() == [False, True, True, True, False]
    codes = [letter_number("A"), letter_number("_")]
    assert with_numbers(found, codes).tolist()[1:3] == codes
    assert letters_in(found) == tuple(sorted(codes))
