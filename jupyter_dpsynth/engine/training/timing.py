"""Measures how long a training step takes on this machine now, on invented rows of the same form."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.training.loading import import_trainer, is_loading
from jupyter_dpsynth.privacy.noise import NoiseSource

if TYPE_CHECKING:
    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.model.plan import RunPlan

__all__ = ["measured_step_seconds"]

MEASURED_SECONDS, MOST_SECONDS = 0.4, 4.0
WARM_UP_STEPS, LEAST_STEPS = 3, 5
MOST_ROWS = 100_000  # that are made up
DEPENDENCE = 0.2  # of each pair: it has no effect on the time


def measured_step_seconds(config: ResolvedConfig, plan: RunPlan, columns: int, width: int) -> float | None:
    """Mean time of a step; None if TensorFlow is not loading yet, because importing it would take too long.

    Args:
        config: The frozen parameters.
        plan: The run.
        columns: Columns that are learned.
        width: Cells of all columns together.

    Privacy:
        The rows are random numbers.
    """
    if not is_loading():
        return None
    batch = float(f"{plan.batch_size:.2g}")  # near ones take as long, and are measured once
    return _measure(_Shape(config, plan), columns, width, batch)


class _Shape:
    """A config and a plan that count as equal in the cache if a step of them is the same work."""

    def __init__(self, config: ResolvedConfig, plan: RunPlan) -> None:
        self.config, self.plan = config, plan
        self._key = config.dp_backend, config.num_microbatches, plan.parents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shape) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@functools.lru_cache(maxsize=32)
def _measure(shape: _Shape, columns: int, width: int, batch: float) -> float:
    training = import_trainer(quiet=False)
    cuts = np.linspace(0, width, columns + 1).astype(np.int64)
    sizes = np.maximum(np.diff(cuts), 1)
    rows = int(min(max(2 * batch, 1_000), MOST_ROWS))
    random = np.random.default_rng(0)
    codes = np.stack([random.integers(size, size=rows) for size in sizes], axis=1).astype(np.uint8)
    layout = Layout.from_dependence(sizes, np.full((columns, columns), DEPENDENCE), 0.5, shape.plan.parents)
    start = training.Start(layout, [np.full(size, 1 / size) for size in sizes], [int(s) for s in sizes])
    # a made-up row is a privacy unit of its own
    plan = replace(shape.plan, rows=float(rows), unit_rows=1).with_training(1_000_000, min(1.0, batch / rows))
    parts = training.training_parts(start, plan, shape.config, NoiseSource())
    trainer = training.DPTrainer(plan, parts.release, parts.update, parts.divisor)
    times: list[float] = []
    began = time.perf_counter()

    def enough() -> bool:
        now = time.perf_counter()
        measured = now - times[WARM_UP_STEPS] if len(times) > WARM_UP_STEPS else 0.0
        done = measured > MEASURED_SECONDS and len(times) >= WARM_UP_STEPS + LEAST_STEPS
        return done or (now - began > MOST_SECONDS and len(times) > WARM_UP_STEPS + 1)

    trainer.train(codes, parts.releases, lambda *_: times.append(time.perf_counter()), enough)
    steps = times[WARM_UP_STEPS:]
    return (steps[-1] - steps[0]) / (len(steps) - 1)
