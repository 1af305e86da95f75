"""Weights that reproduce what was released, intervals made of them, and files for R and Stata."""

import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.model.weights import FreeWeights
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.inference.export import weighted_rows, write_weighted
from jupyter_dpsynth.inference.formulas import Regression
from jupyter_dpsynth.inference.gradients import Block
from jupyter_dpsynth.inference.inferring import HIDDEN, intervals, stretched
from jupyter_dpsynth.inference.results import PARTS
from jupyter_dpsynth.inference.rows import ModelRows
from jupyter_dpsynth.inference.weighting import weigh
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.tapes import distances

ROWS = 3000


def released_table(generator, truth, rows, noise):
    """A noisy table of two columns, as a release would give it: shares of six cells."""
    counts = generator.multinomial(rows, truth)
    return counts / rows + generator.normal(0, noise, len(truth))


def block_of(cells, released, noise):
    return Block(np.eye(len(released), dtype=np.float32)[cells], released, np.array(noise), 0.0)


TRUTH = np.array([0.3, 0.1, 0.05, 0.15, 0.25, 0.15])


def weighed(generator, noise=0.01, rows=5000):
    """Rows whose model is wrong (all cells alike), and weights by what was released."""
    cells = generator.integers(0, 6, ROWS)
    released = released_table(generator, TRUTH, rows, noise)
    return cells, weigh([block_of(cells, released, noise)], rows, 60, generator)


def test_weights_undo_what_the_model_has_wrong():
    generator = np.random.default_rng(1)
    cells, found = weighed(generator, noise=0.002)
    assert np.bincount(cells, found.weights, 6) == pytest.approx(TRUTH, abs=0.02)
    assert found.weights.sum() == pytest.approx(1)


def test_replicates_are_weights_of_sum_1_of_which_none_is_negative():
    _, found = weighed(np.random.default_rng(2))
    for weights in (found.replicates, *found.parts.values()):
        assert weights.shape == (60, ROWS)
        assert (weights >= 0).all()
        assert weights.sum(axis=1) == pytest.approx(np.ones(60))
    assert (found.replicates == 0).mean() < 0.01  # where weights were cut off, variances would be too small
    assert tuple(found.parts) == PARTS


def test_intervals_of_shares_hold_the_truth_as_often_as_they_say():
    held = []
    for seed in range(60):
        generator = np.random.default_rng(100 + seed)
        cells, found = weighed(generator)
        frame = intervals(found, lambda w, c=cells: np.bincount(c, w, 6), list("abcdef"), 0.95, 1.0)
        held += list((frame["low"] <= TRUTH) & (frame["high"] >= TRUTH))
    assert np.mean(held) == pytest.approx(0.95, abs=0.04)


def test_a_standard_error_is_that_of_sampling_and_noise():
    noise, rows = 0.01, 5000
    cells, found = weighed(np.random.default_rng(3), noise, rows)
    frame = intervals(found, lambda w: np.bincount(cells, w, 6), list("abcdef"), 0.95, 1.0)
    # the parts are independent, so their squares add up, up to the chance of 60 replicates
    squares = sum(frame[name] ** 2 for name in PARTS)
    assert np.sqrt(squares).to_numpy() == pytest.approx(frame["se"].to_numpy(), rel=0.35)
    textbook = np.sqrt(TRUTH * (1 - TRUTH) / rows)
    assert (frame["table"] / textbook).mean() == pytest.approx(1, abs=0.15)
    assert (frame["noise"] / (noise * np.sqrt(5 / 6))).mean() == pytest.approx(1, abs=0.15)


def test_without_noise_the_released_table_is_reproduced():
    generator = np.random.default_rng(4)
    cells = generator.integers(0, 6, ROWS)
    released = generator.multinomial(5000, TRUTH) / 5000
    found = weigh([block_of(cells, released, 0.0)], 5000, 20, generator)
    assert np.bincount(cells, found.weights, 6) == pytest.approx(released, abs=2e-3)


