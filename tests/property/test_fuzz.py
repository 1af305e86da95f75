"""Whatever is put in, a result or a `DPSynthError` comes out: nothing raw, nothing that hangs.

Over a thousand inputs in all: frames, configs and declarations, magic lines and cell bodies in a real shell,
saved synthesizers and receipts. Most stop short of training; some frames are learned to the end.
"""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import io
import json
import random
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import DPSynthError
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.files.archive import ARRAYS, SCHEMA
from jupyter_dpsynth.files.jsonschema import read_json
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.notebook.magic.descriptions import COMMANDS
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.verification import verify_receipt
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.notebooks import Shell
from tests.support.tables import EVERY_ROW, mixed_table

SECONDS = 60_000  # of one example, in milliseconds: what takes longer counts as a hang
TOO_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def many(examples):
    """So many examples, each of which must end soon, the same ones in every run."""
    return settings(
        max_examples=examples,
        deadline=SECONDS,
        derandomize=True,
        suppress_health_check=TOO_SLOW,
        database=None,
    )


def result_or_refusal(action):
    """What an action gives, or None if it was refused in one line."""
    try:
        return action()
    except DPSynthError as error:
        refusal = error
    assert "\n" not in str(refusal)
    assert len(str(refusal)) < 2_000
    return None


# --- frames ------------------------------------------------------------------------------------------

ODD_OBJECTS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.binary(max_size=6),
    st.decimals(),
    st.dates(),
    st.datetimes(),
    st.timedeltas(),
    st.complex_numbers(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from(
        [
            pd.NA,
            pd.NaT,
            np.nan,
            np.float32(1.5),
            np.int8(3),
            np.str_("n"),
            np.datetime64("2020-01-01"),
            np.datetime64("NaT"),
            np.timedelta64(5, "s"),
            pd.Timestamp("2020-01-01", tz="Europe/Vienna"),
            pd.Timestamp.max,
            pd.Timedelta.min,
            pd.Period("2020-01", "M"),
            pd.Interval(0, 1),
            decimal.Decimal("sNaN"),
            10**400,
            dt.date(1, 1, 1),
            dt.date(9999, 12, 31),
            frozenset({1}),
            object,
            Ellipsis,
            range(3),
            "\ud800",
            "\x00",
        ]
    ),
)
CELLS = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "int8": st.integers(-128, 127),
    "Int64": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "float16": st.floats(width=16),
    "Float64": st.one_of(st.none(), st.floats(allow_nan=False)),
    "bool": st.booleans(),
    "boolean": st.one_of(st.none(), st.booleans()),
    "str": st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    "string": st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    "object": ODD_OBJECTS,
    "category": st.one_of(st.none(), st.sampled_from(["a", "b", 1, 1.5, True, (1, 2), dt.date(2020, 1, 1)])),
    "complex128": st.complex_numbers(),
    "datetime64[ns]": st.datetimes(dt.datetime(1678, 1, 1), dt.datetime(2262, 1, 1)),
    "datetime64[us]": st.one_of(st.none(), st.datetimes()),
    "datetime64[s]": st.datetimes(),
    "datetime64[ns, Europe/Vienna]": st.datetimes(dt.datetime(1678, 1, 2), dt.datetime(2261, 1, 1)),
    "datetime64[us, Pacific/Apia]": st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1)),
    "timedelta64[ns]": st.timedeltas(dt.timedelta(days=-100_000), dt.timedelta(days=100_000)),
    "timedelta64[s]": st.timedeltas(),
    "period[M]": st.dates(),
    "Sparse[float64]": st.floats(),
    "Sparse[int64]": st.integers(-5, 5),
    "int64[pyarrow]": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    "double[pyarrow]": st.one_of(st.none(), st.floats(allow_nan=False)),
    "string[pyarrow]": st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    "bool[pyarrow]": st.one_of(st.none(), st.booleans()),
    "timestamp[us][pyarrow]": st.one_of(st.none(), st.datetimes()),
    "date32[day][pyarrow]": st.one_of(st.none(), st.dates()),
    "time64[us][pyarrow]": st.one_of(st.none(), st.times()),
    "decimal128(10, 2)[pyarrow]": st.one_of(st.none(), st.decimals(-999, 999, places=2)),
    "duration[us][pyarrow]": st.one_of(st.none(), st.timedeltas()),
    "binary[pyarrow]": st.one_of(st.none(), st.binary(max_size=5)),
    "list<item: int64>[pyarrow]": st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=3)),
}


