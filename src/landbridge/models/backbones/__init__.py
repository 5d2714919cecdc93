"""Encoders that are divided into ordered stages, and the sources of their pretrained weights."""
