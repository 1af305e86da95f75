"""The sub-commands around a training: learn, status, stop."""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.config import AUTO, HighDimConfig
from jupyter_dpsynth.errors import ConfigError, DPSynthError
from jupyter_dpsynth.notebook.magic.grammar import SCHEMA_NAMES
from jupyter_dpsynth.notebook.magic.namespace import (
    build_config,
    expand,
    find_instance,
    find_table,
    instances,
    parse_body,
    read_value,
    variable_name,
)
from jupyter_dpsynth.notebook.show.moment import frame_of
from jupyter_dpsynth.notebook.show.progress import TrainingProgress
from jupyter_dpsynth.notebook.show.worker import TrainingRun
from jupyter_dpsynth.parameters import ColumnName
from jupyter_dpsynth.privacy.ledger.datasets import UNNAMED
from jupyter_dpsynth.privacy.ledger.summary import check_dataset_name
from jupyter_dpsynth.startup import BackgroundImport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.magic.magics import DPSynthMagics
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = [
    "dataset_of",
    "follow_in_background",
    "learn",
    "meta_of",
    "one_line",
    "publish",
    "save_to",
    "say",
    "settings",
    "status",
    "stop",
    "without",
]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
DEFAULT_NAME = "synthesizer"


def say(text: str) -> None:
    """Write a line for the user into the cell's output."""
    sys.stdout.write(text + "\n")


def save_to(synthesizer: HighDimSynthesizer, path: Path) -> str:
    """Save a model; where it is and what the file holds, in words."""
    instead = ", in place of the file that was there" if path.exists() else ""
    synthesizer.save(path)
    return f"{path}{instead}. The file holds privatised state only: no row, no exact count."


def publish(text: str, markup: str) -> None:
    """Show HTML where that is possible and text elsewhere."""
    from IPython.display import publish_display_data

    publish_display_data({"text/plain": text, "text/html": markup})


def one_line(error: BaseException, text: str | None = None) -> BaseException:
    """Make IPython show an exception as one line; the cell fails all the same.

    IPython asks the instance for `_render_traceback_`; subclasses of its UsageError print tracebacks.
    """
    shown = f"\x1b[31m{type(error).__name__}\x1b[39m: {error if text is None else text}"
    error._render_traceback_ = lambda: [shown]  # type: ignore[attr-defined]
    return error


def learn(magics: DPSynthMagics, parsed: ParsedLine, body: str | None) -> None:
    """Learn a DataFrame, in this cell or in the background."""
    if magics.run is not None and magics.run.running:
        raise ConfigError(
            f"a training is already running ({frame_of(magics.run).step_words}): wait for it, or end it "
            "with its Stop button or %dpsynth stop."
        )
    namespace = magics.shell.user_ns
    name = variable_name(parsed.options.get("output", DEFAULT_NAME), "--output", namespace)
    run = TrainingRun(*_prepare(magics, parsed, body), name, *dataset_of(namespace, parsed))
    background = "background" in parsed.options
    progress = TrainingProgress(run, magics.front_end(), background=background)
    try:
        progress.open()
    except KeyboardInterrupt as interrupt:
        raise one_line(interrupt, "interrupted before anything was read; nothing was spent.") from None
    # the engine measures while TensorFlow is imported; imported from here it is quiet
    BackgroundImport(quiet=True)
    magics.run, magics.current = run, name
    if background:
        run.start()
        namespace[name] = run.synthesizer
        follow_in_background(run, progress)
        return
    try:
        _follow(run, progress)
    except KeyboardInterrupt as interrupt:
        namespace[name] = run.synthesizer
        progress.close(f"Left without waiting: %dpsynth status tells how {name} ends.")
        raise one_line(interrupt, "left while the current step was finishing.") from None
    if run.learned:
        namespace[name] = run.synthesizer
    _finish(run, progress)
    if run.error is not None:  # also a stop before there was a model: the next cells cannot go on
        raise _shown_error(run.error) from None
    if run.stop_requested and parsed.options.get("on-interrupt", magics.on_interrupt) == "raise":
        raise one_line(KeyboardInterrupt(), frame_of(run).headline) from None


def _prepare(magics: DPSynthMagics, parsed: ParsedLine, body: str | None) -> tuple[HighDimSynthesizer, Any]:
    """A new synthesizer and the table for it; everything that can be wrong beforehand is found here."""
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    namespace = magics.shell.user_ns
    df = find_table(parsed.argument(), namespace)
    config, schema = settings(magics, parsed, body)
    config.resolve()
    df = without(df, schema.pop("ignore", ()))
    df_meta = meta_of(namespace, parsed, df, schema)
    df_meta.check(df)
    return HighDimSynthesizer(df_meta, config=config), df


def without(df: Any, ignore: Sequence[str]) -> Any:  # noqa: ANN401 - a frame, or the source of a table
    """The table without the columns that are to be left out."""
    from jupyter_dpsynth.sources.opening import leave_out, open_source

    names = [ignore] if isinstance(ignore, str) else list(ignore)
    if not names:
        return df
    return leave_out(open_source(df), names, "ignore")


