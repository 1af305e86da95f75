"""One person's rows, however many and whatever they hold, change what is measured no more than is planned."""

import itertools
import tempfile
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.measuring.weighing import EqualUnits
from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.model.plan import OF_UNITS
from jupyter_dpsynth.engine.planning.plan import plan_run, planned_count
from jupyter_dpsynth.errors import ConfigError, MetadataError
from jupyter_dpsynth.metadata import IdMeta, MetaExtractor
from jupyter_dpsynth.privacy.accounting import compute_epsilon
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources import bounding as units_module
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.bounding import PrivacyUnits, limit_rows_per_unit
from jupyter_dpsynth.sources.opening import open_source
from tests.property.test_sensitivities import Watched, aligned, searches_tell_their_values  # noqa: F401 - a fixture
from tests.support.plans import releases_of
from tests.support.tables import mixed_table

OWNERS = st.lists(st.one_of(st.none(), st.integers(0, 8)), max_size=60)


def bounded(table, most, seed, unit="who"):
    """The kept rows as a frame, and which of them belong together."""
    source = open_source(table)
    kept, units = limit_rows_per_unit(source, unit, most, np.random.default_rng(seed))
    names = list(kept.described.columns)
    rows = pd.concat(kept.map(lambda part: part, names), ignore_index=True)
    assert len(rows) == kept.rows == len(units.rows) == units.starts[-1]
    return rows, units


def blocks_of(rows, units):
    return [rows.iloc[units.rows[a:b]] for a, b in itertools.pairwise(units.starts)]


def check_bound(owners, rows, units, most):
    """Every unit has its share of rows, under one number; no row is there twice."""
    blocks = blocks_of(rows, units)
    assert units.starts[0] == 0
    assert sorted(units.rows) == list(range(len(rows)))
    assert all(len(set(block["who"].astype(str))) == 1 for block in blocks)
    names = [None if pd.isna(block["who"].iloc[0]) else block["who"].iloc[0] for block in blocks]
    assert len(set(names)) == len(names) == len(units)
    assert {name: len(block) for name, block in zip(names, blocks, strict=True)} == {
        name: min(most, owners.count(name)) for name in set(owners)
    }
    assert rows["row"].is_monotonic_increasing
    assert rows["row"].is_unique


@given(OWNERS, st.integers(1, 5), st.integers(0, 1000), st.sampled_from([1, 3, 2**20]))
def test_every_unit_keeps_as_many_rows_as_it_may_and_is_one(owners, most, seed, bucket_rows):
    df = pd.DataFrame({"who": pd.Series(owners, dtype="Int64"), "row": np.arange(len(owners))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jupyter_dpsynth.sources.bounding.BUCKET_ROWS", bucket_rows)
        found = []
        for at_once in (2, 7, 2**21):  # how many rows are looked at together changes nothing
            patch.setattr("jupyter_dpsynth.sources.bounding.AT_ONCE", at_once)
            rows, units = bounded(df, most, seed)
            check_bound(owners, rows, units, most)
            found.append((rows["row"].tolist(), units.starts.tolist(), units.rows.tolist()))
    assert found[0] == found[1] == found[2]


def test_which_rows_of_a_unit_are_kept_is_random():
    df = pd.DataFrame({"who": ["a"] * 50, "row": range(50)})
    kept = {tuple(bounded(df, 2, seed)[0]["row"]) for seed in range(20)}
    assert len(kept) > 10


def test_every_row_of_a_unit_is_as_likely_to_be_kept_whoever_else_is_in_the_table(monkeypatch):
    monkeypatch.setattr("jupyter_dpsynth.sources.bounding.BUCKET_ROWS", 4)
    monkeypatch.setattr("jupyter_dpsynth.sources.bounding.AT_ONCE", 3)
    alone = pd.DataFrame({"who": ["a"] * 5, "row": range(5)})
    others = pd.DataFrame({"who": ["b"] * 6 + [None] * 4, "row": range(10, 20)})
    together = pd.concat([others[:2], alone[:2], others[2:7], alone[2:], others[7:]], ignore_index=True)
    for table in (alone, together):
        kept = [bounded(table, 2, seed)[0] for seed in range(1500)]
        rows = pd.concat(kept).query("who == 'a'")["row"]
        assert stats.chisquare(rows.value_counts().reindex(range(5), fill_value=0)).pvalue > 1e-4


def test_one_unit_with_nearly_all_rows_is_decided_in_bounded_memory(monkeypatch):
    monkeypatch.setattr("jupyter_dpsynth.sources.bounding.BUCKET_ROWS", 100)
    monkeypatch.setattr("jupyter_dpsynth.sources.bounding.AT_ONCE", 150)
    sizes, sort = [], np.lexsort

    def watched(keys):
        sizes.append(len(keys[0]))
        return sort(keys)

    monkeypatch.setattr(np, "lexsort", watched)
    owners = [None] * 20_000 + list(range(300)) * 2
    df = pd.DataFrame({"who": pd.Series(owners, dtype="float64"), "row": range(len(owners))})
    rows, units = bounded(df, 5, 0)
    check_bound(owners, rows, units, 5)
    assert max(sizes) < 400
    assert len(sizes) > 20_000 / 150


def test_units_that_share_half_of_their_bits_stay_apart(monkeypatch):
    real = units_module.unit_words

    def alike(series, key):
        words = real(series, key)
        words[:, 0] = 17
        return words

    monkeypatch.setattr(units_module, "unit_words", alike)
    owners = list(range(40)) * 4
    df = pd.DataFrame({"who": owners, "row": range(len(owners))})
    check_bound(owners, *bounded(df, 3, 1), 3)


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([2**53, 2**53 + 1, -(2**63), 2**63 - 1]),
        pd.Series([2**63, 2**63 + 1, 0], dtype="uint64"),
        pd.Series([2**62, 2**62 + 1, None, 0], dtype="Int64"),
        pd.Series([0.5, 1e300, 5e-324, np.nan]),
        pd.Series(["1", 1, 1.5, True, b"1", "int 0x1", 10**5000, None], dtype=object),
        pd.Series(["a", "\udc80", "\\udc80", "a\0", None], dtype=object),
        pd.Series([3, 7, None]).astype("category"),
        pd.Series(["x", "y", None], dtype="string"),
    ],
)
def test_what_differs_is_another_unit_and_all_that_is_missing_is_one(values):
    df = pd.DataFrame({"who": pd.concat([values] * 3, ignore_index=True)}).assign(row=range(3 * len(values)))
    _, units = bounded(df, 2, 3)
    assert len(units) == len(values)
    assert (np.diff(units.starts) == 2).all()


