"""Accounting: what a run releases, and the epsilon that all of it costs together.

The privacy events of dp_accounting are the only currency. A run is one composition: Gaussian
measurements and Poisson-subsampled Gaussian training steps, for neighbouring tables that differ by one
added or removed row. The reported figure is the privacy-loss-distribution (PLD) bound of the whole;
adding parts up separately would claim a third more than needed.
"""

from __future__ import annotations

import functools
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from jupyter_dpsynth.config import ONE_ROW
from jupyter_dpsynth.errors import ConfigError, shown
from jupyter_dpsynth.privacy.gaussian import check_range, gaussian_delta, gaussian_epsilon, gaussian_mu
from jupyter_dpsynth.privacy.loss import (
    DISCRETIZATION,
    LEAST_DELTA,
    distribution_holds,
    event_epsilon,
    growing_epsilons,
    rounding_delta,
    trainings_epsilon,
)
from jupyter_dpsynth.privacy.renyi import quick_epsilon

if TYPE_CHECKING:
    from collections.abc import Callable

    from dp_accounting import DpEvent

__all__ = [
    "EpsilonCurve",
    "GaussianMeasurement",
    "PrivacyPlan",
    "SampledTraining",
    "calibrate_noise_multiplier",
    "composed_epsilon",
    "compute_epsilon",
    "dpsgd_event",
    "epsilon_curve",
    "gaussian_delta",
    "gaussian_epsilon",
    "gaussian_mu",
    "max_steps",
    "rounding_tolerance",
]

COARSEST = 1e-3
ROUND_OFF = 1e-9  # floating-point slack added to every reported epsilon
CALIBRATION_TOLERANCE = 0.001  # of sigma
LEAST_COST = 1e-12  # of which there is still a logarithm
LEAST_SIGMA = 0.3  # below it the discretised loss of a sampled step needs too much memory
SMALLEST_SIGMA, LARGEST_SIGMA = 0.05, 1e6
Accountant = Literal["pld", "rdp", "quick"]
CURVE_POINTS = 20


@dataclass(frozen=True)
class GaussianMeasurement:
    """A measurement with Gaussian noise.

    Attributes:
        name: What was measured.
        sigma: Standard deviation of the noise divided by the L2 sensitivity of the whole measurement.
        detail: How many parts it has.
    """

    name: str
    sigma: float
    detail: str = ""

    def __post_init__(self) -> None:
        check_range(f"sigma of {self.name!r}", self.sigma, 0, math.inf, closed=False)


@dataclass(frozen=True)
class SampledTraining:
    """Training steps, each on a Poisson sample.

    Attributes:
        steps: Number of steps.
        sampling_probability: Chance of each row to be in a step's sample.
        noise_multiplier: Noise of a step's whole release over its whole L2 sensitivity.
    """

    steps: int
    sampling_probability: float
    noise_multiplier: float

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 0:
            raise ConfigError(f"steps = {shown(self.steps)} is not allowed: give a whole number from 0.")
        check_range("sampling_probability", self.sampling_probability, 0, 1)
        check_range("noise_multiplier", self.noise_multiplier, 0, math.inf, closed=False)


