"""Choosing among runs by what their setting allowed to be seen, and never by a test result."""

import math
from collections.abc import Sequence
from typing import Any

from landbridge.errors import LandbridgeError
from landbridge.record import Record


def choose(records: Sequence[Record]) -> Record:
    """Return the run whose chosen epoch scores best under the selection rule that all of them have followed.

    So a learning rate, a freezing depth or the stage for surgical fine-tuning is chosen as an epoch is: with
    `selection=target_val` by accuracy on the visible labels of the target's validation split. Of equal runs, the first.

    Args:
        records: finished runs that differ in what is to be chosen.

    Raises:
        LandbridgeError: there are none, one is not finished, they differ in rule, target, visible labels or seed, or
            the rule is one by which runs must not or cannot be compared.
    """
    if not records:
        raise LandbridgeError("there are no runs to choose from")
    for record in records:
        if record.status != "done":
            raise LandbridgeError(f"a run is not finished, and cannot be compared: {_typed(record)}")
    for what, values in _settings(records).items():
        if len(set(values)) > 1:
            different = " and ".join(sorted(map(str, set(values))))
            raise LandbridgeError(f"runs with different {what} cannot be compared: {different}")
    rule = records[0].selection["rule"]
    if records[0].selection["oracle"]:
        raise LandbridgeError(f"selection={rule} has seen hidden labels: a choice by it is no choice in this setting")
    if rule == "last":
        raise LandbridgeError("selection=last gives no score by which runs could be compared: use target_val, for one")
    scores = [record.score() for record in records]
    # A run without a score is the worst. Of equal runs, the first is taken.
    ranked = [-math.inf if score is None or math.isnan(score) else score for score in scores]
    return records[ranked.index(max(ranked))]


def _settings(records: Sequence[Record]) -> dict[str, list[Any]]:
    return {
        "selection rules": [record.selection["rule"] for record in records],
        "targets": [record.data["target"]["fingerprint"] for record in records],
        "target_labels": [record.config["target_labels"] for record in records],
        "seeds": [record.config["seed"] for record in records],
    }


def _typed(record: Record) -> str:
    return " ".join(record.overrides) or record.name
