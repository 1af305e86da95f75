"""`ConfigPanel`: fields for parameters and columns, a privacy calculator, and buttons to train.

The panel shows a `HighDimConfig` and changes it; the config can be changed from Python as well, and the panel
follows. Its widgets contain what the user declares and noisy results, never a value or a count of the table.
The one exception, made only on request and labelled as such, are the findings of the check-up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from markupsafe import Markup

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.display.html import INK, MUTED, details, join, note
from jupyter_dpsynth.engine.planning.counting import NOMINAL_DELTA
from jupyter_dpsynth.errors import ConfigError, DataError, DPSynthError
from jupyter_dpsynth.notebook.output import (
    STYLED,
    in_voila,
    mime_bundle,
    publish,
    style_widget,
)
from jupyter_dpsynth.notebook.panel.actions import Actions
from jupyter_dpsynth.notebook.panel.buttons import Buttons
from jupyter_dpsynth.notebook.panel.calculator import LiveCalculator
from jupyter_dpsynth.notebook.panel.checkup import CheckUp
from jupyter_dpsynth.notebook.panel.clicks import Clicks
from jupyter_dpsynth.notebook.panel.columns import ColumnTable
from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
from jupyter_dpsynth.notebook.panel.fields import (
    FIELD_LAYOUT,
    LABEL_WIDTH,
    EpsilonScale,
    Pages,
    all_fields,
    note_widget,
    preset_buttons,
    short_text,
)
from jupyter_dpsynth.notebook.panel.parts import automatic_words, heading, name_of, page, plain
from jupyter_dpsynth.notebook.panel.persons import PersonsTables
from jupyter_dpsynth.notebook.panel.question import SpendingQuestion
from jupyter_dpsynth.notebook.session import current_session
from jupyter_dpsynth.notebook.show.drawing import cell_html
from jupyter_dpsynth.notebook.show.following import DEFAULT_NAME
from jupyter_dpsynth.notebook.show.moment import moment_of
from jupyter_dpsynth.privacy.composition import provisional_spending
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity, label_of
from jupyter_dpsynth.privacy.ledger.summary import check_dataset_name
from jupyter_dpsynth.sources.identity import columns_of
from jupyter_dpsynth.sources.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_dpsynth.engine.planning.findings import Finding
    from jupyter_dpsynth.engine.planning.forecast import Forecast
    from jupyter_dpsynth.kept_models import KeptModel
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.privacy.ledger.datasets import LedgerAnswers
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["ConfigPanel"]

TABS = ("Privacy", "Steps", "Columns", "Check-up")
NO_TABLE = "no table: %dpsynth panel DATAFRAME, or ConfigPanel(config, df)"
REOPENED = "There was a panel here; it needs a running kernel. The training started from it is shown below."
BEGAN = "Settings it was opened with"
NEEDS_NOTEBOOK = "The panel needs a notebook with widgets. This cell does the same:"


class ConfigPanel:
    """A panel for a config and a table.

    Args:
        config: Shown and changed; a new one by default.
        df: The private table, in any form that `HighDimSynthesizer.learn` takes; without it the panel only
            edits the config.
        name: How the table is called in the user's session; found by itself if not given.
        output: Name of the variable for the synthesizer.
        declared: What is declared of the columns, as `MetaExtractor.extract` and `ignore` take it.
        dataset: Name of the dataset in the ledger.

    Attributes:
        config: The config.
        schema: What is declared of the columns, editable; None without a table.
        persons: The tables in which a person has any number of rows, editable.
        box: The widget, for layouts of one's own.
        calculator: The privacy calculator.

    Example:
        >>> panel = ConfigPanel(HighDimConfig(epsilon=0.5))  # doctest: +SKIP
        >>> panel.config.epsilon = 2  # and the panel shows 2  # doctest: +SKIP
    """

    def __init__(
        self,
        config: HighDimConfig | None = None,
        df: object = None,
        *,
        name: str | None = None,
        output: str = DEFAULT_NAME,
        declared: Mapping[str, Any] | None = None,
        dataset: str | None = None,
    ) -> None:
        if config is not None and not isinstance(config, HighDimConfig):
            raise ConfigError(f"config is a {type(config).__name__}: pass a HighDimConfig.")
        if df is None and declared:
            raise DataError("to declare something about columns, name the table: %dpsynth panel DATAFRAME.")
        self.config = HighDimConfig() if config is None else config
        session = current_session()
        self._front_end = session.front_end()
        self.name = name or name_of(df, session.namespace)
        self.persons = PersonsTables(self.name, session.namespace, declared or {})
        self.schema = (
            None if df is None else SchemaDraft(open_source(df), self.persons.of_table, name or "df")
        )
        self._actions = Actions(session, output, self.say, self._show_state)
        self._build(dataset or "")
        self._show_state()
        self.calculator.update()

    def _build(self, dataset: str) -> None:
        """Make the widgets."""
        self._dataset = short_text(
            "Dataset",
            "The dataset's name in the ledger; all tables learned under one name count together",
            "no name",
            "250px",
        )
        self._dataset.value, self._dataset.style = dataset, {"description_width": LABEL_WIDTH}
        self.fields = all_fields(self.config)
        self._scale = EpsilonScale(self.config)
        self._clicks = Clicks(self.say)
        self._buttons = Buttons(self._actions, self._ask_or_train, self._toggle_code, self._clicks)
        self._question = SpendingQuestion(self._train_as_answered, self._actions.use, self.say, self._clicks)
        self._message = widgets.HTML(layout={"min_height": "22px", "margin": "2px 0"})
        self._message.add_class("dpsynth-message")
        self.calculator = LiveCalculator(
            self.config,
            self._meta_or_assumed,
            self._told,
            self._public_rows,
            lambda: self._actions.running,
            partitioned=self.schema is not None and self.schema.partitioned,
            copied=self.schema is not None and self.schema.copied,
        )
        if self.schema is not None:
            self.schema.observe(lambda _: self.calculator.update())
            self.persons.observe(self.calculator.update)
            self.schema.observe(self._ask_again)
            self.persons.observe(self._ask_again)
        self.config.observe(self._ask_again)
        self._dataset.observe(self._ask_again, "value")
        pages = self._privacy_tab(), self._training_tab(), self._columns_tab(), self._checkup_tab()
        self._tabs = Pages(dict(zip(TABS, pages, strict=True)))
        left = widgets.VBox(
            [self._tabs.box], layout={"flex": "1 1 570px", "min_width": "0", "overflow": "visible"}
        )
        right = widgets.VBox(
            [heading("Privacy calculator"), self.calculator.box],
            layout={"flex": "1 1 380px", "min_width": "0", "padding": "0 0 0 10px", "overflow": "visible"},
        )
        upper = widgets.HBox(
            [left, right], layout={"flex_flow": "row wrap", "overflow": "visible", "width": "100%"}
        )
        self._code = widgets.Textarea(
            description="The same as a cell",
            tooltip="Copy this into a cell; it trains with the same settings",
            style={"description_width": "auto"},
            layout={"width": "calc(100% - 4px)", "display": "none"},
        )
        self.box = widgets.VBox(
            [
                style_widget(),
                self._title(),
                self._buttons.box,  # above everything that may be longer than the screen
                self._question.box,
                self._message,
                self._code,
                upper,
                self.calculator.facts,
            ],
            layout={"overflow": "visible", "width": "100%", "max_width": "1180px"},
        )
        self.box.add_class(STYLED)

    def _title(self) -> widgets.HBox:
        table = NO_TABLE if self.schema is None else f"{self.name}, {len(self.schema.columns)} columns"
        title = widgets.HTML(
            Markup(
                '<div style="color:{};font-size:15px"><b>Private synthetic data</b> '
                '<span style="color:{};font-size:13px">{}</span></div>'
            ).format(INK, MUTED, table),
            layout={"flex": "1 1 240px"},
        )
        return widgets.HBox(
            [title, preset_buttons(self.config)],
            layout={"flex_flow": "row wrap", "align_items": "center", "margin": "0 0 6px 0"},
        )

    def _privacy_tab(self) -> widgets.VBox:
        epsilon, *rest = (field.box for field in self.fields.values() if field.group == "privacy")
        words = "a name that you choose; the ledger adds up all runs under it"
        ledger = widgets.HBox([self._dataset, note_widget(words)], layout=FIELD_LAYOUT)
        belong = [] if self.schema is None else [self.persons.box]
        return page([epsilon, self._scale.box, *rest, *belong, ledger])

    def _training_tab(self) -> widgets.VBox:
        return page([field.box for field in self.fields.values() if field.group != "privacy"])

    def _columns_tab(self) -> widgets.VBox:
        if self.schema is None:
            return page([plain(f"There is {NO_TABLE}.")])
        self._columns = ColumnTable(self.schema)
        return page([self._columns.box])

    def _checkup_tab(self) -> widgets.VBox:
        if self.schema is None:
            return page([plain(f"There is {NO_TABLE}.")])
        self._checkup = CheckUp(
            self.config, self.schema, self._actions.orders, self._show_column, self.say, self._histories
        )
        return page([self._checkup.box])

    def _histories(self) -> list[Finding]:
        """What the check-up finds in the tables that are learned together with the panel's."""
        if self.schema is None:
            return []
        return self.persons.examined(self.schema, self.config.privacy_unit)

    def show(self) -> None:
        """Show the panel in the cell that is running, with room for the results under it."""
        if in_voila():
            self.put_results_inside()
            publish(self._bundle())
            return
        publish(self._bundle())
        if self._front_end != "terminal":
            self._actions.open_results(self._front_end)

    def put_results_inside(self) -> None:
        """Show results in the panel's own widget, for a page that shows no outputs of cells."""
        self.box.children = (*self.box.children, *self._actions.results_as_widgets())

    def _ipython_display_(self) -> None:
        """What a notebook shows."""
        self.show()

    def _repr_html_(self) -> str:
        """What marimo shows, which has neither IPython nor ipywidgets."""
        return str(cell_html(NEEDS_NOTEBOOK, self.code()))  # marimo takes no subclass

    def _bundle(self) -> dict[str, Any]:
        """The widget, and a text for front ends without widgets."""
        code = self.code()
        live = self._front_end == "widget"
        words = REOPENED if live else NEEDS_NOTEBOOK
        markup = cell_html(NEEDS_NOTEBOOK, code)
        if live:  # what was trained says its settings itself
            markup = note(join([words, details(BEGAN, cell_html("", code))]))
        return mime_bundle(f"{words}\n\n{code}", markup, self.box if live else None)

    def widgets(self) -> Iterator[Any]:
        """All widgets of the panel."""
        waiting, seen = [self.box], set()
        while waiting:
            one = waiting.pop()
            if one.model_id in seen:
                continue
            seen.add(one.model_id)
            yield one
            held = [getattr(one, name) for name in one.keys]
            waiting += [
                each
                for value in held
                for each in (value if isinstance(value, tuple | list) else [value])
                if isinstance(each, widgets.Widget)
            ]

    def widget_state(self) -> dict[str, Any]:
        """State of all widgets by their id: what a notebook would save."""
        return {one.model_id: one.get_state() for one in self.widgets()}

    def say(self, words: str) -> None:
        """Show a sentence under the buttons."""
        self._message.value = Markup(
            '<div role="status" style="color:{};font-size:13px;line-height:18px;white-space:normal">{}</div>'
        ).format(INK, words)

    def code(self, answers: LedgerAnswers | None = None) -> str:
        """The `%%dpsynth learn` cell that trains with the same parameters and columns.

        Args:
            answers: What is answered to the ledger; no by default.
        """
        usual = HighDimConfig().to_dict(), self._actions.session.defaults().to_dict()
        output = self._actions.output
        head = f"%%dpsynth learn {self.name}" + (f" -o {output}" if output != DEFAULT_NAME else "")
        if self.dataset is not None:
            head += f" --dataset {self.dataset if self.dataset.isidentifier() else repr(self.dataset)}"
        head += "".join(f" --{name.replace('_', '-')}" for name, given in (answers or {}).items() if given)
        lines = [
            f"{key} = {value!r}"
            for key, value in self.config.to_dict().items()
            if key == "epsilon" or any(value != defaults[key] for defaults in usual)
        ]
        return "\n".join(
            [head, *lines, *(self.persons.lines(self.schema) if self.schema is not None else ())]
        )

    @property
    def dataset(self) -> str | None:
        """Name of the dataset in the ledger, None if none is given."""
        return self._dataset.value.strip() or None

    def train(self, *, new_dataset: bool = False, infinite_total: bool = False) -> None:
        """Start a training with the panel's settings, without the question that the button may ask.

        Args:
            new_dataset: As for `HighDimSynthesizer.learn`.
            infinite_total: As for `HighDimSynthesizer.learn`.

        Raises:
            ConfigError: A field is not allowed, or a training runs already.
            MetadataError: A declaration does not fit.
            DataError: There is no table.
        """
        schema = self._checked()
        self._question.hide()
        answers: LedgerAnswers = {"new_dataset": new_dataset, "infinite_total": infinite_total}
        self._actions.train(
            *self.persons.opened(schema, self.config.privacy_unit),
            self.config,
            dataset=self.dataset,
            label=label_of(self.name),
            answers=answers,
            cell=self.code(answers),
        )

    def _train_as_answered(self, answers: LedgerAnswers) -> None:
        self.train(**answers)

    def _ask_or_train(self) -> None:
        """What the button does: ask first if the data has cost something, or columns would come out empty."""
        self._actions.session.check_nothing_runs()
        if not self._ask():
            self.train()

    def _ask(self) -> bool:
        """Show what has to be asked before a training with these settings; returns whether anything has.

        Privacy:
            The question follows from public names alone; no row is read for it.
        """
        schema = self._checked()
        config = self.config.resolve()
        with schema.table() as table:
            name = self.dataset or table.described.attrs.get("dataset")
            identity = TableIdentity(None, name, label_of(self.name), columns_of(table))
        epsilon = config.epsilon if config.differential_privacy else math.inf
        further = provisional_spending(epsilon, config.delta or NOMINAL_DELTA, config.unit_text)
        account = PrivacyLedger().account(identity, further)
        empty = self._empty_words()
        if account.runs or empty:
            kept = self._kept_model() if account.runs else None
            self._question.ask(account, epsilon, config.unit_text, kept, empty)
        return bool(account.runs or empty)

    def _ask_again(self, _change: object = None) -> None:
        """Have an open question follow the fields: it is about what an answer would spend."""
        if not self._question.is_open:
            return
        try:
            if not self._ask():
                self._question.hide()
        except DPSynthError as error:
            self._question.hide()
            self.say(f"⚠ {error}")
        else:
            self._question.has_changed()

    def _empty_words(self) -> str:
        """Which columns would or may come out empty, in words; empty if none."""
        from jupyter_dpsynth.engine.planning.emptiness import emptiness_question

        if self.persons.used:  # expected of one table only
            return ""
        return emptiness_question(self.config.resolve(), self._checked().meta(), self._public_rows())

    def _kept_model(self) -> KeptModel | None:
        """The newest kept model of a table with these columns and settings, if there is one.

        Privacy:
            Whether the rows are the same is not looked at: the answer would stay in the widget's state.
        """
        from jupyter_dpsynth.kept_models import KeptModels

        models = KeptModels().learned_with(self.config, self.persons.meta(self._checked()))
        return models[0] if models else None

    def _checked(self) -> SchemaDraft:
        """The schema, if everything in the panel is allowed."""
        if self.schema is None:
            raise DataError(f"there is {NO_TABLE}.")
        if any(field.error and not field.binding.error for field in self.fields.values()):
            self.calculator.wait()  # until it is known whether that is still so
        wrong = [field.label for field in self.fields.values() if field.error]
        if wrong:
            raise ConfigError(f"correct {', '.join(wrong)} first: the message is beside the field.")
        if self.dataset is not None:
            check_dataset_name(self.dataset, "Dataset")
        return self.schema

    @property
    def session(self) -> Session:
        """Where its variables are."""
        return self._actions.session

    def synthesizer(self) -> HighDimSynthesizer:
        """The synthesizer that the panel's training gave.

        Raises:
            NotLearnedError: Nothing yet.
        """
        return self._actions.synthesizer()

    def synthetic(self) -> Any:  # noqa: ANN401 - a table, or several by name
        """The synthetic table that was made last, or a new one.

        Raises:
            NotLearnedError: There is no model yet.
        """
        return self._actions.synthetic()

    def stop(self) -> None:
        """End the training after the current step; the model is kept."""
        self._actions.stop()

    def close(self) -> None:
        """Close the panel; a running training goes on."""
        self.calculator.close()
        self._clicks.close()
        self._scale.close()
        for field in self.fields.values():
            field.close()
        for one in list(self.widgets()):
            one.close()

    def _toggle_code(self) -> None:
        hidden = self._code.layout.display == "none"
        self._refresh_code()
        self._code.layout.display = "" if hidden else "none"
        self._buttons.show_code.description = "Hide code" if hidden else "Show code"

    def _refresh_code(self) -> None:
        code = self.code()
        self._code.value = code
        self._code.rows = code.count("\n") + 2

    def _public_rows(self) -> int | None:
        """The row count, if it is stated to be public."""
        return self.schema.rows() if self.config.n_public and self.schema is not None else None

    def _meta_or_assumed(self) -> DataFrameMeta | TablesMeta:
        from jupyter_dpsynth.engine.planning.forecast import assumed_metadata

        unit = self.config.privacy_unit
        return assumed_metadata(privacy_unit=unit) if self.schema is None else self.persons.meta(self.schema)

    def _told(self, forecast: Forecast | None, error: str) -> None:
        """Show the forecast's figures in the empty fields, or its error beside the field that it names."""
        for name, field in self.fields.items():
            field.show_error(error if error.startswith(f"{name} = ") else "")
        if forecast is None:
            return
        for name, words in automatic_words(forecast).items():
            self.fields[name].show_automatic(words)
        if self._code.layout.display != "none":
            self._refresh_code()

    def _show_state(self) -> None:
        """Enable the buttons that can be used now."""
        actions = self._actions
        running, learned = actions.running, actions.ready
        if actions.run is not None and not running:
            self.say(moment_of(actions.run).line())
        self._buttons.enable(running=running, learned=learned, table=self.schema is not None)

    def _show_column(self, name: str) -> None:
        """Go to a column in its tab."""
        self._tabs.choose("Columns")
        self._columns.find(name)
