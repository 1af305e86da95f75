"""Tables that are named beforehand: measured within the same budget, kept, and answered in closed form."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.model.plan import NAMED_TABLES
from jupyter_dpsynth.engine.planning.plan import MOST_TABLES, plan_run
from jupyter_dpsynth.errors import ArtifactError, ConfigError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.parameters import columns_of, crossed
from jupyter_dpsynth.persons.planning import persons_config
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained

ROWS = 4000
CATEGORIES = {"sex": ["Female", "Male"], "town": list("abcdefgh"), "income": ["high", "low"]}


def people(rows=ROWS, seed=1):
    generator = np.random.default_rng(seed)
    drawn = {name: generator.choice(values, rows) for name, values in CATEGORIES.items()}
    return pd.DataFrame(drawn)


@pytest.mark.parametrize(
    "given", ["sex*income, town*sex", [("sex", "income"), ("town", "sex")], " sex * income,town*sex "]
)
def test_tables_are_named_as_text_or_as_lists_of_columns(given):
    config = HighDimConfig(tables=given)
    assert config.tables == "sex*income, town*sex"
    assert crossed(config.resolve().tables) == (("sex", "income"), ("town", "sex"))
    assert HighDimConfig(**config.to_dict()).tables == config.tables


@pytest.mark.parametrize("given", ["sex", "sex*sex", "sex*", 3, [("sex", 3)], ["sex"], [("a,b", "c")], ","])
def test_what_names_no_table_is_refused(given):
    with pytest.raises(ConfigError, match="crossed columns such as"):
        HighDimConfig(tables=given)


def test_no_table_is_the_default():
    assert HighDimConfig().tables is HighDimConfig(tables="").tables is None
    assert crossed(None) == ()


def planned(**parameters):
    meta = MetaExtractor.extract(people(50), categories=CATEGORIES)
    return plan_run(HighDimConfig(**parameters).resolve(), meta, float(ROWS), "quick")


def test_named_tables_share_a_tenth_of_the_same_budget():
    without, plan = planned(), planned(tables="sex*income, town*sex")
    assert plan.epsilon <= 1
    assert NAMED_TABLES not in [each.name for each in without.privacy.measurements]
    (measurement,) = (each for each in plan.privacy.measurements if each.name == NAMED_TABLES)
    assert measurement.detail == "2 tables"
    assert 1 < plan.noise_multiplier / without.noise_multiplier < 1.4  # training has a quarter of the budget


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"tables": "sex*incme"}, "tables: 'incme' .* Did you mean 'income'"),
        ({"analyses": "income ~ sx"}, "analyses: 'sx' .* Did you mean 'sex'"),
    ],
)
def test_what_is_named_of_other_columns_is_refused_before_anything_is_spent(named, message):
    with pytest.raises(ConfigError, match=message):
        planned(**named)


def test_too_many_tables_are_refused():
    columns = [f"c{place}" for place in range(12)]
    df = pd.DataFrame({name: ["a", "b"] * 20 for name in columns})
    meta = MetaExtractor.extract(df, categories={name: ["a", "b"] for name in columns})
    formula = f"c0 ~ {' + '.join(columns[1:])}"
    with pytest.raises(ConfigError, match=f"66 named .* name at most {MOST_TABLES}"):
        plan_run(HighDimConfig(analyses=formula).resolve(), meta, float(ROWS), "quick")


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("income ~ sex + age", ("income", "sex", "age")),
        ("I(income == '>50K') ~ np.log(age) * `marital status`", ("income", "age", "marital status")),
        ("C(a, Treatment('x')) ~ poly(b, degree=2) - 1", ("a", "b")),
    ],
)
def test_the_columns_of_an_analysis_are_those_of_its_formula(formula, columns):
    assert columns_of(formula) == columns


@pytest.mark.parametrize("given", ["income", "a ~", "~ a", 3, ["a ~ b", 3], "a ~ b ~ c", ";"])
def test_what_is_no_formula_is_refused(given):
    with pytest.raises(ConfigError, match="formulas such as"):
        HighDimConfig(analyses=given)


def test_an_analysis_has_the_tables_of_its_pairs_measured_once_each():
    config = HighDimConfig(tables="town*sex", analyses=["income ~ sex + town ", "town ~ sex"])
    assert config.analyses == "income ~ sex + town; town ~ sex"
    assert HighDimConfig(**config.to_dict()).analyses == config.analyses
    named = config.resolve().named_tables
    assert sorted(map(sorted, named)) == [["income", "sex"], ["income", "town"], ["sex", "town"]]
    plan = planned(analyses="income ~ sex + town")
    (measurement,) = (each for each in plan.privacy.measurements if each.name == NAMED_TABLES)
    assert measurement.detail == "3 tables"
    assert plan.epsilon <= 1
    learned = untrained(people(), named={"analyses": "income ~ sex + town"}, categories=CATEGORIES)
    assert [set(each.columns) for each in learned.reference.tables] == [
        {"income", "sex"},
        {"income", "town"},
        {"sex", "town"},
    ]
    assert set(learned.table("sex", "income").frame["source"]) == {"measured"}


@pytest.fixture(scope="module")
def synthesizer():
    return untrained(people(), named={"tables": "town*sex, sex*income"}, categories=CATEGORIES)


def test_a_table_has_the_planned_noise_and_is_saved(synthesizer, tmp_path):
    table = synthesizer.reference.tables[0]
    exact = pd.crosstab(people()["town"], people()["sex"]).to_numpy()
    assert table.shares.shape == (10, 4)  # with cells of other and of missing values
    errors = (table.shares[:8, :2] - exact / ROWS) / table.noise
    assert 0.6 < errors.std() < 1.4
    assert abs(errors.mean()) < 0.8
    plan = planned_noise()
    assert table.noise * ROWS == pytest.approx(plan, rel=1e-6)
    synthesizer.save(tmp_path / "model.dps")
    loaded = HighDimSynthesizer.load(tmp_path / "model.dps")
    for own, again in zip(synthesizer.reference.tables, loaded.reference.tables, strict=True):
        assert own.to_dict() == again.to_dict()


def planned_noise():
    """Of each of two tables: both share the measurement."""
    config = HighDimConfig(epsilon=2.0, steps=20, batch_size=100_000_000, tables="town*sex, sex*income")
    meta = MetaExtractor.extract(people(), categories=CATEGORIES)
    return plan_run(config.resolve(), meta, float(ROWS)).noise_of(NAMED_TABLES) * np.sqrt(2)


def test_a_damaged_table_is_refused(synthesizer, tmp_path):
    table = synthesizer.reference.tables[0]
    wrong = replace(table, columns=("town", "income", "sex"))
    learned = synthesizer.learned
    reference = replace(learned.reference, tables=(wrong,))
    other = HighDimSynthesizer.restore(synthesizer.config, replace(learned, reference=reference))
    other.save(tmp_path / "model.dps")
    with pytest.raises(ArtifactError):
        HighDimSynthesizer.load(tmp_path / "model.dps")


def test_a_named_table_is_answered_in_closed_form_in_any_order_of_its_columns(synthesizer):
    first, second = synthesizer.table("town", "sex").frame, synthesizer.table("sex", "town").frame
    assert set(first["source"]) == {"measured"}
    for town in "abc":
        one, other = first.loc[(town, "Male")], second.loc[("Male", town)]
        assert one["estimate"] == other["estimate"]
        assert one["low"] < 1 / 16 < one["high"] or abs(one["estimate"] - 1 / 16) < 3 * one["se"]
    with pytest.raises(ConfigError, match="need a new run"):  # not named, and this model has no tape
        synthesizer.table("town", "income")
    with pytest.raises(ConfigError, match="different columns"):
        synthesizer.table("sex", "sex")


def test_closed_forms_hold_the_truth_as_often_as_they_say(synthesizer):
    table, held = synthesizer.reference.tables[0], []
    truth = np.zeros((10, 4))
    truth[:8, :2] = 1 / 16
    generator = np.random.default_rng(0)
    for _ in range(40):
        counts = generator.multinomial(ROWS, truth.ravel()).reshape(truth.shape) / ROWS
        noisy = counts * (1 + generator.normal(0, table.count_noise)) + generator.normal(
            0, table.noise, truth.shape
        )
        reference = replace(synthesizer.reference, tables=(replace(table, shares=noisy),))
        learned = replace(synthesizer.learned, reference=reference)
        frame = HighDimSynthesizer.restore(synthesizer.config, learned).table("town", "sex").frame
        held += list(((frame["low"] <= 1 / 16) & (frame["high"] >= 1 / 16))[truth.ravel() > 0])
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("named", [{"tables": "sex*income"}, {"analyses": "income ~ sex"}])
def test_with_several_tables_nothing_is_named(named):
    with pytest.raises(ConfigError, match="nothing is measured by name"):
        persons_config(HighDimConfig(privacy_unit="person", **named).resolve())


def test_for_persons_named_questions_are_answered_as_if_their_rows_were_alike():
    """A person's rows may be equal: each tells nothing that the first did not."""
    table = people()
    config, learned = (
        HighDimConfig(epsilon=2.0, tables="sex*income"),
        untrained(table, named={"analyses": "income ~ sex"}, categories=CATEGORIES).learned,
    )
    of_rows = HighDimSynthesizer.restore(config, learned)
    of_persons = HighDimConfig(epsilon=2.0, privacy_unit="person", max_rows_per_unit=4)
    persons = HighDimSynthesizer.restore(of_persons, learned)
    for ask in (
        lambda each: each.table("sex"),
        lambda each: each.table("sex", "income"),
        lambda each: each.infer("I(income == 'high') ~ sex"),
    ):
        one, other = ask(of_rows), ask(persons)
        assert (other.frame["table"] / one.frame["table"]).median() == pytest.approx(2, rel=0.1)
        assert "as if each person" in str(other)
        assert "as if each person" not in str(one)
    with pytest.raises(ConfigError, match="Name the table or the regression before learning"):
        persons.infer("I(income == 'high') ~ town")
