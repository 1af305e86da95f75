"""Households, their members, and the visits of these: learned together, with rows that fit at all levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import Children, HighDimConfig, HighDimSynthesizer, MetadataError, MetaExtractor, cli
from jupyter_dpsynth.evaluation.histories import compare_histories
from jupyter_dpsynth.evaluation.history_measured import compare_measured
from jupyter_dpsynth.persons.checkup import examine_histories
from jupyter_dpsynth.persons.events import whole_numbers
from jupyter_dpsynth.privacy.accounting import compute_epsilon
from tests.support.households import KEY, MEMBER, households, households_meta


@pytest.fixture(scope="module")
def exact():
    tables = households(1200)
    settings = HighDimConfig(privacy_unit=KEY, differential_privacy=False, steps=150)
    return HighDimSynthesizer(households_meta(tables), settings).learn(tables), tables


def check_tables(made, tables):
    """What must hold whatever was learned."""
    for name, table in tables.items():
        assert list(made[name].columns) == list(table.columns)
        assert made[name].dtypes.equals(table.dtypes)
    members, visits = made["members"], made["visits"]
    assert members[MEMBER].is_unique
    assert members[KEY].isin(made["households"][KEY]).all()
    above, named = (pd.MultiIndex.from_frame(each[[KEY, MEMBER]]) for each in (members, visits))
    assert named.isin(above).all()
    assert members.groupby(KEY).size().max() <= 4
    assert visits.groupby(MEMBER).size().max() <= 3
    assert (visits.groupby(MEMBER)["when"].diff().dropna() >= pd.Timedelta(0)).all()
    assert (members.groupby(KEY)["age"].diff().dropna() <= 0).all()


@pytest.mark.long
def test_what_a_visit_depends_on_comes_back_at_all_levels(exact):
    synthesizer, tables = exact
    made = synthesizer.synthesize(3000, seed=1)
    check_tables(made, tables)

    def shares(given):
        both = given["visits"].merge(given["members"], on=[KEY, MEMBER], validate="many_to_one")
        sizes = given["visits"].groupby([KEY, MEMBER]).size().rename("n").reset_index()
        number = given["members"].merge(sizes, how="left", on=[KEY, MEMBER])
        return (
            pd.crosstab(both["sick"], both["kind"], normalize="index"),
            number.assign(n=number["n"].fillna(0)).groupby("sick")["n"].mean(),
        )

    kinds, means = (one - two for one, two in zip(shares(made), shares(tables), strict=True))
    assert kinds.abs().to_numpy().max() < 0.06
    assert means.abs().max() < 0.2


@pytest.mark.long
def test_one_account_covers_all_levels_and_a_model_is_saved_whole(tmp_path):
    tables = households(700, seed=3)
    settings = HighDimConfig(privacy_unit=KEY, epsilon=4.0, steps=20)
    synthesizer = HighDimSynthesizer(households_meta(tables), settings).learn(tables)
    receipt = synthesizer.receipt
    assert compute_epsilon(receipt.plan, receipt.delta) <= 4.0
    assert receipt.unit == f"one value of {KEY!r}, with all its rows in all tables"
    assert any("a row of 'members' has at most 3 rows in 'visits'" in text for text in receipt.imposed)
    made = synthesizer.synthesize(400, seed=1)
    check_tables(made, tables)
    some = synthesizer.synthesize(100, seed=1, where={"region": "C", "members.number": (2, None)})
    assert (some["households"]["region"] == "C").all()
    assert some["members"].groupby(KEY).size().min() >= 2
    synthesizer.save(tmp_path / "model.dps")
    again = HighDimSynthesizer.load(tmp_path / "model.dps").synthesize(400, seed=1)
    assert all(again[name].equals(made[name]) for name in made)
    found = compare_histories(synthesizer, tables, made)
    assert found.integrity == {"members": 1.0, "visits": 1.0}
    assert found.ordered == {"members": 1.0, "visits": 1.0}
    assert "visits.number" in set(compare_measured(synthesizer, made).metrics["metric"])
    orphans = {**made, "members": made["members"].iloc[::2].reset_index(drop=True)}
    assert compare_histories(synthesizer, tables, orphans).integrity["visits"] < 0.8


def test_the_check_up_finds_rows_without_a_row_above():
    tables = households(200, seed=4)
    lost = tables["visits"].iloc[:3].assign(member=99)
    tables["visits"] = pd.concat([tables["visits"], lost], ignore_index=True)
    findings = examine_histories(tables, households_meta(tables), KEY)
    found = {(each.kind, each.column): each for each in findings}
    assert found["orphans", "visits"].rows == 3
    assert "'members' has no row with the same 'household' and 'member'" in found["orphans", "visits"].text


def test_the_number_of_rows_below_all_rows_of_a_person_follows_from_both():
    above, below = np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.6])
    expected = [0.2 + 0.5 * 0.4 + 0.3 * 0.16, 0.5 * 0.6 + 0.3 * 2 * 0.24, 0.3 * 0.36]
    assert whole_numbers(above, below) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "of"),
    [
        ("not among the other children. Did you mean 'members'", {"of": ("member", MEMBER)}),
        ("'visits' has no column 'person'", {"of": ("members", "person")}),
        ("give another table of children and the column", {"of": "members"}),
        ("names the person, and not its rows", {"of": ("members", KEY)}),
        ("at most 144 can be learned", {"of": ("members", MEMBER), "most": 60}),
    ],
)
def test_levels_that_do_not_fit_are_refused(words, of):
    tables = households(20)
    children = [Children("members"), Children("visits", **of)]
    with pytest.raises(MetadataError, match=words):
        MetaExtractor.extract(tables, children=children).with_id(KEY)


def test_a_fourth_level_is_refused():
    tables = households(20)
    tables["drugs"] = tables["visits"].assign(visit=1)
    children = [
        Children("members"),
        Children("visits", of=("members", MEMBER)),
        Children("drugs", of=("visits", "visit")),
    ]
    with pytest.raises(MetadataError, match="a fourth level is not learned"):
        MetaExtractor.extract(tables, children=children)


def test_a_terminal_plans_three_levels(tmp_path, capsys):
    for name, table in households(30).items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    given = [str(tmp_path / "households.csv"), "--privacy-unit", KEY, "--epsilon", "2", "--rows", "3000"]
    for name in ("members", "visits"):
        given += ["--children", f"{name}={tmp_path / name}.csv"]
    assert cli.main(["calc", *given, "--of", f"visits=members,{MEMBER}"]) == 0
    assert "measuring each column of 'visits'" in capsys.readouterr().out
    assert cli.main(["calc", *given, "--of", "visits=members,name"]) != 0
    assert "has no column 'name'" in capsys.readouterr().err


def test_times_of_rows_below_are_near_the_time_of_the_row_above():
    random = np.random.default_rng(0)
    patients = pd.DataFrame({"patient": np.arange(200), "sex": random.choice(["f", "m"], 200)})
    whose = np.repeat(patients["patient"], random.integers(0, 4, 200)).to_numpy()
    admitted = pd.Timestamp("2022-01-01") + pd.to_timedelta(random.integers(0, 700, len(whose)), unit="D")
    stays = pd.DataFrame({"patient": whose, "stay": np.arange(len(whose)), "admitted": admitted})
    of = np.repeat(np.arange(len(whose)), random.integers(0, 3, len(whose)))
    done = stays["admitted"].to_numpy()[of] + random.integers(0, 72, len(of)).astype("timedelta64[h]")
    scans = pd.DataFrame({"patient": whose[of], "stay": of, "done": done})
    window = ("2022-01-01", "2023-12-31")
    children = [
        Children("stays", order="-admitted", most=3, window=window),
        Children("scans", order="done", most=3, of=("stays", "stay"), window=window),
    ]
    tables = {"patients": patients, "stays": stays, "scans": scans}
    settings = HighDimConfig(privacy_unit="patient", differential_privacy=False, steps=5)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(tables, children=children), settings).learn(tables)
    made = synthesizer.synthesize(300, seed=0)
    both = made["scans"].merge(made["stays"], on=["patient", "stay"], validate="many_to_one")
    assert len(both) == len(made["scans"]) > 100
    first = both.groupby(["patient", "stay"])[["done", "admitted"]].min()
    apart = (first["done"] - first["admitted"]).dt.total_seconds() / 86400
    assert apart.between(-0.1, 3.1).mean() > 0.95  # some are moved into the window
    assert made["scans"]["done"].between(*map(pd.Timestamp, window)).all()
