"""The same table gives the same counts, whatever it is stored in and however it is cut."""

from __future__ import annotations

import gzip
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.measuring.categories import DistinctValues
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import DataError, DPSynthError, MetadataError, NotLearnedError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import Releases
from jupyter_dpsynth.sources.base import FrameSource, KeptRows
from jupyter_dpsynth.sources.bounding import limit_rows_per_unit
from jupyter_dpsynth.sources.fingerprint import keyed_words, table_fingerprint
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.sources.parquet import _row_group
from jupyter_dpsynth.sources.partitions import apply_to_part
from jupyter_dpsynth.sources.scratch import PrivateFolder, scratch_array
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.plans import releases_of
from tests.support.tables import EVERY_ROW, EVERY_TYPE, mixed_table

dask = pytest.importorskip("dask")
dd = pytest.importorskip("dask.dataframe")

STORED = [
    name
    for name in EVERY_TYPE
    if name not in ("object_int", "mixed", "decimal", "date", "datetime_ns", "all_none")
]


def wide_mix(rows=1500, seed=3):
    """Everything that has its own way of being counted, with rare and unique text and an odd order."""
    generator = np.random.default_rng(seed)
    df = mixed_table(rows, seed)
    df["size"] = pd.Categorical(generator.choice(["l", "s", "m"], rows), ["s", "m", "l"], ordered=True)
    df["town"] = pd.Categorical(generator.choice([f"t{i}" for i in range(60)], rows))
    df["whole"] = pd.array(generator.integers(-40, 40, rows), "Int64")
    df.loc[generator.random(rows) < 0.1, "whole"] = pd.NA
    df["later"] = df["day"] + pd.to_timedelta(generator.integers(0, 9, rows), unit="h")
    df["text"] = [f"word {i}" for i in range(rows)]
    df["real"] = generator.normal(size=rows)
    df["digits"] = generator.choice([0.1234567890123, 0.7071067811865, 1.4142135623731], rows)
    return df


def hard_numbers(rows=1500, seed=4):
    """Columns whose steps, years or single values are looked for in ways of their own."""
    generator = np.random.default_rng(seed)
    df = pd.DataFrame({"fine": generator.choice(generator.random(12), rows)})  # single values of many digits
    df["steps"] = generator.integers(0, 400, rows) * 1e-4
    df["money"] = generator.integers(1, 90, rows) * 500
    df["spread"] = np.exp(generator.normal(0, 9, rows)) * generator.choice([-1, 1], rows)
    df["born"] = pd.Timestamp("1925-01-01") + pd.to_timedelta(generator.integers(0, 35_000, rows), unit="D")
    df["lasts"] = pd.to_timedelta(generator.integers(0, 9000, rows), unit="min")
    df["zero"] = np.where(generator.random(rows) < 0.7, 0.0, generator.normal(size=rows))
    df["constant"] = 17.25
    df["odd"] = generator.choice([np.inf, -np.inf, 1e308, -0.0, 5e-324, 0.5], rows)
    for name in ("fine", "steps", "born", "lasts", "spread"):
        df.loc[generator.random(rows) < 0.2, name] = None
    return df


def measured(table, meta, seed=5, epsilon=50.0):
    """Every exact count that goes through the door to private counts, and what is made of it."""
    told = []

    class Watched(Releases):
        def release_counts(self, allowance, exact, parts):
            told.append(np.array(exact))
            return super().release_counts(allowance, exact, parts)

    noise = NoiseSource(test_only_seed=seed)
    config = HighDimConfig(epsilon=epsilon).resolve()
    plan = plan_run(config, meta, 1500.0, "quick")
    found = measure_table(open_source(table), meta, plan, releases_of(plan, noise, Watched), lambda _: None)
    return told, found.codec, found.reference, np.array(found.codes), found.counts


def assert_same(first, second):
    told, codec, reference, codes, counts = first
    again, other_codec, other_reference, other_codes, other_counts = second
    assert [each.tolist() for each in told] == [each.tolist() for each in again]
    assert codec.to_dict() == other_codec.to_dict()
    assert reference.to_dict() == other_reference.to_dict()
    assert codes.dtype == other_codes.dtype
    assert (codes == other_codes).all()
    assert all((a == b).all() for a, b in zip(counts, other_counts, strict=True))


@pytest.fixture
def parquet(tmp_path):
    """A table in memory, and the pattern of the same one in two files of several row groups."""
    df = wide_mix()
    df.iloc[:900].to_parquet(tmp_path / "part-0.parquet", row_group_size=250)
    df.iloc[900:].reset_index(drop=True).to_parquet(tmp_path / "part-1.parquet", row_group_size=400)
    return df, str(tmp_path / "*.parquet")


def test_files_of_parquet_give_the_exact_counts_and_the_codes_of_the_table_in_memory(parquet, monkeypatch):
    df, pattern = parquet
    meta = MetaExtractor.extract(pattern)
    assert meta == MetaExtractor.extract(df)
    assert table_fingerprint(open_source(pattern)) == table_fingerprint(FrameSource(df))
    in_memory = measured(df, meta)
    assert_same(in_memory, measured(pattern, meta))
    monkeypatch.setattr(
        "jupyter_dpsynth.engine.measuring.categories.KNOWN_VALUES", 5
    )  # most are looked up again
    monkeypatch.setattr("jupyter_dpsynth.sources.partitions.LEAST_ROWS", 7)
    monkeypatch.setattr("jupyter_dpsynth.sources.partitions.MAX_BYTES", 2_000)  # other cuts for other columns
    assert_same(in_memory, measured(pattern, meta))
    assert len(in_memory[1].orderings) == 1  # day is never after later: measured in parts too


