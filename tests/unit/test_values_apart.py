"""Values that are far from all others come of rows, not of noise; long whole numbers come back exactly."""

import json

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimConfig, MetaExtractor
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.measuring.shrinkage import shrink_siblings
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.base import FrameSource
from tests.support.plans import releases_of

LONG = [1234567890123456789, 1234567890123456790, 2**53 + 1, 7_777_777_777_777_777_777]


def made_of(df, seed=0, epsilon=1.0, **declared):
    """What was measured, and rows drawn of the measured shares alone."""
    meta = MetaExtractor.extract(df, **declared)
    plan = plan_run(HighDimConfig(epsilon=epsilon).resolve(), meta, float(len(df)), "quick")
    releases = releases_of(plan, NoiseSource(test_only_seed=seed))
    measured = measure_table(FrameSource(df), meta, plan, releases, lambda _: None)
    random = np.random.default_rng(seed)
    drawn = [random.choice(len(share), len(df), p=share) for share in measured.reference.shares]
    return measured, measured.codec.decode(np.stack(drawn, axis=1).astype(np.int32), random)


@pytest.mark.parametrize("dtype", ["int64", "int64[pyarrow]", object])
def test_whole_numbers_beyond_what_floats_tell_apart_come_back_exactly(dtype):
    rows = np.random.default_rng(0).choice(LONG, 3_000)
    df = pd.DataFrame({"code": pd.Series(rows.tolist(), dtype=dtype), "group": rows % 3 == 0})
    measured, made = made_of(df)
    assert made["code"].dtype == df["code"].dtype
    assert (~made["code"].isin(LONG)).mean() < 0.01
    assert set(LONG) <= set(made["code"])
    again = TableCodec.from_dict(json.loads(json.dumps(measured.codec.to_dict())))
    assert again.columns[0].exact == measured.codec.columns[0].exact


def test_the_largest_whole_number_of_64_bits_comes_back():
    numbers = np.array([2**64 - 1, 2**63, 12345678901234567890], dtype=np.uint64)
    df = pd.DataFrame({"code": np.random.default_rng(0).choice(numbers, 3_000), "x": np.arange(3_000) % 5})
    assert (~made_of(df)[1]["code"].isin(numbers)).mean() < 0.01


def test_negative_long_numbers_beside_small_ones_come_back():
    numbers = [-(2**60) - 1, -(2**60), 7]
    df = pd.DataFrame({"code": np.random.default_rng(0).choice(numbers, 3_000), "x": np.arange(3_000) % 5})
    assert set(made_of(df)[1]["code"]) >= set(numbers)


def test_saved_whole_numbers_that_are_not_their_float_are_refused():
    df = pd.DataFrame({"code": np.full(2_000, LONG[0]), "x": np.arange(2_000) % 5})
    saved = json.loads(json.dumps(made_of(df)[0].codec.columns[0].to_dict()))
    saved["exact"][0]["whole"] += 10**6
    with pytest.raises(ArtifactError):
        NumericCodec.from_dict(saved)


def test_no_values_are_made_of_a_column_whose_values_are_all_missing_but_one():
    df = pd.DataFrame({"rare": [3.5] + [np.nan] * 3_999, "x": np.arange(4_000) % 5})
    measured, made = made_of(df)
    assert made["rare"].isna().all()
    assert any("'rare'" in text for text in measured.untold)


def test_values_of_which_few_are_present_are_kept_where_they_stand_out():
    df = pd.DataFrame({"rare": np.where(np.arange(8_000) % 10 == 0, 3.0, np.nan), "x": np.arange(8_000) % 5})
    made = made_of(df)[1]["rare"]
    assert made.notna().mean() == pytest.approx(0.1, abs=0.02)
    assert (made.dropna() == 3).all()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_of_a_small_column_on_both_sides_of_zero_lies_beside_zero(seed):
    """Where half of the rows are not found, they are not in one of the cells that end at 1e-300."""
    df = pd.DataFrame({str(k): np.random.default_rng(seed + k).normal(0, 4, 700) for k in range(8)})
    made = made_of(df, seed)[1]
    assert (made.abs().to_numpy() < 1e-6).mean() < 0.01


def test_siblings_beyond_the_rows_are_empty():
    counts = np.random.default_rng(0).normal(0, 40, 256)
    counts[100:110] += 800
    whole = np.zeros(256, dtype=np.int64), np.array([8_000.0])
    shrunk = shrink_siblings(counts, *whole, 40.0, np.ones(256))
    assert shrunk[:95].sum() + shrunk[115:].sum() == 0
    assert shrunk[100:110].sum() == pytest.approx(8_000, rel=0.02)


def test_rows_that_are_spread_over_all_siblings_stay():
    for seed in range(20):
        counts = 60 + np.random.default_rng(seed).normal(0, 40, 32)
        whole = np.zeros(32, dtype=np.int64), np.array([32 * 60.0])
        shrunk = shrink_siblings(counts, *whole, 40.0, np.ones(32))
        assert min(shrunk[:4].sum(), shrunk[-4:].sum()) > 0


def test_the_few_that_are_born_on_the_day_are_kept_though_all_others_are_decades_away():
    """Four hundred of 8,000: less than thrice the noise of the first histogram."""
    days = np.random.default_rng(0).integers(7_000, 30_000, 8_000)
    df = pd.DataFrame({"days": np.where(np.arange(8_000) % 20 == 0, 0, days), "other": days % 7})
    for k in range(14):
        df[str(k)] = days % (k + 3)
    kept = [(made_of(df, seed, 0.5)[1]["days"] == 0).mean() for seed in range(3)]
    assert np.median(kept) == pytest.approx(0.05, abs=0.02)


def test_what_is_left_beside_single_values_is_near_them():
    beyond = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        df = pd.DataFrame({"year": random.integers(2000, 2021, 4_500)})
        for name in "abcdef":
            df[name] = random.normal(size=4_500)
        made = made_of(df, seed)[1]["year"]
        beyond.append((~made.between(1999, 2021)).mean())
    assert np.mean(beyond) < 0.01
