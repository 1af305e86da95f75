"""Install the wheel into fresh environments and see that it works there and moves nothing that was there.

usage: check_installs.py [oldest] [current-3.12] [current-3.13] [--keep FOLDER] [--pytest ARGUMENTS]

oldest: Python 3.10 with every dependency, also of the extras below, at the lower bound of pyproject.toml.
current-*: a new JupyterLab with pandas and scikit-learn, into which the wheel is installed.

Each needs about 3 GB of disk until it is through.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("lab", "evaluation", "scale")
CURRENT = ("jupyterlab", "ipykernel", "notebook", "pandas", "pyarrow", "scikit-learn")
PYTHONS = {"oldest": "3.10", "current-3.12": "3.12", "current-3.13": "3.13"}
# what installing the wheel may move, and why
KNOWN = {"attrs": "dp-accounting 0.5 and newer ask for attrs below 24, and older ones for numpy 1"}
SHOWN = ("tensorflow", "numpy", "pandas", "jupyterlab", "ipython", "ipywidgets", "scipy", "dp-accounting")
TESTING = ("pytest", "pytest-timeout", "hypothesis", "jsonschema", "import-linter")
JOB = """
import numpy, pandas
generator = numpy.random.default_rng(0)
age = generator.integers(18, 90, 2000)
kind = generator.choice(["a", "b", "c"], 2000)
pandas.DataFrame({"age": age, "kind": kind, "pay": age * 10.5}).to_csv("table.csv", index=False)
"""


def lower_bounds() -> list[str]:
    """Every dependency at its lower bound, as pip's constraints, which name no extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [
        each for extra in EXTRAS for each in project["optional-dependencies"][extra]
    ]
    return [re.sub(r"^([\w.-]+)(\[\w+\])?>=([\w.]+).*", r"\1==\3", each) for each in wanted]


def run(*command: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command, return what it wrote; SystemExit with all of it if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(map(str, command))}\n{done.stdout}failed with {done.returncode}")
    return done.stdout


def installed(python: Path) -> dict[str, str]:
    """Versions of everything in an environment, by name."""
    lines = run(python, "-m", "pip", "freeze").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def build(folder: Path) -> Path:
    """The wheel, made by way of the sdist as publishing does it."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    for made in sorted(folder.iterdir()):
        print(f"{made.name}: {made.stat().st_size:,} bytes")
    return wheel


def check(name: str, wheel: Path, folder: Path, tests: str) -> None:
    """Make one environment and use it."""
    python = folder / "bin" / "python"
    run(f"python{PYTHONS[name]}", "-m", "venv", folder)
    pip = python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"
    if name == "oldest":
        (folder / "constraints.txt").write_text("\n".join(lower_bounds()) + "\n", encoding="utf-8")
        pip = *pip, "--constraint", folder / "constraints.txt"
    else:
        run(*pip, *CURRENT)
    before = installed(python)
    run(*pip, f"{wheel}[{','.join(EXTRAS)}]")
    after = installed(python)
    moved = {each: (old, after.get(each)) for each, old in before.items() if after.get(each) != old}
    if moved.keys() - KNOWN.keys():
        raise SystemExit(f"{name}: installing the wheel changed {moved}")
    print(f"{name}: Python {PYTHONS[name]}, " + ", ".join(f"{each} {after.get(each)}" for each in SHOWN))
    print(f"{name}: {len(before)} packages before, {len(after)} after")
    for each, (old, new) in moved.items():
        print(f"{name}: {each} moved from {old} to {new}: {KNOWN[each]}")
    print(f"{name}: {run(python, '-m', 'pip', 'check').strip()}")
    use(name, python, folder)
    if tests:
        run(*pip, *TESTING)
        # other versions of other people's packages warn of other things: that is no failure here
        pytest = python, "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider"
        told = run(*pytest, *shlex.split(tests), cwd=ROOT)
        print(f"{name}: {told.strip().splitlines()[-1]}")


def use(name: str, python: Path, folder: Path) -> None:
    """Run the demo notebook, and the command line on a table; both with a ledger of their own."""
    env = {
        **os.environ,
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }
    env.pop("PYTHONPATH", None)  # the wheel is what is used
    told = run("jupyter", "dpsynth", "demo", cwd=folder, env=env)
    print(f"{name}: {next(line for line in told.splitlines() if line.startswith('epsilon = '))}")
    run(python, "-c", JOB, cwd=folder, env=env)
    run("jupyter", "dpsynth", "learn", "table.csv", "--epsilon", 1, "-o", "model.dps", cwd=folder, env=env)
    told = run("jupyter", "dpsynth", "synthesize", "model.dps", "-n", 5, cwd=folder, env=env)
    if told.splitlines()[0] != "age,kind,pay":
        raise SystemExit(f"{name}: synthesize wrote\n{told}")
    run("jupyter", "dpsynth", "verify", "model.dps", cwd=folder, env=env)
    print(f"{name}: learn, synthesize, verify: fine")


def main() -> None:
    """Check every environment that was named, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PYTHONS)}; all by default")
    parser.add_argument("--keep", type=Path, help="folder for the environments, which then stay")
    parser.add_argument(
        "--pytest", default="", help="tests to run in each environment, as pytest's arguments"
    )
    options = parser.parse_args()
    place = options.keep or Path(tempfile.mkdtemp(prefix="dpsynth-installs-"))
    try:
        wheel = build(place / "dist")
        for name in options.names or PYTHONS:
            check(name, wheel, place / name, options.pytest)
    finally:
        if options.keep is None:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
