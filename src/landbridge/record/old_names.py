"""Names of modules and classes that have changed, so that older records can still be read."""

from typing import Any

from landbridge.record.identity import NEUTRAL

#: Old dotted names and their new ones. Names of modules apply to everything inside them.
RENAMED = {
    "landbridge.averaging": "landbridge.training.averaging",
    "landbridge.backbones.pretrained": "landbridge.models.backbones.timm_models",
    "landbridge.backbones": "landbridge.models.backbones",
    "landbridge.cache.Activations": "landbridge.activation_cache.ActivationCache",
    "landbridge.cache": "landbridge.activation_cache",
    "landbridge.data.altered": "landbridge.data.sources.altered",
    "landbridge.data.digits": "landbridge.data.sources.digits",
    "landbridge.data.image_folder": "landbridge.data.sources.image_folder",
    "landbridge.data.rendered_digits": "landbridge.data.sources.rendered_digits",
    "landbridge.data.torchvision_domains": "landbridge.data.sources.torchvision_datasets",
    "landbridge.data.vectors": "landbridge.data.sources.vectors",
    "landbridge.freezing": "landbridge.training.freezing",
    "landbridge.schedules": "landbridge.training.schedules",
    "landbridge.start": "landbridge.models.start",
    "landbridge.tuning": "landbridge.models.tuning",
}

#: Strategies that were classes of their own and now are a strategy with an auxiliary loss. For each old class: the
#: strategy, the term, settings of the term that were fixed in the class or had another default, and new names of the
#: class's settings. The old loss of BNM was smaller by a factor that depends on the batch; its weight stays as it is.
NOW_TERMS: dict[str, tuple[str, str, dict[str, Any], dict[str, str]]] = {
    "BNM": ("Supervised", "bnm", {}, {}),
    "BSP": ("DANN", "bsp", {}, {"spectral_weight": "weight", "k": "k"}),
    "BSS": ("TargetOnly", "bss", {}, {}),
    "DAN": ("Supervised", "mmd", {"estimator": "unbiased"}, {}),
    "DeepCORAL": ("Supervised", "coral", {}, {}),
    "DeepJDOT": ("Supervised", "deepjdot", {"alpha": 0.01, "label_weight": 1.0, "plan": "cross_entropy"}, {}),
    "EntropyMinimisation": ("Supervised", "entropy", {"ramp": "dann"}, {}),
    "JAN": ("Supervised", "joint_mmd", {"estimator": "linear"}, {}),
    "L2SP": ("TargetOnly", "l2_sp", {"beta": 0.01}, {"alpha": "weight"}),
    "MCC": ("Supervised", "mcc", {"ramp": "dann"}, {}),
    "PseudoLabel": ("Supervised", "pseudo_label", {"ramp": "dann"}, {}),
    "SAFN": ("Supervised", "safn", {}, {}),
    "SWD": ("Supervised", "swd", {"class_weight": 1.0, "ramp": "dann"}, {}),
}
#: Settings that every strategy has. They stay settings of the strategy.
OF_ALL = ("gather", "backbone_lr_scale", "layer_decay")

#: Losses in the rows of epochs that had another name. The loss on labels is no classification for every task.
LOSSES = {
    "classify": "supervised",
    "classify_second": "supervised_second",
    "classify_strong": "supervised_strong",
}


def with_new_losses(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of epochs with the present names of their losses."""
    return [
        row | {"losses": {LOSSES.get(name, name): value for name, value in row["losses"].items()}} for row in epochs
    ]


def new_name(dotted: str) -> str:
    """Return the present form of a dotted name.

    Example:
        `landbridge.freezing.Depth` becomes `landbridge.training.freezing.Depth`. `torch.optim.Adam` stays the same.
    """
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        if renamed := RENAMED.get(".".join(parts[:length])):
            return ".".join([renamed, *parts[length:]])
    return dotted


def _as_term(node: dict[str, Any]) -> dict[str, Any]:
    """Convert the node of a strategy that is a term now; return other nodes unchanged."""
    package, _, name = str(node.get("_target_", "")).rpartition(".")
    if package != "landbridge.strategies" or name not in NOW_TERMS:
        return node
    strategy, term, without_saying, renamed = NOW_TERMS[name]
    # Settings of the old class belong to the term, except for those of every strategy. BSP is different: DANN has
    # settings of its own, and only the renamed ones belong to the term.
    is_of_term = (lambda key: key in renamed) if name == "BSP" else (lambda key: key not in (*OF_ALL, "_target_"))
    own = {renamed.get(key, key): value for key, value in node.items() if is_of_term(key)}
    kept = {key: value for key, value in node.items() if key != "_target_" and not is_of_term(key)}
    return {"_target_": f"{package}.{strategy}", **kept, "terms": {term: {**without_saying, **own}}}


#: Strategies that augmented labelled images before there was a setting for it.
AUGMENTED = ("AdaMatch", "BiTuning", "FixMatch")


def with_new_entries(config: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved configuration of a run with the entries that older versions did not have."""
    if "strategy" not in config:
        return config
    strategy = str((config["strategy"] or {}).get("_target_", "")).rpartition(".")[2]
    weak = {"_target_": "landbridge.data.augment_policies.Weak"} if strategy in AUGMENTED else None
    return NEUTRAL | {"augment": weak} | config


def with_new_names(config: Any) -> Any:
    """Return a resolved configuration with the new names in every `_target_`."""
    if isinstance(config, dict):
        config = _as_term(config)
        return {
            key: new_name(value) if key == "_target_" and isinstance(value, str) else with_new_names(value)
            for key, value in config.items()
        }
    return [with_new_names(item) for item in config] if isinstance(config, list) else config
