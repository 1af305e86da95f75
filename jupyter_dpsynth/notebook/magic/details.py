"""Further help on the commands of `%dpsynth`, a text for each."""

from __future__ import annotations

__all__ = [
    "ASK_DETAILS",
    "CALC_DETAILS",
    "COMPARE_DETAILS",
    "CONFIG_DETAILS",
    "DOCTOR_DETAILS",
    "EVALUATE_DETAILS",
    "INFER_DETAILS",
    "LEARN_DETAILS",
    "LEDGER_DETAILS",
    "LOAD_DETAILS",
    "MODELS_DETAILS",
    "PAGE_DETAILS",
    "PANEL_DETAILS",
    "RECEIPT_DETAILS",
    "SHIELD_DETAILS",
    "SYNTHESIZE_DETAILS",
    "TABLE_DETAILS",
]

LEARN_DETAILS = """\
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
    hierarchy = {"icd": "icd10"}             the same of a classification: icd10, nace2, isco08, nuts
    hierarchy = {"nace": "tree.csv"}         the same by a file (or a dict) of codes and their groups
    at_least = {"discharged": "admitted"}    the first column is never below the second
    derived = {"total": "net + tax"}         a column that follows from others: computed, not learned
    ids = ["customer"]                       identifiers: never learned, get new numbers
    ids = {"case": "H-{:06d}"}               the same, with what new ones look like
    ignore = ["note"]                        left out
    schema = "columns.yaml"                  a file with all of these

Tables of the same persons are learned together under one promise to each; declarations go by table then:

    privacy_unit = "patient_id"                           the column that names the person, in every table
    children = {"visits": visits}                         tables in which a person has any number of rows
    order = {"visits": "admitted"}                        their order; "-age" for the largest first
    most_children = {"visits": 12}                        most rows of a person that are used: the first ones
    window = {"visits": ("2021-01-01", "2023-12-31")}     first and last possible value of the order
    ends = {"visits": {"outcome": ["died"]}}              values after which a person has no further row
    exactly = {"waves": 4}                                how many rows everybody has
    times = {"waves": [2018, 2020, 2022]}                 values of the order at which everybody has a row
    of = {"labs": ("visits", "visit_id")}                 rows that belong to rows of another of these tables
    bounds = {"patients": {"age": (0, 120)}}              declarations of columns

While it runs, 'interrupt the kernel' ends training after the current step and keeps the model."""


PANEL_DETAILS = """\
Opens a panel with all parameters, a privacy calculator and a table of the columns. The lines of the cell are
those of learn; the panel starts with these settings.

Instead of a DataFrame you can pass a table of polars, pyarrow, DuckDB or Dask,
or files that are read part by part: data/*.parquet."""


CALC_DETAILS = """\
Uses only the column names and types of the DataFrame. The row count is private, so give an approximate
number with --rows; otherwise the plan is for 10,000 rows. With n_public = True the rows are counted. The
lines of the cell are those of learn:

    %dpsynth calc df --rows 50_000 --epsilon 0.5"""


DOCTOR_DETAILS = """\
Reads the private rows and reports what it finds: identifiers, duplicate rows, several rows per person,
columns with too many values, missing bounds, types that cannot be learned, too few rows for this epsilon.
Epsilon does not cover the findings: clear the output before you pass the notebook on.

Instead of a DataFrame you can pass a table of polars, pyarrow, DuckDB or Dask,
or files: data/*.parquet. It then reads at most 262,144 rows, from up to 16 parts."""


SYNTHESIZE_DETAILS = """\
Every row meets the conditions: a value, None for missing, a list of values, or a range of numbers or dates.

    %dpsynth synthesize 1000 --where {"sex": "Female", "age": (18, 65)}
    %dpsynth synthesize 1000 --balance income      # equally many rows for each category
    %dpsynth synthesize 1000 --order 'admitted <= discharged'

All of them also work for files; shares are then exact over all files together:

    %dpsynth synthesize 10_000_000 --to out/*.parquet --balance income"""


