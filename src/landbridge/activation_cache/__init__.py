"""Nothing is computed twice: a store of what frozen stages make of inputs, and of decoded images."""

from landbridge.activation_cache.activation_cache import ActivationCache
from landbridge.activation_cache.off import Cache, Off

__all__ = ["ActivationCache", "Cache", "Off"]