def test_where_little_was_released_the_models_word_counts_less_and_that_is_told():
    spread, told = {}, {}
    for noise in (0.01, 0.2):
        cells, found = weighed(np.random.default_rng(6), noise)
        frame = intervals(found, lambda w, c=cells: np.bincount(c, w, 6), list("abcdef"), 0.95, 1.0)
        spread[noise], told[noise] = frame["model"].mean(), frame["told"].mean()
    assert told[0.01] > 0.9
    assert told[0.2] < 0.75
    usual = np.sqrt(TRUTH * (1 - TRUTH) / (5000 / 50)).mean()
    assert spread[0.01] < usual < spread[0.2]


def test_intervals_reach_as_far_as_what_training_pulled_away_from_may_be():
    frame = pd.DataFrame({"estimate": [0.2, -0.2, 0.2, 0.2], "se": 0.1, "told": [0.5, 0.5, 1.0, 0.0]})
    frame = frame.assign(low=frame["estimate"] - 0.2, high=frame["estimate"] + 0.2)
    found = stretched(frame, np.zeros(4), 0.95)
    assert found["pull"].tolist() == pytest.approx([0.1, 0.1, 0, 0.9])
    outwards = student.ppf(0.975, 59) * np.hypot(0.1, 0.1)
    assert found.loc[0, ["low", "high"]].tolist() == pytest.approx([0, 0.2 + outwards])
    assert found.loc[1, ["low", "high"]].tolist() == pytest.approx([-0.2 - outwards, 0])
    assert found.loc[2, ["low", "high"]].tolist() == pytest.approx([0, 0.4], abs=1e-3)
    assert found.loc[3, "high"] > 1.9  # what nothing is told of is not narrow


def test_figures_that_are_the_same_in_all_rows_do_no_harm():
    generator = np.random.default_rng(5)
    constant = Block(np.ones((ROWS, 3), np.float32), np.array([0.4, 1.0, 2.0]), np.array(0.01), 0.2)
    found = weigh([constant], 5000, 20, generator)
    assert found.weights == pytest.approx(np.full(ROWS, 1 / ROWS))


def people(rows, seed):
    """A number and categories that depend on each other."""
    generator = np.random.default_rng(seed)
    sex = generator.choice(["Female", "Male"], rows)
    age = np.clip(generator.normal(45, 15, rows), 18, 90).astype(np.int64)
    rich = generator.random(rows) < 1 / (1 + np.exp(-(-3 + 0.8 * (sex == "Male") + 0.04 * age)))
    region = generator.integers(0, 9, rows)
    town = np.where(generator.random(rows) < 0.6, region, generator.integers(0, 9, rows))
    income = np.where(rich, "high", "low")
    return pd.DataFrame({"sex": sex, "age": age, "region": region, "town": town, "income": income})


@pytest.fixture(scope="module")
def table():
    return people(4000, seed=7)


@pytest.fixture(scope="module")
def synthesizer(table, tmp_path_factory):
    """Trained, saved and loaded again."""
    categories = {
        "sex": ["Female", "Male"],
        "income": ["high", "low"],
        "region": list(range(9)),
        "town": list(range(9)),
    }
    meta = MetaExtractor.extract(table, bounds={"age": (18, 90)}, categories=categories)
    config = HighDimConfig(epsilon=2.0, steps=80, batch_size=1000)
    path = tmp_path_factory.mktemp("learned") / "model.dps"
    HighDimSynthesizer(meta, config).learn(table, lambda _: None).save(path)
    return HighDimSynthesizer.load(path)


@pytest.mark.tensorflow
def test_the_noise_of_the_tape_is_as_computed_and_the_models_rows_are_as_near_as_that(synthesizer, table):
    learned = synthesizer.learned
    own = distances(learned, learned.codec.encode(table).astype(np.int32), len(table))
    assert len(own) > 300
    assert np.sqrt((own**2).mean()) == pytest.approx(1, abs=0.12)  # three standard deviations of that figure
    made = learned.codec.encode(synthesizer.synthesize(20_000, seed=1)).astype(np.int32)
    assert np.sqrt((distances(learned, made, len(table)) ** 2).mean()) < 1.3
    apart = np.random.default_rng(0).permuted(made, axis=0)  # every column by itself
    assert np.sqrt((distances(learned, apart, len(table)) ** 2).mean()) > 1.5
    # the weights that exist, and no others, have their place in it
    layout = learned.model.layout
    assert len(learned.tape.sums) == FreeWeights(layout).size + layout.width


