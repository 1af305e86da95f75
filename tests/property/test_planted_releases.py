"""Every release of private figures costs what is planned, and mistakes planted in each of them are found.

Mistakes in training steps are planted in `tests.support.planted_bugs`.
"""

from __future__ import annotations

import ast
from pathlib import Path
from unittest import mock

import pytest

import jupyter_dpsynth
from jupyter_dpsynth.engine.model import plan as names_of_plan
from jupyter_dpsynth.evaluation.history_private import COUNT
from jupyter_dpsynth.inference.asking import JOINT_TABLE
from jupyter_dpsynth.persons.planning import FOLLOWED
from tests.support.doors import OverspentError
from tests.support.planted_releases import BUGS, EVALUATED
from tests.support.release_cases import CASES, PassedByError, check, synthesizer


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_a_row_costs_what_is_planned_and_all_follows_from_the_answers(name):
    case = CASES[name]()
    assert check(case) == set(case.names)  # every release saw the row


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_every_planted_mistake_is_caught(bug):
    synthesizer()  # without the mistake
    planted = bug.plant(getattr(bug.place, bug.function))
    with mock.patch.object(bug.place, bug.function, planted):
        case = CASES[bug.case]()
        with pytest.raises((OverspentError, PassedByError)):
            check(case)


def released_names() -> set[str]:
    """The names with which the package asks for an allowance."""
    found = set()
    for file in Path(jupyter_dpsynth.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "allowance":
                name = node.args[0]
                found.add(name.value if isinstance(name, ast.Constant) else ast.unparse(name))
    return found


def test_a_mistake_is_planted_in_every_release():
    constants = {**vars(names_of_plan), "COUNT": COUNT, "FOLLOWED": FOLLOWED, "JOINT_TABLE": JOINT_TABLE}
    names = {constants.get(name, name) for name in released_names()}
    # one passes a table's names on, the other is asked for with each of `EVALUATED`
    names -= {"_name(name, self._table)", "name"}
    assert names == {name for bug in BUGS for name in bug.names if name not in EVALUATED[:2]}