COMPARE_DETAILS = """\
Uses what epsilon has paid for. With --original it reads the real rows: what it shows is for their owner only.

    %dpsynth compare --by sex
    %dpsynth compare --original df --target income"""


PAGE_DETAILS = """\
The page has the score, what is left of every column, all figures and pictures, without scripts; the browser
prints it as PDF. With --original it holds figures of the real rows, and says so on every picture.

    %dpsynth report --to report.html
    %dpsynth report --original df --by sex"""


EVALUATE_DETAILS = """\
Reads the private rows and adds noise to everything that is shown: the distance of every column and of pairs
of columns from the synthetic table, and the accuracy of a model. The cost is recorded in the ledger first,
and every figure has an error bar:

    %dpsynth evaluate df df_synth --epsilon 0.1

Instead of df you can pass a table of polars, pyarrow, DuckDB or Dask,
or files that are read part by part: data/*.parquet."""


INFER_DETAILS = """\
Answers with estimates and intervals that count the noise; the rows that synthesize makes would give intervals
that are far too narrow. Besides a formula it takes one of your functions of a DataFrame and weights:

    %dpsynth infer income ~ sex + age --family binomial
    %dpsynth infer my_function

A regression needs the extra 'inference'."""


ASK_DETAILS = """\
Reads the private rows once: the joint table of the question's columns is measured with noise, and the cost is
recorded in the ledger first. The model's own answer stands beside, and whether both agree:

    %dpsynth ask df income ~ sex --family binomial --epsilon 0.25"""


TABLE_DETAILS = """\
The share of every value of a column, or of every combination of several, with intervals:

    %dpsynth table sex
    %dpsynth table sex income"""


RECEIPT_DETAILS = """\
With --registry it makes the record that the Differential Privacy Deployments Registry asks for (tier 3), and
answers the questions of NIST SP 800-226. What a receipt cannot answer is marked TO BE ANSWERED:

    %dpsynth receipt --registry                     # to look at
    %dpsynth receipt --registry --to record.yaml    # for the registry
    %dpsynth receipt --registry --to record.md      # to read and fill in"""


LEDGER_DETAILS = """\
A run is recorded before anything is measured, and stays recorded however it ends. Tables with the same
content are the same dataset, whatever the variable is called. Tables learned with the same --dataset NAME
are the same dataset, whatever their content. A table with mostly the columns or the rows of a known one
counts together with it, unless you learn it with --new-dataset. What the ledger shows is for the owner of the
data; epsilon does not cover it."""


LOAD_DETAILS = """\
A model that was learned under differential privacy is kept beside the ledger, so that it survives a restart
of the kernel. Nothing is spent by loading it:

    %dpsynth load --last              # the newest one
    %dpsynth load --run 3f2a -o model # one of the list that %dpsynth models shows
    %dpsynth load model.dps           # a file"""


MODELS_DETAILS = """\
The newest models are kept, 500 MB of them if the environment variable JUPYTER_DPSYNTH_KEEP_MB does not say
otherwise; 0 keeps none. A file holds only what epsilon has paid for; the folder is for your eyes only,
because the files' names tell which models are of the same table."""


SHIELD_DETAILS = """\
An assistant, an inspector of variables or a careless cell that looks at df then sees synthetic rows. They are
of a model that was learned from df, if there is one, and cost nothing more; otherwise they are a mock: the
same columns and types, and invented values from what the lines of the cell declare to be public:

    %%dpsynth shield df
    categories = {"ward": ["A1", "A2"]}

The table itself is df_private, which shows nothing and which all commands take: %dpsynth learn df_private.
Code that runs in the kernel can still get at it: this is a screen, not a lock."""


CONFIG_DETAILS = """\
Every parameter has a default that you can change, for this session or in an IPython configuration file:

    %config DPSynthMagics.epsilon = 0.5     # what %%dpsynth learn uses if the cell does not set it
    %config DPSynthMagics                   # all parameters and their meaning"""
