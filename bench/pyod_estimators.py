"""Our networks by PyOD's conventions, under the name that scripts import."""

from bench.keep.pyod import VAE, Autoencoder

__all__ = ["VAE", "Autoencoder"]
