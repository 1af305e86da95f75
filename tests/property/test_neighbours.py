"""Tables that differ in one row look alike from outside, as far as noise does not explain the difference.

Twenty rows, each odd in another way in each of sixty kinds of columns, are added to a table in front, in the
middle or behind. With the same noise everything that leaves a run is then compared: errors, messages and
warnings, number and words of the reports, schema, the widgets, the receipt, the saved file, the synthetic
table, the free comparison and the evaluation. Figures may differ, because a count may; that there is a figure
may not.
"""

from __future__ import annotations

import difflib
import importlib
import io
import itertools
import json
import pprint
import re
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ipywidgets import HTML

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.evaluation.private import evaluate_privately
from jupyter_dpsynth.evaluation.report import UtilityReport
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.notebook.show.drawing import live_html
from jupyter_dpsynth.notebook.show.moment import moment_of
from jupyter_dpsynth.notebook.show.worker import TrainingRun
from jupyter_dpsynth.privacy.ledger import PrivacyLedger
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.synthesizer import HighDimSynthesizer

pytestmark = pytest.mark.tensorflow
pa = pytest.importorskip("pyarrow")
from tests.support.column_kinds import KINDS as ALL_KINDS
from tests.support.column_kinds import ROWS, latin

# each column of times in an order of its own: which of dates that are alike are closest is a draw
KINDS = {
    name: (series.sample(frac=1, random_state=place, ignore_index=True), odd)
    if name.startswith("times in ")
    else (series, odd)
    for place, (name, (series, odd)) in enumerate(ALL_KINDS.items())
}
PAIRS, QUICK_PAIRS = 20, 3  # the rest runs with the long tests


def table():
    return pd.DataFrame({name: series for name, (series, _) in KINDS.items()})


def odd_cell(series, value):
    """One value as a column of the same dtype; where the dtype cannot hold it, a missing one."""
    if series.dtype == object:
        box = np.empty(1, dtype=object)
        box[0] = value
        return pd.Series(box, dtype=object)
    kind = getattr(series.dtype, "pyarrow_dtype", None)
    if isinstance(value, str) and value == "latin":
        return pd.Series(pd.arrays.ArrowExtensionArray(latin(kind)))
    if isinstance(value, str) and value == "far":
        whole = pa.array([2**31 - 1], pa.int32()) if kind == pa.date32() else pa.array([2**62])
        return pd.Series(pd.arrays.ArrowExtensionArray(whole.cast(kind)))
    if isinstance(value, np.datetime64) and getattr(series.dtype, "tz", None) is not None:
        return pd.Series(np.array([value])).dt.tz_localize("UTC").dt.tz_convert(series.dtype.tz)
    if isinstance(value, np.datetime64 | np.timedelta64):
        return pd.Series(np.array([value]))
    return pd.Series([value], dtype=series.dtype)


