"""Codes that are too rare to be published come back as their group, which many rows have."""

from string import ascii_uppercase

import numpy as np
import pandas as pd
import pytest

from jupyter_dpsynth import HighDimConfig, MetaExtractor
from jupyter_dpsynth.encoding.categorical import CategoryCodec
from jupyter_dpsynth.engine.measuring.categories import _factorized
from jupyter_dpsynth.engine.measuring.domains import discover_table
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.errors import MetadataError
from jupyter_dpsynth.evaluation.cells import cells_of
from jupyter_dpsynth.metadata.codelists import listed_groups
from jupyter_dpsynth.notebook.panel.draft import SchemaDraft
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.sources.base import FrameSource
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.plans import plan_of_noise, releases_of

ROWS = 12_000
RULE = {"icd": "prefix:1,3"}


def diagnoses(rows=ROWS, seed=0):
    """Some 2,000 codes in 200 groups of 10 chapters, most of them rare; a tenth are codes of groups."""
    random = np.random.default_rng(seed)
    group = np.minimum(random.geometric(0.03, rows), 199)
    chapter = np.array(list("ABCDEFGHIJ"))[group // 20]
    code = np.char.add(chapter, np.char.zfill((group % 20).astype(str), 2))
    full = np.char.add(np.char.add(code, "."), random.integers(0, 10, rows).astype(str))
    icd = np.where(random.random(rows) < 0.1, code, full).astype(object)
    icd[random.random(rows) < 0.02] = None
    df = pd.DataFrame({"icd": icd})
    for name in "abcdefg":
        df[name] = random.choice(list("xyz"), rows)
    return df


def codec_of(df, rule, seed=0, epsilon=1.0):
    meta = MetaExtractor.extract(df, hierarchy=rule)
    plan = plan_run(HighDimConfig(epsilon=epsilon).resolve(), meta, float(len(df)), "quick")
    releases = releases_of(plan, NoiseSource(test_only_seed=seed))
    return discover_table(FrameSource(df), meta, releases, plan, lambda _: None).columns[0]


def test_rows_become_their_group_and_not_other():
    df = diagnoses()
    lost = {}
    for rule in (None, RULE):
        codec = codec_of(df, rule).codec
        made = codec.decode(codec.encode(df["icd"]), np.random.default_rng(0))
        lost[rule is not None] = (made == "other").mean()
        assert made.isna().equals(df["icd"].isna())
        kept = made.notna() & (made != "other")
        assert all(real.startswith(own) for real, own in zip(df["icd"][kept], made[kept], strict=True))
    assert lost[False] > 0.5
    assert lost[True] < 0.1


def test_a_group_holds_what_its_published_members_do_not():
    df = diagnoses()
    found = codec_of(df, RULE, epsilon=10.0)
    assert {len(value) for value in found.codec.published} == {1, 3, 5}
    exact = np.bincount(found.codec.encode(df["icd"]), minlength=found.codec.size)
    measured = ~np.isinf(found.variances)
    off = (found.counts - exact)[measured] / np.sqrt(found.variances[measured])
    assert np.abs(off).max() < 5
    assert off.std() == pytest.approx(1, abs=0.35)


def test_without_noise_every_code_is_its_own():
    df = diagnoses(500)
    meta = MetaExtractor.extract(df, hierarchy=RULE)
    plan = plan_of_noise(meta, len(df), resolutions=0, histograms=0, rare=0, cells=1000)
    releases = releases_of(plan, NoiseSource(test_only_seed=0))
    codec = discover_table(FrameSource(df), meta, releases, plan, lambda _: None).columns[0].codec
    assert set(codec.published) == set(df["icd"].dropna())


def test_files_give_the_same_groups_as_the_table_in_memory(tmp_path):
    df = diagnoses(3000)
    for part in range(3):
        df.iloc[part::3].to_parquet(tmp_path / f"{part}.parquet")
    meta = MetaExtractor.extract(df, hierarchy=RULE)
    plan = plan_of_noise(meta, len(df), histograms=0.01, rare=0.01, cells=30)
    found = []
    for table in (df, str(tmp_path / "*.parquet")):
        releases = releases_of(plan, NoiseSource(test_only_seed=0))
        with open_source(table) as source:
            found.append(discover_table(source, meta, releases, plan, lambda _: None).columns[0].codec)
    assert found[0].published == found[1].published
    assert len(found[0].published) == 28


def test_groups_travel_with_the_model_and_can_be_asked_for():
    df = diagnoses(4000)
    synthesizer = untrained(df, hierarchy=RULE)
    codec = synthesizer.codec.columns[0]
    assert CategoryCodec.from_dict(codec.to_dict()).to_dict() == codec.to_dict()
    group = next(value for value in codec.published if len(value) == 3)
    assert (synthesizer.synthesize(50, seed=0, where={"icd": group})["icd"] == group).all()


@pytest.mark.parametrize(
    "rule", ["prefix", "prefix:", "prefix:3,1", "prefix:0", "prefix:1,1", "tree", 3, [1, 3]]
)
def test_what_is_no_rule_is_refused(rule):
    with pytest.raises(MetadataError, match="'prefix:1,3' for diagnoses"):
        MetaExtractor.extract(diagnoses(10), hierarchy={"icd": rule})


def test_a_hierarchy_fits_its_column():
    df = diagnoses(10).assign(n=1)
    with pytest.raises(MetadataError, match="does not contain text"):
        MetaExtractor.extract(df, hierarchy={"n": "prefix:1"})
    with pytest.raises(MetadataError, match="both categories and hierarchy"):
        MetaExtractor.extract(df, hierarchy=RULE, categories={"icd": ["A"]})
    with pytest.raises(MetadataError, match="not in the table"):
        MetaExtractor.extract(df, hierarchy={"icf": "prefix:1"})
    with pytest.raises(MetadataError, match="at most 4"):
        MetaExtractor.extract(df, hierarchy={"icd": "prefix:1,2,3,4,5"})
    schema = {"columns": {"icd": {"hierarchy": "prefix: 1, 3"}}}
    assert MetaExtractor.extract(df, schema=schema)["icd"].prefixes == (1, 3)


def test_no_row_decides_how_a_value_that_is_no_code_is_written():
    """1 and True are one key of a dict: the first row's spelling would be that of all of them."""
    values = pd.DataFrame({"icd": pd.Series([True, 1, "A00.1", "A00.2", 1.0], dtype=object)})
    meta = MetaExtractor.extract(diagnoses(50), hierarchy=RULE)["icd"]
    for df in (values, values.iloc[1:].reset_index(drop=True)):
        codes, groups = _factorized(df, meta, 2)
        assert [repr(groups[code]) for code in codes] == [repr(v) for v in [True, 1, "A00", "A00", 1.0]][
            -len(df) :
        ]


@pytest.fixture(scope="module")
def grouped():
    """A model of the diagnoses and one numeric column."""
    return untrained(diagnoses()[["icd", "a"]], hierarchy=RULE)


def shortened_rows(df, codec):
    """Which rows come back with the group of their code."""
    made = codec.decode(codec.encode(df["icd"]), np.random.default_rng(0))
    return df["icd"].notna() & (made != df["icd"]) & (made != "other")


def test_rows_that_keep_the_group_of_their_code_only_are_counted_and_called_coarse(grouped, tmp_path):
    found = {each.name: each for each in grouped.losses}["icd"]
    rows = {each.kind: each for each in found.lost}["shortened"]
    truth = shortened_rows(diagnoses(), grouped.codec.columns[0]).mean()
    assert abs(rows.share - truth) < 5 * rows.error < 0.3
    assert found.state == "coarse"
    assert found.shortened > 0.5 > found.share  # they are not among those that are lost
    assert "codes shortened" in found.brief
    grouped.save(tmp_path / "model.dps")
    assert HighDimSynthesizer.load(tmp_path / "model.dps").losses == grouped.losses


def test_codes_that_are_as_short_as_a_group_are_not_taken_for_shortened_ones():
    df = diagnoses()[["icd", "a"]]
    df["icd"] = df["icd"].str[:3]
    made = untrained(df, hierarchy=RULE)
    rows = {each.kind: each for each in made.losses[0].lost}["shortened"]
    assert abs(rows.share - shortened_rows(df, made.codec.columns[0]).mean()) < 5 * rows.error < 0.3
    assert rows.share < 0.15  # codes that are rare became chapters


def test_a_large_group_counts_as_a_difference_where_the_codes_are_longer(grouped):
    df = diagnoses()[["icd", "a"]]
    everything = df["icd"].where(df["icd"].isna(), "A" + df["icd"].str[1:])  # a chapter of nearly all rows
    many = untrained(df.assign(icd=everything), hierarchy={"icd": "prefix:1"})
    cells = cells_of(many.codec, many.reference)
    codes = cells.encode_apart(df.assign(icd=everything))[:, 0]
    assert (codes < cells.sizes[0]).all()
    longer = [place for place, label in enumerate(cells.labels[0]) if label == "A, longer code"]
    assert len(longer) == 1
    shares, _ = cells.measured(many.reference)
    assert shares[0].sum() == pytest.approx(1, abs=1e-6)
    assert abs(shares[0][longer[0]] - (codes == longer[0]).mean()) < 0.05
    assert (codes == longer[0]).mean() > 0.3
    assert not (cells.encode_apart(many.synthesize(500, seed=0))[:, 0] == longer[0]).any()


SECTIONS = {"A": range(1, 4), "C": range(10, 34), "J": range(58, 64)}
TREE = {f"{number:02d}": section for section, numbers in SECTIONS.items() for number in numbers}


def industries(rows=ROWS, seed=0):
    """Classes of industries: their first digits are divisions, and sections have letters of their own."""
    random = np.random.default_rng(seed)
    division = random.choice(sorted(TREE), rows)
    code = np.char.add(np.char.add(division, "."), np.char.zfill(random.integers(0, 60, rows).astype(str), 2))
    return pd.DataFrame({"nace": code, "a": random.choice(list("xyz"), rows)})


def tree_of(df):
    return TREE | {code: code[:2] for code in df["nace"].unique()}


def test_a_tree_gives_groups_whose_names_are_no_first_characters():
    df = industries()
    tree = tree_of(df)
    assert MetaExtractor.extract(df, hierarchy={"nace": tree})["nace"].levels == 2
    codec = codec_of(df, {"nace": tree}).codec
    made = codec.decode(codec.encode(df["nace"]), np.random.default_rng(0))
    for real, own in zip(df["nace"], made, strict=True):
        assert own in {real, real[:2], TREE[real[:2]]}
    assert set(TREE) & set(codec.published)
    noisier = codec_of(df, {"nace": tree}, epsilon=0.1).codec
    assert "C" in noisier.published
    made = noisier.decode(noisier.encode(df["nace"]), np.random.default_rng(0))
    assert (made == "other").mean() < 0.3
    assert CategoryCodec.from_dict(codec.to_dict()).to_dict() == codec.to_dict()


def test_a_tree_may_be_a_file_and_travels_with_the_model(tmp_path):
    df = industries(3000)
    pairs = "".join(f"{child};{parent};text\n" for child, parent in tree_of(df).items())
    (tmp_path / "tree.csv").write_text(f"code;group;title\n{pairs}J;;top\n")
    rule = {"nace": str(tmp_path / "tree.csv")}
    meta = MetaExtractor.extract(df, hierarchy=rule)
    assert meta == MetaExtractor.extract(df, hierarchy={"nace": tree_of(df)})
    draft = SchemaDraft(open_source(df), {"hierarchy": rule})
    assert draft.arguments()["hierarchy"] == rule
    assert draft.meta() == meta
    draft.set("nace", domain="prefix:2")
    assert draft.arguments()["hierarchy"] == {"nace": "prefix:2"}
    given = SchemaDraft(open_source(df), {"hierarchy": {"nace": tree_of(df)}})
    assert given.meta() == meta
    made = untrained(df, hierarchy=rule)
    made.save(tmp_path / "model.dps")
    loaded = HighDimSynthesizer.load(tmp_path / "model.dps")
    assert loaded.synthesize(300, seed=0).equals(made.synthesize(300, seed=0))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": "b", "b": "a"}, "goes round in a circle"),
        ({"a": 1}, "both of them text"),
        ({}, "both of them text"),
        ({str(n): str(n + 1) for n in range(9)}, "has 9 levels: at most 4"),
        ("nowhere.csv", "'nowhere.csv' cannot be read as CSV"),
        (["a"], "or a tree, as a dict"),
    ],
)
def test_a_tree_that_does_not_work_is_refused(tree, message):
    with pytest.raises(MetadataError, match=message):
        MetaExtractor.extract(industries(10), hierarchy={"nace": tree})


