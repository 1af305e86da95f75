"""Whatever the column, encoding and decoding keep its schema and its domain, and never raise."""

import datetime as dt
import decimal
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.encoding.numeric import LARGEST
from jupyter_dpsynth.encoding.patterns import PARTS
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.measuring.domains import discover_table
from jupyter_dpsynth.engine.measuring.grids import LEVELS, coarsest_cells
from jupyter_dpsynth.engine.measuring.reading import read_values
from jupyter_dpsynth.engine.measuring.resolution import measure_resolution
from jupyter_dpsynth.engine.measuring.weighing import EVERY_ROW
from jupyter_dpsynth.engine.model.plan import RARE_CATEGORIES, RESOLUTION_HISTOGRAMS, VALUE_HISTOGRAMS
from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import Releases
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.fingerprint import table_fingerprint
from jupyter_dpsynth.sources.values import RESOLUTIONS, number_values, time_values
from tests.support.plans import plan_of_noise, releases_of
from tests.support.tables import EVERY_TYPE


def discover(df, *, sigma=2.0, delta=1e-4, bins=20, seed=1, **declared):
    meta = MetaExtractor.extract(df, **declared)
    plan = plan_of_noise(
        meta, len(df), resolutions=sigma, histograms=sigma, rare=sigma, delta=delta, bins=bins
    )
    releases = releases_of(plan, NoiseSource(test_only_seed=seed))
    return discover_table(FrameSource(df), meta, releases, plan, lambda _: None)


def round_trip(df, **options):
    codec = discover(df, **options).codec
    codes = codec.encode(df)
    assert codes.shape == (len(df), len(codec.columns))
    assert (codes >= 0).all()
    assert (codes < codec.sizes).all()
    return codec, codec.decode(codes, np.random.default_rng(0))


def assert_same_schema(df, out):
    assert list(out.columns) == list(df.columns)
    assert [str(t) for t in out.dtypes] == [str(t) for t in df.dtypes]
    assert out.index.equals(pd.RangeIndex(len(df)))


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_every_type_keeps_its_schema(name):
    df = pd.DataFrame({name: EVERY_TYPE[name]})
    _, out = round_trip(df)
    if name == "ordered" or name.startswith("category"):
        assert set(out[name].cat.categories) <= {*df[name].cat.categories, "other"}
        assert out[name].cat.ordered == df[name].cat.ordered
        return
    assert_same_schema(df, out)


def test_all_types_together_keep_order_and_dtypes():
    df = pd.DataFrame({k: v for k, v in EVERY_TYPE.items() if "categor" not in k and k != "ordered"})
    _, out = round_trip(df)
    assert_same_schema(df, out)


def test_the_order_of_an_ordered_categorical_is_kept():
    _, out = round_trip(pd.DataFrame({"c": EVERY_TYPE["ordered"]}))
    # 'other' stands for levels of any height, so it must not be the highest
    assert list(out["c"].cat.categories)[-2:] == ["lo", "hi"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.none()), min_size=1, max_size=60)
)
def test_any_floats_are_encoded_and_decoded(values):
    df = pd.DataFrame({"x": pd.Series(values, dtype="float64")})
    _, out = round_trip(df)
    assert_same_schema(df, out)
    assert np.isfinite(out["x"].dropna()).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60))
def test_any_integers_are_encoded_and_decoded(values):
    df = pd.DataFrame({"x": pd.Series(values, dtype="int64")})
    _, out = round_trip(df)
    assert_same_schema(df, out)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.text(), st.none(), st.integers(), st.booleans()), min_size=1, max_size=60))
def test_any_objects_are_encoded_and_decoded(values):
    df = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    _, out = round_trip(df)
    assert_same_schema(df, out)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2250, 1, 1)),
        min_size=1,
        max_size=40,
    )
)
def test_any_moments_are_encoded_and_decoded(values):
    df = pd.DataFrame({"t": pd.to_datetime(pd.Series(values))})
    _, out = round_trip(df)
    assert_same_schema(df, out)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=5, max_size=200), st.integers(-50, 0), st.integers(1, 50))
