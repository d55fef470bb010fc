"""What is asked for: nonsense is refused in one line, and the KL weight follows its schedule."""

from __future__ import annotations

import pytest

from backends.spec import NetworkSpec, TrainingSettings


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"features": 0}, "layer widths must be positive integers"),
        ({"features": 2, "hidden": (3, -1)}, "layer widths must be positive integers"),
        ({"features": 2, "latent": 1.5}, "layer widths must be positive integers"),
        ({"features": 2, "kind": "gan"}, "kind must be one of"),
        ({"features": 2, "likelihood": "poisson"}, "likelihood must be one of"),
    ],
)
def test_an_impossible_network_is_refused(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        NetworkSpec(**fields)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("epsilon", 0.0),
        ("beta", -1.0),
        ("kl_warmup_epochs", -1),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_impossible_settings_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be "):
        TrainingSettings(**{field: value})


def test_the_kl_weight_rises_linearly_from_zero_to_beta():
    settings = TrainingSettings(beta=2.0, kl_warmup_epochs=4)
    assert [settings.kl_weight(epoch) for epoch in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    assert TrainingSettings(beta=2.0).kl_weight(0) == 2.0