def test_a_dask_dataframe_gives_the_exact_counts_and_the_codes_of_the_table_in_memory():
    df = wide_mix()
    ddf = dd.from_pandas(df, npartitions=7, sort=False)
    meta = MetaExtractor.extract(ddf)
    df = df.astype({column.name: column.dtype for column in meta.columns if column.name != "size"})
    assert table_fingerprint(open_source(ddf)) == table_fingerprint(FrameSource(df))
    assert_same(measured(df, meta), measured(ddf, meta))


def test_csv_gives_the_exact_counts_and_the_codes_of_what_pandas_reads(tmp_path):
    df = wide_mix()
    df.to_csv(tmp_path / "all.csv", index=False)
    meta = MetaExtractor.extract(tmp_path / "all.csv")
    df = pd.read_csv(tmp_path / "all.csv").astype({column.name: column.dtype for column in meta.columns})
    source = open_source(tmp_path / "all.csv")
    assert table_fingerprint(source) == table_fingerprint(FrameSource(df))
    assert_same(measured(df, meta), measured(source, meta))
    source.close()


@pytest.mark.parametrize("stored", ["parquet", "dask", "csv"])
@pytest.mark.parametrize("epsilon", [1.0, 50.0])
def test_steps_years_and_single_values_are_found_alike_whatever_the_table_is_stored_in(
    tmp_path, monkeypatch, stored, epsilon
):
    df = hard_numbers()
    if stored == "parquet":
        monkeypatch.setattr("jupyter_dpsynth.sources.partitions.MAX_ROWS", 90)
        monkeypatch.setattr("jupyter_dpsynth.sources.partitions.LEAST_ROWS", 90)
        df.to_parquet(tmp_path / "table.parquet", row_group_size=400)
        table = tmp_path / "table.parquet"
    elif stored == "dask":
        parts = np.split(np.arange(len(df)), [0, 1, 1, 700])  # two of no rows, one of one
        table = dd.from_map(lambda rows: df.iloc[rows].reset_index(drop=True), parts, meta=df.iloc[:0])
    else:
        df.to_csv(tmp_path / "table.csv", index=False)
        table = tmp_path / "table.csv"
    source = open_source(table)
    meta = MetaExtractor.extract(source)
    assert MetaExtractor.extract(table) == meta
    if stored == "csv":
        df = pd.read_csv(tmp_path / "table.csv").astype({each.name: each.dtype for each in meta.columns})
    in_memory, in_parts = (measured(each, meta, epsilon=epsilon) for each in (df, source))
    source.close()
    assert_same(in_memory, in_parts)


def test_every_type_that_parquet_holds_is_read_as_pandas_reads_it(tmp_path):
    df = pd.DataFrame({name: EVERY_TYPE[name] for name in STORED})
    df.to_parquet(tmp_path / "all.parquet", row_group_size=90)
    kept = pd.read_parquet(tmp_path / "all.parquet")
    meta = MetaExtractor.extract(tmp_path / "all.parquet")
    assert {c.name: (c.kind, c.dtype) for c in meta.columns} == {
        c.name: (c.kind, c.dtype) for c in MetaExtractor.extract(kept).columns
    }
    assert table_fingerprint(open_source(tmp_path / "all.parquet")) == table_fingerprint(FrameSource(kept))
    assert_same(measured(kept, meta), measured(tmp_path / "all.parquet", meta))


def test_types_of_files_that_pandas_did_not_write_follow_from_the_schema_alone(tmp_path):
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("n", pa.int32()),
            ("b", pa.bool_()),
            ("d", pa.date32()),
            ("m", pa.decimal128(9, 2)),
            ("z", pa.null()),
        ]
    )
    rows = {"n": [1, 2], "b": [True, False], "d": [0, 1], "m": [decimal.Decimal("1.50")] * 2, "z": [None] * 2}
    missing = {name: [None, None] for name in rows}
    with pq.ParquetWriter(tmp_path / "s.parquet", schema) as writer:
        for each in (rows, missing):
            writer.write_table(pa.table(each, schema))
    source = open_source(tmp_path / "s.parquet")
    kinds = source.described.dtypes.astype(str).to_dict()
    assert kinds["n"] == "Int32"
    assert kinds["b"] == "boolean"
    assert kinds["d"].startswith("datetime64")
    assert kinds["m"] == "float64"
    for dtypes in source.map(lambda part: part.dtypes.astype(str).to_dict(), list(kinds)):
        assert dtypes == kinds


def test_what_is_missing_in_one_of_several_files_stays_missing(tmp_path):
    pd.DataFrame({"whole": [0, 1], "truth": [True, False]}).to_parquet(tmp_path / "0.parquet")
    gaps = pd.DataFrame({"whole": pd.array([None, 3], "Int64"), "truth": pd.array([None, True], "boolean")})
    gaps.to_parquet(tmp_path / "1.parquet")
    source = open_source(tmp_path)
    assert source.described.dtypes.astype(str).to_dict() == {"whole": "Int64", "truth": "boolean"}
    found = pd.concat(list(source.map(lambda part: part, ["whole", "truth"])), ignore_index=True)
    assert found["whole"].isna().tolist() == found["truth"].isna().tolist() == [False, False, True, False]
    assert len(limit_rows_per_unit(source, "whole", 1, np.random.default_rng(0))[1]) == 4


