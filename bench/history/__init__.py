"""The history: what past runs measured, in a directory of small append-only files, and where it changed.

A results directory (or a file of pytest-benchmark) becomes one file, a run; the points of all runs with the same
machine, scenario and metric are a series; change points part a series into stretches of one level each.
"""
