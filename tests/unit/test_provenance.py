"""What is not known to be synthetic is not compared for free."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.engine.sampling import provenance
from jupyter_dpsynth.errors import DataError
from jupyter_dpsynth.evaluation.private import evaluate_privately
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.sources.fingerprint import rows_digest
from tests.support.models import untrained
from tests.support.tables import every_type_table, mixed_table

ROWS = 600


@pytest.fixture(scope="module")
def df():
    dates = pd.Timestamp("2024-03-01") + pd.to_timedelta(np.arange(ROWS) % 90, unit="D")
    return mixed_table(ROWS).assign(day=dates)


@pytest.fixture(scope="module")
def synthesizer(df):
    return untrained(df)


@pytest.fixture(scope="module")
def made(synthesizer):
    return synthesizer.synthesize(400, seed=1)


def read_again(df, folder, ending):
    path = folder / f"table.{ending}"
    getattr(df, f"to_{ending}")(path, index=False)
    return pd.read_csv(path, parse_dates=["day"]) if ending == "csv" else pd.read_parquet(path)


CHANGES = {
    "a copy": lambda df, _: df.copy(),
    "sorted": lambda df, _: df.sort_values(list(df.columns[:2])).reset_index(drop=True),
    "one row less": lambda df, _: df.iloc[1:].copy(),
    "a part": lambda df, _: df[df.index % 3 == 0],
    "columns in another order": lambda df, _: df[df.columns[::-1]].copy(),
    "read again from CSV": lambda df, folder: read_again(df, folder, "csv"),
    "read again from Parquet": lambda df, folder: read_again(df, folder, "parquet"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_private_table_is_not_compared_for_free_however_it_was_changed(synthesizer, df, tmp_path, change):
    private = CHANGES[change](df, tmp_path)
    with pytest.raises(DataError, match="not known to be synthetic"):
        UtilityReport.against_measurements(synthesizer, private)
    with pytest.raises(DataError, match="not known to be synthetic"):
        evaluate_privately(
            synthesizer, df, private, epsilon=1.0, ledger=PrivacyLedger(tmp_path / "l.sqlite3")
        )


@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_a_model_made_is_compared_however_it_was_changed(synthesizer, made, tmp_path, change):
    assert UtilityReport.against_measurements(synthesizer, CHANGES[change](made, tmp_path)).metrics


@pytest.mark.parametrize("ids", [(), ("n",)])
def test_hashes_that_come_with_decoding_are_those_of_the_rows(ids):
    """In every type of column; a table with identifiers, too, which are numbered after decoding."""
    table = every_type_table()
    if ids:
        table = table.assign(n=np.arange(len(table)))
    made = untrained(table).synthesize(300, seed=2)
    assert made.attrs[provenance.STAMP] == rows_digest(np.sort(provenance._sorted_rows(made))).hex()


def test_a_stamp_does_not_cover_private_values_that_were_put_into_a_made_table(synthesizer, df, made):
    mixed = made.copy()
    mixed[df.columns[0]] = df[df.columns[0]].to_numpy()[: len(made)]
    for table in (mixed, pd.concat([made, df.iloc[:1]])):
        with pytest.raises(DataError, match="not known to be synthetic"):
            UtilityReport.against_measurements(synthesizer, table)


def test_the_users_word_is_taken_but_not_for_the_original_itself(synthesizer, made):
    changed = made.assign(**{made.columns[0]: made[made.columns[0]].to_numpy()[::-1]})
    changed.attrs.clear()
    assert UtilityReport.against_measurements(synthesizer, changed, synthetic=True).metrics
    with pytest.raises(DataError, match="original table itself"):
        provenance.require_synthetic(made, original=True, synthetic=True)


def test_the_private_table_given_as_the_synthetic_one_of_an_evaluation_is_refused(
    synthesizer, df, made, tmp_path
):
    ledger = PrivacyLedger(tmp_path / "ledger.sqlite3")
    with pytest.raises(DataError, match="not known to be synthetic"):
        evaluate_privately(synthesizer, made, df, epsilon=1.0, ledger=ledger)
    assert not ledger.summary().datasets


def test_a_made_table_in_a_file_is_known_in_another_process_and_the_private_one_is_not(
    df, synthesizer, tmp_path
):
    synthesizer.synthesize(400, seed=2, to=tmp_path / "made.parquet")
    df.to_parquet(tmp_path / "private.parquet", index=False)
    mixed = pd.read_parquet(tmp_path / "made.parquet")
    mixed.iloc[::-1].to_parquet(tmp_path / "turned.parquet")
    mixed[df.columns[0]] = df[df.columns[0]].to_numpy()[:400]
    mixed.to_parquet(tmp_path / "mixed.parquet", index=False)
    assert provenance.STAMP in mixed.attrs
    code = (
        "import pandas as pd\nfrom jupyter_dpsynth.engine.sampling.provenance import is_known_synthetic\n"
        f"for name in ('made', 'turned', 'private', 'mixed'):\n"
        f"    print(is_known_synthetic(pd.read_parquet(f'{tmp_path}/{{name}}.parquet')))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "True", "False", "False"]


def test_of_a_table_whose_rows_are_forgotten_the_stamp_is_not_enough(synthesizer, monkeypatch):
    first = synthesizer.synthesize(50, seed=3)
    assert provenance.is_known_synthetic(first)
    monkeypatch.setattr(provenance, "REMEMBERED_ROWS", 60)
    synthesizer.synthesize(50, seed=4)
    assert not provenance.is_known_synthetic(first)
