"""What is taken from TensorFlow Privacy: its query, and its statement about the training steps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.errors import MissingDependencyError

if TYPE_CHECKING:
    from jupyter_dpsynth.engine.model.plan import RunPlan

__all__ = ["gaussian_sum_query", "tf_privacy_statement"]


def _skip_its_own_imports() -> None:
    """Let the package import none of its modules by itself: some need tf.estimator, which is gone."""
    sys.skip_tf_privacy_import = True  # type: ignore[attr-defined]


def gaussian_sum_query(clip_norm: float, stddev: float) -> Any:  # noqa: ANN401 - untyped package
    """The query that clips records and adds Gaussian noise to their sum.

    Args:
        clip_norm: Largest L2 norm of a record.
        stddev: Standard deviation of the noise.

    Raises:
        MissingDependencyError: tensorflow-privacy is not installed.
    """
    _skip_its_own_imports()
    try:
        from tensorflow_privacy.privacy.dp_query.gaussian_query import GaussianSumQuery
    except ImportError as error:
        raise MissingDependencyError(
            "dp_backend = 'tensorflow_privacy' needs the package tensorflow-privacy: install "
            "jupyter_dpsynth[tf-privacy], or use dp_backend = 'native'."
        ) from error
    return GaussianSumQuery(l2_norm_clip=clip_norm, stddev=stddev)


def tf_privacy_statement(plan: RunPlan) -> str | None:
    """The library's own privacy statement, a second opinion; None if it is not installed.

    Privacy:
        Computed from the plan: the noisy row count and public parameters.
    """
    if plan.privacy is None or plan.privacy.training is None:
        return None
    _skip_its_own_imports()
    try:
        from tensorflow_privacy.privacy.analysis import compute_dp_sgd_privacy_lib as library
    except ImportError:
        return None
    training = plan.privacy.training
    return str(
        library.compute_dp_sgd_privacy_statement(
            number_of_examples=max(1, round(plan.rows)),
            batch_size=max(1, round(plan.batch_size)),
            num_epochs=training.steps * training.sampling_probability,
            noise_multiplier=training.noise_multiplier,
            delta=plan.delta,
            used_microbatching=False,  # the noise multiplier already counts what microbatches cost
        )
    )
