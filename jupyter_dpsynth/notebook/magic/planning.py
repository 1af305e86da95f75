"""`calc`, `doctor` and `panel`: the forecast, the check-up and the panel, which spend nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError, shielded
from jupyter_dpsynth.notebook.magic.namespace import find_table, read_value, variable_name
from jupyter_dpsynth.notebook.magic.settings import dataset_of, meta_of, reading_of, settings, table_of
from jupyter_dpsynth.notebook.output import Working, mime_bundle, publish, say
from jupyter_dpsynth.notebook.shield import PrivateTable, taken_from
from jupyter_dpsynth.notebook.show.following import DEFAULT_NAME
from jupyter_dpsynth.sources.forms import PANDAS

if TYPE_CHECKING:
    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.sources.several import SeveralTables

__all__ = ["calc", "doctor", "panel"]


def calc(session: Session, parsed: ParsedLine) -> None:
    """Show the forecast of a run."""
    from jupyter_dpsynth.engine.planning.forecast import (
        ASSUMED_COLUMNS,
        ASSUMED_ROWS,
        assumed_metadata,
        forecast,
    )
    from jupyter_dpsynth.engine.planning.forecast_words import forecast_text
    from jupyter_dpsynth.metadata.several import several_tables
    from jupyter_dpsynth.notebook.show.forecast import forecast_html

    namespace = session.namespace
    config, schema = settings(session, parsed)
    columns = _whole_number(parsed, namespace, "columns")
    rows = _whole_number(parsed, namespace, "rows")
    partitioned = copied = False
    if parsed.argument() is None:
        if schema or "meta" in parsed.options:
            raise ConfigError(
                "to declare something about columns, name the DataFrame: %dpsynth calc DATAFRAME."
            )
        df_meta = assumed_metadata(columns or ASSUMED_COLUMNS, config.privacy_unit)
        what = "a table that you have not named"
    else:
        if columns is not None:
            raise ConfigError("--columns is only for a plan without a DATAFRAME: leave it out.")
        with table_of(session, parsed, schema) as source:
            several = several_tables(parsed.argument() or "", source, schema)
            if several is not None:
                _calc_several(session, several[1], config, rows)
                return
            partitioned, copied = source.partitioned, source.copied
            df_meta, what = meta_of(session, parsed, source, schema), parsed.arguments[0]
            if rows is None and config.n_public:  # stated to be public
                rows = source.rows
    known = "" if rows is not None else " (assumed; give your number with --rows, the rows are not counted)"
    rows = rows or ASSUMED_ROWS
    with Working("Planning", session.front_end()) as work:
        plan = forecast(
            config.resolve(), df_meta, float(rows), timed=True, partitioned=partitioned, copied=copied
        )
    learned = [column for column in df_meta.learned if column.name != config.privacy_unit]
    title = f"Plan for {what}, {len(learned)} columns to learn, about {rows:,} rows{known}."
    work.show(mime_bundle(forecast_text(plan, title), forecast_html(plan, title)))


def _calc_several(session: Session, meta: TablesMeta, config: HighDimConfig, persons: int | None) -> None:
    """Show the forecast of a run over several tables."""
    from jupyter_dpsynth.engine.planning.forecast import ASSUMED_ROWS
    from jupyter_dpsynth.engine.planning.forecast_words import forecast_text
    from jupyter_dpsynth.notebook.show.forecast import forecast_html
    from jupyter_dpsynth.persons.forecast import forecast_persons, forecast_title

    with Working("Planning", session.front_end()) as work:
        plan = forecast_persons(config.resolve(), meta, float(persons or ASSUMED_ROWS))
    title = forecast_title(plan, meta, known=persons is not None)
    work.show(mime_bundle(forecast_text(plan, title), forecast_html(plan, title)))


def _whole_number(parsed: ParsedLine, namespace: dict[str, Any], name: str) -> int | None:
    """The value of an option that counts something."""
    if name not in parsed.options:
        return None
    value = read_value(parsed.options[name], namespace, f"--{name}")
    if isinstance(value, bool) or not isinstance(value, int) or value < 2:
        raise ConfigError(f"--{name} = {value!r} is not allowed: give a whole number from 2.")
    return value


def doctor(session: Session, parsed: ParsedLine) -> None:
    """Show the findings of the check-up."""
    from jupyter_dpsynth.engine.planning.conversions import converted_table
    from jupyter_dpsynth.engine.planning.doctor import examine
    from jupyter_dpsynth.engine.planning.findings import Place, conversions_of, findings_text
    from jupyter_dpsynth.metadata.several import several_tables
    from jupyter_dpsynth.notebook.show.findings import findings_html

    config, schema = settings(session, parsed)
    output = parsed.options.get("convert")
    name = None if output is None else variable_name(output, "--convert", session.namespace, holds_table=True)
    with table_of(session, parsed, schema) as table:
        several = several_tables(parsed.argument() or "", table, schema)
        if several is not None:
            _examine_several(*several, config)
            return
        df_meta = meta_of(session, parsed, table, schema) if "meta" in parsed.options else None
        with table.without([]) as examined:
            findings = examine(examined, config.resolve(), df_meta=df_meta, declared=schema)
        called = parsed.argument() or "df"
        held = session.namespace.get(called)
        hidden = held if isinstance(held, PrivateTable) else None
        in_pandas = not table.partitioned and table.form.kind == PANDAS.kind and hidden is None
        place = Place(called, in_pandas=in_pandas)
        if name is not None:
            made = converted_table(table, conversions_of(findings))
            # what was hidden stays so
            session.namespace[name] = made if hidden is None else PrivateTable(made, taken_from(hidden))
            say(f"{name}: the table with all conversions, in pandas. Check it: %dpsynth doctor {name}")
            return
    publish(mime_bundle(findings_text(findings, place), findings_html(findings, place)))


def _examine_several(tables: SeveralTables, meta: TablesMeta, config: HighDimConfig) -> None:
    """Show the findings in several tables of the same persons."""
    from jupyter_dpsynth.engine.planning.findings import findings_text
    from jupyter_dpsynth.notebook.show.findings import findings_html
    from jupyter_dpsynth.persons.checkup import examine_histories
    from jupyter_dpsynth.persons.learning import in_memory

    key = config.resolve().privacy_unit
    if key is None:
        raise ConfigError('privacy_unit is missing: name the column that all tables have, as "patient_id".')
    findings = shielded(lambda: examine_histories(in_memory(tables), meta, key), "the check-up failed")
    publish(mime_bundle(findings_text(findings), findings_html(findings)))


def panel(session: Session, parsed: ParsedLine) -> None:
    """Open a panel."""
    from jupyter_dpsynth.notebook.panel.panel import ConfigPanel

    namespace = session.namespace
    config, schema = settings(session, parsed)
    name = parsed.argument()
    output = variable_name(parsed.options.get("output", DEFAULT_NAME), "--output", namespace)
    dataset, _ = dataset_of(session, parsed)
    table = None if name is None else find_table(name, namespace, reading=reading_of(session, parsed))
    shown = ConfigPanel(config, table, name=name, output=output, declared=schema, dataset=dataset)
    shown.show()
