"""The record of a run: one JSON file with its configuration, scores, results and cost."""

from landbridge.record.differences import differences
from landbridge.record.finished import finished_record, selected_checkpoint
from landbridge.record.identity import INCIDENTAL, fingerprint, only
from landbridge.record.machine import environment, peak_memory_bytes
from landbridge.record.paths import domain_path, told_apart
from landbridge.record.record import (
    OUTPUTS,
    RECORD,
    SAMPLES,
    Record,
    best_epoch,
    pack_scores,
    read_arrays,
    unpack_scores,
)

__all__ = [
    "INCIDENTAL",
    "OUTPUTS",
    "RECORD",
    "SAMPLES",
    "Record",
    "best_epoch",
    "differences",
    "domain_path",
    "environment",
    "fingerprint",
    "finished_record",
    "only",
    "pack_scores",
    "peak_memory_bytes",
    "read_arrays",
    "selected_checkpoint",
    "told_apart",
    "unpack_scores",
]
