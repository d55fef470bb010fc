"""What the documentation shows is run as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.cli import _parser
from bench.detect import registry
from bench.detect.autoencoder import VAE
from bench.suites.scenario import Training
from bench.suites.suite import load

ROOT = Path(__file__).resolve().parents[2]
EXTENDING = (ROOT / "docs" / "extending.md").read_text()
DETECTORS = (ROOT / "docs" / "detectors.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


@pytest.fixture
def contributed(tmp_path):
    """The data set and the detector of the documentation, as another distribution brings them."""
    home = tmp_path / "contributed"
    home.mkdir()
    for source in blocks(EXTENDING, "python"):
        name = re.match(r"# (\w+\.py)\n", source)
        (home / name[1]).write_text(source)
    info = home / "contributed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: contributed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[vaebench.datasets]\nrings = rings:load_rings\n[vaebench.detectors]\nlof = lof:LOF\n"
    )
    return {"PYTHONPATH": str(home)}


def test_a_data_set_and_a_detector_of_another_distribution_run_without_an_edit_here(bench, contributed, read_records):
    listed = bench("list", **contributed).stdout
    assert "Two rings in the plane" in listed
    assert "Local outlier factor" in listed
    done = bench(
        "run", "smoke", "--datasets", "rings?rows=400", "--detectors", "lof,norm", "--out", "out", **contributed
    )
    assert done.returncode == 0, done.stderr
    records = {record["detector"]: record for record in read_records()}
    assert set(records) == {"lof", "norm"}
    assert records["lof"]["metrics"]["roc_auc"] > 0.95


def test_the_suite_of_the_documentation_names_only_what_there_is(bench, tmp_path, suite_file):
    (suite,) = (text for text in blocks(EXTENDING, "toml") if "[[scenarios]]" in text)
    done = bench("run", suite_file(suite), "--dry-run")
    assert done.returncode == 0, done.stderr
    # two data sets, three seeds; vae and autoencoder on two backends, two classical detectors, two sanity lines
    assert len(done.stdout.splitlines()) == 2 * 3 * (2 * 2 + 2 + 2)


def test_the_training_table_of_the_documentation_holds_every_key_with_its_default():
    (suite,) = (text for text in blocks(EXTENDING, "toml") if "[[scenarios]]" in text)
    shown = tomllib.loads(suite)["training"]
    defaults = asdict(Training().resolved(VAE)) | {"filters": Training().filters}
    defaults = {key: value for key, value in defaults.items() if value is not None}  # which TOML cannot say
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in shown.items()} == defaults


def test_the_scripts_of_the_documentation_print_what_they_say(process, python, installed, tmp_path):
    scripts = blocks(DETECTORS, "python")
    assert len(scripts) == 2
    if registry.unavailable("pyod:ECOD"):
        scripts = [script for script in scripts if "pyod" not in script]
    script = "\n".join(scripts).replace("torch", installed[0])
    done = subprocess.run(
        [python, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    for promised in re.findall(r"# (\[.*\])", script):
        assert promised in done.stdout


def test_the_hybrids_and_guests_of_the_documentation_can_be_set_as_shown(suite_file):
    (text,) = blocks(DETECTORS, "toml")
    scenarios = load(suite_file('backends = ["torch"]\n' + text)).scenarios(1)
    parameters = {scenario.detector: scenario.parameters for scenario in scenarios}
    assert parameters["latent_knn"] == {"n_neighbors": 10}
    assert parameters["rank_average"]["score"] == "elbo"
    assert parameters["pyod:HBOS"] == {"n_bins": 20}


def test_the_table_of_the_documentation_names_every_detector():
    for name in registry.names():
        assert name not in registry.REGISTRY or f"`{name}`" in DETECTORS


def test_every_command_line_in_the_documentation_parses():
    pages = [page.read_text() for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    lines = [line for page in pages for text in blocks(page, "sh") for line in text.splitlines()]
    # up to where a shell takes over
    commands = [shlex.split(line.split(" > ")[0], comments=True) for line in lines if line.startswith("bench ")]
    assert len(commands) > 40
    for command in commands:
        _parser().parse_args(command[1:])


def test_every_relative_link_in_the_documentation_leads_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)\)", page.read_text())]
    assert len(links) > 5
    for page, link in links:
        assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
