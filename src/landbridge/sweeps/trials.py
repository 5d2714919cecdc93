"""The choice among runs by data that the runs were allowed to read, and never by a test result."""

import math
from collections.abc import Sequence
from typing import Any

from landbridge.errors import LandbridgeError
from landbridge.record import Record


def choose(records: Sequence[Record]) -> Record:
    """Return the run with the best score. All runs must have the same selection rule.

    The score of a run is the score of its chosen epoch. So a learning rate, a freezing depth or the stage for surgical
    fine-tuning is chosen by the same rule as an epoch. For example, `selection=target_val` chooses by accuracy on the
    visible labels of the target's validation split. The first of several runs with equal scores is returned.

    Args:
        records: finished runs that differ in the setting to be chosen.

    Raises:
        LandbridgeError: there are no runs; a run is not finished; the runs differ in rule, target, visible labels or
            seed; or runs must not or cannot be compared by the rule.
    """
    if not records:
        raise LandbridgeError("there are no runs to choose from")
    for record in records:
        if record.status != "done":
            raise LandbridgeError(f"a run is not finished and cannot be compared: {_typed(record)}")
    for what, values in _settings(records).items():
        if len(set(values)) > 1:
            different = " and ".join(sorted(map(str, set(values))))
            raise LandbridgeError(f"runs with different {what} cannot be compared: {different}")
    rule = records[0].selection["rule"]
    if records[0].selection["oracle"]:
        raise LandbridgeError(
            f"selection={rule} reads hidden labels, so runs must not be chosen by it: use another rule"
        )
    if rule == "last":
        raise LandbridgeError(
            "selection=last gives no score, so runs cannot be compared by it: use another rule, such as target_val"
        )
    scores = [record.score() for record in records]
    # A run without a score ranks last. `index` returns the first of several equal runs.
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