def test_of_an_outcome_the_two_published_values_count():
    df = pd.DataFrame({"y": ["a", "b", "other"] * 20, "x": np.arange(60.0)})
    regression = Regression("y ~ x", "binomial", df, {"y": ("a", "b")})
    assert (regression.outcome, len(regression.explained)) == ("y = b", 40)
    with pytest.raises(ConfigError, match="has 3 values"):
        Regression("y ~ x", "binomial", df)
    chosen = Regression('I(y == "a") ~ x', "binomial", df)
    assert (chosen.columns, len(chosen.explained), chosen.explained.sum()) == (["x", "y"], 60, 20)


@pytest.mark.tensorflow
def test_a_regression_is_estimated_with_intervals(synthesizer):
    found = synthesizer.infer("income ~ sex + age", family="binomial")
    assert found.frame.index.tolist() == ["Intercept", "sex[T.Male]", "age"]
    assert found.notes[0] == "Explained is income = low."
    wide = synthesizer.infer("income ~ sex + age", family="binomial", level=0.99).frame
    narrow = found.frame
    assert (wide["estimate"] == narrow["estimate"]).all()
    assert (wide["high"] - wide["low"] > 1.25 * (narrow["high"] - narrow["low"])).all()
    assert (narrow["high"] - narrow["low"] >= 2 * student.ppf(0.975, 59) * narrow["se"] - 1e-9).all()
    # figures that the noise hides are named
    assert (HIDDEN.partition("{}")[2][:20] in str(found)) == (narrow["told"] < 0.5).any()
    true = pd.Series([3.0, -0.8, -0.04], index=narrow.index)
    assert ((narrow["estimate"] - true).abs() < 4 * narrow["se"]).all()
    assert "Female and high" in str(synthesizer.table("sex", "income"))
    for text in (str(found), found.to_html()):
        assert "sex[T.Male]" in text
        assert "They are approximate" in text


