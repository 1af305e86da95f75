"""Networks so small that their distribution can be computed exactly."""

from __future__ import annotations

import itertools

import numpy as np

from jupyter_dpsynth.engine.model.network import Layout, TabularModel


def random_model(sizes, *, strength=1.0, seed=0, derived=(), parents=None):
    random = np.random.default_rng(seed)
    layout = Layout.from_dependence(np.array(sizes), np.full((len(sizes),) * 2, 0.3), 0.5, parents)
    layout = layout.with_derived(derived)
    weights = (strength * random.normal(size=layout.mask.shape) * layout.mask).astype(np.float32)
    return TabularModel(layout, weights, random.normal(size=layout.width).astype(np.float32))


def exact_joint(model):
    """The model's own joint distribution, by going through every combination of cells."""
    sizes, offsets = model.layout.sizes, model.layout.offsets
    joint = np.zeros(tuple(sizes))
    for cells in itertools.product(*map(range, sizes)):
        logits, chance = model.bias.astype(float).copy(), 1.0
        for column, cell in enumerate(cells):
            block = logits[offsets[column] : offsets[column + 1]].copy()
            block += np.ravel(model.derived_logits(np.array([cells]), column))
            chance *= np.exp(block[cell]) / np.exp(block).sum()
            logits += model.weights[offsets[column] + cell]
        joint[cells] = chance
    return joint


def one_ways(joint):
    axes = range(joint.ndim)
    return [joint.sum(axis=tuple(a for a in axes if a != keep)) for keep in axes]


def counted(codes, sizes):
    joint = np.zeros(tuple(sizes))
    np.add.at(joint, tuple(codes.T), 1)
    return joint / len(codes)
