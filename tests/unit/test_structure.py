"""Relations that hold exactly in the private table hold exactly in the synthetic one."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.engine.measuring.measure import drop_absent_cells, measure_table
from jupyter_dpsynth.engine.model.evidence import FALSE_RELATIONS, certainty
from jupyter_dpsynth.engine.model.plan import ORDERINGS, SPANS
from jupyter_dpsynth.engine.model.reference import pair_dependence
from jupyter_dpsynth.engine.sampling.relations import functional_relations
from jupyter_dpsynth.metadata.orders import comparable
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import Releases
from jupyter_dpsynth.sources.base import FrameSource
from tests.support.plans import plan_of_noise, releases_of

LETTERS = "ABCDEF"
REGIONS = dict(zip(LETTERS, "nnssww", strict=True))


def stays(rows=12_000, seed=0):
    random = np.random.default_rng(seed)
    admitted = pd.Timestamp("2019-01-01") + pd.to_timedelta(random.integers(0, 1500, rows), unit="D")
    df = pd.DataFrame({"admitted": admitted, "grade": random.choice(list(LETTERS), rows)})
    df["discharged"] = df["admitted"] + pd.to_timedelta(random.exponential(90, rows).astype(int), unit="D")
    df.loc[random.random(rows) < 0.1, "discharged"] = pd.NaT
    df["region"] = df["grade"].map(REGIONS)
    df["score"] = random.normal(size=rows)
    return df


@pytest.fixture(scope="module")
def learned():
    df = stays()
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=5.0, steps=100))
    return synthesizer.learn(df, callback=lambda _: None, noise=NoiseSource(test_only_seed=1))


@pytest.mark.tensorflow
def test_what_a_column_determines_stays_determined(learned):
    df_synth = learned.synthesize(5_000, seed=0)
    named = df_synth[df_synth["grade"].isin(REGIONS)]  # noise may make a few rows of 'other'
    assert len(named) > 0.99 * len(df_synth)
    assert (named["grade"].map(REGIONS) == named["region"]).all()
    assert named["grade"].value_counts(normalize=True).between(0.1, 0.25).all()


@pytest.mark.tensorflow
def test_only_what_is_a_function_is_taken_for_one(learned):
    names = learned.codec.names
    found = functional_relations(learned.reference)
    assert {(names[a], names[b]) for a, b in found.kept} == {("grade", "region")}
    assert "'grade' determines 'region'" in learned.receipt.imposed


@pytest.mark.tensorflow
def test_an_order_of_columns_is_kept_and_travels_with_the_model(learned, tmp_path):
    learned.save(tmp_path / "model.dps")
    loaded = HighDimSynthesizer.load(tmp_path / "model.dps")
    for synthesizer in (learned, loaded):
        df_synth = synthesizer.synthesize(5_000, seed=0)
        known = df_synth["discharged"].notna()
        assert (df_synth["admitted"] <= df_synth["discharged"])[known].all()
        assert known.mean() == pytest.approx(0.9, abs=0.03)
        assert df_synth.dtypes.equals(stays(10).dtypes)


class Counting(Releases):
    """What was released: how many rows count, and with which noise."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.log = []

    def release_counts(self, allowance, exact, parts):
        if {SPANS, ORDERINGS} & dict(allowance.shares).keys():
            self.log.append((exact.sum(), allowance.noise))
        return super().release_counts(allowance, exact, parts)


def test_each_ordering_costs_one_histogram_of_the_planned_noise():
    df = stays()
    meta = MetaExtractor.extract(df)
    plan = plan_of_noise(meta, len(df), histograms=3.0)
    releases = releases_of(plan, NoiseSource(test_only_seed=1), Counting)
    found = measure_table(FrameSource(df), meta, plan, releases, lambda _: None)
    assert found.codec.orderings == (("admitted", "discharged"),)
    assert all(rows <= len(df) for rows, _ in releases.log)
    # a third of what is planned for dates finds which are close, the rest tests orders
    assert [noise for _, noise in releases.log] == pytest.approx([3.0, 3.0 / 2**0.5])


