"""What is to be built and how it is to be trained: plain values that every backend reads the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["vae", "autoencoder"]
Likelihood = Literal["mse", "bce"]
Precision = Literal["float32", "float64"]
Device = Literal["cpu", "gpu"]
RandomSource = Literal["native", "shared"]
Score = Literal["reconstruction", "elbo", "mae", "reconstruction_probability"]

SCORES: tuple[Score, ...] = get_args(Score)


@dataclass(frozen=True)
class NetworkSpec:
    """The dense network: features - hidden - latent - mirrored hidden - features.

    Attributes
    ----------
    features : int
        Columns of the input.
    hidden : tuple of int
        Widths of the encoder's hidden layers, input side first; the decoder mirrors them. May be empty.
    latent : int
        Dimensions of the latent space.
    kind : ``vae`` (two linear heads, mu and logvar) or ``autoencoder`` (one linear head, no noise, no KL)
    likelihood : ``mse`` (sum of squared errors) or ``bce`` (binary cross-entropy on logits, inputs in [0, 1])
    """

    features: int
    hidden: tuple[int, ...] = (128, 64)
    latent: int = 8
    kind: Kind = "vae"
    likelihood: Likelihood = "mse"

    def __post_init__(self) -> None:
        widths = (self.features, *self.hidden, self.latent)
        if any(not isinstance(width, int) or width < 1 for width in widths):
            raise ValueError(f"layer widths must be positive integers, not {widths}")
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {get_args(Kind)}, not {self.kind!r}")
        if self.likelihood not in get_args(Likelihood):
            raise ValueError(f"likelihood must be one of {get_args(Likelihood)}, not {self.likelihood!r}")


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained and where.

    Attributes
    ----------
    batch_size : int
        Rows a step; an epoch drops its last partial batch.
    learning_rate, beta1, beta2, epsilon : float
        Adam as in its paper, with ``epsilon`` outside the root (Kingma and Ba 2015, algorithm 1).
    beta : float
        Weight of the KL term.
    kl_warmup_epochs : int
        Epochs over which the weight rises linearly from 0; 0 means ``beta`` from the start.
    seed : int
        Key of the batch order and the noise, below 2**32, the largest range that all frameworks take.
    random_source : ``native`` (the framework's own generator) or ``shared`` (NumPy Philox, the same in every backend)
    mode, device, precision
        How the backend executes, where, and in which arithmetic.
    threads : int or None
        What the process was started with; the environment sets it, a backend only confirms it.
    """

    batch_size: int = 128
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    beta: float = 1.0
    kl_warmup_epochs: int = 0
    seed: int = 0
    random_source: RandomSource = "native"
    mode: str = "idiomatic"
    device: Device = "cpu"
    precision: Precision = "float32"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, holds, rule in (
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("learning_rate", self.learning_rate > 0, "positive"),
            ("beta1", 0 <= self.beta1 < 1, "in [0, 1)"),
            ("beta2", 0 <= self.beta2 < 1, "in [0, 1)"),
            ("epsilon", self.epsilon > 0, "positive"),
            ("beta", self.beta >= 0, "0 or more"),
            ("kl_warmup_epochs", self.kl_warmup_epochs >= 0, "0 or more"),
            ("seed", 0 <= self.seed < 2**32, "in [0, 2**32)"),
        ):
            if not holds:
                raise ValueError(f"{name} must be {rule}, not {getattr(self, name)}")

    def kl_weight(self, epoch: int) -> float:
        """β_t = β · min(1, epoch / kl_warmup_epochs), epochs counted from 0; no warm-up means β from the start."""
        if self.kl_warmup_epochs == 0:
            return self.beta
        return self.beta * min(1.0, epoch / self.kl_warmup_epochs)
