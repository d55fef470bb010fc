"""What the ladder's compilers keep."""

from __future__ import annotations

import os
from pathlib import Path

from bench.proof import compiled


def test_jax_keeps_every_program_in_a_bounded_folder_of_ours(monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = compiled.variables()
    assert Path(found["JAX_COMPILATION_CACHE_DIR"]) == tmp_path / "vaebench" / "compiled"
    assert int(found["JAX_COMPILATION_CACHE_MAX_SIZE"]) > 0
    assert float(found["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]) == 0  # most programs compile within a second


def test_a_folder_that_the_user_has_chosen_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    assert list(compiled.variables()) == ["TF_XLA_FLAGS"]
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory=mine")
    assert compiled.variables() == {}


def test_what_was_read_longest_ago_goes_first(tmp_path):
    for age, name in enumerate(("new", "one/older", "oldest")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (1e9 - age, 1e9))
    compiled.shrink(tmp_path, 250)
    assert {path.name for path in tmp_path.rglob("*")} == {"new", "one", "older"}


def test_programs_of_another_processor_or_version_are_not_found(monkeypatch, tmp_path):
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = set()
    for version in ("2.20", "2.21"):
        here = {"machine": {"memory_bytes": 0, "cpu": "one"}, "packages": {"tensorflow": version}}
        monkeypatch.setattr(compiled, "environment", lambda here=here: here)
        found.add(compiled.variables()["TF_XLA_FLAGS"])
    assert len(found) == 2


def test_a_cache_folder_that_cannot_be_written_stops_no_ladder(monkeypatch, tmp_path):
    (tmp_path / "vaebench").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "TF_XLA_FLAGS" not in compiled.variables()
