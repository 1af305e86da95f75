"""The magics in a real shell: what is refused, how it is said, and that nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.notebook.magic.descriptions import COMMANDS
from jupyter_dpsynth.privacy.registry import deployment_record
from jupyter_dpsynth.sources.several import TABLE_NAMES
from tests.support.models import untrained
from tests.support.tables import mixed_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.notebooks import Shell

HEAVY = ("tensorflow", "pandas", "matplotlib", "ipywidgets", "dp_accounting")


def test_loading_the_extension_imports_nothing_heavy() -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance();"
        "s.run_line_magic('load_ext', 'jupyter_dpsynth');"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_unloading_leaves_the_shell_as_it_was(shell: Shell) -> None:
    def state() -> dict[str, object]:
        manager = shell.ip.magics_manager
        return {
            "magics": {kind: sorted(manager.magics[kind]) for kind in ("line", "cell")},
            "registry": sorted(manager.registry),
            "configurables": [type(each).__name__ for each in shell.ip.configurables],
            "matchers": list(shell.ip.Completer.custom_matchers),
            "events": {name: list(found) for name, found in shell.ip.events.callbacks.items()},
        }

    shell.run("%unload_ext jupyter_dpsynth")
    before = state()
    shell.run("%load_ext jupyter_dpsynth")
    assert state() != before
    shell.run("%unload_ext jupyter_dpsynth")
    assert state() == before
    assert "not found" in shell.run("%dpsynth status").text


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%dpsynth leran df", "Did you mean 'learn'?"),
        ("%dpsynth learn df --epsilonn 1", "Did you mean '--epsilon'?"),
        ("%dpsynth learn df --ids who", "stands in the cell, below this line: ids = ..."),
        ("%dpsynth learn df --noise 1", "Did you mean '--noise-multiplier'?"),
        ("%dpsynth learn df --epsilon", "--epsilon needs a value"),
        ("%dpsynth learn df --epsilon 1 --epsilon 2", "given twice"),
        ("%dpsynth learn df --on-interrupt never", "keep|raise"),
        ("%dpsynth learn df epsilonn=1", "does not understand 'epsilonn=1'. Did you mean 'epsilon'?"),
        ("%dpsynth learn df epsilon=-1", "epsilon = -1 is not allowed"),
        ("%dpsynth learn df epsilon = -1", "epsilon = -1 is not allowed"),
        ("%dpsynth learn df --epsilon 1,5", "write 1.5."),
        ("%%dpsynth learn df\nepsilon = 1,05", "line 2 of the cell: epsilon = 1,05 is not a number"),
        ("%%dpsynth learn df\nbatch_size = 50,000", "write 50000, or"),
        ("%%dpsynth learn df\nepsilon = $eps", "Write {eps} for the value of a variable, not $eps."),
        ("%dpsynth learn df --epsilon $eps", "Write {eps} for the value of a variable, not $eps."),
        ("%%dpsynth calc df\nprivacy_unit = cty", "privacy_unit = 'cty' is not possible"),
        ("%dpsynth learn df extra", "does not understand 'extra'"),
        ("%dpsynth learn dff", "Did you mean 'df'?"),
        ("%dpsynth learn", "DATAFRAME is missing"),
        ("%dpsynth learn np", "has the type module and is no table"),
        ("%dpsynth learn df -o 1model", "is not a variable name"),
        ("%dpsynth learn df --config df", "is a DataFrame, not a HighDimConfig"),
        ("%%dpsynth learn df\nepsilonn = 1", "line 2 of the cell: 'epsilonn' is not a parameter. Did"),
        ("%%dpsynth learn df\n\n# words\nepsilon: 1", "line 4 of the cell: write one `name = value`"),
        ("%%dpsynth learn df\nepsilon = = 1", "line 2 of the cell: write one `name = value`"),
        ("%%dpsynth learn df\nepsilon = 1\nepsilon = 2", "line 3 of the cell: epsilon is given twice"),
        ("%%dpsynth learn df --epsilon 1\nepsilon = 2", "on the line and in the cell"),
        ("%%dpsynth learn df\nepsilon = -1", "epsilon = -1 is not allowed"),
        ("%%dpsynth learn df\nepsilon = missing", "there is no variable 'missing'"),
        ("%%dpsynth learn df\nsteps = 5\nepochs = 1", "are both given"),
        ("%%dpsynth learn df\nbounds = {'agee': (0, 9)}", "agee"),
        ("%%dpsynth synthesize\n10", "with one percent sign"),
        ("%dpsynth epsilon", "nothing has been learned here yet"),
        ("%dpsynth synthesize 10", "nothing has been learned here yet"),
        ("%dpsynth compare", "nothing has been learned here yet"),
        ("%dpsynth evaluate df --epsilon 0.1", "nothing has been learned here yet"),
        ("%dpsynth evaluate", "DATAFRAME is missing"),
        ("%dpsynth save", "FILE is missing"),
        ("%dpsynth config epsilonn", "Did you mean 'epsilon'?"),
    ],
)
def test_a_mistake_is_answered_with_one_line_that_says_what_to_do(
    shell: Shell, cell: str, message: str
) -> None:
    outcome = shell.run(cell)
    assert message in outcome.error
    assert "TRACEBACK" not in outcome.error
    assert "\n" not in outcome.error
    assert "synthesizer" not in shell.names


def test_an_expression_that_fails_is_not_quoted_with_its_values(shell: Shell) -> None:
    shell.run("marker = {'a': 1}")
    outcome = shell.run("%%dpsynth learn df\nepsilon = marker['SECRET-417']")
    assert "raised KeyError" in outcome.error
    assert outcome.error.count("SECRET-417") == 1  # the source that was typed, not the message


def test_every_sub_command_explains_itself(shell: Shell) -> None:
    names = list(COMMANDS)
    overview = shell.run("%dpsynth").text
    assert names
    for name in names:
        assert overview.count(f"\n  {name} ") == 1
        assert f"%dpsynth {name}" in shell.run(f"%dpsynth help {name}").text
        assert f"%dpsynth {name}" in shell.run(f"%dpsynth {name} --help").text


def test_help_anywhere_on_the_line_runs_nothing(shell: Shell) -> None:
    outcome = shell.run("%dpsynth learn nothing --epsilon 1 --help")
    assert not outcome.error
    for name, value in HighDimConfig().to_dict().items():
        assert f"--{name} VALUE   (default: {value!r})" in outcome.text


def test_help_names_the_number_of_steps_that_a_run_takes() -> None:
    from jupyter_dpsynth.engine.planning.plan import DEFAULT_STEPS

    assert f"'auto' is {DEFAULT_STEPS}." in HighDimConfig.class_traits()["steps"].help


def test_config_lists_every_parameter_with_its_meaning(shell: Shell) -> None:
    (bundle,) = shell.run("%dpsynth config").displays
    for name in HighDimConfig.option_names():
        assert name in bundle["text/plain"]
        assert name in bundle["text/html"]


def test_config_shows_the_values_of_a_config(shell: Shell) -> None:
    shell.run("from jupyter_dpsynth import HighDimConfig; mine = HighDimConfig(epsilon=0.125)")
    (bundle,) = shell.run("%dpsynth config mine").displays
    assert "0.125" in bundle["text/plain"]


def test_traits_of_the_magics_are_configurable(shell: Shell) -> None:
    assert not shell.run("%config DPSynthMagics.on_interrupt = 'raise'").error
    assert "on_interrupt" in shell.run("%config DPSynthMagics").text


def planned(shell: Shell, line: str) -> str:
    """What calc says of a run: it takes its parameters as learn does."""
    outcome = shell.run(line)
    assert not outcome.error
    return str(outcome.displays[0]["text/plain"])


def test_every_parameter_has_a_default_of_the_session(shell: Shell) -> None:
    words = shell.run("%config DPSynthMagics").text
    for name, trait in HighDimConfig.class_traits().items():
        if name in HighDimConfig.option_names():
            assert f"DPSynthMagics.{name}=" in words
            assert str(trait.help).split(".")[0][:60] in " ".join(words.split())
    assert not any(trait.metadata.get("config") for trait in HighDimConfig.class_traits().values())


def test_a_default_of_the_session_is_used_where_nothing_else_is_said(shell: Shell) -> None:
    shell.run("from jupyter_dpsynth import HighDimConfig; mine = HighDimConfig(delta=1e-7)")
    assert "of 0.125" not in planned(shell, "%dpsynth calc df")
    shell.run("%config DPSynthMagics.epsilon = 0.125")
    assert shell.run("%config DPSynthMagics.epsilon").error == ""
    session = shell.ip.magics_manager.registry["DPSynthMagics"].session
    assert session.defaults().epsilon == 0.125
    assert "in this session 0.125" in shell.run("%dpsynth config epsilon").text
    assert "0.125" in planned(shell, "%dpsynth config")
    assert "0.125" in planned(shell, "%dpsynth calc df")
    assert "0.125" not in planned(shell, "%dpsynth calc df --epsilon 2")
    assert "0.125" not in planned(shell, "%dpsynth calc df --config mine")


def test_a_default_for_the_length_gives_way_to_the_other_way_of_saying_it(shell: Shell) -> None:
    shell.run("%config DPSynthMagics.steps = 77")
    assert "77 steps" in planned(shell, "%dpsynth calc df")
    assert "77 steps" not in planned(shell, "%dpsynth calc df --epochs 3")


def test_a_default_that_is_not_allowed_is_refused_in_one_line_and_forgotten(
    shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = shell.run("%config DPSynthMagics.epsilon = -1")
    said = f"{outcome.text}{outcome.error}{caplog.text}"
    assert "epsilon = -1 is not allowed" in said
    assert "Traceback" not in said
    caplog.clear()
    later = shell.run("%config DPSynthMagics.delta = 1e-6")
    assert "epsilon" not in f"{later.text}{later.error}{caplog.text}"
    defaults = shell.ip.magics_manager.registry["DPSynthMagics"].session.defaults()
    assert (defaults.epsilon, defaults.delta) == (1.0, 1e-6)


def test_defaults_can_stand_in_a_configuration_file(shell: Shell) -> None:
    shell.run("%unload_ext jupyter_dpsynth")
    shell.ip.config.DPSynthMagics.epsilon = 0.25
    shell.run("%load_ext jupyter_dpsynth")
    assert shell.ip.magics_manager.registry["DPSynthMagics"].session.defaults().epsilon == 0.25


def test_the_panels_code_says_what_differs_from_the_defaults_of_the_session(shell: Shell) -> None:
    shell.run("%config DPSynthMagics.epsilon = 0.5")
    shell.run("from jupyter_dpsynth import ConfigPanel, HighDimConfig")
    shell.run("code = ConfigPanel(HighDimConfig(), df).code()")
    assert "epsilon = 1.0" in shell.names["code"]


def test_help_names_all_that_a_cell_declares_of_several_tables(shell: Shell) -> None:
    shown = shell.run("%dpsynth help learn").text
    assert [name for name in TABLE_NAMES if f"{name} = " not in shown] == []


def test_question_marks_show_the_help(shell: Shell) -> None:
    for question in ("%%dpsynth?", "%dpsynth?"):
        shell.run(question)
    found = shell.ip.object_inspect_mime("%%dpsynth")["text/plain"]
    assert "%%dpsynth learn df" in found
    assert "%dpsynth learn --help" in found


def test_epsilon_says_whom_it_protects(shell: Shell) -> None:
    synthesizer = untrained(mixed_table(300, seed=71))
    shell.names["synthesizer"] = synthesizer
    assert "any one row of the table" in shell.run("%dpsynth epsilon").text
    synthesizer.config.privacy_unit = "person"
    assert "all rows of any one value of 'person'" in shell.run("%dpsynth epsilon").text


def test_the_record_for_a_registry_is_shown_or_written_and_never_overwritten_by_itself(
    shell: Shell, tmp_path: Path
) -> None:
    shell.names["synthesizer"] = untrained(mixed_table(300, seed=5))
    record = deployment_record(shell.names["synthesizer"].receipt)
    (bundle,) = shell.run("%dpsynth receipt --registry").displays
    assert bundle == {"text/plain": record.to_markdown(), "text/html": record.to_html()}
    shell.names["target"] = str(tmp_path / "record.yaml")
    assert (
        "questions can be answered by a person only"
        in shell.run("%dpsynth receipt --registry --to {target}").text
    )
    assert (tmp_path / "record.yaml").read_text(encoding="utf-8") == record.to_yaml()
    assert "--overwrite" in shell.run("%dpsynth receipt --registry --to {target}").error
    assert "record.yaml" in shell.run("%dpsynth receipt --registry --to {target} --overwrite").text
    assert "--to needs --registry" in shell.run("%dpsynth receipt --to {target}").error
    assert "--overwrite needs --to" in shell.run("%dpsynth receipt --registry --overwrite").error


def test_without_ipywidgets_the_panel_says_what_to_install(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("jupyter_dpsynth.notebook.panel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    error = shell.run("%dpsynth panel df").error
    assert error.startswith("MissingDependencyError: the panel needs ipywidgets")
    assert "%pip install ipywidgets" in error


def test_without_ipywidgets_every_other_command_works() -> None:
    code = """
import pkgutil, sys
sys.modules["ipywidgets"] = None
from IPython.core.interactiveshell import InteractiveShell
import jupyter_dpsynth.notebook.magic as magic
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "jupyter_dpsynth")
for module in pkgutil.iter_modules(magic.__path__, magic.__name__ + "."):
    __import__(module.name)
shell.run_line_magic("dpsynth", "help")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "%dpsynth synthesize 1000" in done.stdout


@pytest.mark.parametrize("line", ["%%dpsynth learn df -o df\nsteps = 4", "%dpsynth load --last -o df"])
def test_an_output_takes_no_tables_name(shell: Shell, line: str) -> None:
    table = shell.names["df"]
    assert "'df' is a table, which would be lost" in shell.run(line).error
    assert shell.names["df"] is table


def test_all_columns_left_out_is_told_as_what_it_is(shell: Shell) -> None:
    line = f"%%dpsynth learn df\nignore = {list(shell.names['df'].columns)!r}"
    assert "ignore names all columns of the table" in shell.run(line).error
