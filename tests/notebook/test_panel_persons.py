"""The panel's lines of tables in which a person has any number of rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from jupyter_dpsynth import ConfigPanel, HighDimConfig
from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.metadata.tables import TablesMeta
from tests.support.hospital import CATEGORIES, hospital
from tests.support.households import WINDOW, households

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.notebooks import Shell

KEY = "patient_id"


@pytest.fixture
def panel(shell: Shell) -> Iterator[ConfigPanel]:
    """A panel for 300 patients, whose visits are another variable."""
    shell.names.update(hospital(300))
    one = ConfigPanel(HighDimConfig(privacy_unit=KEY, epsilon=3, steps=5), shell.names["patients"])
    yield one
    one.close()


def field(panel: ConfigPanel, words: str) -> Any:
    """The control whose label or tooltip begins like this."""
    (found,) = (
        each
        for each in panel.widgets()
        if any(str(getattr(each, name, "")).startswith(words) for name in ("description", "tooltip"))
    )
    return found


def choose_visits(panel: ConfigPanel) -> None:
    field(panel, "Add a table").click()
    table = field(panel, "A table in which")
    assert "visits" in [value for _, value in table.options]
    table.value = "visits"
    order = field(panel, "The column by which")
    assert "admitted" in [value for _, value in order.options]
    order.value = "admitted"
    field(panel, "at most").value = "5"
    field(panel, "from").value, field(panel, "to").value = "2021-01-01", "2023-12-31"


def test_a_line_for_each_table_gives_the_same_as_a_cell(panel: ConfigPanel, shell: Shell) -> None:
    assert not panel.persons.used
    choose_visits(panel)
    panel.schema.set("sex", domain="f, m")
    meta = panel.persons.meta(panel.schema)
    assert isinstance(meta, TablesMeta)
    (visits,) = meta.children
    assert (visits.order, visits.most) == ("admitted", 5)
    assert meta.order_of(visits).bounds is not None
    code = panel.code()
    assert "children = {'visits': visits}" in code
    assert "categories = {'patients': {'sex': ['f', 'm']}}" in code
    planned = shell.run(code.replace("%%dpsynth learn", "%%dpsynth calc"))
    assert not planned.error
    assert panel.calculator.wait()
    assert panel.calculator.forecast.counted == "persons"
    assert panel.calculator.forecast.plan.epsilon <= 3
    field(panel, "exactly").value = True
    assert panel.persons.meta(panel.schema).children[0].exactly == 5
    field(panel, "from").value = field(panel, "to").value = ""
    field(panel, "at times").value = "2021-03-01, 2022-03-01"  # instead of a number and a window
    times = panel.persons.meta(panel.schema).children[0]
    assert (times.most, len(times.times)) == (2, 2)
    assert "times = {'visits': ['2021-03-01', '2022-03-01']}" in panel.code()
    field(panel, "Remove this line").click()
    assert not panel.persons.used
    assert "children" not in panel.code()


def test_what_a_line_says_wrong_stops_before_anything_is_spent(panel: ConfigPanel) -> None:
    choose_visits(panel)
    field(panel, "at most").value = "many"
    with pytest.raises(MetadataError, match="most = 'many'"):
        panel.train()
    assert panel.calculator.wait()
    assert "most = 'many'" in panel.calculator.error


def test_the_check_up_looks_at_all_tables_of_the_panel(panel: ConfigPanel, shell: Shell) -> None:
    def told() -> str:
        panel._checkup.check()
        rows = panel._checkup._results.children
        parts = [each for row in rows for each in (row, *getattr(row, "children", ()))]
        return " ".join(str(getattr(each, "value", "")) for each in parts)

    visits = shell.names["visits"]
    visits["visit_no"] = range(5000, 5000 + len(visits))
    shell.names["visits"] = pd.concat([visits, visits.iloc[:3].assign(patient_id=7)], ignore_index=True)
    assert "visits" not in told()
    choose_visits(panel)
    words = told()
    assert "rows of persons who are not in" in words
    assert "visit_no" in words


def test_a_cell_opens_the_panel_with_its_tables(shell: Shell) -> None:
    shell.names.update(hospital(60))
    cell = shell.run(
        "%%dpsynth panel patients\nprivacy_unit = patient_id\nchildren = {'visits': visits}\n"
        "order = {'visits': 'admitted'}"
    )
    assert not cell.error
    assert any("order = {'visits': 'admitted'}" in each["text/plain"] for each in cell.displays)


def test_the_rows_of_a_lone_table_have_a_line_too(shell: Shell) -> None:
    shell.names["events"] = hospital(60)["visits"]
    cell = shell.run("%%dpsynth panel events\nprivacy_unit = patient_id\norder = {'events': 'admitted'}")
    assert not cell.error
    (code,) = (each["text/plain"] for each in cell.displays if "%%dpsynth learn" in each["text/plain"])
    assert "order = {'events': 'admitted'}" in code
    assert "children" not in code


def test_what_a_cell_declares_of_a_table_is_edited_in_its_line(shell: Shell) -> None:
    shell.names.update(households(60))
    declared = {
        "children": {name: shell.names[name] for name in ("members", "visits")},
        "order": {"members": "-age", "visits": "when"},
        "most_children": {"members": 4, "visits": 3},
        "window": {"visits": WINDOW},
        "of": {"visits": ("members", "member")},
    }
    settings = HighDimConfig(privacy_unit="household", epsilon=3, steps=5)
    panel = ConfigPanel(settings, shell.names["households"], name="households", declared=declared)
    lines = panel.persons._lines
    lines[0]._most.value, lines[0]._order.value, lines[1]._last.value = "2", "age", "2023-06-30"
    members, visits = panel.persons.meta(panel.schema).children
    assert (members.most, members.order, visits.most) == (2, "age", 3)
    assert visits.of == ("members", "member")
    code = panel.code()
    assert "most_children = {'members': 2, 'visits': 3}" in code
    assert "window = {'visits': ('2022-01-01', '2023-06-30')}" in code
    assert "of = {'visits': ('members', 'member')}" in code
    assert not shell.run(code.replace("%%dpsynth learn", "%%dpsynth calc")).error
    panel.close()


def test_a_panel_starts_with_the_tables_of_a_cell_and_trains_them(shell: Shell) -> None:
    shell.names.update(hospital(300))
    shell.run("%config DPSynthMagics.live = 'text'")
    declared = {
        "children": {"visits": shell.names["visits"]},
        "order": {"visits": "admitted"},
        "most_children": {"visits": 4},
        "window": {"visits": ("2021-01-01", "2023-12-31")},
        "categories": CATEGORIES,
    }
    settings = HighDimConfig(privacy_unit=KEY, epsilon=3, steps=5)
    panel = ConfigPanel(settings, shell.names["patients"], name="patients", declared=declared)
    meta = panel.persons.meta(panel.schema)
    assert meta.children[0].most == 4
    assert meta.tables["visits"]["diagnosis"].categories == ("heart", "injury", "lung")
    shell.names["panel"] = panel
    shell.run("panel.show()")
    assert not shell.run("panel.train()").error
    assert panel._actions.run.wait(120)
    end = time.monotonic() + 60
    while panel.session.follower.is_alive():  # its display is drawn for the last time
        assert time.monotonic() < end
        time.sleep(0.1)
    assert panel.synthesizer().tables_meta is not None
    panel._actions.synthesize("50")
    made = shell.names["df_synth"]
    assert made["visits"][KEY].isin(made["patients"][KEY]).all()
    panel._actions.compare()
    assert "cost no epsilon" in panel._message.value
    panel.close()


def test_what_ends_a_history_is_declared_in_the_line_of_its_table(shell: Shell) -> None:
    shell.names.update(hospital(60))
    declared = {
        "children": {"visits": shell.names["visits"]},
        "order": {"visits": "admitted"},
        "ends": {"visits": {"outcome": ["died"]}},
        "categories": CATEGORIES,
    }
    settings = HighDimConfig(privacy_unit=KEY, epsilon=3, steps=5)
    panel = ConfigPanel(settings, shell.names["patients"], name="patients", declared=declared)
    (line,) = panel.persons._lines
    assert line.ends_after.value == "outcome: died"
    assert "ends = {'visits': {'outcome': ['died']}}" in panel.code()
    line.ends_after.value = "outcome: died; diagnosis: lung, heart"
    ends = {"outcome": ["died"], "diagnosis": ["lung", "heart"]}
    assert {
        name: list(each) for name, each in panel.persons.meta(panel.schema).children[0].ends.items()
    } == ends
    assert not shell.run(panel.code().replace("%%dpsynth learn", "%%dpsynth calc")).error
    for text in ("outcome", "outcome:"):
        line.ends_after.value = text
        with pytest.raises(MetadataError, match="give the values by column"):
            panel.persons.meta(panel.schema)
    line.ends_after.value = ""
    assert "ends" not in panel.code()
    panel.close()
