"""`HighDimSynthesizer`: learns a private table once, then makes synthetic tables as often as you like."""

from __future__ import annotations

import logging
import math
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.display.console import ConsoleProgress, RowsProgress
from jupyter_dpsynth.errors import ConfigError, DataError, DPSynthError, NotLearnedError, shielded, shown
from jupyter_dpsynth.inference.methods import Inferring
from jupyter_dpsynth.interop.statistics import write_statistics
from jupyter_dpsynth.privacy.ledger.datasets import UNNAMED
from jupyter_dpsynth.sources.endings import WRITTEN_STATISTICS
from jupyter_dpsynth.sources.forms import given_as
from jupyter_dpsynth.sources.opening import form_of, in_memory, open_source

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import pandas as pd

    from jupyter_dpsynth.constraints import Constraint
    from jupyter_dpsynth.encoding.table import TableCodec
    from jupyter_dpsynth.engine.learning.progress import RunProgress
    from jupyter_dpsynth.engine.learning.spending import LedgerEntry
    from jupyter_dpsynth.engine.model.learned import Learned
    from jupyter_dpsynth.engine.model.losses import ColumnLoss
    from jupyter_dpsynth.engine.model.reference import MeasuredReference
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.metadata.tables import TablesMeta
    from jupyter_dpsynth.privacy.audit import TrainingAudit
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
    from jupyter_dpsynth.privacy.noise import NoiseSource
    from jupyter_dpsynth.privacy.receipt import PrivacyReceipt
    from jupyter_dpsynth.reports import StepReport, StopReason
    from jupyter_dpsynth.sources.base import Source

__all__ = ["HighDimSynthesizer"]

logger = logging.getLogger(__name__)

LOOK = "%dpsynth status shows how far it is, and with --wait waits for its end."
NO_MODEL = {  # by state
    "new": "there is no model yet: call synthesizer.learn(df) first.",
    "starting": f"there is no model yet, because training is still running: {LOOK}",
    "learning": f"there is no model yet, because training is still running: {LOOK}",
    "failed": "there is no model, because learning ended before there was one: make a new HighDimSynthesizer "
    "to learn again (which spends epsilon again).",
}


