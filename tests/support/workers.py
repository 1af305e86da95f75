"""What the child processes of `test_scaleout.py` do: replicas in one process, or one of several workers.

    python -m tests.support.workers replicas 4        several logical devices in one process
    python -m tests.support.workers worker            one worker of the cluster in TF_CONFIG
    python -m tests.support.workers train CHECKPOINT  one worker that trains with a checkpoint

The last line of standard output is a JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import threading

import numpy as np
import tensorflow as tf

from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor, PrivacyLedger
from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.training.distribute import ReplicatedRelease, Workers
from jupyter_dpsynth.engine.training.gradient import BatchGradient
from jupyter_dpsynth.engine.training.release import NativeRelease, UnitRelease
from jupyter_dpsynth.errors import DPSynthError
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import GRADIENT_NOISE, LOSS_NOISE
from jupyter_dpsynth.sources.bounding import PrivacyUnits, limit_rows_per_unit
from tests.support.plans import step_of
from tests.support.tables import EVERY_ROW, mixed_table
from tests.support.tapes import distances

SIZES = np.array([5, 4, 3, 6])
CLIP, SIGMA, LOSS_BOUND = 1.5, 2.0, 10.0
RELEASES = 250
ROWS = 41
LEARNED_ROWS = 3000
STEPS = 60
KILLED_STEPS = 300  # of a run that is killed: seconds, so that the kill does not come after its end


def release_of(workers, units=None):
    """A release on every replica."""
    layout = Layout.from_dependence(SIZES, np.full((4, 4), 0.3), 0.5)
    gradient = BatchGradient(layout, CLIP, LOSS_BOUND, ROWS, 1 if units is None else 3)
    native = NativeRelease(gradient)
    if units is not None:
        native = UnitRelease(gradient, PrivacyUnits.adjacent(units))
    return ReplicatedRelease(native, workers)


def without_noise(release, weights, bias, codes, rows):
    """What a release would be without noise."""
    return release.release(weights, bias, codes, step_of(release, rows, 0.0))


def problem(seed, scale):
    """Parameters and rows."""
    random = np.random.default_rng(seed)
    width = int(SIZES.sum())
    weights, bias = random.normal(0, scale, (width, width)), random.normal(0, scale, width)
    codes = np.stack([random.integers(size, size=ROWS) for size in SIZES], axis=1).astype(np.uint8)
    return tf.constant(weights, tf.float32), tf.constant(bias, tf.float32), codes


def vector(sums):
    return np.concatenate([sums.weights, sums.bias])


def row_effects(workers, units=None):
    """Largest change of the total by one row (or unit), in units of C; how many replicas it changes."""
    release = release_of(workers, units)
    count = ROWS if units is None else len(units) - 1
    effect, replicas = 0.0, set()
    for seed, scale in enumerate((0.1, 3.0, 50.0)):
        weights, bias, codes = problem(seed, scale)
        everyone = np.arange(count)
        held = [part.numpy() for part in release.sums(weights, bias, codes, everyone)]
        total = vector(without_noise(release, weights, bias, codes, everyone))
        for row in range(count):
            others = everyone[:-1].copy()
            others[row:] = np.where(others[row:] == row, count - 1, others[row:])  # the last takes its place
            without = [part.numpy() for part in release.sums(weights, bias, codes, others)]
            moved = [(one - other) * release.native.steps for one, other in zip(held, without, strict=True)]
            changes = [float(np.linalg.norm(each[:-1])) for each in moved]
            replicas.add(sum(change > 1e-6 * CLIP for change in changes))
            change = total - vector(without_noise(release, weights, bias, codes, others))
            effect = max(effect, float(np.linalg.norm(change)), *changes)
    return effect / CLIP, sorted(replicas)


def noise(workers):
    """Releases of empty samples in units of the planned noise, `[RELEASES, F + D]`, and of the losses."""
    release = release_of(workers)
    weights, bias, codes = problem(0, 1.0)
    source = NoiseSource(test_only_seed=5).of_worker(workers.worker)
    steps = [step_of(release, [], SIGMA, source, workers.share) for _ in range(RELEASES)]
    made = [release.release(weights, bias, codes, step) for step in steps]
    draws = np.stack([vector(sums) for sums in made]) / (SIGMA * GRADIENT_NOISE * CLIP)
    return draws, np.array([sums.loss for sums in made]) / (SIGMA * LOSS_NOISE * LOSS_BOUND)


def noise_figures(workers):
    draws, losses = noise(workers)
    return {
        "draws": draws.size,
        "squares": float((draws**2).sum()),
        "loss_squares": float((losses**2).sum()),
        "correlation": float(np.abs(np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())[0, 1])),
        "first": draws[0, :3].tolist(),
    }


def synthesizer_of(df, **parameters):
    config = HighDimConfig(**{"epsilon": 2.0, "steps": STEPS, "n_public": True, **parameters})
    return HighDimSynthesizer(MetaExtractor.extract(df), config)


def two_way_distance(synthesizer, df):
    """Mean total-variation distance of two categorical columns' table, real against synthetic."""
    made = synthesizer.synthesize(20_000, seed=1)
    tables = [each.groupby(["group", "member"]).size() / len(each) for each in (df, made)]
    return float((tables[0] - tables[1].reindex(tables[0].index).fillna(0)).abs().sum() / 2)


