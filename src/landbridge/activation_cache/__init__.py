"""A cache on disk of the activations of frozen stages and of decoded images, so that nothing is computed twice."""

from landbridge.activation_cache.activation_cache import ActivationCache
from landbridge.activation_cache.off import Cache, Off

__all__ = ["ActivationCache", "Cache", "Off"]
