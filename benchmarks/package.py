"""What the package costs before it does anything: time to import, to load and to answer, and size.

python -m benchmarks.package
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import record

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 9
# what is timed within a fresh interpreter, after what is not
STATEMENTS = {
    "import jupyter_dpsynth": ("", "import jupyter_dpsynth"),
    "HighDimConfig()": ("", "from jupyter_dpsynth import HighDimConfig; HighDimConfig()"),
    "%load_ext jupyter_dpsynth": (
        "from IPython.core.interactiveshell import InteractiveShell; shell = InteractiveShell.instance()",
        "shell.extension_manager.load_extension('jupyter_dpsynth')",
    ),
    "import HighDimSynthesizer": ("", "from jupyter_dpsynth import HighDimSynthesizer"),
    "import the training code (TensorFlow)": ("", "import jupyter_dpsynth.engine.training.trainer"),
}


def seconds(setting: str, statement: str) -> float:
    """Time of a statement in a fresh interpreter."""
    code = (
        f"import os, time\n{setting}\nbegan = time.perf_counter()\n{statement}\n"
        "print(time.perf_counter() - began, flush=True)\nos._exit(0)"  # no warm-up goes on behind it
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return float(done.stdout.split()[-1])


def command_seconds(*arguments: str) -> float:
    """Time of a command from its start to its end."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "jupyter_dpsynth.cli", *arguments]
    subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    return time.perf_counter() - began


def sizes() -> dict[str, int]:
    """Bytes of the sdist and of the wheel that is built from it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, str(ROOT)]
        subprocess.run(command, capture_output=True, check=True)
        return {path.suffix.removeprefix("."): path.stat().st_size for path in Path(folder).iterdir()}


def main() -> None:
    """Measure, print and keep."""
    record.parser(__doc__).parse_args()
    rows: list[dict[str, Any]] = []
    for name, (setting, statement) in STATEMENTS.items():
        times = [seconds(setting, statement) for _ in range(REPEATS)]
        rows.append({"what": name, "value": round(statistics.median(times), 3), "unit": "s"})
    for name in ("--help", "ledger"):
        times = [command_seconds(name) for _ in range(REPEATS)]
        rows.append(
            {"what": f"jupyter dpsynth {name}", "value": round(statistics.median(times), 3), "unit": "s"}
        )
    for name, size in sizes().items():
        what = {"whl": "wheel", "gz": "sdist"}[name]
        rows.append({"what": f"size of the {what}", "value": round(size / 1e6, 3), "unit": "MB"})
    for row in rows:
        print(f"{row['what']:35s} {row['value']:>8} {row['unit']}")
    record.write("package", rows)


if __name__ == "__main__":
    main()
