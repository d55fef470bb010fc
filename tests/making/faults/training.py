"""Faults in how a network is trained: gradients, optimiser steps, epochs, and what is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import backends.early_stopping
from bench.proof import ladder
from making.faults.planting import fault, patch, settings_of

# ------------------------------------------------------------------------------------------------------- gradients


@fault("torch", ladder.GRADIENTS)
def biases_fixed(module: Any) -> Any:
    """biases that are not updated"""

    def fixed(real: Any) -> Any:
        def build(self: Any, *arguments: Any) -> None:
            real(self, *arguments)
            for layer in self.layers.values():
                layer.bias.requires_grad_(False)

        return build

    return patch(module.network.Network, "__init__", fixed)


@fault("torch", ladder.GRADIENTS)
def gradients_clipped(module: Any) -> Any:
    """gradients clipped to a norm of 1"""
    real = module.torch.Tensor.backward

    def clipped(self: Any, *arguments: Any) -> None:
        real(self, *arguments)
        leaves = [a.variable for a in _accumulators(self.grad_fn)]
        module.torch.nn.utils.clip_grad_norm_(leaves, 1.0)

    return mock.patch.object(module.torch.Tensor, "backward", clipped)


def _accumulators(node: Any, seen: set[Any] | None = None) -> Iterator[Any]:
    seen = set() if seen is None else seen
    if node is None or node in seen:
        return
    seen.add(node)
    if hasattr(node, "variable"):
        yield node
    for child, _ in node.next_functions:
        yield from _accumulators(child, seen)


@fault("jax", ladder.GRADIENTS)
def gradient_through_noise_stopped(module: Any) -> Any:
    """no gradient from z to logvar: the reparametrisation is cut"""
    stop = module.jax.lax.stop_gradient
    return patch(
        module.network.Network,
        "sample",
        lambda real: lambda self, mu, logvar, epsilon: real(self, mu, stop(logvar), epsilon),
    )


@fault("keras", ladder.GRADIENTS)
def beta_for_report_only(module: Any) -> Any:
    """a β that is reported but not trained with"""
    stop = module.keras.ops.stop_gradient
    return patch(module.network.Network, "kl", lambda real: lambda self, mu, logvar: stop(real(self, mu, logvar)))


@fault("torch", ladder.GRADIENTS, "gaussian")
def sigma_fixed(module: Any) -> Any:
    """a Gaussian whose σ is never fitted"""
    return mock.patch.object(module.network.Network, "fit_sigma")


# ------------------------------------------------------------------------------------------------ optimiser steps


@fault("jax", ladder.STEPS)
def epsilon_of_keras(module: Any) -> Any:
    """Adam with ε = 1e-7, Keras's default"""
    return settings_of(module, epsilon=1e-7)


@fault("jax", ladder.STEPS)
def epsilon_inside_the_root(module: Any) -> Any:
    """Adam with ε inside the root"""
    adam = module.optax.adam
    return mock.patch.object(module.optax, "adam", lambda rate, b1, b2, eps: adam(rate, b1, b2, eps=0.0, eps_root=eps))


@fault("keras", ladder.STEPS)
def epsilon_folded(module: Any) -> Any:
    """Keras's own Adam, whose ε̂ is constant"""
    return mock.patch.object(module.optimizers.Adam, "step", module.keras.optimizers.Adam.update_step)


@fault("torch", ladder.STEPS)
def no_bias_correction(module: Any) -> Any:
    """Adam without bias correction"""

    def rms(network: Any, settings: Any) -> Any:
        return Uncorrected(network.parameters(), settings)

    class Uncorrected(module.torch.optim.Optimizer):  # type: ignore[name-defined,misc]
        def __init__(self, parameters: Any, settings: Any) -> None:
            super().__init__(parameters, {})
            self.settings = settings

        def step(self) -> None:  # type: ignore[override]
            s = self.settings
            with module.torch.no_grad():
                for parameter in self.param_groups[0]["params"]:
                    state = self.state[parameter]
                    m, v = state.get("m", 0), state.get("v", 0)
                    state["m"] = m = s.beta1 * m + (1 - s.beta1) * parameter.grad
                    state["v"] = v = s.beta2 * v + (1 - s.beta2) * parameter.grad**2
                    parameter -= s.learning_rate * m / (v.sqrt() + s.epsilon)

    return patch(
        module.idiomatic,
        "make_optimizer",
        lambda real: lambda network, settings: (rms if settings.optimizer == "adam" else real)(network, settings),
    )


