"""Checks settings that act on labelled samples in training: augmentation and label smoothing."""

import logging

from omegaconf import DictConfig

from landbridge.data.transfer_streams import TransferStreams
from landbridge.errors import LandbridgeError
from landbridge.strategies.base import Strategy
from landbridge.strategies.closed_form import ClosedForm

log = logging.getLogger(__name__)


def require_labelled_settings(cfg: DictConfig, strategy: Strategy, streams: TransferStreams) -> None:
    """Refuse an augmentation that a strategy cannot use, and name settings that have no effect on it.

    They are not refused, because a comparison gives all its methods the same augmentation.

    Args:
        cfg: the checked configuration.
        strategy: the strategy that will be trained.
        streams: what it is trained on.

    Raises:
        LandbridgeError: inputs are no images, or something reads the one label of each sample, and mixed images have
            two.
    """
    augment, name = streams.augment, type(strategy).__name__
    if augment and streams.format.kind != "image":
        raise LandbridgeError(
            f"augment: {type(augment).__name__} changes images, but the backbone takes {streams.format.kind} inputs: "
            "set augment=none"
        )
    if augment and augment.mixes:
        readers = [] if strategy.requirements.takes_mixed_labels else [f"strategy {name}"]
        readers += [f"the term {each}" for each, term in strategy.terms.items() if not term.takes_mixed_labels]
        if readers:
            raise LandbridgeError(
                f"augment: {' and '.join(readers)} reads the one label of each sample, and an image that mixup or "
                "CutMix mixes has two: set augment.mixup=0 augment.cutmix=0"
            )
    if not streams.labelled or isinstance(strategy, ClosedForm) or not strategy.requirements.trains:
        where = "its source model only" if cfg.start._target_.endswith(".Source") else "nothing"
        for setting in ("augment", "label_smoothing"):
            if cfg.get(setting):
                log.warning("%s acts on %s: %s trains on no batches of labelled samples", setting, where, name)
