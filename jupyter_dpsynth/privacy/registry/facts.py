"""What a receipt says, in sentences that answer questions of the registry and of NIST."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.config import ONE_ROW
from jupyter_dpsynth.display.words import epsilon_text, item_text

if TYPE_CHECKING:
    from jupyter_dpsynth.privacy.receipt import PrivacyReceipt

__all__ = [
    "composition",
    "guarantee",
    "mechanisms",
    "plan_first",
    "privacy_unit",
    "releases",
    "row_count",
    "small_groups",
    "trust",
]

CHOICE = "choice of interactions"  # the item that exponential mechanisms are planned as


def row_count(receipt: PrivacyReceipt) -> str:
    """Whether the number of rows is protected."""
    if receipt.row_count_private:
        return "The number of rows is private: it was measured with noise."
    return "The exact number of rows was declared public and is not protected."


def privacy_unit(receipt: PrivacyReceipt) -> str:
    """Which tables are neighbours, and what that means for persons."""
    text = f"Two tables count as neighbours if one arises from the other by this change: {receipt.relation}."
    if receipt.unit == ONE_ROW:
        return f"{text} The promise is for one row: a person with several rows is protected less."
    return f"{text} The unit is {receipt.unit}: all rows that share a value are protected together."


def guarantee(receipt: PrivacyReceipt) -> str:
    """Epsilon and delta, what they are made of, and the rates of an attacker."""
    plan, bound = receipt.plan, receipt.membership
    if plan is None or bound is None or receipt.epsilon is None:
        raise TypeError
    rates = ", ".join(f"{epsilon_text(true)} at {false:g}" for false, true in bound.rates)
    text = (
        f"- Epsilon {epsilon_text(receipt.epsilon)} and delta {receipt.delta:.3g} hold for all of the run "
        f"together. The budget asked for was epsilon {receipt.epsilon_target:g}.\n"
        f"- Of delta, {plan.selection_delta:.3g} is reserved for publishing categories and single "
        f"values that were not declared, and {plan.count_delta:.3g} is left unused because the plan follows "
        "from the noisy number of rows.\n"
        "- Membership inference, from the trade-off curve of the whole composition: advantage at most "
        f"{epsilon_text(bound.advantage)}; largest true-positive rates at false-positive rates: {rates}."
    )
    if receipt.completed_steps < receipt.planned_steps and receipt.epsilon_completed_steps is not None:
        text += (
            f"\n- Training was stopped after {receipt.completed_steps} of {receipt.planned_steps} steps. If "
            "the stop did not depend on what was shown, epsilon is "
            f"{epsilon_text(receipt.epsilon_completed_steps)}."
        )
    return text


def trust(receipt: PrivacyReceipt) -> str:
    """Who sees the original data."""
    return (
        "Whoever ran the program held the original table; the noise was added there, by the program "
        f"({receipt.backend} backend). Everybody else gets what has noise: {receipt.covered}."
    )


def plan_first(receipt: PrivacyReceipt) -> str:
    """When the plan was fixed."""
    before = "anything but the number of rows" if receipt.row_count_private else "anything"
    return f"What is measured, and with how much noise, was fixed before {before} was measured."


def releases(receipt: PrivacyReceipt) -> str:
    """What the receipt says of other runs."""
    recorded = (
        "It is in no ledger."
        if receipt.ledger_entry is None
        else f"It is recorded as run {receipt.ledger_entry[:8]} in its owner's ledger, which adds up runs."
    )
    return f"This record is for one run; other runs on the same data add to its cost. {recorded}"


def composition(receipt: PrivacyReceipt) -> str:
    """The events and how they are composed."""
    plan = receipt.plan
    if plan is None:
        raise TypeError
    noise = "Gaussian noise, standard deviation"
    lines = [
        f"{item_text(each.name)}{f' ({each.detail})' if each.detail else ''}: {noise} {each.sigma:.4g} times "
        "the sensitivity"
        for each in plan.measurements
    ]
    training = plan.training
    if training is not None and training.steps:
        lines.append(
            f"training: {training.steps} steps, each on a sample that has every unit with probability "
            f"{training.sampling_probability:.4g}; {noise} {training.noise_multiplier:.4g} times the "
            "sensitivity"
        )
    renyi = epsilon_text(receipt.recompute_epsilon("rdp"))
    return (
        "All parts are composed as one event (dp_accounting); their epsilons are not added up. A second, "
        f"looser way to compute epsilon (Renyi accountant) gives {renyi}. The parts (the sensitivity is the "
        "most by which one unit can change a result):\n" + "\n".join(f"- {line}" for line in lines)
    )


def mechanisms(receipt: PrivacyReceipt) -> str:
    """Mechanisms and software."""
    versions = ", ".join(f"{name} {version}" for name, version in receipt.versions.items())
    text = "- Mechanism: Gaussian noise on every measurement.\n"
    if receipt.plan is not None and any(each.name == CHOICE for each in receipt.plan.measurements):
        text = f"- Mechanism: Gaussian noise on every measurement, Gumbel noise on the {CHOICE}.\n"
    if receipt.plan is not None and receipt.plan.training is not None:
        text += (
            "- Training: stochastic gradient descent with clipped gradients and Gaussian noise (DP-SGD), by "
            f"the {receipt.backend} backend.\n- Sampling: {receipt.sampler}.\n"
        )
    return f"{text}- Source of the noise: {receipt.noise}.\n- Versions: {versions}."


def small_groups(receipt: PrivacyReceipt) -> str:
    """What the receipt says of rare values."""
    text = "The noise of a count is the same for large groups and small ones: small groups are less exact."
    if receipt.plan is not None and receipt.plan.selection_delta > 0:
        text += (
            " Categories that were not declared, and single values of numbers and times, are published only "
            "if their noisy count is large enough: rare ones are put together."
        )
    return text
