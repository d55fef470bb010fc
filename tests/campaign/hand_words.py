"""Bad input by hand that somebody writes on a command line: options, references, queries, clusters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from campaign import corpus
from campaign.cases import Case, Content, fifo

DEEP = 100_000


def cases() -> list[Case]:
    return [*options(), *references(), *queries(), *clusters()]


def refused(name: str, *argv: str, files: Mapping[str, Content] = MappingProxyType({})) -> Case:
    return Case(f"option: {name}", argv, files, refused=True)


def options() -> list[Case]:
    nines = "9" * 30
    run = ("run", "smoke", "--dry-run")
    return [
        refused("threads of thirty digits", *run, "--threads", nines),
        refused("threads below nothing", *run, "--threads", "-1"),
        refused("threads beyond the cores", *run, "--threads", "100000"),
        refused("jobs of thirty digits", *run, "--jobs", nines),
        refused("epochs of thirty digits", *run, "--epochs", nines),
        refused("rounds by the million", *run, "--rounds", "10000000"),
        refused("a time without end", *run, "--timeout", "9" * 400),
        refused("a time of nothing", *run, "--timeout", "0"),
        refused("a seed of 5,000 digits", *run, "--seeds", "1" * 5000),
        refused("a detector with an escape", *run, "--detectors", "\x1b[31mvae"),
        refused("a detector of 200,000 characters", *run, "--detectors", "x" * 200_000),
        refused("a data set of C1 bytes", *run, "--datasets", "\x9b31m"),
        refused("an option that is none, with an escape", *run, "--\x1b[31m"),
        refused("a command that is none, with a mark", "\u202enur"),
        refused("settings nested deep", "compare", "here", f"set:hidden={'[' * DEEP}"),
        refused("settings of 5,000 digits", "compare", "here", f"set:epochs={'9' * 5000}"),
        refused("settings that count below nothing", "compare", "here", "set:threads=-1"),
        refused("settings without a value", "compare", "here", "set:threads="),
        refused("settings that are none", "compare", "here", "set:import os=1"),
        refused("a revision that is an option", "compare", "here", "git:--upload-pack=touch x"),
        refused("a revision that is no name", "compare", "here", "git:x y;id"),
        refused("a requirement that is an option", "compare", "here", "pip:--index-url=http://x"),
        refused("a requirement with a blank before its option", "compare", "here", "pip: -e ."),
        refused("a requirement of two lines", "compare", "here", "pip:torch\n-r x"),
        refused("an interpreter that is none", "compare", "here", "python:/dev/null"),
        refused("a side that is none", "compare", "here", "\x1b]0;x\x07"),
        refused("a share above all", "compare", "here", "here", "--threshold", "500%"),
        refused("a port beyond all", "report", "x", "--serve", "--port", "99999999999"),
        refused("parameters nested deep", "fit", "digits:4", "--detector", "knn", "--out", "m",
                 "--parameter", f"n_neighbors={'[' * DEEP}"),
        refused("parameters of 10,000 digits", "fit", "digits:4", "--detector", "knn", "--out", "m",
                 "--parameter", f"n_neighbors={'9' * 10_000}"),
        refused("a threshold of no number", "fit", "digits:4", "--detector", "norm", "--out", "m",
                 "--threshold", "percentile:nan"),
        refused("a model that is a folder", "fit", "digits:4", "--detector", "norm", "--out", "."),
        refused("a model below a file", "fit", "digits:4", "--detector", "norm", "--out", "/dev/null/m"),
    ]  # fmt: skip


def references() -> list[Case]:
    """References to data sets: what is asked of generated ones, series above all."""

    def asked(name: str, reference: str) -> Case:
        return Case(f"reference: {name}", ["load", reference], refused=True)

    return [
        asked("a window of nothing", "sensors?window=0"),
        asked("a window of one step", "sensors?window=1"),
        asked("a window below nothing", "sensors?window=-32"),
        asked("a window longer than the series", "sensors?window=20000"),
        asked("a window of billions", "sensors?window=1000000000000"),
        asked("a window of thirty digits", f"sensors?window={'9' * 30}"),
        asked("windows by the billion", "sensors?steps=20000000&window=512&stride=1"),
        asked("a stride beyond the window", "sensors?window=32&stride=33"),
        asked("a stride below nothing", "sensors?stride=-1"),
        asked("a stride of half a step", "sensors?stride=0.5"),
        asked("a test of all", "sensors?test=1"),
        asked("a test of nothing", "sensors?test=0"),
        asked("a test of no number", "sensors?test=nan"),
        asked("a series of no steps", "sensors?steps=0"),
        asked("a series below nothing", "sensors?steps=-20000"),
        asked("a series of 10**12 steps", "sensors?steps=1000000000000"),
        asked("a series beyond 64 bits", f"sensors?steps={10**30}"),
        asked("one channel", "sensors?channels=1"),
        asked("channels by the billion", "sensors?channels=1000000000"),
        asked("noise without end", "sensors?noise=inf"),
        asked("noise beyond floats", "sensors?noise=1e400"),
        asked("no anomalies", "sensors?anomalies=0"),
        asked("more anomalies than have room", "sensors?anomalies=100000"),
        asked("contamination of a series", "sensors?train_contamination=0.1"),
        asked("training rows below nothing", "sensors?train_rows=-5"),
        asked("three training rows", "sensors?train_rows=3"),
        asked("more training rows than there are", "sensors?train_rows=1000000000"),
        asked("an argument that is none", "sensors:5"),
        asked("rows by the billion of blobs", "blobs?rows=1000000000000000"),
        asked("clusters by the billion", "blobs?rows=300&clusters=1000000000"),
        asked("columns by the billion", "blobs?rows=300&features=1000000000"),
        asked("a digit that is none", "digits:11"),
        asked("a digit of 5,000 digits", f"digits:{'1' * 5000}"),
        asked("an Arabic digit that is read as one", "digits:٤٤"),
        asked("nothing", ""),
        asked("a question alone", "?"),
        asked("100,000 options", "blobs?" + "&".join(["rows=300"] * 100_000)),
        asked("an option of 1,000,000 characters", "blobs?rows=" + "1" * 10**6),
        asked("a family with an escape", "\x1b[2Jblobs"),
    ]


def queries() -> list[Case]:
    """``--sql``, which asks a process of its own for one SELECT and nothing else."""

    def query(name: str, text: str, refused: bool = True) -> Case:
        files = {"r/records.jsonl": corpus.lines(corpus.records()), "secret.csv": b"a\n1\n"}
        return Case(f"query: {name}", ["report", "r", "--sql", text], files, refused=refused)

    return [
        query("nothing", ""),
        query("two", "SELECT 1; SELECT 2"),
        query("a comment alone", "-- x"),
        query("no SQL", "give me all"),
        query("NUL", "SELECT '\0'", refused=False),
        query("an escape in a name", 'SELECT 1 AS "\x1b[2J"', refused=False),
        query("an escape in an error", 'SELECT "\x1b[2J" FROM records'),
        query("names twice", "SELECT 1 AS a, 2 AS a"),
        query("reads a file", "SELECT * FROM read_text('/etc/passwd')"),
        query("reads a table of a file", "SELECT * FROM 'secret.csv'"),
        query("reads a CSV file", "SELECT * FROM read_csv_auto('secret.csv')"),
        query("reads a pattern of files", "SELECT * FROM glob('/etc/*')"),
        query("writes a file", "COPY records TO 'x.csv'"),
        query("exports all", "EXPORT DATABASE 'x'"),
        query("attaches a file", "ATTACH 'x.db'"),
        query("loads code", "INSTALL httpfs"),
        query("loads a library", "LOAD 'x.so'"),
        query("sets what was set", "SET enable_external_access = true"),
        query("a pragma", "PRAGMA database_list"),
        query("drops records", "DROP TABLE records"),
        query("writes a record", "INSERT INTO records SELECT * FROM records"),
        query("the environment", "SELECT getenv('HOME')"),
        query("a WITH that writes", "WITH x AS (SELECT 1) INSERT INTO records SELECT * FROM x"),
        query("an explanation that runs", "EXPLAIN ANALYZE SELECT 1", refused=False),
        query("a network's address", "SELECT * FROM 'http://127.0.0.1:1/x.csv'"),
        query("brackets nested deep", "SELECT " + "(" * 50_000),
        query("200,000 characters", "SELECT " + "1+" * 100_000 + "1", refused=False),
    ]


def clusters() -> list[Case]:
    """What ``--cluster`` names: addresses, scheduler files, profiles."""

    def asked(name: str, where: str, **files: bytes) -> Case:
        found: dict[str, Content] = {key.replace("_", "."): content for key, content in files.items()}
        return Case(f"cluster: {name}", ["run", "smoke", "--dry-run", "--cluster", where], found, refused=True)

    def profile(name: str, content: bytes, where: str = "lab") -> Case:
        return asked(name, where, clusters_toml=content)

    return [
        asked("none", ""),
        asked("no workers", "local:0"),
        asked("workers of thirty digits", f"local:{'9' * 30}"),
        asked("workers below nothing", "local:-1"),
        asked("a scheme that is none", "http://127.0.0.1:8786"),
        asked("no port", "tcp://127.0.0.1"),
        asked("a port beyond all", "tcp://127.0.0.1:99999999"),
        asked("half an address", "tcp://[::1"),
        asked("an address with an escape", "tcp://\x1b[2J:1"),
        asked("an address with blanks", "tcp://a b:1"),
        asked("a file that is not there", "none.json"),
        asked("a file below a file", "/dev/null/x.json"),
        asked("a profile that is not there", "none.toml:lab"),
        asked("a profile without a name", "clusters.toml:", clusters_toml=b"[lab]\n"),
        asked("no profile at all", "lab"),
        asked("a folder as a profile", "folder.toml:lab", **{"folder_toml/x": b""}),
        asked("NUL", "a\0b.toml:lab"),
        asked("200,000 characters", "x" * 200_000),
        profile("no TOML", b"[lab\n"),
        profile("no text", b"\xff\xfe" * 50),
        profile("no such entry", b"[lad]\naddress = 'tcp://a:1'\n"),
        profile("an entry that is a number", b"lab = 1\n"),
        profile("an entry that is empty", b"[lab]\n"),
        profile("two addresses", b"[lab]\naddress = 'tcp://a:1'\nfile = 's.json'\n"),
        profile("an address that is a number", b"[lab]\naddress = 1\n"),
        profile("an address that is none", b"[lab]\naddress = 'x'\n"),
        profile("a foreign key", b"[lab]\naddress = 'tcp://a:1'\nadress = 1\n"),
        profile("settings that are none", b"[lab]\naddress = 'tcp://a:1'\ndask = 3\n"),
        profile("a file that is not there, of a profile", b"[lab]\nfile = '../../none.json'\n"),
        profile("brackets nested deep", b"lab = " + b"[" * DEEP + b"\n"),
        profile("10,000 digits", b"lab = " + b"9" * 10_000 + b"\n"),
        profile("a key of 50,000 parts", b".".join([b"a"] * 50_000) + b" = 1\n"),
        profile("longer than is read", b"#" * (9 << 20)),
        profile("names with escapes", b'["\\u001b[2J"]\n"\\u202e" = 1\n'),
        fifo("cluster: a pipe as a profile", "clusters.toml", ["run", "smoke", "--dry-run", "--cluster", "lab"]),
        fifo("cluster: a pipe as a scheduler's file", "s.json", ["run", "smoke", "--dry-run", "--cluster", "s.json"]),
        Case("cluster: an endless device as a profile", ["run", "smoke", "--dry-run", "--cluster", "x.toml:lab"],
             prepare=lambda folder: (folder / "x.toml").symlink_to("/dev/zero"), refused=True),
        Case("cluster: retries without one", ["run", "smoke", "--dry-run", "--retries", "3"], refused=True),
        Case("cluster: retries of thirty digits",
             ["run", "smoke", "--dry-run", "--cluster", "local:1", "--retries", "9" * 30], refused=True),
        Case("cluster: beside jobs", ["run", "smoke", "--dry-run", "--cluster", "local:1", "--jobs", "2"],
             refused=True),
        *(Case(f"cluster: a scheduler's file of {name}", ["cluster", "check", "s.json"], {"s.json": content},
               refused=True) for name, content in (
            ("nothing", b""), ("brackets nested deep", b"[" * DEEP), ("a number", b"1"), ("no address", b"{}"),
            ("an address that is a number", b'{"address": 1}'), ("an address that is none", b'{"address": "x"}'),
            ("no text", b"\xff\xfe" * 50), ("an escape", b'{"address": "\\u001b[2J"}'),
            ("a class of Python", b'{"address": "inproc://1/2/3"}'))),
    ]  # fmt: skip
