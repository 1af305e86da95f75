"""What the panel's buttons do: train, stop, synthesize, compare, save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, NotLearnedError
from jupyter_dpsynth.notebook.output import Slot, WidgetSlot, representations
from jupyter_dpsynth.notebook.session import DEFAULT_SYNTHETIC, save_model
from jupyter_dpsynth.notebook.show.following import follow_in_background
from jupyter_dpsynth.notebook.show.progress import TrainingProgress
from jupyter_dpsynth.notebook.show.rows import show_rows
from jupyter_dpsynth.notebook.show.worker import TrainingRun
from jupyter_dpsynth.sources.forms import given_as

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.constraints import Ordering
    from jupyter_dpsynth.kept_models import KeptModel
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.notebook.output import FrontEnd
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.notebook.show.drilldown import DrillDown
    from jupyter_dpsynth.privacy.ledger.datasets import LedgerAnswers
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.several import SeveralTables
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["Actions"]


class _Results:
    """The outputs under a panel.

    Args:
        make: Makes a place for one.
    """

    def __init__(self, make: Callable[[], Slot] = Slot) -> None:
        self.training = make(), make()  # its progress, and the picture of its loss
        self.rows = make()  # of the synthetic table
        self.comparison = make()
        self.drill_down = make(), make()  # the choice of a column, and the pictures of it

    @property
    def boxes(self) -> list[Any]:
        """The widgets of those places that are widgets."""
        slots = (*self.training, self.rows, self.comparison, *self.drill_down)
        return [slot.box for slot in slots if isinstance(slot, WidgetSlot)]

    def open(self) -> None:
        """Take their places, while the panel's cell runs."""
        for slot in (*self.training, self.rows, self.comparison, *self.drill_down):
            slot.open()

    def clear_comparison(self) -> None:
        """Remove the comparison of an earlier model or table."""
        for slot in (self.comparison, *self.drill_down):
            slot.clear()


