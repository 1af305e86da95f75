"""What may be written after `%dpsynth`: its commands and their options.

Parsing, `--help`, 'did you mean', completion and the reference are all made from these descriptions, and the
parameters of a run come from `HighDimConfig`, so that nothing is described twice.
"""

from __future__ import annotations

from jupyter_dpsynth.notebook.magic.command import READING, Command, Option

__all__ = ["COMMANDS", "SCHEMA_NAMES", "TABLE_NAMES", "Command", "Option"]

#: Names a `%%dpsynth learn` body may set besides the parameters of `HighDimConfig`.
SCHEMA_NAMES = ("bounds", "categories", "decimals", "missing", "hierarchy", "ids", "ignore", "schema")
#: Besides, to learn several tables of the same persons, or the rows of a person in order.
TABLE_NAMES = ("children", "order", "most_children", "window")


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
    "If the plan expects columns to come out empty: ask (learn where nobody can be asked), learn, or stop.",
    choices=("ask", "learn", "stop"),
)

_LEARN_DETAILS = """\
As a cell, with two percent signs, it takes lines of the form `name = value`:

    %%dpsynth learn df -o synthesizer
    epsilon = 1.0
    bounds = {"age": (0, 120)}     # public knowledge costs no epsilon

Instead of a DataFrame you can pass a table of polars, pyarrow, DuckDB or Dask,
or files that are read part by part: data/*.parquet.

A value is a Python literal, one of your variables, or an {expression}. The cell can set the parameters below
and declare what is public about the columns:

    bounds = {"age": (0, 120)}               lowest and highest value
    categories = {"city": ["Graz", "Linz"]}  all values that may occur
    decimals = {"income": 2}                 digits after the decimal point
    missing = {"height": [-9, 999]}          values that stand for a missing one
    hierarchy = {"icd": "prefix:1,3"}        groups of codes: rare codes come back as their group
    ids = ["customer"]                       identifiers: never learned, get new numbers
    ids = {"case": "H-{:06d}"}               the same, with what new ones look like
    ignore = ["note"]                        left out
    schema = "columns.yaml"                  a file with all of these

While it runs, 'interrupt the kernel' ends training after the current step and keeps the model."""


_ROWS = Option("rows", "NUMBER", "About how many rows to plan for; your table is not counted.")
_SYNTHETIC = Option("synthetic", "", "Your word that DF_SYNTH is synthetic, where that is not known.")
_COLUMNS = Option("columns", "NUMBER", "Without a DATAFRAME: how many columns to plan for.")

_PANEL_DETAILS = """\
Opens a panel with all parameters, a privacy calculator and a table of the columns. The lines of the cell are
those of learn; the panel starts with these settings.

Instead of a DataFrame you can pass a table of polars, pyarrow, DuckDB or Dask,
or files that are read part by part: data/*.parquet."""

_CALC_DETAILS = """\
Uses only the column names and types of the DataFrame. The row count is private, so give an approximate
number with --rows; otherwise the plan is for 10,000 rows. With n_public = True the rows are counted. The
lines of the cell are those of learn:

    %dpsynth calc df --rows 50_000 --epsilon 0.5"""

_DOCTOR_DETAILS = """\
Reads the private rows and reports what it finds: identifiers, duplicate rows, several rows per person,
columns with too many values, missing bounds, types that cannot be learned, too few rows for this epsilon.
Epsilon does not cover the findings: clear the output before you pass the notebook on.

Instead of a DataFrame you can pass a table of polars, pyarrow, DuckDB or Dask,
or files: data/*.parquet. It then reads at most 262,144 rows, from up to 16 parts."""


_SYNTHESIZE_DETAILS = """\
Every row meets the conditions: a value, None for missing, a list of values, or a range of numbers or dates.

    %dpsynth synthesize 1000 --where {"sex": "Female", "age": (18, 65)}
    %dpsynth synthesize 1000 --balance income      # equally many rows for each category
    %dpsynth synthesize 1000 --order 'admitted <= discharged'

All of them also work for files; shares are then exact over all files together:

    %dpsynth synthesize 10_000_000 --to out/*.parquet --balance income"""


_COMPARE_DETAILS = """\
Uses what epsilon has paid for. With --original it reads the real rows: what it shows is for their owner only.

    %dpsynth compare --by sex
    %dpsynth compare --original df --target income"""


_PAGE_DETAILS = """\
The page has the score, what is left of every column, all figures and pictures, without scripts; the browser
prints it as PDF. With --original it holds figures of the real rows, and says so on every picture.

    %dpsynth report --to report.html
    %dpsynth report --original df --by sex"""


_EVALUATE_DETAILS = """\
Reads the private rows and adds noise to everything that is shown: the distance of every column and of pairs
of columns from the synthetic table, and the accuracy of a model. The cost is recorded in the ledger first,
and every figure has an error bar:

    %dpsynth evaluate df df_synth --epsilon 0.1

Instead of df you can pass a table of polars, pyarrow, DuckDB or Dask,
or files that are read part by part: data/*.parquet."""


