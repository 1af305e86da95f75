"""Which outputs of a notebook may be passed on: those that epsilon covers, or that read nothing private.

What our own commands show is known by the command. What other code shows is known only if everything that it
uses is known to be synthetic or privatised; anything else is left to the owner.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Reading", "Verdict", "lines_of_owner", "text_of"]

#: Commands whose output is for the owner's eyes only, and why.
OWNERS = {
    "doctor": "the check-up's findings, computed from the original rows",
    "ledger": "the ledger",
    "models": "the list of kept models",
    "status": "what is kept beside the ledger",
}
ORIGINAL = "a comparison with the original rows"
OWN_ERRORS = {
    "ArtifactError",
    "ConfigError",
    "DataError",
    "MetadataError",
    "NotLearnedError",
    "KeyboardInterrupt",
}
#: Words that stand in what is for the owner only, wherever it is shown.
SIGNS = {
    "For the owner's eyes only: computed from": OWNERS["doctor"],
    "Computed from the original data": ORIGINAL,
    "dpsynth-findings": OWNERS["doctor"],
    "dpsynth-ledger": OWNERS["ledger"],
}
_OWN_LINE = re.compile(
    r"^(This data \('.*|The same table was learned with .*|.* is the kept model of the same .*)$",
    re.MULTILINE,
)
_OWN_HTML = re.compile(
    r'<div class="dpsynth-owner"[^>]*>.*?</div>|<div[^>]*>This data \(.*?</div>', re.DOTALL
)
_MAGIC = re.compile(r"^\s*%{1,2}dpsynth\b\s*(?P<command>\w*)(?P<rest>.*)$")
_QUIET = re.compile(
    r"^\s*%(load_ext\s+jupyter_dpsynth|reload_ext\s+jupyter_dpsynth|config\s+DPSynthMagics\b.*)\s*$"
)
_OPTION = re.compile(r"(?:^|\s)(?:-o|--output)[ =]+(\w+)")
PACKAGE = "jupyter_dpsynth"
#: What of this package shows nothing of a table, nor of the ledger.
OURS = {"HighDimConfig", "HighDimSynthesizer", "MetaExtractor", "UtilityReport", "Ordering", "Combinations"}
OURS |= {"datasets", "load_census_sample", "make_hospital_stays"}
#: Calls that take a private table and give what is public or privatised.
PRIVATISING = {"MetaExtractor.extract", "HighDimSynthesizer", "HighDimConfig"}
#: Modules that hold no data, as long as nothing of theirs is used that reads some.
TOOLS = {"pandas", "numpy", "math", "matplotlib.pyplot", "datetime", "json"}
READING = re.compile(r"_|read|load|from|open|memmap|genfromtxt|HDFStore|ExcelFile|imread|io$|lib$|ctypeslib$")
REACHING = {"open", "eval", "exec", "compile", "__import__", "globals", "locals", "vars", "getattr", "input"}
BUILTINS = set(dir(builtins)) - REACHING


@dataclass(frozen=True)
class Verdict:
    """What becomes of a cell's outputs.

    Attributes:
        kind: 'keep', 'remove', or 'unsure'.
        why: The reason, in words.
    """

    kind: str
    why: str = ""


@dataclass
class Reading:
    """Reads the cells of a notebook in order, and knows which variables are synthetic or privatised.

    Attributes:
        public: Their names.
        ours: What is imported from this package.
        tools: Modules that hold no data.
        in_order: Whether the cells ran in the order in which they stand.
    """

    public: set[str] = field(default_factory=set)
    ours: set[str] = field(default_factory=set)
    tools: set[str] = field(default_factory=set)
    in_order: bool = True
    _last: int = 0

    def judge(self, cell: Any) -> Verdict:  # noqa: ANN401 - a notebook's cell
        """Decide on a code cell's outputs, and take note of the variables that it sets."""
        count = cell.get("execution_count") or self._last
        self.in_order = self.in_order and count >= self._last
        self._last = max(count, self._last)
        source, tags = text_of(cell["source"]), cell.get("metadata", {}).get("tags", [])
        verdict = self._of_source(source)
        shown = "\n".join(_texts(cell["outputs"]))
        owners = next((why for sign, why in SIGNS.items() if sign in shown), "")
        if owners or "dpsynth-private" in tags:
            return Verdict("remove", owners or "the cell has the tag dpsynth-private")
        if verdict.kind == "unsure" and "dpsynth-share" in tags:
            return Verdict("keep")
        if verdict.kind == "keep" and not _own_errors(cell["outputs"]):
            return Verdict("unsure", "an error that other code has raised")
        return verdict

    def _of_source(self, source: str) -> Verdict:
        if re.match(r"\s*%%dpsynth\b", source):
            return self._command(source.lstrip().splitlines()[0])
        verdicts: list[Verdict] = []
        python: list[str] = []
        for line in source.splitlines():
            if _MAGIC.match(line):
                verdicts.append(self._code(python))
                python = []
                verdicts.append(self._command(line))
            elif not _QUIET.match(line):
                python.append(line)
        verdicts.append(self._code(python))
        for kind in ("remove", "unsure"):
            for verdict in verdicts:
                if verdict.kind == kind:
                    return verdict
        return Verdict("keep")

    def _command(self, line: str) -> Verdict:
        """What one of our commands shows, by its line."""
        found = _MAGIC.match(line)
        command, rest = (found["command"], found["rest"]) if found else ("", "")
        output = _OPTION.search(rest)
        if "--help" in rest or "-h" in rest.split():
            return Verdict("keep")
        if command == "shield":  # the table's name stands for the twin; the handle shows nothing
            name = rest.split()[0] if rest.split() else ""
            self.public = self.public - {name} if "--off" in rest else self.public | {name}
        if command in OWNERS:
            return Verdict("remove", OWNERS[command])
        if command == "compare" and "--original" in rest:
            self.public -= {output[1]} if output else set()
            return Verdict("remove", ORIGINAL)
        usual = {
            "learn": "synthesizer",
            "load": "synthesizer",
            "panel": "synthesizer",
            "synthesize": "df_synth",
        }
        name = output[1] if output else usual.get(command, "")
        self.public |= {name} if name and command in {*usual, "compare", "evaluate"} else set()
        return Verdict("keep")

    def _code(self, lines: list[str]) -> Verdict:
        """What Python code shows: known only if all that it uses is known."""
        source = textwrap.dedent("\n".join(lines)).strip()
        if not source:
            return Verdict("keep")
        try:
            statements = ast.parse(source).body
        except SyntaxError:
            return Verdict("unsure", "a command of IPython or of the shell")
        known = [self._statement(each) for each in statements]
        if all(known) and self.in_order:
            return Verdict("keep")
        why = (
            "your own code, which may show private rows"
            if self.in_order
            else "cells that ran in another order"
        )
        return Verdict("unsure", why)

    def _statement(self, statement: ast.stmt) -> bool:
        """Whether a statement uses only what is known; what it sets is then known, too."""
        nodes = list(ast.walk(statement))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        stored = {node.id for node in names if isinstance(node.ctx, ast.Store | ast.Del)}
        inner = stored | {node.arg for node in nodes if isinstance(node, ast.arg)}
        privatised = {name for node in nodes if isinstance(node, ast.Call) for name in self._privatised(node)}
        loaded = {node.id for node in names if isinstance(node.ctx, ast.Load) and node not in privatised}
        hidden = any(isinstance(node, ast.Attribute) and READING.match(node.attr) for node in nodes)
        known = loaded <= self.public | self.ours | self.tools | BUILTINS | inner and not hidden
        for each in nodes:
            if isinstance(each, ast.Import | ast.ImportFrom):
                module = str(getattr(each, "module", "")).split(".")[0]
                made = {alias.asname or alias.name.split(".")[0] for alias in each.names}
                ours = {alias.asname or alias.name for alias in each.names if alias.name in OURS}
                self.ours = (self.ours - made) | (ours if module == PACKAGE else set())
                plain = isinstance(each, ast.Import) and {alias.name for alias in each.names} <= TOOLS
                self.tools = self.tools | made if plain else self.tools - made
                self.public -= made
        # what stands beside something unknown may have been changed by it
        self.public = self.public | stored if known else self.public - stored - loaded
        self.ours -= stored
        self.tools -= stored
        return known

    def _privatised(self, call: ast.Call) -> list[ast.Name]:
        """The names of private tables in a call whose result is public or privatised all the same."""
        words = ast.unparse(call.func)
        learns = words.endswith(".learn") and words.removesuffix(".learn") in self.public
        if not learns and (words not in PRIVATISING or words.partition(".")[0] not in self.ours):
            return []
        given = [*call.args, *(each.value for each in call.keywords)]
        return [each for each in given if isinstance(each, ast.Name)]


def text_of(value: Any) -> str:  # noqa: ANN401 - a text, or its lines, as notebooks store it
    """A text of a notebook."""
    return "".join(value) if isinstance(value, list) else str(value)


def _texts(outputs: list[Any]) -> list[str]:
    """Everything in outputs that is text."""
    found = []
    for output in outputs:
        found.append(text_of(output.get("text", "")))
        found += [
            text_of(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/")
        ]
    return found


def _own_errors(outputs: list[Any]) -> bool:
    """Whether all errors are ours, whose messages hold no value."""
    return all(each.get("ename") in OWN_ERRORS for each in outputs if each["output_type"] == "error")


def lines_of_owner(text: str, *, markup: bool = False) -> tuple[str, bool]:
    """A text without the lines in which the ledger speaks to the owner, and whether there were any."""
    pattern = _OWN_HTML if markup else _OWN_LINE
    left, count = pattern.subn("", text)
    return left, count > 0
