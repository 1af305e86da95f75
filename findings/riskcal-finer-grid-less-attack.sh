#!/bin/sh
# riskcal 1.5.1 with dp-accounting 0.6.0, numpy 2.4.6, scipy 1.17.1: an attacker's success is rounded downwards.
#
# dp-accounting's privacy-loss distributions are pessimistic: epsilon errs upwards, the less the finer the grid.
# Guess: what riskcal makes of them, the true positive rate of the best membership attack at a false positive
# rate, errs upwards too. Behaviour: for one Gaussian release, where the rate has a closed form, the rate is
# below it on the fine grid (by 0.2 % at a false positive rate of 1e-5), where epsilon is most exact. A report built on
# it understates the risk.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    dp-accounting==0.6.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps riskcal==1.5.1
"$folder/venv/bin/python" - <<'PYTHON'
from dp_accounting.pld import privacy_loss_distribution as pld
from riskcal.analysis import get_beta_from_pld
from scipy.stats import norm

below = {}
for mu in (1.0, 3.0):
    rate = 1e-5  # of false positives
    exact = norm.cdf(norm.ppf(rate) + mu)  # the Neyman-Pearson test of N(0, 1) against N(mu, 1)
    for grid in (1e-2, 1e-3, 1e-4):
        distribution = pld.from_gaussian_mechanism(1 / mu, value_discretization_interval=grid)
        found = 1 - float(get_beta_from_pld(distribution, alpha=rate))
        below[mu, grid] = found < exact * (1 - 1e-4)
        print(f"mu {mu:g}, grid {grid:g}: exact rate {exact:.8f}, riskcal {found:.8f} ({found / exact - 1:+.1e})")
expected = {(mu, grid): grid == 1e-4 for mu in (1.0, 3.0) for grid in (1e-2, 1e-3, 1e-4)}
print("as described" if below == expected else f"CHANGED: below {below}")
raise SystemExit(below != expected)
PYTHON
# Seen:
# mu 1, grid 0.01: exact rate 0.00054753, riskcal 0.00054755 (+4.2e-05)
# mu 1, grid 0.001: exact rate 0.00054753, riskcal 0.00054753 (-1.1e-05)
# mu 1, grid 0.0001: exact rate 0.00054753, riskcal 0.00054679 (-1.4e-03)
# mu 3, grid 0.01: exact rate 0.10295524, riskcal 0.10295587 (+6.1e-06)
# mu 3, grid 0.001: exact rate 0.10295524, riskcal 0.10295296 (-2.2e-05)
# mu 3, grid 0.0001: exact rate 0.10295524, riskcal 0.10272437 (-2.2e-03)
# as described
