"""Finds the current `tf.distribute` strategy without importing TensorFlow."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["current_strategy"]


def current_strategy() -> Any:  # noqa: ANN401 - TensorFlow ships no types
    """The strategy in whose `scope()` the caller runs, or None.

    A scope belongs to its thread: call this in the user's own. Where TensorFlow is not loaded there is none.
    """
    distribute: Any = getattr(sys.modules.get("tensorflow"), "distribute", None)
    has_strategy = getattr(distribute, "has_strategy", None)  # absent while another thread is still loading
    return distribute.get_strategy() if has_strategy is not None and has_strategy() else None
