"""Example tables for trying the package.

The packaged sample is synthetic: this package learned the US census table of 1994 ('Adult', UCI Machine
Learning Repository, CC BY 4.0) at epsilon 1 and made it; `census_sample_receipt.json` beside it is the
receipt of that run, `tools/make_census_sample.py` the script. The hospital stays, and the patients with their
visits, are invented outright.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fetch_adult", "load_census_sample", "make_hospital_stays", "make_patients_and_visits"]

SAMPLE = "census_sample.csv.gz"


def load_census_sample() -> pd.DataFrame:
    """The sample table of the package: synthetic census rows with 15 columns, from a model at epsilon 1.

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


def make_hospital_stays(patients: int = 8000, seed: int = 0) -> pd.DataFrame:
    """An invented table of hospital stays: dates, missing values, several rows for many patients.

    Nothing in it comes from real people: every value is drawn from the distributions written below.

    Args:
        patients: How many patients; each has one stay, and many have more.
        seed: Equal seeds give equal tables.

    Returns:
        One row a stay, in no order of patients: `patient_id`, `sex`, `age` in years, `ward`, `emergency`,
        `admitted` and `discharged` (missing for who is still there), `crp` in mg/l (measured in two of
        three stays) and `cost` in euros.
    """
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(seed)
    stays = 1 + generator.negative_binomial(1, 0.65, patients)
    patient = generator.permutation(np.repeat(np.arange(patients), stays))
    rows = len(patient)
    sex = generator.choice(["female", "male"], patients)[patient]
    age = np.clip(generator.normal(58, 19, patients), 0, 100).astype(int)[patient]
    wards = np.array(["surgery", "cardiology", "internal medicine", "paediatrics", "obstetrics"])
    likely = np.select(
        [age < 16, (sex == "female") & (age < 45), age < 55],
        ["paediatrics", "obstetrics", "surgery"],
        "cardiology",
    )
    ward = np.where(generator.random(rows) < 0.45, likely, generator.choice(wards[:3], rows))
    emergency = generator.random(rows) < 0.25 + 0.4 * (ward == "cardiology")
    minutes = generator.integers(0, 2 * 365 * 24 * 60, rows)
    admitted = pd.Timestamp("2024-01-01") + pd.to_timedelta(minutes // 15 * 15, unit="min")
    hours = np.ceil(generator.gamma(2, 20 + 0.9 * age + 30 * emergency))
    discharged = (admitted + pd.to_timedelta(hours, unit="h")).where(generator.random(rows) > 0.03)
    crp = np.round(generator.lognormal(1.5 + 1.2 * emergency, 0.9), 1)
    cost = np.round(900 + 28 * hours + 2500 * (ward == "surgery") + generator.gamma(2, 150, rows), 2)
    df = pd.DataFrame(
        {
            "patient_id": patient + 100_000,
            "sex": sex,
            "age": age,
            "ward": ward,
            "emergency": emergency,
            "admitted": admitted,
            "discharged": discharged,
            "crp": np.where(generator.random(rows) < 2 / 3, crp, np.nan),
            "cost": cost,
        }
    )
    df.attrs["dataset"] = "invented hospital stays"
    return df


def make_patients_and_visits(patients: int = 5000, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Two invented tables: patients, and their visits to a hospital over three years.

    Nothing in them comes from real people. A diagnosis makes the same one likely next time, and says when the
    next visit comes; after a death there is none. They are as raw as exports are: some visits name nobody in
    the table of patients, some have no date, and a few patients are there twice.

    Args:
        patients: How many patients; about every third has no visit.
        seed: Equal seeds give equal tables.

    Returns:
        'patients', one row each: `patient_id`, `sex`, `born` (a year), `region`. 'visits', in no order:
        `patient_id`, `admitted`, `discharged`, `diagnosis`, `emergency`, `outcome`, and `sex` once more.
    """
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(seed)
    keys = random.permutation(patients) + 10_000
    sex = random.choice(["female", "male"], patients)
    born = random.integers(1930, 2016, patients)
    region = random.choice(["north", "south", "east", "west"], patients, p=[0.4, 0.3, 0.2, 0.1])
    names = np.array(["heart", "injury", "lung", "kidney"])
    again, gap = np.array([0.6, 0.1, 0.5, 0.8]), np.array([80, 250, 120, 30])  # the same once more; days
    number = np.minimum(random.poisson(random.gamma(1.1, 0.6 + (2020 - born) / 45)), 10)
    day, diagnosis = random.integers(0, 900, patients), random.integers(0, 4, patients)
    parts, alive = [], np.ones(patients, dtype=bool)
    for place in range(10):
        who = np.flatnonzero(alive & (number > place) & (day < 3 * 365))
        if place:
            other = random.random(len(who)) > again[diagnosis[who]]
            diagnosis[who] = np.where(other, random.integers(0, 4, len(who)), diagnosis[who])
        emergency = random.random(len(who)) < np.where(diagnosis[who] == 3, 0.2, 0.5)
        died = random.random(len(who)) < np.where(diagnosis[who] == 0, 0.08, 0.01)
        admitted = pd.Timestamp("2022-01-01") + pd.to_timedelta(day[who], unit="D")
        stay = pd.to_timedelta(1 + random.poisson(3 + 3 * emergency), unit="D")
        values = {"patient_id": keys[who], "admitted": admitted, "discharged": admitted + stay}
        values |= {"diagnosis": names[diagnosis[who]], "emergency": emergency}
        values |= {"outcome": np.where(died, "died", "home"), "sex": sex[who]}
        parts.append(pd.DataFrame(values))
        alive[who[died]] = False
        day[who] += 7 + random.exponential(gap[diagnosis[who]]).astype(int)
    visits = pd.concat(parts, ignore_index=True)
    visits.loc[random.random(len(visits)) < 0.01, "patient_id"] = 1
    visits["admitted"] = visits["admitted"].where(random.random(len(visits)) > 0.005)
    visits = visits.iloc[random.permutation(len(visits))].reset_index(drop=True)
    table = pd.DataFrame({"patient_id": keys, "sex": sex, "born": born, "region": region})
    table = pd.concat([table, table.iloc[:12]], ignore_index=True)
    table.attrs["dataset"] = "invented patients"
    return {"patients": table, "visits": visits}


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
            f"the census table cannot be downloaded from OpenML ({type(error).__name__}): there may be no "
            "internet connection. load_census_sample() needs none."
        ) from None
