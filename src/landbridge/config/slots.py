"""The config groups: what their targets must be, and their values in the run that trains a source model.

Nothing here imports torch, so that misspelt settings are named at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

Positive = Annotated[float, Gt(0)]
#: More epochs than this are a slip of the keyboard. Their plan alone would take hours.
Epochs = Annotated[int, Le(10**6)]
#: The run that trains a source model has the same value as the run that needs this source model.
SAME = object()


@dataclass(frozen=True)
class Slot:
    """The requirements of a configuration group.

    Attributes:
        expects: dotted name of a class. The target must be this class, derive from it or return an instance of it.
        supplied: constructor arguments that a run provides, so that a configuration must not set them. The `shape` of a
            raw sample is passed only to backbones that take it.
        optional: whether the group may be null or absent.
        several: whether the group holds any number of nodes, by name or as a list.
        in_source_model: its value in the run that trains a source model for `start=source`.
        ranges: settings of libraries whose annotations allow values that fail later, with narrower types.
    """

    expects: str
    supplied: frozenset[str] = frozenset()
    optional: bool = False
    several: bool = False
    in_source_model: Any = SAME
    ranges: Mapping[str, Any] = field(default_factory=dict)


SLOTS: Mapping[str, Slot] = {
    # For these four, `source_model` derives the value from the run that needs the source model.
    "source": Slot("landbridge.data.domain.Domain", optional=True),
    "target": Slot("landbridge.data.domain.Domain"),
    "start": Slot("landbridge.models.start.Start"),
    "strategy": Slot(
        "landbridge.strategies.base.Strategy",
        frozenset({"network", "task", "source_task", "freeze", "optimizer", "schedule", "steps", "trains_head"}),
    ),
    "data": Slot("landbridge.data.transfer.TransferData", frozenset({"streams", "processes", "reading_epochs"})),
    "task": Slot("landbridge.tasks.TaskSettings"),
    "backbone": Slot("landbridge.models.backbones.backbone.Backbone", frozenset({"shape"})),
    "bottleneck": Slot("landbridge.models.bottleneck.Bottleneck", frozenset({"features"}), optional=True),
    "head": Slot("torch.nn.Module", frozenset({"features", "outputs"})),
    "tuning": Slot("landbridge.models.tuning.Tuning", optional=True, in_source_model=None),
    "freeze": Slot(
        "landbridge.training.freezing.Freezing",
        frozenset({"epochs"}),
        # That of the run itself, if `source_model.follows_freezing`.
        in_source_model={"_target_": "landbridge.training.freezing.Depth"},
    ),
    "optimizer": Slot("torch.optim.Optimizer", frozenset({"params"})),
    "scheduler": Slot("landbridge.training.schedules.Schedule"),
    "averaging": Slot("landbridge.training.averaging.Averaging", optional=True, in_source_model=None),
    # The source model sees the same images as the methods that it is compared with.
    "augment": Slot("landbridge.data.augment_policies.Augment", optional=True),
    "selection": Slot("landbridge.selection.rule.Rule", in_source_model={"_target_": "landbridge.selection.Last"}),
    "trainer": Slot(
        "pytorch_lightning.Trainer",
        # Landbridge provides loggers, checkpoints and samplers itself. The training progress and the selection of an
        # epoch need epochs with a planned number of steps and a validation at their end.
        frozenset(
            {
                *("logger", "callbacks", "default_root_dir", "use_distributed_sampler", "log_every_n_steps"),
                *("enable_checkpointing", "barebones", "inference_mode", "num_sanity_val_steps"),
                *("max_steps", "min_steps", "min_epochs", "max_time", "fast_dev_run", "overfit_batches"),
                *("limit_train_batches", "limit_val_batches", "limit_predict_batches"),
                *("check_val_every_n_epoch", "val_check_interval", "reload_dataloaders_every_n_epochs"),
            }
        ),
        ranges={
            "accumulate_grad_batches": Annotated[int, Ge(1)],
            "gradient_clip_val": Positive | None,
            "num_nodes": Annotated[int, Ge(1)],
            "max_epochs": Epochs | None,
        },
    ),
    "callbacks": Slot("pytorch_lightning.Callback", optional=True, several=True, in_source_model=None),
    "cache": Slot("landbridge.activation_cache.Cache"),
    "logger": Slot(
        "pytorch_lightning.loggers.Logger",
        frozenset({"save_dir"}),
        optional=True,
        in_source_model=None,
        ranges={"flush_logs_every_n_steps": Annotated[int, Ge(1)]},
    ),
}
