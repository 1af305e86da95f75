"""`jupyter dpsynth`: from a file to a model to a synthetic table, with statuses and messages to rely on."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import cli
from jupyter_dpsynth.cli.progress import LearningProgress
from jupyter_dpsynth.cli.tables import open_table, read_table, write_table
from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ArtifactError, DataError, MissingDependencyError, SchemaWarning
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from jupyter_dpsynth.reports import StepReport
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.hospital import hospital, hospital_meta
from tests.support.models import untrained
from tests.support.tables import mixed_table

COMMAND = [sys.executable, "-m", "jupyter_dpsynth.cli"]


def refused(capsys, *arguments):
    """The one line that a command ends with."""
    assert cli.main([str(each) for each in arguments]) == cli.FAILED
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.dps"
    untrained(mixed_table(400, seed=81)).save(file)
    return file


@pytest.mark.tensorflow
def test_a_table_is_learned_from_a_file_and_synthesized_again(tmp_path):
    df = mixed_table(1500, seed=82)
    df.to_csv(tmp_path / "private.csv", index=False)
    schema = {"fields": [{"name": "age", "type": "integer", "constraints": {"minimum": 18, "maximum": 90}}]}
    schema["fields"].append({"name": "group", "type": "string", "constraints": {"pattern": "[a-z]+"}})
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    words = (
        "learn private.csv --epsilon 2 --steps 3 --schema schema.json --ignore day --dataset cli -o model.dps"
    )
    done = subprocess.run(
        [*COMMAND, *words.split()], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("epsilon = ")
    assert "the constraint 'pattern': 'group'" in done.stderr
    assert "training: step 3/3" in done.stderr
    for noise in ("cuda", "oneDNN", "\r", "\x1b", "UserWarning"):
        assert noise not in done.stderr
    synthesizer = HighDimSynthesizer.load(tmp_path / "model.dps")
    assert synthesizer.df_meta["age"].bounds == (18.0, 90.0)
    assert synthesizer.config.epsilon == 2.0
    done = subprocess.run(
        [*COMMAND, "synthesize", "model.dps", "-n", "7"], cwd=tmp_path, capture_output=True, check=True
    )
    synthetic = pd.read_csv(io.BytesIO(done.stdout))
    assert list(synthetic) == [name for name in df if name != "day"]
    assert len(synthetic) == 7
    assert done.stderr == b""


@pytest.mark.tensorflow
def test_files_are_learned_part_by_part_and_nothing_is_left_behind(tmp_path, monkeypatch, capfd):
    pytest.importorskip("dask.dataframe")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    df = mixed_table(1500, seed=87).assign(person=np.arange(1500) // 3)
    for part in range(3):
        df.iloc[part::3].to_parquet(tmp_path / f"part-{part}.parquet", row_group_size=200)
    df.to_csv(tmp_path / "whole.csv", index=False)

    def whole(*_, **__):
        raise AssertionError("the whole table is in memory")

    monkeypatch.setattr(pd, "read_parquet", whole)
    for table in ("*.parquet", "whole.csv"):
        output = tmp_path / "model.dps"
        words = [
            "learn",
            str(tmp_path / table),
            "--epsilon",
            "3",
            "--steps",
            "2",
            "--batch-size",
            "100000000",
            "--force",
            "-o",
            str(output),
        ]
        assert cli.main([*words, "--privacy-unit", "person", "--max-rows-per-unit", "2"]) == 0
        assert "at most 2 rows" in HighDimSynthesizer.load(output).receipt.unit
    assert list((tmp_path / "temporary").glob("*/run-*")) == []
    capfd.readouterr()


@pytest.mark.long
@pytest.mark.tensorflow
def test_an_interrupt_keeps_the_model_and_the_status_says_so(tmp_path):
    mixed_table(1500, seed=83).to_csv(tmp_path / "private.csv", index=False)
    words = [
        *COMMAND,
        "learn",
        "private.csv",
        "--steps",
        "20000",
        "-o",
        "model.dps",
        "--batch-size",
        "100000",
    ]
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("training: step") and "loss" in line:
            os.kill(process.pid, signal.SIGINT)
            break
    out, rest = process.communicate(timeout=120)
    assert process.returncode == cli.INTERRUPTED, "".join(seen) + rest
    assert "Stopping after the current step" in rest
    assert "Saved as model.dps" in out
    receipt = HighDimSynthesizer.load(tmp_path / "model.dps").receipt
    assert 0 < receipt.completed_steps < 20000


def test_every_parameter_is_an_option_with_its_own_help(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["learn", "--help"])
    assert left.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in HighDimConfig.option_names():
        assert f"--{name.replace('_', '-')}" in shown
        assert " ".join(HighDimConfig.class_traits()[name].help.split())[:40] in shown.replace("- ", "-")


@pytest.mark.parametrize(
    "words",
    [["lern"], ["learn", "x.csv"], ["learn", "x.csv", "-o", "m", "--epsilo", "1"], ["synthesize"], []],
)
def test_what_is_not_understood_ends_with_status_2_and_one_line(words, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == cli.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "--help" in shown.err


def test_caps_and_links_are_set_where_the_ledger_is_shown(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    book = PrivacyLedger()
    for name in ("stays", "visits"):
        book.reserve(TableIdentity(name.encode(), name), 1.0, 1e-6)
    assert cli.main(["ledger", "--cap", "3", "--dataset", "stays"]) == 0
    shown = capsys.readouterr().out
    assert "The cap for 'stays' is 3" in shown
    assert "cap 3; epsilon = " in shown
    assert "give a number above 0" in refused(capsys, "ledger", "--cap", "-1")
    assert "give a number above 0" in refused(capsys, "ledger", "--cap", "much")
    assert "Did you mean 'stays'" in refused(capsys, "ledger", "--cap", 2, "--dataset", "stay")
    assert "needs --cap" in refused(capsys, "ledger", "--dataset", "stays")
    assert cli.main(["ledger", "--cap", "None", "--dataset", "stays"]) == 0
    assert cli.main(["ledger", "--link", "stays", "visits"]) == 0
    assert "stays + visits" in capsys.readouterr().out


def test_a_refused_run_names_the_command_of_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "ledger"))
    mixed_table(500, seed=85).to_csv(tmp_path / "t.csv", index=False)
    PrivacyLedger().set_cap(0.5)
    assert cli.main(["learn", str(tmp_path / "t.csv"), "-o", str(tmp_path / "m.dps")]) == cli.FAILED
    assert "raise the cap: jupyter dpsynth ledger --cap VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["learn", "x.csv", "-o", "m", "--epsilom=1"], "Did you mean '--epsilon'? See jupyter dpsynth learn"),
        (["synthesize", "m", "--balence", "a"], "Did you mean '--balance'? See jupyter dpsynth synthesize"),
    ],
)
def test_a_misspelt_option_is_refused_with_a_hint_and_its_own_commands_help(words, hint, capsys):
    with pytest.raises(SystemExit):
        cli.main(words)
    assert hint in capsys.readouterr().err


def test_files_that_the_shell_made_of_a_pattern_are_answered_with_quotes(tmp_path, capsys):
    (tmp_path / "2.csv").touch()
    with pytest.raises(SystemExit):
        cli.main(["learn", "1.csv", str(tmp_path / "2.csv"), "-o", "m"])
    assert "a pattern in quotes" in capsys.readouterr().err


def test_what_is_wrong_is_found_before_the_table_is_read(tmp_path, capsys):
    missing, output = tmp_path / "missing.csv", tmp_path / "model.dps"
    assert "epsilon = -1 is not allowed" in refused(capsys, "learn", missing, "-o", output, "--epsilon=-1")
    assert "noise_multiplier" in refused(capsys, "learn", missing, "-o", output, "--noise_multiplier", "x")
    assert "both given" in refused(capsys, "learn", missing, "-o", output, "--steps", "3", "--epochs", "2")
    assert "folder does not exist" in refused(capsys, "learn", missing, "-o", tmp_path / "no" / "model.dps")
    assert "name of a file for the model" in refused(capsys, "learn", missing, "-o", "-")
    output.write_text("spent")
    assert "exists already" in refused(capsys, "learn", missing, "-o", output)
    assert "No such file" in refused(capsys, "learn", missing, "-o", output, "--force")
    assert output.read_text() == "spent"


def test_a_column_that_is_not_there_is_named_with_a_hint(tmp_path, capsys):
    mixed_table(20, seed=84).to_csv(tmp_path / "t.csv", index=False)
    for option in ("--ignore", "--id", "--privacy-unit"):
        told = refused(capsys, "learn", tmp_path / "t.csv", "-o", tmp_path / "m.dps", option, "agee")
        assert "agee" in told
        assert "Did you mean 'age'" in told


SECRET = "SECRET4711"


@pytest.mark.parametrize(
    "content",
    [
        f"a,b\n1,{SECRET}\n2,3,{SECRET}\n",  # more fields than columns
        f'a,b\n1,"{SECRET}\n',  # a quote that is not closed
        f"a,a.1,a\n1,2,{SECRET}\n",  # names twice
        f"{SECRET}\n".encode("utf-16").decode("latin-1"),
    ],
)
def test_an_unreadable_table_is_refused_without_a_word_of_it(content, tmp_path, capsys):
    file = tmp_path / "private.csv"
    file.write_bytes(content.encode("latin-1"))
    cli.main(["learn", str(file), "-o", str(tmp_path / "m.dps"), "--id", "nothing"])
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert shown.err.count("\n") == 1
    parquet = tmp_path / "private.parquet"
    parquet.write_bytes(content.encode("latin-1"))
    assert SECRET not in refused(capsys, "learn", parquet, "-o", tmp_path / "m.dps")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet", "feather"])
def test_tables_come_back_from_every_format(ending, tmp_path):
    if ending in ("parquet", "feather"):
        pytest.importorskip("pyarrow")
    df = pd.DataFrame({"a": [1, 2], "b": ["x", "y, z"], "c": [0.5, np.nan]})
    write_table(df, str(tmp_path / f"t.{ending}"))
    pd.testing.assert_frame_equal(read_table(str(tmp_path / f"t.{ending}")), df, check_dtype=False)


def test_a_table_opens_in_parts_where_that_is_possible_and_in_memory_elsewhere(tmp_path):
    pytest.importorskip("dask.dataframe")
    df = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    for name in ("t.csv", "t[1].parquet", "t.tsv", "t.feather"):
        write_table(df, str(tmp_path / name))
        source = open_table(str(tmp_path / name))
        assert source.partitioned == name.endswith((".csv", ".tsv", ".parquet"))
        (rows,) = source.map(lambda part: part["b"].tolist(), ["b"])
        assert rows == ["x", "y"]
        source.close()
    (tmp_path / "t.csv").rename(tmp_path / "t.txt")
    assert open_table(str(tmp_path / "*.parquet")).rows == 2


def test_several_files_need_dask_and_one_does_not(tmp_path, monkeypatch):
    def missing():
        raise MissingDependencyError("install jupyter_dpsynth[scale]")

    monkeypatch.setattr("jupyter_dpsynth.sources.partitions.import_dask", missing)
    write_table(pd.DataFrame({"a": [1, 2]}), str(tmp_path / "t.csv"))
    assert not open_table(str(tmp_path / "t.csv")).partitioned
    with pytest.raises(MissingDependencyError, match="scale"):
        open_table(str(tmp_path / "*.csv"))


def test_an_unknown_format_is_refused(tmp_path, model, capsys):
    with pytest.raises(DataError, match=r"\.parquet"):
        read_table(str(tmp_path / "t.xlsx"))
    assert "--output" in refused(capsys, "synthesize", model, "-o", tmp_path / "t.xlsx")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_table(pd.DataFrame({"a": [1]}), str(tmp_path / "no" / "t.csv"))


def test_the_same_seed_writes_the_same_table(model, tmp_path, capsys):
    for name in ("first.csv", "second.csv"):
        words = ["synthesize", str(model), "-n", "20", "--seed", "3", "-o", str(tmp_path / name)]
        assert cli.main(words) == 0
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
    assert "num_rows = 0" in refused(capsys, "synthesize", model, "-n", "0")


def test_a_reader_that_has_seen_enough_is_no_error(model):
    process = subprocess.Popen(
        [*COMMAND, "synthesize", model, "-n", "200000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline().startswith(b"group,")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(120) == 0


def test_a_table_can_come_from_another_program(model, tmp_path, monkeypatch):
    text = io.TextIOWrapper(io.BytesIO(b"a,b\n1,x\n"))
    monkeypatch.setattr(sys, "stdin", text)
    assert read_table("-").to_dict("list") == {"a": [1], "b": ["x"]}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def without_controls(screen):
    """What a terminal was sent, without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_shows_steps_and_figures_in_full_in_one_line(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    screen = Terminal()
    report = StepReport("training", "training", 1234, 4000, 0.61, 1.0, loss=14.58, reserved=0.8471)
    LearningProgress(screen)(report)
    shown = without_controls(screen)
    assert "step 1234/4000, epsilon 0.8471 reserved, loss " in shown
    assert ("14.58" in shown) == (width > 60)
    assert len(shown) < width
    assert ("━" in shown) == (width > 70)


def test_a_column_s_name_cannot_write_markup_or_control_the_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    name = "[bold red]x[/]\x1b[2J"
    for stream in (Terminal(), io.StringIO()):
        progress = LearningProgress(stream)
        progress(StepReport("measuring", f"measuring column {name!r}", ledger=f"{name!r} cost nothing"))
        assert "[bold red]x[/]" in stream.getvalue()
        assert "\x1b[2J" not in stream.getvalue()


def test_a_log_gets_a_line_for_every_tenth_of_the_steps():
    stream = io.StringIO()
    progress = LearningProgress(stream)
    for step in range(501):
        progress(StepReport("training", "training", step, 500, 0.05, 1.0, loss=3.0, reserved=0.1))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1].startswith("training: step 500/500, epsilon 0.1 reserved")


