"""What one row changes in everything that is measured, compared through the real code.

The measurements of a run are adaptive: what is asked next depends on the noisy answers so far. So the
second of two neighbouring tables gets the answers of the first, and only the exact counts behind them are
compared.
"""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.learning import run as run_module
from jupyter_dpsynth.engine.measuring import (
    categories,
    forms,
    formulas,
    marginals,
    measure,
    numbers,
    reading,
    repeated,
)
from jupyter_dpsynth.engine.measuring.candidates import candidates_of
from jupyter_dpsynth.engine.measuring.differences import SPANS_PART
from jupyter_dpsynth.engine.measuring.domains import discover_table
from jupyter_dpsynth.engine.measuring.formulas import MAX_FORMULAS, measure_formulas
from jupyter_dpsynth.engine.measuring.interactions import interaction_scores
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.measuring.numbers import BinSearch
from jupyter_dpsynth.engine.measuring.orderings import MAX_ORDERINGS, measure_orderings
from jupyter_dpsynth.engine.measuring.repeated import distinct_values
from jupyter_dpsynth.engine.measuring.weighing import EVERY_ROW
from jupyter_dpsynth.engine.model.cells import TrainedCells
from jupyter_dpsynth.engine.model.plan import ORDERINGS, PAIRS, SPANS
from jupyter_dpsynth.engine.model.reference import pair_distances, reference_from
from jupyter_dpsynth.engine.planning.counting import planned_count
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import DPSynthError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import ROW_PARTS, Releases
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.networks import random_model
from tests.support.plans import plan_of_noise, releases_of
from tests.support.tables import every_type_table, mixed_table

TABLE = every_type_table()


class Watched(Releases):
    """The door to private figures, with what went through it; may give the answers of another run."""

    def __init__(self, noise, first=(), *, exact=False, given=None):
        super().__init__(noise, first, exact=exact)
        self.told, self.answers, self.before = [], [], given  # of each release of counts
        self.shares, self.points = [], []  # of which single values counts are, if they are
        self.pairs = []  # of each release of distances: how many, and their noise

    def release_counts(self, allowance, exact, parts):
        answer = super().release_counts(allowance, exact, parts)
        if PAIRS in dict(allowance.shares):
            self.pairs.append((len(exact), allowance.noise))
            return answer
        points = getattr(exact, "points", None)
        if self.before is not None:
            answer = self.before.answers[len(self.told)]
            if points is not None:  # the row brought a value, which is not published
                known = dict(zip(self.before.points[len(self.told)], answer, strict=True))
                answer = np.array([known.get(point, -1e9) for point in points])
            elif len(answer) < len(exact):  # the row brought a category, which is not published
                answer = np.insert(answer, -1, -1e9)
        self.told.append((np.array(exact) / parts if parts > 1 else np.array(exact), allowance.noise))
        self.shares.append(allowance.shares)
        self.answers.append(answer)
        self.points.append(points)
        return answer

    def noises(self, wanted):
        """The noise of every release of the wanted measurements."""
        names = [shares[0][0] for shares in self.shares]
        return [noise for (_, noise), name in zip(self.told, names, strict=True) if wanted(name)]


def measured(df, meta, plan, releases, tables=()):
    """What is measured of a table."""
    return measure_table(FrameSource(df), meta, plan, releases, lambda _: None, tables)


class OfPoints(np.ndarray):
    """Counts that know of which single values they are."""


@pytest.fixture(autouse=True)
def searches_tell_their_values():
    """Counts of single values tell which values they are of, so that two tables' can be compared."""
    with mock.patch.object(repeated, "distinct_values", of_points):
        yield


def of_points(values):
    points, counts = distinct_values(values)
    counts = counts.view(OfPoints)
    counts.points = points
    return points, counts


