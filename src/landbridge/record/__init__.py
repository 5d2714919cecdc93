"""The record of a run: one JSON file with its configuration, scores, results and cost."""

from landbridge.record.budget import inherited, own_steps, total_passes, total_steps
from landbridge.record.differences import differences
from landbridge.record.finished import finished_record, selected_checkpoint
from landbridge.record.identity import INCIDENTAL, fingerprint, only
from landbridge.record.machine import environment, peak_memory_bytes
from landbridge.record.paths import domain_path, told_apart
from landbridge.record.per_sample import pack_items, pack_scores, unpack_items, unpack_scores
from landbridge.record.record import OUTPUTS, RECORD, SAMPLES, Record, best_epoch, read_arrays

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
    "inherited",
    "only",
    "own_steps",
    "pack_items",
    "pack_scores",
    "peak_memory_bytes",
    "read_arrays",
    "selected_checkpoint",
    "told_apart",
    "total_passes",
    "total_steps",
    "unpack_items",
    "unpack_scores",
]