def test_minus_zero_is_zero_and_infinite_numbers_count_as_missing():
    df = pd.DataFrame({"who": [0.0, -0.0, np.inf, -np.inf, np.nan], "row": range(5)})
    assert len(bounded(df, 5, 0)[1]) == 2


@settings(max_examples=25, deadline=None)
@given(OWNERS, st.integers(1, 4), st.integers(0, 1000), st.integers(1, 30))
def test_the_bound_holds_and_the_same_rows_are_kept_however_a_table_is_cut(owners, most, seed, part):
    pytest.importorskip("dask.dataframe")
    df = pd.DataFrame({"who": pd.Series(owners, dtype="Int64"), "row": np.arange(len(owners))})
    in_memory, units = bounded(df, most, seed)
    with tempfile.TemporaryDirectory() as folder:
        df.to_parquet(f"{folder}/table.parquet", row_group_size=part)
        rows, others = bounded(f"{folder}/table.parquet", most, seed)
    check_bound(owners, rows, others, most)
    assert rows["row"].tolist() == in_memory["row"].tolist()
    assert (units.rows == others.rows).all()
    assert (units.starts == others.starts).all()


FORMS = ("int64", "Int64", "uint64", "float64", "Float64", "object")


@given(OWNERS, st.integers(1, 3), st.integers(0, 100), st.data())
@settings(max_examples=100, deadline=None)
def test_a_number_is_one_unit_whatever_types_the_parts_of_a_table_have(owners, most, seed, data):
    dask, dd = pytest.importorskip("dask"), pytest.importorskip("dask.dataframe")
    parts = []
    for start in range(0, len(owners) or 1, 7):
        own = owners[start : start + 7]
        gaps = None in own
        form = data.draw(
            st.sampled_from(
                [each for each in FORMS if not (gaps and each.endswith("t64") and each[0] in "iu")]
            )
        )
        parts.append(
            pd.DataFrame({"who": pd.Series(own, dtype=form), "row": np.arange(start, start + len(own))})
        )
    with dask.config.set({"dataframe.convert-string": False}):  # objects would become text
        table = dd.from_delayed(list(map(dask.delayed, parts)), meta=parts[0].iloc[:0], verify_meta=False)
        source = open_source(table)
    kept, units = limit_rows_per_unit(source, "who", most, np.random.default_rng(seed))
    rows = pd.concat(list(kept.map(lambda part: part.astype({"who": "Float64"}), ["who", "row"])))
    check_bound(owners, rows.reset_index(drop=True), units, most)


