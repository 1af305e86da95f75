"""No private value is in a notebook: outputs, errors, widget state, logs, stderr, `%tb`, `sys.last_value`.

One notebook does everything that the extension offers, on a table with planted values, with logging at
DEBUG level. A new command or widget is one more cell of `CELLS`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from jupyter_dpsynth.evaluation.report import BANNER
from jupyter_dpsynth.notebook.show.drilldown import REOPENED
from tests.support.leaks import DELTA, assert_clean, counts_in, without_pictures
from tests.support.notebooks import ThisPython

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

ROOT = Path(__file__).parents[2]

SETUP = f"""\
import logging, sys, warnings
sys.path.insert(0, {str(ROOT)!r})
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
warnings.simplefilter("always")
from tests.support.leaks import leaking, planted_table
df = planted_table()
%load_ext jupyter_dpsynth
%config DPSynthMagics.warm_tensorflow = False
%config DPSynthMagics.live = "widget"
"""
SAMPLED = f'epsilon = 1.0\ndelta = {DELTA}\nsteps = {{steps}}\nids = ["key"]'
BODY = SAMPLED + "\nbatch_size = 100_000_000"  # every row in each step: the accountant has a closed form
INTERRUPT = """\
import _thread, threading, time

def interrupt():
    while session.run.name != "stopped" or not session.run.curve:  # until it trains
        time.sleep(0.1)
    _thread.interrupt_main()

session = get_ipython().magics_manager.registry["DPSynthMagics"].session
threading.Thread(target=interrupt, daemon=True).start()
"""
FAIL = "import jupyter_dpsynth.engine.measuring.categories as categories\nkept = categories.factorize\n"
LAST = """\
chain, error = [], sys.last_value
while error is not None:
    chain.append(repr(error) + repr(error.args))
    error = error.__cause__ or error.__context__
