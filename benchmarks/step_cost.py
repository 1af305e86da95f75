"""What privacy costs a training step: ours, the same without clipping and noise, and other people's.

    python -m benchmarks.step_cost
    python -m benchmarks.step_cost --opacus PYTHON --tf-privacy PYTHON  # of environments that have them

One network (the sample's columns), one optimizer where it is ours, several batch sizes. All variants take
turns in one run; the figures are medians of a step's milliseconds and their ratios to the private step.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import record
from benchmarks.library_steps import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIZES = (20, 9, 19, 16, 15, 9, 17, 8, 7, 4, 4, 2, 16, 8, 4)  # cells of the census sample's columns
BATCHES = (256, 1024, 4096, 16384)
ROUNDS = 12
SECONDS = 0.5  # of one variant's turn
SLOW_BATCH = 1024  # variants that keep a gradient a row are not asked for larger batches
NOISE, CLIP = 2.0, 7.5


def random_codes(rows: int) -> NDArray[np.uint8]:
    """Rows of any values: a step's time does not depend on them."""
    random = np.random.default_rng(0)
    return np.stack([random.integers(size, size=rows) for size in SIZES], axis=1).astype(np.uint8)


def variants(  # noqa: C901, PLR0915 - one small function for each variant
    codes: NDArray[np.uint8],
) -> dict[str, Callable[[int], Callable[[], Any]]]:
    """For each variant a function from the batch size to one step."""
    import tensorflow as tf

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.datasets import load_census_sample
    from jupyter_dpsynth.engine.model.network import Layout
    from jupyter_dpsynth.engine.planning.plan import plan_run
    from jupyter_dpsynth.engine.training.adam import AdamUpdate, Start
    from jupyter_dpsynth.engine.training.gradient import BatchGradient
    from jupyter_dpsynth.engine.training.release import NativeRelease, NoisySums, TFPrivacyRelease
    from jupyter_dpsynth.metadata import MetaExtractor
    from jupyter_dpsynth.privacy.accounting import SampledTraining
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.privacy.releases import StepSample, TrainingReleases

    layout = Layout.from_dependence(np.array(SIZES), np.full((len(SIZES),) * 2, 0.2), 0.5)
    meta = MetaExtractor.extract(load_census_sample())
    plan = plan_run(HighDimConfig(epsilon=1.0).resolve(), meta, 50_000.0)
    shares = [np.full(size, 1 / size) for size in SIZES]
    gradients = {size: BatchGradient(layout, CLIP, 40.0, size) for size in BATCHES}
    gradient = gradients[BATCHES[0]]
    mask = layout.mask

    def optimizer() -> Any:  # noqa: ANN401
        return AdamUpdate(Start(layout, shares, [size if size > 15 else 0 for size in SIZES]), plan)

    natives = {size: NativeRelease(each) for size, each in gradients.items()}
    native = natives[BATCHES[0]]
    training, noise = SampledTraining(10**9, 1.0, NOISE), NoiseSource()
    planned = TrainingReleases(training, native.sensitivity, noise)

    def private(size: int) -> Callable[[], Any]:
        update, rows = optimizer(), np.arange(size)
        return lambda: apply(update, natives[size], rows)

    def apply(update: Any, release: Any, rows: Any) -> None:  # noqa: ANN401
        sample = StepSample(planned, rows)
        sums = release.release(tf.constant(update.weights), tf.constant(update.bias), codes, sample)
        update.apply(sums, len(rows), 300)

    def traced(function: Any) -> Any:  # noqa: ANN401
        shapes = (layout.width,) * 2, (layout.width,), (None, len(SIZES)), (None,)
        types = tf.float32, tf.float32, tf.int32, tf.bool
        return function.get_concrete_function(*map(tf.TensorSpec, shapes, types))

    @tf.function
    def plain_sum(weights: Any, bias: Any, rows: Any, present: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401, ARG001
        one_hot, error, losses = gradient.errors(weights, bias, rows)
        sums = tf.matmul(one_hot, error, transpose_a=True) * mask
        return sums, tf.reduce_sum(error, axis=0), tf.reduce_sum(losses)

    class NotPrivate(NativeRelease):
        """The private release with clipping and noise switched off, and all else the same."""

        def __init__(self, size: int) -> None:
            super().__init__(gradients[size])
            self._clipped_sum = traced(plain_sum)

        def release(self, weights: Any, bias: Any, codes: Any, sample: StepSample) -> NoisySums:  # noqa: ANN401
            return self.clipped_sums(weights, bias, codes, sample.indices)

    def not_private(size: int) -> Callable[[], Any]:
        update, release, rows = optimizer(), NotPrivate(size), np.arange(size)
        return lambda: apply(update, release, rows)

    @tf.function
    def tape_sum(weights: Any, bias: Any, rows: Any, present: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401, ARG001
        with tf.GradientTape() as tape:
            tape.watch((weights, bias))
            labels = [tf.one_hot(rows[:, j], size) for j, size in enumerate(SIZES)]
            logits = tf.split(tf.matmul(tf.concat(labels, 1), weights * mask) + bias, SIZES, axis=1)
            loss = tf.add_n(
                [
                    tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(a, b))
                    for a, b in zip(labels, logits, strict=True)
                ]
            )
        for_weights, for_bias = tape.gradient(loss, (weights, bias))
        return for_weights, for_bias, loss

    def by(function: Any) -> Callable[[int], Callable[[], Any]]:  # noqa: ANN401
        def of_size(size: int) -> Callable[[], Any]:
            update, rows, compute = optimizer(), np.arange(size), traced(function)

            def step() -> None:
                batch, present = tf.constant(codes[rows].astype(np.int32)), tf.ones([size], tf.bool)
                sums = compute(tf.constant(update.weights), tf.constant(update.bias), batch, present)
                for_weights = sums[0].numpy().ravel()[layout.free]
                update.apply(NoisySums(for_weights, sums[1].numpy(), float(sums[2])), size, 300)

            return step

        return of_size

    def keras_step(size: int) -> Callable[[], Any]:
        import keras

        class Masked(keras.layers.Layer):
            def build(self, shape: Any) -> None:  # noqa: ANN401, ARG002
                width = layout.width
                self.kernel = self.add_weight(shape=(width, width), initializer="zeros")
                self.bias = self.add_weight(shape=(width,), initializer="zeros")

            def call(self, inputs: Any) -> Any:  # noqa: ANN401
                rows = [tf.one_hot(inputs[:, j], size) for j, size in enumerate(SIZES)]
                return tf.matmul(tf.concat(rows, 1), self.kernel * mask) + self.bias

        def loss(labels: Any, logits: Any) -> Any:  # noqa: ANN401
            labels = tf.cast(labels, tf.int32)
            parts = enumerate(tf.split(logits, SIZES, axis=1))
            return tf.add_n(
                [tf.nn.sparse_softmax_cross_entropy_with_logits(labels[:, j], part) for j, part in parts]
            )

        model = keras.Sequential([keras.Input((len(SIZES),), dtype="int32"), Masked()])
        model.compile(optimizer=keras.optimizers.Adam(0.03), loss=loss)
        rows = codes[:size].astype(np.int32)
        return lambda: model.train_on_batch(rows, rows)

    def tf_privacy(size: int) -> Callable[[], Any]:
        release = TFPrivacyRelease(native, planned.gradient_noise)
        update, rows = optimizer(), np.arange(size)
        return lambda: apply(update, release, rows)

    return {
        "ours, private": private,
        "ours, no clipping, no noise": not_private,
        "autodiff, not private": by(tape_sum),
        "Keras train_on_batch, not private": keras_step,
        "our dp_backend tensorflow_privacy, per-row clipping": tf_privacy,
    }


def measure(size: int, functions: dict[str, Callable[[int], Callable[[], Any]]]) -> dict[str, float]:
    """Median milliseconds of each variant at one batch size; the variants take turns."""
    steps = {
        name: make(size) for name, make in functions.items() if size <= SLOW_BATCH or "each row" not in name
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
        step()
    for _ in range(ROUNDS):
        for name, step in steps.items():
            end = time.perf_counter() + SECONDS / ROUNDS
            while True:
                began = time.perf_counter()
                step()
                now = time.perf_counter()
                times[name].append(1e3 * (now - began))
                if now > end:
                    break
    return {name: float(np.median(values)) for name, values in times.items()}


def library_times(library: str, python: str) -> tuple[str, dict[str, dict[str, float]]]:
    """Version and milliseconds, by variant and batch size, of a library measured in its own environment."""
    asked = {
        "sizes": SIZES,
        "batches": BATCHES,
        "slow_batch": SLOW_BATCH,
        "seconds": SECONDS,
        "noise": NOISE,
        "clip": CLIP,
    }
    script = Path(__file__).with_name("library_steps.py")
    with tempfile.TemporaryDirectory() as folder:
        command = [python, str(script), library, json.dumps(asked)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        print(f"{library} failed:", (done.stderr.strip().splitlines() or ["no message"])[-1])
        return "", {}
    told = json.loads(done.stdout.splitlines()[-1])
    return told["version"], told["found"]


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    for library in LIBRARIES:
        line.add_argument(f"--{library}", metavar="PYTHON", help=f"an environment with {library}")
    options = vars(line.parse_args())
    functions = variants(random_codes(max(BATCHES)))
    chosen = {library: options[library.replace("-", "_")] for library in LIBRARIES}
    others = [library_times(library, python) for library, python in chosen.items() if python]
    rows = []
    for size in BATCHES:
        found = measure(size, functions)
        versions = {name: version for version, times in others for name in times}
        found.update(
            {name: of[str(size)] for _, times in others for name, of in times.items() if str(size) in of}
        )
        for name, milliseconds in found.items():
            ratio = milliseconds / found["ours, private"]
            rows.append(
                {
                    "batch": size,
                    "variant": name,
                    "milliseconds": round(milliseconds, 3),
                    "ratio": round(ratio, 3),
                    **({"version": versions[name]} if name in versions else {}),
                }
            )
            print(f"batch {size:6d}  {name:56s} {milliseconds:9.2f} ms  {ratio:8.2f} x ours", flush=True)
    record.write("step_cost", rows)


if __name__ == "__main__":
    main()
