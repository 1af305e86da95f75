"""What may be written after `%dpsynth`: its commands and their options.

Parsing, `--help`, 'did you mean', completion and the reference are all made from these descriptions, and the
parameters of a run come from `HighDimConfig`, so that nothing is described twice.
"""

from __future__ import annotations

from jupyter_dpsynth.notebook.magic.command import READING, Command, Option
from jupyter_dpsynth.notebook.magic.details import (
    ASK_DETAILS,
    CALC_DETAILS,
    COMPARE_DETAILS,
    CONFIG_DETAILS,
    DOCTOR_DETAILS,
    EVALUATE_DETAILS,
    INFER_DETAILS,
    LEARN_DETAILS,
    LEDGER_DETAILS,
    LOAD_DETAILS,
    MODELS_DETAILS,
    PAGE_DETAILS,
    PANEL_DETAILS,
    RECEIPT_DETAILS,
    SHIELD_DETAILS,
    SYNTHESIZE_DETAILS,
    TABLE_DETAILS,
)

__all__ = ["COMMANDS", "SCHEMA_NAMES", "Command", "Option"]

#: Names a `%%dpsynth learn` body may set besides the parameters of `HighDimConfig`.
SCHEMA_NAMES = (
    *("bounds", "categories", "decimals", "missing", "hierarchy", "at_least", "derived"),
    *("ids", "ignore", "schema"),
)


_REPORT = Option("output", "NAME", "Name of the variable for the report.", "o")
_SYNTHESIZER = Option("synthesizer", "NAME", "Which synthesizer; by default the last one learned.", "s")
_META = Option("meta", "NAME", "A DataFrameMeta from MetaExtractor.extract; by default it is made from df.")
_CONFIG = Option("config", "NAME", "A HighDimConfig of yours to start from.")
_BACKGROUND = Option("background", "", "Return at once; the display has a Stop button.")
_DATASET = Option(
    "dataset",
    "DATASET",
    "The dataset's name in the ledger; all tables learned under one name count together.",
)
_NEW_DATASET = Option(
    "new-dataset",
    "",
    "Your word that the table is about other people than all tables in the ledger, even if its columns or "
    "rows are like theirs.",
)
_INFINITE_TOTAL = Option(
    "infinite-total",
    "",
    "Let the dataset's total become infinite, where this run protects another unit (rows or persons) than "
    "the runs before it.",
)
_REUSE = Option(
    "reuse",
    "",
    "Where the same table was learned with the same settings before, take that model and spend nothing.",
)
_AGAIN = Option("again", "", "Learn and spend again without asking, even if such a model is kept.")
_OUTPUT = Option("output", "NAME", "Name of the variable for the synthesizer.", "o")
_INTERRUPT = Option(
    "on-interrupt",
    "keep|raise",
    "After an interrupt, keep the model and let 'Run All' go on (keep), or stop it (raise).",
    choices=("keep", "raise"),
)

_IF_EMPTY = Option(
    "if-empty",
    "ask|learn|stop",
    "If columns may come out empty: ask (learn where nobody can be asked), learn, or stop.",
    choices=("ask", "learn", "stop"),
)


_ROWS = Option("rows", "NUMBER", "About how many rows to plan for; your table is not counted.")
_SYNTHETIC = Option("synthetic", "", "Your word that DF_SYNTH is synthetic, where that is not known.")
_COLUMNS = Option("columns", "NUMBER", "Without a DATAFRAME: how many columns to plan for.")


LEARN = Command(
    "learn",
    ("DATAFRAME",),
    "Learn a DataFrame under differential privacy.",
    (
        _OUTPUT,
        _REUSE,
        _AGAIN,
        _DATASET,
        _NEW_DATASET,
        _INFINITE_TOTAL,
        _CONFIG,
        _META,
        _BACKGROUND,
        _INTERRUPT,
        _IF_EMPTY,
        *READING,
    ),
    LEARN_DETAILS,
    body=True,
    plans_run=True,
)

PANEL = Command(
    "panel",
    ("[DATAFRAME]",),
    "Open a panel with fields and buttons for everything: parameters, columns, training.",
    (_OUTPUT, _DATASET, _CONFIG, *READING),
    PANEL_DETAILS,
    body=True,
)

