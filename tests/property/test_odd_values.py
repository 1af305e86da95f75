"""No single value ends anything: in every path what cannot be read is missing and costs the rest nothing."""

from __future__ import annotations

import datetime as dt
import io

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.cli.tables import read_table
from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.planning.doctor import examine
from jupyter_dpsynth.evaluation.private import PrivateEvaluation
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.bounding import limit_rows_per_unit
from jupyter_dpsynth.sources.csv import CsvFrame
from jupyter_dpsynth.sources.csvfile import CsvFile
from jupyter_dpsynth.sources.fingerprint import row_hashes, table_fingerprint
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.sources.values import factorize, number_values, time_values
from tests.support.models import untrained
from tests.support.odd_values import ODD_VALUES, PLAIN_COLUMNS, odd_table, plain_table

ODD_ROWS = len(ODD_VALUES)


@pytest.fixture(scope="module")
def odd():
    return odd_table()


@pytest.fixture(scope="module")
def synthesizer(odd):
    return untrained(odd)


@pytest.mark.parametrize("name", PLAIN_COLUMNS)
def test_the_schema_is_that_of_most_values(odd, name):
    found, known = (MetaExtractor.extract(df[[name]])[name] for df in (odd, plain_table()))
    assert found == known


@pytest.mark.parametrize("name", PLAIN_COLUMNS)
def test_the_other_values_are_read_as_without_the_odd_ones(odd, name):
    series, plain = odd[name], plain_table()[name]
    codes, values = factorize(series)
    known, found = factorize(plain)
    assert [values[code] for code in codes[ODD_ROWS:]] == [found[code] for code in known]
    assert np.array_equal(number_values(series)[ODD_ROWS:], number_values(plain), equal_nan=True)
    for duration in (False, True):
        both = zip(time_values(series, duration=duration), time_values(plain, duration=duration), strict=True)
        assert all(np.array_equal(one[ODD_ROWS:], other) for one, other in both)
    assert (row_hashes(odd[[name]])[ODD_ROWS:] == row_hashes(plain.to_frame())).all()


@pytest.mark.parametrize("name", PLAIN_COLUMNS)
def test_units_are_told_apart_as_without_the_odd_ones(odd, name):
    kept, units = limit_rows_per_unit(FrameSource(odd), name, 3, np.random.default_rng(0))
    distinct = plain_table()[name].nunique()
    assert distinct <= len(units) <= distinct + ODD_ROWS
    assert kept.rows <= 3 * len(units)


def test_a_table_is_measured_recorded_checked_compared_evaluated_and_imputed(odd, synthesizer):
    made = synthesizer.synthesize(200, seed=1)
    assert list(made) == list(odd)
    assert len(table_fingerprint(FrameSource(odd))) == 32
    assert examine(FrameSource(odd), HighDimConfig().resolve())
    assert UtilityReport.against_original(odd, made).summary()
    evaluation = PrivateEvaluation(synthesizer, made, 1e4, None, NoiseSource(0))
    assert evaluation.measure(FrameSource(odd)).columns
    filled = synthesizer.impute(odd, seed=1)
    assert filled.iloc[ODD_ROWS:].equals(odd.iloc[ODD_ROWS:])


def test_declared_categories_are_counted_beside_the_odd_values(odd):
    codec = untrained(odd[["text", "whole"]], categories={"text": ["a", "b", "c"], "whole": range(7)}).codec
    codes = codec.encode(odd)[ODD_ROWS:]
    assert (codes == codec.encode(plain_table())).all()


def _part(start):
    return odd_table().iloc[start : start + 100]


