"""Three columns together: which are found, what is made of them, and what stays in files and samples."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.measuring.candidates import candidates_of
from jupyter_dpsynth.engine.measuring.interactions import choose_interactions
from jupyter_dpsynth.engine.model.features import Derived, grouped_cells
from jupyter_dpsynth.engine.model.network import Layout, TabularModel
from jupyter_dpsynth.engine.model.plan import INTERACTIONS, STRENGTHS
from jupyter_dpsynth.engine.model.reference import MeasuredReference, pair_dependence
from jupyter_dpsynth.engine.planning.plan import SEARCH_STEPS, plan_run
from jupyter_dpsynth.engine.sampling.conditional import ConditionalSampler
from jupyter_dpsynth.engine.sampling.generation import generate_codes
from jupyter_dpsynth.engine.sampling.imputing import CellSampler
from jupyter_dpsynth.errors import ArtifactError
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.releases import Releases
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.networks import counted, exact_joint, one_ways, random_model
from tests.support.tables import mixed_table

SIZES = [3, 2, 4, 3, 2]
DERIVED = (
    Derived((0, 1), (np.array([0, 1, 1]), np.array([0, 1])), 3, 0.7),
    Derived((0, 1, 2), (np.array([0, 1, 2]), np.array([0, 1]), np.array([0, 1, 0, 1])), 4, 1.2),
    Derived((2, 3), (np.array([0, 1, 2, 3]), np.array([0, 1, 0])), 4, 1.2),
)


@pytest.fixture(scope="module")
def model():
    return random_model(SIZES, strength=2.0, seed=3, derived=DERIVED)


@pytest.fixture(scope="module")
def joint(model):
    return exact_joint(model)


def test_a_derived_features_code_tells_all_combinations_of_groups_apart():
    codes = np.stack(np.meshgrid(range(3), range(2), range(4), indexing="ij"), -1).reshape(-1, 3)
    found = DERIVED[1].codes(codes)
    groups = codes % np.array([3, 2, 2])
    assert len(set(found)) == DERIVED[1].size == 12
    assert len(set(zip(found, map(tuple, groups), strict=True))) == 12


@pytest.mark.parametrize(
    "change",
    [
        {"sources": [1, 0]},
        {"target": 1},
        {"target": 5},
        {"sources": [-1, 1]},
        {"groups": [[0, 1], [0, 1]]},
        {"groups": [[0, 2, 2], [0, 1]]},
        {"groups": [[0, 1, 1]]},
    ],
)
def test_a_derived_feature_that_does_not_fit_the_columns_is_refused(change):
    values = DERIVED[0].to_dict()
    assert Derived.from_dict(values, SIZES).to_dict() == values
    with pytest.raises(ValueError, match="derived feature"):
        Derived.from_dict({**values, **change}, SIZES)


@pytest.mark.parametrize(("ordered", "most"), [(0, 4), (30, 4), (30, 7), (0, 40), (30, 40)])
def test_groups_of_cells_are_as_many_as_wanted_and_numbered(ordered, most):
    share = np.random.default_rng(0).dirichlet(np.ones(32))
    groups = grouped_cells(share, ordered, most)
    assert set(groups) == set(range(groups.max() + 1))
    assert 2 <= groups.max() + 1 <= most + 1
    if ordered and most < 32:
        assert (np.diff(groups[:ordered]) >= 0).all()


def test_generated_rows_follow_the_exact_distribution(model, joint):
    codes = generate_codes(model, one_ways(joint), 60_000, np.random.default_rng(1))
    assert np.abs(counted(codes, SIZES) - joint).sum() / 2 < 0.01


def test_rows_that_meet_a_condition_follow_the_exact_distribution(model, joint):
    allowed = [np.ones(size) for size in SIZES]
    allowed[4] = np.array([0.0, 1.0])
    sampler = ConditionalSampler(model, model.bias.astype(float), np.random.default_rng(2))
    found = counted(sampler.draw(allowed, 20_000), SIZES)
    wanted = joint * allowed[4]
    assert np.abs(found - wanted / wanted.sum()).sum() / 2 < 0.03


@pytest.mark.parametrize("places", [[0], [1], [2], [3], [4], [0, 1], [0, 3], [1, 2, 3], [0, 1, 2, 3, 4]])
def test_missing_cells_have_their_exact_chances_given_the_others(places, model, joint):
    allowed = [np.ones(size, dtype=bool) for size in SIZES]
    sampler = CellSampler(model, model.bias.astype(float), allowed, np.random.default_rng(4))
    codes = np.array([[2, 1, 3, 2, 1], [0, 0, 1, 0, 0], [1, 1, 2, 1, 0]], dtype=np.int32)
    scores = sampler._scores(codes, places).reshape(3, -1)
    for row, own in zip(codes, scores, strict=True):
        wanted = joint[tuple(slice(None) if j in places else cell for j, cell in enumerate(row))].ravel()
        chances = np.exp(own - own.max())
        assert chances / chances.sum() == pytest.approx(wanted / wanted.sum(), abs=1e-6)


def planned(df, **parameters):
    meta = MetaExtractor.extract(df, categories={name: list(range(df[name].max() + 1)) for name in df})
    return plan_run(HighDimConfig(**parameters).resolve(), meta, float(len(df)), "quick")


def search(df, epsilon, ordered=None):
    """What is found by a model of independent columns; of the ordered ones all cells are neighbours."""
    codes, sizes = df.to_numpy().astype(np.uint8), df.max().to_numpy() + 1
    plan = planned(df, epsilon=epsilon)
    shares = tuple(np.bincount(column) / len(df) for column in codes.T)
    dependence = pair_dependence(codes.astype(np.int32), sizes)
    noise = tuple(np.zeros(size) for size in sizes)
    labels = tuple(tuple(map(str, range(size))) for size in sizes)
    kinds = ("category",) * len(sizes)
    reference = MeasuredReference(tuple(df), labels, kinds, shares, noise, dependence, 0.0, len(df))
    layout = Layout.from_dependence(sizes, dependence, 0.5)
    bias = np.log(np.maximum(np.concatenate(shares), 1e-6)).astype(np.float32)
    model = TabularModel(layout, np.zeros_like(layout.mask), bias)
    random = np.random.default_rng(0)
    made = generate_codes(model, shares, 5000, random)
    releases = Releases(NoiseSource(test_only_seed=1))
    releases.admit(plan.releases_of_search)
    return choose_interactions(
        codes, model, reference, ordered or [0] * len(sizes), made, plan, releases, random, lambda: None
    )


@pytest.mark.parametrize("sources", [(0, 1), (1, 3, 4)])
def test_an_exclusive_or_is_found_and_nothing_else(sources):
    random = np.random.default_rng(5)
    df = pd.DataFrame(random.integers(2, size=(12_000, 7)), columns=list("abcdefg"))
    df["g"] = df.to_numpy()[:, list(sources)].sum(axis=1) % 2 ^ (random.random(12_000) < 0.05)
    (found,) = search(df, epsilon=2.0)
    assert (found.sources, found.target) == (sources, 6)
    assert found.sizes == (2,) * len(sources)
    assert found.scale > 1  # stronger than the pairs, which are independent


def test_an_interaction_with_a_number_is_found_in_a_table_of_few_cells():
    random = np.random.default_rng(7)
    df = pd.DataFrame({"a": random.integers(2, size=12_000), "b": random.integers(32, size=12_000)})
    df["c"] = (df["b"] >= 16) ^ (df["a"] == 1) ^ (random.random(12_000) < 0.05)
    (found,) = search(df.astype(int), epsilon=20.0, ordered=[0, 32, 0])
    assert (found.sources, found.target) == ((0, 1), 2)
    assert found.size > 36  # more than all columns have together


def test_nothing_is_found_where_no_columns_belong_together():
    random = np.random.default_rng(6)
    df = pd.DataFrame((random.normal(size=(12_000, 8)) > 0.3).astype(int), columns=list("abcdefgh"))
    assert search(df, epsilon=2.0) == ()


def test_of_wide_tables_a_bounded_part_is_looked_at():
    shares, made = [np.full(2, 0.5)] * 200, np.random.default_rng(0).integers(2, size=(200, 200))
    candidates = candidates_of(shares, [0] * 200, made, np.random.default_rng(1))
    assert 600 <= len(candidates) <= 1200
    assert len({each.sources for each in candidates}) == len(candidates)


def test_a_search_is_planned_where_it_can_find_something():
    df = pd.DataFrame(np.zeros((20_000, 4), dtype=int), columns=list("abcd"))
    plan = planned(df, epsilon=1.0)
    assert plan.picks == 5  # every set of columns there is
    assert plan.search_step == plan.steps // 3
    assert [each.measurement.name for each in plan.releases_of_search] == [INTERACTIONS, STRENGTHS]
    assert not {INTERACTIONS, STRENGTHS} & {each.measurement.name for each in plan.releases}
    for other in (
        planned(df[["a", "b"]], epsilon=1.0),
        planned(df, epsilon=0.05),
        planned(df, epsilon=1.0, steps=SEARCH_STEPS - 1),
    ):
        assert other.picks == other.search_step == len(other.releases_of_search) == 0


@pytest.fixture(scope="module")
def with_derived():
    synthesizer = untrained(mixed_table(600, seed=91), bounds={"age": (18, 90)})
    learned = synthesizer.learned
    layout = learned.model.layout
    groups = tuple(np.arange(size) % 2 for size in layout.sizes[:2])
    layout = layout.with_derived([Derived((0, 1), groups, 2, 0.8)])
    weights = np.random.default_rng(1).normal(size=layout.mask.shape).astype(np.float32) * layout.mask
    model = replace(learned.model, layout=layout, weights=weights)
    return HighDimSynthesizer.restore(synthesizer.config, replace(learned, model=model))


def test_a_saved_model_keeps_its_derived_features(with_derived, tmp_path):
    with_derived.save(tmp_path / "model.dps")
    again = HighDimSynthesizer.load(tmp_path / "model.dps")
    pd.testing.assert_frame_equal(again.synthesize(200, seed=1), with_derived.synthesize(200, seed=1))


def rewritten(source, target, change):
    with zipfile.ZipFile(source) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(content["schema.json"])
    change(schema)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in {**content, "schema.json": json.dumps(schema)}.items():
            archive.writestr(name, data)


def test_a_model_of_protocol_1_is_read_as_before(tmp_path):
    synthesizer = untrained(mixed_table(600, seed=91))
    synthesizer.save(tmp_path / "new.dps")

    def as_before(schema):
        schema["protocol"] = 1
        del schema["derived"]

    rewritten(tmp_path / "new.dps", tmp_path / "old.dps", as_before)
    again = HighDimSynthesizer.load(tmp_path / "old.dps")
    pd.testing.assert_frame_equal(again.synthesize(200, seed=1), synthesizer.synthesize(200, seed=1))


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema["derived"].clear(),
        lambda schema: schema["derived"][0].update(target=0),
        lambda schema: schema["derived"][0]["groups"][0].append(0),
        lambda schema: schema["derived"][0].update(scale=-1),
        lambda schema: schema["derived"][0].update(more=1),
    ],
)
def test_a_file_whose_derived_features_are_damaged_is_refused(change, with_derived, tmp_path):
    with_derived.save(tmp_path / "model.dps")
    rewritten(tmp_path / "model.dps", tmp_path / "damaged.dps", change)
    with pytest.raises(ArtifactError):
        HighDimSynthesizer.load(tmp_path / "damaged.dps")