@fault("torch", ladder.STEPS)
def gradients_pile_up(module: Any) -> Any:
    """gradients that are never set back to zero"""
    return mock.patch.object(module.torch.optim.Optimizer, "zero_grad")


@fault("keras", ladder.STEPS)
def moments_forgotten(module: Any) -> Any:
    """an optimiser that starts anew with every epoch"""

    def forgetful(real: Any) -> Any:
        def run_epoch(self: Any, epoch: int) -> None:
            for variable in self.optimizer.variables[2:]:
                variable.assign(module.keras.ops.zeros_like(variable))
            real(self, epoch)

        return run_epoch

    return patch(module.IdiomaticModel, "run_epoch", forgetful)


@fault("torch", ladder.STEPS, "sgd, dropout")
def nesterov(module: Any) -> Any:
    """Nesterov's form of momentum"""
    sgd = module.torch.optim.SGD
    return mock.patch.object(
        module.torch.optim, "SGD", lambda *a, momentum, **k: sgd(*a, momentum=momentum, nesterov=momentum > 0, **k)
    )


@fault("torch", ladder.STEPS, "sgd, dropout")
def dampened(module: Any) -> Any:
    """momentum as a running mean, b ← μ b + (1 − μ) g"""
    sgd = module.torch.optim.SGD
    return mock.patch.object(
        module.torch.optim, "SGD", lambda *a, momentum, **k: sgd(*a, momentum=momentum, dampening=momentum, **k)
    )


@fault("keras", ladder.STEPS, "sgd, dropout")
def decay_decoupled(module: Any) -> Any:
    """decoupled weight decay where it should be coupled"""

    def turned(real: Any) -> Any:
        def made(settings: Any) -> Any:
            optimizer = real(settings)
            optimizer.coupled, optimizer.decoupled = optimizer.decoupled, optimizer.coupled
            return optimizer

        return made

    return patch(module.idiomatic, "make_optimizer", turned)


@fault("jax", ladder.STEPS, "adamw")
def decay_coupled(module: Any) -> Any:
    """coupled weight decay where it should be decoupled"""
    return settings_of(module, optimizer=lambda s: "adam" if s.optimizer == "adamw" else s.optimizer)


@fault("torch", ladder.STEPS, "adamw")
def decay_without_rate(module: Any) -> Any:
    """decoupled weight decay that is not multiplied with the learning rate"""
    return settings_of(module, weight_decay=lambda s: s.weight_decay / s.learning_rate)


@fault("keras", ladder.STEPS, "adamw")
def biases_not_decayed(module: Any) -> Any:
    """weight decay that leaves the biases out"""

    def kernels_only(real: Any) -> Any:
        def update_step(self: Any, gradient: Any, variable: Any, rate: Any) -> None:
            decay, self.decoupled = self.decoupled, 0.0 if len(variable.shape) == 1 else self.decoupled
            real(self, gradient, variable, rate)
            self.decoupled = decay

        return update_step

    return patch(module.optimizers.Decay, "update_step", kernels_only)


@fault("jax", ladder.STEPS, "rmsprop")
def rmsprop_epsilon_inside(module: Any) -> Any:
    """RMSprop with ε inside the root, optax's default"""
    rmsprop = module.optax.rmsprop
    return mock.patch.object(module.optax, "rmsprop", lambda *a, eps_in_sqrt, **k: rmsprop(*a, eps_in_sqrt=True, **k))


@fault("torch", ladder.STEPS, "rmsprop")
def rmsprop_decay(module: Any) -> Any:
    """RMSprop with ρ = 0.99, PyTorch's default"""
    return settings_of(module, rho=0.99)


# ------------------------------------------------------------------------------------------------------- one epoch


@fault("torch", ladder.EPOCH)
def last_full_batch_left_out(module: Any) -> Any:
    """the last full batch of an epoch left out"""

    def shortened(real: Any) -> Any:
        return lambda self, epoch: {name: array[: len(array) - 1 or 1] for name, array in real(self, epoch).items()}

    return patch(module.IdiomaticModel, "shared_epoch", shortened)


