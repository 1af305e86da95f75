"""The declarations of each column while they are edited: texts, roles and errors."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.engine.planning.conversions import converted
from jupyter_dpsynth.engine.planning.findings import Place
from jupyter_dpsynth.errors import ConfigError, DPSynthError, MetadataError, did_you_mean
from jupyter_dpsynth.metadata.columns import (
    CategoricalMeta,
    ContinuousMeta,
    DataFrameMeta,
    check_column_names,
)
from jupyter_dpsynth.metadata.derived import check_derived
from jupyter_dpsynth.metadata.extracting import OPTIONS, column_meta, gather_declarations
from jupyter_dpsynth.metadata.hierarchy import TREE_FILE, is_rule
from jupyter_dpsynth.metadata.orders import check_orders, declared_orders
from jupyter_dpsynth.sources.forms import PANDAS
from jupyter_dpsynth.sources.opening import known_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_dpsynth.engine.planning.conversions import Conversion
    from jupyter_dpsynth.sources.base import Source

__all__ = ["IDENTIFIER", "IGNORE", "LEARN", "ColumnDraft", "SchemaDraft"]

FORMULA = "="  # with which the field of a column begins that follows from others
LEARN, IDENTIFIER, IGNORE = "learn", "identifier", "ignore"
ROLES = (LEARN, IDENTIFIER, IGNORE)
OPTION = {"number": "bounds", "datetime": "bounds", "category": "categories"}
KIND_WORDS = {"number": "number", "datetime": "date or time", "category": "category", "": "cannot be learned"}
ITEM = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^,]+?)\s*(?:,|$)""")


@dataclass(frozen=True)
class ColumnDraft:
    """One column as it is edited.

    Attributes:
        name: Its name.
        kind: 'number', 'datetime', 'category', or '' for what cannot be learned.
        dtype: Type of the column.
        value_type: Type of an object column's values, else ''.
        role: 'learn', 'identifier' or 'ignore'.
        domain: What is declared, as typed: lowest and highest value, or categories, of numbers in braces; or
            groups of codes, 'icd10', 'prefix:1,3' or 'tree.csv'; or a formula, '= net + tax'; '' for nothing.
        decimals: Declared digits after the point, as typed; '' for none.
        missing: Values that are declared to stand for a missing one, as typed; '' for none.
        texts: Whether its values are texts, which then need no quotes.
        fixed: Whether its values follow from the type (True and False), or its decimals do (whole numbers).
        error: What is wrong with the column as it stands, '' if nothing.
    """

    name: str
    kind: str
    dtype: str
    value_type: str
    role: str = LEARN
    domain: str = ""
    decimals: str = ""
    missing: str = ""
    texts: bool = False
    fixed: bool = False
    error: str = ""

    @property
    def type_words(self) -> str:
        """Kind and type in words."""
        shown = f"{self.dtype} of {self.value_type}" if self.value_type else self.dtype
        return f"{KIND_WORDS[self.kind]} ({shown})"

    @property
    def option(self) -> str:
        """What is declared for the column: 'bounds', 'categories', 'derived' or 'hierarchy'."""
        typed = self.domain.strip()
        if typed[:1] == FORMULA and self.kind == "number":
            return "derived"
        if self.kind == "category" and (is_rule(typed) or typed.lower().endswith(TREE_FILE)):
            return "hierarchy"
        return "categories" if typed[:1] == "{" else OPTION[self.kind]

    @property
    def domain_hint(self) -> str:
        """The hint in an empty field."""
        if self.fixed and self.kind == "category":
            return "False, True"
        return "measured" if self.kind else ""

    @property
    def domain_tip(self) -> str:
        """What the field takes, for those who point at it."""
        if self.fixed and self.kind == "category":
            return f"Values of {self.name}: they follow from its type"
        forms = {
            "number": "lowest, highest; or a formula of other columns, such as = net + tax",
            "datetime": "first, last, such as 2020-01-01, 2024-12-31",
            "category": "A, B, C",
        }
        groups = "; or groups of its codes: icd10, nace2, prefix:1,3 or tree.csv" if self.texts else ""
        form = f": {forms[self.kind]}{groups}" if self.kind else ""
        return f"Public values of {self.name}{form}"