def learned_figures(synthesizer, df):
    receipt = synthesizer.receipt
    return {
        "epsilon": synthesizer.epsilon,
        "plan": receipt.plan.to_dict(),
        "steps": receipt.completed_steps,
        "updates": len(synthesizer.learned.losses),
        "reason": synthesizer.stop_reason.value,
        "distance": two_way_distance(synthesizer, df),
        "losses": [float(loss) for loss in synthesizer.learned.losses],
        "entry": receipt.ledger_entry,
        "noise": receipt.noise,
        "tape": float(np.abs(synthesizer.learned.tape.sums).sum()),
        "tape_distance": distance_from_tape(synthesizer, df),
    }


def distance_from_tape(synthesizer, df):
    """How far the whole table's own mean is from what was released, in standard deviations."""
    learned = synthesizer.learned
    found = distances(learned, learned.codec.encode(df).astype(np.int32), len(df))
    return float(np.sqrt((found**2).mean()))


def replicas(count):
    """One process with several devices: a strategy's scope is enough to use them."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(count)])
    workers = Workers(strategy)
    units = np.array([0, 3, 4, 4, 6, 9, 12, 13, 15, 18, 21])
    effect, touched = row_effects(workers)
    unit_effect, unit_touched = row_effects(workers, units)
    df = mixed_table(LEARNED_ROWS, seed=70)
    with strategy.scope():
        synthesizer = synthesizer_of(df).learn(df, callback=lambda _: None)
    return {
        "replicas": len(workers.devices),
        "effect": effect,
        "touched": touched,
        "unit_effect": unit_effect,
        "unit_touched": unit_touched,
        "resident": resident_difference(workers),
        "blocks": blocks_difference(workers),
        **noise_figures(workers),
        **learned_figures(synthesizer, df),
    }


def blocks_difference(workers):
    """Largest difference that multiplying in blocks of columns makes to a sum."""
    from jupyter_dpsynth.engine.training import arrangement

    weights, bias, codes = problem(2, 1.0)
    rows = np.arange(ROWS)
    release = release_of(workers)
    matrix = release.native.gradient.arrangement
    usual = vector(without_noise(release, weights, bias, codes, rows))
    costs, arrangement.blocks_pay = arrangement.blocks_pay, lambda *_: True
    try:
        release = release_of(workers)
    finally:
        arrangement.blocks_pay = costs
    blocks = release.native.gradient.arrangement
    assert isinstance(blocks, arrangement.BlockArrangement)
    free = matrix.vector(weights.numpy(), np.zeros(matrix.size, np.float32))
    own = tf.constant(blocks.array(free, np.zeros(blocks.shape, np.float32)))
    return float(np.abs(usual - vector(without_noise(release, own, bias, codes, rows))).max())


def resident_difference(workers):
    """Largest difference that keeping the codes on the devices makes to a sum."""
    from jupyter_dpsynth.engine.training import distribute as scaleout

    weights, bias, codes = problem(1, 1.0)
    rows = np.arange(3, ROWS)
    usual = vector(without_noise(release_of(workers), weights, bias, codes, rows))
    scaleout.RESIDENT_KIND = "CPU"
    try:
        release = release_of(workers)
        kept = vector(without_noise(release, weights, bias, codes, rows))
        assert len(release._tables) == len(workers.devices)
    finally:
        scaleout.RESIDENT_KIND = "GPU"
    return float(np.abs(usual - kept).max())


def whole_sum_difference(workers):
    """Difference of the workers' total from the clipped sum that one process makes of all rows."""
    weights, bias, codes = problem(2, 1.0)
    release = release_of(workers)
    part = workers.rows(ROWS)
    mine = codes[part]
    total = vector(without_noise(release, weights, bias, mine, np.arange(len(mine))))
    whole = vector(release.native.clipped_sums(weights, bias, codes, np.arange(ROWS)))
    return float(np.abs(total - whole).max())


