"""Rows drawn from a model: right on average, steadier than independent draws, the same everywhere."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jupyter_dpsynth.engine.sampling import generation
from jupyter_dpsynth.engine.sampling.generation import generate_codes
from tests.support.networks import counted, exact_joint, one_ways, random_model


def pair_errors(codes, joint):
    seen = counted(codes, joint.shape)
    for pair in itertools.combinations(range(joint.ndim), 2):
        rest = tuple(a for a in range(joint.ndim) if a not in pair)
        yield from (seen.sum(axis=rest) - joint.sum(axis=rest)).ravel()


def test_rows_follow_the_model_and_its_pairs_more_closely_than_independent_rows_would():
    model = random_model([3, 4, 2, 5])
    joint, rows = exact_joint(model), 20_000
    codes = generate_codes(model, one_ways(joint), rows, np.random.default_rng(1))
    independent = np.random.default_rng(2).choice(joint.size, rows, p=joint.ravel())
    independent = np.stack(np.unravel_index(independent, joint.shape), axis=1)
    error = np.sqrt(np.mean(np.square(list(pair_errors(codes, joint)))))
    by_chance = np.sqrt(np.mean(np.square(list(pair_errors(independent, joint)))))
    assert error < 0.5 * by_chance
    # combinations of all columns are still drawn at random, by the model's chances
    deviations = (counted(codes, joint.shape) - joint) / np.sqrt(joint / rows)
    assert np.sqrt(np.mean(deviations**2)) < 1.2


def test_pairs_of_few_rows_are_followed_too():
    model = random_model([3, 4, 2, 5])
    joint, rows = exact_joint(model), 300
    squares = [
        np.mean(np.square(list(pair_errors(codes, joint))))
        for seed in range(60)
        for codes in [generate_codes(model, one_ways(joint), rows, np.random.default_rng(seed))]
    ]
    pairs = list(itertools.combinations(range(joint.ndim), 2))
    tables = [joint.sum(axis=tuple({*range(joint.ndim)} - {*pair})).ravel() for pair in pairs]
    by_chance = np.mean(np.concatenate([table * (1 - table) / rows for table in tables]))
    assert np.mean(squares) < 0.25 * by_chance


@pytest.mark.long
@pytest.mark.parametrize(("sizes", "parents"), [([3, 4, 3], None), ([3, 2, 3, 2, 1], 1)])
def test_the_average_over_tables_is_the_model(sizes, parents):
    """With one parent the last columns are independent of each other given the first, and drawn at once."""
    model = random_model(sizes, parents=parents)
    joint = exact_joint(model)
    tables = [
        counted(generate_codes(model, one_ways(joint), 500, np.random.default_rng(seed)), joint.shape)
        for seed in range(200)
    ]
    deviations = (np.mean(tables, axis=0) - joint) / np.sqrt(joint / 100_000)
    assert np.abs(deviations).max() < 5


@pytest.mark.parametrize("wide", [False, True])
def test_one_way_tables_follow_what_was_measured_rather_than_the_model(wide, monkeypatch):
    if wide:
        monkeypatch.setattr(generation, "STEERED_WIDTH", 0)
    model = random_model([4, 6, 3])
    shares = [np.array([0.4, 0.3, 0.3, 0.0]), np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1]), np.ones(3) / 3]
    codes = generate_codes(model, shares, 10_000, np.random.default_rng(0))
    for column, share in enumerate(shares):
        seen = np.bincount(codes[:, column], minlength=len(share)) / len(codes)
        assert np.abs(seen - share).max() < 0.01  # the model's own are up to 0.3 away
        assert (seen[share == 0] == 0).all()


def test_cells_that_never_appear_change_nothing_for_others():
    """Nothing is computed for them, wherever they are among a column's cells."""
    model = random_model([3, 4, 3])
    joint = exact_joint(model)
    joint[:, [0, 2]] = 0
    joint /= joint.sum()
    codes = generate_codes(model, one_ways(joint), 20_000, np.random.default_rng(1))
    assert set(np.unique(codes[:, 1])) == {1, 3}
    assert np.abs(list(pair_errors(codes, joint))).max() < 0.02


