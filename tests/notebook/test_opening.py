"""A table is opened once, where the user hands it over; the head of each of its files is read once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.estimator import SklearnSynthesizer
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.notebook.panel import ConfigPanel
from jupyter_dpsynth.sources import csv, csvfile
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.sources.partitions import FilesSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.tables import EVERY_ROW, mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.notebook.conftest import Shell

pytest.importorskip("dask.dataframe")
ROWS = 1500


@dataclass
class Seen:
    """What happened to the files of a table, whose pattern it is.

    Attributes:
        pattern: For whoever opens it.
        openings: How often it was opened.
        heads: How often the head (of CSV) or the footer (of Parquet) of each file was read.
    """

    pattern: str
    openings: int = 0
    heads: Counter[str] = field(default_factory=Counter)

    @property
    def once(self) -> bool:
        """Whether it was opened once, and the head of each of its files read once for it."""
        return self.openings == 1 and set(self.heads.values()) == {1}


@pytest.fixture(params=["csv", "parquet"])
def seen(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """A table in two files that counts how often it is opened."""
    import pyarrow.parquet as pq

    df = mixed_table(ROWS)
    for number, part in enumerate((df.iloc[:900], df.iloc[900:])):
        path = tmp_path / f"part-{number}.{request.param}"
        part.to_csv(path, index=False) if request.param == "csv" else part.to_parquet(path)
    found = Seen(f"{tmp_path}/*.{request.param}")
    init, read_csv, read_metadata = FilesSource.__init__, csvfile.read, pq.read_metadata

    def counting_init(self: FilesSource, files: list[Path]) -> None:
        found.openings += files[0].parent == tmp_path
        init(self, files)

    def counting_read_csv(file: csvfile.CsvFile, **options: Any) -> Any:
        if "nrows" in options:  # the header alone, or with the first rows
            found.heads[f"{file.name}, {'first rows' if options['nrows'] else 'header'}"] += 1
        return read_csv(file, **options)

    def counting_read_metadata(path: Path) -> Any:
        found.heads.update([str(path)] if path.parent == tmp_path else [])  # not the private copy
        return read_metadata(path)

    monkeypatch.setattr(FilesSource, "__init__", counting_init)
    for home in (csv, csvfile):
        monkeypatch.setattr(home, "read", counting_read_csv)
    monkeypatch.setattr(pq, "read_metadata", counting_read_metadata)
    return found


def test_extracting_metadata_opens_a_table_once(seen: Seen) -> None:
    MetaExtractor.extract(seen.pattern, bounds={"age": (0, 120)}, ids=["income"])
    assert seen.once


def test_leaving_columns_out_opens_nothing_again(seen: Seen) -> None:
    source = open_source(seen.pattern)
    left = source.without(["age"]).without(["income"])
    assert list(left.described.columns) == list(source.described.columns.drop(["age", "income"]))
    assert left.rows == ROWS
    left.close()
    assert seen.once


def test_a_source_and_those_made_of_it_are_closed_by_themselves(seen: Seen) -> None:
    source = open_source(seen.pattern)
    other = source.without([])
    assert sum(other.map(len, ["age"])) == ROWS
    other.close()
    assert sum(source.map(len, ["age"])) == ROWS
    source.close()
    frame = FrameSource(mixed_table(20))
    frame.without([]).close()
    assert frame.rows == 20


@pytest.mark.tensorflow
def test_learning_opens_a_table_once(seen: Seen) -> None:
    meta = MetaExtractor.extract(seen.pattern)
    HighDimSynthesizer(meta, HighDimConfig(epsilon=3.0, steps=2, batch_size=EVERY_ROW)).learn(
        seen.pattern, callback=lambda _: None
    )
    assert seen.openings == 2  # extract's and learn's
    assert max(seen.heads.values()) <= 2


@pytest.mark.tensorflow
def test_fitting_an_estimator_opens_a_table_once(seen: Seen) -> None:
    SklearnSynthesizer(epsilon=3.0, steps=2, batch_size=EVERY_ROW).fit(seen.pattern)
    assert seen.once


def test_comparing_with_the_original_opens_it_once(seen: Seen) -> None:
    df_synth = mixed_table(200, 9)
    UtilityReport.against_original(seen.pattern, df_synth.drop(columns="day"))
    assert seen.once


@pytest.mark.parametrize(
    "cell",
    [
        "%dpsynth calc {pattern}",
        "%dpsynth doctor {pattern}",
        pytest.param(
            "%%dpsynth learn {pattern}\nepsilon = 3\nsteps = 2\nbatch_size = 100_000_000\nignore = ['day']",
            marks=pytest.mark.tensorflow,
        ),
    ],
)
def test_a_magic_opens_its_table_once(shell: Shell, seen: Seen, cell: str) -> None:
    outcome = shell.run(cell.format(pattern=seen.pattern))
    assert not outcome.error
    assert seen.once


@pytest.mark.usefixtures("shell")
def test_a_panel_opens_its_table_once_however_often_it_is_edited_and_checked(seen: Seen) -> None:
    panel = ConfigPanel(HighDimConfig(n_public=True), seen.pattern)
    panel.schema.set("day", role="ignore")
    for text in ("0, 90", "0, 99"):
        panel.schema.set("age", domain=text)
        assert "day" not in panel.schema.meta().names
    assert panel.schema.rows() == ROWS
    panel._checkup.check()
    assert seen.once
    panel.close()
