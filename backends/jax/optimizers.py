"""The four optimisers in optax."""

from __future__ import annotations

from typing import Any

import optax
from jax import Array

from backends.spec import TrainingSettings


def make_optimizer(
    settings: TrainingSettings, learning_rate: Array | None = None, weight_decay: Array | None = None
) -> optax.GradientTransformation:
    """Optax's own four, which all follow the definitions once RMSprop's ε is told to stand outside the root and coupled
    weight decay is put in front. Arrays stand for the settings' numbers where they are given."""
    s = settings
    rate: Any = s.learning_rate if learning_rate is None else learning_rate
    decay: Any = s.weight_decay if weight_decay is None else weight_decay
    if s.optimizer == "adamw":
        return optax.adamw(rate, s.beta1, s.beta2, s.epsilon, weight_decay=decay)
    if s.optimizer == "sgd":
        optimizer = optax.sgd(rate, s.momentum)
    elif s.optimizer == "rmsprop":
        optimizer = optax.rmsprop(rate, s.rho, s.epsilon, eps_in_sqrt=False)
    else:
        optimizer = optax.adam(rate, s.beta1, s.beta2, s.epsilon)
    return optax.chain(optax.add_decayed_weights(decay), optimizer) if s.weight_decay else optimizer
