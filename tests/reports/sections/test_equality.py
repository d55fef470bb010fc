"""Equality is shown as it was found: no more is claimed than was compared, and nothing from outside breaks a page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports import numbers, printed
from reports.document import document
from reports.sections import equality
from reports.tables.material import Material
from reports.writers import escape, markdown
from reports.writers.escape import width

VERSIONS = {
    "torch": {"torch": "2.13.0"},
    "keras": {"keras": "3.15.1", "tensorflow-cpu": "2.21.0"},
    "jax": {"jax": "0.10.2", "flax": "0.12.8"},
}
BOUNDS: dict[str, tuple[str, float, float | None]] = {
    "initial weights": ("largest difference", 0.0, 0.0),
    "forward pass": ("largest difference", 1e-11, 1e-5),
    "loss": ("largest relative difference", 1e-12, 1e-5),
    "gradients": ("largest relative difference", 1e-11, 1e-5),
    "optimiser steps": ("largest difference", 1e-11, 1e-5),
    "one epoch": ("largest difference", 1e-10, 1e-5),
    "training: losses": ("largest relative difference", 1e-9, 1e-2),
    "training: weights": ("largest difference", 1e-9, None),
    "scores": ("largest relative difference", 1e-9, None),
    "exchanged weights": ("largest relative difference", 1e-12, 1e-5),
    "ROC AUC": ("difference", 1e-12, 1e-2),
}
"""Rung: measure, bound in float64, bound in float32."""


def make_ladder(backends: Sequence[str], precision: str, fault: tuple[str, str] | None) -> dict[str, Any]:
    rungs: list[dict[str, Any]] = []
    for name, (measure, *bounds) in BOUNDS.items():
        bound = bounds[precision == "float32"]
        pairs = [[b, "reference"] for b in backends if name != "exchanged weights"]
        comparisons = []
        for pair in [*pairs, *map(list, combinations(backends, 2))]:
            wrong = fault is not None and fault[0] == name and fault[1] in pair
            error = 1e-3 if wrong else 7.1e-2 * (0.04 if bound is None else bound)
            comparisons.append(
                {"between": pair, "error": error, "where": "bce · encoder.0.kernel", "passed": not wrong}
            )
        passed = all(c["passed"] for c in comparisons)
        rungs.append({"name": name, "measure": measure, "bound": bound, "passed": passed, "comparisons": comparisons})
    wrong_ones = [(r, c) for r in rungs for c in r["comparisons"] if not c["passed"]]
    first = None
    if wrong_ones:
        rung, comparison = wrong_ones[0]
        first = {"rung": rung["name"], "bound": rung["bound"]}
        first |= {key: comparison[key] for key in ("between", "where", "error")}
    return {"precision": precision, "steps": 3750, "passed": not first, "first_failure": first, "rungs": rungs}


def make_result(
    backends: Sequence[str] = tuple(VERSIONS),
    fault: tuple[str, str] | None = None,
    precisions: Sequence[str] = ("float64", "float32"),
    **changes: Any,
) -> dict[str, Any]:
    """What ``bench verify`` writes; ``fault`` is a rung and the backend that fails there, in float64."""
    ladders = [make_ladder(backends, p, fault if p == "float64" else None) for p in precisions]
    return {
        "schema": 1,
        "verified": "2026-11-22T20:01:02Z",
        "quick": False,
        "device": "cpu",
        "mode": "idiomatic",
        "seconds": 61.2,
        "passed": all(ladder["passed"] for ladder in ladders),
        "environment_hash": "206d9cb5e662",
        "revision": "e9c050a",
        "backends": {b: VERSIONS.get(b, {"package": "1.0"}) for b in backends},
        "absent": {},
        "failures": {},
        "ladders": ladders,
    } | changes


def make_entries(*arguments: Any, **changes: Any) -> list[dict[str, Any]]:
    """What a record carries of such a result; ``changes`` as for ``make_result``, of the keys that both have."""
    result = make_result(*arguments, **changes)
    entries = []
    for ladder in result["ladders"]:
        errors = {
            rung["name"]: [max((c["error"] for c in rung["comparisons"]), default=None), rung["bound"]]
            for rung in ladder["rungs"]
        }
        failure = None
        if first := ladder["first_failure"]:
            failure = f"{first['rung']}: {' and '.join(first['between'])} part at {first['where']}"
        shared = {key: result[key] for key in ("verified", "quick", "device", "mode", "backends", "passed")}
        own = {key: ladder[key] for key in ("precision", "steps")}
        entries.append(shared | own | {"errors": errors, "failure": failure})
    return entries


def shown(records: list[dict[str, Any]]) -> tuple[str, str]:
    """The alerts and the section."""
    material = Material(records)
    alerts = "\n".join(map(escape.markdown, equality.alerts(material)))
    text = "".join(f"## {section.title}\n\n{markdown.blocks(section.blocks)}" for section in equality.section(material))
    return alerts, text.strip()


def row(text: str, rung: str) -> list[str]:
    """The cells of a rung's first row, of a text or a Markdown table."""
    line = next(line for line in text.splitlines() if re.match(rf"\| {rung} +\||{rung}  ", line))
    return re.split(r" {2,}", line) if line[0] != "|" else [cell.strip() for cell in line.split("|")[1:-1]]


