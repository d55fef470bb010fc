"""The gradients of scores for the rows that are scored, derived by hand.

With z = mu + exp(logvar / 2) ∘ e, e = 0 but where z is drawn, r the reconstruction and v = log q(z|x) − log p(z):

- d x = Jᵀ_mu d mu + Jᵀ_logvar d logvar + ∂r/∂x, where J are the encoder's derivatives, layer by layer from its end
- what comes from z: d mu = dz,  d logvar = ½ dz ∘ exp(logvar / 2) ∘ e
- the KL with a normal prior: d mu = mu,  d logvar = ½ (exp(logvar) − 1); with a mixture, the mean of v over K draws
- v: dz = −∂ log p(z) / ∂z,  d logvar = −½
- means over K draws: each counts 1/K; the importance-weighted bound: r + v of each counts by its normalised weight
- dz from d x̂ through the decoder; ∂r/∂x, where x is what is to be reconstructed:

  - ``mse`` and the squared error: d x̂ = 2 (x̂ − x),  ∂r/∂x = −d x̂
  - ``gaussian`` and ``diagonal_gaussian``: d x̂ = (x̂ − x) / σ²,  ∂r/∂x = −d x̂
  - ``bce`` on logits a: d a = σ(a) − x,  ∂r/∂x = −a
  - the absolute error: d x̂ = sign(x̂ − x),  ∂r/∂x = −d x̂
  - errors of x̂ = σ(a): d a = d x̂ ∘ x̂ (1 − x̂)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backends import weights as canonical
from backends.inference import RowFunction
from backends.reference import layers
from backends.reference.layers import Array, activate, backward
from backends.reference.network import Network

Draw = tuple[Array, Array]
"""An e, and what each row's draw with it counts, shape (rows, 1)."""


def slope(network: Network, function: RowFunction, parts: Sequence[float], x: Array) -> Array:
    """The gradient of a row-wise function's results, each times its part and added up; shape (rows, features)."""
    encoded, sums = climb(network, network.encoder, x)
    mu = network.apply(network.heads[0], encoded[-1])
    vae = network.spec.kind == "vae"
    logvar = network.apply(network.heads[1], encoded[-1]) if vae else np.zeros_like(mu)
    d_mu, d_logvar, d_x = np.zeros_like(mu), np.zeros_like(mu), np.zeros_like(x)

    def through(dz: Array, e: Array) -> None:
        nonlocal d_mu, d_logvar
        d_mu = d_mu + dz
        d_logvar = d_logvar + 0.5 * dz * np.exp(logvar / 2) * e

    def through_ratio(z: Array, e: Array, counts: Array) -> None:
        nonlocal d_logvar
        through(counts * network.prior_gradient(z, np.ones(len(z)), {}), e)
        d_logvar = d_logvar - 0.5 * counts

    for e, counts in draws(network, function, mu, logvar, x):
        z = network.sample(mu, logvar, e)
        dz, direct = decoded_slope(network, function, z, x)
        through(parts[0] * counts * dz, e)
        d_x = d_x + parts[0] * counts * direct
        if function == "importance_bound":
            through_ratio(z, e, counts)
    if vae and len(parts) > 1 and network.spec.prior != "normal":
        for e in network.scoring_noise:
            share = np.full((len(x), 1), parts[1] / len(network.scoring_noise))
            through_ratio(network.sample(mu, logvar, e), e, share)
    elif vae and len(parts) > 1:
        d_mu, d_logvar = d_mu + parts[1] * mu, d_logvar + parts[1] / 2 * (np.exp(logvar) - 1.0)
    d = descend(network, network.heads[0], encoded[-1], d_mu)
    if vae:
        d = d + descend(network, network.heads[1], encoded[-1], d_logvar)
    return d_x + fall(network, network.encoder, encoded, sums, d)


def draws(network: Network, function: RowFunction, mu: Array, logvar: Array, x: Array) -> list[Draw]:
    """Those that a row-wise function decodes."""
    if function not in ("expected_reconstruction", "importance_bound") or network.spec.kind == "autoencoder":
        return [(np.zeros_like(mu), np.ones((len(x), 1)))]
    noise = network.scoring_noise
    if function == "expected_reconstruction":
        return [(e, np.full((len(x), 1), 1.0 / len(noise))) for e in noise]
    places = [(network.sample(mu, logvar, e), e) for e in noise]
    terms = [network.reconstruction(network.decode(z), x) + network.log_ratio(z, logvar, e) for z, e in places]
    logs = -np.array(terms)
    counts = np.exp(logs - np.logaddexp.reduce(logs, axis=0))
    return [(e, count[:, None]) for e, count in zip(noise, counts, strict=True)]


def decoded_slope(network: Network, function: RowFunction, z: Array, x: Array) -> tuple[Array, Array]:
    """dz, and ∂r/∂x."""
    decoded, sums = climb(network, network.decoder, z)
    output = network.apply("output", decoded[-1])
    d, direct = output_slope(network, function, output, x)
    return fall(network, network.decoder, decoded, sums, descend(network, "output", decoded[-1], d)), direct


def output_slope(network: Network, function: RowFunction, output: Array, x: Array) -> tuple[Array, Array]:
    """d of the decoder's output, and ∂r/∂x."""
    likelihood, mean = network.spec.likelihood, network.mean(output)
    if function in ("squared_error", "absolute_error"):
        d = 2.0 * (mean - x) if function == "squared_error" else np.sign(mean - x)
        return (d * mean * (1.0 - mean) if likelihood == "bce" else d), -d
    if likelihood == "bce":
        return mean - x, -output
    scale: float | Array = 2.0
    if likelihood == "gaussian":
        scale = np.exp(-2.0 * network.arrays[canonical.LOG_SIGMA])
    elif likelihood == "diagonal_gaussian":
        scale = 1.0 / network.variances()
    return scale * (output - x), -scale * (output - x)


def climb(network: Network, names: Sequence[str], h: Array) -> tuple[list[Array], list[Array]]:
    """What goes into each of these layers, and out of the last; and each one's a."""
    sums, outputs = [], [h]
    for name in names:
        sums.append(network.apply(name, outputs[-1]))
        outputs.append(activate(network.spec.activation, sums[-1]))
    return outputs, sums


def fall(network: Network, names: Sequence[str], outputs: Sequence[Array], sums: Sequence[Array], d: Array) -> Array:
    """From the derivative for what comes out of the last of these layers, that for what goes into the first."""
    for name, h, a in reversed(list(zip(names, outputs, sums, strict=False))):
        d = descend(network, name, h, d * layers.slope(network.spec.activation, a))
    return d


def descend(network: Network, name: str, h: Array, da: Array) -> Array:
    return backward(network.layers[name], h, network.arrays[f"{name}.kernel"], da)[-1]
