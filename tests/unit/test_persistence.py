"""Saved synthesizers: what comes back is what was saved, and every kind of attack file is refused."""

import copy
import io
import json
import math
import pickle
import struct
import subprocess
import sys
import zipfile

import jsonschema
import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import cli
from jupyter_dpsynth.errors import ArtifactError, DPSynthError
from jupyter_dpsynth.files.archive import ARRAYS, SCHEMA
from jupyter_dpsynth.files.jsonschema import load_schema
from jupyter_dpsynth.privacy.verification import verify_receipt
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.tables import every_type_table, mixed_table


def table():
    """Numbers, names, an order, dates, an identifier and two columns that stand in an order."""
    df = mixed_table(600)
    df["later"] = df["day"] + pd.to_timedelta(1 + np.arange(600) % 9, unit="D")
    df["key"] = [f"k{i}" for i in range(600)]
    df["rank"] = pd.Categorical(["lo", "hi"] * 300, ["lo", "hi"], ordered=True)
    return df


@pytest.fixture(scope="module")
def synthesizer():
    declared = {"bounds": {"age": (18, 90)}, "categories": {"group": ["north", "south"]}}
    return untrained(table(), batch_size="auto", ids=["key"], **declared)


@pytest.fixture(scope="module")
def saved(synthesizer, tmp_path_factory):
    file = tmp_path_factory.mktemp("saved") / "model.dps"
    synthesizer.save(file)
    return file


@pytest.fixture
def parts(saved):
    with zipfile.ZipFile(saved) as archive:
        return json.loads(archive.read(SCHEMA)), archive.read(ARRAYS)


def write(path, schema, arrays, **others):
    text = schema if isinstance(schema, str | bytes) else json.dumps(schema)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(SCHEMA, text)
        archive.writestr(ARRAYS, arrays)
        for name, content in others.items():
            archive.writestr(name, content)
    return path


def npz(arrays, **others):
    packed = io.BytesIO()
    np.savez_compressed(packed, **{**arrays, **others})
    return packed.getvalue()


def unpack(arrays):
    with np.load(io.BytesIO(arrays), allow_pickle=False) as stored:
        return dict(stored)


