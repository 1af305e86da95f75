"""Noise and samples have the distributions that the accountant assumes."""

import random

import numpy as np
import pytest
from scipy import stats

from jupyter_dpsynth.privacy.accounting import GaussianMeasurement
from jupyter_dpsynth.privacy.gaussian import gaussian_delta
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import PlannedRelease, Releases, partition_threshold
from jupyter_dpsynth.privacy.sampling import FixedChunks, poisson_sample

# seeded: a statistical test that fails once in a thousand runs is no test of a change
SEED = 20


FINE = 2.0**30  # standard deviation of draws that are looked at as if they were not rounded


def normals(source, size):
    """Draws of standard deviation 1, as good as not rounded."""
    return source.whole(np.full(size, FINE)) / FINE


def test_fine_noise_has_the_distribution_of_the_normal():
    draws = normals(NoiseSource(test_only_seed=SEED), 400_000)
    assert draws.dtype == np.float64
    assert abs(draws.std() - 1) < 0.005
    assert stats.kstest(draws, "norm").pvalue > 1e-3


def test_normals_are_not_cut_off():
    draws = np.abs(normals(NoiseSource(test_only_seed=SEED), 20_000_000))
    for bound in (4.0, 5.0):
        expected = 2 * stats.norm.sf(bound) * len(draws)
        assert abs((draws > bound).sum() - expected) < 5 * np.sqrt(expected)


def test_normals_reach_where_those_of_tensorflow_end():
    # float32 normals of tf.random end at 5.678; one draw in 1.5e8 is beyond 5.8: this seed's is among 2e6
    assert np.abs(normals(NoiseSource(test_only_seed=247), 2_000_000)).max() > 5.8


def test_every_source_is_keyed_by_256_bits_of_the_operating_system(monkeypatch):
    asked = []

    def entropy(size):
        asked.append(size)
        return bytes([len(asked)]) * size

    monkeypatch.setattr("os.urandom", entropy)
    first, second = NoiseSource(), NoiseSource()
    assert asked == [32, 32]
    assert not np.array_equal(normals(first, 8), normals(second, 8))
    asked.clear()  # the same bytes give the same noise: there is no other source
    one = NoiseSource()
    asked.clear()
    assert np.array_equal(normals(one, 8), normals(NoiseSource(), 8))
    NoiseSource(test_only_seed=1)
    assert asked == [32]


def test_the_generator_is_chacha20_keyed_by_all_256_bits(monkeypatch):
    keys = [bytes(32), bytes(31) + b"\1", b"\1" + bytes(31), bytes(15) + b"\x80" + bytes(16)]
    streams = []
    for key in keys:
        monkeypatch.setattr("os.urandom", lambda size, key=key: key[:size])
        streams.append(NoiseSource().generator.bit_generator.random_raw(8).astype("<u8").tobytes())
    assert len(set(streams)) == len(keys)  # every part of the key matters
    # the first block of the all-zero key, counter and nonce (RFC 8439, appendix A.1, test vector 1)
    assert streams[0].hex().startswith("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")


def test_no_global_seed_fixes_the_noise():
    draws = []
    for _ in range(2):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - what a user may have done
        source = NoiseSource()
        draws.append((*normals(source, 4), *source.generator.random(4)))
    assert not set(draws[0]) & set(draws[1])


def rounded_normal(sigma, reach=9.0):
    """Whole numbers and their probabilities as those of a rounded normal."""
    support = np.arange(-int(reach * sigma) - 2, int(reach * sigma) + 3)
    upper = stats.norm.sf((np.abs(support) - 0.5) / sigma) - stats.norm.sf((np.abs(support) + 0.5) / sigma)
    return support, upper


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.7, 40.0])
def test_noise_has_the_probabilities_of_a_rounded_normal(sigma):
    draws = NoiseSource(test_only_seed=SEED).whole(np.full(300_000, sigma))
    assert (draws == np.round(draws)).all()
    support, chances = rounded_normal(sigma)
    assert chances.sum() == pytest.approx(1)
    expected = chances * len(draws)
    observed = np.array([(draws == value).sum() for value in support])
    common = expected >= 8
    chi = ((observed - expected)[common] ** 2 / expected[common]).sum()
    assert stats.chi2.sf(chi, common.sum() - 1) > 1e-3


def test_each_draw_has_its_own_scale():
    scales = np.tile([0.0, 1.0, 1e6], 50_000)
    draws = NoiseSource(test_only_seed=SEED).whole(scales).reshape(-1, 3)
    assert not draws[:, 0].any()
    assert draws[:, 1].var() == pytest.approx(1 + 1 / 12, rel=0.03)
    assert draws[:, 2].std() == pytest.approx(1e6, rel=0.02)


@pytest.mark.parametrize("sigma", [0.7, 3.0, 13.0])
def test_rounded_noise_on_whole_numbers_costs_no_more_than_the_accountant_says_of_normal_noise(sigma):
    """The exact delta of two neighbouring counts at every epsilon, from the probabilities themselves."""
    _, chances = rounded_normal(sigma, 30)
    other = np.append(0.0, chances[:-1])  # one row more
    for epsilon in np.linspace(0.01, 3 / sigma + 1 / sigma**2, 40):
        exact = np.maximum(other - np.exp(epsilon) * chances, 0).sum()
        assert exact <= gaussian_delta(1 / sigma, epsilon) * (1 + 1e-9) + 1e-15


def test_noisy_counts_are_whole_and_spread_as_planned():
    counts = np.arange(200_000)
    planned = PlannedRelease(GaussianMeasurement("counts", 6.0))
    releases = Releases(NoiseSource(test_only_seed=SEED), [planned])
    noisy = releases.allowance("counts").counts(counts)
    assert (noisy == np.round(noisy)).all()
    assert abs((noisy - counts).std() / 6 - 1) < 0.01


def test_two_sources_share_nothing_and_a_test_seed_is_marked():
    assert not np.array_equal(normals(NoiseSource(), 8), normals(NoiseSource(), 8))
    assert not NoiseSource().test_only
    assert NoiseSource(test_only_seed=1).test_only


@pytest.mark.parametrize("sigma", [1.0, 9.5, 60.0])
def test_a_single_rows_category_is_published_with_probability_at_most_delta(sigma):
    threshold = partition_threshold(sigma, 1e-5)
    reach, weight = rounded_normal(sigma, 12)
    passing = weight[1 + reach > threshold].sum()
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


def test_the_order_of_a_sample_is_random():
    generator = NoiseSource(test_only_seed=SEED).generator
    for probability in (0.3, 1.0):
        first = np.zeros(10)
        for _ in range(4_000):
            sample = poisson_sample(10, probability, generator)
            first[sample[:1]] += 1
        assert stats.chisquare(first).pvalue > 1e-3


@pytest.mark.parametrize("count", [0, 3, 900, 1_000, 1_063, 1_064, 1_500, 9_000])
@pytest.mark.parametrize("most", [16, 500, 4_096])
def test_chunks_lose_and_invent_no_row_and_have_sizes_that_do_not_depend_on_it(count, most):
    chunks = FixedChunks(1_000, most)
    indices = np.arange(100, 100 + count)
    parts = list(chunks.of(indices))
    assert np.concatenate([part[present] for part, present in parts]).tolist() == indices.tolist()
    assert not np.concatenate([part[~present] for part, present in parts]).any()
    sizes = [len(part) for part, _ in parts]
    longer = [len(part) for part, _ in chunks.of(np.arange(20_000))]
    assert sizes == longer[: len(sizes)]
    assert max(sizes) <= most
    assert len(sizes) >= 1
