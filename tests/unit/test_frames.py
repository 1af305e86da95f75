"""Tables of other libraries are learned as they are, and synthetic ones are of the same kind and types."""

import datetime as dt
import gc
import zoneinfo

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.errors import ConfigError, DataError, DPSynthError, MetadataError, MissingDependencyError
from jupyter_dpsynth.estimator import SklearnSynthesizer
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.persistence import load, save
from jupyter_dpsynth.sources.fingerprint import table_fingerprint
from jupyter_dpsynth.sources.forms import TableForm, given_as
from jupyter_dpsynth.sources.opening import in_memory, open_source
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained

pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")
duckdb = pytest.importorskip("duckdb")

ROWS = 300
LEVELS = ["north", "south", "never"]
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def polars_table():
    place = np.arange(ROWS)
    return pl.DataFrame(
        {
            "level": pl.Series(np.array(LEVELS)[place % 2], dtype=pl.Enum(LEVELS)),
            "word": pl.Series(np.array(["a", "b"])[place % 2], dtype=pl.Categorical),
            "text": [["red", "blue", None][i % 3] for i in place],
            "whole": [int(i) % 9 if i % 7 else None for i in place],
            "small": pl.Series(place % 5, dtype=pl.UInt8),
            "real": place / 4,
            "truth": [bool(i % 2) if i % 9 else None for i in place],
            "zoned": [dt.datetime(2024, 3, 1 + i % 28, tzinfo=BERLIN) for i in place.tolist()],
            "day": [dt.date(2024, 1, 1 + i % 28) for i in place.tolist()],
            "money": pl.Series(place % 50).cast(pl.Decimal(10, 2)),
            "nothing": pl.Series([None] * ROWS, dtype=pl.Null),
        }
    )


def stay(frame):
    return frame


KINDS = {
    "polars": (stay, lambda t: t.schema),
    "polars-lazy": (lambda t: t.lazy(), lambda t: t.collect_schema()),
    "pyarrow": (lambda t: pa.table(t.drop("level")), lambda t: t.schema.remove_metadata()),
    "arrow-stream": (lambda t: pa.table(t.drop("level")).to_reader(), lambda t: t.schema.remove_metadata()),
    "duckdb": (
        lambda t: duckdb.from_arrow(pa.table(t.drop("nothing"))).project(
            "*, level::ENUM('north', 'south', 'never') AS mood, whole::HUGEINT AS huge"
        ),
        lambda t: (t.columns, t.types),
    ),
    "dask": (
        lambda t: pytest.importorskip("dask.dataframe").from_pandas(in_memory(t, "t")),
        lambda t: t.dtypes.astype(str),
    ),
}


@pytest.fixture(scope="module")
def polars_frame():
    return polars_table()


@pytest.mark.parametrize("kind", KINDS)
def test_a_synthetic_table_is_of_the_kind_and_types_that_were_learned(kind, polars_frame, tmp_path):
    make, types = KINDS[kind]
    synthesizer = untrained(make(polars_frame), rows=ROWS)
    made = synthesizer.synthesize(40, seed=0)
    original = make(polars_frame)
    assert type(made) is type(original)
    same = types(made) == types(original)
    assert same.all() if kind == "dask" else same
    save(synthesizer.config, synthesizer.learned, tmp_path / "model.dps")
    again = HighDimSynthesizer.restore(*load(tmp_path / "model.dps"))
    assert type(again.synthesize(5, seed=0)) is type(original)
    assert isinstance(synthesizer.synthesize(5, frame="pandas"), pd.DataFrame)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_the_same_one_whatever_library_holds_it(kind, polars_frame):
    make, _ = KINDS[kind]
    names = ["word", "text", "whole", "small", "real", "truth", "zoned", "day", "money"]
    wanted = table_fingerprint(open_source(in_memory(polars_frame.select(names), "t")))
    with open_source(make(polars_frame)) as source:
        others = [name for name in source.described.columns if name not in names]
        assert table_fingerprint(source.without(others)) == wanted


def test_levels_of_an_enumeration_are_public_and_those_of_a_dictionary_are_not(polars_frame):
    df_meta = MetaExtractor.extract(polars_frame)
    assert df_meta["level"].categories == tuple(LEVELS)
    assert df_meta["word"].categories is None
    made = untrained(polars_frame, rows=ROWS).synthesize(40, seed=0)
    assert made["level"].dtype == pl.Enum(LEVELS)
    relation = KINDS["duckdb"][0](polars_frame)
    assert MetaExtractor.extract(relation)["mood"].categories == tuple(LEVELS)
    given = MetaExtractor.extract(polars_frame, categories={"level": ["north", "south"]}, ids=["text"])
    assert given["level"].categories == ("north", "south")
    assert given["text"].kind == "id"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dask"])  # see test_sources