CALC = Command(
    "calc",
    ("[DATAFRAME]",),
    "Forecast a run: epsilon, noise, error, time. Reads no value.",
    (_ROWS, _COLUMNS, _CONFIG, _META, *READING),
    CALC_DETAILS,
    body=True,
    plans_run=True,
)

DOCTOR = Command(
    "doctor",
    ("DATAFRAME",),
    "Check the rows for problems before anything is spent. For the owner's eyes only.",
    (
        Option("convert", "NAME", "Put the table with all conversions that are offered into a variable."),
        _CONFIG,
        _META,
        *READING,
    ),
    DOCTOR_DETAILS,
    body=True,
    plans_run=True,
)

SYNTHESIZE = Command(
    "synthesize",
    ("[ROWS]",),
    "Make a synthetic DataFrame, or files of any size; free, as often as you like.",
    (
        Option("output", "NAME", "Name of the variable for the DataFrame.", "o"),
        Option("seed", "NUMBER", "Makes the output repeatable; does not affect privacy."),
        Option("where", "CONDITIONS", "Conditions by column: a dict, or a variable that holds one."),
        Option(
            "balance",
            "COLUMN",
            "Equally many rows for each category of a column, or a dict of {shares}.",
        ),
        Option(
            "order",
            "PAIR",
            "Two columns of which the first is never above the second: 'first <= last'; may be repeated.",
            several=True,
        ),
        Option("to", "PATTERN", "Write files instead, part by part: out/*.parquet or out/*.csv."),
        Option(
            "weights",
            "NUMBER",
            "Add a weight and so many replicate weights, for intervals in R, Stata or Python; 60 are usual.",
        ),
        Option("overwrite", "", "With --to: replace existing files."),
        _SYNTHESIZER,
    ),
    SYNTHESIZE_DETAILS,
)

_COMPARED = (
    _SYNTHETIC,
    Option("original", "DATAFRAME", "Compare with the real table: NOT covered by epsilon."),
    Option("holdout", "DATAFRAME", "Real rows to test on, which were not learned."),
    Option(
        "target",
        "COLUMN",
        "Also train a model for this column on synthetic rows, and test it on real ones.",
    ),
    Option("by", "COLUMN", "Also show every column within each category of this one."),
)

COMPARE = Command(
    "compare",
    ("[DF_SYNTH]",),
    "Compare the synthetic table with the noisy measurements (free).",
    (*_COMPARED, _REPORT, _SYNTHESIZER, *READING),
    COMPARE_DETAILS,
)

REPORT = Command(
    "report",
    ("[DF_SYNTH]",),
    "Write the comparison as one HTML page, to be mailed or printed.",
    (
        *_COMPARED,
        Option("to", "FILE", "The page; by default report.html. A file that is there is replaced."),
        _SYNTHESIZER,
        *READING,
    ),
    PAGE_DETAILS,
)

EVALUATE = Command(
    "evaluate",
    ("DATAFRAME", "[DF_SYNTH]"),
    "Measure the quality with noise, for an epsilon of its own; you may publish the report.",
    (
        Option("epsilon", "NUMBER", "What the report may spend, in addition to learning."),
        Option(
            "target",
            "COLUMN",
            "Also train a model for this categorical column on synthetic rows, and test it on real ones.",
        ),
        _SYNTHETIC,
        _DATASET,
        _NEW_DATASET,
        _INFINITE_TOTAL,
        _REPORT,
        _SYNTHESIZER,
        *READING,
    ),
    EVALUATE_DETAILS,
)

_LEVEL = Option(
    "level", "NUMBER", "About which share of the intervals hold the true figure; 0.95 by default."
)

_FAMILY = Option(
    "family",
    "gaussian|binomial|poisson",
    "Of a regression: least squares, logistic, or of counts.",
    choices=("gaussian", "binomial", "poisson"),
)

ASK = Command(
    "ask",
    ("DATAFRAME", "FORMULA..."),
    "Ask the real rows one question, for an epsilon of its own, and compare it with the model's answer.",
    (
        Option("epsilon", "NUMBER", "What the question may spend, in addition to learning."),
        _FAMILY,
        _LEVEL,
        _DATASET,
        _NEW_DATASET,
        _INFINITE_TOTAL,
        _REPORT,
        _SYNTHESIZER,
        *READING,
    ),
    ASK_DETAILS,
)