@st.composite
def columns(draw, rows):
    dtype = draw(st.sampled_from(sorted(CELLS)))
    few = draw(st.lists(CELLS[dtype], min_size=1, max_size=5))
    if draw(st.booleans()) and any(value is None for value in few):
        few = [None]
    values = [few[i] for i in draw(st.lists(st.integers(0, len(few) - 1), min_size=rows, max_size=rows))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if dtype.startswith("period"):
                return pd.Series(pd.PeriodIndex(pd.to_datetime(values, errors="coerce"), freq="M"))
            return pd.Series(values, dtype=dtype)
    except Exception:  # pandas does not make such a column
        return pd.Series(values, dtype=object)


NAMES = st.one_of(
    st.sampled_from(["a", "b", "c", "d"]),
    st.text(max_size=4),
    st.integers(),
    st.none(),
    st.tuples(st.text(max_size=2), st.integers()),
    st.floats(),
)


@st.composite
def frames(draw):
    """A small table, odd in every respect that pandas allows."""
    rows = draw(st.sampled_from([0, 1, 2, 7, 30]))
    made = [draw(columns(rows)) for _ in range(draw(st.integers(0, 3)))]
    df = pd.concat(made, axis=1) if made else pd.DataFrame(index=range(rows))
    kind = draw(st.sampled_from(["plain", "plain", "plain", "any", "multi", "same"]))
    if kind == "plain":
        df.columns = [f"c{i}" for i in range(df.shape[1])]
    elif kind == "any":
        df.columns = pd.Index(draw(st.lists(NAMES, min_size=df.shape[1], max_size=df.shape[1])), dtype=object)
    elif kind == "multi" and df.shape[1]:
        df.columns = pd.MultiIndex.from_tuples([("x", i) for i in range(df.shape[1])])
    elif kind == "same":
        df.columns = ["same"] * df.shape[1]
    index = draw(st.sampled_from(["range", "same", "dates", "multi"]))
    if index == "same":
        df.index = [7] * rows
    elif index == "dates":
        df.index = pd.date_range("2020-01-01", periods=rows)
    elif index == "multi" and rows:
        df.index = pd.MultiIndex.from_product([["x"], range(rows)])
    return df


def repeated(df):
    """Every row 20 times; pandas' own concat fails on some categories."""
    return df.take(np.tile(np.arange(len(df)), 20))


@pytest.mark.long
@many(500)
@given(frames())
def test_any_frame_gets_a_schema_and_codes_or_is_refused(df):
    """Everything up to training, without noise decisions getting in the way; and the way back."""

    def work():
        synthesizer = untrained(repeated(df))
        made = synthesizer.synthesize(9)
        assert list(made.columns) == list(df.columns)
        again = io.BytesIO()
        json.dump(synthesizer.codec.to_dict(), io.TextIOWrapper(again, "utf-8"))
        return made

    with np.errstate(all="ignore"):
        result_or_refusal(work)


@pytest.mark.tensorflow
@many(40)
@given(frames())
def test_any_frame_is_learned_or_refused_and_the_ledger_is_right(tmp_path_factory, df):
    """The ledger has the run exactly if something was reserved, with no less than the synthesizer states."""
    ledger = PrivacyLedger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")
    made = []

    def work():
        meta = MetaExtractor.extract(df)
        config = HighDimConfig(epsilon=100, delta=0.1, steps=1, num_bins=4, batch_size=EVERY_ROW)
        made.append(HighDimSynthesizer(meta, config))
        made[0].learn(repeated(df), callback=lambda _: None, ledger=ledger)
        return made[0].synthesize(5)

    synthetic = result_or_refusal(work)
    assert synthetic is None or len(synthetic) == 5
    spent = ledger.to_frame()["epsilon"].tolist()
    if not made or made[0].state == "new":
        assert spent == []
    else:
        assert len(spent) == 1
        assert spent[0] >= made[0].epsilon


@many(100)
@given(frames(), frames())
def test_any_two_frames_are_compared_or_refused(first, second):
    second = second.set_axis(first.columns, axis=1) if first.shape[1] == second.shape[1] else second
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an explicit, unprivate comparison may warn
        result_or_refusal(lambda: UtilityReport.against_original(first, second).summary())


# --- configs and declarations ------------------------------------------------------------------------

WILD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["auto", "native", 10**400, decimal.Decimal(1), np.float32(0.5), np.int64(3), 1j, [], {}]
    ),
    st.builds(lambda: pd.DataFrame({"a": [1]})),
    st.builds(lambda: pd.Series([1, 2])),
    st.builds(lambda: np.arange(3)),
    st.lists(st.floats(), max_size=3),
)
SENSIBLE = st.one_of(
    st.floats(1e-6, 100), st.integers(1, 500), st.sampled_from([0.1, 1, 1e-5, 1e-12, 64, "auto"])
)
PARAMETERS = st.dictionaries(
    st.sampled_from([*HighDimConfig.option_names() * 3, "epsilonn", "", "_x", "l2"]),
    st.one_of(SENSIBLE, WILD),
    max_size=5,
)


