"""The commands: one module each, which declares the options (``add``) and does the work.

A module imports nothing heavy before its command runs, so that ``bench --help`` answers at once.
"""
