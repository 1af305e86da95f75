"""The registry's fields, tier by tier, as its schema names them, and what a receipt answers of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.privacy.membership import in_words
from jupyter_dpsynth.privacy.registry.entry import Entry
from jupyter_dpsynth.privacy.registry.facts import (
    composition,
    guarantee,
    mechanisms,
    plan_first,
    privacy_unit,
    releases,
    row_count,
    trust,
)

if TYPE_CHECKING:
    from jupyter_dpsynth.privacy.receipt import PrivacyReceipt

__all__ = ["registry_fields"]


def registry_fields(receipt: PrivacyReceipt) -> tuple[Entry, ...]:
    """The fields in the registry's order.

    Args:
        receipt: A receipt that states a guarantee.
    """
    return (
        Entry(
            "This entry",
            "url_slug",
            "Address of the entry",
            blank="which short name should its address have (lower-case letters, digits and hyphens)?",
        ),
        *_basic(),
        *_protection(receipt),
        *_deployment(receipt),
        *_method(receipt),
        *_administrative(receipt),
    )


def _basic() -> tuple[Entry, ...]:
    group, place = "What is published", "deployment.basic."
    return (
        Entry(group, place + "name", "Name", blank="what is the published table, or model, called?"),
        Entry(group, place + "data_curators", "Publisher", blank="which organisation publishes it?"),
        Entry(group, place + "intended_use", "Intended use", blank="what is it meant to be used for?"),
        Entry(
            group,
            place + "data_product_type",
            "Kind",
            blank="'Synthetic data' if tables are published, 'Machine learning model' if the saved model is. "
            "Keep only one of the two.",
        ),
        Entry(
            group,
            place + "data_product_region",
            "Region",
            blank="which region do the data describe, and whose law applies to them?",
        ),
        Entry(group, place + "description", "Description", blank="what is it, in one or two sentences?"),
        Entry(
            group,
            place + "publication_date",
            "Date of publication",
            blank="when was, or will be, it published (as in 2026-01-31)?",
        ),
        Entry(
            group,
            place + "data_product_sector",
            "Sector",
            blank="one of Technology, Healthcare, Education, Government, Energy, Finance.",
        ),
    )


def _protection(receipt: PrivacyReceipt) -> tuple[Entry, ...]:
    bound = receipt.membership
    if receipt.epsilon is None or bound is None:
        raise TypeError
    group, loss = "What is promised", "deployment.privacy_loss."
    variant = "deployment.dp_variant."
    return (
        Entry(group, variant + "variant_name", "Variant of differential privacy", "Approximate DP"),
        Entry(
            group,
            variant + "data_domain",
            "Which tables could have been in place of this one",
            "Every table with the same columns, column types and declared bounds and categories, which count "
            f"as public. {row_count(receipt)}",
            "which columns are there, whom do the rows describe, and when were they collected?",
        ),
        Entry(
            group,
            variant + "unprotected_quantities",
            "What is published without protection",
            f"The promise does not cover: {receipt.not_covered}.",
            "were bounds or categories declared, and from which public source do they come? Is anything else "
            "published that was computed from the same data without noise?",
        ),
        Entry(group, loss + "privacy_unit", "Whose privacy is protected", receipt.unit),
        Entry(
            group,
            loss + "privacy_unit_details",
            "The same, precisely",
            privacy_unit(receipt),
            "what does a row stand for (a person, a visit, a sale)? How many rows may one person have?",
        ),
        Entry(group, loss + "privacy_parameters.epsilon", "Epsilon", receipt.epsilon),
        Entry(group, loss + "privacy_parameters.delta", "Delta", receipt.delta),
        Entry(
            group,
            loss + "privacy_parameters_details",
            "What these figures cover and mean",
            f"{in_words(bound, receipt.unit)}\n\n{guarantee(receipt)}",
        ),
    )


def _deployment(receipt: PrivacyReceipt) -> tuple[Entry, ...]:
    group, place = "Who is trusted with what", "deployment.deployment_model."
    return (
        Entry(group, place + "model_name", "Trust model", "Central"),
        Entry(group, place + "model_name_details", "The same, precisely", trust(receipt)),
        Entry(
            group,
            place + "actors",
            "Who is involved",
            blank="who collected the data, who ran the program, who receives what is published? Why is "
            "each of them trusted with what they see?",
        ),
        Entry(
            group,
            place + "release_type",
            "Once or repeatedly",
            blank="'One release' or 'Many releases'. Keep only one of the two.",
        ),
        Entry(
            group,
            place + "release_type_details",
            "Other releases from the same data",
            releases(receipt),
            "were, or will, the same data be used for other releases? What do all of them cost together, and "
            "is there a limit?",
        ),
        Entry(
            group,
            place + "data_source_type",
            "Do new data come in",
            blank="'Static' if the data stay as they are, 'Dynamic' if new ones come in. Keep only one of "
            "the two.",
        ),
        Entry(
            group,
            place + "data_source_type_details",
            "The same, precisely",
            blank="if new data come in: how often is the release repeated?",
        ),
        Entry(group, place + "access_type", "Can users query the original data", "Non-interactive"),
        Entry(
            group,
            place + "access_type_details",
            "The same, precisely",
            f"{plan_first(receipt)} Users get the results and what is made from them, and cannot ask more.",
        ),
    )


def _method(receipt: PrivacyReceipt) -> tuple[Entry, ...]:
    group, place = "How it is done", "deployment.implementation."
    return (
        Entry(
            group,
            "deployment.accounting.post_processing",
            "What was done to the results afterwards",
            "Whatever is computed from the noisy results alone costs nothing more. Covered are "
            f"{receipt.covered}.",
            "was the published table changed by hand (rows left out, values corrected)? Did whoever did that "
            "look at the original data?",
        ),
        Entry(
            group,
            "deployment.accounting.composition",
            "How the parts add up",
            composition(receipt),
        ),
        Entry(
            group,
            place + "preprocessing_and_hyperparameter_tuning",
            "What was done before, and how settings were chosen",
            plan_first(receipt),
            "how was the table cleaned before? Were settings tried out on the same data, or epsilon chosen "
            "after looking at results, and is that counted?",
        ),
        Entry(
            group,
            place + "mechanisms",
            "Mechanisms, software and security",
            mechanisms(receipt),
            "who has access to the original data, and how are they protected? Could anybody watch the "
            "machine while it computed (running times are not covered)?",
        ),
        Entry(
            group,
            place + "justification",
            "Reasons",
            blank="why are epsilon, delta and the unit of privacy suitable here? Who decided, and was the "
            "decision reviewed?",
        ),
    )


def _administrative(receipt: PrivacyReceipt) -> tuple[Entry, ...]:
    group, place = "About this entry", "deployment.administrative."
    version = receipt.versions.get("jupyter_dpsynth", "")
    return (
        Entry(
            group, place + "sources", "Links", blank="where are the published data and their documentation?"
        ),
        Entry(
            group,
            place + "notes",
            "Notes",
            f"Drafted from the receipt of a run of {f'jupyter_dpsynth {version}'.strip()}. Whoever has the "
            "receipt can compute its figures anew with: jupyter dpsynth verify FILE.",
        ),
        Entry(group, place + "registry_authors", "Authors of this entry", blank="who filled in this record?"),
    )
