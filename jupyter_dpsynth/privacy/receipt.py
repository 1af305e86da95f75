"""The receipt: what epsilon was spent on, what it covers, and what it does not."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from jupyter_dpsynth.config import ONE_ROW
from jupyter_dpsynth.display.words import epsilon_text, item_text, percent
from jupyter_dpsynth.errors import ArtifactError, ConfigError, shown
from jupyter_dpsynth.files.jsonschema import check_document, read_json
from jupyter_dpsynth.privacy.accounting import PrivacyPlan, compute_epsilon
from jupyter_dpsynth.privacy.membership import (
    RATES,
    TITLE,
    MembershipBound,
    in_words,
    membership_bound,
    rates_in_words,
)

__all__ = ["FORMAT", "IN_ALL_TABLES", "PrivacyReceipt", "budget_shares", "epsilon_text", "relation_of"]

FORMAT, VERSION = "jupyter_dpsynth receipt", 1

NO_GUARANTEE = "NO GUARANTEE: this model was trained without differential privacy."
TEST_ONLY = "TEST ONLY, no guarantee: the noise came from a fixed seed."
OPINION_TITLE = (
    "Second opinion of TensorFlow Privacy on the training steps alone (of its figures, the one for Poisson "
    "sampling applies)"
)
LOST = "rows that lose their value or have none"
COVERED = (
    "the trained model, the measured values and ranges of the columns, the row count, the loss curve, the "
    "comparison with the noisy measurements, and every synthetic table made from these"
)
NOT_COVERED = (
    "column names and types, declared bounds and categories (which count as public), comparisons with the "
    "original table, other runs on the same table (epsilons add up), running times, and "
)
IN_WORDS = ("imposed", "together", "losses", "untold")
IN_ALL_TABLES = "with all its rows in all tables"
MORE_ROWS = {
    True: "several rows of the same person as a whole (the privacy unit is one row)",
    False: "persons that this column does not distinguish (rows where it is missing count as one person's)",
}
UNUSED_ROWS = "persons that this column does not distinguish; rows that name no person were not used"
RELATIONS = {True: "add or remove one row", False: "add or remove one unit with all its rows"}


def relation_of(unit: str) -> str:
    """Which tables are neighbours for a privacy unit.

    >>> relation_of("one row")
    'add or remove one row'
    """
    return RELATIONS[unit == ONE_ROW]


def _finite(value: Any) -> Any:  # noqa: ANN401 - a field's value
    """Null in place of infinity, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def budget_shares(plan: PrivacyPlan) -> list[tuple[str, str, float]]:
    """Item, detail and share of the squared privacy loss of each part of a plan."""
    total = plan.base_mu**2
    items = [(m.name, m.detail, 1 / m.sigma**2) for m in plan.measurements]
    training = plan.training
    if training is not None and training.steps:
        # central limit, for the table only: q sqrt(T) / sigma is the steps' Gaussian-DP parameter
        squared = training.steps * (training.sampling_probability / training.noise_multiplier) ** 2
        total += squared
        detail = (
            f"{training.steps} steps, sampling probability {training.sampling_probability:.3g}, "
            f"noise multiplier {training.noise_multiplier:.3g}, with the loss that is shown"
        )
        items.append(("training", detail, squared))
    return [(name, detail, squared / total) for name, detail, squared in items]