def aligned(without, with_row, single=repeated.SINGLE):
    """The exact counts of every histogram in both tables, each of the same cells.

    A single value that is new, which delta pays for, had so many rows before, or as many if this is None.
    """
    told = zip(without.told, with_row.told, without.points, with_row.points, strict=True)
    for (before, _), (after, _), points, new_points in told:
        if points is not None:  # a value that is new had as many rows as are not looked at
            assert set(points) <= set(new_points)
            known = pd.Series(before, points).reindex(new_points, fill_value=single).to_numpy(np.float64)
            known = np.where(np.isnan(known), after, known)
        else:
            known = np.insert(before, -1, 0) if len(after) > len(before) else before
        yield known, after


def changes(without, with_row):
    """The largest change of any cell and the number of changed cells, for each histogram."""
    for before, after in aligned(without, with_row):
        difference = np.abs(after - before)
        yield difference.max(initial=0), (difference > 0).sum()


@pytest.fixture(scope="module")
def planned():
    """Schema and plan of a table with every type; a few columns have declared domains."""
    meta = MetaExtractor.extract(
        TABLE,
        bounds={"int8": (0, 50), "float32": (-1, 1), "datetime_ns": ("2020-02-01", "2020-12-31")},
        categories={"text": ["a", "b", "zz"]},
    )
    config = HighDimConfig(epsilon=20.0, delta=1e-4).resolve()
    return meta, plan_run(config, meta, 400.0)


DISCOVERY = (
    "decimals and time resolutions",
    "value histograms",
    "second look at unlisted names",
    "times between columns",
    "one-way marginals",
    "named tables",
)


def assert_one_cell_is_changed(base, row, meta, plan, seed, tables=()):
    """Compare what is measured of a table with and without a row."""
    noise = NoiseSource(test_only_seed=seed)
    without = releases_of(plan, noise, Watched)
    measured(base, meta, plan, without, tables)
    with_row = releases_of(plan, noise, Watched, given=without)
    measured(pd.concat([base, row], ignore_index=True), meta, plan, with_row, tables)
    found = list(changes(without, with_row))
    assert all(largest <= 1 and changed <= 1 for largest, changed in found)
    assert sum(changed for _, changed in found) > len(base.columns)  # the row is seen at all
    # what all histograms together cost is what the accountant was told of them, and no more
    told = {m.name: m.sigma for m in plan.privacy.measurements}
    spent = sum(1 / noise**2 for noise in without.noises(lambda name: name not in (SPANS, ORDERINGS)))
    planned = sum(1 / told[name] ** 2 for name in DISCOVERY if name in told)
    if any(name == SPANS for shares in without.shares for name, _ in shares[1:]):
        planned += float(1 - SPANS_PART) / told[SPANS] ** 2  # no order was tested, and single columns get it
    assert spent == pytest.approx(planned)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(
    st.integers(5, 150),
    st.lists(st.integers(0, 399), min_size=len(TABLE.columns), max_size=len(TABLE.columns)),
    st.integers(0, 10_000),
)
def test_one_row_changes_every_histogram_in_one_cell_by_one(planned, rows, cells, seed):
    meta, plan = planned
    base = TABLE.sample(rows, random_state=seed).reset_index(drop=True)
    # a row put together from anywhere: unseen categories, infinite and missing values, extremes
    row = pd.DataFrame(
        {
            name: TABLE[name].iloc[[cell]].reset_index(drop=True)
            for name, cell in zip(TABLE.columns, cells, strict=True)
        }
    )
    assert_one_cell_is_changed(base, row, meta, plan, seed)


@pytest.mark.long
@settings(max_examples=10, deadline=None)
@given(st.integers(5, 150), st.integers(0, 399), st.integers(0, 10_000))
def test_one_row_changes_every_named_table_in_one_cell_by_one(rows, cell, seed):
    columns = ["int8", "text", "bool", "datetime"]
    config = HighDimConfig(
        epsilon=20.0, delta=1e-4, tables="int8*text*bool", analyses="int8 ~ text + datetime"
    )
    tables = config.resolve().named_tables
    assert len(tables) == 4
    meta = MetaExtractor.extract(TABLE[columns], bounds={"int8": (0, 50)})
    plan = plan_run(config.resolve(), meta, 400.0)
    base = TABLE[columns].sample(rows, random_state=seed).reset_index(drop=True)
    row = TABLE[columns].iloc[[cell]]
    assert_one_cell_is_changed(base, row, meta, plan, seed, tables)

    def twice(codes, *rest):
        return marginals.measure_tables(np.concatenate([codes, codes]), *rest)

    with mock.patch.object(measure, "measure_tables", twice), pytest.raises(AssertionError):
        assert_one_cell_is_changed(base, row, meta, plan, seed, tables)


