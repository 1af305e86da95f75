"""A name with a tag in it is shown as text wherever a notebook shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.doctor import Finding, Remedy
from jupyter_dpsynth.engine.planning.forecast import assumed_metadata, forecast
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.notebook.panel import ConfigPanel
from jupyter_dpsynth.notebook.show.drawing import cell_html, live_html, picture_bundle, static_html
from jupyter_dpsynth.notebook.show.drilldown import DrillDown
from jupyter_dpsynth.notebook.show.findings import finding_html, findings_html
from jupyter_dpsynth.notebook.show.forecast import forecast_html
from jupyter_dpsynth.notebook.show.ledger import ledger_html
from jupyter_dpsynth.notebook.show.moment import Moment
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from tests.support.markup import NASTY, Tags, assert_escaped
from tests.support.tables import mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from tests.support.notebooks import Shell

MOMENT = Moment(
    state="measuring",
    headline=f"Measuring column {NASTY}",
    step=3,
    total=9,
    epsilon=0.5,
    target=1.0,
    delta=1e-6,
    rows=100,
    seconds=2.0,
    remaining=4.0,
    curve=((1, 3.0, 0.1), (2, 2.0, 0.1)),
    hint=NASTY,
    ledger=NASTY,
)
FINDING = Finding("text", "care", NASTY, NASTY, NASTY, Remedy("ignore", NASTY))


@pytest.fixture
def nasty_table() -> pd.DataFrame:
    """A table with a nasty column, nasty values and another column."""
    df = mixed_table(300)
    return df.rename(columns={"group": NASTY}).assign(other=df["age"])


@pytest.mark.parametrize(
    "drawn",
    [
        live_html(MOMENT),
        live_html(replace(MOMENT, curve=(), epsilon=None)),
        static_html(MOMENT, (NASTY,), NASTY),
        cell_html(NASTY, NASTY),
        picture_bundle(b"", NASTY)["text/html"] + cell_html("", NASTY),
        finding_html(FINDING),
        findings_html([FINDING]),
    ],
)
def test_what_a_run_or_a_check_up_says_is_escaped(drawn: str) -> None:
    assert_escaped(drawn)


def test_a_forecast_is_escaped() -> None:
    found = forecast(HighDimConfig().resolve(), assumed_metadata(), 1000.0, "quick")
    assert_escaped(forecast_html(found, NASTY))
    assert_escaped(forecast_html(replace(found, warnings=(NASTY,), curve=None)))


def test_a_ledger_is_escaped(tmp_path: Path) -> None:
    ledger = PrivacyLedger(tmp_path / "ledger.sqlite3")
    ledger.reserve(TableIdentity(b"one", NASTY), 1.0, 1e-6)
    assert_escaped(ledger_html(ledger.summary()))


def html_of(displays: list[dict[str, Any]]) -> list[str]:
    """The HTML of what was displayed."""
    return [shown["text/html"] for shown in displays if "text/html" in shown]


def test_a_config_is_escaped(shell: Shell) -> None:
    shell.names["one"] = HighDimConfig(privacy_unit=NASTY)
    (markup,) = html_of(shell.run("%dpsynth config one").displays)
    assert repr(NASTY) in Tags(markup).text


def test_a_drill_down_is_escaped(shell: Shell, nasty_table: pd.DataFrame) -> None:
    panel = DrillDown(UtilityReport.against_original(nasty_table, nasty_table.head(100)))
    shell.names.update({"drill": panel, "nasty": NASTY})
    for code in ("drill.first.value = nasty", "drill.second.value = 'age'"):
        (markup,) = html_of(shell.run(code).displays)
        assert_escaped(markup)
    panel.message.value = ""
    panel._say(NASTY)
    assert_escaped(panel.message.value)
    panel.close()


def test_the_panel_is_escaped(shell: Shell, nasty_table: pd.DataFrame) -> None:
    panel = ConfigPanel(None, nasty_table, name=NASTY)
    panel.schema.set(NASTY, domain="1, 2", role="learn")
    panel.say(NASTY)
    panel._checkup.check()
    shown = [one.value for one in panel.widgets() if type(one).__name__ == "HTML"]
    assert sum(NASTY in Tags(markup).text for markup in shown) >= 3
    for markup in shown:
        tags = Tags(markup)
        assert "img" not in [name for name, _ in tags.found]
    assert_escaped(panel._bundle()["text/html"])
    panel.close()
