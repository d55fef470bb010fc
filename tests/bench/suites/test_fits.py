"""Many data sets at once: lists and folders of them, sets that cannot run, and the settings that they get."""

from __future__ import annotations

import os

import msgspec
import numpy as np
import pytest

from bench.cli import main
from bench.commands import options
from bench.suites import fits, suite
from bench.suites.checks import SuiteError
from bench.suites.scenario import Training


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """The commands set threads in the environment of their process, which here is that of the tests."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_a_list_of_data_sets_may_hold_commas():
    text = 'blobs,file:a.csv?normal=A,B&label=c,digits:4,file:b.csv?normal="x,knn",kdd-synthetic?rows=5'
    assert options.references(text) == [
        "blobs",
        "file:a.csv?normal=A,B&label=c",
        "digits:4",
        'file:b.csv?normal="x,knn"',
        "kdd-synthetic?rows=5",
    ]
    assert options.references('file:a.csv?normal="blobs,digits",blobs') == ['file:a.csv?normal="blobs,digits"', "blobs"]
    assert options.references("digits:4,blbos") == ["digits:4", "blbos"]


@pytest.fixture
def folder(tmp_path):
    """Sets of 400, 90 and 400 rows, one without anomalies, and a file that is no data."""
    place = tmp_path / "sets"
    place.mkdir()
    rng = np.random.default_rng(0)
    for name, count in (("2_b", 90), ("10_c", 400), ("1_a", 400)):
        y = np.arange(count) % 10 == 0
        np.savez(place / f"{name}.npz", X=rng.normal(size=(count, 3)) + 3 * y[:, None], y=y)
    np.savez(place / "11_none.npz", X=rng.normal(size=(99, 3)), y=np.zeros(99))
    (place / "readme.txt").write_text("nothing")
    return place


def block(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return suite.load(str(path))


SMALL = '[[scenarios]]\ndatasets = ["blobs"]\ndetectors = ["vae", "knn"]\nbackends = ["torch"]\n'


def test_a_pattern_or_a_folder_names_every_file_in_order(tmp_path, folder):
    names = [f"file:{folder}/{name}.npz" for name in ("1_a", "2_b", "10_c", "11_none")]
    for reference in (f"file:{folder}/*.npz", f"file:{folder}", f"file:{folder}/"):
        found = block(tmp_path, SMALL).vary(datasets=[reference])
        assert list(found.blocks[0].datasets) == names
    with_options = block(tmp_path, SMALL.replace('"blobs"', f'"file:{folder}/1*.npz?scale=robust"'))
    assert list(with_options.blocks[0].datasets) == [f"{name}?scale=robust" for name in (names[0], *names[2:])]
    with pytest.raises(SuiteError, match=r"no file that ends in .* fits .*\.csv"):
        block(tmp_path, SMALL).vary(datasets=[f"file:{folder}/*.csv"])


def test_a_set_that_cannot_run_costs_its_own_trials_and_no_others(process, tmp_path, folder, capsys):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace('"vae", ', ""))
    out = tmp_path / "results"
    status = main(["run", str(path), "--datasets", f"file:{folder}/1*.npz", "--out", str(out), "--jobs", "2"])
    assert status == 1
    records = [msgspec.json.decode(line) for line in (out / "records.jsonl").read_bytes().splitlines()]
    by_set = {name: [r["status"] for r in records if name in r["dataset"]] for name in ("1_a", "10_c", "11_none")}
    assert by_set == {"1_a": ["ok"] * 3, "10_c": ["ok"] * 3, "11_none": ["skipped"] * 3}
    assert all("every row is normal" in r["reason"] for r in records if r["status"] == "skipped")
    assert "skipped: " in capsys.readouterr().out


def test_what_cannot_run_is_told_by_scenario_and_refused_where_no_set_is_whole(tmp_path, folder):
    found = fits.survey(block(tmp_path, SMALL).vary(datasets=[f"file:{folder}"]), None, 1)
    assert len(found.shapes) == 3
    scenarios = block(tmp_path, SMALL).vary(datasets=[f"file:{folder}"]).scenarios(1)
    unfit = [(s.dataset.rpartition("/")[2], s.detector) for s in scenarios if s.hash in found.unfit]
    assert ("2_b.npz", "vae") in unfit
    assert ("2_b.npz", "knn") not in unfit
    assert sum(name == "11_none.npz" for name, _ in unfit) == 4
    with pytest.raises(SuiteError, match="batch_size 128 is more than its 49 training rows"):
        fits.survey(block(tmp_path, SMALL).vary(datasets=[f"file:{folder}/2*"]), None, 1)
    with pytest.raises(SuiteError, match="there is no file"):
        fits.survey(block(tmp_path, SMALL).vary(datasets=["file:gone.csv", "blobs"]), None, 1)


def test_a_batch_larger_than_the_rows_may_be_one_batch(tmp_path, folder):
    small = block(tmp_path, SMALL + 'training = { small_data = "one batch" }\n').vary(datasets=[f"file:{folder}/2*"])
    assert not fits.survey(small, None, 1).unfit
    scenario = next(s for s in small.scenarios(1) if s.detector == "vae")
    assert scenario.training.batch_size == 128
    assert scenario.training_settings(0, 49).batch_size == 49
    assert scenario.training_settings(0, 500).batch_size == 128
    assert scenario.shrunk(49) == ("batch_size 128 is more than the 49 training rows: they are one batch",)
    assert scenario.shrunk(128) == ()


def test_what_a_scenario_hashed_to_before_there_was_small_data_stays(tmp_path):
    assert "small_data" not in Training().table
    assert Training(small_data="one batch").table["small_data"] == "one batch"
    plain, told = (
        block(tmp_path, SMALL + more).scenarios(1)[0].hash for more in ("", 'training = { small_data = "refuse" }\n')
    )
    assert plain == told


def test_a_data_set_from_the_command_line_keeps_what_all_blocks_agree_on(tmp_path):
    one = block(tmp_path, SMALL + "training = { epochs = 3, hidden = [8] }\n").vary(datasets=["digits:4"])
    (home,) = one.blocks
    assert (home.training.epochs, home.training.hidden, home.backends) == (3, (8,), ("torch",))
    assert not one.notes
    second = SMALL.replace("blobs", "digits:4") + "training = { epochs = 3, hidden = [9], latent = 2 }\n"
    two = block(tmp_path, SMALL + "training = { epochs = 3, hidden = [8] }\n" + second).vary(datasets=["kdd-synthetic"])
    (home,) = two.blocks
    assert (home.training.epochs, home.training.hidden, home.training.latent) == (3, None, None)
    (note,) = two.notes
    assert "training.hidden = the detector's own, training.latent = the detector's own" in note
    assert "epochs" not in note


def test_fit_says_how_a_small_file_can_be_trained_on(tmp_path, folder, installed, capsys):
    command = ["fit", f"file:{folder / '2_b.npz'}", "--detector", "vae", "--backend", installed[0], "--epochs", "1"]
    assert main([*command, "--out", str(tmp_path / "m")]) == 2
    assert 'small_data = "one batch" takes them all as one' in capsys.readouterr().err


def test_each_value_of_a_swept_option_is_a_data_set_of_its_own_and_one_that_cannot_be_costs_its_own_trials(tmp_path):
    text = '[[scenarios]]\ndatasets = ["blobs-2d"]\ndetectors = ["knn"]\nsweep.data.train_rows = [50, 5000]\n'
    chosen = block(tmp_path, text)
    fitting = fits.survey(chosen, None, 1)
    unfit = {scenario.dataset for scenario in chosen.scenarios(1) if scenario.hash in fitting.unfit}
    assert unfit == {"blobs-2d?train_rows=5000"}
    assert set(fitting.unfit.values()) == {
        "data set 'blobs-2d?train_rows=5000': train_rows=5000 wants 5,000 normal training rows; there are 600"
    }


def test_rows_of_a_series_are_not_taken_out_to_choose_by(tmp_path):
    text = '[[scenarios]]\ndatasets = ["sensors?steps=9000&anomalies=1"]\ndetectors = ["norm"]\nlabelled = 0.2\n'
    with pytest.raises(SuiteError, match="labelled validation rows would be taken out of the test, whose windows hold"):
        fits.check(block(tmp_path, text), None)
