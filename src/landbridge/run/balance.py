"""Refuses settings against class imbalance where they mean nothing."""

from collections.abc import Mapping, Set

import torch
from omegaconf import DictConfig

from landbridge.errors import LandbridgeError
from landbridge.strategies.requirements import Requirements
from landbridge.tasks import Task, classes_of

#: The settings against class imbalance, and what a strategy needs for each.
BALANCING = {
    "task.class_weights": "minimises no loss on labelled samples",
    "data.sampler": "trains on no batches of labelled samples",
}


def require_balance(
    cfg: DictConfig,
    requirements: Requirements,
    streams: Set[str],
    tasks: Mapping[str, Task],
    trains_source_model: bool,
    choice: str,
) -> None:
    """Refuse `task.class_weights=balanced` and `data.sampler=balanced` where they have no effect.

    Args:
        cfg: the checked configuration.
        requirements: of the strategy.
        streams: names of the training streams.
        tasks: by role, that of the target, and that of the source if it differs.
        trains_source_model: whether the start trains a source model, with the same settings.
        choice: the name of the strategy, for messages.

    Raises:
        LandbridgeError: samples do not have one class each, or the strategy does not use the setting.
    """
    for setting, lacking in BALANCING.items():
        group, _, key = setting.partition(".")
        if cfg[group].get(key) != "balanced":
            continue
        for role, task in tasks.items():
            classes_of(task, torch.empty(0), f"{setting}=balanced", role)
        used = setting in requirements.balancing and streams & {"source", "target"}
        if not used and not trains_source_model:
            raise LandbridgeError(f"{setting}=balanced has no effect: strategy {choice} {lacking}; leave it out")
