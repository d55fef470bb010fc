"""What the headline says of the trials' own proof."""

from __future__ import annotations

from typing import Any

import pytest

from reports.sections import self_check
from reports.sections.answer import answer
from reports.tables import trials
from reports.tables.material import Material
from reports.writers import markdown


def trial(followed: bool | None, timed: bool = True, steps: int | None = 75) -> dict[str, Any]:
    check = {"followed": followed} | ({} if steps is None else {"steps": steps})
    return {"timed": timed, "self_check": check}


OTHER = trial(None, steps=None)
OLD = {"timed": True}


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([trial(True)] * 3, "3 of 3 timed trials followed the reference."),
        ([trial(True), trial(False)], "1 of 2 timed trials followed the reference."),
        (
            [trial(True), trial(None, steps=0), OTHER],
            "1 of 2 timed trials followed the reference; 1 could not be followed in the time there is; "
            "1 of other detectors has no reference.",
        ),
        (
            [trial(True), OTHER, OTHER, OLD],
            "1 of 1 timed trials followed the reference; 2 of other detectors have no reference.",
        ),
        ([trial(None, steps=0)] * 2, "None of 2 timed trials could be followed in the time there is."),
        ([OLD, OTHER, trial(True, timed=False), {"timed": True, "self_check": "damaged"}], ""),
        ([], ""),
    ],
    ids=["all", "not all", "some cannot", "others", "no time", "nothing told", "none"],
)
def test_the_sentence_counts_what_followed_and_names_what_could_not(record, records, said):
    table = trials([record(seed=seed, **told) for seed, told in enumerate(records)])
    assert self_check.sentence(table) == said


def test_the_first_sentences_of_a_report_say_how_many_followed(record):
    shown = markdown.blocks(answer(Material([record(seed=seed, **trial(True)) for seed in range(2)])))
    assert "2 of 2 timed trials followed the reference" in shown.partition("<details>")[0]
