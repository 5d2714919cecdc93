"""Strategies with a discriminator or classifier that is trained against the encoder."""
