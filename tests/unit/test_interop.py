"""Schemas of SDV, Frictionless and pandera are read as declarations, and what is lost is said."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.errors import MetadataError, SchemaWarning
from jupyter_dpsynth.interop.sdv import sdv_metadata
from jupyter_dpsynth.metadata import CategoricalMeta, ContinuousMeta, IdMeta, MetaExtractor
from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
from jupyter_dpsynth.sources.base import FrameSource


@pytest.fixture
def df():
    return pd.DataFrame(
        {
            "guest_email": ["a@x", "b@x"],
            "room": ["suite", "single"],
            "nights": [1, 2],
            "fee": [1.5, np.nan],
            "stars": [3.0, np.nan],
            "arrival": pd.to_datetime(["2024-01-01", "2024-01-02"]),
            "departure": ["01 Jan 2024", "02 Jan 2024"],
            "rewards": [True, False],
        }
    )


def told(df, schema, **options):
    """The metadata and what the warning says; no warning is an empty text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        meta = MetaExtractor.extract(df, schema=schema, **options)
    assert all(each.category is SchemaWarning for each in caught)
    assert all(each.filename == __file__ for each in caught)
    assert len(caught) <= 1
    text = " ".join(str(each.message) for each in caught)
    assert "\n" not in text
    return meta, text


SDV_TABLE = {
    "primary_key": "guest_email",
    "columns": {
        "guest_email": {"sdtype": "email", "pii": True},
        "room": {"sdtype": "categorical", "order": ["single", "suite"]},
        "nights": {"sdtype": "numerical", "computer_representation": "Int64"},
        "fee": {"sdtype": "numerical"},
        "stars": {"sdtype": "numerical", "computer_representation": "Int8"},
        "arrival": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
        "departure": {"sdtype": "datetime", "datetime_format": "%d %b %Y"},
        "rewards": {"sdtype": "boolean"},
    },
}


@pytest.mark.parametrize("form", ["single", "multi", "several"])
def test_sdv_metadata_declares_keys_and_whole_numbers_in_every_form(df, form, tmp_path):
    other = {"columns": {"x": {"sdtype": "id"}}}
    document = {
        "single": {"METADATA_SPEC_VERSION": "SINGLE_TABLE_V1", **SDV_TABLE},
        "multi": {"METADATA_SPEC_VERSION": "V1", "tables": {"guests": SDV_TABLE}},
        "several": {"METADATA_SPEC_VERSION": "V1", "tables": {"guests": SDV_TABLE, "other": other}},
    }[form]
    file = tmp_path / "metadata.json"
    file.write_text(json.dumps(document))
    meta, note = told(df, file)
    assert isinstance(meta["guest_email"], IdMeta)
    assert meta["room"].categories == ("single", "suite")
    assert (meta["nights"].decimals, meta["stars"].decimals, meta["fee"].decimals) == (0, 0, None)
    assert "realistic values of sdtype 'email'" in note
    assert "'departure'" in note
    assert "pandas.to_datetime" in note
    assert "'arrival'" not in note
    assert told(df, document) == (meta, note)


def test_what_sdv_says_beyond_is_named(df):
    table = {
        "columns": {
            "guest_email": {"sdtype": "id", "regex_format": "[a-z]@x"},
            "nights": {"sdtype": "categorical"},
            "gone": {"sdtype": "numerical"},
            "room": {"sdtype": "city", "pii": False},
        },
        "sequence_key": "guest_email",
        "column_relationships": [{"type": "address", "column_names": ["room"]}],
    }
    meta, note = told(df, table)
    assert isinstance(meta["nights"], ContinuousMeta)
    assert isinstance(meta["room"], CategoricalMeta)
    for part in ("regex_format: 'guest_email'", "'nights'", "'gone'", "privacy_unit = 'guest_email'"):
        assert part in note
    assert "column_relationships" in note