@dataclass(frozen=True)
class PrivacyReceipt:
    """The receipt of one run.

    Attributes:
        plan: What was released; None without differential privacy.
        delta: Delta of the guarantee.
        epsilon: The guarantee; infinite without differential privacy, None for a test-only seed.
        epsilon_target: The budget that was asked for.
        epsilon_completed_steps: Epsilon of the completed steps alone: the guarantee if the stop did not
            depend on what was shown.
        planned_steps: Training steps that were reserved.
        completed_steps: Training steps that were made.
        sampler: How batches were drawn.
        noise: Where the noise came from.
        row_count_private: Whether the row count was measured with noise.
        backend: Who clipped and added the noise.
        versions: Versions of what the guarantee rests on.
        second_opinion: TensorFlow Privacy's own statement about the training steps.
        guarantee: 'dp', 'none' or 'test-only'.
        relation: Which tables are neighbours.
        unit: Whose privacy is protected.
        ledger_entry: The run's identifier in its owner's ledger; None if it is in none.
        imposed: Relations between columns that every synthetic row keeps, in words.
        untold: What the noise hides of the table's structure, in words.
        together: Interactions of three or four columns that the network has learned, in words.
        losses: What columns lose on the way to synthetic rows, in words.
    """

    plan: PrivacyPlan | None
    delta: float
    epsilon: float | None
    epsilon_target: float
    epsilon_completed_steps: float | None
    planned_steps: int
    completed_steps: int
    sampler: str
    noise: str
    row_count_private: bool
    backend: str
    versions: dict[str, str]
    second_opinion: str | None
    guarantee: Literal["dp", "none", "test-only"]
    relation: str = relation_of(ONE_ROW)
    unit: str = ONE_ROW
    ledger_entry: str | None = None
    imposed: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The guarantee in one sentence."""
        if self.guarantee == "none":
            return NO_GUARANTEE
        if self.guarantee == "test-only" or self.epsilon is None:
            return TEST_ONLY
        return f"epsilon = {epsilon_text(self.epsilon)} at delta = {self.delta:.3g} ({self.relation})"

    @property
    def covered(self) -> str:
        """What the guarantee covers, in words."""
        return COVERED

    @property
    def not_covered(self) -> str:
        """What the guarantee does not cover, in words."""
        if self.unit.endswith(IN_ALL_TABLES):
            return NOT_COVERED + UNUSED_ROWS
        return NOT_COVERED + MORE_ROWS[self.unit == ONE_ROW]

    @property
    def membership(self) -> MembershipBound | None:
        """What an attacker could find out of one privacy unit at most; None without a guarantee."""
        if self.guarantee != "dp" or self.plan is None:
            return None
        return membership_bound(self.plan)

    def spending(self) -> list[tuple[str, str, float]]:
        """Item, detail and share of the squared privacy loss of each part of the run."""
        return [] if self.plan is None else budget_shares(self.plan)

    def _shown_spending(self) -> list[tuple[str, str, float]]:
        """The same in plain words."""
        return [
            (item_text(name), self._shown_detail(name, detail), share)
            for name, detail, share in self.spending()
        ]

    def _shown_detail(self, name: str, detail: str) -> str:
        if name != "training" or self.plan is None or self.plan.training is None:
            return detail
        training = self.plan.training
        return (
            f"{training.steps} steps with the loss that is shown; each draws "
            f"{percent(training.sampling_probability)} of the table (sampling probability), with noise "
            f"{training.noise_multiplier:.3g} times what one drawn may change (noise multiplier)"
        )

    def structure(self) -> list[tuple[str, str]]:
        """What rows keep and lose, what was learned of columns together, what the noise hides."""
        told = [
            ("every synthetic row keeps", self.imposed),
            ("columns taken together", self.together),
            (LOST, self.losses),
            ("the noise does not tell", self.untold),
        ]
        return [(name, "; ".join(texts)) for name, texts in told if texts]

    def structure_lines(self) -> list[str]:
        """The same as sentences, besides the losses, which are told with what is left of the columns."""
        told = (entry for entry in self.structure() if entry[0] != LOST)
        return [f"{name[:1].upper()}{name[1:]}: {text}." for name, text in told]

    def facts(self) -> list[tuple[str, str]]:
        """The facts behind the guarantee, as names and texts."""
        rows = "private, measured with noise" if self.row_count_private else "declared public"
        sampler, colon, drawn = self.sampler.partition(": ")
        facts = [
            ("who is protected (privacy unit)", self.unit),
            (
                "what stays hidden (neighbours)",
                f"whether it is in the table or not: {self.relation}",
            ),
            ("row count", rows),
            ("how steps draw (sampler)", f"{drawn} ({sampler})" if colon else sampler),
            ("noise", self.noise),
            ("code that adds it (backend)", self.backend),
            ("steps", f"{self.completed_steps} of {self.planned_steps}"),
        ]
        if self.guarantee == "dp" and self.epsilon_completed_steps is not None:
            text = (
                f"{epsilon_text(self.epsilon_completed_steps)}; it counts only if training ended for a "
                "reason that has nothing to do with the data, such as a deadline"
            )
            facts.append(("epsilon of the completed steps", text))
        if self.guarantee == "dp":
            facts += [("covered", self.covered), ("not covered", self.not_covered)]
        facts += self.structure()
        if self.ledger_entry is not None:
            facts.append(("ledger", f"recorded as run {self.ledger_entry[:8]} in the owner's ledger"))
        facts.append(("versions", ", ".join(f"{k} {v}" for k, v in self.versions.items())))
        return facts

    def recompute_epsilon(self, accountant: Literal["pld", "rdp"] = "pld") -> float:
        """Epsilon computed anew from the plan's events."""
        if self.plan is None:
            return float("inf")
        return compute_epsilon(self.plan, self.delta, accountant)

    def to_dict(self) -> dict[str, Any]:
        """The document that `receipt.schema.json` describes, read back by `from_dict`.

        Besides the fields it holds what follows from them, for readers without this package: the RDP
        bound, the shares of the budget, and what is covered. Infinite figures are null.
        """
        values = {field.name: _finite(getattr(self, field.name)) for field in fields(self)}
        values["plan"] = None if self.plan is None else self.plan.to_dict()
        values |= {name: list(values[name]) for name in IN_WORDS}
        return {
            "format": FORMAT,
            "version": VERSION,
            **values,
            "epsilon_rdp": None if self.epsilon is None else _finite(self.recompute_epsilon("rdp")),
            "spending": [{"item": i, "detail": d, "share": s} for i, d, s in self.spending()],
            "covered": self.covered if self.guarantee == "dp" else "",
            "not_covered": self.not_covered if self.guarantee == "dp" else "",
        }

    @classmethod
    def from_dict(cls, document: object) -> PrivacyReceipt:
        """Rebuild from `to_dict`.

        Raises:
            ArtifactError: A field is missing, unknown, of the wrong type or out of range.
        """
        if isinstance(document, dict) and document.get("format") == FORMAT:
            version = document.get("version")
            if isinstance(version, int) and version > VERSION:
                raise ArtifactError(
                    f"the receipt has version {shown(version)}, this package reads up to {VERSION}: "
                    "update it."
                )
        check_document(document, "receipt")
        names = [field.name for field in fields(cls)]
        values = {k: v for k, v in document.items() if k in names}  # type: ignore[attr-defined]
        if values["guarantee"] == "none":
            values |= {"epsilon": math.inf, "epsilon_target": math.inf, "epsilon_completed_steps": math.inf}
        elif values["epsilon_target"] is None or (values["guarantee"] == "dp" and values["epsilon"] is None):
            raise ArtifactError("the receipt states a guarantee without epsilon and epsilon_target.")
        try:
            plan = None if values["plan"] is None else PrivacyPlan.from_dict(values["plan"])
        except ConfigError as error:
            problem = str(error)
        else:
            words = {name: tuple(values.get(name, ())) for name in IN_WORDS}
            return cls(**{**values, **words, "plan": plan})
        raise ArtifactError(f"the receipt's plan: {problem}")

    def to_json(self) -> str:
        """The receipt as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: bytes | str) -> PrivacyReceipt:
        """Rebuild from `to_json`; ArtifactError for anything else."""
        return cls.from_dict(read_json(text))

    def to_text(self) -> str:
        """The receipt for a terminal."""
        lines = [self.headline, ""]
        bound = self.membership
        if bound is not None:
            lines += [f"{TITLE}:", f"  {in_words(bound, self.unit)}", "", f"  {' | '.join(RATES)}"]
            lines += [f"  {false:>{len(RATES[0])}} | {true}" for false, true in rates_in_words(bound)]
            lines.append("")
        for name, detail, share in self._shown_spending():
            lines.append(f"  {share:6.1%}  {name}: {detail}" if detail else f"  {share:6.1%}  {name}")
        lines += ["", *(f"  {name}: {text}" for name, text in self.facts())]
        if self.second_opinion:
            lines += ["", f"{OPINION_TITLE}:"]
            lines += [f"  {line}" for line in self.second_opinion.strip().splitlines()]
        return "\n".join(lines)

    def __html__(self) -> str:
        """The same as `to_html`: templates take it for markup."""
        return self.to_html()

    def to_html(self) -> str:
        """The receipt for a notebook: no script, readable in light and dark themes."""
        from jupyter_dpsynth.display.documents import receipt_html

        opinion = OPINION_TITLE, self.second_opinion or ""
        bound = self.membership
        attack = None
        if bound is not None:
            attack = TITLE, in_words(bound, self.unit), RATES, rates_in_words(bound)
        return receipt_html(self.headline, self._shown_spending(), self.facts(), opinion, attack)

    def __str__(self) -> str:
        """The text form."""
        return self.to_text()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.to_html()
