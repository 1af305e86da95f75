"""R1-R3: every row's contribution is bounded, whatever the parameters; sums are exact."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.engine.model.features import Derived
from jupyter_dpsynth.engine.model.network import Layout

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")

from jupyter_dpsynth.engine.training import distribute as scaleout
from jupyter_dpsynth.engine.training.gradient import BatchGradient, full_precision
from jupyter_dpsynth.engine.training.grid import Grid
from jupyter_dpsynth.engine.training.release import (
    MicrobatchRelease,
    NativeRelease,
    NoisySums,
    TFPrivacyRelease,
    UnitRelease,
)
from jupyter_dpsynth.errors import UnplannedReleaseError
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import GRADIENT_NOISE, LOSS_NOISE
from jupyter_dpsynth.privacy.sampling import FixedChunks
from jupyter_dpsynth.sources.bounding import PrivacyUnits
from tests.support.plans import step_of
from tests.support.planted_bugs import Setting, table_of, trainer_of, training_of

SIZES = np.array([3, 5, 2, 4])


def make_layout(seed=0):
    generator = np.random.default_rng(seed)
    scale = np.triu(generator.uniform(0.2, 2, (len(SIZES), len(SIZES))), 1)
    groups = np.array([0, 1, 1]), np.array([0, 1, 2, 2, 0])
    three = Derived((0, 1, 2), (*groups, np.array([1, 0])), 3, 1.5)
    return Layout(SIZES, scale, (Derived((0, 1), groups, 2, 0.7), three))


def make_codes(rows, seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([generator.integers(0, size, rows) for size in SIZES], axis=1).astype(np.int32)


def make_parameters(layout, seed=0, factor=1.0):
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=layout.mask.shape).astype(np.float32)
    bias = generator.normal(size=layout.width).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return tf.constant(weights * np.float32(factor)), tf.constant(bias * np.float32(factor))


def make_release(kind=NativeRelease, *, clip=1.0, expected=200.0, **options):
    return kind(BatchGradient(make_layout(), clip, 10.0, expected), **options)


def norm_of(sums):
    return float(np.sqrt((sums.weights**2).sum() + (sums.bias**2).sum()))


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 50.0, 1e10, 1e38, np.inf, np.nan]),
    st.sampled_from([1e-3, 1.0, 7.0]),
)
def test_the_clipped_contribution_of_one_row_has_bounded_norm(seed, factor, clip):
    release = make_release(clip=clip)
    parameters = make_parameters(release.gradient.layout, seed, factor)
    sums = release.clipped_sums(*parameters, make_codes(1, seed), np.array([0]))
    assert norm_of(sums) <= clip
    assert 0 <= sums.loss <= release.gradient.loss_bound


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_adding_a_row_changes_the_sum_by_at_most_the_clip_norm(seed, rows):
    release = make_release(clip=0.7)
    parameters = make_parameters(release.gradient.layout, seed)
    codes = make_codes(rows + 1, seed)
    with_row = release.clipped_sums(*parameters, codes, np.arange(rows + 1))
    without = release.clipped_sums(*parameters, codes, np.arange(rows))
    change = np.sqrt(
        ((with_row.weights - without.weights) ** 2).sum() + ((with_row.bias - without.bias) ** 2).sum()
    )
    assert change <= 0.7


def change_by_the_first_row(release, parameters, codes):
    """Norm of what the first row changes in the sums; without it every chunk holds other rows."""
    everyone = np.arange(len(codes))
    with_row = release.clipped_sums(*parameters, codes, everyone)
    without = release.clipped_sums(*parameters, codes, everyone[1:])
    return norm_of(NoisySums(with_row.weights - without.weights, with_row.bias - without.bias, 0.0))


def two_kinds_of_rows(rows, seed):
    """Equal rows make the largest sums, and each row moves every one of them to another rounding."""
    codes = np.repeat(make_codes(1, seed), rows, axis=0)
    codes[::7] = make_codes(len(codes[::7]), seed)
    return codes


class Unrounded(BatchGradient):
    """A planted bug: clipped gradients are summed as they are, in float32."""

    def _whole(self, error, factor, finite):
        return tf.math.multiply_no_nan(error, tf.where(finite, factor, 0.0)[:, None])


@pytest.mark.parametrize(("seed", "rows"), [(0, 24_577), (1, 24_577), (2, 8_193), (3, 700)])
@pytest.mark.parametrize("clip", [1e-3, 0.3])
def test_a_row_among_many_equal_ones_changes_the_sum_by_what_it_changes_alone(seed, rows, clip):
    release = make_release(clip=clip, expected=rows)
    parameters = make_parameters(release.gradient.layout, seed, 0.1)
    codes = two_kinds_of_rows(rows, seed)
    alone = norm_of(release.clipped_sums(*parameters, codes, np.array([0])))
    change = change_by_the_first_row(release, parameters, codes)
    assert change == pytest.approx(alone, rel=1e-12)
    assert 0.98 * clip < change <= clip


def test_sums_that_are_not_rounded_to_a_grid_would_be_found():
    changes = []
    for seed in range(3):
        release = NativeRelease(Unrounded(make_layout(), 0.3, 10.0, 24_577))
        parameters = make_parameters(release.gradient.layout, seed, 0.1)
        codes = two_kinds_of_rows(24_577, seed)
        alone = norm_of(release.clipped_sums(*parameters, codes, np.array([0])))
        changes.append(abs(change_by_the_first_row(release, parameters, codes) / alone - 1))
    assert max(changes) > 1e-6


@pytest.mark.parametrize("clip", [1e-3, 1.0, 30.0])
def test_sums_are_the_same_in_any_order_and_division(clip, monkeypatch):
    release = make_release(clip=clip, expected=9_000)
    parameters = make_parameters(release.gradient.layout, 5)
    codes = make_codes(9_000, 5)
    order = np.random.default_rng(0).permutation(len(codes))
    whole = release.clipped_sums(*parameters, codes, np.arange(len(codes)))
    shuffled = release.clipped_sums(*parameters, codes, order)
    grid = replace(release.gradient.grid, chunks=FixedChunks(100, 100))
    monkeypatch.setattr(release.gradient, "grid", grid)
    divided = release.clipped_sums(*parameters, codes, order)
    for other in (shuffled, divided):
        assert np.array_equal(whole.weights, other.weights)
        assert np.array_equal(whole.bias, other.bias)
        assert whole.loss == other.loss


def test_a_row_is_rounded_alike_at_every_place_but_for_one_step():
    """So one row more, which takes the place of another, changes that one by no more than is kept for it."""
    generator = np.random.default_rng(1)
    sizes = np.array([7, 19, 3, 40, 11])
    layout = Layout(sizes, np.triu(generator.uniform(0.2, 2, (5, 5)), 1))
    gradient = BatchGradient(layout, 4.0, 10.0, 1_000)
    weights, bias = make_parameters(layout)
    row = np.array([[3, 11, 0, 25, 7]], dtype=np.int32)
    found = []
    for size in (16, 272, 1_040):
        for place in (0, 5, size // 2, size - 1):
            codes = np.stack([generator.integers(0, each, size) for each in sizes], axis=1).astype(np.int32)
            codes[place] = row
            present = np.arange(size) == place
            sums = gradient.clipped_sum(weights, bias, tf.constant(codes), tf.constant(present))
            found.append(np.concatenate([part.numpy().ravel() for part in sums]))
    assert np.ptp(np.array(found), axis=0).max() <= 1


@pytest.mark.parametrize("clip", [1e-4, 0.3, 20.0])
@pytest.mark.parametrize("unit_rows", [1, 40, 3_000])
@pytest.mark.parametrize("expected", [3, 10_000])
@pytest.mark.parametrize(("columns", "cells"), [(4, 5), (60, 30)])
def test_the_grid_is_so_fine_that_it_takes_little_of_the_clip_norm(clip, unit_rows, expected, columns, cells):
    scale = np.triu(np.ones((columns, columns)), 1)
    layout = Layout(np.full(columns, cells), scale)
    grid = Grid.of(layout, clip, 10.0, unit_rows, expected, 10**6)
    assert 0.99 * clip < grid.limit < clip
    largest = grid.chunks.largest * unit_rows * (min(1, clip) / grid.step + 1)
    assert largest <= {tf.float32: 2**24, tf.float64: 2**53}[grid.dtype]


class Watched(BatchGradient):
    """Keeps the whole numbers that are summed."""

    def _summed(self, rows, whole):
        self.summed = whole.numpy()
        return super()._summed(rows, whole)


@pytest.mark.parametrize("clip", [1e-3, 1e-2, 0.5, 1.0])
@pytest.mark.parametrize("unit_rows", [2, 64])
def test_rows_of_a_unit_that_cancel_stay_within_what_is_summed_exactly(clip, unit_rows):
    """The unit's sum is then far shorter than its rows, and nothing of it is clipped."""
    gradient = Watched(Layout(np.array([2, 2]), np.triu(np.ones((2, 2)), 1)), clip, 10.0, 9_000, unit_rows)
    codes = np.zeros((1, unit_rows, 2), dtype=np.int32)
    codes[0, ::2, 1] = 1
    bias = tf.constant([20.0, -20.0, 0.0, 0.0])  # the first column is constant and known
    present = tf.ones((1, unit_rows), tf.bool)
    eager = BatchGradient.clipped_unit_sum.python_function
    eager(gradient, tf.zeros((4, 4)), bias, tf.constant(codes), present)
    exact = {tf.float32: 2**24, tf.float64: 2**53}[gradient.grid.dtype]
    assert np.abs(gradient.summed).max() > 0
    assert np.abs(gradient.summed).max() * gradient.grid.chunks.largest * unit_rows <= exact


