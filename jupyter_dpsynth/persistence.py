"""Saved synthesizers: a zip of JSON and plain arrays, rebuilt by our own constructors.

No pickle and no code is read; every field is checked against `synthesizer.schema.json` and against the
others, and every cell is decoded once, so that what loads also synthesizes. The file holds privatised state
only: no row, no exact count. It is not signed: whoever can write the file can change the epsilon it states.
`jupyter dpsynth verify` notices where it no longer fits the events.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from numpy.lib import format as npy

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.marginals import reference_from
from jupyter_dpsynth.engine.model import Layout, TabularModel
from jupyter_dpsynth.engine.reports import StopReason
from jupyter_dpsynth.engine.run import Learned
from jupyter_dpsynth.errors import ArtifactError, DPSynthError, shown
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt
from jupyter_dpsynth.schemas import check_document, read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["PROTOCOL", "load", "read_receipt", "save"]

T = TypeVar("T")
FORMAT, PROTOCOL = "jupyter_dpsynth synthesizer", 1
SCHEMA, ARRAYS = "schema.json", "arrays.npz"
MAX_BYTES = 2**30  # of one unpacked member: a zip bomb is refused before it is unpacked
MAX_TEXT = 2**27  # of unpacked JSON
LARGEST_FIGURE = 1e9  # of an array, in nats
ROUNDING = 1e-6  # of sums of shares


def save(synthesizer: HighDimSynthesizer, path: str | Path) -> None:
    """Write a learned synthesizer.

    Args:
        synthesizer: The synthesizer.
        path: File to write; it is replaced only once the new content is complete.

    Raises:
        NotLearnedError: There is nothing to save yet.
        ArtifactError: The file cannot be written.
    """
    learned = synthesizer.learned
    schema = {
        "format": FORMAT,
        "protocol": PROTOCOL,
        "config": synthesizer.config.to_dict(),
        "codec": learned.codec.to_dict(),
        "reference": learned.reference.to_dict(),
        "receipt": learned.receipt.to_dict(),
        "stop_reason": learned.stop_reason.value,
    }
    arrays = io.BytesIO()
    np.savez_compressed(
        arrays,
        weights=learned.model.weights,
        bias=learned.model.bias,
        scale=learned.model.layout.scale,
        losses=learned.losses,
    )
    target = Path(path)
    partial = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(SCHEMA, json.dumps(schema, allow_nan=False))
            archive.writestr(ARRAYS, arrays.getvalue())
        partial.replace(target)
    except OSError as error:
        raise ArtifactError(f"path = {str(path)!r} cannot be written: {error.strerror}.") from None


def load(path: str | Path) -> tuple[HighDimConfig, Learned]:
    """Read what `save` wrote.

    Args:
        path: The file.

    Returns:
        The config and the privatised state.

    Raises:
        ArtifactError: The file cannot be read, is not ours, of a newer protocol, or damaged.
    """
    return _guarded(path, lambda: _rebuild(*_members(Path(path))))


def read_receipt(path: str | Path) -> object:
    """The receipt in a file, as JSON gives it: the file is one, or is a saved synthesizer.

    Args:
        path: The file. A saved synthesizer is checked as `load` does it.

    Raises:
        ArtifactError: The file cannot be read, or is neither.
    """

    def read() -> object:
        if not zipfile.is_zipfile(path):
            with Path(path).open("rb") as file:
                return read_json(_bounded(file, MAX_TEXT))
        schema, arrays = _members(Path(path))
        _rebuild(schema, arrays)
        return schema["receipt"]

    return _guarded(path, read)


def _guarded(path: str | Path, action: Callable[[], T]) -> T:
    """Run what reads a file; whatever it raises becomes an ArtifactError that names the file."""
    try:
        with np.errstate(over="raise", invalid="raise"):
            return action()
    except DPSynthError as error:
        problem = f"cannot be used: {error}"
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}."
    except Exception as error:  # noqa: BLE001 - a damaged file may fail anywhere
        problem = f"is not a saved synthesizer, or is damaged ({type(error).__name__})."
    raise ArtifactError(f"path = {str(path)!r} {problem}")


def _damaged(what: str) -> NoReturn:
    raise ArtifactError(f"the saved synthesizer is damaged: {what}.")


def _bounded(file: Any, most: int) -> bytes:  # noqa: ANN401 - a file to read from
    """All of a file; ArtifactError once it is longer than allowed, whatever its header said."""
    content: bytes = file.read(most + 1)
    if len(content) > most:
        raise ArtifactError(f"it unpacks to more than {most:,} bytes.")
    return content


def _open(source: Any, names: list[str]) -> zipfile.ZipFile:  # noqa: ANN401 - a path or a file
    """A zip with exactly these members."""
    archive = zipfile.ZipFile(source)
    if sorted(archive.namelist()) != sorted(names):
        archive.close()
        raise ArtifactError("it is not a saved synthesizer: it has other members.")
    return archive


def _members(path: Path) -> tuple[dict[str, Any], bytes]:
    """The checked schema, and the arrays still packed."""
    with _open(path, [SCHEMA, ARRAYS]) as archive:
        with archive.open(SCHEMA) as file:
            schema = read_json(_bounded(file, MAX_TEXT))
        with archive.open(ARRAYS) as file:
            packed = _bounded(file, MAX_BYTES)
    if isinstance(schema, dict) and schema.get("format") == FORMAT:
        protocol = schema.get("protocol")
        if isinstance(protocol, int) and protocol > PROTOCOL:
            raise ArtifactError(
                f"it has protocol {shown(protocol)}, this version reads up to {PROTOCOL}: "
                "update jupyter_dpsynth."
            )
    check_document(schema, "synthesizer")
    return schema, packed


def _arrays(packed: bytes, shapes: dict[str, tuple[int, ...]]) -> dict[str, NDArray[np.floating[Any]]]:
    """The arrays, of exactly these shapes: headers are compared before anything is unpacked."""
    arrays = {}
    with _open(io.BytesIO(packed), [f"{name}.npy" for name in shapes]) as archive:
        for name, shape in shapes.items():
            with archive.open(f"{name}.npy") as file:
                major = npy.read_magic(file)[0]
                header = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
                stored, fortran, dtype = header(file)
                size = math.prod(shape) * dtype.itemsize
                if stored != shape or dtype.kind != "f" or dtype.itemsize > 8 or size > MAX_BYTES:
                    _damaged(f"{name} has the wrong form")
                content = _bounded(file, size)
            array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
            if not (np.abs(array) <= LARGEST_FIGURE).all():  # a NaN compares as False
                _damaged(f"{name} holds what is not finite or far too large")
            arrays[name] = array
    return arrays


def _rebuild(schema: dict[str, Any], packed: bytes) -> tuple[HighDimConfig, Learned]:
    receipt = PrivacyReceipt.from_dict(schema["receipt"])
    codec = TableCodec.from_dict(schema["codec"])
    columns, width = len(codec.columns), int(codec.sizes.sum())
    _rehearse(codec)
    _check_reference(schema["reference"], codec.sizes.tolist())
    shapes = {
        "weights": (width, width),
        "bias": (width,),
        "scale": (columns, columns),
        "losses": (receipt.completed_steps,),
    }
    arrays = _arrays(packed, shapes)
    layout = Layout(codec.sizes, arrays["scale"].astype(np.float64))
    if (layout.scale < 0).any() or np.tril(layout.scale).any():
        _damaged("scale is not that of an autoregressive model")
    model = TabularModel(layout, arrays["weights"].astype(np.float32), arrays["bias"].astype(np.float32))
    learned = Learned(
        codec=codec,
        model=model,
        reference=reference_from(codec, schema["reference"]),
        receipt=receipt,
        stop_reason=StopReason(schema["stop_reason"]),
        losses=arrays["losses"].astype(np.float64),
    )
    return HighDimConfig(**schema["config"]), learned


def _check_reference(reference: dict[str, Any], sizes: list[int]) -> None:
    """Raise ArtifactError unless the measurements fit the columns."""
    for name in ("shares", "noise"):
        if [len(cells) for cells in reference[name]] != sizes:
            _damaged(f"{name} do not fit the columns")
    if any(abs(sum(cells) - 1) > ROUNDING for cells in reference["shares"]):
        _damaged("shares do not add up to 1")
    if [len(row) for row in reference["dependence"]] != [len(sizes)] * len(sizes):
        _damaged("dependence does not fit the columns")
    dependence = np.array(reference["dependence"])
    if not np.array_equal(dependence, dependence.T):
        _damaged("dependence is not symmetric")


def _rehearse(codec: TableCodec) -> None:
    """Decode every cell once: what fails later would fail in the user's notebook."""
    cells = np.arange(codec.sizes.max())[:, None]
    codes = np.minimum(cells, codec.sizes - 1).astype(np.int32)
    made = codec.decode(codes, np.random.default_rng(0))
    if tuple(made.columns) != codec.df_meta.names:
        _damaged("columns appear twice")
