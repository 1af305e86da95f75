"""Parents are chosen by distances of which the noise that they have in common with nothing is taken off."""

from types import SimpleNamespace

import numpy as np
import pytest

from jupyter_dpsynth.engine.model.dependence import estimated_dependence
from jupyter_dpsynth.engine.model.network import kept_pairs

COLUMNS, PARENTS = 120, 8


def measured(exact, noise, seed=0):
    """What a measurement with this noise gives."""
    deviations = np.triu(np.random.default_rng(seed).normal(0, noise, exact.shape), 1)
    dependence = np.clip(exact + deviations + deviations.T, 0, 1)
    np.fill_diagonal(dependence, 0)
    return SimpleNamespace(dependence=dependence, dependence_noise=noise)


def groups(seed=0):
    """Columns of six groups that depend on each other, more or less."""
    random = np.random.default_rng(seed)
    group, weight = random.integers(6, size=COLUMNS), random.uniform(0.3, 0.6, COLUMNS)
    exact = np.outer(weight, weight) * (group[:, None] == group)
    np.fill_diagonal(exact, 0)
    return exact


def couples():
    """Each column depends on one other only."""
    exact = np.zeros((COLUMNS, COLUMNS))
    first = np.arange(0, COLUMNS, 2)
    exact[first, first + 1] = exact[first + 1, first] = 0.3
    return exact


def kept_share(exact, dependence):
    """Dependence on the parents that are chosen, relative to the best ones."""
    found, best = (exact[kept_pairs(each, PARENTS)].sum() for each in (dependence, exact))
    return found / best


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_parents_of_columns_that_belong_together_are_found_in_much_noise(seed):
    exact = groups(seed)
    noisy = measured(exact, 0.1, seed)
    estimated = estimated_dependence(noisy, PARENTS)
    assert kept_share(exact, estimated) > kept_share(exact, noisy.dependence) + 0.08
    assert np.array_equal(estimated, estimated.T)
    assert estimated.min() >= 0
    assert not estimated.diagonal().any()


def test_a_pair_that_stands_out_alone_is_kept():
    exact = couples()
    noisy = measured(exact, 0.05)
    assert kept_share(exact, estimated_dependence(noisy, PARENTS)) == 1


def test_nothing_changes_without_noise_or_where_nothing_is_chosen():
    exact = groups()
    without = measured(exact, 0.0)
    assert np.array_equal(estimated_dependence(without, PARENTS), exact)
    noisy = measured(exact, 0.08)
    for parents in (None, COLUMNS - 1):
        assert estimated_dependence(noisy, parents) is noisy.dependence
