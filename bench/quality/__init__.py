"""How good scores are: metrics with intervals, thresholds, and what a record says of one trained detector.

``evaluation.evaluate`` makes that part of a record, ``metrics.quality`` the figures of one list of scores,
``thresholds`` the rules of a suite; ``pictures`` holds what drawings of single rows need. Scores and labels in, plain
data out.
"""
