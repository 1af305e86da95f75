"""The ends of a column are not cut where its range is learned, and nothing is put where no row is."""

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimConfig, MetaExtractor
from jupyter_dpsynth.encoding.numeric import NumericCodec, points_of
from jupyter_dpsynth.engine.measuring.domains import discover_table
from jupyter_dpsynth.engine.measuring.grids import coarsest_cells
from jupyter_dpsynth.engine.measuring.presence import present_cells
from jupyter_dpsynth.engine.measuring.tails import tails_of, with_slopes
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.metadata.columns import ContinuousMeta
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.base import FrameSource
from tests.support.plans import releases_of

ROWS = 12_000


def thin_ends(seed):
    """Births over ninety years, invoices and waiting times of heavy tails, and four columns more."""
    random = np.random.default_rng(seed)
    year = np.clip(random.normal(1965, 19, ROWS), 1921, 2010).astype(int)
    days = pd.to_timedelta(random.integers(0, 365, ROWS), unit="D")
    df = pd.DataFrame({"born": pd.to_datetime(pd.Series(year).astype(str)) + days})
    df["invoice"] = np.exp(5 + 1.5 * random.normal(size=ROWS)).round(2)
    df["waited"] = pd.to_timedelta((60 * np.exp(3 + random.normal(size=ROWS))).astype(int), unit="s")
    df["balance"] = (1000 * random.standard_t(4, ROWS)).round(2)
    for name in "abcd":
        df[name] = random.choice(list("wxyz"), ROWS)
    return df


def discovered(df, seed=0, epsilon=1.0, **declared):
    meta = MetaExtractor.extract(df, **declared)
    config = HighDimConfig(epsilon=epsilon).resolve()
    plan = plan_run(config, meta, float(len(df)), "quick")
    releases = releases_of(plan, NoiseSource(test_only_seed=seed))
    found = discover_table(FrameSource(df), meta, releases, plan, lambda _: None)
    return {c.meta.name: c for c in found.codec.columns if isinstance(c, NumericCodec)}


def moved(series, codec):
    """Share of the rows outside of a codec's range."""
    points = points_of(series, codec.meta, codec.resolution)
    return ((points < codec.starts[0]) | (points >= codec.ends[-1])).mean()


def test_at_most_a_hundredth_of_the_rows_are_moved_and_means_are_nearly_kept():
    shares, ratios = [], []
    for seed in range(4):
        df = thin_ends(seed)
        codecs = discovered(df, seed)
        shares.append([moved(df[name], codec) for name, codec in codecs.items()])
        for name in ("invoice", "waited"):
            made = codecs[name].decode(codecs[name].encode(df[name]), np.random.default_rng(100 + seed))
            ratios.append(made.mean() / df[name].mean())
    assert (np.mean(shares, axis=0) < 0.01).all()
    assert np.max(shares) < 0.02
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)
    assert ratios == pytest.approx(np.ones(8), abs=0.25)


def test_next_to_nothing_is_put_beyond_the_ends_where_no_row_is():
    beyond = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        whole = pd.DataFrame({"n": random.integers(1024, 2048, 3000), "day": random.integers(0, 365, 3000)})
        whole["day"] = pd.Timestamp("2021-01-01") + pd.to_timedelta(whole["day"], unit="D")
        for name, codec in discovered(whole, seed).items():
            made = codec.decode(codec.encode(whole[name]), np.random.default_rng(100 + seed))
            beyond.append(((made < whole[name].min()) | (made > whole[name].max())).mean())
            assert name == "day" or made.min() >= 0  # what is never negative stays so
    assert np.mean(beyond) < 0.005


