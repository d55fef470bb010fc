"""The store: one record per trial, JSON lines that anybody can read.

``record`` and ``metrics`` say what a record holds; ``store`` appends and reads them, ``arrays`` writes what lies beside
them; ``view`` reads them as reports do, and ``query`` answers SQL over them. Nothing here knows how a
record came to be.
"""
