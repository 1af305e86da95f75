"""Datasets in the ledger: how a table is recognised, and which datasets count together.

Every dataset has a budget; datasets that are linked share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import ConfigError, did_you_mean
from jupyter_dpsynth.privacy.ledger.summary import check_dataset_name

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "UNNAMED",
    "TableIdentity",
    "cap_of",
    "find_dataset",
    "label_of",
    "merge_budgets",
    "resolve_dataset",
]

DEFAULT_CAP = "default cap"
UNNAMED = "table"  # what a table without any name is called


def label_of(name: str) -> str:
    """What to call a table without a name in the ledger: its variable or file, if that is one word."""
    return name if name.isidentifier() else UNNAMED


@dataclass(frozen=True)
class TableIdentity:
    """How the ledger recognises a table.

    The same content is the same dataset, whatever it is called; the same name given by the user is the
    same dataset, whatever the content.

    Attributes:
        content: The table's fingerprint.
        name: The dataset's name as the user gave it; None if not given.
        label: What a new dataset without a name is called; it identifies nothing.
    """

    content: bytes
    name: str | None = None
    label: str = UNNAMED

    def __post_init__(self) -> None:
        if self.name is not None:
            check_dataset_name(self.name, "dataset")


def resolve_dataset(db: sqlite3.Connection, digest: str, identity: TableIdentity) -> int:
    """The dataset that a table belongs to; it is recorded, named or linked if necessary.

    Args:
        db: An open transaction.
        digest: Keyed digest of the table's content.
        identity: The table.
    """
    known = db.execute(
        "SELECT d.id, d.budget, d.named FROM contents c JOIN datasets d ON d.id = c.dataset "
        "WHERE c.digest = ?",
        (digest,),
    ).fetchone()
    if identity.name is not None:
        dataset = _resolve_name(db, identity.name, known)
    elif known is not None:
        dataset = int(known[0])
    else:
        dataset = _insert_dataset(db, _free_name(db, identity.label), named=False)
    if known is None:
        db.execute("INSERT INTO contents VALUES (?, ?)", (digest, dataset))
    return dataset


def _resolve_name(db: sqlite3.Connection, name: str, known: tuple[int, int, int] | None) -> int:
    """The dataset of a name that the user gave, for a table whose content may be known as well."""
    same_name = db.execute("SELECT id FROM datasets WHERE name = ?", (name,)).fetchone()
    if same_name is not None:
        dataset = int(same_name[0])
        db.execute("UPDATE datasets SET named = 1 WHERE id = ?", (dataset,))
    elif known is not None and not known[2]:
        dataset = int(known[0])
        db.execute("UPDATE datasets SET name = ?, named = 1 WHERE id = ?", (name, dataset))
    else:
        dataset = _insert_dataset(db, name, named=True)
    if known is not None:  # the same content under another name is the same data
        (budget,) = db.execute("SELECT budget FROM datasets WHERE id = ?", (dataset,)).fetchone()
        merge_budgets(db, known[1], budget)
    return dataset


def cap_of(db: sqlite3.Connection, budget: int) -> float | None:
    """The cap of a budget: its own, or else the one for all."""
    (own,) = db.execute("SELECT cap FROM budgets WHERE id = ?", (budget,)).fetchone()
    if own is not None:
        return float(own)
    common = db.execute("SELECT value FROM settings WHERE key = ?", (DEFAULT_CAP,)).fetchone()
    return None if common is None or common[0] is None else float(common[0])


def find_dataset(db: sqlite3.Connection, name: str) -> tuple[int, int]:
    """Identifier and budget of a dataset; ConfigError with a hint if there is none of that name."""
    found = db.execute("SELECT id, budget FROM datasets WHERE name = ?", (name,)).fetchone()
    if found is None:
        names = [known for (known,) in db.execute("SELECT name FROM datasets ORDER BY id")]
        known = f" Known: {', '.join(map(repr, names))}." if names else " It holds no dataset yet."
        raise ConfigError(f"the ledger has no dataset {name!r}.{did_you_mean(name, names)}{known}")
    return int(found[0]), int(found[1])


def _insert_dataset(db: sqlite3.Connection, name: str, *, named: bool) -> int:
    """Enter a dataset with a budget of its own."""
    budget = db.execute("INSERT INTO budgets (cap) VALUES (NULL)").lastrowid
    cursor = db.execute(
        "INSERT INTO datasets (name, named, budget) VALUES (?, ?, ?)", (name, int(named), budget)
    )
    return int(cursor.lastrowid or 0)


def _free_name(db: sqlite3.Connection, label: str) -> str:
    """A label, with a number if another dataset has the same."""
    taken = {name for (name,) in db.execute("SELECT name FROM datasets")}
    number, name = 1, label
    while name in taken:
        number += 1
        name = f"{label} ({number})"
    return name


def merge_budgets(db: sqlite3.Connection, first: int, second: int) -> None:
    """Count two budgets as one, under the smaller of the caps that held for them."""
    if first == second:
        return
    own = db.execute("SELECT count(cap) FROM budgets WHERE id IN (?, ?)", (first, second)).fetchone()[0]
    caps = [cap for cap in (cap_of(db, first), cap_of(db, second)) if cap is not None]
    db.execute("UPDATE datasets SET budget = ? WHERE budget = ?", (first, second))
    db.execute("UPDATE budgets SET cap = ? WHERE id = ?", (min(caps) if own else None, first))
