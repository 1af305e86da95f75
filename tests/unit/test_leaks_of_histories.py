"""A name that one person alone has, in every one of many rows, is in nothing that comes of a run."""

from __future__ import annotations

import logging

import pandas as pd
import pytest

from jupyter_dpsynth import Children, HighDimConfig, HighDimSynthesizer, MetaExtractor, cli
from jupyter_dpsynth.persons import events
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from tests.support.hospital import WINDOW, hospital
from tests.support.leaks import everything_in

KEY = "patient_id"
NAME = "PLANTEDNAME"


def everything_of_a_run(folder, seed, capfd, caplog, epsilon=3):
    """All text that a run leaves: tables, the saved model, the receipt, messages, logs and losses."""
    tables = hospital(500, seed)
    visits = tables["visits"].assign(ward="north").astype({"ward": object})
    visits.loc[::2, "ward"] = "south"
    days = pd.date_range("2021-02-01", periods=60).astype(visits["admitted"].dtype)
    many = visits.iloc[[0] * 60].assign(admitted=days, discharged=days, ward=NAME, outcome="home")
    tables["visits"] = pd.concat([visits[visits[KEY] != many[KEY].iloc[0]], many], ignore_index=True)
    meta = MetaExtractor.extract(
        tables, children=[Children("visits", order="admitted", most=60, window=WINDOW)]
    )
    settings = HighDimConfig(epsilon=epsilon, privacy_unit=KEY, steps=3, batch_size=200)
    told = []
    with caplog.at_level(logging.DEBUG):
        synthesizer = HighDimSynthesizer(meta, settings).learn(tables, lambda each: told.append(repr(each)))
    made = synthesizer.synthesize(1000, seed=1)
    synthesizer.save(folder / "model.dps")
    shown = capfd.readouterr()
    parts = [df.to_csv() for df in made.values()]
    parts += [everything_in(folder / "model.dps"), repr(synthesizer.receipt), str(synthesizer.receipt)]
    parts += [repr(synthesizer), repr(synthesizer.losses), shown.out, shown.err, caplog.text, *told]
    assert told
    return "\n".join(parts)


@pytest.mark.long
def test_a_name_in_all_rows_of_one_person_is_in_nothing_that_comes_of_a_run(tmp_path, capfd, caplog):
    found = everything_of_a_run(tmp_path, 21, capfd, caplog)
    assert "north" in found  # a name of many persons is learned
    assert NAME not in found


@pytest.mark.long
def test_a_name_that_counts_by_rows_would_be_found(tmp_path, capfd, caplog, monkeypatch):
    """Planted: values are found in all rows, not in one row of each person."""
    monkeypatch.setattr(events, "_one_row_each", lambda rows, _: next(rows.frames()))
    # with so little noise that 60 rows are never hidden by it
    assert NAME in everything_of_a_run(tmp_path, 22, capfd, caplog, epsilon=50)


@pytest.mark.parametrize("option", ["--ignore", "--schema"])
def test_what_a_terminal_cannot_do_with_several_tables_is_refused_before_spending(option, tmp_path, capsys):
    for name, table in hospital(50, seed=23).items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "age").write_text("{}")
    given = [str(tmp_path / "patients.csv"), "--children", f"visits={tmp_path / 'visits.csv'}"]
    settings = ["--privacy-unit", KEY, "--epsilon", "3", "-o", str(tmp_path / "model.dps")]
    value = "age" if option == "--ignore" else str(tmp_path / "age")
    before = str(PrivacyLedger().summary())
    assert cli.main(["learn", *given, *settings, option, value]) != 0
    assert f"{option} is not possible with several tables" in capsys.readouterr().err
    assert not (tmp_path / "model.dps").exists()
    assert str(PrivacyLedger().summary()) == before
