"""The registry: what there is, what is missing and why, without a framework being imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import pytest

import backends
from bench.worker.__main__ import Service

FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "flax", "optax")


def test_asking_about_backends_imports_neither_a_framework_nor_numpy(process):
    program = (
        "import sys, backends\n"
        "for name in backends.names(): backends.unavailable(name), backends.versions(name)\n"
        f"print([name for name in {(*FRAMEWORKS, 'numpy')!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_shared_half_of_the_package_imports_no_framework(process):
    program = (
        "import sys, backends.inference, backends.interface, backends.reference, backends.weights\n"
        f"print([name for name in {FRAMEWORKS!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_three_backends_are_registered():
    assert backends.names()[:3] == ("torch", "keras", "jax")


@pytest.mark.parametrize(
    ("name", "missing", "reason"),
    [
        ("torch", {"torch"}, "torch is not installed: pip install 'vaebench[torch]'"),
        (
            "keras",
            {"tensorflow"},
            "tensorflow is not installed: pip install 'vaebench[tensorflow]', or choose keras-jax or keras-torch",
        ),
        ("keras", {"keras"}, "keras is not installed: pip install 'vaebench[tensorflow]'"),
        ("keras-jax", {"jax"}, "jax is not installed: pip install 'vaebench[keras-jax]'"),
        ("jax", {"flax", "optax"}, "flax and optax are not installed: pip install 'vaebench[jax]'"),
    ],
)
def test_a_missing_framework_is_named_with_the_remedy(monkeypatch, name, missing, reason):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None if package in missing else object())
    assert backends.unavailable(name) == reason
    with pytest.raises(ImportError, match="cannot run here: ") as caught:
        backends.load(name)
    assert reason in str(caught.value)


def test_nothing_is_missing_where_all_is_found(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: object())
    assert [backends.unavailable(name) for name in backends.names()] == [None] * len(backends.names())


@pytest.mark.parametrize("ask", [backends.unavailable, backends.versions, backends.load])
def test_an_unknown_name_gets_the_nearest_one(ask):
    with pytest.raises(ValueError, match=r"^unknown backend 'torhc': did you mean 'torch'\? the backends are torch, "):
        ask("torhc")
    with pytest.raises(ValueError, match=r"^unknown backend 'xyzzy': the backends are torch, "):
        ask("xyzzy")


def test_versions_are_those_of_the_installed_distributions(monkeypatch):
    monkeypatch.setattr(backends, "_distributions", lambda: {"keras": ["keras"], "tensorflow": ["tensorflow-cpu"]})
    monkeypatch.setattr(importlib.metadata, "version", {"keras": "3.9", "tensorflow-cpu": "2.19"}.__getitem__)
    assert backends.versions("keras") == {"keras": "3.9", "tensorflow-cpu": "2.19"}
    assert backends.versions("torch") == {}


@pytest.fixture
def newcomer(monkeypatch, tmp_path):
    """Writes the module of a backend that another distribution brings."""
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        SimpleNamespace(name=name, module=module, dist=SimpleNamespace(name="newcomer"))
        for name, module in (
            ("newcomer", "newcomer_backend"),
            ("torch", "newcomer_backend"),
            ("lost", "nowhere_at_all"),
        )
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points * (group == "vaebench.backends"))
    backends._contributed.cache_clear()
    yield (tmp_path / "newcomer_backend.py").write_text
    backends._contributed.cache_clear()
    sys.modules.pop("newcomer_backend", None)


def test_another_distribution_adds_a_backend_by_one_entry_point_but_replaces_none(newcomer):
    newcomer("def capabilities(): return 'from outside'\ndef build(spec, weights, settings): pass\n")
    assert backends.names() == (*backends.REGISTRY, "newcomer", "lost")
    assert backends.unavailable("newcomer") is None
    assert backends.load("newcomer").capabilities() == "from outside"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "importing newcomer_backend raised ZeroDivisionError"),
        ("raise SystemExit(7)", "importing newcomer_backend raised SystemExit: 7"),
        ("def capabilities(: pass", "importing newcomer_backend raised SyntaxError"),
        ("def capabilities(): pass", "newcomer_backend has no capabilities() and build()"),
    ],
)
def test_a_backend_of_another_distribution_that_cannot_be_imported_says_why(newcomer, source, reason):
    newcomer(source)
    with pytest.raises(ImportError, match="cannot run here: ") as caught:
        backends.load("newcomer")
    assert reason in str(caught.value)


def test_a_backend_that_does_not_tell_what_it_can_do_is_told_of_in_the_worker(newcomer):
    newcomer("def capabilities(): pass\ndef build(spec, weights, settings): pass\n")
    with pytest.raises(TypeError, match=r"capabilities\(\) of the backend 'newcomer' returned NoneType"):
        Service().capabilities("newcomer")


def test_a_backends_source_is_found_without_its_framework(process):
    program = (
        "import sys, backends\n"
        "print(*[path.parent.name for name in backends.names()[:3] for path in backends.source(name)[:1]])\n"
        "print(*sorted(path.name for path in backends.source('keras') if path.parent.name == 'engines'))\n"
        f"print([name for name in {FRAMEWORKS!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    engines = "__init__.py batches.py jax.py tensorflow.py torch.py"
    assert result.stdout.splitlines() == ["torch keras jax", engines, "[]"]


def test_the_source_of_a_contributed_package_is_all_of_it_and_of_a_module_its_file(monkeypatch, tmp_path):
    for file in ("alone.py", "pack/__init__.py", "pack/vae.py", "pack/inner/layers.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("raise ImportError('looked at, not imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("alone", "pack.vae"):
        monkeypatch.setitem(backends.REGISTRY, module, backends.Registration(module, (), "nothing"))
    assert backends.source("alone") == (tmp_path / "alone.py",)
    pack = tmp_path / "pack"
    assert set(backends.source("pack.vae")) == {pack / "__init__.py", pack / "vae.py", pack / "inner" / "layers.py"}


def test_a_module_that_is_not_there_has_no_source(monkeypatch):
    lost = backends.Registration("nowhere_to_be_found.module", (), "nothing")
    monkeypatch.setitem(backends.REGISTRY, "lost", lost)
    assert backends.source("lost") == ()