def test_extracting_reads_no_row(kind, polars_frame, monkeypatch):
    table = KINDS[kind][0](polars_frame)
    from jupyter_dpsynth.sources import arrowtable

    monkeypatch.setattr(arrowtable._Rows, "parts", lambda _: pytest.fail("rows were read"))
    MetaExtractor.extract(table)


def test_a_sample_for_the_owner_is_made_of_some_parts(polars_frame, monkeypatch):
    from jupyter_dpsynth.sources import arrowtable, sample

    monkeypatch.setattr(arrowtable, "rows_at_once", lambda _: 50)
    monkeypatch.setattr(sample, "MOST_ROWS", 100)
    monkeypatch.setattr(sample, "MOST_PARTS", 2)
    with open_source(polars_frame) as source:
        assert source.lengths == [50] * 6
        rows = sample.rows_for_owner(source)
    assert rows["real"].tolist() == [*(np.arange(50) / 4), *(np.arange(250, 300) / 4)]


def test_a_stream_is_read_once_and_refused_before_anything_is_spent_when_it_is_empty(polars_frame):
    stream = KINDS["arrow-stream"][0](polars_frame)
    MetaExtractor.extract(stream)
    with open_source(stream) as source:
        assert source.rows == ROWS
        assert source.without(["text"]).rows == ROWS  # what was copied is shared
        assert sum(source.map(len, ["real"])) == ROWS
    with pytest.raises(DataError, match="has been read already"):
        MetaExtractor.extract(stream)
    del stream, source
    gc.collect()


@pytest.mark.parametrize(
    ("table", "column", "kind"),
    [
        (lambda: pl.DataFrame({"a": pl.Series([1], dtype=pl.Int128), "b": [1]}), "a", "Int128"),
        (lambda: pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object), "b": [1]}), "a", "binary"),
        (lambda: pl.DataFrame({"a": [[1]], "b": [1]}), "a", "list"),
        (lambda: pl.DataFrame({"a": [b"x"], "b": [1]}), "a", "binary"),
        (lambda: pl.DataFrame({"a": [dt.time(1)], "b": [1]}), "a", "time"),
        (lambda: duckdb.sql("SELECT uuid() AS a, 1 AS b"), "a", "UUID"),
        (lambda: duckdb.sql("SELECT INTERVAL 1 DAY AS a, 1 AS b"), "a", "interval"),
        (lambda: pa.table({"a": [{"x": 1}], "b": [1]}), "a", "struct"),
    ],
)
def test_what_cannot_be_learned_is_refused_by_its_type_and_the_rest_is_learned(table, column, kind):
    frame = table()
    with pytest.raises(MetadataError, match=f"column '{column}'.*{kind}"):
        MetaExtractor.extract(frame)
    with open_source(frame) as source, source.without([column]) as rest:
        assert MetaExtractor.extract(rest).names == ("b",)
        assert table_fingerprint(rest)


def latin(kind):
    raw = pa.array([b"good", b"caf\xe9", None])
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    if kind == "dictionary":
        return pa.DictionaryArray.from_arrays(pa.array([0, 1, 1]), text)
    return text if kind == "text" else text.view(pa.binary()).cast(pa.binary_view()).view(pa.string_view())


@pytest.mark.parametrize("kind", ["text", "dictionary", "view"])
def test_what_is_no_text_is_missing_and_costs_the_other_rows_nothing(kind):
    with open_source(pa.table({"a": latin(kind)})) as source:
        (values,) = source.map(lambda frame: frame["a"].astype(object).tolist(), ["a"])
    assert values[0] == "good"
    assert pd.isna(values[1])
    assert pd.isna(values[2])


def test_dictionaries_that_differ_between_parts_or_repeat_a_value_are_read():
    first = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["x", "x"]))
    second = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["y", "x"]))
    table = pa.table({"a": pa.chunked_array([first, second])})
    assert in_memory(table, "t")["a"].tolist()[:2] == ["x", "x"]
    assert in_memory(table, "t")["a"].astype(object).tolist()[3:] == ["y", "x"]


