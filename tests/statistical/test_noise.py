"""Noise and samples have the distributions that the accountant assumes."""

import random

import numpy as np
import pytest
from scipy import stats

from jupyter_dpsynth.privacy.accounting import GaussianMeasurement, gaussian_epsilon
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import PlannedRelease, Releases, partition_threshold
from jupyter_dpsynth.privacy.sampling import chunks, poisson_sample

# seeded: a statistical test that fails once in a thousand runs is no test of a change
SEED = 20


def test_normals_have_the_stated_distribution():
    draws = NoiseSource(test_only_seed=SEED).normal(400_000, 3.0)
    assert draws.dtype == np.float64
    assert abs(draws.std() / 3 - 1) < 0.005
    assert stats.kstest(draws / 3, "norm").pvalue > 1e-3


def test_normals_are_not_cut_off():
    source = NoiseSource(test_only_seed=SEED)
    draws = np.abs(source.normal(20_000_000, 1.0))
    for bound in (4.0, 5.0):
        expected = 2 * stats.norm.sf(bound) * len(draws)
        assert abs((draws > bound).sum() - expected) < 5 * np.sqrt(expected)


def test_normals_reach_where_those_of_tensorflow_end():
    # float32 normals of tf.random end at 5.678; one draw in 4e9 is beyond 6.2: this seed's is among 2e6
    assert np.abs(NoiseSource(test_only_seed=95).normal(2_000_000, 1.0)).max() > 6.3


def test_every_source_is_keyed_by_256_bits_of_the_operating_system(monkeypatch):
    asked = []

    def entropy(size):
        asked.append(size)
        return bytes([len(asked)]) * size

    monkeypatch.setattr("os.urandom", entropy)
    first, second = NoiseSource(), NoiseSource()
    assert asked == [32, 32]
    assert not np.array_equal(first.normal(8, 1.0), second.normal(8, 1.0))
    asked.clear()  # the same bytes give the same noise: there is no other source
    assert np.array_equal(
        NoiseSource().normal(8, 1.0), NoiseSource(int.from_bytes(b"\1" * 32)).normal(8, 1.0)
    )
    NoiseSource(test_only_seed=1)
    assert asked == [32]


def test_no_global_seed_fixes_the_noise():
    draws = []
    for _ in range(2):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - what a user may have done
        source = NoiseSource()
        draws.append((*source.normal(4, 1.0), *source.discrete_gaussian(4, 1e9), *source.generator.random(4)))
    assert not set(draws[0]) & set(draws[1])


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.7, 40.0])
def test_discrete_gaussian_has_its_own_probabilities(sigma):
    draws = NoiseSource(test_only_seed=SEED).discrete_gaussian(300_000, sigma)
    assert draws.dtype == np.int64
    reach = int(np.ceil(5 * sigma)) + 1
    support = np.arange(-reach, reach + 1)
    weight = np.exp(-(support**2) / (2 * sigma**2))
    expected = weight / weight.sum() * len(draws)
    observed = np.array([(draws == value).sum() for value in support])
    common = expected >= 8
    chi = ((observed - expected)[common] ** 2 / expected[common]).sum()
    assert stats.chi2.sf(chi, common.sum() - 1) > 1e-3


@pytest.mark.parametrize("sigma", [0.4, 1.0, 9.0])
def test_discrete_gaussian_has_its_own_variance(sigma):
    draws = NoiseSource(test_only_seed=SEED).discrete_gaussian(400_000, sigma)
    support = np.arange(-int(20 * sigma) - 2, int(20 * sigma) + 3)
    weight = np.exp(-(support**2) / (2 * sigma**2))
    variance = (support**2 * weight).sum() / weight.sum()
    fourth = (support**4 * weight).sum() / weight.sum()
    error = np.sqrt((fourth - variance**2) / len(draws))
    assert abs(draws.var() - variance) < 5 * error
    assert variance <= sigma**2 * (1 + 1e-12)


@pytest.mark.parametrize(("sigma", "histograms"), [(3.0, 6), (13.0, 18), (30.0, 60)])
def test_composed_discrete_noise_costs_what_the_accountant_says_of_normal_noise(sigma, histograms):
    """A single one may cost up to a few percent more at some delta; together with others it does not."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    step = 2e-4  # each distribution is rounded up to it, which adds up to half of it for each histogram
    one = pld.from_discrete_gaussian_mechanism(sigma, value_discretization_interval=step)
    exact = one.self_compose(histograms).get_epsilon_for_delta(1e-6)
    told = gaussian_epsilon(np.sqrt(histograms) / sigma, 1e-6)
    assert exact <= told + histograms * step


def test_noisy_counts_are_whole_and_spread_as_planned():
    counts = np.arange(200_000)
    planned = PlannedRelease(GaussianMeasurement("counts", 6.0))
    releases = Releases(NoiseSource(test_only_seed=SEED), [planned])
    noisy = releases.allowance("counts").counts(counts)
    assert (noisy == np.round(noisy)).all()
    assert abs((noisy - counts).std() / 6 - 1) < 0.01


def test_two_sources_share_nothing_and_a_test_seed_is_marked():
    assert not np.array_equal(NoiseSource().normal(8, 1.0), NoiseSource().normal(8, 1.0))
    assert not NoiseSource().test_only
    assert NoiseSource(test_only_seed=1).test_only


@pytest.mark.parametrize("sigma", [1.0, 9.5, 60.0])
def test_a_single_rows_category_is_published_with_probability_at_most_delta(sigma):
    threshold = partition_threshold(sigma, 1e-5)
    reach = np.arange(-int(12 * sigma) - 2, int(12 * sigma) + 3)
    weight = np.exp(-(reach**2) / (2 * sigma**2))
    passing = weight[1 + reach > threshold].sum() / weight.sum()
    assert passing <= 1e-5
    if sigma > 5:  # with less noise a whole count is a large step
        assert passing > 1e-5 / 2  # and not by being far too careful


def test_poisson_samples_have_binomial_sizes_and_treat_rows_alike():
    generator = NoiseSource(test_only_seed=SEED).generator
    rows, probability, rounds = 200, 0.1, 20_000
    sizes, hits = [], np.zeros(rows)
    for _ in range(rounds):
        sample = poisson_sample(rows, probability, generator)
        assert len(np.unique(sample)) == len(sample)
        sizes.append(len(sample))
        hits[sample] += 1
    assert abs(np.mean(sizes) - 20) < 0.15
    assert abs(np.var(sizes) / 18 - 1) < 0.06  # a fixed batch size would have variance 0
    chi = ((hits - rounds * probability) ** 2 / (rounds * probability * (1 - probability))).sum()
    assert stats.chi2.sf(chi, rows) > 1e-3


def test_rows_are_sampled_independently_of_each_other():
    generator = NoiseSource(test_only_seed=SEED).generator
    both = sum(set(poisson_sample(50, 0.2, generator).tolist()) >= {3, 17} for _ in range(20_000))
    assert abs(both / 20_000 - 0.04) < 0.006


@pytest.mark.parametrize(("count", "size"), [(0, 4), (3, 4), (4, 4), (9, 4)])
def test_chunks_lose_and_invent_no_row(count, size):
    indices = np.arange(100, 100 + count)
    parts = list(chunks(indices, size))
    assert np.concatenate(parts).tolist() == indices.tolist()
    assert max(map(len, parts)) <= size
    assert len(parts) == max(1, -(-count // size))
