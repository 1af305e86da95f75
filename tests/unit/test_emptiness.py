"""A plan says beforehand which columns would come out empty."""

import pandas as pd

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.emptiness import emptiness_question, emptiness_words, expected_empty
from jupyter_dpsynth.metadata import MetaExtractor
from tests.support.tables import mixed_table


def empty(epsilon, rows, **declared):
    df_meta = MetaExtractor.extract(mixed_table(50), **declared)
    return expected_empty(HighDimConfig(epsilon=epsilon).resolve(), df_meta, rows)


def test_nothing_is_expected_to_be_empty_at_a_usual_epsilon():
    assert empty(1.0, 10_000) == ()
    assert (
        expected_empty(
            HighDimConfig(differential_privacy=False).resolve(), MetaExtractor.extract(mixed_table(50)), 50
        )
        == ()
    )


def test_columns_without_declared_categories_are_the_first_to_come_out_empty():
    wide = pd.DataFrame({f"c{k}": ["a", "b"] * 25 for k in range(60)})
    config = HighDimConfig(epsilon=0.1).resolve()
    df_meta = MetaExtractor.extract(wide, categories={"c0": ["a", "b"]})
    found = expected_empty(config, df_meta, 2500)
    assert set(found) == {f"c{k}" for k in range(1, 60)}
    assert expected_empty(config, df_meta, 100_000) == ()


def test_too_few_rows_leave_nothing_of_any_column():
    assert len(empty(0.01, 1000)) == 5


def test_the_words_name_the_columns_and_what_helps():
    words = emptiness_words(("group",), 4, 0.01, None)
    assert "'group'" in words
    assert "assumed" in words
    assert "larger epsilon" in words


def asked(table, epsilon=1.0, **declared):
    return emptiness_question(
        HighDimConfig(epsilon=epsilon).resolve(), MetaExtractor.extract(table, **declared), None
    )


def test_a_table_of_nothing_but_undeclared_text_is_asked_about_whatever_the_text_is():
    free = pd.DataFrame({"note": [f"says {k}" for k in range(60)], "remark": [f"and {k}" for k in range(60)]})
    answers = pd.DataFrame({"note": ["yes", "no"] * 30, "remark": ["good", "bad"] * 30})
    words = asked(free)
    assert "All columns are text without declared values" in words
    assert "10,000 rows (assumed" in words
    assert words == asked(answers)
    assert "one column of text" in asked(free[["note"]])


def test_whoever_declares_something_or_has_a_column_that_is_no_text_is_not_asked():
    text = pd.DataFrame({"note": ["yes", "no"] * 30, "code": ["A1", "B2"] * 30})
    assert asked(text, categories={"note": ["yes", "no"]}) == ""
    assert asked(text, hierarchy={"code": "prefix:1"}) == ""
    for other in (range(60), [True, False] * 30, pd.Timestamp("2024-01-01"), pd.Categorical(["a", "b"] * 30)):
        assert asked(text.assign(other=other)) == ""
    assert asked(text, ids=["note", "code"]) == ""


def test_where_columns_are_expected_to_be_empty_that_is_what_is_said():
    assert "would come out empty or as noise" in asked(pd.DataFrame({"note": ["a", "b"] * 30}), epsilon=0.002)
