"""The questions of NIST SP 800-226 in our own words, by the blocks of its pyramid, from the top.

A block is worth no more than those below it: an epsilon says nothing about data that anybody can copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.privacy.registry.entry import Entry
from jupyter_dpsynth.privacy.registry.facts import (
    composition,
    guarantee,
    mechanisms,
    plan_first,
    privacy_unit,
    releases,
    row_count,
    small_groups,
    trust,
)

if TYPE_CHECKING:
    from jupyter_dpsynth.privacy.receipt import PrivacyReceipt

__all__ = ["guideline_questions"]


def guideline_questions(receipt: PrivacyReceipt) -> tuple[Entry, ...]:
    """The questions, from the top of the pyramid to its foot.

    Args:
        receipt: A receipt that states a guarantee.
    """
    return (*_promise(receipt), *_method(receipt), *_surroundings(receipt))


def _promise(receipt: PrivacyReceipt) -> tuple[Entry, ...]:
    return (
        Entry(
            "Epsilon and delta",
            "",
            "How strong is the promise, in every parameter?",
            guarantee(receipt),
            "who chose epsilon and delta, and why is this strong enough for these data?",
        ),
        Entry(
            "Unit of privacy",
            "",
            "Whose data are protected: one event's, or all of one person's?",
            f"{privacy_unit(receipt)} {row_count(receipt)}",
            "can one person stand behind several units (several rows, or several values of the column)? How "
            "many at most, and does every person know of the promise?",
        ),
        Entry(
            "Other releases",
            "",
            "What else is, or was, released from the same data, with noise or without?",
            releases(receipt),
            "list all other releases from these data, and their epsilon. One without noise can undo the "
            "promise.",
        ),
    )


def _method(receipt: PrivacyReceipt) -> tuple[Entry, ...]:
    return (
        Entry(
            "Algorithms and correctness",
            "",
            "Which mechanisms are used, how are they composed, and who wrote the software?",
            f"{composition(receipt)}\n\nIn general:\n{mechanisms(receipt)}",
            "has somebody other than the authors reviewed or audited the software or this run (an audit: "
            "%dpsynth audit)?",
        ),
        Entry(
            "Utility",
            "",
            "Is the result good enough for what it is meant for?",
            blank="how exact must it be, and how exact is it? A receipt does not tell: %dpsynth evaluate "
            "measures it, with noise that counts in epsilon.",
        ),
        Entry(
            "Bias",
            "",
            "Are small groups, or whoever is far from the average, treated worse?",
            small_groups(receipt),
            "which small groups matter here? Is the result exact enough for them, and are users told of it?",
        ),
    )


def _surroundings(receipt: PrivacyReceipt) -> tuple[Entry, ...]:
    return (
        Entry(
            "Query model",
            "",
            "Are all questions to the data fixed beforehand, or can users ask more?",
            f"{plan_first(receipt)} Users get the results and what is made from them, and cannot ask more.",
        ),
        Entry(
            "Trust model",
            "",
            "Who must be trusted not to misuse the original data?",
            trust(receipt),
            "who collected the data and who ran the program? What binds them?",
        ),
        Entry(
            "Side channels",
            "",
            "Could more get out than the noisy results: by running times, rounding, error messages?",
            f"Noise: {receipt.noise}. The promise does not cover: {receipt.not_covered}.",
            "could anybody watch the machine, its logs or the notebook while the program ran?",
        ),
        Entry(
            "Data security and access control",
            "",
            "Who can get at the original data, and how are they protected?",
            blank="where are the original data, who may read them, are they encrypted, is access recorded? A "
            "copy in the wrong hands is not covered by any epsilon.",
        ),
        Entry(
            "Data collection",
            "",
            "Was more collected, or kept for longer, than is needed?",
            blank="why were these data collected, did the people agree, which columns are not needed, and "
            "when are the original data deleted?",
        ),
    )
