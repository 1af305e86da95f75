#!/bin/sh
# pyreadstat 1.3.7: an SPSS TIME of more than a day is read as a time of day; its days are lost without a word.
#
# SPSS keeps a TIME as seconds, and allows any number of them: 25:00:00 is a duration. Guess: it comes back as a
# duration, as a number of seconds, or is refused. Behaviour: it comes back as Python's datetime.time, the seconds
# taken modulo a day, so that a stay of 25 hours is one of 1 hour. With disable_datetime_conversion=True the column
# is the seconds themselves.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    pandas==3.1.1 numpy==2.3.5 pyreadstat==1.3.7
"$folder/venv/bin/python" - "$folder/stays.sav" <<'PYTHON'
import sys

import pandas as pd
import pyreadstat

file = sys.argv[1]
stays = pd.DataFrame({"stay": [3_600.0, 90_000.0]})  # 1 and 25 hours
pyreadstat.write_sav(stays, file, variable_format={"stay": "TIME8"})
read = [str(value) for value in pyreadstat.read_sav(file)[0]["stay"]]
seconds = pyreadstat.read_sav(file, disable_datetime_conversion=True)[0]["stay"].tolist()
print("1 and 25 hours are read as", read)
print("without conversion:", seconds)
same = read == ["01:00:00", "01:00:00"] and seconds == [3_600.0, 90_000.0]
print("as described" if same else "CHANGED")
raise SystemExit(not same)
PYTHON
# Seen:
# 1 and 25 hours are read as ['01:00:00', '01:00:00']
# without conversion: [3600.0, 90000.0]
# as described