@pytest.mark.tensorflow
def test_an_order_is_kept_where_persons_are_protected():
    df = stays(12_000, seed=3).drop(columns="score")
    df["person"] = np.arange(12_000) // 2
    config = HighDimConfig(epsilon=3.0, steps=50, privacy_unit="person", max_rows_per_unit=2)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config)
    synthesizer.learn(df, callback=lambda _: None, noise=NoiseSource(test_only_seed=1))
    df_synth = synthesizer.synthesize(3_000, seed=0)
    assert not (df_synth["admitted"] > df_synth["discharged"]).any()


def test_orderings_are_not_measured_where_noise_would_decide():
    df = pair(0, 0, rows=2000)
    meta = MetaExtractor.extract(df, bounds=dict.fromkeys(df, (0, 99)))
    plan = plan_of_noise(meta, 500, histograms=3.0)
    releases = releases_of(plan, NoiseSource(test_only_seed=1), Counting)
    found = measure_table(FrameSource(df), meta, plan, releases, lambda _: None)
    assert found.codec.orderings == ()
    assert found.untold == ("whether 'low' is never above 'high'",)
    assert releases.log == []


def pair(broken, seed, rows=20_000):
    """Two columns of numbers, of which the first is above the second in this share of the rows."""
    random = np.random.default_rng(seed)
    low = random.integers(0, 50, rows)
    df = pd.DataFrame({"low": low, "high": low + random.integers(0, 30, rows)})
    turned = random.random(rows) < broken
    df.loc[turned, ["low", "high"]] = df.loc[turned, ["high", "low"]].to_numpy()
    return df.clip(0, 99)


def orderings_of(df, noise, seed):
    meta = MetaExtractor.extract(df, bounds=dict.fromkeys(df, (0, 99)))
    plan = plan_of_noise(meta, len(df), histograms=noise)
    releases = releases_of(plan, NoiseSource(test_only_seed=seed))
    found = measure_table(FrameSource(df), meta, plan, releases, lambda _: None)
    return found.codec.orderings, found.untold


@pytest.mark.parametrize("noise", [1.0, 20.0, 70.0])
def test_an_order_that_a_few_percent_of_the_rows_break_is_never_imposed(noise):
    for seed in range(10):
        kept, _ = orderings_of(pair(0.03, seed), noise, seed)
        assert kept == ()


def test_an_order_that_holds_is_imposed_and_one_that_noise_hides_is_named():
    for seed in range(5):
        assert orderings_of(pair(0, seed), 50.0, seed) == ((("low", "high"),), ())
        assert orderings_of(pair(0, seed), 300.0, seed) == ((), ("whether 'low' is never above 'high'",))


@pytest.mark.parametrize("noise", [5.0, 40.0])
def test_an_order_that_would_move_measured_shares_is_ruled_out_for_free(noise):
    df = pair(0, 0)
    df["high"] = df["high"].to_numpy()[::-1]  # in other rows: the shares allow the order, the rows do not
    assert orderings_of(df, noise, 0)[0] == ()
    df = pair(0, 0).assign(
        low=lambda df: (df["high"] + 3).clip(0, 99)
    )  # the reverse order holds in most rows
    assert ("low", "high") not in orderings_of(df, noise, 0)[0]


def with_holes(share, seed, rows=20_000):
    random = np.random.default_rng(seed)
    x = pd.Series(random.integers(0, 50, rows).astype(float)).mask(random.random(rows) < share)
    return pd.DataFrame({"x": x, "whole": random.integers(0, 9, rows)})


@pytest.mark.parametrize(
    ("share", "noise", "imposed", "told"),
    [
        (0.0, 30.0, True, True),
        (0.0, 400.0, False, False),
        (0.01, 400.0, False, False),
        (0.06, 30.0, False, True),
    ],
)
def test_values_are_never_missing_where_that_is_sure_and_what_noise_hides_is_told(
    share, noise, imposed, told
):
    for seed in (0, 2, 4):  # in one run of 200 the noise is larger than that
        df = with_holes(share, seed)
        meta = MetaExtractor.extract(df, bounds={"x": (0, 99), "whole": (0, 9)}, decimals={"x": 0})
        releases = releases_of(
            plan_of_noise(meta, len(df), histograms=noise), NoiseSource(test_only_seed=seed)
        )
        plan = plan_of_noise(meta, len(df), histograms=noise)
        found = measure_table(FrameSource(df), meta, plan, releases, lambda _: None)
        assert found.imposed == (("no value of 'x' is missing or 'other'",) if imposed else ())
        assert ("whether rare rows of 'x' are missing or 'other': none are made" not in found.untold) == told
        assert (found.reference.shares[0][-1] > 0) == (share > 0 and told)


