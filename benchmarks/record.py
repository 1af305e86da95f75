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


def write(benchmark: str, rows: list[dict[str, Any]], *, keep: bool = False) -> Path:
    """Replace the results of one benchmark, or add to them if earlier ones are to be kept."""
    circumstances = {
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{benchmark}.jsonl"
    lines = [json.dumps({"circumstances": circumstances}), *map(json.dumps, rows)]
    with path.open("a" if keep else "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    print(f"written to {path}")
    return path


def read(benchmark: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Circumstances of the last run and the rows of all that were kept, empty if there was none."""
    path = RESULTS / f"{benchmark}.jsonl"
    if not path.exists():
        return {}, []
    facts: dict[str, Any] = {}
    rows = []
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        if "circumstances" in line:
            facts = line["circumstances"]
        else:
            rows.append(line)
    return facts, rows


def version(package: str) -> str:
    """Version of an installed package, or a dash."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"
