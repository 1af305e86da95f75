"""Relations that hold exactly in the private table hold exactly in the synthetic one."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.engine.measuring.orderings import MAX_ORDERINGS, comparable, measure_orderings
from jupyter_dpsynth.engine.sampling.relations import functional_relations
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
    relations = {(names[a], names[b]) for a, b in functional_relations(learned.reference)}
    assert relations == {("grade", "region")}


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


@pytest.mark.tensorflow
def test_each_ordering_costs_one_histogram_of_the_planned_noise(learned):
    log = []

    class Counting(Releases):
        def release_counts(self, allowance, exact, parts):
            log.append((exact.sum(), allowance.noise))
            return super().release_counts(allowance, exact, parts)

    df = stays()
    columns = len(learned.codec.columns)
    plan = plan_of_noise(learned.codec.df_meta, len(df), histograms=3.0)
    releases = releases_of(plan, NoiseSource(test_only_seed=1), Counting)
    found = measure_orderings(FrameSource(df), learned.codec, np.ones((columns, columns)), releases, len(df))
    assert found == (("admitted", "discharged"),)
    assert len(log) <= MAX_ORDERINGS
    assert all(rows <= len(df) and noise == pytest.approx(3.0) for rows, noise in log)


@pytest.mark.tensorflow
def test_an_order_is_kept_where_persons_are_protected():
    df = stays(5_000, seed=3).drop(columns="score")
    df["person"] = np.arange(5_000) // 2
    config = HighDimConfig(epsilon=2.0, steps=50, privacy_unit="person", max_rows_per_unit=2)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config)
    synthesizer.learn(df, callback=lambda _: None, noise=NoiseSource(test_only_seed=1))
    df_synth = synthesizer.synthesize(3_000, seed=0)
    assert not (df_synth["admitted"] > df_synth["discharged"]).any()


def test_orderings_are_not_measured_where_noise_would_decide():
    class Untouched(Releases):
        def release_counts(self, allowance, exact, parts):
            raise AssertionError

    meta = MetaExtractor.extract(stays(10))
    releases = releases_of(plan_of_noise(meta, 10, histograms=3.0), NoiseSource(), Untouched)
    codec = SimpleNamespace(df_meta=meta)
    assert measure_orderings(FrameSource(stays(10)), codec, None, releases, 10.0) == ()


def test_only_columns_of_one_kind_are_compared():
    metas = {meta.name: meta for meta in MetaExtractor.extract(stays(50)).columns}
    assert comparable(metas["admitted"], metas["discharged"])
    assert not comparable(metas["admitted"], metas["score"])
    assert not comparable(metas["grade"], metas["region"])
