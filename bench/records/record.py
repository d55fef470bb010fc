"""The record: its keys, each declared once. The store, the view and the documentation read them here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

SCHEMA = 1

Record = dict[str, Any]
"""One trial's result, as a line of JSON holds it."""

Kind = Literal["text", "integer", "number", "flag", "json"]


@dataclass(frozen=True)
class Key:
    """One key of a record: its name, of what kind its value is where it has one, and what it says. A line without a
    usable value for a ``required`` one is no record."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False


KEYS = {
    key.name: key
    for key in (
        Key("schema", "integer", f"the version of these keys, {SCHEMA}"),
        Key("suite", "text", "the suite that planned the trial"),
        Key("dataset", "text", "the data set's reference", required=True),
        Key("detector", "text", "the detector", required=True),
        Key("backend", "text", "the framework; null for what needs none"),
        Key("mode", "text", "`idiomatic` or `tuned`"),
        Key("device", "text", "`cpu` or an accelerator"),
        Key("precision", "text", "the arithmetic, for example `float32`"),
        Key("threads", "integer", "threads that the worker had"),
        Key("protocol", "text", "how the rows were split, where a suite says so"),
        Key("seed", "integer", "of data, weights and batches", required=True),
        Key("round", "integer", "which pass over all scenarios", required=True),
        Key("timed", "flag", "whether it ran alone, with its times kept"),
        Key("scenario_hash", "text", "what makes two scenarios the same", required=True),
        Key("environment_hash", "text", "what makes two environments the same", required=True),
        Key("status", "text", "`ok`, or how the trial failed", required=True),
        Key("reason", "text", "why it failed"),
        Key("metrics", "json", "numbers by name"),
        Key("intervals", "json", "95 % intervals by metric"),
        Key("resamples", "integer", "bootstrap resamples behind the intervals"),
        Key("confusion", "json", "`tp`, `fp`, `fn`, `tn` at the first threshold"),
        Key("score", "text", "which score the network gives; null for the detector's own"),
        Key("threshold_rule", "text", "how the first threshold was chosen"),
        Key("oracle", "flag", "whether it was chosen by test labels"),
        Key("thresholds", "json", "every threshold with its metrics"),
        Key("other_scores", "json", "metrics of further scores of the same training"),
        Key("series", "json", "metrics over the time steps of a series, whose windows are the rows"),
        Key("published", "json", "figures that others published for this scenario"),
        Key("roc_curve", "json", "`fpr` and `tpr`"),
        Key("histogram", "json", "counts of the scores of normal rows and anomalies"),
        Key("top_anomalies", "json", "the test rows that score highest, with the features that explain them"),
        Key("loss", "json", "training loss by epoch"),
        Key("validation_loss", "json", "validation loss by epoch"),
        Key("best_epoch", "integer", "the epoch, from 0, whose weights early stopping kept"),
        Key("latent", "integer", "size of the latent space"),
        Key("sigma", "number", "the decoder's learned standard deviation"),
        Key("collapsed", "flag", "whether the posterior collapsed onto the prior"),
        Key("mean_kl", "number", "the mean KL divergence of validation rows from the prior"),
        Key("active_units", "integer", "latent units that depend on the input"),
        Key("phases", "json", "seconds by phase"),
        Key("samples", "json", "raw seconds by phase"),
        Key("train_rows_per_sample", "integer", "rows behind each sample of `train`"),
        Key("score_rows_per_sample", "integer", "rows behind each sample of `score`"),
        Key("marks", "json", "what is wrong with the measurement, for example `disturbed`"),
        Key("disturbance", "json", "what else the machine did meanwhile"),
        Key("limits", "json", "what the hardware allows, measured in the same round"),
        Key("energy_counters", "json", "the counters behind the energy"),
        Key("import_memory_bytes", "integer", "memory after the imports, before any data"),
        Key("start_seconds", "number", "from starting the worker to its first reply"),
        Key("wall_seconds", "number", "the whole trial"),
        Key("process", "text", "the process that ran it; trials of one share what it had imported and compiled"),
        Key(
            "made",
            "json",
            "of a trial that is not timed: how many trainings its process had done `before`; of how many `lanes` it "
            "was which, with the bytes of one, or why it was trained `alone`",
        ),
        Key("compile_cache", "json", "programs that the second process found, and those that it had to add"),
        Key("notes", "json", "what a reader should know, in sentences"),
        Key("data", "json", "checksum, rows, features and provenance of the data"),
        Key("settings", "json", "training settings and the detector's parameters"),
        Key("swept", "json", "the values that a sweep gave its keys"),
        Key("varied", "json", "the keys that a variant sets otherwise than its suite's block"),
        Key("labelled_validation", "json", "metrics of the test rows that were taken out to choose by"),
        Key("robustness", "json", "ROC AUC over `epsilons`, by which anomalies were moved to look normal"),
        Key("peer", "json", "the other library's model behind a peer"),
        Key("equality", "json", "the verifications that held when the trial ran"),
        Key("self_check", "json", "how far the timed run agrees with the reference, or why that was not seen"),
        Key("environment", "json", "machine, versions and revision"),
        Key("arrays", "text", "the file of scores and labels, relative to the directory"),
        Key("cluster", "json", "worker, machine and attempts of a trial on a cluster, and what the idle worker took"),
        Key("command", "text", "the command line"),
        Key("started", "text", "when, in UTC"),
        Key("duet_scorings", "integer", "how often both sides of a comparison scored in turn"),
        Key("slowdown", "number", "a delay that a calibration planted"),
        Key("other_side_failed", "flag", "whether only the other side of a comparison failed"),
        Key("log", "text", "where the worker's last words lie"),
    )
}
TYPES: dict[Kind, type] = {"text": str, "integer": int, "number": float, "flag": bool}
REQUIRED = {name: TYPES[key.kind] for name, key in KEYS.items() if key.required}
"""Keys that a line has to have to be a record, with their types."""
