"""Saves and loads synthesizers as an archive of JSON and plain arrays; no code is read.

Every field is checked against `synthesizer.schema.json` and against the others, and every cell is decoded
once, so that what loads also synthesizes. The file contains only what epsilon has paid for: no row, no exact
count. It is not signed: whoever can write the file can change the epsilon it states. `jupyter dpsynth verify`
notices if it no longer fits the events.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.engine.model.features import Derived
from jupyter_dpsynth.engine.model.learned import Learned
from jupyter_dpsynth.engine.model.network import Layout, TabularModel
from jupyter_dpsynth.engine.model.reference import reference_from
from jupyter_dpsynth.engine.model.tape import Tape
from jupyter_dpsynth.files.archive import (
    MAX_TEXT,
    Kind,
    bounded,
    damaged,
    guarded,
    is_saved,
    pack,
    read_arrays,
    unpack,
    write_file,
)
from jupyter_dpsynth.files.jsonschema import check_document, read_json
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt
from jupyter_dpsynth.reports import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "SYNTHESIZER",
    "SYNTHESIZER_OF_PERSONS",
    "load",
    "model_bytes",
    "model_parts",
    "read_receipt",
    "rebuild",
    "save",
]

SYNTHESIZER = Kind("synthesizer", 3)
SYNTHESIZER_OF_PERSONS = Kind("persons", 1)  # of several tables: see `persons.saving`
ROUNDING = 1e-6  # of sums of shares


def save(config: HighDimConfig, learned: Learned, path: str | Path) -> None:
    """Write what a synthesizer has learned.

    Args:
        config: The parameters that it was learned with.
        learned: The privatised state.
        path: File to write. One that is there is replaced, once the new content is complete.

    Raises:
        ArtifactError: The file cannot be written.
    """
    write_file(path, model_bytes(config, learned))


def model_bytes(config: HighDimConfig, learned: Learned) -> bytes:
    """The content of the file that `save` writes.

    Args:
        config: The parameters that it was learned with.
        learned: The privatised state.
    """
    return pack(SYNTHESIZER, *model_parts(config, learned))


def model_parts(config: HighDimConfig, learned: Learned) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document and the arrays of a saved synthesizer.

    Args:
        config: The parameters that it was learned with.
        learned: The privatised state.
    """
    schema: dict[str, Any] = {
        "config": config.to_dict(),
        "codec": learned.codec.to_dict(),
        "reference": learned.reference.to_dict(),
        "receipt": learned.receipt.to_dict(),
        "stop_reason": learned.stop_reason.value,
        "derived": [feature.to_dict() for feature in learned.model.layout.derived],
    }
    if len(learned.losses) != learned.receipt.completed_steps:  # a crash took some steps' results
        schema["updates"] = len(learned.losses)
    arrays = {
        "weights": learned.model.weights,
        "bias": learned.model.bias,
        "scale": learned.model.layout.scale,
        "losses": learned.losses,
    }
    if learned.tape is not None:
        schema["tape"] = learned.tape.to_dict()
        arrays |= learned.tape.arrays()
    return schema, arrays


def load(path: str | Path) -> tuple[HighDimConfig, Learned]:
    """Read what `save` wrote.

    Args:
        path: The file.

    Returns:
        The config and the privatised state.

    Raises:
        ArtifactError: The file cannot be read, is not ours, of a newer protocol, or damaged.
    """
    return guarded(SYNTHESIZER, path, lambda: _rebuild(*unpack(SYNTHESIZER, path)))


def read_receipt(path: str | Path) -> object:
    """The receipt in a file, as parsed JSON; the file is a receipt or a saved synthesizer.

    Args:
        path: The file. A saved synthesizer is checked as `load` does it.

    Raises:
        ArtifactError: The file cannot be read, or is neither.
    """

    def read() -> object:
        if not zipfile.is_zipfile(path):
            with Path(path).open("rb") as file:
                return read_json(bounded(file, MAX_TEXT))
        if is_saved(SYNTHESIZER_OF_PERSONS, path):
            document, _ = unpack(SYNTHESIZER_OF_PERSONS, path)
            check_document(document["persons"], SYNTHESIZER.name)
            return document["persons"]["receipt"]
        schema, arrays = unpack(SYNTHESIZER, path)
        _rebuild(schema, arrays)
        return schema["receipt"]

    return guarded(SYNTHESIZER, path, read)


