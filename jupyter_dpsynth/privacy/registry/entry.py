"""A question, what a receipt answers of it, and what only a person can answer."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TO_BE_ANSWERED", "Entry"]

TO_BE_ANSWERED = "TO BE ANSWERED"


@dataclass(frozen=True)
class Entry:
    """One question.

    Attributes:
        group: What it is about.
        name: The registry's name of the field, with dots; empty for a question of NIST's.
        question: What is asked.
        answer: What follows from the receipt; None if nothing does.
        blank: What only a person can answer; empty if nothing is left.
    """

    group: str
    name: str
    question: str
    answer: str | float | None = None
    blank: str = ""

    @property
    def value(self) -> str | float:
        """The answer, and the blank behind it, as one value of a file."""
        blank = f"{TO_BE_ANSWERED}: {self.blank}" if self.blank else ""
        if self.answer is None:
            return blank
        return f"{self.answer}\n\n{blank}" if blank else self.answer
