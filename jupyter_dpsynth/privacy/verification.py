"""Checks whether the figures of a receipt follow from its events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.errors import ArtifactError, ConfigError
from jupyter_dpsynth.privacy.accounting import compute_epsilon, rounding_tolerance
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt, relation_of

__all__ = ["Check", "Verification", "verify_receipt"]

TIGHT, LOOSE = "epsilon, tight (PLD)", "epsilon, loose (RDP)"  # two ways to compute a bound
TOLERANCE = 1e-4  # relative, of a figure: what versions of the accountant may differ by
SMALL = 1e-4  # of a very small epsilon: the step of the distribution's losses, which the RDP bound has not
SAMPLER = "Poisson"
MOST_OVER = 2.0  # RDP is at most about a tenth above PLD where both make sense
NOT_CHECKED = (
    "A receipt cannot show whether the run did what it says (the texts on sampler, noise, backend and "
    "versions are only statements), nor who wrote it. It is not signed: somebody who changes the events and "
    "all figures together gets another receipt that agrees with itself."
)


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: What was compared.
        passed: Whether it holds.
        text: Both sides, in words.
    """

    name: str
    passed: bool
    text: str


@dataclass(frozen=True)
class Verification:
    """All comparisons of one receipt.

    Attributes:
        receipt: What was checked.
        checks: The comparisons, in the order in which they were made.
    """

    receipt: PrivacyReceipt
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether the receipt states a guarantee and every comparison holds."""
        return self.receipt.guarantee == "dp" and all(check.passed for check in self.checks)

    def to_text(self) -> str:
        """The comparisons, the verdict and its limits, for a terminal."""
        lines = [self.receipt.headline]
        width = max((len(check.name) for check in self.checks), default=0)
        lines += [
            f"  {'ok    ' if check.passed else 'FAILED'}  {check.name:<{width}}  {check.text}"
            for check in self.checks
        ]
        if self.passed:
            lines.append("Verified: the figures follow from the events.")
        elif self.receipt.guarantee != "dp":
            lines.append("Not verified: there is no guarantee to verify.")
        else:
            failed = ", ".join(check.name for check in self.checks if not check.passed)
            lines.append(f"NOT VERIFIED: figures and events disagree ({failed}).")
        return "\n".join([*lines, NOT_CHECKED])


def verify_receipt(document: object) -> Verification:
    """Recompute every figure of a receipt from its events, with two accountants.

    Args:
        document: The receipt as JSON gives it.

    Raises:
        ArtifactError: It is not a receipt, or a field has the wrong type or range.
    """
    receipt = PrivacyReceipt.from_dict(document)
    if not isinstance(document, dict):
        raise TypeError
    if receipt.guarantee != "dp":
        consistent = document["epsilon"] is None and document["epsilon_rdp"] is None
        return Verification(receipt, (Check("epsilon", consistent, "none stated"),))
    if receipt.plan is None or receipt.epsilon is None or receipt.delta <= receipt.plan.reserved_delta:
        raise ArtifactError("the receipt states a guarantee, but delta or the events do not allow one.")
    checks = [*_statements(receipt), *_spending(receipt, document["spending"])]
    try:
        checks += _figures(receipt, document["epsilon_rdp"])
    except (ConfigError, ArithmeticError, ValueError) as error:
        checks.append(Check("epsilon", False, f"cannot be computed ({type(error).__name__})"))  # noqa: FBT003
    return Verification(receipt, tuple(checks))


def _statements(receipt: PrivacyReceipt) -> list[Check]:
    """Statements that must fit each other."""
    plan = receipt.plan
    steps = plan.training.steps if plan is not None and plan.training is not None else 0
    counted = plan is not None and any(m.name == "row count" for m in plan.measurements)
    planned = "" if plan is None else plan.unit
    return [
        Check(
            "unit",
            receipt.unit == planned and receipt.relation == relation_of(planned),
            f"{receipt.unit}; neighbours: {receipt.relation}; noise scaled for: {planned}",
        ),
        Check("sampler", receipt.sampler.startswith(SAMPLER), receipt.sampler),
        Check(
            "row count",
            counted == receipt.row_count_private,
            f"stated {'private' if receipt.row_count_private else 'public'}, "
            f"{'' if counted else 'not '}among the events",
        ),
        Check(
            "steps",
            receipt.completed_steps <= receipt.planned_steps == steps,
            f"{receipt.completed_steps} of {receipt.planned_steps}, {steps} among the events",
        ),
    ]


def _spending(receipt: PrivacyReceipt, stated: list[dict[str, Any]]) -> list[Check]:
    computed = receipt.spending()
    same = len(stated) == len(computed) and all(
        (each["item"], each["detail"]) == (item, detail) and abs(each["share"] - share) <= TOLERANCE
        for each, (item, detail, share) in zip(stated, computed, strict=True)
    )
    total = sum(each["share"] for each in stated)
    return [Check("shares", same, f"{len(stated)} items, {len(computed)} events, together {total:.1%}")]


def _figures(receipt: PrivacyReceipt, stated_rdp: float | None) -> list[Check]:
    """Epsilon by two accountants, for the plan and for the completed steps."""
    plan, epsilon = receipt.plan, receipt.epsilon
    if plan is None or epsilon is None:
        raise TypeError
    rdp = receipt.recompute_epsilon("rdp")
    checks = [
        _compared(LOOSE, stated_rdp, rdp),
        Check(
            "loose above tight",
            rdp >= epsilon * (1 - TOLERANCE) - SMALL,
            f"{epsilon_text(rdp)} against {epsilon_text(epsilon)}",
        ),
        Check(
            "budget",
            epsilon <= receipt.epsilon_target * (1 + 1e-9),
            f"{epsilon_text(epsilon)} of {receipt.epsilon_target:g}",
        ),
    ]
    if not rdp <= MOST_OVER * epsilon + 1:  # far off: the exact figure could take hours and says no more
        text = f"stated {epsilon_text(epsilon)}, the events cost about {epsilon_text(rdp)}"
        return [Check(TIGHT, False, text), *checks]  # noqa: FBT003
    rounding = rounding_tolerance(plan, receipt.delta)
    checks.insert(0, _compared(TIGHT, epsilon, receipt.recompute_epsilon(), rounding))
    done = plan.with_steps(min(receipt.completed_steps, receipt.planned_steps))
    completed, rounding = compute_epsilon(done, receipt.delta), rounding_tolerance(done, receipt.delta)
    return [*checks, _compared("completed steps", receipt.epsilon_completed_steps, completed, rounding)]


def _compared(name: str, stated: float | None, computed: float, rounding: float = 0.0) -> Check:
    if stated is None:
        return Check(name, False, f"none stated, computed {epsilon_text(computed)}")  # noqa: FBT003
    same = math.isclose(stated, computed, rel_tol=TOLERANCE + rounding, abs_tol=1e-9)
    return Check(name, same, f"stated {stated:.6g}, computed {computed:.6g}")
