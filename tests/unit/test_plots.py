"""What the pictures of a comparison look like."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from jupyter_dpsynth.evaluation.apart import values_apart
from jupyter_dpsynth.evaluation.axes import YEAR, CellAxis, quantiles_of_shares, value_text
from jupyter_dpsynth.evaluation.maps import dependence_figures, pair_figures
from jupyter_dpsynth.evaluation.metrics import Discretizer
from jupyter_dpsynth.evaluation.plots import ColumnComparison, column_figure
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.evaluation.scales import Scale, scale_of
from tests.support.models import untrained

NAMES = {
    "one": ("0",),
    "three short names": ("a", "b", "c"),
    "three long names": ("North-East", "South-West", "Elsewhere in the country"),
    "many names": tuple(f"department {k}" for k in range(12)),
}
AXES = {
    "one value": CellAxis(np.array([0.0]), np.array([1.0]), "number"),
    "a spike and ranges": CellAxis(
        np.array([0.0, 2048.0, 7808.0]), np.array([1.0, 7808.0, 32768.0]), "number"
    ),
    "many numbers": CellAxis(np.arange(30) * 1e4, np.arange(1, 31) * 1e4, "number"),
    "money": CellAxis(10 ** np.linspace(2, 6, 40)[:-1], 10 ** np.linspace(2, 6, 40)[1:], "number"),
    "years": CellAxis(np.arange(50) * YEAR, np.arange(1, 51) * YEAR, "date"),
    "hours of a day": CellAxis(np.arange(24) * 3600.0, np.arange(1, 25) * 3600.0, "date"),
    "durations": CellAxis(np.arange(20) * 7200.0, np.arange(1, 21) * 7200.0, "duration"),
    "below zero": CellAxis(np.arange(-5.0, 5.0), np.arange(-4.0, 6.0), "number"),
}


def drawn(column):
    figure = column_figure(column)
    FigureCanvasAgg(figure).draw()
    return figure


@pytest.mark.parametrize("axis", AXES.values(), ids=AXES)
def test_an_axis_has_enough_labels_and_none_overlaps_another_or_leaves_the_picture(axis):
    bins = len(axis.starts)
    shares = np.full(bins + 2, 1 / (bins + 2))
    labels = (*map(str, range(bins)), "missing", "above 9")
    figure = drawn(ColumnComparison("column", labels, shares, shares, None, axis, 0.0, 0.01))
    line, beside = figure.axes
    texts = [text for text in line.get_xticklabels() if text.get_text()]
    assert bins == 1 or 3 <= len(texts) <= 7
    boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.x0)
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert [text.get_text() for text in beside.get_xticklabels()] == ["missing", "above"]


@pytest.mark.parametrize("labels", NAMES.values(), ids=NAMES)
def test_no_name_of_a_category_leaves_the_picture(labels):
    shares = np.full(len(labels), 1 / len(labels))
    figure = drawn(ColumnComparison("column", labels, shares, shares, None, None, 0.0, 0.01))
    boxes = [text.get_window_extent() for text in figure.axes[0].get_yticklabels()]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_the_area_of_a_bar_is_its_share_however_long_its_interval_is():
    axis = CellAxis(np.array([0.0, 10.0, 40.0]), np.array([10.0, 40.0, 100.0]), "number")
    shares = np.array([0.2, 0.3, 0.5])
    figure = drawn(ColumnComparison("column", ("a", "b", "c"), shares, shares, None, axis, 0.0, 0.01))
    bars = figure.axes[0].patches
    areas = np.array([bar.get_width() * bar.get_height() for bar in bars])
    assert areas / areas.sum() == pytest.approx(shares)
    assert [bar.get_x() for bar in bars] == [0, 10, 40]


def test_what_is_distributed_like_money_has_a_logarithmic_axis_and_ages_have_none():
    edges = 10 ** np.linspace(2, 6, 40)
    middle = np.exp(-(((np.arange(39) - 15) / 6) ** 2))
    money = CellAxis(edges[:-1], edges[1:], "number")
    assert not scale_of(money, middle / middle.sum()).linear
    ages = CellAxis(np.arange(17.0, 90.0), np.arange(18.0, 91.0), "number")
    assert scale_of(ages, np.full(73, 1 / 73)).linear


def test_dates_are_labelled_as_dates():
    shares = np.full(50, 1 / 50)
    labels = tuple(map(str, range(50)))
    figure = drawn(ColumnComparison("day", labels, shares, shares, None, AXES["years"], 0.0, 0.01))
    assert "2000" in [text.get_text() for text in figure.axes[0].get_xticklabels()]


def test_a_quantile_s_error_reaches_from_where_noise_may_have_it():
    axis = CellAxis(np.arange(100.0), np.arange(1.0, 101.0), "number")
    shares, noise = np.full(100, 0.01), np.full(100, 0.001)
    found = quantiles_of_shares(axis, shares, shares, noise)
    assert [each.reference for each in found] == pytest.approx([5, 25, 50, 75, 95])
    median = found[2]
    assert median.error == pytest.approx(
        np.sqrt(50) * 0.1, rel=0.1
    )  # 0.001 x sqrt(50) of the rows, 1 a hundredth
    assert all(each.error == 0 for each in quantiles_of_shares(axis, shares, shares, None))


def test_a_map_of_a_pair_joins_cells_until_their_figures_can_be_read():
    shares = np.full((40, 30), 1 / 1200)
    labels = tuple(map(str, range(40))), tuple(map(str, range(30)))
    for figure in pair_figures(("a", "b"), labels, shares, shares, "original", ordered=(range(38), ())):
        FigureCanvasAgg(figure).draw()
        rows, columns = figure.axes[0].images[0].get_array().shape
        assert max(rows, columns) <= 13
        assert len(figure.axes[0].texts) == rows * columns
    joined = pair_figures(("a", "b"), labels, shares, shares, "original")[0].axes[0].images[0].get_array()
    assert joined.sum() == pytest.approx(1)


def test_whole_numbers_are_marked_where_they_are_and_their_bars_stand_above_them():
    axis = CellAxis(np.array([0.0, 1.0]), np.array([1.0, 2.0]), "number", 1.0)
    scale = scale_of(axis, np.array([0.7, 0.3]))
    assert scale.words == "share of rows per 1"
    assert scale.ticks(-0.6, 1.6)[0] == [0.0, 1.0]
    labels = ("0", "1")
    shares = np.array([0.7, 0.3])
    drawn = column_figure(ColumnComparison("flag", labels, shares, shares, None, axis, 0.0, 0.0)).axes[0]
    assert drawn.patches[0].get_x() == -0.5
    assert drawn.patches[0].get_height() == pytest.approx(0.7)


def test_a_code_below_zero_does_not_take_the_logarithmic_axis_from_skewed_amounts():
    edges = np.append([-9.0, -8.0], 10 ** np.linspace(0, 3, 31))
    shares = np.append([0.2, 0.0], np.full(30, 0.8 / 30))
    shares[2:] *= np.exp(-(((np.arange(30) - 10) / 5) ** 2))
    axis = CellAxis(edges[:-1], edges[1:], "number")
    assert not scale_of(axis, shares[: len(axis.starts)] / shares.sum()).linear


def test_durations_say_what_they_are_counted_from():
    axis = CellAxis(np.arange(9) * 86_400.0, np.arange(1, 10) * 86_400.0, "duration", since="admitted")
    assert "days from admitted" in scale_of(axis, np.full(9, 1 / 9)).words
    lives = CellAxis(np.arange(9) * 10 * YEAR, np.arange(1, 10) * 10 * YEAR, "duration", since="born")
    assert "years from born" in scale_of(lives, np.full(9, 1 / 9)).words
    assert value_text(71.5 * YEAR, "duration", 90 * YEAR) == "71.5 years"


def test_numbers_with_few_values_stand_in_their_order_and_an_empty_text_has_a_name():
    shares = np.full(11, 1 / 11)
    names = tuple(str(k) for k in (3, 7, 10, 2, 1, 0, 4, 5, 6, 8, 9))
    drawn = column_figure(ColumnComparison("pain", names, shares, shares, None, None, 0.0, 0.0)).axes[0]
    assert [label.get_text() for label in drawn.get_yticklabels()] == [str(k) for k in range(11)]
    halves = np.array([0.5, 0.5])
    drawn = column_figure(ColumnComparison("sex", ("", "f"), halves, halves, None, None, 0.0, 0.0)).axes[0]
    assert "(empty)" in [label.get_text() for label in drawn.get_yticklabels()]


def test_quantiles_of_whole_numbers_are_values_that_a_row_may_have():
    axis = CellAxis(np.array([0.0, 1.0]), np.array([1.0, 2.0]), "number", 1.0)
    found = quantiles_of_shares(axis, np.array([0.7, 0.3]), np.array([0.2, 0.8]), np.full(2, 0.01))
    assert [each.reference for each in found] == [0, 0, 0, 1, 1]
    assert [each.synthetic for each in found] == [0, 1, 1, 1, 1]
    assert all(each.error > 0 for each in found)


def test_an_axis_ends_where_the_rows_do_though_the_range_goes_on():
    axis = CellAxis(np.arange(128.0), np.arange(1.0, 129.0), "number", 1.0)
    shares = np.append(np.zeros(128), 0.02)  # the last cell is of missing values
    shares[3:17] = 0.98 / 14
    shares[100] = 0.0005  # noise
    labels = tuple(str(cell) for cell in range(129))
    figure = drawn(ColumnComparison("grade", labels, shares, shares, None, axis, 0.0, 0.01))
    low, high = figure.axes[0].get_xlim()
    assert low > 1
    assert high < 18
    assert "300%" not in [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert figure.axes[0].get_xlabel() == "share of rows per 1"


def test_a_day_that_means_for_ever_stands_beside_an_axis_of_the_other_days():
    """Eight thousand years of hours were 35 GB of marks, and all other days were one bar."""
    years = np.arange(45, 56) * YEAR
    starts = np.append(years[:-1], 8029 * YEAR)
    axis = CellAxis(starts, np.append(years[1:], starts[-1] + 86_400), "date")
    shares = np.append(np.full(10, 0.05), 0.5)
    labels = (*("2015-01-01 to 2016-01-01",) * 10, "9999-12-31")
    figure = drawn(ColumnComparison("closed", labels, shares, shares, None, axis, 0.0, 0.01))
    line, beside = figure.axes
    assert [text.get_text() for text in beside.get_xticklabels()] == ["9999-\n12-31"]
    assert line.get_xlim()[1] < 60 * YEAR
    assert len([text for text in line.get_xticklabels() if text.get_text()]) >= 3
    places, _ = scale_of(axis, shares).ticks(float(starts[0]), float(starts[-1]))
    assert 2 <= len(places) <= 7


def test_a_bin_before_a_far_value_ends_at_the_last_value_in_it():
    random = np.random.default_rng(0)
    days = pd.Timestamp("2015-01-01") + pd.to_timedelta(random.integers(0, 3650, 2000), unit="D")
    closed = (
        pd.Series(days).astype("datetime64[us]").where(random.random(2000) < 0.5, pd.Timestamp("9999-12-31"))
    )
    grid = Discretizer(pd.DataFrame({"closed": closed}), pd.DataFrame({"closed": closed}))
    (axis,), (labels,) = grid.axes, grid.labels
    assert axis.ends[-2] < 60 * YEAR
    assert not any("to 9999" in label for label in labels)


FOR_EVER = pd.Timestamp("9999-12-31")


def apart_table(rows=4000):
    """Codes that mean something, far from the values, and a date that means for ever."""
    random = np.random.default_rng(3)
    ends = pd.Series(pd.Timestamp("2015-01-01") + pd.to_timedelta(random.integers(0, 3650, rows), unit="D"))
    return pd.DataFrame(
        {
            "ends": ends.astype("datetime64[us]").where(random.random(rows) > 0.2, FOR_EVER),
            "hours": np.where(random.random(rows) < 0.06, 9999, random.normal(38, 8, rows).round(1)),
            "points": np.where(random.random(rows) < 0.1, -9, random.integers(0, 30, rows)),
            "income": np.where(
                random.random(rows) < 0.06, 999_999, np.exp(random.normal(10, 0.6, rows)).round()
            ),
        }
    )


SAID = {"ends": "9999-\n12-31", "hours": "9999", "points": "-9", "income": "999999"}


@pytest.mark.parametrize("against", ["measurements", "original"])
def test_codes_far_from_all_values_have_a_bar_beside_the_axis_of_the_others(against):
    df = apart_table()
    synthesizer = untrained(df)
    made = synthesizer.synthesize(4000, seed=1)
    if against == "original":
        report = UtilityReport.against_original(df, made)
    else:
        report = UtilityReport.against_measurements(synthesizer, made)
    end = {"ends": 60 * YEAR, "hours": 200, "points": 60, "income": 600_000}
    for column in report.columns:
        figure = drawn(column)
        line, beside = figure.axes[:2]
        labels = [text.get_text().replace(",", "") for text in beside.get_xticklabels()]
        assert SAID[column.name] in labels
        assert line.get_xlim()[1] < end[column.name]
        cell = next(place for place in column.placed[0] if column.axis.starts[place] == true_code(column))
        share = (df[column.name] == df[column.name].agg("min" if column.name == "points" else "max")).mean()
        assert column.reference[cell] == pytest.approx(share, abs=0.02)  # of nothing else


def true_code(column):
    code = SAID[column.name]
    if column.axis.unit == "date":
        return FOR_EVER.timestamp()
    return float(code)


def test_intervals_beside_an_axis_lie_between_it_and_a_value_or_beyond():
    starts = np.array([*range(8), 8.0, 99.0, 100.0])
    ends = np.array([*range(1, 9), 99.0, 100.0, 128.0])
    shares = np.array([*[0.115] * 8, 0.002, 0.076, 0.002])
    labels = (*map(str, range(8)), "8 to 98", "99", "100 to 127")
    column = ColumnComparison(
        "children", labels, shares, shares, None, CellAxis(starts, ends, "number", 1.0), 0.0, 0.01
    )
    found = [text.get_text() for text in drawn(column).axes[1].get_xticklabels()]
    assert found == ["between", "99", "beyond"]


def test_times_beyond_the_ends_have_a_label_that_is_read():
    axis = CellAxis(np.arange(9) * YEAR, np.arange(1, 10) * YEAR, "duration", since="begun")
    labels = (*map(str, range(9)), "less than 0 days before begun", "more than 9 years before begun")
    shares = np.array([*[0.08] * 9, 0.14, 0.14])
    figure = drawn(ColumnComparison("born", labels, shares, shares, None, axis, 0.0, 0.01))
    assert [text.get_text() for text in figure.axes[1].get_xticklabels()] == ["less", "more"]


def test_a_map_of_a_pair_does_not_join_a_code_with_the_values_next_to_it():
    df = apart_table()
    report = UtilityReport.against_original(df, df.sample(frac=1, random_state=0))
    figure = report.pair_figures("hours", "ends")[0]
    rows, columns = (
        [text.get_text().replace(",", "") for text in labels]
        for labels in (figure.axes[0].get_yticklabels(), figure.axes[0].get_xticklabels())
    )
    assert "9999" in rows
    assert "9999-12-31" in columns


def test_popular_values_in_the_range_of_the_others_stay_on_the_axis():
    for values in ([1010, 1020, 4020, 6020, 8010, 9999], range(6), [0, 5, 10, 20, 40, 80]):
        starts = np.array(values, float)
        assert values_apart(starts, starts, np.ones(6, bool)) == (0, 0)


def test_a_logarithmic_axis_of_little_more_than_a_decade_has_more_marks_than_one():
    places, labels = Scale("number", 5.0, 1.0, "logarithmic axis").ticks(0.3, 1.9)
    assert 3 <= len(places) <= 7
    assert {"30", "100", "300"} <= set(labels)
    places, labels = Scale("number", 250.0, 1.0, "logarithmic axis").ticks(0.2, 3.4)
    assert labels == ["1k", "10k", "100k"]


def test_shares_written_beside_spikes_do_not_cover_each_other():
    starts = np.array([0.0, 100.0, 200.0, 300.0, 400.0, 501.0, 520.0, 540.0, 560.0, 600.0, 700.0, 800.0])
    ends = np.array([100.0, 200.0, 300.0, 400.0, 500.0, 502.0, 521.0, 541.0, 600.0, 700.0, 800.0, 900.0])
    shares = np.where(ends - starts < 2, 0.2, 0.4 / 9)
    axis, labels = CellAxis(starts, ends, "number", 1.0), tuple(map(str, range(12)))
    figure = drawn(ColumnComparison("zip", labels, shares, shares, None, axis, 0.0, 0.01))
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) > 1
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_where_tables_do_not_differ_the_page_is_seen_be_it_white_or_black():
    same = np.array([[0.0, 0.2], [0.2, 0.0]])
    *_, difference = dependence_figures(["a", "b"], same, same, "original")
    assert difference.axes[0].images[0].to_rgba(np.zeros((1, 1)))[0, 0, 3] < 0.05
    apart = np.array([[0.0, 0.5], [0.5, 0.0]])
    *_, difference = dependence_figures(["a", "b"], same, apart, "original")
    assert difference.axes[0].images[0].to_rgba(np.full((1, 1), 0.3))[0, 0, 3] > 0.95
