"""Other libraries' autoencoders beside ours: PyOD's VAE and AutoEncoder, set equal as far as their options allow.

What is left of a difference is told in ``peer``, which goes into the record. PyOD and PyTorch are imported by
``prepare`` alone, so that a suite can be checked without them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.metadata import version
from typing import Any, ClassVar, Self

import numpy as np

from backends.inference import CHUNK
from bench.detect.detector import Rows


class _PyOD(ABC):
    """What PyOD's networks have in common.

    Parameters
    ----------
    seed, threads : int
        PyOD's ``random_state``, and the threads of PyTorch.
    epochs, batch_size : int
    learning_rate : float
        Of Adam.
    hidden : sequence of int
        Widths of the encoder's layers; the decoder mirrors them.
    latent : int
    """

    requires: ClassVar[tuple[str, ...]]
    install: ClassVar[str] = "vaebench[peers]"
    differences: ClassVar[tuple[str, ...]]
    """What PyOD computes otherwise than ours, a sentence each, once its options are set equal."""
    defaults_off: ClassVar[str]

    def __init__(
        self,
        *,
        seed: int = 0,
        threads: int = 1,
        epochs: int = 30,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        hidden: tuple[int, ...] = (128, 64),
        latent: int = 8,
    ) -> None:
        if min(epochs, batch_size, latent, *hidden) < 1 or not hidden:
            raise ValueError("epochs, batch_size, latent and every width in hidden (at least one) must be positive")
        if learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, not {learning_rate}")
        self.seed, self.threads, self.epochs, self.batch_size = seed, threads, epochs, batch_size
        self.learning_rate, self.hidden, self.latent = learning_rate, list(hidden), latent
        self.notes = [f"PyOD was set equal to ours as far as its options allow: {self.defaults_off}"]

    @abstractmethod
    def _network(self, features: int) -> Any:
        """PyOD's detector, not built yet."""

    @property
    def peer(self) -> dict[str, Any]:
        """The library, its version, and what it computes otherwise than ours, a sentence each."""
        return {"library": "pyod", "version": version("pyod"), "differences": list(self.differences)}

    def prepare(self, X: Rows) -> None:
        """Does what PyOD's ``fit`` does before its first epoch, and compiles what it would compile in it."""
        import torch
        from pyod.utils.torch_utility import TorchDataset

        if len(X) < self.batch_size:
            raise ValueError(f"{len(X)} training rows do not fill one batch of {self.batch_size}")
        torch.set_num_threads(self.threads)
        X = np.asarray(X, dtype=np.float32)
        self.batches = torch.utils.data.DataLoader(
            TorchDataset(X), batch_size=self.batch_size, shuffle=True, drop_last=True
        )
        # one step and one score of a network that is thrown away: PyTorch's kernels are found, Numba's are compiled
        spare = self._built(X)
        first = torch.as_tensor(X[: self.batch_size])
        spare.training_forward(first)
        spare.evaluate([first])
        self.network = self._built(X)

    def fit(self, X: Rows) -> Self:
        """Trains all epochs. PyOD's ``fit`` also scores the training rows, for a threshold; that is not done here."""
        if not hasattr(self, "network"):
            self.prepare(X)
        self.network.train(self.batches)
        self.rows_per_fit = self.epochs * len(self.batches) * self.batch_size
        return self

    def decision_function(self, X: Rows) -> Rows:
        import torch

        # the VAE draws z when it scores: the same draws at every call, and none taken from training
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return np.asarray(self.network.decision_function(X, batch_size=CHUNK))

    def _built(self, X: Rows) -> Any:
        network = self._network(X.shape[1])
        network.data_num, network.feature_size = X.shape
        network.build_model()
        network.training_prepare()
        return network

    def _options(self) -> dict[str, Any]:
        return {
            "preprocessing": False,
            "lr": self.learning_rate,
            "epoch_num": self.epochs,
            "batch_size": self.batch_size,
            "optimizer_params": {},
            "dropout_rate": 0.0,
            "batch_norm": False,
            "device": "cpu",
            "random_state": self.seed,
            "verbose": 0,
        }


_WEIGHTS = "Weights start from a Kaiming-uniform draw and biases from a uniform one, not from Glorot-uniform and zero."
_LOSS = "The loss is ours divided by the number of features, so Adam's epsilon counts that many times as much."
_DISTANCE = "The score is the Euclidean distance, the root of our squared error."


class PyODVAE(_PyOD):
    """PyOD's variational autoencoder (optional extra), set equal to ours as far as its options allow.

    Its defaults clamp the KL to 0 and the log-variance to [-30, 20], drop a fifth of the units, decay the weights and
    scale the rows once more: all of that is off. Takes the base's parameters and ``beta``, the weight of the KL.
    """

    requires: ClassVar[tuple[str, ...]] = ("torch", "tqdm", "pyod.models.vae")
    differences: ClassVar[tuple[str, ...]] = (
        _WEIGHTS,
        _LOSS,
        "A row is scored by its reconstruction from a random draw of z, not from the mean; only here is it seeded.",
        _DISTANCE,
    )
    defaults_off: ClassVar[str] = (
        "its defaults would clamp the KL to 0, drop 20 % of the units, decay the weights and rescale the rows"
    )

    def __init__(
        self,
        *,
        seed: int = 0,
        threads: int = 1,
        epochs: int = 30,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        hidden: tuple[int, ...] = (128, 64),
        latent: int = 8,
        beta: float = 1.0,
    ) -> None:
        super().__init__(
            seed=seed,
            threads=threads,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            hidden=hidden,
            latent=latent,
        )
        if beta < 0:
            raise ValueError(f"beta must be 0 or more, not {beta}")
        self.beta = beta

    def _network(self, features: int) -> Any:
        from pyod.models.vae import VAE

        return VAE(
            **self._options(),
            encoder_neuron_list=self.hidden,
            decoder_neuron_list=self.hidden[::-1],
            latent_dim=self.latent,
            beta=self.beta / features,  # its reconstruction error is a mean over the features, ours their sum
            capacity=float("inf"),
            logvar_clip=None,
        )


class PyODAutoencoder(_PyOD):
    """PyOD's autoencoder (optional extra), set equal to ours as far as its options allow.

    Its defaults normalise batches, drop a fifth of the units, decay the weights and scale the rows once more: all of
    that is off. Takes the base's parameters.
    """

    requires: ClassVar[tuple[str, ...]] = ("torch", "tqdm", "pyod.models.auto_encoder")
    differences: ClassVar[tuple[str, ...]] = (
        _WEIGHTS,
        _LOSS,
        "The latent layer is followed by a ReLU; ours is linear.",
        _DISTANCE,
    )
    defaults_off: ClassVar[str] = (
        "its defaults would normalise batches, drop 20 % of the units, decay the weights and rescale the rows"
    )

    def _network(self, features: int) -> Any:
        from pyod.models.auto_encoder import AutoEncoder

        return AutoEncoder(**self._options(), hidden_neuron_list=[*self.hidden, self.latent])
