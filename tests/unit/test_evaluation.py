"""Metrics mean what they say; reports warn when they use the original."""

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import DataError
from jupyter_dpsynth.evaluation.learners import FairLearner, boosted_trees
from jupyter_dpsynth.evaluation.metrics import (
    Discretizer,
    cramers_v,
    mean_total_variation,
    prediction_auc,
    separation_auc,
    total_variation,
)
from jupyter_dpsynth.evaluation.orders import order_broken
from jupyter_dpsynth.evaluation.private import PrivateEvaluation
from jupyter_dpsynth.evaluation.report import BANNER, UtilityReport
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.sample import LOOKED_AT
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.tables import mixed_table


def codes_of(df, other):
    grid = Discretizer(df)
    return grid.codes(df), grid.codes(other), grid.sizes


def test_a_table_differs_from_itself_by_nothing():
    df = mixed_table()
    first, second, sizes = codes_of(df, df)
    for ways in (1, 2, 3):
        assert mean_total_variation(first, second, sizes, ways) == 0


def test_disjoint_tables_differ_by_everything():
    df = pd.DataFrame({"c": ["a", "b"] * 50})
    first, second, sizes = codes_of(df, pd.DataFrame({"c": ["x", "y"] * 50}))
    assert total_variation(first, second, sizes, [0]) == 1


def test_total_variation_is_half_the_summed_difference():
    df = pd.DataFrame({"c": ["a"] * 60 + ["b"] * 40})
    first, second, sizes = codes_of(df, pd.DataFrame({"c": ["a"] * 50 + ["b"] * 50}))
    assert total_variation(first, second, sizes, [0]) == pytest.approx(0.1)


def test_many_cells_are_counted_sparsely_with_the_same_result():
    generator = np.random.default_rng(0)
    first, second = (generator.integers(0, 300, (500, 3)) for _ in range(2))
    sparse = total_variation(first, second, (300, 300, 300), (0, 1, 2))
    keys = [{tuple(row) for row in codes.tolist()} for codes in (first, second)]
    assert sparse == pytest.approx(1 - len(keys[0] & keys[1]) / 500, abs=0.01)


def test_shuffled_columns_keep_one_way_and_lose_pair_agreement():
    df = mixed_table()
    shuffled = without_dependence(df)
    first, second, sizes = codes_of(df, shuffled)
    assert mean_total_variation(first, second, sizes, 1) == 0
    assert mean_total_variation(first, second, sizes, 2) > 0.03
    assert cramers_v(first, sizes).max() > 0.2
    assert cramers_v(second, sizes).max() < 0.15


def test_cramers_v_is_one_for_a_function_and_zero_for_a_constant():
    df = pd.DataFrame({"a": ["x", "y"] * 100, "b": ["p", "q"] * 100, "c": ["k"] * 200})
    grid = Discretizer(df)
    v = cramers_v(grid.codes(df), grid.sizes)
    assert v[0, 1] == pytest.approx(1)
    assert v[0, 2] == 0


def test_every_type_can_be_compared():
    df = mixed_table()
    df["when"] = df["day"].dt.tz_localize("UTC")
    df["length"] = pd.to_timedelta(df["age"], unit="h")
    df["kind"] = df["group"].astype("category")
    df["maybe"] = df["age"].astype("Int64").where(df["age"] > 40)
    df["odd"] = pd.Series([1, "a", None, 2.5] * 500, dtype=object)
    report = UtilityReport.against_original(df, df.sample(frac=1, random_state=0))
    assert report.metrics["2-way difference"] == 0


def test_models_trained_on_the_tables_tell_good_from_bad():
    pytest.importorskip("sklearn")
    df, holdout = mixed_table(1500, seed=1), mixed_table(800, seed=2)
    noise = df.assign(member=df["member"].sample(frac=1, random_state=0).to_numpy())
    assert prediction_auc(df, df, holdout, "member") > prediction_auc(df, noise, holdout, "member") + 0.05
    assert separation_auc(holdout, mixed_table(800, seed=3)) < 0.6
    assert separation_auc(holdout, holdout.assign(age=holdout["age"] + 40)) > 0.9


