"""Our networks by scikit-learn's conventions, under the name that scripts import."""

from bench.keep.estimators import AutoencoderDetector, Network, VAEDetector

__all__ = ["AutoencoderDetector", "Network", "VAEDetector"]