def _rebuild(schema: dict[str, Any], packed: bytes) -> tuple[HighDimConfig, Learned]:
    return rebuild(schema, lambda shapes: read_arrays(SYNTHESIZER, packed, shapes))


def rebuild(
    schema: dict[str, Any], read: Callable[[dict[str, tuple[int, ...]]], dict[str, Any]]
) -> tuple[HighDimConfig, Learned]:
    """The config and the privatised state of a document that fits its JSON Schema.

    Args:
        schema: The document.
        read: Gives the arrays of these shapes.

    Raises:
        ArtifactError: The document contradicts itself.
    """
    receipt = PrivacyReceipt.from_dict(schema["receipt"])
    codec = TableCodec.from_dict(schema["codec"])
    columns, width, sizes = len(codec.columns), int(codec.sizes.sum()), codec.sizes.tolist()
    derived = tuple(Derived.from_dict(each, sizes) for each in schema.get("derived", ()))
    _rehearse(codec)
    _check_reference(schema["reference"], codec)
    shapes: dict[str, tuple[int, ...]] = {
        "weights": (width + sum(feature.size for feature in derived), width),
        "bias": (width,),
        "scale": (columns, columns),
        "losses": (schema.get("updates", receipt.completed_steps),),
    }
    if shapes["losses"][0] > receipt.completed_steps:
        damaged(SYNTHESIZER, "there are more updates than steps")
    if "tape" in schema:
        shapes |= Tape.shapes(schema["tape"])
    arrays = read(shapes)
    layout = Layout(codec.sizes, arrays["scale"].astype(np.float64), derived)
    if (layout.scale < 0).any() or np.tril(layout.scale).any():
        damaged(SYNTHESIZER, "scale does not belong to an autoregressive model")
    if "tape" in schema and schema["tape"]["figures"] != len(layout.free) + layout.width:
        damaged(SYNTHESIZER, "the tape does not fit the model")
    model = TabularModel(layout, arrays["weights"].astype(np.float32), arrays["bias"].astype(np.float32))
    learned = Learned(
        codec=codec,
        model=model,
        reference=reference_from(codec, schema["reference"]),
        receipt=receipt,
        stop_reason=StopReason(schema["stop_reason"]),
        losses=arrays["losses"].astype(np.float64),
        tape=Tape.from_parts(schema["tape"], arrays) if "tape" in schema else None,
    )
    return HighDimConfig(**schema["config"]), learned


def _check_reference(reference: dict[str, Any], codec: TableCodec) -> None:
    """Raise ArtifactError unless the measurements fit the columns."""
    sizes = codec.sizes.tolist()
    for name in ("shares", "noise"):
        if [len(cells) for cells in reference[name]] != sizes:
            damaged(SYNTHESIZER, f"{name} do not fit the columns")
    if any(abs(sum(cells) - 1) > ROUNDING for cells in reference["shares"]):
        damaged(SYNTHESIZER, "shares do not add up to 1")
    moved = [len(column.moved_into) for column in codec.columns]
    if reference.get("moved") and [len(rows) for rows in reference["moved"]] != moved:
        damaged(SYNTHESIZER, "moved rows do not fit the columns")
    if [len(row) for row in reference["dependence"]] != [len(sizes)] * len(sizes):
        damaged(SYNTHESIZER, "dependence does not fit the columns")
    dependence = np.array(reference["dependence"])
    if not np.array_equal(dependence, dependence.T):
        damaged(SYNTHESIZER, "dependence is not symmetric")


def _rehearse(codec: TableCodec) -> None:
    """Decode every cell once, so that a bad file fails now and not when the user synthesizes."""
    cells = np.arange(codec.sizes.max())[:, None]
    codes = np.minimum(cells, codec.sizes - 1).astype(np.int32)
    made = codec.decode(codes, np.random.default_rng(0))
    if tuple(made.columns) != codec.df_meta.names:
        damaged(SYNTHESIZER, "columns appear twice")