# A column for every way in which numbers and times are looked for, and values that one row may bring.
MANY_DIGITS = [0.1234567890123, 0.7071067811865, 1.4142135623731]
WAYS = {
    "few of many digits": (MANY_DIGITS, "float64"),
    "of a range, few of many digits": (MANY_DIGITS[:2], "float64"),
    "small": ([0.00001, 0.00002, 0.00012], "float64"),
    "quarters": ([0.25, 0.5, 17.75, np.nan], "float64"),
    "thousands": ([1000, 24000, 37000], "int64"),
    "few of a range": ([1, 2, 9], "int64"),
    "many of a range": ([100, 2000, 9000], "int64"),
    "half of one value": ([777_777, *range(1_001, 100_000, 97)], "int64"),
    "nullable": ([10, 20, None], "Int64"),
    "days": (["2020-01-01", "2020-03-01", "2021-07-15", None], "datetime64[ns]"),
    "seconds": (["2020-01-01 10:00:07", "2020-03-01 23:11:12"], "datetime64[us]"),
    "of a zone": (["2020-01-01 10:00", "2020-03-01 23:00"], "datetime64[ns, UTC]"),
    "durations": (["1h", "2h", "3D"], "timedelta64[ns]"),
    "of Python": ([dt.date(1500, 1, 1), dt.date(2020, 1, 1), dt.date(9999, 12, 31)], "object"),
}
ODD = {
    "float": [0.0, -0.0, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 1e-7, 0.5, *MANY_DIGITS],
    "int": [0, 1, -1, 1000, 5000, 2**53 + 1, 2**63 - 1, -(2**63)],
    "datetime": [None, "1677-09-22", "1700-01-01", "1899-12-31", "2020-01-01 00:00:00.000001", "2262-04-11"],
    "timedelta": [None, "0h", "-1us", "106751 days", "-106751 days", "1h"],
    "object": [None, "text", pd.Timestamp(1), np.datetime64(1, "ns"), dt.date(1, 1, 1), dt.date(2020, 1, 1)],
}
BOUNDS = {
    "of a range, few of many digits": (0, 1),
    "few of a range": (0, 20),
    "many of a range": (0, 10_000),
    "seconds": ("2019-01-01", "2022-01-01"),
}


def table_of(cells, born):
    """A table of the columns of `WAYS`, and days that are spread so widely that no year has many."""
    columns = {name: pd.Series(values, dtype=object).astype(WAYS[name][1]) for name, values in cells.items()}
    return pd.DataFrame({**columns, "born": pd.Series(born, dtype="datetime64[ns]")})


