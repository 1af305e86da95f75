"""MetaExtractor reads schemas, joins declarations and refuses contradictions."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.errors import DataError, DPSynthError, MetadataError
from jupyter_dpsynth.metadata import (
    CategoricalMeta,
    ContinuousMeta,
    DatetimeMeta,
    IdMeta,
    MetaExtractor,
    column_meta_from_dict,
)


@pytest.fixture
def df():
    return pd.DataFrame(
        {
            "age": [31, 42],
            "income": [1.5, np.nan],
            "sex": ["F", "M"],
            "member": [True, False],
            "day": pd.to_datetime(["2020-01-01", "2020-01-02"]),
            "person": ["p1", "p2"],
        }
    )


def test_types_follow_from_dtypes(df):
    kinds = {meta.name: type(meta) for meta in MetaExtractor.extract(df).columns}
    assert kinds == {
        "age": ContinuousMeta,
        "income": ContinuousMeta,
        "sex": CategoricalMeta,
        "member": CategoricalMeta,
        "day": DatetimeMeta,
        "person": CategoricalMeta,
    }


def test_no_value_enters_the_metadata_undeclared(df):
    described = repr(MetaExtractor.extract(df))
    for value in ("31", "42", "1.5", "'F'", "2020", "p1"):
        assert value not in described


def test_declarations_are_kept(df):
    meta = MetaExtractor.extract(
        df,
        bounds={"age": (0, 99), "day": ("2020-01-01", "2021-01-01")},
        categories={"sex": ["F", "M", "X"]},
        decimals={"income": 2},
        ids=["person"],
    )
    assert meta["age"].bounds == (0.0, 99.0)
    assert meta["sex"].categories == ("F", "M", "X")
    assert meta["income"].decimals == 2
    assert isinstance(meta["person"], IdMeta)
    low, high = meta["day"].bounds
    assert high - low == 366 * 86_400_000_000


def test_a_schema_file_declares_the_same(df, tmp_path):
    file = tmp_path / "schema.yaml"
    file.write_text("columns:\n  age: {bounds: [0, 99]}\n  sex: {categories: [F, M]}\n  person: {id: true}\n")
    by_file = MetaExtractor.extract(df, schema=file)
    by_code = MetaExtractor.extract(
        df, bounds={"age": (0, 99)}, categories={"sex": ["F", "M"]}, ids=["person"]
    )
    assert by_file == by_code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bounds": {"agee": (0, 1)}}, "Did you mean 'age'"),
        ({"bounds": {"age": (9, 1)}}, "lowest first"),
        ({"bounds": {"age": (0, float("nan"))}}, "finite"),
        ({"bounds": {"age": (1,)}}, "lowest, highest"),
        ({"bounds": {"sex": (0, 1)}}, "does not contain numbers"),
        ({"bounds": {"day": ("x", "y")}}, "two dates"),
        ({"categories": {"sex": []}}, "empty"),
        ({"categories": {"sex": "FM"}}, "list of values"),
        ({"decimals": {"income": 12}}, "0 to 9"),
        ({"decimals": {"sex": 1}}, "not contain numbers"),
        ({"ids": ["day"]}, "numbers or text"),
        ({"ids": ["sex"], "categories": {"sex": ["F"]}}, "both categories and id"),
        ({"schema": "no/such/file.yaml"}, "cannot be read"),
    ],
)
def test_a_wrong_declaration_is_refused_in_one_line(df, arguments, message):
    with pytest.raises(MetadataError, match=message) as raised:
        MetaExtractor.extract(df, **arguments)
    assert "\n" not in str(raised.value)


def test_whether_there_are_rows_is_not_asked(df):
    assert MetaExtractor.extract(df.iloc[:0]).names == tuple(df.columns)


def test_unusable_frames_are_refused(df):
    with pytest.raises(DataError, match="no columns"):
        MetaExtractor.extract(pd.DataFrame())
    with pytest.raises(DataError, match="'age' appears more than once"):
        MetaExtractor.extract(pd.concat([df, df[["age"]]], axis=1))
    with pytest.raises(DataError, match="rename the columns"):
        MetaExtractor.extract(pd.DataFrame({0: [1]}))
    with pytest.raises(DataError, match="table of pandas"):
        MetaExtractor.extract([1, 2])


@pytest.mark.parametrize("value", [[1], {"a": 1}, {1}, np.array([1])])
def test_nested_columns_are_named(value):
    with pytest.raises(MetadataError, match="'odd' holds nested objects"):
        MetaExtractor.extract(pd.DataFrame({"odd": [value, value, None]}))


def test_complex_numbers_are_refused():
    with pytest.raises(MetadataError, match="cannot be learned"):
        MetaExtractor.extract(pd.DataFrame({"z": [1j]}))


def test_one_odd_value_does_not_change_the_schema():
    plain = pd.DataFrame({"c": pd.Series(["a", "b", "c"], dtype=object)})
    odd = pd.DataFrame({"c": pd.Series(["a", "b", ["c"]], dtype=object)})
    assert MetaExtractor.extract(plain) == MetaExtractor.extract(odd)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([dt.date(2020, 1, 1)], DatetimeMeta),
        ([decimal.Decimal("1.5")], ContinuousMeta),
        ([1, 2.5], ContinuousMeta),
        ([b"x"], CategoricalMeta),
        ([None, None], CategoricalMeta),
    ],
)
def test_object_columns_are_typed_by_what_most_values_are(values, kind):
    meta = MetaExtractor.extract(pd.DataFrame({"c": pd.Series(values, dtype=object)}))
    assert type(meta["c"]) is kind


def test_a_frame_that_does_not_fit_is_refused(df):
    meta = MetaExtractor.extract(df)
    with pytest.raises(DPSynthError, match="lacks 'age'"):
        meta.check(df.drop(columns="age"))
    with pytest.raises(DPSynthError, match="has 'new' in addition"):
        meta.check(df.assign(new=1))
    with pytest.raises(DPSynthError, match="'age' has dtype float64 but df_meta says int64"):
        meta.check(df.astype({"age": float}))


def test_metadata_survives_a_round_trip(df):
    meta = MetaExtractor.extract(df, bounds={"age": (0, 9)}, categories={"sex": ["F"]})
    assert tuple(column_meta_from_dict(c.to_dict()) for c in meta.columns) == meta.columns
