"""What makes two jobs one and the same, told from their configurations, before any data is read."""

import json
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from landbridge.config.build import build
from landbridge.config.check import check
from landbridge.errors import LandbridgeError
from landbridge.models.start import Start
from landbridge.record import INCIDENTAL, fingerprint
from landbridge.run.prepare import strategy_class, streams_of


def identity(config: dict[str, Any]) -> str:
    """Check a configuration, and hash what determines the result of its run.

    Data and weights are not opened: where they lie stands for what is in them. The run itself then compares the real
    fingerprint.

    Args:
        config: resolved; `???` stands for a missing value.

    Raises:
        LandbridgeError: the configuration has faults.
    """
    cfg: Any = OmegaConf.create(config)
    check(cfg)
    start: Start = build(cfg.start)
    roles = ["source"] if "source" in streams_of(cfg, start) or start.needs_source else []
    places = {role: json.dumps([config[role].get(key) for key in INCIDENTAL[role]]) for role in [*roles, "target"]}
    if path := config["start"].get("path"):
        places["start"] = str(path)
    return fingerprint(config, places, strategy_class(cfg).requirements.ignored_groups)[:12]


def identities(configs: Sequence[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
    """Return the identity of each configuration, or the faults that it has."""

    def told(config: dict[str, Any]) -> tuple[str | None, str | None]:
        try:
            return identity(config), None
        except LandbridgeError as error:
            return None, str(error)

    return [told(config) for config in configs]
