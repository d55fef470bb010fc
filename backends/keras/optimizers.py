"""The four optimisers in Keras, each with its deviation from the definitions corrected."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from backends.keras.layers import Array
from backends.spec import TrainingSettings


class Decay(keras.optimizers.Optimizer):
    """Weight decay by the definition: coupled, g ← g + λ θ, or decoupled, θ ← θ − lr · λ θ.

    Keras's own is decoupled in every optimiser, and takes λ through float32, whatever the precision.
    """

    coupled = 0.0
    decoupled = 0.0

    def update_step(self, gradient: Array, variable: keras.Variable, learning_rate: Array) -> None:
        if self.coupled:
            gradient = gradient + self.coupled * variable
        if self.decoupled:
            self.assign_sub(variable, learning_rate * self.decoupled * variable)
        self.step(gradient, variable, learning_rate)


class Adam(Decay, keras.optimizers.Adam):
    """Adam with ε outside the root, as in the paper's algorithm 1.

    θ ← θ − lr · m̂ / (√v̂ + ε) with m̂ = m / (1 − β1ᵗ) and v̂ = v / (1 − β2ᵗ). Keras computes the paper's rearranged form,
    θ ← θ − lr · √(1 − β2ᵗ) / (1 − β1ᵗ) · m / (√v + ε̂), with a constant ε̂; the two are equal where
    ε̂ = ε · √(1 − β2ᵗ), which is what this class uses.
    """

    def step(self, gradient: Array, variable: keras.Variable, learning_rate: Array) -> None:
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        step = ops.cast(self.iterations + 1, variable.dtype)
        # Not ops.cast, as in Keras's own Adam: it takes a Python float through float32, whatever the precision.
        beta_1, beta_2 = (ops.convert_to_tensor(beta, variable.dtype) for beta in (self.beta_1, self.beta_2))
        root = ops.sqrt(1 - ops.power(beta_2, step))
        rate = learning_rate * root / (1 - ops.power(beta_1, step))
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        self.assign_sub(variable, rate * m / (ops.sqrt(v) + self.epsilon * root))


class RMSprop(Decay, keras.optimizers.RMSprop):
    """RMSprop with ε outside the root: v ← ρ v + (1 − ρ) g², θ ← θ − lr · g / (√v + ε).

    Keras divides by √(v + ε), and takes ρ through float32.
    """

    def step(self, gradient: Array, variable: keras.Variable, learning_rate: Array) -> None:
        v = self._velocities[self._get_variable_index(variable)]
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.rho))
        self.assign_sub(variable, learning_rate * gradient / (ops.sqrt(v) + self.epsilon))


class SGD(Decay, keras.optimizers.SGD):
    """Momentum by the definition: b ← μ b + g, θ ← θ − lr · b.

    Keras keeps −lr · b, which at a constant rate is the same, but takes μ through float32.
    """

    def step(self, gradient: Array, variable: keras.Variable, learning_rate: Array) -> None:
        if self.momentum:
            b = self.momentums[self._get_variable_index(variable)]
            self.assign(b, b * self.momentum + gradient)
            gradient = b
        self.assign_sub(variable, learning_rate * gradient)


def make_optimizer(settings: TrainingSettings) -> keras.optimizers.Optimizer:
    """Keras's own four, each with its deviation from the definitions corrected above."""
    s = settings
    optimizer: Any
    if s.optimizer == "sgd":
        optimizer = SGD(s.learning_rate, s.momentum)
    elif s.optimizer == "rmsprop":
        optimizer = RMSprop(s.learning_rate, s.rho, epsilon=s.epsilon)
    else:
        optimizer = Adam(s.learning_rate, s.beta1, s.beta2, s.epsilon)
    setattr(optimizer, "decoupled" if s.optimizer == "adamw" else "coupled", s.weight_decay)
    return optimizer