def test_a_terminal_s_line_is_written_over_and_its_last_state_stays(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("jupyter_dpsynth.display.console.time.monotonic", lambda: now[0])
    screen = Terminal()
    progress = LearningProgress(screen)
    for step, phase in ((1, "training"), (2, "training"), (3, "training"), (4, "finished")):
        progress(StepReport(phase, phase, step, 4, loss=3.0, reserved=0.1, seconds=now[0]))
        now[0] += 30
    states = without_controls(screen).split("\r")
    assert len(states) == 4
    assert "step 2/4, epsilon 0.1 reserved, loss 3.00, 30 s, about 1 min 0 s left" in states[1]
    assert states[-1].startswith("finished: step 4/4, epsilon 0.1 reserved, loss 3.00, 90 s")
    assert "".join(states).count("\n") == 1
    assert screen.getvalue().endswith("\n")


def test_a_terminal_without_a_character_gets_a_question_mark():
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    screen.isatty = lambda: True
    LearningProgress(screen)(StepReport("measuring", "measuring column 'größe'", 1, 2))
    screen.flush()
    assert b"'gr??e'" in screen.buffer.getvalue()


def synthesized(model, capsys, *words):
    """What `synthesize` writes to stdout."""
    assert cli.main(["synthesize", str(model), *map(str, words)]) == 0
    return pd.read_csv(io.StringIO(capsys.readouterr().out))


def test_conditions_and_shares_are_written_as_in_the_magic(model, capsys):
    df = synthesized(model, capsys, "-n", 50, "--where", '{"group": "north", "age": (30, 50)}')
    assert len(df) == 50
    assert set(df["group"]) == {"north"}
    assert df["age"].between(30, 50).all()
    even = synthesized(model, capsys, "-n", 90, "--balance", "group")
    assert set(even["group"].value_counts()) == {30}
    shares = synthesized(model, capsys, "-n", 40, '--balance={"group": {"north": 1, "south": 3}}')
    assert shares["group"].value_counts().to_dict() == {"south": 30, "north": 10}


def test_a_table_that_is_there_is_replaced_only_when_that_is_said(model, capsys, tmp_path):
    output = tmp_path / "private.csv"
    output.write_text("the original")
    words = ["synthesize", model, "-n", 10, "-o", output]
    assert "exists already: give another name, or --overwrite" in refused(capsys, *words)
    assert output.read_text() == "the original"
    assert cli.main([*map(str, words), "--overwrite"]) == 0
    assert len(pd.read_csv(output)) == 10
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder" in refused(capsys, "synthesize", model, "-o", tmp_path / "folder.csv")


def test_more_rows_than_fit_into_memory_are_refused_with_what_to_do(model, capsys):
    told = refused(capsys, "synthesize", model, "-n", 10**15)
    assert "too little memory" in told
    assert "--to" in told


def test_files_of_any_size_are_written_with_conditions_and_their_names_told(model, capsys, tmp_path):
    words = ["synthesize", str(model), "-n", "60", "--to", str(tmp_path / "s-*.csv"), "--balance", "group"]
    assert cli.main(words) == 0
    (name,) = capsys.readouterr().out.split()
    assert set(pd.read_csv(name)["group"].value_counts()) == {20}
    assert "--overwrite" in refused(capsys, *words)
    assert cli.main([*words, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--where", "{group: north}"], "--where = '{group: north}' cannot be read: write it as in Python"),
        (["--where", "__import__('os').getcwd()"], "cannot be read"),
        (["--where", '{"groop": "north"}'], "Did you mean 'group'"),
        (["--where", "7"], "give conditions by column"),
        (["--balance", "groop"], "Did you mean 'group'"),
        (["--balance", '{"group": {"North": 1}}'], "balance: 'North' is not a published"),
        (["--balance", '{"group": {"North": 1}}'], "Did you mean 'north'"),
        (["--balance", "{'group'"], "--balance = \"{'group'\" cannot be read"),
        (["--overwrite"], "--overwrite needs a file"),
        (["--to", "out/table.xlsx"], "ends in .parquet or .csv"),
    ],
)
def test_a_mistake_in_a_request_is_one_line_that_says_what_to_do(model, capsys, words, message):
    assert message in refused(capsys, "synthesize", model, "-n", 10, *words)


def test_output_and_files_exclude_each_other_and_the_help_shows_the_form(model, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["synthesize", str(model), "-o", "a.csv", "--to", "b-*.csv"])
    assert left.value.code == cli.USAGE
    assert "not allowed with" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["synthesize", "--help"])
    assert """--where '{"sex": "Female", "age": (18, 65)}'""" in capsys.readouterr().out