def test_no_number_leaves_declared_bounds(values, low, high):
    df = pd.DataFrame({"x": values})
    _, out = round_trip(df, bounds={"x": (low, high)})
    assert out["x"].between(low, high).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abcdefg"), min_size=5, max_size=200))
def test_no_category_leaves_the_declared_ones(values):
    df = pd.DataFrame({"x": values})
    _, out = round_trip(df, categories={"x": ["a", "b", "z"]})
    assert set(out["x"]) <= {"a", "b", "z"}


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 10**400],
        [1, 2, decimal.Decimal("sNaN")],
        [1, 2, dt.date(2020, 1, 1)],
        [dt.date(2020, 1, 1), dt.date(9999, 12, 31), "2020-13-77"],
        [dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc), 5],
        [dt.timedelta(days=1), dt.timedelta(days=999999999), "x"],
    ],
)
def test_one_odd_object_is_no_error_and_no_warning(values):
    df = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    df = pd.concat([df.iloc[:2]] * 50 + [df], ignore_index=True)
    _, out = round_trip(df)
    assert_same_schema(df, out)


ZONES = st.one_of(st.none(), st.timezones())
FAR = st.sampled_from([2**31 - 1, -(2**31), 2**45, 2**62, -(2**62)])
OBJECTS = {
    "datetime": st.one_of(
        st.none(),
        st.dates(),
        st.datetimes(timezones=ZONES),
        st.sampled_from([pd.NaT, np.nan, "2020-01-01", 5, pd.Timestamp.min, pd.Timestamp.max]),
        st.sampled_from([pd.Timestamp(1, tz="Asia/Tokyo"), pd.Timestamp(2**40, unit="s")]),
        st.builds(np.datetime64, FAR, st.sampled_from(["D", "s", "ms", "us", "ns", "as"])),
    ),
    "timedelta": st.one_of(
        st.none(),
        st.timedeltas(),
        st.sampled_from([pd.NaT, np.nan, "1 day", 5, pd.Timedelta.min, pd.Timedelta.max]),
        st.builds(np.timedelta64, FAR, st.sampled_from(["Y", "D", "s", "ms", "us", "ns", "as"])),
    ),
    "float": st.one_of(
        st.none(),
        st.floats(),
        st.integers(),
        st.booleans(),
        st.decimals(),
        st.complex_numbers(),
        st.sampled_from([10**400, np.complex128(1j), np.float16(2), np.int8(1), np.timedelta64(1, "s"), "7"]),
    ),
}


@pytest.mark.parametrize("kind", OBJECTS)
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_becomes_of_an_object_does_not_depend_on_other_rows(kind, data):
    """One value in nanoseconds must not make dates missing that nanoseconds cannot reach."""
    values = data.draw(st.lists(OBJECTS[kind], min_size=1, max_size=6))

    def read(part):
        series = pd.Series(part, dtype=object)
        if kind == "float":
            return number_values(series).tolist()
        moments, missing = time_values(series, duration=kind == "timedelta")
        return list(zip(moments.tolist(), missing.tolist(), strict=True))

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would tell that there is such a value
        with np.errstate(all="ignore"):
            together, alone = read(values), [read([value])[0] for value in values]
    assert repr(together) == repr(alone)


def test_dates_beyond_nanoseconds_stay_beside_one_value_in_nanoseconds():
    first = [dt.date(1500, 1, 1)] * 3 + [dt.date(9999, 12, 31)] * 3
    expected, absent = time_values(pd.Series(first, dtype=object), duration=False)
    for value in (pd.Timestamp("2020-01-01 00:00:00.000000001"), np.datetime64("2020-01-01", "ns")):
        moments, missing = time_values(pd.Series([*first, value], dtype=object), duration=False)
        assert moments[:-1].tolist() == expected.tolist()
        assert missing[:-1].tolist() == absent.tolist()


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Pacific/Kiritimati", "America/New_York"])
def test_no_moment_that_a_column_can_hold_is_an_error(unit, zone):
    """'For ever' is often the last moment that there is; the clocks of a zone may show one beyond it."""
    ends = np.array([2**63 - 1, -(2**63) + 1, 0, -(2**63)]).view(f"datetime64[{unit}]")
    series = pd.Series(ends)
    if zone is not None:
        series = series.dt.tz_localize("UTC").dt.tz_convert(zone)
    _check_ends(series)


