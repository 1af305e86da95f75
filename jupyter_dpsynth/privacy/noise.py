"""The noise that the guarantee rests on: whole numbers, from a cryptographic generator, with full tails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["NoiseSource", "keyed_generator"]

ROUNDS = 20  # of ChaCha, as in RFC 8439


class NoiseSource:
    """Draws the noise and the batch samples of one run.

    Each instance is keyed anew with 256 bits of the operating system's entropy. The generator is ChaCha20, a
    stream cipher: who does not know the key cannot tell its output from random bits, whatever part of it they
    see. All noise of what is released is of whole numbers: a normal of numpy's ziggurat, in float64, rounded.
    Where what it is added to is whole, that is the same as to round the sum, so it is post-processing of the
    Gaussian mechanism. Of a choice, with Gumbel noise, only the place is released.

    Args:
        test_only_seed: Makes the noise repeatable, for tests. There is then no guarantee, and nobody
            may state an epsilon.

    Source:
        Bernstein 2008, 'ChaCha, a variant of Salsa20'; the implementation is the package randomgen's.
    """

    def __init__(self, test_only_seed: int | Sequence[int] | None = None) -> None:
        self.test_only, self._seed = test_only_seed is not None, test_only_seed
        self.generator = keyed_generator(
            os.urandom(32) if test_only_seed is None else _test_key(test_only_seed)
        )

    def of_worker(self, number: int) -> NoiseSource:
        """The source of one of several workers: independent of the others', even from a test-only seed.

        Args:
            number: The worker's number.
        """
        return NoiseSource((self._seed, number)) if isinstance(self._seed, int) else self

    def whole(self, scales: NDArray[np.float64]) -> NDArray[np.float64]:
        """Independent rounded normals, whole numbers in float64 `[n]`.

        Args:
            scales: Standard deviation of each before it is rounded, float64 `[n]`.
        """
        noise = self.generator.standard_normal(len(scales))
        noise *= scales
        return np.rint(noise, out=noise)

    def gumbel(self, scale: float, size: int) -> NDArray[np.float64]:
        """Independent Gumbel noise, float64 `[size]`, for a choice: only its place is released.

        Args:
            scale: Its scale.
            size: How many.
        """
        return self.generator.gumbel(0.0, scale, size)


def keyed_generator(key: bytes) -> np.random.Generator:
    """Distributions of numpy on ChaCha20.

    Args:
        key: 256 bits.
    """
    from randomgen.chacha import ChaCha

    return np.random.Generator(ChaCha(key=int.from_bytes(key, "little"), rounds=ROUNDS))


def _test_key(seed: int | Sequence[int]) -> bytes:
    return np.random.SeedSequence(seed).generate_state(8, np.uint32).tobytes()