class Actions:
    """Trains, and uses the trained model, in the user's session.

    Args:
        session: What the panel shares with the magics.
        output: Name of the variable for the synthesizer.
        say: Shows a sentence.
        changed: Called when a training starts or ends.

    Attributes:
        run: The panel's last training, None before the first.
        orders: Orders of two columns that synthetic rows are to keep.
    """

    def __init__(
        self,
        session: Session,
        output: str,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.session, self.output = session, output
        self._say, self._changed = say, changed
        self.run: TrainingRun | None = None
        self.orders: list[Ordering] = []
        self._used: HighDimSynthesizer | None = None
        self._results = _Results()
        self._drill: DrillDown | None = None
        self._front_end: FrontEnd = "text"

    @property
    def ready(self) -> bool:
        """Whether there is a model to use."""
        return self._used is not None or (self.run is not None and self.run.learned)

    @property
    def running(self) -> bool:
        """Whether the panel's training runs."""
        return self.run is not None and self.run.running

    def open_results(self, front_end: FrontEnd) -> None:
        """Make the outputs under the panel into which results go, while its cell runs."""
        self._front_end, self._results = front_end, _Results()
        self._results.open()

    def results_as_widgets(self) -> list[Any]:
        """Make widgets into which results go, for a page that shows no outputs."""
        self._front_end, self._results = "widget", _Results(WidgetSlot)
        return self._results.boxes

    def train(
        self,
        source: Source | SeveralTables,
        df_meta: DataFrameMeta | TablesMeta,
        config: HighDimConfig,
        *,
        dataset: str | None,
        label: str,
        answers: LedgerAnswers,
        cell: str,
    ) -> None:
        """Start a training in its worker thread; its display goes under the panel.

        Args:
            source: The private table, or several of the same persons.
            df_meta: Its metadata, or theirs.
            config: The parameters.
            dataset: Name of the dataset in the ledger, None for none.
            label: What else the ledger may call it.
            answers: What the user answers to the ledger.
            cell: The code of a cell that does the same, to leave under the result.
        """
        from jupyter_dpsynth.synthesizer import HighDimSynthesizer

        self.session.check_nothing_runs()
        config.resolve()
        run = TrainingRun(
            HighDimSynthesizer(df_meta, config=config), source, self.output, dataset, label, answers
        )
        progress = TrainingProgress(
            run,
            self._front_end,
            background=True,
            slots=self._results.training,
            cell=cell,
            brief=self._say,
        )
        progress.open()
        self._clear_comparison()
        self._results.rows.clear()
        self.session.begin(run)
        self.run, self._used = run, None
        self.session.namespace[self.output] = run.synthesizer
        run.start()
        self._say("● Starting (below)")
        self._changed()
        self.session.follower = follow_in_background(run, progress, self._changed)

    def use(self, model: KeptModel) -> None:
        """Use a kept model instead of training; nothing is spent.

        Args:
            model: The model.
        """
        from jupyter_dpsynth.synthesizer import HighDimSynthesizer

        self._used = HighDimSynthesizer.load(model.path)
        self.session.namespace[self.output], self.session.current = self._used, self.output
        self._clear_comparison()
        self._changed()
        self._say(f"{self.output} is the kept model: {model.words}. Nothing was spent.")

    def stop(self) -> None:
        """End the training after the current step."""
        if not self.running or self.run is None:
            raise NotLearnedError("nothing is running.")
        self.run.stop()
        self._say("Stopping after the current step; the model is kept.")

    def synthesizer(self) -> HighDimSynthesizer:
        """The synthesizer that the panel's training gave, or the kept one that is used instead.

        Raises:
            NotLearnedError: Nothing yet.
        """
        if self._used is not None:
            return self._used
        if self.run is None or not self.run.learned:
            raise NotLearnedError("there is no model yet: press Train first.")
        return self.run.synthesizer

    def synthesize(self, rows: str) -> None:
        """Make a synthetic table.

        Args:
            rows: How many, as typed; empty for the noisy row count.
        """
        synthesizer = self.synthesizer()
        text = rows.strip().replace(",", "").replace("_", "").replace(" ", "")
        if text and not text.isdigit():
            raise ConfigError(f"rows = {rows.strip()!r} is not allowed: give a whole number from 1.")
        df_synth = self._made(synthesizer, int(text) if text else None)
        if synthesizer.tables_meta is not None:
            self._made_several(df_synth)
            return
        self.session.namespace[DEFAULT_SYNTHETIC] = given_as(df_synth, synthesizer.df_meta.form)
        self.session.synthetic = DEFAULT_SYNTHETIC
        if self._front_end != "terminal":
            self._show_rows({DEFAULT_SYNTHETIC: df_synth})
        self._say(f"{DEFAULT_SYNTHETIC}: {len(df_synth):,} synthetic rows. This cost no epsilon.")

    def synthetic(self) -> Any:  # noqa: ANN401 - a table, or several by name
        """The synthetic table that was made last, or a new one."""
        made = self.session.namespace.get(DEFAULT_SYNTHETIC)
        if self.session.synthetic != DEFAULT_SYNTHETIC or made is None:
            made = self._made(self.synthesizer())
        return made

    def _made(self, synthesizer: HighDimSynthesizer, rows: int | None = None) -> Any:  # noqa: ANN401
        """A new synthetic table, or several, whose rows keep the orders."""
        if synthesizer.tables_meta is not None:
            return synthesizer.synthesize(rows, frame="pandas")
        known = set(synthesizer.codec.names)
        orders = [each for each in self.orders if known.issuperset(each.columns)]
        return synthesizer.synthesize(rows, constraints=orders, frame="pandas")

    def _show_rows(self, tables: dict[str, pd.DataFrame]) -> None:
        """Show some rows of synthetic tables, by what they are called."""
        show_rows(tables, live=self._front_end == "widget", slot=self._results.rows)

    def _made_several(self, tables: dict[str, pd.DataFrame]) -> None:
        """Keep and show synthetic tables of the same persons."""
        self.session.namespace[DEFAULT_SYNTHETIC] = tables
        self.session.synthetic = DEFAULT_SYNTHETIC
        if self._front_end != "terminal":
            self._show_rows({f"{DEFAULT_SYNTHETIC}_{name}": table for name, table in tables.items()})
        sizes = ", ".join(f"{len(table):,} rows of {name!r}" for name, table in tables.items())
        self._say(f"{DEFAULT_SYNTHETIC}: {sizes}. This cost no epsilon.")

    def compare(self) -> None:
        """Show the comparison with the noisy measurements, under the panel."""
        from jupyter_dpsynth.evaluation.history_measured import compare_measured
        from jupyter_dpsynth.evaluation.report import UtilityReport

        synthesizer = self.synthesizer()
        df_synth = self.synthetic()
        if synthesizer.tables_meta is not None:
            self._clear_comparison()
            self._results.comparison.show(representations(compare_measured(synthesizer, df_synth)))
            self._say("The comparison is below. It uses the noisy measurements and cost no epsilon.")
            return
        report = UtilityReport.against_measurements(synthesizer, df_synth)
        self._clear_comparison()
        self._results.comparison.show(representations(report))
        if self._front_end == "widget":
            from jupyter_dpsynth.notebook.show.drilldown import DrillDown

            self._drill = DrillDown(report, self._results.drill_down, synthesizer.receipt.headline)
            self._drill.show()
        self._say("The comparison is below. It uses the noisy measurements and cost no epsilon.")

    def _clear_comparison(self) -> None:
        """Remove the comparison of an earlier model."""
        if self._drill is not None:
            self._drill.close()
            self._drill = None
        self._results.clear_comparison()

    def save(self, path: str) -> None:
        """Save the model to a file."""
        if not path.strip():
            raise ConfigError("the file's name is empty: give one, for example synthesizer.dps.")
        target = Path(path.strip()).expanduser()
        self._say(f"Saved in {save_model(self.synthesizer(), target)}")
