"""`compare`, `report` and `evaluate`: the quality of a synthetic table, for free or for an epsilon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.display.html import note
from jupyter_dpsynth.errors import ConfigError, DataError, did_you_mean
from jupyter_dpsynth.notebook.magic.namespace import (
    expand,
    find_dataframe,
    find_table,
    read_value,
    variable_name,
)
from jupyter_dpsynth.notebook.magic.settings import answers_of, dataset_of, reading_of
from jupyter_dpsynth.notebook.magic.synthesis import current_synthesizer
from jupyter_dpsynth.notebook.output import Working, mime_bundle, publish, representations, say, tell
from jupyter_dpsynth.sources.opening import is_table

if TYPE_CHECKING:
    from jupyter_dpsynth.evaluation.histories import HistoryReport
    from jupyter_dpsynth.evaluation.report import UtilityReport
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["compare", "evaluate", "report"]


def compare(session: Session, parsed: ParsedLine) -> None:
    """Compare a synthetic table with the noisy measurements or with the original."""
    namespace = session.namespace
    if current_synthesizer(session, parsed)[1].tables_meta is not None:
        _compare_tables(session, parsed)
        return
    report, synthesizer, work = _compared(session, parsed)
    output = parsed.options.get("output")
    if output is not None:
        namespace[variable_name(output, "--output", namespace)] = report
    by = _by(session, parsed, report)
    work.show(representations(report))
    if by is not None:
        from jupyter_dpsynth.evaluation.groups import groups_html

        publish(mime_bundle(f"Every column by {by}: pictures, shown in a notebook.", groups_html(report, by)))
    if session.front_end() == "widget":
        from jupyter_dpsynth.notebook.show.drilldown import DrillDown

        DrillDown(report, guarantee=synthesizer.receipt.headline).show()


def _compare_tables(session: Session, parsed: ParsedLine) -> None:
    """The same for several tables of the same persons."""
    output = parsed.options.get("output")
    variable = None if output is None else variable_name(output, "--output", session.namespace)
    found, _, work = _compared_tables(session, parsed)
    if variable is not None:
        session.namespace[variable] = found
    work.show(representations(found))


def _compared_tables(
    session: Session, parsed: ParsedLine
) -> tuple[HistoryReport, HighDimSynthesizer, Working]:
    """As `_compared`, of several tables of the same persons."""
    from jupyter_dpsynth.evaluation.histories import compare_histories
    from jupyter_dpsynth.evaluation.history_measured import compare_measured

    namespace, options = session.namespace, parsed.options
    name, synthesizer = current_synthesizer(session, parsed)
    for option in ("holdout", "target", "by"):
        if option in options:
            raise ConfigError(f"--{option} is for one table: leave it out.")
    given = _made_tables(session, parsed.argument())
    if given is None:
        tables = synthesizer.synthesize()
        say(f"No synthetic tables have been made yet, so new ones of {name} are compared.")
    else:
        tables = _dict_of(given, namespace, "TABLES")
        say(f"Comparing {given}.")
    what = "noisy measurements" if "original" not in options else "original"
    work = Working(f"Comparing with the {what}", session.front_end())
    with work:
        if "original" in options:
            original = _dict_of(options["original"], namespace, "--original")
            found = compare_histories(synthesizer, original, tables)
        else:
            found = compare_measured(synthesizer, tables, synthetic="synthetic" in options)
    return found, synthesizer, work


def _made_tables(session: Session, given: str | None) -> str | None:
    """The variable of synthetic tables that is named, or else of those made last; None without any."""
    if given is None and isinstance(session.namespace.get(session.synthetic), dict):
        return session.synthetic
    return given


def _dict_of(text: str, namespace: dict[str, Any], where: str) -> dict[str, Any]:
    """Tables by name, as a variable or written out."""
    value = read_value(text, namespace, where)
    if not isinstance(value, dict):
        raise ConfigError(
            f"{where}: several tables were learned, so give a dict of DataFrames by name, such as "
            '{"patients": patients, "visits": visits} without spaces, or a variable that holds it.'
        )
    return value


def report(session: Session, parsed: ParsedLine) -> None:
    """Write a comparison as one page."""
    from jupyter_dpsynth.notebook.show.words import PAGE, page_words

    given = parsed.options.get("to")
    path = PAGE if given is None else expand(given, session.namespace, "--to")
    found: UtilityReport | HistoryReport
    if current_synthesizer(session, parsed)[1].tables_meta is not None:
        found, synthesizer, work = _compared_tables(session, parsed)
        written = found.save(path, guarantee=synthesizer.receipt.headline)
    else:
        found, synthesizer, work = _compared(session, parsed)
        by = _by(session, parsed, found)
        written = found.save(path, by=by, guarantee=synthesizer.receipt.headline)
    words = page_words(written)
    if found.banner:
        words += f"\n⚠ {found.banner.replace('in this notebook', 'in that file')}"
    work.show(mime_bundle(words, note(words, 13)))


def _by(session: Session, parsed: ParsedLine, report: UtilityReport) -> str | None:
    """The column by whose categories the others are shown; refused before anything is shown."""
    given = parsed.options.get("by")
    if given is None:
        return None
    plain = given in report.names
    by = given if plain else expand(given, session.namespace, "--by")
    report.by_group(by)
    return by


def _compared(session: Session, parsed: ParsedLine) -> tuple[UtilityReport, HighDimSynthesizer, Working]:
    """The comparison that a line asks for, the synthesizer, and what shows that it was worked on."""
    namespace = session.namespace
    name, synthesizer = current_synthesizer(session, parsed)
    synthesizer.require_one_table("a comparison")
    given = parsed.argument()
    if given is None and is_table(namespace.get(session.synthetic)):
        given = session.synthetic
    if given is None:
        df_synth = synthesizer.synthesize(frame="pandas")
        say(f"No synthetic table has been made yet, so {len(df_synth):,} new rows of {name} are compared.")
    else:
        df_synth = find_dataframe(given, namespace, "DF_SYNTH")
        say(f"Comparing {given}.")
    if "original" not in parsed.options:
        for option in ("holdout", "target"):
            if option in parsed.options:
                raise ConfigError(
                    f"--{option} reads the real table: add --original DATAFRAME (not covered by epsilon)."
                )
        from jupyter_dpsynth.evaluation.report import UtilityReport

        stated = "synthetic" in parsed.options
        work = Working("Comparing with the noisy measurements", session.front_end())
        with work:
            report = UtilityReport.against_measurements(synthesizer, df_synth, synthetic=stated)
    else:
        work = Working("Comparing with the original", session.front_end())
        report = _compare_with_original(session, parsed, df_synth, synthesizer, work)
    return report, synthesizer, work


def _compare_with_original(
    session: Session,
    parsed: ParsedLine,
    df_synth: Any,  # noqa: ANN401 - of any library
    synthesizer: HighDimSynthesizer,
    work: Working,
) -> UtilityReport:
    from jupyter_dpsynth.evaluation.report import UtilityReport

    namespace, reading = session.namespace, reading_of(session, parsed)

    holdout = parsed.options.get("holdout")
    target = parsed.options.get("target")
    with find_table(parsed.options["original"], namespace, "--original", reading) as original:
        if target is not None:
            target = expand(target, namespace, "--target")
            columns = original.described.columns
            if target not in columns:
                hint = did_you_mean(target, map(str, columns))
                raise DataError(f"--target = {target!r} is not a column of the table.{hint}")
        unseen = None if holdout is None else find_table(holdout, namespace, "--holdout", reading)
        with work:  # how files are read has been told above it
            return UtilityReport.against_original(
                original, df_synth, target=target, holdout=unseen, synthesizer=synthesizer
            )


def evaluate(session: Session, parsed: ParsedLine) -> None:
    """Measure the quality of a synthetic table, or of several ones, with noise, for an epsilon of its own."""
    namespace, named = session.namespace, parsed.argument()
    if named is None:
        raise ConfigError(f"DATAFRAME is missing. Usage: {parsed.command.usage}.")
    _, synthesizer = current_synthesizer(session, parsed)
    several = synthesizer.tables_meta is not None
    original: Any
    df_synth: Any
    if several:
        original = _dict_of(named, namespace, "TABLES")
        table = _made_tables(session, parsed.argument(1))
        df_synth = None if table is None else _dict_of(table, namespace, "TABLES_SYNTH")
    else:
        original = find_table(named, namespace, reading=reading_of(session, parsed))
        table = parsed.argument(1)
        if table is None and is_table(namespace.get(session.synthetic)):
            table = session.synthetic
        df_synth = None if table is None else find_dataframe(table, namespace, "DF_SYNTH")
    given = parsed.options.get("epsilon")
    if given is None:
        raise ConfigError(
            "--epsilon is missing: say how much the report may spend, for example --epsilon 0.1."
        )
    value = read_value(given, namespace, "--epsilon")
    target = parsed.options.get("target")
    dataset, label = dataset_of(session, parsed)
    output = parsed.options.get("output")
    if output is not None:
        output = variable_name(output, "--output", namespace)  # refused before anything is spent
    from jupyter_dpsynth.evaluation.private import evaluate_privately

    with Working("Measuring with noise", session.front_end()) as work:
        report = evaluate_privately(
            synthesizer,
            original,
            df_synth,
            epsilon=value,
            target=None if target is None else expand(target, namespace, "--target"),
            dataset=dataset,
            label=label,
            tell=tell,
            **answers_of(parsed),
            synthetic="synthetic" in parsed.options,
        )
    if output is not None:
        namespace[output] = report
    work.show(representations(report))
