"""Nothing is computed twice: a store of what frozen stages make of inputs, and of decoded images."""

from landbridge.cache.activations import Activations
from landbridge.cache.off import Cache, Off

__all__ = ["Activations", "Cache", "Off"]