def many_ways(rows, seed):
    """A random table: its schema, with bounds, is the same for all of them."""
    generator = np.random.default_rng(seed)
    cells = {
        name: [values[place] for place in generator.integers(0, len(values), rows)]
        for name, (values, _) in WAYS.items()
    }
    cells["half of one value"][: rows // 2] = [777_777] * (rows // 2)
    cells["quarters"][: rows // 150] = [0.3] * (rows // 150)  # fewer than one in a hundred are rounded
    days = np.datetime64("1720-01-01", "ns") + generator.integers(0, 190_000, rows).astype("timedelta64[D]")
    return table_of(cells, days)


@st.composite
def odd_rows(draw):
    """One row of odd values."""
    cells = {}
    for name, (_, dtype) in WAYS.items():
        (values,) = (values for kind, values in ODD.items() if dtype.lower().startswith(kind))
        cells[name] = [draw(st.sampled_from(values))]
    return table_of(cells, [draw(st.sampled_from([None, "1999-12-31", "1677-09-22"]))])


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(odd_rows(), st.integers(0, 10_000))
def test_one_odd_row_changes_one_cell_by_one_however_values_are_looked_for(row, seed):
    base = many_ways(600, seed)
    meta = MetaExtractor.extract(base, bounds=BOUNDS)
    config = HighDimConfig(epsilon=20.0, delta=1e-4).resolve()
    plan = plan_run(config, meta, 600.0, "quick")
    cells = []
    measure = BinSearch._measure

    found = []  # single values beside which cells are counted

    def watched(tree, starts, ends, share, *outside):
        order = np.argsort(starts)
        cells.append((starts[order], ends[order]))
        found.append(len(tree.repeated.points))
        return measure(tree, starts, ends, share, *outside)

    listed = []

    def watched_codes(tree, *again):
        listed.append(tree.meta.name)
        return list_codes(tree, *again)

    list_codes = BinSearch.list_codes
    with (
        mock.patch.object(BinSearch, "_measure", watched),
        mock.patch.object(BinSearch, "list_codes", watched_codes),
    ):
        assert_one_cell_is_changed(base, row, meta, plan, seed)
    assert "few of many digits" in listed
    assert all((starts < ends).all() and (ends[:-1] <= starts[1:]).all() for starts, ends in cells)
    assert max(found) >= 1


def written(rows, seed):
    """Dates and times that are written as whole numbers, multiples of a step, and decimal numbers."""
    generator = np.random.default_rng(seed)
    days = pd.Timestamp("2015-01-01") + pd.to_timedelta(generator.integers(0, 3_000, rows), unit="D")
    hours, minutes = generator.integers(0, 24, rows), 5 * generator.integers(0, 12, rows)
    return pd.DataFrame(
        {
            "day": days.strftime("%Y%m%d").astype(int),
            "at": 100 * hours + minutes,
            "lasting": 84 * generator.integers(1, 3_000, rows),
            "paid": [Decimal(int(10 * number)).scaleb(-2) for number in generator.integers(1, 900, rows)],
        }
    )


def found_in(base, row, seed):
    """Assert what one row changes; how many columns have a form or a step."""
    meta = MetaExtractor.extract(base)
    plan = plan_run(HighDimConfig(epsilon=20.0, delta=1e-4).resolve(), meta, 1_500.0, "quick")
    assert_one_cell_is_changed(base, row, meta, plan, seed)
    columns = measured(base, meta, plan, releases_of(plan, NoiseSource(test_only_seed=seed))).codec.columns
    formed = [each for each in columns if each.pattern is not None and each.pattern.parts.form]
    return len(formed), sum(84 in each.rounding.steps for each in columns)


@settings(max_examples=10, deadline=None)
@given(
    st.tuples(*[st.sampled_from([0, -1, 84, 85, 1275, 2400, 20230231, 20240229, 2**53 + 1, 2**63 - 1])] * 3),
    st.sampled_from([Decimal("NaN"), Decimal("1.234567890123"), Decimal("1E+400"), None, "8.90", 8.9]),
    st.integers(0, 10_000),
)
def test_one_odd_number_changes_one_cell_where_dates_steps_and_digits_are_looked_for(row, paid, seed):
    base = written(1_500, seed)
    formed, stepped = found_in(base, pd.DataFrame([(*row, paid)], columns=base.columns), seed)
    assert formed + stepped > 0  # noise may hide one of them


def test_a_step_for_which_a_row_counts_twice_would_be_found():
    def twice(values, *rest):
        return forms.find_step(replace(values, parts=[np.repeat(part, 2) for part in values.parts]), *rest)

    base = written(1_500, 0)
    assert found_in(base, base.iloc[:1], 0) == (2, 1)
    with mock.patch.object(numbers, "find_step", twice), pytest.raises(AssertionError):
        found_in(base, base.iloc[:1], 0)


def stays(rows, seed):
    """Two columns of dates, of which one is learned as the time since the other."""
    generator = np.random.default_rng(seed)
    admitted = np.datetime64("2021-01-01", "ns") + generator.integers(0, 900, rows).astype("timedelta64[D]")
    discharged = admitted + generator.integers(0, 20, rows).astype("timedelta64[D]")
    return pd.DataFrame({"in": admitted, "out": discharged}).astype("datetime64[ns]")


def assert_one_stay_changes_one_cell(days, seed):
    base, row = stays(600, seed), pd.DataFrame([days], columns=["in", "out"]).astype("datetime64[ns]")
    meta = MetaExtractor.extract(base)
    plan = plan_run(HighDimConfig(epsilon=20.0, delta=1e-4).resolve(), meta, 600.0, "quick")
    assert "times between columns" in {each.name for each in plan.privacy.measurements}
    assert_one_cell_is_changed(base, row, meta, plan, seed)


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.sampled_from(ODD["datetime"])] * 2), st.integers(0, 10_000))
def test_one_odd_row_changes_one_difference_by_one(days, seed):
    assert_one_stay_changes_one_cell(days, seed)