def test_several_sdv_tables_of_which_none_is_this_one_are_refused(df):
    other = {"columns": {"x": {"sdtype": "id"}}}
    with pytest.raises(MetadataError, match="several tables"):
        MetaExtractor.extract(df, schema={"tables": {"a": other, "b": other}})


TABLE_SCHEMA = {
    "fields": [
        {"name": "guest_email", "type": "string", "format": "email"},
        {"name": "room", "type": "string", "constraints": {"enum": ["suite", "single"], "required": True}},
        {"name": "nights", "type": "integer", "constraints": {"exclusiveMinimum": 0, "maximum": 30}},
        {"name": "fee", "type": "number", "constraints": {"minimum": 0, "maximum": "99.5"}},
        {"name": "stars", "type": "integer", "constraints": {"enum": ["1", "2", "3"]}},
        {
            "name": "arrival",
            "type": "date",
            "constraints": {"minimum": "2024-01-01", "maximum": "2024-12-31", "unique": True},
        },
        {"name": "departure", "type": "date", "constraints": {"minimum": "2024-01-01"}},
    ],
    "primaryKey": "guest_email",
    "missingValues": ["", "NA", "-9", "9999-12-31"],
}


@pytest.mark.parametrize("form", ["schema", "resource", "package", "yaml"])
def test_a_table_schema_declares_ranges_categories_and_keys_in_every_form(df, form, tmp_path):
    document = {
        "schema": TABLE_SCHEMA,
        "resource": {"name": "guests", "path": "guests.csv", "schema": TABLE_SCHEMA},
        "package": {"resources": [{"name": "notes", "path": "n.md"}, {"schema": TABLE_SCHEMA}]},
        "yaml": str(tmp_path / "schema.yaml"),
    }[form]
    (tmp_path / "schema.yaml").write_text(json.dumps(TABLE_SCHEMA))  # which is YAML, too
    meta, note = told(df, document)
    assert isinstance(meta["guest_email"], IdMeta)
    assert meta["room"].categories == ("suite", "single")
    assert (meta["nights"].bounds, meta["nights"].decimals) == ((1.0, 30.0), 0)
    assert meta["fee"].bounds == (0.0, 99.5)
    assert meta["stars"].categories == (1, 2, 3)
    low, high = meta["arrival"].bounds
    assert high - low == 365 * 86_400_000_000
    assert meta["nights"].missing == (-9,)
    assert meta["room"].missing == ("", "NA", "-9", "9999-12-31")
    assert meta["arrival"].missing == (253_402_214_400_000_000,)
    for part in ("'departure'", "the constraint 'unique'", "may be missing"):
        assert part in note


def test_a_schema_that_is_carried_over_wholly_warns_of_nothing(df):
    field = {"name": "nights", "type": "integer", "title": "Nights", "constraints": {"enum": [1, 2]}}
    meta, note = told(df, {"fields": [field]})
    assert meta["nights"].categories == (1, 2)
    assert note == ""


def test_categories_that_the_column_cannot_hold_are_left_out_and_named(df):
    fields = [
        {"name": "nights", "type": "string", "constraints": {"enum": ["few", "many"]}},
        {"name": "arrival", "type": "string", "constraints": {"enum": ["2024-01-01"]}},
    ]
    meta, note = told(df, {"fields": fields})
    assert meta == MetaExtractor.extract(df)
    assert "'nights'" in note
    assert "'arrival'" in note


def test_a_range_of_text_is_left_out_and_named(df):
    field = {"name": "room", "constraints": {"minimum": "a", "maximum": "z"}}
    meta, note = told(df, {"fields": [field]})
    assert meta == MetaExtractor.extract(df)
    assert "ranges of columns that contain text or categories: 'room'" in note


def test_what_is_declared_in_code_wins_over_a_foreign_schema(df):
    meta, _ = told(df, TABLE_SCHEMA, bounds={"stars": (1, 5), "nights": (1, 7)})
    assert meta["stars"].bounds == (1.0, 5.0)
    assert meta["nights"].bounds == (1.0, 7.0)


