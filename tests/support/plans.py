"""Plans and their releases for tests that choose the noise of each measurement themselves."""

from __future__ import annotations

import math

import numpy as np

from jupyter_dpsynth.engine.measuring.formulas import planned_formulas
from jupyter_dpsynth.engine.measuring.orderings import planned_differences, planned_orderings
from jupyter_dpsynth.engine.measuring.resolution import needs_resolution
from jupyter_dpsynth.engine.measuring.spans import planned_spans
from jupyter_dpsynth.engine.model.plan import (
    DIFFERENCES,
    MARGINALS,
    ORDERINGS,
    PAIRS,
    RARE_CATEGORIES,
    RESOLUTION_HISTOGRAMS,
    SPANS,
    VALUE_HISTOGRAMS,
    RunPlan,
)
from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, PrivacyPlan, SampledTraining
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import Releases, StepSample, TrainingReleases
from jupyter_dpsynth.reports import StopReason


def plan_of_noise(meta, rows, *, resolutions=2.0, histograms=2.0, rare=2.0, delta=1e-4, bins=20, cells=128):
    """A plan in which each single histogram has this noise: of a resolution, of a column, of rare categories.

    Without noise (0) there is no differential privacy.
    """
    columns = len(meta.learned)
    parts = {
        RESOLUTION_HISTOGRAMS: (resolutions, sum(needs_resolution(each) for each in meta.learned)),
        VALUE_HISTOGRAMS: (histograms, columns),
        RARE_CATEGORIES: (rare, 1),
        DIFFERENCES: (histograms, planned_differences(meta)),
        MARGINALS: (histograms, columns),
        PAIRS: (histograms, columns * (columns - 1) // 2),
        ORDERINGS: (histograms, planned_orderings(meta) or planned_formulas(meta)),
        SPANS: (histograms, 3 * planned_spans(meta)),
    }
    measurements = tuple(
        GaussianMeasurement(name, noise / math.sqrt(count))
        for name, (noise, count) in parts.items()
        if count and noise
    )
    return RunPlan(
        rows=float(rows),
        columns=columns,
        delta=delta,
        privacy=PrivacyPlan(measurements, None, delta) if histograms else None,
        epsilon=math.inf,
        snr=1.0,
        bins=bins,
        cells=cells,
        learning_rate=0.1,
        weight_decay=0.0,
        clip_factor=1.0,
        pair_exponent=0.5,
        parents=None,
        picks=0,
        ends_by=StopReason.FINISHED,
        unit_rows=1,
        exact_training=None if histograms else SampledTraining(1, 1.0, 1.0),
    )


def releases_of(plan, noise, kind=Releases, **options):
    """The releases of a plan, admitted."""
    releases = kind(noise, exact=plan.privacy is None, **options)
    releases.admit(plan.releases)
    return releases


def step_of(release, indices, sigma=1.0, noise=None, share=1.0):
    """A sample of these rows, of which one release may be made; `sigma` is the accountant's noise."""
    noise = noise or NoiseSource(test_only_seed=3)
    training = SampledTraining(1, 1.0, sigma or 1.0)
    sensitivity = getattr(release, "native", release).sensitivity
    releases = TrainingReleases(training, sensitivity, noise, share=share, exact=sigma == 0)
    return StepSample(releases, np.asarray(indices, dtype=np.int64))
