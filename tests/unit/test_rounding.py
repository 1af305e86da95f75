"""How round values are: synthetic ones are as round as the table's, and nothing is invented."""

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.encoding.rounding import Rounding
from jupyter_dpsynth.engine.measuring.resolution import needs_resolution
from jupyter_dpsynth.engine.measuring.rounding import Levels
from jupyter_dpsynth.engine.model.plan import RESOLUTION_HISTOGRAMS
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained

STEPS = [10.0, 5.0, 1.0, 0.5, 0.1]
# of a hundred neighbouring tenths, how many have each as their first step; zero is one of them
EVEN = np.array([1.0, 1, 8, 10, 80])
ROWS = 4_000


def ages(share, seed=1):
    """Ages of which a share are whole, the others in tenths."""
    random = np.random.default_rng(seed)
    tenths = random.integers(0, 800, ROWS) / 10
    return pd.DataFrame({"age": np.where(random.random(ROWS) < share, np.floor(tenths), tenths)})


def drawn(rounding, starts, ends):
    random = np.random.default_rng(4)
    return rounding.draw(starts, ends, random.random(len(starts)), random)


@pytest.mark.parametrize("declared", [{}, {"bounds": {"age": (0, 80)}}, {"decimals": {"age": 1}}])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.9])
def test_synthetic_values_are_as_round_as_those_of_the_table(share, declared):
    df = ages(share)
    made = untrained(df, **declared).synthesize(ROWS, seed=0)
    whole = [(frame["age"] == np.rint(frame["age"])).mean() for frame in (df, made)]
    assert whole[1] == pytest.approx(whole[0], abs=0.06)
    if "bounds" in declared:
        assert made["age"].between(0, 80).all()


@pytest.mark.parametrize(("step", "digits"), [(1_000, 0), (500, 2)])
def test_round_values_among_others_are_no_pattern(step, digits):
    random = np.random.default_rng(0)
    others = np.round(100 * step * random.random(ROWS), digits)
    x = np.where(random.random(ROWS) < 0.7, step * random.integers(0, 100, ROWS), others)
    made = untrained(pd.DataFrame({"x": x})).synthesize(ROWS, seed=0)["x"]
    assert (made % step == 0).mean() == pytest.approx(0.7, abs=0.08)


@pytest.mark.parametrize("digits", [6, 7, 9])
def test_declared_digits_are_all_made(digits):
    x = np.round(48 + 0.05 * np.random.default_rng(0).random(ROWS), digits)
    made = untrained(pd.DataFrame({"x": x}), decimals={"x": digits}).synthesize(ROWS, seed=0)["x"]
    assert (made != made.round(digits - 1)).mean() == pytest.approx(0.9, abs=0.05)


def test_even_values_are_not_taken_to_be_round():
    noise = 5.0
    random = np.random.default_rng(3)
    for _ in range(200):
        levels = Levels.of(STEPS, 0.1, 30 * EVEN + noise * random.standard_normal(5), noise)
        assert levels.rounding().is_even


def test_the_rows_of_each_level_come_back():
    counts = np.array([500.0, 200, 1600, 12, 80])
    rounding = Levels.of(STEPS, 0.1, counts, 1.0).rounding()
    assert rounding.steps.tolist() == [100, 10, 1]  # fives are no rounder than ones, halves than tenths
    made = drawn(rounding, np.full(100_000, 1.0), np.full(100_000, 101.0))
    assert ((made >= 1) & (made < 101) & (made == np.rint(made))).all()
    found = [np.mean(made % 100 == 0), np.mean((made % 10 == 0) & (made % 100 != 0)), np.mean(made % 10 != 0)]
    assert found == pytest.approx(np.array([500, 1800, 92]) / 2392, abs=0.005)


