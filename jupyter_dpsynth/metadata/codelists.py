"""Groups of codes of classifications that many tables use; only ranges and lengths of codes, no titles.

- `icd10`: chapters are ranges of codes of three characters, as WHO publishes them (ICD-10, version 2019; the
  modifications of countries, such as ICD-10-CM and -GM, have the same chapters). WHO's terms do not permit to
  redistribute the classification itself, so neither codes nor titles are here.
- `nace2`: sections are ranges of divisions. Source: Regulation (EC) No 1893/2006, Annex I. Texts of EU law
  are free to reuse if the source is named (Commission Decision 2011/833/EU).
- `isco08`: the first one, two and three digits of a code of four are its major, sub-major and minor group
  (ILO, ISCO-08). The ILO reserves all rights in the list, so nothing but this rule is here.
- `nuts`: two letters are the country, one character more is each level (Regulation (EC) No 1059/2003).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CODE_LISTS", "PREFIX_LISTS", "listed_groups"]

PREFIX_LISTS = {"isco08": (1, 2, 3), "nuts": (2, 3, 4)}

CHAPTERS = (
    *("A00-B99", "C00-D48", "D50-D89", "E00-E90", "F00-F99", "G00-G99", "H00-H59", "H60-H95", "I00-I99"),
    *("J00-J99", "K00-K93", "L00-L99", "M00-M99", "N00-N99", "O00-O99", "P00-P96", "Q00-Q99", "R00-R99"),
    *("S00-T98", "V01-Y98", "Z00-Z99", "U00-U99"),
)
STARTS = sorted((f"{chapter[:2]}0", chapter) for chapter in CHAPTERS)  # some countries have V00 as well
# a category has a letter in its third place in some countries; daggers and the like may follow
DIAGNOSIS = re.compile(r"([A-Z]\d[0-9A-Z])(?:(-.*)|\.?[0-9A-Z.-]{0,5}[*+!†#]?)", re.IGNORECASE)

SECTIONS = (
    *(("A", 1, 3), ("B", 5, 9), ("C", 10, 33), ("D", 35, 35), ("E", 36, 39), ("F", 41, 43), ("G", 45, 47)),
    *(("H", 49, 53), ("I", 55, 56), ("J", 58, 63), ("K", 64, 66), ("L", 68, 68), ("M", 69, 75)),
    *(("N", 77, 82), ("O", 84, 84), ("P", 85, 85), ("Q", 86, 88), ("R", 90, 93), ("S", 94, 96)),
    *(("T", 97, 98), ("U", 99, 99)),
)
SECTION_OF = {number: letter for letter, first, last in SECTIONS for number in range(first, last + 1)}
LETTERS = frozenset(letter for letter, _, _ in SECTIONS)
INDUSTRY = re.compile(r"[A-U]?\s?(?:(\d{1,2})\.\d{0,2}\.?\d{0,2}|(\d{1,2})\d{0,4})", re.IGNORECASE)


def _diagnosis(value: str) -> tuple[str, ...]:
    """The category and the chapter of a code of ICD-10; of a block, such as 'I20-I25', its chapter."""
    found = DIAGNOSIS.fullmatch(value.strip())
    if found is None:
        return ()
    category = found[1].upper()
    chapter = next(last for first, last in reversed(STARTS) if first <= category)
    return (chapter,) if found[2] else (category, chapter)


def _industry(value: str) -> tuple[str, ...]:
    """The division and the section of a code of NACE Rev. 2, with or without dots or the section's letter."""
    found = INDUSTRY.fullmatch(value.strip())
    if found is None:
        return (value.strip().upper(),) if value.strip().upper() in LETTERS else ()
    division = int(found[1] or found[2])
    return (f"{division:02d}", SECTION_OF[division]) if division in SECTION_OF else ()


CODE_LISTS: dict[str, Callable[[str], tuple[str, ...]]] = {"icd10": _diagnosis, "nace2": _industry}
LEVELS = 2  # of both


def listed_groups(name: str, value: object) -> tuple[str, ...]:
    """The groups of a code in a classification, the narrowest first; a code that is a group itself is one.

    Args:
        name: Of `CODE_LISTS`.
        value: The code; one that does not fit has no groups.

    >>> listed_groups("icd10", "i21.4"), listed_groups("icd10", "unknown")
    (('I21', 'I00-I99'), ())
    >>> listed_groups("nace2", "62.01"), listed_groups("nace2", "J")
    (('62', 'J'), ('J',))
    """
    return CODE_LISTS[name](value) if isinstance(value, str) else ()