def test_the_order_of_a_dictionary_is_kept_and_refused_where_it_is_not_known():
    df = pd.DataFrame({"a": pd.Categorical(["lo", "hi"] * 20, ["lo", "hi"], ordered=True)})
    table = pa.Table.from_pandas(df)
    assert MetaExtractor.extract(table)["a"].ordered
    made = untrained(table, rows=40, categories={"a": ["lo", "hi"]}).synthesize(9)
    assert made.schema.field("a").type == table.schema.field("a").type
    assert made.column("a").chunk(0).dictionary.to_pylist() == ["lo", "hi"]
    with pytest.raises(DataError, match="read_all"):
        MetaExtractor.extract(table.to_reader())


def test_an_index_that_pandas_stored_is_no_column():
    df = pd.DataFrame({"a": [1, 2]}, index=["p", "q"])
    assert MetaExtractor.extract(pa.Table.from_pandas(df)).names == ("a",)


def test_other_objects_with_the_capsule_interface_are_tables_and_columns_are_not(polars_frame):
    class Other:
        def __arrow_c_stream__(self, requested_schema=None):
            return polars_frame.drop("level").__arrow_c_stream__(requested_schema)

    assert isinstance(untrained(Other(), rows=ROWS).synthesize(5), pa.Table)
    for column in (pd.Series([1]), pl.Series([1]), pa.chunked_array([[1]])):
        with pytest.raises(DataError, match="pass a table of pandas, polars"):
            open_source(column)


def test_a_table_that_also_tells_its_types_can_be_read_again_and_is_a_table(polars_frame):
    class Computed:  # as a DataFrame of daft or pyspark
        columns = ("nothing",)

        def __arrow_c_schema__(self):
            return pa.table(polars_frame.drop("level")).schema.__arrow_c_schema__()

        def __arrow_c_stream__(self, requested_schema=None):
            return polars_frame.drop("level").__arrow_c_stream__(requested_schema)

    table = Computed()
    for _ in range(2):
        with open_source(table) as source:
            assert source.rows == ROWS
    assert isinstance(untrained(table, rows=ROWS).synthesize(5), pa.Table)


def test_an_error_while_a_library_computes_quotes_no_value():
    lazy = pl.LazyFrame({"a": ["1", "PLANTEDNAME"]}).select(pl.col("a").cast(pl.Int64))
    with pytest.raises(DPSynthError) as caught, open_source(lazy) as source:
        assert source.rows
    assert "PLANTEDNAME" not in str(caught.value)
    assert caught.value.__context__ is None


def test_synthetic_tables_of_other_libraries_are_compared_imputed_and_recognised(polars_frame):
    synthesizer = untrained(polars_frame, rows=ROWS)
    made = synthesizer.synthesize(200, seed=0)
    assert UtilityReport.against_measurements(synthesizer, made).metrics
    with pytest.raises(DataError, match="not known to be synthetic"):
        UtilityReport.against_measurements(synthesizer, polars_frame)
    assert UtilityReport.against_original(polars_frame, made).metrics
    filled = synthesizer.impute(made, seed=0)
    assert filled.schema == made.schema
    assert filled.drop("nothing").null_count().sum_horizontal().item() == 0
    assert isinstance(synthesizer.impute(made.lazy(), seed=0), pl.LazyFrame)


def test_a_frame_that_is_unknown_or_whose_library_is_missing_is_named(monkeypatch):
    df = pd.DataFrame({"a": [1]})
    with pytest.raises(ConfigError, match="'polars'"):
        given_as(df, TableForm(), "spark")
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(MissingDependencyError, match="frame='pandas'"):
        given_as(df, TableForm("polars"))


def test_a_type_in_a_saved_model_is_no_way_to_run_sql():
    df = pd.DataFrame({"a": ["x"], 'b"': pd.Categorical(["it's"])})
    odd = TableForm("duckdb", {"a": "INT) FROM read_csv('/etc/passwd') --", 'b"': "ENUM"})
    assert given_as(df, odd).fetchall() == [("x", "it's")]


@pytest.mark.tensorflow
def test_the_estimator_and_learn_take_and_give_polars(polars_frame):
    estimator = SklearnSynthesizer(epsilon=100.0, epochs=1).fit(polars_frame)
    made = estimator.sample(20)
    assert made.schema == polars_frame.schema


def test_a_column_of_duckdb_without_a_type_comes_back_without_one():
    relation = duckdb.sql("select null as c, i % 3 as n from range(60) t(i)")
    made = untrained(relation, rows=60).synthesize(20, seed=0)
    assert list(map(str, made.types)) == list(map(str, relation.types))
    with pytest.raises(DataError, match="'n' appears more than once"):
        MetaExtractor.extract(duckdb.sql("select 1 as n, 2 as n"))
