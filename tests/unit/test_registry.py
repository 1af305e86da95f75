"""A record for the registry follows from the receipt, invents nothing, and fits the registry's form."""

import copy
import json
import math
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml
from markdown_it import MarkdownIt

from jupyter_dpsynth import cli
from jupyter_dpsynth.display.words import item_text
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan, SampledTraining
from jupyter_dpsynth.privacy.membership import rates_in_words
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt, relation_of
from jupyter_dpsynth.privacy.registry import TO_BE_ANSWERED, deployment_record
from jupyter_dpsynth.privacy.verification import verify_receipt
from tests.support.markup import NASTY, assert_escaped
from tests.support.registry_schema import REGISTRY_SCHEMA

ROOT = Path(__file__).parents[2]
SAMPLE = (resources.files("jupyter_dpsynth") / "resources" / "census_sample_receipt.json").read_text()
PERSON = "one value of 'patient_id', with at most 3 rows"
MARKUP = f"{NASTY}\n# Heading\n*bold* [link](http://example.org) | <b>x</b>"


@pytest.fixture(scope="module")
def receipt():
    return PrivacyReceipt.from_json(SAMPLE)


@pytest.fixture(scope="module")
def record(receipt):
    return deployment_record(receipt)


def problems(record):
    validator = jsonschema.Draft7Validator(
        REGISTRY_SCHEMA, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
    )
    return {".".join(map(str, error.path)) for error in validator.iter_errors(record)}


def leaves(value, path=()):
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], (*path, key))
    else:
        yield ".".join(path), value


def test_the_yaml_is_one_document_with_every_field_of_the_third_tier(record):
    written = yaml.safe_load(record.to_yaml())
    assert written == record.registry()
    assert written["tier"] == 3
    assert written["status"] == "Draft"

    def fields(schema, path=()):
        for name, each in schema["properties"].items():
            yield from fields(each, (*path, name)) if "properties" in each else [".".join((*path, name))]

    other = {"deployment.privacy_loss.privacy_parameters.rho"}  # of another variant
    assert {path for path, _ in leaves(written)} == set(fields(REGISTRY_SCHEMA)) - other


def test_the_registrys_check_refuses_exactly_what_is_still_blank_and_prescribed(record):
    blank = {entry.name for entry in record.fields if entry.blank}
    refused = problems(record.registry())
    assert refused == {
        f"deployment.{name}"
        for name in (
            "basic.data_product_type",
            "basic.publication_date",
            "basic.data_product_sector",
            "deployment_model.release_type",
            "deployment_model.data_source_type",
        )
    }
    assert refused < blank
    filled = copy.deepcopy(record.registry())
    filled["deployment"]["basic"] |= {
        "data_product_type": "Synthetic data",
        "publication_date": "2026-03-01",
        "data_product_sector": "Healthcare",
    }
    filled["deployment"]["deployment_model"] |= {"release_type": "One release", "data_source_type": "Static"}
    assert problems(filled) == set()


def test_the_yaml_has_no_folded_text_and_no_alias_which_the_registrys_check_refuses(record):
    styles = {token.style for token in yaml.scan(record.to_yaml()) if isinstance(token, yaml.ScalarToken)}
    assert styles <= {None, "|", "'", '"'}


def test_every_question_is_answered_or_asked_and_every_blank_is_marked_in_all_three_forms(record):
    for entry in (*record.fields, *record.questions):
        assert entry.blank or entry.answer is not None, entry.name or entry.question
    fields = sum(bool(entry.blank) for entry in record.fields)
    body = "\n".join(line for line in record.to_yaml().splitlines() if not line.startswith("#"))
    assert body.count(TO_BE_ANSWERED) == fields
    assert record.to_markdown().count(f"> **{TO_BE_ANSWERED}:**") == len(record.blanks)
    document = json.loads(record.to_json())
    asked = [question for question in document["questions"] if question["to_be_answered"]]
    assert len(asked) + fields == len(record.blanks)
    assert f"{len(record.blanks)} questions" in record.to_markdown()


def test_the_questions_of_nist_go_through_the_whole_pyramid(record):
    assert [entry.group for entry in record.questions] == [
        "Epsilon and delta",
        "Unit of privacy",
        "Other releases",
        "Algorithms and correctness",
        "Utility",
        "Bias",
        "Query model",
        "Trust model",
        "Side channels",
        "Data security and access control",
        "Data collection",
    ]