def test_numbers_that_differ_keep_different_bits_whatever_their_type():
    forms = [
        pd.Series([0, 1, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, -1], dtype="int64"),
        pd.Series([2**63, 2**63 + 1, 2**64 - 1], dtype="uint64"),
        pd.Series([0.5, 2.0**64, 1e300, -(2.0**64), 5e-324]),
        pd.Series([2**64, "1", True, 1.25], dtype=object),
    ]
    words = np.concatenate([units_module.unit_words(each, b"k" * 32) for each in forms])
    assert len(np.unique(words, axis=0)) == len(words)
    again = [
        pd.Series([0.0, 1.0, 2.0**53, -(2.0**63), -1.0]),
        pd.Series([0, 1, 2**53, -(2**63), -1], dtype=object),
    ]
    for each in again:
        assert (units_module.unit_words(each, b"k" * 32) == words[[0, 1, 2, 4, 6]]).all()


def test_noise_grows_with_the_rows_of_a_unit_unless_these_are_weighed():
    df = pd.DataFrame({"who": [1, 2], "x": [1, 2], "y": ["a", "b"], "z": [1, 3]})
    meta = MetaExtractor.extract(df, ids=["who"])
    one = plan_run(HighDimConfig(delta=1e-6).resolve(), meta, 50_000.0)
    config = HighDimConfig(delta=1e-6, privacy_unit="who", max_rows_per_unit=4).resolve()
    four = plan_run(config, meta, 4 * 50_000.0)  # as much signal: the plans are alike
    assert four.snr == pytest.approx(one.snr)
    for alone, together in zip(one.releases, four.releases, strict=True):
        assert together.measurement.name == alone.measurement.name
        grown = 1 if alone.measurement.name in OF_UNITS else 4
        assert together.noise() == pytest.approx(grown * alone.noise()), alone
    assert four.privacy.unit == "one value of 'who', with at most 4 rows"
    assert four.epsilon == compute_epsilon(four.privacy, 1e-6) <= 1.0
    assert four.releases[0] == planned_count(config)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_person_changes_every_histogram_by_at_most_the_rows_allowed(seed, rows):
    generator = np.random.default_rng(seed)
    base = mixed_table(200, seed)
    person = base.sample(rows, random_state=seed, replace=True)  # no category that nobody else has
    df = pd.concat([base.assign(who=range(200)), person.assign(who=-1)], ignore_index=True)
    df = df.sample(frac=1, random_state=seed)
    config = HighDimConfig(epsilon=20.0, delta=1e-4, privacy_unit="who", max_rows_per_unit=4).resolve()
    meta = MetaExtractor.extract(df).with_id("who")
    plan = plan_run(config, meta, 200.0)
    watched = []
    for table in (df[df["who"] >= 0], df):
        before = watched[0] if watched else None
        one = releases_of(plan, NoiseSource(test_only_seed=seed), Watched, given=before)
        kept, units = limit_rows_per_unit(FrameSource(table), "who", 4, generator)
        measure_table(kept, meta, plan, one, lambda _: None, units=units)
        watched.append(one)
    for before, after in aligned(*watched):
        # names are counted in the order of their first rows, which the person may change
        orders = (before, after), (np.sort(before), np.sort(after))
        assert min(np.linalg.norm(two - one) for one, two in orders) <= rows
    told = {m.name: m.sigma for m in plan.privacy.measurements}
    names = set(told) - {"row count", "pair dependence", *OF_UNITS}
    spent = sum((4 / sigma) ** 2 for sigma in watched[0].noises(lambda name: name not in OF_UNITS))
    assert spent == pytest.approx(sum(1 / told[name] ** 2 for name in names))


