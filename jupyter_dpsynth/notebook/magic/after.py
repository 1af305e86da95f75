"""The sub-commands that use what was learned, and those that explain."""

from __future__ import annotations

import html
import math
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.display.console import RowsProgress
from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.errors import ConfigError, DataError, NotLearnedError, did_you_mean
from jupyter_dpsynth.notebook.magic import before as preview
from jupyter_dpsynth.notebook.magic import learn as learning
from jupyter_dpsynth.notebook.magic.audit import show_audit
from jupyter_dpsynth.notebook.magic.grammar import COMMANDS, Command, find_command
from jupyter_dpsynth.notebook.magic.learn import DEFAULT_NAME, say
from jupyter_dpsynth.notebook.magic.ledger import ledger
from jupyter_dpsynth.notebook.magic.namespace import (
    evaluate,
    expand,
    find_dataframe,
    find_instance,
    find_table,
    instances,
    read_value,
    variable_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.magic.magics import DPSynthMagics
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["HANDLERS", "help_text"]

DEFAULT_SYNTHETIC = "df_synth"
REQUESTS = {
    "--where": "Conditions look like {'sex': 'Female', 'age': (18, 65)}.",
    "--balance": "Give a column, or shares like {'income': {'high': 0.5, 'low': 0.5}}.",
}


def current_synthesizer(magics: DPSynthMagics, parsed: ParsedLine) -> tuple[str, HighDimSynthesizer]:
    """The synthesizer a sub-command is about, and its name."""
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    namespace = magics.shell.user_ns
    named = parsed.options.get("synthesizer")
    if named is not None:
        return named, find_instance(named, namespace, HighDimSynthesizer, "--synthesizer")
    names = instances(namespace, HighDimSynthesizer)
    for name in (magics.current, DEFAULT_NAME, *(names if len(names) == 1 else ())):
        if name in names:
            return name, namespace[name]
    if names:
        raise ConfigError(f"which synthesizer? Name one with -s: {', '.join(names)}.")
    raise NotLearnedError("nothing has been learned here yet: run %%dpsynth learn DATAFRAME first.")


def synthesize(magics: DPSynthMagics, parsed: ParsedLine) -> None:
    """Make a synthetic DataFrame and put it into a variable."""
    namespace = magics.shell.user_ns
    name, synthesizer = current_synthesizer(magics, parsed)
    output = variable_name(parsed.options.get("output", DEFAULT_SYNTHETIC), "--output", namespace)
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
    given["num_rows"] = None if rows is None else read_value(rows, namespace, "ROWS")
    if "to" in parsed.options:
        _write(synthesizer, name, parsed, namespace, given)
        return
    if "overwrite" in parsed.options:
        raise ConfigError("--overwrite is for files: name them with --to, such as --to out/*.parquet.")
    df_synth = synthesizer.synthesize(**given)
    namespace[output] = df_synth
    magics.synthetic = output
    say(
        f"{output}: {len(df_synth):,} synthetic rows, {len(df_synth.columns)} columns, from {name}. "
        "This cost no epsilon."
    )


def _request(text: str, namespace: dict[str, Any], option: str) -> Any:  # noqa: ANN401 - what a user writes
    """Conditions or shares; an error shows their form."""
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
        raise ConfigError("--output and --to are both given: the rows go into a variable or into files.")
    files = synthesizer.synthesize(
        **given,
        to=expand(parsed.options["to"], namespace, "--to"),
        overwrite="overwrite" in parsed.options,
        progress=RowsProgress(sys.stdout),
    )
    many = f"{len(files):,} files" if len(files) > 1 else "one file"
    say(f"{many} of synthetic rows in {files[0].parent}, from {name}. This cost no epsilon.")


def compare(magics: DPSynthMagics, parsed: ParsedLine) -> None:
    """Show how close synthetic data comes."""
    from IPython.display import display

    namespace = magics.shell.user_ns
    name, synthesizer = current_synthesizer(magics, parsed)
    given = parsed.argument()
    if given is None and isinstance(namespace.get(magics.synthetic), _frame_type()):
        given = magics.synthetic
    if given is None:
        df_synth = synthesizer.synthesize()
        say(f"No synthetic table has been made yet: {len(df_synth):,} rows of {name} are compared.")
    else:
        df_synth = find_dataframe(given, namespace, "DF_SYNTH")
    original = parsed.options.get("original")
    if original is None:
        for option in ("holdout", "target"):
            if option in parsed.options:
                raise ConfigError(
                    f"--{option} needs the real table: add --original DATAFRAME (not covered by epsilon)."
                )
        from jupyter_dpsynth.evaluation.report import UtilityReport

        report = UtilityReport.against_measurements(synthesizer, df_synth)
    else:
        report = _compare_with_original(parsed, namespace, df_synth)
    output = parsed.options.get("output")
    if output is not None:
        namespace[variable_name(output, "--output", namespace)] = report
    if given is not None:
        say(f"{given} is compared.")
    display(report)
    if magics.front_end() == "widget":
        from jupyter_dpsynth.notebook.show.drilldown import DrillDown

        DrillDown(report).show()


def _frame_type() -> type:
    """`pandas.DataFrame`, or a type that nothing has while pandas is not loaded."""
    pandas = sys.modules.get("pandas")
    return type("Nothing", (), {}) if pandas is None else pandas.DataFrame


def _compare_with_original(parsed: ParsedLine, namespace: dict[str, Any], df_synth: Any) -> Any:  # noqa: ANN401
    from jupyter_dpsynth.evaluation.report import UtilityReport
    from jupyter_dpsynth.sources.opening import open_source

    df = find_table(parsed.options["original"], namespace, "--original")
    holdout = parsed.options.get("holdout")
    target = parsed.options.get("target")
    if target is not None:
        target = expand(target, namespace, "--target")
        columns = open_source(df).described.columns
        if target not in columns:
            hint = did_you_mean(target, map(str, columns))
            raise DataError(f"--target = {target!r} is not a column of the table.{hint}")
    return UtilityReport.against_original(
        df,
        df_synth,
        target=target,
        holdout=None if holdout is None else find_table(holdout, namespace, "--holdout"),
    )


def evaluate_table(magics: DPSynthMagics, parsed: ParsedLine) -> None:
    """Measure with noise, and with budget of its own, how close synthetic data comes."""
    from IPython.display import display

    namespace = magics.shell.user_ns
    df = find_table(parsed.argument(), namespace)
    _, synthesizer = current_synthesizer(magics, parsed)
    given = parsed.options.get("epsilon")
    if given is None:
        raise ConfigError("--epsilon is missing: say what the report may spend, such as --epsilon 0.1.")
    value = read_value(given, namespace, "--epsilon")
    table = parsed.argument(1)
    if table is None and isinstance(namespace.get(magics.synthetic), _frame_type()):
        table = magics.synthetic
    target = parsed.options.get("target")
    dataset, label = learning.dataset_of(namespace, parsed)
    output = parsed.options.get("output")
    if output is not None:
        output = variable_name(output, "--output", namespace)  # refused before anything is spent
    from jupyter_dpsynth.evaluation.private import evaluate_privately

    report = evaluate_privately(
        synthesizer,
        df,
        None if table is None else find_dataframe(table, namespace, "DF_SYNTH"),
        epsilon=value,
        target=None if target is None else expand(target, namespace, "--target"),
        dataset=dataset,
        label=label,
    )
    if output is not None:
        namespace[output] = report
    display(report)


def epsilon_sentence(name: str, synthesizer: HighDimSynthesizer) -> str:
    """What epsilon was spent, in words for the owner of the data."""
    epsilon = synthesizer.epsilon
    if epsilon is None:
        return f"{name}: TEST ONLY. The noise was fixed by a seed; there is no privacy guarantee."
    if math.isinf(epsilon):
        return (
            f"{name}: epsilon is infinite. Training ran with differential_privacy = False; there is NO "
            "privacy guarantee."
        )
    factor = math.exp(min(epsilon, 700.0))
    unit = synthesizer.config.privacy_unit
    protected = "any one row of the table" if unit is None else f"all rows of any one value of {unit!r}"
    return (
        f"{name}: epsilon = {epsilon_text(epsilon)}, delta = {synthesizer.delta:.2g}.\n"
        f"Adding or removing {protected} changes the probability of everything\n"
        f"that was released by at most a factor of exp(epsilon) = {factor:.3g}, apart from delta."
    )


def epsilon(magics: DPSynthMagics, parsed: ParsedLine) -> None:
    """Say what epsilon was spent."""
    say(epsilon_sentence(*current_synthesizer(magics, parsed)))


def receipt(magics: DPSynthMagics, parsed: ParsedLine) -> None:
    """Show what epsilon was spent on."""
    _, synthesizer = current_synthesizer(magics, parsed)
    spent = synthesizer.receipt
    learning.publish(spent.to_text(), spent.to_html())


def audit(magics: DPSynthMagics, parsed: ParsedLine) -> None:
    """Attack simulated trainings and show what could be proved."""
    name, synthesizer = current_synthesizer(magics, parsed)
    seconds = parsed.options.get("seconds")
    value = 60 if seconds is None else read_value(seconds, magics.shell.user_ns, "--seconds")
    show_audit(name, synthesizer, value, live=magics.front_end() != "terminal")


def save(magics: DPSynthMagics, parsed: ParsedLine) -> None:
    """Write the learned state to a file."""
    path = _path(magics, parsed)
    name, synthesizer = current_synthesizer(magics, parsed)
    say(f"{name} is saved in {learning.save_to(synthesizer, path)}")


def load(magics: DPSynthMagics, parsed: ParsedLine) -> None:
    """Read a saved state."""
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    namespace = magics.shell.user_ns
    name = variable_name(parsed.options.get("output", DEFAULT_NAME), "--output", namespace)
    namespace[name] = HighDimSynthesizer.load(_path(magics, parsed))
    magics.current = name
    say(f"{name}: {namespace[name]!r}")


def _path(magics: DPSynthMagics, parsed: ParsedLine) -> Path:
    text = parsed.argument()
    if text is None:
        raise ConfigError(f"FILE is missing. Usage: {parsed.command.usage}.")
    text = expand(text, magics.shell.user_ns, "FILE")
    value = magics.shell.user_ns.get(text)
    return value if isinstance(value, Path) else Path(text).expanduser()


def config(magics: DPSynthMagics, parsed: ParsedLine) -> None:
    """List the parameters, or explain one, or list the values of a config."""
    name = parsed.argument()
    traits = HighDimConfig.class_traits()
    if name in traits:
        trait = traits[name]
        allowed = getattr(trait, "range_text", "")
        here, usual = getattr(magics, name), trait.default_value
        session = "" if here == usual else f", in this session {here!r}"
        say(f"{name} (default {usual!r}{session})\n{trait.help}")
        if allowed:
            say(f"Allowed: {allowed}.")
        say(f"Another default for this session: %config DPSynthMagics.{name} = VALUE")
        return
    values: HighDimConfig = magics.defaults()
    if name is not None:
        namespace = magics.shell.user_ns
        if name.isidentifier() and name not in namespace:
            known = (*HighDimConfig.option_names(), *instances(namespace, HighDimConfig))
            raise ConfigError(f"{name!r} is neither a parameter nor a variable.{did_you_mean(name, known)}")
        value = evaluate(name, namespace, "NAME")
        values = getattr(value, "config", value)  # a synthesizer's, or a config itself
        if not isinstance(values, HighDimConfig):
            raise ConfigError(f"{name!r} is a {type(value).__name__}, not a HighDimConfig.")
    rows = [(key, repr(value), str(traits[key].help)) for key, value in values.to_dict().items()]
    heading = "default" if name is None else "value"
    learning.publish(_text_table(rows), _html_table(heading, rows))


def _text_table(rows: list[tuple[str, str, str]]) -> str:
    wide = max(len(name) for name, _, _ in rows), max(len(value) for _, value, _ in rows)
    return "\n".join(f"{name:{wide[0]}}  {value:{wide[1]}}  {words}" for name, value, words in rows)


def _html_table(heading: str, rows: list[tuple[str, str, str]]) -> str:
    left = ' style="text-align:left;vertical-align:top"'
    head = "".join(f"<th{left}>{cell}</th>" for cell in ("parameter", heading, "meaning"))
    lines = (
        f"<tr><td{left}><code>{html.escape(name)}</code></td><td{left}><code>{html.escape(value)}</code></td>"
        f"<td{left}>{html.escape(words)}</td></tr>"
        for name, value, words in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


FIRST_RUN = """\
Synthetic tables under differential privacy. A first run, with a pandas DataFrame df of yours:

    %%dpsynth learn df             learns the table; spends at most this epsilon
    epsilon = 1.0

    %dpsynth synthesize 1000       makes 1,000 new rows, df_synth; costs no epsilon
    %dpsynth compare               shows how close they come; costs no epsilon
    %dpsynth epsilon               says what was spent, in a sentence

Everything with the mouse instead: %dpsynth panel df"""
PARAMETERS = "Parameters, on the line or as `name = value` in the cell:"
GROUPS = {
    "Before anything is spent:": ("panel", "calc", "doctor", "config"),
    "Spend epsilon:": ("learn", "evaluate", "status", "stop"),
    "Use what was learned, free of charge:": ("synthesize", "compare", "save", "load"),
    "See what was spent:": ("epsilon", "receipt", "ledger", "audit"),
    "More help:": ("help",),
}


def help_text(command: Command | None = None) -> str:
    """Help on one sub-command, or the list of all."""
    if command is None:
        lines = [FIRST_RUN]
        for title, names in GROUPS.items():
            lines += ["", title]
            lines += [f"  {name:<11} {COMMANDS[name].summary}" for name in names]
        return "\n".join(
            [*lines, "", "%dpsynth COMMAND --help explains one of them, such as %dpsynth learn --help."]
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


def explain(magics: DPSynthMagics, parsed: ParsedLine) -> None:  # noqa: ARG001 - every sub-command's form
    """Explain a sub-command, or list them."""
    name = parsed.argument()
    say(help_text(None if name is None else find_command(name)))


HANDLERS: dict[str, Callable[[DPSynthMagics, ParsedLine], None]] = {
    "calc": preview.calc,
    "doctor": preview.doctor,
    "panel": preview.panel,
    "synthesize": synthesize,
    "compare": compare,
    "evaluate": evaluate_table,
    "epsilon": epsilon,
    "status": learning.status,
    "stop": learning.stop,
    "receipt": receipt,
    "ledger": ledger,
    "audit": audit,
    "save": save,
    "load": load,
    "config": config,
    "help": explain,
}
