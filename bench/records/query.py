"""SQL over the records: the view that reports read, as one table ``records`` of an embedded engine.

The records go into a database file in a temporary folder, and another process asks it: read-only, with neither files
nor network, within bounds of time and memory that end it from outside.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from bench.records import view
from bench.records.metrics import METRICS
from bench.records.record import KEYS, Kind
from reports.surveys import mapping, number

SECONDS = 60
"""After which a query is stopped."""
MEMORY = 512 * 2**20
"""Bytes that the engine may hold for a query; nothing of it goes to the disk."""
_ADDRESSES = 4 * 2**30
"""Bytes of addresses that its process may take in all, where the system knows such a bound."""
_LARGEST = 128 * 2**20
"""Bytes of a result."""
_LONGEST = 20_000
"""Characters of a query."""

_TYPES: dict[Kind, Any] = {
    "text": pa.utf8(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
    "json": pa.utf8(),
}
COLUMNS: dict[str, tuple[str, Kind]] = {
    {"precision": "arithmetic"}.get(name, name): (name, key.kind) for name, key in KEYS.items() if name != "metrics"
}
"""The view's columns of keys, with the key and its kind; ``precision`` is the metric's name, as in tables."""
_SAFE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": f"{MEMORY}B",
}
_FUNCTIONS = {"range", "generate_series", "unnest", "json_each", "json_tree"}
"""Table functions that read nothing but what they are given."""
_REFUSED = {"getenv", "current_setting"}


class QueryError(ValueError):
    """A query that cannot be answered; one line."""


def answer(runs: Mapping[str, Path], query: str) -> tuple[Any, list[str]]:
    """What a query says of the last record of each trial, as an Arrow table, and a warning for each line that is none.

    Parameters
    ----------
    runs : mapping of str to Path
        Results directories by their name in the column ``run``.
    query : str
        One SELECT.

    Raises
    ------
    QueryError
        It is not one SELECT over ``records``, is wrong, or takes too much time or memory.
    RecordsError
        A directory has no records file.
    """
    _check(query)
    with TemporaryDirectory(prefix="bench-sql-") as folder:
        path = Path(folder) / "records.duckdb"
        warnings = _load(path, runs)
        command = [sys.executable, "-P", "-m", "bench.records.query", str(path)]
        try:
            done = subprocess.run(command, input=query.encode(), capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise QueryError(f"--sql: the query took more than {SECONDS} s and was stopped") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise QueryError(f"--sql: {said[-1] if done.returncode == 2 and said else 'the query took too much memory'}")
    return pa.ipc.open_stream(done.stdout).read_all(), warnings


# ------------------------------------------------------------------------------------------------------------- loading


def _load(path: Path, runs: Mapping[str, Path]) -> list[str]:
    """Writes the table ``records`` of a new database; returns the warnings."""
    kinds = {"run": pa.utf8(), "line": pa.int64()} | {name: _TYPES[kind] for name, (_, kind) in COLUMNS.items()}
    schema = pa.schema({**kinds, **dict.fromkeys(METRICS, pa.float64())})
    large = [name for name, (_, kind) in COLUMNS.items() if kind == "json"]
    warnings: list[str] = []
    replaced: list[tuple[str, int]] = []
    with duckdb.connect(str(path), config=_SAFE) as engine:
        batches = pa.RecordBatchReader.from_batches(schema, _batches(runs, schema, warnings, replaced))
        engine.register("batches", batches)
        opened = ", ".join(f'TRY_CAST("{name}" AS JSON) AS "{name}"' for name in large)
        engine.execute(f"CREATE TABLE records AS SELECT * REPLACE ({opened}) FROM batches")
        names, lines = ([one[part] for one in replaced] for part in (0, 1))
        old = "SELECT unnest(?::VARCHAR[]), unnest(?::BIGINT[])"
        engine.execute(f"DELETE FROM records WHERE (run, line) IN ({old})", [names, lines])
    return warnings


def _batches(
    runs: Mapping[str, Path], schema: Any, warnings: list[str], replaced: list[tuple[str, int]]
) -> Iterator[Any]:
    """Rows of the table; ``replaced`` becomes those of records that a later one of the same trial replaces."""
    small = {key: () for key, kind in COLUMNS.values() if kind != "json"}
    large = [key for key, kind in COLUMNS.values() if kind == "json"]
    decoder = view.lines_decoder({**small, "metrics": tuple(METRICS)}, large)
    last: dict[tuple[Any, ...], int] = {}
    for run, directory in runs.items():
        (share,) = view.shares(directory)
        for records, places, faults, _ in view.batches(share, decoder):
            warnings += [view.warning(run if len(runs) > 1 else "", *fault) for fault in faults]
            lines = places[:, 0].tolist()
            for trial, line in zip(view.trials_of(records), lines, strict=True):
                if (run, *trial) in last:
                    replaced.append((run, last[run, *trial]))
                last[run, *trial] = line
            found: dict[str, list[Any]] = {"run": [run] * len(records), "line": lines}
            for name, (key, kind) in COLUMNS.items():
                found[name] = [_value(record.get(key), kind) for record in records]
            metrics = [mapping(record.get("metrics")) for record in records]
            for name in METRICS:
                found[name] = [_value(one.get(name), "number") for one in metrics]
            arrays = [pa.array(found[name], kind) for name, kind in zip(schema.names, schema.types, strict=True)]
            yield pa.record_batch(arrays, schema=schema)


def _value(value: Any, kind: Kind) -> Any:
    """A record's value as a column of this kind holds it; None where it is of another kind."""
    if value is None:
        return None
    match kind:
        case "text":
            return value if isinstance(value, str) else None
        case "integer":
            return value if type(value) is int and -(2**63) <= value < 2**63 else None
        case "number":
            return found if (found := number(value)) == found else None
        case "flag":
            return value if isinstance(value, bool) else None
        case "json":
            text = bytes(value) if type(value) is msgspec.Raw else msgspec.json.encode(value)
            return None if text == b"null" else text.decode()


