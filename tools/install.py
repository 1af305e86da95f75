"""Install the locked environment and this checkout into the Python that runs this script.

usage: install.py [--docs]      with --docs also what building the documentation needs

tensorflow-privacy's metadata asks for old versions of packages that a current JupyterLab needs new, and for a
Python before 3.12. Its code works with new ones, so the complete lock files are installed without dependency
resolution, and whatever Python a package asks for.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--ignore-requires-python", "--no-compile"]
    print(f"Installing {locks[0].name} (about 3.3 GB on disk; a few minutes) ...", flush=True)
    for what in (*(["-r", str(lock)] for lock in locks), ["--no-build-isolation", "--editable", str(ROOT)]):
        status = subprocess.run([*pip, *what], check=False).returncode
        if status:
            return status
    # what pip would do with one core; some packages have templates that are no Python, which is no matter
    site = sysconfig.get_path("purelib")
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "0", site], check=False, stdout=subprocess.DEVNULL
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
