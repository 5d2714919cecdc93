"""Averages of the weights of several models."""
