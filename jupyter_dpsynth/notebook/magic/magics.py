"""`DPSynthMagics`: the `%dpsynth` line magic and the `%%dpsynth` cell magic."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Enum

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.errors import ConfigError, DPSynthError, schema_notes_to
from jupyter_dpsynth.notebook.output import one_line, say, tell
from jupyter_dpsynth.notebook.session import Preferences, Session

if TYPE_CHECKING:
    from traitlets import TraitType
    from traitlets.config import Config

__all__ = ["DPSynthMagics"]


def parameter_traits() -> dict[str, TraitType[Any, Any]]:
    """The parameters of a run as traits that `%config` can set: those of `HighDimConfig`."""
    traits = HighDimConfig.class_traits()
    found = {name: copy.copy(traits[name]) for name in HighDimConfig.option_names()}
    for trait in found.values():
        trait.metadata = {**trait.metadata, "config": True}  # the copy shares it with the original
    return found


def _tell_note(words: str) -> None:
    """Say how a file or a schema is read."""
    tell(f"⚠ {words}")


@magics_class
class DPSynthMagics(Magics):
    """Differentially private synthetic tables from notebook cells.

    Besides the traits below there is one for every parameter of `HighDimConfig`: what a run uses where its
    line and its cell say nothing, as in `%config DPSynthMagics.epsilon = 0.5`.

    Attributes:
        session: What the sub-commands work with.
    """

    warm_tensorflow = Bool(
        default_value=True,
        help="Import TensorFlow in the background when the kernel is idle, so that learning starts sooner.",
    ).tag(config=True)
    live = Enum(
        ("auto", "widget", "text"),
        default_value="auto",
        help="How a training is shown; 'auto' chooses widgets, text or terminal by the front end.",
    ).tag(config=True)
    on_interrupt = Enum(
        ("keep", "raise"),
        default_value="keep",
        help="After an interrupt, keep the model and let 'Run All' go on (keep), or stop it (raise).",
    ).tag(config=True)

    def __init__(self, shell: Any, **kwargs: Any) -> None:  # noqa: ANN401 - any kind of IPython shell
        self.add_traits(**parameter_traits())  # before the configuration file's values are taken
        super().__init__(shell, **kwargs)
        self.session = Session(shell, self._preferences)

    @no_var_expand  # braces are expressions for us to evaluate, in the line as in the cell
    @line_cell_magic
    def dpsynth(self, line: str, cell: str | None = None) -> None:
        """Synthetic tables under differential privacy.

            %%dpsynth learn df              learns the DataFrame df; spends at most this epsilon
            epsilon = 1.0

            %dpsynth synthesize 1000        makes 1,000 synthetic rows in df_synth; costs no epsilon
            %dpsynth compare                shows how well they fit; costs no epsilon
            %dpsynth epsilon                says what was spent
            %dpsynth panel df               everything with the mouse

        `%dpsynth` lists the sub-commands; `%dpsynth learn --help` explains one of them. The lines of a cell
        are `name = value`; the Tab key completes sub-commands, options, tables and parameters.
        """
        try:
            with schema_notes_to(_tell_note):
                self._dispatch(line, cell)
        except DPSynthError as error:
            raise one_line(error) from None

    def _dispatch(self, line: str, cell: str | None) -> None:
        from jupyter_dpsynth.notebook.magic.commands import HANDLERS
        from jupyter_dpsynth.notebook.magic.grammar import parse_line
        from jupyter_dpsynth.notebook.magic.help import help_text

        parsed = parse_line(line)
        name = parsed.command.name
        if parsed.help:
            say(help_text(parsed.command))
            return
        if parsed.command.body:
            parsed.body = cell or ""
        elif cell is not None and cell.strip():
            raise ConfigError(f"{name} takes no cell: write %dpsynth {name} with one percent sign.")
        HANDLERS[name](self.session, parsed)

    def _preferences(self) -> Preferences:
        """What `%config` and the configuration files say at the moment."""
        parameters = {name: getattr(self, name) for name in HighDimConfig.option_names()}
        return Preferences(self.live, self.on_interrupt, parameters)

    def update_config(self, config: Config) -> None:
        """Take a value from `%config`; a refused one is not tried again at later changes."""
        before: Config = self.config  # type: ignore[has-type]
        try:
            super().update_config(config)
        except Exception:
            self.config = before
            raise

    def start_warm_up(self) -> None:
        """Get TensorFlow ready while nobody waits for it, unless that is configured away."""
        if self.warm_tensorflow:
            self.session.start_warm_up()
