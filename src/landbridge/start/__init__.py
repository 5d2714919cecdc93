"""Where the weights come from before the strategy runs, and a report of what was loaded."""

from landbridge.start.loading import LoadReport
from landbridge.start.source import Source
from landbridge.start.start import Scratch, Start
from landbridge.start.weights import Checkpoint, Pretrained

__all__ = ["Checkpoint", "LoadReport", "Pretrained", "Scratch", "Source", "Start"]
