"""Tables of other libraries and statistical files in the notebook: given back as they came in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.models import untrained
from tests.support.tables import mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell

pl = pytest.importorskip("polars")
pytest.importorskip("pyarrow")


@pytest.fixture
def frame(shell: Shell) -> pl.DataFrame:
    """A table of polars in a variable."""
    found = pl.from_pandas(mixed_table(600, seed=3).drop(columns="day"))
    shell.names["frame"] = found
    return found


@pytest.mark.tensorflow
def test_a_polars_table_is_learned_compared_and_evaluated(shell: Shell, frame: pl.DataFrame) -> None:
    body = "epsilon = 20\nsteps = 2\nbatch_size = 100_000_000"
    learned = shell.run(f"%%dpsynth learn frame -o s\n{body}")
    assert not learned.error
    made = shell.run("%dpsynth synthesize 50 -s s --seed 1")
    assert not made.error
    assert "50 synthetic rows, 4 columns" in made.text
    assert shell.names["df_synth"].schema == frame.schema
    assert not shell.run("%dpsynth compare -s s").error
    assert not shell.run("%dpsynth evaluate frame df_synth -s s --epsilon 20").error
    assert "not known to be synthetic" in shell.run("%dpsynth compare frame -s s").error


def test_other_commands_take_it_too_and_say_what_is_none(shell: Shell, frame: pl.DataFrame) -> None:
    assert not shell.run("%dpsynth calc frame").error
    assert not shell.run("%dpsynth doctor frame").error
    shell.names["column"] = frame["age"]
    told = "has the type Series of polars and is no table: make one of it (series.to_frame())"
    assert told in shell.run("%dpsynth calc column").error
    assert "frame" in shell.run("%dpsynth calc nothing").error


def test_a_statistical_file_is_named_by_its_path_and_written(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyreadstat = pytest.importorskip("pyreadstat")
    monkeypatch.chdir(tmp_path)
    table = mixed_table(300, seed=4)[["group", "age"]]
    pyreadstat.write_sav(table, "survey.sav", column_labels={"age": "Age in years"})
    assert not shell.run("%dpsynth calc survey.sav").error
    shell.names["s"] = untrained("survey.sav", rows=300)
    assert not shell.run("%dpsynth synthesize 40 -s s --to out.sav").error
    made, meta = pyreadstat.read_sav("out.sav")
    assert len(made) == 40
    assert meta.column_names_to_labels["age"] == "Age in years"