class SchemaDraft:
    """The declarations of all columns of a table while they are edited.

    Names and types are read, no value is (see `MetaExtractor.extract`).

    Args:
        source: The table.
        declared: Arguments of `MetaExtractor.extract` to start from, and `ignore`.
        called: What the user calls the table.

    Attributes:
        called: The same.
        columns: The columns by name.
        partitioned: Whether the table is read part by part.
        copied: Whether it is copied into a private file before.

    Raises:
        DataError: It is not a table that could be learned.
        MetadataError: A declaration names an unknown column.
    """

    def __init__(self, source: Source, declared: Mapping[str, Any] | None = None, called: str = "df") -> None:
        check_column_names(source.described)
        self.called = called
        self._source, self._rows = source, 0
        self.partitioned, self.copied = source.partitioned, source.copied
        self._looks: dict[str, Any] = {}  # of new identifiers
        self._trees: dict[str, Any] = {}  # of groups of codes that are no file
        self._orders: dict[str, tuple[str, ...]] = {}  # by column those that are never above it
        self._observers: list[Callable[[str], None]] = []
        given = dict(declared or {})
        ignored = known_columns(source, given.pop("ignore", ()), "ignore")
        options = gather_declarations(source, **given)
        self.columns = {name: self._first_draft(name) for name in source.described.columns}
        for key, by_column in (*options.items(), ("ignore", dict.fromkeys(ignored, True))):
            for name, value in by_column.items():
                self._start_with(key, name, value)
        for name in self.columns:
            self._check(name)

    def _start_with(self, key: str, name: str, value: Any) -> None:  # noqa: ANN401 - as declared
        column = self.columns[name]
        if key == "id":
            self._looks[name] = value
        if key == "hierarchy":
            column_meta(self._source, name, {key: {name: value}})
            if isinstance(value, str):
                self.columns[name] = replace(column, domain=value)
            else:
                self._trees[name] = value
            return
        if key == "derived":
            column_meta(self._source, name, {key: {name: value}})
            self.columns[name] = replace(column, domain=f"{FORMULA} {value}")
            return
        if key == "at_least":
            self._orders[name] = declared_orders(name, value, column.kind)
            return
        if column.kind == "category" and key in ("bounds", "categories"):
            # the field shows text, which does not tell what is wrong
            column_meta(self._source, name, {key: {name: value}})
        changes: dict[str, Any] = {
            "id": {"role": IDENTIFIER if value else LEARN},
            "ignore": {"role": IGNORE},
            "decimals": {"decimals": str(value)},
            "missing": {"missing": _domain_text(value, texts=column.texts)} if key == "missing" else None,
        }.get(key) or {"domain": _domain_text(value, texts=column.texts)}
        if key == "categories" and OPTION.get(column.kind) == "bounds":
            changes["domain"] = f"{{{changes['domain']}}}"
        self.columns[name] = replace(column, **changes)

    def observe(self, callback: Callable[[str], None]) -> None:
        """Have a function called with a column's name after each change of it."""
        self._observers.append(callback)

    def declare_missing(self, codes: Mapping[str, Sequence[Any]]) -> None:
        """Add values that stand for a missing one.

        Args:
            codes: By column.
        """
        for name, values in codes.items():
            column = self.columns[name]
            typed = [column.missing] * bool(column.missing.strip())
            self.set(name, missing=", ".join([*typed, _domain_text(values, texts=column.texts)]))

    def declare_orders(self, orders: Mapping[str, Sequence[str]]) -> None:
        """Add public orders.

        Args:
            orders: By column those that are never above it.
        """
        for name, lows in orders.items():
            self._orders[name] = tuple(dict.fromkeys((*self._orders.get(name, ()), *lows)))
            self._check(name)
            for callback in self._observers:
                callback(name)

    def declare_derived(self, formulas: Mapping[str, str]) -> None:
        """Declare columns that follow from others.

        Args:
            formulas: By column.
        """
        for name, text in formulas.items():
            self.set(name, domain=f"{FORMULA} {text}")

    def declare_levels(self, name: str) -> None:
        """Declare the levels of a `category` column, as its owner states that they are public."""
        levels = self._source.described[name].dtype.categories
        self.set(name, domain=_domain_text(levels, texts=self.columns[name].texts))

    def set(self, name: str, **changes: Any) -> None:  # noqa: ANN401 - texts, by name of the attribute
        """Change a column's role, domain, decimals or missing values.

        Raises:
            MetadataError: There is no such column, or no such role.
        """
        if name not in self.columns:
            raise MetadataError(
                f"column {name!r} is not in the table.{did_you_mean(str(name), self.columns)}"
            )
        if changes.get("role", LEARN) not in ROLES:
            raise MetadataError(
                f"role = {changes['role']!r} is not allowed: give {', '.join(map(repr, ROLES))}."
            )
        draft = replace(self.columns[name], **changes)
        if draft == self.columns[name]:
            return
        self.columns[name] = draft
        self._check(name)
        for callback in self._observers:
            callback(name)

    def _check(self, name: str) -> None:
        draft, error = self.columns[name], ""
        try:
            if draft.role != IGNORE:
                column_meta(self._source, name, self._declared([draft]))
        except DPSynthError as problem:
            error = str(problem)
        self.columns[name] = replace(draft, error=error)

    def _first_draft(self, name: str) -> ColumnDraft:
        """A column before anything is declared; a column that cannot be learned is left out."""
        from pandas.api.types import is_string_dtype

        series = self._source.described[name]
        try:
            meta = column_meta(self._source, name, {})
        except MetadataError as problem:
            return ColumnDraft(name, "", str(series.dtype), "", role=IGNORE, error=str(problem))
        fixed = (isinstance(meta, CategoricalMeta) and meta.categories is not None) or (
            isinstance(meta, ContinuousMeta) and meta.decimals is not None
        )
        # of a categorical type that of its categories counts, which is metadata like the type
        values = getattr(series.dtype, "categories", series)
        texts = meta.value_type == "str" or (meta.kind == "category" and is_string_dtype(values.dtype))
        return ColumnDraft(name, meta.kind, meta.dtype, meta.value_type, texts=texts, fixed=fixed)

    @property
    def ignored(self) -> list[str]:
        """Names of the columns that are left out."""
        return [draft.name for draft in self.columns.values() if draft.role == IGNORE]

    @property
    def _kept(self) -> list[ColumnDraft]:
        """The columns that are not left out."""
        return [draft for draft in self.columns.values() if draft.role != IGNORE]

    @property
    def place(self) -> Place:
        """Where the check-up's lines are run."""
        in_pandas = not self.partitioned and self._source.form.kind == PANDAS.kind
        return Place(self.called, in_pandas=in_pandas)

    def table(self) -> Source:
        """The table without the columns that are left out; the caller must close it."""
        return self._source.without(self.ignored)

    def convert(self, conversion: Conversion) -> None:
        """Convert a column of the table in memory, as its owner would by running the line.

        Raises:
            ConfigError: The table is not in memory.
        """
        if self.partitioned:
            raise ConfigError(
                f"the table is not in memory as a DataFrame of pandas: run {self.place.converting} in a "
                "cell, and open the panel for what it makes."
            )
        frame = self._source.described
        frame[conversion.column] = converted(conversion, frame)
        self.columns[conversion.column] = self._first_draft(conversion.column)
        for callback in self._observers:
            callback(conversion.column)

    def rows(self) -> int:
        """Exact number of rows: private, unless it is declared public. Parts are counted once."""
        if not self.partitioned:
            return self._source.rows
        if not self._rows:
            with self._source.without([]) as source:
                self._rows = source.rows
        return self._rows

    def arguments(self) -> dict[str, Any]:
        """What is declared, as `MetaExtractor.extract` takes it; empty declarations are left out."""
        declared = self._declared(self._kept)
        looks = declared.pop("id")
        identifiers = looks if any(look is not True for look in looks.values()) else list(looks)
        return {key: value for key, value in {**declared, "ids": identifiers}.items() if value}

    def _declared(self, drafts: list[ColumnDraft]) -> dict[str, dict[str, Any]]:
        """The declarations of some columns, by option and by column."""
        found: dict[str, dict[str, Any]] = {option: {} for option in OPTIONS}
        for draft in drafts:
            if draft.role == IDENTIFIER:
                found["id"][draft.name] = self._looks.get(draft.name) or True
            if draft.role != LEARN or not draft.kind:
                continue
            if draft.domain.strip() and not (draft.fixed and draft.kind == "category"):
                typed = draft.domain.strip()
                if draft.option == "derived":
                    found["derived"][draft.name] = typed.removeprefix(FORMULA).strip()
                else:
                    items = typed if draft.option == "hierarchy" else _parse_items(draft, draft.domain)
                    found[draft.option][draft.name] = items
            elif draft.name in self._trees:
                found["hierarchy"][draft.name] = self._trees[draft.name]
            lower = [low for low in self._orders.get(draft.name, ()) if low not in self.ignored]
            if lower and draft.kind != "category":
                found["at_least"][draft.name] = lower
            if draft.missing.strip():
                found["missing"][draft.name] = _parse_items(draft, draft.missing)
            if draft.decimals.strip() and draft.kind == "number" and not draft.fixed:
                found["decimals"][draft.name] = _literal(draft.decimals)
        return found

    def meta(self) -> DataFrameMeta:
        """The metadata that the declarations give.

        Raises:
            MetadataError: A declaration does not fit; the column is named.
            ConfigError: All columns are left out.
        """
        if len(self.ignored) == len(self.columns):
            raise ConfigError("all columns are left out: there is nothing to learn.")
        declared = self._declared(self._kept)
        columns = tuple(column_meta(self._source, draft.name, declared) for draft in self._kept)
        check_orders(columns)
        df_meta = DataFrameMeta(columns, self._source.form, self._source.codebook)
        check_derived(df_meta)
        return df_meta

    def lines(self) -> list[str]:
        """The declarations as lines of a `%%dpsynth learn` cell."""
        declared = {**self.arguments(), "ignore": self.ignored}
        return [f"{key} = {value!r}" for key, value in declared.items() if value]