def coded(rows=ROWS, seed=0):
    """Diagnoses and industries, most of them rare; a few of the first are no codes."""
    random = np.random.default_rng(seed)
    letter = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))[np.minimum(random.geometric(0.08, rows) - 1, 25)]
    category = np.char.add(letter, np.char.zfill(random.integers(0, 100, rows).astype(str), 2))
    icd = np.char.add(np.char.add(category, "."), random.integers(0, 10, rows).astype(str))
    icd = np.where(random.random(rows) < 0.02, "unknown", icd)
    division = random.choice(
        [n for first, last in ((1, 3), (10, 33), (58, 63)) for n in range(first, last + 1)], rows
    )
    nace = [f"{own:02d}.{part:02d}" for own, part in zip(division, random.integers(0, 60, rows), strict=True)]
    return pd.DataFrame({"icd": icd, "nace": nace}).astype(object)


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
@pytest.mark.parametrize(("name", "rule"), [("icd", "icd10"), ("nace", "nace2")])
def test_a_classification_brings_codes_back_as_their_group_instead_of_other(name, rule, epsilon):
    df = coded()[[name]]
    lost = []
    for hierarchy in (None, {name: rule}):
        codec = codec_of(df, hierarchy, epsilon=epsilon).codec
        made = codec.decode(codec.encode(df[name]), np.random.default_rng(0))
        lost.append((made == "other").mean())
        for real, own in zip(df[name], made, strict=True):
            assert own in {real, "other", *listed_groups(rule, real)}
    assert lost[0] > 0.9
    assert lost[1] < 0.15