INFER = Command(
    "infer",
    ("FORMULA...",),
    "Estimate what the table tells about its population, with intervals that count the noise (free).",
    (
        _FAMILY,
        _LEVEL,
        _REPORT,
        _SYNTHESIZER,
    ),
    INFER_DETAILS,
)

TABLE = Command(
    "table",
    ("COLUMN...",),
    "Show the share of every value, or combination of values, with its interval (free).",
    (_LEVEL, _REPORT, _SYNTHESIZER),
    TABLE_DETAILS,
)

EPSILON = Command(
    "epsilon", (), "Say in a sentence what epsilon was spent and what it means.", (_SYNTHESIZER,)
)

STATUS = Command(
    "status",
    (),
    "Show what is running and what has been learned.",
    (Option("wait", "", "Wait for the end of the training that runs in the background."),),
)

STOP = Command("stop", (), "End a background training after its current step; the model is kept.")

RECEIPT = Command(
    "receipt",
    (),
    "Show what epsilon was spent on, and what an attacker could find out at most.",
    (
        Option("registry", "", "Show the record for the public registry, with NIST's questions."),
        Option("to", "FILE", "With --registry: write it to a .yaml, .md or .json file."),
        Option("overwrite", "", "With --to: replace an existing file."),
        _SYNTHESIZER,
    ),
    RECEIPT_DETAILS,
)

LEDGER = Command(
    "ledger",
    (),
    "Show what every dataset has cost over all runs, kernels and notebooks.",
    (
        Option(
            "cap",
            "EPSILON",
            "Largest total epsilon; a run that would exceed it is refused. None removes the cap.",
        ),
        Option(
            "dataset",
            "DATASET",
            "With --cap: the dataset it applies to; by default, all without a cap of their own.",
        ),
        Option("link", "DATASET DATASET", "Count two datasets together from now on.", values=2),
        Option("export", "FILE", "Write all runs to a .csv file, or with their events to .json."),
    ),
    LEDGER_DETAILS,
)

AUDIT = Command(
    "audit",
    (),
    "Attack simulated trainings, and compare what the attack proves with the epsilon claimed (free).",
    (Option("seconds", "NUMBER", "About how long to attack; 60 by default."), _SYNTHESIZER),
)

SAVE = Command("save", ("FILE",), "Save the model; the file contains no row of the table.", (_SYNTHESIZER,))

LOAD = Command(
    "load",
    ("[FILE]",),
    "Load a saved model, or one that is kept beside the ledger.",
    (
        _OUTPUT,
        Option("last", "", "The model that was learned last, in any notebook."),
        Option("run", "RUN", "The model of that run: how its identifier in %dpsynth models begins."),
    ),
    LOAD_DETAILS,
)

MODELS = Command(
    "models",
    (),
    "List the models that are kept beside the ledger, or delete them.",
    (Option("delete", "RUN", "Delete the model of that run, or 'all'; what it cost stays in the ledger."),),
    MODELS_DETAILS,
)

SHIELD = Command(
    "shield",
    ("DATAFRAME",),
    "Give tools and assistants a synthetic twin by the table's name; keep the table under a handle.",
    (
        Option("handle", "NAME", "Name of the variable for the handle; by default DATAFRAME_private."),
        Option("rows", "NUMBER", "Rows of the twin or mock."),
        Option("mock", "", "A mock of public knowledge alone, even if a model of the table is there."),
        Option("off", "", "Give the table its name back."),
        _META,
        _SYNTHESIZER,
    ),
    SHIELD_DETAILS,
    body=True,
)

CONFIG = Command(
    "config",
    ("[NAME]",),
    "List the parameters of a run, explain one, or show the values of a HighDimConfig variable.",
    details=CONFIG_DETAILS,
)

HELP = Command("help", ("[COMMAND]",), "Explain a command.")

COMMANDS = {
    command.name: command
    for command in (
        LEARN,
        PANEL,
        CALC,
        DOCTOR,
        SYNTHESIZE,
        COMPARE,
        REPORT,
        EVALUATE,
        ASK,
        INFER,
        TABLE,
        EPSILON,
        STATUS,
        STOP,
        RECEIPT,
        LEDGER,
        AUDIT,
        SAVE,
        LOAD,
        MODELS,
        SHIELD,
        CONFIG,
        HELP,
    )
}