def settings(
    magics: DPSynthMagics, parsed: ParsedLine, body: str | None
) -> tuple[HighDimConfig, dict[str, Any]]:
    """The parameters and the declarations that a line and its cell set.

    What they do not set is that of `--config`, else of `%config DPSynthMagics`.

    Returns:
        The config, and what is declared of the columns by name of `MetaExtractor.extract`'s arguments;
        besides 'ignore', which `without` takes.
    """
    namespace = magics.shell.user_ns
    names = HighDimConfig.option_names()
    values = parse_body(body or "", namespace, (*names, *SCHEMA_NAMES))
    traits = HighDimConfig.class_traits()
    for option in parsed.command.options:
        if option.parameter and option.name in parsed.options:
            if option.name in values:
                raise ConfigError(f"{option.name} is given on the line and in the cell: give it once.")
            written = parsed.options[option.name]
            # a column's name needs no quotes
            read = expand if isinstance(traits[option.name], ColumnName) else read_value
            values[option.name] = read(written, namespace, option.name)
    schema = {key: values.pop(key) for key in SCHEMA_NAMES if key in values}
    named = parsed.options.get("config")
    if named is not None:
        return build_config(values, find_instance(named, namespace, HighDimConfig, "--config")), schema
    defaults = magics.defaults()
    for given, other in (("steps", "epochs"), ("epochs", "steps")):  # one of them says how long to train
        if given in values and other not in values:
            setattr(defaults, other, AUTO)
    return build_config(values, defaults), schema


def dataset_of(namespace: dict[str, Any], parsed: ParsedLine) -> tuple[str | None, str]:
    """The dataset's name for the ledger, if one is given, and what else it may be called."""
    table, name = parsed.argument() or "", parsed.options.get("dataset")
    if name is not None:
        name = expand(name, namespace, "--dataset")
        check_dataset_name(name, "--dataset")
    return name, table if table.isidentifier() else UNNAMED


def meta_of(
    namespace: dict[str, Any], parsed: ParsedLine, df: object, schema: dict[str, Any]
) -> DataFrameMeta:
    """The schema that `--meta` names, or that of the frame with what is declared."""
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.extracting import MetaExtractor

    text = parsed.options.get("meta")
    if text is None:
        return MetaExtractor.extract(df, **schema)
    if schema:
        raise ConfigError(
            f"--meta and {', '.join(schema)} are both given: declare it in MetaExtractor.extract or here."
        )
    return find_instance(text, namespace, DataFrameMeta, "--meta")


def _follow(run: TrainingRun, progress: TrainingProgress) -> None:
    """Train and redraw until the end; the first interrupt ends it early, a second one leaves."""
    while True:
        try:
            run.start()
            while not run.wait(POLL_SECONDS):
                progress.update()
        except KeyboardInterrupt:
            if run.stop_requested:
                raise
            run.stop()
        else:
            return


def _finish(run: TrainingRun, progress: TrainingProgress) -> None:
    """Leave the last frame, with what to do next."""
    if run.learned:
        which = "" if run.name == DEFAULT_NAME else f" -s {run.name}"
        progress.close(f"Learned as {run.name!r}. Next: %dpsynth synthesize 1000 -o df_synth{which}")
    elif run.error is not None and progress.background:  # no cell is left to fail
        progress.close(str(_shown_error(run.error)))
    else:
        progress.close()


def follow_in_background(
    run: TrainingRun,
    progress: TrainingProgress,
    *,
    context: contextvars.Context | None = None,
    ended: Callable[[], None] | None = None,
) -> None:
    """Show a training from a thread of its own, because its cell has returned.

    Args:
        run: The training.
        progress: Its display, open.
        context: Context of the cell that the display belongs to; the kernel looks it up there.
        ended: Called at the end, from the thread.
    """

    def follow() -> None:
        try:
            _follow(run, progress)
            _finish(run, progress)
        except Exception:  # nobody would see it
            logger.exception("the display of a background training failed")
        finally:
            if ended is not None:
                ended()

    context = contextvars.copy_context() if context is None else context.copy()
    threading.Thread(target=context.run, args=(follow,), name="dpsynth-display", daemon=True).start()


def _shown_error(error: BaseException) -> BaseException:
    """The training's error as it may be shown: foreign messages may quote private values."""
    if isinstance(error, DPSynthError):
        return error
    return DPSynthError(
        f"learning failed with {type(error).__name__}; its message is withheld because it may quote "
        "private values."
    )


def stop(magics: DPSynthMagics, parsed: ParsedLine) -> None:  # noqa: ARG001 - every sub-command's form
    """End a background training early."""
    if magics.run is None or not magics.run.running:
        say("Nothing is running.")
        return
    magics.run.stop()
    say("Stopping after the current step; the model is kept.")


def status(magics: DPSynthMagics, parsed: ParsedLine) -> None:  # noqa: ARG001 - every sub-command's form
    """Say what runs and what there is."""
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    if magics.run is not None:
        say(f"{magics.run.name}: {frame_of(magics.run).line()}")
    else:
        say("No training has been started in this session.")
    namespace = magics.shell.user_ns
    for name in instances(namespace, HighDimSynthesizer):
        if magics.run is None or namespace[name] is not magics.run.synthesizer:
            say(f"{name}: {namespace[name]!r}")