@pytest.mark.parametrize(
    ("rule", "code", "groups"),
    [
        ("icd10", "I21.4", ("I21", "I00-I99")),
        ("icd10", "i214", ("I21", "I00-I99")),
        ("icd10", "I21", ("I21", "I00-I99")),
        ("icd10", "G01*", ("G01", "G00-G99")),
        ("icd10", "M54.5-", ("M54", "M00-M99")),
        ("icd10", "S72.001A", ("S72", "S00-T98")),
        ("icd10", "O9A.2", ("O9A", "O00-O99")),
        ("icd10", "V00.1", ("V00", "V01-Y98")),
        ("icd10", "D48", ("D48", "C00-D48")),
        ("icd10", "D50.0", ("D50", "D50-D89")),
        ("icd10", "H59.9", ("H59", "H00-H59")),
        ("icd10", "H60", ("H60", "H60-H95")),
        ("icd10", "I20-I25", ("I00-I99",)),
        ("icd10", "I00-I99", ("I00-I99",)),
        ("icd10", "250.00", ()),
        ("icd10", "heart attack", ()),
        ("nace2", "62.01", ("62", "J")),
        ("nace2", "6201", ("62", "J")),
        ("nace2", "J62.01", ("62", "J")),
        ("nace2", "j 62", ("62", "J")),
        ("nace2", "1.11", ("01", "A")),
        ("nace2", "C", ("C",)),
        ("nace2", "34.1", ()),
        ("nace2", "software", ()),
    ],
)
def test_codes_are_read_as_tables_write_them(rule, code, groups):
    assert listed_groups(rule, code) == groups
    meta = MetaExtractor.extract(pd.DataFrame({"a": [code]}), hierarchy={"a": rule})["a"]
    assert meta.groups_of(code) == tuple(group for group in groups if group != code)
    assert meta.is_group(code) == (code in groups)
    for level in (1, 2):
        assert meta.group_at(code, level) == (groups[-min(level, len(groups))] if groups else code)
    assert all(meta.is_group(group) for group in groups)


