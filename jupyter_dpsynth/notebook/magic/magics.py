"""`DPSynthMagics`: the `%dpsynth` line magic and the `%%dpsynth` cell magic."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Enum

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError, DPSynthError
from jupyter_dpsynth.startup import WarmUp

if TYPE_CHECKING:
    from traitlets import TraitType
    from traitlets.config import Config

    from jupyter_dpsynth.notebook.show.progress import FrontEnd
    from jupyter_dpsynth.notebook.show.worker import TrainingRun

__all__ = ["DPSynthMagics"]

IDLE_SECONDS = 1.0


def parameter_traits() -> dict[str, TraitType[Any, Any]]:
    """The parameters of a run as traits that `%config` can set: those of `HighDimConfig`."""
    traits = HighDimConfig.class_traits()
    found = {name: copy.copy(traits[name]) for name in HighDimConfig.option_names()}
    for trait in found.values():
        trait.metadata = {**trait.metadata, "config": True}  # the copy shares it with the original
    return found


@magics_class
class DPSynthMagics(Magics):
    """Differentially private synthetic tables from notebook cells.

    Besides the traits below there is one for every parameter of `HighDimConfig`: what a run uses where its
    line and its cell say nothing, as in `%config DPSynthMagics.epsilon = 0.5`.

    Attributes:
        run: The last training that was started, None before.
        current: Name of the synthesizer that sub-commands mean when none is named.
        synthetic: Name of the last synthetic DataFrame.
    """

    warm_tensorflow = Bool(
        default_value=True,
        help="Import TensorFlow in the background once the kernel is idle, so that learning starts sooner.",
    ).tag(config=True)
    live = Enum(
        ("auto", "widget", "text"),
        default_value="auto",
        help="How a training is shown: 'auto' finds out who is looking.",
    ).tag(config=True)
    on_interrupt = Enum(
        ("keep", "raise"),
        default_value="keep",
        help="After an interrupt keep the model and go on, or also stop 'Run All'.",
    ).tag(config=True)

    def __init__(self, shell: Any, **kwargs: Any) -> None:  # noqa: ANN401 - any kind of IPython shell
        self.add_traits(**parameter_traits())  # before the configuration file's values are taken
        super().__init__(shell, **kwargs)
        self.run: TrainingRun | None = None
        self.current = ""
        self.synthetic = ""
        self._warmup = WarmUp()
        self._idle_since: float | None = None  # None while a cell runs

    @no_var_expand  # braces are expressions for us to evaluate, in the line as in the cell
    @line_cell_magic
    def dpsynth(self, line: str, cell: str | None = None) -> None:
        """Synthetic tables under differential privacy.

            %%dpsynth learn df              learns the DataFrame df; spends at most this epsilon
            epsilon = 1.0

            %dpsynth synthesize 1000        makes 1,000 new rows, df_synth; costs no epsilon
            %dpsynth compare                shows how close they come; costs no epsilon
            %dpsynth epsilon                says what was spent, in a sentence
            %dpsynth panel df               everything with the mouse

        `%dpsynth` lists the sub-commands; `%dpsynth learn --help` explains one of them. The lines of a cell
        are `name = value`; the Tab key completes sub-commands, options, tables and parameters.
        """
        from jupyter_dpsynth.notebook.magic.learn import one_line

        try:
            self._dispatch(line, cell)
        except DPSynthError as error:
            raise one_line(error) from None

    def _dispatch(self, line: str, cell: str | None) -> None:
        from jupyter_dpsynth.notebook.magic.after import HANDLERS, help_text
        from jupyter_dpsynth.notebook.magic.grammar import parse_line
        from jupyter_dpsynth.notebook.magic.learn import learn, say

        parsed = parse_line(line)
        name = parsed.command.name
        if parsed.help:
            say(help_text(parsed.command))
        elif name == "learn":
            learn(self, parsed, cell)
        elif parsed.command.body:
            parsed.body = cell or ""
            HANDLERS[name](self, parsed)
        elif cell is not None and cell.strip():
            raise ConfigError(f"{name} takes no cell: write %dpsynth {name} with one percent sign.")
        else:
            HANDLERS[name](self, parsed)

    def defaults(self) -> HighDimConfig:
        """What a run of this session uses where nothing else is said."""
        return HighDimConfig(**{name: getattr(self, name) for name in HighDimConfig.option_names()})

    def update_config(self, config: Config) -> None:
        """Take a value from `%config`; one that is refused is not tried again at every later change."""
        before: Config = self.config  # type: ignore[has-type]
        try:
            super().update_config(config)
        except Exception:
            self.config = before
            raise

    def front_end(self) -> FrontEnd:
        """How a training is shown here."""
        from jupyter_dpsynth.notebook.show.progress import detect_front_end

        if self.live == "auto":
            return detect_front_end(self.shell)
        return "widget" if self.live == "widget" else "text"

    def start_warmup(self) -> None:
        """Get TensorFlow ready while nobody waits for it."""
        if self.warm_tensorflow:
            self.shell.events.register("pre_run_cell", self._on_busy)
            self.shell.events.register("post_run_cell", self._on_idle)
            self._warmup.start(self._is_idle)

    def close(self) -> None:
        """Take back what `start_warmup` did; a running training goes on."""
        self._warmup.cancel()
        for event, callback in (("pre_run_cell", self._on_busy), ("post_run_cell", self._on_idle)):
            if callback in self.shell.events.callbacks[event]:
                self.shell.events.unregister(event, callback)

    def _on_busy(self, *_: object) -> None:
        self._idle_since = None

    def _on_idle(self, *_: object) -> None:
        self._idle_since = time.monotonic()

    def _is_idle(self) -> bool:
        since = self._idle_since
        return since is not None and time.monotonic() - since > IDLE_SECONDS
