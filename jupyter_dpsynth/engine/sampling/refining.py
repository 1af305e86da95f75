"""Brings a trained model nearer to what all steps of its training released together, at no epsilon.

Training follows the noisy gradient of each step and soon forgets it. The sum of them all, the tape, tells
more: it is the mean over the table of a known function of a row, its clipped gradient, with little noise. If
the model were right, rows that are drawn from it would have the same mean. So the parameters make one step
of Newton's towards the mean that was released: as far as it tells more than noise, and as the model's own
word tells less than a table of as many rows. What the clip bends is mended, too, because the drawn rows are
clipped as the table's were.

Source:
    Le Cam 1956 (one-step estimators); Hoerl and Kennard 1970 (ridge regression).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from jupyter_dpsynth.engine.model.residuals import MeanGradient
from jupyter_dpsynth.engine.sampling.generation import generate_codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.engine.model.network import TabularModel
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.engine.model.residuals import Figures
    from jupyter_dpsynth.engine.model.tape import Tape

__all__ = ["one_step", "refined"]

MODEL_WORD = 1.0  # tables' worth of rows that the model's word counts for
DRAWN = 0.05  # of the variance of independent rows is left in the mean of drawn ones
SOLVER_STEPS = 12
SOLVED = 1e-4  # of the squared distance at the start


def refined(
    model: TabularModel,
    tape: Tape | None,
    reference: MeasuredReference,
    plan: RunPlan,
) -> TabularModel:
    """The model after one step towards what training released; the same where that is no mean over rows.

    Args:
        model: The trained model.
        tape: What the steps released, added up.
        reference: The noisy measurements.
        plan: Of the run.

    Privacy:
        Post-processing of released sums and of the model.
    """
    if tape is None or not plan.sums_rows or len(tape.sums) > plan.most_refined:
        return model
    # of the same releases the same model: nothing but noise is drawn anew
    codes = generate_codes(model, reference.shares, plan.refining_rows, np.random.default_rng(0))
    # the same on all workers: sums that threads share are added up in any order
    with threadpool_limits(1, user_api="blas"):
        return one_step(model, MeanGradient(model, tape, codes), plan)


def one_step(model: TabularModel, gradient: MeanGradient, plan: RunPlan) -> TabularModel:
    """The model after one step.

    Args:
        model: The trained model.
        gradient: What was released, and the model's own mean of the same.
        plan: Of the run.

    Privacy:
        Post-processing of released sums and of the model.
    """
    weights, bias = model.weights.copy(), model.bias.copy()
    for target in gradient.targets:
        released, noise = gradient.released(target)
        gap = released - gradient.of_rows(target)
        diagonal = gradient.diagonal(target)
        ridge = np.float32(MODEL_WORD * plan.rows) * (
            noise**2 + np.float32(DRAWN / gradient.drawn) * diagonal
        )
        change = _solved(gradient.information(target), -gap, ridge, diagonal)
        inputs, own = gradient.inputs[target], gradient.own[target]
        weights[inputs, own] += gradient.scale(target)[:-1] * change[:-1]
        bias[own] += change[-1]
    return replace(model, weights=weights, bias=bias)


def _solved(
    information: Callable[[Figures], Figures],
    wanted: Figures,
    ridge: Figures,
    diagonal: Figures,
) -> Figures:
    """The x with `information(x) + ridge x = wanted`, nearly: conjugate gradients.

    Args:
        information: Multiplies by a symmetric matrix that is not negative.
        wanted: Of any shape.
        ridge: Of the same shape, positive.
        diagonal: Of the matrix, of the same shape.
    """
    scale = 1 / (diagonal + ridge)
    solution, rest = np.zeros_like(wanted), wanted
    direction = scaled = scale * rest
    left = first = float(np.vdot(rest, scaled))
    for _ in range(SOLVER_STEPS):
        if left <= SOLVED * first:
            break
        image = information(direction) + ridge * direction
        length = np.float32(left / float(np.vdot(direction, image)))
        solution = solution + length * direction
        rest = rest - length * image
        scaled = scale * rest
        before, left = left, float(np.vdot(rest, scaled))
        direction = scaled + np.float32(left / before) * direction
    return solution
