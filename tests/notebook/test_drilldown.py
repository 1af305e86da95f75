"""The panel under a comparison: complete, and without a private value in a widget."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import pytest

from jupyter_dpsynth.evaluation.report import BANNER, UtilityReport
from jupyter_dpsynth.notebook.output import WIDGET_VIEW
from jupyter_dpsynth.notebook.show.drilldown import REOPENED, DrillDown
from tests.support.models import untrained
from tests.support.tables import mixed_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.notebooks import Shell

MARK = "MARKED-PRIVATE-VALUE"


@pytest.fixture(params=["measured", "original"])
def panel(request: Any, shell: Shell) -> Iterator[DrillDown]:
    """A panel for a comparison with either reference."""
    df = mixed_table(1777)
    df.loc[df.index % 9 == 0, "group"] = MARK
    synthesizer = untrained(df)
    made = synthesizer.synthesize(900, seed=0)
    if request.param == "measured":
        report = UtilityReport.against_measurements(synthesizer, made, synthetic=True)
    else:
        report = UtilityReport.against_original(df, made)
    one = DrillDown(report)
    shell.names["drill"] = one
    yield one
    one.close()


def state_of(panel: DrillDown) -> str:
    """Everything that the panel's widgets hold."""
    parts, stack = [], [panel.box]
    while stack:
        widget = stack.pop()
        parts.append(widget.get_state())
        stack += getattr(widget, "children", ())
    return json.dumps(parts, default=str)


def pictures(shell: Shell, code: str) -> list[dict[str, Any]]:
    """What running something displays."""
    outcome = shell.run(code)
    assert not outcome.error
    return outcome.displays


@pytest.mark.long
def test_every_column_and_pair_can_be_chosen(panel: DrillDown, shell: Shell) -> None:
    names = list(panel.first.options)
    assert sorted(names) == sorted(panel.report.names)
    for name in names:
        (shown,) = pictures(shell, f"drill.first.value = {name!r}")
        assert name in shown["text/plain"]
        assert shown["text/html"].count("data:image/png") == 1
    for name in names[:-1]:
        (shown,) = pictures(shell, f"drill.second.value = {name!r}")
        assert f"{names[-1]} and {name}" in shown["text/plain"]
        assert shown["text/html"].count("data:image/png") == 3


@pytest.mark.long
def test_no_widget_holds_a_value_or_a_picture_of_the_table(panel: DrillDown, shell: Shell) -> None:
    for name in panel.report.names:
        pictures(shell, f"drill.first.value = {name!r}; drill.second.value = 'group'")
        state = state_of(panel)
        assert MARK not in state
        assert "image/png" not in state
        for column in panel.report.columns:
            for figure in (column.distance, *column.reference[column.reference > 0].tolist()):
                if figure < 1:
                    assert f"{figure:.6f}"[:8] not in state


@pytest.mark.long
def test_the_banner_is_with_every_picture_of_the_original(panel: DrillDown, shell: Shell) -> None:
    shown = pictures(shell, "drill.first.value = 'age'; drill.second.value = 'income'")
    assert len(shown) == 2
    if panel.report.banner is None:
        assert all("Not private" not in each["text/html"] for each in shown)
        return
    assert all(BANNER in each["text/plain"] and BANNER in each["text/html"] for each in shown)


def test_the_order_of_the_names_tells_nothing_of_the_original(panel: DrillDown) -> None:
    names = list(panel.first.options)
    if panel.report.banner is None:
        assert names == [column.name for column in panel.report.columns]
    else:
        assert names == list(panel.report.names)


def test_a_reopened_notebook_says_how_to_choose_again(panel: DrillDown, shell: Shell) -> None:
    displays = pictures(shell, "drill.show()")
    assert displays[0]["text/plain"].startswith(REOPENED)
    assert displays[1]["text/plain"] == ""  # room for the pictures; nothing to see before a choice
    assert WIDGET_VIEW in displays[0]
    assert panel.first.value == panel.second.value == ""


def test_fields_are_labelled_and_explained(panel: DrillDown) -> None:
    for field in (panel.first, panel.second):
        assert isinstance(field, ipywidgets.Combobox)
        assert field.description
        assert field.tooltip


def test_a_pair_shows_shares_that_sum_to_one(panel: DrillDown) -> None:
    for shares in panel.report.joint(0, 1):
        assert np.sum(shares) == pytest.approx(1)
