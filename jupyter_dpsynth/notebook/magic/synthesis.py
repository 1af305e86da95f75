"""`synthesize` and `save`: make synthetic tables, and save models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.display.console import RowsProgress
from jupyter_dpsynth.errors import ConfigError, NotLearnedError
from jupyter_dpsynth.notebook.magic.namespace import (
    expand,
    find_instance,
    instances,
    read_value,
    variable_name,
)
from jupyter_dpsynth.notebook.output import say, tell
from jupyter_dpsynth.notebook.session import DEFAULT_SYNTHETIC, save_model
from jupyter_dpsynth.notebook.show.following import DEFAULT_NAME
from jupyter_dpsynth.notebook.show.rows import show_rows
from jupyter_dpsynth.sources.forms import given_as

if TYPE_CHECKING:
    from jupyter_dpsynth.constraints import Ordering
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["current_synthesizer", "path_of", "save", "synthesize"]

REQUESTS = {
    "--where": "Write conditions like {'sex': 'Female', 'age': (18, 65)}.",
    "--balance": "Give a column, or shares such as {'income': {'high': 0.5, 'low': 0.5}}.",
}


def current_synthesizer(session: Session, parsed: ParsedLine) -> tuple[str, HighDimSynthesizer]:
    """The synthesizer that a command uses, and its name."""
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    namespace = session.namespace
    named = parsed.options.get("synthesizer")
    if named is not None:
        found = find_instance(named, namespace, HighDimSynthesizer, "--synthesizer")
        session.check_trained(found)
        return named, found
    names = instances(namespace, HighDimSynthesizer)
    for name in (session.current, DEFAULT_NAME, *(names if len(names) == 1 else ())):
        if name in names:
            session.check_trained(namespace[name])
            return name, namespace[name]
    if names:
        raise ConfigError(f"there are several synthesizers: choose one with -s: {', '.join(names)}.")
    raise NotLearnedError("nothing has been learned here yet: run %%dpsynth learn DATAFRAME first.")


def synthesize(session: Session, parsed: ParsedLine) -> None:
    """Make a synthetic DataFrame and put it into a variable."""
    namespace = session.namespace
    name, synthesizer = current_synthesizer(session, parsed)
    output = _output_name(synthesizer, parsed, namespace)
    rows, options = parsed.argument(), parsed.options
    given: dict[str, Any] = {}
    if "seed" in options:
        given["seed"] = read_value(options["seed"], namespace, "--seed")
    if "where" in options:
        given["where"] = _request(options["where"], namespace, "--where")
    if "balance" in options:  # a column is written as it is, and one that is misspelt is no variable
        balance = options["balance"]
        plain = balance in synthesizer.codec.names or (balance.isidentifier() and balance not in namespace)
        given["balance"] = balance if plain else _request(balance, namespace, "--balance")
    if "order" in options:
        given["constraints"] = _orders(options["order"], namespace, synthesizer)
    given["num_rows"] = None if rows is None else read_value(rows, namespace, "ROWS")
    if "weights" in options:
        _weighted(synthesizer, (name, output), parsed, namespace, given)
        return
    if "to" in parsed.options:
        _write(synthesizer, name, parsed, namespace, given)
        return
    if "overwrite" in parsed.options:
        raise ConfigError("--overwrite is for files: name them with --to, such as --to out/*.parquet.")
    df_synth = synthesizer.synthesize(**given, frame="pandas")
    if synthesizer.tables_meta is not None:
        namespace[output] = df_synth
        session.synthetic = output
        sizes = ", ".join(f"{len(table):,} rows of {each!r}" for each, table in df_synth.items())
        tell(f"{output}: {sizes}, from {name}. This cost no epsilon.")
        shown = {f"{output}_{each}": table for each, table in df_synth.items()}
        show_rows(shown, live=session.front_end() == "widget")
        return
    namespace[output] = given_as(df_synth, synthesizer.df_meta.form)
    session.synthetic = output
    say(
        f"{output}: {len(df_synth):,} synthetic rows, {len(df_synth.columns)} columns, from {name}. "
        "This cost no epsilon."
    )
    show_rows({output: df_synth}, live=session.front_end() == "widget")


def _output_name(synthesizer: HighDimSynthesizer, parsed: ParsedLine, namespace: dict[str, Any]) -> str:
    """The variable for the synthetic table: another one than that of the private table."""
    text = parsed.options.get("output", DEFAULT_SYNTHETIC)
    output = variable_name(text, "--output", namespace, holds_table=True)
    if synthesizer.was_learned_from(namespace.get(output)):
        raise ConfigError(f"--output = {output!r} is the table that was learned: give another name.")
    return output


def _orders(text: str, namespace: dict[str, Any], synthesizer: HighDimSynthesizer) -> list[Ordering]:
    """Pairs of columns in order, each as a line."""
    from jupyter_dpsynth.engine.sampling.requests import ordering_of

    pairs = [expand(pair, namespace, "--order") for pair in text.splitlines()]
    return [ordering_of(pair, synthesizer.codec.names) for pair in pairs]


def _weighted(
    synthesizer: HighDimSynthesizer,
    names: tuple[str, str],
    parsed: ParsedLine,
    namespace: dict[str, Any],
    given: dict[str, Any],
) -> None:
    """Make rows with weights."""
    refused = [f"--{name}" for name in ("where", "balance") if name in parsed.options]
    if refused:
        raise ConfigError(f"--weights does not go together with {refused[0]}: choose rows afterwards.")
    name, output = names
    to = parsed.options.get("to")
    rows = {key: value for key, value in given.items() if value is not None}
    weighted = synthesizer.weighted(
        **rows,
        replicates=read_value(parsed.options["weights"], namespace, "--weights"),
        to=None if to is None else expand(to, namespace, "--to"),
        overwrite="overwrite" in parsed.options,
    )
    namespace[output] = weighted
    how = weighted.attrs["weights"]
    said = f", and in {to} with a description beside it" if to is not None else ""
    say(
        f"{output}: {len(weighted):,} synthetic rows with weights, from {name}{said}. This cost no epsilon.\n"
        f"In R: {how['R']}\nIn Stata: {how['Stata']}\nIn Python: {how['Python']}"
    )


def _request(text: str, namespace: dict[str, Any], option: str) -> Any:  # noqa: ANN401 - what a user writes
    """Conditions or shares; an error message shows how to write them."""
    try:
        return read_value(text, namespace, option)
    except ConfigError as error:
        raise ConfigError(f"{error} {REQUESTS[option]}") from None


def _write(
    synthesizer: HighDimSynthesizer,
    name: str,
    parsed: ParsedLine,
    namespace: dict[str, Any],
    given: dict[str, Any],
) -> None:
    """Write a synthetic table into files."""
    if "output" in parsed.options:
        raise ConfigError("--output and --to are both given: choose a variable or files.")
    files = synthesizer.synthesize(
        **given,
        to=expand(parsed.options["to"], namespace, "--to"),
        overwrite="overwrite" in parsed.options,
        progress=RowsProgress(sys.stdout),
    )
    many = f"{len(files):,} files" if len(files) > 1 else "one file"
    say(f"{many} of synthetic rows in {files[0].parent}, from {name}. This cost no epsilon.")


def save(session: Session, parsed: ParsedLine) -> None:
    """Save the model to a file."""
    path = path_of(session, parsed)
    name, synthesizer = current_synthesizer(session, parsed)
    say(f"{name} is saved in {save_model(synthesizer, path)}")


def path_of(session: Session, parsed: ParsedLine) -> Path:
    """The file that a line names."""
    text = parsed.argument()
    if text is None:
        raise ConfigError(f"FILE is missing. Usage: {parsed.command.usage}.")
    text = expand(text, session.namespace, "FILE")
    value = session.namespace.get(text)
    return value if isinstance(value, Path) else Path(text).expanduser()
