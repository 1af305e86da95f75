"""The record of a run: what its receipt answers, what only a person can answer, and both in three forms.

The registry takes one YAML file for each deployment, whose form is fixed by a schema. What NIST asks has no
such form. So YAML has the registry's fields alone; Markdown and JSON have both.

A record is made from a receipt and adds no fact to it. Where a receipt cannot answer, the field says 'TO BE
ANSWERED' and asks the question. Fields whose values the registry prescribes (dates, kinds) then hold no such
value, so that the registry's own check refuses a record that is not finished.

Source:
    https://github.com/opendp/deployments-registry-data, schemas/deployments-schema.yaml at commit 3e9c812 of
    15 July 2026: the fields of the third tier. NIST SP 800-226, March 2025: the blocks of its pyramid.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.files.archive import write_file
from jupyter_dpsynth.privacy.membership import RATES, TITLE, in_words, rates_in_words
from jupyter_dpsynth.privacy.registry.entry import TO_BE_ANSWERED, Entry
from jupyter_dpsynth.privacy.registry.fields import registry_fields
from jupyter_dpsynth.privacy.registry.questions import guideline_questions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_dpsynth.privacy.membership import MembershipBound
    from jupyter_dpsynth.privacy.receipt import PrivacyReceipt

__all__ = ["DeploymentRecord", "deployment_record"]

FORMAT, VERSION = "jupyter_dpsynth deployment record", 1
REGISTRY = "Differential Privacy Deployments Registry"
REGISTRY_URL = "https://registry.opendp.org"
SCHEMA = "github.com/opendp/deployments-registry-data, commit 3e9c812 of 2026-07-15"
GUIDELINES = "NIST SP 800-226, Guidelines for Evaluating Differential Privacy Guarantees (March 2025)"
FORMS = {".yaml": "to_yaml", ".yml": "to_yaml", ".md": "to_markdown", ".json": "to_json"}
LISTS = ("data_curators", "registry_authors")  # fields that hold several texts
# what Markdown takes for something else than text; an underscore inside a word is text
MARKDOWN = re.compile(r"[\\`*\[\]<>|~&#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


@dataclass(frozen=True)
class DeploymentRecord:
    """A run's record. `to_yaml` is for the registry, `to_markdown` for people, `to_json` for programs.

    Attributes:
        headline: The guarantee in one sentence.
        fields: The fields of the registry.
        questions: The questions of NIST SP 800-226.
        membership: What an attacker could find out at most.
        explanation: The same in words.
        rates: False-positive and true-positive rates in words.
    """

    headline: str
    fields: tuple[Entry, ...]
    questions: tuple[Entry, ...]
    membership: MembershipBound
    explanation: str
    rates: tuple[tuple[str, str], ...]

    @property
    def blanks(self) -> tuple[Entry, ...]:
        """What is left for a person to answer."""
        return tuple(entry for entry in (*self.fields, *self.questions) if entry.blank)

    @property
    def left(self) -> str:
        """How much is left to do, in a sentence."""
        return (
            f"{len(self.blanks)} questions can be answered by a person only: search for '{TO_BE_ANSWERED}'."
        )

    def registry(self) -> dict[str, Any]:
        """The registry's record, nested as its schema wants it. Texts are Markdown."""
        record: dict[str, Any] = {"url_slug": "", "status": "Draft", "tier": 3, "deployment": {}}
        for entry in self.fields:
            place = record
            *groups, last = entry.name.split(".")
            for group in groups:
                place = place.setdefault(group, {})
            value = entry.value
            if isinstance(value, str):
                value = markdown_text(value)
            place[last] = [value] if last in LISTS else value
        return record

    def to_yaml(self) -> str:
        """The record for the registry: one YAML document that fits its schema once the blanks are filled."""
        import yaml

        class Dumper(yaml.SafeDumper):
            """Writes texts of several lines as blocks, which the registry's check asks for."""

        def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
            return dumper.represent_scalar(
                "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
            )

        Dumper.add_representer(str, text)
        open_fields = sum(bool(entry.blank) for entry in self.fields)
        head = (
            f"# A draft for the {REGISTRY} ({REGISTRY_URL}), tier 3.\n"
            f"# Form: {SCHEMA}.\n"
            f"# Search for '{TO_BE_ANSWERED}': {open_fields} fields are left for a person. The rest follows "
            "from the run's receipt.\n"
        )
        return head + yaml.dump(
            self.registry(), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1_000_000
        )

    def to_json(self) -> str:
        """Everything, as indented JSON: the registry's record, NIST's questions, the attacker's rates."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "sources": [SCHEMA, GUIDELINES],
            "guarantee": self.headline,
            "registry": self.registry(),
            "questions": [
                {
                    "topic": entry.group,
                    "question": entry.question,
                    "answer": entry.answer,
                    "to_be_answered": entry.blank or None,
                }
                for entry in self.questions
            ],
            "membership_inference": {
                "rates": [
                    {"false_positive": f, "true_positive_at_most": t} for f, t in self.membership.rates
                ],
                "advantage_at_most": self.membership.advantage,
            },
        }
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """Everything, to read and to fill in."""
        introduction = (
            f"This record answers what the [{REGISTRY}]({REGISTRY_URL}) asks for (tier 3) and what "
            f"{GUIDELINES} says should be asked. Every answer follows from the receipt of the run. "
            f"{len(self.blanks)} questions can be answered by a person only: search for "
            f"**{TO_BE_ANSWERED}**."
        )
        lines = [
            "# Record of a differentially private release",
            "",
            markdown_text(self.headline[0].upper() + self.headline[1:] + "."),
            "",
            introduction,
            "",
            f"## {TITLE}",
            "",
            markdown_text(self.explanation),
            "",
            f"| {' | '.join(RATES)} |",
            "|---:|---:|",
            *(f"| {false} | {true} |" for false, true in self.rates),
            "",
            f"## For the {REGISTRY}",
            "",
            *_written(self.fields, 3),
            "## The questions of NIST SP 800-226",
            "",
            *_written(self.questions, 3),
            f"Form of the registry: {SCHEMA}.",
        ]
        return "\n".join(lines) + "\n"

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the record into a file, in the form that its name asks for.

        Args:
            path: `.yaml` for the registry, `.md` to read and fill in, `.json` for programs.
            overwrite: Whether a file that is there may be replaced, with what was filled in there.

        Raises:
            ConfigError: Another form, or a file that is there.
            ArtifactError: The file cannot be written.
        """
        target = Path(path).expanduser()
        form = FORMS.get(target.suffix.lower())
        if form is None:
            raise ConfigError(
                f"path = {str(path)!r} is not allowed: a record is written as .yaml for the registry, .md to "
                "read and fill in, or .json for programs."
            )
        if target.exists() and not overwrite:
            raise ConfigError(
                f"{str(path)!r} is there already, perhaps with answers in it: give another name, or "
                "overwrite = True (--overwrite) to replace it."
            )
        write_file(target, getattr(self, form)().encode())

    def __str__(self) -> str:
        """The Markdown form."""
        return self.to_markdown()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.to_html()

    def to_html(self) -> str:
        """The record for a notebook: no script, readable in light and dark themes."""
        from jupyter_dpsynth.display.documents import record_html

        groups = [
            (title, [(entry.question, str(entry.answer or ""), entry.blank) for entry in entries])
            for title, entries in (
                (f"For the {REGISTRY}", self.fields),
                ("The questions of NIST SP 800-226", self.questions),
            )
        ]
        attack = TITLE, self.explanation, RATES, self.rates
        return record_html(self.headline, self.left, attack, groups, TO_BE_ANSWERED)


