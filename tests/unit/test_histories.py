"""Several tables of the same persons: learned together, made with keys that fit, in order, and saved."""

from __future__ import annotations

import threading
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import (
    Children,
    ConfigError,
    DataError,
    HighDimConfig,
    HighDimSynthesizer,
    MetadataError,
    MetaExtractor,
    Ordering,
    UtilityReport,
)
from jupyter_dpsynth.engine.planning.forecast_words import forecast_text, spending
from jupyter_dpsynth.engine.training.release import UnitRelease
from jupyter_dpsynth.evaluation.histories import compare_histories
from jupyter_dpsynth.evaluation.private import evaluate_privately
from jupyter_dpsynth.kept_models import KeptModels
from jupyter_dpsynth.persons.checkup import examine_histories
from jupyter_dpsynth.persons.forecast import forecast_persons, forecast_title
from jupyter_dpsynth.persons.histories import read_histories
from jupyter_dpsynth.persons.learning import in_memory
from jupyter_dpsynth.privacy.accounting import compute_epsilon
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.identity import identify_table, joint_content
from jupyter_dpsynth.sources.opening import open_source
from tests.support.hospital import hospital, hospital_meta

KEY = "patient_id"


def config(**values):
    return HighDimConfig(**{"privacy_unit": KEY, "epsilon": 3.0, "steps": 30, "batch_size": 600, **values})


@pytest.fixture(scope="module")
def learned():
    tables = hospital(1500)
    synthesizer = HighDimSynthesizer(hospital_meta(tables), config())
    return synthesizer.learn(tables), tables


@pytest.fixture(scope="module")
def exact():
    tables = hospital(1500)
    settings = config(differential_privacy=False, steps=150)
    return HighDimSynthesizer(hospital_meta(tables), settings).learn(tables), tables


def check_tables(made, tables, most=6):
    """What must hold whatever was learned."""
    patients, visits = made["patients"], made["visits"]
    assert list(made) == list(tables)
    for name, table in tables.items():
        assert list(made[name].columns) == list(table.columns)
        assert made[name].dtypes.equals(table.dtypes)
    assert patients[KEY].is_unique
    assert visits[KEY].isin(patients[KEY]).all()
    by_person = visits.groupby(KEY)
    assert by_person.size().max() <= most
    assert (by_person["admitted"].diff().dropna() >= pd.Timedelta(0)).all()
    assert visits["admitted"].between("2021-01-01", "2023-12-31").all()


def test_keys_fit_visits_are_in_order_and_types_come_back(learned):
    synthesizer, tables = learned
    made = synthesizer.synthesize(3000, seed=1)
    assert len(made["patients"]) == 3000
    check_tables(made, tables)
    again = synthesizer.synthesize(3000, seed=1)
    assert all(made[name].equals(again[name]) for name in made)


def test_the_number_of_visits_comes_back(learned):
    synthesizer, tables = learned
    made = synthesizer.synthesize(5000, seed=2)

    def shares(given):
        number = given["patients"][KEY].map(given["visits"].groupby(KEY).size()).fillna(0).clip(upper=6)
        return number.value_counts(normalize=True).reindex(range(7), fill_value=0)

    assert 0.5 * (shares(made) - shares(tables)).abs().sum() < 0.1


@pytest.mark.long
def test_nobody_comes_again_after_death(exact):
    synthesizer, tables = exact
    made = synthesizer.synthesize(5000, seed=3)
    check_tables(made, tables)
    visits = made["visits"]
    last = ~visits[KEY].duplicated(keep="last")
    died = visits["outcome"] == "died"
    assert died.sum() > 50
    assert last[died].all()
    assert any("died" in text for text in synthesizer.receipt.imposed)


@pytest.mark.long
def test_what_follows_what_comes_back_without_noise(exact):
    synthesizer, tables = exact
    made = synthesizer.synthesize(6000, seed=4)["visits"]

    def steps(visits):
        visits = visits.sort_values([KEY, "admitted"], kind="stable")
        before = visits["diagnosis"].shift().where(visits[KEY].eq(visits[KEY].shift()))
        return pd.crosstab(before, visits["diagnosis"], normalize="all").to_numpy()

    real = steps(tables["visits"])
    independent = np.outer(real.sum(axis=1), real.sum(axis=0))
    assert np.abs(steps(made) - real).sum() < 0.3 * np.abs(independent - real).sum()


