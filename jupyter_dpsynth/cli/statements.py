"""What Python code of a notebook uses: only what is known to be synthetic or privatised, or more.

Code is never run. What a statement sets is known if everything that it uses is; what stands beside something
unknown may have been changed by it, under any of its names.
"""

from __future__ import annotations

import ast
import builtins
import copy
import re
import symtable
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Known"]

PACKAGE = "jupyter_dpsynth"
#: What of this package shows nothing of a table, nor of the ledger.
OURS = {"HighDimConfig", "HighDimSynthesizer", "MetaExtractor", "UtilityReport", "Ordering", "Combinations"}
OURS |= {"datasets", "load_census_sample", "make_hospital_stays", "make_patients_and_visits"}
#: Calls that take a private table and give what is public or privatised.
PRIVATISING = {"MetaExtractor.extract", "HighDimSynthesizer", "HighDimConfig"}
#: Modules that hold no data, as long as nothing of theirs is used that reads some.
TOOLS = {"pandas", "numpy", "math", "matplotlib.pyplot", "datetime", "json"}
#: Packages that print nothing of a table while they are imported, besides those of Python itself.
LIBRARIES = {"pandas", "numpy", "matplotlib", "seaborn", "plotly", "scipy", "sklearn", "polars", "pyarrow"}
LIBRARIES |= {"duckdb", "dask", "tensorflow", "IPython", "ipywidgets", PACKAGE}
READING = re.compile(
    r"_|read|load|from|open|memmap|genfromtxt|HDFStore|ExcelFile|imread|(?:io|lib|ctypeslib|eval)$"
)
REACHING = {"open", "eval", "exec", "compile", "__import__", "globals", "locals", "vars", "getattr", "input"}
REACHING |= {"breakpoint", "setattr", "delattr", "help"}
BUILTINS = {*dir(builtins), "display"} - REACHING
AT_ONCE = {"listcomp", "setcomp", "dictcomp"}  # scopes that run where they stand


