"""Other systems on the same patients and visits, each run by itself in its own environment.

As a script (`PYTHON history_peers.py NAME FOLDER`) it needs only pandas and the system itself. None of them
is private here: they have no promise to a person with all its rows in several tables. Each has its own
defaults but for how long it trains (`LIMITS`), which is kept beside what was measured.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    Tables = dict[str, pd.DataFrame]

__all__ = ["LIMITS", "PEERS", "Outcome", "run"]

KEY, PARENT, CHILD, ORDER = "patient_id", "patients", "visits", "admitted"
MINUTES = 1.5  # of MOSTLY AI's training of each table
EPOCHS = 5  # of SDV's PAR, whose default is 128
LIMITS = {
    "mostlyai": f"{MINUTES:g} minutes of training a table",
    "sdv-par": f"{EPOCHS} epochs",
    "sdv-hma": "",
}


@dataclass(frozen=True)
class Outcome:
    """What a peer made of the tables.

    Attributes:
        tables: Synthetic tables.
        seconds: Of learning, without imports and drawing.
        version: Package and version, as installed where it ran.
    """

    tables: Tables
    seconds: float
    version: str


def run(name: str, python: str, tables: Tables, minutes: float) -> Outcome | str:
    """A peer's outcome, or why there is none.

    Args:
        name: Which one.
        python: The Python in whose environment it is.
        tables: Patients and visits; patients without visits have none.
        minutes: How long it may take.
    """
    from benchmarks.peers import failure  # not where a peer itself runs: its environment has no benchmarks

    if name not in PEERS:
        return f"unknown; known are {', '.join(PEERS)}"
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for each, df in tables.items():
            df.to_csv(home / f"{each}.csv", index=False)
        failed = failure([python, str(Path(__file__).resolve()), name, str(home)], home, minutes)
        if failed:
            return failed
        made = {each: pd.read_csv(home / f"made-{each}.csv") for each in tables}
        facts = json.loads((home / "done.json").read_text(encoding="utf-8"))
    return Outcome({each: _like(made[each], df) for each, df in tables.items()}, **facts)


def _like(made: pd.DataFrame, df: pd.DataFrame) -> pd.DataFrame:
    """The same columns and types as the real table's."""
    columns: dict[str, Any] = {}
    for name, series in df.items():
        own = made[name]
        if pd.api.types.is_datetime64_any_dtype(series.dtype):
            own = pd.to_datetime(own, errors="coerce").dt.normalize()
        elif pd.api.types.is_integer_dtype(series.dtype):
            own = pd.to_numeric(own, errors="coerce").fillna(0).round()
        columns[str(name)] = own.astype(series.dtype)
    whole = pd.DataFrame(columns)
    return whole.dropna(subset=[ORDER]).reset_index(drop=True) if ORDER in whole else whole


def _hma(tables: Tables) -> tuple[Tables, float]:
    from sdv.metadata import Metadata
    from sdv.multi_table import HMASynthesizer

    metadata = Metadata.detect_from_dataframes(tables, infer_keys=None)
    metadata.update_column(KEY, sdtype="id", table_name=PARENT)
    metadata.update_column(KEY, sdtype="id", table_name=CHILD)
    metadata.set_primary_key(KEY, table_name=PARENT)
    metadata.add_relationship(PARENT, CHILD, KEY, KEY)
    model = HMASynthesizer(metadata, verbose=False)
    began = time.perf_counter()
    model.fit(tables)
    seconds = time.perf_counter() - began
    return model.sample(scale=1), seconds


def _par(tables: Tables) -> tuple[Tables, float]:
    from sdv.metadata import Metadata
    from sdv.sequential import PARSynthesizer

    persons = [name for name in tables[PARENT] if name != KEY]
    whole = tables[CHILD].merge(tables[PARENT], on=KEY)
    metadata = Metadata.detect_from_dataframes({"all": whole}, infer_keys=None)
    metadata.update_column(KEY, sdtype="id", table_name="all")
    metadata.set_sequence_key(KEY, table_name="all")
    metadata.set_sequence_index(ORDER, table_name="all")
    model = PARSynthesizer(metadata, context_columns=persons, epochs=EPOCHS, verbose=False)
    began = time.perf_counter()
    model.fit({"all": whole})
    seconds = time.perf_counter() - began
    made = model.sample(num_sequences=whole[KEY].nunique())  # who has no visit is not learned
    made = made["all"] if isinstance(made, dict) else made
    return {
        PARENT: made.drop_duplicates(KEY)[list(tables[PARENT])],
        CHILD: made[list(tables[CHILD])],
    }, seconds


def _mostlyai(tables: Tables) -> tuple[Tables, float]:
    from mostlyai import engine

    began = time.perf_counter()
    engine.split(tgt_data=tables[PARENT], tgt_primary_key=KEY, workspace_dir="flat")
    engine.split(
        tgt_data=tables[CHILD],
        tgt_context_key=KEY,
        ctx_data=tables[PARENT],
        ctx_primary_key=KEY,
        workspace_dir="linked",
    )
    for place in ("flat", "linked"):
        engine.analyze(workspace_dir=place)
        engine.encode(workspace_dir=place)
        engine.train(workspace_dir=place, max_training_time=MINUTES)
    seconds = time.perf_counter() - began
    engine.generate(workspace_dir="flat", sample_size=len(tables[PARENT]))
    persons = pd.read_parquet("flat/SyntheticData")
    persons[KEY] = range(len(persons))
    engine.generate(workspace_dir="linked", ctx_data=persons)
    return {PARENT: persons, CHILD: pd.read_parquet("linked/SyntheticData")}, seconds


PEERS: dict[str, tuple[str, Callable[[Tables], tuple[Tables, float]]]] = {
    "mostlyai": ("mostlyai-engine", _mostlyai),
    "sdv-hma": ("sdv", _hma),
    "sdv-par": ("sdv", _par),
}


def main() -> None:
    """Learn and draw the tables in the environment of one peer."""
    name, place = sys.argv[1], Path(sys.argv[2])
    package, learn = PEERS[name]
    tables = {each: pd.read_csv(place / f"{each}.csv") for each in (PARENT, CHILD)}
    tables[CHILD][ORDER] = pd.to_datetime(tables[CHILD][ORDER])
    made, seconds = learn(tables)
    for each, df in made.items():
        df.to_csv(place / f"made-{each}.csv", index=False)
    facts = {"seconds": seconds, "version": f"{package} {importlib.metadata.version(package)}"}
    (place / "done.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