# --------------------------------------------------------------------------------------------- the result of verify


@pytest.mark.parametrize("show", [printed.verification_text, printed.verification_markdown])
def test_the_answer_comes_first_and_names_backends_and_precisions(show: Callable[[Any], str]) -> None:
    said = show(make_result()).replace("`", "").replace("**", "").removeprefix("### Equality of the backends\n\n")
    assert said.startswith("torch, keras and jax train the same model: every rung holds its bound, in float64 and")


def test_every_comparison_has_its_error_with_two_digits_and_an_exact_zero_as_0() -> None:
    text = printed.verification_text(make_result())
    assert row(text, "gradients") == ["gradients", "1e-11", *["7.1e-13"] * 6, "pass"]
    assert row(text, "initial weights") == ["initial weights", *["0"] * 7, "pass"]
    assert row(text, "exchanged weights")[2:] == [*"———", *["7.1e-14"] * 3, "pass"]
    heading = text.splitlines()[4:6]
    assert [line.split() for line in heading] == [
        ["torch", "keras", "jax", "torch", "torch", "keras"],
        ["rung", "bound", *["=", "ref"] * 3, "=", "keras", "=", "jax", "=", "jax"],
    ]
    assert row(printed.verification_markdown(make_result()), "gradients") == [
        "gradients",
        "1e-11",
        *["7.1e-13"] * 6,
        "pass",
    ]


def test_three_backends_fit_a_terminal() -> None:
    assert max(map(width, printed.verification_text(make_result(fault=("gradients", "keras"))).splitlines())) <= 110


def test_more_comparisons_than_fit_go_into_further_tables_without_a_loss() -> None:
    backends = ["torch", "keras", "jax", "a_contributed_tensor_engine", "another"]
    lines = printed.verification_text(make_result(backends, precisions=["float64"])).splitlines()
    tables_shown = [line for line in lines if line.startswith("gradients")]
    assert len(tables_shown) > 1
    assert sum(line.count("7.1e-13") for line in tables_shown) == 5 + 10
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize("show", [printed.verification_text, printed.verification_markdown])
def test_a_failing_rung_is_told_first_marked_and_located(show: Callable[[Any], str]) -> None:
    said = show(make_result(fault=("gradients", "keras"))).replace("`", "")
    assert "NOT equal: keras and the reference part at the rung gradients, in float64." in said.replace("**", "")
    assert "part at bce · encoder.0.kernel, 1.0e-03 against a bound of 1e-11" in " ".join(said.split())
    mark = "!1.0e-03" if show is printed.verification_text else "**1.0e-03**"
    assert [mark in cell for cell in row(said, "gradients")[2:8]] == [False, True, False, True, False, True]
    assert row(said, "gradients")[-1].strip("*") == "FAIL"
    assert row(said, "loss")[-1] == "pass"


def test_an_unjudged_rung_is_reported_and_explained() -> None:
    both = printed.verification_text(make_result())
    assert row(both.split("float32, 3,750")[1], "training: weights")[-1] == "reported"
    assert both.count("Training amplifies rounding") == 1
    assert "amplifies" not in printed.verification_text(make_result(precisions=["float64"]))


def test_an_error_that_is_not_finite_is_called_so() -> None:
    result = make_result(precisions=["float64"])
    result["ladders"][0]["rungs"][3]["comparisons"][0]["error"] = None
    assert row(printed.verification_text(result), "gradients")[2] == "not finite"


