"""Intervals in closed form against simulated releases, the tape's noise over many runs, and limits."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.populations import generated
from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.privacy.noise import NoiseSource
from tests.support.models import untrained
from tests.support.tapes import distances

ROWS, RELEASES, NOISE = 2000, 400, 15.0  # of a count
VALUES = np.repeat([0.5, 1.5, 2.5, 7.5], [700, 500, 100, 700])  # ties, and bins that hold nothing


@pytest.fixture(scope="module")
def learned():
    """A synthesizer of a number and a category; its measured shares are replaced again and again."""
    table = pd.DataFrame({"x": VALUES, "c": np.repeat(["a", "b", "d"], [1500, 480, 20])})
    return untrained(table, bounds={"x": (0.0, 10.0)}, categories={"c": ["a", "b", "d"]})


def released(synthesizer, column, generator):
    """The same, measured on another sample of the population, with known noise."""
    reference = synthesizer.reference
    place = reference.columns.index(column)
    codec = synthesizer.learned.codec.columns[place]
    series = pd.Series(VALUES) if column == "x" else pd.Series(np.repeat(["a", "b", "d"], [1500, 480, 20]))
    truth = np.bincount(codec.encode(series), minlength=codec.size) / ROWS
    counts = generator.multinomial(ROWS, truth) + generator.normal(0, NOISE, codec.size)
    shares, noise = list(reference.shares), list(reference.noise)
    shares[place], noise[place] = to_shares(counts, 0.3), np.full(codec.size, NOISE / ROWS)
    other = replace(reference, shares=tuple(shares), noise=tuple(noise), rows=ROWS)
    again = replace(synthesizer.learned, reference=other)
    return HighDimSynthesizer.restore(synthesizer.config, again), truth


def held(frame, truth):
    return np.asarray((frame["low"] <= truth) & (frame["high"] >= truth))


def test_shares_hold_the_truth_as_often_as_they_say(learned):
    generator, found = np.random.default_rng(0), []
    for _ in range(RELEASES):
        again, truth = released(learned, "c", generator)
        found.append(held(again.table("c").frame, truth)[:2])  # counts below the noise are raised
    assert np.mean(found) == pytest.approx(0.95, abs=0.03)


def test_means_and_quantiles_hold_the_truth_at_least_as_often_as_they_say(learned):
    """With ties, empty bins and counts below 0. Where many rows have one value a quantile is that value."""
    generator, means, quantiles = np.random.default_rng(1), [], []
    for _ in range(RELEASES // 2):
        again, _ = released(learned, "x", generator)
        means.append(held(again.mean("x").frame, VALUES.mean())[0])
        frame = again.quantile("x", [0.2, 0.5, 0.9]).frame
        quantiles.append(held(frame, np.quantile(VALUES, [0.2, 0.5, 0.9])))
    assert np.mean(means) > 0.93
    assert np.mean(quantiles) > 0.93
    lines = again.quantile("x", [0.2, 0.5, 0.9]).frame
    assert (np.diff(lines["estimate"]) >= 0).all()
    assert (lines["high"] - lines["low"]).max() < 5


def test_the_noise_with_which_a_bin_was_divided_counts_in_a_mean():
    found = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        named = {f"c{place}": random.integers(0, 2, 3000) for place in range(5)}
        df = pd.DataFrame({"x": random.gamma(2, 1, 3000), **named})
        declared = {name: [0, 1] for name in named}
        made = untrained(df, seed=seed, bounds={"x": (0.0, 20.0)}, categories=declared)
        found.append(held(made.mean("x").frame, 2.0)[0])
    assert np.mean(found) >= 0.9  # without it .7


def learned_from(df, seed=0, **parameters):
    meta = MetaExtractor.extract(
        df, categories={name: [0, 1] for name in "abcey"}, bounds={"x": (-3.0, 10.0)}
    )
    config = HighDimConfig(epsilon=2.0, steps=40, batch_size=600, **parameters)
    return HighDimSynthesizer(meta, config).learn(df, lambda _: None, noise=NoiseSource(seed))


@pytest.mark.long
@pytest.mark.tensorflow
def test_the_tapes_noise_is_the_computed_one_over_many_runs_and_both_backends():
    squares, made, apart = [], [], []
    for seed in range(22):
        df = generated(3000, np.random.default_rng(seed))
        backend = "tensorflow_privacy" if seed >= 20 else "native"
        synthesizer = learned_from(df, seed, dp_backend=backend)
        learned = synthesizer.learned
        found = distances(learned, learned.codec.encode(df).astype(np.int32), len(df))
        squares.append((found**2).mean())
        rows = learned.codec.encode(synthesizer.synthesize(20_000, seed=1)).astype(np.int32)
        made.append((distances(learned, rows, len(df)) ** 2).mean())
        alone = np.random.default_rng(seed).permuted(rows, axis=0)  # every column by itself
        apart.append((distances(learned, alone, len(df)) ** 2).mean())
    assert np.sqrt(np.mean(squares[:20])) == pytest.approx(1, abs=0.05)
    assert np.sqrt(np.mean(squares[20:])) == pytest.approx(1, abs=0.15)
    assert np.sqrt(np.mean(made)) < 1.3  # the model's own rows are as near as that
    assert np.sqrt(np.mean(apart)) > 1.5


@pytest.mark.tensorflow
def test_without_noise_an_answer_is_that_of_the_rows_if_it_was_named_and_refused_else():
    df = generated(3000, np.random.default_rng(5))[["a", "b", "y"]]
    meta = MetaExtractor.extract(df, categories={name: [0, 1] for name in df})
    config = HighDimConfig(differential_privacy=False, steps=5, analyses="y ~ a")
    synthesizer = HighDimSynthesizer(meta, config).learn(df, lambda _: None, noise=NoiseSource(5))
    found = synthesizer.infer("y ~ a").frame.loc["a"]
    real = np.polyfit(df["a"], df["y"], 1)[0]
    usual = np.sqrt(df["y"].var() / df["a"].var() / len(df))
    assert found["estimate"] == pytest.approx(real, abs=0.3 * usual)
    assert found["se"] == pytest.approx(usual, rel=0.3)
    with pytest.raises(ConfigError, match="runs without noise"):
        synthesizer.infer("y ~ b")


@pytest.mark.tensorflow
def test_columns_of_one_value_and_tables_of_one_column_are_answered():
    df = pd.DataFrame({"a": np.arange(2000) % 3, "k": 1})
    meta = MetaExtractor.extract(df, categories={"a": [0, 1, 2], "k": [1]})
    config = HighDimConfig(epsilon=2.0, steps=20)
    synthesizer = HighDimSynthesizer(meta, config).learn(df, lambda _: None, noise=NoiseSource(7))
    frame = synthesizer.infer(lambda rows, weights: np.average(rows["a"] == rows["k"], weights=weights)).frame
    assert frame["low"].iloc[0] < 1 / 3 < frame["high"].iloc[0]
    alone = HighDimSynthesizer(MetaExtractor.extract(df[["a"]], categories={"a": [0, 1, 2]}), config)
    alone.learn(df[["a"]], lambda _: None, noise=NoiseSource(8))
    frame = alone.infer(lambda rows, weights: np.average(rows["a"] == 1, weights=weights)).frame
    assert frame["low"].iloc[0] < 1 / 3 < frame["high"].iloc[0]