@pytest.mark.parametrize("kind", ["date32", "date64"])
def test_no_day_of_pyarrow_is_an_error(kind):
    pa = pytest.importorskip("pyarrow")
    whole, day = (pa.int32(), 1) if kind == "date32" else (pa.int64(), 86_400_000)
    days = pa.array([(2**31 - 1) * day, -(2**31) * day, 18_262 * day, None], type=whole)
    dtype = pd.ArrowDtype(getattr(pa, kind)())
    moments = _check_ends(pd.Series(pd.array(days.cast(dtype.pyarrow_dtype), dtype=dtype)))
    assert moments[2] == 18_262 * 86_400_000_000


def _check_ends(series):
    df = series.to_frame("x")
    (meta,) = MetaExtractor.extract(df).columns
    moments, missing = time_values(series, duration=meta.is_duration)
    assert missing.tolist() == [False, False, False, True]
    table_fingerprint(FrameSource(df))
    return moments


def test_without_noise_small_integers_come_back_as_they_were():
    df = pd.DataFrame({"x": np.random.default_rng(0).integers(0, 12, 2000)})
    _, out = round_trip(df, sigma=0.0)
    assert (out["x"] == df["x"]).all()


def test_a_category_below_the_threshold_is_not_published():
    df = pd.DataFrame({"x": ["common"] * 500 + ["secret"]})
    codec, out = round_trip(df)
    assert "secret" not in repr(codec.to_dict())
    assert set(out["x"]) <= {"common", "other"}


def test_a_category_called_other_is_not_the_pool():
    df = pd.DataFrame({"x": ["other"] * 500 + ["common"] * 300 + ["secret"]})
    (column,) = discover(df).codec.columns
    assert set(column.published) == {"other", "common"}
    assert column.pool == ("other, not listed",)


