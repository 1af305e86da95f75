"""The grammar of `%dpsynth`: its commands and options, and how a line is parsed.

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
_META = Option("meta", "NAME", "A DataFrameMeta from MetaExtractor.extract; by default it is made from df.")
_CONFIG = Option("config", "NAME", "A HighDimConfig of yours to start from.")
_BACKGROUND = Option("background", "", "Return at once; the display has a Stop button.")
_DATASET = Option(
    "dataset",
    "DATASET",
    "The dataset's name in the ledger; all tables learned under one name count together.",
)
_INTERRUPT = Option(
    "on-interrupt",
    "keep|raise",
    "After an interrupt, keep the model and let 'Run All' go on (keep), or stop it (raise).",
    choices=("keep", "raise"),
)

_LEARN_DETAILS = """\
As a cell, with two percent signs, it takes lines of the form `name = value`:

    %%dpsynth learn df -o synthesizer
    epsilon = 1.0
    bounds = {"age": (0, 120)}     # public knowledge costs no epsilon

Instead of a DataFrame you can pass a Dask DataFrame, or files that are read part by part: data/*.parquet.

A value is a Python literal, one of your variables, or an {expression}. The cell can set the parameters below
and declare what is public about the columns:

    bounds = {"age": (0, 120)}               lowest and highest value
    categories = {"city": ["Graz", "Linz"]}  all values that may occur
    decimals = {"income": 2}                 digits after the decimal point
    ids = ["customer"]                       identifiers: never learned, get new numbers
    ignore = ["note"]                        left out
    schema = "columns.yaml"                  a file with all of these

While it runs, 'interrupt the kernel' ends training after the current step and keeps the model."""


_ROWS = Option("rows", "NUMBER", "About how many rows to plan for; your table is not counted.")
_SYNTHETIC = Option("synthetic", "", "Your word that DF_SYNTH is synthetic, where that is not known.")
_COLUMNS = Option("columns", "NUMBER", "Without a DATAFRAME: how many columns to plan for.")

_PANEL_DETAILS = """\
Opens a panel with all parameters, a privacy calculator and a table of the columns. The lines of the cell are
those of learn; the panel starts with these settings.

Instead of a DataFrame you can pass a Dask DataFrame, or files that are read part by part: data/*.parquet."""

_CALC_DETAILS = """\
Uses only the column names and types of the DataFrame. The row count is private, so give an approximate
number with --rows; otherwise the plan is for 10,000 rows. With n_public = True the rows are counted. The
lines of the cell are those of learn:

    %dpsynth calc df --rows 50_000 --epsilon 0.5"""

_DOCTOR_DETAILS = """\
Reads the private rows and reports what it finds: identifiers, duplicate rows, several rows per person,
columns with too many values, missing bounds, types that cannot be learned, too few rows for this epsilon.
Epsilon does not cover the findings: clear the output before you pass the notebook on.

Instead of a DataFrame you can pass a Dask DataFrame, or files: data/*.parquet. It then reads at most 262,144
rows, from up to 16 parts."""


_SYNTHESIZE_DETAILS = """\
Every row meets the conditions: a value, None for missing, a list of values, or a range of numbers or dates.

    %dpsynth synthesize 1000 --where {"sex": "Female", "age": (18, 65)}
    %dpsynth synthesize 1000 --balance income      # equally many rows for each category

Both also work for files; shares are then exact over all files together:

    %dpsynth synthesize 10_000_000 --to out/*.parquet --balance income"""


_EVALUATE_DETAILS = """\
Reads the private rows and adds noise to everything that is shown: the distance of every column and of pairs
of columns from the synthetic table, and the accuracy of a model. The cost is recorded in the ledger first,
and every figure has an error bar:

    %dpsynth evaluate df df_synth --epsilon 0.1

Instead of df you can pass a Dask DataFrame, or files that are read part by part: data/*.parquet."""


_LEDGER_DETAILS = """\
A run is recorded before anything is measured, and stays recorded however it ends. Tables with the same
content are the same dataset, whatever the variable is called. Tables learned with the same --dataset NAME
are the same dataset, whatever their content. The ledger takes a changed copy of a table for a new dataset:
link the two. What the ledger shows is for the owner of the data; epsilon does not cover it."""


_CONFIG_DETAILS = """\
Every parameter has a default that you can change, for this session or in an IPython configuration file:

    %config DPSynthMagics.epsilon = 0.5     # what %%dpsynth learn uses if the cell does not set it
    %config DPSynthMagics                   # all parameters and their meaning"""


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
            "Open a panel with fields and buttons for everything: parameters, columns, training.",
            (output, _DATASET, _CONFIG),
            _PANEL_DETAILS,
            body=True,
        ),
        Command(
            "calc",
            ("[DATAFRAME]",),
            "Forecast a run: epsilon, noise, error, time. Reads no value.",
            (_ROWS, _COLUMNS, _CONFIG, _META, *_parameters()),
            _CALC_DETAILS,
            body=True,
        ),
        Command(
            "doctor",
            ("DATAFRAME",),
            "Check the rows for problems before anything is spent. For the owner's eyes only.",
            (_CONFIG, _META, *_parameters()),
            _DOCTOR_DETAILS,
            body=True,
        ),
        Command(
            "synthesize",
            ("[ROWS]",),
            "Make a synthetic DataFrame, or files of any size; free, as often as you like.",
            (
                Option("output", "NAME", "Name of the variable for the DataFrame.", "o"),
                Option("seed", "NUMBER", "Makes the output repeatable; does not affect privacy."),
                Option("where", "CONDITIONS", "Conditions by column: a dict, or a variable that holds one."),
                Option(
                    "balance",
                    "COLUMN",
                    "Equally many rows for each category of a column, or a dict of {shares}.",
                ),
                Option("to", "PATTERN", "Write files instead, part by part: out/*.parquet or out/*.csv."),
                Option("overwrite", "", "With --to: replace existing files."),
                _SYNTHESIZER,
            ),
            _SYNTHESIZE_DETAILS,
        ),
        Command(
            "compare",
            ("[DF_SYNTH]",),
            "Compare the synthetic table with the noisy measurements (free).",
            (
                _SYNTHETIC,
                Option("original", "DATAFRAME", "Compare with the real table: NOT covered by epsilon."),
                Option("holdout", "DATAFRAME", "Real rows to test on, which were not learned."),
                Option(
                    "target",
                    "COLUMN",
                    "Also train a model for this column on synthetic rows, and test it on real ones.",
                ),
                Option("output", "NAME", "Name of the variable for the report.", "o"),
                _SYNTHESIZER,
            ),
        ),
        Command(
            "evaluate",
            ("DATAFRAME", "[DF_SYNTH]"),
            "Measure the quality with noise, for an epsilon of its own; you may publish the report.",
            (
                Option("epsilon", "NUMBER", "What the report may spend, in addition to learning."),
                Option(
                    "target",
                    "COLUMN",
                    "Also train a model for this categorical column on synthetic rows, "
                    "and test it on real ones.",
                ),
                _SYNTHETIC,
                _DATASET,
                Option("output", "NAME", "Name of the variable for the report.", "o"),
                _SYNTHESIZER,
            ),
            _EVALUATE_DETAILS,
        ),
        Command(
            "epsilon", (), "Say in a sentence what epsilon was spent and what it means.", (_SYNTHESIZER,)
        ),
        Command("status", (), "Show what is running and what has been learned."),
        Command("stop", (), "End a background training after its current step; the model is kept."),
        Command("receipt", (), "Show what epsilon was spent on.", (_SYNTHESIZER,)),
        Command(
            "ledger",
            (),
            "Show what every dataset has cost over all runs, kernels and notebooks.",
            (
                Option(
                    "cap",
                    "EPSILON",
                    "Largest total epsilon; a run that would exceed it is refused. None removes the cap.",
                ),
                Option(
                    "dataset",
                    "DATASET",
                    "With --cap: the dataset it applies to; by default, all without a cap of their own.",
                ),
                Option("link", "DATASET DATASET", "Count two datasets together from now on.", values=2),
                Option("export", "FILE", "Write all runs to a .csv file, or with their events to .json."),
            ),
            _LEDGER_DETAILS,
        ),
        Command(
            "audit",
            (),
            "Attack simulated trainings, and compare what the attack proves with the epsilon claimed (free).",
            (Option("seconds", "NUMBER", "About how long to attack; 60 by default."), _SYNTHESIZER),
        ),
        Command("save", ("FILE",), "Save the model; the file contains no row of the table.", (_SYNTHESIZER,)),
        Command("load", ("FILE",), "Load a saved model.", (output,)),
        Command(
            "config",
            ("[NAME]",),
            "List the parameters of a run, explain one, or show the values of a HighDimConfig variable.",
            details=_CONFIG_DETAILS,
        ),
        Command("help", ("[COMMAND]",), "Explain a command."),
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
        raise ConfigError(f"%dpsynth {command.name} does not understand {extra!r}. Usage: {command.usage}.")
    return parsed