def test_our_own_form_can_be_given_without_a_file(df):
    content = {"columns": {"nights": {"bounds": [1, 30]}, "guest_email": {"id": True}}}
    meta, note = told(df, content)
    assert note == ""
    assert meta == MetaExtractor.extract(df, bounds={"nights": (1, 30)}, ids=["guest_email"])


@pytest.mark.parametrize(
    "schema",
    [
        {"fields": [{"type": "integer"}]},
        {"fields": "all"},
        {"tables": []},
        {"tables": {"a": 1}},
        {"columns": {"nights": {"sdtype": "numerical"}, "fee": 3}},
        {"resources": [1]},
        {},
        [1],
        b"x",
    ],
)
def test_what_is_no_schema_is_refused_in_one_line(df, schema):
    with pytest.raises(MetadataError, match=r"^schema") as raised:
        MetaExtractor.extract(df, schema=schema)
    assert "\n" not in str(raised.value)
    assert raised.value.__context__ is None


def test_pandera_schemas_and_models_declare_ranges_and_categories(df):
    pa = pytest.importorskip("pandera.pandas")
    schema = pa.DataFrameSchema(
        {
            "room": pa.Column(str, pa.Check.isin(["single", "suite"]), nullable=True),
            "nights": pa.Column(int, [pa.Check.gt(0), pa.Check.in_range(-5, 30), pa.Check.lt(30)]),
            "fee": pa.Column(float, pa.Check.ge(0), nullable=True),
            "stars": pa.Column(float, pa.Check.isin([1, 2, 3])),
            "arrival": pa.Column(
                "datetime64[ns]",
                pa.Check.in_range(pd.Timestamp("2024-01-01"), pd.Timestamp("2024-12-31")),
                nullable=True,
            ),
            "guest_email": pa.Column(str, pa.Check.str_matches("@"), unique=True, nullable=True),
        },
        checks=pa.Check(lambda frame: frame["nights"] > 0),
    )
    meta, note = told(df, schema)
    assert meta["room"].categories == ("single", "suite")
    assert (meta["nights"].bounds, meta["nights"].decimals) == ((1.0, 29.0), 0)
    assert meta["stars"].categories == (1, 2, 3)
    assert meta["arrival"].bounds is not None
    for part in ("bounds need both): 'fee'", "'str_matches'", "unique", "nullable = False", "whole rows"):
        assert part in note
    assert "'nights'" not in note

    class Guests(pa.DataFrameModel):
        nights: int = pa.Field(ge=1, le=30)

    assert told(df, Guests) == (MetaExtractor.extract(df, bounds={"nights": (1, 30)}), "")


def test_pandera_categories_of_a_categorical_type_are_carried_over(df):
    pa = pytest.importorskip("pandera.pandas")
    df = df.astype({"room": "category"})
    column = pa.Column(pa.Category(["single", "suite"]), nullable=True)
    meta, note = told(df, pa.DataFrameSchema({"room": column}))
    assert meta["room"].categories == ("single", "suite")
    assert note == ""


def test_frictionless_objects_are_read_like_their_documents(df):
    frictionless = pytest.importorskip("frictionless")
    schema = {"$schema": "https://datapackage.org/profiles/2.0/tableschema.json", **TABLE_SCHEMA}
    assert told(df, frictionless.Schema.from_descriptor(schema)) == told(df, TABLE_SCHEMA)


