"""Noisy one-way counts are drawn towards what is likely, and only as far as noise explains."""

import numpy as np
import pandas as pd

from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.measuring.smoothing import likely_counts, smooth_bins
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.metadata.columns import ContinuousMeta
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.opening import open_source
from tests.support.plans import plan_of_noise, releases_of

WIDTHS = np.ones(20)


def test_neighbouring_bins_lose_most_of_their_noise():
    random, exact = np.random.default_rng(0), np.full(20, 60.0)
    noisy = exact + random.normal(0, 20, (40, 20))
    smooth = [smooth_bins(each, np.full(20, 400.0), WIDTHS, np.zeros(20, bool)) for each in noisy]
    assert np.square(smooth - exact).mean() < 0.35 * np.square(noisy - exact).mean()


def test_the_density_is_smoothed_and_not_the_counts():
    random, widths = np.random.default_rng(1), np.tile([1.0, 4.0], 10)
    exact = 20 * widths
    noisy = exact + random.normal(0, 20, (40, 20))
    smooth = [smooth_bins(each, np.full(20, 400.0), widths, np.zeros(20, bool)) for each in noisy]
    assert np.square(smooth - exact).mean() < 0.5 * np.square(noisy - exact).mean()


def test_a_value_that_stands_out_and_counts_with_little_noise_stay():
    counts = np.full(20, 60.0)
    counts[7] = 600.0
    single = np.arange(20) == 7
    assert smooth_bins(counts, np.full(20, 400.0), WIDTHS, single)[7] == 600
    # without a word that it is a single value it is moved by no more than noise
    assert abs(smooth_bins(counts, np.full(20, 400.0), WIDTHS, np.zeros(20, bool))[7] - 600) <= 60
    rough = np.random.default_rng(2).integers(0, 1000, 20).astype(float)
    assert np.abs(smooth_bins(rough, np.ones(20), WIDTHS, np.zeros(20, bool)) - rough).max() < 1


def test_counts_are_not_negative_and_add_up_to_the_rows_of_all_columns():
    codec = NumericCodec(
        ContinuousMeta("a", "float64", bounds=(0.0, 20.0), decimals=0),
        1.0,
        np.arange(20.0),
        np.arange(1.0, 21.0),
        np.ones(20),
        np.arange(20),
    )
    random = np.random.default_rng(3)
    counts = [random.normal(5, 10, 20), random.normal(5, 10, 20)]
    variances = [np.full(20, 100.0)] * 2
    found = likely_counts(counts, variances, [codec, codec], 100.0, 1e-12)
    for each in found:
        assert (each >= 0).all()
        np.testing.assert_allclose(each.sum(), 100)
    exact = likely_counts(counts, [np.zeros(20)] * 2, [codec, codec], 100.0, 0.0)
    assert all((one == other).all() for one, other in zip(exact, counts, strict=True))


def _decoded(df, noise, rows=20_000, **declared):
    """The one column's codec, and values that are drawn by its likely counts."""
    meta = MetaExtractor.extract(df, **declared)
    plan = plan_of_noise(meta, len(df), histograms=noise)
    with open_source(df) as source:
        measured = measure_table(
            source, meta, plan, releases_of(plan, NoiseSource(test_only_seed=0)), lambda _: None
        )
    (codec,), (shares,) = measured.codec.columns, measured.reference.shares
    random = np.random.default_rng(0)
    codes = random.choice(codec.size, rows, p=shares).astype(np.int32)
    return codec, codec.decode(codes, random)


def test_single_years_of_a_small_table_are_smooth_and_none_is_missing():
    ages = np.random.default_rng(4).integers(20, 80, 3000)
    _, made = _decoded(pd.DataFrame({"age": ages}), 30.0, bounds={"age": (20, 79)})
    shares = np.bincount(made.astype(int) - 20, minlength=60) / len(made)
    assert np.abs(shares - 1 / 60).sum() / 2 < 0.1  # 21 rows of noise on 50 of each year would be .17
    assert (shares > 0).all()


def test_where_no_town_stands_out_few_have_a_cell_of_their_own():
    towns = [f"town {number}" for number in range(86)]
    column = pd.Series(np.random.default_rng(5).choice(towns, 1200))
    codec, made = _decoded(pd.DataFrame({"town": column}), 28.0, categories={"town": towns})
    assert codec.size <= 6
    found, exact = (each.value_counts(normalize=True).reindex(towns).fillna(0) for each in (made, column))
    assert (found - exact).abs().sum() / 2 < 0.25
