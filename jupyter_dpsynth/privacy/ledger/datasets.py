"""Datasets in the ledger: how a table or a version of it is recognised, and what counts together.

Every dataset has a budget; datasets that are linked share one. A table that is new to the ledger but like one
in it is a version: a dataset of its own, so that its runs can be told apart, with the other one's budget. The
user may say that it is not one; what it cost then leaves with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from jupyter_dpsynth.errors import ConfigError, did_you_mean
from jupyter_dpsynth.privacy.ledger.likeness import MOST, column_share, read_sketch, row_share
from jupyter_dpsynth.privacy.ledger.summary import check_dataset_name

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from jupyter_dpsynth.privacy.ledger.file import LedgerFile

__all__ = [
    "UNNAMED",
    "LedgerAnswers",
    "TableIdentity",
    "cap_of",
    "find_dataset",
    "label_of",
    "link_datasets",
    "resolve_dataset",
    "resolve_together",
    "version_root",
]

DEFAULT_CAP = "default cap"
UNNAMED = "table"  # what a table without any name is called


class LedgerAnswers(TypedDict):
    """What the user answers to the ledger before a run, as `HighDimSynthesizer.learn` takes it."""

    new_dataset: bool
    infinite_total: bool


def label_of(name: str) -> str:
    """What to call a table without a name in the ledger: its variable or file, if that is one word.

    >>> label_of("df"), label_of("'data/stays.csv'"), label_of("data/*.parquet")
    ('df', 'stays', 'table')
    """
    stem = name.strip("\"'").replace("\\", "/").rpartition("/")[2].partition(".")[0]
    return name if name.isidentifier() else stem if stem.isidentifier() else UNNAMED


@dataclass(frozen=True)
class TableIdentity:
    """How the ledger recognises a table.

    The same content is the same dataset, whatever it is called; the same name given by the user is the
    same dataset, whatever the content. What is neither, but has mostly the columns or the rows of a known
    table, counts together with it.

    Attributes:
        content: The table's fingerprint; None to ask by name and columns only, without having read a row.
        name: The dataset's name as the user gave it; None if not given.
        label: What a new dataset without a name is called; it identifies nothing.
        columns: `column_key` of each column.
        sketch: Sample of the rows, as `read_sketch` reads it.
        new: Whether the user says that it is about other people than all other tables.
    """

    content: bytes | None
    name: str | None = None
    label: str = UNNAMED
    columns: tuple[str, ...] = ()
    sketch: bytes = b""
    new: bool = False

    def __post_init__(self) -> None:
        if self.name is not None:
            check_dataset_name(self.name, "dataset")


def resolve_dataset(file: LedgerFile, db: sqlite3.Connection, identity: TableIdentity) -> int:
    """The dataset that a table belongs to; it is recorded, named or linked if necessary.

    Args:
        file: The ledger's file.
        db: An open transaction of it.
        identity: The table.
    """
    digest = "" if identity.content is None else file.keyed_digest(db, identity.content)
    known = db.execute(
        "SELECT d.id, d.budget, d.named FROM contents c JOIN datasets d ON d.id = c.dataset "
        "WHERE c.digest = ?",
        (digest,),
    ).fetchone()
    if known is not None and identity.new:
        known = _separate(db, known)
    like = None if identity.new or known is not None else _like(file, db, identity)
    if identity.name is not None:
        dataset = _resolve_name(db, identity.name, known, like)
    elif known is not None:
        dataset = int(known[0])
    else:
        dataset = _insert_dataset(db, _free_name(db, identity.label), like, named=False)
    if digest:
        # also of what version 1 of the file knew by its content alone
        sketch = file.sealed(db, digest, identity.sketch)
        db.execute(
            "INSERT INTO contents VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET "
            "columns = excluded.columns, sketch = excluded.sketch",
            (digest, dataset, " ".join(identity.columns), sketch),
        )
    return dataset


def resolve_together(
    file: LedgerFile, db: sqlite3.Connection, identity: TableIdentity, others: Sequence[TableIdentity]
) -> int:
    """The dataset of a table that is learned together with others, which count with it from then on.

    Args:
        file: The ledger's file.
        db: An open transaction of it.
        identity: The table.
        others: Tables about the same persons.
    """
    dataset = resolve_dataset(file, db, identity)
    for each in others:
        other = resolve_dataset(file, db, each)
        budget, own = (
            db.execute("SELECT budget FROM datasets WHERE id = ?", (known,)).fetchone()[0]
            for known in (dataset, other)
        )
        if budget == own:
            continue
        (tables,) = db.execute("SELECT count(*) FROM datasets WHERE budget = ?", (own,)).fetchone()
        (runs,) = db.execute("SELECT count(*) FROM runs WHERE dataset = ?", (other,)).fetchone()
        if tables == 1 and runs == 0:  # it leaves with the table, should that turn out to be another one
            db.execute(
                "UPDATE datasets SET budget = ?, version_of = ? WHERE id = ?", (budget, dataset, other)
            )
        else:
            link_datasets(db, dataset, other)
    return dataset


def _like(file: LedgerFile, db: sqlite3.Connection, identity: TableIdentity) -> int | None:
    """The dataset that a table is most probably a version of, None if there is none.

    The columns decide, which are public; the rows do so among datasets with the same columns, and where
    no dataset has them.
    """
    contents = db.execute(
        "SELECT c.digest, c.dataset, d.budget, c.columns, c.sketch FROM contents c "
        "JOIN datasets d ON d.id = c.dataset WHERE c.columns IS NOT NULL ORDER BY c.rowid"
    ).fetchall()
    found = [
        (share, place, *content)
        for place, content in enumerate(contents)
        if (share := column_share(identity.columns, str(content[3]).split())) > MOST
    ]
    if len({budget for _, _, _, _, budget, *_ in found}) != 1:
        sketch = read_sketch(identity.sketch)
        pool = found or [(0.0, place, *content) for place, content in enumerate(contents)]
        alike = [
            (rows, *each)
            for each in pool
            if (rows := row_share(sketch, read_sketch(file.sealed(db, each[2], bytes(each[6] or b"")))))
            > MOST
        ]
        if alike:
            return int(max(alike, key=lambda each: each[:3])[4])
    return int(max(found, key=lambda each: each[:2])[3]) if found else None


def _separate(db: sqlite3.Connection, known: tuple[int, int, int]) -> tuple[int, int, int]:
    """Take a version, its runs and its own versions out of the budget that it was counted with."""
    dataset, budget, named = known
    (origin,) = db.execute("SELECT version_of FROM datasets WHERE id = ?", (dataset,)).fetchone()
    if origin is None:
        return known
    own = db.execute(
        "INSERT INTO budgets (cap, first_epsilon, first_delta, filter_order) "
        "SELECT cap, first_epsilon, first_delta, filter_order FROM budgets WHERE id = ?",
        (budget,),
    ).lastrowid
    db.execute(
        "WITH RECURSIVE versions (id) AS (VALUES (?) UNION SELECT d.id FROM datasets d "
        "JOIN versions v ON d.version_of = v.id) UPDATE datasets SET budget = ? WHERE id IN versions",
        (dataset, own),
    )
    db.execute("UPDATE datasets SET version_of = NULL WHERE id = ?", (dataset,))
    return dataset, int(own or 0), named


def _resolve_name(
    db: sqlite3.Connection, name: str, known: tuple[int, int, int] | None, like: int | None
) -> int:
    """The dataset of a name that the user gave, for a table that may be known or like one that is."""
    same_name = db.execute("SELECT id FROM datasets WHERE name = ?", (name,)).fetchone()
    if same_name is not None:
        dataset = int(same_name[0])
        db.execute("UPDATE datasets SET named = 1 WHERE id = ?", (dataset,))
    elif known is not None and not known[2]:
        dataset = int(known[0])
        db.execute("UPDATE datasets SET name = ?, named = 1 WHERE id = ?", (name, dataset))
    else:
        dataset = _insert_dataset(db, name, like if known is None else None, named=True)
    if known is not None and known[0] != dataset:  # the same content under another name is the same data
        link_datasets(db, known[0], dataset)
    return dataset


def version_root(db: sqlite3.Connection, dataset: int) -> int:
    """The dataset that a version is of, through all versions between them; itself if it is none."""
    seen = {dataset}
    while True:
        (origin,) = db.execute("SELECT version_of FROM datasets WHERE id = ?", (dataset,)).fetchone()
        if origin is None or origin in seen:
            return dataset
        dataset = int(origin)
        seen.add(dataset)


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


def _insert_dataset(db: sqlite3.Connection, name: str, like: int | None, *, named: bool) -> int:
    """Enter a dataset, with a budget of its own or as a version of another one."""
    if like is None:
        budget = db.execute("INSERT INTO budgets (cap) VALUES (NULL)").lastrowid
    else:
        (budget,) = db.execute("SELECT budget FROM datasets WHERE id = ?", (like,)).fetchone()
    cursor = db.execute(
        "INSERT INTO datasets (name, named, budget, version_of) VALUES (?, ?, ?, ?)",
        (name, int(named), budget, like),
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


def link_datasets(db: sqlite3.Connection, first: int, second: int) -> None:
    """Count two datasets as one for good, under the smaller of the caps that held for them.

    Args:
        db: An open transaction.
        first: A dataset.
        second: Another one; both cease to be mere versions.
    """
    one, other = (
        int(db.execute("SELECT budget FROM datasets WHERE id = ?", (each,)).fetchone()[0])
        for each in (first, second)
    )
    db.execute("UPDATE datasets SET version_of = NULL WHERE id IN (?, ?)", (first, second))
    if one == other:
        return
    own = db.execute("SELECT count(cap) FROM budgets WHERE id IN (?, ?)", (one, other)).fetchone()[0]
    caps = [cap for cap in (cap_of(db, one), cap_of(db, other)) if cap is not None]
    # the filter is that of the budget of the earlier run, once more fixed under the cap of both
    earlier = db.execute(
        "SELECT d.budget FROM runs r JOIN datasets d ON d.id = r.dataset WHERE d.budget IN (?, ?) "
        "ORDER BY r.number LIMIT 1",
        (one, other),
    ).fetchone()
    db.execute("UPDATE datasets SET budget = ? WHERE budget = ?", (one, other))
    db.execute(
        "UPDATE budgets SET cap = ?, filter_order = NULL, (first_epsilon, first_delta) = "
        "(SELECT first_epsilon, first_delta FROM budgets WHERE id = ?) WHERE id = ?",
        (min(caps) if own else None, one if earlier is None else earlier[0], one),
    )
