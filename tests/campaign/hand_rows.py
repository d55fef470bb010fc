"""Bad input by hand in files of rows: tables, archives, images, and places that are no plain files."""

from __future__ import annotations

import gzip
import io
import os
import struct
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from campaign import corpus
from campaign.cases import Case, Content, fifo

LABELLED = "?label=label&normal=normal"


def cases() -> list[Case]:
    return [*tables(), *series(), *archives(), *images(), *places()]


def _rows(name: str, content: Content, ending: str = "csv", options: str = LABELLED, **more: Any) -> Case:
    file = f"rows.{ending}"
    return Case(f"{ending}: {name}", ["load", f"file:{file}{options}"], {file: content}, refused=True, **more)


def _parquet(table: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def _bomb(rows: int, text: int) -> bytes:
    """One long text, told once in a dictionary and used in every row."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * text]))
    label = pa.array(["normal", "attack"] * (rows // 2))
    return _parquet(pa.table({"kind": column, "label": label}))


def tables() -> list[Case]:
    good = corpus.csv()
    lines = good.splitlines(keepends=True)
    names = ",".join(f"c{column}" for column in range(100_000)).encode()
    escape = good.replace(b"amount", b"\x1b[31mamount\x9b", 1)
    inner = corpus.frame().assign(amount=[[1.0, 2.0]] * corpus.ROWS)
    return [
        _rows("empty", b""),
        _rows("blanks alone", b" \n\n \t\n"),
        _rows("a header alone", lines[0]),
        _rows("NUL bytes", b"\0" * 100_000),
        _rows("a gzip file", corpus.packed(good)),
        _rows("a Parquet file", corpus.parquet()),
        _rows("100,000 columns", names + b"\n" + b",".join([b"1"] * 100_000) + b"\n"),
        _rows("a header of 200 MB", lambda: b"amount," + b"x" * (200 << 20)),
        _rows("a line of 200 MB", lambda: lines[0] + lines[1] + b"1,2," + b"x" * (200 << 20) + b",normal\n"),
        _rows("a quote that never ends", lines[0] + b'"1,2,a,normal\n' * 50_000),
        _rows("a cell too many", good + b"1,2,a,normal,5\n"),
        _rows("a cell too few", good + b"1,2\n"),
        _rows("no such label", good, options="?label=lable&normal=normal"),
        _rows("no such normal", good, options="?label=label&normal=usual"),
        _rows("columns of the same name", good.replace(b"count", b"amount", 1)),
        _rows("an unknown encoding", good, options=LABELLED + "&encoding=klingon"),
        _rows("an encoding that is no text", good, options=LABELLED + "&encoding=zlib_codec"),
        _rows("an encoding with an escape", good, options=LABELLED + "&encoding=%1b[2J"),
        _rows("bytes of another encoding", good.replace(b",a,", b",\xe9\x80,")),
        _rows("a column with an escape for a label", escape, options="?label=none&normal=normal"),
        _rows("an option that is none", good, options="?label=label&nromal=normal"),
        _rows("an option twice", good, options="?label=label&label=kind"),
        _rows("a share of all", good, options=LABELLED + "&train_contamination=1"),
        _rows("a share of no number", good, options=LABELLED + "&train_contamination=nan"),
        _rows("every row an anomaly", good.replace(b"normal", b"attack")),
        _rows("every column constant", b"a,label\n" + b"1,normal\n" * 50 + b"1,attack\n" * 5),
        _rows("empty", b"", "parquet"),
        _rows("a dictionary that unpacks to 16 GB", lambda: _bomb(16_000, 1_000_000), "parquet"),
        _rows("a dictionary that unpacks to 4 GB", lambda: _bomb(4_000_000, 1_000), "parquet"),
        _rows("zeros that unpack to 2 GB", lambda: _zeros(2**28), "parquet"),
        _rows("20,000 columns", lambda: _parquet(pa.table({f"c{n}": [1.0] for n in range(20_000)})), "parquet"),
        _rows("columns of lists alone", _parquet(pa.Table.from_pandas(inner[["amount", "label"]])), "parquet"),
        _rows("columns of the same name", _parquet(pa.Table.from_arrays([pa.array([1.0] * 9)] * 2, ["a", "a"])),
              "parquet"),
        _rows("a footer of 2 GB", b"PAR1" + corpus.parquet()[4:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1", "parquet"),
        _rows("encrypted, it says", corpus.parquet()[:-4] + b"PARE", "parquet"),
        _rows("CSV", good, "parquet"),
    ]  # fmt: skip


def series() -> list[Case]:
    """Rows of a table as steps of a series."""
    good = corpus.csv_of_a_series()

    def asked(name: str, options: str, content: Content = good, ending: str = "csv") -> Case:
        return _rows(f"series: {name}", content, ending, LABELLED + options)

    lines = good.splitlines(keepends=True)
    return [
        asked("a window of one step", "&window=1"),
        asked("a window below nothing", "&window=-8"),
        asked("a window of half a step", "&window=8.5"),
        asked("a window longer than the file", "&window=100000"),
        asked("a window of 10**12 steps", "&window=1000000000000"),
        asked("a window of thirty digits", f"&window={'9' * 30}"),
        asked("a stride beyond the window", "&window=8&stride=9"),
        asked("a stride below nothing", "&window=8&stride=-1"),
        asked("a stride without a window", "&stride=2"),
        asked("a test without a window", "&test=0.3"),
        asked("a time without a window", "&time=when"),
        asked("a test of all", "&window=8&test=1"),
        asked("a test of nothing", "&window=8&test=0"),
        asked("a test of no number", "&window=8&test=nan"),
        asked("a time that is no column", "&window=8&time=whne"),
        asked("a time that is the label", "&window=8&time=label"),
        asked("a time with an escape", "&window=8&time=%1b[2J"),
        asked("a time that is text", "&window=8&time=kind"),
        asked("times that are missing", "&window=8&time=when", good.replace(b"2026-01-01 00:05:00", b"")),
        asked("a time that stands twice", "&window=8&time=when",
              good.replace(b"2026-01-01 00:05:00", b"2026-01-01 00:06:00")),
        asked("times that read two ways", "&window=8&time=when", good.replace(b"2026-01-0", b"01/0")),
        asked("times of a year that is none", "&window=8&time=when", good.replace(b"2026-01-01", b"99999-01-01")),
        asked("times in digits by the thousand", "&window=8&time=when",
              good.replace(b"2026-01-01 00:05:00", b"9" * 5000)),
        asked("times with an escape", "&window=8&time=when", good.replace(b"2026-01-01 00:05:00", b"\x1b[2J")),
        asked("steps without a label", "&window=8&time=when", good.replace(b",normal\n", b",\n", 3)),
        asked("every step an anomaly", "&window=8&time=when", good.replace(b"normal", b"attack")),
        asked("no anomaly in the test part", "&window=8&time=when&test=0.05",
              b"".join(lines[:-40]) + b"".join(lines[-40:]).replace(b"attack", b"normal")),
        asked("contamination", "&window=8&train_contamination=0.1"),
        asked("duplicates dropped", "&window=8&duplicates=drop"),
        asked("a header alone", "&window=8", lines[0]),
        asked("a window of more values than are held", "&window=60000&stride=1", lambda: lines[0] + b"".join(
            lines[1:]) * 1000),
        asked("a row cut off", "&window=8&time=when", good + b"2026"),
    ]  # fmt: skip


def _zeros(rows: int) -> bytes:
    """Zeros, of which Parquet keeps next to nothing."""
    buffer = io.BytesIO()
    piece = pa.table({"a": pa.array(np.zeros(2**22)), "label": pa.array(np.zeros(2**22, np.int8))})
    with pq.ParquetWriter(buffer, piece.schema) as writer:
        for _ in range(rows // 2**22):
            writer.write_table(piece)
    return buffer.getvalue()


def _npy(header: str, body: bytes = b"\0" * 800, version: bytes = b"\x01\0") -> bytes:
    text = header.encode() + b" " * ((-len(header) - 11) % 64) + b"\n"
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + body


def _header(shape: str, descr: str = "'<f8'", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def _zip(members: dict[str, bytes], **more: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **more) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def archives() -> list[Case]:
    """NPY and NPZ."""

    def npy(name: str, content: Content) -> Case:
        return _rows(name, content, "npy", "?label=x1&normal=0")

    def npz(name: str, content: Content) -> Case:
        return _rows(name, content, "npz", "")

    good = _npy(_header("(10, 10)"))
    labels = io.BytesIO()
    np.save(labels, np.zeros(10, np.int64))
    pickled = io.BytesIO()
    np.save(pickled, np.array([_Loud()], dtype=object), allow_pickle=True)
    flat = _zip({"X.npy": good, "y.npy": labels.getvalue()})
    return [
        npy("a shape of truth values", _npy(_header("(True, 4)"))),
        npy("a shape of 10**12 rows", _npy(_header("(1000000000000, 2)"))),
        npy("a shape beyond 64 bits", _npy(_header(f"({10**30}, 2)"))),
        npy("a shape below nothing", _npy(_header("(-1, 2)"))),
        npy("a shape of 10,000 dimensions", _npy(_header(f"({'1, ' * 10_000})"), version=b"\x02\0")),
        npy("a shape of text", _npy(_header("('a', 2)"))),
        npy("a header nested deep", _npy(_header("(" * 60_000), version=b"\x02\0")),
        npy("a header of 4 GB", b"\x93NUMPY\x02\0" + struct.pack("<I", 2**32 - 1) + b"{" * 1000),
        npy("a header that calls", _npy(_header("__import__('os').system('touch called')"))),
        npy("an object", pickled.getvalue()),
        npy("objects, it says", _npy(_header("(10, 10)", "'|O'"))),
        npy("structures", _npy(_header("(10,)", "[('a', '<f8'), ('b', '<f8')]"))),
        npy("texts", _npy(_header("(10, 10)", "'<U1000000'"))),
        npy("dates", _npy(_header("(10, 10)", "'<M8[s]'"))),
        npy("complex numbers", _npy(_header("(5, 10)", "'<c16'"))),
        npy("no columns", _npy(_header("(10, 0)"))),
        npy("a single number", _npy(_header("()"))),
        npy("an unknown version", _npy(_header("(10, 10)"), version=b"\x09\0")),
        npy("an archive", flat),
        npz("an array", good),
        npz("no arrays", _zip({})),
        npz("no labels", _zip({"X.npy": good})),
        npz("a pickle", _zip({"X.npy": pickled.getvalue(), "y.npy": labels.getvalue()})),
        npz("an array that unpacks to 3 GB", _zip({"X.npy": _npy(_header("(20, 20000000)"), b""), "y.npy": b""})),
        npz("zeros that unpack to 1.5 GB", lambda: _deflated(1_500)),
        npz("a directory that lies about sizes", _lying(flat)),
        npz("a directory that is cut off", flat[:-30]),
        npz("names that leave the folder", _zip({"../X.npy": good, "../y.npy": labels.getvalue()})),
        npz("100,000 members", lambda: _zip({f"a{number}": b"" for number in range(100_000)})),
        npz("labels of another length", _zip({"X.npy": good, "y.npy": good})),
    ]


class _Loud:
    """What unpickling it would do is seen."""

    def __reduce__(self) -> Any:
        return os.system, ("touch called",)


def _deflated(megabytes: int) -> bytes:
    """An archive of zeros a thousand times its own size."""
    buffer = io.BytesIO()
    rows = megabytes * 2**20 // 160
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("X.npy", "w", force_zip64=True) as member:
            member.write(_npy(_header(f"({rows}, 20)"), b""))
            for _ in range(megabytes):
                member.write(bytes(2**20))
        archive.writestr("y.npy", _npy(_header(f"({rows},)", "'|i1'"), bytes(rows)))
    return buffer.getvalue()


def _lying(archive: bytes) -> bytes:
    """The sizes that the directory tells of its members, a hundred of them too small."""
    found = bytearray(archive)
    place = found.find(b"PK\x01\x02")
    found[place + 24 : place + 28] = struct.pack("<I", 10)
    return bytes(found)


def images() -> list[Case]:
    """IDX and the files of KDD."""
    good = corpus.mnist()
    name = "train-images-idx3-ubyte"

    def idx(title: str, content: Content, file: str = name) -> Case:
        files: dict[str, Content] = {key: value for key, value in good.items() if key != name}
        files[file] = content
        return Case(
            f"IDX: {title}", ["load", "mnist:4"], {f"data/mnist/{k}": v for k, v in files.items()}, refused=True
        )

    def kdd(title: str, content: Content, ending: str = "") -> Case:
        file = f"data/kddcup99/kddcup.data_10_percent{ending}"
        return Case(f"KDD: {title}", ["load", "kdd99"], {file: content}, refused=True)

    head = bytes((0, 0, 8, 3))
    return [
        idx("empty", b""),
        idx("another kind of numbers", bytes((0, 0, 13, 3)) + good[name][4:]),
        idx("10**12 images", head + struct.pack(">III", 2**32 - 1, 28, 28) + b"\0" * 1000),
        idx("images of 2**32 pixels", head + struct.pack(">III", 1, 2**32 - 1, 2**32 - 1) + b"\0" * 1000),
        idx("one byte short", good[name][:-1]),
        idx("no images", head + struct.pack(">III", 0, 28, 28)),
        idx("images of no pixels", head + struct.pack(">III", 120, 0, 0)),
        idx("images that are no squares", head + struct.pack(">III", 120, 14, 56) + good[name][16:]),
        idx("gzip that is cut off", corpus.packed(good[name])[:-20], f"{name}.gz"),
        idx("gzip that is none", b"\x1f\x8b" + b"\0" * 100, f"{name}.gz"),
        idx("gzip that unpacks to 1.1 GB", lambda: gzip.compress(bytes(2**20)) * 1100, f"{name}.gz"),
        idx("labels of another count", good["t10k-images-idx3-ubyte"]),
        kdd("too few rows", corpus.kdd()),
        kdd("empty", b""),
        kdd("one line of 20 MB", lambda: b"0," * (10 << 20)),
        kdd("a row cut off", corpus.kdd()[:-20]),
        kdd("a protocol with an escape", corpus.kdd().replace(b"tcp", b"\x1b[2Jtcp")),
        kdd("no gzip", corpus.kdd(), ".gz"),
        kdd("texts for numbers", corpus.kdd().replace(b",181,", b",many,")),
    ]


def places() -> list[Case]:
    """What is no plain file, and what changes while it is read."""
    good = corpus.csv()
    return [
        fifo("place: a pipe as CSV", "rows.csv", ["load", f"file:rows.csv{LABELLED}"]),
        fifo("place: a pipe as model", "model", ["score", "model", "rows.csv"]),
        fifo("place: a pipe as pytest-benchmark file", "found.json", ["history", "add", "found.json"]),
        Case("place: a pipe as records", ["report", "r"], prepare=_pipe_of_records, refused=True),
        Case("place: a pipe in a history", ["history", "show"], prepare=_pipe_of_history, refused=True),
        _link("place: an endless device as CSV", "rows.csv", "/dev/zero", ["load", f"file:rows.csv{LABELLED}"]),
        _link("place: an endless device as Parquet", "rows.parquet", "/dev/zero",
              ["load", "file:rows.parquet?label=a"]),
        _link("place: an endless device as model", "model", "/dev/zero", ["score", "model", "rows.csv"]),
        _link("place: an endless device as rows", "rows.csv", "/dev/zero", ["score", "model", "rows.csv"],
              {"model": corpus.models()["norm"]}),
        _link("place: an endless device as history", "history/20261001T030000Z-0123456789ab.jsonl", "/dev/zero",
              ["history", "show"]),
        _link("place: an endless device as pytest-benchmark file", "found.json", "/dev/zero",
              ["history", "add", "found.json"]),
        _link("place: an endless device as records", "r/records.jsonl", "/dev/zero", ["report", "r"]),
        _link("place: a link to itself", "rows.csv", "rows.csv", ["load", f"file:rows.csv{LABELLED}"]),
        _link("place: a device that is full", "out.csv", "/dev/full",
              ["score", "model", "rows.csv", "--out", "out.csv"], {
               "model": corpus.models()["norm"], "rows.csv": good}, refused=False),
        Case("place: a folder as CSV", ["load", f"file:rows.csv{LABELLED}"], {"rows.csv/x": b""}, refused=True),
        Case("place: a folder as model", ["score", "rows.csv", "rows.csv"], {"rows.csv/x": b""}, refused=True),
        Case("place: a folder as records", ["report", "r"], {"r/records.jsonl/x": b""}, refused=True),
        Case("place: a path of 5,000 bytes", ["load", f"file:{'d/' * 2500}rows.csv"], refused=True),
        Case("place: a name of 300 bytes", ["load", f"file:{'r' * 300}.csv"], refused=True),
        Case("place: a path with NUL", ["load", "file:a\0b.csv"], refused=True),
        Case("place: a file that is cut while it is read", ["load", f"file:rows.csv{LABELLED}"],
             {"rows.csv": good * 400}, prepare=_changing, writes=("rows.csv",)),
        Case("place: rows that are cut while they are scored", ["score", "model", "rows.csv", "--out", "o.csv"],
             {"rows.csv": good * 400, "model": corpus.models()["norm"]}, prepare=_changing, writes=("rows.csv",)),
    ]  # fmt: skip


def _link(name: str, file: str, target: str, argv: list[str], files: Any = None, *, refused: bool = True) -> Case:
    def prepare(folder: Path) -> None:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).symlink_to(target)

    return Case(name, argv, files or {}, prepare=prepare, refused=refused)


def _pipe_of_records(folder: Path) -> None:
    (folder / "r").mkdir()
    os.mkfifo(folder / "r" / "records.jsonl")


def _pipe_of_history(folder: Path) -> None:
    corpus.copied(corpus.history(), folder / "history")
    os.mkfifo(folder / "history" / "20261001T030000Z-0123456789ab.jsonl")


def _changing(folder: Path) -> None:
    path = folder / "rows.csv"

    def cut() -> None:
        for _ in range(20):
            time.sleep(0.01)
            if path.exists():
                os.truncate(path, path.stat().st_size * 2 // 3)

    threading.Thread(target=cut, daemon=True).start()