def test_a_difference_that_counts_a_row_twice_would_be_found():
    def twice(df, **how):
        found = differences_of(df, **how)
        return replace(found, present=np.append(found.present, found.present))

    differences_of = reading._present_differences
    with mock.patch.object(reading, "_present_differences", twice), pytest.raises(AssertionError):
        assert_one_stay_changes_one_cell(("2021-03-01", "2021-03-09"), 0)


def assert_one_missing_value_changes_one_cell(value, seed):
    """Of a column of numbers whose codes for missing values come back, as those of statistical files."""
    generator = np.random.default_rng(seed)
    base = pd.DataFrame({"income": generator.choice([-9.0, -8.0, np.nan, 10.0, 20.5, 31.0], 600), "n": 1.0})
    meta = MetaExtractor.extract(base, missing={"income": [-9, -8]})
    meta = replace(meta, columns=(replace(meta["income"], coded=True), meta["n"]))
    plan = plan_run(HighDimConfig(epsilon=20.0, delta=1e-4).resolve(), meta, 600.0, "quick")
    assert_one_cell_is_changed(base, pd.DataFrame({"income": [value], "n": [1.0]}), meta, plan, seed)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([-9.0, -8.0, -7.0, np.nan, np.inf, 20.5, 1e9]), st.integers(0, 10_000))
def test_one_missing_value_changes_one_cell_whatever_its_code(value, seed):
    assert_one_missing_value_changes_one_cell(value, seed)


def test_a_code_that_counts_as_missing_without_a_code_too_would_be_found():
    def twice(df, **how):
        found = present_values(df, **how)
        again = np.zeros((found.kinds > 0).sum(), np.int16)
        return replace(found, kinds=np.append(found.kinds, again))

    present_values = reading._present_values
    with mock.patch.object(reading, "_present_values", twice), pytest.raises(AssertionError):
        assert_one_missing_value_changes_one_cell(-9.0, 0)


def assert_one_code_changes_one_cell_of_each_level(code, seed, rule="prefix:1,3"):
    generator = np.random.default_rng(seed)
    codes = [f"{letter}{number:02d}.{end}" for letter in "AB" for number in range(9) for end in range(9)]
    base = pd.DataFrame({"icd": generator.choice(codes, 800), "other": generator.choice(list("xy"), 800)})
    row = pd.DataFrame({"icd": [code], "other": ["x"]}).astype(base.dtypes)
    rule = (
        {code: code[:3] for code in codes} | {f"B{n:02d}": "odd" for n in range(9)}
        if rule == "tree"
        else rule
    )
    meta = MetaExtractor.extract(base, hierarchy={"icd": rule})
    plan = plan_run(HighDimConfig(epsilon=20.0, delta=1e-4).resolve(), meta, 800.0, "quick")
    assert_one_cell_is_changed(base, row, meta, plan, seed)


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(["A01.1", "A01", "A", "", "Z99.9", "B01", "odd", None]),
    st.integers(0, 10_000),
    st.sampled_from(["prefix:1,3", "tree", "icd10"]),
)
def test_one_odd_code_changes_one_cell_of_each_level(code, seed, rule):
    assert_one_code_changes_one_cell_of_each_level(code, seed, rule)


