"""Missing cells: drawn together from the model's distribution given the others, and as constraints ask."""

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import Combinations, ConfigError, Ordering
from jupyter_dpsynth.engine.sampling import imputing
from jupyter_dpsynth.engine.sampling.imputing import CellSampler
from tests.support.models import untrained
from tests.support.networks import counted, exact_joint, random_model
from tests.support.tables import mixed_table

SIZES = [3, 4, 2, 5]


def sampler(model, seed=0, **cells):
    """Of some columns ('c1') only some cells may be drawn."""
    allowed = [np.ones(size, dtype=bool) for size in model.layout.sizes]
    for name, share in cells.items():
        allowed[int(name[1:])] = np.array(share, dtype=bool)
    return CellSampler(model, model.bias.astype(float), allowed, np.random.default_rng(seed))


def conditional(model, absent, given=1):
    """The exact distribution of some columns' cells where all others are `given`."""
    joint = exact_joint(model)
    chances = joint[tuple(slice(None) if place in absent else given for place in range(joint.ndim))]
    return chances / chances.sum()


def imputed(made, rows, absent, copies=1, given=1):
    codes = np.full((rows, len(made.blocks)), given, dtype=np.int32)
    missing = np.zeros(codes.shape, dtype=bool)
    missing[:, list(absent)] = True
    filled = made.impute(codes, missing, copies)
    assert filled.shape == (rows, copies, len(made.blocks))
    filled = filled.reshape(rows * copies, -1)
    others = [place for place in range(len(made.blocks)) if place not in absent]
    assert (filled[:, others] == given).all()
    return filled[:, list(absent)]


def distance(seen, expected):
    return np.abs(seen - expected).sum() / 2


def by_chance(expected, rows):
    """About the total variation distance of so many independent draws."""
    return np.sqrt(2 / np.pi * expected / rows).sum() / 2