def test_few_visits_are_crowded_at_the_end_of_the_window(exact):
    synthesizer, tables = exact

    def at_the_end(visits):
        later = visits.sort_values([KEY, "admitted"], kind="stable")[KEY].duplicated()
        return float((visits.loc[later.index[later], "admitted"] >= pd.Timestamp("2023-12-31")).mean())

    assert at_the_end(synthesizer.synthesize(6000, seed=7)["visits"]) < at_the_end(tables["visits"]) + 0.004


@pytest.mark.long
def test_visits_every_seven_days_come_back_so_and_few_have_any():
    """What users of other systems complain of: intervals that drift, and a visit for everybody."""
    patients = hospital(900, seed=12)["patients"]
    some = patients[KEY].iloc[::9]  # eight in nine have none
    week = pd.to_timedelta(7 * np.arange(3), unit="D")
    starts = pd.Timestamp("2021-02-01") + pd.to_timedelta(np.arange(len(some)) * 9, unit="D")
    visits = pd.DataFrame({KEY: np.repeat(some.to_numpy(), 3), "seen": np.tile(week, len(some))})
    visits["seen"] = np.repeat(starts.to_numpy(), 3) + visits["seen"]
    visits["ward"] = np.tile(["in", "on", "out"], len(some))
    tables = {"patients": patients, "visits": visits}
    window = Children("visits", order="seen", most=3, window=("2021-01-01", "2024-12-31"))
    meta = MetaExtractor.extract(tables, children=[window])
    settings = config(differential_privacy=False, steps=200)
    made = HighDimSynthesizer(meta, settings).learn(tables).synthesize(4000, seed=1)["visits"]
    gaps = made.groupby(KEY)["seen"].diff().dropna()
    assert (gaps == pd.Timedelta(days=7)).mean() > 0.98
    assert abs(made[KEY].nunique() / 4000 - 1 / 9) < 0.02
    assert (made.groupby(KEY).size() == 3).mean() > 0.97
    first, last = (made.drop_duplicates(KEY, keep=keep)["ward"] for keep in ("first", "last"))
    assert (first == "in").mean() > 0.95
    assert (last == "out").mean() > 0.95


def test_a_stay_ends_after_it_began_and_its_length_comes_back(exact):
    synthesizer, tables = exact
    made = synthesizer.synthesize(4000, seed=5)["visits"]
    stay = made["discharged"] - made["admitted"]
    assert stay.between(pd.Timedelta(days=1), pd.Timedelta(days=8)).mean() > 0.98
    real = (tables["visits"]["discharged"] - tables["visits"]["admitted"]).mean()
    assert abs(stay.mean() - real) < pd.Timedelta(hours=12)


def test_the_whole_run_is_one_account_within_epsilon(learned):
    receipt = learned[0].receipt
    assert compute_epsilon(receipt.plan, receipt.delta) <= 3.0
    names = [each.name for each in receipt.plan.measurements]
    assert len(names) == len(set(names))
    assert any("'visits'" in name for name in names)
    assert any("'patients'" in name for name in names)
    assert receipt.unit == f"one value of {KEY!r}, with all its rows in all tables"
    assert any("at most 6 rows in 'visits'" in text for text in receipt.imposed)
    assert learned[0].epsilon <= 3.0


def test_the_number_of_visits_is_measured_with_noise():
    tables = hospital(400, seed=8)
    shares = []
    for seed in (1, 2):
        synthesizer = HighDimSynthesizer(hospital_meta(tables), config(steps=1)).learn(tables)
        place = synthesizer.codec.names.index("visits.number")
        shares.append(synthesizer.reference.shares[place])
        assert synthesizer.reference.noise[place].min() > 0, seed
    assert not np.array_equal(*shares)


def test_conditions_on_the_person_and_on_the_number_of_visits_are_met(learned):
    made = learned[0].synthesize(300, seed=6, where={"sex": "f", "visits.number": (3, None)})
    assert (made["patients"]["sex"] == "f").all()
    assert made["visits"].groupby(KEY).size().reindex(made["patients"][KEY]).min() >= 3