@pytest.mark.long
@pytest.mark.slow
@many(250)
@given(PARAMETERS, st.integers(2, 10**7))
def test_any_config_is_planned_or_refused(parameters, rows):
    from jupyter_dpsynth.engine.planning.plan import plan_run

    meta = MetaExtractor.extract(mixed_table(5))

    def work():
        config = HighDimConfig(**parameters).resolve()
        if config.steps is not None and config.steps > 10_000:
            return None  # seconds each for the accountant: tested elsewhere
        plan = plan_run(config, meta, float(rows))
        assert plan.privacy is None or plan.epsilon <= config.epsilon * (1 + 1e-9)
        assert plan.steps >= 1
        return plan

    result_or_refusal(work)


DECLARATIONS = st.fixed_dictionaries(
    {},
    optional={
        "bounds": st.one_of(
            WILD,
            st.dictionaries(
                st.sampled_from(["age", "income", "day", "group", "member", "none"]),
                st.one_of(WILD, st.tuples(WILD, WILD), st.tuples(st.datetimes(), st.datetimes())),
                max_size=3,
            ),
        ),
        "categories": st.one_of(
            WILD,
            st.dictionaries(
                st.sampled_from(["age", "group", "member", "day", "none"]),
                st.one_of(WILD, st.lists(ODD_OBJECTS, max_size=4)),
                max_size=3,
            ),
        ),
        "decimals": st.one_of(
            WILD, st.dictionaries(st.sampled_from(["income", "age", "day"]), WILD, max_size=2)
        ),
        "ids": st.one_of(WILD, st.lists(st.sampled_from(["age", "group", "day", "member", "x"]), max_size=3)),
        "schema": WILD,
    },
)


@many(200)
@given(DECLARATIONS)
def test_any_declaration_is_used_or_refused(declared):
    df = mixed_table(120)

    def work():
        meta = MetaExtractor.extract(df, **declared)
        if not meta.learned:
            return None
        return untrained(df, **declared).synthesize(5)

    with np.errstate(all="ignore"):
        result_or_refusal(work)


@many(60)
@given(
    st.recursive(WILD, lambda inner: st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6)
)
def test_any_schema_file_is_read_or_refused(tmp_path_factory, content):
    import yaml

    file = tmp_path_factory.mktemp("schema") / "schema.yaml"
    try:
        text = yaml.safe_dump({"columns": {"age": content}})
    except (yaml.YAMLError, ValueError):
        text = repr(content)
    file.write_text(text, encoding="utf-8", errors="replace")
    result_or_refusal(lambda: MetaExtractor.extract(mixed_table(5), schema=file))


# --- magic lines and bodies --------------------------------------------------------------------------

WORDS = st.one_of(
    st.sampled_from(
        [command.name for command in COMMANDS.values() if command.name not in {"audit", "panel"}]
        + [flag for command in COMMANDS.values() for option in command.options for flag in option.flags]
        + [
            "df",
            "nothing",
            "np",
            "{df}",
            "{1/0}",
            "{",
            "}",
            "{}",
            "{{}}",
            "'",
            '"',
            "-",
            "--",
            "=",
            "-5",
            "1e999",
        ]
        + [
            "None",
            "True",
            "auto",
            "'a b'",
            "--help",
            "{[].x}",
            "df.head(0)",
            "made",
            "0",
            "\\",
            "$HOME",
            "%s",
        ]
    ),
    st.text(max_size=6),
)
LINES = st.lists(WORDS, max_size=6).map(" ".join)
BODIES = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.tuples(
            st.sampled_from([*HighDimConfig.option_names(), "bounds", "categories", "ids", "schema", "x"]),
            st.sampled_from(
                ["1", "-1", "None", "auto", "df", "{df}", "'x'", "[", "{'age': (0, 9)}", "1/0", "x"]
            ),
        ).map(" = ".join),
        max_size=4,
    ).map("\n".join),
)