def test_a_german_export_is_read_as_it_is_written_and_the_doctor_tells_what_to_do(tmp_path, capsys):
    file = tmp_path / "EXPORT.CSV"
    rows = [f"0{1000 + place % 40};{place % 90 + 30},5;Schönau {place % 3};k.A. €" for place in range(300)]
    file.write_text("\n".join(["PLZ;Größe;Ort;Notiz", *rows]), encoding="cp1252")
    assert cli.main(["doctor", str(file), "--na", "k.A. €"]) == 0
    shown = capsys.readouterr()
    assert "read with ';' between fields, text in cp1252, a decimal comma" in shown.err
    assert "owner's eyes only" in shown.out
    assert "'PLZ' has codes with leading zeros" in shown.out
    assert "'Größe'" in shown.out.partition("No bounds are declared for")[2]
    assert "--ignore Notiz" in shown.out


@pytest.mark.parametrize(
    ("option", "value"),
    [("sep", "ab"), ("encoding", "utf-16"), ("encoding", "nonsense"), ("decimal", ";"), ("thousands", "x")],
)
def test_what_is_said_of_a_csv_file_is_checked(tmp_path, capsys, option, value):
    file = tmp_path / "t.csv"
    file.write_text("a|b;c\n" + "1|x;y\n" * 20)
    assert f"{option} = '{value}' is not allowed" in refused(capsys, "doctor", file, f"--{option}", value)