def test_a_second_measurement_finds_categories_that_the_first_one_missed():
    names = np.repeat([f"name {number:02d}" for number in range(30)], np.arange(30, 900, 29)[::-1])
    df = pd.DataFrame({"x": names, "y": ["a", "b"] * (len(names) // 2) + ["a"] * (len(names) % 2)})
    meta = MetaExtractor.extract(df)

    def kept(rare):
        plan = plan_of_noise(meta, len(df), histograms=60.0, rare=rare)
        releases = releases_of(plan, NoiseSource(test_only_seed=2))
        found = discover_table(FrameSource(df), meta, releases, plan, lambda _: None)
        assert found.measured_again
        return len(found.codec.columns[0].published)

    assert 10 < kept(1e6) < kept(20.0)


def test_no_second_measurement_where_every_row_has_its_category():
    df = pd.DataFrame({"x": ["common"] * 500 + ["often"] * 300 + ["secret"]})
    assert not discover(df).measured_again


def test_a_far_outlier_does_not_enter_the_domain():
    df = pd.DataFrame({"x": [*range(100)] * 10 + [10**15]})
    codec, out = round_trip(df)
    assert out["x"].max() < 1000
    assert codec.columns[0].ends.max() < 1000


def test_decimals_are_learned():
    prices = np.round(np.random.default_rng(0).uniform(0, 100, 2000), 2)
    _, out = round_trip(pd.DataFrame({"x": prices}))
    assert np.allclose(out["x"], out["x"].round(2))


@pytest.mark.parametrize("unit", RESOLUTIONS)
def test_noise_in_any_cell_of_durations_makes_one_that_can_be_held(unit):
    (meta,) = MetaExtractor.extract(pd.DataFrame({"t": pd.to_timedelta([1, 2], unit="D")})).columns
    edges = coarsest_cells(meta, float(unit))
    assert LARGEST / 2 < edges[-1] * unit == -edges[0] * unit <= LARGEST


@pytest.mark.parametrize("step", [0.5, 0.25, 0.05])
def test_parts_of_whole_numbers_are_learned(step):
    values = np.random.default_rng(0).integers(2, 60, 2000) * step
    _, out = round_trip(pd.DataFrame({"x": values}))
    assert np.allclose(out["x"] / step, (out["x"] / step).round())


@pytest.mark.parametrize("step", [5, 100, 10_000])
def test_steps_of_whole_numbers_are_learned(step):
    limits = np.random.default_rng(0).integers(1, 80, 5000) * step
    limits[:2000] = 0
    codec, out = round_trip(pd.DataFrame({"x": limits}), sigma=10.0)
    assert (out["x"] % step == 0).all()
    assert out["x"].dtype == limits.dtype
    assert TableCodec.from_dict(codec.to_dict()).columns[0].resolution == step


def test_rare_ones_among_zeros_are_not_rounded_away():
    flags = np.zeros(5000, dtype=np.int64)
    flags[:40] = 1
    _, out = round_trip(pd.DataFrame({"x": flags}), sigma=2.0)
    assert set(out["x"]) == {0, 1}


def test_long_identifiers_are_in_no_steps():
    numbers = np.random.default_rng(0).integers(10**15, 2 * 10**15, 2000)
    codec, _ = round_trip(pd.DataFrame({"x": numbers}))
    assert codec.columns[0].resolution == 1


@pytest.mark.parametrize(("places", "magnitude"), [(2, 1e12), (3, 1e10), (2, 10.0), (6, 1.0)])
def test_digits_of_large_numbers_are_seen_and_what_computing_rounds_off_is_not(places, magnitude):
    step = 10.0**-places
    numbers = np.floor(np.random.default_rng(0).uniform(magnitude / 9, magnitude, 2000)) + 1 - step
    codec, _ = round_trip(
        pd.DataFrame({"x": numbers, "y": numbers / 3 * 3, "z": np.rint(numbers) * 0.1 * 10})
    )
    assert [column.resolution for column in codec.columns[:2]] == [step, step]
    assert codec.columns[2].resolution >= 1


@pytest.mark.parametrize("places", [0, 2, 3])
def test_digits_that_most_rows_have_are_learned_under_large_noise(places):
    numbers = np.round(np.random.default_rng(0).uniform(0.9, 60, 1000), places)
    right = 0
    for seed in range(20):
        df_meta = MetaExtractor.extract(pd.DataFrame({"x": numbers}))
        values = read_values(FrameSource(pd.DataFrame({"x": numbers})), df_meta["x"], EVERY_ROW)
        plan = plan_of_noise(df_meta, 1000, resolutions=200.0)
        allowance = releases_of(plan, NoiseSource(test_only_seed=seed)).allowance(RESOLUTION_HISTOGRAMS)
        right += measure_resolution(values, df_meta["x"], allowance, 1000).step == 10.0**-places
    assert right >= 18


def test_days_stay_whole_days():
    days = pd.Series(pd.date_range("2019-01-01", periods=1000))
    _, out = round_trip(pd.DataFrame({"t": days}))
    assert (out["t"] == out["t"].dt.normalize()).all()
    assert out["t"].between("2018-12-01", "2021-12-31").all()


def test_a_spike_comes_back_exactly():
    values = [0] * 900 + [*range(1, 101)]
    _, out = round_trip(pd.DataFrame({"x": values}))
    assert abs((out["x"] == 0).mean() - 0.9) < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_few_values_of_many_digits_come_back_exactly(seed):
    logs = np.round(np.log1p([0, 25, 50, 95, 100]), 6)
    values = np.random.default_rng(0).choice(logs, 20_000)
    _, out = round_trip(pd.DataFrame({"x": values}), sigma=60.0, seed=seed)
    assert out["x"].isin(logs).mean() > 0.98


@pytest.mark.parametrize("seed", range(3))
def test_few_values_of_any_digits_come_back_nearly_and_not_below(seed):
    logs = np.log1p([4, 25, 50, 95, 100])
    values = np.random.default_rng(0).choice(logs, 20_000)
    _, out = round_trip(pd.DataFrame({"x": values}), sigma=60.0, seed=seed)
    above = out["x"].to_numpy() / logs[np.searchsorted(logs, out["x"], side="right").clip(1) - 1] - 1
    assert ((above >= 0) & (above < 1e-6)).mean() > 0.9


def test_small_values_that_stand_out_together_are_kept():
    """Of eight cells that double in width each holds 1.5 standard deviations of noise."""
    random = np.random.default_rng(0)
    small = 2 ** random.uniform(0, 8, 420) / 100
    prices = np.round(np.append(small, random.uniform(2.56, 5, 2000)), 2)
    lost = 0
    for seed in range(40):
        (column,) = discover(pd.DataFrame({"price": prices}), sigma=20.0, seed=seed).codec.columns
        lost += (small < column.starts.min() * column.resolution).sum()
    assert lost / 40 < 180


def test_where_nothing_stands_out_values_are_no_astronomical_ones():
    df = pd.DataFrame({"month": [1, 5, 9, 12] * 50, "day": pd.Timestamp("2020-05-05")})
    for seed in range(10):
        _, out = round_trip(df, sigma=300.0, seed=seed)
        assert out["month"].between(0, 2e6).all()
        assert out["day"].dt.year.between(1950, 2050).all()


def test_identifiers_are_numbered_anew_and_not_learned():
    df = pd.DataFrame({"id": ["anna", "bert"] * 100, "number": range(200), "x": [1, 2] * 100})
    codec, out = round_trip(df, ids=["id", "number"])
    assert codec.names == ("x",)
    assert out["id"].is_unique
    assert out["number"].tolist() == list(range(1, 201))
    assert not set(out["id"]) & {"anna", "bert"}


@pytest.mark.parametrize("name", [n for n in EVERY_TYPE if n != "mixed"])
def test_codecs_survive_saving(name):
    df = pd.DataFrame({name: EVERY_TYPE[name]})
    codec = discover(df).codec
    again = TableCodec.from_dict(codec.to_dict())
    codes = codec.encode(df)
    assert (again.encode(df) == codes).all()
    one = codec.decode(codes, np.random.default_rng(5))
    two = again.decode(codes, np.random.default_rng(5))
    pd.testing.assert_frame_equal(one, two)


class Counting(Releases):
    """Records what is released, to check how often a row counts; adds no noise."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.log = []

    def release_counts(self, allowance, exact, parts):
        super().release_counts(allowance, exact, parts)  # refuses what is not planned
        ((name, _),) = allowance.shares
        self.log.append((name, int(np.sum(exact)), allowance.noise))
        return np.asarray(exact, dtype=float)


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_discovery_measures_each_row_no_more_often_than_the_plan_pays_for(name):
    """The sum of squared signal-to-noise of all histograms of a column is at most 1 / sigma^2."""
    df = pd.DataFrame({name: EVERY_TYPE[name]})
    meta = MetaExtractor.extract(df)
    plan = plan_of_noise(meta, 400, resolutions=3.0, histograms=2.0, rare=1.5, delta=1e-3)
    releases = releases_of(plan, NoiseSource(test_only_seed=1), Counting)
    discover_table(FrameSource(df), meta, releases, plan, lambda _: None)
    planned = {VALUE_HISTOGRAMS: 2.0, RESOLUTION_HISTOGRAMS: 3.0, RARE_CATEGORIES: 1.5}
    assert {name for name, _, _ in releases.log} <= set(planned)
    for measurement, sigma in planned.items():
        spent = sum(1 / noise**2 for name, _, noise in releases.log if name == measurement)
        assert spent <= 1 / sigma**2 * (1 + 1e-9)
    levels = [noise for name, _, noise in releases.log if name == VALUE_HISTOGRAMS]
    assert all(total <= len(df) for _, total, _ in releases.log)
    assert len(levels) <= LEVELS + 1 + 2 * len(PARTS)


def test_values_in_a_corner_of_a_coarse_cell_are_told_apart():
    latitudes = np.random.default_rng(0).uniform(48.1, 48.3, 30_000)
    codec = discover(pd.DataFrame({"x": latitudes}), sigma=30.0).codec
    inner = codec.columns[0].starts[codec.columns[0].first_leaf]
    assert ((inner > 48.1) & (inner < 48.3)).sum() >= 15


@pytest.mark.parametrize("seed", range(5))
def test_few_values_stay_apart_and_none_is_invented(seed):
    shares = np.array([1, 2, 4, 8, 15, 24, 50, 100, 250, 180, 60, 45, 130, 60, 20, 16])
    grades = np.repeat(np.arange(1, 17), shares * 30)
    codec, out = round_trip(pd.DataFrame({"grade": grades}), sigma=20.0, seed=seed)
    assert set(codec.columns[0].labels) >= {str(grade) for grade in range(5, 17)}
    assert (out["grade"] > 16).mean() < 0.002


def test_many_values_share_bins():
    ages = np.random.default_rng(0).integers(18, 90, 30_000)
    codec = discover(pd.DataFrame({"age": ages}), sigma=2.0, bins=20).codec
    assert 15 <= codec.sizes[0] <= 30


@pytest.mark.long
def test_noise_seldom_invents_a_value_far_from_all_others():
    """Of 1,600 columns ten would have one if a cell alone had to stand out by 4 standard deviations."""
    values = np.random.default_rng(0).uniform(100, 1000, (400, 400))
    far = 0
    for seed in range(4):
        codec = discover(pd.DataFrame(values).add_prefix("x"), sigma=3.0, seed=seed).codec
        for column in codec.columns:
            far += min(column.starts) < 1 or max(column.ends) > 1e5
    assert far <= 3


def test_empty_parts_of_a_range_are_left_out():
    """Of a column with one value: cells and parts of cells that hold nobody would be years like 1073."""
    years = np.full(20_000, 2023)
    far = 0
    for seed in range(40):
        codec = discover(pd.DataFrame({"year": years}), sigma=30.0, seed=seed).codec
        (column,) = codec.columns
        beyond = (column.starts < 1950) | (column.starts > 2100)
        rows = column.weights[beyond].sum() / column.weights.sum()
        assert rows < 0.02
        far += beyond.any()
        assert column.size <= 3
    assert far <= 12  # a tenth, because cells beside the year stand out of the noise in a few of a hundred


def test_noise_seldom_makes_a_negative_value_beside_a_spike_at_zero():
    """Of 400 columns 16 would have one if 2 standard deviations were enough on that side too."""
    values = np.random.default_rng(0).choice([0, 0, 0, 0, 1900, 2400], (400, 200))
    negative = 0
    for seed in range(2):
        codec = discover(pd.DataFrame(values).add_prefix("x"), sigma=3.0, seed=seed).codec
        negative += sum(min(column.starts) < 0 for column in codec.columns)
    assert negative <= 2


def test_noise_puts_little_into_the_far_part_of_a_declared_range():
    """Nobody is there: noise set to zero from below would leave 5 % of the rows in it."""
    costs = np.random.default_rng(0).lognormal(8, 0.8, 20_000)
    costs[::30] = np.nan
    shares = []
    for seed in range(10):
        codec = discover(pd.DataFrame({"x": costs}), sigma=60.0, seed=seed, bounds={"x": (0, 200_000)}).codec
        (column,) = codec.columns
        far = column.starts * (column.resolution or 1) >= 60_000
        shares.append(column.weights[far].sum() / column.weights.sum())
    assert np.mean(shares) < 0.01


MOMENTS = pd.to_datetime(["2019-03-14 09:30", "2021-10-02 14:15", "2023-06-30 08:00"])
FEW_OF_MANY = {
    "postal codes": [10115, 20095, 50667, 80331],
    "dates as numbers": [20240101, 20240215, 20240630],
    "article numbers": [4006381333931, 4012345678901, 5901234123457],
    "answers and a code for none": [1, 2, 3, 4, 5, 9999],
    "prices": [101.15, 200.95, 506.67, 803.31],
    "of many digits": [0.1234567890123, 17.320508075688, -2.2360679774997],
    "very small": [1.602e-19, 3.204e-19, 4.806e-19],
    "very large": [5.97e24, 6.42e23, 1.898e27],
    "moments": list(MOMENTS),
    "durations": list(MOMENTS - MOMENTS[0]),
}
DTYPES = {
    "postal codes": ["int32", "Int64", "float32", "int64[pyarrow]"],
    "prices": ["Float64", "double[pyarrow]"],
}


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name in FEW_OF_MANY for dtype in [None, *DTYPES.get(name, [])]]
)
def test_few_values_of_a_long_line_come_back_exactly(name, dtype, bounded):
    values = pd.Series(FEW_OF_MANY[name]).take(
        np.random.default_rng(0).integers(0, len(FEW_OF_MANY[name]), 6000)
    )
    df = pd.DataFrame({"x": values.astype(dtype or values.dtype).reset_index(drop=True)})
    bounds = {"bounds": {"x": (min(FEW_OF_MANY[name]), max(FEW_OF_MANY[name]))}} if bounded else {}
    for seed in range(3):
        codec, out = round_trip(df, sigma=30.0, seed=seed, **bounds)
        assert (~out["x"].isin(df["x"].unique())).mean() < 0.01
        assert set(out["x"]) == set(df["x"])  # and none is lost
        assert TableCodec.from_dict(codec.to_dict()).columns[0].labels == codec.columns[0].labels


def test_decimals_that_come_again_and_again_come_back_exactly():
    prices = [decimal.Decimal(text) for text in ("8.9", "1250.25", "33710.01")]
    df = pd.DataFrame({"x": pd.Series(prices * 1500, dtype=object)})
    _, out = round_trip(df, sigma=30.0)
    assert set(out["x"]) == set(prices)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e-9, 1e22, 1e27, 1e290])
def test_very_small_and_very_large_numbers_keep_their_digits(scale, bounded):
    values = scale * np.exp(np.random.default_rng(0).normal(0, 1, 5000))
    bounds = {"bounds": {"x": (values.min(), values.max())}} if bounded else {}
    _, out = round_trip(pd.DataFrame({"x": values}), sigma=15.0, **bounds)
    for share in (0.1, 0.5, 0.9):
        assert out["x"].quantile(share) == pytest.approx(np.quantile(values, share), rel=0.1, abs=0)


def test_whole_numbers_beyond_64_bits_are_not_cut():
    values = [3 * 10**20, 7 * 10**24]
    _, out = round_trip(pd.DataFrame({"x": pd.Series(values * 1000, dtype=object)}), sigma=15.0)
    assert set(out["x"].map(float)) == set(map(float, values))


EXTREME = [0.0, 1.0, -1.0, 1e-320, 2.0**53, 1e18, 1e19, 1e25, 1e300, 1.7e308, -1.7e308]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint64", "Int8", "object"])
@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(EXTREME), min_size=2, max_size=2, unique=True), st.integers(0, 100))
def test_no_bounds_that_are_accepted_end_a_run(dtype, ends, seed):
    low, high = sorted(ends)
    values = np.random.default_rng(seed).choice(EXTREME, 200)
    if dtype == "object":
        column = pd.Series([int(value) for value in values], dtype=object)
    else:
        kind = pd.api.types.pandas_dtype(dtype)
        kind = getattr(kind, "numpy_dtype", kind)
        info = np.iinfo(kind) if kind.kind in "iu" else np.finfo(kind)
        column = pd.Series([kind.type(min(max(v, info.min / 2), info.max / 2)) for v in values]).astype(dtype)
    df = pd.DataFrame({"x": column})
    try:
        MetaExtractor.extract(df, bounds={"x": (low, high)})
    except MetadataError:
        return
    _, out = round_trip(df, bounds={"x": (low, high)}, seed=seed)
    assert_same_schema(df, out)