@pytest.fixture(scope="module")
def fuzzed_shell():
    """A shell in which nothing trains: a table of too few rows, and no epsilon to waste."""
    shell = Shell()
    shell.run("%load_ext jupyter_dpsynth\n%config DPSynthMagics.warm_tensorflow = False")
    shell.run("import numpy as np, pandas as pd\ndf = pd.DataFrame({'age': [1, 2, 3], 'name': list('abc')})")
    yield shell
    shell.run("%unload_ext jupyter_dpsynth")


def in_one_line(outcome):
    assert "TRACEBACK" not in outcome.error, outcome.error
    assert "\n" not in outcome.error


@many(150)
@given(LINES)
def test_any_magic_line_is_answered_in_one_line(fuzzed_shell, tmp_path_factory, line):
    line = line.replace("\n", " ").replace("\r", " ")
    magic = repr(line.replace("--epsilon 100", ""))
    in_one_line(fuzzed_shell.run(f"get_ipython().run_line_magic('dpsynth', {magic})"))


@many(100)
@given(LINES, BODIES)
def test_any_magic_cell_is_answered_in_one_line(fuzzed_shell, line, body):
    line = f"learn df {line}" if "--background" not in line else "learn df"
    in_one_line(fuzzed_shell.run(f"get_ipython().run_cell_magic('dpsynth', {line!r}, {body + chr(10)!r})"))


# --- files -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    file = tmp_path_factory.mktemp("fuzz") / "model.dps"
    untrained(mixed_table(300), batch_size="auto").save(file)
    return file


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**400)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


def mutate(document, data):
    """Change up to three places of a document, chosen evenly: half of them deep inside."""
    document = copy.deepcopy(document)
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    for _ in range(chance.randint(1, 3)):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = chance.choice(keys)
            inner = place[key]
            if isinstance(inner, dict | list) and inner and chance.random() < 0.9:
                place = inner
                continue
            kind = chance.choice(["replace", "scale", "scale", "remove", "swap"])
            if kind == "remove":
                del place[key]
            elif kind == "scale" and type(inner) in {int, float} and abs(inner) < 1e300:
                place[key] = inner * chance.choice([-1, 0, 2, 0.5, 1e-9, 1e9, 1.0001])
            elif kind == "swap":
                place[key] = copy.deepcopy(place[chance.choice(keys)])
            else:
                place[key] = data.draw(JSON_VALUES)
            break
    return document


@many(200)
@given(st.data())
def test_any_mutated_synthesizer_is_refused_or_synthesizes(saved, tmp_path_factory, data):
    with zipfile.ZipFile(saved) as archive:
        schema, arrays = json.loads(archive.read(SCHEMA)), archive.read(ARRAYS)
    file = tmp_path_factory.mktemp("mutated") / "model.dps"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(SCHEMA, json.dumps(mutate(schema, data)))
        archive.writestr(ARRAYS, arrays)

    def work():
        made = HighDimSynthesizer.load(file).synthesize(7)
        assert len(made) == 7

    result_or_refusal(work)


@many(100)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5))
def test_any_bytes_changed_are_refused_or_synthesize(saved, tmp_path_factory, changes):
    content = bytearray(saved.read_bytes())
    for share, value in changes:
        content[min(int(share * len(content)), len(content) - 1)] = value
    file = tmp_path_factory.mktemp("bytes") / "model.dps"
    file.write_bytes(content)
    result_or_refusal(lambda: HighDimSynthesizer.load(file).synthesize(3))


@many(150)
@given(st.data())
def test_any_mutated_receipt_is_refused_or_judged(saved, data):
    with zipfile.ZipFile(saved) as archive:
        document = json.loads(archive.read(SCHEMA))["receipt"]
    changed = mutate(document, data)
    result_or_refusal(lambda: verify_receipt(read_json(json.dumps(changed))).to_text())
