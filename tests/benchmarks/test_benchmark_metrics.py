"""What the bootstrap costs; the bar is 2 s. Run with ``make benchmarks``; the test run skips it."""

from __future__ import annotations

import numpy as np

from bench.quality.metrics import quality


def test_benchmark_bootstrap_of_all_metrics_with_1_000_resamples_of_100_000_scores(benchmark):
    rng = np.random.default_rng(0)
    labels = (rng.random(100_000) < 0.2).astype(int)
    scores = rng.normal(size=100_000) + labels
    found = benchmark.pedantic(quality, (scores, labels, [1.0]), rounds=3)
    assert found.resamples == 1000
    assert 0.7 < found.metrics["roc_auc"] < 0.8
    assert benchmark.stats.stats.median < 2.0
