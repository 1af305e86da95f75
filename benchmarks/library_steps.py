"""Milliseconds of private steps of other libraries on our network; run in an environment that has one.

    PYTHON library_steps.py {opacus|tf-privacy} SETTINGS

One dense layer as wide as ours, one cross-entropy a column, Adam, clipping of every row and noise. The layer
has no mask: it would only add to their time.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Step = Callable[[], Any]
    Make = Callable[[list[int], NDArray[np.int64], float, float], Step]

FEWEST_STEPS = 6
LEARNING_RATE = 0.03


def _torch_rows(sizes: list[int], codes: NDArray[np.int64]) -> tuple[Any, Any]:
    import torch

    cells = torch.tensor(codes)
    parts = [torch.nn.functional.one_hot(cells[:, j], size) for j, size in enumerate(sizes)]
    return torch.cat(parts, dim=1).float(), cells


def _torch_loss(sizes: list[int], reduction: str) -> Any:  # noqa: ANN401 - a class of torch
    import torch

    class Loss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reduction = reduction  # Opacus's fast clipping sets it to get a loss a row

        def forward(self, logits: Any, cells: Any) -> Any:  # noqa: ANN401
            blocks = torch.split(logits, sizes, dim=1)
            losses = sum(
                torch.nn.functional.cross_entropy(block, cells[:, j], reduction="none")
                for j, block in enumerate(blocks)
            )
            return losses if self.reduction == "none" else losses.sum()

    return Loss()


def _torch_step(model: Any, optimizer: Any, loss: Any, rows: Any, cells: Any) -> Step:  # noqa: ANN401
    """One step of a training loop."""

    def step() -> None:
        optimizer.zero_grad()
        loss(model(rows), cells).backward()
        optimizer.step()

    return step


def opacus_rows(sizes: list[int], codes: NDArray[np.int64], noise: float, clip: float) -> Step:
    """A step with a gradient a row, Opacus's default."""
    import torch
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    rows, cells = _torch_rows(sizes, codes)
    model = GradSampleModule(torch.nn.Linear(sum(sizes), sum(sizes)), loss_reduction="sum")
    adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    optimizer = DPOptimizer(
        adam,
        noise_multiplier=noise,
        max_grad_norm=clip,
        expected_batch_size=len(codes),
        loss_reduction="sum",
    )
    loss = _torch_loss(sizes, "sum")

    return _torch_step(model, optimizer, loss, rows, cells)


def opacus_fast(sizes: list[int], codes: NDArray[np.int64], noise: float, clip: float) -> Step:
    """A step with two backward passes and no gradient a row."""
    import torch
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.optimizers import DPOptimizerFastGradientClipping
    from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

    rows, cells = _torch_rows(sizes, codes)
    layer = torch.nn.Linear(sum(sizes), sum(sizes))
    model = GradSampleModuleFastGradientClipping(layer, max_grad_norm=clip, loss_reduction="sum")
    adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    optimizer = DPOptimizerFastGradientClipping(
        adam,
        noise_multiplier=noise,
        max_grad_norm=clip,
        expected_batch_size=len(codes),
        loss_reduction="sum",
    )
    loss = DPLossFastGradientClipping(model, optimizer, _torch_loss(sizes, "sum"), loss_reduction="sum")

    return _torch_step(model, optimizer, loss, rows, cells)


def _keras_rows(sizes: list[int], codes: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.concatenate(
        [np.eye(size, dtype=np.float32)[codes[:, j]] for j, size in enumerate(sizes)], axis=1
    )


def _keras_loss(sizes: list[int], reduction: str) -> Any:  # noqa: ANN401 - a loss of Keras
    import tensorflow as tf

    class Loss(tf.keras.losses.Loss):
        def call(self, labels: Any, logits: Any) -> Any:  # noqa: ANN401
            blocks = zip(tf.split(labels, sizes, axis=1), tf.split(logits, sizes, axis=1))  # noqa: B905
            return tf.add_n([tf.nn.softmax_cross_entropy_with_logits(a, b) for a, b in blocks])

    return Loss(reduction=reduction)


def tf_privacy_rows(sizes: list[int], codes: NDArray[np.int64], noise: float, clip: float) -> Step:
    """A step of the vectorised optimizer, the faster one of the two that keep a gradient a row."""
    import tensorflow as tf
    from tensorflow_privacy import VectorizedDPKerasAdamOptimizer

    rows = _keras_rows(sizes, codes)
    model = tf.keras.Sequential([tf.keras.Input((sum(sizes),)), tf.keras.layers.Dense(sum(sizes))])
    optimizer = VectorizedDPKerasAdamOptimizer(
        l2_norm_clip=clip,
        noise_multiplier=noise,
        num_microbatches=len(codes),
        learning_rate=LEARNING_RATE,
    )
    model.compile(optimizer=optimizer, loss=_keras_loss(sizes, "none"))
    return lambda: model.train_on_batch(rows, rows)


def tf_privacy_fast(sizes: list[int], codes: NDArray[np.int64], noise: float, clip: float) -> Step:
    """A step of the model with fast clipping: no gradient a row."""
    import tensorflow as tf
    from tensorflow_privacy import DPModel
    from tensorflow_privacy.privacy.fast_gradient_clipping import layer_registry

    rows = _keras_rows(sizes, codes)
    inputs = tf.keras.Input((sum(sizes),))
    model = DPModel(
        l2_norm_clip=clip,
        noise_multiplier=noise,
        use_xla=False,  # its way of asking for XLA is one that TensorFlow no longer has
        layer_registry=layer_registry.make_default_layer_registry(),
        inputs=inputs,
        outputs=tf.keras.layers.Dense(sum(sizes))(inputs),
    )
    loss = _keras_loss(sizes, "sum_over_batch_size")
    model.compile(optimizer=tf.keras.optimizers.Adam(LEARNING_RATE), loss=loss)
    return lambda: model.train_on_batch(rows, rows)


# the packages whose versions are told, and the variants
LIBRARIES: dict[str, tuple[tuple[str, ...], dict[str, Make]]] = {
    "opacus": (
        ("opacus", "torch"),
        {"Opacus, per-row gradients": opacus_rows, "Opacus, fast clipping": opacus_fast},
    ),
    "tf-privacy": (
        ("tensorflow-privacy", "tensorflow"),
        {
            "TF-Privacy's vectorised optimizer, per-row gradients": tf_privacy_rows,
            "TF-Privacy's fast clipping": tf_privacy_fast,
        },
    ),
}


def median_milliseconds(step: Step, seconds: float) -> float:
    """Of a step that has been warmed up, over the given time."""
    step()
    step()
    times: list[float] = []
    while sum(times) < seconds or len(times) < FEWEST_STEPS:
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


def main() -> None:
    """Print a JSON object: the version and, by variant and batch size, milliseconds."""
    packages, variants = LIBRARIES[sys.argv[1]]
    asked = json.loads(sys.argv[2])
    random = np.random.default_rng(0)
    found: dict[str, dict[int, float]] = {name: {} for name in variants}
    for name, make in variants.items():
        for batch in asked["batches"]:
            if "each row" in name and batch > asked["slow_batch"]:
                continue
            codes = np.stack([random.integers(size, size=batch) for size in asked["sizes"]], axis=1)
            step = make(asked["sizes"], codes, asked["noise"], asked["clip"])
            found[name][batch] = median_milliseconds(step, asked["seconds"])
    version = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    print(json.dumps({"version": version, "found": found}))


if __name__ == "__main__":
    main()