def assert_refused(path):
    with pytest.raises(ArtifactError) as raised:
        HighDimSynthesizer.load(path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    assert raised.value.__context__ is None
    return str(raised.value)


def test_what_comes_back_is_what_was_saved(synthesizer, saved):
    again = HighDimSynthesizer.load(saved)
    pd.testing.assert_frame_equal(again.synthesize(200, seed=1), synthesizer.synthesize(200, seed=1))
    assert again.receipt == synthesizer.receipt
    assert (again.epsilon, again.delta) == (synthesizer.epsilon, synthesizer.delta)
    assert again.config.to_dict() == synthesizer.config.to_dict()
    assert again.df_meta == synthesizer.df_meta


def test_every_type_comes_back(tmp_path):
    synthesizer = untrained(every_type_table())
    synthesizer.save(tmp_path / "model.dps")
    again = HighDimSynthesizer.load(tmp_path / "model.dps")
    pd.testing.assert_frame_equal(again.synthesize(100, seed=1), synthesizer.synthesize(100, seed=1))


def test_a_run_that_was_stopped_before_its_first_step_comes_back(tmp_path):
    synthesizer = untrained(table(), completed=0)
    synthesizer.save(tmp_path / "model.dps")
    assert len(HighDimSynthesizer.load(tmp_path / "model.dps").synthesize(5)) == 5


def test_a_fresh_process_without_tensorflow_and_data_synthesizes(saved):
    code = (
        "import sys; sys.modules['tensorflow'] = None; from jupyter_dpsynth import HighDimSynthesizer;"
        "s = HighDimSynthesizer.load(sys.argv[1]); print(len(s.synthesize(50)), s.receipt.headline)"
    )
    done = subprocess.run([sys.executable, "-c", code, saved], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("50 ")
    assert "epsilon = " in done.stdout


def test_the_file_follows_the_published_schema(parts):
    schema, _ = parts
    jsonschema.Draft202012Validator(load_schema("synthesizer")).validate(schema)
    jsonschema.Draft202012Validator(load_schema("receipt")).validate(schema["receipt"])


def test_the_receipt_in_a_saved_synthesizer_is_verified(saved, capsys):
    assert cli.main(["verify", str(saved)]) == 0
    assert "Verified" in capsys.readouterr().out


def test_an_altered_epsilon_loads_because_the_file_is_not_signed_but_is_not_verified(parts, tmp_path, capsys):
    schema, arrays = parts
    schema["receipt"]["epsilon"] = 0.1
    file = write(tmp_path / "altered.dps", schema, arrays)
    assert HighDimSynthesizer.load(file).epsilon == 0.1
    assert cli.main(["verify", str(file)]) == cli.FAILED
    shown = capsys.readouterr().out
    assert "NOT VERIFIED" in shown
    assert "not signed" in shown


class Explosive:
    """Runs something when it is unpickled."""

    def __reduce__(self):
        return (print, ("EXECUTED",))


@pytest.mark.parametrize(
    "name",
    ["pickle", "object array", "object header", "pickle beside", "pickle as schema"],
)
def test_a_pickle_anywhere_is_refused_and_never_run(name, parts, tmp_path, capsys):
    schema, arrays = parts
    loaded = unpack(arrays)
    explosive = np.array([Explosive()], dtype=object)
    file = tmp_path / "attack.dps"
    if name == "pickle":
        file.write_bytes(pickle.dumps(Explosive()))
    elif name == "object array":
        write(file, schema, npz(loaded, losses=explosive))
    elif name == "object header":
        whole = np.empty(loaded["bias"].shape, dtype=object)
        whole[:] = [Explosive() for _ in whole]
        write(file, schema, npz(loaded, bias=whole))
    elif name == "pickle beside":
        write(file, schema, npz(loaded, more=explosive))
    else:
        write(file, pickle.dumps(Explosive()), arrays)
    assert_refused(file)
    assert "EXECUTED" not in capsys.readouterr().out


def test_members_that_do_not_belong_are_refused_and_nothing_is_written(parts, tmp_path):
    schema, arrays = parts
    folder = tmp_path / "inner"
    folder.mkdir()
    for name in ("../escaped", "/etc/escaped", "extra.txt", "a/schema.json"):
        assert_refused(write(folder / "attack.dps", schema, arrays, **{name: b"x"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner"]
    assert sorted(path.name for path in folder.iterdir()) == ["attack.dps"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_given_twice_or_missing_are_refused(parts, tmp_path):
    schema, arrays = parts
    assert_refused(write(tmp_path / "twice.dps", schema, arrays, **{SCHEMA: "{}"}))
    only = tmp_path / "only.dps"
    with zipfile.ZipFile(only, "w") as archive:
        archive.writestr(SCHEMA, json.dumps(schema))
    assert_refused(only)
    with zipfile.ZipFile(tmp_path / "empty.dps", "w"):
        pass
    assert_refused(tmp_path / "empty.dps")
    loaded = unpack(arrays)
    assert_refused(write(tmp_path / "more.dps", schema, npz(loaded, more=np.zeros(2))))
    loaded.pop("bias")
    assert_refused(write(tmp_path / "less.dps", schema, npz(loaded)))


@pytest.mark.parametrize("lying", [False, True])
def test_a_zip_bomb_is_refused_whatever_its_header_says(lying, parts, tmp_path, monkeypatch):
    monkeypatch.setattr("jupyter_dpsynth.files.archive.MAX_TEXT", 100_000)
    _, arrays = parts
    file = write(tmp_path / "bomb.dps", b" " * 50_000_000, arrays)
    assert file.stat().st_size < 300_000
    if lying:
        content = bytearray(file.read_bytes())
        for sign, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
            struct.pack_into("<I", content, content.index(sign) + place, 40)
        file.write_bytes(content)
    assert_refused(file)


def test_a_bomb_among_the_arrays_is_refused_before_it_is_unpacked(parts, tmp_path, monkeypatch):
    schema, arrays = parts
    loaded = unpack(arrays)
    bomb = npz(loaded, losses=np.zeros(10_000_000))
    assert len(bomb) < 400_000
    monkeypatch.setattr("numpy.frombuffer", lambda *_, **__: pytest.fail("it was unpacked"))
    write(tmp_path / "bomb.dps", schema, npz({**loaded, "weights": np.zeros((3000, 3000))}))
    assert_refused(tmp_path / "bomb.dps")


def lying_header(array, shape, descr=None):
    """An .npy whose header promises another shape or type than follows."""
    packed = io.BytesIO()
    header = {"descr": descr or array.dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(packed, header)
    return packed.getvalue() + array.tobytes()


def with_member(arrays, name, content):
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(arrays)) as old, zipfile.ZipFile(packed, "w") as new:
        for member in old.namelist():
            new.writestr(member, content if member == name else old.read(member))
    return packed.getvalue()


@pytest.mark.parametrize("shape", [(10**12,), (2**62, 2**62), (-1,), (0,), (7,), (10**30,), ()])
def test_a_lying_shape_is_refused(shape, parts, tmp_path):
    schema, arrays = parts
    content = lying_header(unpack(arrays)["bias"], shape)
    assert_refused(write(tmp_path / "lying.dps", schema, with_member(arrays, "bias.npy", content)))


@pytest.mark.parametrize("descr", ["<f8", "|O", "<c8", "<i4", "<U4", "|V4", "<M8[ns]", "nonsense", "<f16"])
def test_a_lying_type_is_refused(descr, parts, tmp_path):
    schema, arrays = parts
    bias = unpack(arrays)["bias"]
    content = lying_header(bias, bias.shape, descr)
    assert_refused(write(tmp_path / "lying.dps", schema, with_member(arrays, "bias.npy", content)))


@pytest.mark.parametrize("name", ["weights", "bias", "scale", "losses"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_arrays_that_are_not_finite_are_refused(name, value, parts, tmp_path):
    schema, arrays = parts
    loaded = unpack(arrays)
    loaded[name] = loaded[name].copy()
    loaded[name].flat[0] = value
    assert "not finite" in assert_refused(write(tmp_path / "nan.dps", schema, npz(loaded)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 200_000,
        '{"a":' * 200_000,
        "9" * 100_000,
        "NaN",
        '"text"',
        "[]",
        '{"protocol": 1}',
        '{"protocol": "one"}',
        '{"format": "jupyter_dpsynth synthesizer", "protocol": []}',
        b"\xff\xfe\x00",
    ],
)
def test_a_schema_that_is_none_is_refused(text, parts, tmp_path):
    assert_refused(write(tmp_path / "attack.dps", text, parts[1]))


def test_a_newer_protocol_asks_for_an_update(parts, tmp_path):
    schema, arrays = parts
    for protocol in (4, 10**9, 10**300):
        schema["protocol"] = protocol
        assert "update" in assert_refused(write(tmp_path / "newer.dps", schema, arrays))


def test_a_truncated_file_is_refused_wherever_it_ends(saved, tmp_path):
    content = saved.read_bytes()
    file = tmp_path / "truncated.dps"
    for end in (0, 1, 30, len(content) // 3, len(content) // 2, len(content) - 30, len(content) - 1):
        file.write_bytes(content[:end])
        assert_refused(file)


def test_a_flipped_byte_is_refused_or_changes_nothing(saved, synthesizer, tmp_path):
    content = saved.read_bytes()
    file = tmp_path / "flipped.dps"
    expected = synthesizer.synthesize(20, seed=3)
    for place in np.random.default_rng(0).integers(0, len(content), 150):
        changed = bytearray(content)
        changed[place] ^= 1 << int(place) % 8
        file.write_bytes(changed)
        try:
            again = HighDimSynthesizer.load(file)
        except ArtifactError:
            continue
        pd.testing.assert_frame_equal(again.synthesize(20, seed=3), expected)


WRONG = (None, True, -1, 0, 10**400, 1e300, 0.5, "text", "", [], {}, [[1]], {"date": "x"}, [None], "../../x")


def paths(value, path=()):
    """Every place in a document, of long lists the first, the second and the last."""
    if path:
        yield path
    if isinstance(value, dict | list):
        places = list(value) if isinstance(value, dict) else range(len(value))
        for key in places if isinstance(value, dict) or len(value) < 4 else (0, 1, len(value) - 1):
            yield from paths(value[key], (*path, key))


def changed_at(document, path, value):
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if value is REMOVED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return changed


REMOVED = object()


@pytest.mark.long
@pytest.mark.slow
def test_any_wrong_value_in_any_field_is_refused_or_harmless(parts, tmp_path):
    """The file is refused, or loads and synthesizes a table: nothing raw, and nothing hangs."""
    schema, arrays = parts
    file = tmp_path / "mutated.dps"
    generator = np.random.default_rng(1)
    places = list(paths(schema))
    tried = loaded = 0
    messages = []
    for path in places:
        chosen = generator.choice(len(WRONG), 5, replace=False)
        for value in [REMOVED, *(WRONG[i] for i in chosen)]:
            write(file, changed_at(schema, path, value), arrays)
            tried += 1
            try:
                again = HighDimSynthesizer.load(file)
                assert len(again.synthesize(12)) == 12
                verify_receipt(again.receipt.to_dict())
                loaded += 1
            except DPSynthError as error:
                messages.append(str(error))
    assert tried > 1000
    assert loaded > 50
    assert not any("\n" in message or "inside a library" in message for message in messages)