def test_what_is_saved_makes_the_same_tables(learned, tmp_path):
    learned[0].save(tmp_path / "model.dps")
    again = HighDimSynthesizer.load(tmp_path / "model.dps")
    first, second = (each.synthesize(500, seed=7) for each in (learned[0], again))
    assert all(first[name].equals(second[name]) for name in first)
    assert again.epsilon == learned[0].epsilon
    assert again.receipt.unit == learned[0].receipt.unit


def test_a_folder_gets_one_file_for_each_table(learned, tmp_path):
    files = learned[0].synthesize(200, seed=8, to=tmp_path / "out" / "*.csv")
    assert [file.name for file in files] == ["patients.csv", "visits.csv"]
    assert len(pd.read_csv(files[0])) == 200
    with pytest.raises(ConfigError, match="exists already"):
        learned[0].synthesize(200, to=tmp_path / "out" / "*.csv")
    with pytest.raises(ConfigError, match="one file"):
        learned[0].synthesize(200, to=tmp_path / "one.csv")


@pytest.mark.long
def test_a_lone_table_of_events_is_a_history_too():
    visits = hospital(1200, seed=3)["visits"].drop(columns="discharged")
    meta = MetaExtractor.extract({"visits": visits}, children=[Children("visits", order="admitted")])
    synthesizer = HighDimSynthesizer(meta, config()).learn({"visits": visits})
    made = synthesizer.synthesize(500, seed=1)
    assert list(made) == ["visits"]
    assert list(made["visits"].columns) == list(visits.columns)
    by_person = made["visits"].groupby(KEY)
    assert by_person.ngroups <= 500
    assert (by_person["admitted"].diff().dropna() >= pd.Timedelta(0)).all()


@pytest.mark.long
def test_two_tables_of_events_have_keys_of_the_same_persons():
    tables = hospital(1200, seed=4)
    labs = tables["visits"].iloc[::2][[KEY, "diagnosis"]].rename(columns={"diagnosis": "test"})
    tables["visits"] = tables["visits"].drop(columns="discharged")
    tables["labs"] = labs.assign(age=np.arange(len(labs)) % 80).reset_index(drop=True)
    children = [Children("visits", order="admitted", most=4), Children("labs", order="-age", most=3)]
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(tables, children=children), config())
    made = synthesizer.learn(tables).synthesize(800, seed=1)
    assert list(made) == ["patients", "visits", "labs"]
    assert made["labs"][KEY].isin(made["patients"][KEY]).all()
    assert made["labs"].groupby(KEY).size().max() <= 3
    assert (made["labs"].groupby(KEY)["age"].diff().dropna() <= 0).all()
    assert made["labs"].dtypes.equals(tables["labs"].dtypes)


def test_rows_without_an_order_are_learned_and_nobody_needs_to_have_any():
    tables = hospital(400, seed=5)
    tables["visits"] = tables["visits"].iloc[:0][[KEY, "diagnosis"]]
    meta = MetaExtractor.extract(tables, children=[Children("visits", most=1)])
    made = HighDimSynthesizer(meta, config()).learn(tables).synthesize(300, seed=1)
    assert made["visits"].dtypes.equals(tables["visits"].dtypes)
    assert len(made["visits"]) < 60


def learn_with(tables, settings, children):
    meta = MetaExtractor.extract(tables, children=[Children("visits", **children)])
    return HighDimSynthesizer(meta, config(**settings)).learn(tables)


@pytest.mark.parametrize(
    ("error", "words", "settings", "children"),
    [
        (ConfigError, "privacy_unit", {"privacy_unit": None}, {}),
        (ConfigError, "noise_multiplier", {"noise_multiplier": 1.0}, {}),
        (MetadataError, "has no column 'sex'", {"privacy_unit": "sex"}, {}),
        (MetadataError, "no numbers or times", {}, {"order": "diagnosis"}),
        (MetadataError, "whole number from 1", {}, {"most": 0}),
        (MetadataError, "not in the table", {}, {"order": "date"}),
    ],
)
def test_what_is_not_supported_is_refused_before_anything_is_spent(error, words, settings, children):
    tables = hospital(50)
    before = str(PrivacyLedger().summary())
    with pytest.raises(error, match=words):
        learn_with(tables, settings, {"order": "admitted", **children})
    assert str(PrivacyLedger().summary()) == before


