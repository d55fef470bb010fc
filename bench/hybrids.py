"""What a contributed detector on top of a VAE derives from, under the name that such code imports."""

from bench.detect.hybrids import LatentHybrid

__all__ = ["LatentHybrid"]
