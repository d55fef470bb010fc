"""Series as rows: windows lie in one part of time, hold what they say, and what cannot be one is told in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import datasets
from datasets import DatasetError
from datasets.windows import starts


def table(steps: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=steps, freq="min").astype(str)})
    made["heat"] = (np.sin(np.arange(steps) / 9) + 0.1 * rng.standard_normal(steps)).round(4)
    made["kind"] = rng.choice(["up", "down"], steps)
    made["label"] = 0
    made.loc[40:43, "label"] = 1
    made.loc[360:369, ["label", "heat"]] = [1, 3.0]
    return made


def written(folder: Path, frame: pd.DataFrame, name: str = "rows.csv") -> str:
    frame.to_csv(folder / name, index=False)
    return f"file:{folder / name}"


@pytest.mark.parametrize(("steps", "window", "stride"), [(20, 6, 4), (21, 6, 5), (6, 6, 6), (7, 6, 3)])
def test_every_step_is_in_a_window_and_none_ends_behind_the_stretch(steps: int, window: int, stride: int) -> None:
    found = starts(steps, window, stride)
    held = np.unique(np.concatenate([np.arange(start, start + window) for start in found]))
    np.testing.assert_array_equal(held, np.arange(steps))
    assert len(set(found.tolist())) == len(found)


def test_windows_lie_in_one_part_and_those_with_an_anomaly_do_not_train(tmp_path: Path) -> None:
    frame = table()
    data = datasets.load(written(tmp_path, frame) + "?window=16&stride=4&time=at&scale=none")
    series = data.series
    assert series is not None
    assert (series.train.steps, series.val.steps, series.test.steps) == (240, 80, 80)
    assert series.channels == ("heat", "kind=down", "kind=up")
    values = np.column_stack([frame["heat"], frame["kind"] == "down", frame["kind"] == "up"]).astype(np.float32)
    for X, stretch, first in (
        (data.X_train, series.train, 0),
        (data.X_val, series.val, 240),
        (data.X_test, series.test, 320),
    ):
        assert stretch.starts[-1] + 16 <= stretch.steps
        for row, start in zip(X, stretch.starts, strict=True):
            np.testing.assert_array_equal(row.reshape(16, 3), values[first + start : first + start + 16])
    held = {int(step) for start in series.train.starts for step in range(start, start + 16)}
    assert not held & {40, 41, 42, 43}
    anomalous = [bool(frame["label"][320 + start : 336 + start].any()) for start in series.test.starts]
    assert data.y_test.tolist() == anomalous
    assert series.labels.tolist() == (frame["label"][320:] == 1).tolist()
    assert series.events == ((40, 50, ""),)
    assert any("training windows hold an anomaly" in note for note in data.provenance.notes)


def test_rows_in_any_order_are_one_series_by_their_time_whatever_it_is_written_as(tmp_path: Path) -> None:
    frame = table()
    options = "?window=16&stride=4&time=at"
    known = datasets.load(written(tmp_path, frame) + options).checksum
    mixed = frame.sample(frac=1, random_state=1)
    assert datasets.load(written(tmp_path, mixed, "mixed.csv") + options).checksum == known
    numbers = mixed.assign(at=mixed.index * 0.5)
    assert datasets.load(written(tmp_path, numbers, "numbers.csv") + options).checksum == known
    nanoseconds = mixed.assign(at=mixed.index + 1_767_225_600_000_000_000)  # closer than floats of this size are
    assert datasets.load(written(tmp_path, nanoseconds, "nanoseconds.csv") + options).checksum == known
    nanoseconds.to_parquet(tmp_path / "nanoseconds.parquet")
    assert datasets.load(f"file:{tmp_path / 'nanoseconds.parquet'}{options}").checksum == known
    mixed.assign(at=pd.to_datetime(mixed["at"])).to_parquet(tmp_path / "mixed.parquet")
    assert datasets.load(f"file:{tmp_path / 'mixed.parquet'}{options}").checksum == known


def test_scalers_see_the_steps_that_train_and_no_others(tmp_path: Path) -> None:
    frame = table()
    frame.loc[41, "heat"] = 500.0  # anomalous
    frame.loc[300, "heat"] = 900.0  # validates
    data = datasets.load(written(tmp_path, frame) + "?window=16&stride=4&scale=minmax")
    assert data.X_train.max() == 1.0
    assert data.X_val.max() > 100


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("window=1", "window is 1; it wants at least 2 steps"),
        ("window=-3", "window is -3; it wants at least 2 steps"),
        ("window=90", "window=90 is longer than the validation part, 80 of 400 steps"),
        ("window=16&stride=17", "stride is 17; it wants 1 to 16 steps"),
        ("window=16&test=1", "test is 1; it wants a share between 0 and 1 of the steps"),
        ("window=16&test=0.05", "the test part, the last 20 steps, holds no anomaly"),
        ("stride=4", "stride wants a window as well, as in window=64"),
        ("time=at&test=0.3", "time, test wants a window as well, as in window=64"),
        ("window=16&time=att", "no column 'att'; there are: at, heat, kind, label"),
        ("window=16&time=kind", "line 2, column 'kind' holds"),
        ("window=16&time=label", "have the same time in column 'label'; each step wants its own"),
        ("window=16&duplicates=drop", "duplicates=drop goes with single rows"),
        ("window=16&train_contamination=0.1", "train_contamination goes with single rows"),
        ("window=16&train_rows=4000", "train_rows=4000 wants 4,000 normal training rows; there are"),
        ("window=75&test=0.2&stride=75", "the training part has"),
    ],
)
def test_what_is_no_series_is_told_in_one_line(tmp_path: Path, options: str, told: str) -> None:
    with pytest.raises(DatasetError) as failure:
        datasets.load(f"{written(tmp_path, table())}?{options}")
    assert told in str(failure.value)
    assert "\n" not in str(failure.value)


def test_windows_that_no_memory_holds_are_refused_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = written(tmp_path, table())
    monkeypatch.setattr("datasets.windows.MOST_CELLS", 10_000)
    with pytest.raises(DatasetError, match=r"windows of 48 values, 1\.\d+e\+04 in all.* a larger stride"):
        datasets.load(f"{reference}?window=16&stride=1")
    monkeypatch.setattr("datasets.windows.MOST_FEATURES", 40)
    with pytest.raises(DatasetError, match="windows of 48 values"):
        datasets.load(f"{reference}?window=16&stride=16")


def test_a_date_that_can_be_read_in_two_ways_and_a_step_without_a_label_are_refused(tmp_path: Path) -> None:
    frame = table()
    frame["at"] = pd.to_datetime(frame["at"]).dt.strftime("%d/%m/%Y %H:%M")
    with pytest.raises(DatasetError, match=r"line 2, column 'at' holds '01/01/2026 00:00'; rows are sorted by numbers"):
        datasets.load(written(tmp_path, frame) + "?window=16&time=at")
    for word in ("today", "now", "5-"):
        frame = table().astype({"at": object})
        frame.loc[3, "at"] = word
        with pytest.raises(DatasetError, match=f"line 5, column 'at' holds '{word}'"):
            datasets.load(written(tmp_path, frame) + "?window=16&time=at")
    zoned = table()
    zoned.loc[zoned.index % 2 == 1, "at"] += "+05:00"
    with pytest.raises(DatasetError, match="of line 2 and line 3 one has a time zone in column 'at', and one has none"):
        datasets.load(written(tmp_path, zoned) + "?window=16&time=at")
    gaps = table().astype({"label": object})
    gaps.loc[7, "label"] = None
    with pytest.raises(DatasetError, match="1 rows have no label; a series wants one for each of its steps"):
        datasets.load(written(tmp_path, gaps) + "?window=16&time=at")


def test_sensors_have_every_kind_of_anomaly_in_the_test_part_alone_and_apart() -> None:
    data = datasets.load("sensors?steps=9000&anomalies=2&channels=3&window=16")
    series = data.series
    assert series is not None
    kinds = [kind for _, _, kind in series.events]
    assert sorted(set(kinds)) == ["broken correlation", "drift", "level shift", "point", "stuck"]
    assert len(kinds) == 10
    starts_, stops = np.array([event[:2] for event in series.events]).T
    assert (starts_[1:] - stops[:-1] >= 2 * 16).all()
    assert int(series.labels.sum()) == int((stops - starts_).sum())
    stuck = next(event for event in series.events if event[2] == "stuck")
    inside = series.values[stuck[0] : stuck[1]]
    assert (np.ptp(inside, axis=0) == 0).sum() == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            "steps=2000",
            "25 anomalies of up to 120 steps, a window apart, do not fit into the 800 steps of the test",
        ),
        ("steps=4000&anomalies=1&test=0.99", "40 steps before the test part; it wants more than 120"),
        ("channels=1", "channels is 1; it wants 2 to 100, to be correlated"),
        ("noise=-1", "noise is -1; it wants 0 to 1e6"),
        ("steps=1000000000000", "1,000,000,000,000 steps of 5 channels; at most 134,217,728 values are generated"),
        ("anomalies=1000000000000", "do not fit into the 8,000 steps of the test part"),
        ("anomalies=0", "anomalies is 0; it wants at least 1 of each kind"),
        ("steps=-5", "-3 steps before the test part; it wants more than 120"),
        ("train_contamination=0.1", "no option 'train_contamination' of sensors"),
        ("steps=20000000&window=512&stride=1", "windows of 2,560 values, 5.12e+10 in all"),
        ("window=2000&channels=40", "windows of 80,000 values"),
    ],
)
def test_sensors_that_cannot_be_are_told_in_one_line(options: str, told: str) -> None:
    with pytest.raises(DatasetError) as failure:
        datasets.load(f"sensors?{options}")
    assert told in str(failure.value)