def test_the_figures_are_the_receipts_own(receipt, record):
    loss = record.registry()["deployment"]["privacy_loss"]
    assert loss["privacy_parameters"] == {"epsilon": receipt.epsilon, "delta": receipt.delta}
    assert loss["privacy_unit"] == receipt.unit
    composition = record.registry()["deployment"]["accounting"]["composition"]
    for measurement in receipt.plan.measurements:
        assert item_text(measurement.name) in composition
        assert f"{measurement.sigma:.4g}" in composition
    assert str(receipt.plan.training.steps) in composition


def test_what_only_a_person_knows_has_no_answer(record):
    answered = {entry.name for entry in record.fields if entry.answer is not None}
    for name in (
        "basic.name",
        "basic.data_curators",
        "basic.intended_use",
        "basic.data_product_region",
        "basic.publication_date",
        "deployment_model.actors",
        "implementation.justification",
        "administrative.registry_authors",
    ):
        assert f"deployment.{name}" not in answered


def answers(receipt):
    record = deployment_record(receipt)
    return {entry.name or entry.group: str(entry.answer) for entry in (*record.fields, *record.questions)}


def test_another_fact_on_the_receipt_changes_the_answers_that_it_belongs_to_and_no_other(receipt):
    """Every answer follows from the receipt: a fact shows where it belongs, and nowhere else."""
    before = answers(receipt)

    def changed(**facts):
        after = answers(replace(receipt, **facts))
        return {name.rpartition(".")[2] for name in before if before[name] != after[name]}

    # the receipt's own words on what is covered depend on its unit
    assert changed(unit=PERSON, relation=relation_of(PERSON)) == {
        "privacy_unit",
        "privacy_unit_details",
        "privacy_parameters_details",
        "unprotected_quantities",
        "Unit of privacy",
        "Side channels",
    }
    assert changed(row_count_private=False) == {
        "data_domain",
        "access_type_details",
        "preprocessing_and_hyperparameter_tuning",
        "Unit of privacy",
        "Query model",
    }
    assert changed(ledger_entry="abcdefgh99") == {"release_type_details", "Other releases"}
    assert changed(noise="dice") == {"mechanisms", "Algorithms and correctness", "Side channels"}
    assert changed(versions={"jupyter_dpsynth": "9.9"}) == {
        "mechanisms",
        "notes",
        "Algorithms and correctness",
    }


def test_a_stopped_run_says_so_and_a_finished_one_does_not(receipt):
    assert "stopped after" not in deployment_record(receipt).to_markdown()
    stopped = replace(receipt, completed_steps=receipt.planned_steps - 1)
    assert "stopped after" in deployment_record(stopped).to_markdown()


def test_a_run_without_training_names_no_training():
    plan = PrivacyPlan((GaussianMeasurement("row count", 5.0),))
    receipt = PrivacyReceipt(plan, 1e-6, 1.0, 1.0, 1.0, 0, 0, "-", "system", True, "native", {}, None, "dp")
    assert "DP-SGD" not in deployment_record(receipt).to_markdown()


def test_texts_of_a_receipt_become_no_markup_in_any_form(receipt):
    plan = PrivacyPlan(
        (GaussianMeasurement(MARKUP, 5.0, MARKUP),),
        SampledTraining(3, 0.1, 2.0),
        unit=f"one value of {MARKUP}",
    )
    receipt = replace(
        receipt,
        plan=plan,
        unit=f"one value of {MARKUP}",
        noise=MARKUP,
        sampler=MARKUP,
        versions={MARKUP: MARKUP},
    )
    record = deployment_record(receipt)
    assert_escaped(record.to_html())
    assert_escaped(receipt.to_html())
    rendered = MarkdownIt("commonmark").enable("table").render(record.to_markdown())
    assert "<img" not in rendered
    assert "<b>" not in rendered
    assert "example.org" not in "".join(re.findall(r"<a [^>]*>", rendered))
    assert "<em>bold" not in rendered
    assert "Heading</h" not in rendered
    assert yaml.safe_load(record.to_yaml()) == record.registry()
    json.loads(record.to_json())


def test_the_markdown_is_a_document_that_renders_with_all_its_questions(record):
    rendered = MarkdownIt("commonmark").enable("table").render(record.to_markdown())
    assert rendered.count("<blockquote>") == len(record.blanks)
    assert rendered.count("<table>") == 1
    for entry in record.questions:
        assert f"<strong>{entry.question}</strong>" in rendered


