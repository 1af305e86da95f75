"""Columns that are declared to follow from others: they hold in every synthetic row, and cost nothing."""

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor, UtilityReport
from jupyter_dpsynth.cli.options import add_declarations, declarations_of
from jupyter_dpsynth.engine.planning.doctor import Place, examine
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import ArtifactError, ConfigError, MetadataError
from jupyter_dpsynth.metadata.formulas import Formula, read_formula, written
from jupyter_dpsynth.metadata.tables import Children
from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
from jupyter_dpsynth.sources.opening import open_source
from tests.support.models import untrained

ROWS = 2_000
MANY = 12_000
DERIVED = {"total": "net + `sales tax`", "age": "years(admitted - born)"}


def invoices(seed=0, missing=0.0, rows=ROWS):
    """Amounts with their sum, and dates with the years between them."""
    random = np.random.default_rng(seed)
    born = pd.Timestamp("1930-01-01") + pd.to_timedelta(random.integers(0, 20_000, rows), unit="D")
    admitted = pd.Timestamp("2015-01-01") + pd.to_timedelta(random.integers(0, 1_500, rows), unit="D")
    net, tax = (np.round(random.gamma(2, scale, rows), 2) for scale in (50, 9))
    df = pd.DataFrame({"born": born, "admitted": admitted, "net": net, "sales tax": tax})
    df.loc[random.random(rows) < missing, ["net", "born"]] = np.nan
    df["total"] = (df["net"] + df["sales tax"]).round(2)
    years = df["admitted"].dt.year - df["born"].dt.year
    later = (df["admitted"].dt.month, df["admitted"].dt.day)
    born_on = df["born"].dt.month * 100 + df["born"].dt.day
    df["age"] = years - (later[0] * 100 + later[1] < born_on)
    return df if missing else df.astype({"age": "int64"})


@pytest.fixture(scope="module")
def made():
    return untrained(invoices(), derived=DERIVED)


def holds(df):
    sums = (df["net"] + df["sales tax"] - df["total"]).abs()
    ages = Formula(("admitted",), ("born",), "years").values(df)
    same = df["age"].to_numpy(float, na_value=np.nan) == ages
    return bool((sums.isna() | (sums < 1e-9)).all() and (np.isnan(ages) | same).all())


def test_a_derived_column_holds_in_every_synthetic_row_and_is_not_learned(made, tmp_path):
    df = invoices()
    assert holds(df)
    made.save(tmp_path / "model.dps")
    for synthesizer in (made, HighDimSynthesizer.load(tmp_path / "model.dps")):
        assert synthesizer.codec.names == ("born", "admitted", "net", "sales tax")
        found = synthesizer.synthesize(1_000, seed=0)
        assert holds(found)
        assert list(found.columns) == list(df.columns)
        assert found.dtypes.equals(df.dtypes)
        assert (found["total"] == found["total"].round(2)).all()
        assert found["age"].nunique() > 10


def test_it_costs_nothing():
    df, config = invoices(), HighDimConfig(epsilon=1.0).resolve()
    derived = plan_run(config, MetaExtractor.extract(df, derived=DERIVED), ROWS)
    alone = plan_run(config, MetaExtractor.extract(df.drop(columns=list(DERIVED))), ROWS)
    assert derived.privacy == alone.privacy


def test_it_is_missing_where_a_part_is():
    found = untrained(invoices(missing=0.3), derived=DERIVED).synthesize(1_000, seed=0)
    assert holds(found)
    assert found["net"].isna().any()
    assert (found["total"].isna() == found["net"].isna()).all()
    assert (found["age"].isna() == found["born"].isna()).all()
    # numpy's whole numbers cannot be missing, so they become those of pandas
    whole = invoices(missing=0.3).assign(age=1)
    assert untrained(whole, derived=DERIVED).synthesize(1_000, seed=0)["age"].dtype == "Int64"


def test_rows_can_be_asked_for_by_a_derived_column(made):
    found = made.synthesize(100, where={"age": (30, 40), "total": (50, None)}, seed=0)
    assert len(found) == 100
    assert found["age"].between(30, 40).all()
    assert (found["total"] >= 50).all()
    assert holds(found)
    with pytest.raises(ConfigError, match="holds numbers"):
        made.synthesize(10, where={"age": "old"})
    with pytest.raises(ConfigError, match=r"where names 'agee'.*Did you mean 'age'"):
        made.synthesize(10, where={"agee": 3})


def test_missing_values_follow_from_those_that_are_known(made):
    df = invoices().head(3)
    gaps = df.copy()
    gaps.loc[0, "total"] = np.nan
    gaps.loc[1, "net"] = np.nan
    gaps.loc[2, ["total", "sales tax"]] = np.nan
    filled = made.impute(gaps, seed=0)
    assert filled.loc[0, "total"] == df.loc[0, "total"]
    assert filled.loc[1, "net"] == pytest.approx(df.loc[1, "net"], abs=1e-9)
    assert filled.notna().all(axis=None)
    assert holds(filled)


