"""`shield`: tools and assistants get a synthetic twin or a mock in the place of a table."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_dpsynth.errors import ConfigError, DataError
from jupyter_dpsynth.notebook.magic.namespace import (
    dataframe_names,
    find_dataframe,
    find_instance,
    instances,
    read_value,
    variable_name,
)
from jupyter_dpsynth.notebook.magic.settings import meta_of, settings
from jupyter_dpsynth.notebook.output import say
from jupyter_dpsynth.notebook.shield import PrivateTable, reveal, taken_from

if TYPE_CHECKING:
    from jupyter_dpsynth.notebook.magic.grammar import ParsedLine
    from jupyter_dpsynth.notebook.session import Session
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["shield"]

MOCK_ROWS = 100
LIMITS = (
    "This hides the table from what looks at variables. It does not hide it from code that runs in this "
    "kernel, nor what earlier cells of the notebook show: clear their outputs."
)


def shield(session: Session, parsed: ParsedLine) -> None:
    """Bind a synthetic twin or a mock to a table's name, and the table to a handle."""
    namespace = session.namespace
    text = parsed.argument()
    if text is None or not text.isidentifier():
        raise ConfigError("DATAFRAME is missing: name the variable that holds the table.")
    held = namespace.get(text)
    name = taken_from(held) if isinstance(held, PrivateTable) else text
    default = text if isinstance(held, PrivateTable) else f"{name}_private"
    handle = variable_name(parsed.options.get("handle", default), "--handle", namespace)
    if isinstance(namespace.get(handle), PrivateTable) and taken_from(namespace[handle]) == name:
        table = reveal(namespace[handle])
    else:
        table = find_dataframe(text, namespace)
    if "off" in parsed.options:
        _give_back(namespace, name, handle, table)
        return
    if handle == name:
        raise ConfigError(f"--handle = {handle!r} is the table's own name: choose another one.")
    twin, what = _twin(session, parsed, table)
    private = PrivateTable(table, name)
    for each in [each for each, value in list(namespace.items()) if value is table]:
        namespace[each] = twin
    namespace[name], namespace[handle] = twin, private
    _forget(session)
    say(f"{name} is now {what}. The private table is {handle}: %dpsynth learn {handle} learns it.")
    synthetic = {name, session.synthetic}
    others = [each for each in dataframe_names(namespace) if each not in synthetic and each != handle]
    others = [each for each in others if not isinstance(namespace[each], PrivateTable)]
    others = [each for each in others if namespace[each] is not twin]
    if others:
        say(f"Still visible, if they are private shield them, too: {', '.join(others)}.")
    say(LIMITS)


def _twin(session: Session, parsed: ParsedLine, table: Any) -> tuple[Any, str]:  # noqa: ANN401 - of any library
    """What takes the table's place, and what it is, in words."""
    from jupyter_dpsynth.sources.opening import open_source

    synthesizer = _model(session, parsed, table)
    rows = parsed.options.get("rows")
    count = None if rows is None else read_value(rows, session.namespace, "--rows")
    if synthesizer is not None:
        twin = synthesizer.synthesize(count)
        return twin, f"a synthetic twin of {len(twin):,} rows from the model, which epsilon has paid for"
    count = MOCK_ROWS if count is None else count
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"--rows = {count!r} is not allowed: give a whole number from 1.")
    from jupyter_dpsynth.engine.sampling.mock import mock_table
    from jupyter_dpsynth.engine.sampling.provenance import mark_synthetic
    from jupyter_dpsynth.sources.forms import given_as

    _, schema = settings(session, parsed)
    if schema.pop("ignore", ()):
        raise ConfigError("ignore is not possible here: the mock has all columns of the table.")
    with open_source(table) as source:
        df_meta = meta_of(session, parsed, source, schema)
    mock = mark_synthetic(mock_table(df_meta, count, np.random.default_rng()))
    words = (
        "a mock with the same columns and types; its values are invented, it cost nothing and tells nothing"
    )
    return given_as(mock, df_meta.form), words


def _model(
    session: Session,
    parsed: ParsedLine,
    table: Any,  # noqa: ANN401 - of any library
) -> HighDimSynthesizer | None:
    """The model to make the twin from: the one that is named, or one that was learned from this table."""
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    namespace, named = session.namespace, parsed.options.get("synthesizer")
    if named is not None:
        found: HighDimSynthesizer = find_instance(named, namespace, HighDimSynthesizer, "--synthesizer")
        return found
    if "mock" in parsed.options:
        return None
    known = [namespace[each] for each in instances(namespace, HighDimSynthesizer)]
    return next((each for each in known if each.state == "learned" and each.was_learned_from(table)), None)


def _give_back(namespace: dict[str, Any], name: str, handle: str, table: Any) -> None:  # noqa: ANN401
    if not isinstance(namespace.get(handle), PrivateTable):
        raise DataError(f"{name} is not shielded: there is no handle {handle!r}.")
    namespace[name] = table
    del namespace[handle]
    say(f"{name} is the private table again, and {handle} is gone.")


def _forget(session: Session) -> None:
    """Drop the results that IPython keeps of earlier cells (`_`, `Out`), and the last error's frames."""
    hook = getattr(session.shell, "displayhook", None)
    if hook is not None and getattr(hook, "do_full_cache", False):
        hook.flush()
    for each in [each for each in session.namespace if re.fullmatch(r"_\d+", each)]:
        del session.namespace[each]  # in case that the numbers of cells began anew
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        with contextlib.suppress(AttributeError):
            delattr(sys, name)
