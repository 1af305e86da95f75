"""The plan of a run: its form, which every room of the engine reads. Its rules are in `planning`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import UnplannedReleaseError
from jupyter_dpsynth.privacy.releases import (
    GRADIENT_NOISE,
    WHOLE,
    PlannedRelease,
    StepSensitivity,
    TrainingReleases,
)

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray

    from jupyter_dpsynth.privacy.accounting import PrivacyPlan, SampledTraining
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.reports import StopReason

__all__ = [
    "DIFFERENCES",
    "INTERACTIONS",
    "MARGINALS",
    "NAMED_TABLES",
    "OF_ROWS",
    "OF_UNITS",
    "ORDERINGS",
    "PAIRS",
    "RARE_CATEGORIES",
    "RESOLUTION_HISTOGRAMS",
    "ROW_COUNT",
    "SPANS",
    "STRENGTHS",
    "VALUE_HISTOGRAMS",
    "RunPlan",
    "unit_caps",
]

# The measurements by their names in receipts and ledgers, in the order in which they are made
ROW_COUNT = "row count"
RESOLUTION_HISTOGRAMS = "decimals and time resolutions"
VALUE_HISTOGRAMS = "value histograms"
RARE_CATEGORIES = "second look at unlisted names"
SPANS = "which dates are close"
DIFFERENCES = "times between columns"
MARGINALS = "one-way marginals"
PAIRS = "pair dependence"
NAMED_TABLES = "named tables"
ORDERINGS = "orderings of columns"
INTERACTIONS = "choice of interactions"  # these two after a third of the training steps
STRENGTHS = "strength of interactions"

IN_TRAINING = (INTERACTIONS, STRENGTHS)
# Every row counts fully in the row count, and where intervals for shares of rows are computed from counts
OF_ROWS = (ROW_COUNT, NAMED_TABLES)
# A privacy unit counts once where relations are tested, which a few units more or less do not decide
OF_UNITS = (SPANS, ORDERINGS)
# Parameters of a network that makes a step towards its tape after training where the signal is low, and twice
# as many where it is high: with more the step takes seconds, and brings at most a fiftieth where the noise is
# large (a fourteenth of 95,000 at epsilon 10)
MOST_REFINED = 50_000
# Rows that are drawn for that step, and up to four times as many where the signal is high: their own error
# must be below the noise. At epsilon 1 four times as many left the same error, at epsilon 10 a thirtieth less
REFINING_ROWS = 2_048
LEAST_CAP = 1.5  # between one row and all of them
SMALLEST_CLIP_FACTOR, LARGEST_CLIP_FACTOR = 0.6, 1.5


def unit_caps(unit_rows: int) -> tuple[float, ...]:
    """As how many rows all rows of a privacy unit may count at most: candidates, of which one is chosen.

    Args:
        unit_rows: Most rows of one privacy unit, which is the last candidate; the first one is 1.

    >>> unit_caps(1), unit_caps(5), unit_caps(12)
    ((1.0,), (1.0, 2.5, 5.0), (1.0, 1.5, 3.0, 6.0, 12.0))
    """
    caps = [float(unit_rows)]
    while caps[0] / 2 >= LEAST_CAP:
        caps.insert(0, caps[0] / 2)
    return tuple(caps) if unit_rows == 1 else (1.0, *caps)


@dataclass(frozen=True)
class RunPlan:
    """Every figure of one run, fixed before training. Noise is asked for by the measurement's name.

    Attributes:
        rows: Noisy row count (exact if it is public).
        columns: How many columns are learned.
        delta: Delta of the run; 0 without differential privacy.
        privacy: What is released, for the accountant; None without differential privacy.
        epsilon: The bound on everything in `privacy`, infinite without it.
        snr: Signal relative to noise, see `planning.plan`.
        bins: About how many bins a number gets.
        cells: Most cells of a categorical column.
        learning_rate: Peak learning rate.
        weight_decay: Strength of the pull of the weights to zero.
        clip_factor: What the signal allows the clip norm to be, see `clip_factor_of`.
        pair_exponent: How strongly a pair's dependence scales its weights.
        parents: On how many earlier columns each column depends at most; None for all.
        picks: How many interactions of three or four columns are chosen at most; 0 if none are looked for.
        ends_by: Whether training ends because the steps are done or because the budget is.
        unit_rows: Most rows of one privacy unit.
        cap: As how many rows all rows of one privacy unit count at most, where rows are counted.
        counted: The same relative to the rows that are counted, by which their noise is scaled: counts are
            scaled up to the row count.
        once: The same if all rows of a privacy unit count as one row.
        gradient_sensitivity: L2 change of a step's gradient sum by one privacy unit, in clip norms.
        exact_training: The steps of a training without noise (whatever noise it names is not drawn); with
            differential privacy they are in `privacy`.
    """

    rows: float
    columns: int
    delta: float
    privacy: PrivacyPlan | None
    epsilon: float
    snr: float
    bins: int
    cells: int
    learning_rate: float
    weight_decay: float
    clip_factor: float
    pair_exponent: float
    parents: int | None
    picks: int
    ends_by: StopReason
    unit_rows: int
    cap: float = 1.0
    counted: float = 1.0
    once: float = 1.0
    gradient_sensitivity: float = 1.0
    exact_training: SampledTraining | None = None

    @property
    def training(self) -> SampledTraining:
        """Steps, and their sampling and noise.

        Raises:
            UnplannedReleaseError: The plan has no training.
        """
        training = self.exact_training if self.privacy is None else self.privacy.training
        if training is None:
            raise UnplannedReleaseError("training steps were asked for and are not planned.")
        return training

    @property
    def steps(self) -> int:
        """Training steps."""
        return self.training.steps

    @property
    def sampling_probability(self) -> float:
        """Chance of each row to be in a step's batch."""
        return self.training.sampling_probability

    @property
    def batch_size(self) -> float:
        """Expected rows of a step; what every sum is divided by (the actual number is private)."""
        return self.sampling_probability * self.rows

    @property
    def selection_delta(self) -> float:
        """Chance that a category or single value which one privacy unit brought in is published."""
        return 0.0 if self.privacy is None else self.privacy.selection_delta

    @property
    def pairs(self) -> int:
        """How many pairs of columns there are."""
        return self.columns * (self.columns - 1) // 2

    @property
    def noise_multiplier(self) -> float:
        """Noise of the gradient sum in clip norms, 0 without differential privacy."""
        if self.privacy is None or self.privacy.training is None:
            return 0.0
        return self.privacy.training.noise_multiplier * GRADIENT_NOISE * self.gradient_sensitivity

    @property
    def sums_rows(self) -> bool:
        """Whether a step's sum is one of rows: each is clipped by itself, and not with others."""
        return self.unit_rows == 1 and self.gradient_sensitivity == 1.0

    @property
    def most_refined(self) -> float:
        """Most parameters with which a network makes a step towards its tape; 0 without noise."""
        return 0.0 if self.privacy is None else MOST_REFINED * min(max(self.snr, 1.0), 2.0)

    @property
    def refining_rows(self) -> int:
        """How many rows, or persons, are drawn for that step."""
        return round(REFINING_ROWS * min(max(self.snr, 1.0), 4.0))

    @property
    def search_step(self) -> int:
        """After how many steps interactions are looked for, whether or not the results of all are known."""
        return self.steps // 3 if self.picks else 0

    @property
    def releases(self) -> tuple[PlannedRelease, ...]:
        """What is measured before training, as `Releases` admits it."""
        return tuple(each for each in self._planned if each.measurement.name not in IN_TRAINING)

    @property
    def releases_of_search(self) -> tuple[PlannedRelease, ...]:
        """What is released when interactions are looked for, as `Releases` admits it."""
        return tuple(each for each in self._planned if each.measurement.name in IN_TRAINING)

    @property
    def _planned(self) -> tuple[PlannedRelease, ...]:
        measurements = () if self.privacy is None else self.privacy.measurements
        # one row moves each pair's distance by 1, and each chosen interaction's strength
        sensitivities = {
            ROW_COUNT: math.sqrt(len(unit_caps(self.unit_rows))),
            PAIRS: math.sqrt(self.pairs),
            STRENGTHS: math.sqrt(self.picks),
        }
        counted = dict.fromkeys(OF_ROWS, float(self.unit_rows)) | dict.fromkeys(OF_UNITS, self.once)
        return tuple(
            PlannedRelease(each, sensitivities.get(each.name, 1.0), counted.get(each.name, self.counted))
            for each in measurements
        )

    def clip_factor_of(self, sizes: NDArray[np.int64]) -> float:
        """The clip norm relative to the root mean square gradient norm of a row at the start.

        Noise is proportional to the clip norm. Where noise decides, as in all tables with many cells, nearly
        all rows are clipped, and nearly alike, which Adam does not notice. Where columns have few cells there
        is little noise, and rows that the model predicts well have small gradients: to clip the others would
        bend the result. Found on tables of 16 binary columns (1.0 was best at epsilon 1, 1.5 at 10) and of 15
        to 18 columns with 14 cells (0.6 at both).

        Args:
            sizes: Number of cells of each column.
        """
        if self.privacy is None:
            return LARGEST_CLIP_FACTOR
        factor = self.clip_factor / math.sqrt(float(sizes.mean()))
        return min(LARGEST_CLIP_FACTOR, max(SMALLEST_CLIP_FACTOR, factor))

    def noise_of(self, name: str, share: Fraction = WHOLE) -> float:
        """Noise of every figure of a measurement, in rows; 0 if it is not planned.

        Args:
            name: The measurement's name.
            share: Share of the measurement that a figure's release uses up.
        """
        found = [each.noise(share) for each in self._planned if each.measurement.name == name]
        return found[0] if found else 0.0

    def with_training(self, steps: int, sampling_probability: float) -> RunPlan:
        """The same plan with other training steps, also for the accountant."""
        training = replace(self.training, steps=steps, sampling_probability=sampling_probability)
        if self.privacy is None:
            return replace(self, exact_training=training)
        return replace(self, privacy=replace(self.privacy, training=training))

    def step_sensitivity(self, clip_norm: float, loss_bound: float) -> StepSensitivity:
        """Largest change of a training step's sums by one privacy unit.

        Args:
            clip_norm: The clip norm.
            loss_bound: Largest loss of one row, nats.
        """
        return StepSensitivity(self.gradient_sensitivity * clip_norm, self.unit_rows * loss_bound)

    def training_releases(
        self, clip_norm: float, loss_bound: float, noise: NoiseSource, *, made: int = 0, share: float = 1.0
    ) -> TrainingReleases:
        """What draws samples and noise of the planned steps.

        Args:
            clip_norm: The clip norm.
            loss_bound: Largest loss of one row, nats.
            noise: Source of noise and samples.
            made: Steps that were made, or may have been made, before.
            share: This worker's share of the noise's variance.

        Raises:
            UnplannedReleaseError: The plan has no training.
        """
        sensitivity = self.step_sensitivity(clip_norm, loss_bound)
        exact = self.privacy is None
        return TrainingReleases(self.training, sensitivity, noise, made=made, share=share, exact=exact)
