"""What the panel's buttons do: train, stop, synthesize, compare, save."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError, DPSynthError, NotLearnedError, shielded
from jupyter_dpsynth.notebook.magic.learn import follow_in_background, save_to
from jupyter_dpsynth.notebook.show.moment import frame_of
from jupyter_dpsynth.notebook.show.progress import TrainingProgress, detect_front_end, new_slot
from jupyter_dpsynth.notebook.show.worker import TrainingRun
from jupyter_dpsynth.startup import BackgroundImport

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.notebook.show.drilldown import DrillDown
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["Actions", "Session", "guarded", "publish"]

DEFAULT_SYNTHETIC = "df_synth"
NOTHING = {"text/plain": ""}


@dataclass
class Session:
    """What the magics remember, for a panel without them.

    Attributes:
        run: The last training that was started.
        current: Name of the last synthesizer.
        synthetic: Name of the last synthetic table.
    """

    run: TrainingRun | None = None
    current: str = ""
    synthetic: str = ""

    def defaults(self) -> HighDimConfig:
        """What a run uses where nothing else is said."""
        return HighDimConfig()


def guarded(action: Callable[[], None], say: Callable[[str], None]) -> Callable[[object], None]:
    """A button's callback that tells what went wrong in a sentence.

    The kernel would write a traceback into its log; a library's message may quote private values.
    """

    def call(_button: object = None) -> None:
        try:
            shielded(action, "this failed")
        except DPSynthError as error:
            say(f"⚠ {error}")

    return call


class Actions:
    """Trains and uses what was trained, in the user's session.

    Args:
        session: The magics, or a `Session`.
        namespace: The user's variables.
        output: Name of the variable for the synthesizer.
        say: Shows a sentence.
        changed: Called when a training starts or ends.
    """

    def __init__(
        self,
        session: Any,  # noqa: ANN401 - DPSynthMagics or Session
        namespace: dict[str, Any],
        output: str,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.session, self.namespace, self.output = session, namespace, output
        self._say, self._changed = say, changed
        self.run: TrainingRun | None = None
        self.slots = _new_slots()
        self._drill: DrillDown | None = None
        self._context: contextvars.Context | None = None
        self._front_end: Any = "text"

    @property
    def running(self) -> bool:
        """Whether the panel's training runs."""
        return self.run is not None and self.run.running

    def open_slots(self, front_end: Any, context: contextvars.Context) -> None:  # noqa: ANN401 - its name
        """Make the outputs under the panel into which results go: a cell that has returned gets no more."""
        self._front_end, self._context = front_end, context
        self.slots = _new_slots()
        for slot in self.slots:
            publish(NOTHING, slot, update=False)

    def train(
        self,
        df: object,
        df_meta: DataFrameMeta,
        config: HighDimConfig,
        *,
        dataset: str | None,
        label: str,
        cell: str,
    ) -> None:
        """Start a training in its worker thread; its display goes under the panel.

        Args:
            df: The private table.
            df_meta: Its schema.
            config: The parameters.
            dataset: Name of the dataset in the ledger, None for none.
            label: What else the ledger may call it.
            cell: The code of a cell that does the same, to leave under the result.
        """
        from jupyter_dpsynth.synthesizer import HighDimSynthesizer

        other = self.session.run
        if other is not None and other.running:
            raise ConfigError(
                f"a training is already running ({frame_of(other).step_words}): wait for it, or stop it."
            )
        config.resolve()
        run = TrainingRun(HighDimSynthesizer(df_meta, config=config), df, self.output, dataset, label)
        progress = TrainingProgress(run, self._front_end, background=True, slots=self.slots[:2], cell=cell)
        self._in_context(progress.open)
        self._in_context(self._clear_comparison)
        BackgroundImport(quiet=True)
        self.run = self.session.run = run
        self.session.current = self.output
        self.namespace[self.output] = run.synthesizer
        run.start()
        self._say("")
        self._changed()
        follow_in_background(run, progress, context=self._context, ended=self._changed)

    def stop(self) -> None:
        """End the training after the current step."""
        if not self.running or self.run is None:
            raise NotLearnedError("nothing is running.")
        self.run.stop()
        self._say("Stopping after the current step; the model is kept.")

    def synthesizer(self) -> HighDimSynthesizer:
        """What the panel's training gave.

        Raises:
            NotLearnedError: Nothing yet.
        """
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
        df_synth = synthesizer.synthesize(int(text) if text else None)
        self.namespace[DEFAULT_SYNTHETIC] = df_synth
        self.session.synthetic = DEFAULT_SYNTHETIC
        self._say(f"{DEFAULT_SYNTHETIC}: {len(df_synth):,} synthetic rows. This cost no epsilon.")

    def compare(self) -> None:
        """Show the synthetic table beside what was measured privately, under the panel."""
        from IPython import get_ipython

        from jupyter_dpsynth.evaluation.report import UtilityReport

        synthesizer = self.synthesizer()
        df_synth = self.namespace.get(DEFAULT_SYNTHETIC)
        if self.session.synthetic != DEFAULT_SYNTHETIC or df_synth is None:
            df_synth = synthesizer.synthesize()
        report = UtilityReport.against_measurements(synthesizer, df_synth)
        data, _ = get_ipython().display_formatter.format(report)
        self._in_context(self._clear_comparison)
        self._in_context(lambda: publish(data, self.slots[2], update=True))
        if self._front_end == "widget":
            from jupyter_dpsynth.notebook.show.drilldown import DrillDown

            self._drill = DrillDown(report, slots=self.slots[3:])
            self._in_context(self._drill.show)
        self._say("The comparison is below. It uses what was measured privately and cost no epsilon.")

    def _clear_comparison(self) -> None:
        """Take away what an earlier model's comparison has left."""
        if self._drill is not None:
            self._drill.close()
            self._drill = None
        for slot in self.slots[2:]:
            publish(NOTHING, slot, update=True)

    def save(self, path: str) -> None:
        """Write the learned state to a file."""
        if not path.strip():
            raise ConfigError("the file's name is empty: give one, for example synthesizer.dps.")
        target = Path(path.strip()).expanduser()
        self._say(f"Saved in {save_to(self.synthesizer(), target)}")

    def _in_context(self, call: Callable[[], None]) -> None:
        """Call something that publishes, in the context of the cell that the panel stands in."""
        if self._context is None:
            call()
        else:
            self._context.copy().run(call)


def _new_slots() -> tuple[str, str, str, str, str]:
    """Outputs under a panel: training, its curve, comparison, choice of a column, pictures of it."""
    return new_slot(), new_slot(), new_slot(), new_slot(), new_slot()


def session_of(magics: Any) -> tuple[Any, Any]:  # noqa: ANN401 - magics, and a session with its shell
    """The magics' session if they are loaded, and the shell."""
    from IPython import get_ipython

    shell = get_ipython()
    if magics is None and shell is not None:
        magics = shell.magics_manager.registry.get("DPSynthMagics")
    return (Session() if magics is None else magics), shell


def front_end_of(session: Any, shell: Any) -> Any:  # noqa: ANN401 - its name
    """How things are shown here."""
    if hasattr(session, "front_end"):
        return session.front_end()
    return "terminal" if shell is None else detect_front_end(shell)


def publish(bundle: dict[str, Any], display_id: str, *, update: bool) -> None:
    """Show something in a slot, or replace what is there."""
    from IPython.display import publish_display_data

    publish_display_data(bundle, transient={"display_id": display_id}, **({"update": True} if update else {}))
