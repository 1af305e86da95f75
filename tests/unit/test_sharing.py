"""`jupyter dpsynth share`: what is for the owner only is not in the copy, and doubt ends in a refusal."""

import json

import nbformat
import pytest

from jupyter_dpsynth import cli
from jupyter_dpsynth.cli.outputs import SIGNS
from jupyter_dpsynth.cli.share import shareable
from jupyter_dpsynth.engine.planning.findings import BANNER as FINDINGS
from jupyter_dpsynth.evaluation.histories import BANNER as HISTORIES
from jupyter_dpsynth.evaluation.report import BANNER as COMPARISON

SECRET = "Zwettl 987654321"
LEDGER = f"This data ('{SECRET}') has cost epsilon = 1 so far (1 run); this run reserves 1 more."
v4 = nbformat.v4


def shown(text, html=""):
    data = {"text/plain": text, **({"text/html": html} if html else {})}
    return v4.new_output("display_data", data=data)


def notebook(*cells):
    """A notebook of (code, outputs) that ran in this order."""
    made = v4.new_notebook()
    for number, (source, *outputs) in enumerate(cells, start=1):
        made.cells.append(v4.new_code_cell(source, outputs=list(outputs), execution_count=number))
    return made


LOAD = ("%load_ext jupyter_dpsynth\nimport pandas as pd\ndf = pd.read_csv('patients.csv')",)
LEARN = ("%%dpsynth learn df\nepsilon = 1", shown(f"✓ Finished\n{LEDGER}\nLearned as 'synthesizer'."))


@pytest.mark.parametrize(
    "source",
    [
        "%dpsynth doctor df",
        "%dpsynth ledger",
        "%dpsynth models",
        "%dpsynth status",
        "%dpsynth compare --original df",
        "%dpsynth report --original df --to out.html",
        "%dpsynth receipt\n%dpsynth doctor df",
    ],
)
def test_what_is_for_the_owner_is_removed_and_said_to_be(source):
    copied, removed, unsure = shareable(notebook(LOAD, LEARN, (source, shown(SECRET))))
    assert SECRET not in nbformat.writes(copied)
    assert "[Removed before sharing: " in copied.cells[-1].outputs[0].text
    assert any(line.startswith("cell 3 (%dpsynth ") for line in removed)
    assert unsure == []


def test_of_a_training_only_the_ledgers_line_goes():
    html = f'<div class="dpsynth-owner" style="color:x">{LEDGER}</div><p>epsilon = 1</p>'
    cell = ("%%dpsynth learn df", shown(f"✓ Finished\n{LEDGER}\nLearned", html))
    copied, removed, unsure = shareable(notebook(LOAD, cell))
    assert SECRET not in nbformat.writes(copied)
    assert copied.cells[1].outputs[0].data["text/plain"] == "✓ Finished\n\nLearned"
    assert "<p>epsilon = 1</p>" in copied.cells[1].outputs[0].data["text/html"]
    assert removed == ["cell 2 (%%dpsynth learn df): the ledger's line"]
    assert unsure == []


@pytest.mark.parametrize(
    "source",
    [
        "df.head()",
        "len(df)",
        "pd.read_csv('patients.csv')",
        "df_synth.iloc[0] = df.iloc[0]\ndf_synth",
        "df_synth = df\ndf_synth.head()",
        "pd.concat([df_synth, df])",
        "pd.io.parsers.read_csv('patients.csv')",
        "import numpy as np\nnp.fromfile('patients.csv')",
        "from pandas import read_csv as cut\ncut('patients.csv')",
        "[x for x in df]",
        "print(open('patients.csv').read())",
        "df_synth.__class__",
        "from jupyter_dpsynth import PrivacyLedger\nPrivacyLedger().summary()",
        "from jupyter_dpsynth.notebook.session import current_session\ncurrent_session().namespace['df']",
        "!cat patients.csv",
        "%whos",
        "df = df.dropna()\ndf.head()",
        "df += 1\ndf",
        "[df for df in [df]]",
        "def show(rows=df):\n    df = 1\n    return rows\nshow()",
        "for df_synth in [df]:\n    print(df_synth)",
        "pd.eval('df')",
        "df_synth.query('age > @df.age.max()')",
        "import patients",
        "%%dpsynth learn df\nbounds = {'age': (df.age.min(), df.age.max())}",
        "%dpsynth synthesize {len(df)}",
        "%dpsynth calc --rows len(df)",
        "def oldest(rows, weights):\n    return df['age'].max()\n%dpsynth ask df oldest --epsilon 1",
    ],
)
def test_what_may_show_private_rows_is_refused_until_the_owner_decides(source):
    cells = LOAD, LEARN, ("%dpsynth synthesize 10",), (source, shown(SECRET))
    made = notebook(*cells)
    _, _, (line,) = shareable(made)
    assert line.startswith("cell 4 (")
    dropped, removed, unsure = shareable(made, drop_unsure=True)
    assert SECRET not in nbformat.writes(dropped)
    assert unsure == []
    assert any(line.startswith("cell 4 (") for line in removed)
    made.cells[3].metadata["tags"] = ["dpsynth-share"]
    copied, _, unsure = shareable(made)
    assert unsure == []
    assert SECRET in nbformat.writes(copied)


