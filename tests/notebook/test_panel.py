"""The panel: two-way, honest about the budget, reproducible as a cell, and without a private value."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_dpsynth import ConfigPanel, HighDimConfig, HighDimSynthesizer, MetaExtractor
from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.errors import ConfigError, DataError, MetadataError
from jupyter_dpsynth.notebook.magic.grammar import parse_line
from jupyter_dpsynth.notebook.magic.settings import dataset_of, meta_of, settings, table_of
from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
from jupyter_dpsynth.notebook.panel.fields import PRESETS
from jupyter_dpsynth.notebook.panel.question import READING_SECONDS
from jupyter_dpsynth.notebook.session import Session
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.identity import identify_table
from tests.support.models import untrained
from tests.support.tables import EVERY_ROW, every_type_table, mixed_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.notebooks import Shell

MARK = "MARKED-PRIVATE-VALUE"


@pytest.fixture
def panel(shell: Shell) -> Iterator[ConfigPanel]:
    """A panel for a table of 1,777 rows with a private text in it."""
    df = mixed_table(1777)
    df["note"] = "nothing"
    df.loc[3, "note"] = MARK
    df.loc[4, "income"] = 987_654_321.25
    shell.names["table"] = df
    one = ConfigPanel(HighDimConfig(), df)
    yield one
    one.close()


def text_of(panel: ConfigPanel) -> str:
    """Everything that the panel's widgets hold, but their random names: these may hold any four digits."""
    held = json.dumps(list(panel.widget_state().values()), default=str)
    return re.sub(r"IPY_MODEL_[0-9a-f]+", "", held)


def control(panel: ConfigPanel, label: str) -> Any:
    """The control with this label or tooltip."""
    (found,) = (
        each
        for each in panel.widgets()
        if label in {getattr(each, "description", ""), getattr(each, "tooltip", "")}
    )
    return found


def role(panel: ConfigPanel, column: str) -> Any:
    """The choice of what a column is learned as."""
    return next(
        each
        for each in panel.widgets()
        if str(getattr(each, "tooltips", [""])[:1]).startswith(f"('{column}: ")
    )


def columns_shown(panel: ConfigPanel) -> int:
    return sum(getattr(each, "description", "") == "public" for each in panel.widgets())


def learned_with(panel: ConfigPanel, shell: Shell) -> tuple[HighDimConfig, Any]:
    """What the cell that the panel shows would learn with."""
    first, _, body = panel.code().partition("\n")
    parsed = parse_line(first.removeprefix("%%dpsynth "))
    parsed.body = body
    session = shell.ip.magics_manager.registry["DPSynthMagics"].session
    config, schema = settings(session, parsed)
    return config, meta_of(session, parsed, table_of(session, parsed, schema), schema)


def test_there_is_a_labelled_field_with_a_tooltip_for_every_parameter(panel: ConfigPanel) -> None:
    assert set(panel.fields) == set(HighDimConfig.option_names())
    for name, field in panel.fields.items():
        assert field.control.description == field.label != name
        assert field.control.tooltip == HighDimConfig.class_traits()[name].help
        assert field.effect


def test_the_panel_and_the_config_are_one(panel: ConfigPanel) -> None:
    panel.fields["epsilon"].control.value = "0.37"
    assert panel.config.epsilon == 0.37
    panel.config.steps = 123
    assert panel.fields["steps"].control.value == "123"


def test_errors_stand_beside_the_field_also_those_of_two_fields_together(panel: ConfigPanel) -> None:
    panel.calculator.wait()
    field = panel.fields["steps"]
    field.control.value = "2.5"
    assert "whole number" in field.error
    assert 'role="alert"' in field.box.children[1].value
    with pytest.raises(ConfigError, match="correct Steps first"):
        panel.train()
    field.control.value = "100"
    panel.config.epochs = 2
    assert "steps = 100 and epochs = 2" in field.error
    panel.config.epochs = "auto"
    assert field.error == ""


