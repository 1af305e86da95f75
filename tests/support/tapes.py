"""How far rows are from what training released."""

import numpy as np

from jupyter_dpsynth.inference.gradients import RowGradients


def distances(learned, codes, rows):
    """How far the rows' own mean is from each released figure of training, in standard deviations."""
    found = []
    gradients = RowGradients(learned, learned.tape, codes)
    for block in gradients.blocks(range(codes.shape[1]), 1000):
        variance = block.rows.var(axis=0, dtype=np.float64)
        noise = np.sqrt(block.noise**2 + block.sampled * variance / rows)
        told = variance > 1e-10
        found.append(((block.rows.mean(axis=0, dtype=np.float64) - block.released) / noise)[told])
    return np.concatenate(found)
