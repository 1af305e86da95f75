"""Values that lie somewhere in a period (ends of prices, months, first days) come back, and those beside."""

import json

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.encoding.patterns import PARTS, Pattern, PointParts
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.measuring.patterns import _places, _places_of_known
from jupyter_dpsynth.engine.sampling.conditions import _numbers
from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from tests.unit.test_tails import discovered
from tests.unit.test_values_apart import made_of

ROWS = 3_000
NUMBER, TIME = ContinuousMeta("x", "float64"), DatetimeMeta("x", "datetime64[us]")
LENGTH = DatetimeMeta("x", "timedelta64[us]", is_duration=True)


def days(first, last, frequency="D"):
    return pd.date_range(first, last, freq=frequency).as_unit("us")


def random_pattern(meta, resolution, seed=0):
    parts, random = PointParts.of(meta, resolution), np.random.default_rng(seed)
    weights = {name: random.integers(0, 3, PARTS[name]).astype(float) for name in parts.names}
    return Pattern(parts, weights, tuple(range(0, 100, 3)) if "last digits" in weights else ())


def weight_of(pattern, points):
    """By its definition: the product of the weights of a point's parts."""
    found = np.ones(len(points))
    for name, weights in pattern.weights.items():
        own = weights[pattern.parts.of_points(name, points)]
        if name == "digits before":
            own = np.where(np.isin(pattern.parts.of_points("last digits", points), pattern.within), own, 1.0)
        found *= own
    return found


@pytest.mark.parametrize(
    ("meta", "resolution"),
    [(NUMBER, 0.01), (TIME, 86_400e6), (TIME, 60e6), (TIME, 1e6), (TIME, 500e3), (LENGTH, 60e6)],
)
def test_a_measure_is_the_sum_of_the_weights_of_the_points(meta, resolution):
    pattern = random_pattern(meta, resolution)
    for start in (-1_234, -40, 0, 25_000, 70_000_001):
        points = np.arange(start, start + 3_000, dtype=np.float64)
        weights = weight_of(pattern, points)
        ends = points[:1] * np.ones(2), points[[0, -1]] + np.array([777.0, 1.0])
        assert pattern.measure(*ends) == pytest.approx([weights[:777].sum(), weights.sum()])
        part = pattern.parts.names[0]
        by_value = np.bincount(pattern.parts.of_points(part, points), weights, minlength=PARTS[part])
        assert pattern.measure(ends[0][1:], ends[1][1:], part)[0] == pytest.approx(by_value)


@pytest.mark.parametrize(("meta", "resolution"), [(NUMBER, 1.0), (TIME, 60e6)])
def test_points_are_drawn_by_their_weight(meta, resolution):
    pattern, random = random_pattern(meta, resolution, 1), np.random.default_rng(0)
    first = np.floor(28_000_000 / (1 if meta is TIME else 1_000))
    points = np.arange(first, first + 5_000)
    drawn = pattern.draw(np.full(50_000, first), np.full(50_000, first + 5_000), random.random(50_000))
    weights = weight_of(pattern, points)
    shares = np.bincount((drawn - first).astype(int), minlength=5_000) / 50_000
    assert shares[weights == 0].sum() == 0
    assert np.abs(shares - weights / weights.sum()).sum() < 0.4  # of 50,000 rows in 2,000 places


def test_minutes_are_seen_where_no_part_of_the_time_stands_out_alone():
    invented, rows = [], 12_000
    for seed in range(4):
        random = np.random.default_rng(seed)
        minutes = pd.to_timedelta(5 * random.integers(0, 730 * 288, rows), unit="min")
        df = pd.DataFrame({"in": pd.Timestamp("2022-01-01") + minutes})
        for name in "abcdefgh":
            df[name] = random.choice(list("wxyz"), rows)
        codec = discovered(df, seed, 0.3, bounds={"in": ("2022-01-01", "2023-12-31")})["in"]
        made = codec.decode(codec.encode(df["in"]), random)
        invented.append((made.dt.minute % 5 > 0).mean())
    assert np.mean(invented) < 0.3