@fault("torch", ladder.EPOCH)
def noise_reused_between_steps(module: Any) -> Any:
    """one batch's noise in every step of an epoch"""

    def repeated(real: Any) -> Any:
        def shared_epoch(self: Any, epoch: int) -> Any:
            drawn = real(self, epoch)
            return drawn | {"epsilon": drawn["epsilon"][:1].expand_as(drawn["epsilon"])}

        return shared_epoch

    return patch(module.IdiomaticModel, "shared_epoch", repeated)


@fault("jax", ladder.EPOCH)
def first_batch_only(module: Any) -> Any:
    """the same batch in every step of an epoch"""

    def frozen(real: Any) -> Any:
        def shared_epoch(self: Any, epoch: int) -> Any:
            order, draws = real(self, epoch)
            return order.at[:].set(order[0]), draws

        return shared_epoch

    return patch(module.IdiomaticModel, "shared_epoch", frozen)


@fault("keras", ladder.EPOCH)
def shuffled_twice(module: Any) -> Any:
    """rows shuffled once more by the framework"""
    return patch(
        module.IdiomaticModel,
        "make_batches",
        lambda real: lambda self, arrays, shuffle: real(self, arrays, True),
    )


# --------------------------------------------------------------------------------------------- training, and after


@fault("torch", ladder.TRAINING_LOSSES, "dense")
def rate_decays(module: Any) -> Any:
    """a learning rate that is halved in the second epoch"""

    def decaying(real: Any) -> Any:
        def run_epoch(self: Any, epoch: int) -> None:
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * (0.5 if epoch == 1 else 1)
            real(self, epoch)

        return run_epoch

    return patch(module.IdiomaticModel, "run_epoch", decaying)


@fault("jax", ladder.TRAINING_LOSSES, "early stopping")
def patience_off_by_one(module: Any) -> Any:
    """early stopping one epoch too late"""
    return patch(
        backends.early_stopping.EarlyStopping,
        "__init__",
        lambda real: lambda self, patience: real(self, patience + 1),
    )


@fault("torch", ladder.TRAINING_WEIGHTS, "early stopping")
def best_weights_not_restored(module: Any) -> Any:
    """early stopping that forgets to restore the best weights"""
    return mock.patch.object(module.IdiomaticModel, "import_weights")


@fault("keras", ladder.SCORING)
def elbo_without_beta(module: Any) -> Any:
    """a score that forgets β"""

    def forgetful(real: Any) -> Any:
        def score(self: Any, X: Any, kind: Any = "reconstruction") -> Any:
            if kind != "elbo":
                return real(self, X, kind)
            return sum(self.run_rows("terms", self.rows(X)))

        return score

    return patch(module.IdiomaticModel, "score", forgetful)


@fault("jax", ladder.SCORING)
def kl_with_beta(module: Any) -> Any:
    """the score KL weighted by β"""

    def weighted(real: Any) -> Any:
        return lambda self, X, kind="reconstruction": (
            real(self, X, kind) * (self.settings.beta if kind == "kl" else 1.0)
        )

    return patch(module.IdiomaticModel, "score", weighted)


@fault("torch", ladder.SCORING)
def error_of_logits(module: Any) -> Any:
    """squared errors of the logits where they should be of the probabilities"""

    def of_logits(self: Any, x: Any) -> Any:
        return ((self.propagate(x)[0] - x).square().sum(-1),)

    return mock.patch.object(module.network.Network, "squared_error", of_logits)


@fault("torch", ladder.SCORING)
def sampled_scores(module: Any) -> Any:
    """scores with a sampled z"""

    def sampled(real: Any) -> Any:
        def score(self: Any, X: Any, kind: Any = "reconstruction") -> Any:
            if kind != "reconstruction":
                return real(self, X, kind)
            x = module.torch.tensor(self.rows(X))
            epsilon = module.torch.randn((len(x), self.spec.latent), dtype=x.dtype)
            return self.network.reconstruction(self.network.propagate(x, epsilon)[0], x).detach().numpy()

        return score

    return patch(module.IdiomaticModel, "score", sampled)


@fault("jax", ladder.EXCHANGE)
def imported_without_biases(module: Any) -> Any:
    """weights from elsewhere taken without their biases"""
    return patch(
        module.IdiomaticModel,
        "import_weights",
        lambda real: (
            lambda self, weights: real(
                self, {n: w if n.endswith("kernel") else self.export_weights()[n] for n, w in weights.items()}
            )
        ),
    )
