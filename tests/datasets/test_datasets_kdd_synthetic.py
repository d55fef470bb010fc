"""Generated traffic: the relations between its columns, and that it is neither trivial nor hopeless."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import datasets
from datasets import kdd, kdd_synthetic
from datasets.preprocessing import encode

COUNTS = {"normal": 4000, "dos": 600, "probe": 400, "r2l": 400, "u2r": 200}


@pytest.fixture(scope="module")
def generated() -> tuple[pd.DataFrame, np.ndarray]:
    return kdd_synthetic.generate_traffic(3, COUNTS)


@pytest.fixture(scope="module")
def traffic(generated: tuple[pd.DataFrame, np.ndarray]) -> pd.DataFrame:
    return generated[0]


def test_it_has_the_real_schema(traffic: pd.DataFrame) -> None:
    assert tuple(traffic.columns) == kdd.COLUMNS
    assert len(traffic) == sum(COUNTS.values())
    for column in set(kdd.COLUMNS) - set(kdd.CATEGORICAL):
        assert pd.api.types.is_numeric_dtype(traffic[column])
        assert traffic[column].min() >= 0
    for column in kdd.FLAGS:
        assert set(traffic[column]) <= {0, 1}
    assert set(traffic["protocol_type"]) == {"tcp", "udp", "icmp"}


def test_rates_are_quotients_of_the_counts_they_belong_to(traffic: pd.DataFrame) -> None:
    for prefix, cap in (("", 511), ("dst_host_", 255)):
        count, srv_count = traffic[f"{prefix}count"], traffic[f"{prefix}srv_count"]
        assert count.between(1, cap).all()
        assert srv_count.between(1, cap).all()
        rates = [column for column in traffic.columns if column.startswith(prefix) and column.endswith("_rate")]
        assert all(traffic[column].between(0, 1).all() for column in rates)
        same = traffic[f"{prefix}same_srv_rate"]
        assert (same + traffic[f"{prefix}diff_srv_rate"] <= 1.01).all()
        # the connections to this host and service, seen from both sides, up to the rounding of two rates
        here, there = count * same, srv_count * (1 - traffic[f"{prefix}srv_diff_host_rate"])
        assert (np.abs(here - there) <= 0.005 * (count + srv_count) + 1e-9).all()
        for scope in ("", "srv_"):
            failures = traffic[f"{prefix}{scope}serror_rate"] + traffic[f"{prefix}{scope}rerror_rate"]
            assert failures.max() <= 1.01


def test_a_connection_that_never_opened_moves_no_bytes_and_counts_as_an_error(traffic: pd.DataFrame) -> None:
    refused, half_open = traffic[traffic["flag"] == "REJ"], traffic[traffic["flag"] == "S0"]
    for rows, rate in ((refused, "rerror_rate"), (half_open, "serror_rate")):
        assert len(rows) > 20
        assert not rows[["src_bytes", "dst_bytes", "logged_in"]].any(axis=None)
        assert (rows[rate] > 0).all()
    assert (traffic.loc[traffic["protocol_type"] != "tcp", "flag"] == "SF").all()


def test_counts_are_heavy_tailed(traffic: pd.DataFrame) -> None:
    for column in ("duration", "src_bytes", "dst_bytes"):
        assert traffic[column].quantile(0.99) > 8 * max(traffic[column].median(), 1)


def test_no_detector_finds_it_trivial_and_none_finds_it_hopeless() -> None:
    data = datasets.load("kdd-synthetic")
    assert 10_000 < len(data.X_train) + len(data.X_val) + len(data.X_test) <= 12_000
    forest = -IsolationForest(random_state=0).fit(data.X_train).score_samples(data.X_test)
    neighbours = NearestNeighbors(n_neighbors=5).fit(data.X_train).kneighbors(data.X_test)[0][:, -1]
    norm = np.linalg.norm(data.X_test - data.X_train.mean(axis=0), axis=1)
    areas = [roc_auc_score(data.y_test, scores) for scores in (forest, neighbours, norm)]
    assert all(0.75 < area < 0.97 for area in areas)
    assert max(areas) - min(areas) > 0.03


def test_stealthy_attacks_hide_among_normal_traffic_better_than_floods(
    generated: tuple[pd.DataFrame, np.ndarray],
) -> None:
    traffic, family = generated
    train = traffic[family == "normal"].iloc[::2]
    encoded = encode(train, traffic, categorical=kdd.CATEGORICAL, flags=kdd.FLAGS, heavy_tailed=kdd.UNBOUNDED)
    distances = NearestNeighbors(n_neighbors=5).fit(encoded.parts[0]).kneighbors(encoded.parts[1])[0][:, -1]
    unseen = family == "normal"
    unseen[np.flatnonzero(unseen)[::2]] = False
    area = {
        attack: roc_auc_score(
            np.repeat([0, 1], [unseen.sum(), COUNTS[attack]]),
            np.concatenate([distances[unseen], distances[family == attack]]),
        )
        for attack in kdd_synthetic.ATTACKS
    }
    assert area["r2l"] < 0.85 < area["dos"]
    assert area["r2l"] < area["u2r"]


def test_the_families_keep_their_shares() -> None:
    shares = kdd_synthetic._shares(997)
    assert sum(shares.values()) == 997
    assert all(abs(shares[name] / 997 - share) < 0.01 for name, share in kdd_synthetic.ATTACKS.items())


def test_another_process_generates_the_same_bytes(process: None) -> None:
    code = "import datasets; print(datasets.load('kdd-synthetic?rows=1000', seed=5).checksum)"
    root = Path(__file__).resolve().parents[2]
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=root, env=os.environ | {"PYTHONHASHSEED": "1"},
    )  # fmt: skip
    assert other.stdout.strip() == datasets.load("kdd-synthetic?rows=1000", seed=5).checksum