def markdown_text(text: str) -> str:
    r"""A text for a Markdown document, in which nothing of it becomes markup.

    >>> markdown_text("one value of '<b>_id_'")
    "one value of '\\<b\\>\\_id\\_'"
    """
    return MARKDOWN.sub(r"\\\g<0>", text)


def _written(entries: tuple[Entry, ...], level: int) -> Iterator[str]:
    """Lines of Markdown."""
    group = ""
    for entry in entries:
        if entry.group != group:
            group = entry.group
            yield from (f"{'#' * level} {group}", "")
        named = f" (`{entry.name}`)" if entry.name else ""
        yield from (f"**{entry.question}**{named}", "")
        if entry.answer is not None:
            yield from (markdown_text(str(entry.answer)), "")
        if entry.blank:
            yield from (f"> **{TO_BE_ANSWERED}:** {markdown_text(entry.blank)}", "")


def _in_lines(receipt: PrivacyReceipt) -> PrivacyReceipt:
    """The receipt with its texts in one line each: a text from a file cannot add a line to a document."""
    versions = {_one_line(name): _one_line(version) for name, version in receipt.versions.items()}
    plan = receipt.plan
    if plan is not None:
        measured = (replace(m, name=_one_line(m.name), detail=_one_line(m.detail)) for m in plan.measurements)
        plan = replace(plan, measurements=tuple(measured))
    return replace(
        receipt,
        plan=plan,
        unit=_one_line(receipt.unit),
        relation=_one_line(receipt.relation),
        sampler=_one_line(receipt.sampler),
        noise=_one_line(receipt.noise),
        ledger_entry=None if receipt.ledger_entry is None else _one_line(receipt.ledger_entry),
        versions=versions,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def deployment_record(receipt: PrivacyReceipt) -> DeploymentRecord:
    """The record of a run.

    Args:
        receipt: Its receipt.

    Raises:
        ConfigError: The receipt states no guarantee, so that there is no deployment to register.
    """
    receipt = _in_lines(receipt)
    bound = receipt.membership
    if bound is None:
        raise ConfigError(
            f"{receipt.headline} There is nothing to register: a record needs a run with differential "
            "privacy."
        )
    return DeploymentRecord(
        headline=receipt.headline,
        fields=registry_fields(receipt),
        questions=guideline_questions(receipt),
        membership=bound,
        explanation=in_words(bound, receipt.unit),
        rates=tuple(rates_in_words(bound)),
    )
