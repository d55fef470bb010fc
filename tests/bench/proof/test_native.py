"""The ladder's upper part: what a backend draws by itself is followed, and one that does not tell it is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backends import reference
from backends.inference import Inference
from bench.proof import judging, ladder, native, verify

CASES = [replace(case, rows=min(case.rows, 1_500)) for case in native.cases("float64")]


@pytest.fixture(scope="module")
def data() -> native.Data:
    return verify.rows_and_labels()[0]


class Changed:
    """The reference as a backend whose models are changed before they are given out."""

    def __init__(self, change: Any) -> None:
        self.change = change

    def build(self, spec: Any, weights: Any, settings: Any) -> Any:
        model = reference.build(spec, weights, replace(settings, precision="float64", mode="idiomatic"))
        self.change(model)
        return model


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_reference_follows_itself_on_every_rung(case, data):
    observed, expected = native.climb(reference, case, data)
    judged = judging.judge({"itself": observed, ladder.REFERENCE: {}}, "float64", {"itself": expected})
    assert judged["passed"], judged["first_failure"]
    assert {rung["name"] for rung in judged["rungs"]} >= {native.LOSSES, native.WEIGHTS, native.ORDER, native.SEEDS}


def test_between_them_the_cases_draw_all_that_can_be_drawn():
    assert {case.spec.kind for case in CASES} == {"vae", "autoencoder"}
    assert any(case.settings.dropout for case in CASES)
    assert any(case.spec.filters for case in CASES)
    assert all(case.settings.random_source == "native" for case in CASES)
    assert all(case.settings.seed >= 2**31 for case in CASES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: setattr(model, "draws", lambda epochs: Inference.native_draws(model, epochs)),
         "native training cannot be followed: .* does not tell what its epochs draw"),
        (lambda model: setattr(model, "native_draws", short(model)), "does not fit: the order holds"),
    ],
    ids=["nothing told", "too little told"],
)  # fmt: skip
def test_draws_that_are_not_told_fail_with_a_clear_line(change, said, data):
    def native_only(model: Any) -> None:
        model.settings = replace(model.settings, random_source="native")
        change(model)

    with pytest.raises(RuntimeError, match=said) as caught:
        native.climb(Changed(native_only), CASES[0], data)
    assert "\n" not in str(caught.value)


def short(model: Any) -> Any:
    """One batch of an epoch, and no more."""

    def native_draws(epochs: Any) -> Any:
        size = model.settings.batch_size
        for epoch in model.shared_draws(epochs):
            masks = {name: mask[:size] for name, mask in epoch.masks.items()}
            yield replace(epoch, order=epoch.order[:size], noise=epoch.noise[:size], masks=masks)

    return native_draws
