"""`infer`, `table` and `ask`: what the table tells about its population, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.notebook.magic.namespace import expand, find_table, read_value, variable_name
from jupyter_dpsynth.notebook.magic.settings import answers_of, dataset_of, reading_of
from jupyter_dpsynth.notebook.magic.synthesis import current_synthesizer
from jupyter_dpsynth.notebook.output import mime_bundle, publish, tell

if TYPE_CHECKING:
    from jupyter_dpsynth.inference.results import Estimates
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session

__all__ = ["ask", "infer", "table"]


def infer(session: Session, parsed: ParsedLine) -> None:
    """Answer a regression, or a function of the user's, with intervals."""
    question = _question(session, _arguments(parsed))
    _, synthesizer = current_synthesizer(session, parsed)
    family = parsed.options.get("family", "gaussian")
    _show(session, parsed, synthesizer.infer(question, family, _level(session, parsed)))


def ask(session: Session, parsed: ParsedLine) -> None:
    """Ask the real rows one question, for an epsilon of its own."""
    namespace = session.namespace
    if len(parsed.arguments) < 2:
        raise ConfigError(f"DATAFRAME or FORMULA is missing. Usage: {parsed.command.usage}.")
    original = find_table(parsed.argument(), namespace, reading=reading_of(session, parsed))
    question = _question(session, parsed.arguments[1:])
    _, synthesizer = current_synthesizer(session, parsed)
    given = parsed.options.get("epsilon")
    if given is None:
        raise ConfigError(
            "--epsilon is missing: say how much the question may spend, such as --epsilon 0.25."
        )
    if "output" in parsed.options:
        variable_name(parsed.options["output"], "--output", namespace)  # refused before anything is spent
    dataset, label = dataset_of(session, parsed)
    answer = synthesizer.ask(
        question,
        original,
        read_value(given, namespace, "--epsilon"),
        parsed.options.get("family", "gaussian"),
        _level(session, parsed),
        dataset=dataset,
        label=label,
        tell=tell,
        **answers_of(parsed),
    )
    _show(session, parsed, answer)


def _question(session: Session, words: list[str]) -> Any:  # noqa: ANN401 - a formula, or a function of the user's
    """A formula, or the user's function of that name."""
    text = expand(" ".join(words), session.namespace, "FORMULA")
    function = session.namespace.get(text)
    return function if callable(function) else text


def table(session: Session, parsed: ParsedLine) -> None:
    """Show shares with intervals."""
    columns = [expand(text, session.namespace, "COLUMN") for text in _arguments(parsed)]
    _, synthesizer = current_synthesizer(session, parsed)
    _show(session, parsed, synthesizer.table(*columns, level=_level(session, parsed)))


def _arguments(parsed: ParsedLine) -> list[str]:
    if not parsed.arguments:
        name = parsed.command.arguments[0].strip(".")
        raise ConfigError(f"{name} is missing. Usage: {parsed.command.usage}.")
    return parsed.arguments


def _level(session: Session, parsed: ParsedLine) -> float:
    text = parsed.options.get("level")
    level: float = 0.95 if text is None else read_value(text, session.namespace, "--level")
    return level


def _show(session: Session, parsed: ParsedLine, answer: Estimates) -> None:
    if "output" in parsed.options:
        session.namespace[variable_name(parsed.options["output"], "--output", session.namespace)] = answer
    publish(mime_bundle(answer.summary(), answer.to_html()))