def test_reports_compare_derived_columns_and_the_receipt_would_tell_them(made):
    report = UtilityReport.against_original(invoices(), made.synthesize(500, seed=0), synthesizer=made)
    assert {"total", "age"} <= {column.name for column in report.columns}


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("net + tax", Formula(("net", "tax"))),
        ("gross-discount +tax", Formula(("gross", "tax"), ("discount",))),
        ("a - (b - c)", Formula(("a", "c"), ("b",))),
        ("`net price` + `tax, in %`", Formula(("net price", "tax, in %"))),
        ("round(a + b, 2)", Formula(("a", "b"), digits=2)),
        ("round(height)", Formula(("height",), digits=0)),
        ("days(out - `in`)", Formula(("out",), ("in",), "days")),
    ],
)
def test_a_formula_is_read_and_written(text, formula):
    assert read_formula(text) == formula
    assert read_formula(written(formula)) == formula


@pytest.mark.parametrize(
    "text",
    [
        *(
            "net",
            "net * 2",
            "net + 2",
            "net +",
            "-net + tax",
            "",
            "years(a + b)",
            "years(a - b - c)",
            "years(a)",
        ),
        *("round(a + b, x)", "round(a, 99)", "round(a, b=2)", "decades(a - b)", "a.b + c", "a[0] + b"),
        *(
            "__import__('os').system('false')",
            "(lambda: a + b)()",
            "a if b else c",
            "a + f'{b}'",
            "a\n+ b\nc",
        ),
        *("(" * 500 + "a", "a" + " + a" * 300, "years(a - b, 2)", "`` + a"),
    ],
)
def test_nothing_but_sums_and_times_is_read(text):
    assert read_formula(text) is None
    with pytest.raises(MetadataError, match=r"derived of column 'total' is .*: write a sum"):
        MetaExtractor.extract(invoices(), derived={"total": text})


@pytest.mark.parametrize(
    ("derived", "more", "message"),
    [
        ({"total": 3}, {}, "derived of column 'total' is 3: write a sum"),
        ({"sum": "net + age"}, {}, "derived names column 'sum', which is not in the table"),
        ({"total": "net + taxx"}, {}, "derived of column 'total' names 'taxx', which is not in the table"),
        ({"total": "net + born"}, {}, "names 'born', which does not hold numbers"),
        ({"age": "years(admitted - net)"}, {}, "names 'net', which does not hold points in time"),
        ({"born": "net + age"}, {}, "derived names column 'born', which does not contain numbers"),
        ({"total": "net + total"}, {}, "derived goes round in a circle among 'total'"),
        ({"total": "net + age", "age": "total - net"}, {}, "goes round in a circle among 'total', 'age'"),
        ({"total": "net + age"}, {"bounds": {"total": (0, 9)}}, "has both bounds and derived"),
        ({"total": "net + age"}, {"at_least": {"total": "net"}}, "has both derived and at_least"),
        ({"total": "net + age"}, {"at_least": {"net": "total"}}, "names 'total', which is derived"),
        ({"total": "net + age"}, {"ids": ["net"]}, "names 'net', which does not hold numbers"),
    ],
)
def test_a_formula_that_does_not_fit_is_refused(derived, more, message):
    with pytest.raises(MetadataError, match=message):
        MetaExtractor.extract(invoices(), derived=derived, **more)


def test_a_part_cannot_be_the_privacy_unit_and_several_tables_have_no_derived_columns():
    meta = MetaExtractor.extract(invoices().assign(person=1), derived={"total": "net + person"})
    with pytest.raises(MetadataError, match="names 'person', which is the privacy unit"):
        meta.with_id("person")
    tables = {"patients": invoices().assign(person=range(ROWS)), "visits": pd.DataFrame({"person": [1]})}
    with pytest.raises(MetadataError, match="derived names column 'total' of 'patients'"):
        MetaExtractor.extract(
            tables, children=[Children("visits", "person")], derived={"patients": {"total": "net + age"}}
        )


def test_one_derived_column_may_follow_from_another():
    df = invoices().assign(twice=lambda each: (each["total"] + each["net"]).round(2))
    made = untrained(df, derived={"twice": "total + net", "total": "net + `sales tax`"})
    found = made.synthesize(300, seed=0)
    assert ((2 * found["net"] + found["sales tax"] - found["twice"]).abs() < 1e-9).all()


def test_every_way_in_declares_the_same(tmp_path):
    df = invoices()
    wanted = MetaExtractor.extract(df, derived=DERIVED)
    (tmp_path / "schema.yaml").write_text(
        "columns:\n  total: {derived: 'net + `sales tax`'}\n  age: {derived: years(admitted - born)}\n"
    )
    assert MetaExtractor.extract(df, schema=tmp_path / "schema.yaml") == wanted
    import argparse

    parser = argparse.ArgumentParser()
    add_declarations(parser)
    given = [f"--derived={name}={text}" for name, text in DERIVED.items()]
    options = parser.parse_args(given)
    assert declarations_of(options, open_source(df))["derived"] == DERIVED
    draft = SchemaDraft(open_source(df), {"derived": DERIVED})
    assert draft.meta() == wanted
    assert draft.arguments()["derived"] == DERIVED
    typed = SchemaDraft(open_source(df))
    typed.set("total", domain="= net + `sales tax`")
    typed.set("age", domain="=years(admitted - born)")
    assert typed.meta() == wanted
    typed.set("age", domain="= years(admitted)")
    assert "write a sum" in typed.columns["age"].error