def test_other_tables_than_those_of_the_metadata_are_refused():
    tables = hospital(50)
    synthesizer = HighDimSynthesizer(hospital_meta(tables), config())
    with pytest.raises(DataError, match="'patients', 'visits'"):
        synthesizer.learn(tables["patients"])
    with pytest.raises(ConfigError, match="checkpoint"):
        synthesizer.learn(tables, checkpoint="run.ckpt")
    with pytest.raises(MetadataError, match="not given"):
        MetaExtractor.extract(tables, children=[Children("visit")])
    with pytest.raises(MetadataError, match="dict of tables"):
        MetaExtractor.extract(tables["patients"], children=[Children("visits")])
    assert synthesizer.state == "new"


def test_too_few_persons_cost_their_count_only():
    tables = hospital(30)
    with pytest.raises(DataError, match="too few persons"):
        HighDimSynthesizer(hospital_meta(tables), config(epsilon=0.1)).learn(tables)


def test_the_comparison_is_near_zero_for_the_real_tables_and_sees_what_is_shuffled(learned):
    synthesizer, tables = learned
    same = compare_histories(synthesizer, tables, tables)
    assert same.metrics["distance"].max() == 0
    assert same.integrity == {"visits": 1.0}
    assert "epsilon does not cover" in repr(same)
    made = compare_histories(synthesizer, tables, synthesizer.synthesize(1500, seed=9))
    assert made.ordered == {"visits": 1.0}
    visits = tables["visits"].copy()
    visits["diagnosis"] = np.random.default_rng(0).permutation(visits["diagnosis"])
    shuffled = compare_histories(synthesizer, tables, {**tables, "visits": visits}).metrics.set_index(
        "metric"
    )
    assert shuffled.loc["number of rows", "distance"] == 0
    assert shuffled.loc["row's column", "distance"] < 0.005  # rows beyond the most of a person change places
    follows = shuffled.loc["row before x row, same column"]
    assert follows["distance"] > 1.5 * follows["floor"]


def test_the_check_up_names_what_is_not_learned_with_how_many_rows():
    tables = hospital(200, seed=6)
    patients, visits = tables["patients"], tables["visits"]
    orphans = visits.iloc[:3].assign(**{KEY: 5})
    undated = visits.iloc[:2].assign(admitted=pd.NaT)
    tied = visits.iloc[[10]]
    visits = pd.concat([visits, orphans, undated, tied], ignore_index=True)
    visits["sex"] = visits[KEY].map(patients.set_index(KEY)["sex"]).fillna("f")
    tables = {"patients": pd.concat([patients, patients.iloc[:4]], ignore_index=True), "visits": visits}
    meta = MetaExtractor.extract(tables, children=[Children("visits", order="admitted", most=5)])
    found = {each.kind: each for each in examine_histories(tables, meta, KEY)}
    assert {kind: found[kind].rows for kind in ("repeated", "orphans", "unordered")} == {
        "repeated": 4,
        "orphans": 3,
        "unordered": 2,
    }
    assert found["ties"].rows >= 1
    assert found["beyond"].rows > 0
    assert found["constant"].column == "sex"
    assert "have no row" in found["without"].text
    clean = hospital(100, seed=7)
    clean["visits"] = clean["visits"].drop_duplicates([KEY, "admitted"])
    kinds = {each.kind for each in examine_histories(clean, hospital_meta(clean, most=12), KEY)}
    assert kinds == {"without"}


def test_the_check_up_sees_rows_that_name_rows_of_another_table_by_another_name():
    tables = hospital(150, seed=7)
    visits = tables["visits"].assign(stay=np.arange(len(tables["visits"])) + 1000)
    drugs = visits[[KEY, "stay"]].rename(columns={"stay": "case"})
    drugs["drug"] = np.random.default_rng(0).choice(["a", "b"], len(drugs))
    listed = {"patients": tables["patients"], "visits": visits, "drugs": drugs}
    meta = MetaExtractor.extract(listed, children=[Children("visits", order="admitted"), Children("drugs")])
    found = [each for each in examine_histories(listed, meta, KEY) if each.kind == "link"]
    assert {each.column for each in found} >= {"case"}
    assert "of=('visits', 'stay')" in found[0].advice
    drugs["case"] = np.random.default_rng(1).permutation(drugs["case"])
    assert not [each for each in examine_histories(listed, meta, KEY) if each.kind == "link"]


