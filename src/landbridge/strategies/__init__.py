"""Strategies: one short file per method, each a LightningModule with the streams it needs and its loss."""

from landbridge.strategies.base import Strategy
from landbridge.strategies.dann import DANN
from landbridge.strategies.output import Output
from landbridge.strategies.supervised import SourceOnly, TargetOnly

__all__ = ["DANN", "Output", "SourceOnly", "Strategy", "TargetOnly"]
