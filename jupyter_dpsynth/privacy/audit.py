"""Auditing: what an attack could prove about epsilon, beside what is claimed.

An audit finds bugs, it cannot show that there are none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import duration, epsilon_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CANARY_ALPHA", "TrainingAudit", "shift_bound"]

CANARY_ALPHA = 1e-3  # chance that an audit of correct code raises an alarm


def shift_bound(estimates: NDArray[np.float64], confidence: float) -> float:
    """Lower confidence bound on the mean of independent estimates, `[runs]`; 0 from a single one.

    Source:
        Student 1908.
    """
    from scipy.stats import t

    runs = len(estimates)
    if runs < 2:
        return 0.0
    error = float(estimates.std(ddof=1)) / math.sqrt(runs)
    return max(0.0, float(estimates.mean()) - float(t.ppf(confidence, runs - 1)) * error)


@dataclass(frozen=True)
class TrainingAudit:
    """What an attack on simulated trainings could prove, beside what is claimed.

    Attributes:
        bound: Lower confidence bound on epsilon of the training steps; 0 if nothing is proved.
        claim: Epsilon that the steps alone are claimed to cost, at the same delta.
        epsilon: Epsilon that is claimed of everything.
        delta: Delta of all three.
        confidence: Of the bound.
        runs: Simulated trainings.
        steps: Training steps in each.
        reach: Size of the strongest canary's gradient relative to the clip norm.
        seconds: Time that it took.
        useful_seconds: About how long it must last here to prove half of the claim; None if not known.
    """

    bound: float
    claim: float
    epsilon: float
    delta: float
    confidence: float
    runs: int
    steps: int
    reach: float
    seconds: float
    useful_seconds: float | None = None

    @property
    def useful_words(self) -> str:
        """About how long an audit is useful here, as a sentence; empty if that is not known."""
        if self.useful_seconds is None:
            return ""
        return f"On this machine about {duration(self.useful_seconds)} are needed to prove half of the claim."

    @property
    def holds(self) -> bool:
        """Whether the claim has not been refuted."""
        return self.bound <= self.claim

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        if not self.holds:
            return (
                "ALARM: the lower bound is above the claim. Either the stated epsilon is wrong, or this is "
                f"the one audit in {1 / (1 - self.confidence):,.0f} that is wrong by chance: run it again, "
                "and if this repeats, report it."
            )
        if self.bound == 0:
            words = "The attack proved nothing: the claim stands, but the audit was too short to say much."
            return f"{words} {self.useful_words}".rstrip()
        return "The lower bound is below the claim: the audit has found no fault."

    @property
    def figures(self) -> list[tuple[str, str]]:
        """Names and values, the bound beside the claim."""
        return [
            (f"proved by the attack ({self.confidence:.1%} confidence)", f"epsilon >= {self.bound:.3f}"),
            ("claimed for the training steps", f"epsilon <= {epsilon_text(self.claim)}"),
            ("claimed for everything", f"epsilon <= {epsilon_text(self.epsilon)}"),
        ]

    @property
    def explanation(self) -> str:
        """How it was done and what it is worth."""
        return (
            f"The time ({duration(self.seconds)}) was enough for {self.runs} trainings of {self.steps} steps "
            "on a simulated table with the same columns, noise and sampling; the attacker knew every other "
            "row and which rows each step drew, and saw everything that the steps released (delta = "
            f"{self.delta:.2g}). An audit can find bugs; it "
            "cannot prove that there are none. It read no private row and cost no epsilon."
        )

    def to_text(self) -> str:
        """The outcome for a terminal."""
        width = max(len(name) for name, _ in self.figures)
        lines = [f"  {name:{width}}  {value}" for name, value in self.figures]
        return "\n".join([self.verdict, *lines, self.explanation])

    def to_html(self) -> str:
        """The outcome for a notebook: no script, readable in light and dark themes."""
        from jupyter_dpsynth.display.documents import audit_html

        return audit_html(self.verdict, self.figures, self.explanation)

    def __str__(self) -> str:
        """The text form."""
        return self.to_text()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.to_html()