def test_what_tables_cost_by_themselves_counts_with_the_run_over_all_of_them():
    tables = hospital(30)  # so few that the run ends with the number of persons
    few = HighDimSynthesizer(hospital_meta(tables), config(epsilon=0.1))
    ledger = PrivacyLedger()
    visits = identify_table(FrameSource(tables["visits"]), None, "visits")
    unit = few.config.resolve().unit_text
    ledger.reserve(visits, 1.0, 1e-6, unit)
    with pytest.raises(DataError, match="too few persons"):
        few.learn(tables, infinite_total=True, ledger=ledger)
    patients = identify_table(FrameSource(tables["patients"]), None, "patients")
    assert ledger.account(patients).runs == ledger.account(visits).runs == 2
    (dataset,) = ledger.summary().datasets
    assert set(dataset.names) == {"visits", "table"}


def test_a_table_of_events_that_is_learned_by_itself_afterwards_counts_too():
    tables = hospital(30)
    ledger = PrivacyLedger()
    with pytest.raises(DataError, match="too few persons"):
        HighDimSynthesizer(hospital_meta(tables), config(epsilon=0.1)).learn(tables, ledger=ledger)
    visits = identify_table(FrameSource(tables["visits"]), None, "visits")
    assert ledger.account(visits).runs == 1
    other = identify_table(FrameSource(tables["visits"]), None, "visits", new=True)
    assert ledger.account(other).runs == 0  # unless the user says that these are other people


def test_rows_that_belong_to_rows_of_another_table_are_refused_before_anything_is_spent():
    tables = hospital(60)
    tables["visits"]["visit_id"] = np.arange(len(tables["visits"]))
    tables["drugs"] = tables["visits"][[KEY, "visit_id", "diagnosis"]]
    children = [Children("visits", order="admitted"), Children("drugs")]
    before = str(PrivacyLedger().summary())

    def learn(tables, **declared):
        synthesizer = HighDimSynthesizer(
            MetaExtractor.extract(tables, children=children, **declared), config(epsilon=0.1)
        )
        synthesizer.learn(tables)

    with pytest.raises(
        MetadataError, match=r"'visit_id' is in 'visits' and in 'drugs'.*Children\('drugs', of="
    ):
        learn(tables)
    named = {name: df.rename(columns={"visit_id": "stay"}) for name, df in tables.items()}
    with pytest.raises(MetadataError, match="'stay' is in"):
        learn(named, ids={"visits": ["stay"], "drugs": ["stay"]})
    assert str(PrivacyLedger().summary()) == before
    public = {
        name: df.assign(visit_id=df["visit_id"] % 2) if name != "patients" else df
        for name, df in tables.items()
    }
    both = {name: df.astype({"visit_id": str}) if name != "patients" else df for name, df in public.items()}
    declared = {"visit_id": ["0", "1"]}
    with pytest.raises(DataError, match="too few persons"):  # a public name is learned
        learn(both, categories={"visits": declared, "drugs": declared})


@pytest.mark.long
def test_a_public_table_of_codes_is_left_out_and_fits_by_its_declared_codes():
    tables = hospital(800, seed=9)
    codes = pd.DataFrame({"diagnosis": ["heart", "injury", "lung"], "chapter": ["IX", "XIX", "X"]})
    with pytest.raises(MetadataError, match="lookup table"):
        MetaExtractor.extract({**tables, "codes": codes}, children=[Children("visits", order="admitted")])
    declared = {"visits": {"diagnosis": codes["diagnosis"].tolist()}}
    meta = MetaExtractor.extract(tables, children=[Children("visits", order="admitted")], categories=declared)
    made = HighDimSynthesizer(meta, config()).learn(tables).synthesize(300, seed=1)["visits"]
    assert made.merge(codes, on="diagnosis", validate="many_to_one").shape[0] == len(made) > 0


def panel(persons=700, years=4, seed=0):
    random = np.random.default_rng(seed)
    level = random.normal(2, 0.5, persons)
    rows = pd.DataFrame(
        {KEY: np.repeat(np.arange(persons), years), "year": 1980 + np.arange(persons * years) % years}
    )
    rows["wage"] = (np.repeat(level, years) + random.normal(0, 0.2, len(rows))).round(2)
    rows["union"] = random.random(len(rows)) < 0.3
    return {"years": rows}


