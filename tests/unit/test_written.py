"""CSV as people write it: what most rows show decides how a file is read, and a row only for itself."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.errors import ConfigError, DataError, SchemaWarning
from jupyter_dpsynth.sources.csvfile import CsvOptions
from jupyter_dpsynth.sources.opening import open_source

ROWS = 200
RANDOM = np.random.default_rng(3)
AMOUNTS = np.round(np.exp(RANDOM.normal(7, 2, ROWS)), 2)
DAYS = pd.Timestamp("2023-01-01") + pd.to_timedelta(RANDOM.integers(0, 700, ROWS), unit="D")


def number(value, decimal, group):
    return f"{value:,.2f}".replace(",", "_").replace(".", decimal).replace("_", group)


def opened(path, told="", **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = open_source(path, CsvOptions(**options))
    words = " ".join(str(each.message) for each in caught if each.category is SchemaWarning)
    for part in (told,) if isinstance(told, str) else told:
        assert part in words
    assert bool(words) == bool(told)
    with source:
        return next(source.map(lambda df: df, list(source.described.columns)))


HABITS = {
    "German": (";", "cp1252", ",", ".", "%d.%m.%Y", "Größe"),
    "French": (";", "utf-8", ",", "\u202f", "%d/%m/%Y", "Prénom"),
    "Swiss": (";", "utf-8", ".", "\u2019", "%d.%m.%Y", "Ort"),
    "US": (",", "utf-8", ".", ",", "%m/%d/%Y", "city"),
    "ISO": (",", "utf-8", ".", "", "%Y-%m-%d", "city"),
}
TOLD = {
    "German": ["is read with ';' between fields, text in cp1252, a decimal comma"],
    "French": ["a decimal comma, dates with the day first"],
    "Swiss": ["';'"],
    "US": ["dates with the month first"],
    "ISO": [],
}


@pytest.mark.parametrize("habit", HABITS)
def test_a_file_is_read_in_the_habit_of_its_country_and_told(habit, tmp_path):
    mark, encoding, decimal, group, day, name = HABITS[habit]
    df = pd.DataFrame(
        {
            name: ["ä", "b"] * (ROWS // 2),
            "amount": [number(value, decimal, group) for value in AMOUNTS],
            "count": [number(value * 1e3, decimal, group)[:-3] for value in AMOUNTS],
            "day": DAYS.strftime(day),
            "moment": DAYS.strftime(f"{day} 08:15"),
            "named": DAYS.strftime("%d-%b-%Y").str.upper(),
            "code": [f"{place * 7 % 1000:05d}" for place in range(ROWS)],
        }
    )
    df.to_csv(tmp_path / "t.csv", sep=mark, index=False, encoding=encoding)
    found = opened(tmp_path / "t.csv", TOLD[habit])
    assert found["amount"].tolist() == AMOUNTS.tolist()
    assert found["count"].tolist() == [int(f"{value * 1e3:.2f}"[:-3]) for value in AMOUNTS]
    assert (found["day"] == DAYS).all()
    assert (found["named"] == DAYS).all()
    assert (found["moment"] == DAYS + pd.Timedelta("8h15min")).all()
    assert found["code"].tolist() == df["code"].tolist()
    assert found[name].tolist() == df[name].tolist()


UNITS = {
    "$": [f"${value:,.2f}" for value in AMOUNTS],
    "€": [number(value, ",", ".") + " €" for value in AMOUNTS],
    "EUR": [f"EUR {value:.2f}" for value in AMOUNTS],
    "%": [f"{value} %" for value in AMOUNTS],
    "kg": [f"{value}kg" for value in AMOUNTS],
}


@pytest.mark.parametrize("unit", UNITS)
def test_numbers_with_a_unit_are_numbers_and_the_unit_is_told(unit, tmp_path):
    written = UNITS[unit]
    written[3] = written[3].replace(unit, "").strip()  # one without it
    written[4] = written[4].replace(unit, "£")  # and one with another
    pd.DataFrame({"a": written, "n": range(ROWS)}).to_csv(tmp_path / "t.csv", index=False)
    found = opened(tmp_path / "t.csv", f"{unit!r} at the numbers of 'a'")["a"]
    assert found.isna().sum() == 1
    assert found.drop(4).tolist() == np.delete(AMOUNTS, 4).tolist()


def test_negative_numbers_are_read_as_bookkeeping_writes_them(tmp_path):
    signs = np.where(np.arange(ROWS) % 3 == 0, -1, 1)
    pairs = list(zip(AMOUNTS, signs, strict=True))
    written = [f"({value:,.2f})" if sign < 0 else f"{value:,.2f}" for value, sign in pairs]
    behind = [f"{value:.2f}-" if sign < 0 else f"{value:.2f}" for value, sign in pairs]
    pd.DataFrame({"a": written, "b": behind}).to_csv(tmp_path / "t.csv", index=False)
    found = opened(tmp_path / "t.csv")
    assert found["a"].tolist() == found["b"].tolist() == (AMOUNTS * signs).tolist()


def test_a_column_may_be_written_otherwise_than_its_file(tmp_path):
    df = pd.DataFrame(
        {
            "a": [f"{value:.2f}" for value in AMOUNTS],
            "b": [f"{value + 0.5:.1f}" for value in AMOUNTS],
            "comma": [number(value, ",", ".") for value in AMOUNTS],
            "day": DAYS.strftime("%d/%m/%Y"),
            "month": DAYS.strftime("%m/%d/%Y"),
            "id": [f"m{place}" for place in range(ROWS)],
        }
    )
    df.to_csv(tmp_path / "t.csv", index=False)
    told = ["a decimal comma in 'comma'", "the day first in 'day'", "the month first in 'month'"]
    found = opened(tmp_path / "t.csv", told)
    assert found["comma"].tolist() == AMOUNTS.tolist()
    assert (found["day"] == DAYS).all()
    assert (found["month"] == DAYS).all()
    assert found["id"].tolist() == df["id"].tolist()


def test_a_column_stays_text_if_that_is_asked_for(tmp_path):
    pd.DataFrame({"phone": range(ROWS), "n": range(ROWS)}).to_csv(tmp_path / "t.csv", index=False)
    found = opened(tmp_path / "t.csv", text=("phone",))
    assert found["phone"].tolist() == [str(place) for place in range(ROWS)]
    assert found["n"].tolist() == list(range(ROWS))
    with pytest.raises(ConfigError, match="Did you mean"):
        open_source(tmp_path / "t.csv", CsvOptions(text=("fone",)))


def test_letters_are_read_as_most_lines_have_them_where_the_header_is_plain(tmp_path):
    for encoding, told in (("cp1252", "text in cp1252"), ("utf-8", "")):
        lines = ["city,n", *(f"{'Köln' if place % 2 else 'Bonn'},{place}" for place in range(ROWS))]
        broken = "Schöna,1".encode("utf-8" if told else "cp1252")  # one that is written otherwise
        (tmp_path / "t.csv").write_bytes("\n".join(lines).encode(encoding) + b"\n" + broken + b"\n")
        found = opened(tmp_path / "t.csv", told)
        assert (found["city"] == "Köln").sum() == ROWS // 2


def test_what_can_be_read_in_two_ways_stays_text_until_somebody_says_how(tmp_path):
    file = tmp_path / "t.csv"
    unclear = [f"{place % 12 + 1:02d}/{place % 11 + 1:02d}/2024" for place in range(ROWS)]
    pd.DataFrame({"d": unclear, "n": range(ROWS)}).to_csv(file, index=False)
    assert opened(file, "give --dayfirst or --no-dayfirst")["d"].tolist() == unclear
    day = opened(file, day_first=True)["d"]
    month = opened(file, day_first=False)["d"]
    assert (day.dt.month == month.dt.day).all()
    assert (day.dt.day == month.dt.month).all()


def test_marks_and_missing_texts_can_be_named(tmp_path):
    file = tmp_path / "t.csv"
    rows = [f"1.{place:03d}|{'nix' if place % 2 else place}|x;y" for place in range(ROWS)]
    file.write_text("\n".join(["a|b|c;d", *rows]))
    found = opened(file, sep="|", decimal=",", na=("nix",))
    assert found["a"].tolist() == [1000 + place for place in range(ROWS)]
    assert found["b"].isna().sum() == ROWS // 2
    assert set(found["c;d"]) == {"x;y"}
    assert opened(file, "give --thousands .", sep="|", na=("nix",))["a"].iloc[5] == 1.005
    assert opened(file, sep="|", decimal=",", thousands="", na=("nix",))["a"].iloc[5] == "1.005"
    for odd in ({"thousands": ".", "decimal": "."}, {"decimal": "x"}, {"sep": '"'}, {"thousands": "ab"}):
        with pytest.raises(ConfigError, match=next(iter(odd))):
            open_source(file, CsvOptions(**odd))
    with pytest.raises(ConfigError, match="leave them out"):
        open_source(pd.DataFrame({"a": [1]}), CsvOptions(sep=";"))


ODD = [
    "1.5",
    "1,5",
    "1.234.567,5",
    "1,234.5",
    "31/12/2024",
    "12/31/2024",
    "2024-12-31T00:00Z",
    "007",
    "-",
    "é",
]


def test_thousands_that_are_named_alone_tell_the_decimal_mark(tmp_path):
    """A German says that points stand between thousands: the decimal mark is then a comma."""
    lines = [f"{k}.250;{k},5" for k in range(1, 60)]
    (tmp_path / "t.csv").write_text("count;weight\n" + "\n".join(lines))
    found = opened(tmp_path / "t.csv", ["';' between fields", "a decimal comma"], thousands=".")
    assert found["count"].tolist()[:2] == [1250, 2250]
    assert found["weight"].tolist()[:2] == [1.5, 2.5]
    (tmp_path / "u.csv").write_text("count\n" + "\n".join(f'"{k},250"' for k in range(1, 60)))
    assert opened(tmp_path / "u.csv", thousands=",")["count"].tolist()[:2] == [1250, 2250]


def test_numbers_that_may_be_thousands_are_told(tmp_path):
    points = "count;x\n" + "\n".join(f"{k}.250;a" for k in range(1, 60))
    (tmp_path / "t.csv").write_text(points)
    assert opened(tmp_path / "t.csv", ["';' between fields", "give --thousands ."])["count"][0] == 1.25
    (tmp_path / "t.csv").write_text(points.replace("a", "1.5"))  # another column tells what a point is
    assert opened(tmp_path / "t.csv", ["';' between fields"])["count"][0] == 1.25
    (tmp_path / "u.csv").write_text("count\n" + "\n".join(f'"{k},250"' for k in range(1, 60)))
    assert opened(tmp_path / "u.csv", "give --decimal ,")["count"][0] == 1250


def test_a_named_encoding_that_loses_letters_is_told(tmp_path):
    (tmp_path / "t.csv").write_bytes(("name,n\n" + "Schöna,1\n" * 60).encode("cp1252"))
    opened(tmp_path / "t.csv", "letters lost that are not UTF-8", encoding="utf-8")
    assert opened(tmp_path / "t.csv", encoding="cp1252")["name"][0] == "Schöna"


def test_a_single_column_whose_name_may_be_several_is_told(tmp_path):
    (tmp_path / "t.csv").write_text("name~n\n" + "x~1\n" * 60)
    opened(tmp_path / "t.csv", "give what stands between them as --sep")
    assert list(opened(tmp_path / "t.csv", sep="~")) == ["name", "n"]
    (tmp_path / "u.csv").write_text("weight (kg/m)\n" + "1\n2\n" * 60)
    opened(tmp_path / "u.csv")


@pytest.mark.parametrize(("habit", "odd"), list(itertools.product(["German", "US"], ODD)))
def test_one_row_decides_nothing_about_others(habit, odd, tmp_path):
    mark, _, decimal, group, day, _ = HABITS[habit]
    rows = pd.DataFrame(
        {
            "n": [number(value, decimal, group) for value in AMOUNTS],
            "w": [str(place) for place in range(ROWS)],
            "d": DAYS.strftime(day),
        }
    )
    told = [part for part in TOLD[habit] if habit == "US"] or ["';' between fields, a decimal comma"]
    rows.to_csv(tmp_path / "a.csv", sep=mark, index=False)
    more = pd.concat([pd.DataFrame({name: [odd] for name in rows}), rows])
    more.to_csv(tmp_path / "b.csv", sep=mark, index=False, encoding="utf-8")
    before, after = opened(tmp_path / "a.csv", told), opened(tmp_path / "b.csv", told)
    pd.testing.assert_frame_equal(before, after.iloc[1:].reset_index(drop=True))


def test_columns_in_the_names_of_folders_are_kept(tmp_path):
    for year, ward in itertools.product((2023, 2024), ("ä", "b")):
        folder = tmp_path / f"year={year}" / f"ward={ward}"
        folder.mkdir(parents=True)
        pd.DataFrame({"n": range(5)}).to_csv(folder / "t.csv", index=False)
    with open_source(f"{tmp_path}/*/*/*.csv") as source:
        assert list(source.described.columns) == ["n", "year", "ward"]
        found = pd.concat(source.map(lambda df: df, ["n", "year", "ward"]))
    assert found.groupby(["year", "ward"]).size().tolist() == [5, 5, 5, 5]
    assert str(found["year"].dtype) == "Int64"
    (tmp_path / "year=2023" / "t.csv").write_text("n\n1\n")
    with pytest.raises(DataError, match="tell no ward"):
        open_source(f"{tmp_path}/year=*/**/*.csv")
