"""Rows under conditions: drawn from exactly the model's conditional distribution."""

import numpy as np
import pytest

from jupyter_dpsynth.engine.sampling.conditional import ConditionalSampler
from jupyter_dpsynth.engine.sampling.generation import calibrated_bias
from jupyter_dpsynth.errors import ConfigError
from tests.support.networks import counted, exact_joint, one_ways, random_model

SIZES = [3, 4, 2, 5]


def sampler(model, seed=0):
    generator = np.random.default_rng(seed)
    bias = calibrated_bias(model, one_ways(exact_joint(model)), generator)
    return ConditionalSampler(model, bias, generator)


def allowing(**cells):
    """Everything is allowed, but of some columns ('c1') only some cells, wholly or in part."""
    shares = [np.ones(size) for size in SIZES]
    for name, share in cells.items():
        shares[int(name[1:])] = np.array(share, dtype=float)
    return shares


@pytest.mark.parametrize(
    "allowed",
    [
        allowing(),
        allowing(c0=[0, 1, 0]),
        allowing(c3=[0, 0, 0, 0, 1]),
        allowing(c1=[1, 0, 0, 1], c3=[0, 1, 0.25, 0, 0]),
        allowing(c0=[1, 1, 0], c1=[0.5, 1, 0, 0.1], c2=[0, 1], c3=[1, 0, 1, 0, 0]),
    ],
)
def test_rows_follow_the_models_conditional_distribution(allowed):
    model, rows = random_model(SIZES), 40_000
    joint = exact_joint(model)
    expected = joint.copy()
    for place, share in enumerate(allowed):
        expected *= share.reshape([-1 if axis == place else 1 for axis in range(len(SIZES))])
    expected /= expected.sum()
    seen = counted(sampler(model).draw(allowed, rows), SIZES)
    assert (seen[expected == 0] == 0).all()
    # by chance about sqrt(cells); what calibration adds stays small
    by_chance = np.sqrt(2 / np.pi * expected / rows).sum() / 2
    assert np.abs(seen - expected).sum() / 2 < 2 * by_chance + 0.005


def test_what_is_rare_costs_about_as_much_as_what_is_frequent(monkeypatch):
    model = random_model([6, 6, 6, 6], strength=2.0)
    joint = exact_joint(model)
    last = joint.sum(axis=(0, 1, 2))
    rare = int(np.argmin(last))
    drawn = []
    propose = ConditionalSampler._propose

    def counting(self, allowed, tilts, rows, prefix):
        drawn.append(rows)
        return propose(self, allowed, tilts, rows, prefix)

    monkeypatch.setattr(ConditionalSampler, "_propose", counting)
    allowed = [np.ones(6), np.ones(6), np.ones(6), (np.arange(6) == rare).astype(float)]
    codes = sampler(model).draw(allowed, 20_000)
    assert (codes[:, 3] == rare).all()
    assert last[rare] < 0.06
    assert sum(drawn) < 0.5 * 20_000 / last[rare]


def test_what_the_model_thinks_impossible_is_refused_rather_than_sought_for_ever():
    model = random_model(SIZES)
    shares = [np.full(size, 1 / size) for size in SIZES]
    shares[3] = np.array([0.25, 0.25, 0.25, 0.25, 0])
    generator = np.random.default_rng(0)
    never = ConditionalSampler(model, calibrated_bias(model, shares, generator), generator)
    with pytest.raises(ConfigError, match="use fewer conditions"):
        never.draw(allowing(c3=[0, 0, 0, 0, 1]), 10)