def test_a_run_is_planned_without_a_table_and_with_one(tmp_path, capsys):
    mixed_table(400, seed=81).to_csv(tmp_path / "t.csv", index=False)
    assert cli.main(["calc", "--columns", "4", "--rows", "5000", "--steps", "20"]) == 0
    assert "4 columns to learn, about 5,000 rows." in capsys.readouterr().out
    assert cli.main(["calc", str(tmp_path / "t.csv"), "--ignore", "age", "--steps", "20"]) == 0
    shown = capsys.readouterr().out
    assert "about 10,000 rows (assumed" in shown
    assert "What epsilon is spent on:" in shown
    assert "name the table" in refused(capsys, "calc", "--id", "age")
    assert "leave it out" in refused(capsys, "calc", tmp_path / "t.csv", "--columns", 3)
    assert "--rows = 0" in refused(capsys, "calc", "--rows", 0)


def test_how_a_file_is_read_is_told_once(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("a;b\n" + "1,5;x\n" * 20)
    assert cli.main(["calc", str(tmp_path / "t.csv"), "--rows", "2000"]) == 0
    assert capsys.readouterr().err.count("is read with ';' between fields, a decimal comma") == 1
    assert "name the table" in refused(capsys, "calc", "--decimals", "a=2")
    assert "name the table" in refused(capsys, "calc", "--hierarchy", "a=icd10")


def test_a_table_is_compared_for_free_with_a_word_and_with_the_original_under_a_banner(
    model, tmp_path, capsys
):
    file, original = tmp_path / "s.csv", tmp_path / "t.csv"
    mixed_table(400, seed=81).to_csv(original, index=False)
    cli.main(["synthesize", str(model), "-n", "300", "-o", str(file)])
    capsys.readouterr()
    assert "--synthetic" in refused(capsys, "compare", model, original)  # whatever is not known to be one
    assert cli.main(["compare", str(model), str(file), "--html", str(tmp_path / "r.html")]) == 0
    assert "one-way difference" in capsys.readouterr().out
    assert "<" in (tmp_path / "r.html").read_text()
    assert cli.main(["compare", str(model), str(file), "--original", str(original)]) == 0
    assert "not covered by epsilon" in capsys.readouterr().out
    assert "add --original" in refused(capsys, "compare", model, file, "--target", "age")
    assert "exists already" in refused(capsys, "compare", model, file, "--html", tmp_path / "r.html")


def test_a_table_is_written_as_an_export_of_another_country_and_read_again(model, tmp_path, capsys):
    plain, german = tmp_path / "plain.csv", tmp_path / "german.csv"
    given = ["synthesize", str(model), "-n", "300", "--seed", "1", "-o"]
    assert cli.main([*given, str(plain)]) == 0
    assert cli.main([*given, str(german), "--sep", ";", "--decimal", ",", "--encoding", "cp1252"]) == 0
    assert german.read_text(encoding="cp1252").splitlines()[0] == plain.read_text().splitlines()[0].replace(
        ",", ";"
    )
    with pytest.warns(SchemaWarning, match="a decimal comma"):
        again = read_table(str(german))
    pd.testing.assert_frame_equal(again, read_table(str(plain)))
    assert cli.main(["compare", str(model), str(german)]) == 0
    capsys.readouterr()
    assert "--sep ';'" in refused(capsys, *given, tmp_path / "x.csv", "--decimal", ",")
    assert "is for CSV" in refused(capsys, *given, tmp_path / "x.parquet", "--sep", ";")
    assert "needs a file" in refused(capsys, *given[:-1], "--encoding", "cp1252")
    untrained(pd.DataFrame({"x": ["ł", "ň"] * 200})).save(tmp_path / "letters.dps")
    other = "synthesize", tmp_path / "letters.dps", "-o", tmp_path / "x.csv", "--encoding", "cp1252"
    assert "lacks letters" in refused(capsys, *other)
    assert not (tmp_path / "x.csv").exists()
    assert "is for CSV" in refused(capsys, *given[:-1], "--to", tmp_path / "x*.csv", "--sep", ";")


@pytest.mark.long
def test_files_that_synthesize_wrote_are_known_in_another_process_until_they_are_changed(
    model, tmp_path, capsys
):
    file, several = tmp_path / "s.csv", str(tmp_path / "out" / "*.csv")
    for written in (["-o", str(file)], ["-o", str(tmp_path / "s.dta")], ["--to", several]):
        assert cli.main(["synthesize", str(model), "-n", "300", *written]) == 0
    for named in (file, tmp_path / "s.dta", several):
        command = [sys.executable, "-m", "jupyter_dpsynth.cli", "compare", str(model), str(named)]
        folder = {"JUPYTER_DPSYNTH_LEDGER": str(PrivacyLedger().path)}
        said = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | folder)
        assert (said.returncode, said.stderr) == (0, ""), said.stderr
        assert "cannot be known" not in said.stdout  # whose rows these are
    capsys.readouterr()
    changed = file.read_text().splitlines()
    file.write_text("\n".join([*changed[:-1], changed[1]]))
    message = refused(capsys, "compare", model, file)
    assert f"{file} is not known to be synthetic" in message
    assert "df_synth" not in message
    assert cli.main(["compare", str(model), str(file), "--synthetic"]) == 0


