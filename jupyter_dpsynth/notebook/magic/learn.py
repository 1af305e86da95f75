"""`learn`, `status` and `stop`: training in the cell or in the background."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from jupyter_dpsynth.display.html import callout
from jupyter_dpsynth.errors import NotLearnedError
from jupyter_dpsynth.notebook.magic.kept import kept_words, take_kept_model
from jupyter_dpsynth.notebook.magic.namespace import instances, variable_name
from jupyter_dpsynth.notebook.magic.settings import answers_of, dataset_of, meta_of, settings, table_of
from jupyter_dpsynth.notebook.output import ask, mime_bundle, one_line, publish, say
from jupyter_dpsynth.notebook.show.following import (
    DEFAULT_NAME,
    finish,
    follow,
    follow_in_background,
    shown_error,
)
from jupyter_dpsynth.notebook.show.moment import moment_of
from jupyter_dpsynth.notebook.show.progress import TrainingProgress
from jupyter_dpsynth.notebook.show.worker import TrainingRun
from jupyter_dpsynth.sources.several import SeveralTables

if TYPE_CHECKING:
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["learn", "status", "stop"]

LEARN = ("learn", "l", "yes", "y")
HOW_TO_ANSWER = (
    "Answer 'learn' to go on all the same, anything else to cancel; where nobody can be asked, it goes on "
    "(--if-empty learn or stop answers beforehand)."
)
QUESTION = "learn or cancel: "  # short, because Jupyter breaks its lines inside of words


def learn(session: Session, parsed: ParsedLine) -> None:
    """Learn a DataFrame, in this cell or in the background."""
    session.check_nothing_runs()
    namespace = session.namespace
    name = variable_name(parsed.options.get("output", DEFAULT_NAME), "--output", namespace)
    dataset, label = dataset_of(session, parsed)
    synthesizer, table = _prepare(session, parsed)
    if take_kept_model(session, parsed, synthesizer, table, name):
        return
    if not isinstance(table, SeveralTables):
        _ask_if_empty(parsed, synthesizer, table)
    run = TrainingRun(synthesizer, table, name, dataset, label, answers_of(parsed))
    background = "background" in parsed.options
    progress = TrainingProgress(run, session.front_end(), background=background)
    try:
        progress.open()
        session.begin(run)
    except KeyboardInterrupt:
        run.stop()  # it ends before it reads a value, and its display is closed like every other
    if background:
        run.start()
        namespace[name] = run.synthesizer
        session.follower = follow_in_background(run, progress)
        if progress.front_end == "text":
            session.at_cell_ends(progress.repeat)
        return
    try:
        follow(run, progress)
    except KeyboardInterrupt as interrupt:
        namespace[name] = run.synthesizer
        progress.close(f"You left without waiting for the end: %dpsynth status shows how {name} ends.")
        raise one_line(interrupt, "left before the current step had ended.") from None
    if run.learned:
        namespace[name] = run.synthesizer
    finish(run, progress)
    if run.error is not None:  # also a stop before there was a model: the next cells cannot go on
        raise shown_error(run.error) from None
    on_interrupt = parsed.options.get("on-interrupt", session.preferences().on_interrupt)
    if run.stop_requested and on_interrupt == "raise":
        raise one_line(KeyboardInterrupt(), moment_of(run).headline) from None


def _ask_if_empty(parsed: ParsedLine, synthesizer: HighDimSynthesizer, table: Source) -> None:
    """Ask before anything is spent if columns would, or for all that is public may, come out empty.

    Where nobody can be asked, learning goes on unless the line says `--if-empty stop`.

    Raises:
        NotLearnedError: It is not to be learned.

    Privacy:
        The question follows from what is public: columns, parameters, and the row count where that is.
    """
    from jupyter_dpsynth.engine.planning.emptiness import emptiness_question

    wanted, config = parsed.options.get("if-empty", "ask"), synthesizer.config.resolve()
    if wanted == "learn":
        return
    words = emptiness_question(config, synthesizer.df_meta, table.rows if config.n_public else None)
    if not words:
        return
    if wanted == "stop":
        table.close()
        raise NotLearnedError(f"{words} Nothing was spent.")
    words = f"{words} {HOW_TO_ANSWER}"
    publish(mime_bundle(f"⚠ {words}", callout("⚠ ", words)))
    answer = ask(QUESTION)
    if answer is not None and answer.lower().strip("'\"") not in LEARN:
        table.close()
        raise NotLearnedError("cancelled. Nothing was spent.")


def _prepare(session: Session, parsed: ParsedLine) -> tuple[HighDimSynthesizer, Source | SeveralTables]:
    """Check everything that can be checked beforehand; returns a new synthesizer and its table, or tables."""
    from jupyter_dpsynth.metadata.several import several_tables
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    config, schema = settings(session, parsed)
    config.resolve()
    with contextlib.ExitStack() as opened:
        table = opened.enter_context(table_of(session, parsed, schema))
        several = several_tables(parsed.argument() or "", table, schema)
        if several is not None:
            tables, meta = several
            synthesizer = HighDimSynthesizer(meta, config=config)
            meta.with_id(config.privacy_unit or "")
            opened.pop_all()
            return synthesizer, tables
        df_meta = meta_of(session, parsed, table, schema)
        df_meta.check(table)
        synthesizer = HighDimSynthesizer(df_meta, config=config)
        opened.pop_all()  # from here on the run closes it
    return synthesizer, table


def stop(session: Session, parsed: ParsedLine) -> None:  # noqa: ARG001 - every sub-command's form
    """End a background training early."""
    if session.run is None or not session.run.running:
        say("Nothing is running.")
        return
    session.run.stop()
    say("Stopping after the current step; the model is kept.")


def status(session: Session, parsed: ParsedLine) -> None:
    """Show what is running and what has been learned; wait for its end if asked to."""
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    if "wait" in parsed.options:
        session.wait()
    if session.run is not None:
        say(f"{session.run.name}: {moment_of(session.run).line()}")
    else:
        say("No training has been started in this session.")
    namespace = session.namespace
    for name in instances(namespace, HighDimSynthesizer):
        if session.run is None or namespace[name] is not session.run.synthesizer:
            say(f"{name}: {namespace[name]!r}")
    for words in kept_words():
        say(words)
