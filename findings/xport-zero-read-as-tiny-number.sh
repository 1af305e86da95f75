#!/bin/sh
# pandas 3.1.1: zeros of a SAS transport file (XPORT, version 5) are read as 5.397605346934028e-79.
#
# Such a file holds IBM's floating-point numbers, which pandas turns into IEEE's. Guess: zero, the one number that
# all formats have, comes back as zero. Behaviour: zeros whose first byte is not 0 come back as the smallest number
# of IBM's format, without a warning; counts of zeros, logarithms and codes such as "0 = no" are then wrong.
# pyreadstat 1.3.7 wrote the file here, and reads its zeros as zeros.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    pandas==3.1.1 numpy==2.3.5 pyreadstat==1.3.7
"$folder/venv/bin/python" - "$folder/doses.xpt" <<'PYTHON'
import sys

import pandas as pd
import pyreadstat

file = sys.argv[1]
pyreadstat.write_xport(pd.DataFrame({"dose": [0.0, 1.5, 0.0, 2.0]}), file, file_format_version=5)
by_pandas = pd.read_sas(file, format="xport")["dose"].tolist()
by_pyreadstat = pyreadstat.read_xport(file)[0]["dose"].tolist()
print("pandas:    ", by_pandas, "zeros:", by_pandas.count(0.0))
print("pyreadstat:", by_pyreadstat, "zeros:", by_pyreadstat.count(0.0))
same = by_pandas[0] == 16.0**-65 and by_pandas.count(0.0) == 0 and by_pyreadstat.count(0.0) == 2
print("as described" if same else "CHANGED")
raise SystemExit(not same)
PYTHON
# Seen:
# pandas:     [5.397605346934028e-79, 1.5, 5.397605346934028e-79, 2.0] zeros: 0
# pyreadstat: [0.0, 1.5, 0.0, 2.0] zeros: 2
# as described
