"""The golden copy: the autoencoder in NumPy float64, gradients derived by hand, to be read beside the formulas.

It is no benchmarked backend, so it is not registered; its randomness is always the ``shared`` source.

For one batch of B rows, with h the layers' outputs and 1 the indicator:

- the encoder's h is x + s η, and x itself is what all else means by x
- dense: a = h W + b;  dW = hᵀ da,  db = Σ_rows da,  dh = da Wᵀ
- convolution: a = gather(h) W + b, where gather lays out each output pixel's window;  dW = gather(h)ᵀ da,
  dh = scatter(da Wᵀ), where scatter, gather's adjoint, adds each window's values up where they came from
- transposed: a = scatter(h W) + b;  dW = hᵀ gather(da),  dh = gather(da) Wᵀ
- activation f and dropout: h' = f(a) ∘ mask / (1 − p);  da = d' ∘ f'(a) ∘ mask / (1 − p); ``layers`` has the seven f
- heads: mu = h W_mu + b_mu, logvar = h W_lv + b_lv, z = mu + exp(logvar / 2) ∘ ε
- loss = 1/B Σ_rows [ reconstruction + β_t · KL ]
- ``mse``: reconstruction = Σ (x̂ − x)², d x̂ = 2 (x̂ − x) / B
- ``bce`` on logits a: reconstruction = Σ max(a, 0) − a x + log(1 + exp(−|a|)), d a = (σ(a) − x) / B
- ``gaussian`` of D features: σ² = 1/(B D) Σ_rows Σ (x̂ − x)² + e⁻¹², mean reconstruction = D (log σ + h) with
  h = ½ log 2πe, d x̂ = D/(2 σ²) · dσ²/dx̂ = (x̂ − x) / (σ² B); after an epoch, log σ is the mean over its batches
- ``diagonal_gaussian``: v = exp(s) + e⁻¹², reconstruction = ½ Σ [ (x̂ − x)² / v + log v + log 2π ],
  d x̂ = (x̂ − x) / (v B),  ds = 1/B Σ_rows ½ exp(s) (1 / v − (x̂ − x)² / v²)
- KL = −½ Σ (1 + logvar − mu² − exp(logvar))
- d mu = dz + β_t mu / B,  d logvar = ½ dz ∘ exp(logvar / 2) ∘ ε + ½ β_t (exp(logvar) − 1) / B
- k draws, z_i = mu + exp(logvar / 2) ∘ ε_i, R_i the reconstruction from z_i and D_i = log q(z_i|x) − log p(z_i)
  = ½ Σ (z_i² − ε_i² − logvar):  loss = 1/B Σ_rows [ log k − log Σ_i exp(−R_i − β_t D_i) ];  with w_i the draws' weights
  exp(−R_i − β_t D_i) divided by their sum, d R_i = w_i / B,  dz_i gains β_t w_i z_i / B,  d mu = Σ_i dz_i,
  d logvar = Σ_i ½ dz_i ∘ exp(logvar / 2) ∘ ε_i − ½ β_t / B;  KL is told as Σ_i w_i D_i, and reconstruction as the rest
- mixture prior, K components of shares π = softmax(a), means m_j and variances v_j = exp(s_j):
  log p(z) = log Σ_j π_j N(z; m_j, v_j),  D = log q(z|x) − log p(z) with log q(z|x) = −½ Σ (ε² + logvar + log 2π), which
  stands for the KL where k = 1 too;  with r_j component j's share of p(z):  d log p / dz = Σ_j r_j (m_j − z) / v_j,
  d log p / dm_j = r_j (z − m_j) / v_j,  d log p / ds_j = ½ r_j ((z − m_j)² / v_j − 1),  d log p / da_j = r_j − π_j
- ``vamp`` prior: the same with m_j = mu(u_j), s_j = logvar(u_j) and π_j = 1/K, without dropout and noise; d m_j and
  d s_j go back through the heads and the encoder as d mu and d logvar do, add to the gradients of their weights, and
  end as du_j, dh of the first layer
- free bits λ: mean KL = Σ_j max(λ, KL_j), KL_j the mean over rows of a unit's part;  for the units whose KL_j is not
  above λ, β_t counts as 0 in both lines
"""

from __future__ import annotations

import platform

import numpy as np

from backends import weights as canonical
from backends.interface import Capabilities, Weights
from backends.reference.layers import forward
from backends.reference.model import ReferenceModel
from backends.reference.network import Network
from backends.reference.optimizers import Optimizer
from backends.spec import NetworkSpec, TrainingSettings

__all__ = ["Network", "Optimizer", "ReferenceModel", "build", "capabilities", "forward"]

MODES = ("idiomatic",)


def capabilities() -> Capabilities:
    """NumPy on the CPU, in float64."""
    return Capabilities(
        versions={"numpy": np.__version__},
        devices={"cpu": platform.machine()},
        precisions=("float64",),
        modes=MODES,
        threads=None,
        reasons={"gpu": "the reference runs in NumPy", "float32": "the reference is float64"},
    )


def build(spec: NetworkSpec, weights: Weights, settings: TrainingSettings) -> ReferenceModel:
    """The reference model, starting from these weights. Raises BackendError for what it does not do."""
    capabilities().check(settings)
    canonical.check(weights, spec)
    return ReferenceModel(spec, weights, settings)
