"""The tables in which a person has any number of rows, as they are edited in the panel: a line for each."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from jupyter_dpsynth.errors import DPSynthError, shielded
from jupyter_dpsynth.metadata.several import several_tables
from jupyter_dpsynth.metadata.tables import TablesMeta
from jupyter_dpsynth.notebook.panel.fields import note_html, short_text
from jupyter_dpsynth.notebook.panel.parts import heading
from jupyter_dpsynth.sources.opening import is_table, open_source
from jupyter_dpsynth.sources.several import TABLE_NAMES, SeveralTables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_dpsynth.engine.planning.findings import Finding
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
    from jupyter_dpsynth.sources.base import Source

__all__ = ["PersonsTables"]

NOTE = (
    "visits, payments, members: learned together with this table; every table has the privacy unit's column"
)
NO_TABLE, NO_ORDER = "choose a table", "no order"


class PersonsTables:
    """The lines of the tables that belong to the persons of the panel's table.

    Args:
        name: What the panel's table is called.
        namespace: The user's variables, in which tables are found.
        declared: What a cell declares: of several tables by table.

    Attributes:
        box: The widget.
        of_table: What is declared of the columns of the panel's table.
    """

    def __init__(self, name: str, namespace: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
        self._name, self._namespace = name, namespace
        self._observers: list[Callable[[], None]] = []
        given = {key: declared[key] for key in TABLE_NAMES if key in declared}
        others = {key: value for key, value in declared.items() if key not in given}
        self._tables: dict[str, Any] = dict(given.get("children", {}))
        # what a cell declares, and no field
        self._kept: dict[str, dict[str, Any]] = {key: dict(given.get(key, {})) for key in ("of",)}
        self._declared: dict[str, dict[str, Any]] = {}  # of the columns of the other tables
        self.of_table: dict[str, Any] = others
        if given:
            self.of_table = {
                key: value if key == "ignore" else value[name]
                for key, value in others.items()
                if key == "ignore" or name in value
            }
            self._declared = {
                key: {table: each for table, each in value.items() if table != name}
                for key, value in others.items()
                if key != "ignore"
            }
        # the rows of a lone table in order have a line, too
        named = [*self._tables, *(each for each in given.get("order", {}) if each not in self._tables)]
        self._lines = [self._line(each, given) for each in named]
        self._rows = widgets.VBox()
        self._add = widgets.Button(description="Add a table", layout={"width": "120px"})
        self._add.on_click(lambda _: self._append())
        self._note = widgets.HTML(note_html(NOTE), layout={"margin": "0 2px"})
        self.box = widgets.VBox(
            [heading("Rows that belong to a person"), self._note, self._rows, self._add],
            layout={"margin": "6px 0", "overflow": "visible"},
        )
        self._show()

    def _known(self) -> list[str]:
        """Names of the user's tables, without the panel's."""
        found = [
            name for name, value in self._namespace.items() if not name.startswith("_") and is_table(value)
        ]
        return [*dict.fromkeys([*self._tables, *(each for each in found if each != self._name)])]

    def _table(self, name: str) -> Any:  # noqa: ANN401 - a table of any library
        return self._tables.get(name, self._namespace.get(name))

    def _line(self, name: str = "", given: Mapping[str, Any] | None = None) -> _Line:
        given = given or {}
        known = [*dict.fromkeys([*([name] if name else []), *self._known()])]
        first, last = given.get("window", {}).get(name, ("", ""))
        exact = given.get("exactly", {}).get(name)
        most = given.get("most_children", {}).get(name, "")
        line = _Line(known, self._columns, self._told, self._remove)
        line.start(name, given.get("order", {}).get(name), str(exact or most), str(first), str(last))
        line.exactly.value = exact is not None
        line.times.value = ", ".join(map(str, given.get("times", {}).get(name, ())))
        line.declare_ends(given.get("ends", {}).get(name))
        return line

    def _columns(self, name: str) -> list[str]:
        """Names of a table's columns: public."""
        table = self._table(name) if name != self._name else None
        if table is None:
            return []
        try:
            with open_source(table) as source:
                return [str(each) for each in source.described.columns]
        except DPSynthError:
            return []

    def _append(self) -> None:
        self._lines.append(self._line())
        self._show()

    def _remove(self, line: _Line) -> None:
        self._lines.remove(line)
        self._show()
        self._told()

    def _show(self) -> None:
        self._rows.children = tuple(line.box for line in self._lines)

    def observe(self, callback: Callable[[], None]) -> None:
        """Have a function called after each change."""
        self._observers.append(callback)

    def _told(self) -> None:
        for callback in self._observers:
            callback()

    @property
    def used(self) -> bool:
        """Whether rows of tables belong to persons."""
        return any(line.name for line in self._lines)

    def _declarations(self) -> dict[str, dict[str, Any]]:
        """What the lines say, as a cell would."""
        lines = [line for line in self._lines if line.name]
        found: dict[str, dict[str, Any]] = {
            "children": {line.name: self._table(line.name) for line in lines if line.name != self._name},
            "order": {line.name: line.order_by for line in lines if line.order_by is not None},
            "most_children": {line.name: line.number for line in lines if line.counted == "most"},
            "window": {line.name: line.bounds for line in lines if line.bounds is not None},
            "exactly": {line.name: line.number for line in lines if line.counted == "exactly"},
            "times": {line.name: line.at for line in lines if line.at is not None},
            "ends": {line.name: line.ends for line in lines if line.ends is not None},
        }
        for key, values in self._kept.items():
            found[key] = {line.name: values[line.name] for line in lines if line.name in values}
        return {
            key: {name: each for name, each in value.items() if each is not None}
            for key, value in found.items()
        }

    def _columns_declared(self, schema: SchemaDraft) -> dict[str, dict[str, Any]]:
        """What is declared of the columns of all tables, by option and table."""
        found: dict[str, dict[str, Any]] = {key: dict(value) for key, value in self._declared.items()}
        for key, value in schema.arguments().items():
            found.setdefault(key, {})[self._name] = value
        return {key: value for key, value in found.items() if value}

    def _several(self, schema: SchemaDraft, table: Source) -> tuple[SeveralTables, TablesMeta] | None:
        if not self.used:
            return None
        said = {key: value for key, value in self._declarations().items() if value}
        return several_tables(self._name, table, {**said, **self._columns_declared(schema)})

    def meta(self, schema: SchemaDraft) -> DataFrameMeta | TablesMeta:
        """The metadata of all tables, or of the panel's alone.

        Raises:
            ConfigError: A line has not the form of one.
            MetadataError: A declaration does not fit.
        """
        if not self.used:
            return schema.meta()
        with schema.table() as table:
            several = self._several(schema, table)
        return schema.meta() if several is None else several[1]

    def opened(
        self, schema: SchemaDraft, key: str | None
    ) -> tuple[Source | SeveralTables, DataFrameMeta | TablesMeta]:
        """The tables and their metadata, to be learned; the caller must close them.

        Args:
            schema: What is declared of the panel's table.
            key: The privacy unit.

        Raises:
            ConfigError: As `meta`.
            MetadataError: As `meta`; or a table lacks the key.
        """
        if not self.used:
            return schema.table(), schema.meta()
        table = schema.table()
        try:
            several = self._several(schema, table)
            if several is None:
                return table, schema.meta()
            several[1].with_id(key or "")
        except BaseException:
            table.close()
            raise
        return several

    def examined(self, schema: SchemaDraft, key: str | None) -> list[Finding]:
        """What the check-up finds in all tables, but for single columns of the panel's.

        Args:
            schema: What is declared of the panel's table.
            key: The privacy unit.

        Raises:
            ConfigError: As `meta`.
            MetadataError: As `opened`.

        Privacy:
            None: for the owner's eyes only.
        """
        from jupyter_dpsynth.persons.checkup import examine_histories
        from jupyter_dpsynth.persons.learning import in_memory

        if not self.used:
            return []
        tables, meta = self.opened(schema, key)
        with contextlib.closing(tables):
            if not isinstance(tables, SeveralTables) or not isinstance(meta, TablesMeta):
                return []
            whole = in_memory(tables)
        check = functools.partial(examine_histories, whole, meta, key or "", without=self._name)
        return shielded(check, "the check-up failed")

    def lines(self, schema: SchemaDraft) -> list[str]:
        """All declarations as lines of a `%%dpsynth learn` cell."""
        if not self.used:
            return schema.lines()
        said = self._declarations()
        children = ", ".join(f"{name!r}: {name}" for name in said.pop("children"))
        found = [f"children = {{{children}}}"] if children else []
        found += [f"{key} = {value!r}" for key, value in said.items() if value]
        found += [f"{key} = {value!r}" for key, value in self._columns_declared(schema).items()]
        return [*found, *([f"ignore = {schema.ignored!r}"] if schema.ignored else [])]