def _domain_text(value: Any, *, texts: bool) -> str:  # noqa: ANN401 - bounds or categories
    """Declared bounds or categories as they would be typed."""
    items = list(value) if not isinstance(value, str | bytes) else [value]
    return ", ".join(_item_text(item, texts=texts) for item in items)


def _item_text(item: object, *, texts: bool) -> str:
    if not isinstance(item, str):
        return str(item) if hasattr(item, "isoformat") else repr(getattr(item, "item", lambda: item)())
    plain = ITEM.fullmatch(item) is not None and item[:1] not in "\"'" and "," not in item
    if not texts and plain:  # without quotes it must not read as a number
        plain = isinstance(_literal(item), str)
    return item if plain and item == item.strip() else repr(item)


def _literal(text: str) -> Any:  # noqa: ANN401 - whatever was typed
    """A Python literal, or the text itself."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


def _parse_items(draft: ColumnDraft, typed: str) -> list[Any]:
    """Parse what was typed for a column, item by item."""
    text = typed.strip()
    if text[:1] + text[-1:] in {"[]", "()", "{}"}:
        text = text[1:-1]
    items = [match[1] for match in ITEM.finditer(text) if match[1].strip()]
    quoted = [item[0] in "\"'" and len(item) > 1 and item[0] == item[-1] for item in items]
    if draft.kind == "datetime" or draft.texts:
        pairs = zip(items, quoted, strict=True)
        return [_literal(item) if has_quotes else item for item, has_quotes in pairs]
    return [_literal(item) for item in items]
