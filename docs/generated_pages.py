"""Writes the reference pages that are made from the code: the parameters of a run, and the magics.

Each page is Markdown, made from the one place where a parameter or command is described.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Enum

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.notebook.magic.descriptions import COMMANDS, SCHEMA_NAMES
from jupyter_dpsynth.notebook.magic.magics import DPSynthMagics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from traitlets import TraitType

    from jupyter_dpsynth.notebook.magic.descriptions import Command, Option

OPTION = re.compile(r"(?<!\S)--\w[\w-]*")
GROUPS = {"privacy": "Privacy", "training": "Training", "model": "Model"}

PARAMETERS_TOP = """\
# Parameters of a run

All parameters of `HighDimConfig`. You set them under the same names in Python, in the lines of a
`%%dpsynth learn` cell, as options of `%dpsynth learn` and `calc`, and in the panel.
`%config DPSynthMagics.NAME = value` changes a default. Only `epsilon` needs your decision; everything else is
automatic. Parameters that exclude each other are refused before anything is spent.
"""

MAGICS_TOP = """\
# The `%dpsynth` magics

These commands are available after `%load_ext jupyter_dpsynth`. `%dpsynth COMMAND --help` shows the same
text in the notebook; the Tab key completes commands, options, values, columns and variables.

`learn`, `calc` and `doctor` also take the [parameters of a run](parameters.md) (`--epsilon` and others).
If the usage begins with `%%`, the lines of the cell can set these parameters, too, and declare what is
public about the columns: {names}.
"""

SETTINGS_TOP = """
## Settings

Change a setting for one session with, for example, `%config DPSynthMagics.live = 'text'`, or
permanently in an IPython configuration file. The defaults of all [parameters](parameters.md) are changed
in the same way.
"""


def write_pages(folder: Path) -> None:
    """Write every generated page into a folder, leaving those alone that have not changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("parameters.md", parameters_page()), ("magics.md", magics_page())):
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def allowed_values(trait: TraitType[Any, Any]) -> str:
    """The values that a trait takes, in words."""
    if isinstance(trait, Bool):
        return "True or False"
    if isinstance(trait, Enum):
        return " or ".join(repr(choice) for choice in trait.values)
    return str(trait.range_text)


def unit_of(trait: TraitType[Any, Any]) -> str:
    """The unit of a parameter as a sentence, empty if it has none."""
    unit = trait.metadata.get("unit", "")
    return f". *Unit:* {escape(unit)}" if unit else ""


def parameters_page() -> str:
    """Every parameter: meaning, unit, default, range, what it does to privacy."""
    traits = HighDimConfig.class_traits()
    lines = [PARAMETERS_TOP]
    for group, title in GROUPS.items():
        members = {
            name: traits[name]
            for name in HighDimConfig.option_names()
            if traits[name].metadata["group"] == group
        }
        rows = [
            (
                f"`{name}`",
                f"`{trait.default_value!r}`",
                f"{escape(str(trait.help))}<br>*Allowed:* {escape(allowed_values(trait))}{unit_of(trait)}",
                escape(trait.metadata["effect"]),
            )
            for name, trait in members.items()
        ]
        head = ("name", "default", "meaning", "effect on privacy")
        lines += [f"## {title}", "", *table(head, rows), ""]
    return "\n".join(lines)


def magics_page() -> str:
    """Every sub-command with its options, and the traits that `%config` sets."""
    names = ", ".join(f"`{name}`" for name in SCHEMA_NAMES)
    summary = [(f"[`{name}`](#{name})", escape(command.summary)) for name, command in COMMANDS.items()]
    lines = [MAGICS_TOP.format(names=names), *table(("command", "what it does"), summary)]
    for command in COMMANDS.values():
        lines += command_section(command)
    return "\n".join([*lines, SETTINGS_TOP, *settings_table(), ""])


def command_section(command: Command) -> Iterable[str]:
    """What one sub-command takes."""
    usage = command.usage.replace("%dpsynth", "%%dpsynth", 1) if command.body else command.usage
    found = ["", f"## {command.name}", "", escape(command.summary), "", "```text", usage, "```"]
    own = [(flags(option), escape(option.help)) for option in command.options if not option.parameter]
    if own:
        found += ["", *table(("option", "what it does"), own)]
    return [*found, *prose(command.details)]


def prose(text: str) -> Iterable[str]:
    """Help as Markdown: its paragraphs as such, and what is indented as code."""
    for paragraph in filter(None, text.split("\n\n")):
        if paragraph.startswith("    "):
            yield from ("", "```text", textwrap.dedent(paragraph), "```")
        else:
            yield from ("", escape(paragraph).replace("\\`", "`"))  # what is code there is code here


def flags(option: Option) -> str:
    """How an option is written."""
    written = (f"`{flag} {option.metavar}`" if option.metavar else f"`{flag}`" for flag in option.flags)
    return ", ".join(written).replace("|", "\\|")


def settings_table() -> Iterable[str]:
    """The settings of the magics that are no parameters of a run."""
    traits = DPSynthMagics.class_own_traits(config=True)
    rows = [
        (
            f"`DPSynthMagics.{name}`",
            escape(str(trait.help)),
            f"`{trait.default_value!r}`",
            escape(allowed_values(trait)),
        )
        for name, trait in traits.items()
    ]
    return table(("name", "meaning", "default", "allowed"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def escape(text: str) -> str:
    """Text as it stands, in a cell of a Markdown table."""
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return OPTION.sub(r"`\g<0>`", " ".join(text.split()))  # as code, where two dashes stay two