def test_a_csv_value_that_does_not_fit_its_column_is_missing_and_raises_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("jupyter_dpsynth.sources.csv.HEAD_ROWS", 2)
    monkeypatch.setattr("jupyter_dpsynth.sources.csv.rows_at_once", lambda _: 2)
    text = "n,x,b,t\n1,1.5,True,7\n2,2.5,False,a\nsecret-1,oops,maybe,b\n2.5,,,\n"
    text += "9999999999999999999999,inf,true,c\n"
    (tmp_path / "odd.csv").write_text(text)
    source = open_source(tmp_path / "odd.csv")
    df = pd.concat(source.map(lambda part: part, ["n", "x", "b", "t"]), ignore_index=True)
    assert df["n"].tolist()[:2] == [1, 2]
    assert df["n"].isna().tolist() == [False, False, True, True, True]
    assert df["x"].isna().tolist() == [False, False, True, True, False]
    assert df["b"].fillna(value=False).tolist() == [True, False, False, False, True]
    assert df["t"].fillna("-").tolist() == ["7", "a", "b", "-", "c"]
    source.close()


@pytest.mark.filterwarnings("error")
def test_a_file_whose_note_of_pandas_types_is_wrong_keeps_its_numbers_and_warns_of_nothing(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = pa.Table.from_pandas(
        pd.DataFrame({"n": [5, 2**53 + 1], "b": [True, False]}), preserve_index=False
    )
    gaps = pa.table({"n": pa.array([None, 2**53 + 1], pa.int64()), "b": pa.array([None, True])})
    both = pa.concat_tables([plain, gaps.replace_schema_metadata(plain.schema.metadata)])
    pq.write_table(both, tmp_path / "table.parquet", row_group_size=2)
    source = open_source(tmp_path / "table.parquet")
    found = pd.concat(list(source.map(lambda part: part, ["n", "b"])), ignore_index=True)
    assert found.dtypes.astype(str).to_dict() == {"n": "int64", "b": "bool"}
    assert found["n"].tolist() == [5, 2**53 + 1, 0, 2**53 + 1]
    assert found["b"].tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,x\n".encode("utf-16"), "header is not text in UTF-8"),
        (b"a,b\n1,x,9\n2,y,8\n", "more fields than its header has names"),
        (b'a,"b\n1,x\n2,y\n', "a quote in its header is not closed"),
        (b"", "it is empty or damaged"),
    ],
)
def test_what_is_no_csv_with_commas_and_a_header_is_refused_before_it_is_learned(tmp_path, content, message):
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_source(tmp_path / "odd.csv")


