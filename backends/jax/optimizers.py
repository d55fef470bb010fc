"""The four optimisers in optax."""

from __future__ import annotations

import optax

from backends.spec import TrainingSettings


def make_optimizer(settings: TrainingSettings) -> optax.GradientTransformation:
    """Optax's own four, which all follow the definitions once RMSprop's ε is told to stand outside the root and coupled
    weight decay is put in front."""
    s = settings
    if s.optimizer == "adamw":
        return optax.adamw(s.learning_rate, s.beta1, s.beta2, s.epsilon, weight_decay=s.weight_decay)
    if s.optimizer == "sgd":
        optimizer = optax.sgd(s.learning_rate, s.momentum)
    elif s.optimizer == "rmsprop":
        optimizer = optax.rmsprop(s.learning_rate, s.rho, s.epsilon, eps_in_sqrt=False)
    else:
        optimizer = optax.adam(s.learning_rate, s.beta1, s.beta2, s.epsilon)
    return optax.chain(optax.add_decayed_weights(s.weight_decay), optimizer) if s.weight_decay else optimizer