def test_extents_are_what_is_drawn():
    rounding = Rounding(np.array([250.0, 100, 1]), np.array([9.0, 5, 0.2]))
    starts = np.array([1.0, 100, 101, 230, 500, 1499])
    ends = np.append(starts[1:], 1501)
    made = drawn(rounding, np.full(200_000, 1.0), np.full(200_000, 1501.0))
    shares = np.histogram(made, np.append(starts, 1501))[0] / len(made)
    extents = rounding.extents(starts, ends)
    assert shares == pytest.approx(extents / extents.sum(), abs=0.004)
    apart = rounding.extents(np.array([1.0]), np.array([1501.0]))[0]
    assert extents.sum() == pytest.approx(apart)


def test_a_value_that_many_rows_share_makes_no_other_value_round():
    levels = Levels.of(STEPS, 0.1, 30 * EVEN + np.array([0, 0, 2_000, 0, 0]), 5.0)
    assert not levels.rounding().is_even
    assert levels.without(np.array([370.0]), np.array([1_990.0])).rounding().is_even


def test_cells_begin_at_multiples_of_what_nearly_all_values_are_multiples_of():
    """Ages in ten-thousandths, of which a few are no whole years."""
    codec = untrained(ages(0.97), bounds={"age": (0, 80)}, decimals={"age": 4}).codec.columns[0]
    assert (codec.starts[codec.starts > 1] % 10_000 == 0).all()
    assert len(codec.starts) > 70
    spread = untrained(ages(0.5), bounds={"age": (0, 80)}, decimals={"age": 4}).codec.columns[0]
    assert (spread.starts[spread.starts > 1] % 10_000 != 0).any()


def test_zero_is_not_round():
    rounding = Rounding(np.array([10.0, 1]), np.array([50.0, 1]))
    zero, ten = rounding.extents(np.array([0.0, 10]), np.array([1.0, 11]))
    assert (zero, ten) == (1, 51)
    assert not drawn(rounding, np.zeros(5), np.ones(5)).any()


def test_conditions_keep_the_share_of_round_values():
    synthesizer = untrained(ages(0.9), bounds={"age": (0, 80)}, decimals={"age": 1})
    made = synthesizer.synthesize(500, seed=0, where={"age": (20.5, 30.5)})["age"]
    assert made.between(20.5, 30.5).all()
    assert (made == np.rint(made)).mean() > 0.8


def test_a_saved_model_makes_the_same_values(tmp_path):
    synthesizer = untrained(ages(0.9), bounds={"age": (0, 80)}, decimals={"age": 1})
    synthesizer.save(tmp_path / "model")
    again = HighDimSynthesizer.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.synthesize(300, seed=0), synthesizer.synthesize(300, seed=0))


@pytest.mark.parametrize(
    "wrong", [{"steps": [10, 3]}, {"steps": [1, 10]}, {"rates": [1, 0]}, {"rates": [1]}, {"steps": [10.5, 1]}]
)
def test_steps_that_cannot_be_drawn_from_are_refused(wrong):
    codec = untrained(ages(0.9), bounds={"age": (0, 80)}, decimals={"age": 1}).codec.columns[0]
    values = codec.to_dict()
    values["rounding"] = {"steps": [10, 1], "rates": [5, 1], **wrong}
    with pytest.raises(ArtifactError, match="'age'"):
        NumericCodec.from_dict(values)


def test_how_round_declared_decimals_are_costs_a_fifth_of_what_a_resolution_does():
    df = ages(0.9)
    shares = {}
    for name, declared in {"both": {}, "rounding": {"decimals": {"age": 1}}}.items():
        meta = MetaExtractor.extract(df, bounds={"age": (0, 80)}, **declared)
        assert needs_resolution(meta.learned[0])
        plan = plan_run(HighDimConfig().resolve(), meta, ROWS)
        sigma = {each.name: each.sigma for each in plan.privacy.measurements}[RESOLUTION_HISTOGRAMS]
        shares[name] = 1 / sigma**2
    assert shares["rounding"] == pytest.approx(shares["both"] / 5)