# -------------------------------------------------------------------------------------------------------------- asking


def _check(query: str) -> None:
    """Refuses what is not one SELECT over ``records``, before anything is read."""
    if len(query) > _LONGEST:
        raise QueryError(f"--sql: a query has at most {_LONGEST:,} characters, this one {len(query):,}")
    with duckdb.connect(config=_SAFE) as engine:
        try:
            ((text,),) = engine.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
        except duckdb.Error as error:
            raise QueryError(f"--sql: {_first(error)}") from None
    parsed = json.loads(text)
    if parsed["error"] and parsed["error_type"] != "not implemented":
        raise QueryError(f"--sql: {parsed['error_message'].splitlines()[0]}")
    if parsed["error"] or len(parsed["statements"]) != 1:
        raise QueryError("--sql takes one SELECT over the table 'records', and no other statement")
    nodes = list(_nodes(parsed["statements"]))
    named = [one["key"].lower() for node in nodes if "cte_map" in node for one in node["cte_map"]["map"]]
    for node in nodes:
        table, kind = str(node.get("table_name")), node.get("type")
        function = node["function"] if kind == "TABLE_FUNCTION" else node
        name = str(function.get("function_name", "")).lower()
        if name in _REFUSED or (kind == "TABLE_FUNCTION" and name not in _FUNCTIONS):
            raise QueryError(f"--sql reads the table 'records' alone, and not what {name}() gives")
        if kind != "BASE_TABLE":
            continue
        if table.lower() not in ("records", *named) or node.get("schema_name") or node.get("catalog_name"):
            raise QueryError(f"--sql reads the table 'records' alone, and there is no table {table!r}")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a parsed query."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _first(error: duckdb.Error) -> str:
    """What is wrong, without the lines that point into the query."""
    return str(error).split("\n", 1)[0]


def main(path: str) -> int:
    """Answers the query on the standard input, as an Arrow stream on the standard output."""
    try:
        import resource
    except ImportError:  # Windows: the engine's own bound alone
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    settings = _SAFE | {
        "access_mode": "READ_ONLY",
        "enable_external_access": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
        "max_temp_directory_size": "0B",
        "temp_directory": "",
        "lock_configuration": True,
    }
    try:
        with duckdb.connect(path, config=settings) as engine:
            found = engine.sql(sys.stdin.buffer.read().decode()).to_arrow_table()
    except (duckdb.OutOfMemoryException, MemoryError):
        print("the query took too much memory", file=sys.stderr)
        return 2
    except duckdb.Error as error:
        print(_first(error), file=sys.stderr)
        return 2
    if found.nbytes > _LARGEST:
        size = f"{found.num_rows:,} rows and {found.nbytes / 2**20:,.0f} MiB"
        print(f"the result has {size}; at most {_LARGEST >> 20} MiB can be shown: add a LIMIT", file=sys.stderr)
        return 2
    with pa.ipc.new_stream(sys.stdout.buffer, found.schema) as stream:
        stream.write_table(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