def test_a_code_that_counts_in_two_groups_of_a_level_would_be_found():
    def twice(df, meta, key, level=0):
        found = places_of(df, meta, key, level)
        return replace(found, places=np.tile(found.places, 2)) if level else found

    places_of = categories._find_places
    with mock.patch.object(categories, "_find_places", twice), pytest.raises(AssertionError):
        assert_one_code_changes_one_cell_of_each_level("A01.1", 0)


@pytest.mark.long
@settings(max_examples=10, deadline=None)
@given(odd_rows(), st.integers(0, 50), st.integers(0, 10_000))
def test_what_is_found_follows_from_the_noisy_answers_alone(row, rows, seed):
    """A table of other rows, and of other a number, that gets the same answers is asked and told the same."""
    meta = MetaExtractor.extract(many_ways(9, 0), bounds=BOUNDS)
    plan = plan_of_noise(meta, 600.0, resolutions=0.5, histograms=1.5, rare=1.0, delta=1e-5)
    noise = NoiseSource(test_only_seed=seed)
    first = releases_of(plan, noise, Watched)
    found = discover_table(FrameSource(many_ways(600, seed)), meta, first, plan, lambda _: None)
    other = pd.concat([row, many_ways(rows, seed + 1)], ignore_index=True)
    second = releases_of(plan, noise, Watched, given=first)
    # a search may be measured twice
    searches = iter({id(points): points for points in first.points if points is not None}.values())

    def same_points(values):  # of values that are published in both tables
        points = next(searches)
        (part,) = values.parts
        counts = np.searchsorted(part, points, "right") - np.searchsorted(part, points)
        counts = np.asarray(counts, dtype=np.int64).view(OfPoints)
        counts.points = points
        return points, counts

    with mock.patch.object(repeated, "distinct_values", same_points):
        again = discover_table(FrameSource(other), meta, second, plan, lambda _: None)
    asked, asked_again = ([(len(counts), sigma) for counts, sigma in each.told] for each in (first, second))
    assert asked == asked_again
    assert found.codec.to_dict() == again.codec.to_dict()
    for column, other_column in zip(found.columns, again.columns, strict=True):
        assert column.counts.tolist() == other_column.counts.tolist()
        assert column.variances.tolist() == other_column.variances.tolist()


def test_pairs_and_orderings_get_the_noise_that_was_planned():
    low = np.arange(3000) % 50 / 10
    df = pd.DataFrame({"low": low, "high": low + 0.5, "other": np.arange(3000) % 7 / 10})
    meta = MetaExtractor.extract(df, bounds=dict.fromkeys(df, (0, 6)), decimals=dict.fromkeys(df, 1))
    config = HighDimConfig(epsilon=5.0).resolve()
    plan = plan_run(config, meta, 3000.0)
    watched = releases_of(plan, NoiseSource(test_only_seed=1), Watched)
    assert measured(df, meta, plan, watched).codec.orderings == (("low", "high"),)
    told = {m.name: m.sigma for m in plan.privacy.measurements}
    assert watched.pairs == [(3, pytest.approx(3**0.5 * told[PAIRS]))]
    # a third tests whether 'high' is the sum of the others, the rest the only pair that is dependent
    sums, order = watched.noises(lambda name: name == ORDERINGS)
    assert sums == pytest.approx(3**0.5 * told[ORDERINGS])
    assert order == pytest.approx(1.5**0.5 * told[ORDERINGS])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10_000))
