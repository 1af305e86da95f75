"""The one door for private figures, watched: what goes through it, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.privacy.releases import Allowance, PlannedRelease, Releases

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import NDArray

__all__ = ["Door", "OverspentError", "check_cost"]


class OverspentError(AssertionError):
    """More goes through the door than the accountant was told, or something else does."""


@dataclass(frozen=True, eq=False)
class Told:
    """One release.

    Attributes:
        shares: Names of the measurements, and the share of each.
        exact: Exact figures, in rows or persons.
        noise: Standard deviation that a Gaussian measurement would have.
        norm: Order of the norm in which one row's change counts.
        answer: What was released.
    """

    shares: tuple[tuple[str, Fraction], ...]
    exact: NDArray[np.float64]
    noise: float
    norm: float
    answer: Any


class Door(Releases):
    """Releases that are kept, and may give the answers of another run.

    Args:
        given: A door whose answers are given again; what is asked must be the same.
    """

    def __init__(self, *arguments: Any, given: Door | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.told: list[Told] = []
        self.given = given

    @property
    def planned(self) -> dict[str, PlannedRelease]:
        """What may be released, by name."""
        return self._planned

    def release_counts(self, allowance: Allowance, exact: Any, parts: int) -> Any:
        answer = super().release_counts(allowance, exact, parts)
        return self._tell(allowance, np.asarray(exact) / parts, 2, answer)

    def release_choice(self, allowance: Allowance, exact: Any, parts: int) -> int:
        answer = super().release_choice(allowance, exact, parts)
        return int(self._tell(allowance, np.asarray(exact) / parts, np.inf, answer))

    def subsample(self, rows: int, probability: float) -> Any:
        raise NotImplementedError  # tables of tests are small

    def _tell(self, allowance: Allowance, exact: NDArray[np.float64], norm: float, answer: Any) -> Any:
        if self.given is not None:
            if len(self.told) == len(self.given.told):
                raise OverspentError(f"{allowance.shares} was not asked for the first time")
            before = self.given.told[len(self.told)]
            if (before.shares, before.exact.shape) != (allowance.shares, exact.shape):
                raise OverspentError(f"{allowance.shares} was asked for after {before.shares}")
            answer = before.answer
        self.told.append(Told(allowance.shares, exact, allowance.noise, norm, answer))
        return np.copy(answer)


def check_cost(first: Door, second: Door) -> set[str]:
    """Compare, for every release, what one row or person changes with what the accountant was told.

    The two must have been asked alike, the second one with the answers of the first.

    Returns:
        Names of the measurements whose exact figures are not the same.

    Raises:
        OverspentError: A change is larger than what was planned pays for.
    """
    if len(first.told) != len(second.told):
        raise OverspentError("not as much was released")
    changed = set()
    for one, other in zip(first.told, second.told, strict=True):
        change = float(np.linalg.norm(one.exact - other.exact, one.norm))
        paid = sum(share / first.planned[name].measurement.sigma ** 2 for name, share in one.shares)
        if (change / one.noise) ** 2 > float(paid) * (1 + 1e-6):
            raise OverspentError(f"{one.shares}: {change} with noise {one.noise}")
        changed |= {name for name, _ in one.shares if change}
    return changed
