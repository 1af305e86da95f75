"""Results with their circumstances, one JSON object a line."""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dpsynth import PrivacyLedger

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jupyter_dpsynth", "tensorflow", "numpy", "pandas", "dp-accounting", "scikit-learn")


def parser(text: str) -> argparse.ArgumentParser:
    """A command line whose help is the module's own text."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def scratch_ledger() -> PrivacyLedger:
    """An empty ledger that is not the user's: what a benchmark spends on public tables is no spending."""
    from jupyter_dpsynth import PrivacyLedger

    return PrivacyLedger(Path(tempfile.mkdtemp(prefix="dpsynth-benchmark-")) / "ledger.sqlite3")


def write(benchmark: str, rows: list[dict[str, Any]]) -> Path:
    """Replace the results of one benchmark."""
    return _write(benchmark, [circumstances(), *rows])


def update(benchmark: str, rows: list[dict[str, Any]], key: Sequence[str]) -> Path:
    """Add to the results of one benchmark, in place of earlier ones of the same key.

    Args:
        benchmark: Its name.
        rows: The new results.
        key: What tells results apart.
    """
    known = {tuple(row[name] for name in key) for row in rows}
    kept = [row for row in _lines(benchmark) if tuple(row.get(name) for name in key) not in known]
    return _write(benchmark, [*kept, circumstances(), *rows])


def circumstances() -> dict[str, Any]:
    """The line before the results that were measured so."""
    return {
        "circumstances": {
            "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "versions": {name: version(name) for name in PACKAGES},
        }
    }


def _write(benchmark: str, lines: list[dict[str, Any]]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{benchmark}.jsonl"
    # circumstances of which no result is left, or that have not changed, tell nothing
    told: list[dict[str, Any]] = []
    known: dict[str, Any] = {}
    waiting: dict[str, Any] = {}
    for line in lines:
        if "circumstances" in line:
            waiting = line
            continue
        if waiting != known:
            told.append(waiting)
            known = waiting
        told.append(line)
    path.write_text("".join(json.dumps(line) + "\n" for line in told), encoding="utf-8")
    print(f"written to {path}")
    return path


def _lines(benchmark: str) -> list[dict[str, Any]]:
    path = RESULTS / f"{benchmark}.jsonl"
    return list(map(json.loads, path.read_text(encoding="utf-8").splitlines())) if path.exists() else []


def read(benchmark: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Circumstances of the last run and the rows of all that were kept, empty if there was none."""
    facts: dict[str, Any] = {}
    rows = []
    for line in _lines(benchmark):
        if "circumstances" in line:
            facts = line["circumstances"]
        else:  # systems are measured on different days
            rows.append({**line, "date": facts["date"]} if "system" in line else line)
    return facts, rows


def version(package: str) -> str:
    """Version of an installed package, or a dash."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"
