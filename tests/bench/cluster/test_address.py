"""What ``--cluster`` names, and the one line for what it cannot mean."""

from __future__ import annotations

import os

import pytest

from bench.cluster import address
from bench.cluster.address import Address, ClusterError, read, unencrypted


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(address, "user_config_path", lambda *_, **__: tmp_path / "config")
    return tmp_path


def test_every_kind_of_cluster_is_told_from_the_others(folder):
    (folder / "scheduler.json").write_text('{"type": "Scheduler", "address": "tcp://head:8786"}')
    (folder / "ca.pem").touch()
    (folder / "clusters.toml").write_text(
        '[lab]\naddress = "tls://lab:8786"\n[lab.dask]\ndistributed.comm.tls.ca-file = "ca.pem"\n'
        '[shared]\nfile = "scheduler.json"\n'
    )
    assert read("local:4") == Address(local=4)
    assert read("tcp://head:8786") == Address(url="tcp://head:8786")
    assert read("scheduler.json").file is not None
    assert read("lab") == Address(url="tls://lab:8786", dask={"distributed.comm.tls.ca-file": "ca.pem"})
    assert read(f"{folder}/clusters.toml:lab").dask == {"distributed.comm.tls.ca-file": f"{folder}/ca.pem"}
    assert read(f"{folder}/clusters.toml:shared").file == folder / "scheduler.json"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("local:0", "from 1 to 512 workers"),
        ("local:9999999", "from 1 to 512 workers"),
        ("local", "expected local:N"),
        ("tcp://head", "a host and a port"),
        ("tcp://head:99999", "a host and a port"),
        ("tcp://two words:1", "a host and a port"),
        ("http://head:80", "a host and a port"),
        ("tcp://head:8786/x?y", "a host and a port, and nothing more"),
        ("tcp://me@head:8786", "a host and a port, and nothing more"),
        ("none.json", "there is no scheduler file"),
        ("lab", "no entry 'lab'; did you mean 'lap'?"),
        ("empty.toml:x", "not a TOML file"),
        ("absent.toml:x", "cannot be read"),
        ("clusters.toml:both", "wants an address or the file"),
        ("clusters.toml:key", "no key 'adress'; did you mean 'address'?"),
        ("clusters.toml:tls", "distributed.comm.tls.ca-file: there is no file"),
        ("", "expected local:N"),
    ],
)
def test_what_names_no_cluster_gets_one_line(folder, text, said):
    (folder / "clusters.toml").write_text(
        '[lap]\naddress = "tcp://a:1"\n[both]\naddress = "tcp://a:1"\nfile = "b"\n[key]\nadress = "tcp://a:1"\n'
        '[tls]\naddress = "tls://a:1"\n[tls.dask]\n"distributed.comm.tls.ca-file" = "none.pem"\n'
    )
    (folder / "empty.toml").write_text("[")
    with pytest.raises(ClusterError) as error:
        read(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", ["lab = " + "[" * 100_000, "lab = " + "9" * 10_000, ".".join(["a"] * 50_000) + " = 1", "#" * (9 << 20)]
)
def test_a_profile_that_is_too_deep_or_long_gets_one_line(folder, content):
    (folder / "clusters.toml").write_text(content)
    with pytest.raises(ClusterError, match="not a TOML file"):
        read("lab")


@pytest.mark.parametrize(
    "content", ["", "1", "{}", "[" * 100_000, '{"address": 1}', '{"address": "x"}', '{"address": "inproc://1/2"}']
)
def test_a_file_that_is_no_schedulers_gets_one_line(folder, content):
    (folder / "s.json").write_text(content)
    with pytest.raises(ClusterError, match="is no scheduler file"):
        read("s.json")


def test_a_profile_that_is_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "clusters.toml")
    with pytest.raises(ClusterError, match="there is no clusters"):
        read("lab")
    with pytest.raises(ClusterError, match="cannot be read"):
        read("clusters.toml:lab")


@pytest.mark.parametrize(
    "url", ["tcp://127.0.0.1:1", "tcp://[::1]:1", "tcp://localhost:1", "tls://head:1", "wss://h:1"]
)
def test_a_scheduler_that_is_encrypted_or_reached_from_here_alone_gets_no_warning(url):
    assert unencrypted(url) is None


@pytest.mark.parametrize("url", ["tcp://10.0.0.1:8786", "tcp://head:8786", "ws://head:1"])
def test_a_scheduler_that_anybody_may_use_gets_a_warning(url):
    assert "TLS" in str(unencrypted(url))