def neighbour(number):
    """The table with one more row, which is odd in another way in each column."""
    place = [0, ROWS // 2, ROWS][number % 3]
    columns = {}
    for at, (name, (series, odd)) in enumerate(KINDS.items()):
        cell = odd_cell(series, odd[(number + at) % len(odd)])
        columns[name] = pd.concat([series[:place], cell, series[place:]], ignore_index=True)
        assert columns[name].dtype == series.dtype, name
    return pd.DataFrame(columns)


# --- what can be seen from outside ----------------------------------------------------------------------

FIGURE = re.compile(r"[-\u2212+]?\d[\d.,:eE+\u2212-]*")
ENTRY = re.compile(r"\b[0-9a-f]{8,32}\b")  # what the ledger calls a run, at random
NOISE = re.compile(r"(?<=noise multiplier )[\d.]+")  # planned for a noisy number of rows
PICTURE = re.compile(r"[A-Za-z0-9+/=]{200,}")


# which columns these name follows from noisy counts, as figures do
HIDDEN = re.compile(
    r"(; )?whether rare rows of .*?: (none are made|they are rounded)|(; )?whether [^<\n]*"
    r"|(every synthetic row keeps: )?no value of [^<\n]*"
    r"|(fine|coarse|nothing left): [\d,]+ columns?: [^<\n]*|Rows that lose their value or have none: [^\n]*"
    r"|What helps [^<\n]*",
    re.DOTALL,
)


def masked(text):
    """A text without its figures, its lines sorted: some are in the order of their figures."""
    plain = FIGURE.sub("#", ENTRY.sub("#", HIDDEN.sub("", PICTURE.sub("", text))))
    return sorted(plain.replace(">", ">\n").splitlines())


def unnamed(text):
    """A text without names of columns, of which it has those with the largest figures."""
    for name in sorted(KINDS, key=len, reverse=True):
        text = text.replace(name, "*")
    return masked(text)


# what was imposed, and what the noise hides: sentences about noisy figures
FIGURES_IN_WORDS = {"imposed", "losses", "untold"}
# which columns have them follows from noisy counts: another seed finds others in the same table
IF_THEY_STAND_OUT = {"pattern", "rounding"}


def skeleton(value):
    """What is left of parsed JSON without its figures; how many bins a column has is one of them."""
    if isinstance(value, dict):
        return {
            key: "#" if key in FIGURES_IN_WORDS else skeleton(each)
            for key, each in value.items()
            if key not in IF_THEY_STAND_OUT
        }
    if isinstance(value, list):
        found = [skeleton(each) for each in value]
        return [each for place, each in enumerate(found) if each not in found[:place]]
    if isinstance(value, str):
        return NOISE.sub("#", ENTRY.sub("#", value))
    return "#" if isinstance(value, int | float) and not isinstance(value, bool) else value


def members(file):
    """Names, forms and types of what a saved synthesizer holds."""
    found = {}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith(".json"):
                found[name] = skeleton(json.loads(content))
            else:
                arrays = np.load(io.BytesIO(content))
                found[name] = {key: (arrays[key].dtype, arrays[key].ndim) for key in arrays.files}
    return found


def observe(df, folder, caplog, ledger, *, pictures=False):
    """Everything that leaves a run on a table."""
    seen, reports, widgets, columns = {}, [], [], []
    caplog.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        meta = MetaExtractor.extract(df)
        synthesizer = HighDimSynthesizer(meta, HighDimConfig(epsilon=20.0, delta=1e-5, steps=2))
        learn, run = synthesizer.learn, None

        def with_noise(table, callback, **options):
            def observer(report):
                callback(report)
                if report.phase == "measuring" and report.message in columns:
                    return  # which columns are measured a second time follows from noisy counts
                columns.append(report.message)
                reports.append((report.phase, *masked(report.message), *masked(report.ledger)))
                # how many marks its axis has follows from the noisy loss
                widgets.append(sorted({*masked(HTML(live_html(moment_of(run))).value)}))

            return learn(table, observer, noise=NoiseSource(test_only_seed=5), ledger=ledger, **options)

        synthesizer.learn = with_noise
        run = TrainingRun(synthesizer, df, "synthesizer")
        run.start()
        assert run.wait(300)
        seen["schema"], seen["reports"], seen["widgets"] = repr(meta), reports, widgets
        seen["error"] = None if run.error is None else (type(run.error), masked(str(run.error)))
        seen["warnings of the run"] = [masked(each) for each in run.warnings]
        if run.error is None:
            synthesizer.save(folder / "model.dps")
            made = synthesizer.synthesize(30, seed=1)
            receipt = replace(synthesizer.receipt, losses=())  # noisy shares decide which are told
            seen["file"] = members(folder / "model.dps")
            seen["receipt"] = masked(receipt.to_text() + receipt.to_html())
            seen["table"] = [(name, str(dtype)) for name, dtype in made.dtypes.items()]
            report = UtilityReport.against_measurements(synthesizer, made)
            seen["comparison"] = unnamed(report.summary() + (report.to_html() if pictures else ""))
            noise = NoiseSource(test_only_seed=4)
            private = evaluate_privately(synthesizer, df, made, epsilon=20.0, noise=noise, ledger=ledger)
            seen["evaluation"] = unnamed(private.summary())
    seen["log"] = [masked(record.getMessage()) for record in caplog.records]
    seen["warnings"] = [masked(str(each.message)) for each in caught]
    return seen


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ledgers")
    return (PrivacyLedger(folder / f"{number}.sqlite") for number in itertools.count())


@pytest.fixture(scope="module")
def known(tmp_path_factory, ledgers):
    """What is seen of the table itself."""
    found = {}

    def once(caplog):
        if not found:
            importlib.import_module("jupyter_dpsynth.engine.training.trainer")  # or reports tell of waiting
            found.update(observe(table(), tmp_path_factory.mktemp("known"), caplog, next(ledgers)))
        return found

    return once


def test_there_are_sixty_kinds_of_columns():
    assert len(KINDS) >= 60


@pytest.mark.parametrize(
    "number",
    [pytest.param(number, marks=[pytest.mark.long] * (number >= QUICK_PAIRS)) for number in range(PAIRS)],
)
def test_one_odd_row_is_not_seen_from_outside(number, known, ledgers, tmp_path, caplog):
    expected = known(caplog)
    assert expected["error"] is None
    found = observe(neighbour(number), tmp_path, caplog, next(ledgers))
    for name, known_value in expected.items():
        both = (pprint.pformat(value, width=200).splitlines() for value in (known_value, found.get(name)))
        changed = [*difflib.unified_diff(*both, "the table", "with one more row", n=0, lineterm="")]
        assert not changed, name + "\n".join(changed)