def test_a_dask_dataframe_of_objects_is_read_like_the_same_in_memory(odd):
    dask = pytest.importorskip("dask.dataframe")
    from dask import config, delayed

    with config.set({"dataframe.convert-string": False}):  # or Dask itself makes text of them
        parts = [delayed(_part)(start) for start in range(0, len(odd), 100)]
        source = open_source(dask.from_delayed(parts, meta=odd.iloc[:0], verify_meta=False))
        meta = MetaExtractor.extract(source)
        assert meta == MetaExtractor.extract(odd)
        hashes = np.concatenate(list(source.map(row_hashes, list(odd))))
        rest = hashes[ODD_ROWS:]
        source.close()
    assert (rest == row_hashes(odd)[ODD_ROWS:]).all()


# --- libraries that decode late -----------------------------------------------------------------------

LATIN = [b"a", b"caf\xe9", b"b", None, b"a"]


def latin_texts(kind):
    """Text that is not UTF-8, as Spark writes Latin-1, in a type of pyarrow."""
    pa = pytest.importorskip("pyarrow")
    if kind == "dictionary":
        return pa.DictionaryArray.from_arrays(
            pa.array([0, 1, 2, None, 0], pa.int8()), latin_texts("string").slice(0, 3)
        )
    large = kind == "large_string"
    raw = pa.array(LATIN, pa.large_binary() if large else pa.binary())
    return pa.Array.from_buffers(getattr(pa, kind)(), len(raw), raw.buffers())


def assert_read_beside(frame):
    codes, values = factorize(frame["x"])
    assert (codes.tolist(), values) == ([0, -1, 1, -1, 0], ["a", "b"])
    assert len(table_fingerprint(FrameSource(frame))) == 32


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
@pytest.mark.parametrize("stored", ["part by part", "in memory", "feather"])
def test_text_that_is_not_utf_8_is_missing_in_files(tmp_path, kind, stored):
    pa = pytest.importorskip("pyarrow")

    table = pa.table({"x": latin_texts(kind)})
    file = tmp_path / ("t.feather" if stored == "feather" else "t.parquet")
    if stored == "feather":
        pytest.importorskip("pyarrow.feather").write_feather(table, file)
    else:
        pytest.importorskip("pyarrow.parquet").write_table(table, file)
    if stored != "part by part":
        assert_read_beside(read_table(str(file)))
        return
    source = open_source(file)
    (frame,) = source.map(lambda part: part, ["x"])
    assert_read_beside(frame)
    source.close()


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_text_that_is_not_utf_8_is_missing_in_frames_of_arrow(kind):
    frame = pd.DataFrame({"x": pd.Series(pd.arrays.ArrowExtensionArray(latin_texts(kind)))})
    assert_read_beside(frame)
    assert_read_beside(frame)
    if kind == "dictionary":  # is no type that can be learned
        return
    large = pd.concat([frame] * 100, ignore_index=True)
    synthesizer = untrained(large)
    assert synthesizer.codec.columns[0].published == ("a", "b")
    assert UtilityReport.against_original(large, synthesizer.synthesize(100)).summary()
    examine(FrameSource(large), HighDimConfig().resolve())


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("stored", ["numpy", "arrow"])
def test_a_moment_beyond_pythons_years_is_no_error(unit, stored):
    ends = np.array([2**62, -(2**62), 0, 86_400], dtype=np.int64).view(f"datetime64[{unit}]")
    series = pd.Series(np.tile(ends, 50)).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    if stored == "arrow":
        pa = pytest.importorskip("pyarrow")
        stamps = pa.array(np.tile(ends, 50).view(np.int64)).cast(pa.timestamp(unit, "Asia/Tokyo"))
        series = pd.Series(pd.arrays.ArrowExtensionArray(stamps))
    frame = pd.DataFrame({"x": series})
    assert untrained(frame).codec.columns[0].size > 1
    assert table_fingerprint(FrameSource(frame))
    assert UtilityReport.against_original(frame, frame.copy()).summary()


# --- CSV ----------------------------------------------------------------------------------------------

