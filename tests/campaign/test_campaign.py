"""The short form of the campaign: some cases of each kind, from one seed. ``make campaign`` is the long one."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign import cases, corpus, generated, hand, hand_plugins, kills, load, machines, outcome, strangers
from campaign.cases import Case, Kind, Tally

pytestmark = pytest.mark.xdist_group("campaign")

SHARE = 0.015
SLOW = ("IDX: gzip", "1.5 GB", "4 GB", "2 GB", "16 GB", "200 MB", "100,000 members", "20,000 columns", "20 MB", "query")
"""By hand: what takes longest to make or to refuse is left to the long form."""


@pytest.fixture(scope="module")
def folder(process: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("campaign")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(place / "state"))
        patch.chdir(place)
        corpus.made()
        yield place


def held(tally: Tally, least: int) -> None:
    assert tally.failures == []
    assert tally.tried >= least


def test_bad_input_by_hand_is_refused_in_one_line_soon_and_in_little_memory(folder):
    kind = hand.kind()
    numbers = [n for n in range(kind.count) if not any(word in kind.make(n).name for word in SLOW)]
    held(cases.run(kind, folder, numbers), 250)


def test_plug_ins_that_raise_or_lie_are_one_line(folder):
    kind = hand_plugins.kind()
    numbers = [
        n for n in range(kind.count) if "--untimed" not in kind.make(n).name and "verify" not in kind.make(n).name
    ]
    held(cases.run(kind, folder, numbers), 130)


@pytest.mark.parametrize("name", generated.SHARES)
def test_bad_input_from_a_seed_is_used_or_refused_in_one_line(folder, name):
    (kind,) = (kind for kind in generated.kinds(0, SHARE) if kind.name == name)
    held(cases.run(kind, folder), 2)


def test_a_power_cut_at_any_byte_of_the_last_record_loses_nothing_before_it(folder):
    held(load.cuts(folder, records=1), 3000)


def test_a_start_with_many_records_reads_few(folder):
    held(load.campaign(folder, 10_000), 6)


def test_slow_clients_and_foreign_requests_do_not_stop_the_server(folder):
    held(strangers.requests(0, 100), 150)


def test_names_stay_words_wherever_they_are_written(folder):
    held(strangers.names(folder, short=True), 150)


def test_a_command_that_is_killed_goes_on(folder):
    tally = Tally("kills")
    for command in kills.commands(networks=False):
        if command.name in ("run", "history add"):
            plain = kills.undisturbed(command, folder / "plain", tally)
            kills.killed(command, folder / "killed", [kills.Blow("KILL", "parent", 0.5)], tally, plain)
    held(tally, 8)


def test_a_disk_that_is_full_is_one_line_and_nothing_is_lost(folder):
    tally = Tally("bad machines")
    machines.full(folder, tally, [4096], only=("score", "history add"))
    held(tally, 6)


# --------------------------------------------------------------------------------------------- the campaign itself


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["load", "blobs?rows=300"], "taken"),
        (["raise"], "a traceback"),
        (["write"], "written"),
        (["print"], "control character"),
        (["twice"], "not one line"),
        (["hold"], "more memory"),
        (["count"], "processor time"),
    ],
)
def test_the_campaign_sees_what_it_looks_for(folder, monkeypatch, argv, word):
    def spoilt(arguments):
        held = b""
        match arguments[0]:
            case "raise":
                raise KeyError("nobody expected that")
            case "write":
                Path("left").write_text("x")
            case "print":
                print("\x1b[31mred")
            case "twice":
                print("bench: one\nbench: two", file=cases.sys.stderr)
            case "hold":
                held = os.urandom(1) * (cases.MOST_MEMORY + 2**24)
            case "count":
                sum(range(400_000_000))
        print(f"bench: no ({len(held)})" if arguments[0] != "twice" else "", file=cases.sys.stderr)
        return 2

    monkeypatch.setattr("bench.cli.main", spoilt)
    case = Case("spoilt", argv, refused=True)
    (failure,) = cases.run(Kind("spoilt", 1, lambda number: case), folder).failures
    assert word in failure


def test_a_case_that_ends_its_process_is_a_failure_and_the_rest_goes_on(folder):
    good = Case("good", ["list", "datasets"])

    def make(number: int) -> Case:
        return dataclasses.replace(good, prepare=lambda place: os._exit(7)) if number == 1 else good

    tally = cases.run(Kind("ends", 4, make), folder)
    assert tally.tried == 4
    (failure,) = tally.failures
    assert "ended its process" in failure


def test_a_case_that_waits_for_ever_is_a_failure_and_the_rest_goes_on(folder, monkeypatch):
    monkeypatch.setattr(cases, "PATIENCE", 1.0)
    monkeypatch.setattr(cases, "STILL", 2)
    good = Case("good", ["list", "datasets"])

    def make(number: int) -> Case:
        return dataclasses.replace(good, prepare=lambda place: time.sleep(600)) if number == 1 else good

    tally = cases.run(Kind("waits", 3, make), folder)
    assert tally.tried == 3
    (failure,) = tally.failures
    assert "did not come back" in failure


def test_the_same_seed_makes_the_same_case():
    for make in (generated.suites, generated.delimited, generated.models, generated.records):
        assert make(3, 5) == make(3, 5)
        assert make(3, 5) != make(4, 5)


def test_parts_that_ran_one_by_one_make_one_report(tmp_path):
    order = ("hand", "kills", "soak")
    for seed, failures in ((3, []), (4, ["run after KILL: lost | a record"])):
        tally = Tally("kills", 20, failures, 60.0, f"{20 + seed} signals")
        outcome.keep(tmp_path, outcome.ended("kills", seed, 0.1, "2026-11-27", 90.0, "abc", [tally]))
    outcome.keep(tmp_path, outcome.ended("hand", 0, 1.0, "2026-11-26", 30.0, "abc", [Tally("bad input by hand", 500)]))
    text = outcome.report(outcome.kept(tmp_path, order), order)
    assert "| kills | 40 | 1 |" in text
    assert "| **all** | 540 | 1 |" in text
    assert "| kills | 3 | 0.1 | 1.5 | 0 | 2026-11-27 |" in text
    assert "- kills: 24 signals." in text
    assert "'run after KILL: lost | a record'" in text
    assert "Not run: soak." in text
    outcome.keep(tmp_path, outcome.ended("kills", 4, 0.1, "2026-11-28", 90.0, "abc", [Tally("kills", 20)]))
    assert "| kills | 40 | 0 |" in outcome.report(outcome.kept(tmp_path, order), order)