def test_a_row_of_the_largest_loss_leaves_a_step_for_the_row_whose_place_it_takes():
    gradient = BatchGradient(make_layout(), 1.0, 10.0, 200.0)
    parameters = make_parameters(gradient.layout, factor=np.nan)
    (loss,) = gradient.whole_losses(*parameters, tf.constant(make_codes(1))).numpy()
    assert loss > 0
    assert (loss + 1) * gradient.grid.loss_step <= gradient.loss_bound * (1 + 1e-12)


def test_sums_in_float64_stay_whole_over_several_chunks():
    scale = np.triu(np.ones((60, 60)), 1)
    grid = Grid.of(Layout(np.full(60, 30), scale), 20.0, 10.0, 3_000, 10_000, 10**6)
    assert grid.dtype == tf.float64
    assert 2**16 / grid.step <= 2**53


def test_a_table_without_rows_gives_sums_of_zero_and_no_error():
    release = make_release()
    parameters = make_parameters(release.gradient.layout)
    nothing = np.zeros(0, dtype=np.int64)
    sums = release.clipped_sums(*parameters, make_codes(0), nothing)
    units = UnitRelease(
        BatchGradient(make_layout(), 1.0, 10.0, 3, 2), PrivacyUnits.adjacent(np.zeros(1, dtype=np.int64))
    )
    for found in (sums, units.clipped_sums(*parameters, make_codes(0), nothing)):
        assert norm_of(found) == found.loss == 0