LINES = [f"{i},t{i % 3},{i / 2}" for i in range(40)]
QUOTED = [f'{i},"t{i}, ""q""\nmore",{i / 2}' for i in range(40)]
ALL_QUOTED = [f'"{i}","t{i}",""' for i in range(40)]
BROKEN = {
    "a quote that is not closed": '7,"open,3',
    "one at the beginning": '"7,x,2',
    "one at the end": '1,2,"x',
    "one behind a doubled one": '1,"a""b,2',
    "one within a field": '5" wide,x,2',
    "one behind a closed one": '7,"a"b",3"',
    "too many fields": "5,6,7,8,9,10",
    "too few": "1",
    "only text": "x,y,z",
    "nothing": ",,",
    "zeros": "\0,\0,\0",
    "too large": f"{10**400},x,1e999",
}


def read(lines):
    content = "\n".join(["a,b,c", *lines, ""]).encode()
    return CsvFrame(CsvFile("t.csv", lambda: io.BytesIO(content))).described


@pytest.mark.long
@pytest.mark.parametrize("rest", [LINES, QUOTED, ALL_QUOTED], ids=["plain", "several lines", "quoted"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_of_csv_costs_the_other_lines_nothing(rest, name):
    known = read(rest)
    assert len(known) == len(rest)
    for place in (0, 1, 20, 40):
        found = read([*rest[:place], BROKEN[name], *rest[place:]])
        if len(found) > len(known):
            found = found.drop(index=place).reset_index(drop=True)
        pd.testing.assert_frame_equal(found, known)


def test_a_broken_line_is_left_out_wherever_the_blocks_of_a_file_end(monkeypatch):
    known = read(QUOTED)
    lines = [*QUOTED[:20], '7,"open,3', *QUOTED[20:]]
    monkeypatch.setattr("jupyter_dpsynth.sources.records.MOST_BYTES", 40)
    for size in (7, 41, 64, 200):
        monkeypatch.setattr("jupyter_dpsynth.sources.records.BLOCK_BYTES", size)
        pd.testing.assert_frame_equal(read(lines), known)


# --- one row does not decide the schema ---------------------------------------------------------------


def test_one_number_of_another_type_does_not_change_a_columns_type():
    values = [*range(300)]
    for odd in (2.5, "x", dt.date(2020, 1, 1), None):
        for place in (0, 150, 300):
            series = pd.Series([*values[:place], odd, *values[place:]], dtype=object)
            assert MetaExtractor.extract(series.to_frame("x"))["x"].value_type == "int"


@pytest.mark.parametrize("odd", ["2.5", "x", "True", "", "1e400"])
def test_one_value_among_the_first_rows_of_csv_does_not_change_a_columns_type(odd):
    known = read([f"{i},t,True" for i in range(50)])
    for place in (0, 25, 50):
        lines = [f"{i},t,True" for i in range(50)]
        lines.insert(place, f"{odd},{odd},{odd}")
        assert read(lines).dtypes.equals(known.dtypes)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_types_of_tables_in_memory_are_those_of_the_first_rows(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("jupyter_dpsynth.sources.csv.HEAD_ROWS", 10)
    mark = "\t" if suffix == ".tsv" else ","
    rows = [("n", "x"), *((i, i / 2) for i in range(20)), *(("late", "late"),) * 30]
    (tmp_path / f"t{suffix}").write_text("".join(f"{a}{mark}{b}\n" for a, b in rows))
    found = read_table(str(tmp_path / f"t{suffix}"))
    assert [str(dtype) for dtype in found.dtypes] == ["Int64", "float64"]
    assert len(found) == 50
    assert found["n"].notna().sum() == 20


@pytest.mark.parametrize(("first", "second"), [(0.0, -0.0), (1, True), (1.0, 1), (True, 1.0)])
def test_the_first_row_does_not_decide_how_equal_categories_are_spelled(first, second):
    found = []
    for values in ([first, second], [second, first]):
        for rest in (["a"], [2.5]):
            series = pd.Series([*values, *rest * 2] * 100, dtype=object).astype("category")
            found.append((rest, repr(untrained(series.to_frame("x")).codec.columns[0].published)))
    assert found[0] == found[2]
    assert found[1] == found[3]
