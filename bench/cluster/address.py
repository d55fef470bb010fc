"""What ``--cluster`` names: workers on this machine, an address, a scheduler file, or an entry of a TOML profile."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from platformdirs import user_config_path

from bench import DISTRIBUTION
from bench.messages import quoted
from bench.suites import toml

PROFILE = "clusters.toml"
MOST_LOCAL = 512
_SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
_ENCRYPTED = ("tls", "wss")
_KEYS = ("address", "file", "dask")
_CERTIFICATES = r"distributed\.comm\.tls\.(ca[-_]file|\w+\.(cert|key))"
"""Settings whose value is a file, or its text."""


_LONGEST_FILE = 2**20
"""Bytes of a scheduler file, which has a few hundred."""


class _SchedulerFile(msgspec.Struct):
    """What is read of it; the rest is Dask's."""

    address: str


class ClusterError(ValueError):
    """A cluster that cannot be used; one line."""


@dataclass(frozen=True)
class Address:
    """Exactly one of ``local`` (so many workers here), ``url`` and ``file`` (a scheduler file), and Dask's settings."""

    local: int = 0
    url: str = ""
    file: Path | None = None
    dask: Mapping[str, Any] = field(default_factory=dict)


def read(text: str) -> Address:
    """``local:N``, ``tcp://host:port``, ``scheduler.json``, ``NAME`` of a profile, or ``FILE.toml:NAME``.

    A profile is ``clusters.toml`` in the current folder, or in the user's configuration folder. Raises ClusterError.
    """
    if match := re.fullmatch(r"local:(\d{1,7})", text):
        if not 1 <= int(match[1]) <= MOST_LOCAL:
            raise ClusterError(f"--cluster {text}: from 1 to {MOST_LOCAL} workers run on one machine")
        return Address(local=int(match[1]))
    if "://" in text:
        return Address(url=_url(text, f"--cluster {text}"))
    if text.endswith(".json"):
        return Address(file=_file(Path(text), f"--cluster {text}"))
    path, _, name = text.rpartition(":")
    if path.endswith(".toml"):
        return _entry(Path(path), name)
    if re.fullmatch(r"[\w.-]+", text) and text != "local":
        for folder in (Path(), user_config_path(DISTRIBUTION, appauthor=False)):
            if (folder / PROFILE).is_file():
                return _entry(folder / PROFILE, text)
        raise ClusterError(
            f"--cluster {text}: there is no {PROFILE} here or in {user_config_path(DISTRIBUTION, appauthor=False)} "
            "that could name it"
        )
    raise ClusterError(
        f"--cluster {text}: expected local:N, an address such as tcp://scheduler:8786, a scheduler file that ends in "
        f".json, or the name of an entry of {PROFILE}"
    )


def _url(text: str, where: str) -> str:
    try:
        found = urlsplit(text)
        usable = found.scheme in _SCHEMES and re.fullmatch(r"[\w.:%-]+", found.hostname or "") and found.port
        usable = usable and found.username is None and not found.path.strip("/") and not found.query + found.fragment
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        raise ClusterError(
            f"{where}: expected {'://, '.join(_SCHEMES[:2])}://, then a host and a port, and nothing more: tcp://host:8786"
        )
    return text


def _file(path: Path, where: str) -> Path:
    if not path.is_file():
        raise ClusterError(f"{where}: there is no scheduler file {path}")
    try:
        if path.stat().st_size > _LONGEST_FILE:
            raise ValueError(f"longer than {_LONGEST_FILE:,} bytes")
        _url(msgspec.json.decode(path.read_bytes(), type=_SchedulerFile).address, "its address")
    except OSError as error:
        raise ClusterError(f"{where}: {path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise ClusterError(f"{where}: {path} is no scheduler file: {error}") from None
    return path


def _entry(path: Path, name: str) -> Address:
    try:
        table = toml.read(path)
    except (toml.TOMLError, UnicodeDecodeError) as error:
        raise ClusterError(f"{path}: not a TOML file: {error}") from None
    except OSError as error:
        raise ClusterError(f"{path}: cannot be read ({error.strerror})") from None
    entry = table.get(name)
    if not isinstance(entry, dict):
        raise ClusterError(f"{path}: no entry {quoted(name, table)}")
    where = f"{path}: {name}"
    for key in entry:
        if key not in _KEYS:
            raise ClusterError(f"{where}: no key {quoted(key, _KEYS)}")
    address, file, dask = entry.get("address"), entry.get("file"), entry.get("dask", {})
    if (address is None) == (file is None) or not isinstance(address or file, str) or not isinstance(dask, dict):
        raise ClusterError(f"{where}: wants an address or the file of a scheduler, and at most a table dask beside it")
    settings = dict(_settings(path.parent, dask, where))
    if address:
        return Address(url=_url(address, where), dask=settings)
    return Address(file=_file(path.parent / str(file), where), dask=settings)


def _settings(folder: Path, table: Mapping[str, Any], where: str, before: str = "") -> Iterator[tuple[str, Any]]:
    """Dask's settings by their dotted names, however tables are nested; files are told from the profile's folder."""
    for key, value in table.items():
        name = before + key
        if isinstance(value, dict) and value:
            yield from _settings(folder, value, where, f"{name}.")
            continue
        if re.fullmatch(_CERTIFICATES, name) and isinstance(value, str) and "\n" not in value:
            value = str(folder / Path(value).expanduser())
            if not Path(value).is_file():
                raise ClusterError(f"{where}: {name}: there is no file {value}")
        yield name, value


def unencrypted(url: str) -> str | None:
    """The warning that a scheduler at this address wants, or None.

    A Dask scheduler runs what it is sent: whoever reaches it, or reads along, is on all its machines.
    """
    found = urlsplit(url)
    if found.scheme in (*_ENCRYPTED, "inproc") or _is_loopback(found.hostname or ""):
        return None
    return (
        f"the scheduler at {url} is not encrypted, and runs what anybody sends who reaches it; "
        "docs/cluster.md shows how TLS is turned on"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
