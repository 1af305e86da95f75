"""A table of any size is written in parts: whole or not at all, each once, the same for the same seed."""

from __future__ import annotations

import decimal
import io
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dpsynth import Combinations, HighDimSynthesizer, MetaExtractor, cli
from jupyter_dpsynth.display.console import RowsProgress
from jupyter_dpsynth.engine.sampling import writing
from jupyter_dpsynth.engine.sampling.provenance import is_known_synthetic
from jupyter_dpsynth.engine.sampling.tables import Portion, split_portions
from jupyter_dpsynth.errors import ConfigError, DataError
from tests.support.models import untrained
from tests.support.tables import mixed_table

dd = pytest.importorskip("dask.dataframe")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")


@pytest.fixture(scope="module")
def synthesizer():
    df = mixed_table(600).assign(key=range(600), name=[f"n{i}" for i in range(600)])
    return untrained(df, ids=["key", "name"])


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(writing, "PART_ROWS", 100)


def quiet(done, of):
    pass


@pytest.mark.parametrize("writer", ["pyarrow", "pandas"])
def test_decimal_numbers_and_days_of_parquet_get_their_types_again(writer, tmp_path):
    rows = 600
    days = pd.Series(pd.date_range("2024-01-01", periods=40)).dt.date
    df = pd.DataFrame({"price": [decimal.Decimal(place % 90 * 5).scaleb(-2) for place in range(rows)]})
    df["wide"], df["day"] = df["price"] * 1000, [days[place % 40] for place in range(rows)]
    df["n"] = range(rows)
    df.loc[::9, ["price", "day"]] = None
    fields = {"price": pa.decimal128(8, 2), "wide": pa.decimal256(40, 4), "day": pa.date32(), "n": pa.int64()}
    table = pa.Table.from_pandas(df, pa.schema(fields), preserve_index=False)
    table = table if writer == "pandas" else table.replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "t.parquet")
    synthesizer = untrained(tmp_path / "t.parquet", rows=rows)
    assert synthesizer.df_meta["price"].decimals == 2
    synthesizer.save(tmp_path / "m.dps")
    again = HighDimSynthesizer.load(tmp_path / "m.dps")
    again.synthesize(200, seed=0, to=tmp_path / "made.parquet")
    for ending in ("parquet", "feather"):
        words = ["synthesize", str(tmp_path / "m.dps"), "-n", "50", "-o", str(tmp_path / f"cli.{ending}")]
        assert cli.main(words) == 0
    made = pq.read_table(tmp_path / "made.parquet")
    written = made, pq.read_table(tmp_path / "cli.parquet"), feather.read_table(tmp_path / "cli.feather")
    assert all(dict(zip(each.schema.names, each.schema.types, strict=True)) == fields for each in written)
    assert 0 < made["day"].null_count < 200
    assert {value.as_tuple().exponent for value in made["price"].to_pylist() if value is not None} == {-2}
    by_pandas = pd.read_parquet(tmp_path / "made.parquet")
    assert is_known_synthetic(by_pandas)
    assert MetaExtractor.extract(tmp_path / "made.parquet").names == again.df_meta.names


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_the_parts_are_one_table_with_the_schema_of_the_original(synthesizer, small_parts, tmp_path, suffix):
    told = []
    files = synthesizer.synthesize(
        950, seed=3, to=tmp_path / "new" / f"s-*.{suffix}", progress=lambda *each: told.append(each)
    )
    assert [path.name for path in files] == [f"s-{number:05d}.{suffix}" for number in range(10)]
    read = pd.read_parquet if suffix == "parquet" else pd.read_csv
    parts = [read(path) for path in files]
    assert [len(part) for part in parts] == [95] * 10
    df = pd.concat(parts, ignore_index=True)
    assert df["key"].tolist() == list(range(1, 951))
    assert df["name"].iloc[[0, -1]].tolist() == ["name-001", "name-950"]
    assert list(df.columns) == list(synthesizer.df_meta.names)
    if suffix == "parquet":
        assert df.dtypes.astype(str).to_dict() == {c.name: c.dtype for c in synthesizer.df_meta.columns}
    assert told[-1] == (950, 950)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert sorted(path.name for path in files) == sorted(path.name for path in (tmp_path / "new").iterdir())


