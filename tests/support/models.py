"""A learned synthesizer without training: real codec, measurements, plan and receipt, random weights.

Its measurements are the same in every run, so its receipt is a form to test with and no guarantee.
"""

from __future__ import annotations

import numpy as np

from jupyter_dpsynth.config import HighDimConfig
from jupyter_dpsynth.engine.learning.receipts import software_versions
from jupyter_dpsynth.engine.measuring.measure import measure_table
from jupyter_dpsynth.engine.model.learned import Learned
from jupyter_dpsynth.engine.model.network import Layout, TabularModel
from jupyter_dpsynth.engine.model.reference import to_shares
from jupyter_dpsynth.engine.planning.plan import plan_run
from jupyter_dpsynth.metadata import MetaExtractor
from jupyter_dpsynth.privacy.accounting import compute_epsilon
from jupyter_dpsynth.privacy.noise import NoiseSource
from jupyter_dpsynth.privacy.receipt import PrivacyReceipt
from jupyter_dpsynth.reports import StopReason
from jupyter_dpsynth.sources.opening import open_source
from jupyter_dpsynth.synthesizer import HighDimSynthesizer
from tests.support.plans import releases_of
from tests.support.tables import EVERY_ROW


def untrained(df, completed=20, batch_size=EVERY_ROW, rows=None, named=None, seed=0, **declared):
    """A synthesizer of a table whose weights are drawn at random, so that tests need no TensorFlow."""
    config = HighDimConfig(epsilon=2.0, steps=20, batch_size=batch_size, **(named or {}))
    df_meta = MetaExtractor.extract(df, **declared)
    plan = plan_run(config.resolve(), df_meta, float(max(len(df) if rows is None else rows, 2)))
    noise = NoiseSource(test_only_seed=seed)
    with open_source(df) as source:
        releases, named = releases_of(plan, noise), config.resolve().named_tables
        measured = measure_table(source, df_meta, plan, releases, lambda _: None, named)
    codec, reference = measured.codec, measured.reference
    shares = [to_shares(count, 0.3) for count in measured.counts]
    layout = Layout.from_dependence(codec.sizes, reference.dependence, plan.pair_exponent, plan.parents)
    generator = np.random.default_rng(0)
    weights = generator.normal(0, 0.3, (layout.width, layout.width)).astype(np.float32) * layout.mask
    bias = np.concatenate([np.log(share) for share in shares]).astype(np.float32)
    receipt = PrivacyReceipt(
        plan=plan.privacy,
        delta=plan.delta,
        epsilon=plan.epsilon,
        epsilon_target=2.0,
        epsilon_completed_steps=compute_epsilon(plan.privacy.with_steps(completed), plan.delta),
        planned_steps=plan.steps,
        completed_steps=completed,
        sampler="Poisson: every row is drawn independently in every step",
        noise="operating-system entropy (numpy Philox), float64",
        row_count_private=True,
        backend="native",
        versions=software_versions(),
        second_opinion=None,
        guarantee="dp",
    )
    model = TabularModel(layout, weights, bias)
    reason = StopReason.FINISHED if completed == plan.steps else StopReason.STOPPED
    losses = generator.normal(5, 1, completed)
    return HighDimSynthesizer.restore(config, Learned(codec, model, reference, receipt, reason, losses))