_INFER_DETAILS = """\
Answers with estimates and intervals that count the noise; the rows that synthesize makes would give intervals
that are far too narrow. Besides a formula it takes one of your functions of a DataFrame and weights:

    %dpsynth infer income ~ sex + age --family binomial
    %dpsynth infer my_function

A regression needs the extra 'inference'."""


_ASK_DETAILS = """\
Reads the private rows once: the joint table of the question's columns is measured with noise, and the cost is
recorded in the ledger first. The model's own answer stands beside, and whether both agree:

    %dpsynth ask df income ~ sex --family binomial --epsilon 0.25"""


_TABLE_DETAILS = """\
The share of every value of a column, or of every combination of several, with intervals:

    %dpsynth table sex
    %dpsynth table sex income"""


_RECEIPT_DETAILS = """\
With --registry it makes the record that the Differential Privacy Deployments Registry asks for (tier 3), and
answers the questions of NIST SP 800-226. What a receipt cannot answer is marked TO BE ANSWERED:

    %dpsynth receipt --registry                     # to look at
    %dpsynth receipt --registry --to record.yaml    # for the registry
    %dpsynth receipt --registry --to record.md      # to read and fill in"""


_LEDGER_DETAILS = """\
A run is recorded before anything is measured, and stays recorded however it ends. Tables with the same
content are the same dataset, whatever the variable is called. Tables learned with the same --dataset NAME
are the same dataset, whatever their content. A table with mostly the columns or the rows of a known one
counts together with it, unless you learn it with --new-dataset. What the ledger shows is for the owner of the
data; epsilon does not cover it."""


_LOAD_DETAILS = """\
A model that was learned under differential privacy is kept beside the ledger, so that it survives a restart
of the kernel. Nothing is spent by loading it:

    %dpsynth load --last              # the newest one
    %dpsynth load --run 3f2a -o model # one of the list that %dpsynth models shows
    %dpsynth load model.dps           # a file"""


_MODELS_DETAILS = """\
The newest models are kept, 500 MB of them if the environment variable JUPYTER_DPSYNTH_KEEP_MB does not say
otherwise; 0 keeps none. A file holds only what epsilon has paid for; the folder is for your eyes only,
because the files' names tell which models are of the same table."""


_SHIELD_DETAILS = """\
An assistant, an inspector of variables or a careless cell that looks at df then sees synthetic rows. They are
of a model that was learned from df, if there is one, and cost nothing more; otherwise they are a mock: the
same columns and types, and invented values from what the lines of the cell declare to be public:

    %%dpsynth shield df
    categories = {"ward": ["A1", "A2"]}

The table itself is df_private, which shows nothing and which all commands take: %dpsynth learn df_private.
Code that runs in the kernel can still get at it: this is a screen, not a lock."""


_CONFIG_DETAILS = """\
Every parameter has a default that you can change, for this session or in an IPython configuration file:

    %config DPSynthMagics.epsilon = 0.5     # what %%dpsynth learn uses if the cell does not set it
    %config DPSynthMagics                   # all parameters and their meaning"""


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
    _LEARN_DETAILS,
    body=True,
    plans_run=True,
)

PANEL = Command(
    "panel",
    ("[DATAFRAME]",),
    "Open a panel with fields and buttons for everything: parameters, columns, training.",
    (_OUTPUT, _DATASET, _CONFIG, *READING),
    _PANEL_DETAILS,
    body=True,
)

CALC = Command(
    "calc",
    ("[DATAFRAME]",),
    "Forecast a run: epsilon, noise, error, time. Reads no value.",
    (_ROWS, _COLUMNS, _CONFIG, _META, *READING),
    _CALC_DETAILS,
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
    _DOCTOR_DETAILS,
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
    _SYNTHESIZE_DETAILS,
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
    _COMPARE_DETAILS,
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
    _PAGE_DETAILS,
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
    _EVALUATE_DETAILS,
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
    _ASK_DETAILS,
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
    _INFER_DETAILS,
)

TABLE = Command(
    "table",
    ("COLUMN...",),
    "Show the share of every value, or combination of values, with its interval (free).",
    (_LEVEL, _REPORT, _SYNTHESIZER),
    _TABLE_DETAILS,
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
    _RECEIPT_DETAILS,
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
    _LEDGER_DETAILS,
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
    _LOAD_DETAILS,
)

MODELS = Command(
    "models",
    (),
    "List the models that are kept beside the ledger, or delete them.",
    (Option("delete", "RUN", "Delete the model of that run, or 'all'; what it cost stays in the ledger."),),
    _MODELS_DETAILS,
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
    _SHIELD_DETAILS,
    body=True,
)

CONFIG = Command(
    "config",
    ("[NAME]",),
    "List the parameters of a run, explain one, or show the values of a HighDimConfig variable.",
    details=_CONFIG_DETAILS,
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