def test_steering_a_column_with_many_parents_does_not_overshoot():
    """What each of its pairs asks for adds up: a gain that is right for one is too much for many."""
    model = random_model([3] * 60, strength=0.001)
    codes = generate_codes(model, [np.full(3, 1 / 3)] * 60, 20_000, np.random.default_rng(0))
    independent = np.random.default_rng(1).integers(3, size=codes.shape)
    errors, by_chance = (
        np.std([np.bincount(3 * each[:, place] + each[:, 59], minlength=9) for place in range(59)])
        for each in (codes, independent)
    )
    assert errors < by_chance  # five times it, if each pair had the gain that a single one has


def test_pairs_are_steered_only_where_many_interact(monkeypatch):
    """Elsewhere nearly all pairs are others, which steering does not touch, and it takes most of the time."""

    def drawn(parents):
        model = random_model([3] * 12, parents=parents)
        shares = [np.full(3, 1 / 3)] * 12
        steered = generate_codes(model, shares, 2_000, np.random.default_rng(0))
        with monkeypatch.context() as never:
            never.setattr(generation, "STEERED_WIDTH", 0)
            return np.array_equal(steered, generate_codes(model, shares, 2_000, np.random.default_rng(0)))

    assert drawn(1)
    assert not drawn(6)


@pytest.mark.parametrize("rows", [1, 63, 64, 65])
@pytest.mark.parametrize("sizes", [[5], [1, 1], [2, 300]])
def test_any_number_of_rows_and_columns(rows, sizes):
    model = random_model(sizes)
    shares = [np.full(size, 1 / size) for size in sizes]
    codes = generate_codes(model, shares, rows, np.random.default_rng(0))
    assert codes.shape == (rows, len(sizes))
    assert (codes >= 0).all()
    assert (codes < sizes).all()


def test_extreme_logits_neither_overflow_nor_draw_the_impossible():
    model = random_model([3, 3, 3], strength=500.0)
    codes = generate_codes(model, [np.ones(3) / 3] * 3, 1_000, np.random.default_rng(0))
    assert set(np.unique(codes)) <= {0, 1, 2}


def test_progress_adds_up_to_the_rows():
    done = []
    model = random_model([3, 3])
    generate_codes(model, [np.ones(3) / 3] * 2, 1_000, np.random.default_rng(0), done.append)
    assert sum(done) == 1_000


def test_the_same_seed_gives_the_same_rows_with_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(generation, "CHAIN_ROWS", 2_000)
    model = random_model([6, 9, 4])
    tables = []
    for processors in (1, 4):
        monkeypatch.setattr(os, "cpu_count", lambda count=processors: count)
        tables.append(generate_codes(model, one_ways(exact_joint(model)), 9_001, np.random.default_rng(0)))
    np.testing.assert_array_equal(*tables)
    assert not np.array_equal(tables[0][:1_000], tables[0][2_000:3_000])  # chains are not alike


def digest():
    model = random_model([20, 9, 19, 16, 15, 9, 40], strength=0.5, parents=2)
    shares = [np.full(size, 1 / size) for size in model.layout.sizes]
    codes = generate_codes(model, shares, 30_000, np.random.default_rng(7))
    return hashlib.sha256(np.ascontiguousarray(codes).tobytes()).hexdigest()


def test_the_same_seed_gives_the_same_rows_on_other_processors():
    """Other vector units and another BLAS kernel add in another order: no draw may depend on it."""
    if sys.platform != "linux":
        pytest.skip("switching processor features off is tested on Linux")
    compiled = (np._core if hasattr(np, "_core") else np.core)._multiarray_umath
    present = [name for name in compiled.__cpu_dispatch__ if compiled.__cpu_features__.get(name)]
    code = "import sys; sys.path.insert(0, 'tests/unit'); from test_generation import digest; print(digest())"
    environment = dict(os.environ, OPENBLAS_CORETYPE="Prescott", NPY_DISABLE_CPU_FEATURES=" ".join(present))
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split()[0] == digest()
