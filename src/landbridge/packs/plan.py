"""Which runs can train in one pack, and why others cannot. Only configurations are read."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Config = Mapping[str, Any]

#: Strategies whose only loss is the task's loss on labelled streams.
SUPERVISED = frozenset(
    f"landbridge.strategies.{name}" for name in ("LinearProbe", "SourceOnly", "TargetOnly", "Supervised")
)
#: Strategies that freeze the whole backbone, whatever the freezing policy is.
FREEZING = frozenset({"landbridge.strategies.LinearProbe"})
HEADS = frozenset(f"landbridge.heads.{name}" for name in ("Linear", "Cosine", "WeightNorm", "MLP"))
OPTIMIZERS = frozenset(f"torch.optim.{name}" for name in ("Adam", "AdamW", "SGD"))
LOGGERS = frozenset(f"pytorch_lightning.loggers.{name}" for name in ("CSVLogger", "TensorBoardLogger"))
#: Numbers of optimizers in which members may differ.
NUMBERS = frozenset({"lr", "weight_decay", "betas", "eps", "momentum", "dampening"})
#: Other settings of optimizers that a pack follows.
KNOWN = NUMBERS | {"_target_", "nesterov"}
#: Settings of the trainer that a pack follows, or that have no effect on a pack.
TRAINER = frozenset({
    "_target_", "accelerator", "max_epochs", "gradient_clip_val", "gradient_clip_algorithm",
    "enable_model_summary", "enable_progress_bar", "deterministic",
})  # fmt: skip
#: Settings of the trainer that must have one of these values.
SINGLE = {"devices": (1, "1"), "num_nodes": (1,), "strategy": ("auto",), "precision": ("32-true", 32, "32")}
#: Starts that load the same backbone for every seed.
SEEDLESS = ("landbridge.models.start.Pretrained", "landbridge.models.start.Checkpoint")
IDENTITY = "landbridge.models.backbones.small.Identity"


def reason_against(config: Config) -> str | None:
    """Return in a few words why a run cannot be in a pack; None if it can.

    Args:
        config: the resolved configuration of the run.
    """
    return next(_reasons(config), None)


def likeness(config: Config) -> str:
    """Return what must be equal, so that two runs can be in one pack: the configuration without what may differ.

    Members may differ in the seed, with its splits, in the numbers of the optimizer, and in the name. Whether there is
    momentum is no number, since it adds an operation. A backbone that depends on the seed ties members to one seed.

    Args:
        config: the resolved configuration of a run that `reason_against` allows.
    """
    alike = {name: node for name, node in config.items() if name not in ("name", "seed")}
    alike |= {role: _without_split(config.get(role)) for role in ("source", "target")}
    optimizer = config["optimizer"]
    alike["optimizer"] = {name: value for name, value in optimizer.items() if name not in NUMBERS}
    alike["momentum"] = bool(optimizer.get("momentum"))
    if config["start"]["_target_"] not in SEEDLESS and config["backbone"]["_target_"] != IDENTITY:
        alike["seed"] = config["seed"]
    return json.dumps(alike, sort_keys=True, default=str)


def _reasons(config: Config) -> Iterator[str]:
    strategy, head, optimizer = config["strategy"], config["head"], config["optimizer"]
    if strategy["_target_"] not in SUPERVISED:
        yield f"strategy {_name(strategy)} has other losses than that of the task"
    if strategy.get("terms") or config.get("terms"):
        yield "terms add other losses than that of the task"
    if strategy["_target_"] not in FREEZING and not _is_frozen(config["freeze"]):
        yield "stages of the backbone train (a pack needs freeze.depth=all)"
    if head["_target_"] not in HEADS:
        yield f"head {_name(head)} is none that a pack trains"
    for name in ("dropout", "batch_norm"):
        if head.get(name):
            yield f"head.{name} is set"
    if optimizer["_target_"] not in OPTIMIZERS:
        yield f"optimizer {_name(optimizer)} is none that a pack knows"
    for name, value in optimizer.items():
        if name not in KNOWN and value:
            yield f"optimizer.{name} is set"
    yield from _reasons_of_the_run(config)
    yield from _reasons_of_the_trainer(config["trainer"])


def _reasons_of_the_run(config: Config) -> Iterator[str]:
    cache, logger = config.get("cache") or {}, config.get("logger") or {}
    for group in ("averaging", "augment", "callbacks", "continues", "tuning"):
        if config.get(group):
            yield f"{group} is set"
    if not cache.get("_target_", "").endswith(".ActivationCache") or cache.get("views"):
        yield "cache=activations must serve the features"
    if logger and logger["_target_"] not in LOGGERS:
        yield f"logger {_name(logger)} takes one run a process"
    if config["selection"]["_target_"].endswith(".MixVal"):
        yield "selection MixVal runs the backbone"
    if config["data"].get("workers"):
        yield "data.workers is set"


def _reasons_of_the_trainer(trainer: Config) -> Iterator[str]:
    for name, value in trainer.items():
        if value is not None and name not in TRAINER and value not in SINGLE.get(name, ()):
            yield f"trainer.{name} is {value}"


def _is_frozen(freeze: Config) -> bool:
    return freeze["_target_"].endswith(".Depth") and freeze.get("depth") == "all"


def _name(node: Config) -> str:
    return node["_target_"].rpartition(".")[2]


def _without_split(node: Any) -> Any:
    """Return the configuration of a domain, or of a union of domains, without the seed of its splits."""
    if not isinstance(node, Mapping):
        return node
    return {name: _without_split(value) for name, value in node.items() if name != "split_seed"}


def groups(configs: Mapping[int, Config]) -> tuple[list[list[int]], dict[str, list[int]]]:
    """Divide runs into groups that fit in one pack, and others.

    Args:
        configs: resolved configurations by number.

    Returns:
        the numbers of each group, and the numbers of all others by the reason.
    """
    alike: dict[str, list[int]] = {}
    others: dict[str, list[int]] = {}
    for number, config in configs.items():
        reason = reason_against(config)
        members = alike.setdefault(likeness(config), []) if reason is None else others.setdefault(reason, [])
        members.append(number)
    return list(alike.values()), others