@pytest.mark.parametrize("name", ["to_yaml", "to_json", "to_markdown", "to_html"])
def test_an_attackers_success_is_told_in_every_form_and_rounded_up(record, name):
    text = getattr(record, name)()
    if name == "to_json":
        rates = json.loads(text)["membership_inference"]
        assert rates["advantage_at_most"] == record.membership.advantage
        assert [each["true_positive_at_most"] for each in rates["rates"]] == [
            true for _, true in record.membership.rates
        ]
        return
    (found,) = re.findall(r"they recognise at most ([\d,]+) of 1,000 people who were", text)[:1]
    true = dict(record.membership.rates)[0.01]
    assert 1000 * true <= int(found) < 1000 * true + 1


def test_the_receipt_tells_an_attackers_success_in_text_and_html(receipt):
    for text in (receipt.to_text(), receipt.to_html()):
        assert "What an attacker could find out" in text
        for _, true in receipt.membership.rates:
            assert str(math.ceil(1000 * true)) in text
    assert "A person with several rows" in receipt.to_text()
    persons = replace(receipt, unit=PERSON)
    assert "A person is here one value of 'patient_id'" in persons.to_text()


def test_a_receipt_is_stored_and_verified_as_before(receipt):
    before, after = json.loads(SAMPLE), json.loads(receipt.to_json())
    assert [name for name in after if name in before] == list(before)  # others have been added since
    for name in before:
        if name not in {"covered", "not_covered"}:  # these have been worded anew since
            assert after[name] == before[name], name
    assert verify_receipt(receipt.to_dict()).passed


def test_the_documents_example_is_the_receipt_of_the_sample(receipt):
    text = (ROOT / "docs" / "receipt-schema.md").read_text(encoding="utf-8")
    for false, true in rates_in_words(receipt.membership):
        assert f"| {false} | {true} |\n" in text
    assert f"at most {math.ceil(100 * receipt.membership.accuracy)} of 100 cases" in text
    one_point = math.exp(receipt.epsilon) * 0.01 + receipt.delta
    assert f"would allow {math.ceil(1000 * one_point)} of 1,000" in text


@pytest.mark.parametrize(
    "change",
    [
        {"guarantee": "none", "plan": None, "epsilon": math.inf},
        {"guarantee": "test-only", "epsilon": None, "epsilon_completed_steps": None},
    ],
)
def test_a_run_without_guarantee_has_nothing_to_register(receipt, change):
    changed = replace(receipt, **change)
    assert changed.membership is None
    assert "What an attacker could find out" not in changed.to_text()
    with pytest.raises(ConfigError, match="nothing to register"):
        deployment_record(changed)


def test_a_file_with_answers_is_replaced_only_if_it_is_said(record, tmp_path):
    for name, form in (("a.yaml", "to_yaml"), ("b.md", "to_markdown"), ("c.json", "to_json")):
        record.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == getattr(record, form)()
    (tmp_path / "b.md").write_text("our answers")
    with pytest.raises(ConfigError, match="perhaps with answers"):
        record.save(tmp_path / "b.md")
    assert (tmp_path / "b.md").read_text() == "our answers"
    record.save(tmp_path / "b.md", overwrite=True)
    assert (tmp_path / "b.md").read_text(encoding="utf-8") == record.to_markdown()
    with pytest.raises(ConfigError, match=r"\.yaml for the registry"):
        record.save(tmp_path / "d.docx")


def test_the_terminal_shows_a_receipt_and_writes_a_record(tmp_path, capsys, record):
    file = tmp_path / "receipt.json"
    file.write_text(SAMPLE)
    assert cli.main(["receipt", str(file)]) == 0
    assert "What an attacker could find out" in capsys.readouterr().out
    assert cli.main(["receipt", str(file), "--registry"]) == 0
    assert capsys.readouterr().out == record.to_markdown()
    words = ["receipt", str(file), "--registry", "--to", str(tmp_path / "record.yaml")]
    assert cli.main(words) == 0
    assert "can be answered by a person only" in capsys.readouterr().out
    assert (tmp_path / "record.yaml").read_text(encoding="utf-8") == record.to_yaml()
    for wrong, hint in (
        (words, "--overwrite"),
        (["receipt", str(file), "--to", "x.yaml"], "--to needs --registry"),
        (["receipt", str(file), "--overwrite"], "--overwrite needs a file"),
    ):
        assert cli.main(wrong) == cli.FAILED
        error = capsys.readouterr().err
        assert hint in error
        assert error.count("\n") == 1
    assert cli.main([*words, "--overwrite"]) == 0