@dataclass
class Known:
    """The variables of a notebook that are known to be synthetic or privatised.

    Attributes:
        public: Their names.
        ours: What is imported from this package.
        tools: Modules that hold no data.
        seen: Every name that code has set.
        in_order: Whether every variable is set where it seems to be.
    """

    public: set[str] = field(default_factory=set)
    ours: set[str] = field(default_factory=set)
    tools: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    in_order: bool = True
    _linked: list[set[str]] = field(default_factory=list)  # names of what may be, or hold, the same object

    def copied(self) -> Known:
        """The same, to be changed by itself."""
        return copy.deepcopy(self)

    def keep_what_also(self, earlier: Known) -> None:
        """Take back what has become known since; what is no longer known stays unknown."""
        self.public &= earlier.public
        self.ours &= earlier.ours
        self.tools &= earlier.tools

    def set_by_command(self, name: str) -> None:
        """A command has bound something synthetic or privatised to a name."""
        self.unbind({name})
        self.public.add(name)

    def unbind(self, names: Iterable[str]) -> None:
        """Something else is bound to these names: what they stood for before does not change."""
        gone = set(names)
        self.public, self.ours, self.tools = self.public - gone, self.ours - gone, self.tools - gone
        self._linked = [group - gone for group in self._linked]

    def forget(self) -> None:
        """Any variable may have been set."""
        self.public, self.ours, self.tools, self._linked = set(), set(), set(), []

    def run(self, source: str) -> bool:
        """Whether code uses only what is known; takes note of what it sets.

        Raises:
            SyntaxError: It is no Python.
        """
        every = [self._statement(each) for each in ast.parse(source).body]
        return all(every)

    def value(self, text: str, *, perhaps_word: bool = True) -> bool:
        """Whether an expression uses only what is known.

        Args:
            text: The expression; what is no Python is a word.
            perhaps_word: Whether it is a word, such as a file's name, if code has set none of its names.
        """
        try:
            node = ast.parse(text.strip(), mode="eval").body
        except SyntaxError:
            return True
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        if not names & self.seen and (perhaps_word or isinstance(node, ast.Name)):
            return True
        return self._uses_known(node, keeps=False)

    def _statement(self, node: ast.stmt) -> bool:
        parts = list(self._parts(node))
        known = all(parts) if parts else self._simple(node)
        if not known:
            self._spoil(node)
        return known

    def _parts(self, node: ast.stmt) -> Iterator[bool]:
        """Of a statement that holds others, whether each part uses only what is known, in order."""
        if isinstance(node, ast.If | ast.While):
            yield self._uses_known(node.test)
            yield from map(self._statement, [*node.body, *node.orelse])
        elif isinstance(node, ast.For):
            yield self._simple(ast.Assign([node.target], node.iter, lineno=1))
            yield from map(self._statement, [*node.body, *node.orelse])
        elif isinstance(node, ast.With):
            for item in node.items:
                target = item.optional_vars
                made = ast.Expr(item.context_expr) if target is None else None
                yield self._simple(made or ast.Assign([target], item.context_expr, lineno=1))  # type: ignore[list-item]
            yield from map(self._statement, node.body)
        elif isinstance(node, ast.Try):
            yield from map(self._statement, node.body)
            for handler in node.handlers:
                yield handler.type is None or self._uses_known(handler.type)
                self._bind({handler.name} if handler.name else set(), set())
                yield from map(self._statement, handler.body)
            yield from map(self._statement, [*node.orelse, *node.finalbody])

    def _simple(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Import | ast.ImportFrom):
            return self._import(node)
        if isinstance(node, ast.Global | ast.Pass):
            return True
        if any(isinstance(each, ast.Global) for each in ast.walk(node)):
            self.in_order = False  # what a function sets is set whenever it is called
        plain = ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Delete, ast.Assert, ast.Raise
        scopes = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef
        if not isinstance(node, plain + scopes):
            return False
        stored = _bound(node)
        self.seen |= _stored(node)
        if isinstance(node, ast.Delete) and all(isinstance(each, ast.Name) for each in node.targets):
            self.unbind(stored)
            return True
        keeps = bool(stored) or not isinstance(node, ast.Expr)
        loaded = _loaded(node)[0] & self.public
        if not self._uses_known(node, keeps=keeps) or _changed(node) & (self.ours | self.tools):
            return False
        self._bind(stored, loaded)
        return True

    def _bind(self, stored: set[str], loaded: set[str]) -> None:
        """What is set from known things is known, and may be the same object as any of them."""
        self.unbind(stored - loaded)
        self.public |= stored
        group = stored | loaded
        if len(group) < 2:
            return
        apart = [each for each in self._linked if not each & group]
        self._linked = [*apart, group.union(*(each for each in self._linked if each & group))]

    def _spoil(self, node: ast.stmt) -> None:
        """What stands beside something unknown may have been changed by it, and so may its other names."""
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        self.seen |= _stored(node)
        reached = (names & self.public).union(*(group for group in self._linked if group & names))
        self.public -= reached
        self.unbind(_stored(node) | _changed(node))

    def _uses_known(self, node: ast.AST, *, keeps: bool = True) -> bool:
        """Whether code uses only what is known.

        Args:
            node: A statement or an expression.
            keeps: Whether functions in it may run later, when its variables are others.
        """
        privatised = [name for call in _calls(node) for name in self._privatised(call)]
        hidden = any(
            READING.match(each.attr) or (each.attr == "query" and not _is_plain_query(each, node))
            for each in ast.walk(node)
            if isinstance(each, ast.Attribute)
        )
        loaded, late = _loaded(node, privatised)
        free = self.ours | self.tools | (BUILTINS - self.seen)
        return not hidden and loaded <= self.public | free and not (keeps and late - free)

    def _import(self, node: ast.Import | ast.ImportFrom) -> bool:
        modules = {each.name for each in node.names} if isinstance(node, ast.Import) else {node.module or ""}
        made = {each.asname or each.name.split(".")[0] for each in node.names}
        self.seen |= made
        if "*" in made:
            self.forget()
            return False
        self.unbind(made)
        if isinstance(node, ast.Import) and modules <= TOOLS:
            self.tools |= made
        tops = {module.split(".")[0] for module in modules}
        if isinstance(node, ast.ImportFrom) and tops == {PACKAGE} and not node.level:
            self.ours |= {each.asname or each.name for each in node.names if each.name in OURS}
        return tops <= LIBRARIES | set(sys.stdlib_module_names) and not getattr(node, "level", 0)

    def _privatised(self, call: ast.Call) -> list[ast.Name]:
        """The names of private tables in a call whose result is public or privatised all the same."""
        words = ast.unparse(call.func)
        learns = words.endswith(".learn") and words.removesuffix(".learn") in self.public
        if not learns and (words not in PRIVATISING or words.partition(".")[0] not in self.ours):
            return []
        given = [*call.args, *(each.value for each in call.keywords)]
        return [each for each in given if isinstance(each, ast.Name)]


