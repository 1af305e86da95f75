"""Models kept beside the ledger, so that a kernel that restarts loses nothing that epsilon was spent on.

What was learned under differential privacy is kept by the identifier of its run: it holds only what epsilon
has paid for. The folder is for the owner's eyes only, like the ledger, because the names of the files
are derived from the exact rows. Models without a guarantee are not kept.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import epsilon_text
from jupyter_dpsynth.errors import ArtifactError, ConfigError, did_you_mean
from jupyter_dpsynth.files.archive import write_file
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_dpsynth.config import HighDimConfig
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.privacy.ledger.summary import RunEntry

__all__ = ["KeptModel", "KeptModels", "settings_key"]

MEGABYTES_VARIABLE = "JUPYTER_DPSYNTH_KEEP_MB"
MEGABYTES = 500.0  # of all models together, if the variable does not say otherwise
KEY_DIGITS = 16
SHORT = 8  # digits of a run's identifier that are shown
_NAME = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{16})\.dps")


@dataclass(frozen=True)
class KeptModel:
    """One model beside the ledger.

    Attributes:
        run: Identifier of its run in the ledger.
        path: Its file, as `HighDimSynthesizer.load` reads it.
        size: Of the file, in bytes.
        modified: When it was written, in seconds since 1970.
        settings: Key of the parameters and declarations: equal for equal ones.
        content: Key of the table in this run. It is derived from the exact rows, for the owner.
        entry: The run in the ledger, None if the ledger does not know it any more.
    """

    run: str
    path: Path
    size: int
    modified: float
    settings: str
    content: str
    entry: RunEntry | None

    @property
    def words(self) -> str:
        """What it is, in a line."""
        when = dt.datetime.fromtimestamp(self.modified).astimezone().strftime("%Y-%m-%d %H:%M")
        size = f"{self.size / 1e6:.1f} MB" if self.size >= 1e6 else f"{self.size / 1e3:.0f} kB"
        if self.entry is None:
            return f"run {self.run[:SHORT]}, {when}, {size}, unknown to the ledger"
        epsilon, ended = epsilon_text(self.entry.spending.epsilon), self.entry.status
        return f"run {self.run[:SHORT]}, {when}, {self.entry.dataset!r}, epsilon = {epsilon}, {ended}, {size}"


class KeptModels:
    """The models beside a ledger.

    Args:
        ledger: By default the one in Jupyter's data directory.

    Attributes:
        folder: Where they are: a folder named for the ledger's file, beside it.
    """

    def __init__(self, ledger: PrivacyLedger | None = None) -> None:
        self._ledger = PrivacyLedger() if ledger is None else ledger
        path = self._ledger.path
        self.folder = path.with_name(f"{path.stem}-models")

    def keep(self, run: str, content: bytes, settings: str, packed: bytes) -> None:
        """Keep a model; older ones are deleted where all together would be too large.

        Args:
            run: Identifier of its run.
            content: The fingerprint of the table, or of several ones.
            settings: What `settings_key` gives for it.
            packed: The content of its file.

        Raises:
            ArtifactError: The file cannot be written, or is larger than all may be together.

        Privacy:
            The file holds what epsilon has paid for. Its name holds keyed digests of the table: only for
            the owner, like the ledger.
        """
        room = largest_size()
        if room == 0:
            return
        if len(packed) > room:
            raise ArtifactError(
                f"the model has {len(packed) / 1e6:.0f} MB, and all models beside the ledger may have "
                f"{room / 1e6:.0f} MB together ({MEGABYTES_VARIABLE}): save it with %dpsynth save FILE."
            )
        keys = settings, self.content_key(content, run)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(f"{str(self.folder)!r} cannot be made: {error.strerror}.") from None
        write_file(self.folder / f"{run}-{'-'.join(keys)}.dps", packed, 0o600)
        left = room
        for model in self._files():
            left -= model.size
            if left < 0:
                self._unlink(model)

    def content_key(self, content: bytes, run: str) -> str:
        """The key of a table by its fingerprint, in the name of a run's model.

        Names get out in errors and logs. In each run the key is another one, so that nobody sees of two names
        whether they are of the same table.
        """
        return self._ledger.keyed_digest(b"model" + run.encode() + content)[:KEY_DIGITS]

    def _files(self) -> list[KeptModel]:
        """All models, newest first, without what the ledger knows of them."""
        found = []
        for path in self.folder.glob("*.dps") if self.folder.is_dir() else ():
            name = _NAME.fullmatch(path.name)
            with contextlib.suppress(OSError):  # another process may have deleted it
                if name is not None:
                    status = path.stat()
                    found.append(
                        KeptModel(name[1], path, status.st_size, status.st_mtime, name[2], name[3], None)
                    )
        return sorted(found, key=lambda model: (-model.modified, model.run))

    def _known(self, models: list[KeptModel]) -> list[KeptModel]:
        """The same with what the ledger knows of them."""
        if not models:
            return []
        runs = {run.id: run for dataset in self._ledger.summary().datasets for run in dataset.runs}
        return [replace(model, entry=runs.get(model.run)) for model in models]

    def all(self) -> list[KeptModel]:
        """All models, newest first."""
        return self._known(self._files())

    def learned_with(self, config: HighDimConfig, meta: DataFrameMeta | TablesMeta) -> list[KeptModel]:
        """The models of tables with these columns, declarations and parameters, newest first.

        Args:
            config: The parameters.
            meta: The columns and what is declared of them, of one table or several.
        """
        files = self._files()
        if not files:
            return []
        if config.privacy_unit is not None:
            meta = meta.with_id(config.privacy_unit)
        key = settings_key(config, meta)
        return self._known([model for model in files if model.settings == key])

    def find(self, run: str = "") -> KeptModel:
        """One model.

        Args:
            run: How the identifier of its run begins; the newest model by default.

        Raises:
            ConfigError: There is none, or several begin like that.
        """
        models = self.all()
        if not models:
            raise ConfigError(
                "no model is kept beside the ledger: learn a table first, or load a model from its FILE."
            )
        fitting = [model for model in models if model.run.startswith(run.lower())]
        if len(fitting) == 1 or (fitting and not run):
            return fitting[0]
        known = ", ".join(model.run[:SHORT] for model in models)
        problem = "several kept models have" if fitting else "no kept model has"
        hint = "" if fitting else did_you_mean(run, [model.run[:SHORT] for model in models])
        raise ConfigError(f"{problem} a run that begins with {run!r}.{hint} Kept: {known}.")

    def delete(self, run: str) -> list[KeptModel]:
        """Delete a model, or all of them; what they have cost stays in the ledger.

        Args:
            run: How the identifier of its run begins, or 'all'.

        Returns:
            What was deleted.

        Raises:
            ConfigError: There is none, or several begin like that.
            ArtifactError: A file cannot be deleted.
        """
        chosen = self.all() if run == "all" else [self.find(run)]
        for model in chosen:
            self._unlink(model)
        return chosen

    def _unlink(self, model: KeptModel) -> None:
        try:
            model.path.unlink(missing_ok=True)
        except OSError as error:
            raise ArtifactError(f"{str(model.path)!r} cannot be deleted: {error.strerror}.") from None


def settings_key(config: HighDimConfig, meta: DataFrameMeta | TablesMeta) -> str:
    """The key of what a model was learned with: equal for equal parameters, columns and declarations.

    Args:
        config: The parameters.
        meta: The columns and what is declared of them, the privacy unit as an identifier.
    """
    text = json.dumps([config.to_dict(), meta.to_list()], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def largest_size() -> float:
    """How many bytes all models together may have; 0 to keep none.

    Raises:
        ConfigError: The variable holds something else than a number.
    """
    text = os.environ.get(MEGABYTES_VARIABLE, "")
    try:
        megabytes = float(text) if text else MEGABYTES
    except ValueError:
        megabytes = -1.0
    if not 0 <= megabytes < float("inf"):
        raise ConfigError(f"{MEGABYTES_VARIABLE} = {text!r} is not allowed: give a number from 0.")
    return 1e6 * megabytes
