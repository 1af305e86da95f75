"""The only place where anything that was computed from private rows is released.

What may leave is planned before: the measurements that the accountant composes draw their own noise here.
A caller asks for an allowance by the measurement's name and releases figures on it, in one go or in shares
that never add up to more than the whole. A training step is one sample and one release, and there are as
many as were planned. What is not planned raises `UnplannedReleaseError` before noise is drawn, and the
message depends on no private value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.errors import UnplannedReleaseError
from jupyter_dpsynth.privacy.sampling import poisson_sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, SampledTraining
    from jupyter_dpsynth.privacy.noise import NoiseSource

__all__ = [
    "GRADIENT_NOISE",
    "LOSS_NOISE",
    "ROW_PARTS",
    "WHOLE",
    "Allowance",
    "PlannedRelease",
    "Releases",
    "StepSample",
    "StepSensitivity",
    "TrainingReleases",
    "choice_noise",
    "partition_threshold",
]

WHOLE = Fraction(1)
ROW_PARTS = 256  # distances in rows are whole numbers of such parts: whole noise leaves no trace of them
SAME = 1e-9  # relative difference by which rounding may separate two statements of one sensitivity
LOSS_COST = 0.01  # extra squared sensitivity of a step for the loss that is shown
# A step releases one vector: the gradient sum over its sensitivity, and the loss over LOSS_COST^-0.5 times
# its own. Its sensitivity is the root of 1 + LOSS_COST, by which the accountant's noise is scaled.
GRADIENT_NOISE = math.sqrt(1 + LOSS_COST)  # noise over sensitivity of the gradient, over that of the vector
LOSS_NOISE = math.sqrt((1 + LOSS_COST) / LOSS_COST)


def partition_threshold(sigma: float, delta: float, most: float = 1.0, rows: int = 1) -> float:
    """Noisy count above which an undeclared category may be published.

    A single privacy unit of so many rows may bring in so many categories, of exact counts up to `most` each;
    the chance that any of them is published is at most delta.

    Args:
        sigma: Noise of the count, which may be a weighted mean of several noisy counts.
        delta: Chance that is allowed.
        most: By how much a privacy unit changes a count at most; 1 if the unit is a row.
        rows: Most rows of a privacy unit.

    Source:
        Desfontaines, Voss, Gipson and Mandayam 2022, 'Differentially private partition selection'.

    >>> round(partition_threshold(10.0, 1e-6), 1)
    49.0
    """
    from scipy.stats import norm

    # a rounded normal is at most half a step above the normal, and so is a mean of several
    return most + 0.5 + sigma * float(norm.isf(delta / rows))


def choice_noise(mu: float) -> float:
    """Scale of the Gumbel noise with which choosing the highest of scores is mu-Gaussian-DP.

    With scores that one row changes by at most 1 and noise of scale 2 / e, the logarithm of the ratio of any
    choice's chances lies in an interval of length e (a bounded range). Of all pairs of distributions with
    that the worst one has two outcomes, of chances 1 / (1 + exp(e / 2)) and the rest, exchanged. It is as
    hard to tell apart as normals that are 2 Phi^-1(1 / (1 + exp(-e / 2))) apart, about .63 e.

    Args:
        mu: Gaussian-DP parameter, above 0, for scores that one row changes by at most 1.

    Source:
        Durfee and Rogers 2019, 'Practical differentially private top-k selection'; Dong, Durfee and Rogers
        2020, 'Optimal differential privacy composition for exponential mechanisms' (bounded range, and its
        worst pairs); Dong, Roth and Su 2022 (Gaussian DP).

    >>> round(choice_noise(0.627), 2)
    1.99
    """
    from scipy.stats import norm

    log_odds = float(norm.logcdf(mu / 2) - norm.logcdf(-mu / 2))
    return 1 / log_odds  # 2 / e, where e / 2 is the logarithm of the odds


@dataclass(frozen=True)
class PlannedRelease:
    """A measurement that the accountant composes, with what its noise is scaled by.

    Attributes:
        measurement: Its name, and its noise over the L2 sensitivity of the whole.
        sensitivity: Largest L2 change by one row, of all figures that are released together.
        unit_rows: As how many rows all rows of one privacy unit count at most.
    """

    measurement: GaussianMeasurement
    sensitivity: float = 1.0
    unit_rows: float = 1

    def noise(self, share: Fraction = WHOLE) -> float:
        """Standard deviation of the noise of every figure that is released on a share of the measurement."""
        return self.unit_rows * self.measurement.sigma * self.sensitivity * math.sqrt(1 / share)


class Releases:
    """Releases the measurements of one plan, each of them once.

    Args:
        noise: Source of the noise.
        first: What is planned, and may be released, before the whole plan is known: the row count.
        exact: Without differential privacy everything leaves as it is.

    Privacy:
        Gaussian mechanism. Shares of one measurement compose: their squared signal-to-noise ratios add up to
        at most the measurement's own.
    """

    def __init__(
        self, noise: NoiseSource, first: Iterable[PlannedRelease] = (), *, exact: bool = False
    ) -> None:
        self.exact = exact
        self._noise = noise
        self._planned = _by_name(first)
        self._drawn: dict[str, Fraction] = {}
        self._complete = False

    def admit(self, plan: Iterable[PlannedRelease]) -> None:
        """Admit the whole plan, once.

        Raises:
            UnplannedReleaseError: A plan was admitted before, or what was released already is not in this
                one with the same noise.
        """
        if self._complete:
            raise UnplannedReleaseError("A second privacy plan was given to a run that has one already.")
        planned = _by_name(plan)
        for name in self._drawn:
            if planned.get(name) != self._planned[name]:
                raise UnplannedReleaseError(
                    f"{name!r} was released as {self._planned[name]}; the plan has {planned.get(name)}."
                )
        self._planned, self._complete = planned, True

    def plans(self, name: str) -> bool:
        """Whether a measurement of this name is planned."""
        return name in self._planned

    def allowance(self, name: str, share: Fraction = WHOLE, *, sensitivity: float = 1.0) -> Allowance:
        """The right to release figures with the noise of a planned measurement.

        Args:
            name: The measurement's name.
            share: Share of the measurement that one release uses up.
            sensitivity: Largest L2 change by one row, of all figures that are released together.

        Raises:
            UnplannedReleaseError: There is no such measurement in the plan, or it has another sensitivity.
        """
        if not self.exact:
            planned = self._planned.get(name)
            if planned is None:
                known = ", ".join(map(repr, self._planned)) or "nothing"
                raise UnplannedReleaseError(f"{name!r} was asked for and is not planned. Planned: {known}.")
            if not math.isclose(planned.sensitivity, sensitivity, rel_tol=SAME):
                raise UnplannedReleaseError(
                    f"{name!r} was asked for with sensitivity {sensitivity:g}; it is planned with "
                    f"{planned.sensitivity:g}."
                )
        return Allowance(self, ((name, share),))

    def noise_of(self, shares: tuple[tuple[str, Fraction], ...]) -> float:
        """Standard deviation of the noise that these shares of measurements have together."""
        if self.exact:
            return 0.0
        noises = [self._planned[name].noise(share) for name, share in shares]
        return noises[0] if len(noises) == 1 else 1 / math.sqrt(sum(1 / noise**2 for noise in noises))

    def require_one_sensitivity(self, shares: tuple[tuple[str, Fraction], ...]) -> None:
        """Raise UnplannedReleaseError unless these measurements can be made by one release."""
        known = {} if self.exact else {name: self._planned[name] for name, _ in shares}
        if len({(each.sensitivity, each.unit_rows) for each in known.values()}) > 1:
            raise UnplannedReleaseError(
                f"{', '.join(map(repr, known))} are planned with other sensitivities."
            )

    def release_counts(
        self, allowance: Allowance, exact: NDArray[np.int64], parts: float
    ) -> NDArray[np.float64]:
        """What `Allowance.counts` gives."""
        if self.exact:
            return np.asarray(exact) / parts
        self._use_up(allowance.shares)
        noise = self._noise.whole(np.full(len(exact), parts * allowance.noise))
        return (np.asarray(exact) + noise) / parts

    def release_choice(self, allowance: Allowance, exact: NDArray[np.int64], parts: float) -> int:
        """What `Allowance.choose` gives."""
        if self.exact:
            return int(np.argmax(exact))
        self._use_up(allowance.shares)
        scale = choice_noise(1 / allowance.noise)
        return int(np.argmax(np.asarray(exact) + self._noise.gumbel(parts * scale, len(exact))))

    def subsample(self, rows: int, probability: float) -> NDArray[np.int64]:
        """A Poisson sample, for a measurement that is planned as if it saw all rows."""
        return poisson_sample(rows, probability, self._noise.generator)

    def _use_up(self, shares: tuple[tuple[str, Fraction], ...]) -> None:
        drawn = dict(self._drawn)
        for name, share in shares:
            drawn[name] = drawn.get(name, Fraction(0)) + share
            if share <= 0 or drawn[name] > WHOLE:
                raise UnplannedReleaseError(
                    f"The code asked to release {name!r} with {share} of its budget, of which only "
                    f"{WHOLE - self._drawn.get(name, 0)} is left."
                )
        self._drawn = drawn


def _by_name(planned: Iterable[PlannedRelease]) -> dict[str, PlannedRelease]:
    found: dict[str, PlannedRelease] = {}
    for each in planned:
        if found.setdefault(each.measurement.name, each) is not each:
            raise UnplannedReleaseError(f"{each.measurement.name!r} is planned twice.")
    return found


@dataclass(frozen=True)
class Allowance:
    """The right to release figures on shares of planned measurements; every release uses up the shares.

    Attributes:
        releases: Where they are released.
        shares: Names of the measurements, and the share of each.
    """

    releases: Releases
    shares: tuple[tuple[str, Fraction], ...]

    @property
    def noise(self) -> float:
        """Standard deviation of the noise of every figure, 0 without differential privacy."""
        return self.releases.noise_of(self.shares)

    def part(self, share: Fraction) -> Allowance:
        """A share of it."""
        return Allowance(self.releases, tuple((name, share * own) for name, own in self.shares))

    def joined(self, other: Allowance) -> Allowance:
        """For one release on both: the precisions of their noise add up.

        Raises:
            UnplannedReleaseError: They are planned with different sensitivities.
        """
        shares = (*self.shares, *other.shares)
        self.releases.require_one_sensitivity(shares)
        return Allowance(self.releases, shares)

    def counts(self, exact: NDArray[np.int64], parts: float = 1) -> NDArray[np.float64]:
        """Release counts with rounded Gaussian noise, float64 `[counts]`.

        Args:
            exact: Exact figures in whole parts of a row, int64 `[counts]`.
            parts: How many parts a row has; the noise is scaled to them, and the result is in rows.

        Raises:
            UnplannedReleaseError: Less than the shares that it takes is left of a measurement.

        Privacy:
            Integer noise on integers leaves no floating-point trace of the counts.
        """
        return self.releases.release_counts(self, exact, parts)

    def choose(self, exact: NDArray[np.int64], parts: float = 1) -> int:
        """Release the place of about the highest of some scores: the highest with Gumbel noise.

        Args:
            exact: Exact scores in whole parts of a row, int64 `[scores]`, at least one. One row changes each
                by at most the sensitivity.
            parts: How many parts a row has; the noise is scaled to them.

        Raises:
            UnplannedReleaseError: Less than the shares that it takes is left of a measurement.

        Privacy:
            Exponential mechanism, with the parameter at which it costs as much as the Gaussian mechanism that
            was planned: `choice_noise`.
        """
        return self.releases.release_choice(self, exact, parts)


@dataclass(frozen=True)
class StepSensitivity:
    """Largest change of a training step's sums by one privacy unit.

    Attributes:
        gradient: L2 change of the gradient sum.
        loss: Change of the loss sum, nats.
    """

    gradient: float
    loss: float

    def __str__(self) -> str:
        return f"{self.gradient:g} of the gradient and {self.loss:g} of the loss"

    def same(self, other: StepSensitivity) -> bool:
        """Whether two statements agree, up to rounding."""
        return math.isclose(self.gradient, other.gradient, rel_tol=SAME) and math.isclose(
            self.loss, other.loss, rel_tol=SAME
        )


class TrainingReleases:
    """Draws the samples and the noise of the training that the accountant was told of, step by step.

    Args:
        training: Steps, sampling probability and noise, as the accountant composes them.
        sensitivity: Largest change of a step's sums by one privacy unit.
        noise: Source of noise and samples.
        made: Steps that were made, or may have been made, before.
        share: This worker's share of the noise's variance.
        exact: Without differential privacy there is no noise.

    Attributes:
        gradient_noise: Standard deviation of the noise of the gradient sum, of all workers together.
        loss_noise: The same of the loss sum.
    """

    def __init__(
        self,
        training: SampledTraining,
        sensitivity: StepSensitivity,
        noise: NoiseSource,
        *,
        made: int = 0,
        share: float = 1.0,
        exact: bool = False,
    ) -> None:
        self.training, self.sensitivity = training, sensitivity
        multiplier = 0.0 if exact else training.noise_multiplier
        self.gradient_noise = multiplier * GRADIENT_NOISE * sensitivity.gradient
        self.loss_noise = multiplier * LOSS_NOISE * sensitivity.loss
        self._noise, self._scale, self._made, self._exact = noise, math.sqrt(share), made, exact
        self._steps: NDArray[np.float64] | None = None
        self._noise_in_steps: NDArray[np.float64] = np.zeros(0)

    @property
    def left(self) -> int:
        """How many steps may still be made."""
        return max(self.training.steps - self._made, 0)

    def handed_over(self, sensitivity: StepSensitivity) -> TrainingReleases:
        """What draws the steps that are left, for sums of another sensitivity; none is left here.

        Args:
            sensitivity: Largest change of a step's sums by one privacy unit from now on.
        """
        after = TrainingReleases(self.training, sensitivity, self._noise, made=self._made, exact=self._exact)
        after._scale, self._made = self._scale, self.training.steps
        return after

    def sample(self, population: int) -> StepSample:
        """Draw the sample of the next step.

        Args:
            population: Of how many rows, or privacy units, it is drawn.

        Raises:
            UnplannedReleaseError: All planned steps have been made.
        """
        self._require_a_step()
        indices = poisson_sample(population, self.training.sampling_probability, self._noise.generator)
        return StepSample(self, indices)

    def noise_of_a_step(
        self, steps: NDArray[np.float64], sensitivity: StepSensitivity
    ) -> NDArray[np.float64]:
        """What `StepSample.noise` gives; counts the step."""
        self._require_a_step()
        if not self.sensitivity.same(sensitivity):
            raise UnplannedReleaseError(
                f"The code asked to release a training step with sensitivity {sensitivity}; it is planned "
                f"with {self.sensitivity}."
            )
        self._made += 1
        if self._steps is not steps:  # they are the same in every step
            self._steps, self._noise_in_steps = steps, self._scale * self.gradient_noise / steps
            self._noise_in_steps[-1] = self._scale * self.loss_noise / steps[-1]
        return self._noise.whole(self._noise_in_steps)

    def _require_a_step(self) -> None:
        if not self.left:
            raise UnplannedReleaseError(
                f"The code asked for training step {self._made + 1}; {self.training.steps} are planned."
            )


class StepSample:
    """The sample of one training step, of which one release may be made.

    Args:
        releases: Draws the noise.
        indices: Positions of the sampled rows, or privacy units: private.
    """

    def __init__(self, releases: TrainingReleases, indices: NDArray[np.int64]) -> None:
        self.releases, self.indices = releases, indices
        self._released = False

    def noise(self, steps: NDArray[np.float64], sensitivity: StepSensitivity) -> NDArray[np.float64]:
        """The noise of this step's one release, to be added to its sums, in whole steps, the loss last.

        Args:
            steps: Size of one whole number of each figure of the sums, `[figures + 1]`. Only the loss's if
                another library adds noise of `gradient_noise` to the gradient sum.
            sensitivity: Largest change by one privacy unit of what is released.

        Raises:
            UnplannedReleaseError: It was released before, all planned steps have been made, or the
                sensitivity is not the planned one.

        Privacy:
            Gaussian mechanism on the joint vector of gradient and loss, rounded: post-processing, as the sums
            are whole numbers too.
        """
        if self._released:
            raise UnplannedReleaseError(
                "The code asked to release the sample of a training step a second time."
            )
        noise = self.releases.noise_of_a_step(steps, sensitivity)
        self._released = True
        return noise
