"""KDD Cup 1999 network traffic and its cleaned form NSL-KDD: attacks as anomalies, and the swapped DAGMM protocol."""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from datasets.dataset import Dataset, DatasetError, Provenance, Request, SourceFile
from datasets.delimited import Delimited
from datasets.preprocessing import Encoded, encode, listed
from datasets.scaling import Scale, done
from datasets.splitting import (
    Rows,
    TrainingPart,
    check,
    contaminants,
    contaminated,
    fewer,
    generator,
    moved,
    row_keys,
    split,
    split_together,
)
from datasets.storage import Download, fetched, needs, write_atomically

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "duration", "protocol_type", "service", "flag", "src_bytes", "dst_bytes", "land", "wrong_fragment", "urgent",
    "hot", "num_failed_logins", "logged_in", "num_compromised", "root_shell", "su_attempted", "num_root",
    "num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds", "is_host_login", "is_guest_login",
    "count", "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate", "same_srv_rate",
    "diff_srv_rate", "srv_diff_host_rate", "dst_host_count", "dst_host_srv_count", "dst_host_same_srv_rate",
    "dst_host_diff_srv_rate", "dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate",
    "dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate",
)  # fmt: skip
"""The schema's 41 features, in the order of the files."""
CATEGORICAL = ("protocol_type", "service", "flag")
FLAGS = ("land", "logged_in", "root_shell", "is_host_login", "is_guest_login")
UNBOUNDED = (
    "duration", "src_bytes", "dst_bytes", "wrong_fragment", "urgent", "hot", "num_failed_logins", "num_compromised",
    "su_attempted", "num_root", "num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds",
)  # fmt: skip
"""The heavy-tailed counts; those over a window (``count``, ``dst_host_count``, ...) end where it ends."""
Duplicates = Literal["drop", "keep"]

KDD99 = Download(
    folder="kddcup99",
    names=("kddcup.data_10_percent.gz", "kddcup.data_10_percent", "kddcup.data_10_percent_corrected"),
    origin="https://kdd.ics.uci.edu/databases/kddcup99/kddcup.data_10_percent.gz",
)
FIGSHARE = "https://ndownloader.figshare.com/"
NSL_TRAIN, NSL_TEST = (
    Download(folder="nsl-kdd", names=(name, f"{name}.gz"), origin="https://www.unb.ca/cic/datasets/nsl.html")
    for name in ("KDDTrain+.txt", "KDDTest+.txt")
)
ROWS: dict[Download, Sequence[int]] = {KDD99: (494_021,), NSL_TRAIN: (125_973,), NSL_TEST: (22_544,)}
"""How many rows a file may have, the published number first."""
PROTOCOLS = {"tcp", "udp", "icmp"}
LABELS = ("label", "labels", "class", "attack", "attack_type", "outcome", "target")
"""What people call the column of labels."""
SAMPLE = 10_000
"""Characters that tell the decimal sign."""


@needs(KDD99, mirror=FIGSHARE)
def load_kdd99(
    request: Request,
    *,
    scale: Scale = "standard",
    duplicates: Duplicates = "drop",
    train_contamination: float = 0.0,
    train_rows: int = 0,
) -> Dataset:
    """KDD Cup 1999 (the 10 % file) without duplicates: attacks are the anomaly, normal traffic trains."""
    asked = TrainingPart(train_contamination, train_rows)
    check(request, asked)
    traffic, attack, file = _read_kdd99(request.data_dir)
    source = "KDD Cup 1999, the 10 % file (Stolfo et al., UCI)."
    return assemble(request, traffic, attack, source, (scale, duplicates, asked), (file,))


