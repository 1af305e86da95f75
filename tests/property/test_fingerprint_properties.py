"""A table is known again however its rows and columns are arranged, and only then."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.sources.base import FrameSource, TableChecksum
from jupyter_dpsynth.sources.fingerprint import table_fingerprint
from tests.support.tables import EVERY_TYPE, every_type_table, mixed_table


def fingerprint(df):
    return table_fingerprint(FrameSource(df))


@pytest.mark.long
@settings(deadline=None, max_examples=30)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_and_the_index_do_not_matter(random):
    df = every_type_table()
    columns = list(df.columns)
    random.shuffle(columns)
    rows = list(range(len(df)))
    random.shuffle(rows)
    again = df.iloc[rows][columns].set_index(pd.Index(range(1, len(df) + 1)))
    assert fingerprint(again) == fingerprint(df)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 399), st.sampled_from(sorted(EVERY_TYPE)))
def test_one_row_less_or_two_values_exchanged_is_another_table(row, name):
    df = every_type_table()
    known = fingerprint(df)
    assert fingerprint(df.drop(index=row)) != known
    values = df[name].replace(np.inf, np.nan) if name == "float64" else df[name]  # these count alike
    one, other = values.iloc[row], values.iloc[row - 1]
    missing = int(pd.isna(one)) + int(pd.isna(other)) if name != "mixed" else 2
    if missing == 2 or (missing == 0 and one == other):
        return
    exchanged = df[name].copy()
    exchanged.iloc[[row, row - 1]] = exchanged.iloc[[row - 1, row]].to_numpy()
    assert fingerprint(df.assign(**{name: exchanged})) != known


def test_values_that_change_places_within_a_row_or_between_rows_are_another_table():
    df = pd.DataFrame({"a": [1, 2, 3], "b": [1, 5, 6]})
    swapped = pd.DataFrame({"a": df["b"], "b": df["a"]})
    crossed = df.assign(b=[5, 1, 6])
    assert len({fingerprint(each) for each in (df, swapped, crossed, df.rename(columns={"a": "c"}))}) == 4


def test_numbers_are_the_same_in_every_dtype_and_text_in_every_form():
    numbers = [
        pd.DataFrame({"a": pd.Series([1, 0, 3], dtype=dtype)}) for dtype in ("int8", "float64", "Int64")
    ]
    numbers.append(pd.DataFrame({"a": [1.0, -0.0, 3.0]}))
    assert len({fingerprint(each) for each in numbers}) == 1
    texts = [
        pd.DataFrame({"a": pd.Series(["x", None, "y"], dtype=t)}) for t in ("object", "string", "category")
    ]
    assert len({fingerprint(each) for each in texts}) == 1


@pytest.mark.parametrize(
    "value",
    [10**5000, "\ud800", {"a": 1}, [1], float("nan"), b"\xff", object],
    ids=lambda v: type(v).__name__,
)
def test_no_value_makes_it_fail(value):
    df = mixed_table(20)
    df["odd"] = pd.Series([value if i == 7 else "plain" for i in range(20)], dtype=object)
    assert len(fingerprint(df)) == 32


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=5), max_size=5))
def test_the_sums_of_parts_add_up_to_those_of_the_table_and_know_the_order(parts):
    whole = np.array([value for part in parts for value in part], dtype=np.uint64)
    total = sum((TableChecksum.of(np.array(part, dtype=np.uint64)) for part in parts), TableChecksum())
    assert total == TableChecksum.of(whole)
    turned = TableChecksum.of(whole[::-1].copy())
    assert (turned.rows, turned.plain) == (total.rows, total.plain)
    if len(whole) == 2:
        assert (turned == total) == ((int(whole[0]) - int(whole[1])) % 2**63 == 0)


def test_days_are_the_same_in_every_dtype_also_where_one_is_missing():
    pytest.importorskip("pyarrow")
    days = pd.Series(pd.to_datetime(["2020-01-01", None, "1931-05-07"]))
    kinds = "datetime64[s]", "datetime64[us]", "timestamp[ms][pyarrow]", "date32[pyarrow]", "date64[pyarrow]"
    tables = [pd.DataFrame({"a": days.astype(kind)}) for kind in kinds]
    assert len({fingerprint(each) for each in tables}) == 1
