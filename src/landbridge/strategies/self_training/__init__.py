"""Strategies that train on the model's own predictions."""