class HighDimSynthesizer(Inferring):
    """Learns a table under differential privacy and makes synthetic tables with the same columns and types.

    Args:
        df_meta: What is public about the table, or several ones, from `MetaExtractor.extract`.
        config: Parameters; a copy is kept. By default epsilon = 1 with everything else automatic.

    Attributes:
        tables_meta: What is public about several tables; None if there is one.
        kept: Identifier of the run under which the model is kept beside the ledger; None if it is not.

    Example:
        >>> from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
        >>> config = HighDimConfig(epsilon=1.0)
        >>> synthesizer = HighDimSynthesizer(MetaExtractor.extract(df), config)  # doctest: +SKIP
        >>> df_synth = synthesizer.learn(df).synthesize(1000)  # doctest: +SKIP
        >>> synthesizer.epsilon  # doctest: +SKIP
        1.0
    """

    def __init__(self, df_meta: DataFrameMeta | TablesMeta, config: HighDimConfig | None = None) -> None:
        from jupyter_dpsynth.metadata.columns import DataFrameMeta
        from jupyter_dpsynth.metadata.tables import TablesMeta

        self.tables_meta = df_meta if isinstance(df_meta, TablesMeta) else None
        if isinstance(df_meta, TablesMeta):  # one table stands for all where one is asked for
            df_meta = df_meta.tables[df_meta.parent or df_meta.children[0].table]
        if not isinstance(df_meta, DataFrameMeta):
            raise ConfigError(
                f"df_meta is a {type(df_meta).__name__}: pass what MetaExtractor.extract(df) returns."
            )
        if config is not None and not isinstance(config, HighDimConfig):
            raise ConfigError(f"config is a {type(config).__name__}: pass a HighDimConfig.")
        self.df_meta = df_meta
        self.config = HighDimConfig() if config is None else config.copy()
        self.state = "new"
        self.kept: str | None = None
        self._learned: Learned | None = None
        self._spent: tuple[float | None, float] | None = None  # epsilon and delta once reserved
        self._tables: tuple[weakref.ref[pd.DataFrame], ...] = ()  # to tell them from synthetic ones

    def learn(
        self,
        df: object,
        callback: Callable[[StepReport], None] | None = None,
        stop: threading.Event | None = None,
        noise: NoiseSource | None = None,
        *,
        dataset: str | None = None,
        label: str = UNNAMED,
        new_dataset: bool = False,
        infinite_total: bool = False,
        ledger: PrivacyLedger | None = None,
        strategy: Any = None,  # noqa: ANN401 - TensorFlow ships no types
        checkpoint: str | Path | None = None,
    ) -> HighDimSynthesizer:
        """Measure and train under differential privacy.

        What the run may spend is entered into the ledger before a value is measured.

        Args:
            df: The private table, with the columns and types of `df_meta`: a pandas DataFrame; or, of any
                size and read part by part, a table of polars, pyarrow, DuckDB or Dask, another one with the
                Arrow PyCapsule interface, or the path or pattern of Parquet or CSV files.
            callback: Called with a `StepReport` at every phase and step; by default one line of
                progress goes to stderr.
            stop: Set this event from anywhere to end training after the current step.
            noise: For tests only: a `NoiseSource` with a fixed seed. There is then no guarantee and
                `epsilon` is None; the ledger counts the run as infinite.
            dataset: Name of the dataset in the ledger: all tables learned under one name count together.
                By default `df.attrs["dataset"]`, or else the table is known by its columns and rows.
            label: What the ledger calls a table that is new to it and has no such name.
            new_dataset: Your word that the table is about other people than all tables in the ledger: it
                then does not count together with one that has mostly the same columns or rows.
            infinite_total: Whether the dataset's total in the ledger may become infinite, because this run
                protects another unit (rows or persons) than the runs before it.
            ledger: By default the one in Jupyter's data directory.
            strategy: A `tf.distribute` strategy to train with, on several devices or workers; by default
                the one in whose `scope()` this is called. With several workers each of them calls this with
                the same table and parameters, and each ends with the same model.
            checkpoint: A file to keep the training's privatised state in. If it is there already, the run
                in it goes on: nothing is measured or spent again. With several workers the first one's.

        Returns:
            The synthesizer itself.

        Raises:
            ArtifactError: The ledger cannot record the run; nothing was spent. Or the checkpoint cannot be
                used.
            BudgetExhaustedError: The run could exceed the dataset's cap in the ledger, or would make its
                total infinite.
            ConfigError: Parameters contradict each other or cannot reach epsilon; nothing was spent.
            DataError: The frame does not fit, or (spent, and said so) it has too few rows.
            NotLearnedError: Stopped before there was a model.
            WorkerLostError: Another worker ended before training began.

        Privacy:
            Everything that is kept, shown or saved is (epsilon, delta)-differentially private for
            adding or removing one row, with epsilon at most `config.epsilon`. Not covered: with which
            earlier tables the ledger counts this one, which the progress tells the owner.
        """
        if self.state not in ("new", "starting"):
            raise ConfigError(
                "this synthesizer has already spent its budget: create a new HighDimSynthesizer to learn "
                "again (which spends epsilon again)."
            )
        config = self.config.resolve()
        if self.tables_meta is not None:
            return self._learn_tables(
                df,
                callback,
                stop,
                noise,
                {"strategy": strategy, "checkpoint": checkpoint},
                {"new_dataset": new_dataset, "infinite_total": infinite_total},
                (ledger, dataset, label),
            )
        if config.privacy_unit is not None:
            self.df_meta = self.df_meta.with_id(config.privacy_unit)
        from jupyter_dpsynth.engine.learning.progress import RunProgress
        from jupyter_dpsynth.engine.learning.spending import LedgerEntry
        from jupyter_dpsynth.engine.learning.strategy import current_strategy
        from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
        from jupyter_dpsynth.privacy.noise import NoiseSource

        with open_source(df) as source:
            self.df_meta.check(source)
            if not self.df_meta.learned:
                raise DataError("every column is an identifier: there is nothing to learn.")
            if dataset is None:
                dataset = source.described.attrs.get("dataset")
            ledger = PrivacyLedger() if ledger is None else ledger
            noise = noise or NoiseSource()
            strategy = current_strategy() if strategy is None else strategy
            entry = LedgerEntry(
                ledger,
                dataset,
                label,
                config,
                test_only=noise.test_only,
                new_dataset=new_dataset,
                infinite_total=infinite_total,
            )
            target = config.epsilon if config.differential_privacy else math.inf
            spent = None if noise.test_only else 0.0
            progress = RunProgress(callback or ConsoleProgress(), stop, target, spent)
            path = None if checkpoint is None else Path(checkpoint)
            self._run(source, entry, progress, noise, strategy, path)
        return self

    def _learn_tables(
        self,
        tables: object,
        callback: Callable[[StepReport], None] | None,
        stop: threading.Event | None,
        noise: NoiseSource | None,
        refused: dict[str, Any],
        stated: dict[str, bool],
        entered: tuple[PrivacyLedger | None, str | None, str],
    ) -> HighDimSynthesizer:
        """What `learn` does with several tables of the same persons."""
        from jupyter_dpsynth.engine.learning.progress import RunProgress
        from jupyter_dpsynth.engine.learning.spending import LedgerEntry
        from jupyter_dpsynth.persons.learning import open_tables
        from jupyter_dpsynth.persons.run import learn_persons
        from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
        from jupyter_dpsynth.privacy.noise import NoiseSource

        meta, drawn = self.tables_meta, noise or NoiseSource()
        if meta is None:
            raise TypeError
        opened, meta, config = open_tables(tables, meta, self.config.resolve(), refused)
        frames = [each.described for each in opened.values() if not each.partitioned]
        self._tables = tuple(weakref.ref(df) for df in frames)
        ledger, dataset, label = entered
        if dataset is None:
            first = opened[meta.parent or meta.children[0].table]
            dataset = first.described.attrs.get("dataset")
        entry = LedgerEntry(
            ledger or PrivacyLedger(), dataset, label, config, test_only=drawn.test_only, **stated
        )
        target = config.epsilon if config.differential_privacy else math.inf
        spent = None if drawn.test_only else 0.0
        progress = RunProgress(callback or ConsoleProgress(), stop, target, spent)
        self._settle(entry, lambda: learn_persons(opened, meta, entry, config, progress, drawn))
        return self

    def _run(
        self,
        source: Source,
        entry: LedgerEntry,
        progress: RunProgress,
        noise: NoiseSource,
        strategy: Any,  # noqa: ANN401 - TensorFlow ships no types
        checkpoint: Path | None,
    ) -> None:
        """Learn, and keep what was learned and what the ledger has reserved, however it ends."""
        from jupyter_dpsynth.engine.learning.run import learn_table

        self._tables = () if source.partitioned else (weakref.ref(source.described),)
        self._settle(
            entry, lambda: learn_table(source, self.df_meta, entry, progress, noise, strategy, checkpoint)
        )

    def _settle(self, entry: LedgerEntry, learn: Callable[[], Learned]) -> None:
        """Keep what is learned and what the ledger has reserved, however it ends."""
        self.state = "learning"
        try:
            # whether arithmetic overflows depends on single values: neither a warning nor an error may tell
            with np.errstate(all="ignore"):
                self._learned = shielded(learn, "learning failed")
        finally:
            self._spent = entry.reserved
            if self._learned is not None:
                self.state = "learned"
                self._keep(entry)
            else:  # what was refused before a value was read can be tried again
                self.state = "new" if entry.reserved is None else "failed"

    def _keep(self, entry: LedgerEntry) -> None:
        """Keep the model beside the ledger, for a kernel that restarts."""
        if entry.run is None or entry.content is None or self.learned.receipt.guarantee != "dp":
            return
        from jupyter_dpsynth.kept_models import KeptModels, settings_key

        try:
            settings = settings_key(self.config, _meta_of(self.learned))
            KeptModels(entry.ledger).keep(entry.run, entry.content, settings, self._packed())
            self.kept = entry.run
        except DPSynthError as error:
            logger.warning("the model is not kept beside the ledger: %s", error)

    def was_learned_from(self, df: object) -> bool:
        """Whether this is the object that was learned, and is therefore private."""
        return any(table() is df for table in self._tables)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the references to the tables, which other processes do not get."""
        return {**self.__dict__, "_tables": ()}

    async def learn_async(
        self,
        df: object,
        callback: Callable[[StepReport], None] | None = None,
        *,
        dataset: str | None = None,
        new_dataset: bool = False,
        infinite_total: bool = False,
        ledger: PrivacyLedger | None = None,
        strategy: Any = None,  # noqa: ANN401 - TensorFlow ships no types
        checkpoint: str | Path | None = None,
    ) -> HighDimSynthesizer:
        """The same as `learn`, in a worker thread, for `await` in a notebook.

        While it runs, widgets and other tasks of the event loop are served. Cancelling it ends training
        after the current step and keeps the model; interrupting the kernel cancels the cell that waits.

        Args:
            df: The private table.
            callback: Called with a `StepReport` at every phase and step, in the event loop's thread.
            dataset: As for `learn`.
            new_dataset: As for `learn`.
            infinite_total: As for `learn`.
            ledger: As for `learn`.
            strategy: As for `learn`.
            checkpoint: As for `learn`.

        Returns:
            The synthesizer itself.

        Raises:
            CancelledError: After training has ended, if it was cancelled.
            DPSynthError: As `learn`.
        """
        from jupyter_dpsynth.engine.learning.background import in_thread
        from jupyter_dpsynth.engine.learning.strategy import current_strategy

        strategy = current_strategy() if strategy is None else strategy  # a scope belongs to its thread
        run_with = {
            "dataset": dataset,
            "new_dataset": new_dataset,
            "infinite_total": infinite_total,
            "ledger": ledger,
            "strategy": strategy,
            "checkpoint": checkpoint,
        }
        await in_thread(
            lambda tell, stop: self.learn(df, tell, stop, **run_with), callback or ConsoleProgress()
        )
        return self

    @property
    def epsilon(self) -> float | None:
        """The epsilon that was reserved for this run: it holds whenever and however training ended.

        Infinite without differential privacy; None if a test-only seed was used.

        Raises:
            NotLearnedError: Nothing has been learned or spent yet.
        """
        return self._reserved("epsilon")[0]

    @property
    def delta(self) -> float:
        """The delta that belongs to `epsilon`."""
        return self._reserved("delta")[1]

    def _reserved(self, wanted: str) -> tuple[float | None, float]:
        if self._spent is None and self.state in ("starting", "learning"):
            raise NotLearnedError(f"{wanted} is not known before training has ended: {LOOK}")
        if self._spent is None:
            raise NotLearnedError(f"{wanted} is not known before learning: call synthesizer.learn(df) first.")
        return self._spent

    @property
    def learned(self) -> Learned:
        """The learned state, for evaluation and saving; it contains only what epsilon has paid for."""
        if self._learned is None:
            raise NotLearnedError(NO_MODEL[self.state])
        return self._learned

    @property
    def receipt(self) -> PrivacyReceipt:
        """What epsilon was spent on, what it covers and what it does not."""
        return self.learned.receipt

    @property
    def reference(self) -> MeasuredReference:
        """The noisy marginals and dependences; you may show them and compare with them for free."""
        return self.learned.reference

    @property
    def losses(self) -> tuple[ColumnLoss, ...]:
        """What each learned column loses, with noise; free: epsilon has paid for it."""
        from jupyter_dpsynth.engine.model.losses import column_losses
        from jupyter_dpsynth.persons.learned import LearnedPersons
        from jupyter_dpsynth.persons.left import losses_of_tables

        if isinstance(self.learned, LearnedPersons):
            return losses_of_tables(self.learned)
        return column_losses(self.learned.codec, self.learned.reference)

    @property
    def codec(self) -> TableCodec:
        """Cells of every learned column."""
        return self.learned.codec

    @property
    def stop_reason(self) -> StopReason | None:
        """Why training ended; None before."""
        return None if self._learned is None else self._learned.stop_reason

    @overload
    def synthesize(
        self,
        num_rows: int | None = None,
        seed: int | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        balance: str | Mapping[str, Mapping[Hashable, float]] | None = None,
        constraints: Sequence[Constraint] = (),
        frame: Literal["pandas"],
    ) -> pd.DataFrame: ...

    @overload
    def synthesize(
        self,
        num_rows: int | None = None,
        seed: int | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        balance: str | Mapping[str, Mapping[Hashable, float]] | None = None,
        constraints: Sequence[Constraint] = (),
        frame: str | None = None,
    ) -> Any: ...  # noqa: ANN401 - a table of any library

    @overload
    def synthesize(
        self,
        num_rows: int | None = None,
        seed: int | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        balance: str | Mapping[str, Mapping[Hashable, float]] | None = None,
        constraints: Sequence[Constraint] = (),
        to: str | Path,
        overwrite: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Path]: ...

    def synthesize(
        self,
        num_rows: int | None = None,
        seed: int | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        balance: str | Mapping[str, Mapping[Hashable, float]] | None = None,
        constraints: Sequence[Constraint] = (),
        to: str | Path | None = None,
        overwrite: bool = False,
        progress: Callable[[int, int], None] | None = None,
        frame: str | None = None,
    ) -> Any:
        """Make a synthetic table: same columns, order and dtypes.

        Args:
            num_rows: How many rows; by default the noisy row count of the private table.
            seed: Fixes the output. It has no bearing on privacy. With `to` the rows are others than without.
            where: Conditions that every row meets, by column: a value, None for missing, a list of values,
                or a range `(low, high)` of numbers or dates, ends included, None where it is open. Rows
                are drawn from the model given the conditions.
            balance: A categorical column whose published categories get equal numbers of rows; or shares by
                value (or range), like `{"income": {"high": 0.3, "low": 0.7}}`.
            constraints: What is publicly known to hold in every row: `Ordering(low, high)` and
                `Combinations(columns, allowed)`; and what follows from other columns, which is computed:
                `Total(column, parts)` and `Elapsed(column, since, until, unit)`.
            to: Write the table into files instead, part by part, such as 'out/*.parquet' or 'out/*.csv': on
                the workers of Dask's client if one is active, else on the cores of this machine. Or into one
                file of SPSS, Stata or SAS ('.sav', '.zsav', '.por', '.dta', '.xpt'), with the codebook of the
                file that was learned.
            overwrite: Whether files that are there may be replaced.
            progress: With `to`: told how many of how many rows are written; by default one line of progress
                goes to stderr.
            frame: What kind of table: 'pandas', 'polars', 'polars-lazy', 'pyarrow', 'arrow-stream', 'duckdb'
                or 'dask'; by default the kind that was learned.

        Returns:
            The table; with `to`, the files.

        Raises:
            NotLearnedError: Before `learn`.
            ConfigError: `num_rows` is not a positive whole number; conditions, shares or constraints name
                what is not published, or the model cannot meet them; `to` is no pattern, or is there already;
                `frame` is unknown.
            DataError: A file could not be written.
            MissingDependencyError: `to` is given and Dask is not installed; or the library of `frame` is not.

        Privacy:
            Post-processing: free, as often as wanted.

        Example:
            >>> synthesizer.synthesize(1000, where={"age": (18, 65), "sex": "Female"})  # doctest: +SKIP
        """
        from jupyter_dpsynth.constraints import check_constraints

        learned = self.learned
        rows = learned.reference.rows if num_rows is None else num_rows
        persons = self.tables_meta is not None
        if isinstance(rows, bool) or not isinstance(rows, (int, np.integer)) or rows <= 0:
            raise ConfigError(f"num_rows = {shown(rows)} is not allowed: give a whole number from 1.")
        generator = _output_generator(seed)
        asked: dict[str, Any] = {
            "where": {} if where is None else where,
            "balance": balance,
            "constraints": check_constraints(constraints, self.df_meta),
        }
        if persons:
            return self._synthesize_tables(int(rows), generator, asked, to, overwrite=overwrite, frame=frame)
        if to is not None and str(to).lower().endswith(WRITTEN_STATISTICS):
            return [self._write_statistics(int(rows), Path(to), generator, asked, overwrite=overwrite)]
        if to is not None:
            from jupyter_dpsynth.engine.sampling.writing import write_table

            asked |= {"overwrite": overwrite, "progress": progress or RowsProgress()}
            return shielded(lambda: write_table(learned, int(rows), to, seed, **asked), "synthesizing failed")
        from jupyter_dpsynth.engine.sampling.tables import plan_table

        def generate() -> Any:  # noqa: ANN401 - a table of any library
            maker, portions = plan_table(learned, int(rows), generator, **asked)
            return given_as(maker.make_stamped(portions, generator), self.df_meta.form, frame)

        return shielded(generate, "synthesizing failed")

    def _synthesize_tables(
        self,
        persons: int,
        generator: np.random.Generator,
        asked: dict[str, Any],
        to: str | Path | None,
        *,
        overwrite: bool,
        frame: str | None,
    ) -> Any:  # noqa: ANN401 - a dict of tables, or files
        """What `synthesize` does with several tables of the same persons."""
        from jupyter_dpsynth.engine.sampling.provenance import mark_synthetic
        from jupyter_dpsynth.persons.learned import LearnedPersons
        from jupyter_dpsynth.persons.making import make_tables
        from jupyter_dpsynth.persons.writing import checked_folder, write_tables

        learned = self.learned
        if not isinstance(learned, LearnedPersons):
            raise TypeError
        if asked["constraints"]:
            raise ConfigError("constraints are not supported for several tables yet: leave them out.")
        self._refuse_conditions_on_rows(asked["where"])
        if frame not in (None, "pandas"):
            raise ConfigError(f"frame = {shown(frame)}: several tables are made for pandas only.")
        folder = None if to is None else checked_folder(to, learned.meta, overwrite=overwrite)
        made = shielded(lambda: make_tables(learned, persons, generator, asked), "synthesizing failed")
        tables = {name: mark_synthetic(table) for name, table in made.items()}
        return tables if folder is None else write_tables(tables, folder)

    def _refuse_conditions_on_rows(self, where: Mapping[str, Any]) -> None:
        """Raise ConfigError if a condition is about single rows of persons, of which there are any number."""
        meta = self.tables_meta
        for each in () if meta is None else meta.children:
            found = [name for name in where if name not in self.codec.names]
            found = [name for name in found if meta is not None and name in meta.tables[each.table].names]
            if found:
                raise ConfigError(
                    f"where names {found[0]!r}, a column of {each.table!r}: conditions are about persons. "
                    f"Give a column of theirs, or {each.number!r}; or choose rows of what synthesize() makes."
                )

    def write_codebook(self, path: str | Path, form: str | None = None) -> Path:
        """Write the codebook of the synthetic tables: columns, types, categories, labels, missing codes.

        Args:
            path: Where to; a file that is there is replaced.
            form: 'frictionless' (Table Schema, version 2), 'csvw' or 'ddi' (DDI Codebook 2.5); by default
                'ddi' for a path that ends in .xml, 'csvw' for one that ends in -metadata.json, else
                'frictionless'.

        Returns:
            The path.

        Raises:
            NotLearnedError: Before `learn`.
            ConfigError: There is no such form.

        Privacy:
            What is public, and categories that epsilon has paid for: free.
        """
        self.require_one_table("writing a codebook")
        from jupyter_dpsynth.encoding.categorical import CategoryCodec
        from jupyter_dpsynth.interop.codebooks import write_codebook

        columns = [each for each in self.codec.columns if isinstance(each, CategoryCodec)]
        published = {each.meta.name: tuple(dict.fromkeys((*each.published, *each.pool))) for each in columns}
        return write_codebook(self.df_meta, path, form, published)

    def _write_statistics(
        self,
        rows: int,
        path: Path,
        generator: np.random.Generator,
        asked: dict[str, Any],
        *,
        overwrite: bool,
    ) -> Path:
        """Write one file of SPSS, Stata or SAS."""
        from jupyter_dpsynth.engine.sampling.tables import plan_table

        if path.exists() and not overwrite:
            raise ConfigError(
                f"to = {shown(str(path))} exists already. Choose another name, or set overwrite = True "
                "(--overwrite) to replace it."
            )
        learned = self.learned

        def generate() -> pd.DataFrame:
            maker, portions = plan_table(learned, rows, generator, **asked)
            return maker.make(portions, generator)

        df_synth = shielded(generate, "synthesizing failed")
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_statistics(df_synth, path, self.df_meta)

    def impute(
        self,
        df: Any,  # noqa: ANN401 - a table of any library
        seed: int | None = None,
        *,
        constraints: Sequence[Constraint] = (),
    ) -> Any:  # noqa: ANN401 - of the same library
        """Fill the missing values of a table with draws from the model, given the other values of each row.

        The missing cells of a row are drawn together, from exactly the model's joint distribution unless
        they have more than some thousands of combinations: then by Gibbs sampling, which comes close.

        Args:
            df: A table with the columns and types of the learned one, of any library that `learn` takes; it
                is not changed.
            seed: Fixes the output. It has no bearing on privacy.
            constraints: What is publicly known to hold in every row, as for `synthesize`. A row that keeps
                them with none of 1,000 draws, because its given cells contradict them, keeps its missing
                cells. Orderings that were found when learning are kept wherever the given cells allow it.

        Returns:
            A copy without missing cells, of the same kind and with the same index.

        Raises:
            NotLearnedError: Before `learn`.
            ConfigError: `seed` is not a whole number from 0; constraints name what is not learned.
            MetadataError: The frame has other columns or types.

        Privacy:
            Nothing of the model's epsilon is spent, but the frame given stays private data of yours, and
            the result, which holds all its rows, is exactly as private.
        """
        from jupyter_dpsynth.constraints import check_constraints
        from jupyter_dpsynth.engine.sampling.imputing import impute_table

        learned = self.learned
        self.require_one_table("imputing")
        generator = _output_generator(seed)
        checked = check_constraints(constraints, self.df_meta)
        kind = form_of(df).kind
        rows = in_memory(df, "df")
        self.df_meta.check(rows)

        def impute() -> Any:  # noqa: ANN401 - of the same library
            return given_as(impute_table(learned, rows, generator, checked), self.df_meta.form, kind)

        return shielded(impute, "imputing failed")

    def require_one_table(self, what: str) -> None:
        """Raise ConfigError if several tables were learned, for what is done with one table only.

        Args:
            what: What it is, in words.
        """
        if self.tables_meta is not None:
            raise ConfigError(
                f"{what} is not possible with several tables of the same persons yet. Learn one of the "
                "tables for it, use what synthesize() makes, or compare all of them: %dpsynth compare, or "
                "compare_histories in Python."
            )

    def audit(
        self,
        seconds: float = 60.0,
        callback: Callable[[TrainingAudit], None] | None = None,
        stop: threading.Event | None = None,
    ) -> TrainingAudit:
        """Attack simulated trainings under this synthesizer's own plan.

        Args:
            seconds: About how long; the longer, the nearer the bound can come to the claim.
            callback: Told of what has been found after each simulated training.
            stop: Set this event from anywhere to end with what has been found.

        Returns:
            What could be proved, a lower bound on epsilon, beside what is claimed.

        Raises:
            NotLearnedError: Before `learn`.
            ConfigError: There is no guarantee that could be audited, or `seconds` is not positive.

        Privacy:
            The simulated table is synthetic: no private row is read and nothing is spent.
        """
        learned = self.learned
        if learned.receipt.guarantee != "dp":
            raise ConfigError("there is no privacy guarantee to audit: this synthesizer states no epsilon.")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
            raise ConfigError(f"seconds = {shown(seconds)} is not allowed: give a number above 0.")
        from jupyter_dpsynth.engine.learning.auditing import audit_training
        from jupyter_dpsynth.persons.auditing import audit_persons
        from jupyter_dpsynth.persons.learned import LearnedPersons

        settings, tell = self.config.resolve(), callback or (lambda _: None)
        asked = (lambda: False) if stop is None else stop.is_set
        if isinstance(learned, LearnedPersons):
            return audit_persons(learned, settings, float(seconds), tell, asked)
        return audit_training(learned, settings, float(seconds), tell, asked)

    def save(self, path: str | Path) -> None:
        """Save the learned state to a file, which is replaced if it exists. See `persistence`.

        Raises:
            NotLearnedError: There is nothing to save yet.
            ArtifactError: The file cannot be written.
        """
        from jupyter_dpsynth.files.archive import write_file

        write_file(path, self._packed())

    def _packed(self) -> bytes:
        """The content of the file of the learned state."""
        from jupyter_dpsynth.persistence import model_bytes
        from jupyter_dpsynth.persons.learned import LearnedPersons
        from jupyter_dpsynth.persons.saving import persons_bytes

        learned = self.learned
        if isinstance(learned, LearnedPersons):
            return persons_bytes(self.config, learned)
        return model_bytes(self.config, learned)

    @classmethod
    def load(cls, path: str | Path) -> HighDimSynthesizer:
        """Read what `save` wrote; synthesizing needs neither the original data nor TensorFlow."""
        from jupyter_dpsynth.persistence import load
        from jupyter_dpsynth.persons.saving import are_persons, load_persons

        config, learned = load_persons(path) if are_persons(path) else load(path)
        return cls.restore(config, learned)

    @classmethod
    def restore(cls, config: HighDimConfig, learned: Learned) -> HighDimSynthesizer:
        """A synthesizer with a state that was learned before."""
        synthesizer = cls(_meta_of(learned), config)
        synthesizer._learned = learned
        synthesizer._spent = learned.receipt.epsilon, learned.receipt.delta
        synthesizer.state = "learned"
        return synthesizer

    def __repr__(self) -> str:
        """Name, size and, once learned, epsilon."""
        from jupyter_dpsynth.display.words import epsilon_text

        size = f"{len(self.df_meta.columns)} columns"
        if self.tables_meta is not None:
            size = f"tables {', '.join(self.tables_meta.tables)}"
        parts = [size, self.state]
        if self._spent is not None:
            epsilon, delta = self._spent
            spent = "TEST ONLY, no guarantee" if epsilon is None else f"epsilon={epsilon_text(epsilon)}"
            parts.append(f"{spent}, delta={delta:.2g}")
        return f"HighDimSynthesizer({', '.join(parts)})"


def _meta_of(learned: Learned) -> DataFrameMeta | TablesMeta:
    """What is public about what was learned: one table, or several."""
    from jupyter_dpsynth.persons.learned import LearnedPersons

    return learned.meta if isinstance(learned, LearnedPersons) else learned.codec.df_meta


def _output_generator(seed: int | None) -> np.random.Generator:
    """The random generator of an output; raises ConfigError for an invalid seed."""
    if seed is not None and (not isinstance(seed, (int, np.integer)) or seed < 0):
        raise ConfigError(f"seed = {shown(seed)} is not allowed: give a whole number from 0, or None.")
    return np.random.default_rng(seed)
