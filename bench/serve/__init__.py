"""What is shown while a run goes on, or after it.

``progress`` is the display in the terminal, ``server`` a page over HTTP on this machine alone, ``watching`` makes the
page anew as records arrive, ``showcase`` writes the front page's tables and figure.
"""
