"""Discriminators and classifiers that play against the encoder."""
