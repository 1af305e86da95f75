"""What is shown: text never becomes a tag, tags stand in templates only, figures have one wording."""

import ast
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

import jupyter_dpsynth
from jupyter_dpsynth.display.chart import Axis, Chart, empty_chart
from jupyter_dpsynth.display.console import Elapsed
from jupyter_dpsynth.display.html import (
    callout,
    card,
    details,
    heading,
    join,
    meter,
    note,
    paragraph,
    picture,
    preformatted,
    score,
    shown_by_summary,
    sign,
    strong,
    table,
)
from jupyter_dpsynth.evaluation.private_report import Measured, PrivateReport
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt
from tests.support.markup import NASTY, assert_escaped

PACKAGE = Path(jupyter_dpsynth.__file__).parent
TAG = re.compile(
    r"</?(a|b|br|caption|circle|code|details|div|h\d|i|img|li|line|ol|p|poly\w+|pre|rect|script|span|style|"
    r"summary|svg|table|tbody|td|text|th|thead|title|tr|ul)[\s/>]"
)


AXIS = Axis(NASTY, 0, 1, (0.0, 1.0))
CHART = Chart(NASTY, 100, 50, AXIS, AXIS)


@pytest.mark.parametrize(
    "drawn",
    [
        join([NASTY, strong("x")]),
        card(NASTY, kind="test"),
        paragraph(NASTY),
        strong(NASTY),
        heading(NASTY),
        score(NASTY, NASTY),
        note(NASTY),
        preformatted(NASTY),
        sign(NASTY, "red"),
        callout(NASTY),
        details(NASTY, NASTY),
        table([(NASTY, NASTY)], (NASTY, NASTY), numbers={1}, caption=NASTY),
        table([(NASTY, NASTY)], quiet=True),
        paragraph(meter(NASTY, 0.5, NASTY), NASTY),
        paragraph(picture(b"", NASTY, 20), NASTY),
        CHART.svg(CHART.limit(0.5, NASTY), CHART.words(0, 0, NASTY)),
        empty_chart(NASTY, 100, 50, NASTY),
    ],
)
def test_every_part_escapes_what_is_put_into_it(drawn):
    assert isinstance(drawn, Markup)
    assert_escaped(drawn)


def test_a_comparison_escapes_the_names_of_columns():
    random = np.random.default_rng(0)
    df = pd.DataFrame({NASTY: random.choice(["a", NASTY], 200), "other": random.normal(size=200)})
    report = UtilityReport.against_original(df, df.sample(100, random_state=0))
    assert_escaped(report.to_html())
    assert_escaped(report._repr_mimebundle_()["text/html"])


def private_report(plan):
    """A report on one column and one pair of nasty names."""
    figure = Measured(NASTY, 0.1, 0.01, 0.02, NASTY)
    return PrivateReport(
        (figure,), (figure,), (0.01, 0.01), None, NASTY, (0.7, 0.1), 0.5, 100.0, 1.0, 100, plan, 1.0, 1e-6
    )


def test_a_private_report_and_a_receipt_escape_the_names_of_columns():
    unit = f"one value of '{NASTY}'"
    plan = PrivacyPlan((GaussianMeasurement(NASTY, 5.0, NASTY),), None, unit=unit)
    assert_escaped(private_report(plan).to_html())
    receipt = PrivacyReceipt(
        plan, 1e-6, 1.0, 1.0, 1.0, 0, 0, NASTY, NASTY, True, NASTY, {NASTY: NASTY}, NASTY, "dp", unit=unit
    )
    assert_escaped(receipt.to_html())
    assert_escaped(replace(receipt, plan=None, guarantee="none").to_html())


def modules():
    """Every module of the package with its syntax tree."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_tags_stand_in_literal_templates_only():
    loose = []
    for name, tree in modules():
        nodes = list(ast.walk(tree))
        apart = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Markup":
                if len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
                    apart.add(id(node.args[0]))
                else:
                    loose.append(f"{name}:{node.lineno} makes markup of what is not a literal")
        loose += [
            f"{name}:{node.lineno} has a tag outside a template"
            for node in nodes
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and TAG.search(node.value)
            and id(node) not in apart
        ]
    assert loose == []


def test_nothing_is_escaped_by_hand():
    by_hand = [
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(alias.name == "html" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "html")
    ]
    assert by_hand == []


def test_the_ledger_the_receipt_and_the_audit_hold_no_tags():
    assert [
        name
        for name, tree in modules()
        if name.startswith("privacy/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "Markup"
    ] == []


def test_a_report_is_shown_by_its_summary_whatever_a_dataclass_would_print():
    @shown_by_summary
    @dataclass(frozen=True)
    class Report:
        shares: tuple[float, ...]

        def summary(self):
            return "a summary"

        def to_html(self):
            return "<p>a summary</p>"

    report = Report((0.25,))
    assert repr(report) == str(report) == "a summary"
    assert repr([report]) == "[a summary]"
    assert report._repr_mimebundle_() == {"text/plain": "a summary", "text/html": "<p>a summary</p>"}


def test_what_users_are_handed_is_plain_text_that_they_can_add_tags_to():
    plan = PrivacyPlan((GaussianMeasurement("row count", 5.0, ""),), None)
    assert type(private_report(plan).to_html()) is str


def test_what_reports_nothing_itself_shows_that_time_passes_until_it_ends():
    shown, ended = [], []
    with Elapsed("comparing", shown.append, ended.append):
        while not shown:
            time.sleep(0.05)
    assert shown[0].startswith("comparing, ")
    assert len(ended) == 1
    with Elapsed("comparing", shown.append, ended.append):
        pass
    assert len(ended) == 1  # what takes less than a second leaves nothing
