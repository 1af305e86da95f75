"""Install the locked environment and this checkout into the Python that runs this script.

tensorflow-privacy's metadata asks for old versions of packages that a current JupyterLab needs new, so the
complete lock file is installed without dependency resolution.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKED = ((3, 11), (3, 12), (3, 13))


def main() -> int:
    """Run pip twice; return its exit status."""
    version = sys.version_info[:2]
    if version not in LOCKED:
        names = ", ".join(f"python{major}.{minor}" for major, minor in LOCKED)
        print(
            f"The locked environment is for {names}; this is {version[0]}.{version[1]}. Create the virtual "
            "environment with one of those, or install without locks: pip install '.[lab,evaluation,test]'"
        )
        return 1
    lock = ROOT / "requirements" / f"lock-py{version[0]}{version[1]}.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    print(f"Installing {lock.name} (about 1.5 GB on disk; a few minutes) ...", flush=True)
    for what in (["-r", str(lock)], ["--no-build-isolation", "--editable", str(ROOT)]):
        status = subprocess.run([*pip, *what], check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