def test_the_check_up_offers_the_line_for_what_holds_in_all_rows():
    df, config = invoices(), HighDimConfig(epsilon=20.0).resolve()
    (finding,) = [each for each in examine(open_source(df), config) if each.kind == "derived"]
    assert finding.remedy.line == f"derived = {DERIVED!r}"
    assert finding.remedy.written(Place(terminal=True)) == (
        "--derived 'total=net + `sales tax`' --derived 'age=years(admitted - born)'"
    )
    draft = SchemaDraft(open_source(df))
    draft.declare_derived(finding.remedy.value)
    assert draft.arguments()["derived"] == DERIVED
    kinds = {each.kind for each in examine(open_source(df), config, declared={"derived": DERIVED})}
    assert "derived" not in kinds
    broken = df.assign(total=df["total"].where(df.index != 7, 0.5), age=df["age"].where(df.index != 3, 0))
    assert not [each for each in examine(open_source(broken), config) if each.kind == "derived"]


def test_a_saved_model_with_another_formula_is_refused(made, tmp_path):
    values = made.codec.to_dict()
    assert [each["derived"] for each in values["derived"]] == list(DERIVED.values())
    for text in ("net + nothing", "net * 2", "net + total"):
        changed = {**values, "derived": [{**values["derived"][0], "derived": text}, values["derived"][1]]}
        with pytest.raises((ArtifactError, KeyError)):
            type(made.codec).from_dict(changed)


@pytest.fixture(scope="module")
def found():
    return untrained(invoices(rows=MANY))


@pytest.mark.long
def test_what_follows_from_others_is_found_and_holds_in_every_synthetic_row(found, tmp_path):
    assert dict(found.codec.formulas) == DERIVED
    assert found.codec.names == tuple(invoices().columns)  # they are learned, and computed afterwards
    found.save(tmp_path / "model.dps")
    for synthesizer in (found, HighDimSynthesizer.load(tmp_path / "model.dps")):
        made = synthesizer.synthesize(1_000, seed=0)
        assert holds(made)
        assert (made["total"] == made["total"].round(2)).all()
        assert made.dtypes.equals(invoices().dtypes)
        assert holds(synthesizer.synthesize(100, where={"age": (30, 40)}, seed=0))
        assert synthesizer.synthesize(100, where={"age": (30, 40)}, seed=0)["age"].between(30, 40).all()
    gaps = invoices().head(2)
    gaps.loc[0, "net"] = np.nan
    assert found.impute(gaps, seed=0).equals(invoices().head(2))


@pytest.mark.parametrize("broken", [0.04, 0.5])
def test_what_more_than_few_rows_break_is_not_imposed(broken):
    df = invoices(rows=MANY)
    random = np.random.default_rng(0)
    rows = random.random(MANY) < broken
    df.loc[rows, "total"] += random.integers(1, 9, rows.sum())
    df.loc[rows, "age"] += 1
    made = untrained(df)
    assert made.codec.formulas == ()
    assert not holds(made.synthesize(1_000, seed=0))


def test_few_rows_cannot_tell_it_and_nothing_is_claimed():
    made = untrained(invoices().head(300))
    assert made.codec.formulas == ()


def test_missing_values_neither_break_a_formula_nor_follow_from_one():
    df = invoices(rows=MANY, missing=0.2)
    made = untrained(df)
    assert "total" in dict(made.codec.formulas)
    synthetic = made.synthesize(1_000, seed=0)
    assert holds(synthetic.dropna())
    assert synthetic["total"].isna().any()


def test_a_formula_gives_way_to_an_order_that_it_could_break():
    df = invoices(rows=MANY)
    sound = untrained(df, at_least={"total": "net"})
    assert "total" in dict(sound.codec.formulas)  # no tax is negative
    df["sales tax"] -= 30
    df["total"] = (df["net"] + df["sales tax"]).round(2)
    unsound = untrained(df, at_least={"total": "net"})
    assert "total" not in dict(unsound.codec.formulas)
    made = unsound.synthesize(1_000, seed=0)
    assert (made["net"] <= made["total"]).all()


def test_a_saved_formula_that_does_not_fit_is_refused(found):
    values = found.codec.to_dict()
    for name, text in (
        ("born", "net + age"),
        ("total", "net * 2"),
        ("total", "born + net"),
        ("no", "net + age"),
    ):
        with pytest.raises(ArtifactError, match="does not fit"):
            type(found.codec).from_dict({**values, "formulas": [[name, text]]})