def test_a_single_backend_is_said_to_be_held_against_the_reference_alone() -> None:
    text = printed.verification_text(make_result(["jax"]))
    assert "jax trains the same model as the reference" in text.splitlines()[0]
    assert "no pair to compare" in " ".join(text.split())
    assert row(text, "exchanged weights")[2:] == ["—", "—"]


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"failures": {"keras": "failed: ValueError: boom"}}, "NOT verified: keras ended with an error"),
        ({"passed": False}, "NOT verified: torch, keras and jax did not hold every rung"),
        ({"passed": "yes"}, "NOT verified: torch, keras and jax did not hold every rung"),
        ({"ladders": []}, "NOTHING verified"),
        ({"backends": {}}, "NOTHING verified"),
    ],
)
def test_equality_is_never_claimed_of_a_result_that_does_not_show_it(changes: dict[str, Any], answer: str) -> None:
    assert printed.verification_text(make_result(**changes)).startswith(answer)


@pytest.mark.parametrize("change", [{"passed": False}, {"passed": "yes"}, {"rungs": [{"name": "loss"}]}])
def test_a_ladder_that_does_not_hold_outweighs_a_result_that_says_passed(change: dict[str, Any]) -> None:
    result = make_result()
    result["ladders"][1] |= change
    assert printed.verification_text(result).startswith("NOT")


def test_absent_backends_versions_and_the_run_itself_stand_below() -> None:
    absent = {"jax": "jax is not installed: pip install 'vaebench[jax]'", "other": "no GPU", "\u200b": "\u200b \u200b"}
    text = printed.verification_text(
        make_result(["torch", "keras"], absent=absent, failures={"keras": "failed: ValueError"})
    )
    assert "not here    jax is not installed: pip install 'vaebench[jax]'\nnot here    other: no GPU" in text
    assert "failed      keras: failed: ValueError" in text
    assert "versions    torch 2.13.0; keras 3.15.1, tensorflow-cpu 2.21.0\n" in text
    assert "ran on      cpu, mode idiomatic\n" in text
    assert text.endswith("2026-11-22T20:01:02Z in 61.2 s; environment 206d9cb5e662; revision e9c050a")


def test_a_quick_ladder_is_not_sold_as_the_whole_one() -> None:
    text = printed.verification_text(make_result(quick=True))
    assert "every rung of the quick ladder" in text
    assert "the quick ladder, with a short training" in text
    assert "quick" not in printed.verification_text(make_result())


# --------------------------------------------------------------------------------------------- the report's section


def test_the_section_has_when_on_what_the_largest_errors_and_every_rung(run: Any) -> None:
    alerts, text = shown(run(equality=make_entries()))
    assert not alerts
    assert text.count("**Verified.** `torch`, `keras` and `jax` train the same model") == 1
    assert "`bench verify` at 2026-11-22T20:01:02Z, in mode `idiomatic` on `cpu` in `float64` and `float32`" in text
    assert "with torch 2.13.0; keras 3.15.1, tensorflow-cpu 2.21.0; jax 0.10.2, flax 0.12.8." in text
    assert (
        "After the whole training of 3,750 steps, the largest weight difference in `float64` is **7.1e-11** and the "
        "largest relative loss difference in `float32` is **7.1e-04**." in text
    )
    assert row(text, "training: weights") == ["training: weights", "7.1e-11", "1e-09", "2.8e-03", "reported"]
    assert text.count("Training amplifies rounding") == 1
    assert text.endswith("All 18 trials with a backend ran in a mode, on a device and in a precision checked here.")


def test_the_section_does_not_sell_a_quick_ladder_as_the_whole_one(record: Any) -> None:
    text = shown([record(equality=make_entries(quick=True))])[1]
    assert "Checked by `bench verify --quick`" in text
    assert "After a short training of 3,750 steps" in text


def test_the_largest_error_of_a_rung_that_compared_nothing_is_no_error(record: Any) -> None:
    entries = make_entries(["torch"])
    assert entries[0]["errors"]["exchanged weights"] == [None, 1e-12]
    text = shown([record(equality=entries)])[1]
    assert "**Verified against the reference alone.** `torch`" in text
    assert row(text, "exchanged weights")[1:3] == ["—", "1e-12"]
    failed = shown([record(equality=make_entries(["torch"], fault=("loss", "torch"))[:1])])[1]
    assert row(failed, "exchanged weights")[1] == "**not finite**"