def test_noise_that_is_too_small_is_answered_with_the_noise_that_works(panel: ConfigPanel) -> None:
    panel.calculator.wait()
    panel.config.noise_multiplier = 0.01
    assert re.search(r"Use noise_multiplier >= \d", panel.fields["noise_multiplier"].error)
    assert "No run is possible" in text_of(panel)
    panel.calculator.wait()
    panel.config.noise_multiplier = None
    assert panel.fields["noise_multiplier"].error == ""


def test_a_privacy_unit_is_a_column_of_the_table(panel: ConfigPanel) -> None:
    panel.calculator.wait()
    field = panel.fields["privacy_unit"]
    field.control.value = "groupp"
    assert "Did you mean 'group'" in field.error
    field.control.value = "group"
    assert field.error == ""
    assert panel.config.privacy_unit == "group"
    assert "privacy_unit = 'group'" in panel.code()
    field.control.value = ""
    assert panel.config.privacy_unit is None


@contextlib.contextmanager
def bound_only(panel: ConfigPanel) -> Iterator[None]:
    """What is changed in the block shows its bound there; the exact figures wait for the end of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jupyter_dpsynth.notebook.panel.calculator.SETTLED_SECONDS", 600.0)
        yield
    panel.calculator.update()


def test_what_is_beyond_the_bound_is_worked_out_exactly(panel: ConfigPanel) -> None:
    panel.calculator.wait()
    with bound_only(panel):
        control(panel, "About how many rows").value = "300"
        panel.config.epsilon = 0.1  # possible, but the bound cannot tell
        assert panel.calculator.forecast is None
        assert panel.fields["epsilon"].error == ""
    assert panel.calculator.wait()
    assert panel.calculator.forecast.plan.epsilon <= 0.1
    assert "too few" in panel.calculator.forecast.warnings[0]


def test_presets_set_epsilon_and_the_rest_of_privacy_back(panel: ConfigPanel) -> None:
    panel.config.noise_multiplier, panel.config.delta = 40, 1e-7
    buttons = {
        one.description: one
        for one in panel.widgets()
        if any(words in getattr(one, "description", "") for words in ("Strong", "Balanced", "Loose"))
    }
    assert len(buttons) == len(PRESETS)
    strong = next(one for words, one in buttons.items() if "Strong" in words)
    strong.click()
    assert (panel.config.epsilon, panel.config.noise_multiplier, panel.config.delta) == (0.5, None, None)
    assert [one.icon for one in buttons.values() if one.icon] == [strong.icon]
    panel.config.epsilon = 0.51
    assert not any(one.icon for one in buttons.values())


def test_the_ends_of_the_scale_say_which_way_is_private(panel: ConfigPanel) -> None:
    less, more = (
        next(one for one in panel.widgets() if getattr(one, "description", "") == words)
        for words in ("more privacy", "more accuracy")
    )
    panel.config.epsilon = 0.73
    less.click()
    assert panel.config.epsilon == 0.7
    more.click()
    assert panel.config.epsilon == 1.0


def test_the_calculator_moves_at_once_as_an_upper_bound_and_becomes_exact(panel: ConfigPanel) -> None:
    assert panel.calculator.wait()
    with bound_only(panel):
        panel.config.epsilon = 2.0
        bound = panel.calculator.forecast
        assert bound.accountant == "quick"
        assert "upper bound" in text_of(panel)
    assert panel.calculator.wait()
    exact = panel.calculator.forecast
    assert exact.accountant == "pld"
    assert exact.target == 2.0
    assert exact.plan.noise_multiplier < bound.plan.noise_multiplier
    assert f"epsilon = {epsilon_text(exact.plan.epsilon)} after" in text_of(panel)
    noise = panel.fields["noise_multiplier"]
    assert f"auto: {exact.plan.noise_multiplier:.3g} · " in noise.box.children[1].value
    noise.control.value = "99"
    assert "auto: " not in noise.box.children[1].value


def test_a_forecast_is_never_shown_after_a_newer_one(
    panel: ConfigPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert panel.calculator.wait()
    shown, begun, show = [], threading.Event(), panel.calculator._show

    def slowly() -> None:
        epsilon = panel.calculator.forecast.target
        if threading.current_thread().name == "dpsynth-calculator" and not begun.is_set():
            begun.set()
            time.sleep(0.5)  # as a busy machine may do
        show()
        shown.append(epsilon)

    monkeypatch.setattr(panel.calculator, "_show", slowly)
    panel.config.epsilon = 2.0
    begun.wait()
    panel.config.epsilon = 3.0
    assert panel.calculator.wait()
    assert shown == sorted(shown)


def test_no_private_value_and_no_row_count_is_in_the_widgets(panel: ConfigPanel, shell: Shell) -> None:
    panel.calculator.wait()
    panel.schema.set("age", domain="0, 120")
    shell.names["panel"] = panel
    shown = shell.run("panel.show()").displays
    held = text_of(panel) + panel.code() + json.dumps(shown, default=str)
    assert panel.code().splitlines()[0] in str(shown)
    for secret in (MARK, "987654321", "987_654", "1777", "1,777"):
        assert secret not in held
    assert "note" in held  # names are schema


def test_the_findings_of_the_check_up_hold_no_value_and_can_be_cleared(panel: ConfigPanel) -> None:
    before = len(list(panel.widgets()))
    control(panel, "Check the table").click()
    held = text_of(panel)
    assert "For the owner" in held
    for secret in (MARK, "987654321", "1777", "1,777"):
        assert secret not in held
    control(panel, "Clear").click()
    assert len(list(panel.widgets())) == before
    assert "look at this" not in text_of(panel)


def test_remedies_are_applied_from_the_panel(shell: Shell) -> None:
    df = mixed_table(1500)
    df["uid"] = [f"u{i}" for i in range(1500)]
    panel = ConfigPanel(HighDimConfig(epsilon=0.02), df)
    control(panel, "Check the table").click()
    for button in [one for one in panel.widgets() if getattr(one, "description", "") == "Apply"]:
        button.click()
    assert panel.schema.columns["uid"].role == "identifier"
    assert panel.config.epsilon > 0.02
    control(panel, "Check the table").click()
    assert not [one for one in panel.widgets() if getattr(one, "description", "") == "Apply"]
    panel.close()


def test_an_order_that_the_check_up_finds_is_kept_by_what_the_panel_makes(shell: Shell) -> None:
    df = mixed_table(1500)[["age", "day"]]
    df["back"] = df["day"] + pd.to_timedelta(df["age"] % 9, "D")
    df.loc[:9, "back"] = df["day"] - pd.Timedelta(3, "D")
    panel = ConfigPanel(HighDimConfig(), df)
    control(panel, "Check the table").click()
    control(panel, "Synthesize makes rows with day <= back").click()
    panel._actions._used = untrained(df)
    panel._show_state()
    control(panel, "Synthesize").click()
    made = shell.names["df_synth"]
    assert len(made) > 1000
    assert not (made["day"] > made["back"]).any()
    panel.close()


def test_columns_are_declared_and_the_errors_stand_in_their_row(panel: ConfigPanel) -> None:
    draft = panel.schema
    draft.set("age", domain="120, 0")
    assert "lowest first" in draft.columns["age"].error
    with pytest.raises(MetadataError, match="'age'"):
        panel.train()
    draft.set("age", domain="0, 120")
    draft.set("group", domain="north, south, west")
    draft.set("day", domain="2021-01-01, 2021-12-31")
    draft.set("income", decimals="2")
    draft.set("note", role="ignore")
    assert draft.meta() == MetaExtractor.extract(
        mixed_table(5),
        bounds={"age": (0, 120), "day": ("2021-01-01", "2021-12-31")},
        categories={"group": ["north", "south", "west"]},
        decimals={"income": 2},
    )


def test_the_rows_of_the_table_edit_the_schema_both_ways(panel: ConfigPanel) -> None:
    domain = control(panel, panel.schema.columns["age"].domain_tip)
    domain.value = "0, 99"
    assert panel.schema.meta()["age"].bounds == (0, 99)
    panel.schema.set("age", domain="1, 98", role="identifier")
    assert (domain.value, role(panel, "age").value, domain.disabled) == ("1, 98", "identifier", True)


def test_wide_tables_are_shown_a_page_at_a_time_and_searched(shell: Shell) -> None:
    df = pd.DataFrame({f"c{i:03}": [1, 2] for i in range(100)})
    panel = ConfigPanel(None, df)
    assert columns_shown(panel) < 20
    control(panel, "Find").value = "c09"
    assert columns_shown(panel) == 10
    panel.close()


def test_the_shown_cell_learns_with_the_same_config_and_schema(panel: ConfigPanel, shell: Shell) -> None:
    for changes in (
        {},
        {"epsilon": 0.1 + 0.2, "delta": 1e-7},
        {"noise_multiplier": 7.5, "steps": 77, "batch_size": 128, "num_bins": 12, "n_public": True},
        {"l2_norm_clip": 3.25, "num_microbatches": 8},
        {"num_microbatches": None, "dp_backend": "tensorflow_privacy"},
    ):
        for name, value in changes.items():
            setattr(panel.config, name, value)
        config, meta = learned_with(panel, shell)
        assert config.resolve() == panel.config.resolve()
        assert meta == panel.schema.meta()
    panel.schema.set("group", domain="north, 'so, uth', \"we'st\"")
    panel.schema.set("age", domain="-5, 1e3")
    panel.schema.set("note", role="ignore")
    panel.schema.set("day", domain="2020-02-29, 2021-12-31 23:59")
    panel.schema.set("income", role="identifier")
    config, meta = learned_with(panel, shell)
    assert meta == panel.schema.meta()
    assert meta["group"].categories == ("north", "so, uth", "we'st")
    assert "note" not in meta.names


def test_the_name_in_the_ledger_is_in_the_cell_too(shell: Shell) -> None:
    panel = ConfigPanel(None, mixed_table(50), name="df", dataset="my patients")
    assert panel.dataset == "my patients"
    assert panel.code().startswith("%%dpsynth learn df --dataset 'my patients'\n")
    parsed = parse_line(panel.code().partition("\n")[0].removeprefix("%%dpsynth "))
    assert dataset_of(Session(shell.ip), parsed)[0] == "my patients"
    control(panel, "Dataset").value = " "
    assert panel.dataset is None
    control(panel, "Dataset").value = "x" * 1000
    with pytest.raises(ConfigError, match="Dataset"):
        panel.train()
    panel.close()


def test_a_panel_starts_with_what_is_declared_and_gives_it_back() -> None:
    df = every_type_table()
    declared = {
        "bounds": {"int64": (0, 89), "float64": (-1.5, 2.5), "datetime": ("2020-01-01", "2021-02-03")},
        "categories": {
            "text": ["a", "b", "1", "x, y"],
            "category_int": [3, 7],
            "object": ["a", "'quoted'"],
        },
        "decimals": {"float32": 3},
        "ids": ["unique_text"],
        "ignore": ["mixed"],
    }
    draft = SchemaDraft(FrameSource(df), declared)
    kept = {key: value for key, value in declared.items() if key != "ignore"}
    assert draft.meta() == MetaExtractor.extract(df.drop(columns=["mixed"]), **kept)


def test_a_column_that_cannot_be_learned_is_left_out_and_says_why() -> None:
    df = mixed_table(50)
    df["nested"] = [[1]] * 50
    draft = SchemaDraft(FrameSource(df))
    assert draft.columns["nested"].role == "ignore"
    assert "nested" not in draft.meta().names


def test_the_panel_takes_files_and_its_cell_names_them(shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip("dask.dataframe")
    df = mixed_table(300).assign(note=MARK, raw=b"bytes")
    df.to_parquet(tmp_path / "table.parquet", row_group_size=90)
    one = ConfigPanel(HighDimConfig(n_public=True), f"{tmp_path}/*.parquet")
    assert one.schema.columns["raw"].role == "ignore"
    one.schema.set("raw", role="learn")
    assert "cannot be learned" in one.schema.columns["raw"].error
    for name in ("raw", "note"):
        one.schema.set(name, role="ignore")
    first, *lines = one.code().splitlines()
    assert first == f"%%dpsynth learn '{tmp_path}/*.parquet'"
    assert "ignore = ['note', 'raw']" in lines
    assert one.schema.rows() == one.calculator.rows == 300
    assert MetaExtractor.extract(one.schema.table()) == one.schema.meta()
    assert one.calculator.wait()
    assert one.calculator.forecast.disk_megabytes > 0
    control(one, "Check the table").click()
    assert "For the owner" in text_of(one)
    assert MARK not in text_of(one)
    one.close()
    outcome = shell.run(f"%dpsynth panel '{tmp_path}/*.parquet'")
    assert not outcome.error


def test_user_text_is_escaped(shell: Shell) -> None:
    df = mixed_table(50).rename(columns={"age": "<img src=x onerror=alert(1)>"})
    panel = ConfigPanel(None, df, name="df")
    panel.say("<b>bold</b>")
    for one in panel.widgets():
        if type(one).__name__ == "HTML":
            assert "<img" not in one.value
            assert "<b>bold" not in one.value
    panel.close()


def test_without_a_table_it_edits_the_config_and_cannot_train(shell: Shell) -> None:
    panel = ConfigPanel(HighDimConfig(epsilon=3))
    assert panel.calculator.wait()
    assert panel.calculator.forecast.target == 3
    with pytest.raises(DataError, match="no table"):
        panel.train()
    panel.close()


def test_reopened_or_without_widgets_the_cell_is_what_remains(shell: Shell) -> None:
    text = shell.run("%%dpsynth panel df\nepsilon = 0.25\nignore = ['city']").displays[0]
    assert "application/vnd.jupyter.widget-view+json" not in text
    for kind in ("text/plain", "text/html"):
        assert "%%dpsynth learn df\nepsilon = 0.25\nignore = [" in text[kind]
    shell.run("%config DPSynthMagics.live = 'widget'")
    live, *slots = shell.run("%dpsynth panel df").displays
    assert "application/vnd.jupyter.widget-view+json" in live
    assert "needs a running kernel" in live["text/html"]
    assert slots
    assert all(slot == {"text/plain": ""} for slot in slots)  # nothing to see before there is a result


def test_mistakes_in_the_line_are_one_line(shell: Shell) -> None:
    for line, words in (
        ("%dpsynth panel dff", "Did you mean 'df'"),
        ("%%dpsynth panel df\nepsilonn = 1", "Did you mean 'epsilon'"),
        ("%%dpsynth panel df\nbounds = {'agee': (0, 1)}", "Did you mean 'age'"),
        ("%%dpsynth panel\nids = ['age']", "name the table"),
    ):
        error = shell.run(line).error
        assert words in error
        assert "\n" not in error


@pytest.mark.tensorflow
def test_train_stop_synthesize_compare_and_save(panel: ConfigPanel, shell: Shell, tmp_path: Any) -> None:
    shell.run("%config DPSynthMagics.live = 'text'")
    panel = ConfigPanel(HighDimConfig(), shell.names["table"])
    shell.names["panel"] = panel
    panel.schema.set("note", role="ignore")
    panel.config.steps, panel.config.epsilon = 20_000, 1.5
    shell.run("panel.show()")
    train, stop = control(panel, "Train"), control(panel, "Stop")
    shell.names.update(train=train, compare=control(panel, "Compare"))
    assert not shell.run("train.click()").error
    run = panel._actions.run
    assert train.disabled
    assert not stop.disabled
    assert "(below)" in text_of(panel)  # its display may be out of sight
    with pytest.raises(ConfigError, match="already running"):
        panel.train()
    while run.began is None and run.running:
        run.wait(0.1)
    stop.click()
    assert run.wait(60)
    synthesizer = shell.names["synthesizer"]
    assert synthesizer.stop_reason.value == "stopped"
    end = time.monotonic() + 60
    while train.disabled:  # its display is drawn for the last time
        assert time.monotonic() < end
        time.sleep(0.1)
    assert f"epsilon = {epsilon_text(synthesizer.epsilon)}" in text_of(panel)
    control(panel, "rows").value = "1,234"
    control(panel, "Synthesize").click()
    assert len(shell.names["df_synth"]) == 1234
    assert list(shell.names["df_synth"].columns) == [*mixed_table(1).columns]
    shell.run("compare.click()")
    assert "comparison is below" in text_of(panel)
    control(panel, "file").value = str(tmp_path / "model.dpsynth")
    control(panel, "Save").click()
    assert HighDimSynthesizer.load(tmp_path / "model.dpsynth").epsilon == synthesizer.epsilon
    for secret in (MARK, "987654321", "1777", "1,777"):
        assert secret not in text_of(panel)


@pytest.mark.tensorflow
def test_learning_can_be_awaited_and_cancelled() -> None:
    meta = MetaExtractor.extract(mixed_table(50))

    async def both() -> tuple[HighDimSynthesizer, HighDimSynthesizer, list[Any]]:
        first, reports, beats = HighDimSynthesizer(meta, HighDimConfig(steps=5, batch_size=EVERY_ROW)), [], []

        async def heart() -> None:
            while True:
                beats.append(1)
                await asyncio.sleep(0.01)

        beating = asyncio.create_task(heart())
        assert await first.learn_async(mixed_table(), reports.append) is first
        beating.cancel()
        assert len(beats) > 5  # the loop went on meanwhile
        second = HighDimSynthesizer(meta, HighDimConfig(steps=100_000, batch_size=EVERY_ROW))
        training = asyncio.Event()
        waiting = asyncio.create_task(
            second.learn_async(mixed_table(), lambda report: report.step and training.set())
        )
        await training.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return first, second, reports

    first, second, reports = asyncio.run(both())
    assert first.state == "learned"
    assert reports[-1].phase == "finished"
    assert second.state == "learned"
    assert second.stop_reason is not None
    assert second.stop_reason.value == "stopped"


def test_a_panel_outside_a_notebook_still_edits_the_config() -> None:
    InteractiveShell.clear_instance()
    panel = ConfigPanel(HighDimConfig(), mixed_table(50))
    panel.fields["epsilon"].control.value = "0.2"
    assert panel.config.epsilon == 0.2
    panel.close()


def test_train_asks_before_it_spends_on_data_that_has_cost_something(shell: Shell, tmp_path: Any) -> None:
    df = mixed_table(300)
    panel = ConfigPanel(HighDimConfig(epsilon=0.5), df, name="df")
    begun: list[dict[str, Any]] = []
    panel._actions.train = lambda *_, **given: begun.append(given)  # type: ignore[method-assign]
    box, train = panel._question.box, control(panel, "Train")
    train.click()
    assert (box.layout.display, len(begun)) == ("none", 1)  # nothing was spent before: no question

    earlier = mixed_table(200, seed=1)  # other rows; that it is the same data follows from the columns
    book = PrivacyLedger()
    book.reserve(identify_table(FrameSource(earlier), None, "df"), 1.0, 1e-6)
    train.click()
    assert (box.layout.display, len(begun)) == ("", 1)
    question = panel._question._words.value
    assert 'role="alert"' in question
    assert "has cost epsilon = 1 so far (1 run" in question
    assert "this run reserves 0.5 more" in question
    control(panel, "Cancel").click()
    assert (box.layout.display, len(begun)) == ("none", 1)

    train.click()
    control(panel, "Train again and spend more").click()
    assert begun[-1]["answers"] == {"new_dataset": False, "infinite_total": False}
    train.click()
    control(panel, "It is about other people").click()
    assert begun[-1]["answers"] == {"new_dataset": True, "infinite_total": False}
    assert begun[-1]["cell"].startswith("%%dpsynth learn df --new-dataset\n")
    assert len(begun) == 3

    train.click()
    panel.config.epsilon = 0.25  # the question follows; an answer to what stood there before does not count
    assert "this run reserves 0.25 more" in panel._question._words.value
    control(panel, "Train again and spend more").click()
    assert (box.layout.display, len(begun)) == ("", 3)
    assert "read the question again" in panel._message.value
    time.sleep(READING_SECONDS)
    panel.schema.set("age", domain="120, 0")  # no run is possible with this
    assert box.layout.display == "none"
    assert "lowest first" in panel._message.value
    control(panel, "Train again and spend more").click()
    assert "press Train" in panel._message.value
    assert len(begun) == 3
    panel.schema.set("age", domain="")

    panel.config.privacy_unit = "group"
    train.click()
    assert "The total is then infinite" in panel._question._words.value
    control(panel, "Train again and spend more").click()
    assert begun[-1]["answers"] == {"new_dataset": False, "infinite_total": True}
    panel.close()