@pytest.mark.long
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 30), st.integers(1, 4))
def test_one_row_changes_a_microbatch_sum_by_at_most_twice_the_clip_norm(seed, rows, groups):
    codes = make_codes(rows + 1, seed)
    sums = []
    for indices in (np.arange(rows + 1), np.arange(rows)):
        # the same seed assigns the common rows to the same groups
        generator = np.random.default_rng(seed)
        release = make_release(MicrobatchRelease, clip=0.7, groups=groups, generator=generator)
        parameters = make_parameters(release.gradient.layout, seed)
        sums.append(release.clipped_sums(*parameters, codes, indices))
    change = np.sqrt(
        ((sums[0].weights - sums[1].weights) ** 2).sum() + ((sums[0].bias - sums[1].bias) ** 2).sum()
    )
    assert change <= 2 * 0.7


def test_one_pass_clipping_equals_clipping_every_rows_own_gradient():
    release = make_release(clip=0.9)
    gradient, layout = release.gradient, release.gradient.layout
    parameters = make_parameters(layout)
    codes = make_codes(25)
    weights, bias = (part.numpy() for part in gradient.row_gradients(*parameters, tf.constant(codes)))
    norms = np.sqrt((weights**2).sum(axis=(1, 2)) + (bias**2).sum(axis=1))
    assert (norms > 0.9).any()
    factors = np.minimum(1, gradient.grid.limit / norms)
    rounding = 25 * gradient.steps.max() / 2
    sums = release.clipped_sums(*parameters, codes, np.arange(25))
    expected = (weights * factors[:, None, None]).sum(0).ravel()[layout.free]
    assert np.abs(sums.weights - expected).max() <= rounding
    assert np.abs(sums.bias - (bias * factors[:, None]).sum(0)).max() <= rounding


def test_row_gradients_are_those_of_automatic_differentiation():
    gradient = make_release().gradient
    weights, bias = (tf.Variable(part) for part in make_parameters(gradient.layout))
    codes = tf.constant(make_codes(6))
    offsets, sizes = gradient.layout.offsets, gradient.layout.sizes
    mask = tf.constant(gradient.layout.mask)
    with tf.GradientTape() as tape:
        blocks = [tf.one_hot(codes[:, j], int(s)) for j, s in enumerate(sizes)]
        blocks += [tf.one_hot(each.codes(codes.numpy()), each.size) for each in gradient.layout.derived]
        rows = tf.concat(blocks, axis=1)
        logits = rows @ (weights * mask) + bias
        losses = -sum(
            tf.reduce_sum(
                tf.nn.log_softmax(logits[:, offsets[j] : offsets[j + 1]])
                * rows[:, offsets[j] : offsets[j + 1]],
                axis=1,
            )
            for j in range(len(sizes))
        )
    expected = tape.jacobian(losses, [weights, bias])
    ours = gradient.row_gradients(weights, bias, codes)
    for mine, theirs in zip(ours, expected, strict=True):
        assert np.allclose(mine.numpy(), theirs.numpy(), atol=5e-6)


