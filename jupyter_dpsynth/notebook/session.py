"""`Session`: what the magics and the panel of one kernel share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.training.loading import BackgroundImport, WarmUp
from jupyter_dpsynth.errors import ConfigError, NotLearnedError
from jupyter_dpsynth.notebook.output import detect_front_end
from jupyter_dpsynth.sources.several import SeveralTables

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_dpsynth.kept_models import KeptModel
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.notebook.output import FrontEnd
    from jupyter_dpsynth.notebook.show.worker import TrainingRun
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = [
    "DEFAULT_SYNTHETIC",
    "Preferences",
    "Session",
    "current_session",
    "kept_model_of",
    "save_model",
]

DEFAULT_SYNTHETIC = "df_synth"  # the variable of a synthetic table, where no other name is given
POLL_SECONDS = 0.05  # so that an interrupt is noticed
IDLE_SECONDS = 1.0  # after a cell, before the kernel counts as idle


@dataclass(frozen=True)
class Preferences:
    """The defaults of a session, which `%config DPSynthMagics` sets.

    Attributes:
        live: How a training is shown: 'widget', 'text', or 'auto' to find out who is looking.
        on_interrupt: Whether the notebook goes on after an interrupted training ('keep'), or 'Run All' stops
            as well ('raise').
        parameters: Parameters of `HighDimConfig` by name; those that are not in it have their usual defaults.
    """

    live: str = "auto"
    on_interrupt: str = "keep"
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Session:
    """The user's variables, the training that runs, and what was used last.

    Args:
        shell: IPython's shell; None outside IPython.
        preferences: Gives the preferences as they are at the time.

    Attributes:
        run: The last training that was started, None before.
        follower: The thread that shows a training whose cell has returned, None where there was none.
        current: Name of the synthesizer that is meant where none is named; '' for none.
        synthetic: Name of the last synthetic table; '' for none.
        preferences: The second argument.
    """

    def __init__(
        self,
        shell: InteractiveShell | None = None,
        preferences: Callable[[], Preferences] = Preferences,
    ) -> None:
        self._shell = shell
        self._own_namespace: dict[str, Any] = {}
        self.run: TrainingRun | None = None
        self.follower: threading.Thread | None = None
        self.current = ""
        self.synthetic = ""
        self.preferences = preferences
        self._warm_up = WarmUp()
        self._idle_since: float | None = None  # None while a cell runs

    @property
    def shell(self) -> InteractiveShell | None:
        """IPython's shell; None outside IPython."""
        return self._shell

    @property
    def namespace(self) -> dict[str, Any]:
        """The user's variables."""
        return self._own_namespace if self._shell is None else self._shell.user_ns

    def defaults(self) -> HighDimConfig:
        """What a run uses where nothing else is said."""
        return HighDimConfig(**self.preferences().parameters)

    def front_end(self) -> FrontEnd:
        """How a training is shown here."""
        live = self.preferences().live
        if live == "auto":
            return detect_front_end(self._shell)
        return "widget" if live == "widget" else "text"

    def check_nothing_runs(self) -> None:
        """Raise ConfigError while a training runs: there is one at a time."""
        if self.run is not None and self.run.running:
            from jupyter_dpsynth.notebook.show.moment import moment_of

            raise ConfigError(
                f"a training is already running ({moment_of(self.run).step_words}): wait for it, or end it "
                "with its Stop button or %dpsynth stop."
            )

    def check_trained(self, synthesizer: HighDimSynthesizer) -> None:
        """Raise NotLearnedError while a synthesizer is being trained."""
        if self.run is not None and self.run.running and self.run.synthesizer is synthesizer:
            from jupyter_dpsynth.notebook.show.moment import moment_of

            raise NotLearnedError(
                f"{self.run.name} is still training ({moment_of(self.run).step_words}): %dpsynth status "
                "shows how far it is, and %dpsynth status --wait waits for its end."
            )

    def begin(self, run: TrainingRun) -> None:
        """Register a training that is about to start, and start importing TensorFlow for it."""
        BackgroundImport(quiet=True)  # the run would import it too, but in a terminal not quietly
        self.run, self.current = run, run.name

    def wait(self) -> None:
        """Wait until no training runs any more and its end is shown; an interrupt ends the waiting only."""
        while self.run is not None and not self.run.wait(POLL_SECONDS):
            pass
        while self.follower is not None and self.follower.is_alive():
            self.follower.join(POLL_SECONDS)

    def at_cell_ends(self, show: Callable[[], bool]) -> None:
        """Call a function at the end of every further cell, until it returns True.

        Args:
            show: Shows again what may have changed since.
        """
        if self._shell is None:
            return
        events = self._shell.events

        def after_cell(*_: object) -> None:
            if show():
                events.unregister("post_run_cell", after_cell)

        events.register("post_run_cell", after_cell)

    def start_warm_up(self) -> None:
        """Import TensorFlow while nobody is waiting for it."""
        if self._shell is not None:
            self._shell.events.register("pre_run_cell", self._on_busy)
            self._shell.events.register("post_run_cell", self._on_idle)
            self._warm_up.start(self._is_idle)

    def close(self) -> None:
        """Undo what `start_warm_up` did; a running training goes on."""
        self._warm_up.cancel()
        if self._shell is None:
            return
        for event, callback in (("pre_run_cell", self._on_busy), ("post_run_cell", self._on_idle)):
            if callback in self._shell.events.callbacks[event]:
                self._shell.events.unregister(event, callback)

    def _on_busy(self, *_: object) -> None:
        self._idle_since = None

    def _on_idle(self, *_: object) -> None:
        self._idle_since = time.monotonic()

    def _is_idle(self) -> bool:
        since = self._idle_since
        return since is not None and time.monotonic() - since > IDLE_SECONDS


def current_session() -> Session:
    """The session of the magics; a new one where they are not loaded."""
    from IPython import get_ipython

    shell = get_ipython()
    magics = None if shell is None else shell.magics_manager.registry.get("DPSynthMagics")
    session = getattr(magics, "session", None)
    return session if isinstance(session, Session) else Session(shell)


def kept_model_of(
    config: HighDimConfig, meta: DataFrameMeta | TablesMeta, table: Source | SeveralTables
) -> KeptModel | None:
    """The newest model beside the ledger that was learned from this table with these settings, or None.

    Args:
        config: The parameters.
        meta: The columns and what is declared of them.
        table: The private table, or several; they are read only if there are models with these settings.

    Privacy:
        The answer follows from the exact rows: it is for the owner, like what the ledger says.
    """
    from jupyter_dpsynth.kept_models import KeptModels
    from jupyter_dpsynth.sources.identity import identify_table, joint_content

    kept = KeptModels()
    models = kept.learned_with(config, meta)
    if not models:
        return None
    tables = table.values() if isinstance(table, SeveralTables) else [table]
    content = joint_content([identify_table(each, None, "") for each in tables])
    if content is None:
        return None
    return next((each for each in models if each.content == kept.content_key(content, each.run)), None)


def save_model(synthesizer: HighDimSynthesizer, path: Path) -> str:
    """Save a model; returns a sentence on where it is and what the file contains."""
    instead = ", replacing the file that was there" if path.exists() else ""
    synthesizer.save(path)
    return f"{path}{instead}. The file contains only what epsilon has paid for: no row, no exact count."