print(len(chain), chain)
"""

#: Name and source of each cell; the names say what is looked at.
CELLS = {
    "set-up": SETUP,
    "learn": "%%dpsynth learn df -o first\n" + SAMPLED.format(steps=20),
    "status": "%dpsynth status",
    "epsilon": "%dpsynth epsilon",
    "receipt": "%dpsynth receipt",
    "receipt as a value": "first.receipt",
    "record for a registry": "%dpsynth receipt --registry",
    "record for a registry as a value": "from jupyter_dpsynth.privacy.registry import deployment_record\n"
    "deployment_record(first.receipt)",
    "synthesize": "%dpsynth synthesize 300 -o made -s first\nmade.drop(columns='key')",
    "compare": "%dpsynth compare made -s first -o report",
    "compare by groups": "%dpsynth compare made -s first --by group",
    "report": "import tempfile, os\n"
    "page = os.path.join(tempfile.mkdtemp(), 'report.html')\n%dpsynth report made -s first --to {page}\n"
    "print(open(page, encoding='utf-8').read())",
    "compare as a value": "[report, report.per_column, report.to_frame()]",
    "compare the original as if it were synthetic": "%dpsynth compare df -s first",
    "evaluate": "%dpsynth evaluate df made --epsilon 2 -s first --target group -o quality",
    "evaluate as a value": "[quality, quality.per_column, quality.per_pair, quality.to_frame()]",
    # once in a hundred times the noise on the row count hides it
    "evaluate with too little": "for _ in range(5):\n"
    "    get_ipython().run_line_magic('dpsynth', 'evaluate df made --epsilon 0.0001 -s first')",
    "evaluate the original as if it were synthetic": "%dpsynth evaluate df df --epsilon 1 -s first",
    "save": "import tempfile, os\n"
    "file = os.path.join(tempfile.mkdtemp(), 'model.dps')\n%dpsynth save {file} -s first",
    "load": "%dpsynth load {file} -o again",
    "kept models": "%dpsynth models\n%dpsynth load --last -o again",
    "the synthesizer as a value": "[first, again, first.reference, first.codec, first.df_meta]",
    "interrupt": INTERRUPT + "get_ipython().run_cell_magic("
    f"'dpsynth', 'learn df -o stopped', {BODY.format(steps=200_000)!r})",
    "learn in the background": "%%dpsynth learn df -o behind --background\n" + BODY.format(steps=30),
    "status meanwhile": "%dpsynth status",
    "the end of the background": "run = get_ipython().magics_manager.registry['DPSynthMagics'].session.run\n"
    "print(run.wait(120))\n%dpsynth status",
    "a library fails": FAIL + "categories.factorize = leaking\n"
    f"get_ipython().run_cell_magic('dpsynth', 'learn df -o failed', {BODY.format(steps=2)!r})",
    "%tb": "%tb",
    "sys.last_value": LAST,
    "%tb, verbosely": "%xmode Verbose\n%tb\n%xmode Context",
    "a library fails in the background": "get_ipython().run_cell_magic('dpsynth', "
    f"'learn df -o failed --background', {BODY.format(steps=2)!r})\n"
    "print(get_ipython().magics_manager.registry['DPSynthMagics'].session.run.wait(120))",
    "status after a failure": "categories.factorize = kept\n%dpsynth status",
    "an expression fails": "%dpsynth learn df --epsilon {dict(north=1)[df.loc[df.index[17],'group']]}",
    "a table as a parameter": "%%dpsynth learn df\nepsilon = df",
    "a table as a number of rows": "%dpsynth synthesize {df} -s first",
    "what was raised by them": LAST,
    "ledger": "%dpsynth ledger",
    "panel": "%dpsynth panel df",
    "calc": "%dpsynth calc df",
    "too few rows": "few = df.iloc[15:20]\n%dpsynth learn few",
    "no rows": "none = df.head(0)\n%dpsynth learn none",
    "a wrong column": "renamed = df.rename(columns={'age': 'years'})\n"
    "meta = first.df_meta\n%dpsynth learn renamed --meta meta",
    "compare with other columns": "%dpsynth compare renamed -s first",
    "the noisy count": "print(*(x.reference.rows for x in (first, stopped, behind)), round(quality.rows))",
}
#: Explicitly not private: must carry the banner.
ORIGINAL = "%dpsynth compare made --original df -s first -o open_report"
FAILING = {
    "compare the original as if it were synthetic",
    "evaluate with too little",
    "evaluate the original as if it were synthetic",
    "a library fails",
    "%tb",
    "%tb, verbosely",
    "an expression fails",
    "a table as a parameter",
    "a table as a number of rows",
    "too few rows",
    "no rows",
    "a wrong column",
    "compare with other columns",
}


class Recorder(NotebookClient):
    """Executes a notebook and keeps every message of the kernel, widget traffic included."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        self.messages.append((cell_index, json.dumps(msg["content"], default=str)))
        return super().process_message(msg, cell, cell_index)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The executed notebook, everything that the kernel sent, and its standard streams."""
    from jupyter_client.manager import AsyncKernelManager

    folder = tmp_path_factory.mktemp("notebook")
    sources = [*CELLS.values(), ORIGINAL]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    manager = AsyncKernelManager(kernel_name="dpsynth-test", kernel_spec_manager=ThisPython())
    client = Recorder(
        notebook,
        km=manager,
        kernel_name="dpsynth-test",
        timeout=300,
        allow_errors=True,
        store_widget_state=True,
    )
    client.messages = []
    streams = folder / "streams.txt"
    with streams.open("wb") as sink:
        client.execute(stdout=sink, stderr=sink, cwd=str(folder))
    return {
        "notebook": notebook,
        "messages": client.messages,
        "streams": streams.read_text(errors="replace"),
    }


def of_cell(executed: dict[str, Any], name: str) -> str:
    """What the kernel sent while a cell ran, and what the notebook keeps of it."""
    index = list(CELLS).index(name)
    kept = nbformat.from_dict(executed["notebook"]).cells[index].get("outputs", [])
    return json.dumps(kept) + "".join(text for at, text in executed["messages"] if at == index)


def errors_of(executed: dict[str, Any], name: str) -> list[Any]:
    cell = executed["notebook"].cells[list(CELLS).index(name)]
    return [output for output in cell.outputs if output.output_type == "error"]


@pytest.mark.long
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_shows_no_planted_value(executed: dict[str, Any], name: str) -> None:
    source = json.dumps(CELLS[name])[1:-1]
    shown = of_cell(executed, name).replace(source, "")
    assert_clean(shown, f"the cell {name!r}")


@pytest.mark.long
def test_the_cells_did_what_they_are_for(executed: dict[str, Any]) -> None:
    """The search means something only if learning, stopping and failing really happened."""
    for name in CELLS:
        found = errors_of(executed, name)
        assert bool(found) == (name in FAILING), (name, found)
        for error in found:
            assert len(error.traceback) == 1, name  # one line
    assert "Stopped by you" in of_cell(executed, "interrupt")
    assert "inside a library" in of_cell(executed, "a library fails")
    assert "too few rows" in of_cell(executed, "no rows")
    assert re.search(r"True.*Failed", of_cell(executed, "status after a failure") + "True Failed")
    assert "1 [" in of_cell(executed, "sys.last_value")
    assert "1 [" in of_cell(executed, "what was raised by them")
    assert "DEBUG" in "".join(of_cell(executed, name) for name in CELLS)


@pytest.mark.long
def test_the_widgets_state_shows_no_planted_value(executed: dict[str, Any]) -> None:
    """What was sent to the widgets while they lived; none of it stays in the notebook."""
    sent = [text for _, text in executed["messages"] if '"comm_id"' in text]
    assert any("step" in text for text in sent)
    assert_clean("".join(sent), "the widgets' messages")
    assert_clean(json.dumps(executed["notebook"].metadata), "the notebook's metadata")


@pytest.mark.long
def test_what_the_kernel_writes_elsewhere_shows_no_planted_value(executed: dict[str, Any]) -> None:
    assert_clean(executed["streams"], "the kernel's own stderr")


@pytest.mark.long
def test_the_notebook_shows_no_exact_row_count(executed: dict[str, Any]) -> None:
    """Unless one of the noisy counts happens to be the exact one."""
    noisy = of_cell(executed, "the noisy count")
    if counts_in(noisy):
        pytest.skip("a noisy count is the exact one: that happens by chance")
    for name in CELLS:
        text = re.sub(r'"(model_id|comm_id|msg_id)": "[^"]*"', "", of_cell(executed, name))
        assert not counts_in(without_pictures(text)), name


@pytest.mark.long
def test_the_comparison_with_the_original_carries_its_banner(executed: dict[str, Any]) -> None:
    outputs = executed["notebook"].cells[-1].outputs
    bundles = [output.data for output in outputs if "data" in output]
    assert bundles, outputs
    comparisons = [bundle for bundle in bundles if bundle["text/plain"] not in ("", REOPENED)]
    assert comparisons, bundles
    for bundle in comparisons:
        for kind in ("text/plain", "text/html"):
            assert BANNER in bundle[kind]
