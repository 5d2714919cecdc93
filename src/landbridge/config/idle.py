"""Settings that would have no effect, as far as the configuration alone shows it."""

from collections.abc import Iterator, Mapping
from typing import Any


def idle_settings(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the path of each setting without effect, with a message.

    Args:
        config: a resolved configuration without mistakes, as plain values.
    """
    nodes = {name: node for name, node in config.items() if isinstance(node, dict)}
    trainer, freeze, averaging = (nodes.get(name, {}) for name in ("trainer", "freeze", "averaging"))
    epochs = trainer.get("max_epochs")
    ends = f"training ends after trainer.max_epochs={epochs}"
    if nodes.get("optimizer", {}).get("lr") == 0:
        yield "optimizer.lr", "0 trains nothing; set a number > 0, or freeze stages with freeze.depth"
    if isinstance(epochs, int):
        if averaging.get("start", 0) >= epochs > 0:
            yield "averaging.start", f"no epoch enters the mean: {ends}, and epochs are counted from 0"
        if late := [epoch for epoch in freeze.get("at") or () if epoch >= epochs > 0]:
            yield "freeze.at", f"no stage begins to train in epoch {late[0]}: {ends}, and epochs are counted from 0"
        if freeze.get("every", 0) >= epochs > 0:
            yield "freeze.every", f"no stage begins to train after {freeze['every']} epochs: {ends}"
    if nodes.get("tuning") and freeze.get("depth") == "all":
        yield (
            "tuning",
            "has no effect with freeze.depth=all, which freezes all stages; set a smaller depth, or tuning=full",
        )