@dataclass(frozen=True)
class PrivacyPlan:
    """Everything that one run releases of its table, fixed before the table is read.

    Attributes:
        measurements: Gaussian measurements.
        training: Training steps, None if there are none.
        selection_delta: Probability, reserved out of delta, that partition selection publishes a
            category, or a single value of a number or time, which a single row brought in.
        count_delta: Part of delta that is left unused because the plan, delta included, follows from a
            noisy row count.
        unit: Whose privacy all noise was scaled for.
    """

    measurements: tuple[GaussianMeasurement, ...]
    training: SampledTraining | None = None
    selection_delta: float = 0.0
    count_delta: float = 0.0
    unit: str = ONE_ROW

    @property
    def reserved_delta(self) -> float:
        """The part of delta that is reserved, and not available to the accountant."""
        return self.selection_delta + self.count_delta

    @property
    def base_mu(self) -> float:
        """Gaussian-DP parameter of all measurements together: squares add (Dong et al., cor. 3.3)."""
        return math.sqrt(sum(1 / measurement.sigma**2 for measurement in self.measurements))

    def with_steps(self, steps: int) -> PrivacyPlan:
        """The same plan with another number of training steps."""
        if self.training is None:
            return self
        return replace(self, training=replace(self.training, steps=steps))

    def event(self) -> DpEvent:
        """The itemised composition as an event of dp_accounting."""
        from dp_accounting import dp_event

        events: list[DpEvent] = [
            dp_event.GaussianDpEvent(measurement.sigma) for measurement in self.measurements
        ]
        if self.training is not None and self.training.steps:
            events.append(dpsgd_event(**asdict(self.training)))
        return dp_event.ComposedDpEvent(events)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, read back by `from_dict`."""
        return {**asdict(self), "measurements": [asdict(each) for each in self.measurements]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PrivacyPlan:
        """Rebuild from `to_dict`."""
        training = values["training"]
        return cls(
            tuple(GaussianMeasurement(**measurement) for measurement in values["measurements"]),
            None if training is None else SampledTraining(**training),
            float(values["selection_delta"]),
            float(values["count_delta"]),
            str(values["unit"]),
        )


def dpsgd_event(steps: int, sampling_probability: float, noise_multiplier: float) -> DpEvent:
    """The event of DP-SGD: `steps` Gaussian releases, each on a Poisson sample.

    Source:
        Abadi et al. 2016, 'Deep learning with differential privacy'.
    """
    from dp_accounting import dp_event

    SampledTraining(steps, sampling_probability, noise_multiplier)  # checks the ranges
    step: DpEvent = dp_event.GaussianDpEvent(noise_multiplier)
    if sampling_probability < 1:
        step = dp_event.PoissonSampledDpEvent(sampling_probability, step)
    return dp_event.SelfComposedDpEvent(step, steps)


def compute_epsilon(plan: PrivacyPlan | DpEvent, delta: float, accountant: Accountant = "pld") -> float:
    """Upper bound on epsilon of everything in a plan, or of any event of dp_accounting.

    Args:
        plan: The plan, or an event.
        delta: Total delta, in (0, 1); what the plan reserves is taken off first.
        accountant: 'pld' for the reported figure, 'rdp' for a looser bound, 'quick' (plans only) for speed.

    Raises:
        ConfigError: Delta is out of range, or too small for what an event is made of.

    Source:
        PLD: Doroshenko et al. 2022, 'Connect the dots'. RDP: Mironov 2017; Mironov et al. 2019.
    """
    check_range("delta", delta, LEAST_DELTA, 1, closed=False)
    if not isinstance(plan, PrivacyPlan):
        return event_epsilon(plan, delta, accountant)
    left = delta - plan.reserved_delta
    check_range("delta without what is reserved", left, LEAST_DELTA, 1, closed=False)
    training = plan.training
    if training is None or training.steps == 0:
        return _epsilon(0, 1.0, 1.0, plan.base_mu, left, accountant)
    return _epsilon(
        training.steps,
        training.sampling_probability,
        training.noise_multiplier,
        plan.base_mu,
        left,
        accountant,
    )


def rounding_tolerance(plan: PrivacyPlan, delta: float) -> float:
    """Relative part of a plan's epsilon that the rounding of another machine may change.

    A part p more of delta lowers a tail bound's epsilon by less than the part p / log(1 / delta).

    Args:
        plan: The plan.
        delta: Total delta.
    """
    left = delta - plan.reserved_delta
    steps = 0 if plan.training is None else plan.training.steps
    compositions = steps + 1
    if not distribution_holds(compositions, left):
        return 0.0  # a Renyi bound, which does not depend on a transform
    return rounding_delta(compositions) / left / math.log(1 / left)


@functools.lru_cache(maxsize=4096)
def _epsilon(
    steps: int,
    probability: float,
    sigma: float,
    base_mu: float,
    delta: float,
    accountant: str = "pld",
    discretization: float = DISCRETIZATION,
) -> float:
    """Epsilon of `steps` sampled steps after measurements of base_mu, which are one Gaussian."""
    if accountant == "rdp":
        return event_epsilon(_event(((steps, probability, sigma),), base_mu), delta, "rdp") + ROUND_OFF
    quick = quick_epsilon(steps, probability, sigma, base_mu, delta) + ROUND_OFF
    if accountant == "quick":
        return quick
    # the smaller of two bounds is one; so the quick one is never below what is reported
    return min(quick, composed_epsilon(((steps, probability, sigma),), base_mu, delta, discretization))


@functools.lru_cache(maxsize=256)
def composed_epsilon(
    trainings: tuple[tuple[int, float, float], ...], base_mu: float, delta: float, discretization: float
) -> float:
    """Epsilon of several trainings and of measurements of base_mu, as one composition.

    Args:
        trainings: Steps, sampling probability and noise multiplier of each.
        base_mu: Gaussian-DP parameter of the measurements.
        delta: Delta that is left for the accountant.
        discretization: Step of the privacy loss; a coarser one errs upwards.
    """
    trainings = tuple(training for training in trainings if training[0])
    # a bound that forgets the sampling: never below the truth, exact in its own right
    unsampled = math.sqrt(base_mu**2 + sum(steps / sigma**2 for steps, _, sigma in trainings))
    if unsampled == 0:
        return 0.0
    closed = gaussian_epsilon(unsampled, delta) + ROUND_OFF
    if all(probability == 1 for _, probability, _ in trainings):  # exact in closed form
        return closed
    steps = sum(steps for steps, _, _ in trainings)
    if _has_distribution(steps, min(sigma for _, _, sigma in trainings), delta):
        epsilon = trainings_epsilon(trainings, base_mu, delta, discretization)
    else:
        epsilon = event_epsilon(_event(trainings, base_mu), delta, "rdp")
    return min(closed, epsilon + ROUND_OFF)


def _has_distribution(steps: int, sigma: float, delta: float) -> bool:
    """Whether a privacy-loss distribution of so many steps, and of measurements, is to be had and holds."""
    return sigma >= LEAST_SIGMA and distribution_holds(steps + 1, delta)


def _event(trainings: tuple[tuple[int, float, float], ...], base_mu: float) -> DpEvent:
    from dp_accounting import dp_event

    events: list[DpEvent] = [dp_event.GaussianDpEvent(1 / base_mu)] if base_mu else []
    events += [dpsgd_event(*training) for training in trainings if training[0]]
    return dp_event.ComposedDpEvent(events)


def calibrate_noise_multiplier(
    epsilon: float,
    delta: float,
    steps: int,
    sampling_probability: float,
    base_mu: float = 0.0,
    accountant: Accountant = "pld",
) -> float:
    """Smallest noise multiplier that keeps training, after measurements of base_mu, within epsilon.

    Args:
        epsilon: Target of everything together.
        delta: Delta that is left for the accountant.
        steps: Training steps.
        sampling_probability: Chance of each row to be in a step's sample.
        base_mu: Gaussian-DP parameter of the measurements.
        accountant: As for `compute_epsilon`; what a looser bound asks for is more noise than needed.

    Returns:
        A noise multiplier whose epsilon is at most the target, and within 0.2 % of the smallest one.

    Raises:
        ConfigError: The measurements alone cost more than epsilon.
    """
    SampledTraining(steps, sampling_probability, 1.0)  # checks the ranges
    spare = gaussian_mu(epsilon, delta) ** 2 - base_mu**2
    if spare <= 0:
        raise ConfigError(
            f"epsilon = {epsilon:g} is used up by the measurements before training: use a larger epsilon."
        )

    # a coarse distribution is quick and errs upwards; the reported figure, finer, is then lower
    coarse = min(max(1e-3 * epsilon, DISCRETIZATION), COARSEST)

    def cost(sigma: float, discretization: float = coarse) -> float:
        figures = steps, sampling_probability, sigma, base_mu, delta
        return _epsilon(*figures, accountant, discretization)

    # central limit: T sampled steps are about sqrt(T) q / sigma Gaussian-DP; exact without sampling
    guess = max(sampling_probability * math.sqrt(steps / spare), SMALLEST_SIGMA)
    high = _where_it_costs(cost, epsilon, guess)
    while cost(high, DISCRETIZATION) > epsilon:
        high *= 1 + CALIBRATION_TOLERANCE
    return high


def _where_it_costs(cost: Callable[[float], float], epsilon: float, guess: float) -> float:
    """The sigma that costs epsilon, within half of the tolerance, or the least one if even that costs less.

    Raises:
        ConfigError: The largest sigma costs more.
    """
    from scipy.optimize import brentq

    @functools.cache
    def excess(log_sigma: float) -> float:
        return math.log(max(cost(math.exp(log_sigma)), LEAST_COST) / epsilon)

    tolerance = CALIBRATION_TOLERANCE / 2
    lowest, highest = math.log(SMALLEST_SIGMA), math.log(LARGEST_SIGMA)
    near = far = math.log(guess)
    # epsilon falls about in proportion to sigma: this step usually leads just beyond the root
    step = math.copysign(min(abs(excess(near)) + tolerance, 1.0), excess(near))
    while (excess(far) > 0) == (excess(near) > 0):
        if excess(far) > 0 and far == highest:
            raise ConfigError(f"epsilon = {epsilon:g} cannot be reached: use a larger epsilon.")
        if excess(far) <= 0 and far == lowest:
            return SMALLEST_SIGMA
        near, far, step = far, min(max(far + step, lowest), highest), 2 * step
    return math.exp(float(brentq(excess, near, far, xtol=tolerance)))


def max_steps(
    epsilon: float,
    delta: float,
    sampling_probability: float,
    noise_multiplier: float,
    base_mu: float = 0.0,
    *,
    limit: int,
    accountant: Accountant = "pld",
) -> int:
    """The largest number of steps (at most `limit`) that epsilon allows; 0 if none.

    The arguments are those of `calibrate_noise_multiplier`, with the noise multiplier given.
    """
    SampledTraining(limit, sampling_probability, noise_multiplier)  # checks the ranges

    def fits(steps: int) -> bool:
        sigma = noise_multiplier
        return _epsilon(steps, sampling_probability, sigma, base_mu, delta, accountant) <= epsilon

    if not fits(1):  # quick, where many steps of so little noise could take a minute
        return 0
    if fits(limit):
        return limit
    low, high = 1, limit
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True)
class EpsilonCurve:
    """Upper bound on epsilon after each step, nondecreasing, exact at the end.

    Attributes:
        steps: Steps at which the bound was computed, increasing, from 0 to the last.
        epsilons: The bounds there.
    """

    steps: tuple[int, ...]
    epsilons: tuple[float, ...]

    def at(self, step: int) -> float:
        """Bound after a step: that of the next computed step, so never too low."""
        for known, epsilon in zip(self.steps, self.epsilons, strict=True):
            if known >= step:
                return epsilon
        return self.epsilons[-1]


def epsilon_curve(
    plan: PrivacyPlan, delta: float, points: int = CURVE_POINTS, accountant: Accountant = "pld"
) -> EpsilonCurve:
    """Precompute how epsilon grows over a plan's steps, so that showing it costs nothing.

    Args:
        plan: The plan.
        delta: Total delta.
        points: How many parts the steps are divided into.
        accountant: As for `compute_epsilon`.
    """
    final = compute_epsilon(plan, delta, accountant)
    training = plan.training
    if training is None or training.steps == 0:
        return EpsilonCurve((0,), (final,))
    steps = sorted({round(training.steps * part / points) for part in range(points + 1)})
    coarse = min(max(1e-3 * final, DISCRETIZATION), COARSEST)  # errs upwards
    probability, sigma = training.sampling_probability, training.noise_multiplier
    mu, left = plan.base_mu, delta - plan.reserved_delta
    if accountant == "pld" and probability < 1 and _has_distribution(training.steps, sigma, left):
        grown = growing_epsilons(steps[1:-1], probability, sigma, mu, left, coarse)
        quick = [quick_epsilon(step, probability, sigma, mu, left) for step in steps[1:-1]]
        later = [min(pair) + ROUND_OFF for pair in zip(quick, grown, strict=True)]
    else:
        later = [_epsilon(step, probability, sigma, mu, left, accountant, coarse) for step in steps[1:-1]]
    bounds = (_epsilon(0, 1.0, 1.0, mu, left, accountant), *later)
    return EpsilonCurve(tuple(steps), (*(min(bound, final) for bound in bounds), final))
