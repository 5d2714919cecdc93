"""From a configuration node to the object it names: the only place where configuration becomes code.

Every group of `conf/` has a slot here, which says what its `_target_` must be and which arguments `run` supplies.
`check` reads the slots to find mistakes before anything is built.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt
from hydra.utils import instantiate
from omegaconf import DictConfig
from pydantic import AfterValidator

from landbridge.strategies.terms import TermSettings


@dataclass(frozen=True)
class Slot:
    """What a configuration group must name.

    Attributes:
        expects: dotted name of the class that the target is, returns or derives from.
        supplied: constructor arguments that `run` provides, and that a configuration therefore must not set. A
            backbone that has no use for the `shape` of a raw sample need not take it.
    """

    expects: str
    supplied: frozenset[str] = frozenset()


SLOTS: Mapping[str, Slot] = {
    "source": Slot("landbridge.data.domain.Domain"),
    "target": Slot("landbridge.data.domain.Domain"),
    "data": Slot(
        "landbridge.data.transfer.TransferData",
        frozenset({"source", "target", "streams", "target_labels", "input", "seed"}),
    ),
    "backbone": Slot("landbridge.backbones.backbone.Backbone", frozenset({"shape"})),
    "start": Slot("landbridge.start.Start"),
    "strategy": Slot(
        "landbridge.strategies.base.Strategy",
        frozenset({"network", "freeze", "optimizer", "schedule", "steps", "terms"}),
    ),
    "tuning": Slot("landbridge.tuning.Tuning"),
    "freeze": Slot("landbridge.freezing.Freezing", frozenset({"epochs"})),
    "optimizer": Slot("torch.optim.Optimizer", frozenset({"params"})),
    "scheduler": Slot("landbridge.schedules.Schedule"),
    "averaging": Slot("landbridge.averaging.Averaging"),
    "selection": Slot("landbridge.selection.rule.Rule"),
    "trainer": Slot(
        "pytorch_lightning.Trainer",
        # Loggers, checkpoints and sharding are landbridge's own business. An epoch has a planned number of steps and
        # ends with a validation: progress and selection rest on both.
        frozenset(
            {
                *("logger", "callbacks", "default_root_dir", "use_distributed_sampler", "log_every_n_steps"),
                *("enable_checkpointing", "barebones", "inference_mode", "num_sanity_val_steps"),
                *("max_steps", "min_steps", "min_epochs", "max_time", "fast_dev_run", "overfit_batches"),
                *("limit_train_batches", "limit_val_batches", "limit_predict_batches"),
                *("check_val_every_n_epoch", "val_check_interval", "reload_dataloaders_every_n_epochs"),
            }
        ),
    ),
    "cache": Slot("landbridge.cache.Cache"),
    "logger": Slot("pytorch_lightning.loggers.Logger", frozenset({"save_dir"})),
}


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w .+=-]*", name):
        raise ValueError(
            f"{name!r} cannot name a folder: a letter or digit, then letters, digits, spaces and _ . + = -"
        )
    return name


# The root facts of `train.yaml` that are plain values, with what they may be.
FACTS: Mapping[str, Any] = {
    "name": Annotated[str, AfterValidator(_folder_name)],
    "seed": Annotated[int, Ge(0), Lt(2**32)],
    "target_labels": Annotated[int, Ge(0)] | Literal["all"],
    "transductive": bool,
    "terms": TermSettings | None,
    "checkpoint_every": Annotated[float, Ge(0)],
}


def factory(node: DictConfig | Mapping[str, Any]) -> Callable[..., Any]:
    """Return what a checked node names as a callable that holds the node's settings and waits for the rest.

    Args:
        node: a mapping with `_target_`. Its settings arrive as plain Python values, never as OmegaConf objects.
    """
    return instantiate(node, _convert_="all", _partial_=True)


def build(node: DictConfig | Mapping[str, Any], **supplied: Any) -> Any:
    """Build what a checked node names.

    Args:
        node: a mapping with `_target_`.
        **supplied: what `run` provides beside the node's settings. It is passed on as it is; Hydra would copy it.
    """
    return factory(node)(**supplied)
