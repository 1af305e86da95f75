"""Codes of which many rows share each come back, also where the noise hides most of them at first."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.engine.measuring.cells import Cells
from jupyter_dpsynth.engine.measuring.ranks import measure_ranks
from jupyter_dpsynth.engine.measuring.reading import ColumnValues
from jupyter_dpsynth.engine.model.plan import VALUE_HISTOGRAMS
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.noise import NoiseSource
from tests.support.plans import plan_of_noise, releases_of
from tests.unit.test_values_apart import made_of

BESIDE = 18  # columns


def wide(column, seed):
    """A table of a column, and of others that need a share of the budget, too."""
    random = np.random.default_rng(seed)
    rows = len(column)
    others = {
        f"c{k}": random.normal(size=rows) if k % 2 else random.choice(list("abcde"), rows)
        for k in range(BESIDE)
    }
    return pd.DataFrame({"x": column, **others})


def ranks_of(values, sigma=1e-3, weights=None, row=1.0):
    meta = MetaExtractor.extract(pd.DataFrame({"x": [0.5]}))
    plan = plan_of_noise(meta, len(values), histograms=sigma)
    allowance = releases_of(plan, NoiseSource(test_only_seed=0)).allowance(VALUE_HISTOGRAMS, Fraction(1))
    order = np.argsort(values, kind="stable")
    own = None if weights is None else [np.asarray(weights, np.int64)[order]]
    column = ColumnValues([np.asarray(values, float)[order]], np.zeros(1, np.int64), own, row)
    return measure_ranks(column, allowance, 64.0)


@pytest.mark.parametrize(("least", "end"), [(100, 1_000), (10_000, 100_000)])
@pytest.mark.parametrize(("codes", "rows"), [(40, 125), (80, 250)])
def test_codes_of_few_rows_in_a_table_of_many_columns_come_back(least, end, codes, rows):
    beside, kept = [], []
    for seed in range(3):
        random = np.random.default_rng(seed)
        values = random.choice(np.arange(least, end), codes, replace=False)
        made = made_of(wide(random.choice(values, codes * rows), seed), seed)[1]["x"]
        beside.append((~made.isin(values)).mean())
        kept.append(len(set(made) & set(values)) / codes)
    assert np.mean(beside) < 0.01
    assert np.mean(kept) > 0.75


def test_codes_that_are_moments_and_prices_come_back():
    random = np.random.default_rng(0)
    days = pd.date_range("2019-01-01", "2020-12-01", freq="MS").to_numpy()
    prices = random.choice(np.arange(100, 90_000), 40, replace=False) / 100
    for values in (days, prices):
        made = made_of(wide(random.choice(values, 8_000), 0))[1]["x"]
        assert (~made.isin(values)).mean() < 0.01


def test_amounts_beside_a_value_that_many_rows_share_stay_amounts():
    random = np.random.default_rng(0)
    for share in (0.5, 0.7, 0.85):
        amounts = np.round(random.gamma(4, 9_000, 8_000))
        column = np.where(random.random(8_000) < share, 12_000, amounts).astype(int)
        made = made_of(wide(column, 0))[1]["x"]
        assert (made == 12_000).mean() == pytest.approx(share, abs=0.03)
        assert made.nunique() > 0.5 * (1 - share) * 8_000
        levels = [0.92, 0.98]
        assert np.allclose(made.quantile(levels), np.quantile(column, levels), rtol=0.15)


def test_numbers_that_have_nearly_every_value_are_no_codes():
    """Scores of 300 to 850: each of 551 values has so many rows that half of them would be found."""
    scores = np.clip(np.random.default_rng(0).normal(650, 90, 100_000).round(), 300, 850).astype(int)
    made = made_of(wide(scores, 0))[1]["x"]
    assert made.nunique() > 450
    both = np.arange(300, 851)
    apart = [np.searchsorted(np.sort(each), both, "right") / len(each) for each in (scores, made.to_numpy())]
    assert np.abs(apart[0] - apart[1]).max() < 0.02


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=60), st.integers(0, 6))
def test_one_row_more_adds_one_to_one_cell_whatever_value_it_has(values, value):
    before, after = (
        ranks_of([float(v) for v in values]).counts,
        ranks_of([*map(float, values), float(value)]).counts,
    )
    assert np.rint(after - before).sum() == 1
    assert np.count_nonzero(np.rint(after - before)) == 1
    assert np.rint(before).sum() == len(values)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 600)), max_size=40),
    st.tuples(st.integers(0, 4), st.integers(1, 600)),
)
def test_a_row_that_counts_in_part_adds_that_part_to_all_cells_together(rows, row):
    def counts(rows):
        values, weights = [float(v) for v, _ in rows], [w for _, w in rows]
        return ranks_of(values, 1e-6, weights, 256.0).counts

    change = counts([*rows, row]) - counts(rows)
    assert change.min() > -1e-3
    assert change.sum() == pytest.approx(row[1] / 256, abs=1e-3)


def test_few_values_are_told_from_many():
    random = np.random.default_rng(0)
    cells = Cells(*(np.array([each]) for each in (0.0, 1000.0, 4000.0, 4000.0, 1.0)))
    for values, few in ((40, True), (1000, False)):
        ranks = ranks_of(random.choice(np.arange(values) * (1000 // values), 4000).astype(float))
        assert ranks.are_few(cells, np.array([1000.0]), 4000.0, 20.0) == few
        assert ranks.values_above(1) == pytest.approx(values if few else 900, rel=0.1)
    assert ranks_of([3.0] * 40 + [5.0] * 10).rows_above(16) == pytest.approx(40, abs=8)
