"""The receipt says what was spent, can be checked, and shows nothing it should not."""

import copy
import json
import math
from dataclasses import replace
from importlib import resources

import jsonschema
import pytest

from jupyter_dpsynth import cli
from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.files.jsonschema import load_schema
from jupyter_dpsynth.privacy.accounting import (
    GaussianMeasurement,
    PrivacyPlan,
    SampledTraining,
    compute_epsilon,
)
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt
from jupyter_dpsynth.privacy.verification import verify_receipt


@pytest.fixture(scope="module")
def receipt():
    plan = PrivacyPlan(
        (GaussianMeasurement("row count", 40.0), GaussianMeasurement("marginals", 12.0, "3 columns")),
        SampledTraining(100, 0.02, 2.0),
        1e-8,
        1e-8,
    )
    blank = PrivacyReceipt(
        plan=plan,
        delta=1e-6,
        epsilon=1.0,
        epsilon_target=1.0,
        epsilon_completed_steps=compute_epsilon(plan.with_steps(80), 1e-6),
        planned_steps=100,
        completed_steps=80,
        sampler="Poisson: every row is drawn independently in every step",
        noise="operating system",
        row_count_private=True,
        backend="native",
        versions={"numpy": "2"},
        second_opinion="<b>theirs</b>",
        guarantee="dp",
    )
    return replace(blank, epsilon=blank.recompute_epsilon())


@pytest.fixture
def document(receipt):
    return json.loads(receipt.to_json())


def test_the_shares_of_the_budget_add_up(receipt):
    assert sum(share for _, _, share in receipt.spending()) == pytest.approx(1)


def test_epsilon_can_be_recomputed_from_the_json_alone(receipt):
    again = PrivacyReceipt.from_json(receipt.to_json())
    assert again == receipt
    assert again.recompute_epsilon() == receipt.epsilon
    assert again.recompute_epsilon("rdp") > receipt.epsilon


def test_another_accountant_can_recompute_epsilon_without_our_code(document):
    """What `docs/receipt-schema.md` tells an independent accountant to do, with dp_accounting alone."""
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    plan = document["plan"]
    events = [dp_event.GaussianDpEvent(m["sigma"]) for m in plan["measurements"]]
    step = dp_event.PoissonSampledDpEvent(
        plan["training"]["sampling_probability"],
        dp_event.GaussianDpEvent(plan["training"]["noise_multiplier"]),
    )
    events.append(dp_event.SelfComposedDpEvent(step, plan["training"]["steps"]))
    accountant = PLDAccountant().compose(dp_event.ComposedDpEvent(events))
    left = document["delta"] - plan["selection_delta"] - plan["count_delta"]
    assert accountant.get_epsilon(left) == pytest.approx(document["epsilon"], rel=1e-3)


def test_the_text_says_what_is_covered_and_what_is_not(receipt):
    text = receipt.to_text()
    for part in ("row count", "marginals", "80 of 100", "not covered", "add or remove one row"):
        assert part in text
    assert "it counts only if training ended for a reason that has nothing to do with the data" in text


def test_what_is_imposed_and_what_the_noise_hides_is_said_and_comes_back(receipt):
    told = replace(receipt, imposed=("'a' is never above 'b'",), untold=("whether 'c' determines 'd'",))
    assert PrivacyReceipt.from_json(told.to_json()) == told
    assert "every synthetic row keeps: 'a' is never above 'b'" in told.to_text()
    assert told.structure_lines()[1] == "The noise does not tell: whether 'c' determines 'd'."
    assert receipt.structure_lines() == []


def test_the_html_has_no_script_and_escapes_texts(receipt):
    shown = receipt.to_html()
    assert "<script" not in shown
    assert "<b>theirs" not in shown
    assert "&lt;b&gt;theirs" in shown


def without_privacy(receipt):
    infinite = dict.fromkeys(("epsilon", "epsilon_target", "epsilon_completed_steps"), math.inf)
    return replace(receipt, guarantee="none", plan=None, delta=0.0, **infinite)


def for_tests(receipt):
    return replace(receipt, guarantee="test-only", epsilon=None, epsilon_completed_steps=None)


def test_no_guarantee_is_said_loudly(receipt):
    assert "NO GUARANTEE" in without_privacy(receipt).to_text()
    assert "TEST ONLY, no guarantee" in for_tests(receipt).to_html()


@pytest.mark.parametrize("change", [without_privacy, for_tests])
def test_a_receipt_without_guarantee_comes_back_and_is_never_verified(receipt, change):
    changed = change(receipt)
    assert PrivacyReceipt.from_json(changed.to_json()) == changed
    verification = verify_receipt(changed.to_dict())
    assert not verification.passed
    assert "no guarantee to verify" in verification.to_text()


@pytest.mark.parametrize("change", [lambda receipt: receipt, without_privacy, for_tests])
def test_the_json_is_strict_and_follows_the_published_schema(receipt, change):
    text = change(receipt).to_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    jsonschema.Draft202012Validator(load_schema("receipt")).validate(json.loads(text))


@pytest.mark.parametrize("name", ["receipt", "synthesizer"])
def test_the_schemas_are_schemas(name):
    jsonschema.Draft202012Validator.check_schema(load_schema(name))


def test_the_receipt_of_the_packaged_sample_is_verified():
    text = (resources.files("jupyter_dpsynth") / "resources" / "census_sample_receipt.json").read_text()
    assert verify_receipt(json.loads(text)).passed


