#!/bin/sh
# tensorflow 2.21.0 (CPU), numpy 2.4.6: a traced function is simplified with real-number algebra.
#
# To round a float32 to a whole number one can add 1.5 * 2^23 and take it away again: the sum has no room for
# digits after the point. Guess: inside tf.function the two operations give what they give eagerly.
# Behaviour: the graph optimiser (Grappler's constant folding) joins the two constants to 0, so the traced
# function returns its argument unrounded. tf.round, and the same graph with constant folding switched off,
# round. Who rounds clipped gradients to a grid, so that their sums are exact and noise can be whole numbers,
# gets no rounding, no error and no warning.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tensorflow==2.21.0 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import numpy as np
import tensorflow as tf

BIG = np.float32(1.5 * 2**23)


def by_adding(x):
    return (x + BIG) - BIG


values = tf.constant([0.3, 1.7, 2.5, -3.2])
seen = {
    "eager": by_adding(values),
    "traced": tf.function(by_adding)(values),
    "traced, tf.round": tf.function(tf.round)(values),
}
tf.config.optimizer.set_experimental_options({"constant_folding": False})
seen["traced, without folding"] = tf.function(lambda x: by_adding(x))(values)
for name, found in seen.items():
    print(f"{name:24} {found.numpy()}")
whole = {name: bool(np.all(found.numpy() == np.rint(values.numpy()))) for name, found in seen.items()}
expected = {"eager": True, "traced": False, "traced, tf.round": True, "traced, without folding": True}
print("as described" if whole == expected else f"CHANGED: whole numbers {whole}")
raise SystemExit(whole != expected)
PYTHON
# Seen:
# eager                    [ 0.  2.  2. -3.]
# traced                   [ 0.3  1.7  2.5 -3.2]
# traced, tf.round         [ 0.  2.  2. -3.]
# traced, without folding  [ 0.  2.  2. -3.]
# as described
