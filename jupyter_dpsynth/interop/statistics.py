"""Writes synthetic tables as files of SPSS, Stata or SAS, with the codebook of the original file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from jupyter_dpsynth.errors import ConfigError, DPSynthError, MissingDependencyError, shielded, shown
from jupyter_dpsynth.sources.endings import WRITTEN_STATISTICS
from jupyter_dpsynth.sources.letters import letter_text, letters_in, letters_of, with_numbers
from jupyter_dpsynth.sources.statfiles import NEEDED, READERS, moment_kind, program_of, stored_number
from jupyter_dpsynth.sources.values import is_duration, is_time, stored_times

if TYPE_CHECKING:
    import os

    from jupyter_dpsynth.sources.codebook import Codebook, Variable

__all__ = ["write_statistics"]

SHOWN = {  # formats of times where no codebook has one
    "spss": {"day": "DATE11", "moment": "DATETIME20", "duration": "TIME10"},
    "stata": {"day": "%td", "moment": "%tc", "duration": ""},
    "sas": {"day": "DATE9.", "moment": "DATETIME20.", "duration": "TIME10."},
}


class Described(Protocol):
    """Metadata with a codebook, such as `DataFrameMeta`."""

    @property
    def codebook(self) -> Codebook: ...


def write_statistics(df: pd.DataFrame, path: str | os.PathLike[str], df_meta: Described) -> Path:
    """Write a synthetic table as .sav, .zsav, .por, .dta or .xpt, with the codebook of the original.

    Args:
        df: The synthetic table.
        path: Where to; the ending tells the format. A file that is there is replaced.
        df_meta: `synthesizer.df_meta`, which has the codebook of the file that was learned.

    Returns:
        The path.

    Raises:
        ConfigError: There is no such format, or it cannot hold the names of the columns.
        MissingDependencyError: pyreadstat is not installed.

    Privacy:
        Post-processing: free. The codebook is that of the file: public, because its owner passed it.
    """
    try:
        import pyreadstat
    except ImportError:
        raise MissingDependencyError(NEEDED) from None
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in WRITTEN_STATISTICS:
        raise ConfigError(f"path = {shown(str(target))} does not end in {', '.join(WRITTEN_STATISTICS)}.")
    program, book = program_of(target), df_meta.codebook
    columns, known, kinds = {}, {}, {}
    for name in df.columns:
        series, known[name], letters = _lettered(df[name], book[name], ending)
        columns[name] = _stored(series, known[name], program)
        if letters:
            columns[name], kinds[name] = (_with_signs(series, letters), columns[name][1]), letters
    options = _options(known, columns, ending)
    if kinds:
        options["missing_user_values"] = {name: list(letters.values()) for name, letters in kinds.items()}
    write = getattr(pyreadstat, READERS[".sav" if ending == ".zsav" else ending].replace("read", "write"))
    if ending == ".zsav":
        options["compress"] = True
    frame = pd.DataFrame({name: values for name, (values, _) in columns.items()})
    try:
        shielded(lambda: write(frame, str(target), **options), f"writing {target.name} failed")
    except DPSynthError as error:
        problem = str(error)
    else:
        return target
    raise ConfigError(
        f"{problem} Names of columns in {ending} begin with a letter, have no spaces, and are short: rename "
        "the columns before learning, or write Parquet."
    )


def _lettered(
    series: pd.Series, variable: Variable, ending: str
) -> tuple[pd.Series, Variable, dict[float, str]]:
    """A column whose letters of missing values are what a format has for them.

    Returns:
        The column; what the codebook says of it in that format; and in a file of Stata the letters by the
        number that they are in the column. SPSS gets numbers that are below all others, and declares them as
        missing; other formats have neither.
    """
    letters = letters_of(dict.fromkeys((*(low for low, _ in variable.missing), *letters_in(series))))
    if not letters:
        return series, variable, {}
    signs = {number: letter_text(number)[1].lower() for number in letters}
    if ending == ".dta":
        named = {number: sign for number, sign in signs.items() if sign != "_"}  # which Stata does not have
        labels = {named.get(code, code): label for code, label in variable.labels if signs.get(code) != "_"}
        variable = replace(variable, labels=tuple(labels.items()), missing=())
        return with_numbers(series, tuple(named)), variable, named
    if ending not in (".sav", ".zsav"):
        return series, variable, {}
    least = min([0.0, *series.dropna(), *(low for low, _ in variable.labels if not letter_text(low))])
    first = 0 if least >= 0 else -(10 ** len(str(int(-least))))
    codes = {number: float(first - place) for place, number in enumerate(sorted(letters), 1)}
    labels = {codes.get(code, code): label for code, label in variable.labels}
    others = [pair for pair in variable.missing if pair[0] not in codes]
    missing = (*others, (min(codes.values()), max(codes.values())))
    series = with_numbers(series, letters).replace(codes)
    return series, replace(variable, labels=tuple(labels.items()), missing=missing), {}


def _with_signs(series: pd.Series, letters: dict[float, str]) -> Any:  # noqa: ANN401 - of numpy
    """A column of numbers and of the signs of letters, as pyreadstat takes them."""
    found = series.astype(object)
    for number, sign in letters.items():
        found[series == number] = sign
    return found.to_numpy(object)


def _stored(series: pd.Series, variable: Variable, program: str) -> tuple[Any, str]:
    """A column's values as a program stores them, and the format in which it shows them."""
    form, kinds = variable.format, (moment_kind(each, variable.format) for each in (program, *SHOWN))
    own = (
        moment_kind(program, form) if is_time(series.dtype) else form.startswith("%") == (program == "stata")
    )
    form = form if own else ""  # another program's would end the writing, or mean nothing
    if is_time(series.dtype):
        exact, missing = stored_times(series)
        kind = "duration" if is_duration(series.dtype) else next(filter(None, kinds), "moment")
        seconds = np.where(missing, np.nan, exact / 1e6)
        return stored_number(seconds, kind, program), form or SHOWN[program][kind]
    if pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_bool_dtype(series.dtype):
        if program == "stata" and pd.api.types.is_integer_dtype(series.dtype) and not series.isna().any():
            return series.to_numpy(str(series.dtype).lower().removesuffix("[pyarrow]")), form
        return series.to_numpy(dtype=np.float64, na_value=np.nan), form
    texts = series.astype(object)
    return texts.where(texts.notna(), "").map(str).to_numpy(object), form


def _options(known: dict[str, Variable], columns: dict[str, tuple[Any, str]], ending: str) -> dict[str, Any]:
    """What pyreadstat writes besides the values."""
    formats = {name: form for name, (_, form) in columns.items() if form and not form.startswith("A")}
    found: dict[str, Any] = {
        "column_labels": {name: each.label for name, each in known.items() if each.label},
        "variable_format": formats,
    }
    labels = {name: dict(each.labels) for name, each in known.items() if each.labels}
    if ending in (".sav", ".zsav", ".dta"):
        found["variable_value_labels"] = labels
    if ending in (".sav", ".zsav"):
        found["variable_measure"] = {name: each.measure for name, each in known.items() if each.measure}
        found["missing_ranges"] = {
            name: [low if low == high else {"lo": low, "hi": high} for low, high in each.missing]
            for name, each in known.items()
            if each.missing
        }
    return {option: value for option, value in found.items() if value}
