"""Models kept beside the ledger: found by table and settings, for the owner only, and not without end."""

import os
import stat
import sys

import pytest

from jupyter_dpsynth import cli
from jupyter_dpsynth.errors import ConfigError
from jupyter_dpsynth.kept_models import KeptModels, settings_key
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.persistence import model_bytes
from jupyter_dpsynth.privacy.ledger.book import PrivacyLedger
from jupyter_dpsynth.privacy.ledger.datasets import TableIdentity
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.models import untrained
from tests.support.tables import mixed_table

CONTENT = b"a fingerprint of a table"


@pytest.fixture(scope="module")
def learned():
    return untrained(mixed_table(300))


@pytest.fixture
def kept(tmp_path):
    return KeptModels(PrivacyLedger(tmp_path / "own" / "ledger.sqlite3"))


def put(kept, run, content, learned):
    packed = model_bytes(learned.config, learned.learned)
    kept.keep(run, content, settings_key(learned.config, learned.df_meta), packed)


def keep(kept, learned, name="patients", content=CONTENT, age=0):
    """Keep a model under a run of its own; returns the run."""
    run = kept._ledger.reserve(TableIdentity(content, name, columns=("a",)), 2.0, 1e-6)
    put(kept, run, content, learned)
    path = kept.find(run).path
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    return run


def test_a_kept_model_is_the_one_that_was_learned(kept, learned):
    run = keep(kept, learned)
    back = HighDimSynthesizer.load(kept.find(run[:6]).path)
    assert back.epsilon == learned.epsilon
    assert back.synthesize(20, seed=1).equals(learned.synthesize(20, seed=1))


def test_the_newest_one_is_found_and_all_are_listed_with_what_they_cost(kept, learned):
    older, newer = keep(kept, learned, "visits", b"another table", age=60), keep(kept, learned)
    assert kept.find().run == newer
    assert [model.run for model in kept.all()] == [newer, older]
    assert "'patients', epsilon = 2, reserved" in kept.all()[0].words


def test_a_model_is_found_by_its_settings_and_its_table(kept, learned):
    keep(kept, learned)
    (found,) = kept.learned_with(learned.config, learned.df_meta)
    assert found.content == kept.content_key(CONTENT, found.run)
    assert found.content != kept.content_key(b"one row more", found.run)
    keep(kept, learned)
    assert kept.find().content != found.content  # of two names nobody sees that the table is the same
    other = learned.config.copy()
    other.epsilon = 1.0
    assert kept.learned_with(other, learned.df_meta) == []
    declared = MetaExtractor.extract(mixed_table(300), bounds={"age": (0, 120)})
    assert kept.learned_with(learned.config, declared) == []


def test_another_ledger_knows_a_table_by_another_key(kept, tmp_path):
    """The key is made with the ledger's secret: without it nobody can try tables."""
    other = KeptModels(PrivacyLedger(tmp_path / "other.sqlite3"))
    assert kept.content_key(CONTENT, "run") != other.content_key(CONTENT, "run")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_models_are_for_the_owner_only(kept, learned):
    path = kept.find(keep(kept, learned)).path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_oldest_models_make_room(kept, learned, monkeypatch):
    oldest, older = keep(kept, learned, age=120), keep(kept, learned, age=60)
    size = kept.find(older).size
    monkeypatch.setenv("JUPYTER_DPSYNTH_KEEP_MB", str(2.5 * size / 1e6))
    newest = keep(kept, learned)
    assert [model.run for model in kept.all()] == [newest, older]
    assert kept._ledger.summary().datasets[0].runs[0].id == oldest  # what it cost stays


def test_nothing_is_kept_if_the_user_says_so(kept, learned, monkeypatch):
    monkeypatch.setenv("JUPYTER_DPSYNTH_KEEP_MB", "0")
    put(kept, "0" * 32, CONTENT, learned)
    assert kept.all() == []
    monkeypatch.setenv("JUPYTER_DPSYNTH_KEEP_MB", "much")
    with pytest.raises(ConfigError, match="JUPYTER_DPSYNTH_KEEP_MB = 'much' is not allowed"):
        put(kept, "0" * 32, CONTENT, learned)


def test_models_are_deleted_one_by_one_or_all(kept, learned):
    runs = [keep(kept, learned, age=age) for age in (3, 2, 1)]
    kept.delete(runs[0][:8])
    assert [model.run for model in kept.all()] == [runs[2], runs[1]]
    with pytest.raises(ConfigError, match="no kept model has a run that begins with"):
        kept.delete(runs[0])
    assert len(kept.delete("all")) == 2
    with pytest.raises(ConfigError, match="no model is kept beside the ledger"):
        kept.find()


def test_the_command_line_lists_and_deletes_them(kept, learned, monkeypatch, capsys):
    monkeypatch.setenv("JUPYTER_DPSYNTH_LEDGER", str(kept._ledger.path))
    run = keep(kept, learned)
    assert cli.main(["models"]) == 0
    assert str(kept.find(run).path) in capsys.readouterr().out
    assert cli.main(["models", "--delete", "all"]) == 0
    assert cli.main(["models"]) == 0
    assert "No model is kept" in capsys.readouterr().out
