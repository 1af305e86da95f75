"""Public hierarchies of codes whose first characters are their groups: diagnoses, occupations, postcodes."""

from __future__ import annotations

import re

from jupyter_dpsynth.errors import MetadataError, shown

__all__ = ["declared_prefixes", "groups_of"]

RULE = re.compile(r"prefix:\s*(\d+(?:\s*,\s*\d+)*)")
MOST_LEVELS = 4  # above the codes themselves: each level costs a share of what a column may be measured with
LONGEST = 100


def declared_prefixes(name: str, rule: object, kind: str) -> tuple[int, ...]:
    """Lengths of the groups' codes, increasing.

    Args:
        name: The column.
        rule: What was declared: 'prefix:1,3'.
        kind: What the column's values are: 'text', or something else.

    Raises:
        MetadataError: It is no such rule, or the column holds no text.
    """
    found = RULE.fullmatch(rule.strip()) if isinstance(rule, str) else None
    lengths = tuple(map(int, found[1].split(","))) if found else ()
    if not lengths or list(lengths) != sorted({*lengths}) or not 0 < lengths[0] <= lengths[-1] <= LONGEST:
        raise MetadataError(
            f"hierarchy of column {name!r} is {shown(rule)}: give the lengths of its groups' codes, such as "
            "'prefix:1,3' for diagnoses, of which the first character is the chapter and three are the group."
        )
    if len(lengths) > MOST_LEVELS:
        raise MetadataError(f"hierarchy of column {name!r} has {len(lengths)} levels: at most {MOST_LEVELS}.")
    if kind not in ("text", ""):
        raise MetadataError(
            f"hierarchy names column {name!r}, which does not contain text: convert it first "
            f"(df[{name!r}] = df[{name!r}].astype(str))."
        )
    return lengths


def groups_of(value: object, prefixes: tuple[int, ...]) -> tuple[str, ...]:
    """The groups that a code belongs to, the narrowest first.

    >>> groups_of("I21.4", (1, 3))
    ('I21', 'I')
    """
    if not isinstance(value, str):
        return ()
    return tuple(value[:length] for length in reversed(prefixes) if length < len(value))