def test_one_row_changes_every_pairs_distance_by_at_most_one(rows, seed):
    generator = np.random.default_rng(seed)
    sizes = np.array([3, 2, 5])
    codes = np.stack([generator.integers(0, size, rows + 1) for size in sizes], axis=1).astype(np.int32)
    shares = [generator.dirichlet(np.ones(size)) for size in sizes]
    one, other = (pair_distances(part, sizes, shares, rows + 7.3) for part in (codes, codes[:-1]))
    assert one.dtype == np.int64
    assert 0 < np.abs(one - other).max() <= ROW_PARTS
    shares[0][:2] = shares[2][[0, 3]] = 0  # rows of these cells count as of others
    cells = TrainedCells.of(shares)
    kept, left = np.array([1, 2, 3]), cells.select(shares)
    one, other = (pair_distances(cells.table(part), kept, left, rows + 7.3) for part in (codes, codes[:-1]))
    assert np.abs(one - other).max() <= ROW_PARTS


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 30.0, 1e30]))
def test_one_row_changes_every_interactions_score_by_at_most_one(rows, seed, strength):
    """Whatever the model is, up to one that is sure of everything, or not finite."""
    generator = np.random.default_rng(seed)
    sizes = [3, 2, 9, 2, 4]
    codes = np.stack([generator.integers(0, size, rows + 1) for size in sizes], axis=1).astype(np.uint8)
    shares = [generator.dirichlet(np.ones(size)) for size in sizes]
    model = random_model(sizes, strength=strength, seed=seed)
    made = np.stack([generator.integers(0, size, 500) for size in sizes], axis=1)
    candidates = candidates_of(shares, [0, 0, 9, 0, 0], made, generator)
    found = []
    for part in (codes, codes[generator.permutation(rows + 1)], codes[:-1]):
        with np.errstate(all="ignore"):
            interactions, scores = interaction_scores(part, model, shares, candidates, rows + 7.3)
        found.append(dict(zip(interactions, scores.tolist(), strict=True)))
    first, reordered, without = found
    assert first == reordered
    assert len(first) > 4
    assert max(abs(first[each] - without[each]) for each in first) <= ROW_PARTS


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 10_000))
def test_one_row_changes_every_orderings_histogram_in_one_cell_by_one(rows, seed):
    generator = np.random.default_rng(seed)
    names = [f"c{place}" for place in range(6)]  # 15 pairs, more than are looked at
    df = pd.DataFrame(generator.normal(size=(rows + 1, 6)).round(1), columns=names)
    df = df.mask(generator.random(df.shape) < 0.1)
    meta = MetaExtractor.extract(df, bounds=dict.fromkeys(names, (-5, 5)), decimals=dict.fromkeys(names, 1))
    codec, plan = codec_of(meta), plan_of_noise(meta, 1e6, histograms=0.5)
    measurements = {
        "shares": [np.full(size, 1 / size) for size in codec.sizes],
        "noise": [np.ones(size) for size in codec.sizes],  # so large that any order is possible
        "dependence": np.ones((6, 6)),
        "dependence_noise": 0.1,
        "rows": 10**6,
    }
    reference = reference_from(codec, measurements)
    watched = []
    for table in (df, df.iloc[:-1]):
        noise = NoiseSource(test_only_seed=seed)
        one = releases_of(plan, noise, Watched, given=watched[0] if watched else None)
        measure_orderings(FrameSource(table), codec, reference, EVERY_ROW, one)
        watched.append(one)
    assert len(watched[0].told) == MAX_ORDERINGS
    for largest, changed in changes(*reversed(watched)):
        assert largest <= 1
        assert changed <= 1


def assert_one_row_changes_one_cell_of_each_formula(rows, seed):
    generator = np.random.default_rng(seed)
    names = [f"c{place}" for place in range(4)]  # 12 sums, more than are tested
    df = pd.DataFrame(generator.integers(-9, 9, (rows + 1, 4)), columns=names).astype(float)
    df["c3"] = df["c0"] + df["c1"]
    df = df.mask(generator.random(df.shape) < 0.1)
    bounds = dict.fromkeys(names, (-20, 20))
    meta = MetaExtractor.extract(df, bounds=bounds, decimals=dict.fromkeys(names, 0))
    codec, plan = codec_of(meta), plan_of_noise(meta, 1e6, histograms=0.5)
    measurements = {
        "shares": [np.full(size, 1 / size) for size in codec.sizes],
        "noise": [np.ones(size) for size in codec.sizes],  # so large that any sum is possible
        "dependence": np.ones((4, 4)),
        "dependence_noise": 0.1,
        "rows": 10**6,
    }
    reference, watched = reference_from(codec, measurements), []
    for table in (df, df.iloc[:-1]):
        noise = NoiseSource(test_only_seed=seed)
        one = releases_of(plan, noise, Watched, given=watched[0] if watched else None)
        measure_formulas(FrameSource(table), codec, reference, EVERY_ROW, one)
        watched.append(one)
    assert len(watched[0].told) == MAX_FORMULAS
    for largest, changed in changes(*reversed(watched)):
        assert largest <= 1
        assert changed <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 60), st.integers(0, 10_000))
