"""The ledger's file: SQLite in Jupyter's data directory, and the secret that keys content digests.

One short transaction at a time, `BEGIN IMMEDIATE`, full synchronisation and the rollback journal: a
process that is killed at any moment leaves either the whole transaction or nothing, and the write-ahead log
does not work on the network drives that home directories often are.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LedgerFile", "default_path"]

APPLICATION_ID = 0x64705379  # says in the file's head whose it is
VERSION = 2
BUSY_SECONDS = 30.0
SECRET_BYTES = 32
LEDGER_VARIABLE = "JUPYTER_DPSYNTH_LEDGER"
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600

SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value);
CREATE TABLE budgets (
    id INTEGER PRIMARY KEY, cap REAL, first_epsilon REAL, first_delta REAL, filter_order REAL
);
CREATE TABLE datasets (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    named INTEGER NOT NULL,
    budget INTEGER NOT NULL REFERENCES budgets (id),
    version_of INTEGER REFERENCES datasets (id)
);
CREATE TABLE contents (
    digest TEXT PRIMARY KEY,
    dataset INTEGER NOT NULL REFERENCES datasets (id),
    columns TEXT,
    sketch BLOB
);
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    dataset INTEGER NOT NULL REFERENCES datasets (id),
    began TEXT NOT NULL,
    status TEXT NOT NULL,
    plan TEXT,
    delta REAL NOT NULL,
    epsilon REAL NOT NULL,
    provisional INTEGER NOT NULL
);
CREATE TABLE totals (events TEXT PRIMARY KEY, epsilon REAL NOT NULL);
"""
# Version 1 knew a table by its exact content only, and took what a cap's filter needs from the first run.
FROM_VERSION_1 = """
ALTER TABLE budgets ADD COLUMN first_epsilon REAL;
ALTER TABLE budgets ADD COLUMN first_delta REAL;
ALTER TABLE budgets ADD COLUMN filter_order REAL;
ALTER TABLE datasets ADD COLUMN version_of INTEGER REFERENCES datasets (id);
ALTER TABLE contents ADD COLUMN columns TEXT;
ALTER TABLE contents ADD COLUMN sketch BLOB;
UPDATE budgets SET (first_epsilon, first_delta) = (
    SELECT r.epsilon, r.delta FROM runs r JOIN datasets d ON d.id = r.dataset
    WHERE d.budget = budgets.id AND r.plan IS NOT NULL ORDER BY r.number LIMIT 1
);
"""


def default_path() -> Path:
    """The ledger of this user: what JUPYTER_DPSYNTH_LEDGER names, or else one in Jupyter's data directory."""
    from jupyter_core.paths import jupyter_data_dir

    named = os.environ.get(LEDGER_VARIABLE)
    if named:
        return Path(named).expanduser()

    return Path(jupyter_data_dir()) / "jupyter_dpsynth" / "ledger.sqlite3"


