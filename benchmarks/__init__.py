"""Measurements behind docs/benchmarks.md: each module is one command, `python -m benchmarks.NAME --help`.

Every command prints what it measured on the machine it ran on and appends it, with date and versions, to a
file of results; `python -m benchmarks.report` turns those into docs/benchmarks.md.
"""