def test_a_text_file_with_lengths_of_time_is_compared_with_a_model_of_a_typed_table(tmp_path, capsys):
    minutes = pd.to_timedelta(np.arange(400) % 90 * 5, unit="min")
    df = mixed_table(400, seed=81).assign(surgery=minutes, day=pd.Timestamp("2024-01-01") + minutes)
    untrained(df).save(tmp_path / "m.dps")
    assert cli.main(["synthesize", str(tmp_path / "m.dps"), "-n", "300", "-o", str(tmp_path / "s.csv")]) == 0
    capsys.readouterr()
    assert cli.main(["compare", str(tmp_path / "m.dps"), str(tmp_path / "s.csv")]) == 0
    assert "one-way difference" in capsys.readouterr().out


def test_the_quality_is_measured_with_noise_and_recorded(model, tmp_path, capsys):
    mixed_table(400, seed=81).to_parquet(tmp_path / "t.parquet")
    page = tmp_path / "page.html"
    given = [str(model), str(tmp_path / "t.parquet"), "--epsilon", "5", "--html", str(page)]
    assert cli.main(["evaluate", *given]) == 0
    assert "epsilon" in capsys.readouterr().out
    assert "<table" in page.read_text()
    assert "&lt;" not in page.read_text()  # markup is not shown as text
    assert cli.main(["ledger"]) == 0
    assert "t" in capsys.readouterr().out