def test_a_panel_has_exactly_as_many_rows_of_each_person_as_declared(tmp_path):
    tables = panel()
    children = [Children("years", order="year", exactly=4, window=(1980, 1983))]
    meta = MetaExtractor.extract(tables, children=children)
    assert meta.children[0].most == 4
    synthesizer = HighDimSynthesizer(meta, config()).learn(tables)
    assert "years.number" not in synthesizer.codec.names  # costs nothing
    assert any("exactly 4 rows in 'years'" in text for text in synthesizer.receipt.imposed)
    made = synthesizer.synthesize(500, seed=1)["years"]
    assert (made.groupby(KEY).size() == 4).all()
    assert made[KEY].nunique() == 500
    assert made["year"].between(1980, 1983).all()
    synthesizer.save(tmp_path / "model.dps")
    again = HighDimSynthesizer.load(tmp_path / "model.dps").synthesize(500, seed=1)["years"]
    assert again.equals(made)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("exactly = 0", {"exactly": 0}),
        ("exactly = 2.5", {"exactly": 2.5}),
        ("both given", {"exactly": 3, "most": 4}),
    ],
)
def test_an_exact_number_that_is_none_is_refused(words, values):
    with pytest.raises(MetadataError, match=words):
        MetaExtractor.extract(panel(10), children=[Children("years", order="year", **values)])


def test_a_model_of_several_tables_is_kept_for_a_kernel_that_restarts(tmp_path):
    tables, ledger = hospital(600), PrivacyLedger(tmp_path / "ledger.sqlite3")
    synthesizer = HighDimSynthesizer(hospital_meta(tables), config(steps=3)).learn(tables, ledger=ledger)
    kept = KeptModels(ledger)
    (model,) = kept.learned_with(synthesizer.config, hospital_meta(tables))
    assert model.run == synthesizer.kept
    made = HighDimSynthesizer.load(model.path).synthesize(100, seed=1)
    assert made["visits"].equals(synthesizer.synthesize(100, seed=1)["visits"])
    sources = {name: identify_table(FrameSource(df), None, name) for name, df in tables.items()}
    assert model.content == kept.content_key(joint_content([*sources.values()]), model.run)
    fewer = identify_table(FrameSource(tables["visits"].iloc[1:]), None, "visits")
    assert model.content != kept.content_key(joint_content([sources["patients"], fewer]), model.run)
    assert kept.learned_with(synthesizer.config, hospital_meta(tables, most=5)) == []


def test_the_forecast_is_what_a_run_of_as_many_persons_plans():
    tables, settings = hospital(1500), config(steps="auto", batch_size="auto")
    meta = hospital_meta(tables)
    plan = forecast_persons(settings.resolve(), meta, 1500.0)
    assert plan.plan.epsilon <= 3.0
    assert plan.counted == "persons"
    assert 0 < plan.column_error < 0.2
    assert "measuring each column of 'visits'" in dict(spending(plan))
    assert forecast_persons(settings.resolve(), meta, 150_000.0).column_error < plan.column_error / 20
    few = forecast_persons(config(epsilon=0.1).resolve(), meta, 30.0)
    assert "30 persons are too few" in few.warnings[0]
    without = forecast_persons(config(differential_privacy=False).resolve(), meta, 1500.0)
    assert "NO privacy guarantee" in forecast_text(without, forecast_title(without, meta, known=True))


def test_parts_of_a_parquet_table_are_joined_whatever_they_are_divided_by(tmp_path):
    tables = hospital(500, seed=12)
    visits = tables["visits"].astype({"diagnosis": "category"})
    for name, part in visits.groupby("diagnosis", observed=True):
        part.assign(diagnosis=part["diagnosis"].cat.remove_unused_categories()).to_parquet(
            tmp_path / f"{name}.parquet", index=False
        )
    source = open_source(str(tmp_path / "*.parquet"))
    whole = in_memory({"visits": source})["visits"]
    assert len(whole) == len(visits)
    assert str(whole["diagnosis"].dtype) == str(source.described["diagnosis"].dtype)
    found = read_tables({**tables, "visits": whole}), read_tables(tables)
    assert (found[0].events[0].number == found[1].events[0].number).all()
    pairs = [df[[KEY, "diagnosis"]].astype(str).value_counts() for df in (whole, visits)]
    assert pairs[0].sort_index().equals(pairs[1].sort_index())