def test_sdv_objects_are_read_like_their_documents(df):
    sdv = pytest.importorskip("sdv.metadata")
    document = {"METADATA_SPEC_VERSION": "V1", "tables": {"guests": SDV_TABLE}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # SDV 2 brings its older documents into a new form
        metadata = sdv.Metadata.load_from_dict(document)
    meta, note = told(df, metadata)
    assert (meta, note) == told(df, metadata.to_dict())
    assert [column.name for column in meta.columns if isinstance(column, IdMeta)] == ["guest_email"]
    assert isinstance(meta["room"], CategoricalMeta)
    assert "'departure'" in note


def test_what_sdv_has_detected_in_the_rows_is_not_taken_for_public(df):
    sdv = pytest.importorskip("sdv.metadata")
    if not hasattr(sdv.Metadata, "detect_from_dataframes"):
        pytest.skip("an SDV without this detection")
    metadata = sdv.Metadata.detect_from_dataframes({"guests": pd.concat([df] * 20, ignore_index=True)})
    meta, _ = told(df, metadata)
    assert all(getattr(column, "bounds", None) is None for column in meta.columns)
    assert {c.name: c.categories for c in meta.columns if getattr(c, "categories", None)} == {
        "rewards": (False, True)
    }


def test_ranges_and_categories_in_the_metadata_of_sdv_2_stay_to_be_learned_and_are_named(df):
    columns = {
        "guest_email": {"sdtype": "id"},
        "room": {"sdtype": "ordinal", "range_values": ["single", "suite"], "range_is_nullable": False},
        "nights": {"sdtype": "numerical", "range_min": 1, "range_max": 2, "decimal_places": 0},
        "fee": {"sdtype": "numerical", "range_is_nullable": True},
        "arrival": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d", "range_min": "2024-01-01"},
        "departure": {"sdtype": "categorical", "high_cardinality": True},
    }
    tables = {"guests": {"columns": columns, "primary_key": "guest_email"}}
    meta, note = told(df, {"METADATA_SPEC_VERSION": "V2", "tables": tables, "relationships": []})
    assert meta == MetaExtractor.extract(df, ids=["guest_email"])
    assert "declare bounds and categories that are public): 'room', 'nights', 'arrival'" in note
    assert "range_is_nullable = False (whether values are missing is measured): 'room'" in note
    assert "'departure'" not in note


def test_the_panel_starts_with_what_a_foreign_schema_declares(df):
    df = df.drop(columns="stars")
    with pytest.warns(SchemaWarning, match="have no counterpart here"):
        draft = SchemaDraft(FrameSource(df), {"schema": TABLE_SCHEMA})
    meta, _ = told(df, TABLE_SCHEMA)
    assert draft.meta() == meta


def test_our_metadata_as_sdv_s_says_the_same_when_it_is_read_back(df):
    meta = MetaExtractor.extract(df, ids=["guest_email"])
    document = sdv_metadata(meta)
    sdtypes = {name: column["sdtype"] for name, column in document["columns"].items()}
    assert sdtypes == {
        "guest_email": "id",
        "room": "categorical",
        "nights": "numerical",
        "fee": "numerical",
        "stars": "numerical",
        "arrival": "datetime",
        "departure": "categorical",
        "rewards": "boolean",
    }
    assert told(df, document) == (meta, "")


LIMITED = {"exclusiveMinimum": 0, "maximum": 30}
CONTRACT = {
    "kind": "DataContract",
    "apiVersion": "v3.1.0",
    "schema": [
        {
            "name": "stays",
            "properties": [
                {"name": "guest_email", "logicalType": "string", "primaryKey": True},
                {
                    "name": "room",
                    "logicalType": "string",
                    "quality": [
                        {
                            "metric": "invalidValues",
                            "arguments": {"validValues": ["suite", "single"]},
                            "mustBe": 0,
                        },
                        {"metric": "nullValues", "mustBe": 0},
                    ],
                },
                {
                    "name": "N",
                    "physicalName": "nights",
                    "logicalType": "integer",
                    "logicalTypeOptions": LIMITED,
                },
                {
                    "name": "fee",
                    "logicalType": "number",
                    "logicalTypeOptions": {"minimum": 0, "maximum": 9.5},
                },
                {"name": "stars", "logicalType": "integer", "enum": [{"value": 3, "label": "good"}, 4]},
                {"name": "arrival", "logicalType": "date", "required": True},
                {"name": "rewards", "logicalType": "boolean", "unique": True},
            ],
        }
    ],
}


def test_a_data_contract_declares_keys_values_and_limits(df):
    meta, text = told(df, CONTRACT)
    assert meta["guest_email"].kind == "id"
    assert meta["room"].categories == ("suite", "single")
    assert meta["nights"].bounds == (1.0, 30.0)
    assert meta["fee"].bounds == (0.0, 9.5)
    assert meta["stars"].categories == (3.0, 4.0)
    for part in ("quality rules that are no list", "unique = true", "whether values may be missing"):
        assert part in text
    old = {"quality": [{"rule": "validValues", "validValues": ["a", "b"], "mustBe": 0}], "name": "room"}
    table = {**CONTRACT, "schema": [{"name": "t", "properties": [old]}]}
    assert told(df[["room"]], table)[0]["room"].categories == ("a", "b")
    twice = {**CONTRACT, "schema": CONTRACT["schema"] * 2}
    with pytest.raises(MetadataError, match="data contract in which 0 objects"):
        MetaExtractor.extract(df, schema=twice)


def test_an_excluded_limit_of_contract_version_3_0_is_a_truth_value(df):
    limits = {"minimum": 0, "exclusiveMinimum": True, "maximum": 30}
    table = [
        {
            "name": "t",
            "properties": [{"name": "nights", "logicalType": "integer", "logicalTypeOptions": limits}],
        }
    ]
    assert told(df[["nights"]], {**CONTRACT, "schema": table})[0]["nights"].bounds == (1.0, 30.0)


def test_csvw_declares_keys_values_and_limits(df):
    columns = [
        {"name": "email", "titles": "guest_email"},
        {"name": "room", "datatype": {"base": "string", "format": "^(suite|single\\.bed)$"}, "null": "?"},
        {
            "name": "nights",
            "datatype": {"base": "integer", "minExclusive": 0, "maximum": 30},
            "null": ["", "NA", "-9"],
        },
        {"name": "fee", "datatype": {"base": "decimal", "minimum": 0, "maximum": "9.5"}},
        {"name": "stars", "datatype": "integer", "required": True},
        {"name": "arrival", "datatype": {"base": "date", "minimum": "2024-01-01", "maximum": "2024-12-31"}},
        {"name": "departure", "datatype": {"base": "string", "format": "[a-z]+"}, "aboutUrl": "x"},
    ]
    content = {
        "@context": "http://www.w3.org/ns/csvw",
        "tableSchema": {"columns": columns, "primaryKey": "email"},
    }
    meta, text = told(df, content)
    assert meta["guest_email"].kind == "id"
    assert meta["room"].categories == ("suite", "single.bed")
    assert meta["nights"].bounds == (1.0, 30.0)
    assert meta["fee"].bounds == (0.0, 9.5)
    assert meta["stars"].decimals == 0
    assert meta["arrival"].bounds is not None
    for part in ("format that is no list", "aboutUrl", "whether values may be missing"):
        assert part in text
    assert (meta["room"].missing, meta["nights"].missing) == (("?",), (-9,))
    group = {"@context": ["http://www.w3.org/ns/csvw", {}], "tables": [content, content]}
    with pytest.raises(MetadataError, match="CSVW metadata in which 0 tables"):
        MetaExtractor.extract(df, schema=group)


def test_labels_count_where_the_column_holds_them():
    labelled = [{"value": 1, "label": "male"}, {"value": 2, "label": "female"}]
    schema = {"fields": [{"name": "sex", "type": "integer", "categories": labelled}]}
    codes, words = pd.DataFrame({"sex": [1, 2]}), pd.DataFrame({"sex": ["male", "female"]})
    assert told(codes, schema)[0]["sex"].categories == (1, 2)
    assert told(words, schema)[0]["sex"].categories == ("male", "female")
    unknown = [{"value": ""}, {"value": "9", "label": "unknown"}, {"value": "8"}]
    schema["fields"][0]["missingValues"] = unknown
    assert told(codes, schema)[0]["sex"].missing == (9, 8)
    assert told(words, schema)[0]["sex"].missing == ("unknown",)
    schema["fields"][0]["missingValues"] = unknown[2:]  # which no text is
    assert told(words, schema)[0]["sex"].missing == ()


PANDERA_FILE = {  # as pandera 0.35 writes it
    "schema_type": "dataframe",
    "api": "pandas",
    "columns": {
        "room": {"dtype": "str", "nullable": True, "isin": ["single", "suite"]},
        "nights": {
            "dtype": "int64",
            "greater_than": 0,
            "in_range": {"min_value": -5, "max_value": 30, "include_min": True, "include_max": False},
        },
        "fee": {"dtype": "float64", "nullable": True, "greater_than_or_equal_to": 0},
        "arrival": {
            "dtype": "datetime64[ns]",
            "nullable": True,
            "in_range": {"min_value": "2024-01-01 00:00:00", "max_value": "2024-12-31 00:00:00"},
        },
        "stay": {
            "dtype": "timedelta64[ns]",
            "nullable": True,
            "in_range": {"min_value": 0, "max_value": 86_400 * 10**9},
        },
        "guest_.*": {"dtype": "str", "required": False, "regex": True},
    },
    "coerce": True,
}
LISTED = {  # the same checks as earlier versions have them
    "room": {"value": ["single", "suite"], "options": {"check_name": "isin"}},
    "fee": {"min_value": 0, "options": {"check_name": "greater_than_or_equal_to", "ignore_na": True}},
}


def test_a_file_of_pandera_is_read_like_its_schema(df, tmp_path):
    df = df.assign(stay=pd.to_timedelta([1, 2], unit="h"))
    for name in ("schema.yaml", "schema.json"):
        (tmp_path / name).write_text(json.dumps(PANDERA_FILE))  # JSON is YAML, too
        meta, note = told(df, tmp_path / name)
        assert meta["room"].categories == ("single", "suite")
        assert (meta["nights"].bounds, meta["nights"].decimals) == ((1.0, 29.0), 0)
        assert meta["arrival"].bounds == (1_704_067_200_000_000, 1_735_603_200_000_000)
        assert meta["stay"].bounds == (0, 86_400_000_000)
        for part in ("bounds need both): 'fee'", "by a pattern (declare them by name): 'guest_.*'"):
            assert part in note
    columns = {
        name: {"dtype": PANDERA_FILE["columns"][name]["dtype"], "checks": [check]}
        for name, check in LISTED.items()
    }
    listed = told(df, {**PANDERA_FILE, "columns": columns})
    flat = {name: {**PANDERA_FILE["columns"][name], "nullable": False} for name in LISTED}
    assert listed == told(df, {**PANDERA_FILE, "columns": flat})
    assert listed[0]["room"].categories == ("single", "suite")


def test_what_pandera_writes_of_a_schema_says_the_same_as_the_schema(df, tmp_path):
    pa = pytest.importorskip("pandera.pandas")
    pytest.importorskip("frictionless")  # which pandera's files need
    columns = {
        "room": pa.Column(str, pa.Check.isin(["single", "suite"]), nullable=True),
        "nights": pa.Column("int64", [pa.Check.gt(0), pa.Check.le(30, ignore_na=False)]),
        "arrival": pa.Column(
            "datetime64[ns]", pa.Check.in_range(pd.Timestamp("2024-01-01"), pd.Timestamp("2024-12-31"))
        ),
    }
    schema = pa.DataFrameSchema(columns, unique=["room", "nights"])
    schema.to_yaml(tmp_path / "schema.yaml")
    assert told(df, tmp_path / "schema.yaml") == told(df, schema)


@pytest.mark.parametrize("limits", [{"minimum": 1, "maximum": 99}, {"enum": [1, 2]}])
def test_a_key_with_a_range_is_an_identifier(df, limits):
    schema = {
        "fields": [{"name": "nights", "type": "integer", "constraints": limits}],
        "primaryKey": "nights",
    }
    meta, note = told(df, schema)
    assert isinstance(meta["nights"], IdMeta)
    assert "ranges and values of identifiers (they get new numbers): 'nights'" in note
