"""Encoders cut into ordered stages, and where their pretrained weights come from."""
