"""The form of a sub-command of `%dpsynth` and of its options, and the options that several of them take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

__all__ = ["READING", "Command", "Option"]


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
        several: Whether it may be given several times; its values are then lines of one text.
    """

    name: str
    metavar: str
    help: str
    short: str = ""
    choices: tuple[str, ...] = ()
    parameter: bool = False
    values: int = 1
    several: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """How the option may be written."""
        return (f"-{self.short}", f"--{self.name}") if self.short else (f"--{self.name}",)


@dataclass(frozen=True)
class Command:
    """One sub-command.

    Attributes:
        name: Its name.
        arguments: Names of the positional arguments in order; those in brackets are optional, and of one that
            ends with dots there may be any number.
        summary: One sentence.
        own_options: What it takes besides, without `--help`, which every sub-command takes.
        details: Further help, as lines.
        body: Whether the lines of a cell belong to it.
        plans_run: Whether it takes the parameters of a run as options, too.
    """

    name: str
    arguments: tuple[str, ...]
    summary: str
    own_options: tuple[Option, ...] = ()
    details: str = ""
    body: bool = False
    plans_run: bool = False

    @property
    def options(self) -> tuple[Option, ...]:
        """All options."""
        return (*self.own_options, *_parameters()) if self.plans_run else self.own_options

    @property
    def most_arguments(self) -> float:
        """How many positional arguments there may be."""
        many = bool(self.arguments) and self.arguments[-1].strip("[]").endswith("...")
        return float("inf") if many else len(self.arguments)

    @property
    def usage(self) -> str:
        """The line to type."""
        parts = ["%dpsynth", self.name, *self.arguments]
        parts += ["[options]"] if self.own_options else []
        return " ".join(parts)


@lru_cache(maxsize=1)
def _parameters() -> tuple[Option, ...]:
    """The parameters of a run, as options; made at first use, because they need `HighDimConfig`."""
    from jupyter_dpsynth.config import HighDimConfig

    traits = HighDimConfig.class_traits()
    return tuple(
        Option(name, "VALUE", str(traits[name].help), parameter=True) for name in HighDimConfig.option_names()
    )


#: How CSV files are written; `settings.reading_of` makes `CsvOptions` of them.
READING = (
    Option("sep", "MARK", "CSV: what separates the fields, such as ';' or tab; else found, and told."),
    Option("encoding", "NAME", "CSV: how the text is written, such as cp1252; else found, and told."),
    Option("decimal", "MARK", "CSV: the decimal mark, '.' or ','; else found, and told."),
    Option("thousands", "MARK", "CSV: what may stand between groups of three digits; '' for nothing."),
    Option("dayfirst", "", "CSV: 01/02/2024 is in February; else found, and told."),
    Option("no-dayfirst", "", "CSV: 01/02/2024 is in January."),
    Option("na", "TEXT", "CSV: a text that is a missing value; may be repeated.", several=True),
    Option("text", "COLUMN", "CSV: a column that stays text; may be repeated.", several=True),
)
