"""What the documents about privacy refer to exists."""

import json
import re
from importlib import resources
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    "I": "tests/property/test_persons.py",
    "L": "tests/unit/test_leaks.py",
    "N": "tests/notebook/test_leaks_in_notebooks.py",
    "P": "tests/unit/test_persistence.py",
    "R": "tests/unit/test_receipt.py",
    "F": "tests/property/test_fuzz.py",
    "C": "tests/property/test_codec_properties.py",
    "S": "tests/unit/test_synthesizer.py",
    "G": "tests/unit/test_ledger.py",
    "V": "tests/unit/test_ledger_versions.py",
    "D": "tests/notebook/test_drilldown.py",
    "W": "tests/unit/test_sources.py",
    "E": "tests/unit/test_private_evaluation.py",
    "O": "tests/property/test_odd_values.py",
    "B": "tests/property/test_neighbours.py",
    "K": "tests/unit/test_kept_models.py",
    "H": "tests/notebook/test_shield.py",
    "Z": "tests/unit/test_sharing.py",
    "A": "tests/unit/test_asking.py",
    "T": "tests/unit/test_tape.py",
    "Q": "tests/notebook/test_emptiness.py",
}


def rows():
    text = (ROOT / "docs" / "leaks.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_leak_channel_names_a_test_that_exists(row):
    *_, ours, tests = row
    if tests == "-":
        assert ours.startswith("open")
        return
    named = re.findall(r"([A-Z]) `(test_\w+)`", tests)
    cells = re.findall(r"`([^`]+)`", tests.split("cell", 1)[1]) if "cell" in tests else []
    assert named or cells
    for letter, name in named:
        assert f"def {name}(" in (ROOT / FILES[letter]).read_text(encoding="utf-8"), name
    for cell in cells:
        assert f'"{cell}":' in (ROOT / FILES["N"]).read_text(encoding="utf-8"), cell


def test_the_receipt_s_document_has_every_field_of_its_schema():
    schema = json.loads(
        (resources.files("jupyter_dpsynth") / "resources" / "receipt.schema.json").read_text(encoding="utf-8")
    )
    text = (ROOT / "docs" / "receipt-schema.md").read_text(encoding="utf-8")
    for name in schema["properties"]:
        assert f"`{name}`" in text or f"`{name}." in text or f"`{name}[" in text, name


@pytest.mark.parametrize("name", ["privacy.md", "leaks.md", "receipt-schema.md"])
def test_a_document_has_no_dead_anchor(name):
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= anchors


def test_every_path_on_the_maintainers_map_exists():
    text = (ROOT / "jupyter_dpsynth" / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/-]+(?:/|\.\w+)+)`", text)
    assert len(named) > 30
    homes = (
        ROOT,
        ROOT / "jupyter_dpsynth",
        ROOT / "jupyter_dpsynth" / "engine",
        ROOT / "jupyter_dpsynth" / "notebook",
    )
    for name in named:
        assert any((home / name).exists() for home in homes), name


def test_every_room_is_on_the_maintainers_map():
    text = (ROOT / "jupyter_dpsynth" / "README.md").read_text(encoding="utf-8")
    package = ROOT / "jupyter_dpsynth"
    rooms = [
        path
        for top in (package, package / "engine")
        for path in top.iterdir()
        if (path / "__init__.py").is_file()
    ]
    for room in rooms:
        assert f"`{room.name}/`" in text, room.name
    for module in package.glob("[!_]*.py"):
        assert f"`{module.name}`" in text, module.name
