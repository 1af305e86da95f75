"""Which outputs of a notebook may be passed on: those that epsilon covers, or that read nothing private.

What our own commands show is known by the command. What other code shows is known only if everything that it
uses is known to be synthetic or privatised; anything else is left to the owner.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass, field
from typing import Any

from jupyter_dpsynth.cli.statements import Known

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
    "For your eyes only: these figures are exact": ORIGINAL,
    "dpsynth-findings": OWNERS["doctor"],
    "dpsynth-ledger": OWNERS["ledger"],
}
_OWN_LINE = re.compile(
    r"^(.*This data \('.*|The same table was learned with .*|.* is the kept model of the same .*"
    r"|'use' takes it and spends nothing.*|use, again or cancel: .*)$",
    re.MULTILINE,
)
_BOX = "div"
_OWN_HTML = re.compile(
    rf'<{_BOX} class="dpsynth-owner"[^>]*>.*?</{_BOX}>|<{_BOX}[^>]*>This data \(.*?</{_BOX}>', re.DOTALL
)
_MAGIC = re.compile(r"^\s*%{1,2}dpsynth\b\s*(?P<command>\w*)(?P<rest>.*)$")
_QUIET = re.compile(r"^\s*%((re)?load_ext\s+jupyter_dpsynth|config\s+DPSynthMagics\b.*|matplotlib\s+\w+)\s*$")
_SHELL = re.compile(r"^\s*(!|%(pip|conda|matplotlib|load_ext|reload_ext|autoreload|config)\b)")  # set nothing
_OPTION = re.compile(r"(?:^|\s)(-o|--?output|output|--?convert|convert)[ =]+(?P<name>\w+)")
_ORIGINAL = re.compile(r"(?:^|\s)(?:--)?original[ =]")
_BRACES = re.compile(r"\{((?:[^{}]|\{[^{}]*\})*)\}")
_VALUE = re.compile(r"(?:(?<!\S)--?|(?<!\S)(?=\w+ *=))([\w-]+) *[ =] *(\{[^}]*\}|\S+)")
#: Options that name a variable or a file.
NAMING = {"o", "output", "original", "convert", "meta", "synthesizer", "handle", "dataset", "link"}
#: Commands that bind a variable, and the name that it has if none is given.
USUAL = {"learn": "synthesizer", "load": "synthesizer", "panel": "synthesizer", "synthesize": "df_synth"}
OWN_CODE = "your own code, which may show private rows"
GAP = "your own code, after cells that were changed, deleted or ran again (restart, run all, and save)"
FOREIGN = "a command of IPython or of the shell"
SETTINGS = "a setting computed by your own code, perhaps from private rows"


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
        known: These variables.
    """

    known: Known = field(default_factory=Known)
    _last: int = 0

    def judge(self, cell: Any) -> Verdict:  # noqa: ANN401 - a notebook's cell
        """Decide on a code cell's outputs, and take note of the variables that it sets."""
        gap = self._count(cell)
        source, tags = text_of(cell["source"]), cell.get("metadata", {}).get("tags", [])
        before = self.known.copied()
        verdict = self._of_source(source)
        errors = [each for each in cell["outputs"] if each["output_type"] == "error"]
        if errors or cell.get("execution_count") is None:  # then it may have set nothing
            self.known.keep_what_also(before)
        shown = "\n".join(_texts(cell["outputs"]))
        owners = next((why for sign, why in SIGNS.items() if sign in shown), "")
        if owners or "dpsynth-private" in tags:
            return Verdict("remove", owners or "the cell has the tag dpsynth-private")
        if verdict.kind == "unsure" and "dpsynth-share" in tags:
            return Verdict("keep")
        if verdict.kind == "keep" and not _own_errors(errors):
            return Verdict("unsure", "an error that other code has raised")
        if verdict.why == OWN_CODE and gap:
            return Verdict("unsure", GAP)
        return verdict

    def _count(self, cell: Any) -> bool:  # noqa: ANN401 - a notebook's cell
        """Take note of when a cell ran; returns whether other code ran just before, which is not there."""
        count = cell.get("execution_count")
        if count is None:
            gap = bool(cell["outputs"])
        else:
            gap = count > self._last + 1
            self.known.in_order = self.known.in_order and count > self._last
            self._last = max(count, self._last)
        if gap:
            self.known.forget()
        return gap

    def _of_source(self, source: str) -> Verdict:
        if re.match(r"\s*%%dpsynth\b", source):
            first, _, body = source.lstrip().partition("\n")
            return self._command(first, body)
        verdicts: list[Verdict] = []
        python: list[str] = []
        for line in source.splitlines():
            if _MAGIC.match(line):
                verdicts.append(self._code(python))
                python = []
                verdicts.append(self._command(line))
            elif _SHELL.match(line):
                verdicts.append(Verdict("unsure", FOREIGN))
            elif not _QUIET.match(line):
                python.append(line)
        verdicts.append(self._code(python))
        for kind in ("remove", "unsure"):
            for verdict in verdicts:
                if verdict.kind == kind:
                    return verdict
        return Verdict("keep")

    def _command(self, line: str, body: str = "") -> Verdict:
        """What one of our commands shows, by its line and the lines below it."""
        found = _MAGIC.match(line)
        command, rest = (found["command"], found["rest"]) if found else ("", "")
        output = _OPTION.search(rest)
        if "--help" in rest or "-h" in rest.split():
            return Verdict("keep")
        known = self._are_known(command, rest, body)
        made = {name for _, name in _OPTION.findall(rest)}
        self.known.unbind(made)
        self.known.seen |= made
        if command == "shield":  # the table's name stands for the twin; the handle shows nothing
            name = rest.split()[0] if rest.split() else ""
            self.known.unbind({name})
            if "--off" not in rest:
                self.known.set_by_command(name)
        if command in OWNERS:
            return Verdict("remove", OWNERS[command])
        if command in {"compare", "report"} and _ORIGINAL.search(rest):
            return Verdict("remove", ORIGINAL)
        name = output["name"] if output else USUAL.get(command, "")
        if name and command in {*USUAL, "compare", "evaluate"}:
            self.known.set_by_command(name)
        return Verdict("keep") if known else Verdict("unsure", SETTINGS)

    def _are_known(self, command: str, rest: str, body: str) -> bool:
        """Whether the values that a command is given are computed from what is known."""
        values = [value for name, value in _VALUE.findall(rest) if name not in NAMING]
        words = rest.split()
        # how many rows, or a formula that may be a function of the user's
        first = {"synthesize": 0, "infer": 0, "ask": 1}.get(command)
        if first is not None and len(words) > first and not words[first].startswith("-"):
            values.append(words[first])
        table = rest.lstrip().startswith("{") and command != "synthesize"
        exact = _BRACES.findall(rest)[table:]
        try:
            statements = ast.parse(body).body
        except SyntaxError:  # the command has refused it
            statements = []
        exact += [ast.unparse(each.value) for each in statements if isinstance(each, ast.Assign)]
        known = self.known.value
        return all(map(known, values)) and all(known(each, perhaps_word=False) for each in exact)

    def _code(self, lines: list[str]) -> Verdict:
        """What Python code shows: known only if all that it uses is known."""
        source = textwrap.dedent("\n".join(lines)).strip()
        if not source:
            return Verdict("keep")
        try:
            known = self.known.run(source)
        except SyntaxError:  # it may set any variable
            self.known.forget()
            return Verdict("unsure", FOREIGN)
        if known and self.known.in_order:
            return Verdict("keep")
        return Verdict("unsure", OWN_CODE if self.known.in_order else "cells that ran in another order")


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


def _own_errors(errors: list[Any]) -> bool:
    """Whether all errors are ours, whose messages hold no value."""
    return all(each.get("ename") in OWN_ERRORS for each in errors)


def lines_of_owner(text: str, *, markup: bool = False) -> tuple[str, bool]:
    """A text without the lines in which the ledger speaks to the owner, and whether there were any."""
    pattern = _OWN_HTML if markup else _OWN_LINE
    left, count = pattern.subn("", text)
    return left, count > 0