@needs(NSL_TRAIN, NSL_TEST)
def load_nsl_kdd(
    request: Request,
    *,
    scale: Scale = "standard",
    duplicates: Duplicates = "drop",
    train_contamination: float = 0.0,
    train_rows: int = 0,
) -> Dataset:
    """NSL-KDD with its official split: attacks are the anomaly, normal traffic of the training file trains."""
    asked = TrainingPart(train_contamination, train_rows)
    check(request, asked)
    names = (*COLUMNS, "label", "difficulty")
    (published, attack, train_file), (test, test_attack, test_file) = (
        _read(file, names, request.data_dir) for file in (NSL_TRAIN, NSL_TEST)
    )
    normal = published[~attack]
    if duplicates == "drop":
        normal = normal.drop_duplicates()
    tested = row_keys(test)
    usable = normal[~np.isin(row_keys(normal), tested)]
    if duplicates == "drop":
        train, val, _ = split(len(usable), request.seed, validation=0.1, test=0)
    else:
        together = np.zeros(len(usable), dtype=np.bool_)
        train, val, _ = split_together(row_keys(usable), together, request.seed, validation=0.1, test=0)
    train, fewer_notes = fewer(request, train, asked)
    attacks = published[attack]
    attacks = attacks[~np.isin(row_keys(attacks), np.concatenate([tested, row_keys(usable)]))]
    keys = row_keys(attacks)
    chosen = contaminants(request, asked.contamination, len(train), np.arange(len(attacks)), keys, spare=0)
    training = usable.iloc[train]
    if len(chosen):
        import pandas as pd

        training = pd.concat([training, attacks.iloc[chosen]])
    encoded = _encode(training, usable.iloc[val], test, scale=scale, seed=request.seed)
    dropped = "duplicates, or identical to a test row" if duplicates == "drop" else "identical to a test row"
    return encoded.apart(len(chosen), asked.contamination, whole=True).dataset(
        request,
        test_attack,
        Provenance(
            source="NSL-KDD (Tavallaee, Bagheri, Lu, Ghorbani 2009), KDDTrain+ and KDDTest+.",
            protocol="Official split: normal rows of KDDTrain+ are drawn 90 % train, 10 % validation; test is the "
            f"whole of KDDTest+; {_treatment(scale)}.",
            files=(train_file, test_file),
            notes=(
                f"{int((~attack).sum()) - len(usable):,} normal training rows were dropped: {dropped}.",
                *fewer_notes,
            ),
        ),
    )