def test_next_to_nothing_is_put_far_beyond_the_oldest():
    """Ages thin out within the cell from 64 to 127: what noise there is must not become people of 120."""
    far, moved_rows, below = [], [], []
    for seed in range(12):
        random = np.random.default_rng(seed)
        age = np.clip(17 + random.gamma(2.6, 8.6, ROWS), 17, 90).astype(int)
        df = pd.DataFrame({"age": age, **{name: random.choice(list("wxyz"), ROWS) for name in "abcdefgh"}})
        codec = discovered(df, seed)["age"]
        made = codec.decode(codec.encode(df["age"]), np.random.default_rng(100 + seed))
        far.append((made > 97).mean())
        moved_rows.append(moved(df["age"], codec))
        below.append((made > 60).mean() - (age > 60).mean())
    assert np.mean(far) < 0.005
    assert np.mean(moved_rows) < 0.01
    assert np.mean(below) == pytest.approx(0, abs=0.005)


def decoded(df, seed, **declared):
    """Every column that is measured by itself, as its cells give it back."""
    random = np.random.default_rng(100 + seed)
    found = discovered(df, seed, **declared)
    return pd.DataFrame({name: codec.decode(codec.encode(df[name]), random) for name, codec in found.items()})


@pytest.mark.parametrize("declared", [{}, {"bounds": {"spent": (0.0, 1e6), "balance": (-1e7, 1e7)}}])
def test_what_is_far_from_the_values_that_stand_out_is_found_where_rows_are_certainly_missing(declared):
    """Few rows: no cell of the amounts stands out from the noise, and the zeros do."""
    lost = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        amounts = np.exp(random.normal(4, 1.5, 1000)).round(2)
        df = pd.DataFrame({"spent": np.where(random.random(1000) < 0.6, 0, amounts)})
        df["balance"] = random.laplace(0, 1e4, 1000).round(2)
        for name in "abcde":
            df[name] = random.choice(list("wxyz"), 1000)
        made = decoded(df, seed, **declared)
        lost += [(made["spent"] == 0).mean() - 0.6, (made["balance"] > 0).mean() - 0.5]
    assert np.abs(lost).mean() < 0.1


def test_small_values_between_bounds_that_are_far_apart_stay_small():
    random = np.random.default_rng(0)
    df = pd.DataFrame({"income": np.exp(random.normal(8, 2, ROWS)).round(2)})
    df["wealth"] = np.exp(random.normal(0, 4, ROWS))
    df["even"] = random.uniform(0, 1e9, ROWS).round(2)
    made = decoded(df, 0, bounds={"income": (0.0, 1e9), "wealth": (0.0, 1e9), "even": (0.0, 1e9)})
    for name, column in df.items():
        assert made[name].quantile([0.1, 0.5, 0.9]).to_numpy() == pytest.approx(
            column.quantile([0.1, 0.5, 0.9]).to_numpy(), rel=0.15
        )


def test_without_noise_every_value_keeps_its_place():
    meta = MetaExtractor.extract(df := thin_ends(0))
    config = HighDimConfig(differential_privacy=False).resolve()
    plan = plan_run(config, meta, float(len(df)))
    releases = releases_of(plan, NoiseSource(test_only_seed=0))
    found = discover_table(FrameSource(df), meta, releases, plan, lambda _: None)
    codecs = [codec for codec in found.codec.columns if isinstance(codec, NumericCodec)]
    assert [moved(df[codec.meta.name], codec) for codec in codecs] == [0.0] * len(codecs)


def test_ages_of_newborns_in_days_are_not_lost_among_those_of_adults():
    shares = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        days = np.where(random.random(ROWS) < 0.04, random.gamma(1.2, 4.5, ROWS), random.gamma(20, 900, ROWS))
        df = pd.DataFrame({"age": pd.to_timedelta((1440 * days).astype(int), unit="min")})
        for name in "abcd":
            df[name] = random.choice(list("wxyz"), ROWS)
        codec = discovered(df, seed)["age"]
        made = codec.decode(codec.encode(df["age"]), np.random.default_rng(seed))
        shares.append((made < pd.Timedelta(60, "D")).mean())
    assert np.mean(shares) == pytest.approx(0.04, abs=0.01)
    assert min(shares) > 0.02