def test_one_row_changes_every_formulas_histogram_in_one_cell_by_one(rows, seed):
    assert_one_row_changes_one_cell_of_each_formula(rows, seed)


def test_a_row_that_counts_twice_for_a_formula_would_be_found():
    def twice(*args, **kwargs):
        return np.repeat(cells_of_rows(*args, **kwargs), 2)

    cells_of_rows = formulas._cells
    with mock.patch.object(formulas, "_cells", twice), pytest.raises(AssertionError):
        assert_one_row_changes_one_cell_of_each_formula(30, 0)


def codec_of(meta) -> TableCodec:
    table = pd.DataFrame({column.name: pd.Series([0.0, 1.0]) for column in meta.columns})
    plan = plan_of_noise(meta, 10.0, histograms=0.1, bins=8, cells=8)
    releases = releases_of(plan, NoiseSource(test_only_seed=0), EveryCell)
    return discover_table(FrameSource(table), meta, releases, plan, lambda _: None).codec


class EveryCell(Releases):
    """One row in every cell."""

    def release_counts(self, allowance, exact, parts):
        return np.ones(len(exact))


def test_the_row_count_is_released_first_with_a_noise_that_is_fixed_beforehand(tmp_path, monkeypatch):
    df, made = mixed_table(700), []

    class Stopped(Exception):
        pass

    class Kept(Watched):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

        def admit(self, plan):
            raise Stopped

    monkeypatch.setattr(run_module, "Releases", Kept)
    config = HighDimConfig(epsilon=2.0, steps=2)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config)
    with pytest.raises(DPSynthError, match="Stopped"):
        synthesizer.learn(df, lambda _: None, ledger=PrivacyLedger(tmp_path / "ledger"))
    ((counts, noise),) = made[0].told  # nothing else is released before everything is planned
    assert counts.tolist() == [700]
    assert noise == planned_count(config.resolve()).measurement.sigma


def test_the_order_of_rows_does_not_decide_which_categories_are_published():
    """Noisy counts are whole numbers and tie; a tie is settled by the category, not by its first row."""
    from jupyter_dpsynth.engine.measuring.categories import CategorySearch

    series = pd.Series([f"v{place:02d}" for place in range(40)] * 3, dtype=object)
    (meta,) = MetaExtractor.extract(series.to_frame("x")).columns
    little_noise = SimpleNamespace(counts=lambda counts, parts: counts.astype(float), noise=0.1)

    def published(rows):
        search = CategorySearch(FrameSource(rows.to_frame("x")), meta, cells=10)
        search.measure(little_noise, delta=0.1)
        return search.finish().codec.published

    orders = (series, series.iloc[::-1], series.sample(frac=1, random_state=3))
    assert {published(rows) for rows in orders} == {tuple(f"v{place:02d}" for place in range(8))}


def test_a_row_counts_once_among_codes_that_are_one_number():
    """Two whole numbers may be one float: a row with it must not count as both."""
    df = pd.DataFrame({"x": pd.array([2**53, 1, -9, None], "Int64")})
    codes = [2**53, 2**53 + 1, -9]
    meta = replace(MetaExtractor.extract(df, missing={"x": codes})["x"], coded=True)
    found = reading.read_values(FrameSource(df), meta, EVERY_ROW)
    assert found.missing.tolist() == [1, 1, 0, 1]
    assert [part.tolist() for part in found.parts] == [[1.0]]
