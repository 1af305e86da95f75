#!/bin/sh
# markupsafe 3.0.4: of the ways to put an object with __html__ into markup, format alone escapes what it returns.
#
# Guess: __html__ is an object's own markup wherever it is put in: by escape, %, + and join, and so by format.
# Behaviour: all of these take it as it is, also where __html__ returns a plain str; Markup.format takes it as it is
# only where it returns Markup, and escapes a plain str. A report that shows itself in notebooks, where _repr_html_ and
# __html__ return str, stands as text on a page that is filled in with format.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check markupsafe==3.0.4
"$folder/venv/bin/python" - <<'PYTHON'
from markupsafe import Markup, escape


class Report:
    def __html__(self):
        return "<b>report</b>"


class MarkedReport:
    def __html__(self):
        return Markup("<b>report</b>")


def ways(report):
    return {
        "escape": escape(report),
        "%": Markup("%s") % report,
        "+": Markup() + report,
        "join": Markup().join([report]),
        "format": Markup("{}").format(report),
    }


plain, marked = ways(Report()), ways(MarkedReport())
for way, shown in plain.items():
    print(f"{way}: str {shown}, Markup {marked[way]}")
kept = [way for way, shown in plain.items() if shown == "<b>report</b>"]
same = kept == ["escape", "%", "+", "join"] and set(marked.values()) == {"<b>report</b>"}
print("as described" if same else "CHANGED")
raise SystemExit(not same)
PYTHON
# Seen:
# escape: str <b>report</b>, Markup <b>report</b>
# %: str <b>report</b>, Markup <b>report</b>
# +: str <b>report</b>, Markup <b>report</b>
# join: str <b>report</b>, Markup <b>report</b>
# format: str &lt;b&gt;report&lt;/b&gt;, Markup <b>report</b>
# as described
