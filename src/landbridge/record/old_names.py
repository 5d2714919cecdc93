"""Names of modules and classes that have changed, so that older records are still understood."""

from typing import Any

#: Old dotted names and their new ones: of modules, with all that is in them, and of single classes.
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

#: Strategies that were classes of their own and are a term beside another strategy now: that strategy, the term, the
#: settings that the class had without saying so, and the settings that were called otherwise.
NOW_TERMS: dict[str, tuple[str, str, dict[str, Any], dict[str, str]]] = {
    "BNM": ("Supervised", "bnm", {}, {}),
    "BSP": ("DANN", "bsp", {}, {"spectral_weight": "weight", "k": "k"}),
    "BSS": ("TargetOnly", "bss", {}, {}),
    "DAN": ("Supervised", "mmd", {"estimator": "unbiased"}, {}),
    "DeepCORAL": ("Supervised", "coral", {}, {}),
    "DeepJDOT": ("Supervised", "deepjdot", {}, {}),
    "EntropyMinimisation": ("Supervised", "entropy", {"ramp": "dann"}, {}),
    "JAN": ("Supervised", "joint_mmd", {}, {}),
    "L2SP": ("TargetOnly", "l2_sp", {"beta": 0.01}, {"alpha": "weight"}),
    "MCC": ("Supervised", "mcc", {"ramp": "dann"}, {}),
    "PseudoLabel": ("Supervised", "pseudo_label", {"ramp": "dann"}, {}),
    "SAFN": ("Supervised", "safn", {}, {}),
    "SWD": ("Supervised", "swd", {"class_weight": 1.0, "ramp": "dann"}, {}),
}
#: Settings of every strategy, which stay with it.
OF_ALL = ("gather", "backbone_lr_scale", "layer_decay")


def new_name(dotted: str) -> str:
    """Return what a dotted name is called now.

    Example:
        `landbridge.freezing.Depth` is `landbridge.training.freezing.Depth`; a name that has not changed stays.
    """
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        if renamed := RENAMED.get(".".join(parts[:length])):
            return ".".join([renamed, *parts[length:]])
    return dotted


def _as_term(node: dict[str, Any]) -> dict[str, Any]:
    """Write the node of a strategy that has become a term as it is written now; leave others alone."""
    package, _, name = str(node.get("_target_", "")).rpartition(".")
    if package != "landbridge.strategies" or name not in NOW_TERMS:
        return node
    strategy, term, without_saying, renamed = NOW_TERMS[name]
    # What a term's strategy does not know is a setting of the term, unless only some are.
    is_of_term = (lambda key: key in renamed) if name == "BSP" else (lambda key: key not in (*OF_ALL, "_target_"))
    own = {renamed.get(key, key): value for key, value in node.items() if is_of_term(key)}
    kept = {key: value for key, value in node.items() if key != "_target_" and not is_of_term(key)}
    return {"_target_": f"{package}.{strategy}", **kept, "terms": {term: {**without_saying, **own}}}


def with_new_names(config: Any) -> Any:
    """Return a resolved configuration whose `_target_`s have their new names."""
    if isinstance(config, dict):
        config = _as_term(config)
        return {
            key: new_name(value) if key == "_target_" and isinstance(value, str) else with_new_names(value)
            for key, value in config.items()
        }
    return [with_new_names(item) for item in config] if isinstance(config, list) else config
