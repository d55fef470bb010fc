"""What the ladder's compilers keep."""

from __future__ import annotations

from pathlib import Path

from bench.proof import compiled


def test_jax_keeps_every_program_in_a_bounded_folder_of_ours(monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = compiled.variables()
    assert Path(found["JAX_COMPILATION_CACHE_DIR"]) == tmp_path / "vaebench" / "compiled"
    assert int(found["JAX_COMPILATION_CACHE_MAX_SIZE"]) > 0
    assert float(found["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]) == 0  # most programs compile within a second


def test_a_folder_that_the_user_has_chosen_for_jax_stays(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    assert compiled.variables() == {}