def worker():
    """One of several workers: sums, noise, a whole learning, one that is stopped, one with two tables."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    workers = Workers(strategy)
    found = {"worker": workers.worker, "workers": workers.workers, "share": workers.share}
    found |= {"whole": whole_sum_difference(workers), **noise_figures(workers)}
    df = mixed_table(LEARNED_ROWS, seed=71)
    synthesizer = synthesizer_of(df)
    with strategy.scope():
        synthesizer.learn(df, callback=lambda _: None)
    found |= learned_figures(synthesizer, df)

    stop = threading.Event()

    def stop_at_seven(report):
        if report.step == 7 and workers.worker == 1:
            stop.set()

    other = mixed_table(LEARNED_ROWS, seed=72)
    stopped = synthesizer_of(other).learn(other, stop_at_seven, stop, strategy=strategy)
    found["stopped"] = [stopped.stop_reason.value, len(stopped.learned.losses)]

    persons = mixed_table(LEARNED_ROWS, seed=74).assign(person=np.arange(LEARNED_ROWS) // 2)
    by_person = synthesizer_of(
        persons, n_public=False, privacy_unit="person", max_rows_per_unit=2, batch_size=EVERY_ROW
    )
    by_person.learn(persons, callback=lambda _: None, strategy=strategy, new_dataset=True)
    found["by_person"] = [len(by_person.learned.losses), two_way_distance(by_person, persons)]

    found["apart"] = apart(workers, strategy)

    mixed_up = mixed_table(LEARNED_ROWS, seed=73)
    if workers.worker == 1:
        mixed_up = mixed_up.sample(frac=1.0, random_state=1)
    try:
        synthesizer_of(mixed_up).learn(mixed_up, callback=lambda _: None, strategy=strategy)
    except DPSynthError as error:
        found["mixed_up"] = f"{type(error).__name__}: {error}"
    found["runs"] = len(PrivacyLedger().to_frame())
    return found


def apart(workers, strategy):
    """What is said if the workers choose other rows of the persons."""
    from jupyter_dpsynth.engine.learning import run as run_module

    def own_choice(source, unit, most, generator):
        return limit_rows_per_unit(source, unit, most, np.random.default_rng(workers.worker))

    persons = mixed_table(LEARNED_ROWS, seed=76).assign(person=np.arange(LEARNED_ROWS) // 5)
    synthesizer = synthesizer_of(
        persons, n_public=False, privacy_unit="person", max_rows_per_unit=2, batch_size=EVERY_ROW
    )
    run_module.limit_rows_per_unit = own_choice
    try:
        synthesizer.learn(persons, callback=lambda _: None, strategy=strategy, new_dataset=True)
    except DPSynthError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        run_module.limit_rows_per_unit = limit_rows_per_unit
    return "nothing"


def train(checkpoint):
    """One of several workers, or the only one, which may be killed while it trains."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if "TF_CONFIG" in os.environ else None
    df = mixed_table(LEARNED_ROWS, seed=75)

    def tell(report):
        print(f"step {report.step}" if report.step else report.message, flush=True)  # noqa: T201

    synthesizer = synthesizer_of(df, steps=KILLED_STEPS)
    synthesizer.learn(df, tell, strategy=strategy, checkpoint=checkpoint)
    return learned_figures(synthesizer, df)


def main(mode, *arguments):
    found = {
        "replicas": lambda: replicas(int(arguments[0])),
        "worker": worker,
        "train": lambda: train(arguments[0]),
    }[mode]()
    print(json.dumps(found), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