@needs(KDD99, mirror=FIGSHARE)
def load_kdd99_swapped(
    request: Request,
    *,
    scale: Scale = "minmax",
    duplicates: Duplicates = "keep",
    train_contamination: float = 0.0,
    train_rows: int = 0,
) -> Dataset:
    """KDD Cup 1999 as the DAGMM paper uses it: normal traffic is the anomaly, half of the attacks train."""
    asked = TrainingPart(train_contamination, train_rows)
    check(request, asked)
    traffic, attack, file = _read_kdd99(request.data_dir)
    rows = len(traffic)
    if duplicates == "drop":
        unique = _unique(traffic, attack)
        traffic, attack = traffic.iloc[unique], attack[unique]
    attacks, normal = np.flatnonzero(attack), np.flatnonzero(~attack)
    train, val, test = (attacks[rows] for rows in split(len(attacks), request.seed, validation=0.05, test=0.5))
    train, fewer_notes = fewer(request, train, asked)
    # 20 % of the test rows are anomalies: one for every four attacks
    anomalies = np.sort(
        generator(request.seed, "anomalies").choice(normal, min(len(test) // 4, len(normal)), replace=False)
    )
    keys = row_keys(traffic)
    copied = np.isin(keys[test], keys[np.concatenate([train, val])]).mean()
    chosen = contaminants(request, asked.contamination, len(train), anomalies, keys)
    train, tested, notes = moved(chosen, train, np.concatenate([test, anomalies]), keys)
    encoded = encode(
        *(traffic.iloc[rows] for rows in (train, val, tested)), categorical=CATEGORICAL, scale=scale, seed=request.seed
    )
    kept = (
        f"{copied:.1%} of the attacks in the test part are exact copies of training or validation rows: the published "
        "protocol keeps duplicates, so its figures reward memory."
    )
    if duplicates == "keep":
        notes += contaminated(len(chosen), len(train))
    else:
        encoded = encoded.apart(len(chosen), asked.contamination)
        kept = f"{rows - len(traffic):,} of {rows:,} rows were exact duplicates and dropped, which is not as published."
    return encoded.dataset(
        request,
        ~attack[tested],
        Provenance(
            source=f"KDD Cup 1999, the 10 % file (Stolfo et al., UCI), duplicates {_PAST[duplicates]}.",
            protocol="Protocol of DAGMM (Zong et al. 2018): attacks count as normal and are drawn 45 % train, 5 % "
            "validation, 50 % test; normal traffic, cut to 20 % of the test rows, is the anomaly; numeric columns "
            f"{done(scale)}, categories one-hot.",
            files=(file,),
            notes=(kept, *fewer_notes, *notes),
        ),
    )


def assemble(
    request: Request,
    traffic: pd.DataFrame,
    attack: NDArray[np.bool_],
    source: str,
    options: tuple[Scale, Duplicates, TrainingPart],
    files: tuple[SourceFile, ...] = (),
) -> Dataset:
    """Split the normal rows, and put every attack into the test part; ``options`` are (scale, duplicates, what
    is asked of the training rows)."""
    scale, duplicates, asked = options
    rows = _unique(traffic, attack) if duplicates == "drop" else np.arange(len(traffic))
    keys = row_keys(traffic)
    if duplicates == "drop":
        normal = rows[~attack[rows]]
        train, val, test = (normal[part] for part in split(len(normal), request.seed))
        test = np.concatenate([test, rows[attack[rows]]])
        note = (
            f"{len(traffic) - len(rows):,} of {len(traffic):,} rows were exact duplicates and dropped before the split."
        )
    else:
        train, val, test = split_together(keys, attack, request.seed)
        copies = len(keys) - len(np.unique(keys))
        note = f"{copies:,} of {len(traffic):,} rows are exact duplicates of others and were kept, all in one part."
    train, fewer_notes = fewer(request, train, asked)
    chosen = contaminants(request, asked.contamination, len(train), test[attack[test]], keys)
    train, test, notes = moved(chosen, train, test, keys)
    encoded = _encode(*(traffic.iloc[part] for part in (train, val, test)), scale=scale, seed=request.seed)
    return encoded.apart(len(chosen), asked.contamination).dataset(
        request,
        attack[test],
        Provenance(
            source=source,
            protocol="Normal rows are drawn 60 % train, 20 % validation, 20 % test; all attacks are in the test part; "
            f"{_treatment(scale)}.",
            files=files,
            notes=(note, *fewer_notes, *notes),
        ),
    )


_PAST: dict[Duplicates, str] = {"drop": "dropped", "keep": "kept"}


def _unique(traffic: pd.DataFrame, attack: NDArray[np.bool_]) -> Rows:
    """Sorted row numbers without duplicates: a row that occurs under both labels stays an attack, and leaves no normal
    copy to train on."""
    order = np.argsort(~attack, kind="stable")
    return np.sort(order[~traffic.iloc[order].duplicated().to_numpy()])


def _treatment(scale: Scale) -> str:
    return f"unbounded counts as log(1 + x), numeric columns {done(scale)}, categories one-hot, flags as they are"


def _encode(train: pd.DataFrame, *others: pd.DataFrame, scale: Scale, seed: int) -> Encoded:
    return encode(train, *others, categorical=CATEGORICAL, flags=FLAGS, heavy_tailed=UNBOUNDED, scale=scale, seed=seed)


def _read_kdd99(data_dir: Path) -> tuple[pd.DataFrame, NDArray[np.bool_], SourceFile]:
    if not KDD99.find(data_dir):
        with fetched(KDD99, data_dir=data_dir, mirror=FIGSHARE):
            _fetch_kdd99(data_dir)
    return _read(KDD99, (*COLUMNS, "label"), data_dir)


def _read(file: Download, names: tuple[str, ...], data_dir: Path) -> tuple[pd.DataFrame, NDArray[np.bool_], SourceFile]:
    """The 41 features of every row, whether it is an attack, and the file; raises `DatasetError` with one line.

    The published files are comma-separated without a header. One that was saved again is read too, as long as it holds
    the same rows: with a header, a column that counts the rows, other separators, line ends or encodings.
    """
    import pandas as pd

    content, source = file.read(data_dir)
    path = str(file.find(data_dir))
    form = Delimited(lambda: io.BytesIO(content), path).form
    header = _header(form.header)
    skipped = form.lines if header else 0
    text = content.decode(form.encoding, errors="replace")
    try:
        table = pd.read_csv(
            io.StringIO(text),
            header=None,
            skiprows=skipped,
            sep=form.separator,
            quotechar=form.quote,
            decimal="," if form.separator != "," and "," in text[:SAMPLE] else ".",
            low_memory=False,
        )
    except ValueError as error:
        raise file.damaged(
            data_dir, f"not comma-separated text ({str(error).strip().partition(chr(10))[0]})"
        ) from error
    table = _ordered(table, header, names, lambda what: file.damaged(data_dir, what))
    incomplete = np.flatnonzero(table.isna().any(axis=1))
    if len(incomplete):
        raise file.damaged(data_dir, f"line {incomplete[0] + 1 + skipped} is incomplete")
    for column in COLUMNS:
        values = table[column]
        if column not in CATEGORICAL and not (pd.api.types.is_numeric_dtype(values) and values.between(0, 1e15).all()):
            row = int(np.argmin(pd.to_numeric(values, errors="coerce").between(0, 1e15)))
            found = f"{str(values.iloc[row])[:40]!r} in line {row + 1 + skipped}"
            raise file.damaged(data_dir, f"column {column} holds other things than numbers from 0 up ({found})")
    if foreign := set(table["protocol_type"].unique()) - PROTOCOLS:
        raise file.damaged(data_dir, f"column protocol_type holds {min(map(str, foreign))!r}, no protocol")
    published = ROWS[file]
    if len(table) not in published:
        of = f"{len(table):,} of {published[0]:,} rows"
        raise file.damaged(
            data_dir, f"holds {of}" if len(table) < published[0] else f"holds {len(table):,} rows, not {published[0]:,}"
        )
    labels = table["label"].astype(str).str.rstrip(".")
    attack = (labels != "normal").to_numpy(dtype=bool)
    if attack.all() or not attack.any():
        found = listed(sorted(labels.unique()), 5)
        raise file.damaged(data_dir, f"does not hold both normal rows and attacks; its labels are: {found}")
    return table[list(COLUMNS)], attack, source


def _header(cells: Sequence[str]) -> list[str]:
    """The names in a file's first line in small letters, or none where it is a row."""
    names = [cell.strip().lower().replace(" ", "_") for cell in cells]
    counted = [str(number) for number in range(len(names))]  # what pandas writes for columns without names
    if names == counted or names[1:] == counted[:-1]:
        return names
    return [] if any(name.replace(".", "", 1).isdigit() for name in names) else names


def _ordered(
    table: pd.DataFrame, header: Sequence[str], names: tuple[str, ...], damaged: Callable[[str], DatasetError]
) -> pd.DataFrame:
    """The table's columns as the published files have them, texts without blanks around."""
    import pandas as pd

    for place in table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]:
        # a damaged column may hold numbers beside texts
        table[place] = table[place].map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    if known := set(header) & set(COLUMNS):
        lacking = [name for name in COLUMNS if name not in known]
        labels = [place for place, name in enumerate(header) if name in LABELS]
        if lacking or len(labels) != 1 or len(header) != table.shape[1]:
            what = f"no column {lacking[0]}" if lacking else f"{len(labels)} columns of labels"
            raise damaged(f"has a header with {what}; it names {listed(header, 6)}")
        named = table[[*(header.index(name) for name in COLUMNS), labels[0]]]
        return named.set_axis([*COLUMNS, "label"], axis="columns")
    if table.shape[1] == len(names) + 1:
        first = table[0].to_numpy()
        if first.dtype.kind in "iu" and np.isin(np.sort(first) - np.arange(len(first)), (0, 1)).all():
            table = table.drop(columns=0)
    if table.shape[1] != len(names):
        raise damaged(f"has {table.shape[1]} columns, not {len(names)}")
    return table.set_axis(list(names), axis="columns")


def _fetch_kdd99(data_dir: Path) -> None:
    """Fetch the 10 % file by scikit-learn and keep it in the published form."""
    import pandas as pd
    from sklearn.datasets import fetch_kddcup99

    with tempfile.TemporaryDirectory() as cache:
        features, labels = fetch_kddcup99(percent10=True, return_X_y=True, data_home=cache)
    table = pd.DataFrame(np.column_stack([features, labels]))
    text = table.map(lambda value: value.decode() if isinstance(value, bytes) else value)
    content = text.to_csv(header=False, index=False).encode()
    write_atomically(data_dir / KDD99.folder / KDD99.names[0], gzip.compress(content, mtime=0))
