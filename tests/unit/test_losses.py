"""What columns lose on the way to synthetic rows is counted, paid for, kept and told."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.engine.model.losses import ColumnLoss, advice, column_loss, glance, lost_headline
from jupyter_dpsynth.evaluation.cells import cells_of
from jupyter_dpsynth.evaluation.private import PrivateEvaluation
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.metadata.columns import ContinuousMeta
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained

ROWS = 4000


def lossy_table(rows=ROWS):
    generator = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "code": [f"c{k}" for k in range(rows)],  # none is published
            "age": generator.integers(
                10, 90, rows
            ),  # declared from 20 to 69: a quarter below, a quarter above
            "town": generator.choice(
                ["Graz", "Linz", "Wels"], rows, p=[0.5, 0.3, 0.2]
            ),  # Wels is not declared
            "income": np.where(np.arange(rows) % 10 == 0, np.nan, generator.normal(50, 9, rows).round(1)),
        }
    )


@pytest.fixture(scope="module")
def synthesizer():
    return untrained(lossy_table(), bounds={"age": (20, 69)}, categories={"town": ["Graz", "Linz"]})


def test_each_loss_is_measured_within_its_stated_noise(synthesizer):
    df = lossy_table()
    truth = {
        ("code", "pooled"): 1.0,
        ("age", "below"): (df["age"] < 20).mean(),
        ("age", "above"): (df["age"] > 69).mean(),
        ("town", "undeclared"): (df["town"] == "Wels").mean(),
    }
    found = {(loss.name, rows.kind): rows for loss in synthesizer.losses for rows in loss.lost}
    for place, share in truth.items():
        assert 0 < found[place].error < 0.03
        assert abs(found[place].share - share) < 5 * found[place].error
    missing = {loss.name: loss for loss in synthesizer.losses}["income"]
    assert abs(missing.missing - 0.1) < 5 * missing.missing_error


def test_a_column_says_how_much_of_it_is_left_in_words_and_shapes(synthesizer):
    states = {loss.name: loss.state for loss in synthesizer.losses}
    assert states["code"] == "nothing left"
    assert states["age"] == states["town"] == "coarse"
    lines = glance(synthesizer.losses)
    assert len({line[0] for line in lines}) == len(lines)  # a shape of its own for each state
    assert "○ nothing left: 1 column: 'code'" in lines
    assert any(
        "'town' (20 % of its rows lost)" in line or "'town' (21 % of its rows lost)" in line for line in lines
    )
    assert any(line.startswith("● fine: 1 column: 'income'") for line in lines)
    assert lost_headline(synthesizer.losses) == "nothing is left of 1 of 4 columns"
    told = "\n".join(advice(synthesizer.losses))
    assert "'code': if the values are dates or numbers written as text, convert them" in told
    assert "if they are codes, declare groups of them" in told
    assert "'age': declare wider bounds" in told
    assert "'town': declare all categories" in told


def test_dates_as_text_of_which_one_is_published_are_to_be_converted():
    closed = pd.Series(
        ["31.12.9999"] * 1500 + [f"{k % 28 + 1:02d}.{k % 12 + 1:02d}.20{k % 20:02d}" for k in range(1500)]
    )
    synthesizer = untrained(pd.DataFrame({"closed": closed, "group": ["a", "b", "c"] * 1000}))
    assert any("'closed': convert dates written as text" in line for line in advice(synthesizer.losses))


@pytest.mark.parametrize(("missing", "state"), [(0.0, "nothing left"), (0.5, "coarse")])
def test_nothing_is_left_of_a_column_of_which_one_interval_was_found(missing, state):
    """Of a date that noise hid the ends were left, and it was called coarse for what lay beyond them."""
    meta = ContinuousMeta("age", "Float64", nullable=True)
    ends = np.array([0.0]), np.array([64.0])
    codec = NumericCodec(meta, 1.0, *ends, np.array([100.0]), np.array([0]))
    shares = np.array([1 - missing, missing])
    loss = column_loss(codec, shares, np.full(2, 0.01), np.array([0.0, 0.2]), 0.01)
    assert loss.state == state
    assert "a larger epsilon" in loss.helps[0] or state == "coarse"


def test_a_table_of_noise_alone_is_called_that():
    lost = ColumnLoss("a", "nothing left", "", (), None, 0.0, 0.9, 0.0)
    assert "is noise" in lost_headline([lost, lost])
    assert lost_headline([ColumnLoss("a", "fine", "", (), None, 0.0, 0.0, 0.0)]) == ""


def test_losses_are_saved_and_models_of_earlier_versions_still_load(synthesizer, tmp_path):
    path = tmp_path / "model.dps"
    synthesizer.save(path)
    assert HighDimSynthesizer.load(path).losses == synthesizer.losses
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    for name in ("moved", "moved_noise"):
        del schema["reference"][name]
    members["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    earlier = {loss.name: loss for loss in HighDimSynthesizer.load(path).losses}
    assert earlier["age"].lost == ()
    assert earlier["code"].state == "nothing left"  # the pool was measured before, too


def test_codes_told_apart_and_joined_again_are_those_of_the_model(synthesizer):
    df, codec = lossy_table(), synthesizer.codec
    apart = codec.encode_apart(df)
    assert (codec.joined(apart) == codec.encode(df)).all()
    moved = apart >= codec.sizes
    assert moved[:, codec.names.index("age")].mean() == pytest.approx(
        ((df["age"] < 20) | (df["age"] > 69)).mean()
    )
    made = synthesizer.synthesize(500, seed=1)
    assert not (codec.encode_apart(made) >= codec.sizes).any()


def test_rare_values_are_not_taken_for_the_value_in_their_place(synthesizer):
    df = lossy_table()
    made = synthesizer.synthesize(ROWS, seed=0)
    assert set(made["code"]) == {"other"}
    for given in (None, synthesizer):
        report = UtilityReport.against_original(df, made, synthesizer=given)
        column = next(each for each in report.columns if each.name == "code")
        assert column.distance > 0.95
        assert column.good < 0.1
    measured = UtilityReport.against_measurements(synthesizer, made)
    assert next(each for each in measured.columns if each.name == "code").distance > 0.9


def test_large_intervals_are_divided_so_that_a_coarse_column_is_not_taken_for_a_good_one(synthesizer):
    codec = synthesizer.codec
    whole, divided = (cells_of(codec, synthesizer.reference, divide=divide) for divide in (False, True))
    df = lossy_table()
    for cells in (whole, divided):
        codes = cells.encode_apart(df)
        assert (codes < cells.sizes_apart).all()
        shares, noise = cells.measured(synthesizer.reference)
        for share, error, size in zip(shares, noise, cells.sizes, strict=True):
            assert len(share) == len(error) == size
            assert share.sum() == pytest.approx(1, abs=1e-6)
    assert (divided.sizes_apart >= whole.sizes_apart).all()


def test_a_private_report_tells_what_is_left_of_the_columns(synthesizer):
    made = synthesizer.synthesize(ROWS, seed=0)
    report = PrivateEvaluation(synthesizer, made, 5.0, None, NoiseSource(1)).measure(
        FrameSource(lossy_table())
    )
    assert "○ nothing left: 1 column: 'code'" in report.summary()
    assert "nothing left" in report.to_html()
    code = next(each for each in report.columns if each.name == "code")
    assert code.value > 0.9
