"""Known mistakes of a private choice, each planted in a double of the real one, and audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from jupyter_dpsynth.engine.measuring.candidates import candidates_of
from jupyter_dpsynth.engine.measuring.interactions import Interaction, interaction_scores
from jupyter_dpsynth.engine.model.network import Layout, TabularModel
from jupyter_dpsynth.engine.model.plan import INTERACTIONS
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import ROW_PARTS, PlannedRelease, Releases
from tests.support.canary_audit import CanaryAudit, audit_canary, privacy_profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

EPSILONS = np.linspace(0.2, 8, 40)
PLAN = PrivacyPlan((GaussianMeasurement(INTERACTIONS, 0.5),))
LIKELY, UNLIKELY = 20.0, -20.0
# Two columns, balanced, and two more in which the model expects zeros: of the canary it knows neither.
SHARES = [np.array([0.5, 0.5]), np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.array([1.0, 0.0])]
BIAS = np.array([0, 0, 0, 0, LIKELY, UNLIKELY, LIKELY, UNLIKELY], dtype=np.float32)
TABLE = np.array([[0, 0, 0, 1]])
CANARY = np.array([[0, 1, 1, 1]])  # raises the score of the third column, and lowers that of the fourth


def scores_of(codes: NDArray[np.int64]) -> tuple[list[Interaction], NDArray[np.int64]]:
    """The real scores of what the first two columns tell about the others."""
    layout = Layout(np.array([2, 2, 2, 2]), np.zeros((4, 4)))
    model = TabularModel(layout, np.zeros((8, 8), np.float32), BIAS)
    made = np.array([[first, second, 0, 0] for first in (0, 1) for second in (0, 1)])
    every = candidates_of(SHARES, [0] * 4, made, np.random.default_rng(0))
    candidates = [each for each in every if each.sources == (0, 1)]
    return interaction_scores(codes, model, SHARES, candidates, 1.0)


def twice_the_scores(codes: NDArray[np.int64]) -> tuple[list[Interaction], NDArray[np.int64]]:
    """Whole L1 norms in place of half of them: their sensitivity is twice the planned one."""
    interactions, scores = scores_of(codes)
    return interactions, 2 * scores


class WithoutNoise(NoiseSource):
    """The highest score is chosen."""

    def gumbel(self, scale: float, size: int) -> NDArray[np.float64]:
        return np.zeros(size)


def audit_choice(
    noise: NoiseSource, scored: Callable[..., tuple[list[Interaction], NDArray[np.int64]]], draws: int = 1500
) -> tuple[CanaryAudit, float]:
    """Audit the choice between two interactions, in tables without and with a row.

    Returns:
        The audit, and the mu of Gaussian differential privacy that the rates of the choice show.
    """
    found = []
    for codes in (TABLE, np.concatenate([TABLE, CANARY])):
        _, scores = scored(codes)
        chosen = []
        for _ in range(draws):
            releases = Releases(noise)
            releases.admit([PlannedRelease(each) for each in PLAN.measurements])
            chosen.append(releases.allowance(INTERACTIONS).choose(scores, ROW_PARTS))
        found.append(np.array(chosen, dtype=float)[:, None])
    one, other = (float(norm.ppf(chosen.mean())) for chosen in found)
    audit = audit_canary(*found, ["which is chosen"], (EPSILONS, privacy_profile(PLAN, EPSILONS)))
    return audit, abs(one - other)