def test_a_sound_receipt_is_verified_by_both_accountants(receipt, tmp_path, capsys):
    file = tmp_path / "receipt.json"
    file.write_text(receipt.to_json())
    assert cli.main(["verify", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "Verified" in shown
    assert "epsilon, tight (PLD)" in shown
    assert "epsilon, loose (RDP)" in shown
    assert "not signed" in shown


def scaled(*path, by):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] *= by

    return change


def put(*path, value):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


TAMPERED = {
    "a lower epsilon": scaled("epsilon", by=0.99),
    "an epsilon lower by a thousandth": scaled("epsilon", by=0.999),
    "a far lower epsilon": scaled("epsilon", by=1e-3),
    "no cost at all": put("epsilon", value=0),
    "a higher epsilon": scaled("epsilon", by=1.01),
    "a larger delta": scaled("delta", by=10),
    "a smaller delta": scaled("delta", by=0.1),
    "less noise in a measurement": scaled("plan", "measurements", 0, "sigma", by=0.9),
    "more noise in a measurement": scaled("plan", "measurements", 1, "sigma", by=1.1),
    "more noise in training": scaled("plan", "training", "noise_multiplier", by=1.05),
    "hardly any noise in training": put("plan", "training", "noise_multiplier", value=1e-3),
    "more steps in the events": scaled("plan", "training", "steps", by=2),
    "steps without end in the events": put("plan", "training", "steps", value=10**10),
    "fewer steps in the events": put("plan", "training", "steps", value=99),
    "another sampling probability": scaled("plan", "training", "sampling_probability", by=1.1),
    "no sampling": put("plan", "training", "sampling_probability", value=1),
    "a measurement removed": lambda d: d["plan"]["measurements"].pop(1),
    "a measurement renamed": put("plan", "measurements", 1, "name", value="nothing"),
    "a measurement's detail": put("plan", "measurements", 1, "detail", value="1 column"),
    "a measurement added": lambda d: d["plan"]["measurements"].append(
        {"name": "more", "sigma": 20.0, "detail": ""}
    ),
    "training removed": put("plan", "training", value=None),
    "no delta for the noisy row count": put("plan", "count_delta", value=0),
    "no delta for selection": put("plan", "selection_delta", value=0),
    "another percentage": scaled("spending", 0, "share", by=0.5),
    "percentages exchanged": lambda d: d["spending"].reverse(),
    "an item hidden": lambda d: d["spending"].pop(0),
    "another unit": put("unit", value="one person"),
    "another relation": put("relation", value="replace one row"),
    "another sampler": put("sampler", value="shuffled batches"),
    "the row count called public": put("row_count_private", value=False),
    "a lower RDP bound": scaled("epsilon_rdp", by=0.9),
    "a larger budget than epsilon": scaled("epsilon_target", by=0.5),
    "a lower epsilon of the completed steps": scaled("epsilon_completed_steps", by=0.9),
    "no epsilon of the completed steps": put("epsilon_completed_steps", value=None),
    "more completed than planned steps": put("completed_steps", value=101),
    "fewer completed steps": put("completed_steps", value=40),
    "fewer planned steps": put("planned_steps", value=90),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_receipt_is_not_verified(document, name, tmp_path, capsys):
    TAMPERED[name](document)
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(document))
    assert cli.main(["verify", str(file)]) == cli.FAILED
    shown = capsys.readouterr()
    assert "NOT VERIFIED" in shown.out
    assert "FAILED" in shown.out
    assert shown.err == ""


WRONG = (None, True, -1, 1e999, 10**400, "text", "x" * 100_000, [], {}, [[]], float("nan"))


def paths(value, path=()):
    """Every place in a document."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*path, key))


def test_any_wrong_value_in_any_field_is_refused_or_not_verified(document):
    """Nothing but an ArtifactError or a verdict, never a false one; our checks are as strict as theirs."""
    official = jsonschema.Draft202012Validator(load_schema("receipt"))
    places = [path for path in paths(document) if path]
    assert len(places) > 40
    messages = []
    for path in places:
        for value in WRONG:
            changed = copy.deepcopy(document)
            put(*path, value=value)(changed)
            try:
                verification = verify_receipt(changed)
            except ArtifactError as error:
                messages.append(str(error))
                continue
            assert official.is_valid(changed), (path, value)
            if verification.passed and changed != document:
                assert path[0] in {
                    "noise",
                    "versions",
                    "ledger_entry",
                    "second_opinion",
                    "covered",
                    "not_covered",
                }, path
    assert [m for m in messages if "\n" in m or len(m) > 400] == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"epsilon": NaN}',
        b"1" * 10_000,
        b"PK\x03\x04",
    ],
)
def test_what_is_no_receipt_is_refused_in_one_line(content, tmp_path, capsys):
    file = tmp_path / "receipt.json"
    file.write_bytes(content)
    assert cli.main(["verify", str(file)]) == cli.FAILED
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "receipt.json" in error


def test_a_missing_file_and_a_folder_are_refused_in_one_line(tmp_path, capsys):
    for path in (tmp_path / "nothing.json", tmp_path):
        assert cli.main(["verify", str(path)]) == cli.FAILED
        assert "cannot be read" in capsys.readouterr().err


def test_a_newer_receipt_asks_for_an_update(document):
    document["version"] = 2
    with pytest.raises(ArtifactError, match="update"):
        PrivacyReceipt.from_dict(document)
