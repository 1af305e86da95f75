"""One question to the real rows: charged before they are read, with noise and intervals as stated."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import PrivacyLedger
from jupyter_dpsynth.errors import BudgetExhaustedError, ConfigError, DataError, MetadataError
from jupyter_dpsynth.inference.asking import AGREES, Asking, compared
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.opening import open_source
from tests.support.models import untrained

ROWS, EPSILON = 3000, 0.5


def people(seed, rows=ROWS):
    generator = np.random.default_rng(seed)
    sex = generator.choice(["Female", "Male"], rows)
    group = generator.choice(["a", "b", "c"], rows)
    rich = generator.random(rows) < np.where(sex == "Male", 0.4, 0.25)
    return pd.DataFrame({"sex": sex, "group": group, "income": np.where(rich, "rich", "poor")})


@pytest.fixture(scope="module")
def table():
    return people(1)


@pytest.fixture(scope="module")
def synthesizer(table):
    categories = {"sex": ["Female", "Male"], "group": ["a", "b", "c"], "income": ["poor", "rich"]}
    return untrained(table, categories=categories)


@pytest.fixture
def ledger(tmp_path):
    return PrivacyLedger(tmp_path / "ledger.sqlite3")


def quiet(text):
    pass


def rich_men(df, weights):
    chosen = (df["sex"] == "Male").to_numpy()
    return np.average((df["income"] == "rich")[chosen], weights=weights[chosen])


def test_a_question_is_charged_and_answered(synthesizer, table, ledger):
    told = []
    found = synthesizer.ask(rich_men, table, EPSILON, ledger=ledger, tell=told.append)
    (entry,) = ledger.to_frame().to_dict("records")
    assert entry["status"] == "finished"
    assert 0.99 * EPSILON < entry["epsilon"] <= EPSILON
    assert len(told) == 1
    (line,) = found.frame.to_dict("records")
    assert abs(line["estimate"] - 0.4) < 4 * line["se"]
    assert line["se"] == pytest.approx(math.hypot(line["table"], line["noise"]))
    assert "synthetic" not in line  # this model has no tape
    assert "rich_men" in str(found)


def test_regressions_are_asked_by_their_formula(synthesizer, table, ledger):
    found = synthesizer.ask("income ~ sex", table, 2.0, "binomial", ledger=ledger, tell=quiet)
    true = math.log(0.4 / 0.6) - math.log(0.25 / 0.75)
    line = found.frame.loc["sex[T.Male]"]
    assert abs(line["estimate"] - true) < 4 * line["se"]
    assert found.notes == ("Explained is income = rich.",)


def test_what_cannot_be_asked_costs_nothing(synthesizer, table, ledger):
    for question, options, message in (
        (rich_men, {"epsilon": 0}, "above 0"),
        (rich_men, {"epsilon": True}, "above 0"),
        ("income ~ age", {"epsilon": 1.0}, "not a learned column"),
        (rich_men, {"epsilon": 1.0, "level": 2.0}, "level = 2.0"),
    ):
        with pytest.raises(ConfigError, match=message):
            synthesizer.ask(question, table, ledger=ledger, tell=quiet, **options)
    with pytest.raises(MetadataError, match="lacks 'income'"):
        synthesizer.ask(rich_men, table.drop(columns="income"), 1.0, ledger=ledger, tell=quiet)
    ledger.set_cap(0.4)
    with pytest.raises(BudgetExhaustedError):
        synthesizer.ask(rich_men, table, EPSILON, ledger=ledger, tell=quiet)
    assert ledger.to_frame().empty


def test_a_question_of_too_many_cells_is_refused(table):
    generator = np.random.default_rng(0)
    wide = table.assign(**{f"k{i}": generator.integers(0, 20, ROWS).astype(str) for i in range(2)})
    categories = {f"k{i}": [str(k) for k in range(20)] for i in range(2)}
    synthesizer = untrained(wide, categories=categories)
    with pytest.raises(ConfigError, match="cells; at most"):
        Asking(synthesizer.config, synthesizer.learned, rich_men, "gaussian", 0.95, ["k0", "k1"], 1.0)


def test_a_question_that_the_noise_hides_is_charged_and_says_so(synthesizer, table, ledger):
    with pytest.raises(DataError, match="counts it as spent"):
        synthesizer.ask(rich_men, table.head(40), 0.05, ledger=ledger, tell=quiet)
    assert len(ledger.to_frame()) == 1


def test_the_noise_of_a_count_is_the_planned_one(synthesizer, table):
    asking = Asking(synthesizer.config, synthesizer.learned, rich_men, "gaussian", 0.95, None, EPSILON)
    (measurement,) = asking.plan.measurements
    assert asking.columns == ["sex", "income"]
    assert asking.epsilon <= EPSILON
    seen = []
    asking.answer = lambda counts, noise: seen.append((counts, noise))
    for seed in range(80):
        asking.noise = NoiseSource(test_only_seed=seed)
        with open_source(table) as source:
            asking.measure(source)
    exact = np.pad(pd.crosstab(table["sex"], table["income"]).to_numpy(), (0, 2)).ravel()
    errors = np.stack([counts for counts, _ in seen]) - exact
    assert seen[0][1] == pytest.approx(measurement.sigma)
    assert errors.std() == pytest.approx(measurement.sigma, rel=0.12)


@pytest.mark.long
def test_intervals_hold_the_truth_as_often_as_they_say(synthesizer):
    asking = Asking(synthesizer.config, synthesizer.learned, rich_men, "gaussian", 0.95, None, 0.25)
    (measurement,) = asking.plan.measurements
    generator, held = np.random.default_rng(3), []
    shares = np.array([0.5 * 0.75, 0.5 * 0.25, 0.5 * 0.6, 0.5 * 0.4])
    assert asking.sizes == [4, 4]  # with cells of other and of missing values
    shares = np.pad(shares.reshape(2, 2), (0, 2)).ravel()
    for _ in range(80):
        counts = generator.multinomial(ROWS, shares) + generator.normal(0, measurement.sigma, 16)
        (line,) = asking.answer(counts, measurement.sigma).frame.to_dict("records")
        held.append(line["low"] <= 0.4 <= line["high"])
    assert np.mean(held) == pytest.approx(0.95, abs=0.07)


def test_answers_are_compared_by_their_errors(synthesizer, table, ledger):
    found = synthesizer.ask(rich_men, table, 2.0, ledger=ledger, tell=quiet)
    line = found.frame.iloc[0]
    for distance, verdict in ((AGREES / 2, "agrees"), (2.5, "unclear"), (5.0, "differs")):
        spread = math.hypot(line["noise"], 0.02)
        model = replace(
            found, frame=found.frame.assign(estimate=line["estimate"] + distance * spread, se=0.02)
        )
        both = compared(found, model)
        assert both.frame["verdict"].tolist() == [verdict]
        assert verdict in str(both)