def test_an_empty_batch_still_gets_noise():
    release = make_release()
    parameters = make_parameters(release.gradient.layout)
    nothing = np.zeros(0, dtype=np.int64)
    assert norm_of(release.clipped_sums(*parameters, make_codes(3), nothing)) == 0
    released = release.release(*parameters, make_codes(3), step_of(release, nothing, 2.0))
    assert released.bias.std() > 0.5
    assert released.loss != 0


def test_every_weight_gets_noise_of_the_planned_size_once():
    release = make_release(clip=0.5)
    parameters = make_parameters(release.gradient.layout)
    nothing, noise = np.zeros(0, dtype=np.int64), NoiseSource(test_only_seed=3)
    steps = [step_of(release, nothing, 3.0, noise) for _ in range(400)]
    draws = [release.release(*parameters, make_codes(3), step) for step in steps]
    weights = np.array([draw.weights for draw in draws])
    bias = np.array([draw.bias for draw in draws])
    loss = np.array([draw.loss for draw in draws])
    for values, expected in (
        (weights, GRADIENT_NOISE * 1.5),
        (bias, GRADIENT_NOISE * 1.5),
        (loss, LOSS_NOISE * 30.0),
    ):
        count = values.size
        assert abs(values.std() / expected - 1) < 5 / np.sqrt(2 * count)
        assert abs(values.mean()) < 5 * expected / np.sqrt(count)


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_privacy") is None, reason="needs the extra tf-privacy"
)
def test_tf_privacys_query_gives_the_same_clipped_sums():
    native = make_release(clip=0.9)
    step = step_of(native, np.arange(70))
    theirs = TFPrivacyRelease(native, step.releases.gradient_noise)
    parameters = make_parameters(native.gradient.layout)
    codes = make_codes(70)
    ours = native.clipped_sums(*parameters, codes, np.arange(70))
    _, sums = theirs.clipped_sums(*parameters, codes, np.arange(70))
    # ours rounds every row's gradient, and clips it to a little less
    grid = native.gradient.grid
    rounding = 70 * native.gradient.steps.max() / 2 + 70 * (0.9 - grid.limit)
    assert np.abs(ours.weights - sums.weights).max() <= rounding
    assert np.abs(ours.bias - sums.bias).max() <= rounding
    assert ours.loss == pytest.approx(sums.loss * grid.loss_step)
    released = theirs.release(*parameters, codes, step)
    assert norm_of(released) != pytest.approx(norm_of(sums))
    with pytest.raises(UnplannedReleaseError, match="TensorFlow Privacy's query adds"):
        theirs.release(*parameters, codes, step_of(native, np.arange(70), 2.0))


def test_training_multiplies_with_all_bits_and_leaves_the_switch_of_the_process_as_it_was():
    config = tf.config.experimental
    before = config.tensor_float_32_execution_enabled()
    found, setting = [], Setting(1)

    def look(*_):
        found.append(config.tensor_float_32_execution_enabled())

    try:
        for outside in (True, False):
            config.enable_tensor_float_32_execution(outside)
            training = training_of(setting)
            trainer = trainer_of(training)
            trainer.train(table_of(setting)[0], training.parts.releases, look, lambda: False)
            assert config.tensor_float_32_execution_enabled() is outside
    finally:
        config.enable_tensor_float_32_execution(before)
    assert found == [False] * (2 * setting.steps)


def test_rounding_of_factors_to_ten_bits_would_change_whole_numbers():
    """Why products must be made with all bits: the grid's numbers have up to twelve."""
    grid = make_release().gradient.grid
    numbers = np.arange(round(1 / grid.step), dtype=np.float32)
    rounded = (numbers.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    assert (rounded != numbers).any()


def test_codes_on_a_gpu_are_picked_there():
    """TensorFlow would otherwise copy the whole table to the host in every step."""
    from tensorflow.python.framework import kernels

    registered = [
        kernel
        for kernel in kernels.get_registered_kernels_for_op("GatherV2").kernel
        if kernel.device_type == "GPU"
    ]
    if not registered:
        pytest.skip("this TensorFlow was built without GPUs")
    kinds = {
        tf.dtypes.as_dtype(number)
        for kernel in registered
        for constraint in kernel.constraint
        if constraint.name == "Tparams"
        for number in constraint.allowed_values.list.type
    }
    assert tf.dtypes.as_dtype(scaleout.RESIDENT_TYPE) in kinds
    assert np.array_equal(
        np.arange(scaleout.RESIDENT_EXACT, dtype=scaleout.RESIDENT_TYPE), np.arange(scaleout.RESIDENT_EXACT)
    )


def test_a_training_that_ends_leaves_the_precision_of_another_threads_training():
    config = tf.config.experimental
    before = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(True)
    try:
        first, second = full_precision(), full_precision()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert not config.tensor_float_32_execution_enabled()
        second.__exit__(None, None, None)
        assert config.tensor_float_32_execution_enabled()
    finally:
        config.enable_tensor_float_32_execution(before)
