"""A hash of everything that determines a run's result."""

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

# Parts of the configuration that change where and how fast a run happens, but not its result.
INCIDENTAL: Mapping[str, tuple[str, ...]] = {
    "": ("name", "logger", "checkpoint_every", "continues"),
    "cache": ("_target_", "path", "size"),
    "trainer": ("accelerator", "enable_progress_bar", "enable_model_summary", "profiler"),
    "data": ("workers", "eval_batch_size"),
    # There is one class of task settings. So a run without such a setting is the same as before there were any.
    "task": ("_target_",),
    # Paths of files and folders, and where their hashes are kept. Their contents are in the fingerprints of the data.
    "source": ("root", "file", "hash_memo"),
    "target": ("root", "file", "hash_memo"),
    "start": ("cache", "path"),
    "backbone": ("folder",),
}

#: Entries of the configuration that older versions did not have, with the value that stands for their absence. Without
#: them, the fingerprint of a run is that of the older version.
NEUTRAL: dict[str, Any] = {
    "augment": None,
    "backbone_lr_scale": 1,
    "bottleneck": None,
    "callbacks": None,
    "label_smoothing": 0,
    "layer_decay": 1,
    "patience": None,
}


def fingerprint(config: dict[str, Any], data: dict[str, str], ignored: Set[str] = frozenset()) -> str:
    """Return a hash of everything that determines a run's result.

    Args:
        config: the resolved configuration, with the defaults of the code (`landbridge.config.defaults`).
        data: fingerprints of the domains that the run uses, and of the files that its start, its backbone and its
            strategy read.
        ignored: config groups that have no effect on the run's strategy.
    """
    decisive = {
        group: without(node, INCIDENTAL.get(group, ())) if isinstance(node, dict) else node
        for group, node in config.items()
        if group not in INCIDENTAL[""] and group not in ignored
    }
    decisive = {
        group: node
        for group, node in decisive.items()
        if group not in NEUTRAL or (node is not None and node != NEUTRAL[group])
    }
    for group in ("cache", "task"):
        node = decisive.get(group) or {}
        if all(value is None for value in node.values()):
            decisive.pop(group, None)
    if "source" not in data:
        decisive.pop("source", None)
    text = json.dumps([_whole_as_integers(decisive), data], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _whole_as_integers(value: Any) -> Any:
    """Write whole numbers in one way, because a user may type 1 where the code has 1.0."""
    if isinstance(value, Mapping):
        return {key: _whole_as_integers(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_as_integers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def without(node: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return a node without some settings, also in the nodes inside it, such as the parts of a union of domains."""
    return {
        key: without(value, keys) if isinstance(value, dict) else value
        for key, value in node.items()
        if key not in keys
    }


def only(node: dict[str, Any], keys: Sequence[str]) -> list[Any]:
    """Return the values of some settings of a node, and of the nodes inside it."""
    inside = [only(value, keys) for value in node.values() if isinstance(value, dict)]
    return [*(node.get(key) for key in keys), *inside]
