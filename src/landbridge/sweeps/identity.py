"""The identity of a job: a hash of its configuration. Jobs with the same identity give the same result."""

import json
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from landbridge.config.build import build
from landbridge.config.check import check
from landbridge.config.defaults import with_defaults
from landbridge.errors import LandbridgeError
from landbridge.models.start import Start
from landbridge.record import INCIDENTAL, fingerprint, only
from landbridge.run.initial_network import strategy_class
from landbridge.run.needs import streams_of
from landbridge.sweeps.rehearsal import rehearse


def identity(config: dict[str, Any]) -> str:
    """Check a configuration, and return a hash of what determines the result of its run.

    Data and weights are not read: in the hash, their paths replace their contents. The run itself compares the
    fingerprint of the contents later.

    Args:
        config: resolved configuration; a missing value is `???`.

    Raises:
        LandbridgeError: the configuration has faults.
    """
    cfg: Any = OmegaConf.create(config)
    check(cfg)
    start: Start = build(cfg.start)
    streams = streams_of(cfg, start)
    rehearse(cfg)
    roles = ["source"] if "source" in streams or start.needs_source else []
    places = {role: json.dumps(only(config[role], INCIDENTAL[role])) for role in [*roles, "target"]}
    for part, setting in (("start", "path"), ("backbone", "folder")):
        if path := config[part].get(setting):
            places[part] = str(path)
    if parent := config.get("continues"):
        places["continues"] = str(parent)
    return fingerprint(with_defaults(config), places, strategy_class(cfg).requirements.ignored_groups)[:12]


def identities(configs: Sequence[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
    """Return a pair for each configuration: (identity, None), or (None, faults) if the configuration has faults."""

    def checked(config: dict[str, Any]) -> tuple[str | None, str | None]:
        try:
            return identity(config), None
        except LandbridgeError as error:
            return None, str(error)

    return [checked(config) for config in configs]
