#!/bin/sh
# dp-accounting 0.4.3: its PLD accountant says epsilon = inf at delta = 0 for one Laplace mechanism that is 1-DP.
#
# Guess: LaplaceDpEvent(1) is pure differential privacy, so the tightest accountant says epsilon = 1 at delta = 0.
# Behaviour: the loss distribution itself does (1.0), and so does the accountant from delta = 1e-15 on; below it the
# accountant says inf, because composing cuts about 1e-15 of the tail off and counts it as an infinite loss. The
# looser Renyi accountant stays above 1 at every delta: neither of the two reports the pure guarantee.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check dp-accounting==0.4.3 numpy==1.26.4
"$folder/venv/bin/python" - <<'PYTHON'
from dp_accounting import LaplaceDpEvent
from dp_accounting.pld import PLDAccountant, privacy_loss_distribution
from dp_accounting.rdp import RdpAccountant

direct = privacy_loss_distribution.from_laplace_mechanism(1.0).get_epsilon_for_delta(0)
print(f"loss distribution    delta = 0      epsilon = {direct:.6f}")
seen = [round(direct, 6)]
for delta in (0.0, 1e-16, 1e-15, 1e-9):
    epsilon = PLDAccountant().compose(LaplaceDpEvent(1.0)).get_epsilon(delta)
    print(f"PLD accountant       delta = {delta:<6g} epsilon = {epsilon:.6f}")
    seen.append(round(epsilon, 6))
renyi = RdpAccountant().compose(LaplaceDpEvent(1.0)).get_epsilon(1e-9)
print(f"Renyi accountant     delta = 1e-09  epsilon = {renyi:.6f}")
same = seen == [1.0, float("inf"), float("inf"), 1.0, 1.0] and renyi > 1
print("as described" if same else "CHANGED")
raise SystemExit(not same)
PYTHON
# Seen:
# loss distribution    delta = 0      epsilon = 1.000000
# PLD accountant       delta = 0      epsilon = inf
# PLD accountant       delta = 1e-16  epsilon = inf
# PLD accountant       delta = 1e-15  epsilon = 1.000000
# PLD accountant       delta = 1e-09  epsilon = 1.000000
# Renyi accountant     delta = 1e-09  epsilon = 1.012505
# as described