def test_what_is_around_a_point_has_a_weight():
    pattern = Pattern(PointParts.of(TIME, 86_400e6), {"day of month": np.eye(32)[1]})
    found = pattern.around(np.array([31.0, 32.0, 58.0]))  # 1 and 2 February, 28 February 1970
    assert [each.tolist() for each in found] == [[31.0, 31.0, 31.0], [31.0, 59.0, 59.0]]


MONTHS = [year * 100 + month for year in range(2010, 2024) for month in range(1, 13)]
KINDS = {
    "months as numbers": MONTHS,
    "times as numbers": [hour * 100 + minute for hour in range(24) for minute in range(60)],
    "dates as numbers": [int(day.strftime("%Y%m%d")) for day in days("2019-01-01", "2023-12-28")],
    "prices": [euros + 0.99 for euros in range(1, 200)],
    "odd numbers": list(range(1, 3_000, 2)),
    "first days": days("2010-01-01", "2023-12-01", "MS"),
    "last days of quarters": days("2000-03-31", "2023-12-31", "QE"),
    "Mondays": days("2015-01-05", "2023-12-25", "W-MON"),
    "every five minutes": days("2021-01-01", "2023-12-31", "5min"),
    "weekly at half past": days("2019-01-07", "2023-12-25", "W-MON") + pd.Timedelta("8h30min"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("declared", [False, True])
def test_values_of_a_period_come_back(kind, declared):
    random = np.random.default_rng(0)
    values = pd.Series(KINDS[kind])
    column = values.take(random.integers(0, len(values), ROWS)).reset_index(drop=True)
    df = pd.DataFrame({"x": column, "g": random.integers(0, 4, ROWS)})
    bounds = {"bounds": {"x": (values.min(), values.max())}} if declared else {}
    measured, made = made_of(df, **bounds)
    beside = [(~each["x"].isin(values)).mean() for each in (made, made_of(df, 1, **bounds)[1])]
    # a date as a number may be the 31st of a month of 30 days
    assert np.mean(beside) < (0.03 if kind == "dates as numbers" else 0.02)
    assert made["x"].nunique() > 0.7 * column.nunique()
    again = TableCodec.from_dict(json.loads(json.dumps(measured.codec.to_dict()))).columns[0]
    assert again.to_dict() == measured.codec.columns[0].to_dict()


@pytest.mark.parametrize("end", ["1960-01-01", "2000-01-01"])
@pytest.mark.parametrize("minutes", [1, 5])
def test_times_beyond_a_declared_bound_become_the_bound(end, minutes):
    random, bound = np.random.default_rng(0), pd.Timestamp(end)
    steps = pd.to_timedelta(
        minutes * random.integers(-20_000_000 // minutes, 2_000_000 // minutes, ROWS), "min"
    )
    df = pd.DataFrame({"x": pd.Series(bound + steps).astype("datetime64[us]"), "g": np.arange(ROWS) % 3})
    made = made_of(df, bounds={"x": ("1900-01-01", end)})[1]["x"]
    assert made.max() == bound
    assert (made == bound).mean() == pytest.approx((df["x"] >= bound).mean(), abs=0.03)


@pytest.mark.parametrize("kind", ["datetime64[us]", "timedelta64[us]", object])
def test_times_keep_within_bounds_between_two_of_their_steps(kind):
    hours = np.random.default_rng(0).integers(0, 60_000, ROWS)
    x = pd.Series(
        pd.to_timedelta(hours, "h") + (pd.Timedelta(0) if "delta" in str(kind) else pd.Timestamp(0))
    )
    bounds = x.iloc[0] * 0 if "delta" in str(kind) else pd.Timestamp(0)
    bounds = bounds + pd.Timedelta(hours=9.5), bounds + pd.Timedelta(hours=40_000.5)
    made = made_of(pd.DataFrame({"x": x.astype(kind), "g": hours % 3}), bounds={"x": bounds})[1]["x"]
    assert made.min() >= bounds[0]
    assert made.max() <= bounds[1]
    assert (made >= bounds[1]).mean() == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("kind", ["prices", "first days", "every five minutes"])
def test_a_fifth_that_is_elsewhere_stays_elsewhere(kind):
    random = np.random.default_rng(1)
    values, steps = pd.Series(KINDS[kind]), random.integers(1, 28, ROWS) * (random.random(ROWS) < 0.2)
    step = {"prices": 0.01, "first days": pd.Timedelta("1D"), "every five minutes": pd.Timedelta("1min")}[
        kind
    ]
    x = values.take(random.integers(0, len(values), ROWS)).reset_index(drop=True) + step * steps
    df = pd.DataFrame({"x": x.round(2) if kind == "prices" else x})
    df["g"] = random.integers(0, 4, ROWS)
    found = (~made_of(df)[1]["x"].isin(values)).mean()
    assert abs(found - (~df["x"].isin(values)).mean()) < 0.07


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_where_nothing_is(seed):
    random = np.random.default_rng(seed)
    df = pd.DataFrame(
        {
            "incomes": np.exp(random.normal(10, 0.6, ROWS)).astype(int),
            "amounts": np.round(np.exp(random.normal(3, 1, ROWS)), 2),
            "counts": random.negative_binomial(2, 0.01, ROWS),
            "dates": days("2015-01-01", "2023-12-31")[random.integers(0, 3_200, ROWS)],
            "moments": pd.Timestamp("2021-01-01")
            + pd.to_timedelta(random.integers(0, 10**6, ROWS), unit="min"),
        }
    )
    for codec in made_of(df, seed, epsilon=3.0)[0].codec.columns:
        assert getattr(codec, "pattern", None) is None


@pytest.mark.parametrize(("name", "rows"), [("last digits", 10_000), ("minute", 500), ("hour", 3_000)])
def test_noise_alone_shows_no_places(name, rows):
    random, size = np.random.default_rng(0), PARTS[name]
    even = np.full(size, rows / size)
    for noise in (5.0, 30.0, 200.0):
        for _ in range(30):
            counts = random.multinomial(rows, even / rows) + random.normal(0, noise, size)
            assert _places(counts, noise, even, noise**2, name) is None


def test_a_condition_leaves_values_of_the_period():
    random = np.random.default_rng(0)
    df = pd.DataFrame({"x": random.choice(MONTHS, ROWS), "g": random.integers(0, 4, ROWS)})
    codec = made_of(df)[0].codec.columns[0]
    share, cut = _numbers(codec, (202_001, 202_299))
    made = cut.decode(random.choice(len(share), 2_000, p=share / share.sum()).astype(np.int32), random)
    assert made.between(202_001, 202_299).all()
    assert made.isin(MONTHS).mean() > 0.99


def test_a_condition_leaves_a_published_value_beside_the_pattern():
    random = np.random.default_rng(0)
    x = np.where(random.random(ROWS) < 0.2, 202_150, random.choice(MONTHS, ROWS))
    codec = made_of(pd.DataFrame({"x": x, "g": random.integers(0, 4, ROWS)}))[0].codec.columns[0]
    assert codec.pattern is not None
    share, cut = _numbers(codec, (202_140, 202_160))
    made = cut.decode(random.choice(len(share), 100, p=share / share.sum()).astype(np.int32), random)
    assert (made == 202_150).mean() > 0.9  # of others there are next to none


def test_a_date_learned_as_a_difference_keeps_its_days():
    random, start = np.random.default_rng(0), days("1990-01-01", "2023-12-31")
    begin = pd.Series(start[random.integers(0, len(start), 8_000)])
    month_later = begin + pd.to_timedelta(random.integers(10, 50, 8_000), unit="D")
    end = month_later + pd.offsets.MonthEnd(1)
    measured, made = made_of(pd.DataFrame({"begin": begin, "end": end}), epsilon=3.0)
    assert measured.codec.columns[1].to_dict()["codec"] == "difference"
    assert made["end"].dt.is_month_end.mean() > 0.99
    assert (made["end"] >= made["begin"]).mean() > 0.99


def test_a_pattern_that_no_column_has_is_refused():
    random = np.random.default_rng(0)
    df = pd.DataFrame({"x": random.choice(MONTHS, ROWS), "g": random.integers(0, 4, ROWS)})
    saved = made_of(df)[0].codec.columns[0].to_dict()
    for wrong in ({"weekday": [1.0] * 7}, {"last digits": [1.0] * 99}, {"last digits": [-1.0] * 100}, {}):
        with pytest.raises(ArtifactError):
            type(made_of(df)[0].codec.columns[0]).from_dict(saved | {"pattern": {"weights": wrong}})


def test_points_that_floats_do_not_hold_one_by_one_are_alike():
    pattern = Pattern(PointParts.of(NUMBER, 1.0), {"last digits": np.eye(100)[99]})
    for start, end in ((2.0**60, 2.0**60 + 256), (-(2.0**61), -(2.0**60)), (1e300, 2e300)):
        ends, inside = (np.full(9, start), np.full(9, end)), np.linspace(0, 0.999, 9)
        made = pattern.draw(*ends, inside)
        assert ((made >= start) & (made < end)).all()
        assert [each[0] for each in pattern.trimmed(*ends)] == [start, end]
        assert pattern.measure(*ends)[0] > 0
    made = pattern.draw(np.full(9, 2.0**53 - 200), np.full(9, 2.0**53 + 800), np.linspace(0, 0.999, 9))
    assert ((made >= 2.0**53 - 200) & (made < 2.0**53 + 800)).all()
    assert [each.tolist() for each in pattern.around(np.array([2.0**60]))] == [[2.0**60], [2.0**60]]


@pytest.mark.parametrize(("far", "dtype"), [(2e18, "int64"), (2e30, "float64")])
def test_few_numbers_far_beyond_published_ones_are_learned(far, dtype):
    random = np.random.default_rng(0)
    ends = 100 * random.choice(300, 30, replace=False) + 99
    x = np.append(random.choice(ends, 6_000), np.floor(far * (1 + random.random(150))))
    df = pd.DataFrame({"x": random.permutation(x).astype(dtype), "g": np.arange(len(x)) % 3})
    made = made_of(df)[1]["x"]
    assert made.isin(df["x"]).mean() > 0.9
    assert (made > 1e6).any()


@pytest.mark.parametrize("name", ["last digits", "weekday", "day of month", "minute"])
def test_random_published_values_show_no_places(name):
    random = np.random.default_rng(0)
    for count in (3, 12, 40, 200):
        for _ in range(20):
            assert _places_of_known(random.integers(0, PARTS[name], count), name) is None


def test_published_values_show_their_places():
    random = np.random.default_rng(0)
    months, odd = random.integers(1, 13, 30), 2 * random.integers(0, 50, 40) + 1
    assert np.flatnonzero(_places_of_known(months, "last digits")).tolist() == sorted(set(months.tolist()))
    assert np.flatnonzero(_places_of_known(odd, "last digits")).tolist() == list(range(1, 100, 2))


def test_the_rest_of_few_first_days_stays_on_first_days():
    random, days_of = np.random.default_rng(0), pd.Series(days("1950-01-01", "2023-01-01", "YS"))
    place = np.where(
        random.random(8_000) < 0.97, random.integers(0, 60, 8_000), random.integers(60, 74, 8_000)
    )
    df = pd.DataFrame({"x": days_of.take(place).reset_index(drop=True), "g": place % 3})
    assert made_of(df)[1]["x"].dt.is_year_start.mean() > 0.99
