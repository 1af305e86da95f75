"""Saves and loads synthesizers of several tables. What `persistence` says of one table holds here, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.encoding.table import TableCodec
from jupyter_dpsynth.files.archive import (
    damaged,
    guarded,
    is_saved,
    pack,
    read_arrays,
    unpack,
)
from jupyter_dpsynth.files.jsonschema import check_document, check_part
from jupyter_dpsynth.metadata.columns import DataFrameMeta, column_meta_from_dict
from jupyter_dpsynth.metadata.tables import Children, check_children, tables_meta
from jupyter_dpsynth.persistence import SYNTHESIZER, SYNTHESIZER_OF_PERSONS, model_parts, rebuild
from jupyter_dpsynth.persons.events import blocks_of, empty_blocks
from jupyter_dpsynth.persons.learned import LearnedEvents, LearnedPersons
from jupyter_dpsynth.persons.making import NOTHING_ASKED, make_tables

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_dpsynth.config import HighDimConfig

__all__ = ["are_persons", "load_persons", "persons_bytes"]

REHEARSED = 20  # persons that are made of a file before it is taken to be sound


def persons_bytes(config: HighDimConfig, learned: LearnedPersons) -> bytes:
    """The content of the file of a synthesizer of several tables.

    Args:
        config: The parameters that it was learned with.
        learned: The privatised state.
    """
    document, arrays = model_parts(config, learned)
    events = []
    for place, each in enumerate(learned.events):
        arrays |= {f"weights_{place}": each.weights, f"bias_{place}": each.bias}
        events.append(
            {
                **each.children.to_dict(),
                "codec": each.codec.to_dict(),
                "shares": [share.tolist() for share in each.shares],
                "terminal": np.flatnonzero(each.terminal).tolist(),
            }
        )
    whole = {
        "persons": {**SYNTHESIZER.head, **document},
        "tables": {name: meta.to_list() for name, meta in learned.meta.tables.items()},
        "key": learned.key,
        "events": events,
    }
    return pack(SYNTHESIZER_OF_PERSONS, whole, arrays)


def are_persons(path: str | Path) -> bool:
    """Whether a file says that it holds what `persons_bytes` gives."""
    return is_saved(SYNTHESIZER_OF_PERSONS, path)


def load_persons(path: str | Path) -> tuple[HighDimConfig, LearnedPersons]:
    """Read a file that holds what `persons_bytes` gives.

    Raises:
        ArtifactError: The file cannot be read, is of a newer protocol, or damaged.
    """
    return guarded(SYNTHESIZER_OF_PERSONS, path, lambda: _rebuilt(*unpack(SYNTHESIZER_OF_PERSONS, path)))


def _rebuilt(document: dict[str, Any], packed: bytes) -> tuple[HighDimConfig, LearnedPersons]:
    check_document(document["persons"], SYNTHESIZER.name)
    metas = {
        name: DataFrameMeta(tuple(map(column_meta_from_dict, columns)))
        for name, columns in document["tables"].items()
    }
    children = [Children.from_dict(each) for each in document["events"]]
    children, parent = check_children(metas, children)
    meta = tables_meta(metas, children, parent).with_id(document["key"])
    codecs = []
    for each in document["events"]:
        check_part(each["codec"], SYNTHESIZER.name, "codec")
        codecs.append(TableCodec.from_dict(each["codec"]))
    person_sizes = TableCodec.from_dict(document["persons"]["codec"]).sizes
    if len(person_sizes) != len(empty_blocks(meta, document["key"]).person):
        damaged(SYNTHESIZER_OF_PERSONS, "the columns of persons do not fit the tables")
    own_sizes = tuple(tuple(codec.sizes.tolist()) for codec in codecs)
    blocks = blocks_of(meta, tuple(person_sizes.tolist()), own_sizes)
    found: dict[str, Any] = {}

    def read(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
        for place, table in enumerate(blocks.tables):
            cells = int(blocks.sizes[table.own].sum())
            inputs = int(blocks.sizes[table.given.start : table.own.stop].sum())
            shapes = {**shapes, f"weights_{place}": (inputs, cells), f"bias_{place}": (cells,)}
        found.update(read_arrays(SYNTHESIZER_OF_PERSONS, packed, shapes))
        return found

    config, person = rebuild(document["persons"], read)
    events = tuple(
        _events(each, children[place], codecs[place], found, place)
        for place, each in enumerate(document["events"])
    )
    learned = LearnedPersons(**vars(person), meta=meta, key=document["key"], events=events)
    made = make_tables(learned, REHEARSED, np.random.default_rng(0), NOTHING_ASKED)
    for name, table in made.items():
        metas[name].check(table)
    return config, learned


def _events(
    values: dict[str, Any], children: Children, codec: TableCodec, arrays: dict[str, Any], place: int
) -> LearnedEvents:
    """One table of events."""
    sizes = codec.sizes.tolist()
    if [len(share) for share in values["shares"]] != sizes:
        damaged(SYNTHESIZER_OF_PERSONS, "shares do not fit the columns")
    terminal = np.zeros(sum(sizes), dtype=bool)
    terminal[values["terminal"]] = True
    return LearnedEvents(
        children,
        codec,
        arrays[f"weights_{place}"].astype(np.float32),
        arrays[f"bias_{place}"].astype(np.float32),
        tuple(np.array(share, np.float64) for share in values["shares"]),
        terminal,
    )