def test_that_no_value_is_other_is_not_said_of_a_column_that_keeps_other():
    random = np.random.default_rng(0)
    letters = pd.Series(random.choice(list("abc"), 20_000)).where(random.random(20_000) < 0.6, "rare")
    rare = letters + np.where(letters == "rare", random.integers(0, 10**6, 20_000).astype(str), "")
    df = pd.DataFrame({"x": rare})
    for noise, told in (
        (30.0, ()),
        (400.0, ("whether more rows of 'x' are missing or 'other' than are made",)),
    ):
        meta = MetaExtractor.extract(df)
        plan = plan_of_noise(meta, len(df), histograms=noise, rare=noise)
        releases = releases_of(plan, NoiseSource(test_only_seed=1))
        found = measure_table(FrameSource(df), meta, plan, releases, lambda _: None)
        assert found.reference.shares[0][-2] > 0.3
        assert found.imposed == ()
        assert found.untold == told


def test_complete_columns_seem_to_have_missing_values_in_few_of_all_tables():
    random, columns, tables, invented = np.random.default_rng(0), 20, 4_000, 0
    sure = certainty(columns)
    for _ in range(tables):
        noise = random.normal(0, 50.0, columns)
        missing = [
            drop_absent_cells([1], np.array([0.9, 0.1]), np.array([5000.0, each]), np.full(2, 50.0**2), sure)
            for each in noise
        ]
        invented += not all(dropped[1] for dropped in missing)
    assert invented / tables == pytest.approx(FALSE_RELATIONS, abs=0.0035)


def function_of(broken, seed, rows=30_000):
    """Three columns; the second is the first one's last digit but in this share of the rows."""
    random = np.random.default_rng(seed)
    source = random.integers(0, 100, rows)
    target = np.where(random.random(rows) < broken, random.integers(0, 10, rows), source % 10)
    return pd.DataFrame({"source": source, "target": target, "other": random.integers(0, 4, rows)}).astype(
        str
    )


@pytest.mark.parametrize(("broken", "noise"), [(0.0, 20.0), (0.03, 1.0), (0.03, 60.0), (0.05, 200.0)])
def test_a_function_is_imposed_where_it_is_sure_and_not_where_rows_break_it(broken, noise):
    for seed in range(5):
        df = function_of(broken, seed)
        domain = {name: sorted(df[name].unique()) for name in df}
        meta = MetaExtractor.extract(df, categories=domain)
        plan = plan_of_noise(meta, len(df), histograms=noise)
        releases = releases_of(plan, NoiseSource(test_only_seed=seed))
        reference = measure_table(FrameSource(df), meta, plan, releases, lambda _: None).reference
        assert functional_relations(reference).kept == (() if broken else ((0, 1),))


def test_what_breaks_a_function_of_rare_values_is_not_taken_for_chance():
    df = function_of(0.04, 0, rows=4_000)
    df["source"] = (df["source"].astype(int) * 40 + np.arange(4_000) % 40).astype(str)  # a row or so for each
    codes = df.apply(lambda series: series.astype("category").cat.codes).to_numpy(np.int32)
    sizes = codes.max(axis=0) + 1
    shares = [np.bincount(code, minlength=size) / len(df) for code, size in zip(codes.T, sizes, strict=True)]
    reference = SimpleNamespace(
        columns=tuple(df),
        shares=shares,
        dependence=pair_dependence(codes, sizes),
        dependence_noise=0.0,
        rows=len(df),
    )
    assert functional_relations(reference).kept == ()


def test_only_columns_of_one_kind_are_compared():
    metas = {meta.name: meta for meta in MetaExtractor.extract(stays(50)).columns}
    assert comparable(metas["admitted"], metas["discharged"])
    assert not comparable(metas["admitted"], metas["score"])
    assert not comparable(metas["grade"], metas["region"])
