"""Completion for `%dpsynth`: commands, options, variables and, in the lines of a cell, parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from jupyter_dpsynth.notebook.magic.descriptions import COMMANDS, SCHEMA_NAMES
from jupyter_dpsynth.notebook.magic.grammar import split_line
from jupyter_dpsynth.notebook.magic.namespace import dataframe_names, instances
from jupyter_dpsynth.notebook.shield import reveal
from jupyter_dpsynth.sources.several import TABLE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_dpsynth.notebook.magic.descriptions import Option

__all__ = ["install_completer", "remove_completer"]

IDENTIFIER = "dpsynth"
_LINE = re.compile(r"^\s*%{0,2}dpsynth(?:\s(?P<rest>.*))?$")


def install_completer(shell: InteractiveShell) -> None:
    """Add our matcher to a shell."""
    completer = shell.Completer
    if completer is None:
        return

    @context_matcher(identifier=IDENTIFIER, priority=100)
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        return complete(context, shell.user_ns)

    remove_completer(shell)
    completer.custom_matchers.append(matcher)


def remove_completer(shell: InteractiveShell) -> None:
    """Remove our matcher from a shell."""
    if shell.Completer is not None:
        shell.Completer.custom_matchers[:] = [
            each
            for each in shell.Completer.custom_matchers
            if getattr(each, "matcher_identifier", None) != IDENTIFIER
        ]


def complete(context: CompletionContext, namespace: dict[str, Any]) -> SimpleMatcherResult:
    """Completions at the cursor; none outside our magics, so that other matchers can answer."""
    lines = context.full_text.split("\n")
    line = context.text_until_cursor
    match = _LINE.match(line)
    if match is not None and match["rest"] is not None:
        words = split_line(match["rest"])
        fragment = "" if line[-1:].isspace() or not words else words.pop()
        candidates = _line_candidates(words, fragment, namespace)
    elif context.cursor_line > 0 and _takes_body(lines[0]):
        name = re.fullmatch(r"\s*(\w*)", line)
        fragment = name[1] if name else ""
        candidates = _parameters() if name else []
    else:
        return {"completions": [], "suppress": False}
    found = [each for each in candidates if each.startswith(fragment)]
    return {
        "completions": [SimpleCompletion(text=each, type="magic") for each in found],
        "matched_fragment": fragment,
        "suppress": bool(found),
    }


def _takes_body(line: str) -> bool:
    """Whether a cell's first line calls a command that takes the lines below."""
    match = re.match(r"^\s*%%dpsynth\s+(\w+)", line)
    return match is not None and match[1] in COMMANDS and COMMANDS[match[1]].body


def _parameters() -> list[str]:
    from jupyter_dpsynth.config import HighDimConfig

    return [*HighDimConfig.option_names(), *SCHEMA_NAMES, *TABLE_NAMES]


def _line_candidates(words: list[str], fragment: str, namespace: dict[str, Any]) -> list[str]:
    if not words:
        return list(COMMANDS)
    command = COMMANDS.get(words[0])
    if command is None:
        return []
    flags = {flag: option for option in command.options for flag in option.flags}
    if words[-1] in flags and flags[words[-1]].metavar:
        return _values(flags[words[-1]], words, namespace)
    flag, equals, _ = fragment.partition("=")
    if equals and flag in flags:
        return [f"{flag}={value}" for value in _values(flags[flag], words, namespace)]
    if fragment.startswith("-"):
        return [*(flag for flag in flags if flag.startswith("--")), "--help"]
    wanted = command.arguments[0].strip("[]") if command.arguments else ""
    arguments: dict[str, Callable[[], list[str]]] = {
        "COMMAND": lambda: list(COMMANDS),
        "NAME": lambda: [*_parameters(), *_configs(namespace)],
        "DATAFRAME": lambda: dataframe_names(namespace),
        "DF_SYNTH": lambda: dataframe_names(namespace),
    }
    return arguments.get(wanted, list)()


def _values(option: Option, words: list[str], namespace: dict[str, Any]) -> list[str]:
    """What fits as the value of an option; `words` is the line before it."""
    if option.choices:
        return list(option.choices)
    if option.parameter:
        return _parameter_values(option.name, words, namespace)
    found: dict[str, Callable[[], list[str]]] = {
        "DATAFRAME": lambda: dataframe_names(namespace),
        "COLUMN": lambda: _column_names(words, namespace),
        "DATASET": _dataset_names,
        "NAME": lambda: _variables(option.name, namespace),
    }
    return found.get(option.metavar.partition(" ")[0], list)()


def _variables(option: str, namespace: dict[str, Any]) -> list[str]:
    """Variables that can be the value of an option; none for `--output`, which takes a new name."""
    if option == "config":
        return _configs(namespace)
    if option == "meta":
        from jupyter_dpsynth.metadata.columns import DataFrameMeta

        return instances(namespace, DataFrameMeta)
    if option == "synthesizer":
        from jupyter_dpsynth.synthesizer import HighDimSynthesizer

        return instances(namespace, HighDimSynthesizer)
    return []


def _parameter_values(name: str, words: list[str], namespace: dict[str, Any]) -> list[str]:
    """The values of a parameter that allows only certain ones."""
    from traitlets import Bool, Enum

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.parameters import ColumnName

    trait = HighDimConfig.class_traits()[name]
    if isinstance(trait, Bool):
        return ["True", "False"]
    if isinstance(trait, Enum):
        return [str(value) for value in trait.values or ()]
    return _column_names(words, namespace) if isinstance(trait, ColumnName) else []


def _configs(namespace: dict[str, Any]) -> list[str]:
    from jupyter_dpsynth.config import HighDimConfig

    return instances(namespace, HighDimConfig)


def _column_names(words: list[str], namespace: dict[str, Any]) -> list[str]:
    """Columns of the tables named in the line, quoted if they contain a space."""
    named = [reveal(namespace[word]) for word in words if word in dataframe_names(namespace)]
    from jupyter_dpsynth.sources.opening import open_source

    columns = dict.fromkeys(str(column) for frame in named for column in open_source(frame).described.columns)
    return [name if name.isidentifier() else repr(name) for name in columns]


def _dataset_names() -> list[str]:
    """Datasets in the ledger, quoted if they contain a space."""
    from jupyter_dpsynth.errors import DPSynthError
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger

    try:
        datasets = PrivacyLedger().summary().datasets
    except DPSynthError:  # said when the ledger is used, not while somebody types
        return []
    return [name if name.isidentifier() else repr(name) for each in datasets for name in each.names]
