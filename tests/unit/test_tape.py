"""The tape: a sum of what the steps released, whose noise is known, and a function of nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.model.tape import Tape, Window, windows_of
from jupyter_dpsynth.engine.training.taping import StepRelease, TapeRecorder
from jupyter_dpsynth.errors import ArtifactError, ConfigError
from jupyter_dpsynth.inference.rows import required_tape
from jupyter_dpsynth.persistence import load
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.tables import mixed_table

RELEASE = StepRelease(clip_norm=2.0, noise=6.0, divisor=3.0, sampling_probability=0.5, derived=False)


class Sums:
    """The sums of one step, all of one value."""

    def __init__(self, value, weights, biases):
        self.weights, self.bias = np.full(weights, value), np.full(biases, -value)


def recorded(steps, weights=4, biases=2, planned=40, release=RELEASE, first=1, earlier=None):
    recorder = TapeRecorder(weights, biases, planned, release)
    recorder.go_on_from(earlier)
    for step in range(first, first + steps):
        values = np.full(weights + biases, step, np.float32)
        recorder.add(Sums(float(step), weights, biases), values, step)
    return recorder.tape()


def test_a_tape_adds_up_what_the_steps_released_and_keeps_the_middle_of_each_window():
    tape = recorded(40)
    assert tape.sums.tolist() == pytest.approx([40 * 41 / 2 / 3] * 4 + [-40 * 41 / 2 / 3] * 2)
    assert tape.steps == 40
    assert [window.steps for window in tape.windows] == [2] * 20
    assert tape.parameters[:, 0].tolist() == list(range(2, 41, 2))
    assert tape.noise_of(derived=False) == pytest.approx(6 / 3 / np.sqrt(40))


def test_a_tape_goes_on_after_a_stop_as_if_there_had_been_none():
    whole = recorded(40)
    again = recorded(18, first=23, earlier=recorded(22))
    assert again.sums == pytest.approx(whole.sums)
    assert (again.windows, again.parameters.tolist()) == (whole.windows, whole.parameters.tolist())


def test_weights_of_derived_features_come_between_the_others_and_the_biases():
    grown = replace(RELEASE, clip_norm=3.0, noise=9.0, derived=True)
    tape = recorded(20, weights=7, release=grown, first=21, earlier=recorded(20))
    before, after = 20 * 21 / 2 / 3, (40 * 41 - 20 * 21) / 2 / 3
    assert tape.sums == pytest.approx([before + after] * 4 + [after] * 3 + [-before - after] * 2)
    assert (tape.parameters[0].tolist(), tape.parameters[-1].tolist()) == (
        [2.0] * 4 + [0.0] * 3 + [2.0] * 2,
        [40.0] * 9,
    )
    assert (tape.steps_with(derived=False), tape.steps_with(derived=True)) == (40, 20)
    assert tape.noise_of(derived=True) == pytest.approx(9 / 3 / np.sqrt(20))
    assert tape.noise_of(derived=False) == pytest.approx(np.sqrt(20 * 2**2 + 20 * 3**2) / 40)


def test_a_network_that_is_too_large_has_no_tape():
    assert recorded(3, weights=2_000_000, planned=3) is None
    assert windows_of(2_000_001) == 0


def test_no_parameter_becomes_infinite_in_two_bytes():
    recorder = TapeRecorder(1, 1, 4, RELEASE)
    recorder.add(Sums(1.0, 1, 1), np.array([1e30, -1e30], np.float32), 1)
    assert np.isfinite(recorder.tape().parameters).all()


def with_tape(synthesizer, seed=0):
    """The same with a tape of noise."""
    layout = synthesizer.learned.model.layout
    generator, figures = np.random.default_rng(seed), len(layout.free) + layout.width
    windows = (Window(10, 2.0, 0.1, derived=False),) * 2
    values = generator.normal(size=(2, figures)).astype(np.float16)
    tape = Tape(generator.normal(size=figures).astype(np.float32).astype(np.float64), windows, values, 0.3)
    return HighDimSynthesizer.restore(synthesizer.config, replace(synthesizer.learned, tape=tape))


@pytest.fixture(scope="module")
def model():
    return untrained(mixed_table(600, seed=71))


def test_a_saved_model_holds_the_tape(model, tmp_path):
    synthesizer = with_tape(model)
    synthesizer.save(tmp_path / "model.dps")
    _, learned = load(tmp_path / "model.dps")
    tape, own = learned.tape, synthesizer.learned.tape
    assert (tape.windows, tape.sampling_probability) == (own.windows, own.sampling_probability)
    assert (tape.sums.tolist(), tape.parameters.tolist()) == (own.sums.tolist(), own.parameters.tolist())


def test_a_tape_of_another_network_is_refused(model, tmp_path):
    synthesizer = with_tape(model)
    tape = synthesizer.learned.tape
    cut = replace(tape, sums=tape.sums[1:], parameters=tape.parameters[:, 1:])
    other = HighDimSynthesizer.restore(model.config, replace(synthesizer.learned, tape=cut))
    other.save(tmp_path / "model.dps")
    with pytest.raises(ArtifactError, match="tape does not fit"):
        HighDimSynthesizer.load(tmp_path / "model.dps")


def test_a_model_without_a_tape_says_that_intervals_need_a_new_run(model, tmp_path):
    model.save(tmp_path / "model.dps")
    loaded = HighDimSynthesizer.load(tmp_path / "model.dps")
    with pytest.raises(ConfigError, match="need a new run"):
        loaded.infer(lambda df, weights: weights @ (df["age"] * (df["group"] == "north")))
    # of one column alone its measured shares tell
    assert loaded.infer(lambda df, weights: np.average(df["age"], weights=weights)).frame["se"].iloc[0] > 0


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({"privacy_unit": "person"}, "a sum over persons"), ({"num_microbatches": 8}, "groups of rows")],
)
def test_sums_over_several_rows_that_were_clipped_together_are_no_ground_for_intervals(
    model, parameters, reason
):
    config = HighDimConfig(epsilon=1.0, **parameters)
    with pytest.raises(ConfigError, match=reason):
        required_tape(config, with_tape(model).learned)


class Poisoned:
    """The real release of a training; the table is overwritten as soon as a step's sums are released."""

    def __init__(self, inner, codes):
        self.inner, self.real = inner, codes.copy()

    def population(self, codes):
        return self.inner.population(codes)

    def release(self, weights, bias, codes, sample):
        codes[:] = self.real
        sums = self.inner.release(weights, bias, codes, sample)
        codes[:] = 0
        return sums


@pytest.mark.tensorflow
def test_a_tape_is_a_function_of_what_was_released():
    from jupyter_dpsynth.engine.training.trainer import DPTrainer
    from tests.support.planted_bugs import SIZES, Setting, training_of

    generator = np.random.default_rng(5)
    table = np.stack([generator.integers(0, size, 200) for size in SIZES], axis=1).astype(np.int32)
    tapes = []
    for poisoned in (False, True):
        setting = Setting(draws=1, steps=12, probability=0.3, rows=200)
        training = training_of(setting, NoiseSource(test_only_seed=8))
        parts, codes = training.parts, table.copy()
        release = Poisoned(parts.release, codes) if poisoned else parts.release
        trainer = DPTrainer(training.plan, release, parts.update, parts.divisor)
        trainer.train(codes, parts.releases, lambda *_: None, lambda: False)
        tapes.append(parts.update.tape)
    first, second = tapes
    assert first.steps == 12
    assert first.sums.tolist() == second.sums.tolist()
    assert (first.parameters == second.parameters).all()
    assert first.windows == second.windows