@pytest.mark.parametrize(
    "source",
    [
        "df_synth.head()",
        "df_synth.describe().round(2)",
        "young = df_synth[df_synth['age'] < 30]\nyoung",
        "print(len(df_synth), synthesizer.epsilon)",
        "import pandas as pd\npd.concat([df_synth, df_synth])",
        "%dpsynth compare",
        "%dpsynth receipt",
        "%dpsynth ask df income ~ sex --epsilon 0.5",
        "from jupyter_dpsynth import HighDimConfig\nHighDimConfig(epsilon=2)",
        "df_synth.query('age < 30')",
        "for name in df_synth:\n    print(name, df_synth[name].map(lambda value: value + 1).sum())",
        "many = 2 * 5\n%dpsynth synthesize {many} --output more\n%dpsynth compare --report out.html",
        "%%dpsynth learn df\nepsilon = 1\nprivacy_unit = person\nbounds = {'age': (0, 120)}",
    ],
)
def test_what_is_synthetic_or_privatised_stays(source):
    cells = LOAD, LEARN, ("%dpsynth synthesize 10",), (source, shown("a synthetic figure"))
    copied, _, unsure = shareable(notebook(*cells))
    assert unsure == []
    assert "a synthetic figure" in nbformat.writes(copied)


@pytest.mark.parametrize(
    "cells",
    [
        ("other = df_synth", "other['x'] = df['x']", "df_synth"),
        ("box = []", "box.append(df_synth)", "df_synth['x'] = df['x']", "box"),
        ("def rows():\n    return df_synth", "df_synth = df", "rows()"),
        ("def swap():\n    global df_synth\n    df_synth = df", "%dpsynth synthesize 5", "df_synth"),
        ("%%time\ndf_synth = df", "df_synth"),
        ("%run prepare.py", "df_synth"),
        ("from prepare import *", "df_synth"),
        ("[df for df in [1]]", "df"),
        ("%dpsynth doctor df --convert df_synth", "df_synth"),
        ("df_synth = df", "%dpsynth synthesize 10 output=made", "df_synth"),
        ("while len(df_synth) > 1:\n    shown = df_synth\n    df_synth = df", "shown"),
    ],
)
def test_a_variable_is_known_only_while_nothing_else_can_have_been_bound_to_it(cells):
    last = (cells[-1], shown(SECRET))
    made = notebook(LOAD, LEARN, ("%dpsynth synthesize 10",), *((each,) for each in cells[:-1]), last)
    _, _, (line,) = shareable(made)
    assert line.startswith(f"cell {len(made.cells)} (")


def test_what_a_cell_sets_is_not_known_if_it_failed_or_did_not_run():
    failed = v4.new_output("error", ename="ConfigError", evalue="--rows", traceback=[])
    _, _, (line,) = shareable(notebook(LOAD, ("%dpsynth shield df --rows x", failed), ("df", shown(SECRET))))
    assert line.startswith("cell 3 (df)")
    made = notebook(LOAD, ("df = pd.DataFrame()",), ("df", shown(SECRET)))
    made.cells[1].execution_count, made.cells[2].execution_count = None, 2
    _, _, (line,) = shareable(made)
    assert line.startswith("cell 3 (df)")


def test_code_after_a_cell_that_is_gone_is_not_trusted_until_what_it_uses_is_made_again():
    cells = LOAD, LEARN, ("%dpsynth synthesize 10",), ("df_synth", shown("made"))
    made = notebook(*cells)
    made.cells[3].execution_count = 5  # the fourth may have been `df_synth = df`
    _, _, (line,) = shareable(made)
    assert "restart, run all" in line
    again = notebook(*cells)
    again.cells[2].execution_count, again.cells[3].execution_count = 5, 6
    assert shareable(again)[2] == []


