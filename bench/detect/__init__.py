"""Detectors, and what is asked of one: ``fit(X)``, then ``decision_function(X)``; larger = more anomalous.

``registry`` finds a detector by its name and says what it takes and whether it can run here; every other file holds
detectors. From elsewhere use ``registry``, ``detector.Rows`` and, for a network, ``autoencoder``. Nothing here knows
of suites, trials or records.
"""
