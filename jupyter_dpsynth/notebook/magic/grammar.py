"""What `%dpsynth` understands: its sub-commands and options, and how a line is read.

One table describes every sub-command. Parsing, `--help`, 'did you mean' and completion are all made
from it, and the parameters of a training run come from `HighDimConfig`, so that nothing is described
twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["COMMANDS", "Command", "Option", "ParsedLine", "find_command", "parse_line", "split_line"]

#: Names a `%%dpsynth learn` body may set besides the parameters of `HighDimConfig`.
SCHEMA_NAMES = ("bounds", "categories", "decimals", "ids", "ignore", "schema")


@dataclass(frozen=True)
class Option:
    """One option of a sub-command.

    Attributes:
        name: Long name without dashes.
        metavar: What its value is called in the help; empty for a switch without value.
        help: One sentence.
        short: One letter, or empty.
        choices: The allowed values; empty if not a fixed list.
        parameter: Whether it is a parameter of `HighDimConfig`.
        values: How many values it takes, if it takes one at all.
    """

    name: str
    metavar: str
    help: str
    short: str = ""
    choices: tuple[str, ...] = ()
    parameter: bool = False
    values: int = 1

    @property
    def flags(self) -> tuple[str, ...]:
        """How the option may be written."""
        return (f"-{self.short}", f"--{self.name}") if self.short else (f"--{self.name}",)


@dataclass(frozen=True)
class Command:
    """One sub-command.

    Attributes:
        name: Its name.
        arguments: Names of the positional arguments in order; those in brackets are optional.
        summary: One sentence.
        options: What it takes besides, without `--help`, which every sub-command takes.
        details: Further help, as lines.
        body: Whether the lines of a cell belong to it.
    """

    name: str
    arguments: tuple[str, ...]
    summary: str
    options: tuple[Option, ...] = ()
    details: str = ""
    body: bool = False

    @property
    def usage(self) -> str:
        """The line to type."""
        parts = ["%dpsynth", self.name, *self.arguments]
        parts += ["[options]"] if self.options else []
        return " ".join(parts)


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


_SYNTHESIZER = Option("synthesizer", "NAME", "Which synthesizer; by default the last one learned.", "s")
_META = Option("meta", "NAME", "A DataFrameMeta from MetaExtractor.extract; by default made from df.")
_CONFIG = Option("config", "NAME", "An existing HighDimConfig to start from.")
_BACKGROUND = Option("background", "", "Return at once; the display has a Stop button.")
_DATASET = Option(
    "dataset", "DATASET", "Name in the ledger: all tables learned under one name count together."
)
_INTERRUPT = Option(
    "on-interrupt",
    "keep|raise",
    "After an interrupt keep the model and go on, or also stop 'Run All'.",
    choices=("keep", "raise"),
)

_LEARN_DETAILS = """\
As a cell, with two percent signs, it takes lines `name = value`:

    %%dpsynth learn df -o synthesizer
    epsilon = 1.0
    bounds = {"age": (0, 120)}     # what everybody knows of the table costs nothing

