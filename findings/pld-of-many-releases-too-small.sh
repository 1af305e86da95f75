#!/bin/sh
# dp-accounting 0.4.3, numpy 1.26.4, scipy 1.13.1: epsilon of a composed privacy-loss distribution is below the
# truth at very small delta.
#
# The library's distributions are discretised pessimistically. Guess: so epsilon at a given delta is never below
# the truth, only above it by less and less on a finer grid. Behaviour: composition goes through a Fourier
# transform, whose rounding (some 1e-17 for each step) is not part of the pessimism. Of 5,000 steps of DP-SGD it
# is more than what the grid errs upwards once delta is about 1e-12.
#
# The truth is computed here without a grid: delta(epsilon) is the integral of
# exp(-s epsilon) M(s) / (s (s + 1)) / (2 pi i) over a line Re(s) = c > 0, with M the moment generating function of
# the privacy loss (Zhu, Dong and Wang 2022); on the line through the saddle point nothing cancels.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    dp-accounting==0.4.3 numpy==1.26.4 scipy==1.13.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from scipy.optimize import brentq, minimize_scalar

Q, SIGMA, STEPS = 0.004, 1.1, 5000
x = np.arange(-20.0, 60.0, 0.02)  # what a step releases; a row's contribution is 1
loss = np.logaddexp(np.log1p(-Q), np.log(Q) + (2 * x - 1) / (2 * SIGMA**2))
log_density = -(x**2) / (2 * SIGMA**2) - np.log(SIGMA * np.sqrt(2 * np.pi) / 0.02)


def log_moment(s):
    """Logarithm of E[exp(s loss)] of all steps, where the row is in the table."""
    exponent = (s + 1) * loss + log_density
    top = exponent.real.max()
    return STEPS * (np.log(np.exp(exponent - top).sum()) + top)


def log_delta(epsilon):
    c = minimize_scalar(lambda c: log_moment(c) - c * epsilon - np.log(c * (c + 1)), (0.5, 60), method="bounded",
                        bounds=(0.5, 60)).x
    height = log_moment(c) - c * epsilon - np.log(c * (c + 1))
    t = np.linspace(0, 12 * np.sqrt(2 * c), 1500)
    values = [np.exp(log_moment(s) - s * epsilon - np.log(s * (s + 1)) - height).real for s in c + 1j * t]
    return height + np.log((np.sum(values) - values[0] / 2) * (t[1] - t[0]) / np.pi)


step = dp_event.PoissonSampledDpEvent(Q, dp_event.GaussianDpEvent(SIGMA))
composed = PLDAccountant().compose(dp_event.SelfComposedDpEvent(step, STEPS))
low = {}
for delta in (1e-6, 1e-9, 1e-12, 3e-13):
    truth = brentq(lambda epsilon: log_delta(epsilon) - np.log(delta), 0.3, 6, xtol=1e-7)
    found = composed.get_epsilon(delta)
    low[delta] = found < truth
    print(f"delta {delta:g}: true epsilon {truth:.5f}, dp-accounting {found:.5f}")
expected = {1e-6: False, 1e-9: False, 1e-12: True, 3e-13: True}
print("as described" if low == expected else f"CHANGED: too low {low}")
raise SystemExit(low != expected)
PYTHON
# Seen (dp-accounting 0.6.0 errs upwards here: 2.37765 and 2.47395):
# delta 1e-06: true epsilon 1.45853, dp-accounting 1.45859
# delta 1e-09: true epsilon 1.94168, dp-accounting 1.94174
# delta 1e-12: true epsilon 2.37093, dp-accounting 2.36700
# delta 3e-13: true epsilon 2.44911, dp-accounting 2.43811
# as described
