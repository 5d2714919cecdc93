"""Derives the configuration of the run that trains a source model from the run that needs this model."""

from typing import Any, cast

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from landbridge.config.defaults import with_defaults
from landbridge.config.facts import FACTS
from landbridge.config.slots import SAME, SLOTS
from landbridge.models.start.start import SourceModel


def initial_weights(cfg: DictConfig) -> str:
    """Return what the source model itself starts from, `scratch` or `pretrained`.

    If `start.before` is not set, it is `pretrained` for a backbone whose configuration names weights.
    """
    named = cfg.backbone.get("weights") or cfg.backbone.get("folder")
    return cfg.start.get("before") or ("pretrained" if named else "scratch")


def follows_freezing(cfg: DictConfig) -> bool:
    """Return whether the source model trains only the stages that the run trains.

    A strategy that adapts a source model without target labels is compared with `source_only` at the same freezing.
    This reference trains on the source with that freezing, so the source model must do the same: otherwise the two
    would differ in their model, not only in the adaptation. For every other strategy `freeze` is about the run itself,
    and all stages of the source model train.
    """
    requirements = cast(Any, get_class(cfg.strategy._target_)).requirements
    reads_labels = bool(cfg.target_labels) and "target" in requirements.all_streams
    return requirements.source_model and not reads_labels and "freeze" not in requirements.ignored_groups


def source_model(cfg: DictConfig, epochs: int | None = None) -> SourceModel:
    """Return a supervised run on all labels of the source.

    Data settings, backbone, optimizer, schedule, trainer, cache and seed are those of `cfg`. Every other entry has the
    value in `in_source_model` of its slot. The freezing is that of `cfg` if the run follows it; see `follows_freezing`.

    Args:
        cfg: configuration of a run with `start=source`.
        epochs: how long it trains if `start.max_epochs` is not set; None: as long as the run.
    """
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    # The head of a source model is new, so it must train.
    freeze = {name: value for name, value in config["freeze"].items() if name != "head"}
    config |= {
        name: each.in_source_model for name, each in {**SLOTS, **FACTS}.items() if each.in_source_model is not SAME
    }
    follows = {"depth": 0, **freeze} != {"depth": 0, **config["freeze"]} and follows_freezing(cfg)
    if follows:
        config["freeze"] = freeze
    strategy = cast(Any, get_class(cfg.strategy._target_))
    start = config["start"]
    before = initial_weights(cfg)
    config |= {
        "target": config["source"],
        "source": None,
        "strategy": {"_target_": strategy.requirements.source_strategy},
        "start": {"_target_": f"landbridge.models.start.{before.capitalize()}"},
    }
    if not start.get("augment", True):
        config["augment"] = None
    config["cache"].pop("views", None)
    # It reads labelled samples alone.
    config["data"].pop("unlabelled_batch_size", None)
    # "auto" makes no process group. A group of one process would remain, and the run itself might need a larger one.
    config["trainer"].update(devices=1, strategy="auto")
    for setting in ("num_nodes", "sync_batchnorm"):
        config["trainer"].pop(setting, None)
    if planned := start.get("max_epochs") or epochs:
        config["trainer"]["max_epochs"] = planned
    return SourceModel(cast(DictConfig, OmegaConf.create(config)), with_defaults(config), follows)