@pytest.mark.tensorflow
def test_a_function_of_weighted_rows_is_estimated_and_only_its_columns_count(synthesizer):
    def rich_women(df, weights):
        """A share and a count."""
        chosen = (df["sex"] == "Female") & (df["income"] == "high")
        return {"share": np.average(chosen, weights=weights), "people": weights[chosen].sum()}

    found = synthesizer.infer(rich_women).frame
    named = synthesizer.infer(rich_women, columns=["sex", "income"]).frame
    pd.testing.assert_frame_equal(found, named)
    assert found.loc["people", "estimate"] == pytest.approx(
        synthesizer.reference.rows * found.loc["share", "estimate"]
    )
    answer = synthesizer.table("sex", "income")
    two_way = answer.frame
    assert sorted(two_way.index) == [(a, b) for a in ("Female", "Male") for b in ("high", "low")]
    assert "Left out are combinations" in str(answer)
    assert two_way.loc[("Female", "high"), "estimate"] == pytest.approx(
        found.loc["share", "estimate"], abs=1e-9
    )
    assert two_way.loc[("Female", "high"), "se"] == pytest.approx(found.loc["share", "se"], rel=1e-6)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("question", "options", "message"),
    [
        ("income", {}, "write the outcome, a tilde"),
        ("income ~ sexx", {}, "Did you mean 'sex'"),
        ("income ~ sex +", {"family": "binomial"}, "cannot be used"),
        ("income ~ sex", {"family": "gamma"}, "family = 'gamma'"),
        ("age ~ sex", {"family": "binomial"}, "must be 0 or 1"),
        ("region ~ sex", {"level": 95}, "level = 95"),
        (3, {}, "give a formula such"),
        (lambda df, weights: 1.0, {}, "does not depend"),
        (lambda df, weights: np.nan * weights.sum(), {"columns": ["sex"]}, "finite"),
        (lambda df, weights: 1.0, {"columns": ["sexx"]}, "not a learned column"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(synthesizer, question, options, message):
    with pytest.raises(ConfigError, match=message):
        synthesizer.infer(question, **options)


@pytest.mark.tensorflow
def test_rows_with_weights_give_others_the_same_standard_error(synthesizer, tmp_path):
    weighted = synthesizer.weighted(2000, 30, seed=3, to=tmp_path / "rows.csv")
    described = json.loads((tmp_path / "rows.weights.json").read_text())
    assert described == weighted.attrs["weights"]
    assert weighted["_weight"].sum() == pytest.approx(synthesizer.reference.rows)
    # what the description says of Python is what infer does
    rows = ModelRows.draw(synthesizer.config, synthesizer.learned, 2000, seed=3)
    found = rows.weigh(synthesizer.codec.names, 30, seed=3)
    age = rows.df["age"].to_numpy()
    own = intervals(found, lambda w: np.array([w @ age / w.sum()]), ["age"], 0.95, 1.0)
    d = pd.read_csv(tmp_path / "rows.csv")
    names = {"d": d, "f": lambda d, w: np.average(d["age"], weights=w), "numpy": np}
    exec(described["Python"], names)
    assert (names["v"], names["se"]) == pytest.approx((own["estimate"].iloc[0], own["se"].iloc[0]), rel=1e-6)
    with pytest.raises(ConfigError, match="exists already"):
        synthesizer.weighted(2000, 30, to=tmp_path / "rows.csv")
    with pytest.raises(ConfigError, match="parquet or"):
        write_weighted(weighted, tmp_path / "rows.sav", overwrite=False)
    with pytest.raises(ConfigError, match="replicates = 3"):
        weighted_rows(rows, 3, 0)


@pytest.mark.tensorflow
def test_rows_with_weights_are_the_same_in_parquet(synthesizer, tmp_path):
    weighted = synthesizer.weighted(600, 12, seed=4, to=tmp_path / "rows.parquet")
    read = pd.read_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(read, weighted, check_flags=False)
    assert json.loads((tmp_path / "rows.weights.json").read_text()) == weighted.attrs["weights"]


DAYS = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(1000) % 500, unit="D")


@pytest.mark.parametrize(
    ("column", "true"),
    [("day", pd.Timestamp("2020-09-07")), ("stay", pd.Timedelta(days=15)), ("x", 249.5)],
)
def test_quantiles_of_numbers_dates_and_times_hold_the_true_one(column, true):
    stay = pd.to_timedelta(np.arange(1000) % 31, unit="D")
    table = pd.DataFrame({"day": DAYS, "stay": stay, "x": np.arange(1000) % 500 + 0.5, "c": ["a"] * 1000})
    learned = untrained(table)
    median = learned.quantile(column)
    row = median.frame.iloc[0]
    assert row["low"] <= true <= row["high"]
    assert row["low"] < row["high"]
    assert "00:00:00" not in str(median)
    with pytest.raises(ConfigError, match="no bins of numbers or dates"):
        learned.quantile("c")
    few = untrained(table.assign(few=np.arange(1000) % 4 * 10), categories={"few": [30, 0, 10, 20]})
    mean = few.mean("few").frame.iloc[0]
    assert mean["low"] < 15 < mean["high"] < 20
    quantiles = few.quantile("few", [0.2, 0.6, 0.99]).frame
    assert quantiles["estimate"].tolist() == [0, 20, 30]
    assert (quantiles["low"] <= quantiles["estimate"]).all()
    with pytest.raises(ConfigError, match=r"its median is in quantile\('day'\)"):
        learned.mean("day")


@pytest.mark.long
@pytest.mark.tensorflow
@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r_survey_reads_the_weights_and_finds_the_same_standard_error(synthesizer, tmp_path):
    weighted = synthesizer.weighted(1000, 60, to=tmp_path / "rows.csv")
    described = weighted.attrs["weights"]
    program = f"""
        suppressMessages(library(survey))
        d <- read.csv("{tmp_path / "rows.csv"}", check.names = FALSE)
        design <- {described["R"]}
        cat(sprintf("%.12g", c(coef(svymean(~age, design)), SE(svymean(~age, design)))))
    """
    done = subprocess.run(["Rscript", "-e", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    mean, error = map(float, done.stdout.split())
    age, names = weighted["age"], [name for name in weighted if name.startswith("_rep_")]
    own = np.average(age, weights=weighted["_weight"])
    squares = [(np.average(age, weights=weighted[name]) - own) ** 2 for name in names]
    assert mean == pytest.approx(own, rel=1e-9)
    assert error == pytest.approx(np.sqrt(described["scale"] * sum(squares)), rel=1e-6)
