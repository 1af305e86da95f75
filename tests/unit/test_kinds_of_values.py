"""Columns come back with their dtype and type of values, or are refused before anything is spent."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import uuid
from typing import TYPE_CHECKING

import dateutil.tz
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_dpsynth import (
    Combinations,
    HighDimConfig,
    HighDimSynthesizer,
    MetaExtractor,
    Ordering,
    UtilityReport,
)
from jupyter_dpsynth.errors import ConfigError, MetadataError
from tests.support.models import untrained

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 1200
RNG = np.random.default_rng(0)
DAYS = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 300, ROWS), unit="D"))
AMOUNTS = [decimal.Decimal(int(k)).scaleb(-2) for k in 10 * RNG.integers(0, 90, ROWS)]
LENGTHS = [dt.timedelta(hours=int(i)) for i in RNG.integers(0, 9, ROWS)]
LETTERS = RNG.choice(["x", "y"], ROWS)


def arrow(values: object, kind: object) -> pd.Series:
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


KEPT = {
    "decimal of Arrow": arrow(AMOUNTS, pa.decimal128(8, 2)),
    "time with a zone of Arrow": arrow(
        DAYS.dt.tz_localize("Europe/Vienna"), pa.timestamp("us", "Europe/Vienna")
    ),
    "day of Arrow": arrow(DAYS.dt.date, pa.date32()),
    "fixed offset": DAYS.dt.tz_localize(dt.timezone(dt.timedelta(hours=1))),
    "text of Arrow": arrow(LETTERS, pa.string()),
    "large text of Arrow": arrow(LETTERS, pa.large_string()),
    "text of Python": pd.Series(LETTERS, dtype=pd.StringDtype("python")),
    "sparse": pd.Series(pd.arrays.SparseArray(RNG.integers(0, 5, ROWS), fill_value=0)),
    "decimals": pd.Series(AMOUNTS, dtype=object),
    "durations": pd.Series(LENGTHS, dtype=object),
    "dates": pd.Series(DAYS.dt.date, dtype=object),
    "times with a zone": DAYS.dt.tz_localize("Europe/Vienna").astype(object),
    "intervals": pd.Series(pd.cut(RNG.integers(0, 90, ROWS), [-np.inf, 18, 65, np.inf])),
    "periods": pd.Series(DAYS.dt.to_period("Q")).astype("category"),
    "tuples": pd.Series([(1, str(x)) for x in LETTERS]).astype("category"),
    "levels": pd.Series(pd.Categorical(RNG.choice(["low", "high"], ROWS), ["low", "high"], ordered=True)),
    "naive": DAYS,
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.DataFrame(KEPT)


@pytest.fixture(scope="module")
def learned(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> HighDimSynthesizer:
    config = HighDimConfig(epsilon=50.0, steps=2)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(table, decimals={"decimals": 2}), config=config)
    synthesizer.learn(table, callback=lambda _: None)
    path = tmp_path_factory.mktemp("model") / "kinds.dpsynth"
    synthesizer.save(path)
    return HighDimSynthesizer.load(path)


@pytest.fixture(scope="module")
def made(learned: HighDimSynthesizer) -> pd.DataFrame:
    return learned.synthesize(ROWS, seed=1)


def test_dtypes_and_types_of_values_come_back_after_saving(table: pd.DataFrame, made: pd.DataFrame) -> None:
    for name in KEPT:
        if not isinstance(table[name].dtype, pd.CategoricalDtype):
            assert made[name].dtype == table[name].dtype, name
        first = [type(part[name].dropna().to_numpy()[0]) for part in (table, made)]
        assert first[0] is first[1], name


FAR = {
    "long ago": np.datetime64("1200-01-01", "s") + np.arange(ROWS) % 300 * np.timedelta64(1, "D"),
    "for ever": np.where(
        np.arange(ROWS) % 5 == 0, np.datetime64("9999-12-31", "us"), DAYS.to_numpy("M8[us]")
    ),
    "of Python": np.array([dt.date(1, 1, 1 + place % 9) for place in range(ROWS)], dtype=object),
}


@pytest.mark.parametrize("zone", [None, "America/New_York", "Pacific/Apia"])
def test_undeclared_days_far_from_now_come_back(zone: str | None) -> None:
    df = pd.DataFrame({name: pd.Series(values) for name, values in FAR.items()})
    if zone is not None:
        df = df.drop(columns="of Python").apply(lambda each: each.dt.tz_localize("UTC").dt.tz_convert(zone))
    made = untrained(df).synthesize(ROWS, seed=0)
    assert made.dtypes.tolist() == df.dtypes.tolist()
    for name in df:
        years = [pd.Series([each.year for each in table[name]]) for table in (df, made)]
        shares = [each.value_counts(normalize=True) for each in years]
        assert shares[0].sub(shares[1], fill_value=0).abs().sum() < 0.1, name


def test_decimals_keep_their_digits_and_zoned_times_their_moments(
    table: pd.DataFrame, made: pd.DataFrame
) -> None:
    assert {value.as_tuple().exponent for value in made["decimals"].dropna()} == {-2}
    name = "time with a zone of Arrow"
    assert set(made[name].dropna().astype(str).str[10:]) <= set(table[name].astype(str).str[10:])
    assert made["times with a zone"].dropna().iloc[0].tzinfo is not None


def test_categories_of_pandas_come_back_as_they_were(table: pd.DataFrame, made: pd.DataFrame) -> None:
    for name in ("intervals", "periods", "tuples"):
        assert set(made[name].dropna()) <= {*table[name], "other"}, name
        assert len(set(made[name].dropna()) & set(table[name])) > 1, name


def test_categories_keep_the_dtype_that_their_values_do_not_tell(tmp_path: Path) -> None:
    number = pd.Series(RNG.integers(0, 3, ROWS))
    held = {
        **{kind: number.astype(kind) for kind in ("int8", "uint16", "Int64", "Float64", "float32")},
        **{kind: number.astype(kind) for kind in ("int16[pyarrow]", "double[pyarrow]")},
        "boolean": (number > 0).astype("boolean"),
        "day of Arrow": arrow([dt.date(2024, 1, 1 + int(k)) for k in number], pa.date32()),
        "text": pd.Series(LETTERS, dtype="string"),
        "text of Arrow": arrow(LETTERS, pa.string()),
        "usual": number,
    }
    df = pd.DataFrame({name: column.astype("category") for name, column in held.items()})
    untrained(df).save(tmp_path / "model")
    made = HighDimSynthesizer.load(tmp_path / "model").synthesize(ROWS, seed=0)
    for name in df:
        if "other" in made[name].cat.categories and not name.startswith("text"):
            continue  # which is no number
        assert made[name].cat.categories.dtype == df[name].cat.categories.dtype, name
    assert sum("other" in made[name].cat.categories for name in df) < 4


def test_other_is_not_above_the_highest_level(made: pd.DataFrame) -> None:
    assert made["levels"].cat.categories[-1] == "high"


def test_a_comparison_takes_equal_values_of_all_types_for_equal(
    table: pd.DataFrame, made: pd.DataFrame
) -> None:
    names = ["durations", "times with a zone", "day of Arrow", "dates", "decimals"]
    report = UtilityReport.against_original(table[names], made[names])
    assert float(report.summary().split("1-way difference")[1].split()[0]) < 0.15
    codes = pd.DataFrame({"code": ["01067", "1067"] * 100, "other": ["a"] * 200})
    swapped = codes.assign(code="1067")
    distance = float(
        UtilityReport.against_original(codes, swapped).summary().split("1-way difference")[1].split()[0]
    )
    assert distance == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("dtype", ["float32", "Float32", "float[pyarrow]", "float16", "float64"])
def test_a_number_means_what_a_narrow_dtype_holds_for_it(dtype: str) -> None:
    df = pd.DataFrame({"x": pd.Series(RNG.choice([0.1, 0.7], ROWS)).astype(dtype), "g": LETTERS})
    made = untrained(df, categories={"x": [0.1, 0.7]})
    assert set(made.synthesize(20, seed=0, where={"x": 0.1})["x"]) == {df["x"].min()}
    pairs = [Combinations(("x", "g"), [(0.1, "x"), (0.7, "y")])]
    found = untrained(df).synthesize(60, seed=0, constraints=pairs)
    assert ((found["x"] < 0.5) == (found["g"] == "x")).all()


def test_objects_of_unlike_times_are_ordered() -> None:
    days = pd.DataFrame({"day": DAYS.dt.date.astype(object), "moment": list(DAYS.dt.to_pydatetime())})
    days = days.astype({"moment": object})
    for low, high in (("day", "moment"), ("moment", "day")):
        made = untrained(days).synthesize(40, seed=0, constraints=[Ordering(low, high)])
        assert (pd.to_datetime(made[low]) <= pd.to_datetime(made[high])).all()


@pytest.mark.parametrize("high", ["dates", "day of Arrow"])
def test_times_of_different_types_are_ordered_by_the_time_they_tell(
    learned: HighDimSynthesizer, high: str
) -> None:
    made = learned.synthesize(50, seed=1, constraints=[Ordering("naive", high)])
    kept = made[["naive", high]].dropna()
    assert (kept["naive"] <= pd.to_datetime(kept[high].astype(str))).all()


def test_times_with_and_without_a_zone_are_not_ordered(learned: HighDimSynthesizer) -> None:
    with pytest.raises(ConfigError, match="time zone"):
        learned.synthesize(50, constraints=[Ordering("naive", "times with a zone")])


def test_combinations_know_one_missing_value_and_days_of_every_type() -> None:
    table = pd.DataFrame({"a": [1.0, None, 2.0], "day": pd.to_datetime(["2024-01-01"] * 3), "t": ["1"] * 3})
    day = dt.date(2024, 1, 1)
    allowed = [(1, day), (float("nan"), day)]
    assert Combinations(["a", "day"], allowed).holds(table).tolist() == [True, True, False]
    assert not Combinations(["a", "t"], [(1, 1)]).holds(table).any()


@pytest.mark.parametrize(
    ("column", "line"),
    [
        (DAYS.dt.tz_localize(dateutil.tz.gettz("Europe/Paris")), "tz_convert('Europe/Paris')"),
        (DAYS.dt.tz_localize(dt.timezone(dt.timedelta(hours=1), "CET")), "tz_convert('UTC+01:00')"),
        (
            pd.Series(pd.arrays.ArrowExtensionArray(pa.array(LETTERS, pa.string_view()))),
            "pd.Series(list(df['x'])",
        ),
        (pd.Series(pd.arrays.SparseArray(LETTERS.astype(object), fill_value="x")), "sparse.to_dense()"),
        (pd.Series([dt.time(7)] * 20, dtype=object), "object of time"),
        (pd.Series([uuid.uuid4()] * 20, dtype=object), "object of UUID"),
        (pd.Series([fractions.Fraction(1, 3)] * 20).astype("category"), "categories of a type"),
        (pd.Series([1 + 2j] * 20), "complex128"),
    ],
)
def test_what_would_not_come_back_is_refused_with_the_line_that_converts(
    column: pd.Series, line: str
) -> None:
    with pytest.raises(MetadataError) as error:
        MetaExtractor.extract(pd.DataFrame({"x": column}))
    assert line in str(error.value)
    assert "df['x'] = " in str(error.value)


@pytest.mark.parametrize(
    ("dtype", "most"),
    [("int8", 127), ("UInt8", 255), ("int16[pyarrow]", 32_767), ("float16", 2_048), ("float32", 2**24)],
)
def test_identifiers_are_unique_or_refused(dtype: str, most: int) -> None:
    from jupyter_dpsynth.encoding.table import TableCodec

    table = pd.DataFrame({"key": pd.Series([1, 2], dtype=dtype)})
    codec = TableCodec(MetaExtractor.extract(table, ids=["key"]), ())
    codec.check_rows(most)
    with pytest.raises(ConfigError, match=f"at most {most:,} rows"):
        codec.check_rows(most + 1)
    rows = min(most, 300)
    assert codec.numbered(pd.DataFrame(index=range(rows)), most - rows + 1)["key"].is_unique


def test_truth_values_are_no_identifiers() -> None:
    with pytest.raises(MetadataError, match="identifiers are numbers or text"):
        MetaExtractor.extract(pd.DataFrame({"key": [True, False]}), ids=["key"])


@pytest.mark.parametrize("pair", [("01/02/2024", "31/03/2024"), ("Jan 5", "Mar 1"), ("1.2.24", "2.3.24")])
def test_dates_that_can_be_read_in_two_ways_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(MetadataError, match="year-month-day"):
        MetaExtractor.extract(pd.DataFrame({"day": DAYS}), bounds={"day": pair})


def test_conditions_and_bounds_with_a_zone_are_told_in_the_columns_zone(learned: HighDimSynthesizer) -> None:
    with pytest.raises(ConfigError, match="2024-02-03 or 2024-03-02"):
        learned.synthesize(5, where={"naive": ("02/03/2024", None)})
    table = pd.DataFrame({"at": DAYS.dt.tz_localize("Europe/Vienna")})
    bounds = [
        MetaExtractor.extract(table, bounds={"at": pair})["at"].bounds
        for pair in (("2024-01-01T11:00Z", "2024-06-01T11:00Z"), ("2024-01-01 12:00", "2024-06-01 13:00"))
    ]
    assert bounds[0] == bounds[1]


MOMENTS = pd.Series(pd.to_datetime(["2024-07-01 00:30", "2024-07-02 00:00", None]))
ZONED = MOMENTS.dt.tz_localize("Europe/Vienna")


@pytest.mark.parametrize(
    ("column", "allowed"),
    [
        (MOMENTS, ["2024-07-01 00:30", None]),
        (MOMENTS.astype("timestamp[us][pyarrow]"), [pd.Timestamp("2024-07-01 00:30"), float("nan")]),
        (ZONED, ["2024-07-01 00:30", None]),  # in the column's own clocks
        (ZONED, ["2024-06-30 22:30Z", pd.NaT]),
        (ZONED, [pd.Timestamp("2024-06-30 18:30", tz="America/New_York"), None]),
        (MOMENTS.dt.date.astype(object), ["2024-07-01", None]),
        (pd.Series(pd.to_timedelta([90, 2, None], unit="s")), ["90 s", None]),
    ],
)
def test_combinations_read_times_as_conditions_do(column, allowed):
    df = pd.DataFrame({"t": column, "x": ["a", "a", "b"]})
    rule = Combinations(["t", "x"], [(allowed[0], "a"), (allowed[1], "b")])
    rule.check(MetaExtractor.extract(df))
    assert rule.holds(df).tolist() == [True, False, True]


@pytest.mark.parametrize("value", ["01/02/2024", "soon", 5])
def test_combinations_refuse_what_is_no_clear_time(value):
    df = pd.DataFrame({"t": MOMENTS, "x": ["a", "a", "b"]})
    with pytest.raises(ConfigError, match="Combinations: column 't' has"):
        Combinations(["t", "x"], [(value, "a")]).check(MetaExtractor.extract(df))
