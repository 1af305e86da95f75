"""The overall score of a comparison: one definition, whatever the comparison knows of the original.

    score = 100 * (1 - (distance - good) / (1 - good))

`distance` is the mean, over pairs of columns, of the total-variation distance between the two tables' joint
shares: the share of rows that would have to change for both to agree. (One column has no pairs: it stands
for itself.) `good` is what the distance would be if the synthetic table were as many real rows. The cells are
those of the model; a row whose value no synthetic row can have is in none of them, and counts as a
difference. Identifiers and the privacy unit's column are not compared.

It is the mean of SDMetrics' ContingencySimilarity over all pairs, with these cells, and corrected for chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["NOT_GIVEN", "Overall", "overall_of"]

GOOD_ERROR = 0.2  # of `good`, which is found by dividing one table at random
LEAST_ROOM = 0.1  # of the pairs' shares that two real tables would have in common
NOT_GIVEN = (
    "not given; so few rows are compared that two tables of real rows would have next to nothing in common. "
    "Compare more rows"
)
MEANING = (
    "100: pairs of columns differ no more than as many real rows would; one point less for each further "
    "hundredth of the rows that would have to change"
)
EITHER = (
    "Whether the rows are this model's own cannot be known: those of others do not share the noise of the "
    "measurements, so the score is halfway between both cases, and its error covers both"
)


@dataclass(frozen=True)
class Overall:
    """A score from 0 (nothing in common) to 100 (no difference beyond chance).

    Attributes:
        score: 0 to 100.
        error: Standard deviation of what is not known exactly, 0 if nothing is.
        apart: Score of the same columns without any dependence between them; None if it is not known.
        either: Whether the rows may or may not be the model's own, which share the measurements' noise.
    """

    score: float
    error: float
    apart: float | None = None
    either: bool = False

    @property
    def text(self) -> str:
        """The score in words.

        >>> Overall(97.2, 0.0).text, Overall(97.2, 1.4).text
        ('97 of 100', '97 of 100 (\u00b1 2)')
        """
        error = f" (\u00b1 {math.ceil(round(self.error, 1))})" if self.error else ""
        return f"{self.score:.0f} of 100{error}"

    @property
    def meaning(self) -> str:
        """What it means."""
        meaning = f"{MEANING}. {EITHER}" if self.either else MEANING
        if self.apart is None:
            return meaning
        return f"{meaning}. The same columns without any dependence between them: {self.apart:.0f}"


def overall_of(
    distance: float, good: float, *, error: float = 0.0, apart: float | None = None
) -> Overall | None:
    """Score a distance.

    Args:
        distance: Mean distance of the pairs.
        good: What it would be for real rows.
        error: Standard deviation of what is not known of `distance`.
        apart: Mean distance of columns without dependence.

    Returns:
        None if real rows would differ by nearly everything: then there is nothing to score.

    >>> overall_of(0.12, 0.02).score
    89.8
    >>> overall_of(0.95, 0.93)
    """
    room = 1 - good
    if room < LEAST_ROOM:
        return None

    def score(value: float) -> float:
        return round(100 * min(max(1 - (value - good) / room, 0.0), 1.0), 1)

    error = math.hypot(error, GOOD_ERROR * good) / room
    return Overall(score(distance), 100 * error, None if apart is None else score(apart))