@pytest.mark.long
@pytest.mark.parametrize("target", ["member", "group"])
def test_a_synthetic_target_may_have_classes_that_the_original_has_not(target):
    pytest.importorskip("sklearn")
    df, holdout = mixed_table(1500, seed=1), mixed_table(800, seed=2)
    synthetic = df.astype({target: object})
    synthetic.loc[:4, target] = None
    synthetic.loc[5:9, target] = "other"
    assert prediction_auc(df, synthetic, holdout, target) == pytest.approx(
        prediction_auc(df, df.loc[10:], holdout, target), abs=0.03
    )


@pytest.mark.long
def test_a_comparison_with_the_original_carries_the_warning_everywhere():
    pytest.importorskip("sklearn")
    df = mixed_table(600)
    report = UtilityReport.against_original(df, mixed_table(600, seed=9), target="group")
    assert report.banner == BANNER
    assert BANNER in report.summary()
    assert "not covered by epsilon" in report.to_html()
    for figure in report.figures():
        assert any("not covered by epsilon" in text.get_text() for text in figure.texts)
    assert {"train on synthetic, test on real", "real against synthetic"} <= set(report.metrics)


def without_dependence(df):
    """The same columns, each shuffled by itself."""
    return pd.DataFrame(
        {
            name: df[name].sample(frac=1, random_state=place).to_numpy()
            for place, name in enumerate(df.columns)
        }
    )


def test_the_overall_score_is_that_of_as_many_real_rows_or_of_columns_without_dependence():
    df = mixed_table(4000)
    shuffled = without_dependence(mixed_table(4000, seed=4))
    good, poor = (UtilityReport.against_original(df, made) for made in (mixed_table(4000, seed=3), shuffled))
    assert good.overall.score > 99
    assert poor.overall.score < good.overall.score - 2
    assert poor.overall.score == pytest.approx(good.overall.apart, abs=2 * good.overall.error)
    assert "100: pairs" in good.summary()
    assert good.overall.text in good.to_html()


@pytest.mark.parametrize("rows", [200, 1000, 4000])
def test_random_real_rows_are_good_however_many_they_are(rows):
    df = mixed_table(4000)
    df["code"] = [f"c{k // 2}" for k in range(len(df))]  # nearly all of its values are rare
    made = df.sample(rows, random_state=1).reset_index(drop=True)
    report = UtilityReport.against_original(df, made)
    assert report.overall.score > 98
    for metric in report.table:
        assert metric.value < 1.3 * metric.good + 0.01
    code = next(column for column in report.columns if column.name == "code")
    assert code.distance < 2 * code.good


def test_all_three_estimates_of_the_score_agree_within_their_stated_errors():
    df = mixed_table(3000)
    df["code"] = [f"c{k}" for k in range(len(df))]
    synthesizer = untrained(df, bounds={"age": (30, 50)})  # one column is lost, the tails of one are cut
    made = synthesizer.synthesize(3000, seed=2)
    exact = UtilityReport.against_original(df, made, synthesizer=synthesizer).overall
    free = UtilityReport.against_measurements(synthesizer, made).overall
    evaluation = PrivateEvaluation(synthesizer, made, 1.0, None, NoiseSource(3))
    paid = evaluation.measure(FrameSource(df)).overall
    assert exact.score < 80
    for estimate in (free, paid):
        assert abs(estimate.score - exact.score) <= 2 * np.hypot(estimate.error, exact.error)