def _calls(node: ast.AST) -> list[ast.Call]:
    return [each for each in ast.walk(node) if isinstance(each, ast.Call)]


def _stored(node: ast.AST) -> set[str]:
    """Names that code sets or deletes, in functions too, of functions and classes, and imported ones."""
    names = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store | ast.Del):
            names.add(each.id)
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
            names |= {each.name} if each.name else set()
        elif isinstance(each, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in each.names}
    return names


def _changed(node: ast.AST) -> set[str]:
    """Names of things of which code sets a part: `a` in `a.b = 1` and `a["b"][0] = 1`."""
    names = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute | ast.Subscript) and isinstance(each.ctx, ast.Store | ast.Del):
            names |= {inner.id for inner in ast.walk(each.value) if isinstance(inner, ast.Name)}
    return names


def _is_plain_query(attribute: ast.Attribute, node: ast.AST) -> bool:
    """Whether `query` is called with a text that names no variable."""
    return any(
        call.func is attribute
        and len(call.args) == 1
        and not call.keywords
        and isinstance(call.args[0], ast.Constant)
        and "@" not in str(call.args[0].value)
        for call in _calls(node)
    )


def _loaded(node: ast.AST, without: Iterable[ast.Name] = ()) -> tuple[set[str], set[str]]:
    """Variables of the notebook that code uses, and those that a function or generator in it uses later.

    Args:
        node: A statement or an expression.
        without: Names in it that do not count.
    """
    nothing: dict[int, Any] = {id(name): ast.Constant(None) for name in without}
    table = _scopes(copy.deepcopy(node, nothing))
    direct = {each.get_name() for each in table.get_symbols() if each.is_referenced()}
    if isinstance(node, ast.AugAssign):
        direct |= _stored(node)
    late: set[str] = set()
    defines = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    for child in table.get_children():
        for name, runs_later in _global_names(child, later=defines):
            (late if runs_later else direct).add(name)
    return direct | late, late


def _bound(node: ast.AST) -> set[str]:
    """Variables of the notebook that a statement sets."""
    symbols = _scopes(node).get_symbols()
    return {each.get_name() for each in symbols if each.is_assigned() or each.is_declared_global()}


def _scopes(node: ast.AST) -> symtable.SymbolTable:
    return symtable.symtable(ast.unparse(node), "cell", "exec")


def _global_names(scope: symtable.SymbolTable, *, later: bool) -> Iterator[tuple[str, bool]]:
    """Variables of the notebook that an inner scope uses, and whether it does so when it is called."""
    later = later or scope.get_name() not in AT_ONCE
    for symbol in scope.get_symbols():
        # what a class sets it may have looked up outside before
        if symbol.is_referenced() and (symbol.is_global() or scope.get_type() == "class"):
            yield symbol.get_name(), later
    for inner in scope.get_children():
        yield from _global_names(inner, later=later)