class LedgerFile:
    """Opens, checks and locks the ledger's file.

    Args:
        path: The file; its folder and the file are made at first use, for the owner's eyes only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def secret_path(self) -> Path:
        """The file with the secret."""
        return self.path.with_suffix(".key")

    @contextlib.contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that no other process can interleave with.

        Args:
            keep: Whether its changes are kept; an exception undoes them in any case.

        Raises:
            ArtifactError: The file is damaged, of a newer version, not a ledger, or out of reach.
        """
        connection: sqlite3.Connection | None = None
        try:
            self._make_private_file()
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("BEGIN IMMEDIATE")
            self._check(connection)
            yield connection
            connection.execute("COMMIT" if keep else "ROLLBACK")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ArtifactError(
                    f"the ledger {self} has been locked by another process for {BUSY_SECONDS:.0f} s: try "
                    "again."
                ) from None
            raise self._unusable(str(error)) from None
        except (sqlite3.DatabaseError, UnicodeDecodeError):  # also of its own table definitions
            raise self._damaged() from None
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from None
        finally:
            if connection is not None:
                connection.close()  # undoes what was not committed

    def keyed_digest(self, connection: sqlite3.Connection, content: bytes) -> str:
        """HMAC-SHA256 of a table's fingerprint with the local secret.

        Args:
            connection: An open transaction: only one process makes the secret.
            content: The fingerprint.

        Raises:
            ArtifactError: The secret is not the one that this ledger was made with.
        """
        try:
            secret = self._secret(connection)
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from None
        return hmac.new(secret, content, hashlib.sha256).hexdigest()

    def sealed(self, connection: sqlite3.Connection, digest: str, content: bytes) -> bytes:
        """Encrypt or decrypt a content's sketch: the file by itself tells nothing of the rows.

        Args:
            connection: An open transaction.
            digest: The content's keyed digest, another one for every content.
            content: The sketch, plain or sealed.
        """
        secret = self._secret(connection)
        stream = hashlib.shake_256(b"sketch" + secret + digest.encode()).digest(len(content))
        mixed = int.from_bytes(content, "big") ^ int.from_bytes(stream, "big")
        return mixed.to_bytes(len(content), "big")

    def _secret(self, connection: sqlite3.Connection) -> bytes:
        known = connection.execute("SELECT value FROM settings WHERE key = 'secret check'").fetchone()
        if known is None:
            # of a transaction that was not kept, or that a kill ended, a secret may already be there
            if not self.secret_path.exists():
                self._write_secret(os.urandom(SECRET_BYTES))
            secret = self.secret_path.read_bytes()
            check = hashlib.sha256(b"check" + secret).hexdigest()
            connection.execute("INSERT INTO settings VALUES ('secret check', ?)", (check,))
            return secret
        secret = self.secret_path.read_bytes() if self.secret_path.exists() else b""
        if hashlib.sha256(b"check" + secret).hexdigest() != known[0]:
            raise ArtifactError(
                f"the secret {str(self.secret_path)!r} is missing or belongs to another ledger, so no table "
                "could be recognised: restore it from a backup. To start a new ledger, which forgets what "
                f"has been spent, move {str(self.path)!r} away."
            )
        return secret

    def _write_secret(self, secret: bytes) -> None:
        """Write the secret whole or not at all."""
        partial = self.secret_path.with_suffix(".key.part")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(descriptor)
        partial.replace(self.secret_path)

    def _make_private_file(self) -> None:
        """Create folder and file for the owner's eyes only; tighten the permissions of existing ones."""
        self.path.parent.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        # SQLite gives its journal the mode of this file
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
        if sys.platform != "win32" and self.path.stat().st_mode & 0o077:
            self.path.chmod(PRIVATE_FILE)

    def _check(self, connection: sqlite3.Connection) -> None:
        """Create the tables of a new file; refuse a file that is not a ledger, is newer, or is damaged."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        if version == 0 and owner == 0:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise self._damaged()
            _execute(connection, SCHEMA)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            return
        if owner != APPLICATION_ID:
            raise self._damaged()
        if version > VERSION:
            raise ArtifactError(
                f"the ledger {self} has version {version}, but this jupyter_dpsynth reads versions up to "
                f"{VERSION}: update it. Nothing is learned unless the ledger can record it."
            )
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise self._damaged()
        if version == 1:
            _execute(connection, FROM_VERSION_1)
            connection.execute(f"PRAGMA user_version = {VERSION}")

    def _damaged(self) -> ArtifactError:
        return ArtifactError(
            f"the ledger {self} is damaged or not a ledger: restore it from a backup, or move it away to "
            "start a new one, which forgets what has been spent. Nothing is learned unless the ledger can "
            "record it."
        )

    def _unusable(self, reason: str) -> ArtifactError:
        return ArtifactError(
            f"the ledger {self} cannot be used ({reason}): make its folder writable, or name "
            f"another file in {LEDGER_VARIABLE}. Nothing is learned unless the ledger can record it."
        )

    def __str__(self) -> str:
        """The path, quoted."""
        return repr(str(self.path))


def _execute(connection: sqlite3.Connection, statements: str) -> None:
    """Execute statements one by one: `executescript` would end the transaction."""
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)