@pytest.mark.parametrize("rows", [300, 3000])
def test_rows_that_are_not_the_model_s_are_scored_within_the_stated_error(rows):
    """They do not share the noise of the measurements, as the model's own rows do."""
    df = mixed_table(3000)
    synthesizer = untrained(df)
    own = synthesizer.synthesize(rows, seed=2)
    others = mixed_table(rows, seed=5)
    free = UtilityReport.against_measurements(synthesizer, others, synthetic=True).overall
    exact = UtilityReport.against_original(df, others, synthesizer=synthesizer).overall
    assert abs(free.score - exact.score) <= 1.5 * np.hypot(free.error, exact.error)
    assert "cannot be known" in free.meaning
    told = UtilityReport.against_measurements(synthesizer, own, synthetic=True).overall
    assert "cannot be known" not in told.meaning
    stated = own.iloc[1:].copy()  # neither stamped nor remembered as a whole
    stated.attrs = {}
    unknown = UtilityReport.against_measurements(synthesizer, stated, synthetic=True).overall
    assert abs(unknown.score - told.score) <= 1.5 * np.hypot(unknown.error, told.error)


def test_identifiers_are_not_compared():
    df = mixed_table(300)
    df["id"] = np.arange(len(df))
    synthesizer = untrained(df, ids=["id"])
    made = synthesizer.synthesize(300, seed=0)
    for declared in ({"synthesizer": synthesizer}, {"df_meta": synthesizer.df_meta}):
        report = UtilityReport.against_original(df, made, **declared)
        assert "id" not in report.names
        assert "Not compared" not in report.banner


def test_one_column_is_scored_by_itself_and_too_few_rows_not_at_all():
    df = pd.DataFrame({"c": ["a", "b"] * 50})
    assert UtilityReport.against_original(df, df).overall.score == 100
    numbers = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=list("xyz"))
    report = UtilityReport.against_original(numbers, numbers.iloc[:4])
    assert report.overall is None
    assert "so few rows are compared" in report.summary()


def test_independent_columns_of_many_cells_are_not_taken_for_dependent_ones():
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 20, (1000, 2))
    assert cramers_v(codes, (20, 20))[0, 1] < 0.06
    assert cramers_v(codes, (20, 20), corrected=False)[0, 1] > 0.1


def test_the_reference_predicts_no_worse_than_a_simple_model():
    pytest.importorskip("sklearn")
    generator = np.random.default_rng(1)
    features = generator.normal(size=(260, 12))
    target = np.where(features[:, 0] + generator.normal(scale=2.5, size=260) > 0, "yes", "no")
    df = pd.DataFrame(features, columns=[f"x{k}" for k in range(12)]).assign(target=target)
    train, holdout = df.iloc[:130], df.iloc[130:]
    fair, trees = (
        prediction_auc(df, train, holdout, "target", learner) for learner in (FairLearner, boosted_trees)
    )
    assert fair > trees


@pytest.mark.long
@pytest.mark.parametrize("kind", ["products", "many values", "many categories"])
def test_the_reference_is_as_good_as_the_better_one_of_a_line_and_trees(kind):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    generator = np.random.default_rng(0)
    x = pd.DataFrame(generator.normal(size=(800, 3)), columns=list("abc"))
    if kind == "products":  # which no line sees
        target = np.where(x["a"] * x["b"] + generator.normal(scale=0.3, size=800) > 0, "yes", "no")
    elif kind == "many values":  # so many classes that trees see few rows of each
        target = (3 * x.sum(axis=1) + generator.normal(scale=3, size=800)).round().clip(-9, 9).astype(int)
    else:  # so many categories that trees do not take them for names
        x = pd.DataFrame({"group": generator.integers(0, 80, 800).astype(str)})
        effect = generator.normal(size=80)
        noise = generator.normal(scale=0.7, size=800)
        target = np.where(effect[x["group"].astype(int)] + noise > 0, "yes", "no")
    df = x.assign(target=target)
    train, holdout = df.iloc[:400], df.iloc[400:]

    def simple(coded, columns):
        codes = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression(max_iter=500))
        return codes if coded else LogisticRegression(max_iter=500)

    fair, trees, line = (
        prediction_auc(df, train, holdout, "target", learner)
        for learner in (FairLearner, boosted_trees, simple)
    )
    assert fair > max(trees, line) - 0.03
    assert abs(trees - line) > 0.05  # one of both is much worse


