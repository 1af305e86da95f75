"""The overall score of a comparison, and what it means."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Overall", "overall_of"]

LEAST_ROOM = 0.1  # of the distance at 0; with less between 0 and 100 there is nothing to score


@dataclass(frozen=True)
class Overall:
    """A score from 0 (no dependence at all) to 100 (no difference beyond noise and chance).

    Attributes:
        score: 0 to 100.
        error: Standard deviation of the noise in it, 0 if there is none that is known.
        meaning: What 100 and 0 are.
    """

    score: float
    error: float
    meaning: str

    @property
    def text(self) -> str:
        """The score in words.

        >>> Overall(97.2, 0.0, "").text, Overall(97.2, 1.4, "").text
        ('97 of 100', '97 of 100 (± 2)')
        """
        error = f" (± {math.ceil(self.error)})" if self.error else ""
        return f"{self.score:.0f} of 100{error}"


def overall_of(
    value: float,
    good: float,
    nothing: float,
    meaning: str,
    *,
    value_error: float = 0.0,
    nothing_error: float = 0.0,
) -> Overall | None:
    """Score a distance between two others.

    Args:
        value: The distance.
        good: Where the score is 100.
        nothing: Where it is 0.
        meaning: What both are, in words.
        value_error: Standard deviation of the noise in `value`.
        nothing_error: Standard deviation of the noise in `nothing`.

    Returns:
        None if the two ends are too near to each other, by their noise too, for any score.

    >>> overall_of(0.03, 0.02, 0.12, "").score
    90.0
    >>> overall_of(0.03, 0.02, 0.021, "")
    """
    room = nothing - good
    if room <= LEAST_ROOM * abs(nothing) or room <= 2 * max(value_error, nothing_error):
        return None
    lost = (value - good) / room
    error = 100 * (value_error**2 + (lost * nothing_error) ** 2) ** 0.5 / room
    return Overall(round(min(max(100 * (1 - lost), 0.0), 100.0), 6), error, meaning)
