"""The ledger: what each dataset has cost over all runs, kernels and notebooks of this user.

A run reserves its whole budget before a private value is measured, replaces the reservation by its exact plan
once that is fixed, and at the end only records how it ended. What was reserved stays counted, whatever
happens to the process. The ledger keeps events, never only epsilons, so that it can compose all runs of a
dataset with one accountant.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dpsynth.config import ONE_ROW
from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.privacy.composition import Spending, provisional_spending, total_delta, total_epsilon
from jupyter_dpsynth.privacy.ledger.caps import budget_room, check_cap, check_total, note_first, set_cap
from jupyter_dpsynth.privacy.ledger.datasets import (
    TableIdentity,
    cap_of,
    find_dataset,
    link_datasets,
    resolve_dataset,
    resolve_together,
    version_root,
)
from jupyter_dpsynth.privacy.ledger.file import LedgerFile, default_path
from jupyter_dpsynth.privacy.ledger.runs import RunStatus, read_run, read_spending, spending_row, spendings_of
from jupyter_dpsynth.privacy.ledger.step_reservations import (
    check_same_run,
    claim_once,
    reserve_steps,
    reserved_steps,
)
from jupyter_dpsynth.privacy.ledger.summary import Account, DatasetEntry, LedgerSummary, RunEntry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    import pandas as pd

    from jupyter_dpsynth.privacy.accounting import PrivacyPlan

__all__ = ["PrivacyLedger"]

ACCOUNTANT = 2  # changes when the same events are given another total: older ones are computed again


class PrivacyLedger:
    """Records what is spent, and refuses runs that would exceed a cap.

    Args:
        path: The SQLite file; by default the one that the environment variable JUPYTER_DPSYNTH_LEDGER
            names, or else one in Jupyter's data directory.

    Example:
        >>> ledger = PrivacyLedger()
        >>> print(ledger.summary())  # doctest: +SKIP
        >>> ledger.set_cap(3.0, "patients")  # doctest: +SKIP

    Privacy:
        That a table is known again is derived from its columns and from its exact rows. It is for the
        owner of the data: it reaches the line above a training and this file, and nothing that is made to be
        passed on.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._file = LedgerFile(default_path() if path is None else Path(path))

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._file.path

    def account(
        self,
        identity: TableIdentity,
        further: Spending | None = None,
        together: Sequence[TableIdentity] = (),
    ) -> Account:
        """What a table has cost so far, before it is learned once more. Changes nothing.

        Args:
            identity: The table; without its content, by what its name and its columns say.
            further: What a further run would reserve, to know the total with it.
            together: Tables of the same persons that it would learn, too.
        """
        with self._file.transaction(keep=False) as db:
            before = _count(db, "datasets")
            dataset = resolve_together(self._file, db, identity, together)
            name, budget = db.execute("SELECT name, budget FROM datasets WHERE id = ?", (dataset,)).fetchone()
            (origin,) = db.execute(
                "SELECT name FROM datasets WHERE id = ?", (version_root(db, dataset),)
            ).fetchone()
            spendings, unfinished = spendings_of(db, budget), spendings_of(db, budget, "reserved")
            cap = cap_of(db, budget)
            is_new = _count(db, "datasets") > before and not spendings
            namesake = is_new and identity.name is None and name != identity.label
        epsilon = self._total(spendings)
        total = None if further is None else self._total([*spendings, _at_their_delta(further, spendings)])
        return Account(
            dataset=name if identity.name is not None else origin,
            runs=len(spendings),
            epsilon=epsilon,
            delta=total_delta(spendings),
            run_delta=min((each.accountant_delta for each in spendings), default=0.0),
            cap=cap,
            namesake=identity.label if namesake else None,
            units=tuple({each.plan.unit: None for each in spendings if each.plan is not None}),
            unfinished=len(unfinished),
            reserved=self._total(unfinished),
            version_of=origin if identity.name is not None and origin != name else None,
            named=identity.name is not None,
            together=total,
        )

    def reserve(
        self,
        identity: TableIdentity,
        epsilon: float,
        delta: float,
        unit: str = ONE_ROW,
        *,
        infinite_total: bool = False,
        together: Sequence[TableIdentity] = (),
    ) -> str:
        """Record a whole budget before a value of the table is measured.

        Args:
            identity: The table.
            epsilon: The run's budget; infinite without a guarantee.
            delta: Its delta, or a nominal one while the row count is not known.
            unit: Whose privacy it protects.
            infinite_total: Whether the dataset's total may become infinite, because the run protects
                another unit than the runs before it.
            together: Tables of the same persons that are learned, too: they count with it from now on.

        Returns:
            The run's identifier, for `record`.

        Raises:
            BudgetExhaustedError: The dataset's total could exceed its cap, or would become infinite without
                leave; nothing is recorded.
            ArtifactError: The ledger cannot be used.
        """
        spending = provisional_spending(epsilon, delta, unit)
        run = uuid.uuid4().hex
        with self._file.transaction() as db:
            dataset = resolve_together(self._file, db, identity, together)
            budget = db.execute("SELECT budget FROM datasets WHERE id = ?", (dataset,)).fetchone()[0]
            note_first(db, budget, spending)
            check_cap(db, dataset, spending)
            if not infinite_total:
                check_total(db, dataset, spending)
            db.execute(
                "INSERT INTO runs (id, dataset, began, status, plan, delta, epsilon, provisional) "
                "VALUES (?, ?, ?, 'reserved', ?, ?, ?, ?)",
                (
                    run,
                    dataset,
                    dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
                    *spending_row(spending),
                ),
            )
        return run

    def record(self, run: str, spending: Spending | None = None, status: RunStatus | None = None) -> None:
        """Replace a reservation by the exact plan, or record how a run ended.

        Args:
            run: What `reserve` returned.
            spending: What the run will release. Once only: a fixed plan stays.
            status: How it ended.

        Raises:
            BudgetExhaustedError: The exact plan would exceed the cap; the reservation stays.
            ArtifactError: The ledger cannot be used, or does not hold the reservation any more.
        """
        with self._file.transaction() as db:
            found = db.execute("SELECT dataset, provisional FROM runs WHERE id = ?", (run,)).fetchone()
            if found is None:
                raise ArtifactError(
                    f"the ledger {self._file} no longer contains this run's reservation: the file was "
                    "replaced or moved during the run. Nothing is learned unless the ledger can record it."
                )
            dataset, provisional = found
            if spending is not None:
                if not provisional:
                    raise ArtifactError("the plan of this run is already fixed and cannot be replaced.")
                check_cap(db, dataset, spending, run)
                db.execute(
                    "UPDATE runs SET plan = ?, delta = ?, epsilon = ?, provisional = ? WHERE id = ?",
                    (*spending_row(spending), run),
                )
            if status is not None:
                db.execute("UPDATE runs SET status = ? WHERE id = ?", (status, run))

    def reserve_steps(self, run: str, steps: int, most: int) -> int:
        """Reserve training steps of a run for one process, before they are made.

        Args:
            run: What `reserve` returned.
            steps: How many; negative gives back what was granted to the caller and not used.
            most: Steps of the run's plan.

        Returns:
            How many were granted: fewer than asked for where the plan has no more.

        Raises:
            ArtifactError: The ledger cannot be used, or does not hold the run.

        Privacy:
            However many processes go on with a run, from however old or copied a state, and wherever they
            are killed: together they are granted no more steps than the accountant was told.
        """
        with self._file.transaction() as db:
            return reserve_steps(db, run, steps, most, self._own_run(db, run)[1].plan)

    def claim_once(self, run: str, name: str) -> bool:
        """Claim, before it is made, a measurement that a run makes during training: granted once.

        Args:
            run: What `reserve` returned.
            name: The measurement's name.

        Raises:
            ArtifactError: The ledger cannot be used, or does not hold the run.

        Privacy:
            As of `reserve_steps`: whichever process makes it, it is made once.
        """
        with self._file.transaction() as db:
            self._own_run(db, run)
            return claim_once(db, run, name)

    def reserved_steps(self, run: str) -> int:
        """How many steps of a run all processes together may have made.

        Args:
            run: What `reserve` returned.
        """
        with self._file.transaction(keep=False) as db:
            return reserved_steps(db, run)

    def resume(self, identity: TableIdentity, run: str, plan: PrivacyPlan | None) -> int:
        """Let an interrupted run continue, without spending anything new.

        Args:
            identity: The table, which must be the one that the run was entered for.
            run: The run's identifier.
            plan: What the run is going to release, None without differential privacy.

        Returns:
            How many of its steps may have been made already: those that were reserved.

        Raises:
            ArtifactError: The ledger cannot be used, or its entry is not that of this table and plan.
        """
        with self._file.transaction(keep=False) as db:
            dataset, spending = self._own_run(db, run)
            same = dataset == resolve_dataset(self._file, db, identity)
            check_same_run(spending, plan, same_data=same)
            return reserved_steps(db, run)

    def _own_run(self, db: sqlite3.Connection, run: str) -> tuple[int, Spending]:
        """Dataset and spending of a run."""
        found = db.execute(
            "SELECT dataset, plan, delta, epsilon, provisional FROM runs WHERE id = ?", (run,)
        ).fetchone()
        if found is None:
            raise ArtifactError(
                f"the ledger {self._file} does not contain this run: it was recorded in another ledger. "
                "Nothing is learned unless the ledger can record it."
            )
        return int(found[0]), read_spending(found[1:])

    def epsilon(self, dataset: str) -> float:
        """Upper bound on what all runs on a dataset and on those linked with it cost together.

        Args:
            dataset: Its name.
        """
        with self._file.transaction(keep=False) as db:
            spendings = spendings_of(db, find_dataset(db, dataset)[1])
        return self._total(spendings)

    def keyed_digest(self, content: bytes) -> str:
        """A digest that only the owner of this ledger can compute.

        Args:
            content: What is derived from a table.
        """
        with self._file.transaction() as db:
            return self._file.keyed_digest(db, content)

    def link(self, first: str, second: str) -> None:
        """Count two datasets together from now on: versions of one table, or tables about the same people.

        The smaller of their caps holds for both. Links are not taken back: what was spent on one then
        counts for the other.

        Args:
            first: Name of a dataset.
            second: Name of another one.

        Raises:
            ConfigError: A name is not in the ledger.
        """
        with self._file.transaction() as db:
            link_datasets(db, *(find_dataset(db, name)[0] for name in (first, second)))

    def set_cap(self, cap: float | None, dataset: str | None = None) -> None:
        """Limit what may be spent on a dataset in total.

        Args:
            cap: Largest total epsilon; None for no limit.
            dataset: Name of a dataset; None sets what holds for every dataset without a cap of its own.

        Raises:
            ConfigError: The cap is not a positive number, or the dataset is not in the ledger.
        """
        with self._file.transaction() as db:
            set_cap(db, cap, dataset)

    def summary(self) -> LedgerSummary:
        """All datasets and runs, to be shown."""
        with self._file.transaction(keep=False) as db:
            groups = [
                (budget, cap_of(db, budget), spendings_of(db, budget), budget_room(db, budget))
                for (budget,) in db.execute("SELECT id FROM budgets ORDER BY id").fetchall()
            ]
            names: dict[int, list[str]] = {}
            for name, budget in db.execute("SELECT name, budget FROM datasets ORDER BY id"):
                names.setdefault(budget, []).append(name)
            runs = db.execute(
                "SELECT r.id, d.name, d.budget, r.began, r.status, r.plan, r.delta, r.epsilon, r.provisional "
                "FROM runs r JOIN datasets d ON d.id = r.dataset ORDER BY r.number"
            ).fetchall()
        entries: dict[int, list[RunEntry]] = {}
        for run, name, budget, began, status, *row in runs:
            entries.setdefault(budget, []).append(read_run(run, name, began, status, row))
        datasets = tuple(
            DatasetEntry(
                names=tuple(names[budget]),
                epsilon=self._total(spendings),
                delta=total_delta(spendings),
                cap=cap,
                room=room,
                runs=tuple(entries.get(budget, ())),
                reserved=self._total(
                    [each.spending for each in entries.get(budget, ()) if each.status == "reserved"]
                ),
            )
            for budget, cap, spendings, room in groups
            if budget in names
        )
        return LedgerSummary(str(self.path), datasets)

    def to_frame(self) -> pd.DataFrame:
        """All runs as a DataFrame, one row each, oldest first."""
        return self.summary().to_frame()

    def export(self, path: str | Path) -> None:
        """Write all runs to a file: a table as .csv, or with their events as .json.

        Args:
            path: The file; its ending decides.

        Raises:
            ConfigError: Another ending.
            ArtifactError: The file cannot be written.
        """
        self.summary().export(path)

    def _total(self, spendings: Sequence[Spending]) -> float:
        """`total_epsilon`, computed once for the same events: that can take a second for many runs."""
        if len(spendings) == 0 or any(each.plan is None for each in spendings):
            return total_epsilon(spendings)
        events = json.dumps([asdict(each) for each in spendings], sort_keys=True)
        key = hashlib.sha256(f"{ACCOUNTANT} {events}".encode()).hexdigest()
        with self._file.transaction(keep=False) as db:
            found = db.execute("SELECT epsilon FROM totals WHERE events = ?", (key,)).fetchone()
        if found is not None:
            return float(found[0])
        epsilon = total_epsilon(spendings)  # outside of a transaction: others need not wait
        with self._file.transaction() as db:
            db.execute("INSERT OR REPLACE INTO totals VALUES (?, ?)", (key, epsilon))
        return epsilon


def _at_their_delta(further: Spending, spendings: Sequence[Spending]) -> Spending:
    """A further run at a delta of at most those of earlier ones: the total is then never below theirs."""
    if further.plan is None or not spendings:
        return further
    theirs = max(each.accountant_delta for each in spendings) + further.plan.reserved_delta
    return replace(further, delta=min(further.delta, theirs))


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our own names