@pytest.mark.long
def test_a_wide_table_is_summarised_worst_first_in_an_output_of_a_small_size():
    generator = np.random.default_rng(0)
    df, made = (
        pd.DataFrame({f"measured quantity {j}": generator.normal(size=300) for j in range(120)})
        for _ in range(2)
    )
    report = UtilityReport.against_original(df, made)
    shown = report.to_html()
    assert len(shown) < 1_000_000
    assert "24 of 120 columns with the largest difference" in shown
    assert "30 of 120 columns" in shown
    assert shown.count("<img") == 24 + 3
    places = [shown.index(f'alt="{column.name}: shares') for column in report.columns[:24]]
    assert places == sorted(places)
    assert report.per_column["difference"].is_monotonic_decreasing


def test_names_that_differ_at_their_end_are_told_apart_on_plots():
    names = [f"category number {i}" for i in range(4)]
    df = pd.DataFrame({"c": names * 50})
    axis = UtilityReport.against_original(df, df).figures()[0].axes[0]
    assert len({label.get_text() for label in axis.get_yticklabels()}) == 4


@pytest.mark.tensorflow
def test_a_comparison_with_the_measurements_needs_no_original_and_no_warning():
    df = mixed_table(3000)
    synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), HighDimConfig(epsilon=5, steps=40))
    synthesizer.learn(df, callback=lambda _: None, noise=NoiseSource(test_only_seed=1))
    del df
    report = UtilityReport.against_measurements(synthesizer, synthesizer.synthesize(3000, seed=0))
    assert report.banner is None
    assert report.metrics["one-way difference"] < 0.05
    bundle = report._repr_mimebundle_()
    assert "data:image/png" in bundle["text/html"]
    assert "<svg" not in bundle["text/html"]
    assert bundle["text/plain"] == report.summary()
    assert list(report.per_column["difference"]) == sorted(report.per_column["difference"], reverse=True)
    assert set(report.to_frame().columns) == {"name", "value", "good", "meaning"}


def test_files_and_dask_dataframes_are_compared_like_the_table_in_memory_and_the_banner_says_how_much(
    tmp_path,
):
    dd = pytest.importorskip("dask.dataframe")
    df, made = mixed_table(900, seed=4), mixed_table(700, seed=5)
    df.to_parquet(tmp_path / "table.parquet", row_group_size=200)
    df = pd.read_parquet(tmp_path / "table.parquet")
    whole = UtilityReport.against_original(df, made)
    for table in (tmp_path / "*.parquet", dd.from_pandas(df, npartitions=3)):
        parts = UtilityReport.against_original(table, made, holdout=table)
        assert parts.metrics == pytest.approx(whole.metrics)
        assert LOOKED_AT in parts.banner
        assert LOOKED_AT in parts.summary()
    assert LOOKED_AT not in whole.banner


def test_a_column_that_was_not_learned_is_left_out_and_named():
    df = mixed_table(200)
    report = UtilityReport.against_original(df, df.drop(columns="age"))
    assert "Not compared, because the synthetic table has no such column: age." in report.banner
    assert report.metrics == UtilityReport.against_original(*[df.drop(columns="age")] * 2).metrics


def test_unusable_arguments_are_named():
    df = mixed_table(50)
    with pytest.raises(DataError, match="df lacks column 'age'"):
        UtilityReport.against_original(df.drop(columns="age"), df)
    with pytest.raises(DataError, match="df has column 'age' more than once"):
        UtilityReport.against_original(pd.concat([df, df[["age"]]], axis=1), df)
    days = df.assign(day=pd.Timestamp("2024-01-01"))
    with pytest.raises(DataError, match="convert one of them"):
        UtilityReport.against_original(days, days.astype({"day": str}), target="group")
    with pytest.raises(DataError, match="Did you mean 'group'"):
        UtilityReport.against_original(df, df, target="groop")
    with pytest.raises(DataError, match="df_synth is empty"):
        UtilityReport.against_original(df, df.iloc[:0])
    with pytest.raises(DataError, match="df_synth has the type list and is no table"):
        UtilityReport.against_original(df, [1])


