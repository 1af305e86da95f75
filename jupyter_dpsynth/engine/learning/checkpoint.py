"""Checkpoints of a training: privatised state only, and steps that are reserved before they are made.

A checkpoint holds what was measured with noise, the plan, the optimizer's state and the losses that were
shown: functions of released values. No row, no exact count and no sum before its noise is in it. It lets a
run go on without measuring again. The same bytes are what the first of several workers sends to the others.

How many steps may have been made is not read from the checkpoint, which may be old or a copy, but from the
ledger (`privacy.ledger.step_reservations`): a resumed run makes only steps that nobody has
reserved yet. A crash therefore costs up to `window(steps)` steps of training, and never a second spending.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.model.cells import TrainedCells
from jupyter_dpsynth.engine.model.features import Derived
from jupyter_dpsynth.engine.model.network import Layout
from jupyter_dpsynth.engine.model.plan import INTERACTIONS, RunPlan
from jupyter_dpsynth.engine.model.reference import MeasuredReference, reference_from
from jupyter_dpsynth.engine.model.tape import Tape
from jupyter_dpsynth.engine.planning.plan import MICROBATCH_SENSITIVITY
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.files.archive import Kind, damaged, guarded, pack, read_arrays, unpack, write_file
from jupyter_dpsynth.files.jsonschema import check_part
from jupyter_dpsynth.privacy.accounting import PrivacyPlan, SampledTraining
from jupyter_dpsynth.reports import StopReason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.training.adam import AdamUpdate
    from jupyter_dpsynth.metadata.columns import DataFrameMeta
    from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger

__all__ = ["StepReservations", "TrainingTask", "window"]

CHECKPOINT = Kind("checkpoint", 3)
PRIVATE_FILE = 0o600
WINDOWS = 20  # checkpoints of a run
VECTORS = ("values", "average", "first", "second")
TRAINING = ("steps", "sampling_probability")  # in a checkpoint they stand beside the plan's fields
# Earlier checkpoints held the noise of each measurement a second time
EARLIER_NOISE = (
    *("unit_sigma", "codec_sigma", "marginal_sigma", "finer_marginal_sigma", "pair_sigma", "order_sigma"),
    *("look_sigma", "noise_multiplier", "loss_noise"),
)


def window(steps: int) -> int:
    """How many steps are made between two checkpoints.

    >>> window(400), window(7)
    (20, 1)
    """
    return max(1, steps // WINDOWS)


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """Everything that training needs beside the rows, and all that it has made of it so far.

    Attributes:
        config: Parameters by name.
        plan: Noise, steps and sizes.
        codec: Cells of every column.
        reference: The noisy measurements.
        counts: Noisy count of each cell, `[cells]` for each column: where training starts.
        entry: The run's identifier in the ledger.
        reserved: Epsilon (None for a test-only seed) and delta.
        seed: Fixes the post-processing of the model, so that all workers end with the same.
        untold: What the noise of the measurements hides, in words.
        imposed: What all synthetic rows have in common beside orders and functions, in words.
        released: How many steps may have been made already.
        state: The optimizer's vectors, float32 `[F + D]` by name; empty before the first step.
        losses: Noisy mean loss of each completed step whose result is known, `[k]`.
        derived: The derived features that were chosen; None before they were looked for.
        tape: What the steps released, added up; None before the first step.
        scale: Interaction strength of each pair, `[m, m]`; None if it follows from the measured dependence.
        every_cell: Whether the network is trained on all cells, as by earlier versions, or on those only that
            appear.
    """

    config: dict[str, Any]
    plan: RunPlan
    codec: TableCodec
    reference: MeasuredReference
    counts: tuple[NDArray[np.float64], ...]
    entry: str
    reserved: tuple[float | None, float]
    seed: int
    released: int = 0
    state: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    losses: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    untold: tuple[str, ...] = ()
    imposed: tuple[str, ...] = ()
    derived: tuple[Derived, ...] | None = None
    tape: Tape | None = None
    scale: NDArray[np.float64] | None = None
    every_cell: bool = False

    @cached_property
    def cells(self) -> TrainedCells:
        """The cells that the network is trained on."""
        shares = self.reference.shares
        return TrainedCells.of([np.ones(len(share)) for share in shares] if self.every_cell else shares)

    @property
    def layout(self) -> Layout:
        """Blocks and interactions of the model, of all cells."""
        sizes, exponent = self.codec.sizes, self.plan.pair_exponent
        if self.scale is None:
            layout = Layout.from_dependence(sizes, self.reference.dependence, exponent)
        else:
            layout = Layout(sizes, self.scale)
        return layout.with_derived(self.derived or ())

    @property
    def search_step(self) -> int | None:
        """After how many steps with a known result interactions are looked for; None if they are not."""
        found = self.derived is not None or self.plan.picks == 0 or len(self.losses) > self.plan.search_step
        return None if found else self.plan.search_step

    @property
    def lost(self) -> int:
        """How many steps may have been made whose results are not known."""
        return max(self.released - len(self.losses), 0)

    @property
    def last_step(self) -> int:
        """Number of the last step that may be made."""
        return self.plan.steps - self.lost

    def after(self, update: AdamUpdate, losses: Sequence[float]) -> TrainingTask:
        """The task as training has brought it on.

        Args:
            update: The optimizer.
            losses: Noisy mean loss of each step.
        """
        if not losses:
            return self
        return replace(self, state=update.state(), losses=np.array(losses), tape=update.tape)

    def check(self, config: ResolvedConfig, df_meta: DataFrameMeta) -> None:
        """Raise ConfigError unless it is the task of these parameters and this metadata."""
        different = [name for name, value in config.to_dict().items() if self.config.get(name) != value]
        if different:
            raise ConfigError(
                f"checkpoint: it was made with another {' and another '.join(different)}. Use the same "
                "parameters to resume the run, or another file to start a new one."
            )
        if self.codec.df_meta.learned != df_meta.learned:
            raise ConfigError(
                "checkpoint: it was made with other metadata (df_meta). Use the same to resume the run, or "
                "another file to start a new one."
            )

    def to_bytes(self) -> bytes:
        """What `from_bytes` reads."""
        epsilon, delta = self.reserved
        document: dict[str, Any] = {
            "config": self.config,
            "plan": _plan_document(self.plan),
            "codec": self.codec.to_dict(),
            "reference": self.reference.to_dict(),
            "entry": self.entry,
            # infinity has no place in JSON: without a guarantee the plan has no events
            "epsilon": epsilon if epsilon is not None and math.isfinite(epsilon) else None,
            "delta": delta,
            "seed": self.seed,
            "released": self.released,
            "updates": len(self.losses),
            "started": bool(self.state),
            "untold": list(self.untold),
            "imposed": list(self.imposed),
            "every_cell": self.every_cell,
        }
        if self.scale is not None:
            places = np.argwhere(self.scale)
            document["links"] = [[int(i), int(j), float(self.scale[i, j])] for i, j in places]
        if self.derived is not None:
            document["derived"] = [feature.to_dict() for feature in self.derived]
        arrays = {"counts": np.concatenate(self.counts), "losses": self.losses, **self.state}
        if self.tape is not None:
            document["tape"] = self.tape.to_dict()
            arrays |= self.tape.arrays()
        return pack(CHECKPOINT, document, arrays, compressed=False)

    @classmethod
    def from_bytes(cls, content: bytes) -> TrainingTask:
        """Rebuild from `to_bytes`.

        Raises:
            ArtifactError: It is damaged or not one of ours.
        """
        document, packed = unpack(CHECKPOINT, io.BytesIO(content))
        for name in ("codec", "reference"):
            check_part(document[name], "synthesizer", name)
        codec = TableCodec.from_dict(document["codec"])
        reference = reference_from(codec, document["reference"])
        plan = _plan_from(document["plan"], document["config"], len(codec.columns))
        if [len(share) for share in reference.shares] != codec.sizes.tolist():
            damaged(CHECKPOINT, "shares do not fit the columns")
        if reference.moved and [len(m) for m in reference.moved] != [
            len(c.moved_into) for c in codec.columns
        ]:
            damaged(CHECKPOINT, "moved rows do not fit the columns")
        if reference.dependence.shape != (len(codec.sizes),) * 2:
            damaged(CHECKPOINT, "dependence does not fit the columns")
        if document["updates"] > plan.steps or document["started"] != (document["updates"] > 0):
            damaged(CHECKPOINT, "updates do not fit the plan")
        epsilon = document["epsilon"] if plan.privacy is not None else math.inf
        task = cls(
            document["config"],
            plan,
            codec,
            reference,
            (),
            document["entry"],
            (epsilon, document["delta"]),
            document["seed"],
            document["released"],
            scale=_scale_of(document.get("links"), len(codec.sizes)),
            every_cell=document.get("every_cell", True),
        )
        if "derived" in document:
            check_part(document["derived"], "synthesizer", "derived")
            sizes = codec.sizes.tolist()
            derived = tuple(Derived.from_dict(each, sizes) for each in document["derived"])
            task = replace(task, derived=derived)
        width = int(codec.sizes.sum())
        shapes: dict[str, tuple[int, ...]] = {"counts": (width,), "losses": (document["updates"],)}
        if document["started"]:
            trained = task.cells.layout(task.layout)
            figures = len(trained.free) + trained.width
            shapes |= dict.fromkeys(VECTORS, (figures,))
            if "tape" in document:
                check_part(document["tape"], "synthesizer", "tape")
                if document["tape"]["figures"] != figures:
                    damaged(CHECKPOINT, "the tape does not fit the model")
                shapes |= Tape.shapes(document["tape"])
        arrays = read_arrays(CHECKPOINT, packed, shapes)
        return replace(
            task,
            counts=tuple(np.split(arrays["counts"].astype(np.float64), np.cumsum(codec.sizes)[:-1])),
            losses=arrays["losses"].astype(np.float64),
            state={name: arrays[name].astype(np.float32) for name in VECTORS if name in arrays},
            untold=tuple(document.get("untold", ())),
            imposed=tuple(document.get("imposed", ())),
            tape=Tape.from_parts(document["tape"], arrays) if "tape" in document else None,
        )

    def write(self, path: Path) -> None:
        """Write it to a file that only its owner can read."""
        write_file(path, self.to_bytes(), PRIVATE_FILE)

    @classmethod
    def read(cls, path: Path) -> TrainingTask | None:
        """What `write` wrote, None if there is no such file.

        Raises:
            ArtifactError: The file cannot be read, is damaged or not one of ours.
        """
        if not path.exists():
            return None
        return guarded(CHECKPOINT, path, lambda: cls.from_bytes(path.read_bytes()))


class StepReservations:
    """Writes checkpoints of one run and reserves its steps, a window at a time.

    Args:
        path: The checkpoint's file.
        ledger: Where the run is entered.
        task: The run as it begins or goes on.

    Attributes:
        task: The same, or with no step left if another process has reserved them all.
    """

    def __init__(self, path: Path, ledger: PrivacyLedger, task: TrainingTask) -> None:
        self.path, self.ledger = path, ledger
        task.write(path)
        self._granted = len(task.losses)  # number of the last step that this process may make
        self.task = task
        if self._granted < task.last_step and not self._extend():
            self.task = replace(task, released=task.plan.steps)  # another process goes on with the run

    def _extend(self) -> bool:
        granted = self._reserve(window(self.task.plan.steps))
        self._granted += granted
        return granted > 0

    def allows(self, step: int, update: AdamUpdate, losses: Sequence[float]) -> bool:
        """Whether a step may be made; the next window is reserved once the last one is used up.

        Args:
            step: Its number, at most two above what was made.
            update: The optimizer, whose state is kept before.
            losses: Noisy mean loss of each step so far.
        """
        if step <= self._granted:
            return True
        if losses:
            self.task.after(update, losses).write(self.path)
        return self._extend()

    def claim_search(self) -> bool:
        """Whether interactions may be looked for: once in a run, whatever a process that began it came to."""
        return self.ledger.claim_once(self.task.entry, INTERACTIONS)

    def keep(self, derived: tuple[Derived, ...], update: AdamUpdate, losses: Sequence[float]) -> None:
        """Keep the derived features that were chosen."""
        self.task = replace(self.task, derived=derived)
        self.task.after(update, losses).write(self.path)

    def close(self, update: AdamUpdate, losses: Sequence[float], reason: StopReason) -> int:
        """Keep the end, and give back what was reserved and not used.

        Args:
            update: The optimizer.
            losses: Noisy mean loss of each step.
            reason: Why training ended.

        Returns:
            How many steps of the run have been made by all processes, at most.

        Privacy:
            A step during which a worker was lost counts as made: the others' sums may have been seen.
        """
        used = len(losses) + (reason is StopReason.WORKER_LOST)
        if used < self._granted:
            self._reserve(used - self._granted)
        released = self.ledger.reserved_steps(self.task.entry)
        replace(self.task.after(update, losses), released=released).write(self.path)
        return released

    def _reserve(self, steps: int) -> int:
        return self.ledger.reserve_steps(self.task.entry, steps, self.task.plan.steps)


def _scale_of(links: list[list[float]] | None, columns: int) -> NDArray[np.float64] | None:
    """Interaction strength of each pair, `[m, m]`, from the pairs that interact; None if all do."""
    if links is None:
        return None
    scale = np.zeros((columns, columns))
    for source, target, strength in links:
        if not 0 <= source < target < columns or source != int(source) or target != int(target):
            damaged(CHECKPOINT, "links do not fit the columns")
        scale[int(source), int(target)] = strength
    return scale


def _plan_document(plan: RunPlan) -> dict[str, Any]:
    values = {name: getattr(plan, name) for name in (*_plan_fields(), *TRAINING)}
    privacy = None if plan.privacy is None else plan.privacy.to_dict()
    epsilon = plan.epsilon if math.isfinite(plan.epsilon) else None
    return {**values, "privacy": privacy, "epsilon": epsilon, "ends_by": plan.ends_by.value}


def _plan_fields() -> list[str]:
    return [each.name for each in fields(RunPlan) if each.name != "exact_training"]


def _plan_from(document: dict[str, Any], config: dict[str, Any], columns: int) -> RunPlan:
    """The plan of a document.

    Args:
        document: What `_plan_document` made, or an earlier version.
        config: Parameters by name.
        columns: How many columns are learned.
    """
    if set(EARLIER_NOISE) <= document.keys():
        document = {name: value for name, value in document.items() if name not in EARLIER_NOISE}
        grouped = config.get("num_microbatches") is not None
        document |= {"columns": columns, "gradient_sensitivity": MICROBATCH_SENSITIVITY if grouped else 1.0}
    # what earlier versions did not have
    counted = dict.fromkeys(("cap", "counted", "once"), float(document.get("unit_rows", 1)))
    document = {"picks": 0, "parents": None, **counted, **document}
    if sorted(document) != sorted([*_plan_fields(), *TRAINING]):
        damaged(CHECKPOINT, "the plan has unknown or missing fields")
    values = {name: document[name] for name in _plan_fields()}
    steps, probability = (document[name] for name in TRAINING)
    values["epsilon"] = math.inf if document["epsilon"] is None else document["epsilon"]
    values["ends_by"] = StopReason(document["ends_by"])
    if document["privacy"] is None:
        return RunPlan(**values, exact_training=SampledTraining(steps, probability, 1.0))
    values["privacy"] = PrivacyPlan.from_dict(document["privacy"])
    training = values["privacy"].training
    if training is None or (training.steps, training.sampling_probability) != (steps, probability):
        damaged(CHECKPOINT, "the steps are not those that the accountant was told of")
    return RunPlan(**values)