def test_a_seed_gives_the_same_files_and_parts_differ_from_each_other(synthesizer, small_parts, tmp_path):
    made = [
        [
            path.read_bytes()
            for path in synthesizer.synthesize(300, seed=5, to=tmp_path / name / "*.csv", progress=quiet)
        ]
        for name in ("a", "b")
    ]
    assert made[0] == made[1]
    assert len(set(made[0])) == 3


def test_a_part_that_failed_is_written_again_with_the_same_rows_and_only_once(
    synthesizer, small_parts, tmp_path, monkeypatch
):
    whole = synthesizer.synthesize(300, seed=5, to=tmp_path / "whole" / "*.csv", progress=quiet)
    failures = []
    replace = Path.replace

    def fails_once(path, target):
        if "00001" in path.name and not failures:
            failures.append(path)
            raise OSError(5, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fails_once)
    again = synthesizer.synthesize(300, seed=5, to=tmp_path / "again" / "*.csv", progress=quiet)
    assert len(failures) == 1
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in whole]
    assert len(list((tmp_path / "again").iterdir())) == 3


def test_a_part_that_cannot_be_written_is_told_and_leaves_nothing_half(
    synthesizer, small_parts, tmp_path, monkeypatch
):
    def full(path, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DataError, match="No space left on device"):
        synthesizer.synthesize(300, to=tmp_path / "*.csv", progress=quiet)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_are_replaced_only_if_told_and_none_of_them_remains(
    synthesizer, small_parts, tmp_path
):
    synthesizer.synthesize(500, to=tmp_path / "*.csv", progress=quiet)
    with pytest.raises(ConfigError, match=r"00000\.csv exists already.*overwrite = True"):
        synthesizer.synthesize(300, to=tmp_path / "*.csv", progress=quiet)
    files = synthesizer.synthesize(300, to=tmp_path / "*.csv", overwrite=True, progress=quiet)
    assert sorted(tmp_path.iterdir()) == files
    (tmp_path / "mine.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match=r"other files that match this pattern \(mine\.csv\)"):
        synthesizer.synthesize(300, to=tmp_path / "*.csv", overwrite=True, progress=quiet)
    assert (tmp_path / "mine.csv").exists()


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("out/table.parquet", r"Put one \* into the file's name"),
        ("out/*-*.parquet", r"Put one \* into the file's name"),
        ("out/*.xlsx", r"ends in \.parquet or \.csv"),
        ("s3://bucket/*.parquet", "on this machine"),
        (7, "is not a path"),
    ],
)
def test_a_pattern_that_cannot_be_written_is_refused_before_a_row_is_made(
    synthesizer, small_parts, to, message
):
    with pytest.raises(ConfigError, match=message):
        synthesizer.synthesize(300, to=to)


def test_a_small_table_goes_into_one_file(synthesizer, tmp_path):
    (path,) = synthesizer.synthesize(50, to=tmp_path / "one.csv", progress=quiet)
    assert len(pd.read_csv(path)) == 50


def test_a_cluster_writes_the_files_that_this_process_would_write(synthesizer, small_parts, tmp_path):
    distributed = pytest.importorskip("distributed")
    here = synthesizer.synthesize(400, seed=9, to=tmp_path / "here" / "*.csv", progress=quiet)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        there = synthesizer.synthesize(400, seed=9, to=tmp_path / "there" / "*.csv", progress=quiet)
    assert [path.read_bytes() for path in here] == [path.read_bytes() for path in there]


