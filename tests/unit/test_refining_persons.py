"""A trained network of persons makes a step towards what training released of persons."""

import numpy as np
import pytest

from jupyter_dpsynth.engine.model.network import Layout, TabularModel
from jupyter_dpsynth.engine.model.tape import Tape, Window
from jupyter_dpsynth.engine.model.weights import FreeWeights
from jupyter_dpsynth.engine.sampling.refining import one_step
from jupyter_dpsynth.persons.refining import LEAST_PERSONS, MOST_PAIRS, MeanOfPersons, _affordable, _Together
from tests.unit.test_refining import plan_of

PERSON, GIVEN, BEFORE, OWN = range(4)  # a person's column, the same with an event, and the event's column
SIZES = np.array([3, 3, 4, 4])
SCALE = np.zeros((4, 4))
SCALE[GIVEN, OWN], SCALE[BEFORE, OWN] = 0.8, 1.2
IMPORTANCE = np.array([1.0, 0.0, 0.0, 0.6])
LAYOUT = Layout(SIZES, SCALE, importance=IMPORTANCE)
CLIP, TABLE, STEPS = 1.2, 20_000, 4  # about half of the persons are clipped


def network(strength, seed=0):
    random = np.random.default_rng(seed)
    weights = strength * random.normal(size=(LAYOUT.width, LAYOUT.width)).astype(np.float32)
    bias = random.normal(size=LAYOUT.width).astype(np.float32)
    return TabularModel(LAYOUT, weights * (LAYOUT.mask > 0), bias)


def chances(model, codes):
    """Chance of each cell of each row, of its columns that are predicted."""
    cells = one_hot(codes)
    logits = cells @ model.weights + model.bias
    parts = np.split(logits, np.cumsum(SIZES)[:-1], axis=1)
    return [np.exp(part) / np.exp(part).sum(axis=1, keepdims=True) for part in parts]


def one_hot(codes):
    return np.concatenate([(codes[:, [j]] == np.arange(size)) for j, size in enumerate(SIZES)], axis=1) * 1.0


def persons_of(model, persons, seed):
    """Rows of persons with one to three events each, drawn from a network."""
    random = np.random.default_rng(seed)
    rows, starts = [], [0]
    for _ in range(persons):
        empty = np.full((1, 4), -1)
        own = random.choice(SIZES[PERSON], p=chances(model, empty)[PERSON][0])
        rows.append([own, -1, -1, -1])
        before = -1
        for _ in range(random.integers(1, 4)):
            row = np.array([[-1, own, before, -1]])
            before = random.choice(SIZES[OWN], p=chances(model, row)[OWN][0])
            rows.append([-1, *row[0, 1:3], before])
        starts.append(len(rows))
    return np.array(rows), np.array(starts)


def gradients(model, codes, starts):
    """Each person's gradient of weights and biases, `[persons, D + 1, D]`, written out."""
    cells, found = one_hot(codes), chances(model, codes)
    errors = np.concatenate(
        [
            IMPORTANCE[j] * (codes[:, [j]] >= 0) * (chance - part)
            for j, (chance, part) in enumerate(
                zip(found, np.split(cells, np.cumsum(SIZES)[:-1], axis=1), strict=True)
            )
        ],
        axis=1,
    )
    inputs = np.concatenate([cells, np.ones((len(cells), 1))], axis=1)
    scale = np.concatenate([LAYOUT.mask, np.ones((1, LAYOUT.width))])
    whole = inputs[:, :, None] * errors[:, None, :] * scale
    return np.add.reduceat(whole, starts[:-1], axis=0)


def factors(gradient):
    return np.minimum(1, CLIP / np.sqrt((gradient**2).sum(axis=(1, 2))))


def tape_of(models, codes, starts, noise):
    """What steps that were at these networks release of persons, each in a window of its own."""
    free, random = FreeWeights(LAYOUT), np.random.default_rng(1)
    whole = np.zeros(free.size + LAYOUT.width)
    kept = np.zeros((len(models), len(whole)), np.float32)
    for model, parameters in zip(models, kept, strict=True):
        gradient = gradients(model, codes, starts)
        mean = (factors(gradient)[:, None, None] * gradient).mean(axis=0)
        sums = np.zeros_like(whole)
        free.vector(mean[:-1], sums)
        sums[free.size :] = mean[-1]
        whole += sums
        own = np.divide(model.weights, LAYOUT.mask, where=LAYOUT.mask > 0, out=LAYOUT.mask * 0)
        free.vector(own, parameters)
        parameters[free.size :] = model.bias
    whole += len(models) * random.normal(0, noise, len(whole))
    window = Window(1, CLIP, noise * np.sqrt(len(models)), derived=False)
    return Tape(whole, (window,) * len(models), kept.astype(np.float16), 1.0)


def test_of_persons_with_many_rows_only_as_many_are_looked_at_as_there_is_room_for():
    few, many, thousands = (rows * np.arange(5_001) for rows in (4, 60, 1_000))
    assert _affordable(few) == 5_000
    assert LEAST_PERSONS < _affordable(many) <= MOST_PAIRS / (60 * 59 / 2)
    assert _affordable(thousands) < LEAST_PERSONS


def test_persons_are_clipped_as_training_clips_them():
    model = network(0.7)
    codes, starts = persons_of(model, 300, 0)
    split, errors = np.cumsum(SIZES)[:-1], {}
    for target in (PERSON, OWN):
        found = chances(model, codes)[target] - np.split(one_hot(codes), split, axis=1)[target]
        errors[target] = (IMPORTANCE[target] * (codes[:, [target]] >= 0) * found).T.astype(np.float32)
    told = _Together(SCALE, codes, starts).factor(errors, CLIP)
    expected = factors(gradients(model, codes, starts))
    assert 0.2 < np.mean(expected < 1) < 0.8
    np.testing.assert_allclose(told, np.repeat(expected, np.diff(starts)), rtol=1e-5)


@pytest.mark.parametrize(("noise", "least", "most"), [(1e-5, 0.0, 0.5), (1.0, 0.98, 1.02)])
def test_a_shrunken_network_is_set_right_as_far_as_noise_allows(noise, least, most):
    truth, model = network(0.7), network(0.7)
    model.weights[:] *= 0.5
    tape = tape_of([model] * STEPS, *persons_of(truth, 3000, 1), noise)
    after = one_step(model, MeanOfPersons(model, tape, *persons_of(model, 2000, 2)), plan_of(TABLE))
    codes = persons_of(truth, 1000, 3)[0]

    def apart(one):
        rows = codes[:, OWN] >= 0
        return np.abs(chances(one, codes)[OWN] - chances(truth, codes)[OWN])[rows].sum(axis=1).mean()

    assert least <= apart(after) / apart(model) <= most


def test_a_network_that_is_right_stays_as_it_is_however_fast_the_steps_came_there():
    model, others = network(0.7), [network(strength, seed=5) for strength in (0.1, 2.0, 0.1, 2.0)]
    codes, starts = persons_of(model, 6000, 1)
    tape = tape_of([*others, model], codes, starts, 1e-5)
    after = one_step(model, MeanOfPersons(model, tape, codes, starts), plan_of(TABLE))
    moved = [np.abs(chances(after, codes)[j] - chances(model, codes)[j]).mean() for j in (PERSON, OWN)]
    assert max(moved) < 0.01