Instead of a DataFrame there may be a Dask DataFrame, or files that are read part by part: data/*.parquet.

A value is a Python literal, a variable of yours, or an {expression}. The cell may set the parameters below,
and what is public of the columns:

    bounds = {"age": (0, 120)}               lowest and highest value
    categories = {"city": ["Graz", "Linz"]}  all values there can be
    decimals = {"income": 2}                 digits after the point
    ids = ["customer"]                       never learned, numbered anew
    ignore = ["note"]                        left out
    schema = "columns.yaml"                  a file that says all of this

While it runs, 'interrupt the kernel' ends training after the current step and keeps the model."""


_ROWS = Option("rows", "NUMBER", "About how many rows to plan for; your table is not counted.")
_COLUMNS = Option("columns", "NUMBER", "Without a DATAFRAME: how many columns to plan for.")

_PANEL_DETAILS = """\
Opens a panel with all parameters, a privacy calculator and a table of the columns. The cell may set the
same names as that of learn: the panel then starts with them.

Instead of a DataFrame there may be a Dask DataFrame, or files that are read part by part: data/*.parquet."""

_CALC_DETAILS = """\
Of the DataFrame only column names and types are used. The row count is private, so say about how many rows
it has with --rows; otherwise the plan is for 10,000. With n_public = True the rows are counted. The cell
may set the same names as that of learn:

    %dpsynth calc df --rows 50_000 --epsilon 0.5"""

_DOCTOR_DETAILS = """\
Looks at the private rows and tells what it finds: identifiers, doubled rows, several rows a person, columns
with too many values, missing bounds, types that cannot be learned, too few rows for this epsilon. None of
it is covered by epsilon: clear the output before the notebook leaves your hands.

Instead of a DataFrame there may be a Dask DataFrame, or files: data/*.parquet. Of these at most 262,144 rows
are looked at, from up to 16 parts."""


_SYNTHESIZE_DETAILS = """\
Conditions hold in every row: a value, None for missing, a list of values, or a range of numbers or dates.

    %dpsynth synthesize 1000 --where {"sex": "Female", "age": (18, 65)}
    %dpsynth synthesize 1000 --balance income      # equal numbers of rows with each category

Both hold in files as well, shares exactly over all of them:

    %dpsynth synthesize 10_000_000 --to out/*.parquet --balance income"""


_EVALUATE_DETAILS = """\
The private rows are read, and noise is added to all that is shown: every column's distance from the
synthetic table, that of the pairs of columns, and the accuracy of a model. What it costs is entered into
the ledger first, and every figure has an error bar:

    %dpsynth evaluate df df_synth --epsilon 0.1

Instead of df there may be a Dask DataFrame, or files that are read part by part: data/*.parquet."""


_LEDGER_DETAILS = """\
A run is entered before anything is measured, and what was entered stays, however the run ends. The same
content is the same dataset, whatever the variable is called; a name given with %%dpsynth learn df --dataset
NAME is the same dataset, whatever the content. A changed copy of a table is new to the ledger: link it.
What the ledger shows is for the owner of the data; no part of epsilon covers it."""


_CONFIG_DETAILS = """\
Every parameter has a default that you can change, for this session or in an IPython configuration file:

    %config DPSynthMagics.epsilon = 0.5     # what %%dpsynth learn uses when the cell does not say
    %config DPSynthMagics                   # all of them, with what they mean"""


def _parameters() -> tuple[Option, ...]:
    """The parameters of a run, as options."""
    from jupyter_dpsynth.config import HighDimConfig

    traits = HighDimConfig.class_traits()
    return tuple(
        Option(name, "VALUE", str(traits[name].help), parameter=True) for name in HighDimConfig.option_names()
    )


@lru_cache(maxsize=1)
def _commands() -> dict[str, Command]:
    output = Option("output", "NAME", "Name of the variable for the synthesizer.", "o")
    commands = (
        Command(
            "learn",
            ("DATAFRAME",),
            "Learn a DataFrame under differential privacy.",
            (output, _DATASET, _CONFIG, _META, _BACKGROUND, _INTERRUPT, *_parameters()),
            _LEARN_DETAILS,
            body=True,
        ),
        Command(
            "panel",
            ("[DATAFRAME]",),
            "Set everything with the mouse or the keyboard: budget, columns, training.",
            (output, _DATASET, _CONFIG),
            _PANEL_DETAILS,
            body=True,
        ),
        Command(
            "calc",
            ("[DATAFRAME]",),
            "Say what a run would be like: epsilon, noise, error, time. Reads no value.",
            (_ROWS, _COLUMNS, _CONFIG, _META, *_parameters()),
            _CALC_DETAILS,
            body=True,
        ),
        Command(
            "doctor",
            ("DATAFRAME",),
            "Look for what would spoil a run, before anything is spent. For the owner's eyes.",
            (_CONFIG, _META, *_parameters()),
            _DOCTOR_DETAILS,
            body=True,
        ),
        Command(
            "synthesize",
            ("[ROWS]",),
            "Make a synthetic DataFrame, or files of any size; free, as often as wanted.",
            (
                Option("output", "NAME", "Name of the variable for the DataFrame.", "o"),
                Option("seed", "NUMBER", "Makes the output repeatable; no bearing on privacy."),
                Option("where", "CONDITIONS", "Conditions by column: a dict, or the name of one."),
                Option(
                    "balance", "COLUMN", "Equal numbers of rows with each category, or {shares} by value."
                ),
                Option("to", "PATTERN", "Write files instead, part by part: out/*.parquet or out/*.csv."),
                Option("overwrite", "", "With --to: replace files that are there."),
                _SYNTHESIZER,
            ),
            _SYNTHESIZE_DETAILS,
        ),
        Command(
            "compare",
            ("[DF_SYNTH]",),
            "Compare synthetic data with what was measured privately (free).",
            (
                Option("original", "DATAFRAME", "Compare with the real table: NOT covered by epsilon."),
                Option("holdout", "DATAFRAME", "Real rows that were not learned, to test on."),
                Option("target", "COLUMN", "Train on synthetic, test on real, for this column."),
                Option("output", "NAME", "Name of the variable for the report.", "o"),
                _SYNTHESIZER,
            ),
        ),
        Command(
            "evaluate",
            ("DATAFRAME", "[DF_SYNTH]"),
            "Measure, with budget of its own, how close synthetic data comes: may be passed on.",
            (
                Option("epsilon", "NUMBER", "What the report may spend, beside what learning spent."),
                Option(
                    "target", "COLUMN", "Also train on synthetic, test on real, for this column of names."
                ),
                _DATASET,
                Option("output", "NAME", "Name of the variable for the report.", "o"),
                _SYNTHESIZER,
            ),
            _EVALUATE_DETAILS,
        ),
        Command("epsilon", (), "Say what epsilon was spent, in a sentence.", (_SYNTHESIZER,)),
        Command("status", (), "Say what is running and what has been learned."),
        Command("stop", (), "End a background training after its current step; the model is kept."),
        Command("receipt", (), "Show what epsilon was spent on.", (_SYNTHESIZER,)),
        Command(
            "ledger",
            (),
            "Show what every dataset has cost in all runs, kernels and notebooks.",
            (
                Option("cap", "EPSILON", "Largest total epsilon; runs beyond are refused. None removes it."),
                Option("dataset", "DATASET", "Whose cap it is; by default that of all without their own."),
                Option("link", "DATASET DATASET", "Count two datasets together from now on.", values=2),
                Option("export", "FILE", "Write all runs to a .csv file, or with their events to .json."),
            ),
            _LEDGER_DETAILS,
        ),
        Command(
            "audit",
            (),
            "Attack simulated trainings and show what could be proved beside the claim (free).",
            (Option("seconds", "NUMBER", "About how long, 60 by default."), _SYNTHESIZER),
        ),
        Command("save", ("FILE",), "Write the learned state, without a single row.", (_SYNTHESIZER,)),
        Command("load", ("FILE",), "Read what save wrote.", (output,)),
        Command(
            "config",
            ("[NAME]",),
            "List the parameters of a run, or explain one; NAME may also be a config of yours.",
            details=_CONFIG_DETAILS,
        ),
        Command("help", ("[COMMAND]",), "Explain a sub-command."),
    )
    return {command.name: command for command in commands}


class _Commands:
    """The table, made at first use: it needs `HighDimConfig`."""

    def __iter__(self) -> Iterator[Command]:
        return iter(_commands().values())

    def __getitem__(self, name: str) -> Command:
        return _commands()[name]


COMMANDS = _Commands()


def find_command(name: str) -> Command:
    """The sub-command of that name; ConfigError with a hint if there is none."""
    commands = _commands()
    if name not in commands:
        known = ", ".join(commands)
        raise ConfigError(
            f"%dpsynth has no sub-command {name!r}.{did_you_mean(name, commands)} Known: {known}."
        )
    return commands[name]


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
            if option.name in parsed.options:
                raise ConfigError(f"{flag} is given twice: give it once.")
            if option.choices and value not in option.choices:
                raise ConfigError(f"{flag} = {value!r} is not allowed: give {option.metavar}.")
            parsed.options[option.name] = value
    if len(parsed.arguments) > len(command.arguments):
        extra = parsed.arguments[len(command.arguments)]
        raise ConfigError(
            f"%dpsynth {command.name} does not know what to do with {extra!r}. Usage: {command.usage}."
        )
    return parsed
