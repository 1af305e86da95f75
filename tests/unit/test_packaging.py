"""What is written twice about the package says the same both times, and the project's forms can be read."""

import re
from pathlib import Path

import pytest
import yaml

from jupyter_dpsynth import __version__
from tools.install import state

tomllib = pytest.importorskip("tomllib")  # of Python 3.11

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RECIPE = yaml.safe_load((ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
# conda-forge's names of the same, without what a library on its own does not need
CONDA = {
    "jupyter-core": "jupyter_core",
    "matplotlib": "matplotlib-base",
    "tensorflow": "tensorflow-base",
}


def parts(requirement):
    """Name and bounds of a requirement, conda's or pip's."""
    name, bounds = re.fullmatch(r"([\w.-]+)\s*(.*)", requirement).groups()
    return CONDA.get(name, name), bounds


def test_the_installation_says_how_far_pip_is():
    said = ["Collecting numpy==2.4 (from -r lock.txt (line 3))\n", "  Downloading numpy.whl (9 MB)\n"]
    assert state([], 9) == "starting pip"
    assert state(said, 9) == "package 1 of 9: numpy==2.4"
    assert state([*said, "Installing collected packages: numpy\n"], 9) == "unpacking 1 package"
    taken = "Processing /a/folder/of_wheels/numpy-2.4-py3-none-any.whl (from -r lock.txt (line 3))\n"
    assert state([taken], 9) == "package 1 of 9: numpy-2.4-py3-none-any.whl"


def test_the_conda_recipe_has_exactly_the_dependencies_of_the_package():
    run = dict(map(parts, RECIPE["requirements"]["run"]))
    assert run == {**dict(map(parts, PROJECT["dependencies"])), "python": PROJECT["requires-python"]}


def test_the_conda_recipe_has_the_version_the_commands_and_the_licence_of_the_package():
    assert RECIPE["context"]["version"] == PROJECT["version"] == __version__
    commands = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == commands
    assert RECIPE["about"]["license"] == PROJECT["license"]
    assert RECIPE["about"]["summary"] == PROJECT["description"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda p: p.stem
)
def test_an_issue_form_has_what_a_form_needs_and_asks_for_no_private_data(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert set(form) == {"blank_issues_enabled"}
        return
    assert form["name"]
    assert form["description"]
    kinds = {"markdown": {"value"}, "textarea": {"label"}, "checkboxes": {"label", "options"}}
    for field in form["body"]:
        assert kinds[field["type"]] <= field["attributes"].keys()
    assert "private data" in path.read_text(encoding="utf-8").lower()


def test_the_hooks_run_what_the_locked_environment_has():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    locked = (ROOT / "requirements" / "lock.in").read_text(encoding="utf-8") + str(
        PROJECT["optional-dependencies"]
    )
    for hook in hooks[0]["hooks"]:
        command = hook["entry"].split()[0]
        assert command.startswith(".venv/bin/")
        tool = {"lint-imports": "import-linter"}.get(Path(command).name, Path(command).name)
        assert tool in locked


def test_the_binder_button_opens_a_notebook_that_is_there_and_is_the_same_in_both_places():
    found = {
        re.search(
            r"https://mybinder\.org/v2/gh/\S+?(?=[)`])", (ROOT / name).read_text(encoding="utf-8")
        ).group()
        for name in ("README.md", "binder/README.md")
    }
    (address,) = found
    assert (ROOT / address.partition("urlpath=lab/tree/")[2]).is_file()
