"""A trained model's step towards what all of its training released together."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from jupyter_dpsynth.engine.model.reference import MeasuredReference
from jupyter_dpsynth.engine.model.residuals import MeanGradient, clipped_residuals
from jupyter_dpsynth.engine.model.tape import Tape, Window
from jupyter_dpsynth.engine.model.weights import FreeWeights
from jupyter_dpsynth.engine.sampling.generation import generate_codes
from jupyter_dpsynth.engine.sampling.refining import refined
from jupyter_dpsynth.metadata import MetaExtractor
from tests.support.networks import exact_joint, one_ways, random_model
from tests.support.plans import plan_of_noise
from tests.support.tables import mixed_table

SIZES = [3, 4, 2, 5]
TABLE = 40_000
CLIP = 1.0  # nearly all rows are clipped


def plan_of(rows=TABLE, **changes):
    return replace(plan_of_noise(MetaExtractor.extract(mixed_table(20)), rows), **changes)


def reference_of(joint):
    shares = one_ways(joint)
    columns = tuple("abcdefgh"[: len(shares)])
    labels, kinds = tuple(() for _ in columns), tuple("category" for _ in columns)
    noise = tuple(np.full(len(share), 1e-4) for share in shares)
    return MeasuredReference(columns, labels, kinds, tuple(shares), noise, np.eye(0), 0.0, TABLE)


def shrunken(model, by=0.5):
    """As training leaves a model that noise keeps from going all the way; no cell is farther than that."""
    return replace(model, weights=(by * model.weights).astype(np.float32))


def tape_of(model, codes, noise, seed=0):
    """What a training that stayed at a model would have released of rows."""
    layout, free = model.layout, FreeWeights(model.layout)
    matrix = np.zeros((layout.inputs, layout.width), np.float32)
    matrix[layout.mask > 0] = (model.weights / np.where(layout.mask > 0, layout.mask, 1))[layout.mask > 0]
    parameters = np.zeros(free.size + layout.width, np.float32)
    free.vector(matrix, parameters)
    parameters[free.size :] = model.bias
    residuals = clipped_residuals(model, codes, CLIP).astype(np.float64)
    cells = np.concatenate([np.eye(size)[codes[:, j]] for j, size in enumerate(layout.sizes)], axis=1)
    sums = np.zeros(len(parameters))
    free.vector(layout.mask * (cells.T @ residuals) / len(codes), sums)
    sums[free.size :] = residuals.mean(axis=0)
    sums += np.random.default_rng(seed).normal(0, noise, len(sums))
    steps = 4
    window = Window(1, CLIP, noise * np.sqrt(steps), derived=False)
    return Tape(steps * sums, (window,) * steps, np.stack([parameters] * steps).astype(np.float16), 1.0)


def pair_error(model, joint):
    found, axes = exact_joint(model), range(joint.ndim)
    pairs = [tuple(a for a in axes if a not in pair) for pair in itertools.combinations(axes, 2)]
    return np.mean([np.abs(found.sum(axis=rest) - joint.sum(axis=rest)).sum() / 2 for rest in pairs])


def made(noise, word=1.0):
    """Pair errors of a shrunken model before and after its step, and both models."""
    truth = random_model(SIZES, strength=0.5)
    joint = exact_joint(truth)
    codes = generate_codes(truth, one_ways(joint), TABLE, np.random.default_rng(1))
    model = shrunken(truth)
    reference, tape = reference_of(joint), tape_of(model, codes, noise)
    after = refined(model, tape, reference, plan_of(snr=10.0))
    return pair_error(model, joint), pair_error(after, joint), model, after


def test_where_there_is_little_noise_a_shrunken_model_is_set_right():
    before, after, _, _ = made(noise=1e-5)
    assert after < 0.25 * before


def test_the_more_noise_the_smaller_the_step():
    moved = []
    for noise in (1e-5, 1e-3, 1e-2, 1.0):
        before, after, model, other = made(noise)
        moved.append(float(np.abs(other.weights - model.weights).max()))
        assert after < 1.05 * before
    assert moved[0] > moved[1] > moved[2] > moved[3]
    assert moved[3] < 0.01


@pytest.mark.parametrize(
    "changes", [{"unit_rows": 3}, {"gradient_sensitivity": 2.0}, {"privacy": None}], ids=str
)
def test_nothing_changes_where_a_step_is_no_noisy_sum_of_rows(changes):
    model = random_model(SIZES)
    reference = reference_of(exact_joint(model))
    tape = tape_of(model, np.zeros((10, len(SIZES)), np.int32), 0.1)
    assert refined(model, tape, reference, plan_of(**changes)) is model
    assert refined(model, None, reference, plan_of()) is model


def test_a_few_rows_tell_the_models_own_mean_gradient():
    """Leaving out which cell was drawn takes nearly all of the rows' chance away."""
    model = random_model(SIZES, strength=0.7)
    shares, random = one_ways(exact_joint(model)), np.random.default_rng(3)
    tape = tape_of(shrunken(model), np.zeros((10, len(SIZES)), np.int32), 0.1)

    def means(rows):
        joint = exact_joint(model)
        cells = random.choice(joint.size, rows, p=joint.ravel() / joint.sum())
        gradient = MeanGradient(model, tape, np.stack(np.unravel_index(cells, joint.shape), axis=1))
        plain = [
            gradient.scale(target) * gradient._products(gradient._cells_of(target), residual)
            for target, own in enumerate(gradient.own)
            for residual in [gradient._means[False][own]]
        ]
        found = [gradient.of_rows(target) for target in range(len(SIZES))]
        return [np.concatenate([each.ravel() for each in every]) for every in (plain, found)]

    exact = means(1_000_000)[0]
    errors = np.mean([[np.square(each - exact).mean() for each in means(1000)] for _ in range(20)], axis=0)
    assert errors[1] < 0.3 * errors[0]
    assert len(shares) == len(SIZES)
