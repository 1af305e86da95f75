"""A network whose columns depend on few others is trained in blocks: the same figures, the same promises."""

import importlib.util
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.engine.model.features import Derived
from jupyter_dpsynth.engine.model.network import Layout, kept_pairs

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.forecast import assumed_metadata
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.engine.training import arrangement as arranging
from jupyter_dpsynth.engine.training.adam import AdamUpdate, Start
from jupyter_dpsynth.engine.training.arrangement import BlockArrangement, MatrixArrangement, arrange
from jupyter_dpsynth.engine.training.distribute import ReplicatedRelease, Workers
from jupyter_dpsynth.engine.training.gradient import BatchGradient
from jupyter_dpsynth.engine.training.release import (
    MicrobatchRelease,
    NativeRelease,
    NoisySums,
    TFPrivacyRelease,
    UnitRelease,
)
from jupyter_dpsynth.sources.bounding import PrivacyUnits
from tests.support.plans import step_of

SIZES = np.array([3, 5, 2, 4, 7, 3, 1, 6, 2, 5])
UNITS = PrivacyUnits.adjacent(np.array([0, 1, 4, 6, 9, 12, 13, 16, 18, 20]))


def make_layout(seed=0, parents=3):
    generator = np.random.default_rng(seed)
    dependence = generator.uniform(0, 0.5, (len(SIZES),) * 2)
    layout = Layout.from_dependence(SIZES, dependence, 0.5, parents)
    groups = np.array([0, 1, 1]), np.array([0, 1, 2, 2, 0])
    three = Derived((0, 1, 2), (*groups, np.array([1, 0])), 5, 1.5)
    return layout.with_derived([Derived((0, 1), groups, 8, 0.7), three])


def make_codes(rows, seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(0, size, rows) for size in SIZES], axis=1).astype(np.int32)


def in_both(make, monkeypatch):
    """What a function makes of a network in a matrix, and of the same in blocks."""
    found = []
    for factor, kind in ((math.inf, MatrixArrangement), (0.0, BlockArrangement)):
        monkeypatch.setattr(arranging, "INPUT_COST", factor)
        monkeypatch.setattr(arranging, "WEIGHT_COST", factor)
        monkeypatch.setattr(arranging, "GROUP_CELLS", 40)
        assert isinstance(arrange(make_layout()), kind)
        found.append(make())
    return found


def parameters(gradient, seed=0, factor=1.0):
    """The same parameters in any arrangement."""
    generator = np.random.default_rng(seed)
    arrangement = gradient.arrangement
    weights = np.zeros(arrangement.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        values = generator.normal(size=len(arrangement.places)) * factor
        weights.ravel()[arrangement.places] = values
        bias = (generator.normal(size=gradient.layout.width) * factor).astype(np.float32)
    return tf.constant(weights), tf.constant(bias)


def vector(sums):
    return np.concatenate([sums.weights, sums.bias])


def test_each_column_keeps_its_strongest_parents_and_all_weights_keep_their_order():
    dependence = np.random.default_rng(0).random((10, 10))
    kept = kept_pairs(dependence, 3)
    assert kept.sum(axis=0).tolist() == [0, 1, 2, 3, 3, 3, 3, 3, 3, 3]
    for column in range(4, 10):
        strongest = np.sort(dependence[:column, column])[-3:]
        assert np.array_equal(np.sort(dependence[kept[:, column], column]), strongest)
    assert np.array_equal(kept_pairs(dependence, None), np.triu(np.ones((10, 10), bool), 1))
    layout = make_layout()
    assert (layout.scale > 0).sum(axis=0).max() == 3
    assert np.mean(layout.scale[layout.scale > 0] ** 2) == pytest.approx(1)
    blocks = BlockArrangement(layout)
    assert np.array_equal(blocks.cells, layout.free)
    assert np.array_equal(blocks.scale, layout.mask.ravel()[layout.free])
    assert len(np.unique(blocks.places)) == len(blocks.places)


def test_blocks_are_used_where_they_are_faster():
    for columns, parents, kind in ((20, None, MatrixArrangement), (100, 6, BlockArrangement)):
        dependence = np.full((columns, columns), 0.2)
        layout = Layout.from_dependence(np.full(columns, 8), dependence, 0.5, parents)
        assert isinstance(arrange(layout), kind)


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_have_the_same_gradients_in_blocks_as_in_a_matrix(seed, monkeypatch):
    def gradients():
        gradient = BatchGradient(make_layout(), 1.0, 10.0, 20)
        weights, bias = gradient.row_gradients(*parameters(gradient, seed), tf.constant(make_codes(9, seed)))
        return weights.numpy().reshape(9, -1)[:, gradient.arrangement.places], bias.numpy()

    (weights, bias), (in_blocks, bias_in_blocks) = in_both(gradients, monkeypatch)
    assert np.allclose(weights, in_blocks, atol=1e-6)
    assert np.allclose(bias, bias_in_blocks, atol=1e-6)
    assert np.abs(weights).max() > 0.1


@pytest.mark.long
@pytest.mark.parametrize("clip", [0.5, 30.0])
@pytest.mark.parametrize("kind", ["rows", "units", "microbatches", "devices"])
def test_sums_in_blocks_are_those_of_a_matrix_up_to_rounding(kind, clip, monkeypatch):
    def found():
        gradient = BatchGradient(make_layout(), clip, 10.0, 20, 3 if kind == "units" else 1)
        at = parameters(gradient)
        codes, everyone = make_codes(20), np.arange(len(UNITS) if kind == "units" else 20)
        if kind == "devices":
            native = NativeRelease(gradient)
            replicated = ReplicatedRelease(native, Workers(tf.distribute.OneDeviceStrategy("/cpu:0")))
            (whole,) = replicated.sums(*at, codes, everyone)
            sums = NoisySums.of(whole.numpy(), native.steps, gradient.layout.width)
        elif kind == "microbatches":
            release = MicrobatchRelease(gradient, 3, np.random.default_rng(0))
            sums = release.clipped_sums(*at, codes, everyone)
        else:
            release = UnitRelease(gradient, UNITS) if kind == "units" else NativeRelease(gradient)
            sums = release.clipped_sums(*at, codes, everyone)
        return sums, gradient.steps.max()

    (matrix, step), (blocks, other_step) = in_both(found, monkeypatch)
    assert np.abs(vector(matrix)).max() > 0.1
    assert np.abs(vector(matrix) - vector(blocks)).max() <= 20 * max(step, other_step)
    assert matrix.loss == pytest.approx(blocks.loss, rel=1e-5)


@pytest.fixture
def always_in_blocks(monkeypatch):
    monkeypatch.setattr(arranging, "INPUT_COST", 0.0)
    monkeypatch.setattr(arranging, "WEIGHT_COST", 0.0)


@pytest.mark.usefixtures("always_in_blocks")
@pytest.mark.parametrize("kind", ["rows", "units"])
def test_taking_a_row_out_changes_sums_in_blocks_by_at_most_the_clip_norm(kind):
    clip = 0.7
    gradient = BatchGradient(make_layout(), clip, 10.0, 20, 3 if kind == "units" else 1)
    release = UnitRelease(gradient, UNITS) if kind == "units" else NativeRelease(gradient)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000), st.sampled_from([0.0, 1e-3, 1.0, 50.0, 1e38, np.inf, np.nan]))
    def changes(seed, factor):
        at = parameters(gradient, seed, factor)
        codes = make_codes(20, seed)
        everyone = np.arange(len(UNITS) if kind == "units" else 20)
        with_all, without = (release.clipped_sums(*at, codes, part) for part in (everyone, everyone[1:]))
        assert np.linalg.norm(vector(with_all) - vector(without)) <= clip
        assert abs(with_all.loss - without.loss) <= 10 * gradient.unit_rows

    changes()