def assert_a_person_counts_once(rows, seed):
    """In histograms of dates and orders, however many rows the person has."""
    generator = np.random.default_rng(seed)
    first = np.datetime64("2021-01-01", "us") + generator.integers(0, 900, 300).astype("timedelta64[D]")
    second = first + generator.integers(0, 20, 300).astype("timedelta64[D]")
    low = generator.integers(0, 50, 300)
    base = pd.DataFrame({"in": first, "out": second, "low": low, "high": low + generator.integers(0, 9, 300)})
    person = base.sample(rows, random_state=seed).assign(out=lambda df: df["in"])
    df = pd.concat([base.assign(who=np.arange(300) // 2), person.assign(who=-1)], ignore_index=True)
    config = HighDimConfig(epsilon=20.0, delta=1e-4, privacy_unit="who", max_rows_per_unit=4).resolve()
    meta = MetaExtractor.extract(df, bounds={"low": (0, 60), "high": (0, 60)}).with_id("who")
    plan = plan_run(config, meta, 3000.0)
    told = {m.name: m.sigma for m in plan.privacy.measurements}
    watched = []
    for table in (df[df["who"] >= 0], df):
        before = watched[0] if watched else None
        one = releases_of(plan, NoiseSource(test_only_seed=seed), Watched, given=before)
        kept, units = limit_rows_per_unit(FrameSource(table), "who", 4, generator)
        measure_table(kept, meta, plan, one, lambda _: None, units=units)
        watched.append(one)
    weighed = [shares[0][0] in OF_UNITS for shares in watched[0].shares]
    found = [
        np.abs(after - before).sum()
        for (before, after), own in zip(aligned(*watched), weighed, strict=True)
        if own
    ]
    assert max(found) > 0.9
    assert max(found) <= 1 + 1e-9
    for name in OF_UNITS:  # and the noise is that of one, on what is planned or less
        spent = sum(1 / noise**2 for noise in watched[0].noises(name.__eq__))
        assert spent <= 1 / told[name] ** 2 * (1 + 1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(0, 10_000))
def test_a_person_counts_once_in_histograms_of_dates_and_orders(rows, seed):
    assert_a_person_counts_once(rows, seed)


def test_rows_of_a_person_that_count_fully_would_be_found(monkeypatch):
    unweighed = EqualUnits.of

    def planted(source, units, unit_rows):
        equal = unweighed(source, units, unit_rows)
        return replace(equal, weights=np.full_like(equal.weights, equal.parts))

    monkeypatch.setattr(EqualUnits, "of", planted)
    with pytest.raises(AssertionError):
        assert_a_person_counts_once(3, 0)


def test_who_has_which_rows_must_be_told_where_persons_are_protected():
    with pytest.raises(ValueError, match="must be told"):
        EqualUnits.of(FrameSource(mixed_table(10, 0)), None, 4)


@pytest.mark.tensorflow
@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.integers(1, 3), min_size=1, max_size=6),
    st.sampled_from([1e-3, 0.5, 2.0, 50.0]),
)
def test_a_units_gradient_is_the_clipped_sum_of_its_rows(seed, rows_of, clip):
    import tensorflow as tf

    from jupyter_dpsynth.engine.training.gradient import BatchGradient
    from jupyter_dpsynth.engine.training.release import UnitRelease

    generator = np.random.default_rng(seed)
    sizes = np.array([3, 2, 4])
    layout = Layout.from_dependence(sizes, generator.uniform(0, 0.5, (3, 3)), 0.7)
    gradient = BatchGradient(layout, clip, 10.0, 4, unit_rows=3)
    weights = tf.constant(generator.normal(0, 1, (9, 9)).astype(np.float32))
    bias = tf.constant(generator.normal(0, 1, 9).astype(np.float32))
    starts = np.concatenate([[0], np.cumsum(rows_of)])
    codes = np.stack([generator.integers(0, size, starts[-1]) for size in sizes], axis=1).astype(np.int32)
    release = UnitRelease(gradient, PrivacyUnits.adjacent(starts))
    sums = release.clipped_sums(weights, bias, codes, np.arange(len(rows_of)))

    for_weights, for_bias = (
        part.numpy() for part in gradient.row_gradients(weights, bias, tf.constant(codes))
    )
    expected = np.zeros(len(layout.free) + 9)
    for first, end in itertools.pairwise(starts):
        own = np.concatenate(
            [for_weights[first:end].sum(axis=0).ravel()[layout.free], for_bias[first:end].sum(axis=0)]
        )
        expected += own * min(1.0, gradient.grid.limit / np.linalg.norm(own))
    found = np.concatenate([sums.weights, sums.bias])
    # a sum that nearly cancels is taken for a little longer than it is
    assert np.allclose(found, expected, rtol=2e-3, atol=len(codes) * gradient.steps[:-1].max())
    assert np.linalg.norm(found) <= clip * len(rows_of)
    one = release.clipped_sums(weights, bias, codes, np.array([0]))
    assert np.linalg.norm(np.concatenate([one.weights, one.bias])) <= clip
    assert 0 <= one.loss <= 10.0 * rows_of[0]
    nobody = release.clipped_sums(weights, bias, codes, np.array([], dtype=np.int64))
    assert not nobody.weights.any()


@pytest.mark.tensorflow
@pytest.mark.parametrize(("copies", "clip"), [(1, 1e-4), (15, 1e-4), (15, 1e-2)])
def test_a_person_whose_rows_cancel_is_clipped_like_any_other(copies, clip):
    """The norm of the sum comes from products that cancel: their rounding must not make it too small."""
    import tensorflow as tf

    from jupyter_dpsynth.engine.training.gradient import BatchGradient
    from jupyter_dpsynth.engine.training.release import UnitRelease

    class Trusting(BatchGradient):
        """A planted bug: the products are taken as exact."""

        def __init__(self, *arguments):
            super().__init__(*arguments)
            self._product_error = 0.0

    layout = Layout(np.array([3, 3, 3]), np.triu(np.full((3, 3), 1.1), 1))
    # at equal shares the gradients of all combinations cancel, here they do nearly
    codes = np.array(list(itertools.product(range(3), repeat=3)) * copies, dtype=np.int32)
    units = PrivacyUnits.adjacent(np.array([0, len(codes)]))
    longest = {}
    for kind in (BatchGradient, Trusting):
        release = UnitRelease(kind(layout, clip, 10.0, 1, len(codes)), units)
        norms = []
        for seed, size in itertools.product(range(4), (1.0, 3.0)):
            generator = np.random.default_rng(seed)
            weights, bias = (
                tf.constant((size * clip / len(codes) * generator.normal(size=shape)).astype(np.float32))
                for shape in ((9, 9), 9)
            )
            sums = release.clipped_sums(weights, bias, codes, np.array([0]))
            norms.append(np.linalg.norm(np.concatenate([sums.weights, sums.bias])))
        longest[kind] = max(norms) / clip
    assert 0 < longest[BatchGradient] <= 1
    assert longest[Trusting] > 1.05  # the check finds the mistake; by how much depends on the processor


@pytest.mark.tensorflow
def test_persons_are_protected_from_end_to_end():
    from jupyter_dpsynth import HighDimSynthesizer
    from jupyter_dpsynth.privacy.verification import verify_receipt

    generator = np.random.default_rng(0)
    who = generator.integers(0, 4000, 12_000)
    df = pd.DataFrame(
        {"person": who, "sex": np.where(who % 2, "F", "M"), "visit": generator.integers(0, 9, 12_000)}
    )
    config = HighDimConfig(epsilon=2.0, steps=30, privacy_unit="person", max_rows_per_unit=3)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config)
    synthesizer.learn(df, callback=lambda _: None)
    assert isinstance(synthesizer.df_meta["person"], IdMeta)
    receipt = synthesizer.receipt
    assert receipt.unit == "one value of 'person', with at most 3 rows"
    assert receipt.relation == "add or remove one unit with all its rows"
    assert receipt.second_opinion is None
    assert "same person" not in receipt.not_covered
    assert verify_receipt(receipt.to_dict()).passed
    out = synthesizer.synthesize(50)
    assert list(out.columns) == list(df.columns)
    assert out["person"].tolist() == list(range(1, 51))
    assert set(out["sex"]) <= {"F", "M", "other"}
    stop = threading.Event()
    audit = synthesizer.audit(120, lambda state: state.runs >= 30 and stop.set(), stop)
    # above the claim itself once in a thousand audits; above three claims if rows were clipped one by one
    assert 0 < audit.bound < 1.5 * audit.claim
    assert audit.reach == pytest.approx(1.0, abs=0.01)  # the canaries are clipped


def test_what_cannot_be_a_unit_is_refused_before_anything_is_spent():
    from jupyter_dpsynth import HighDimSynthesizer

    df = pd.DataFrame({"who": [1.5] * 300, "day": pd.date_range("2020", periods=300), "x": range(300)})
    meta = MetaExtractor.extract(df)
    with pytest.raises(MetadataError, match="'whom' is not in the table"):
        HighDimSynthesizer(meta, HighDimConfig(privacy_unit="whom")).learn(df)
    with pytest.raises(MetadataError, match="cannot be the privacy unit"):
        HighDimSynthesizer(meta, HighDimConfig(privacy_unit="day")).learn(df)
    for other in ({"num_microbatches": 4}, {"n_public": True}, {"dp_backend": "tensorflow_privacy"}):
        with pytest.raises(ConfigError, match="exclude each other"):
            HighDimConfig(privacy_unit="who", **other).resolve()
    with pytest.raises(ConfigError, match="max_rows_per_unit = 0 is not allowed"):
        HighDimConfig(max_rows_per_unit=0)
