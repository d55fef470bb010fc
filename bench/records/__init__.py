"""The store: one record for each trial, JSON lines that anybody can read.

``store`` appends and reads them, ``arrays`` writes what lies beside them, ``view`` reads them as reports do.
Nothing here knows how a record came to be.
"""