@pytest.mark.parametrize("strength", [1.0, 4.0])
@pytest.mark.parametrize("absent", [(0,), (2,), (3,), (0, 2), (1, 3), (2, 3), (0, 1, 2), (0, 1, 2, 3)])
def test_the_chances_of_several_missing_cells_are_the_models_own(absent, strength):
    model = random_model(SIZES, strength=strength)
    codes = np.ones((1, len(SIZES)), dtype=np.int32)
    scores = sampler(model)._scores(codes, list(absent))[0]
    chances = np.exp(scores - scores.max())
    np.testing.assert_allclose(chances / chances.sum(), conditional(model, absent), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("absent", [(3,), (0, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("copies", [1, 10])
def test_missing_cells_are_drawn_with_their_joint_chances(absent, copies):
    model, rows = random_model(SIZES), 20_000
    expected = conditional(model, absent)
    seen = counted(imputed(sampler(model), rows // copies, absent, copies), expected.shape)
    assert distance(seen, expected) < 2 * by_chance(expected, rows)


def test_rows_that_lack_different_cells_each_get_their_own():
    model, rows = random_model(SIZES), 30_000
    generator = np.random.default_rng(1)
    codes = np.ones((rows, 4), dtype=np.int32)
    missing = np.zeros(codes.shape, dtype=bool)
    which = generator.integers(0, 3, rows)
    patterns = ((0, 3), (1,), (1, 2))
    for number, absent in enumerate(patterns):
        missing[np.ix_(which == number, list(absent))] = True
    filled = sampler(model).impute(codes, missing)[:, 0]
    assert (filled[~missing] == 1).all()
    for number, absent in enumerate(patterns):
        own = filled[which == number][:, list(absent)]
        expected = conditional(model, absent)
        assert distance(counted(own, expected.shape), expected) < 2 * by_chance(expected, len(own))


@pytest.mark.long
def test_too_many_combinations_are_drawn_block_by_block_and_come_close(monkeypatch):
    model, rows = random_model([6, 6, 6, 6], strength=1.5), 40_000
    monkeypatch.setattr(imputing, "MOST_COMBINATIONS", 100)
    monkeypatch.setattr(imputing, "BLOCK_COMBINATIONS", 40)
    expected = conditional(model, (0, 1, 2))
    seen = counted(imputed(sampler(model), rows, (0, 1, 2)), expected.shape)
    assert distance(seen, expected) < 2 * by_chance(expected, rows) + 0.01
    # one cell at a time, given the others, is far from it where columns hold on to each other
    monkeypatch.setattr(imputing, "BLOCK_COMBINATIONS", 1)
    monkeypatch.setattr(imputing, "SWEEPS", 1)
    seen = counted(imputed(sampler(model), rows, (0, 1, 2)), expected.shape)
    assert distance(seen, expected) > 4 * by_chance(expected, rows)


def test_copies_of_a_row_with_many_gaps_are_states_of_one_chain_with_the_right_shares(monkeypatch):
    monkeypatch.setattr(imputing, "MOST_COMBINATIONS", 10)
    monkeypatch.setattr(imputing, "BLOCK_COMBINATIONS", 10)
    model = random_model(SIZES)
    expected = conditional(model, (0, 1, 3))
    seen = counted(imputed(sampler(model), 200, (0, 1, 3), copies=200), expected.shape)
    assert distance(seen, expected) < 0.05


def test_cells_that_are_not_allowed_are_not_drawn():
    model = random_model(SIZES)
    made = sampler(model, c3=[1, 1, 1, 1, 0], c0=[0, 1, 0])
    filled = imputed(made, 500, (0, 3), copies=4)
    assert (filled[:, 0] == 1).all()
    assert filled[:, 1].max() == 3


@pytest.fixture(scope="module")
def made():
    df = mixed_table(3000, seed=4712)
    df["left"] = df["day"] + pd.Timedelta(days=20)
    df["kind"] = pd.Categorical(df["group"].str.upper())
    return untrained(df)


def gappy(made, *names, share=0.5, seed=3):
    """Synthetic rows that lack cells of some columns."""
    df = made.synthesize(600, seed=seed)
    random = np.random.default_rng(seed)
    for name in names:
        df.loc[random.random(len(df)) < share, name] = None
    return df


def test_constraints_hold_in_every_row_that_is_filled(made):
    df = gappy(made, "day", "left", "group", "kind")
    pairs = [("north", "NORTH"), ("south", "SOUTH"), ("south", "WEST"), ("west", "WEST")]
    constraints = [Ordering("day", "left"), Combinations(["group", "kind"], pairs)]
    out = made.impute(df, seed=0, constraints=constraints)
    gaps = df.isna().any(axis=1)
    mendable = df[["group", "kind"]].isna().any(axis=1)
    assert not out[gaps & mendable][["group", "kind"]].isna().any().any()
    assert set(zip(out["group"][mendable], out["kind"][mendable], strict=True)) <= set(pairs)
    dated = out["day"].notna() & out["left"].notna() & df[["day", "left"]].isna().any(axis=1)
    assert dated.sum() > 300
    assert (out["day"] <= out["left"])[dated].all()
    plain = made.impute(df, seed=0)
    assert not set(zip(plain["group"], plain["kind"], strict=True)) <= set(pairs)


def test_a_row_that_cannot_keep_the_constraints_keeps_its_gaps_and_the_others_are_filled(made):
    df = gappy(made, "kind")
    constraint = Combinations(["group", "kind"], [("north", "NORTH"), ("west", "WEST")])
    out = made.impute(df, seed=0, constraints=[constraint])
    lost = df["kind"].isna() & (df["group"] == "south")
    assert lost.any()
    assert out["kind"].isna().equals(lost)


def test_what_given_cells_break_by_themselves_does_not_keep_other_gaps_open(made):
    df = gappy(made, "income")
    df["left"] = df["day"] - pd.Timedelta(days=1)
    out = made.impute(df, seed=0, constraints=[Ordering("day", "left")])
    assert not out["income"].isna().any()


def test_imputed_rows_are_the_same_for_the_same_seed_and_wrong_constraints_are_refused(made):
    df = gappy(made, "group", "kind", "day")
    constraints = [Ordering("day", "left")]
    pd.testing.assert_frame_equal(
        made.impute(df, 4, constraints=constraints), made.impute(df, 4, constraints=constraints)
    )
    with pytest.raises(ConfigError, match="Did you mean 'left'"):
        made.impute(df, constraints=[Ordering("day", "lef")])