def test_progress_is_shown_from_the_first_second_on(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("jupyter_dpsynth.display.console.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    progress = RowsProgress(stream)
    progress(1000, 4000)
    assert stream.getvalue() == ""
    now[0] = 2.0
    progress(2000, 4000)
    assert stream.getvalue() == "2,000 of 4,000 rows written, about 2 s left\n"
    now[0] = 4.0
    progress(4000, 4000)
    assert stream.getvalue().splitlines()[1:] == ["4,000 of 4,000 rows written, 4 s"]


def test_written_parts_follow_the_models_shares(synthesizer, small_parts, tmp_path):
    files = synthesizer.synthesize(3000, seed=1, to=tmp_path / "*.parquet", progress=quiet)
    parts = pd.read_parquet(tmp_path)
    shares = dict(zip(synthesizer.reference.labels[0], synthesizer.reference.shares[0], strict=True))
    found = parts["group"].value_counts(normalize=True)
    assert all(abs(found.get(name, 0.0) - share) < 0.03 for name, share in shares.items() if share)
    assert len(files) == 30
    assert np.isfinite(parts["age"]).all()


def read(files):
    return [pd.read_parquet(path) for path in files]


def test_conditions_hold_in_every_part(synthesizer, small_parts, tmp_path):
    where = {"group": "north", "age": (30, 50)}
    parts = read(synthesizer.synthesize(450, 7, where=where, to=tmp_path / "*.parquet", progress=quiet))
    assert [len(part) for part in parts] == [90] * 5
    df = pd.concat(parts, ignore_index=True)
    assert set(df["group"]) == {"north"}
    assert df["age"].between(30, 50).all()
    assert df["key"].tolist() == list(range(1, 451))
    assert df.drop(columns=["key", "name"]).duplicated().mean() < 0.1


def test_shares_are_exact_over_all_parts_and_nearly_so_in_each(synthesizer, small_parts, tmp_path):
    shares = {"group": {"north": 0.625, "south": 0.3, "west": 0.075}}
    parts = read(
        synthesizer.synthesize(
            1000,
            7,
            balance=shares,
            where={"member": True},
            to=tmp_path / "*.parquet",
            progress=quiet,
        )
    )
    counts = pd.concat(parts)["group"].value_counts()
    assert counts.to_dict() == {"north": 625, "south": 300, "west": 75}
    for part in parts:
        assert part["member"].all()
        for name, share in shares["group"].items():
            assert abs((part["group"] == name).sum() - 100 * share) <= 1
        assert part["key"].is_monotonic_increasing
        assert part["group"].ne(part["group"].shift()).sum() > 10  # not one category after the other
    even = read(
        synthesizer.synthesize(301, 7, balance="group", to=tmp_path / "even" / "*.parquet", progress=quiet)
    )
    assert sorted(pd.concat(even)["group"].value_counts()) == [100, 100, 101]


def test_constraints_hold_in_every_part(synthesizer, small_parts, tmp_path):
    pairs = [("north", True), ("south", False), ("west", False)]
    files = synthesizer.synthesize(
        400,
        7,
        constraints=[Combinations(["group", "member"], pairs)],
        to=tmp_path / "*.parquet",
        progress=quiet,
    )
    df = pd.concat(read(files), ignore_index=True)
    assert set(zip(df["group"], df["member"], strict=True)) == set(pairs)
    assert df["key"].tolist() == list(range(1, 401))


def test_a_seed_and_a_request_give_the_same_files(synthesizer, small_parts, tmp_path):
    asked = {"where": {"age": (30, 50)}, "balance": "group"}
    first, second = (
        synthesizer.synthesize(250, 8, **asked, to=tmp_path / name / "*.csv", progress=quiet) for name in "ab"
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"where": {"group": "norht"}}, "Did you mean 'north'"),
        ({"balance": "age"}, "give shares"),
        ({"constraints": [Combinations(["group", "member"], [("x", "y")])]}, "fewer than 1 in 1,000"),
    ],
)
def test_what_cannot_be_had_is_told_before_a_file_is_replaced(
    synthesizer, small_parts, tmp_path, asked, message
):
    synthesizer.synthesize(300, 1, to=tmp_path / "*.csv", progress=quiet)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=message):
        synthesizer.synthesize(300, 2, **asked, to=tmp_path / "*.csv", overwrite=True, progress=quiet)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@given(
    rows=st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any),
    cuts=st.lists(st.floats(0, 1), max_size=8),
)
def test_parts_of_portions_add_up_exactly_in_both_directions(rows, cuts):
    total = sum(rows)
    ends = sorted({0, *(int(cut * total) for cut in cuts), total})
    sizes = [end - start for start, end in itertools.pairwise(ends)]
    parts = list(split_portions([Portion({}, size) for size in rows], sizes))
    assert [sum(portion.rows for portion in part) for part in parts] == sizes
    assert [sum(column) for column in zip(*([p.rows for p in part] for part in parts), strict=True)] == rows
    assert min(portion.rows for part in parts for portion in part) >= 0
