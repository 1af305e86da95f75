"""The noise that the guarantee rests on: float64, from the operating system's entropy, with full tails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["NoiseSource"]

AT_ONCE = 2**20  # draws that are under way together


class NoiseSource:
    """Draws the noise and the batch samples of one run.

    Each instance is keyed anew, with 128 bits made of 256 bits of the operating system's entropy. numpy's
    Philox is a counter-based generator, not a cryptographic one; its ziggurat normals reach beyond 8
    standard deviations. The residual: float64 noise is not the exact real-valued Gaussian; noise on counts
    is therefore discrete.

    Args:
        test_only_seed: Makes the noise repeatable, for tests. There is then no guarantee, and nobody
            may state an epsilon.
    """

    def __init__(self, test_only_seed: int | Sequence[int] | None = None) -> None:
        self.test_only, self._seed = test_only_seed is not None, test_only_seed
        seed = int.from_bytes(os.urandom(32), "little") if test_only_seed is None else test_only_seed
        self.generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))

    def of_worker(self, number: int) -> NoiseSource:
        """The source of one of several workers: independent of the others', even from a test-only seed.

        Args:
            number: The worker's number.
        """
        return NoiseSource((self._seed, number)) if isinstance(self._seed, int) else self

    def normal(self, size: int, scale: float) -> NDArray[np.float64]:
        """Independent normals, float64 `[size]`, of standard deviation `scale`."""
        noise = self.generator.standard_normal(size)
        if scale != 1:  # a pass over all weights of a network takes a while
            noise *= scale
        return noise

    def discrete_gaussian(self, size: int, sigma: float) -> NDArray[np.int64]:
        """Independent draws from the discrete Gaussian of parameter `sigma`, int64 `[size]`.

        Its variance is at most sigma^2. For sensitivity 1 its concentrated privacy is that of the normal;
        its epsilon at a given delta is too, once it is composed with other noise (a test compares them).

        Source:
            Canonne, Kamath and Steinke 2020, algorithm 3: rejection from the discrete Laplace. Their
            Bernoulli draws are exact; here they are float64 comparisons.
        """
        out = np.zeros(size, dtype=np.int64)
        for start in range(0, size, AT_ONCE):
            self._fill_discrete(out[start : start + AT_ONCE], sigma)
        return out

    def _fill_discrete(self, out: NDArray[np.int64], sigma: float) -> None:
        """Draw into `out`, int64 `[n]`; temporarily needs several times its memory."""
        todo = np.arange(len(out))
        scale = np.floor(sigma) + 1
        while len(todo):
            magnitude = self.generator.geometric(-np.expm1(-1 / scale), len(todo)) - 1
            negative = self.generator.random(len(todo)) < 0.5
            gap = np.abs(magnitude - sigma**2 / scale)
            chance = np.exp(-(gap**2) / (2 * sigma**2))
            accepted = self.generator.random(len(todo)) < chance
            accepted &= ~(negative & (magnitude == 0))  # zero has one sign, not two
            out[todo[accepted]] = np.where(negative, -magnitude, magnitude)[accepted]
            todo = todo[~accepted]
