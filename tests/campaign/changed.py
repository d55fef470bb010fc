"""Good files, spoilt: the same number and seed always spoil in the same way."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

WORDS = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r\n", b",", b";", b'"', b"'", b"NaN", b"-1", b"1e999", b"true",
    b"null", b"[" * 50, b"{", b"}", b"]", b"9" * 30, b"\x1b[2J", "\u202e".encode(), b"../", b"=", b"__proto__",
    b"<script>", b"$(id)", b"\x80", b"inf", b"0x", b"%s", b"PAR1", b"PK\x03\x04", b"\x93NUMPY",
)  # fmt: skip
"""Bytes that mean something to some reader."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, -(10**30), 0.5, -0.5, 1e-320, 1e308, "", "x", "a" * 5000,
    "\x1b[31mred", "\u202egnp", "../../x", "1", "NaN", [], {}, [[]], [None], [1, 2], ["x"], [[1.0, 2.0]], {"x": 1},
    {"": {}}, [[[[[[]]]]]], "2026-01-01", "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"), "=1+1",
)  # fmt: skip
"""JSON that a key was not made for."""


def rng(*key: object) -> random.Random:
    return random.Random("/".join(map(str, key)))


def bytes_of(content: bytes, draw: random.Random) -> bytes:
    """The content with one to four changes."""
    found = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4))):
        draw.choice(_CHANGES)(found, draw)
    return bytes(found)


def _flip(found: bytearray, draw: random.Random) -> None:
    if found:
        found[draw.randrange(len(found))] ^= 1 << draw.randrange(8)


def _set(found: bytearray, draw: random.Random) -> None:
    if found:
        found[draw.randrange(len(found))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))


def _cut(found: bytearray, draw: random.Random) -> None:
    del found[draw.randrange(len(found) + 1) :]


def _remove(found: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(found) + 1)
    del found[start : start + draw.randrange(1, 64)]


def _insert(found: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(found) + 1)
    found[start:start] = draw.choice(WORDS)


def _again(found: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(found) + 1)
    piece = found[start : start + draw.randrange(1, 400)]
    place = draw.randrange(len(found) + 1)
    found[place:place] = piece * draw.choice((1, 1, 3))


def _size(found: bytearray, draw: random.Random) -> None:
    """Headers hold sizes in four or eight bytes."""
    if len(found) >= 8:
        size = draw.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1, 10**6))
        place = draw.randrange(min(len(found) - 7, 512)) if draw.random() < 0.6 else draw.randrange(len(found) - 7)
        found[place : place + 4] = struct.pack(draw.choice("<>") + "I", size)


_CHANGES: Sequence[Callable[[bytearray, random.Random], None]] = (
    _flip, _flip, _set, _set, _cut, _remove, _insert, _insert, _again, _size,
)  # fmt: skip


def json_of(value: Any, draw: random.Random) -> Any:
    """A copy of the value with one to three places changed, still JSON."""
    found = json.loads(json.dumps(value))
    for _ in range(draw.choice((1, 1, 2, 3))):
        found = _changed(found, draw)
    return found


def _changed(found: Any, draw: random.Random) -> Any:
    if not isinstance(found, dict | list) or not found:
        return _value(draw)
    parent, place = draw.choice(_places(found))
    what = draw.randrange(8)
    if what == 0:
        del parent[place]
    elif what == 1 and isinstance(parent, dict):
        parent[draw.choice(("x", "", place + "x", "\x1b[1m", "__class__"))] = parent.pop(place)
    elif what == 2:
        other, there = draw.choice(_places(found))
        parent[place] = json.loads(json.dumps(other[there]))
    elif what == 3 and isinstance(parent[place], int | float) and not isinstance(parent[place], bool):
        parent[place] = draw.choice((-1, 0, parent[place] * 2, parent[place] * -1e12, 1e300))
    elif what == 4 and isinstance(parent[place], list):
        parent[place] = parent[place] * draw.choice((0, 2, 3)) + draw.choice(([], [_value(draw)]))
    else:
        parent[place] = _value(draw)
    return found


def _value(draw: random.Random) -> Any:
    """One of its own: a list that stands in two places could come to hold itself."""
    return copy.deepcopy(draw.choice(VALUES))


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        one = left.pop()
        keys: Any = range(len(one)) if isinstance(one, list) else list(one) if isinstance(one, dict) else ()
        for key in keys:
            found.append((one, key))
            left.append(one[key])
    return found
