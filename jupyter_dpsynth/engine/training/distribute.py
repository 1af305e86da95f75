"""Training on the replicas of a `tf.distribute` strategy: devices of one machine, workers on several.

**Sampling.** The rows (with `privacy_unit`, the privacy units) are cut by their index into one shard for each
worker, and each worker's shard into one for each of its devices. In a step each worker draws a Poisson sample
of its shard, with the plan's probability q. A Poisson sample is one independent coin toss of probability q
for each row; the shards are disjoint and cover the table, and the workers toss independently of each other:
so the union of the samples is one coin toss of probability q for each row, a Poisson sample of the table. A
row is in one shard and so in at most one replica's clipped sum, which it changes by at most C, as it does
their total. The accountant's event is unchanged, for any number of replicas.

**Noise.** The planned noise has standard deviation sigma C in every coordinate of the total. A process that
has the fraction s of all replicas adds, once, normals of standard deviation sqrt(s) sigma C from its own
operating-system entropy, drawn by the planned training and rounded to the grid of the sums. Independent
normals add up in variance and the fractions add up to 1, so that the total has the planned noise: with one
process the share is all of it. (A sum of w rounded normals is, but for terms below exp(-2 pi^2 r^2) where
each has a standard deviation of r steps, the rounded sum of the normals and of w - 1 uniform draws from
[-1/2, 1/2]: post-processing of the sum of the normals.) It is added before the all-reduce, to each worker's
exact sum; an empty sample is noised like any other. The all-reduce adds whole numbers in float64, which is
exact.

**What is trusted.** The guarantee is about what the run releases: the totals, and everything made from them.
The workers are trusted, since each reads private rows, and so is the network between them: TensorFlow's
connections are neither encrypted nor authenticated, use a private network. There were two ways to add the
noise. One worker alone could add all of it: then the others' exact sums cross the wire. Shares keep every
exact sum inside the process that computed it, and let no worker know all of the noise; what one worker sends
carries only its own share, and a worker that subtracts its share from the total finds it under the rest, for
two workers half the variance. Shares are used here because they are weaker nowhere: a lost share cannot be
overlooked, since without that worker's contribution there is no total at all.

**Who measures.** The first worker enters the run into its ledger, measures domain and marginals, and sends
these privatised results to the others through the same all-reduce (to which they contribute zeros). So
nothing is measured twice, and every worker makes the same steps.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from jupyter_dpsynth.engine.training.gradient import BatchGradient
from jupyter_dpsynth.engine.training.release import NoisySums, codes_at
from jupyter_dpsynth.errors import ConfigError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from jupyter_dpsynth.config import ResolvedConfig
    from jupyter_dpsynth.engine.training.gradient import Tensor
    from jupyter_dpsynth.engine.training.release import NativeRelease
    from jupyter_dpsynth.errors import DPSynthError
    from jupyter_dpsynth.privacy.releases import StepSample

__all__ = ["ReplicatedRelease", "Workers"]

KINDS = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.OneDeviceStrategy,
)
# how TensorFlow says that a peer of a collective operation is gone
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
WORD = 4  # bytes that a float64 carries exactly
RESIDENT_KIND, RESIDENT_BYTES = "GPU", 2**30  # codes up to this size stay on devices of this kind
# as the smallest type that GPUs can pick rows of: whole numbers are picked, or passed, on the host
RESIDENT_TYPE, RESIDENT_EXACT = np.float16, 2**11


class Workers:
    """The replicas of a strategy, and this process's place among its workers.

    Args:
        strategy: `MirroredStrategy`, `MultiWorkerMirroredStrategy` or `OneDeviceStrategy`.

    Attributes:
        devices: This worker's devices, one for each of its replicas.
        share: Fraction of all replicas that are this worker's: its share of the noise's variance.
        worker: This worker's number, from 0.
        workers: How many workers there are.

    Raises:
        ConfigError: The strategy is of another kind.
    """

    def __init__(self, strategy: Any) -> None:  # noqa: ANN401 - TensorFlow ships no types
        if not isinstance(strategy, KINDS):
            raise ConfigError(
                f"strategy is a {type(strategy).__name__}: give a tf.distribute.MirroredStrategy (devices of "
                "one machine), a MultiWorkerMirroredStrategy (several workers), or None for one device."
            )
        self.strategy = strategy
        self.devices = tuple(strategy.extended.worker_devices)
        self.share = len(self.devices) / strategy.num_replicas_in_sync
        self.worker, self.workers = _place(strategy)
        self._vector = tf.TensorSpec([None], tf.float64)
        self._total = tf.function(self._summed, input_signature=[self._vector])
        self._stop_requested = self._ending = self._told = False

    def check(self, config: ResolvedConfig) -> None:
        """Raise ConfigError for parameters that need all rows of a batch in one place."""
        for name, value, plain in (
            ("num_microbatches", config.num_microbatches, None),
            ("dp_backend", config.dp_backend, "native"),
        ):
            if value != plain:
                raise ConfigError(
                    f"{name} = {value!r} does not work with a strategy: use {name} = {plain!r}, or learn "
                    "without tf.distribute."
                )

    def rows(self, count: int) -> slice:
        """This worker's shard of so many rows (or privacy units)."""
        return slice(count * self.worker // self.workers, count * (self.worker + 1) // self.workers)

    def replica(self) -> int:
        """Within `strategy.run`: the number of the running replica among this worker's."""
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return int(tf.get_static_value(number)) % len(self.devices)

    @staticmethod
    def all_reduce(vector: Tensor) -> Tensor:
        """Within `strategy.run`: the sum over all replicas of all workers."""
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(vector))

    def read(self, result: Any) -> NDArray[np.float64]:  # noqa: ANN401 - one value for each replica
        """What `all_reduce` gave, which is the same on every replica."""
        found: NDArray[np.float64] = self.strategy.experimental_local_results(result)[0].numpy()
        return found

    def _summed(self, vector: Tensor) -> Any:  # noqa: ANN401
        def one() -> Tensor:
            return self.all_reduce(vector if self.replica() == 0 else tf.zeros_like(vector))

        return self.strategy.run(one)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """What a collective operation raises when a peer is gone becomes a WorkerLostError."""
        try:
            yield
        except LOST as error:
            if self.workers == 1:
                raise
            kind = type(error).__name__
        else:
            return
        raise WorkerLostError(
            f"another worker ended or cannot be reached ({kind}). TensorFlow cannot continue without it: "
            "start all workers again."
        )

    def total(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of one vector of every worker, float64.

        Raises:
            WorkerLostError: A worker is gone.
        """
        with self.watched():
            return self.read(self._total(tf.constant(vector, tf.float64)))

    def send(self, content: bytes, *, last: bool = False) -> bytes:
        """The first worker's bytes, on every worker; empty if it has failed and there are none.

        Args:
            content: On the first worker what all are to get; ignored on the others.
            last: Whether the others wait for nothing more.

        Raises:
            WorkerLostError: A worker is gone.
        """
        self._told = self._told or last
        mine = content if self.worker == 0 else b""
        size = int(self.total(np.array([len(mine)]))[0])
        words = np.zeros(-(-size // WORD))
        if self.worker == 0:
            words[:] = np.frombuffer(mine + b"\0" * (-size % WORD), "<u4")
        return self.total(words).astype("<u4").tobytes()[:size] if size else b""

    def require(self, fine: bool, problem: DPSynthError) -> None:  # noqa: FBT001 - the one thing it is about
        """Raise on all workers unless all is fine on every one of them."""
        if self.total(np.array([float(not fine)]))[0]:
            self._told = True
            raise problem

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """The first worker's preparations: if they fail, the others are told so and need not wait."""
        try:
            yield
        except BaseException:
            if self.workers > 1 and not self._told:
                with contextlib.suppress(WorkerLostError):
                    self.send(b"", last=True)
            raise

    def ends(self, stop_requested: bool) -> bool:  # noqa: FBT001 - the one thing it is about
        """Whether training ends here: all workers end after the same step.

        Args:
            stop_requested: Whether this worker was asked to stop. The others learn it with the sums of the
                next step, after which all of them end.
        """
        self._stop_requested = stop_requested
        return self._ending if self.workers > 1 else stop_requested

    def stop_request(self) -> float:
        """1 if this worker was asked to stop, as it is added to the sums, else 0."""
        return float(self._stop_requested)

    def receive(self, stop_requests: float) -> None:
        """Take in how many workers were asked to stop."""
        self._ending = stop_requests > 0


def _place(strategy: Any) -> tuple[int, int]:  # noqa: ANN401
    """Number of this worker, and how many there are."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict()
    chiefs, workers = len(jobs.get("chief", ())), len(jobs.get("worker", ()))
    if chiefs + workers <= 1:
        return 0, 1
    return (0 if resolver.task_type == "chief" else chiefs + resolver.task_id), chiefs + workers


class ReplicatedRelease:
    """Clips and sums on every replica, adds this worker's share of the noise, and sums over all.

    The protocol is that of every `GradientRelease`, with `codes` and the sample those of this worker's shard.

    Args:
        native: Clips and sums, and states the sensitivity.
        workers: The replicas.

    Attributes:
        meanwhile: Called in every step while devices that compute on their own are at work.
    """

    def __init__(self, native: NativeRelease, workers: Workers) -> None:
        self.native, self.workers = native, workers
        self.meanwhile: Callable[[], object] = lambda: None
        known = native.gradient
        self._gradients, self._free, zeros = [], [], []
        self._size = len(native.steps)
        for device in workers.devices:
            with tf.device(device):  # so that no step copies constants from one device to another
                self._gradients.append(
                    BatchGradient(
                        known.layout, known.clip_norm, known.loss_bound, known.expected, known.unit_rows
                    )
                )
                self._free.append(tf.constant(known.arrangement.places))
                zeros.append(tf.zeros([self._size], tf.float64))
        self._zeros = tuple(zeros)
        self._codes: Any = None  # the array that the step was traced for
        self._tables: tuple[Tensor, ...] = ()  # the same on each device, if it fits
        self._accumulate: Any = None
        self._finish: Any = None

    def population(self, codes: NDArray[np.integer[Any]]) -> int:
        """The rows, or privacy units, of this worker's shard."""
        return self.native.population(codes)

    def release(
        self, weights: Tensor, bias: Tensor, codes: NDArray[np.integer[Any]], sample: StepSample
    ) -> NoisySums:
        """Noisy sums over the rows that all workers sampled.

        Raises:
            WorkerLostError: A worker is gone. What the others sent may have reached somebody: the step counts
                as released.

        Privacy:
            As `NativeRelease.release`, for the union of the workers' samples.
        """
        held = self.sums(weights, bias, codes, sample.indices)
        # drawn while devices that compute on their own are still at work
        noise = self._noise(sample)
        self.meanwhile()
        with self.workers.watched():
            total = self.workers.read(self._finish(held, noise))
        self.workers.receive(total[-1])
        return NoisySums.of(total[:-1], self.native.steps, self.native.gradient.layout.width)

    def sums(
        self, weights: Tensor, bias: Tensor, codes: NDArray[np.integer[Any]], indices: NDArray[np.int64]
    ) -> tuple[Tensor, ...]:
        """Each local replica's sums before noise (private!), in whole steps, `[F + D + 1]`, on its device."""
        if self._codes is not codes:
            self._prepare(codes)
        held = self._zeros
        for chunks in self._chunks(codes, indices):
            held = self._accumulate(weights, bias, self._tables, chunks, held)
        return held

    def _noise(self, sample: StepSample) -> Tensor:
        """This worker's share of the noise, and whether it was asked to stop, `[F + D + 2]`."""
        noise = sample.noise(self.native.steps, self.native.sensitivity)
        return tf.constant(np.append(noise, self.workers.stop_request()))

    def _chunks(self, codes: NDArray[np.integer[Any]], indices: NDArray[np.int64]) -> Iterator[Any]:
        """For one chunk after the other what each device computes on; devices that are done get no rows."""
        devices = self.workers.devices
        owner = indices * len(devices) // max(self.population(codes), 1)  # shards by index
        batches = [self.native.batches(indices[owner == each]) for each in range(len(devices))]
        nothing = next(iter(self.native.batches(indices[:0])))
        for parts in itertools.zip_longest(*batches, fillvalue=nothing):
            chunk = []
            for device, (rows, *others) in zip(devices, parts, strict=True):
                found = rows if self._tables else codes_at(codes, rows, self.native.cells)
                with tf.device(device):
                    chunk.append(tuple(map(tf.constant, (found, *others))))
            yield tuple(chunk)

    def _prepare(self, codes: NDArray[np.integer[Any]]) -> None:
        """Put this worker's codes on its devices, if they fit, and trace the step once."""
        self._codes, tables = codes, []
        small = codes.size * np.dtype(RESIDENT_TYPE).itemsize <= RESIDENT_BYTES
        exact = max(self.native.gradient.layout.sizes) <= RESIDENT_EXACT
        if small and exact and all(RESIDENT_KIND in device for device in self.workers.devices):
            cells = self.native.cells
            halves = (codes if cells is None else cells.codes(codes)).astype(RESIDENT_TYPE)
            for device in self.workers.devices:
                with tf.device(device):
                    tables.append(tf.constant(halves))
        self._tables = tuple(tables)
        first, *others = self.native.row_specs
        if tables:
            first = tf.TensorSpec(first.shape[:-1], tf.int64)
        parameters = self.native.gradient.parameter_specs
        places = tuple(tf.TensorSpec(table.shape, table.dtype) for table in tables)
        chunks = ((first, *others),) * len(self.workers.devices)
        held = (tf.TensorSpec([self._size], tf.float64),) * len(self.workers.devices)
        self._accumulate = tf.function(self._accumulated, input_signature=[*parameters, places, chunks, held])
        noise = tf.TensorSpec([self._size + 1], tf.float64)
        self._finish = tf.function(self._finished, input_signature=[held, noise])

    def _accumulated(
        self,
        weights: Tensor,
        bias: Tensor,
        tables: tuple[Tensor, ...],
        chunks: tuple[tuple[Tensor, ...], ...],
        held: tuple[Tensor, ...],
    ) -> tuple[Tensor, ...]:
        """Add each replica's clipped sums of one chunk (private!) to what it holds, float64 `[F + D + 1]`."""

        def one() -> Tensor:
            number = self.workers.replica()
            rows, *others = chunks[number]
            codes = tf.cast(tf.gather(tables[number], rows), tf.int32) if tables else rows
            kernel = self.native.kernel(self._gradients[number])
            products, for_bias, loss = kernel(weights, bias, codes, *others)
            for_weights = tf.gather(tf.reshape(products, [-1]), self._free[number])
            sums = [tf.cast(part, tf.float64) for part in (for_weights, for_bias, loss[None])]
            return held[number] + tf.concat(sums, axis=0)

        results: tuple[Tensor, ...] = self.workers.strategy.experimental_local_results(
            self.workers.strategy.run(one)
        )
        return results

    def _finished(self, held: tuple[Tensor, ...], noise: Tensor) -> Any:  # noqa: ANN401
        """Add the noise on this worker's first device, and sum over all replicas of all workers."""

        def one() -> Tensor:
            number = self.workers.replica()
            own = tf.concat([held[number], tf.zeros([1], tf.float64)], axis=0)
            return self.workers.all_reduce(own + noise if number == 0 else own)

        return self.workers.strategy.run(one)
