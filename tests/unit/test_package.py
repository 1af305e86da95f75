"""The package's surface: exactly these names, nothing heavy on import, layers that point down."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jupyter_dpsynth
from jupyter_dpsynth import datasets
from jupyter_dpsynth.errors import DPSynthError
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt


def test_the_public_names_are_these():
    assert set(jupyter_dpsynth.__all__) == {
        "ArtifactError",
        "BudgetExhaustedError",
        "Children",
        "ConfigError",
        "Combinations",
        "ConfigPanel",
        "Ordering",
        "DPSynthError",
        "DataError",
        "DataFrameMeta",
        "Elapsed",
        "HighDimConfig",
        "HighDimSynthesizer",
        "MetaExtractor",
        "MetadataError",
        "MissingDependencyError",
        "NotLearnedError",
        "PrivacyLedger",
        "Total",
        "UtilityReport",
        "WorkerLostError",
        "__version__",
        "datasets",
        "evaluate_privately",
        "load_ipython_extension",
        "unload_ipython_extension",
    }
    for name in jupyter_dpsynth.__all__:
        assert getattr(jupyter_dpsynth, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jupyter_dpsynth.nothing


def test_the_seeds_import_works_with_the_packages_name():
    from jupyter_dpsynth.config import HighDimConfig

    assert HighDimConfig is jupyter_dpsynth.HighDimConfig


@pytest.mark.parametrize(
    "statement",
    [
        "import jupyter_dpsynth",
        "from jupyter_dpsynth import HighDimConfig; HighDimConfig()",
        "import jupyter_dpsynth.privacy.accounting",
        "from jupyter_dpsynth import PrivacyLedger; PrivacyLedger().summary()",
        "import jupyter_dpsynth.notebook",
    ],
)
def test_importing_loads_nothing_heavy(statement, tmp_path):
    code = (
        f"{statement}; import sys, json; heavy = ['tensorflow', 'pandas', 'matplotlib', 'dp_accounting']; "
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    environment = {**os.environ, "JUPYTER_DATA_DIR": str(tmp_path)}  # a ledger without runs
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout) == []


def test_every_error_is_a_dpsynth_error_with_its_standard_parent():
    parents = {
        "ConfigError": ValueError,
        "MetadataError": ValueError,
        "DataError": ValueError,
        "BudgetExhaustedError": RuntimeError,
        "NotLearnedError": RuntimeError,
        "ArtifactError": ValueError,
        "MissingDependencyError": ImportError,
        "WorkerLostError": RuntimeError,
    }
    for name, parent in parents.items():
        error = getattr(jupyter_dpsynth, name)
        assert issubclass(error, DPSynthError)
        assert issubclass(error, parent)


def test_imports_point_down_only():
    command = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [command], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_the_sample_is_a_table_of_the_census_form_with_its_receipt():
    from importlib import resources

    df = datasets.load_census_sample()
    assert len(df) == 20_000
    assert list(df.columns[:3]) == ["age", "workclass", "fnlwgt"]
    assert df["age"].dtype == "int64"
    assert set(df["income"]) == {"<=50K", ">50K"}
    folder = resources.files("jupyter_dpsynth") / "resources"
    receipt = PrivacyReceipt.from_dict(json.loads((folder / "census_sample_receipt.json").read_text()))
    assert receipt.epsilon <= 1
    assert receipt.recompute_epsilon() == pytest.approx(receipt.epsilon, abs=1e-3)
    assert sum(len((folder / name).read_bytes()) for name in ("census_sample.csv.gz",)) < 2**20


def test_fetching_the_original_says_when_there_is_no_internet(monkeypatch):
    sklearn_datasets = pytest.importorskip("sklearn.datasets")

    def no_internet(*_args, **_options):
        raise OSError("unreachable")

    monkeypatch.setattr(sklearn_datasets, "fetch_openml", no_internet)
    with pytest.raises(DPSynthError, match=r"load_census_sample\(\) needs none"):
        datasets.fetch_adult()


def test_the_invented_hospital_stays_are_repeatable_and_have_what_makes_them_hard():
    df = datasets.make_hospital_stays(500, seed=3)
    assert df.equals(datasets.make_hospital_stays(500, seed=3))
    assert not df.equals(datasets.make_hospital_stays(500, seed=4))
    assert df["patient_id"].nunique() == 500
    assert df["patient_id"].value_counts().max() > 2
    assert df["discharged"].isna().any()
    assert df["crp"].isna().any()
    assert not (df["discharged"] < df["admitted"]).any()


def test_the_invented_patients_and_visits_are_repeatable_and_as_raw_as_an_export():
    tables = datasets.make_patients_and_visits(600, seed=3)
    again = datasets.make_patients_and_visits(600, seed=3)
    assert all(tables[name].equals(again[name]) for name in tables)
    patients, visits = tables["patients"], tables["visits"]
    assert patients["patient_id"].duplicated().sum() == 12
    assert not visits["patient_id"].isin(patients["patient_id"]).all()
    assert visits["admitted"].isna().any()
    assert not (visits["discharged"] < visits["admitted"]).any()
    known = visits[visits["patient_id"].isin(patients["patient_id"])]
    deaths = known[known["outcome"] == "died"].set_index("patient_id")["discharged"]
    later = known["discharged"] > known["patient_id"].map(deaths)
    assert len(deaths) > 3
    assert not later.any()