@pytest.mark.parametrize("cut", ["shorter", "changed"])
def test_a_damaged_archive_of_csv_is_named_as_such(tmp_path, monkeypatch, cut):
    monkeypatch.setattr("jupyter_dpsynth.sources.csv.HEAD_ROWS", 10)
    text = "".join(f"{number},x{number}\n" for number in np.random.default_rng(0).integers(0, 10**9, 60_000))
    packed = bytearray(gzip.compress(f"n,t\n{text}".encode()))
    if cut == "shorter":
        packed = packed[: len(packed) // 2]
    else:
        packed[-6] ^= 1  # the checksum
    (tmp_path / "damaged.csv.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"damaged.csv.gz cannot be read by .* damaged"):
        table_fingerprint(open_source(tmp_path / "damaged.csv.gz"))


def test_text_in_csv_may_hold_quotes_and_line_breaks_and_lines_may_be_empty_or_end_in_a_comma(tmp_path):
    text = '\ufeffn,"a text"\r\n1,"say ""no"",\nor"\r\n\r\n2,plain\r\n'
    (tmp_path / "plain.csv").write_bytes(text.encode())
    (tmp_path / "comma.csv").write_text("n,a text\n1,x,\n2,y,\n")
    found = {}
    for name in ("plain", "comma"):
        source = open_source(tmp_path / f"{name}.csv")
        assert list(source.described.columns) == ["n", "a text"]
        found[name] = pd.concat(source.map(lambda part: part, ["n", "a text"]), ignore_index=True)
        source.close()
        assert found[name]["n"].tolist() == [1, 2]
    assert found["plain"]["a text"].tolist() == ['say "no",\nor', "plain"]
    assert found["comma"]["a text"].tolist() == ["x", "y"]


@pytest.mark.parametrize("at_once", [1, 2, 3, 50])
def test_what_becomes_of_a_csv_value_does_not_depend_on_other_rows(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr("jupyter_dpsynth.sources.csv.HEAD_ROWS", 2)
    monkeypatch.setattr("jupyter_dpsynth.sources.csv.rows_at_once", lambda _: at_once)
    big = 2**53 + 1  # is no float
    rows = [(big, 0.5, True), (1, 1.5, False), (big, 2, 1), ("", "", ""), (big, True, "x"), (True, False, 0)]
    rows += [(True, "", 1), ("no", "no", True), (big, 3.5, "true"), (2**63, "x", 2)]
    rows += [("1.5", "", ""), (big, "", ""), (2**63 - 1, "", ""), ("1e17", "", "")]
    text = "".join(f"{n},{x},{b}\n" for n, x, b in rows)
    (tmp_path / "odd.csv").write_text(f"n,x,b\n{text}")
    source = open_source(tmp_path / "odd.csv")
    df = pd.concat(source.map(lambda part: part, ["n", "x", "b"]), ignore_index=True)
    nothing = pd.NA
    expected = [big, 1, big, nothing, big, nothing, nothing, nothing, big, nothing]
    expected += [nothing, big, 2**63 - 1, 10**17]
    pd.testing.assert_series_equal(df["n"], pd.Series(expected, dtype="Int64", name="n"))
    nan = np.nan
    assert (
        df["x"].fillna(-1).tolist()
        == pd.Series([0.5, 1.5, 2, *[nan] * 5, 3.5, *[nan] * 5]).fillna(-1).tolist()
    )
    expected = [True, False, *[nothing] * 5, True, True, *[nothing] * 5]
    pd.testing.assert_series_equal(df["b"], pd.Series(expected, dtype="boolean", name="b"))
    assert len(limit_rows_per_unit(source, "n", 1, np.random.default_rng(0))[1]) == 5
    source.close()


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_file_that_changes_while_it_is_read_is_noticed(parquet, when):
    df, pattern = parquet
    source = open_source(pattern)
    if when == "between":
        table_fingerprint(source)
    df.head(700).to_parquet(Path(pattern).parent / "part-1.parquet")
    with pytest.raises(DataError, match="has changed since it was opened"):
        table_fingerprint(source)


def test_a_dask_dataframe_that_gives_other_rows_in_another_pass_is_noticed():
    calls = []

    def unsteady(part):
        calls.append(len(part))
        return part.assign(x=part["x"] + len(calls))

    ddf = dd.from_pandas(pd.DataFrame({"x": range(90), "y": range(90)}), npartitions=2)
    ddf = ddf.map_partitions(unsteady, meta=ddf._meta)
    source, meta = open_source(ddf), MetaExtractor.extract(ddf)
    table_fingerprint(source)
    with pytest.raises(DataError, match="has changed since it was opened"):
        measured(source, meta)


@pytest.mark.tensorflow
def test_a_change_after_measuring_began_leaves_epsilon_spent(parquet):
    df, pattern = parquet
    synthesizer = HighDimSynthesizer(
        MetaExtractor.extract(pattern), HighDimConfig(epsilon=3.0, steps=2, batch_size=EVERY_ROW)
    )

    def change(report):
        if "town" in report.message:
            df.head(701).to_parquet(Path(pattern).parent / "part-1.parquet")

    with pytest.raises(DataError, match="has changed since it was opened"):
        synthesizer.learn(pattern, callback=change)
    assert synthesizer.state == "failed"
    assert 2.7 < synthesizer.epsilon <= 3.0


def test_a_column_that_shows_no_value_is_named_with_what_to_do(parquet, caplog):
    _, pattern = parquet
    measured(pattern, MetaExtractor.extract(pattern))
    (record,) = caplog.records
    assert "no value of column 'text'" in record.getMessage()
    assert "Otherwise leave the column out (ignore)" in record.getMessage()


@pytest.mark.parametrize(("powers", "told"), [(60, True), (1, False)])
def test_a_column_of_which_noise_leaves_little_is_named_with_its_range_and_what_to_do(powers, told, caplog):
    random = np.random.default_rng(3)
    sizes = np.exp2(random.uniform(0, powers, 1500)) * random.choice([-1, 1], 1500)
    df = pd.DataFrame({"wide": sizes.astype(np.int64)})
    _, codec, *_ = measured(open_source(df), MetaExtractor.extract(df), epsilon=0.5)
    assert (codec.columns[0].range_text in caplog.text) == told
    assert ("Declare its bounds" in caplog.text) == told


@pytest.mark.parametrize("epsilon", [0.3, 0.1])
def test_dates_of_birth_keep_their_range_where_single_years_are_lost_in_noise(epsilon):
    days = np.random.default_rng(4).integers(-365 * 40, 365 * 47, 1500)  # as many as `measured` plans for
    df = pd.DataFrame({"birth": pd.Timestamp("1970-01-01") + pd.to_timedelta(days, unit="D")})
    _, codec, reference, *_ = measured(open_source(df), MetaExtractor.extract(df), epsilon=epsilon)
    (birth,), (shares,) = codec.columns, reference.shares
    codes = np.random.default_rng(5).choice(len(shares), 4000, p=shares).astype(np.int32)
    learned = birth.decode(codes, np.random.default_rng(6))
    edges = pd.date_range("1925-01-01", "2020-01-01", periods=6)
    shares = [
        pd.cut(column.dropna(), edges).value_counts(normalize=True) for column in (df["birth"], learned)
    ]
    assert abs(shares[0] - shares[1]).sum() / 2 < 0.4


@pytest.mark.tensorflow
def test_learning_from_files_equals_learning_in_memory_to_the_last_weight(parquet):
    df, pattern = parquet
    config = HighDimConfig(epsilon=8.0, steps=5)
    learned = [
        HighDimSynthesizer(MetaExtractor.extract(table), config)
        .learn(table, callback=lambda _: None, noise=NoiseSource(test_only_seed=11))
        .learned
        for table in (df, pattern)
    ]
    assert (learned[0].model.weights == learned[1].model.weights).all()
    assert (learned[0].losses == learned[1].losses).all()


def test_what_fails_inside_a_task_shows_no_value(parquet, monkeypatch):
    _, pattern = parquet

    def leaking(*_, **__):
        raise ValueError("the planted value 4711")

    monkeypatch.setattr("jupyter_dpsynth.engine.measuring.categories.factorize", leaking)
    synthesizer = HighDimSynthesizer(
        MetaExtractor.extract(pattern), HighDimConfig(steps=2, batch_size=EVERY_ROW)
    )
    with pytest.raises(DPSynthError, match=r"inside a library \(ValueError at jupyter_dpsynth") as raised:
        synthesizer.learn(pattern, callback=lambda _: None)
    assert "4711" not in str(raised.value)
    assert raised.value.__context__ is None


def test_a_stop_while_a_table_is_read_for_the_first_time_spends_nothing(parquet):
    _, pattern = parquet
    stop = threading.Event()
    stop.set()
    synthesizer = HighDimSynthesizer(
        MetaExtractor.extract(pattern), HighDimConfig(steps=2, batch_size=EVERY_ROW)
    )
    with pytest.raises(NotLearnedError, match="epsilon = 0 was spent"):
        synthesizer.learn(pattern, callback=lambda _: None, stop=stop)
    assert synthesizer.state == "new"


@pytest.mark.tensorflow
def test_the_number_of_reports_does_not_tell_the_number_of_parts(tmp_path, monkeypatch):
    """One row more than fits into a part makes a part more."""
    monkeypatch.setattr("jupyter_dpsynth.engine.learning.progress.TICK_SECONDS", 1e6)
    found = []
    for rows_of_part in (900, 100):
        mixed_table(900, seed=4).to_parquet(tmp_path / "t.parquet", row_group_size=rows_of_part)
        synthesizer = HighDimSynthesizer(
            MetaExtractor.extract(tmp_path / "t.parquet"), HighDimConfig(steps=1, batch_size=EVERY_ROW)
        )
        reports, stop = [], threading.Event()

        def report(told, reports=reports, stop=stop):
            reports.append(told)
            if told.message.startswith("calibrating"):
                stop.set()

        with pytest.raises(NotLearnedError):
            synthesizer.learn(tmp_path / "t.parquet", callback=report, stop=stop)
        found.append([each.message for each in reports])
    assert found[0] == found[1]


def test_hashes_of_values_have_128_bits_and_another_key_each_time(tmp_path, monkeypatch):
    """Whoever can write a row could choose a text with the hash of another one, if the hash had no key."""
    keys = []

    def watched(values, key):
        keys.append(key)
        return keyed_words(values, key)

    monkeypatch.setattr("jupyter_dpsynth.engine.measuring.categories.keyed_words", watched)
    df = pd.DataFrame({"x": ["a", "b", "c"] * 100})
    df.to_parquet(tmp_path / "t.parquet", row_group_size=100)
    found = []
    for _ in range(2):
        source = open_source(tmp_path / "t.parquet")
        values = DistinctValues(source, MetaExtractor.extract(source)["x"])
        assert values.counts.tolist() == [100, 100, 100]
        assert values.at(np.arange(3)) == ["a", "b", "c"]
        found.append({*keys})
        keys.clear()
        source.close()
    assert [len(each) for each in found] == [1, 1]
    assert found[0] != found[1]
    assert keyed_words(["a"], b"0" * 32).shape == (1, 2)


def test_one_rows_text_does_not_take_the_place_of_anothers_as_it_would_with_hashes_that_collide(
    tmp_path, monkeypatch
):
    """A planted bug: hashes that anybody can compute, so a row can hold a text with the hash of another."""
    df = pd.DataFrame({"x": ["flu"] * 99 + ["written by one person"] + ["flu"] * 200})
    df.to_parquet(tmp_path / "t.parquet", row_group_size=100)

    def most_frequent():
        source = open_source(tmp_path / "t.parquet")
        values = DistinctValues(source, MetaExtractor.extract(source)["x"])
        (found,) = values.at(np.array([np.argmax(values.counts)]))
        source.close()
        return found

    assert most_frequent() == "flu"
    name = "jupyter_dpsynth.engine.measuring.categories.keyed_words"
    monkeypatch.setattr(name, lambda values, _: np.zeros((len(values), 2), dtype=np.uint64))
    assert most_frequent() == "written by one person"  # the check finds the mistake


def persons_table():
    """About three rows of each of 500 persons, and 200 of nobody; persons named in every way."""
    df = wide_mix().drop(columns="text")
    who = np.random.default_rng(9).integers(0, 500, len(df))
    nobody = np.arange(len(df)) % 8 == 0
    df["number"] = who + 2**60
    df["whole number"] = pd.array(who, "Int64")
    df["real number"] = who / 4
    df["word"] = pd.Series(who).map("person {}".format).astype(str)
    df["kind"] = pd.Categorical(df["word"])
    df.loc[nobody, ["whole number", "real number", "word", "kind"]] = None
    return df


@pytest.mark.parametrize("unit", ["number", "whole number", "real number", "word", "kind"])
@pytest.mark.parametrize("stored", ["parquet", "dask", "csv"])
def test_the_same_rows_of_each_unit_are_kept_whatever_the_table_is_stored_in(tmp_path, unit, stored):
    df = persons_table()
    if stored == "parquet":
        df.to_parquet(tmp_path / "table.parquet", row_group_size=170)
        table = tmp_path / "table.parquet"
    elif stored == "dask":
        table = dd.from_pandas(df, npartitions=6, sort=False)
    else:
        df.to_csv(tmp_path / "table.csv", index=False)
        table = tmp_path / "table.csv"
    source = open_source(table)
    if unit != "kind":  # its categories are not known before it is read
        df = df.astype({unit: source.described[unit].dtype})
    found = []
    for each in (FrameSource(df), source):
        kept, units = limit_rows_per_unit(each, unit, 2, np.random.default_rng(4))
        rows = pd.concat(kept.map(lambda part: part, ["income", unit]), ignore_index=True)
        found.append((rows["income"].to_numpy(), units))
        assert kept.rows == len(rows) < len(df)
        assert rows[unit].value_counts(dropna=False).max() == 2
    source.close()
    (first, units), (again, others) = found
    assert np.allclose(first, again, equal_nan=True)
    assert (units.starts == others.starts).all()
    assert (units.rows == others.rows).all()


@pytest.mark.tensorflow
def test_learning_persons_from_files_equals_learning_them_in_memory_to_the_last_weight(tmp_path):
    df = persons_table().drop(columns=["number", "whole number", "real number", "kind"])
    df.to_parquet(tmp_path / "table.parquet", row_group_size=170)
    df = pd.read_parquet(tmp_path / "table.parquet")
    ddf = dd.from_pandas(df, npartitions=5, sort=False)
    config = HighDimConfig(epsilon=40.0, steps=5, privacy_unit="word", max_rows_per_unit=2)
    learned = [
        HighDimSynthesizer(MetaExtractor.extract(table), config)
        .learn(table, callback=lambda _: None, noise=NoiseSource(test_only_seed=11))
        .learned
        for table in (df, ddf, tmp_path / "table.parquet")
    ]
    for other in learned[1:]:
        assert (learned[0].model.weights == other.model.weights).all()
        assert (learned[0].losses == other.losses).all()
    assert learned[2].receipt.unit == "one value of 'word', with at most 2 rows"
    assert learned[2].receipt.sampler.startswith("Poisson: every unit")


@pytest.mark.parametrize("most", [2, 5, None])
def test_a_dask_dataframe_whose_rows_change_places_is_noticed_where_a_unit_is_bounded(most):
    """Otherwise the rows that were chosen would be others, and one person's could count as several persons'.

    Of each person there are five rows, so that with the second limit all of them are kept.
    """
    passes = []

    def turning(part):
        passes.append(len(part))
        return part.sample(frac=1, random_state=len(passes)).reset_index(drop=True)

    df = pd.DataFrame({"who": np.arange(300) // 5, "x": np.arange(300), "y": np.arange(300) % 7})
    ddf = dd.from_pandas(df, npartitions=1)
    source = open_source(ddf.map_partitions(turning, meta=ddf._meta))
    meta = MetaExtractor.extract(source).with_id("who")
    table_fingerprint(source)
    if most is None:  # without units the order has no bearing on anything
        measured(source, meta)
        source.in_order = True  # but on the shards of several workers
        with pytest.raises(DataError, match="has changed since it was opened"):
            table_fingerprint(source)
        return
    kept, _ = limit_rows_per_unit(source, "who", most, np.random.default_rng(0))
    with pytest.raises(DataError, match="has changed since it was opened"):
        measured(kept, meta)


def test_a_dask_dataframe_with_other_rows_than_before_is_noticed_before_they_are_chosen():
    passes = []

    def unsteady(part):
        passes.append(len(part))
        return part.assign(x=part["x"] + len(passes))

    ddf = dd.from_pandas(pd.DataFrame({"who": range(90), "x": range(90)}), npartitions=2)
    source = open_source(ddf.map_partitions(unsteady, meta=ddf._meta))
    table_fingerprint(source)
    with pytest.raises(DataError, match="has changed since it was opened"):
        limit_rows_per_unit(source, "who", 2, np.random.default_rng(0))


def test_kept_rows_are_a_table_of_their_own(parquet):
    df, pattern = parquet
    for source in (open_source(pattern), FrameSource(df)):
        assert source.rows == len(df)
        mask = np.arange(len(df)) % 3 == 0
        beats = []
        source.after_part = lambda: beats.append(1)  # noqa: B023 - called within the loop only
        kept = KeptRows(source, mask, int(mask.sum()))
        assert kept.described.dtypes.equals(source.described.dtypes)
        assert len(kept.described) == 0
        parts = list(kept.without(["day"]).map(lambda part: part, ["age", "town"]))
        rows = pd.concat(parts, ignore_index=True)
        assert rows["age"].tolist() == df["age"][mask].tolist()
        again = KeptRows(kept, np.arange(len(rows)) < 4, 4)
        few = pd.concat(again.map(lambda part: part, ["age"]), ignore_index=True)
        assert few["age"].tolist() == df["age"][mask].tolist()[:4]
        ages = kept.concatenate(kept.map(lambda part: part["age"].to_numpy(), ["age"]), np.dtype(np.int64))
        assert ages.tolist() == df["age"][mask].tolist()
        assert bool(beats) == source.partitioned
        kept.close()


def test_a_type_that_cannot_be_learned_is_named_and_can_be_left_out(tmp_path):
    path = tmp_path / "nested.parquet"
    pd.DataFrame({"a": [1, 2], "b": [[1], [2]]}).to_parquet(path)
    with pytest.raises(MetadataError, match="'b' has a type that cannot be learned"):
        MetaExtractor.extract(path)
    assert MetaExtractor.extract(open_source(path).without(["b"])).names == ("a",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nothing/*.parquet", "there is no such file"),
        ("s3://bucket/table.parquet", "dask.dataframe.read_parquet"),
        (17, "df has the type int and is no table: pass a table of pandas, polars, pyarrow"),
    ],
)
def test_what_is_no_table_is_refused_with_what_to_do(data, message):
    with pytest.raises(DataError, match=message):
        open_source(data)


def test_files_that_differ_in_their_columns_are_refused(tmp_path):
    pd.DataFrame({"a": [1], "b": ["x"]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"a": [1], "b": [2]}).to_parquet(tmp_path / "1.parquet")
    with pytest.raises(DataError, match="differ in column 'b'"):
        open_source(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "0.csv").write_text("a,b\n1,2\n")
    (tmp_path / "other" / "1.csv").write_text("a,c\n1,2\n")
    with pytest.raises(DataError, match="different headers"):
        open_source(tmp_path / "other")


def test_columns_may_stand_in_another_order_in_each_file(tmp_path):
    df = wide_mix(300)
    for kind in ("parquet", "csv"):
        (tmp_path / kind).mkdir()
        for number, part in enumerate((df.iloc[:120], df.iloc[120:, ::-1])):
            path = tmp_path / kind / f"{number}.{kind}"
            part.to_parquet(path, index=False) if kind == "parquet" else part.to_csv(path, index=False)
        source = open_source(tmp_path / kind)
        assert list(source.described.columns) == list(df.columns)
        found = pd.concat(source.map(lambda part: part, list(df.columns)), ignore_index=True)
        source.close()
        assert found["text"].tolist() == df["text"].tolist()
        assert found["real"].to_numpy() == pytest.approx(df["real"].to_numpy())


def test_columns_that_are_names_of_folders_are_not_lost_without_a_word(tmp_path):
    df = pd.DataFrame({"a": [1, 2, 3], "year": [2024, 2024, 2025]})
    df.to_parquet(tmp_path / "table", partition_cols=["year"])
    with pytest.raises(DataError, match="Subfolders are not searched"):
        open_source(tmp_path / "table")
    with pytest.raises(DataError, match="column 'year' exists only in the names of the folders"):
        open_source(tmp_path / "table" / "*" / "*.parquet")
    assert open_source(tmp_path / "table" / "year=2024").rows == 2


def test_hidden_files_are_no_part_of_a_table_and_a_files_name_is_no_pattern(tmp_path):
    pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "part [1].parquet")
    (tmp_path / "._part [1].parquet").write_bytes(b"what another system left")
    assert open_source(tmp_path).rows == open_source(tmp_path / "part [1].parquet").rows == 2


def test_the_order_of_an_ordered_dictionary_is_found_in_the_first_file_that_has_rows(tmp_path):
    df = pd.DataFrame({"size": pd.Categorical(["l", "s", "m"], ["s", "m", "l"], ordered=True)})
    df.iloc[:0].to_parquet(tmp_path / "0.parquet")
    assert list(open_source(tmp_path).described["size"].cat.categories) == []
    df.to_parquet(tmp_path / "1.parquet")
    assert list(open_source(tmp_path).described["size"].cat.categories) == ["s", "m", "l"]


@pytest.mark.parametrize("stored", ["parquet", "dask"])
def test_rows_that_are_looked_at_together_follow_from_what_they_take_in_memory(tmp_path, monkeypatch, stored):
    """Not from what they take in the file, where a long text that comes again and again is stored once."""
    monkeypatch.setattr("jupyter_dpsynth.sources.partitions.MAX_BYTES", 2**19)
    rows = 20_000
    df = pd.DataFrame({f"n{number}": np.arange(rows) % 2 for number in range(40)})
    df["text"] = np.array(["a" * 2000, "b" * 1000])[np.arange(rows) % 2]
    if stored == "parquet":
        df.to_parquet(tmp_path / "table.parquet")
        source = open_source(tmp_path / "table.parquet")
    else:
        source = open_source(dd.from_pandas(df, npartitions=1))
    for columns in (["text"], [f"n{number}" for number in range(40)]):
        lengths = list(source.map(len, columns))
        assert sum(lengths) == rows
        # of a Dask DataFrame the partition is in memory as a whole
        assert max(lengths) <= (2000 if stored == "parquet" or len(columns) > 1 else rows)


def test_of_many_different_texts_only_hashes_are_kept_however_small_the_parts_are(tmp_path, monkeypatch):
    monkeypatch.setattr("jupyter_dpsynth.engine.measuring.categories.KNOWN_VALUES", 100)
    df = pd.DataFrame(
        {"short": [f"a{n}" for n in range(4000)], "long": [f"{n:05d}" * 200 for n in range(4000)]}
    )
    df.to_parquet(tmp_path / "table.parquet", row_group_size=50)
    source = open_source(tmp_path / "table.parquet")
    for meta in MetaExtractor.extract(source).columns:
        names = DistinctValues(source, meta)
        assert names.counts.tolist() == [1] * 4000
        assert len(names._known) <= 200
        assert sum(map(len, names._known.values())) <= 2 * 64 * 100
        places = np.array([0, 1234, 3999])  # the others are looked up
        assert names.at(places) == df[meta.name].iloc[places].tolist()


def test_what_a_file_says_of_its_row_groups_is_read_once(parquet, monkeypatch):
    import pyarrow.parquet as pq

    _, pattern = parquet
    asked, read = [], pq.read_metadata
    monkeypatch.setattr(pq, "read_metadata", lambda path: asked.append(path) or read(path))
    source = open_source(pattern)
    for _ in range(3):
        assert sum(source.map(len, ["age"])) == source.rows
    assert len(asked) == 2  # two files


@pytest.mark.parametrize(("rows", "ahead"), [(300, 4), (900, 1)])
def test_of_long_parts_fewer_are_under_way_at_once(tmp_path, monkeypatch, rows, ahead):
    monkeypatch.setattr("jupyter_dpsynth.sources.partitions.MAX_ROWS", 400)
    asked, compute = [], dask.compute
    monkeypatch.setattr(
        dask, "compute", lambda *tasks, **how: asked.append(len(tasks)) or compute(*tasks, **how)
    )
    monkeypatch.setattr("jupyter_dpsynth.sources.dask._threads", lambda _: 2)
    pd.DataFrame({"a": range(9000)}).to_parquet(tmp_path / "table.parquet", row_group_size=rows)
    source = open_source(tmp_path / "table.parquet")
    assert source.rows == 9000
    assert sum(source.map(len, ["a"])) == 9000
    assert max(asked) == 2 * ahead


def test_temporary_arrays_have_no_name_and_temporary_folders_are_private(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = scratch_array((1000, 3), np.dtype(np.uint8))
    array[:] = 7
    assert list(tmp_path.iterdir()) == []
    folder = PrivateFolder()
    with folder.create("rows") as file:
        file.write(b"private")
    assert stat.S_IMODE((folder.path / "rows").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.path.parent.stat().st_mode) == 0o700
    folder.remove()
    assert not folder.path.exists()


def test_a_full_disk_is_told_without_how_much_was_needed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match="not enough space") as raised:
        scratch_array((123_457,), np.dtype(np.uint8))
    assert "123" not in str(raised.value)


LEAVES = """
import sys, time
from jupyter_dpsynth.sources.scratch import PrivateFolder
folder = PrivateFolder()
folder.create("rows").write(b"private")
print(folder.path, flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_folders_go_at_exit_and_after_kill_nine_with_the_next_run_but_not_while_in_use(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}

    def start(seconds):
        command = [sys.executable, "-c", LEAVES, str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        return process, Path(process.stdout.readline().strip())

    killed, left = start(60)
    alive, used = start(60)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left.exists()
    ended, own = start(0)
    ended.wait()
    assert not left.exists()
    assert not own.exists()
    assert used.exists()
    alive.kill()
    alive.wait()
    for process in (killed, ended, alive):
        process.stdout.close()


def test_a_cluster_gives_the_exact_counts_and_codes_too(parquet):
    distributed = pytest.importorskip("distributed")
    df, pattern = parquet
    meta = MetaExtractor.extract(df)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        assert table_fingerprint(open_source(pattern)) == table_fingerprint(FrameSource(df))
        assert_same(measured(df, meta), measured(pattern, meta))
        kept = [
            limit_rows_per_unit(table, "age", 3, np.random.default_rng(8))[0]
            for table in (FrameSource(df), open_source(pattern))
        ]
        assert_same(measured(kept[0], meta), measured(kept[1], meta))


def test_workers_in_another_folder_read_a_relative_path_and_leave_the_private_copy_to_the_kernel(
    parquet, tmp_path, monkeypatch
):
    distributed = pytest.importorskip("distributed")
    df, pattern = parquet
    df.to_csv(tmp_path / "table.csv", index=False)
    monkeypatch.chdir(tmp_path)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(os.chdir, "/")
        assert table_fingerprint(open_source(Path(pattern).name)) == table_fingerprint(FrameSource(df))
        source = open_source(Path(pattern).name)
        assert os.getpid() not in set(source.map(lambda _: os.getpid(), ["whole"]))
        # its copy lies on this machine's disk, which a worker elsewhere does not have
        source = open_source("table.csv")
        assert set(source.map(lambda _: os.getpid(), ["whole"])) == {os.getpid()}
        source.close()


def test_a_file_that_a_worker_does_not_have_is_named():
    error = apply_to_part(len, None, _row_group, Path("/nowhere/part.parquet"), 0, ["a"], None)
    assert isinstance(error, DataError)
    assert "/nowhere/part.parquet" in str(error)
    assert "workers" in str(error)


@pytest.mark.filterwarnings("error:Sending large graph")
def test_no_warning_tells_how_many_rows_are_asked_for():
    distributed = pytest.importorskip("distributed")
    part = pd.DataFrame({"a": np.zeros(10_000, np.int8)})
    source = open_source(dd.from_map(lambda _: part, range(4), meta=part.iloc[:0]))
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 kB"}),
    ):
        found = source.map(len, ["a"], np.arange(source.rows) % 2 == 0)
        assert sum(found) == 20_000


def test_a_task_that_fails_leaves_no_value_in_a_workers_log(parquet, monkeypatch, caplog):
    distributed = pytest.importorskip("distributed")
    df, pattern = parquet
    ddf = dd.from_pandas(df, npartitions=3)

    def leaking(*_, **__):
        raise ValueError("the planted value 4711")

    monkeypatch.setattr("jupyter_dpsynth.sources.fingerprint.number_values", leaking)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        for table in (ddf, pattern):
            with pytest.raises(DPSynthError, match="inside a library"):
                table_fingerprint(open_source(table))
    assert "4711" not in caplog.text
    assert "word 17" not in caplog.text
