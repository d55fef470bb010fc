"""Bad input by hand: each of these once was, or could have been, taken for something else than it is."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import threading
import time
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from campaign import corpus
from campaign.cases import Case, Kind

HEAD = '[[scenarios]]\ndatasets = ["blobs?rows=300"]\ndetectors = ["knn"]\n'
Content = bytes | Callable[[], bytes]
LABELLED = "?label=label&normal=normal"
DEEP = 100_000


def kind() -> Kind:
    found = cases()
    return Kind("bad input by hand", len(found), lambda number: found[number], ("pandas", "bench.keep.models"))


@cache
def cases() -> tuple[Case, ...]:
    return (*suites(), *options(), *tables(), *archives(), *images(), *places(), *models(), *records(), *histories())


def _suite(name: str, text: str | bytes, needs: str = "", argv: tuple[str, ...] = ()) -> Case:
    content = text.encode() if isinstance(text, str) else text
    return Case(
        f"suite: {name}", ["run", "mine.toml", "--dry-run", *argv], {"mine.toml": content}, refused=True,
        needs=lambda out, err: needs in err,
    )  # fmt: skip


def suites() -> list[Case]:
    deep = "[" * DEEP
    many = ", ".join(map(str, range(10**6)))
    wide = json.dumps([f"blobs?rows={300 + row}" for row in range(3000)])
    twice = json.dumps(["knn"] * 3000)
    return [
        _suite("name leaves the folder", f'name = "../../x"\n{HEAD}', "no plain file name"),
        _suite("name is absolute", f'name = "/tmp/x"\n{HEAD}', "no plain file name"),
        _suite("name is empty", f'name = ""\n{HEAD}'),
        _suite("name is of dots", f'name = ".."\n{HEAD}'),
        _suite("name holds an escape", f'name = "a\\u001b[31m"\n{HEAD}'),
        _suite("name holds a line break", f'name = "a\\nb"\n{HEAD}'),
        _suite("name is long", f'name = "{"a" * 5000}"\n{HEAD}'),
        _suite("brackets nested deep", f"seeds = {deep}\n{HEAD}"),
        _suite("tables nested deep", f"x = {'{a=' * DEEP}\n{HEAD}"),
        _suite("digits by the thousand", f"rounds = {'9' * 10_000}\n{HEAD}"),
        _suite("hexadecimal digits by the thousand", f"rounds = 0x{'f' * 10_000}\n{HEAD}"),
        _suite("a key of 50,000 parts", f"{'.'.join(['a'] * 50_000)} = 1\n{HEAD}"),
        _suite("a table of 50,000 parts", f"[{'.'.join(['a'] * 50_000)}]\n{HEAD}"),
        _suite("timeout is infinite", f"timeout = inf\n{HEAD}"),
        _suite("timeout is no number", f"timeout = nan\n{HEAD}"),
        _suite("timeout is negative", f"timeout = -1\n{HEAD}"),
        _suite("rounds by the million", f"rounds = {10**7}\n{HEAD}"),
        _suite("rounds of nothing", f"rounds = 0\n{HEAD}"),
        _suite("rounds is a flag", f"rounds = true\n{HEAD}"),
        _suite("seeds by the million", f"seeds = [{many}]\n{HEAD}"),
        _suite("seeds named twice", f"seeds = [0, 0, 0]\n{HEAD}", "twice"),
        _suite("seeds are none", f"seeds = []\n{HEAD}"),
        _suite("seed too large", f"seeds = [{2**32}]\n{HEAD}"),
        _suite("blocks by the thousand", HEAD * 20_000),
        _suite("a product of millions", f"rounds = 1000\n[[scenarios]]\ndatasets = {wide}\ndetectors = {twice}\n"),
        _suite("a plan of millions", f"seeds = [{', '.join(map(str, range(9000)))}]\nrounds = 1000\n{HEAD}", "trials"),
        _suite("learning rate is infinite", f"[training]\nlearning_rate = inf\n{HEAD}"),
        _suite("beta is infinite", f"[training]\nbeta = inf\n{HEAD}"),
        _suite("weight decay is infinite", f"[training]\nweight_decay = inf\n{HEAD}"),
        _suite("epochs by the billion", f"[training]\nepochs = {10**12}\n{HEAD}"),
        _suite("layers by the billion", f"[training]\nhidden = [{10**12}]\n{HEAD}"),
        _suite("a loss that is a mean", f'[training]\nreduction = "mean"\n{HEAD}'),
        _suite("threads below nothing", f"threads = [-1]\n{HEAD}"),
        _suite("no blocks", 'name = "x"\n'),
        _suite("a block is a number", "scenarios = [1]\n"),
        _suite("blocks are a table", "[scenarios]\na = 1\n"),
        _suite("an unknown key", f"colour = 1\n{HEAD}"),
        _suite("a key with an escape", f'"\\u001b[2J" = 1\n{HEAD}'),
        _suite("a detector with a mark of direction", HEAD.replace("knn", "\\u202eknn")),
        _suite("a parameter of another kind", HEAD + '[scenarios.parameters.knn]\nn_neighbors = "many"\n'),
        _suite("a parameter that is not there", HEAD + "[scenarios.parameters.knn]\nneighbours = 3\n"),
        _suite("bytes of no text", b"\xff\xfe\x00\x01" * 100),
        _suite("UTF-16", f'name = "x"\n{HEAD}'.encode("utf-16")),
        _suite("NUL bytes", b"\0" * 10_000),
        _suite("longer than is read", b"#" * (5 << 20)),
        _suite("one line of 900,000 characters", f'name = "{"a" * 900_000}"\n{HEAD}'),
        _suite("published beside nothing", HEAD + "[[published]]\ndatasets = []\n"),
        _suite("published without a value", HEAD + '[[published]]\ndatasets = ["blobs"]\ndetector = "knn"\n'),
        Case("suite: a folder", ["run", "folder", "--dry-run"], {"folder/x": b""}, refused=True),
        Case("suite: none of that name", ["run", "x" * 5000, "--dry-run"], refused=True),
        Case("suite: a name with NUL", ["run", "a\0b", "--dry-run"], refused=True),
        Case("suite: an endless device", ["run", "/dev/zero", "--dry-run"], refused=True),
        _fifo("suite: a pipe", "mine.toml", ["run", "mine.toml", "--dry-run"]),
    ]


def _fifo(name: str, file: str, argv: list[str], **more: Any) -> Case:
    return Case(name, argv, prepare=lambda folder: os.mkfifo(folder / file), refused=True, **more)


def _refused(name: str, *argv: str) -> Case:
    return Case(f"option: {name}", argv, refused=True)


def options() -> list[Case]:
    nines = "9" * 30
    run = ("run", "smoke", "--dry-run")
    return [
        _refused("threads of thirty digits", *run, "--threads", nines),
        _refused("threads below nothing", *run, "--threads", "-1"),
        _refused("threads beyond the cores", *run, "--threads", "100000"),
        _refused("jobs of thirty digits", *run, "--jobs", nines),
        _refused("epochs of thirty digits", *run, "--epochs", nines),
        _refused("rounds by the million", *run, "--rounds", "10000000"),
        _refused("a time without end", *run, "--timeout", "9" * 400),
        _refused("a time of nothing", *run, "--timeout", "0"),
        _refused("a seed of 5,000 digits", *run, "--seeds", "1" * 5000),
        _refused("a detector with an escape", *run, "--detectors", "\x1b[31mvae"),
        _refused("a detector of 200,000 characters", *run, "--detectors", "x" * 200_000),
        _refused("a data set of C1 bytes", *run, "--datasets", "\x9b31m"),
        _refused("an option that is none, with an escape", *run, "--\x1b[31m"),
        _refused("a command that is none, with a mark", "\u202enur"),
        _refused("settings nested deep", "compare", "here", f"set:hidden={'[' * DEEP}"),
        _refused("settings of 5,000 digits", "compare", "here", f"set:epochs={'9' * 5000}"),
        _refused("settings that count below nothing", "compare", "here", "set:threads=-1"),
        _refused("settings without a value", "compare", "here", "set:threads="),
        _refused("settings that are none", "compare", "here", "set:import os=1"),
        _refused("a revision that is an option", "compare", "here", "git:--upload-pack=touch x"),
        _refused("a revision that is no name", "compare", "here", "git:x y;id"),
        _refused("a requirement that is an option", "compare", "here", "pip:--index-url=http://x"),
        _refused("a requirement with a blank before its option", "compare", "here", "pip: -e ."),
        _refused("a requirement of two lines", "compare", "here", "pip:torch\n-r x"),
        _refused("an interpreter that is none", "compare", "here", "python:/dev/null"),
        _refused("a side that is none", "compare", "here", "\x1b]0;x\x07"),
        _refused("a share above all", "compare", "here", "here", "--threshold", "500%"),
        _refused("a port beyond all", "report", "x", "--serve", "--port", "99999999999"),
        _refused("parameters nested deep", "fit", "digits:4", "--detector", "knn", "--out", "m",
                 "--parameter", f"n_neighbors={'[' * DEEP}"),
        _refused("parameters of 10,000 digits", "fit", "digits:4", "--detector", "knn", "--out", "m",
                 "--parameter", f"n_neighbors={'9' * 10_000}"),
        _refused("a threshold of no number", "fit", "digits:4", "--detector", "norm", "--out", "m",
                 "--threshold", "percentile:nan"),
        _refused("a model that is a folder", "fit", "digits:4", "--detector", "norm", "--out", "."),
        _refused("a model below a file", "fit", "digits:4", "--detector", "norm", "--out", "/dev/null/m"),
        _refused("a query of two", "report", "x", "--sql", "SELECT 1; SELECT 2"),
        Case("option: a query that reads a file", ["report", "r", "--sql", "SELECT * FROM read_text('/etc/passwd')"],
             {"r/records.jsonl": corpus.lines(corpus.records())}, refused=True),
        Case("option: a query that writes a file", ["report", "r", "--sql", "COPY records TO 'x.csv'"],
             {"r/records.jsonl": corpus.lines(corpus.records())}, refused=True),
        Case("option: a query that loads code", ["report", "r", "--sql", "INSTALL httpfs"],
             {"r/records.jsonl": corpus.lines(corpus.records())}, refused=True),
    ]  # fmt: skip


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
        _fifo("place: a pipe as CSV", "rows.csv", ["load", f"file:rows.csv{LABELLED}"]),
        _fifo("place: a pipe as model", "model", ["score", "model", "rows.csv"]),
        _fifo("place: a pipe as pytest-benchmark file", "found.json", ["history", "add", "found.json"]),
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


def models() -> list[Case]:
    knn, card = corpus.models()["knn"], corpus.card_of(corpus.models()["knn"])
    header, body = corpus.taken_apart(knn)

    def model(name: str, content: bytes) -> Case:
        files = {"model": content, "rows.csv": corpus.csv()}
        return Case(f"model: {name}", ["score", "model", "rows.csv"], files, refused=True)

    def changed(name: str, *path: Any, value: Any) -> Case:
        found = json.loads(json.dumps(card))
        inner = found
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return model(name, corpus.with_card(knn, found))

    deep = corpus.put_together(header | {"__metadata__": {"vaebench": "[" * DEEP}}, body)
    huge = dict(header, rows={**header["rows"], "data_offsets": [0, 2**62]})
    scenario = card["scenario"]
    return [
        model("empty", b""),
        model("a pickle", b"\x80\x04cos\nsystem\n(S'touch called'\ntR."),
        model("a header of 2**63 bytes", struct.pack("<Q", 2**63) + b"{}"),
        model("a header beyond the file", struct.pack("<Q", 10**6) + b"{}"),
        model("a header nested deep", struct.pack("<Q", DEEP) + b"[" * DEEP),
        model("metadata nested deep", deep),
        model("arrays beyond the file", corpus.put_together(huge, body)),
        model("no metadata", corpus.put_together({k: v for k, v in header.items() if k != "__metadata__"}, body)),
        changed("another format", "format", value=99),
        changed("a classical detector with a backend", "scenario", value={**scenario, "backend": "torch"}),
        changed("a classical detector with a mode", "scenario", value={**scenario, "mode": "tuned"}),
        changed("empty training", "scenario", "training", value={}),
        changed("foreign scores", "scores", value=["reconstruction"]),
        changed("two scores of one name", "scores", value=["decision", "decision"]),
        changed("10**12 neighbours", "scenario", "parameters", value={"n_neighbors": 10**12}),
        changed("more neighbours than rows", "scenario", "parameters", value={"n_neighbors": 10**6}),
        changed("parameters of another detector", "scenario", "parameters", value={"n_estimators": 3}),
        changed("a detector that is none", "scenario", "detector", value="conv_knn"),
        changed("another detector", "scenario", "detector", value="vae"),
        changed("no thresholds", "scenario", "thresholds", value=[]),
        changed("a level that is none", "levels", value=[None]),
        changed("10**15 rows", "train_rows", value=10**15),
        changed("a seed below nothing", "seed", value=-1),
        changed("an image of no pixels", "image", value=[0, 0]),
        changed("a scale that is none", "preprocessing", "scale", value="\x1b[31mstandard"),
        changed("columns of another count", "preprocessing", "numeric", value=["amount"]),
        changed("columns twice", "preprocessing", "numeric", value=["amount", "amount"]),
    ]


def records() -> list[Case]:
    good = corpus.lines(corpus.records())
    deep = b'{"schema": 1, "metrics": ' + b"[" * DEEP + b"\n"
    first = corpus.records()[0]
    escape = corpus.lines([dict(first, dataset="\x1b[31m\u202e", detector="x\x9b")])
    found = []
    for name, content in (
        ("nothing", b""), ("nested deep", deep),
        ("a line of 200 MB", lambda: good + b'{"schema": 1, "x": "' + b"a" * (200 << 20)),
        ("NUL bytes", b"\0" * 4096 + b"\n"), ("another schema", corpus.lines([dict(first, schema=99)])),
        ("an array", b"[1, 2]\n"), ("names with escapes", escape), ("bytes of no text", b'{"schema":1,"x":"\xff"}\n'),
        ("numbers beyond all floats", good.replace(b"0.93", b"1e999")),
        ("5,000 digits", b'{"schema": ' + b"1" * 5000 + b"}\n"),
        ("metrics of texts", corpus.lines([dict(first, metrics={"roc_auc": "high"})])),
        ("metrics that are no numbers", good.replace(b"0.93", b"NaN")),
        ("arrays elsewhere", corpus.lines([dict(first, arrays="../../etc/passwd")])),
        ("a date that is none", corpus.lines([dict(first, started="yesterday")])),
        ("a machine that is none", corpus.lines([dict(first, environment=[1])])),
        ("a status that is none", corpus.lines([dict(first, status="\u202e")])),
    ):  # fmt: skip
        for argv in (
            ("report", "r", "--table", "quality"), ("export", "r", "--format", "csv"), ("compare", "r", "r"),
            ("history", "add", "r", "--history", "made"), ("export", "r", "--format", "pytest-benchmark"),
        ):  # fmt: skip
            found.append(Case(f"records: {name}: {argv[0]}", argv, {"r/records.jsonl": content}))
    found.append(Case("records: none", ["report", "r"], refused=True))
    return found


def histories() -> list[Case]:
    (name, good), *_ = corpus.history().items()
    deep = b"[" * DEEP

    def history(title: str, content: bytes, file: str = name) -> Case:
        return Case(f"history: {title}", ["history", "show"], {f"history/{file}": content}, refused=True)

    def benchmark(title: str, content: bytes) -> Case:
        return Case(f"pytest-benchmark: {title}", ["history", "add", "f.json"], {"f.json": content}, refused=True)

    told = corpus.pytest_benchmark()

    def spoilt(title: str, **changes: Any) -> Case:
        return benchmark(title, json.dumps(told | changes).encode())

    stats = told["benchmarks"][0]["stats"]
    return [
        history("empty", b""), history("nested deep", deep), history("torn", good[:-5]),
        history("a name of its own", good, "mine.jsonl"), history("left over from a merge", b"<<<<<<< HEAD\n" + good),
        history("17 MiB", b"\n" * (17 << 20)), history("bytes of no text", b"\xff" * 100),
        Case("history: none", ["history", "check"], refused=True),
        Case("history: a file", ["history", "check", "--history", "x"], {"x": b""}, refused=True),
        benchmark("empty", b""), benchmark("nested deep", deep), benchmark("an array", b"[]"),
        benchmark("5,000 digits", b'{"benchmarks": ' + b"1" * 5000 + b"}"), benchmark("bytes of no text", b"\xff" * 99),
        spoilt("no benchmarks", benchmarks=[]), spoilt("a date that is none", datetime="yesterday"),
        spoilt("a median that is none", benchmarks=[{"fullname": "x", "stats": stats | {"median": float("nan")}}]),
        spoilt("a median below nothing", benchmarks=[{"fullname": "x", "stats": stats | {"median": -1}}]),
        spoilt("a name of 100,000 characters", benchmarks=[{"fullname": "x" * 100_000, "stats": stats}]),
        spoilt("rounds below nothing", benchmarks=[{"fullname": "x", "stats": stats | {"rounds": -5}}]),
    ]  # fmt: skip
