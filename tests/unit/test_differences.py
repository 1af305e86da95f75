"""Two dates of a row that are close together stay so: one of them is learned as the time since the other."""

import json
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.encoding.difference import DifferenceCodec
from jupyter_dpsynth.encoding.numeric import NumericCodec
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.measuring.orderings import planned_differences
from jupyter_dpsynth.engine.measuring.weighing import UNIT_PARTS, capped_rows
from jupyter_dpsynth.engine.model.plan import unit_caps
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import ArtifactError, ConfigError
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.bounding import limit_rows_per_unit
from tests.support.models import untrained
from tests.support.plans import releases_of

ROWS = 12_000


def stays(rows=ROWS, seed=0, unit="D"):
    """Admissions over three years, and discharges after a median of six and a half days; some stay on."""
    random = np.random.default_rng(seed)
    admitted = pd.Timestamp("2021-01-01") + pd.to_timedelta(random.integers(0, 1095, rows), unit="D")
    days = np.exp(np.log(6.5) + 0.8 * random.normal(size=rows))
    length = pd.to_timedelta(np.round(days) if unit == "D" else np.round(days * 1440), unit=unit)
    discharged = pd.Series(admitted + length)
    discharged[random.random(rows) < 0.04] = pd.NaT
    ward = random.choice(["a", "b", "c"], rows)
    return pd.DataFrame({"person": np.arange(rows) // 5, "in": admitted, "out": discharged, "ward": ward})


def measured(df, seed=0, epsilon=1.0, at_least=None, **parameters):
    """What is measured of a table at this epsilon, and rows of it drawn column by column."""
    meta = MetaExtractor.extract(df, ids=[name for name in ("person",) if name in df], at_least=at_least)
    config = HighDimConfig(epsilon=epsilon, **parameters).resolve()
    source, units, capped = FrameSource(df), None, ()
    if config.privacy_unit:
        drawn, caps = np.random.default_rng(seed), np.array(unit_caps(config.rows_per_unit))
        source, units = limit_rows_per_unit(source, config.privacy_unit, config.rows_per_unit, drawn)
        capped = (caps * capped_rows(units, caps) / UNIT_PARTS).tolist()
    plan = plan_run(config, meta, float(source.rows), "quick", capped)
    releases = releases_of(plan, NoiseSource(test_only_seed=seed))
    found = measure_table(source, meta, plan, releases, lambda _: None, units=units)
    generator = np.random.default_rng(seed)
    shares = found.reference.shares
    codes = np.stack([generator.choice(len(share), ROWS, p=share) for share in shares], axis=1)
    return found, found.codec.decode(codes.astype(np.int32), generator)


def codec_of(found, name):
    return found.codec.columns[found.codec.names.index(name)]


def middle(lengths):
    """The median in days, where whole days are spread over half a day on both sides."""
    days = lengths.dropna() / pd.Timedelta(days=1)
    return (days + np.linspace(-0.5, 0.5, len(days))).median() if (days % 1 == 0).all() else days.median()


@pytest.mark.parametrize("unit", ["D", "min"])
@pytest.mark.parametrize("persons", [{}, {"privacy_unit": "person", "max_rows_per_unit": 5}])
def test_the_median_stay_is_kept_and_nobody_leaves_before_arriving(unit, persons):
    for seed in (0, 2, 3):  # in one of forty tables noise is taken for breaks of the order
        df = stays(seed=seed, unit=unit)
        found, made = measured(df, seed, **persons)
        lengths = (made["out"] - made["in"]).dropna()
        assert middle(lengths) / middle(df["out"] - df["in"]) == pytest.approx(1, abs=0.1)
        assert lengths.min() >= pd.Timedelta(0)
        assert made["out"].isna().mean() == pytest.approx(0.04, abs=0.03)
        assert made.dtypes.equals(df.dtypes)
        # an order that is not sure is not stated as one
        text = "whether 'in' is never above 'out'"
        assert (text in found.untold) != (("in", "out") in found.codec.orderings)
        assert (text in found.untold) == bool(persons)


def test_cells_of_a_difference_say_from_what_is_counted():
    labels = codec_of(measured(stays())[0], "out").labels
    assert labels[0] in {"0 days after in", "0 days to 1 day after in", "1 day after in"}
    assert labels[-1] == "missing"


def test_a_birth_is_learned_as_the_age_at_admission_and_nobody_is_born_later():
    random = np.random.default_rng(0)
    df = stays(unit="D").drop(columns="out")
    df["born"] = df["in"] - pd.to_timedelta(random.integers(0, 90 * 365, len(df)), unit="D")
    found, made = measured(df)
    assert isinstance(codec_of(found, "in"), NumericCodec)
    assert codec_of(found, "born").base == "in"
    assert (made["in"].max() - made["in"].min()).days < 1300
    assert codec_of(found, "born").moved_labels[1].endswith(" years before in")  # not days and minutes
    assert (made["born"] <= made["in"]).all()
    # cells of lengths double, but no further than the dates on their own reach
    assert made["born"].min() > df["born"].min() - pd.Timedelta(days=30 * 365)
    ages, real = ((each["in"] - each["born"]).dt.days / 365.25 for each in (made, df))
    assert ages.quantile([0.1, 0.5, 0.9]).tolist() == pytest.approx(
        real.quantile([0.1, 0.5, 0.9]).tolist(), abs=3
    )


def births(seed):
    """Stays of adults and of newborns; two in a hundred have not ended, and the times are of five minutes."""
    random = np.random.default_rng(seed)
    minutes = random.integers(0, 730 * 288, ROWS) * 5
    df = pd.DataFrame({"in": pd.Timestamp("2022-01-01") + pd.to_timedelta(minutes, unit="min")})
    young = random.random(ROWS) < 0.04
    years = np.where(young, random.exponential(0.005, ROWS), np.clip(random.normal(54, 18, ROWS), 5, 99))
    df["born"] = (df["in"] - pd.to_timedelta((years * 365.25 * 86_400).astype(int), unit="s")).dt.floor("D")
    stay = 5 * np.ceil(288 * random.gamma(1.2, 4.5, ROWS))
    df["out"] = (df["in"] + pd.to_timedelta(stay, unit="min")).where(random.random(ROWS) > 0.019)
    for name in "abcdefgh":
        df[name] = random.choice(list("wxyz"), ROWS)
    return df


FOREVER = pd.Timestamp("9999-12-31")


def test_newborns_stay_newborn_and_every_birth_is_a_day():
    shares = []
    for seed in range(4):
        _, made = measured(births(seed), seed, 0.5, {"in": "born", "out": ["born", "in"]})
        assert made["born"].notna().all()  # it follows from the admission, which nobody lacks
        assert (made["born"] == made["born"].dt.normalize()).all()
        assert not (made["born"] > made["in"]).any()
        shares.append(((made["in"] - made["born"]).dt.days < 365).mean())
    assert np.mean(shares) == pytest.approx(0.04, abs=0.012)
    assert min(shares) > 0.015


def test_days_that_change_places_with_moments_stay_days():
    found, made = measured(births(0), epsilon=10.0)
    codes = found.codec.encode(made)
    for low, high in (("in", "born"), ("born", "in")):
        swapped = replace(found.codec, orderings=((low, high),)).decode(codes, np.random.default_rng(0))
        assert (swapped["born"] == swapped["born"].dt.normalize()).all()
        assert not (swapped[low] > swapped[high]).any()


def contracts(seed=0):
    """Contracts of which only those are in the table that have ended; their length is 0 to 15 years."""
    random = np.random.default_rng(seed)
    begun = pd.Timestamp("2008-01-01") + pd.to_timedelta(random.integers(0, 365 * 17, ROWS), unit="D")
    ended = begun + pd.to_timedelta(random.exponential(900, ROWS).astype(int) + 30, unit="D")
    closed = ended <= pd.Timestamp("2025-12-31")
    return pd.DataFrame({"begun": begun[closed], "ended": ended[closed]}).reset_index(drop=True)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_difference_leads_beyond_what_its_column_has_on_its_own(seed):
    df = contracts(seed)
    found, made = measured(df, seed)
    codec = codec_of(found, "ended")
    assert isinstance(codec, DifferenceCodec)
    assert made["ended"].between(df["ended"].min(), df["ended"].max() + pd.Timedelta(days=60)).all()
    assert (made["begun"] <= made["ended"]).all()
    without = replace(codec, reach=None)
    cells = np.random.default_rng(0).integers(0, codec.ordered_cells, len(made)).astype(np.int32)
    far, near = (each.decode(cells, made["begun"], np.random.default_rng(0)) for each in (without, codec))
    inside = far <= made["ended"].max()
    assert 0.05 < inside.mean() < 0.95
    assert near[inside].equals(far[inside])  # what is within stays as it was drawn
    assert (near >= made["begun"]).all()
    assert TableCodec.from_dict(found.codec.to_dict()).to_dict() == found.codec.to_dict()


@pytest.mark.parametrize("stored", ["ns", "s"])
def test_dates_that_are_stored_in_other_units_are_compared_too(stored, tmp_path):
    df = stays().drop(columns="person")
    df["out"] = df["out"].dt.as_unit(stored)
    found, made = measured(df)
    assert codec_of(found, "out").base == "in"
    assert (made["in"] <= made["out"].fillna(made["in"])).all()
    assert made.dtypes.equals(df.dtypes)
    random = np.random.default_rng(0)
    df["other"] = (df["in"] + pd.to_timedelta(random.integers(0, 900, len(df)), unit="D")).dt.as_unit("ns")
    declared = untrained(df, at_least={"other": "in", "out": "in"})
    declared.save(tmp_path / "model.dps")
    again = HighDimSynthesizer.load(tmp_path / "model.dps").synthesize(2_000, seed=0)
    assert again.dtypes.equals(df.dtypes)
    assert not (again["in"] > again["out"]).any()
    assert not (again["in"] > again["other"]).any()
    swapped = replace(declared.codec, orderings=(("other", "in"),))
    changed = swapped.decode(np.zeros((50, 4), np.int32), np.random.default_rng(0))
    assert not (changed["other"] > changed["in"]).any()
    assert changed.dtypes.equals(df.dtypes)


def test_a_difference_that_is_as_wide_as_the_column_and_of_both_signs_takes_no_place():
    random = np.random.default_rng(0)
    df = stays(unit="D").drop(columns="out")
    df["other"] = df["in"] + pd.to_timedelta(random.integers(-700, 700, len(df)), unit="D")
    found, _ = measured(df)
    assert all(isinstance(codec_of(found, name), NumericCodec) for name in ("other", "in"))


def export(seed=0):
    """An export of a hospital: several rows for each patient, four columns of dates, many others."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(ROWS), np.minimum(random.geometric(0.55, ROWS), 8))[:ROWS]
    age = np.where(random.random(ROWS) < 0.05, 0, np.clip(random.gamma(5, 11, ROWS), 0, 100))[person]
    df = stays(seed=seed).drop(columns="person")
    stay = (df["out"] - df["in"]).fillna(pd.Timedelta(0))
    operated = df["in"] + (stay * random.random(ROWS)).dt.floor("D")
    others = {f"code{place}": random.choice(list("abcdef"), ROWS) for place in range(6)}
    numbers = {f"value{place}": random.normal(100, 15, ROWS).round(1) for place in range(5)}
    return df.assign(
        person=person,
        born=(pd.Timestamp("2021-01-01") - pd.to_timedelta(age * 365.25, unit="D"))
        .floor("D")
        .astype(df["in"].dtype),
        operated=operated.where(random.random(ROWS) < 0.45),
        **others,
        **numbers,
    )


def test_dates_of_a_wide_export_of_persons_keep_their_lengths_and_orders():
    ratios, early = [], []
    for seed in range(3):
        df = export(seed)
        found, made = measured(df, seed, privacy_unit="person")
        ratios.append(middle(made["out"] - made["in"]) / middle(df["out"] - df["in"]))
        for low, high in (("in", "out"), ("in", "operated"), ("born", "in"), ("born", "out")):
            assert not (made[low] > made[high]).any()
        early.append((made["born"] < "1880-01-01").mean())  # the first one is born in 1921
        assert codec_of(found, "out").base == "in"
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)
    assert np.mean(early) < 0.003


def test_an_order_that_a_twentieth_of_the_rows_break_is_broken_as_often_afterwards():
    df = stays()
    turned = np.random.default_rng(1).random(len(df)) < 0.05
    df.loc[turned, ["in", "out"]] = df.loc[turned, ["out", "in"]].to_numpy()
    df["in"] = df["in"].fillna(df["out"])
    found, made = measured(df, epsilon=3.0)
    assert found.codec.orderings == ()
    assert isinstance(codec_of(found, "out"), DifferenceCodec)
    assert (made["out"] < made["in"]).mean() == pytest.approx((df["out"] < df["in"]).mean(), abs=0.015)


def test_a_column_that_many_rows_lack_is_no_base():
    random = np.random.default_rng(0)
    df = stays()
    length = df["out"] - df["in"]
    df["operated"] = (
        (df["in"] + length * random.random(len(df))).dt.floor("D").where(random.random(len(df)) < 0.5)
    )
    found, made = measured(df, epsilon=3.0)
    assert {name: codec_of(found, name).base for name in ("out", "operated")} == {
        "out": "in",
        "operated": "in",
    }
    assert made["operated"].isna().mean() == pytest.approx(0.52, abs=0.03)
    assert not (made["in"] > made["operated"]).any()
    assert not (made["operated"] > made["out"]).any()  # what is out of order changes places


def test_dates_in_no_order_are_learned_on_their_own():
    df = stays()
    df["other"] = df["in"].sample(frac=1, random_state=0).to_numpy()  # in no order to the others
    without, _ = measured(df.drop(columns="out"))
    assert planned_differences(without.codec.df_meta) == 1
    assert all(isinstance(codec_of(without, name), NumericCodec) for name in ("in", "other"))


def test_what_no_order_is_tested_with_makes_single_columns_more_exact():
    df = stays()
    tested, declared = (measured(df, at_least=order)[0] for order in (None, {"out": "in"}))
    ward = tested.codec.names.index("ward")
    assert declared.reference.noise[ward][0] < 0.99 * tested.reference.noise[ward][0]
    # where rows belong to persons, noise of the two is not scaled alike, and nothing is added
    persons = {"privacy_unit": "person", "max_rows_per_unit": 5}
    tested, declared = (measured(df, at_least=order, **persons)[0] for order in (None, {"out": "in"}))
    assert declared.reference.noise[ward][0] == pytest.approx(tested.reference.noise[ward][0], rel=0.01)


@pytest.fixture(scope="module")
def synthesizer():
    return untrained(stays(3_000).drop(columns="person"))


def test_conditions_on_a_difference_hold_for_the_values_that_are_made(synthesizer):
    make = partial(synthesizer.synthesize, 300, seed=0)
    inside = make(where={"out": ("2022-01-01", "2022-06-30"), "ward": "a"})
    assert inside["out"].between("2022-01-01", "2022-06-30").all()
    assert (inside["ward"] == "a").all()
    assert make(where={"out": None})["out"].isna().all()
    either = make(where={"out": [None, ("2022-01-01", None)]})
    assert (either["out"].isna() | (either["out"] >= "2022-01-01")).all()
    assert 0 < either["out"].isna().sum() < 300
    with pytest.raises(ConfigError, match="where: fewer than 1 in 1,000 rows"):
        make(where={"out": "1999-01-01"})


def test_missing_dates_are_filled_in_from_the_other_one(synthesizer):
    df = stays(400, seed=3).drop(columns="person")
    holes = df.copy()
    holes.loc[:150, "in"] = pd.NaT
    holes.loc[100:250, "out"] = pd.NaT
    filled = synthesizer.impute(holes, seed=0)
    assert filled.notna().all(axis=None)
    for name in holes:
        known = holes[name].notna()
        assert (filled[name] == holes[name])[known].all()
    lengths = filled["out"] - filled["in"]
    assert lengths.between(pd.Timedelta(0), pd.Timedelta(days=200)).all()
    assert lengths.median() / pd.Timedelta(days=6.5) == pytest.approx(1, abs=0.4)


def test_differences_travel_with_the_model(synthesizer, tmp_path):
    synthesizer.save(tmp_path / "model.dps")
    loaded = HighDimSynthesizer.load(tmp_path / "model.dps")
    assert loaded.codec.to_dict() == synthesizer.codec.to_dict()
    assert loaded.synthesize(200, seed=0).equals(synthesizer.synthesize(200, seed=0))
    with zipfile.ZipFile(tmp_path / "model.dps") as archive:
        document = json.loads(archive.read("schema.json"))
    assert document["codec"]["columns"][1]["codec"] == "difference"


@pytest.mark.parametrize("base", ["out", "ward", "nothing"])
def test_a_base_that_does_not_fit_is_refused(synthesizer, base):
    document = synthesizer.codec.to_dict()
    document["columns"][1]["base"] = base
    with pytest.raises((ArtifactError, KeyError)):
        TableCodec.from_dict(document)


def test_a_coarser_resolution_of_the_later_date_breaks_no_order():
    found, _ = measured(stays(unit="min"))
    codec = codec_of(found, "out")
    coarse = replace(codec, resolution=86_400_000_000.0)
    base = pd.Series(pd.to_datetime(["2021-05-05 13:37", None] * 500)).dt.as_unit("us")
    made = coarse.decode(np.zeros(1000, np.int32), base, np.random.default_rng(0))
    assert (made >= base)[::2].all()
    assert made[1::2].isna().all()
    assert (made.dropna() == made.dropna().dt.floor("D")).all()


def test_open_contracts_that_end_in_the_year_9999_still_do():
    for seed in range(3):
        random = np.random.default_rng(seed)
        opened = pd.Timestamp("2015-01-01") + pd.to_timedelta(random.integers(0, 3000, ROWS), unit="D")
        closed = opened + pd.to_timedelta((random.exponential(400, ROWS) + 1).astype(int), unit="D")
        df = pd.DataFrame({"opened": opened, "closed": closed.where(random.random(ROWS) > 0.2, FOREVER)})
        for name in "abcd":
            df[name] = random.integers(0, 90, ROWS)
        years = measured(df, seed)[1]["closed"].dt.year
        assert (years == 9999).mean() == pytest.approx(0.2, abs=0.03)
        assert ((years > 2040) & (years < 9999)).mean() < 0.03