def test_without_verification_the_report_says_so_and_how_to_get_it(record: Any) -> None:
    for missing in (None, [], "yes", [{}], [{"passed": True}], [make_entries()[0] | {"passed": "yes"}]):
        alerts, text = shown([record(equality=missing)])
        assert not alerts
        assert text.startswith("## Equality\n\n**Not verified.**")
        assert "`bench verify`" in text
    two = [record(), record(environment_hash="e2")]
    assert shown(two)[1].count("**Not verified.**") == 1


def test_without_a_backend_there_is_no_section(record: Any) -> None:
    skipped = record(status="skipped", reason="torch is not installed")
    assert shown([record(detector="knn"), skipped]) == ("", "")


def test_a_failed_verification_is_a_warning_at_the_top_with_its_rung(record: Any) -> None:
    records = [record(equality=make_entries(fault=("gradients", "keras"))), record(detector="knn")]
    text = markdown.written(document(Material(records, warnings=["torn line"])))
    top, rest = text.split("\n\n**", 1)
    assert "> [!WARNING]\n> **The backends were not found to be the same model**: in `float64`, gradients: keras" in top
    assert "> torn line" in top
    assert "`float32`" not in top
    assert "**Verification failed.** The backends were not found to be the same model: in `float64`, grad" in rest
    assert row(rest, "gradients")[1:] == ["**1.0e-03**", "1e-11", "7.1e-07", "1e-05"]
    assert rest.index("## Throughput") < rest.index("## Equality") < rest.index("## Environment")


def test_a_backend_that_could_not_climb_is_a_failure_even_where_no_other_did(record: Any) -> None:
    entries = make_entries([], passed=False)
    alerts, text = shown([record(equality=[entry | {"failure": "torch could not climb: boom."} for entry in entries])])
    assert "in `float64` and `float32`, torch could not climb: boom. Differences" in alerts
    assert "with no backend." in text
    assert row(text, "gradients")[1:] == ["—", "1e-11", "—", "1e-05"]
    assert "**Not verified as they ran:** `torch`" in text
    assert "the records do not tell where" in shown([record(equality=entries)])[0]


def test_trials_that_ran_otherwise_than_verified_are_named(run: Any) -> None:
    entries = make_entries(["torch", "keras"])
    others = run(detectors=["vae"], backends=["torch", "keras"], mode="tuned", equality=entries, round=1)
    others += run(detectors=["vae"], backends=["torch"], device="gpu", equality=entries, round=2)
    text = shown([*run(detectors=["vae"], equality=entries), *others])[1]
    assert (
        "**Not verified as they ran:** `jax` in mode `idiomatic` on `cpu` in `float32` (3 trials), `torch` and `keras` "
        "in mode `tuned` on `cpu` in `float32` (6 trials) and `torch` in mode `idiomatic` on `gpu` in `float32` "
        "(3 trials)." in text
    )
    assert "ran in a mode" not in text


def test_trials_in_a_precision_not_verified_are_named_with_their_number(run: Any) -> None:
    verified = run(detectors=["vae"], backends=["torch"], equality=make_entries())
    earlier = run(detectors=["vae"], backends=["torch"], equality=make_entries(precisions=["float64"]), round=1)
    assert "`torch` in mode `idiomatic` on `cpu` in `float32` (3 of 6 trials)." in shown([*verified, *earlier])[1]


def test_verifications_and_environments_stay_apart(record: Any) -> None:
    records = [
        record(equality=make_entries(precisions=["float64"])),
        record(seed=1, equality=make_entries(precisions=["float32"], verified="2026-11-23T00:00:00Z")),
        record(environment_hash="e2", equality=make_entries(fault=("loss", "jax"))),
        record(environment_hash="e3", equality=None),
        record(environment_hash="e4", detector="knn"),
    ]
    alerts, text = shown(records)
    assert alerts.count("in environment B") == 1
    assert "environment A" not in alerts
    a, b, c = text.split("### Environment ")[1:]
    assert (a.count("**Verified.**"), b.count("**Verification failed.**"), c.count("**Not verified.**")) == (2, 1, 1)
    assert "2026-11-23" in a
    assert "### Environment D" not in text


def test_two_findings_of_one_verification_are_both_shown(record: Any) -> None:
    found = [make_entries(["torch"]), make_entries(["torch"], fault=("loss", "torch"))]
    text = shown([record(seed=i, equality=entries) for i, entries in enumerate(found)])[1]
    assert (text.count("**Verified against"), text.count("**Verification failed.**")) == (1, 1)


