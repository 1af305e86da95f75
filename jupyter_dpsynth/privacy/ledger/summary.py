"""What the ledger says: of one table before it is learned again, and of all datasets."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.config import ONE_ROW
from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from jupyter_dpsynth.privacy.composition import Spending

__all__ = [
    "Account",
    "DatasetEntry",
    "LedgerSummary",
    "RunEntry",
    "cap_words",
    "check_dataset_name",
    "runs_words",
    "unfinished_words",
]

LONGEST_NAME = 100
BAR_WIDTH = 24
VERSIONS = (
    "Tables with mostly the same columns or rows count together; if this one is about other people, say "
    "--new-dataset (in Python: new_dataset=True)."
)
NOTES = (
    "A total is less than the sum: it is that of all runs together, as if planned beforehand (composition).",
    "Caps also hold if you choose a run after seeing the results of earlier ones (by a Renyi filter).",
    "Status 'reserved': the run is going on, in any notebook, or was killed; its whole budget counts.",
    "Status 'stopped' counts in full, too: the decision to stop may have followed from what was shown.",
    "Tables with mostly the same columns or rows count together, as versions of one dataset.",
    "For the owner of the data only: tables are recognised by comparing their exact rows.",
)


def _from_home(path: str) -> str:
    """A path with ~ for the home folder, because notebooks with the user's name may be passed on."""
    home = str(Path.home())
    return "~" + path.removeprefix(home) if path.startswith(home + "/") else path


def check_dataset_name(name: object, where: str) -> None:
    """Raise ConfigError unless a name can be shown in one line."""
    if not (isinstance(name, str) and name.strip() == name and 0 < len(name) <= LONGEST_NAME):
        raise ConfigError(
            f"{where} = {name!r} is not allowed: give a name of 1 to {LONGEST_NAME} characters."
            if isinstance(name, str)
            else f"{where} is a {type(name).__name__}: give the dataset's name as text."
        )
    if not name.isprintable():
        raise ConfigError(f"{where} = {name!r} is not allowed: give a name of printable characters.")


def runs_words(count: int) -> str:
    """A number of runs in words.

    >>> runs_words(1), runs_words(2)
    ('1 run', '2 runs')
    """
    return "1 run" if count == 1 else f"{count} runs"


def unfinished_words(count: int, reserved: float) -> str:
    """Which part of a total belongs to runs that have not ended; empty if there are none.

    >>> unfinished_words(1, 0.5)
    ', epsilon = 0.5 of it reserved by 1 that has not ended'
    """
    if not count:
        return ""
    ended = "1 that has not ended" if count == 1 else f"{count} that have not ended"
    return f", epsilon = {epsilon_text(reserved)} of it reserved by {ended}"


def cap_words(cap: float | None, dataset: str | None) -> str:
    """A sentence on a cap that was set or removed.

    Args:
        cap: The cap.
        dataset: Whose it is, None for all datasets without one of their own.
    """
    whose = "datasets without a cap of their own" if dataset is None else f"{dataset!r}"
    if cap is None:
        return f"There is no cap any more for {whose}."
    return (
        f"The cap for {whose} is {cap:g}: a run that could take the total above it is refused before "
        "anything is measured."
    )


