"""Bad input to the command: one clear line, status 2, no traceback, nothing written.

What is refused before a trial begins is asked in this process; a few cases go through the installed command as well.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

ONE = '[[scenarios]]\ndatasets = ["blobs-2d"]\ndetectors = ["norm"]\n'
PUBLISHED = """[[published]]
datasets = ["blobs-2d"]
detector = "norm"
metric = "roc_auc"
value = 0.9
source = "Nobody (2020), table 1"
"""


NO_MEAN = ["multiply beta by their number", "collapse", "set beta to its beta times the number of features"]


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (ONE + "sedes = [1]\n", ["[[scenarios]] 1", "unknown key 'sedes'"]),
        ("sedes = [1]\n" + ONE, ["unknown key 'sedes'", "did you mean 'seeds'?"]),
        ("[training]\nepoch = 3\n" + ONE, ["training", "'epoch'", "did you mean 'epochs'?"]),
        ("[training]\nepochs = 0\n" + ONE, ["training.epochs", ">= 1"]),
        ('[training]\nepochs = "many"\n' + ONE, ["training.epochs", "int"]),
        ('[training]\noptimizer = "adan"\n' + ONE, ["training.optimizer", "adan"]),
        ("[training]\noptimiser = 'sgd'\n" + ONE, ["'optimiser'", "did you mean 'optimizer'?"]),
        ("[training]\nmomentum = 1.0\n" + ONE, ["training.momentum", "< 1.0"]),
        ("[training]\nweight_decay = -0.1\n" + ONE, ["training.weight_decay", ">= 0.0"]),
        ("[training]\ndropout = 1.0\n" + ONE, ["training.dropout", "< 1.0"]),
        ("[training]\npatience = -1\n" + ONE, ["training.patience", ">= 0"]),
        ("[training]\nfilters = [32, 0]\n" + ONE, ["training.filters[1]", ">= 1"]),
        (ONE.replace("norm", "conv_vae") + "training = { filters = [] }\n", ["training.filters", "conv_vae"]),
        ("[training]\nkernel = 4\n" + ONE, ["training.kernel", "4 is none of 3, 5"]),
        ("[training]\nstrides = [2, 3]\n" + ONE, ["training.strides", "3 is none of 1, 2"]),
        ('[training]\ndecoder = "mirror"\n' + ONE, ["training.decoder", "did you mean 'mirrored'?"]),
        (ONE.replace("norm", "conv_vae") + "training = { strides = [1] }\n", ["training.strides", "2 filters"]),
        (ONE.replace("norm", "conv_vae"), ["blobs-2d: conv_vae needs images", "digits:4"]),
        (ONE.replace("norm", "conv1d_vae"), ["blobs-2d: conv1d_vae needs windows of a series", "sensors"]),
        ('threshold = { rule = "percentile" }\n' + ONE, ["'threshold'", "did you mean 'thresholds'?"]),
        ('thresholds = [{ rule = "percentil" }]\n' + ONE, ["thresholds 1: rule", "did you mean 'percentile'?"]),
        ('thresholds = [{ rule = "percentile", value = 101 }]\n' + ONE, ["101"]),
        ('thresholds = [{ rule = "std" }]\n' + ONE, ["std needs a value, for example 3"]),
        ('thresholds = [{ rule = "oracle_f1", value = 1 }]\n' + ONE, ["oracle_f1 takes no value"]),
        ('thresholds = [{ rule = "std", value = 3, rows = "tests" }]\n' + ONE, ["rows", "did you mean 'test'?"]),
        ('thresholds = [{ rule = "oracle_f1", rows = "train" }]\n' + ONE, ["oracle_f1 reads the test rows"]),
        ("thresholds = []\n" + ONE, ["thresholds"]),
        ('[training]\nscores = ["elbow"]\n' + ONE, ["training.scores", "did you mean 'elbo'?"]),
        ('[training]\nscores = ["elbo", "elbo"]\n' + ONE, ["training.scores", "twice"]),
        ("[training]\nscore = 'elbo'\n" + ONE, ["'score'", "did you mean 'scores'?"]),
        ('[training]\nactivation = "gleu"\n' + ONE, ["training.activation", "did you mean 'gelu'?"]),
        ('[training]\nlikelihood = "gausian"\n' + ONE, ["training.likelihood", "did you mean 'gaussian'?"]),
        ('[training]\nlikelihood = "mse_mean"\n' + ONE, ["training.likelihood", *NO_MEAN]),
        ('[training]\nreduction = "mean"\n' + ONE, ["training.reduction", *NO_MEAN]),
        (ONE + 'training = { likelihood = "mean_squared_error" }\n', ["1: training.likelihood", *NO_MEAN]),
        (ONE.replace("norm", "autoencoder") + 'training = { scores = ["kl"] }\n', ["autoencoder", "'kl'", "has none"]),
        (ONE.replace("norm", "vae") + 'training = { scores = ["mae", "bce"] }\n', ["vae", "'bce'", "'mse' gives none"]),
        (ONE + "[[published]]\ndetector = 'norm'\n", ["published"]),
        (ONE + PUBLISHED.replace("roc_auc", "roc"), ["metric", "'roc'"]),
        (ONE + PUBLISHED + "high = 0.5\n", ["0.9", "bounds"]),
        (ONE + PUBLISHED + "where = { latnet = 2 }\n", ["where", "'latnet'", "did you mean 'latent'?"]),
        (ONE + PUBLISHED + "where = { protocol = 'theirs' }\n", ["no block runs norm", "theirs"]),
        (ONE + PUBLISHED + "valu = 0.5\n", ["'valu'", "did you mean 'value'?"]),
        (ONE.replace("norm", "nrom"), ["no detector 'nrom'", "did you mean 'norm'?"]),
        (ONE.replace("blobs-2d", "blob-2d"), ["blob-2d", "blobs-2d"]),
        (ONE.replace("blobs-2d", "blobs?row=10"), ["row", "rows"]),
        (ONE + 'backends = ["pytorch"]\n', ["no backend 'pytorch'", "torch"]),
        (ONE + "parameters = { knn = { neighbors = 3 } }\n", ["knn", "'neighbors'", "n_neighbors"]),
        (ONE + "parameters = { knn = { n_neighbors = 0 } }\n", ["n_neighbors must be a positive integer, not 0"]),
        ("seeds = []\n" + ONE, ["seeds"]),
        ("threads = []\n" + ONE, ["threads"]),
        ("threads = [4096]\n" + ONE.replace("norm", "knn"), ["4096 threads", "cores available"]),
        ("batch_sizes = [0]\n" + ONE, ["batch_sizes[0]", ">= 1"]),
        ("seeds = [4294967296]\n" + ONE, ["seeds"]),
        ('datasets = "blobs"\n[[scenarios]]\ndetectors = ["norm"]\n', ["datasets", "array"]),
        ("name = 'x'\n", ["at least one [[scenarios]]"]),
        ('[[scenarios]]\ndatasets = ["blobs-2d"]\n', ["names no detectors"]),
        ("[[scenarios]\n", ["not a TOML file"]),
        (ONE.replace("norm", "vae") + 'training = { likelihood = "bce" }\n', ["blobs-2d", "[0, 1]"]),
        (ONE.replace("norm", "autoencoder") + "training = { free_bits = 0.1 }\n", ["autoencoder: free_bits is about"]),
        (
            ONE.replace("norm", "vae") + "training = { importance_samples = 5, free_bits = 0.1 }\n",
            ["vae: free_bits are"],
        ),
        (ONE.replace("norm", "vae") + 'training = { prior = "mixtur" }\n', ["did you mean 'mixture'?"]),
        (
            ONE.replace("norm", "vae") + 'training = { prior = "mixture" }\n',
            ["vae: components are those of the prior, 1 or more for 'mixture'"],
        ),
        (
            ONE.replace("norm", "autoencoder") + 'training = { prior = "mixture", components = 3 }\n',
            ["autoencoder: the prior 'mixture' is one of a latent distribution"],
        ),
        (
            ONE.replace("norm", "vae") + 'training = { importance_samples = 5, likelihood = "gaussian" }\n',
            ["vae: importance_samples weigh the likelihoods of single rows"],
        ),
        (ONE.replace("norm", "vae") + "training = { kl_cycle_epochs = 4 }\n", ["vae: kl_cycle_epochs must be 0, or"]),
        (ONE.replace("norm", "vae") + "training = { batch_size = 100000 }\n", ["blobs-2d", "batch_size 100000"]),
        (ONE.replace("norm", "vae") + "batch_sizes = [8, 100000]\n", ["blobs-2d", "batch_size 100000"]),
    ],
)
def test_a_suite_that_cannot_be_run_is_refused_in_one_line(in_process, suite_file, tmp_path, text, parts):
    refused(in_process("run", suite_file(text), "--out", "out"), *parts)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["run", "qick"], ["report", "nowhere"], ["run", "smoke", "--rounds", "0"]])
def test_the_installed_command_ends_with_status_2_and_without_a_traceback(bench, arguments):
    done = bench(*arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("bench")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "qick"], "shipped are"),
        (["run", "."], ".: it is no file, but a folder or a device"),
        (["run", "smoke", "--datasets", "digits:11"], "digits"),
        (["run", "smoke", "--detectors", "knm"], "did you mean 'knn'?"),
        (["run", "smoke", "--threads", "4096"], "cores available"),
        (["run", "smoke", "--datasets", "mnist:4", "--detectors", "norm"], "train-images"),
        (["run", "smoke", "--datasets", "file:none.csv", "--detectors", "norm"], "none.csv"),
        (["run", "smoke", "--datasets", "file:\udcff.csv", "--dry-run"], "'file:\\udcff.csv' is no text in UTF-8"),
        (["report", "nowhere"], "nowhere"),
        (["report", "nowhere", "--table", "quality"], "nowhere"),
        (["report", "nowhere", "--out", "report.md"], "--table"),
        (["report", "nowhere", "--format", "parquet"], "--out"),
    ],
)
def test_an_argument_that_names_nothing_is_refused_in_one_line(in_process, tmp_path, arguments, part):
    refused(in_process(*arguments), part)
    assert list(tmp_path.iterdir()) == [] or not (tmp_path / "results").exists()


def test_a_path_with_an_escape_reaches_the_terminal_as_words(in_process):
    done = in_process("fit", "blobs?rows=300", "--detector", "norm", "--out", "model\x1b[31m\x9b1")
    assert done.returncode == 0
    assert "model: model\\x1b[31m\\x9b1" in done.stdout
    assert not {"\x1b", "\x9b"} & set(done.stdout + done.stderr)


def test_a_folder_whose_path_is_no_text_takes_no_results(in_process, tmp_path, monkeypatch):
    place = tmp_path / "\udcff"
    try:
        place.mkdir()
    except OSError:
        pytest.skip("this file system takes no such name")
    monkeypatch.chdir(place)
    refused(in_process("run", "smoke", "--datasets", "blobs", "--detectors", "norm"), "is no text in UTF-8")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "o.model", "rows.csv", "--out", "x.csv/"],
        ["fit", "blobs", "--detector", "norm", "--out", "x.model/."],
        ["export", "results", "--format", "csv", "--out", "x.csv/"],
    ],
)
def test_a_file_to_write_that_is_named_as_a_folder_is_refused(in_process, tmp_path, arguments):
    done = in_process(*arguments)
    assert done.returncode == 2
    assert "expected a file, and 'x." in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reference", ["file:rows", "file:rows/*.csv"])
def test_a_file_whose_name_is_no_text_is_named_in_one_line(in_process, tmp_path, reference):
    (tmp_path / "rows").mkdir()
    try:
        (tmp_path / "rows" / "\udcff.csv").write_text("a,label\n")
    except OSError:
        pytest.skip("this file system takes no such name")
    refused(in_process("run", "smoke", "--datasets", reference, "--dry-run"), "is no text in UTF-8; rename it")


@pytest.mark.parametrize(
    "option",
    [
        ["--seeds", "a"],
        ["--seeds", "-1"],
        ["--seeds", "4294967296"],
        ["--timeout", "soon"],
        ["--rounds", "0"],
        ["--precision", "float8"],
        ["--batch-sizes", "32,0"],
        ["--threads", "all"],
    ],
)
def test_an_option_value_that_does_not_fit_is_refused_with_an_example(in_process, option):
    done = in_process("run", "smoke", *option)
    assert done.returncode == 2
    assert "expected" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def write_text(text: str):
    return lambda path: path.write_text(text)


GOOD = "a,b,label\n" + "\n".join(f"{i},{i * i % 97},{int(i % 10 == 0)}" for i in range(300)) + "\n"


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("empty.csv", write_text("")),
        ("no-anomaly.csv", write_text(GOOD.replace(",1\n", ",0\n"))),
        ("no-normal.csv", write_text(GOOD.replace(",0\n", ",1\n"))),
        ("no-label.csv", write_text(GOOD.replace("label", "c"))),
        ("binary.csv", lambda path: path.write_bytes(bytes(range(256)) * 20)),
        ("not.parquet", write_text("PAR1 nothing")),
        ("not.npz", write_text("PK nothing")),
        ("pickled.npz", lambda path: np.savez(path, X=np.array([{}], dtype=object), y=np.array([1]))),
        ("lacks-y.npz", lambda path: np.savez(path, X=np.ones((10, 2)))),
        ("table.xlsx", write_text("x")),
    ],
)
def test_a_user_file_that_cannot_be_used_is_refused_in_one_line(in_process, tmp_path, name, write):
    write(tmp_path / name)
    refused(in_process("run", "smoke", "--datasets", f"file:{name}", "--detectors", "norm", "--out", "out"), name)
    assert not (tmp_path / "out").exists()


def test_a_user_file_that_can_be_used_runs(bench, tmp_path):
    # fewer rows than a batch of the networks, which no classical detector minds
    (tmp_path / "mine.csv").write_text("".join(GOOD.splitlines(keepends=True)[:150]))
    done = bench("run", "smoke", "--datasets", "file:mine.csv", "--detectors", "norm,knn", "--untimed", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "file:mine.csv" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    "content", [b"not gzip", gzip.compress(b"\0\0\x08\x03" + b"\0" * 12)[:-9]], ids=["not gzip", "cut short"]
)
def test_a_corrupt_data_file_is_refused_in_one_line(in_process, tmp_path, content):
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").write_bytes(content)
    done = in_process(
        "run", "smoke", "--datasets", "mnist:4", "--detectors", "norm", "--data-dir", "data", "--out", "out"
    )
    refused(done, "-ubyte.gz")
    assert not (tmp_path / "out").exists()


def imported(python: str, environ: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [python, "-X", "importtime", "-m", "bench", *arguments],
        env=environ, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "quick", "--dry-run"]])
def test_no_framework_is_imported_by_help_list_and_dry_run(python, environ, arguments):
    modules = {line.split("|")[-1].strip() for line in imported(python, environ, *arguments).splitlines()}
    assert "argparse" in modules
    assert not modules & {"torch", "tensorflow", "keras", "jax", "flax", "optax"}


def test_help_imports_nothing_heavy(python, environ):
    modules = {line.split("|")[-1].strip() for line in imported(python, environ, "--help").splitlines()}
    assert not modules & {"numpy", "pandas", "sklearn", "scipy", "matplotlib", "rich", "msgspec"}


def test_a_foreign_package_of_our_name_stops_with_one_line(bench, tmp_path):
    foreign = tmp_path / "elsewhere" / "datasets"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("")
    refused(bench("list", PYTHONPATH=str(foreign.parent)), "'datasets'", "environment of its own")


def test_a_users_folder_named_datasets_does_not_get_in_the_way(bench, suite_file, tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    assert bench("run", suite_file(ONE), "--untimed", "--out", "out").returncode == 0


def test_list_names_everything_registered_and_why_a_data_set_is_not_here(bench):
    done = bench("list")
    assert done.returncode == 0, done.stderr
    for name in (
        "torch",
        "keras",
        "jax",
        "vae",
        "knn",
        "norm",
        "mnist",
        "kdd-synthetic",
        "quick",
        "standard",
        "speed",
        "smoke",
        "slow",
    ):
        assert any(line.split()[:1] == [name] for line in done.stdout.splitlines()), name
    assert "train-images" in done.stdout


def test_dry_run_prints_every_trial_and_writes_nothing(in_process, tmp_path):
    done = in_process("run", "quick", "--dry-run", "--backends", "torch", "--detectors", "vae,norm", "--seeds", "7")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3 * 2
    assert all("seed 7" in line for line in done.stdout.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_env_prints_what_goes_into_records(bench):
    import json

    done = bench("env")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(shown["backends"]) >= {"torch", "keras", "jax"}
    for report in shown["backends"].values():
        assert "unavailable" in report or "cpu" in report["devices"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("malloc of size 64 failed"),
        ImportError("libx.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ],
)
def test_a_machine_without_memory_is_told_in_one_line(in_process, monkeypatch, error):
    def full(arguments):
        raise error

    monkeypatch.setattr("bench.cli._own_packages", lambda: full(None))
    done = in_process("list", "datasets")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "not enough memory" in done.stderr
