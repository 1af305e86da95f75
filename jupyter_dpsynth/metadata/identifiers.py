"""What new identifiers look like: numbers in a public format, or realistic names, addresses and the like.

They are made anew for each synthetic table. Nothing of the original ones is read, learned or kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MetadataError, MissingDependencyError, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["REALISTIC", "checked_look", "declared_ids", "identifiers"]

# text with one place for a number: this is all of Python's format strings that a saved model may hold
NUMBERED = re.compile(r"[^{}]*\{(?::0?\d{0,2}d?)?\}[^{}]*")
#: What Faker can make, in its own words.
REALISTIC = frozenset(
    (
        *(
            "name",
            "first_name",
            "last_name",
            "prefix",
            "user_name",
            "email",
            "phone_number",
            "company",
            "job",
        ),
        *("address", "street_address", "street_name", "building_number", "city", "postcode", "country"),
        *("iban", "ssn", "license_plate"),
    )
)
MARK = "realistic "  # before what Faker makes and a locale: how metadata and saved models keep it
DEFAULT_LOCALE = "en_US"
WRITE = "write a text with one place for a number, such as 'H-{:06d}', or {'realistic': 'name'} with a locale"


def declared_ids(ids: object) -> dict[str, Any]:
    """What is declared of identifiers, by column: True, or what new ones look like.

    Args:
        ids: Names of columns, or looks by column, as a user gives them.

    Raises:
        MetadataError: It is neither a list of texts nor a dict.
    """
    if isinstance(ids, Mapping):
        return {name: True if look is None else look for name, look in ids.items()}
    if not isinstance(ids, list | tuple | set | frozenset) or not all(isinstance(name, str) for name in ids):
        raise MetadataError(
            f"ids = {shown(ids)} is not allowed: give a list of column names, or a dict such as "
            "{'case': 'H-{:06d}'}."
        )
    return dict.fromkeys(ids, True)


def checked_look(name: str, look: object, *, text: bool) -> str:
    """What new identifiers of a column look like, as metadata keeps it; '' for numbers.

    Args:
        name: The column.
        look: What was declared: True, a format, or {'realistic': what, 'locale': where}.
        text: Whether the column holds text.

    Raises:
        MetadataError: It is something else, or the column holds numbers.
        MissingDependencyError: Faker is needed, and is not installed.
    """
    if look is True:
        return ""
    if not text:
        raise MetadataError(
            f"ids of column {name!r} are to look like {shown(look)}, but the column holds numbers: convert "
            f"it (df[{name!r}] = df[{name!r}].astype(str)), or leave the look out."
        )
    if isinstance(look, str) and not look.startswith(MARK):
        if NUMBERED.fullmatch(look):
            return look
        raise MetadataError(f"ids of column {name!r} are to look like {shown(look)}: {WRITE}.")
    what, locale = _realistic(name, look)
    _faker(locale)
    return f"{MARK}{what} {locale}"


def _realistic(name: str, look: object) -> tuple[str, str]:
    """What Faker makes, and in which locale."""
    if isinstance(look, str):
        what, _, locale = look.removeprefix(MARK).partition(" ")
    elif isinstance(look, Mapping) and "realistic" in look and set(look) <= {"realistic", "locale"}:
        what, locale = str(look["realistic"]), str(look.get("locale", DEFAULT_LOCALE))
    else:
        raise MetadataError(f"ids of column {name!r} are to look like {shown(look)}: {WRITE}.")
    if what not in REALISTIC:
        raise MetadataError(
            f"ids of column {name!r} are to be a realistic {shown(what)}, which is unknown."
            f"{did_you_mean(what, REALISTIC)} Known: {', '.join(sorted(REALISTIC))}."
        )
    return what, locale or DEFAULT_LOCALE


def _faker(locale: str) -> Any:  # noqa: ANN401 - a generator of Faker
    try:
        from faker import Faker
        from faker.config import AVAILABLE_LOCALES
    except ImportError:
        raise MissingDependencyError(
            "realistic identifiers are made with Faker: install jupyter_dpsynth[realistic]."
        ) from None
    if locale not in AVAILABLE_LOCALES:
        raise MetadataError(
            f"locale = {shown(locale)} is unknown to Faker.{did_you_mean(locale, AVAILABLE_LOCALES)} Write "
            "it like 'de_DE'."
        )
    return Faker(locale)


def identifiers(name: str, look: str, numbers: Iterable[int]) -> list[str]:
    """New identifiers; the same for the same numbers, in whatever parts a table is made.

    Realistic ones may repeat, as names of persons do.

    Args:
        name: The column.
        look: What `checked_look` returned, not ''.
        numbers: Numbers of the rows.

    Raises:
        MetadataError: A saved model holds another look.
        MissingDependencyError: Faker is needed, and is not installed.
    """
    look = checked_look(name, look, text=True)
    if not look.startswith(MARK):
        return [look.format(int(number)) for number in numbers]
    what, locale = _realistic(name, look)
    faker = _faker(locale)
    made = []
    for number in numbers:
        faker.seed_instance(f"{name} {number}")
        made.append(str(getattr(faker, what)()).replace("\n", ", "))
    return made