class _Line:
    """One table: its name, order, number of rows of a person, and window."""

    def __init__(
        self,
        known: list[str],
        columns: Callable[[str], list[str]],
        changed: Callable[[], None],
        remove: Callable[[_Line], None],
    ) -> None:
        self._columns = columns
        narrow = {"width": "auto", "max_width": "190px"}
        self._table = widgets.Dropdown(
            options=[(NO_TABLE, ""), *((each, each) for each in known)],
            tooltip="A table in which a person has any number of rows",
            layout=narrow,
        )
        self._order = widgets.Dropdown(
            options=[(NO_ORDER, None)],
            tooltip="The column by which a person's rows are in order: dates, times or numbers",
            layout=narrow,
        )
        most = "Most rows of a person that are used: the first ones. It must be public"
        self._most = short_text("at most", most, "12", "100px")
        self.exactly = widgets.Checkbox(
            description="exactly",
            tooltip="Every person has exactly so many rows, as in a panel",
            indent=False,
            layout={"width": "80px"},
        )
        window = "Public {} possible value of the order; synthetic rows keep to it"
        self._first = short_text("from", window.format("first"), "measured", "150px")
        self._last = short_text("to", window.format("last"), "measured", "140px")
        self.times = short_text(
            "at times",
            "Public values of the order at which everybody has a row: 2018, 2020, 2022",
            "any",
            "150px",
        )
        self.ends_after = short_text(
            "ends after",
            "Public values after which a person has no further row: outcome: died, moved; status: closed",
            "nothing",
            "190px",
        )
        self._ends_given: tuple[str, Mapping[str, Any] | None] = ("", None)
        drop = widgets.Button(icon="times", tooltip="Remove this line", layout={"width": "36px"})
        drop.on_click(lambda _: remove(self))
        fields = [self._table, self._order, self._most, self.exactly, self._first, self._last, self.times]
        fields.append(self.ends_after)
        self.box = widgets.HBox([*fields, drop], layout={"flex_flow": "row wrap", "align_items": "center"})
        self._table.observe(lambda _: self._offer(), "value")
        for field in fields:
            field.observe(lambda _: changed(), "value")

    def start(self, name: str, order: str | None, number: str, first: str, last: str) -> None:
        """Show what is declared."""
        self._table.value = name
        self._offer()
        if order is not None:
            known = [value for _, value in self._order.options]
            if order not in known:
                self._order.options = [*self._order.options, (order, order)]
            self._order.value = order
        self._most.value, self._first.value, self._last.value = number, first, last

    def declare_ends(self, ends: Mapping[str, Any] | None) -> None:
        """Show after which values a history ends; as declared, whatever their type, until they are edited."""
        parts = [f"{column}: {', '.join(map(str, values))}" for column, values in (ends or {}).items()]
        self.ends_after.value = "; ".join(parts)
        self._ends_given = (self.ends_after.value, ends)

    def _offer(self) -> None:
        """Offer the columns of the table that is chosen."""
        chosen, names = self._order.value, self._columns(self.name)
        falling = [(f"{name}, largest first", f"-{name}") for name in names]
        self._order.options = [(NO_ORDER, None), *((name, name) for name in names), *falling]
        self._order.value = chosen if chosen in [value for _, value in self._order.options] else None

    @property
    def name(self) -> str:
        """The table's name; '' where none is chosen."""
        return str(self._table.value or "")

    @property
    def order_by(self) -> str | None:
        """The column of the order."""
        return None if self._order.value is None else str(self._order.value)

    @property
    def number(self) -> int | str | None:
        """How many rows a person has; as typed where that is no number, which the metadata then refuses."""
        text = self._most.value.strip()
        return int(text) if text.isascii() and text.isdigit() else text or None

    @property
    def counted(self) -> str:
        """What is said of the number of rows: 'most', 'exactly', or 'times' where these say it."""
        return "times" if self.at is not None else "exactly" if self.exactly.value else "most"

    @property
    def at(self) -> list[Any] | None:
        """Fixed values of the order; None where none is given."""
        parts = [part.strip() for part in self.times.value.split(",") if part.strip()]
        numbers = [_number(part) for part in parts]
        return (parts if None in numbers else numbers) or None

    @property
    def bounds(self) -> tuple[Any, Any] | None:
        """First and last value of the order; None where neither is given."""
        ends = self._first.value.strip(), self._last.value.strip()
        if not any(ends):
            return None
        numbers = [_number(end) for end in ends]
        return (ends[0], ends[1]) if None in numbers else (numbers[0], numbers[1])

    @property
    def ends(self) -> Mapping[str, Any] | str | None:
        """Values by column after which a history ends; as typed where metadata has to refuse it."""
        text, (shown, given) = self.ends_after.value, self._ends_given
        if given is not None and text == shown:
            return given
        found = {}
        for part in filter(None, map(str.strip, text.split(";"))):
            column, _, values = part.rpartition(":")
            found[column.strip()] = [value.strip() for value in values.split(",") if value.strip()]
        return found if all(column and values for column, values in found.items()) and found else text or None


def _number(text: str) -> float | int | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None
