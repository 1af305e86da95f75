"""Install the locked environment and this checkout into the Python that runs this script.

usage: install.py [--docs]      with --docs also what building the documentation needs

tensorflow-privacy's metadata asks for old versions of packages that a current JupyterLab needs new, and for a
Python before 3.12. Its code works with new ones, so the complete lock files are installed without dependency
resolution, and whatever Python a package asks for.
"""

import re
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 78
LOG_SECONDS = 20.0  # between two lines in a log, which is not a terminal
LOCKED = ((3, 11), (3, 12), (3, 13))


def main(arguments: list[str]) -> int:
    """Run pip on each lock file and on this checkout; return its exit status."""
    if arguments not in ([], ["--docs"]):
        print(f"install.py does not know {' '.join(arguments)!r}: give --docs, or nothing.")
        return 2
    version = sys.version_info[:2]
    if version not in LOCKED:
        names = ", ".join(f"python{major}.{minor}" for major, minor in LOCKED)
        print(
            f"The locked environment is for {names}; this is {version[0]}.{version[1]}. Create the virtual "
            "environment with one of those, or install without locks: pip install '.[lab,evaluation,test]'"
        )
        return 1
    suffix = f"py{version[0]}{version[1]}.txt"
    locks = [ROOT / "requirements" / f"{name}-{suffix}" for name in ("lock", "docs")[: 1 + len(arguments)]]
    pip = [sys.executable, "-m", "pip", "install", "--progress-bar", "off", "--disable-pip-version-check"]
    pip += ["--no-deps", "--ignore-requires-python", "--no-compile"]
    print(f"Installing {locks[0].name} (about 3.3 GB on disk; a few minutes) ...", flush=True)
    for what in (*(["-r", str(lock)] for lock in locks), ["--no-build-isolation", "--editable", str(ROOT)]):
        packages = 1 if "-r" not in what else Path(what[1]).read_text().count("==")
        status = run([*pip, *what], packages)
        if status:
            return status
    # what pip would do with one core; some packages have templates that are no Python, which is no matter
    site = sysconfig.get_path("purelib")
    run([sys.executable, "-m", "compileall", "-q", "-j", "0", site], 0, failing=True)
    return 0


def run(command: list[str], packages: int, *, failing: bool = False) -> int:
    """Run a command and show that it lives; what it says is shown if it fails.

    Args:
        command: pip, or the compiler.
        packages: How many packages pip fetches; 0 for the compiler.
        failing: Whether it does not matter if it fails.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout or ()))
    reader.start()
    began, shown_at, terminal = time.monotonic(), 0.0, sys.stdout.isatty()
    while reader.is_alive():
        reader.join(0.5)
        seconds = time.monotonic() - began
        if seconds - shown_at >= (1 if terminal else LOG_SECONDS):
            shown_at = seconds
            words = f"  {int(seconds) // 60}:{int(seconds) % 60:02} {state(said, packages)}"
            line = f"\r{words[:WIDTH]:{WIDTH}}" if terminal else f"{words}\n"
            print(line, end="", flush=True)
    if terminal:
        print(f"\r{'':{WIDTH}}\r", end="", flush=True)
    status = process.wait()
    if status and not failing:
        print("".join(said[-40:]), flush=True)
    return status


def state(said: list[str], packages: int) -> str:
    """How far pip is, from what it has said."""
    if not packages:
        return "compiling"
    began = re.compile(r"(?:Collecting|Obtaining|Processing) (?:\S*/)?([^\s(]+)")  # or takes from a folder
    found = [match[1] for line in said if (match := began.match(line))]
    if any(line.startswith("Installing collected packages") for line in said):
        return f"unpacking {len(found)} package{'s'[: len(found) != 1]}"
    return f"package {len(found)} of {packages}: {found[-1]}" if found else "starting pip"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
