"""The grammar of `%dpsynth`: how a line is parsed. What may be written is described in `descriptions`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import ConfigError, did_you_mean
from jupyter_dpsynth.notebook.magic.descriptions import COMMANDS, SCHEMA_NAMES

if TYPE_CHECKING:
    from jupyter_dpsynth.notebook.magic.descriptions import Command, Option

__all__ = ["ParsedLine", "find_command", "parse_line", "split_line"]


@dataclass
class ParsedLine:
    """A line taken apart: raw texts, not evaluated yet."""

    command: Command
    arguments: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    help: bool = False
    body: str = ""

    def argument(self, position: int = 0) -> str | None:
        """The positional argument at a position, or None."""
        return self.arguments[position] if position < len(self.arguments) else None


def find_command(name: str) -> Command:
    """The sub-command of that name; ConfigError with a hint if there is none."""
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise ConfigError(
            f"%dpsynth has no sub-command {name!r}.{did_you_mean(name, COMMANDS)} Known: {known}."
        )
    return COMMANDS[name]


_WORD = re.compile(
    r"""(?:
        \{(?:[^{}]|\{[^{}]*\})*\}      # an {expression}, one level of braces inside
      | "(?:[^"\\]|\\.)*"              # quoted text
      | '(?:[^'\\]|\\.)*'
      | [^\s"'{]                       # anything else that is not space
      | ["'{]                          # a stray opening sign, taken as it is
    )+""",
    re.VERBOSE,
)


def split_line(line: str) -> list[str]:
    """Cut a line at spaces, but not inside quotes or `{expressions}`.

    Unlike a Unix shell it leaves backslashes and quotes alone: values are read as Python later.

    >>> split_line('learn {frames["a b"]} -o s --epsilon {eps * 2}')
    ['learn', '{frames["a b"]}', '-o', 's', '--epsilon', '{eps * 2}']
    """
    return _WORD.findall(line)


def _is_flag(word: str) -> bool:
    """Whether a word is an option, not a negative number."""
    return len(word) > 1 and word[0] == "-" and not word[1].isdigit() and word[1] != "."


def _find_option(command: Command, flag: str) -> Option:
    if flag.startswith("--"):
        written = flag[2:].replace("_", "-")
        for option in command.options:
            if option.name.replace("_", "-") == written:
                return option
    else:
        for option in command.options:
            if option.short and flag == f"-{option.short}":
                return option
    names = [option.name.replace("_", "-") for option in command.options]
    written = flag.lstrip("-").replace("_", "-")
    begun = [name for name in names if written and name.startswith(written)]
    hint = did_you_mean(begun[0] if len(begun) == 1 else written, names)
    hint = hint.replace("'", "'--", 1)
    name = written.replace("-", "_")
    if command.body and name in SCHEMA_NAMES:
        hint = f" What is declared of columns stands in the cell, below this line: {name} = ..."
    raise ConfigError(
        f"%dpsynth {command.name} has no option {flag!r}.{hint} See %dpsynth {command.name} --help."
    )


def _switch_text(option: Option, words: list[str]) -> str:
    """Value of a true-or-false parameter written without one: `--n_public` means True."""
    from jupyter_dpsynth.config import HighDimConfig

    default = HighDimConfig.class_traits()[option.name].default_value if option.parameter else None
    if isinstance(default, bool) and (not words or words[0].lower() not in {"true", "false"}):
        return "True"
    return ""


def _further_values(option: Option, flag: str, words: list[str]) -> list[str]:
    """The values behind the first one of an option that takes several."""
    wanted = option.values - 1
    if len(words) < wanted or any(map(_is_flag, words[:wanted])):
        raise ConfigError(f"{flag} needs {option.values} values: {flag} {option.metavar}.")
    return [words.pop(0) for _ in range(wanted)]


def _as_options(command: Command, words: list[str]) -> list[str]:
    """Words with `name=value` and `name = value`, as they stand in a cell, written `--name value`."""
    names = {each.name.replace("-", "_") for each in command.options if each.metavar}
    found, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name.replace("-", "_") in names and (equals or rest[:1] == ["="]):
            if not equals:
                rest.pop(0)
            found += [f"--{name}", *([value] if value else [])]
        else:
            found.append(word)
    return found


def _add(options: dict[str, str], option: Option, flag: str, value: str) -> None:
    """Add the value of an option; ConfigError if it is not allowed, or given before."""
    if option.choices and value not in option.choices:
        raise ConfigError(f"{flag} = {value!r} is not allowed: give {option.metavar}.")
    if option.name in options and not option.several:
        raise ConfigError(f"{flag} is given twice: give it once.")
    options[option.name] = f"{options[option.name]}\n{value}" if option.name in options else value


def parse_line(line: str) -> ParsedLine:
    """Take a magic's line apart.

    Args:
        line: What stands behind `%dpsynth` or `%%dpsynth`.

    Raises:
        ConfigError: Unknown sub-command or option, a missing value, too many arguments.
    """
    words = split_line(line)
    if not words or words[0] in {"-h", "--help"}:
        return ParsedLine(find_command("help"))
    parsed = ParsedLine(find_command(words.pop(0)))
    command = parsed.command
    words = _as_options(command, words)
    while words:
        word = words.pop(0)
        if word in {"-h", "--help"}:
            parsed.help = True
        elif not _is_flag(word):
            parsed.arguments.append(word)
        else:
            flag, equals, value = word.partition("=")
            option = _find_option(command, flag)
            if not equals and option.metavar:
                value = _switch_text(option, words)
                if not value and (not words or _is_flag(words[0])):
                    raise ConfigError(f"{flag} needs a value: {flag} {option.metavar}.")
                value = " ".join([value or words.pop(0), *_further_values(option, flag, words)])
            _add(parsed.options, option, flag, value)
    if len(parsed.arguments) > command.most_arguments:
        extra = parsed.arguments[len(command.arguments)]
        name, equals, _ = extra.partition("=")
        names = [each.name.replace("-", "_") for each in command.options] if equals else []
        hint = did_you_mean(name, names)
        raise ConfigError(
            f"%dpsynth {command.name} does not understand {extra!r}.{hint} Usage: {command.usage}."
        )
    return parsed
