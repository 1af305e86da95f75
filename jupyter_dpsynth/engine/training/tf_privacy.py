"""TensorFlow Privacy's own privacy statement about the training steps, as a second opinion."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_dpsynth.engine.model.plan import RunPlan

__all__ = ["tf_privacy_statement"]


def tf_privacy_statement(plan: RunPlan) -> str | None:
    """TensorFlow Privacy's statement about the training steps alone; None if it is not installed.

    Privacy:
        Computed from the plan: the noisy row count and public parameters.
    """
    if plan.privacy is None or plan.privacy.training is None:
        return None
    try:
        # the package's own __init__ imports tf.estimator, which newer TensorFlow no longer has
        sys.skip_tf_privacy_import = True  # type: ignore[attr-defined]
        from tensorflow_privacy.privacy.analysis import compute_dp_sgd_privacy_lib as library
    except ImportError:
        return None
    training = plan.privacy.training
    return str(
        library.compute_dp_sgd_privacy_statement(
            number_of_examples=max(1, round(plan.rows)),
            batch_size=max(1, round(plan.batch_size)),
            num_epochs=training.steps * plan.sampling_probability,
            noise_multiplier=training.noise_multiplier,
            delta=plan.delta,
            used_microbatching=False,  # the noise multiplier already counts what microbatches cost
        )
    )