@pytest.mark.parametrize("doubling", [True, False])
def test_cells_beside_those_that_stand_out_are_disjoint_and_far_ones_need_more(doubling):
    edges = 2.0 ** np.arange(20) if doubling else np.arange(2000.0)
    chosen = np.zeros(len(edges) - 1, dtype=bool)
    chosen[[7, 8, 11]] = True
    tails = tails_of(edges, chosen, np.ones(len(chosen), dtype=bool), doubling=doubling)
    assert (tails.ends[:-1] <= tails.starts[1:]).all()
    assert ((tails.distance == 0) == ((tails.starts == edges[9]) & (tails.ends == edges[11]))).all()
    inside = (tails.starts < edges[12]) & (tails.ends > edges[11])
    assert not inside.any()
    assert not tails.held(np.zeros(len(tails.starts)), 1.0).any()
    counts = np.where((tails.distance == 3) & ~tails.below, 3.9, 0.0)
    assert not tails.held(counts, 1.0).any()
    found = tails.held(counts + 0.2 * (counts > 0), 1.0)
    assert found.tolist() == (~tails.below & np.isin(tails.distance, [1, 2, 3])).tolist()


def test_what_is_never_negative_gets_no_negative_tail():
    edges = np.concatenate([-(2.0 ** np.arange(10))[::-1], [0.0], 2.0 ** np.arange(10)])
    sides = edges[:-1] >= 0
    tails = tails_of(edges, edges[:-1] == 1.0, sides, doubling=True)
    assert tails.across.tolist() == (tails.ends <= 0).tolist()
    far = tails.held(np.where(tails.ends <= 0, 5.0, 0.0), 1.0)
    assert not far.any()
    assert tails.held(np.where(tails.starts == 0, 3.0, 0.0), 1.0).any()


@pytest.mark.parametrize("sign", [1, -1])
def test_values_in_a_cell_fall_off_as_around_it(sign):
    edges = sign * 2.0 ** np.arange(4, 12)[::sign]
    starts, ends = edges[:-1], edges[1:]
    mass = 1e4 / np.abs(edges[:-1] * edges[1:]) ** 0.5  # a density that falls with the square
    pieces, cells, shares = with_slopes(starts, ends, mass, 0.0, discrete=False, even=False)
    assert np.bincount(cells, shares) == pytest.approx(np.ones(len(starts)))
    assert (pieces[:-1, 1] == pieces[1:, 0]).all()
    mean = (pieces.mean(axis=1) * shares)[cells == 3].sum()
    low = np.abs(edges[3:5]).min()
    assert np.abs(mean) / low == pytest.approx(2 * np.log(2), rel=0.01)  # of the even cell it would be 1.5


def test_the_first_part_of_a_cell_is_not_measured_as_the_whole_cell_is():
    with_rows = 0
    for seed in range(16):
        random = np.random.default_rng(seed)
        df = pd.DataFrame({"year": random.choice(np.arange(1952, 2008, 5), 1_700)})
        for name in "abcde":
            df[name] = random.normal(size=1_700)
        codec = discovered(df, seed)["year"]
        with_rows += bool(((codec.starts == 1024) & (codec.ends < 1100)).any())
    assert with_rows <= 1


@pytest.mark.parametrize(("zeros", "chosen"), [(60.0, [1.0]), (120.0, [0.0, 1.0])])
def test_answers_that_noise_hides_are_not_taken_for_values_far_out(zeros, chosen):
    """Noisy counts of a column of 0 and 1, as they came: 1,800 rows, of which 159 have 0 and 108 nothing."""
    meta = ContinuousMeta("x", "float64")
    starts = coarsest_cells(meta, 1.0)[:-1]
    counts = np.random.default_rng(0).normal(0, 20.0, len(starts))
    for value, rows in ((0.0, zeros), (1.0, 1_510.0), (2_048.0, 137.0), (4_096.0, 119.0)):
        counts[starts == value] = rows
    assert starts[present_cells(counts, 49.3, starts, meta, 1.0, 1_800.0)].tolist() == chosen
