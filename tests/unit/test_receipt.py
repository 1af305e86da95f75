"""The receipt says what was spent, can be checked, and shows nothing it should not."""

import json
from dataclasses import replace

import pytest

from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan, SampledTraining
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt


@pytest.fixture
def receipt():
    plan = PrivacyPlan(
        (GaussianMeasurement("row count", 40.0), GaussianMeasurement("marginals", 12.0, "3 columns")),
        SampledTraining(100, 0.02, 2.0),
        1e-8,
    )
    blank = PrivacyReceipt(
        plan=plan,
        delta=1e-6,
        epsilon=1.0,
        epsilon_target=1.0,
        epsilon_completed_steps=0.8,
        planned_steps=100,
        completed_steps=80,
        sampler="Poisson",
        noise="operating system",
        row_count_private=True,
        backend="native",
        versions={"numpy": "2"},
        second_opinion="<b>theirs</b>",
        guarantee="dp",
    )
    return replace(blank, epsilon=blank.recompute_epsilon())


def test_the_shares_of_the_budget_add_up(receipt):
    assert sum(share for _, _, share in receipt.spending()) == pytest.approx(1)


def test_epsilon_can_be_recomputed_from_the_json_alone(receipt):
    again = PrivacyReceipt.from_dict(json.loads(receipt.to_json()))
    assert again == receipt
    assert again.recompute_epsilon() == receipt.epsilon
    assert again.recompute_epsilon("rdp") > receipt.epsilon


def test_the_text_says_what_is_covered_and_what_is_not(receipt):
    text = receipt.to_text()
    for part in ("row count", "marginals", "80 of 100", "not covered", "add or remove one row"):
        assert part in text
    assert "if the stop did not depend on what was shown" in text


def test_the_html_has_no_script_and_escapes_texts(receipt):
    shown = receipt.to_html()
    assert "<script" not in shown
    assert "<b>theirs" not in shown
    assert "&lt;b&gt;theirs" in shown


def test_no_guarantee_is_said_loudly(receipt):
    assert "NO GUARANTEE" in replace(receipt, guarantee="none", plan=None).to_text()
    assert "TEST ONLY, no guarantee" in replace(receipt, guarantee="test-only", epsilon=None).to_html()
