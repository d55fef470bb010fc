"""What is wrong in a suite's tables, each with one line: what, where, and the nearest name that would be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args

import msgspec

import datasets
from backends.adversarial import ATTACKS, Adversarial
from backends.spec import ACTIVATIONS, DECODERS, LIKELIHOODS, PRIORS, Kernel, Stride
from bench.detect.autoencoder import SCORES
from bench.messages import nearest, quoted
from bench.quality.thresholds import ROWS, RULES, Threshold
from bench.suites.scenario import Training

NO_MEAN = (
    "losses are sums over the features; a mean over them would multiply beta by their number, and the posterior would "
    "collapse; to repeat a published loss that is a mean, set beta to its beta times the number of features"
)


class SuiteError(ValueError):
    """A suite or an option that cannot be run; the message is one line: what is wrong, where, what would be right."""


def check_keys(table: Mapping[str, Any], valid: Sequence[str], where: str) -> None:
    for key in table:
        if key not in valid:
            raise SuiteError(f"{where}: unknown key {key!r}{nearest(key, valid)}")


def check_choices(values: Iterable[object], valid: Sequence[str], where: str) -> None:
    for value in values:
        if isinstance(value, str) and value not in valid:
            raise SuiteError(f"{where}: {quoted(value, valid)}")


def check_numbers(values: Iterable[object], valid: Sequence[int], where: str) -> None:
    for value in values:
        if isinstance(value, int) and value not in valid:
            raise SuiteError(f"{where}: {value} is none of {', '.join(map(str, valid))}")


def check_distinct(values: Iterable[object], where: str) -> None:
    """Refuses a value that stands twice: it would be run once, and whoever meant another one would not notice."""
    twice = [value for value, times in Counter(values).items() if times > 1]
    if twice:
        raise SuiteError(f"{where}: {twice[0]} is named twice")


def check_training(table: object, where: str) -> None:
    """Names the nearest valid key or word where one is misspelt, and says why there is no loss
    that is a mean over the features; other faults are left to the conversion."""
    if not isinstance(table, dict):
        return
    likelihood = table.get("likelihood", LIKELIHOODS[0])
    if "reduction" in table:
        raise SuiteError(f"{where}.reduction: {NO_MEAN}")
    if "mean" in str(likelihood).lower():
        raise SuiteError(f"{where}.likelihood: {NO_MEAN}")
    check_keys(table, [f.name for f in fields(Training)], where)
    check_choices([likelihood], LIKELIHOODS, f"{where}.likelihood")
    for key, valid in (("activation", ACTIVATIONS), ("decoder", DECODERS), ("prior", PRIORS)):
        check_choices([table.get(key, valid[0])], valid, f"{where}.{key}")
    check_numbers([table.get("kernel", 3)], get_args(Kernel), f"{where}.kernel")
    if isinstance(strides := table.get("strides"), list):
        check_numbers(strides, get_args(Stride), f"{where}.strides")
    if isinstance(attack := table.get("adversarial"), dict):
        check_keys(attack, [f.name for f in fields(Adversarial)], f"{where}.adversarial")
        check_choices([attack.get("method")], ATTACKS, f"{where}.adversarial.method")
    scores = table.get("scores")
    if isinstance(scores, list):
        if not scores:
            raise SuiteError(f"{where}.scores: expected `array` of length >= 1")
        check_choices(scores, SCORES, f"{where}.scores")
        if len(scores) > len(set(map(str, scores))):
            raise SuiteError(f"{where}.scores: one is named twice")


def check_thresholds(tables: object, where: str) -> None:
    """Names the nearest valid key, rule or rows where one is misspelt; other faults are left to the conversion."""
    if not isinstance(tables, list):
        return
    for number, table in enumerate(tables, start=1):
        if isinstance(table, dict):
            place = f"{where} {number}"
            check_keys(table, [f.name for f in fields(Threshold)], place)
            check_choices([table.get("rule", RULES[0])], RULES, f"{place}: rule")
            check_choices([table.get("rows", ROWS[0])], ROWS, f"{place}: rows")


def family(reference: str, where: str) -> str:
    """The reference's family; SuiteError where it names no data set."""
    try:
        return datasets.parse(reference).family
    except ValueError as error:
        raise SuiteError(f"{where}: {error}") from None


def expanded(references: Iterable[str], where: str) -> list[str]:
    """The data sets that references name, each file of a folder or a pattern for itself; SuiteError where none is."""
    found: dict[str, None] = {}
    for reference in references:
        try:
            found |= dict.fromkeys(datasets.expanded(reference))
        except ValueError as error:
            raise SuiteError(f"{where}: {error}") from None
    return list(found)


def convert(value: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError) as error:
        # msgspec ends its message in " - at `$.path`": the path belongs in front, in the file's own words
        message, _, path = str(error).partition(" - at `$")
        place = path.rstrip("`").lstrip(".")
        raise SuiteError(f"{where}: {place + ': ' if place else ''}{message[:1].lower()}{message[1:]}") from None
