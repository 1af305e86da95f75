"""Reads and writes saved files: a zip of one JSON document and plain arrays. No pickle and no code is read.

What is read is bounded before it is unpacked, and checked against a JSON Schema and against the shapes that
the document implies. A file is not signed: whoever can write it can change what it states.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from numpy.lib import format as npy

from jupyter_dpsynth.errors import ArtifactError, DPSynthError, shown
from jupyter_dpsynth.files.jsonschema import check_document, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

__all__ = [
    "ARRAYS",
    "SCHEMA",
    "Kind",
    "bounded",
    "damaged",
    "guarded",
    "is_saved",
    "pack",
    "read_arrays",
    "unpack",
    "write_file",
]

T = TypeVar("T")
SCHEMA, ARRAYS = "schema.json", "arrays.npz"
MAX_BYTES = 2**30  # of one unpacked member: a zip bomb is refused before it is unpacked
MAX_TEXT = 2**27  # of unpacked JSON
LARGEST_FIGURE = 1e9  # of an array, in nats


class Kind:
    """One kind of file.

    Args:
        name: What it is called in messages, and after the package's name in its own head.
        protocol: The version that is written, and the newest that is read.
    """

    def __init__(self, name: str, protocol: int) -> None:
        self.name, self.protocol = name, protocol

    @property
    def head(self) -> dict[str, Any]:
        """The first fields of every document."""
        return {"format": f"jupyter_dpsynth {self.name}", "protocol": self.protocol}


def pack(
    kind: Kind, document: dict[str, Any], arrays: Mapping[str, Any], *, compressed: bool = True
) -> bytes:
    """The content of a file.

    Args:
        kind: What the file is.
        document: Everything but the arrays, JSON-ready.
        arrays: Floating-point arrays by name.
        compressed: Smaller, but slow for large arrays.
    """
    numbers, content = io.BytesIO(), io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(numbers, **arrays)
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr(SCHEMA, json.dumps({**kind.head, **document}, allow_nan=False))
        archive.writestr(ARRAYS, numbers.getvalue())
    return content.getvalue()


def write_file(path: str | Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file that is replaced only once the new content is complete.

    Args:
        path: The file.
        content: What `pack` gave.
        mode: Who may read it, before the user's own mask.

    Raises:
        ArtifactError: The file cannot be written.
    """
    target = Path(path)
    partial = target.with_name(target.name + ".part")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise ArtifactError(f"path = {str(path)!r} cannot be written: {error.strerror}.") from None


def unpack(kind: Kind, source: Any) -> tuple[dict[str, Any], bytes]:  # noqa: ANN401 - a path or a file
    """The checked document, and the arrays, still packed.

    Args:
        kind: What the file must be.
        source: Its path, or a file to read from.
    """
    with _open(kind.name, source, [SCHEMA, ARRAYS]) as archive:
        with archive.open(SCHEMA) as file:
            document = read_json(bounded(file, MAX_TEXT))
        with archive.open(ARRAYS) as file:
            packed = bounded(file, MAX_BYTES)
    if isinstance(document, dict) and document.get("format") == kind.head["format"]:
        protocol = document.get("protocol")
        if isinstance(protocol, int) and protocol > kind.protocol:
            raise ArtifactError(
                f"it has protocol {shown(protocol)}, this version reads up to {kind.protocol}: "
                "update jupyter_dpsynth."
            )
    check_document(document, kind.name)
    return document, packed


def is_saved(kind: Kind, path: str | Path) -> bool:
    """Whether a file says that it is of this kind."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(SCHEMA) as file:
            document = read_json(bounded(file, MAX_TEXT))
    except Exception:  # noqa: BLE001 - a damaged file may fail anywhere: whoever reads it tells
        return False
    return isinstance(document, dict) and document.get("format") == kind.head["format"]


def read_arrays(
    kind: Kind, packed: bytes, shapes: dict[str, tuple[int, ...]]
) -> dict[str, NDArray[np.floating[Any]]]:
    """The arrays, of exactly these shapes: headers are compared before anything is unpacked."""
    arrays = {}
    with _open(kind.name, io.BytesIO(packed), [f"{name}.npy" for name in shapes]) as archive:
        for name, shape in shapes.items():
            with archive.open(f"{name}.npy") as file:
                major = npy.read_magic(file)[0]
                header = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
                stored, fortran, dtype = header(file)
                size = math.prod(shape) * dtype.itemsize
                if stored != shape or dtype.kind != "f" or dtype.itemsize > 8 or size > MAX_BYTES:
                    damaged(kind, f"{name} has the wrong form")
                content = bounded(file, size)
            array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
            if not (np.abs(array.astype(np.float64)) <= LARGEST_FIGURE).all():  # a NaN compares as False
                damaged(kind, f"{name} contains values that are not finite or far too large")
            arrays[name] = array
    return arrays


def guarded(kind: Kind, path: str | Path, action: Callable[[], T]) -> T:
    """Run code that reads a file; any exception becomes an ArtifactError that names the file."""
    try:
        with np.errstate(over="raise", invalid="raise"):
            return action()
    except DPSynthError as error:
        problem = f"cannot be used: {error}"
    except OSError as error:
        problem = f"cannot be read: {error.strerror or type(error).__name__}."
    except Exception as error:  # noqa: BLE001 - a damaged file may fail anywhere
        problem = f"is not a saved {kind.name}, or is damaged ({type(error).__name__})."
    raise ArtifactError(f"path = {str(path)!r} {problem}")


def damaged(kind: Kind, what: str) -> NoReturn:
    """Raise ArtifactError for a file that contradicts itself."""
    raise ArtifactError(f"the saved {kind.name} is damaged: {what}.")


def bounded(file: Any, most: int) -> bytes:  # noqa: ANN401 - a file to read from
    """Read a whole file; raises ArtifactError if it is longer than allowed, whatever its header says."""
    content: bytes = file.read(most + 1)
    if len(content) > most:
        raise ArtifactError(f"it unpacks to more than {most:,} bytes.")
    return content


def _open(name: str, source: Any, members: list[str]) -> zipfile.ZipFile:  # noqa: ANN401 - a path or a file
    """A zip with exactly these members."""
    archive = zipfile.ZipFile(source)
    if sorted(archive.namelist()) != sorted(members):
        archive.close()
        raise ArtifactError(f"it is not a saved {name}: it contains other files.")
    return archive