def test_every_division_and_every_letter_has_its_group():
    assert (
        len({listed_groups("icd10", f"{letter}{n:02d}")[1] for letter in ascii_uppercase for n in range(100)})
        == 22
    )
    found = {n: listed_groups("nace2", f"{n:02d}") for n in range(100)}
    assert sorted({groups[1] for groups in found.values() if groups}) == list("ABCDEFGHIJKLMNOPQRSTU")
    assert sum(map(bool, found.values())) == 88  # divisions of NACE Rev. 2


def test_a_classification_travels_through_every_way_in_and_with_the_model(tmp_path):
    df = coded(2_000)
    rules = {"icd": "icd10", "nace": "nace2"}
    meta = MetaExtractor.extract(df, hierarchy=rules)
    draft = SchemaDraft(open_source(df), {"hierarchy": rules})
    assert draft.meta() == meta
    assert draft.arguments()["hierarchy"] == rules
    typed = SchemaDraft(open_source(df))
    typed.set("icd", domain="icd10")
    assert typed.meta()["icd"] == meta["icd"]
    made = untrained(df, hierarchy=rules)
    made.save(tmp_path / "model.dps")
    loaded = HighDimSynthesizer.load(tmp_path / "model.dps")
    assert loaded.df_meta == meta
    assert loaded.synthesize(300, seed=0).equals(made.synthesize(300, seed=0))
    prefixes = MetaExtractor.extract(df, hierarchy={"icd": "isco08", "nace": "nuts"})
    assert (prefixes["icd"].prefixes, prefixes["nace"].prefixes) == ((1, 2, 3), (2, 3, 4))
    with pytest.raises(MetadataError, match="or a classification: 'icd10', 'nace2', 'isco08', 'nuts'"):
        MetaExtractor.extract(df, hierarchy={"icd": "icd11"})
    with pytest.raises(MetadataError, match="does not contain text"):
        MetaExtractor.extract(df.assign(n=1), hierarchy={"n": "icd10"})
