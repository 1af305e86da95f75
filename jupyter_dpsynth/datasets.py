"""Tables to try the package on.

The packaged sample is synthetic: this package learned the US census table of 1994 ('Adult', UCI Machine
Learning Repository, CC BY 4.0) at epsilon 1 and made it; `census_sample_receipt.json` beside it is the
receipt of that run, `tools/make_census_sample.py` the script.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fetch_adult", "load_census_sample"]

SAMPLE = "census_sample.csv.gz"


def load_census_sample() -> pd.DataFrame:
    """The packaged sample: synthetic census rows, 15 columns, from a model at epsilon 1.

    Returns:
        Numbers as int64, names as text; the column `income` is the usual target. The ledger knows it, and
        what is made of it, as 'census sample'.
    """
    import pandas as pd

    source = resources.files("jupyter_dpsynth") / "resources" / SAMPLE
    with resources.as_file(source) as path:
        df = pd.read_csv(path)
    df.attrs["dataset"] = "census sample"
    return df


def fetch_adult() -> pd.DataFrame:
    """The original census table, from OpenML: 48,842 rows, 15 columns. Needs internet.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
        DataError: OpenML cannot be reached.
    """
    try:
        from sklearn.datasets import fetch_openml
    except ImportError as error:
        raise MissingDependencyError(
            "fetch_adult needs scikit-learn: install jupyter_dpsynth[evaluation]."
        ) from error
    try:
        return fetch_openml("adult", version=2, as_frame=True, n_retries=1, delay=0).frame
    except (OSError, ValueError) as error:
        raise DataError(
            f"the census table cannot be fetched from OpenML ({type(error).__name__}): there may be no "
            "internet here. load_census_sample() needs none."
        ) from None