def test_that_a_model_of_the_same_rows_is_kept_is_for_the_owner():
    question = (
        f"The same table was learned with the same settings before, and the model is kept ({SECRET}).\n"
        "'use' takes it and spends nothing; 'again' spends epsilon = 1 once more. In the cell's "
        "first line, --reuse or --again answers beforehand.\nuse, again or cancel: use\n"
        f"synthesizer is the kept model of the same table and settings: {SECRET}. Nothing was spent.\n"
    )
    told = v4.new_output("stream", name="stdout", text=question)
    copied, removed, unsure = shareable(notebook(LOAD, ("%dpsynth learn df", told)))
    assert copied.cells[1].outputs == []
    assert removed == ["cell 2 (%dpsynth learn df): the ledger's line"]
    assert unsure == []


def test_metadata_of_other_programs_go_and_pasted_pictures_are_asked_about():
    made = notebook(LOAD)
    made.metadata["papermill"] = {"exception": SECRET}
    made.cells[0].metadata["papermill"] = {"exception": SECRET}
    picture = {"a.png": {"image/png": SECRET}}
    made.cells.append(v4.new_markdown_cell("![a](attachment:a.png)", attachments=picture))
    _, _, (line,) = shareable(made)
    assert line.startswith("cell 2 (![a](attachment:a.png)): pictures")
    copied, removed, unsure = shareable(made, drop_unsure=True)
    assert SECRET not in nbformat.writes(copied)
    assert (removed, unsure) == ([line], [])
    made.cells[1].metadata["tags"] = ["dpsynth-share"]
    assert SECRET in nbformat.writes(shareable(made)[0])


def test_learning_in_python_gives_what_may_be_shown():
    code = (
        "from jupyter_dpsynth import HighDimSynthesizer, MetaExtractor\n"
        "synthesizer = HighDimSynthesizer(MetaExtractor.extract(df))\nsynthesizer.learn(df)\n"
        "made = synthesizer.synthesize(10)\nmade"
    )
    copied, _, unsure = shareable(notebook(LOAD, (code, shown(f"{LEDGER}\nmade of it"))))
    assert unsure == []
    assert "made of it" in nbformat.writes(copied)
    assert SECRET not in nbformat.writes(copied)


def test_cells_that_ran_in_another_order_are_not_trusted():
    made = notebook(LOAD, LEARN, ("%dpsynth synthesize 10",), ("df_synth", shown("rows")))
    made.cells[2].execution_count = 9  # df_synth may have been something else when it was shown
    _, _, (line,) = shareable(made)
    assert "another order" in line


def test_a_traceback_is_not_trusted_and_the_state_of_widgets_goes():
    error = v4.new_output("error", ename="ValueError", evalue=SECRET, traceback=[SECRET])
    made = notebook(LOAD, ("%dpsynth epsilon", error))
    made.metadata["widgets"] = {"state": SECRET}
    _, _, (line,) = shareable(made)
    assert "an error that other code has raised" in line
    assert SECRET not in nbformat.writes(shareable(made, drop_unsure=True)[0])


@pytest.mark.parametrize("banner", [FINDINGS, COMPARISON, HISTORIES])
def test_what_carries_a_banner_of_ours_is_removed_whatever_its_cell_says(banner):
    assert any(sign in banner for sign in SIGNS)
    made = notebook(LOAD, ("df_report", shown(f"{banner} {SECRET}")))
    made.cells[1].metadata["tags"] = ["dpsynth-share"]
    assert SECRET not in nbformat.writes(shareable(made)[0])


def test_the_command_writes_a_copy_and_a_page_or_nothing(tmp_path, capsys):
    path = tmp_path / "work.ipynb"
    cells = LOAD, LEARN, ("%dpsynth doctor df", shown(SECRET)), ("df.head()", shown(SECRET))
    nbformat.write(notebook(*cells), path)
    before = path.read_bytes()
    assert cli.main(["share", str(path)]) == 1
    assert "cell 4 (df.head())" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]
    assert cli.main(["share", str(path), "--drop-unsure"]) == 0
    assert "Removed, 3:" in capsys.readouterr().out
    for name in ("work-shared.ipynb", "work-shared.html"):
        assert SECRET not in (tmp_path / name).read_text(encoding="utf-8")
    assert path.read_bytes() == before
    assert cli.main(["share", str(path), "--drop-unsure"]) == 1
    assert "exists already" in capsys.readouterr().err
    (tmp_path / "no.ipynb").write_text(json.dumps({"cells": 3}))
    assert cli.main(["share", str(tmp_path / "no.ipynb")]) == 1
    assert "is no notebook" in capsys.readouterr().err
