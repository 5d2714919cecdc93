"""Decide which parameters train in which epoch and at which learning rates, and measure network statistics."""
