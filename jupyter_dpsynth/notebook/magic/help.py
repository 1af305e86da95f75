"""`help` and `config`: the sub-commands, their options and the parameters of a run, explained."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from markupsafe import Markup

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.display.html import card, table
from jupyter_dpsynth.errors import ConfigError, did_you_mean
from jupyter_dpsynth.notebook.magic.descriptions import COMMANDS
from jupyter_dpsynth.notebook.magic.grammar import find_command
from jupyter_dpsynth.notebook.magic.namespace import evaluate, instances
from jupyter_dpsynth.notebook.output import mime_bundle, publish, say

if TYPE_CHECKING:
    from jupyter_dpsynth.notebook.magic.descriptions import Command
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session

__all__ = ["config", "explain", "help_text"]

FIRST_RUN = """\
Differentially private synthetic tables. A first run, with your pandas DataFrame df:

    %%dpsynth learn df             learns the table; spends the epsilon in the next line
    epsilon = 1.0

    %dpsynth synthesize 1000       makes 1,000 new rows, df_synth; costs no epsilon
    %dpsynth compare               shows how close they come; costs no epsilon
    %dpsynth epsilon               says what was spent, in a sentence

Or use fields and buttons for everything: %dpsynth panel df"""
SHARE = "A copy of the notebook for others, saved before: !jupyter dpsynth share NOTEBOOK.ipynb"
PARAMETERS = "Parameters, on the line or as `name = value` in the cell:"
GROUPS = {
    "Before anything is spent:": ("panel", "calc", "doctor", "shield", "config"),
    "Spend epsilon:": ("learn", "evaluate", "ask", "status", "stop"),
    "Use the model; costs no epsilon:": (
        "synthesize",
        "infer",
        "table",
        "compare",
        "report",
        "save",
        "load",
        "models",
    ),
    "See what was spent:": ("epsilon", "receipt", "ledger", "audit"),
    "More help:": ("help",),
}


def help_text(command: Command | None = None) -> str:
    """Help on one command, or the list of all."""
    if command is None:
        lines = [FIRST_RUN]
        for title, names in GROUPS.items():
            lines += ["", title]
            lines += [f"  {name:<11} {COMMANDS[name].summary}" for name in names]
        return "\n".join(
            [
                *lines,
                "",
                SHARE,
                "%dpsynth COMMAND --help explains a command, for example %dpsynth learn --help.",
            ]
        )
    lines = [command.usage, "", command.summary]
    defaults = HighDimConfig().to_dict()
    groups = (
        ("Options:", [each for each in command.options if not each.parameter]),
        (PARAMETERS, [each for each in command.options if each.parameter]),
    )
    if command.details:
        lines += ["", command.details]
    for title, options in groups:
        if options:
            lines += ["", title]
            for each in options:
                usual = f"   (default: {defaults[each.name]!r})" if each.parameter else ""
                flags = f"{', '.join(each.flags)} {each.metavar}".rstrip() + usual
                words = textwrap.wrap(each.help, 88)
                lines += [f"  {flags}", *(f"      {line}" for line in words)]
    return "\n".join(lines)


def explain(session: Session, parsed: ParsedLine) -> None:  # noqa: ARG001 - every sub-command's form
    """Explain a sub-command, or list them."""
    name = parsed.argument()
    say(help_text(None if name is None else find_command(name)))


def config(session: Session, parsed: ParsedLine) -> None:
    """List the parameters, or explain one, or list the values of a config."""
    name = parsed.argument()
    traits = HighDimConfig.class_traits()
    if name in traits:
        trait = traits[name]
        allowed = getattr(trait, "range_text", "")
        usual = trait.default_value
        value = session.preferences().parameters.get(name, usual)
        here = "" if value == usual else f", in this session {value!r}"
        say(f"{name} (default {usual!r}{here})\n{trait.help}")
        if allowed:
            say(f"Allowed: {allowed}.")
        say(f"To change the default for this session: %config DPSynthMagics.{name} = VALUE")
        return
    values: HighDimConfig = session.defaults()
    if name is not None:
        namespace = session.namespace
        if name.isidentifier() and name not in namespace:
            known = (*HighDimConfig.option_names(), *instances(namespace, HighDimConfig))
            raise ConfigError(f"{name!r} is neither a parameter nor a variable.{did_you_mean(name, known)}")
        value = evaluate(name, namespace, "NAME")
        values = getattr(value, "config", value)  # a synthesizer's, or a config itself
        if not isinstance(values, HighDimConfig):
            raise ConfigError(f"{name!r} is a {type(value).__name__}, not a HighDimConfig.")
    rows = [(key, repr(value), str(traits[key].help)) for key, value in values.to_dict().items()]
    heading = "default" if name is None else "value"
    publish(mime_bundle(_text_table(rows), _html_table(heading, rows)))


def _text_table(rows: list[tuple[str, str, str]]) -> str:
    wide = max(len(name) for name, _, _ in rows), max(len(value) for _, value, _ in rows)
    return "\n".join(f"{name:{wide[0]}}  {value:{wide[1]}}  {words}" for name, value, words in rows)


def _html_table(heading: str, rows: list[tuple[str, str, str]]) -> Markup:
    code = Markup("<code>{}</code>")
    cells = [(code.format(name), code.format(value), words) for name, value, words in rows]
    return card(table(cells, ("parameter", heading, "meaning"), bold=False), kind="config")