@dataclass(frozen=True)
class Account:
    """What one dataset has cost before a further run.

    Attributes:
        dataset: Its name.
        runs: How many runs are recorded for it and for those linked with it.
        epsilon: Upper bound on their total.
        delta: Delta of that total.
        run_delta: Smallest delta of a run, 0 if there is none.
        cap: Largest total that is allowed, None for no limit.
        namesake: Another dataset that was called the same before, None if there is none.
        units: Whose privacy its runs protect.
        unfinished: How many of the runs have not ended.
        reserved: Upper bound on what those have reserved together.
        version_of: The dataset that a named table is counted with as a version of it, None if there is none.
        named: Whether the user gave the name.
        together: Total with the further run that was asked about, None if none was.
    """

    dataset: str
    runs: int
    epsilon: float
    delta: float
    run_delta: float
    cap: float | None
    namesake: str | None = None
    units: tuple[str, ...] = ()
    unfinished: int = 0
    reserved: float = 0.0
    version_of: str | None = None
    named: bool = False
    together: float | None = None

    def sentence(self, further: float, unit: str = ONE_ROW, *, hint: bool = True) -> str:
        """What was spent and what a further run reserves, for the owner of the data.

        Args:
            further: Epsilon of the further run.
            unit: Whose privacy it protects.
            hint: Whether to name the option that makes the table a new dataset.

        >>> Account("patients", 2, 1.98, 2e-6, 2e-6, 3.0, named=True).sentence(1.0)
        "This data ('patients') has cost epsilon = 1.98 so far (2 runs, cap 3); this run reserves 1 more."

        Privacy:
            It says with what the table counts, and not why: the same words whether the rows are exactly
            those of an earlier table, or only the columns are.
        """
        cap = "" if self.cap is None else f", cap {self.cap:g}"
        if self.runs:
            runs = f"{runs_words(self.runs)}{unfinished_words(self.unfinished, self.reserved)}{cap}"
            spent = f"has cost epsilon = {epsilon_text(self.epsilon)} so far ({runs})"
            more = f"reserves {epsilon_text(further)} more"
        else:
            spent = f"has cost nothing so far (no runs{cap})"
            more = f"reserves epsilon = {epsilon_text(further)}"
        if math.isinf(further):
            more = "has no guarantee at all"
        counted = "" if self.version_of is None else f", counted with {self.version_of!r}"
        words = f"This data ({self.dataset!r}{counted}) {spent}; this run {more}."
        if self.runs and self.together is not None and math.isfinite(self.together):
            less = ", less than the sum" if self.together < self.epsilon + further else ""
            words += f" Together that is about epsilon = {epsilon_text(self.together)}{less}."
        if hint and self.runs and (self.version_of is not None or not self.named):
            words += f" {VERSIONS}"
        if math.isfinite(further) and set(self.units) - {unit}:
            words += (
                f" The total is then infinite: {_no_sum((*self.units, unit))}. Give all runs on a dataset "
                "the same privacy_unit and max_rows_per_unit."
            )
        if self.namesake is not None:
            words += (
                f" Another table was called {self.namesake!r} before: if this is a changed version of it, "
                f"count both together with %dpsynth ledger --link {self.namesake!r} {self.dataset!r}."
            )
        return words


def _no_sum(units: Iterable[str]) -> str:
    """A sentence on why there is no total.

    >>> _no_sum(["one row", "one value of 'person'", "one row"])
    "runs that protect one row and runs that protect one value of 'person' cannot be added up"
    """
    kinds = " and ".join(f"runs that protect {unit}" for unit in dict.fromkeys(units))
    return f"{kinds} cannot be added up"


@dataclass(frozen=True)
class RunEntry:
    """One run in the ledger.

    Attributes:
        id: Its identifier.
        dataset: Name of its dataset.
        began: When it reserved, ISO 8601 in UTC.
        status: 'reserved', 'finished', 'stopped' or 'failed'.
        spending: Its events, delta and epsilon.
    """

    id: str
    dataset: str
    began: str
    status: str
    spending: Spending

    @property
    def steps(self) -> int | None:
        """Planned training steps, None before they are known."""
        plan = self.spending.plan
        return None if plan is None or plan.training is None else plan.training.steps

    @property
    def when(self) -> str:
        """When it began, in local time."""
        return dt.datetime.fromisoformat(self.began).astimezone().strftime("%Y-%m-%d %H:%M")

    def cells(self) -> tuple[str, ...]:
        """Texts of a row of a table, as `HEADINGS` names them."""
        spending = self.spending
        delta = "" if spending.plan is None else f"{spending.delta:.2g}"
        steps = "" if self.steps is None else str(self.steps)
        epsilon = epsilon_text(spending.epsilon)
        return self.when, self.dataset, self.id[:8], epsilon, delta, steps, self.status

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, with the events."""
        spending = self.spending
        return {
            "run": self.id,
            "dataset": self.dataset,
            "began": self.began,
            "status": self.status,
            "guarantee": "none" if spending.plan is None else "dp",
            "epsilon": None if math.isinf(spending.epsilon) else spending.epsilon,
            "delta": spending.delta,
            "provisional": spending.provisional,
            "plan": None if spending.plan is None else spending.plan.to_dict(),
        }


HEADINGS = ("when", "dataset", "run", "epsilon", "delta", "steps planned", "status")


@dataclass(frozen=True)
class DatasetEntry:
    """One dataset in the ledger, with those that are linked with it.

    Attributes:
        names: Its name and those of the linked ones.
        epsilon: Upper bound on the total of all runs.
        delta: Delta of that total.
        cap: Largest total that is allowed, None for no limit.
        room: Largest epsilon of a further run under the cap, None without one.
        runs: The runs, oldest first.
        reserved: Upper bound on what the runs that have not ended have reserved together.
    """

    names: tuple[str, ...]
    epsilon: float
    delta: float
    cap: float | None
    room: float | None
    runs: tuple[RunEntry, ...]
    reserved: float = 0.0

    @property
    def title(self) -> str:
        """The names in one line."""
        return " + ".join(self.names)

    @property
    def share(self) -> float | None:
        """Part of the cap that is spent, at most 1; None without a cap."""
        return None if self.cap is None else min(self.epsilon / self.cap, 1.0)

    @property
    def words(self) -> str:
        """What was spent against the cap, in words."""
        plans = [run.spending.plan for run in self.runs]
        delta = f" at delta = {self.delta:.2g}" if self.delta else ""
        if math.isfinite(self.epsilon):
            spent = f"epsilon = {epsilon_text(self.epsilon)}{delta}"
        elif None in plans:
            spent = "epsilon is infinite: a run had no guarantee"
        else:
            units = [plan.unit for plan in plans if plan is not None]
            spent = f"epsilon is infinite: {_no_sum(units)}"
        cap = "no cap" if self.cap is None else f"cap {self.cap:g}"
        room = "" if self.room is None else f"; epsilon = {self.room:.3g} is left"
        open_runs = sum(run.status == "reserved" for run in self.runs)
        runs = f"{runs_words(len(self.runs))}{unfinished_words(open_runs, self.reserved)}"
        return f"{spent}, {runs}, {cap}{room}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, with the runs and their events."""
        return {
            "names": list(self.names),
            "epsilon": None if math.isinf(self.epsilon) else self.epsilon,
            "delta": self.delta,
            "cap": self.cap,
            "room": self.room,
            "reserved": None if math.isinf(self.reserved) else self.reserved,
            "runs": [run.to_dict() for run in self.runs],
        }


