"""Which trials share a process, and that all are taken, each once, whoever takes them."""

from __future__ import annotations

from itertools import groupby

import pytest

from bench.run.lines import Board, Line, lines
from bench.suites.suite import load

SUITE = """
seeds = [0, 1]
rounds = 2
datasets = ["blobs-2d", "blobs"]
[[scenarios]]
detectors = ["vae", "latent_knn"]
backends = ["torch", "jax"]
modes = ["idiomatic", "tuned"]
[scenarios.sweep]
latent = [2, 3]
beta = [0.5, 1.0]
"""


@pytest.fixture
def trials(tmp_path):
    def made(timed: bool):
        file = tmp_path / "mine.toml"
        file.write_text(SUITE)
        return load(str(file)).trials(1, timed=timed)

    return made


def test_timed_trials_have_a_process_each_but_for_seeds_of_a_classical_detector_where_the_suite_says_so(trials):
    timed = trials(True)
    assert [len(line) for line in lines(timed, "none")] == [1] * len(timed)
    for line in lines(timed, "classical"):
        assert len(line) == (1 if line[0].scenario.backend else 2)
        assert len({(trial.scenario.hash, trial.round) for trial in line}) == 1


def test_trials_that_are_not_timed_share_a_process_with_those_of_their_framework_and_mode(trials):
    found = lines(trials(False), "none")
    kinds = [{(trial.scenario.backend, trial.scenario.mode) for trial in line} for line in found]
    assert all(len(kind) == 1 for kind in kinds)
    assert len({kind.pop() for kind in kinds}) == len(found) == 5, "two modes of two frameworks, and what needs none"
    assert sorted(trial.key for line in found for trial in line) == sorted(trial.key for trial in trials(False))


def test_what_one_program_trains_follows_each_other_and_one_data_set_within_it(trials):
    for line in lines(trials(False), "none"):
        if line[0].scenario.backend is None:
            continue
        programs = [(t.scenario.dataset, t.scenario.detector, t.scenario.swept["latent"]) for t in line]
        assert len(list(groupby(programs))) == len({(d, latent) for d, _, latent in programs}) * 2
        seeds = [(*program, trial.round, trial.seed) for program, trial in zip(programs, line, strict=True)]
        assert len(list(groupby(seeds))) == len(set(seeds))


def test_who_has_no_line_left_helps_with_the_longest_and_nothing_is_taken_twice(trials):
    some = [trial for trial in trials(False) if trial.scenario.backend is None][:6]
    board = Board([some[:1], some[1:]])
    first, second = iter(board), iter(board)
    own, other = next(first), next(second)
    assert other.take() == [some[1]]
    assert [own.take(), own.take()] == [some[:1], []]
    helped = next(first)
    assert [helped.take(), other.take()] == [[some[2]], [some[3]]]
    assert next(iter(board), None) is None, "too little is left for another process"
    board.clear()
    assert (other.take(), other.first(), other.alike()) == ([], None, 0)


def test_what_is_taken_together_is_of_one_shape(trials):
    """β and seeds make no other shape; latent sizes, data sets and detectors do, and what has no network is alone."""
    for found in map(Line, lines(trials(False), "none")):
        alone = found.first().scenario.backend is None
        while alike := found.alike():
            taken = found.take(64)
            assert len(taken) == alike == (1 if alone else 2 * 2 * 2), "rounds, seeds, values of β"
            programs = {(t.scenario.dataset, t.scenario.detector, t.scenario.swept.get("latent")) for t in taken}
            assert len(programs) == 1
