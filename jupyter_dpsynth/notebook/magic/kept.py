"""`load` and `models`: models from files and those kept beside the ledger, which a learn cell may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.errors import ConfigError, DPSynthError, NotLearnedError, shielded
from jupyter_dpsynth.notebook.magic.namespace import expand, variable_name
from jupyter_dpsynth.notebook.magic.synthesis import path_of
from jupyter_dpsynth.notebook.output import ask, say
from jupyter_dpsynth.notebook.session import kept_model_of
from jupyter_dpsynth.notebook.show.following import DEFAULT_NAME

if TYPE_CHECKING:
    from jupyter_dpsynth.kept_models import KeptModel
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.several import SeveralTables
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["kept_words", "load", "models", "take_kept_model"]

USE, AGAIN = ("use", "u", "yes", "y"), ("again", "a")
SHOWN = 5  # kept models that `status` lists


def load(session: Session, parsed: ParsedLine) -> None:
    """Load a saved model, or one that is kept beside the ledger."""
    from jupyter_dpsynth.kept_models import KeptModels
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    namespace, options = session.namespace, parsed.options
    name = variable_name(options.get("output", DEFAULT_NAME), "--output", namespace)
    if (parsed.argument() is not None) + ("last" in options) + ("run" in options) != 1:
        raise ConfigError("say which model: give one of FILE, --last and --run RUN.")
    if "last" in options or "run" in options:
        run = expand(options["run"], namespace, "--run") if "run" in options else ""
        model = KeptModels().find(run)
        path, words = model.path, f" This is {model.words}."
    else:
        path, words = path_of(session, parsed), ""
    namespace[name] = HighDimSynthesizer.load(path)
    session.current = name
    say(f"{name}: {namespace[name]!r}.{words} Nothing was spent.")


def models(session: Session, parsed: ParsedLine) -> None:
    """List the models beside the ledger, or delete some."""
    from jupyter_dpsynth.kept_models import KeptModels

    kept = KeptModels()
    if "delete" in parsed.options:
        deleted = kept.delete(expand(parsed.options["delete"], session.namespace, "--delete"))
        for model in deleted:
            say(f"Deleted: {model.words}.")
        say("What they have cost stays in the ledger." if deleted else "There was none.")
        return
    found = kept.all()
    say(f"{len(found)} kept in {kept.folder}." if found else "No model is kept beside the ledger.")
    for model in found:
        say(f"  {model.words}")
    if found:
        say("%dpsynth load --run RUN loads one, %dpsynth models --delete RUN deletes one; both are free.")


def kept_words() -> list[str]:
    """The newest models beside the ledger, as lines for `status`."""
    from jupyter_dpsynth.kept_models import KeptModels

    try:
        found = KeptModels().all()
    except DPSynthError as error:
        return [f"The models beside the ledger cannot be listed: {error}"]
    if not found:
        return []
    more = f" The newest {SHOWN} of {len(found)}:" if len(found) > SHOWN else ""
    head = f"Kept beside the ledger; %dpsynth load --last brings the first one back, for free.{more}"
    return [head, *(f"  {model.words}" for model in found[:SHOWN])]


def take_kept_model(
    session: Session,
    parsed: ParsedLine,
    synthesizer: HighDimSynthesizer,
    table: Source | SeveralTables,
    name: str,
) -> bool:
    """Take the kept model of the same table and settings, if the line says so or the user wants it.

    Args:
        session: Whose variables.
        parsed: The line of `learn`.
        synthesizer: What would be learned.
        table: The private table, or several.
        name: The variable for the synthesizer.

    Returns:
        Whether it was taken. Then there is nothing to learn, and the table is closed.

    Raises:
        ConfigError: `--reuse` and `--again` are both given.
        NotLearnedError: The user wants neither.

    Privacy:
        That there is such a model follows from the exact rows. It is told to the owner only, as the ledger's
        line is.
    """
    if {"reuse", "again"} <= parsed.options.keys():
        raise ConfigError("--reuse and --again are both given: give one of them.")
    if "again" in parsed.options:
        return False
    meta = synthesizer.tables_meta or synthesizer.df_meta
    model = shielded(lambda: kept_model_of(synthesizer.config, meta, table), "reading the table failed")
    if model is None:
        return False
    if "reuse" not in parsed.options:
        answer = _answer(model, synthesizer)
        if answer is None or answer in AGAIN:
            return False
        if answer not in USE:
            table.close()
            raise NotLearnedError("cancelled before anything was measured; nothing was spent.")
    table.close()
    _use(session, model, name)
    return True


def _answer(model: KeptModel, synthesizer: HighDimSynthesizer) -> str | None:
    """What the user wants; None where nobody can be asked."""
    epsilon = epsilon_text(synthesizer.config.epsilon)
    say(
        f"The same table was learned with the same settings before, and the model is kept ({model.words}).\n"
        f"'use' takes it and spends nothing; 'again' spends epsilon = {epsilon} once more. In the cell's "
        "first line, --reuse or --again answers beforehand."
    )
    answer = ask("use, again or cancel: ")
    return None if answer is None else answer.lower().strip("'\"")


def _use(session: Session, model: KeptModel, name: str) -> None:
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    session.namespace[name] = HighDimSynthesizer.load(model.path)
    session.current = name
    say(
        f"{name} is the kept model of the same table and settings: {model.words}. Nothing was measured, and "
        "nothing was spent. To learn again, which spends again, write --again instead of --reuse."
    )
