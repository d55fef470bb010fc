"""``bench score``: scores the rows of a file with a model of ``bench fit``, in chunks."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from bench.commands import options
from bench.messages import UsageError, plain


def add(commands: Any) -> None:
    """Declares the command and its options."""
    score = commands.add_parser(
        "score",
        help="score the rows of a file with a model of 'bench fit'",
        description="Scores every row of a .csv, .parquet, .npy or .npz file, however large, and flags those above the "
        "model's threshold. Columns are found by their names; others, such as labels, are ignored.",
    )
    score.add_argument("model", type=Path, metavar="MODEL", help="a file that 'bench fit' wrote")
    score.add_argument("file", metavar="FILE", help="the rows, raw as those were that the model was trained on")
    score.add_argument(
        "--out", type=options.file, metavar="FILE", help=".csv or .parquet (default: CSV to standard output)"
    )
    score.add_argument("--score", metavar="KIND", help="another kind of score that the model has a threshold for")
    score.add_argument("--backend", metavar="NAME", help="score with another framework than the model was trained with")
    score.add_argument("--id", metavar="COLUMN", help="carry this column through instead of row numbers")
    score.add_argument(
        "--top", type=options.natural, default=3, metavar="N", help="features to name for each row (default: 3)"
    )
    score.add_argument("--threads", type=options.positive, metavar="N", help="compute threads (default: all cores)")
    score.set_defaults(action=_score)


def _score(arguments: argparse.Namespace) -> int:
    from bench.environment import available_cores, worker_environment

    threads = arguments.threads or available_cores()
    os.environ |= worker_environment(threads, "cpu")  # before NumPy and a framework are imported
    from bench.keep import models, scoring

    place = Path(os.path.expanduser(arguments.file))
    out: Path | None = arguments.out
    if (
        out is not None
        and out.exists()
        and any(used.exists() and out.samefile(used) for used in (place, arguments.model))
    ):
        raise UsageError(f"--out {out} is a file that is read")
    model = models.read(arguments.model)
    kind = arguments.score or model.card.scores[0]
    detector = models.restored(model, kind, backend=arguments.backend, threads=threads)
    seen = scoring.Seen()
    found = scoring.score(model, detector, kind, place, arguments.file, top=arguments.top, key=arguments.id, seen=seen)
    rows, flagged = scoring.write(found, out)
    for note in seen.notes(model, arguments.file):
        print(plain(f"note: {note}"), file=sys.stderr)
    print(f"{flagged:,} of {rows:,} rows flagged, above {model.level(kind):.6g}", file=sys.stderr)
    return 0
