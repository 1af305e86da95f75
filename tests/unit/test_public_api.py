"""The public surface is pinned: nothing is exported, lost or renamed by accident (see CONTRIBUTING.md)."""

import importlib
import inspect
import pkgutil

import pytest

import jupyter_dpsynth

MODULES = {
    "constraints": {
        "Combinations",
        "Constraint",
        "Derivation",
        "Elapsed",
        "Ordering",
        "Total",
        "check_constraints",
    },
    "config": {"ONE_ROW", "HighDimConfig", "ResolvedConfig"},
    "datasets": {
        "fetch_adult",
        "load_census_sample",
        "make_hospital_stays",
        "make_patients_and_visits",
    },
    "evaluation.private": {"PrivateEvaluation", "evaluate_privately", "plan_evaluation"},
    "evaluation.private_report": {"Measured", "PrivateReport"},
    "evaluation.report": {"BANNER", "Metric", "UtilityReport", "check_columns"},
    "estimator": {"SklearnSynthesizer"},
    "inference.results": {"PARTS", "Estimates", "figure"},
    "metadata": {
        "CategoricalMeta",
        "ColumnMeta",
        "ContinuousMeta",
        "DataFrameMeta",
        "DatetimeMeta",
        "IdMeta",
        "MetaExtractor",
        "column_meta_from_dict",
    },
    "notebook": {"load_ipython_extension", "unload_ipython_extension"},
    "notebook.panel": {"ConfigPanel"},
    "privacy.ledger": {"PrivacyLedger"},
    "privacy.receipt": {
        "FORMAT",
        "IN_ALL_TABLES",
        "PrivacyReceipt",
        "budget_shares",
        "epsilon_text",
        "relation_of",
    },
    "privacy.registry": {"TO_BE_ANSWERED", "DeploymentRecord", "Entry", "deployment_record"},
    "privacy.verification": {"Check", "Verification", "verify_receipt"},
    "synthesizer": {"HighDimSynthesizer"},
}

#: What callers may pass, in order; more may come, with defaults.
PARAMETERS = {
    "ConfigPanel": "config df name output declared dataset",
    "HighDimSynthesizer": "df_meta config",
    "HighDimSynthesizer.audit": "self seconds callback stop",
    "HighDimSynthesizer.learn": (
        "self df callback stop dataset label new_dataset infinite_total ledger strategy checkpoint"
    ),
    "HighDimSynthesizer.learn_async": (
        "self df callback dataset new_dataset infinite_total ledger strategy checkpoint"
    ),
    "HighDimSynthesizer.infer": "self question family level columns",
    "HighDimSynthesizer.table": "self columns level",
    "HighDimSynthesizer.mean": "self column level",
    "HighDimSynthesizer.quantile": "self column q level",
    "HighDimSynthesizer.weighted": "self num_rows replicates seed to overwrite",
    "HighDimSynthesizer.ask": (
        "self question df epsilon family level columns dataset label new_dataset infinite_total ledger"
    ),
    "HighDimSynthesizer.load": "path",
    "HighDimSynthesizer.save": "self path",
    "HighDimSynthesizer.impute": "self df seed constraints",
    "HighDimSynthesizer.write_codebook": "self path form",
    "HighDimSynthesizer.synthesize": (
        "self num_rows seed where balance constraints to overwrite progress frame"
    ),
    "Children": "table order most window",
    "MetaExtractor.extract": "df bounds categories decimals ids schema children",
    "Combinations": "columns allowed",
    "Elapsed": "column since until unit",
    "Ordering": "low high",
    "Total": "column parts",
    "PrivacyLedger": "path",
    "PrivacyLedger.export": "self path",
    "PrivacyLedger.link": "self first second",
    "PrivacyLedger.set_cap": "self cap dataset",
    "UtilityReport.against_measurements": "synthesizer df_synth",
    "UtilityReport.against_original": "df df_synth target holdout",
    "datasets.make_hospital_stays": "patients seed",
    "datasets.make_patients_and_visits": "patients seed",
    "estimator.SklearnSynthesizer.fit": "self X y",
    "estimator.SklearnSynthesizer.sample": "self n_samples random_state",
    "evaluate_privately": (
        "synthesizer df df_synth epsilon target dataset label new_dataset infinite_total ledger"
    ),
    "interop.sdv.sdv_metadata": "df_meta",
    "privacy.registry.deployment_record": "receipt",
    "privacy.registry.DeploymentRecord.save": "self path overwrite",
}
REQUIRED = {
    "HighDimSynthesizer": {"df_meta"},
    "HighDimSynthesizer.learn": {"self", "df"},
    "HighDimSynthesizer.impute": {"self", "df"},
    "HighDimSynthesizer.learn_async": {"self", "df"},
    "HighDimSynthesizer.write_codebook": {"self", "path"},
    "HighDimSynthesizer.infer": {"self", "question"},
    "HighDimSynthesizer.mean": {"self", "column"},
    "HighDimSynthesizer.quantile": {"self", "column"},
    "HighDimSynthesizer.ask": {"self", "question", "df", "epsilon"},
    "HighDimSynthesizer.load": {"path"},
    "HighDimSynthesizer.save": {"self", "path"},
    "Combinations": {"columns", "allowed"},
    "Children": {"table"},
    "MetaExtractor.extract": {"df"},
    "Elapsed": {"column", "since", "until"},
    "Ordering": {"low", "high"},
    "Total": {"column", "parts"},
    "PrivacyLedger.export": {"self", "path"},
    "PrivacyLedger.link": {"self", "first", "second"},
    "PrivacyLedger.set_cap": {"self", "cap"},
    "UtilityReport.against_measurements": {"synthesizer", "df_synth"},
    "UtilityReport.against_original": {"df", "df_synth"},
    "estimator.SklearnSynthesizer.fit": {"self", "X"},
    "evaluate_privately": {"synthesizer", "df", "epsilon"},
    "interop.sdv.sdv_metadata": {"df_meta"},
    "privacy.registry.DeploymentRecord.save": {"self", "path"},
    "privacy.registry.deployment_record": {"receipt"},
}


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_exports_exactly_these_names(name):
    module = importlib.import_module(f"jupyter_dpsynth.{name}")
    assert set(module.__all__) == MODULES[name]
    for each in module.__all__:
        assert hasattr(module, each)


def test_the_package_offers_its_public_names_and_no_others():
    assert dir(jupyter_dpsynth) == sorted(jupyter_dpsynth.__all__)
    names = {}
    exec("from jupyter_dpsynth import *", names)  # what a star import brings
    assert names.keys() - {"__builtins__"} == set(jupyter_dpsynth.__all__)


@pytest.mark.parametrize("path", PARAMETERS)
def test_what_callers_pass_keeps_its_name_and_order(path):
    wanted = PARAMETERS[path].split()
    parameters = inspect.signature(pkgutil.resolve_name(f"jupyter_dpsynth.{path}")).parameters
    assert [name for name in parameters if name in wanted] == wanted
    needed = {
        name
        for name, each in parameters.items()
        if each.default is each.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    }
    assert needed == REQUIRED.get(path, {"self"} & set(wanted))
