"""``bench fit``: trains one detector and keeps it, to score new rows with ``bench score``."""

from __future__ import annotations

import argparse
import os
from typing import Any

from bench.commands import options
from bench.messages import UsageError, plain

NETWORK = (
    ("epochs", options.positive, "N"),
    ("batch_size", options.positive, "N"),
    ("small_data", str, "WORD"),
    ("optimizer", str, "NAME"),
    ("learning_rate", options.number, "RATE"),
    ("weight_decay", options.number, "λ"),
    ("dropout", options.number, "SHARE"),
    ("input_noise", options.number, "SD"),
    ("patience", options.positive, "N"),
    ("hidden", options.counts, "LIST"),
    ("latent", options.positive, "N"),
    ("filters", options.counts, "LIST"),
    ("kernel", options.positive, "N"),
    ("strides", options.counts, "LIST"),
    ("decoder", str, "NAME"),
    ("activation", str, "NAME"),
    ("likelihood", str, "NAME"),
    ("prior", str, "NAME"),
    ("components", options.positive, "N"),
    ("beta", options.number, "β"),
    ("importance_samples", options.positive, "K"),
    ("kl_warmup_epochs", options.positive, "N"),
    ("kl_cycle_epochs", options.positive, "N"),
    ("free_bits", options.number, "λ"),
    ("adversarial", options.adversarial, "METHOD:ε[:STEPS]"),
)
"""Keys of a suite's ``training`` table that are options here."""


def add(commands: Any) -> None:
    """Declares the command and its options."""
    fit = commands.add_parser(
        "fit",
        help="train one detector and keep it, to score new rows with 'bench score'",
        description="Trains one detector on the training rows of a data set, takes its threshold from the validation "
        "rows, and writes both with the fitted preprocessing into one file (safetensors and JSON, no pickle).",
    )
    fit.add_argument("dataset", metavar="DATASET", help="a reference, for example 'file:my.csv?label=attack'")
    fit.add_argument("--detector", required=True, metavar="NAME", help="see 'bench list detectors'")
    fit.add_argument("--out", required=True, type=options.file, metavar="MODEL", help="the file to write")
    fit.add_argument("--backend", metavar="NAME", help="of a network (default: the first that works here)")
    fit.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="where a network trains (default: cpu)")
    fit.add_argument("--seed", type=options.seed, default=0, metavar="N")
    fit.add_argument(
        "--suite", metavar="SUITE", help="take the detector's settings from a shipped suite or a TOML file"
    )
    fit.add_argument(
        "--threshold",
        type=options.threshold,
        metavar="RULE[:VALUE]",
        help="for example percentile:99, std:3, mad:3, contamination:0.05, evt:0.001 (default: percentile:95)",
    )
    fit.add_argument("--threshold-rows", choices=["validation", "train"], help="whose scores the rule reads")
    fit.add_argument(
        "--scores",
        type=options.names,
        metavar="LIST",
        default=[],
        help="kinds of score to keep thresholds for, the first is used by default (default: all the network has)",
    )
    fit.add_argument(
        "--parameter",
        type=options.pair,
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="of a classical detector, for example n_neighbors=10; again for each",
    )
    fit.add_argument("--threads", type=options.positive, metavar="N", help="compute threads (default: all cores)")
    options.data_dir(fit)
    network = fit.add_argument_group("the network and its training", "as in a suite's [training]; the default is there")
    for name, kind, metavar in NETWORK:
        network.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar)
    fit.set_defaults(action=_fit)


def _fit(arguments: argparse.Namespace) -> int:
    from bench.environment import available_cores, worker_environment

    threads = arguments.threads or available_cores()
    os.environ |= worker_environment(threads, arguments.device)  # before NumPy and a framework are imported
    from bench.keep import fitting, models

    if arguments.out.is_dir():
        raise UsageError(f"--out {arguments.out} is a folder; a model is one file")
    chosen, scenario = fitting.plan(
        arguments.dataset,
        arguments.detector,
        arguments.backend,
        file=arguments.suite,
        changes=_changes(arguments),
        seed=arguments.seed,
        threads=threads,
    )
    data_dir = options.whole(arguments.data_dir) if arguments.data_dir else None
    fitted = fitting.fit(chosen, scenario, seed=arguments.seed, data_dir=data_dir, scores=arguments.scores)
    models.write(arguments.out, fitted.model)
    card, metrics, intervals = fitted.model.card, fitted.quality.metrics, fitted.quality.intervals
    on = f" on {scenario.backend}, {fitted.epochs} epochs" if scenario.backend else ""
    print(plain(f"{scenario.detector}{on}: trained on {card.train_rows:,} rows of {scenario.dataset}"))
    low, high = intervals["roc_auc"]
    steps = "" if fitted.tested == "rows" else f", by {fitted.tested}"
    print(f"test part{steps}, score {card.scores[0]}: ROC AUC {metrics['roc_auc']:.4f} [{low:.4f}, {high:.4f}]")
    print(
        f"threshold {card.levels[0]:.6g} ({scenario.thresholds[0]}): precision {metrics['precision']:.3f}, "
        f"recall {metrics['recall']:.3f}, F1 {metrics['f1']:.3f}"
    )
    for note in fitted.notes:
        print(plain(f"note: {note}"))
    print(plain(f"model: {arguments.out}"))
    return 0


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the options say, as keys of a suite's block."""
    training = {name: value for name, *_ in NETWORK if (value := getattr(arguments, name)) is not None}
    if arguments.scores:
        training["scores"] = arguments.scores
    found: dict[str, Any] = {"devices": [arguments.device]}
    if training:
        found["training"] = training
    if arguments.threshold or arguments.threshold_rows:
        rows = {"rows": arguments.threshold_rows} if arguments.threshold_rows else {}
        found["thresholds"] = [(arguments.threshold or {}) | rows]
    if arguments.parameter:
        found["parameters"] = {arguments.detector: dict(arguments.parameter)}
    return found
