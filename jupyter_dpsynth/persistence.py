"""Saved synthesizers: a zip of JSON and plain arrays, rebuilt by our own constructors.

No pickle and no code is read. The file holds privatised state only: no row, no exact count. It is not
signed: whoever can write the file can change the epsilon it states.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.marginals import reference_from
from jupyter_dpsynth.engine.model import Layout, TabularModel
from jupyter_dpsynth.engine.reports import StopReason
from jupyter_dpsynth.engine.run import Learned
from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt

if TYPE_CHECKING:
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["PROTOCOL", "load", "save"]

PROTOCOL = 1
SCHEMA, ARRAYS = "schema.json", "arrays.npz"
MAX_BYTES = 2**30  # of one unpacked member: a zip bomb is refused before it is unpacked
SHAPES = {"weights": 2, "bias": 1, "scale": 2, "losses": 1}


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
        "format": "jupyter_dpsynth synthesizer",
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
            archive.writestr(SCHEMA, json.dumps(schema, allow_nan=True))
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
    try:
        schema, arrays = _members(Path(path))
        return _rebuild(schema, arrays)
    except ArtifactError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ArtifactError(f"path = {str(path)!r} cannot be read: {reason}.") from None
    except Exception as error:  # noqa: BLE001 - a damaged file may fail anywhere
        raise ArtifactError(
            f"path = {str(path)!r} is not a saved synthesizer, or is damaged ({type(error).__name__})."
        ) from None


def _members(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    with zipfile.ZipFile(path) as archive:
        if sorted(archive.namelist()) != sorted([SCHEMA, ARRAYS]):
            raise ArtifactError(f"path = {str(path)!r} is not a saved synthesizer.")
        if any(member.file_size > MAX_BYTES for member in archive.infolist()):
            raise ArtifactError(f"path = {str(path)!r} unpacks to more than {MAX_BYTES:,} bytes.")
        schema = json.loads(archive.read(SCHEMA))
        packed = io.BytesIO(archive.read(ARRAYS))
    if schema["protocol"] > PROTOCOL:
        raise ArtifactError(
            f"path = {str(path)!r} has protocol {schema['protocol']}, this version reads up to "
            f"{PROTOCOL}: update jupyter_dpsynth."
        )
    with zipfile.ZipFile(packed) as inner:
        if sum(member.file_size for member in inner.infolist()) > MAX_BYTES:
            raise ArtifactError(f"path = {str(path)!r} unpacks to more than {MAX_BYTES:,} bytes.")
    packed.seek(0)
    with np.load(packed, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in SHAPES}
    for name, dimensions in SHAPES.items():
        array = arrays[name]
        if array.ndim != dimensions or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ArtifactError(f"path = {str(path)!r} is damaged: {name} has the wrong form.")
    return schema, arrays


def _rebuild(
    schema: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]
) -> tuple[HighDimConfig, Learned]:
    codec = TableCodec.from_dict(schema["codec"])
    layout = Layout(codec.sizes, arrays["scale"].astype(np.float64))
    width, columns = layout.width, len(codec.columns)
    fits = {"weights": (width, width), "bias": (width,), "scale": (columns, columns)}
    for name, shape in fits.items():
        if arrays[name].shape != shape:
            raise ArtifactError(f"the saved synthesizer is damaged: {name} does not fit its columns.")
    reference = reference_from(codec, schema["reference"])
    if [len(share) for share in reference.shares] != codec.sizes.tolist():
        raise ArtifactError("the saved synthesizer is damaged: shares do not fit its columns.")
    model = TabularModel(layout, arrays["weights"].astype(np.float32), arrays["bias"].astype(np.float32))
    learned = Learned(
        codec=codec,
        model=model,
        reference=reference,
        receipt=PrivacyReceipt.from_dict(schema["receipt"]),
        stop_reason=StopReason(schema["stop_reason"]),
        losses=arrays["losses"],
    )
    return HighDimConfig(**schema["config"]), learned