@pytest.mark.parametrize("columns", [1, 4, 27])
def test_every_column_is_drawn_once(columns):
    generator = np.random.default_rng(0)
    df = pd.DataFrame({f"column {i} $x$": generator.integers(0, 9, 60) for i in range(columns)})
    report = UtilityReport.against_original(df, df)
    figures = report.figures()
    texts = [text for figure in figures[:columns] for text in figure.texts]
    titles = [text.get_text() for text in texts if text.get_weight() == "bold"]
    assert titles == [column.name.replace("$", r"\$") for column in report.columns]
    assert len(figures) == columns + (0 if columns == 1 else 3)
    for figure in figures:
        figure.canvas.draw()


def test_no_text_leaves_a_picture():
    generator = np.random.default_rng(0)
    words = [f"{word} of a category with a long name" for word in "abcdefghijkl"]
    df = pd.DataFrame(
        {
            "a long name of a column with words": generator.choice(words, 400),
            "large numbers": generator.integers(100_000, 999_999, 400),
            "two": generator.choice(words[:2], 400),
        }
    )
    report = UtilityReport.against_original(df, df.sample(frac=1, replace=True, random_state=0))
    for figure in [*report.figures(), *report.pair_figures("two", "large numbers")]:
        figure.canvas.draw()
        labels = [
            label for axis in figure.axes for label in (*axis.get_xticklabels(), *axis.get_yticklabels())
        ]
        for text in [*figure.texts, *labels]:
            if text.get_text():
                box = text.get_window_extent()
                assert box.x0 >= -1, text
                assert box.x1 <= figure.bbox.x1 + 1, text
                assert box.y0 >= -1, text


def test_an_order_that_the_original_keeps_and_synthetic_rows_break_is_told():
    generator = np.random.default_rng(0)
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 300, 500), unit="D")
    end = start + pd.to_timedelta(generator.integers(1, 9, 500), unit="D")
    df = pd.DataFrame({"start": start, "end": end, "height": generator.normal(170, 9, 500)})
    mixed = df.assign(end=df["end"].sample(frac=1, random_state=1).to_numpy())

    def figure(made):
        table = UtilityReport.against_original(df, made).table
        return next(each for each in table if each.name == "order broken")

    found = figure(mixed)
    assert "'start' is never above 'end'" in found.meaning
    assert found.value == pytest.approx((mixed["start"] > mixed["end"]).mean())
    assert found.good == 0
    assert figure(df).value == 0
    late = df.assign(end=df["end"].where(df.index % 60 > 0, df["start"] - pd.Timedelta("1D")))
    assert order_broken(late[["start", "end"]], mixed[["start", "end"]]) is None  # no mistakes any more
    assert order_broken(df[["start", "height"]], mixed[["start", "height"]]) is None  # of two kinds


def test_numbers_on_apart_ranges_keep_no_order_but_those_on_one_line_and_all_dates_do():
    generator = np.random.default_rng(0)
    low = generator.normal(80, 10, 2000)
    df = pd.DataFrame({"diastolic": low, "systolic": low + generator.gamma(9, 5, 2000)})
    df["height"] = generator.normal(260, 9, 2000)  # above the others, with nothing to do with them
    mixed = df.assign(systolic=df["systolic"].sample(frac=1, random_state=1).to_numpy())
    words, here, there = order_broken(df, mixed)
    assert "'diastolic' is never above 'systolic'" in words
    assert here > 0.01 > there == 0
    assert order_broken(df[["diastolic", "height"]], mixed[["diastolic", "height"]]) is None
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(generator.integers(0, 9000, 2000), "D")
    dates = pd.DataFrame({"born": born, "seen": pd.Timestamp("2024-01-01")})
    assert "'born' is never above 'seen'" in order_broken(dates, dates)[0]
