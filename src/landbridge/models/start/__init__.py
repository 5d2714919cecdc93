"""Starts: they set the initial weights before the strategy runs, and report what was loaded."""

from landbridge.models.start.checkpoint import Checkpoint
from landbridge.models.start.loading import LoadReport
from landbridge.models.start.pretrained import Pretrained
from landbridge.models.start.source import Source
from landbridge.models.start.start import Scratch, Start

__all__ = ["Checkpoint", "LoadReport", "Pretrained", "Scratch", "Source", "Start"]