@dataclass(frozen=True)
class LedgerSummary:
    """All datasets and runs of a ledger.

    Attributes:
        path: The ledger's file.
        datasets: The datasets, oldest first.
    """

    path: str
    datasets: tuple[DatasetEntry, ...]

    @property
    def headline(self) -> str:
        """How many datasets and runs there are, and where the file is."""
        place = f"The ledger is {_from_home(self.path)}"
        if not self.datasets:
            return f"Nothing has been learned yet. {place}"
        datasets, runs = len(self.datasets), sum(len(each.runs) for each in self.datasets)
        return f"{datasets} dataset{'s'[: datasets > 1]}, {runs_words(runs)}. {place}"

    def to_text(self) -> str:
        """The ledger for a terminal."""
        lines = [self.headline]
        for dataset in self.datasets:
            lines += ["", dataset.title]
            if dataset.share is not None:
                filled = math.ceil(BAR_WIDTH * dataset.share)
                lines.append(f"  [{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {dataset.words}")
            else:
                lines.append(f"  {dataset.words}")
            rows = [HEADINGS, *(run.cells() for run in dataset.runs)]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            lines += [
                "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
                for row in rows
            ]
        return "\n".join([*lines, "", *NOTES] if self.datasets else lines)

    def to_frame(self) -> pd.DataFrame:
        """All runs as a DataFrame, one row each; `total` is that of the run's dataset."""
        import pandas as pd

        rows = [
            {
                "began": pd.Timestamp(run.began),
                "dataset": run.dataset,
                "linked": dataset.title,
                "run": run.id,
                "status": run.status,
                "epsilon": run.spending.epsilon,
                "delta": run.spending.delta,
                "steps": run.steps,
                "total": dataset.epsilon,
                "cap": dataset.cap,
            }
            for dataset in self.datasets
            for run in dataset.runs
        ]
        figures = ["epsilon", "delta", "steps", "total", "cap"]
        columns = ["began", "dataset", "linked", "run", "status", *figures]
        frame = pd.DataFrame(rows, columns=columns).sort_values("began", ignore_index=True, kind="stable")
        return frame.astype({"steps": "Int64", "cap": "Float64"})

    def to_json(self) -> str:
        """All datasets, runs and events as indented JSON; an infinite epsilon is null."""
        values = {"format": "jupyter_dpsynth ledger", "version": 1}
        return json.dumps({**values, "datasets": [each.to_dict() for each in self.datasets]}, indent=2)

    def export(self, path: str | Path) -> None:
        """Write all runs to a file: a table as .csv, or with their events as .json.

        Args:
            path: The file; its ending decides.

        Raises:
            ConfigError: Another ending.
            ArtifactError: The file cannot be written.
        """
        target = Path(path)
        if target.suffix not in {".csv", ".json"}:
            raise ConfigError(f"{str(path)!r} is not allowed: give a file that ends in .csv or .json.")
        text = self.to_json() + "\n" if target.suffix == ".json" else self.to_frame().to_csv(index=False)
        try:
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ArtifactError(f"{str(path)!r} cannot be written: {error.strerror}.") from None

    def __str__(self) -> str:
        """The text form."""
        return self.to_text()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401, ARG002, FBT001
        """What IPython shows."""
        printer.text(self.to_text())
