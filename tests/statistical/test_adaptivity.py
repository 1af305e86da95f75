"""The plan of a run follows from a noisy count: the promise holds all the same, for every row count."""

from dataclasses import replace

import numpy as np
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.counting import planned_count
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.loss import DISCRETIZATION
from tests.support.tables import mixed_table

DEVIATIONS = np.arange(-4.0, 5.0)  # a sum over whole standard deviations of a smooth function is its integral


def delta_after_the_count(plan, epsilons):
    """Delta of everything but the count, at each epsilon."""
    from dp_accounting.pld import PLDAccountant

    rest = tuple(m for m in plan.privacy.measurements if m.name != "row count")
    accountant = PLDAccountant(value_discretization_interval=DISCRETIZATION)
    accountant.compose(replace(plan.privacy, measurements=rest).event())
    return [accountant.get_delta(epsilon) for epsilon in epsilons]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "parameters"),
    [
        (250, {"epsilon": 1.0}),  # hardly enough rows for this epsilon: where the count is noisiest
        (250, {"epsilon": 1.0, "delta": 1e-6, "batch_size": 40}),
    ],
)
def test_the_whole_run_keeps_its_delta_whatever_the_noisy_count_was(rows, parameters):
    """Integrates over the count's noise; every noisy count has a plan of its own.

    The privacy loss of the count at noisy count y shifts the epsilon that is left for the plan of y. An
    accountant of one fixed plan cannot see that the two go together.
    """
    config = HighDimConfig(**parameters).resolve()
    meta = MetaExtractor.extract(mixed_table(50))
    sigma = planned_count(config).measurement.sigma
    weights = np.exp(-(DEVIATIONS**2) / 2)
    weights /= weights.sum()
    true, stated = np.zeros(2), 0.0
    for deviation, weight in zip(DEVIATIONS, weights, strict=True):
        plan = plan_run(config, meta, max(rows + deviation * sigma, 2.0))
        # neighbours have one row more or less
        losses = np.array([-deviation, deviation]) / sigma + 1 / (2 * sigma**2)
        true += weight * np.array(delta_after_the_count(plan, config.epsilon - losses))
        stated += weight * (plan.delta - plan.privacy.selection_delta)
    assert (true <= stated).all()
    assert (true >= 0.85 * stated).all()  # and not by spending much less than there is
