"""Reads the settings of a run from a line and its cell: parameters, declarations, the dataset's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.config import AUTO, HighDimConfig
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.notebook.magic.command import READING
from jupyter_dpsynth.notebook.magic.descriptions import SCHEMA_NAMES
from jupyter_dpsynth.notebook.magic.namespace import (
    build_config,
    expand,
    find_instance,
    find_table,
    parse_body,
    read_value,
)
from jupyter_dpsynth.parameters import ColumnName
from jupyter_dpsynth.privacy.ledger.datasets import label_of
from jupyter_dpsynth.privacy.ledger.summary import check_dataset_name
from jupyter_dpsynth.sources.several import TABLE_NAMES

if TYPE_CHECKING:
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.privacy.ledger.datasets import LedgerAnswers
    from jupyter_dpsynth.sources.base import Source
    from jupyter_dpsynth.sources.csvfile import CsvOptions

__all__ = ["answers_of", "dataset_of", "meta_of", "reading_of", "settings", "table_of"]

SEVERAL = ("learn", "doctor", "calc", "panel")  # commands that take several tables of the same persons


def settings(session: Session, parsed: ParsedLine) -> tuple[HighDimConfig, dict[str, Any]]:
    """The parameters and the declarations that a line and its cell set.

    What they do not set is that of `--config`, else of `%config DPSynthMagics`.

    Returns:
        The config, and what is declared of the columns by name of `MetaExtractor.extract`'s arguments;
        besides 'ignore', which `table_of` takes.
    """
    namespace = session.namespace
    names = HighDimConfig.option_names()
    traits = HighDimConfig.class_traits()
    columns = tuple(name for name in names if isinstance(traits[name], ColumnName))
    declared = SCHEMA_NAMES + TABLE_NAMES if parsed.command.name in SEVERAL else SCHEMA_NAMES
    values = parse_body(parsed.body, namespace, (*names, *declared), columns)
    for option in parsed.command.options:
        if option.parameter and option.name in parsed.options:
            if option.name in values:
                raise ConfigError(f"{option.name} is given on the line and in the cell: give it once.")
            written = parsed.options[option.name]
            # a column's name needs no quotes
            read = expand if option.name in columns else read_value
            values[option.name] = read(written, namespace, option.name)
    schema = {key: values.pop(key) for key in declared if key in values}
    named = parsed.options.get("config")
    if named is not None:
        return build_config(values, find_instance(named, namespace, HighDimConfig, "--config")), schema
    defaults = session.defaults()
    for given, other in (("steps", "epochs"), ("epochs", "steps")):  # one of them says how long to train
        if given in values and other not in values:
            setattr(defaults, other, AUTO)
    return build_config(values, defaults), schema


def table_of(session: Session, parsed: ParsedLine, schema: dict[str, Any]) -> Source:
    """The table that a line names, without the columns that are to be left out.

    Args:
        session: Whose variables.
        parsed: The line.
        schema: What is declared of the columns; 'ignore' is taken out of it.
    """
    from jupyter_dpsynth.sources.opening import leave_out

    table = find_table(parsed.argument(), session.namespace, reading=reading_of(session, parsed))
    return leave_out(table, schema.pop("ignore", ()), "ignore")


def reading_of(session: Session, parsed: ParsedLine) -> CsvOptions | None:
    """What a line says of how CSV files are written; None if it says nothing."""
    from jupyter_dpsynth.sources.csvfile import CsvOptions

    given = {option.name: parsed.options[option.name] for option in READING if option.name in parsed.options}
    if {"dayfirst", "no-dayfirst"} <= given.keys():
        raise ConfigError("--dayfirst and --no-dayfirst are both given: give one of them.")
    if not given:
        return None
    day_first = True if "dayfirst" in given else False if "no-dayfirst" in given else None
    named = ("sep", "encoding", "decimal", "thousands")
    texts: dict[str, Any] = {
        name: expand(given[name], session.namespace, f"--{name}") for name in named if name in given
    }
    texts |= {name: _texts(given.get(name, "[]"), session, f"--{name}") for name in ("na", "text")}
    return CsvOptions(**texts, day_first=day_first)


def _texts(written: str, session: Session, option: str) -> tuple[str, ...]:
    """One text, several ones in lines, or a list of texts."""
    if written[0] not in "[({":
        return tuple(expand(text, session.namespace, option) for text in written.splitlines())
    values = read_value(written, session.namespace, option)
    return (values,) if isinstance(values, str) else tuple(map(str, values))


def dataset_of(session: Session, parsed: ParsedLine) -> tuple[str | None, str]:
    """The dataset's name for the ledger if one is given, and otherwise a label for it."""
    table, name = parsed.argument() or "", parsed.options.get("dataset")
    if name is not None:
        name = expand(name, session.namespace, "--dataset")
        check_dataset_name(name, "--dataset")
    return name, label_of(table)


def answers_of(parsed: ParsedLine) -> LedgerAnswers:
    """What a line answers to the ledger beforehand."""
    return {
        "new_dataset": "new-dataset" in parsed.options,
        "infinite_total": "infinite-total" in parsed.options,
    }


def meta_of(session: Session, parsed: ParsedLine, table: Source, schema: dict[str, Any]) -> DataFrameMeta:
    """The metadata that `--meta` names, or that of the table with the declarations."""
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.extracting import MetaExtractor

    text = parsed.options.get("meta")
    if text is None:
        return MetaExtractor.extract(table, **schema)
    if schema:
        raise ConfigError(
            f"--meta and {', '.join(schema)} are both given: declare everything either in "
            "MetaExtractor.extract or here."
        )
    return find_instance(text, session.namespace, DataFrameMeta, "--meta")