def read_tables(tables):
    return read_histories(tables, hospital_meta(tables).with_id(KEY), KEY, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (
            "a column of 'visits': conditions are about persons",
            lambda s, _: s.synthesize(9, where={"outcome": "home"}),
        ),
        ("constraints", lambda s, _: s.synthesize(9, constraints=[Ordering("age", "visits.number")])),
        ("for pandas only", lambda s, _: s.synthesize(9, frame="polars")),
        ("imputing", lambda s, t: s.impute(t["patients"])),
        ("codebook", lambda s, _: s.write_codebook("book.json")),
        ("target is for one table", lambda s, t: evaluate_privately(s, t, epsilon=0.1, target="sex")),
        ("a question", lambda s, t: s.ask("age ~ sex", t["patients"], epsilon=0.1)),
        ("one table", lambda s, t: UtilityReport.against_original(*[t["patients"]] * 2, synthesizer=s)),
        ("a comparison", lambda s, t: UtilityReport.against_measurements(s, t["patients"])),
    ],
)
def test_what_is_done_with_one_table_only_is_refused_with_a_plain_word(learned, words, asked):
    before = str(PrivacyLedger().summary())
    with pytest.raises(ConfigError, match=words):
        asked(*learned)
    assert str(PrivacyLedger().summary()) == before


@pytest.mark.long
def test_an_audit_attacks_whole_persons_and_finds_what_is_not_clipped(learned):
    synthesizer, _ = learned

    def audit():
        stop = threading.Event()
        return synthesizer.audit(300, lambda state: state.runs >= 12 and stop.set(), stop)

    found = audit()
    assert 0 < found.bound <= found.claim <= synthesizer.receipt.epsilon
    assert found.reach == pytest.approx(1, abs=0.01)  # a whole history moves a step by the clip norm
    sums = UnitRelease.whole_sums
    with mock.patch.object(UnitRelease, "whole_sums", lambda *arguments: 3 * sums(*arguments)):
        assert audit().bound > found.claim


def test_what_is_known_of_persons_is_told_as_of_one_table(learned):
    synthesizer, _ = learned
    assert "tables patients, visits" in repr(synthesizer)
    assert {each.name for each in synthesizer.losses} >= {"age", "sex", "visits.number"}
    sexes = synthesizer.table("sex")
    share, rows = sexes.frame["estimate"].iloc[0], synthesizer.reference.rows
    assert sexes.frame["table"].iloc[0] == pytest.approx(np.sqrt(share * (1 - share) / rows))  # a row each
    assert "rows of one person" not in repr(sexes)
    for asked in (lambda: synthesizer.table("diagnosis"), lambda: synthesizer.quantile("discharged")):
        with pytest.raises(ConfigError, match="is a column of 'visits'"):
            asked()
    with pytest.raises(ConfigError, match="several tables"):
        synthesizer.infer("age ~ sex")
    made = synthesizer.synthesize(60, balance={"visits.number": {0: 0.5, (1, 6): 0.5}}, seed=1)
    assert made["visits"][KEY].nunique() == 30


def test_an_order_of_columns_of_rows_is_refused_and_one_of_persons_is_kept():
    tables = hospital(400)
    random = np.random.default_rng(0)
    tables["visits"]["waited"] = random.integers(0, 9, len(tables["visits"]))
    tables["visits"]["stayed"] = tables["visits"]["waited"] + 1
    tables["patients"]["since"] = tables["patients"]["age"] - random.integers(0, 18, len(tables["patients"]))
    children = [Children("visits", order="admitted")]
    order = {"visits": {"stayed": "waited"}}
    refused = MetaExtractor.extract(tables, children=children, at_least=order)
    with pytest.raises(MetadataError, match="'waited' is never above 'stayed' in 'visits'"):
        HighDimSynthesizer(refused, config()).learn(tables)
    meta = MetaExtractor.extract(tables, children=children, at_least={"patients": {"age": "since"}})
    made = HighDimSynthesizer(meta, config(steps=3)).learn(tables).synthesize(300, seed=1)["patients"]
    assert (made["since"] <= made["age"]).all()
