"""Two workers against one on this machine: what a training step takes, and what the all-reduce costs.

    python -m benchmarks.workers

Each worker is a process with one thread; two of them form a cluster on the loopback interface, each with
half of the rows. The lone worker is measured before and after them, and once with as many threads as there
are workers. All variants make the same steps (the census sample's columns, Poisson samples of 200,000 made-up
rows) in one run; the ratios are of steps per second to the lone worker with one thread.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks import record
from benchmarks.step_cost import CLIP, NOISE, SIZES, random_codes

ROWS = 200_000
BATCHES = (1024, 8192, 32768)
STEPS, WARM_UP = 40, 6
WORKERS = 2
SECONDS = 300  # a child that takes longer hangs


def measure(threads: int) -> dict[str, float]:
    """Median milliseconds of a step for each batch size, in this process and its cluster."""
    import tensorflow as tf

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.datasets import load_census_sample
    from jupyter_dpsynth.engine.model.network import Layout
    from jupyter_dpsynth.engine.planning.plan import plan_run
    from jupyter_dpsynth.engine.training.adam import AdamUpdate, Start
    from jupyter_dpsynth.engine.training.distribute import ReplicatedRelease, Workers
    from jupyter_dpsynth.engine.training.gradient import BatchGradient
    from jupyter_dpsynth.engine.training.release import GradientRelease, NativeRelease
    from jupyter_dpsynth.metadata import MetaExtractor
    from jupyter_dpsynth.privacy.accounting import SampledTraining
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.privacy.releases import TrainingReleases

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    workers = Workers(tf.distribute.MultiWorkerMirroredStrategy()) if "TF_CONFIG" in os.environ else None
    layout = Layout.from_dependence(np.array(SIZES), np.full((len(SIZES),) * 2, 0.2), 0.5)
    plan = plan_run(
        HighDimConfig(epsilon=1.0).resolve(), MetaExtractor.extract(load_census_sample()), 50_000.0
    )
    shares = [np.full(size, 1 / size) for size in SIZES]
    update = AdamUpdate(Start(layout, shares, [size if size > 15 else 0 for size in SIZES]), plan)
    noise = NoiseSource()
    share = 1.0 if workers is None else workers.share
    codes = random_codes(ROWS)
    if workers is not None:
        codes = codes[workers.rows(ROWS)]
    found = {}
    for batch in BATCHES:
        native = NativeRelease(BatchGradient(layout, CLIP, 40.0, batch * share))
        release: GradientRelease = native if workers is None else ReplicatedRelease(native, workers)
        training = SampledTraining(WARM_UP + STEPS, batch / ROWS, NOISE)
        planned = TrainingReleases(training, native.sensitivity, noise, share=share)
        times = []
        for _ in range(WARM_UP + STEPS):
            began = time.perf_counter()
            sample = planned.sample(len(codes))
            sums = release.release(tf.constant(update.weights), tf.constant(update.bias), codes, sample)
            update.apply(sums, batch, 300)
            times.append(1e3 * (time.perf_counter() - began))
        found[str(batch)] = statistics.median(times[WARM_UP:])
    return found


def run(workers: int, threads: int) -> dict[str, float]:
    """What the first of so many child processes measured."""
    ports = []
    for _ in range(workers):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    started = []
    for index in range(workers):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        environment = {**os.environ, **limits, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        environment |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"}
        if workers > 1:
            cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
        command = [sys.executable, "-m", "benchmarks.workers", "--child", str(threads)]
        started.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        )
    try:
        answers = [child.communicate(timeout=SECONDS)[0] for child in started]
    finally:
        for child in started:
            child.kill()
    found: dict[str, float] = json.loads(answers[0].splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    line = record.parser(__doc__)
    line.add_argument("--child", type=int, metavar="THREADS", help="measure in this process (used by itself)")
    options = line.parse_args()
    if options.child:
        print(json.dumps(measure(options.child)), flush=True)
        return
    before = run(1, 1)
    variants = {
        "one worker, one thread": before,
        f"{WORKERS} workers, one thread each": run(WORKERS, 1),
        f"one worker, {WORKERS} threads": run(1, WORKERS),
        "one worker, one thread, repeated": run(1, 1),
    }
    rows: list[dict[str, Any]] = []
    for batch in map(str, BATCHES):
        for name, found in variants.items():
            ratio = before[batch] / found[batch]
            rows.append(
                {
                    "batch": int(batch),
                    "variant": name,
                    "milliseconds": round(found[batch], 3),
                    "speed": round(ratio, 3),
                }
            )
            print(f"batch {batch:>6}  {name:32s} {found[batch]:8.2f} ms a step  {ratio:6.2f} x")
    record.write("workers", rows)


if __name__ == "__main__":
    main()
