"""Tables of persons that are read part by part: a person's rows may be in any part of any table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer
from jupyter_dpsynth.persons import grouping
from jupyter_dpsynth.persons.grouping import read_tables
from jupyter_dpsynth.persons.histories import read_histories
from jupyter_dpsynth.sources.opening import open_source
from tests.support.hospital import hospital, hospital_meta
from tests.support.households import KEY as HOUSEHOLD
from tests.support.households import households, households_meta

pytest.importorskip("dask.dataframe")

KEY = "patient_id"


def in_parts(tables, folder, seed=0):
    """Patterns of the files of each table, into which rows are dealt at random."""
    random, found = np.random.default_rng(seed), {}
    for name, df in tables.items():
        (folder / name).mkdir()
        of = random.integers(0, 4, len(df))
        for part in range(4):
            df[of == part].to_parquet(folder / name / f"{part}.parquet", index=False, row_group_size=150)
        found[name] = str(folder / name / "*.parquet")
    return found


def records(histories, key):
    """By person what belongs to it at all levels, in values that can be compared."""
    found = {}
    whole = [(events, pd.concat(list(events.frames()), ignore_index=True)) for events in histories.events]
    for place, person in enumerate(histories.df.astype(str).itertuples(index=False)):
        parts = [tuple(person)]
        for events, df in whole:
            own = np.flatnonzero(events.unit == place)
            above = events.person[own] - (events.person[own[0]] if len(own) else 0)
            when = None if events.when is None else events.when[own].tolist()
            values = df.iloc[own].astype(str).to_numpy().tolist()
            parts.append((values, above.tolist(), events.position[own].tolist(), when))
        found[str(histories.df[key].iloc[place])] = parts
    return found


@pytest.mark.parametrize("levels", [2, 3])
def test_histories_are_the_same_however_rows_are_dealt_into_files(levels, tmp_path, monkeypatch):
    monkeypatch.setattr(grouping, "GROUP_ROWS", 200)  # so that there are several groups
    if levels == 2:
        tables, key = hospital(500, seed=12), KEY
        tables["visits"] = tables["visits"].drop_duplicates([KEY, "admitted"])  # ties keep their file's order
        meta = hospital_meta(tables).with_id(KEY)
    else:
        tables, key = households(300, seed=12), HOUSEHOLD
        tables["visits"] = tables["visits"].drop_duplicates([HOUSEHOLD, "member", "when"])
        tables["members"] = tables["members"].drop_duplicates([HOUSEHOLD, "age"])
        meta = households_meta(tables).with_id(HOUSEHOLD)
    sources = {name: open_source(path) for name, path in in_parts(tables, tmp_path).items()}
    found = read_tables(sources, meta, key, np.random.default_rng(0))
    whole = read_histories(tables, meta, key, np.random.default_rng(0))
    assert len(list(found.events[0].frames())) > 2
    assert records(found, key) == records(whole, key)
    for events in found.events:
        taken = events.take(events.chosen[::-1])  # one row of each person, in any order
        frame = pd.concat(list(events.frames()), ignore_index=True)
        assert taken.astype(str).equals(frame.iloc[events.chosen[::-1]].astype(str).reset_index(drop=True))
        assert len(np.unique(events.unit[events.chosen])) == len(events.chosen)
        assert (events.position[events.later] > 0).all()


@pytest.mark.long
def test_tables_in_files_are_learned_and_nothing_stays_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(grouping, "GROUP_ROWS", 500)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    tables = hospital(900, seed=4)
    tables["visits"]["diagnosis"] = tables["visits"]["diagnosis"].astype("category")
    (tmp_path / "data").mkdir()
    paths = in_parts(tables, tmp_path / "data")
    settings = HighDimConfig(privacy_unit=KEY, epsilon=8.0, steps=30)
    synthesizer = HighDimSynthesizer(hospital_meta(paths), settings).learn(paths)
    made = synthesizer.synthesize(900, seed=1)
    assert made["visits"][KEY].isin(made["patients"][KEY]).all()
    real = tables["visits"].groupby(KEY).size().clip(upper=6).sum() / 900
    assert made["visits"].groupby(KEY).size().sum() / 900 == pytest.approx(real, rel=0.15)
    shares = made["visits"]["diagnosis"].astype(str).value_counts(normalize=True)
    assert (shares - tables["visits"]["diagnosis"].astype(str).value_counts(normalize=True)).abs().max() < 0.1
    del synthesizer
    assert [*tmp_path.rglob("rows-*"), *tmp_path.rglob("run-*")] == []