@pytest.mark.long
def test_tables_of_files_are_compared_with_a_model_that_was_learned_in_a_notebook(tmp_path, capsys):
    tables = hospital(400, seed=10)
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    settings = HighDimConfig(privacy_unit="patient_id", epsilon=3, steps=3)
    synthesizer = HighDimSynthesizer(hospital_meta(tables), settings).learn(tables, lambda _: None)
    synthesizer.save(tmp_path / "model.dps")
    model, made = str(tmp_path / "model.dps"), str(tmp_path / "out" / "*.csv")
    assert cli.main(["synthesize", model, "-n", "200", "--to", made]) == 0
    assert cli.main(["compare", model, made]) == 0
    others = ["--original", str(tmp_path / "patients.csv"), "--children", f"visits={tmp_path / 'visits.csv'}"]
    assert cli.main(["compare", model, made, *others]) == 0
    assert "ReferentialIntegrity" in capsys.readouterr().out


@pytest.mark.long
def test_patients_and_visits_are_learned_from_files_and_written_into_a_folder(tmp_path, capsys):
    for name, table in hospital(400, seed=9).items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    model = str(tmp_path / "model.dps")
    given = [str(tmp_path / "patients.csv"), "--children", f"visits={tmp_path / 'visits.csv'}"]
    ordered = ["--order", "visits=admitted", "--most", "visits=4", "--window", "visits=2021-01-01,2023-12-31"]
    ordered += ["--ends", "visits=outcome:died", "--bounds", "patients.age=20,80"]
    ordered += ["--categories", "visits.outcome=died,home"]
    settings = ["--privacy-unit", "patient_id", "--epsilon", "3", "--steps", "10", "-o", model]
    assert (
        cli.main(["doctor", *given, "--order", "visits=admitted", "--most", "visits=2", *settings[:2]]) == 0
    )
    assert "more than 2 rows in 'visits'" in capsys.readouterr().out
    assert cli.main(["calc", *given, *ordered, *settings[:4], "--rows", "400"]) == 0
    plan = capsys.readouterr().out
    assert "about 400 persons." in plan
    assert "measuring each column of 'visits'" in plan
    assert cli.main(["learn", *given, *ordered, *settings]) == 0
    assert "--to" in capsys.readouterr().out  # of the next command
    made = str(tmp_path / "out" / "*.csv")
    some = ["--where", '{"visits.number": (1, None), "sex": "f"}']
    assert cli.main(["synthesize", model, "-n", "50", "--to", made, *some]) == 0
    assert (pd.read_csv(tmp_path / "out" / "patients.csv")["sex"] == "f").all()
    visits = pd.read_csv(tmp_path / "out" / "visits.csv")
    assert visits["patient_id"].isin(pd.read_csv(tmp_path / "out" / "patients.csv")["patient_id"]).all()
    assert pd.read_csv(tmp_path / "out" / "patients.csv")["age"].between(20, 80).all()
    assert set(visits["outcome"]) <= {"died", "home"}
    assert not ((visits["outcome"] == "died") & visits["patient_id"].duplicated(keep="last")).any()
    capsys.readouterr()
    assert (
        cli.main(
            ["learn", *given, "--order", "visits=admitted", "--ends", "visits=died", *settings, "--force"]
        )
        != 0
    )
    assert "visits=outcome:died" in capsys.readouterr().err
    assert cli.main(["learn", *given, *ordered, "--id", "outcome", *settings, "--force"]) != 0
    assert "write 'patients.outcome'" in capsys.readouterr().err
    assert cli.main(["synthesize", model, "-n", "50"]) != 0
    assert "several tables" in capsys.readouterr().err
    assert cli.main(["learn", *given, "--most", "visit=4", *settings, "--force"]) != 0
    assert "not among --children" in capsys.readouterr().err

    # the quality, for free, for the owner, and to be published
    page = str(tmp_path / "page.html")
    assert cli.main(["compare", model, made, "--synthetic", "--html", page]) == 0
    shown = capsys.readouterr().out
    assert "visits.number" in shown
    assert "⚠" not in shown
    assert "What follows what" in (tmp_path / "page.html").read_text()
    original = ["--original", *given]
    assert cli.main(["compare", model, made, *original]) == 0
    assert "⚠ For your eyes only" in capsys.readouterr().out
    assert cli.main(["compare", model, *original[:2]]) != 0
    assert "give --children visits=..." in capsys.readouterr().err
    assert cli.main(["compare", model, *original, "--target", "age"]) != 0
    assert "--target is for one table" in capsys.readouterr().err
    assert cli.main(["evaluate", model, *given, "--epsilon", "5"]) == 0
    shown = capsys.readouterr().out
    assert "row before and row of 'visits'" in shown
    assert "with all its rows in all tables" in shown
    assert cli.main(["receipt", model]) == 0
    assert "(one-way marginals) of 'visits'" in capsys.readouterr().out
    assert cli.main(["verify", model]) == 0
