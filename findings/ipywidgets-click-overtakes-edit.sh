#!/bin/sh
# ipywidgets 8.1.9, jupyterlab 4.6.6, ipykernel 7.4.0, playwright 1.65.2, Chromium: a click overtakes an edit.
#
# A person types 5 into a field, then 0.7 into the same field, then clicks a button, while the handler of the first
# edit is at work.
# Guess: one connection carries all three, so the kernel hears of them in the order in which they were made, and
# the button's handler reads 0.7.
# Behaviour: until the kernel has handled the first edit of a widget, the front end holds its further edits back
# and sends the last of them afterwards; clicks are sent at once. The handler reads 5, while 0.7 stands on the
# screen; 0.7 comes after it. Where the first edit was handled before, the order is kept. Whoever starts something
# that costs by a button must not read the fields in its handler without waiting for what was held back.
# Needs a Chromium (its path in CHROMIUM, or one that is called chromium).
set -eu
chromium=${CHROMIUM:-$(command -v chromium)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    ipywidgets==8.1.9 jupyterlab==4.6.6 ipykernel==7.4.0 playwright==1.65.2
cd "$folder"
CHROMIUM=$chromium HOME=$folder "$folder/venv/bin/python" - <<'PYTHON'
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

FIELDS = """
import pathlib
import time
import ipywidgets as widgets
log = pathlib.Path("log")
def note(text):
    with log.open("a") as file:
        file.write(text + "\\n")
def edited(change):
    note(f"edit {change['new']:g}")
    time.sleep(seconds)
field, button = widgets.FloatText(), widgets.Button(description="Start")
field.observe(edited, "value")
button.on_click(lambda _: note(f"click reads {field.value:g}"))
display(field, button)
"""
cells = [FIELDS, "seconds = 0; note('idle')", "seconds = 5; note('busy')"]
code = [
    {"cell_type": "code", "id": f"c{n}", "metadata": {}, "outputs": [], "execution_count": None, "source": text}
    for n, text in enumerate(cells)
]
kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
book = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": code}
Path("n.ipynb").write_text(json.dumps(book))
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token="],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)


def logged():
    return Path("log").read_text().split("\n")[:-1] if Path("log").exists() else []


def until(done):
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end, logged()
        time.sleep(0.1)


def answers():
    try:
        return socket.create_connection(("127.0.0.1", port), 1).close() is None
    except OSError:
        return False


try:
    until(answers)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/lab/tree/n.ipynb")
        page.get_by_text("| Idle").wait_for(timeout=120_000)  # what is run before is lost
        seen = {}
        for number, word in enumerate(("", "idle", "busy")):
            page.locator(".jp-Cell .cm-content").nth(number).click()
            page.keyboard.press("Control+Enter")
            if not word:
                page.locator("input[type=number]").wait_for(timeout=120_000)
                continue
            until(lambda word=word: word in logged())
            field = page.locator("input[type=number]")
            for value in ("5", "0.7"):
                field.fill(value)
                field.press("Tab")
                if word == "idle":
                    until(lambda value=value: f"edit {value}" in logged())
            page.locator("button.jupyter-button").click()
            until(lambda word=word: sum("edit 0.7" == line for line in logged()[logged().index(word) :]) > 0)
            until(lambda word=word: any("click" in line for line in logged()[logged().index(word) :]))
            seen[word] = logged()[logged().index(word) + 1 :]
            print(f"{word}: {', '.join(seen[word])}")
        browser.close()
finally:
    server.terminate()
expected = {
    "idle": ["edit 5", "edit 0.7", "click reads 0.7"],
    "busy": ["edit 5", "click reads 5", "edit 0.7"],
}
print("as described" if seen == expected else f"CHANGED: {seen}")
raise SystemExit(seen != expected)
PYTHON
# Seen:
# idle: edit 5, edit 0.7, click reads 0.7
# busy: edit 5, click reads 5, edit 0.7
# as described