def test_many_verifications_are_not_all_shown_but_counted(record: Any) -> None:
    records = []
    for i in range(12):
        entry = make_entries(precisions=["float64"], verified=f"{i}", fault=("loss", "jax"))[0]
        records.append(record(seed=i, equality=[entry | {"failure": f"finding {i}"}]))
    alerts, text = shown(records)
    assert text.count("Checked by") == 8
    assert "4 more verifications" in text
    assert alerts.count("finding") == 4
    assert "; and 8 more." in alerts


def test_the_section_depends_on_the_records_alone(run: Any) -> None:
    records = run(equality=make_entries())
    again = run(equality=make_entries())
    assert shown(records) == shown(again)


# ------------------------------------------------------------------------------------------------------- from outside


hostile = st.text(st.characters() | st.sampled_from("|`\\<>*_[]\n$#=\x1b"), max_size=12)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | hostile,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, whole: Any) -> Any:
    """Plain data with one place, anywhere inside, replaced by anything."""
    if draw(st.booleans()) and whole and isinstance(whole, dict | list):
        at = draw(st.sampled_from(sorted(whole) if isinstance(whole, dict) else range(len(whole))))
        new = draw(damaged(whole[at]))
        return {**whole, at: new} if isinstance(whole, dict) else [*whole[:at], new, *whole[at + 1 :]]
    return draw(junk)


@given(st.data())
@settings(deadline=None, max_examples=20)
def test_damage_raises_nothing_and_turns_no_failure_into_equality(record: Any, data: st.DataObject) -> None:
    result = data.draw(damaged(make_result(["torch", "keras"], fault=("loss", "keras"))))
    if isinstance(result, dict):
        assert printed.verification_text(result).startswith("NOT")
        assert "**NOT" in printed.verification_markdown(result)
    entries = data.draw(damaged(make_entries(["torch", "keras"], fault=("loss", "keras"))))
    text = shown([record(equality=make_entries()), record(seed=1, equality=entries)])[1]
    assert text.startswith("## Equality\n\n")


def tokens(text: str) -> list[str]:
    """All that a Markdown reader finds but the words themselves."""
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    return [t.type for t in parsed] + [c.type for t in parsed for c in t.children or [] if c.type != "text"]


def dressed(one: str, other: str, word: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A result, and what a record carries of it, with these names of backends and this word wherever one may stand."""
    told = {"device": word, "mode": word, "verified": word}
    result = make_result([one, other], **told, revision=word, absent={"z" + one: word}, failures={one: word})
    result["ladders"][0]["first_failure"] = {"rung": word, "between": [one, other], "where": word}
    entries = make_entries([one, other], **told)
    for ladder, entry in zip(result["ladders"], entries, strict=True):
        ladder["rungs"][0] |= {"name": word, "measure": word}
        entry |= {"precision": word + entry["precision"], "failure": word, "passed": False}
        entry["errors"][word + "rung"] = [1.0, 0.5]
    return result, entries


@pytest.fixture(scope="module")
def plain(record: Any) -> list[list[str]]:
    """What a Markdown reader finds where every name is a plain word."""
    result, entries = dressed("1", "2", "w")
    texts = [printed.verification_markdown(result), *shown([record(equality=entries, mode="", device="")])]
    return list(map(tokens, texts))


@given(hostile, hostile, hostile)
@example("|", "`", "<b>*a*</b> [a](b) ![a](b)")
@settings(deadline=None, max_examples=15)
def test_hostile_names_stay_words_in_markdown_and_control_no_terminal(
    record: Any, plain: list[list[str]], a: str, b: str, words: str
) -> None:
    result, entries = dressed(f"1{a}", f"2{b}", f"w{words}")
    texts = [printed.verification_markdown(result), *shown([record(equality=entries, mode="", device="")])]
    assert list(map(tokens, texts)) == plain
    said = printed.verification_text(result)
    assert "\x1b" not in said
    assert all(line.isprintable() for line in said.split("\n"))


@given(st.floats(min_value=0.0, max_value=1e300), st.floats(min_value=0.0, max_value=1e300))
@settings(deadline=None, max_examples=60)
def test_an_error_and_a_bound_read_back_are_what_they_were(error: float, bound: float) -> None:
    assert float(numbers.error(error)) == pytest.approx(error, rel=0.051, abs=5e-324)
    assert float(numbers.bound(bound)) == pytest.approx(bound, rel=0.051, abs=5e-324)
    assert (numbers.error(error) == "0") == (error == 0)
    assert numbers.error(math.nan) == numbers.error(math.inf) == "not finite"