@pytest.mark.usefixtures("always_in_blocks")
def test_sums_in_blocks_are_exact_in_any_order_and_division():
    gradient = BatchGradient(make_layout(), 0.3, 10.0, 5_000)
    release, at = NativeRelease(gradient), parameters(gradient, factor=0.1)
    codes = np.repeat(make_codes(1), 5_000, axis=0)
    codes[::7] = make_codes(len(codes[::7]))
    everyone = np.arange(len(codes))
    whole = vector(release.clipped_sums(*at, codes, everyone))
    shuffled = np.random.default_rng(0).permutation(everyone)
    assert np.array_equal(whole, vector(release.clipped_sums(*at, codes, shuffled)))
    parts = [release.batches(part) for part in (everyone, *np.array_split(shuffled, 7))]
    all_at_once, *divided = (release.whole_sums(*at, codes, part) for part in parts)
    assert np.array_equal(all_at_once, sum(divided))
    alone = np.linalg.norm(vector(release.clipped_sums(*at, codes, everyone[:1])))
    without = vector(release.clipped_sums(*at, codes, everyone[1:]))
    assert np.linalg.norm(whole - without) == pytest.approx(alone, rel=1e-12)
    assert 0.98 * 0.3 < alone <= 0.3


@pytest.mark.usefixtures("always_in_blocks")
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_privacy") is None, reason="needs the extra tf-privacy"
)
def test_tf_privacys_query_clips_rows_in_blocks_alike():
    gradient = BatchGradient(make_layout(), 0.9, 10.0, 40)
    native = NativeRelease(gradient)
    theirs = TFPrivacyRelease(native, step_of(native, np.arange(40)).releases.gradient_noise)
    at, codes = parameters(gradient), make_codes(40)
    ours = native.clipped_sums(*at, codes, np.arange(40))
    _, sums = theirs.clipped_sums(*at, codes, np.arange(40))
    rounding = 40 * (gradient.steps.max() / 2 + 0.9 - gradient.grid.limit)
    assert np.abs(vector(ours) - vector(sums)).max() <= rounding


def test_the_same_sums_give_the_same_model_in_blocks_and_go_on_with_derived_features(monkeypatch):
    layout, config = make_layout(), HighDimConfig(differential_privacy=False, steps=10)
    plan = plan_run(config.resolve(), assumed_metadata(len(SIZES)), 1_000.0)
    shares = [np.full(size, 1 / size) for size in SIZES]
    ordered = [size if size > 4 else 0 for size in SIZES]

    def trained():
        random = np.random.default_rng(0)
        update = AdamUpdate(Start(layout.with_derived(()), shares, ordered), plan)
        for step in range(1, 11):
            if step == 4:
                grown = AdamUpdate(Start(layout, shares, ordered), plan)
                grown.go_on_from(update, 3)
                update = grown
            weights = random.normal(size=len(update.state()["values"]) - layout.width)
            update.apply(NoisySums(weights, random.normal(size=layout.width), 0.0), 10.0, step)
        return update.model()

    matrix, blocks = in_both(trained, monkeypatch)
    assert np.allclose(matrix.weights, blocks.weights, atol=1e-5)
    assert np.allclose(matrix.bias, blocks.bias, atol=1e-6)
    assert np.abs(matrix.weights).max() > 0.01
