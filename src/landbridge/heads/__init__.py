"""Heads: what turns the features of a backbone into the outputs of a task."""

from landbridge.heads.heads import MLP, Cosine, Linear, WeightNorm, require_linear

__all__ = ["MLP", "Cosine", "Linear", "WeightNorm", "require_linear"]
