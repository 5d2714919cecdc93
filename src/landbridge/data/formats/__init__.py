"""Formats: what an input is, how raw samples become tensors, and what a backbone wants them rendered to."""

from landbridge.data.formats.format import Format
from landbridge.data.formats.image import ImageFormat
from landbridge.data.formats.text import TextFormat
from landbridge.data.formats.vector import VectorFormat

__all__ = ["Format", "ImageFormat", "TextFormat", "VectorFormat"]
