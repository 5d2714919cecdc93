"""How much training a result took: steps, and samples read through the network, also those of the source model."""

from collections.abc import Mapping
from typing import Any

from landbridge.record.record import Record


def own_steps(record: Record) -> int:
    """Return the steps of the run itself: those it counted, or else, in older records, those it planned.

    A run that continues another run counts the steps of both. A method that is solved at once takes none.
    """
    if (counted := record.cost.get("steps")) is not None:
        return int(counted)
    epochs = int(record.selection.get("stopped_early") or record.config["trainer"]["max_epochs"])
    data = record.config.get("data", {})
    per_epoch = data.get("steps_per_epoch")
    if per_epoch is None:
        samples = record.data.get("target", {}).get("sizes", {}).get("train", 0)
        per_epoch = -(-samples // int(data.get("batch_size", 64)))
    return epochs * int(per_epoch)


def total_steps(record: Record) -> int:
    """Return the steps of the run and of the source model that it started from. Older records count only the first."""
    return own_steps(record) + int(record.cost.get("source_steps") or 0)


def total_passes(record: Record) -> int | None:
    """Return how many samples the network read in training, with those of the source model; None if not counted."""
    own = record.cost.get("passes")
    return None if own is None else int(own) + int(record.cost.get("source_passes") or 0)


def inherited(record: Record) -> Mapping[str, Any]:
    """Return the entries of `cost` for a run that starts from the model of a finished run."""
    passes = total_passes(record)
    return {"source_steps": total_steps(record)} | ({} if passes is None else {"source_passes": passes})
