"""Reads the record of a run that is finished, and finds the checkpoint of its model."""

from pathlib import Path

from landbridge.errors import LandbridgeError
from landbridge.record.record import RECORD, Record


def finished_record(folder: Path) -> Record:
    """Return the record of a finished run.

    Args:
        folder: the run's folder, or the file of its record.

    Raises:
        LandbridgeError: there is no such run, or it is not finished.
    """
    place = folder.parent if folder.name == RECORD else folder
    if place.is_file():
        raise LandbridgeError(f"{place} is a file; name the folder of a run, such as {place.parent}")
    if not place.is_dir():
        raise LandbridgeError(f"there is no folder {place}; name the folder of a run")
    if not (place / RECORD).is_file():
        below = sorted(path.parent for path in place.glob(f"*/{RECORD}"))
        mend = f"; name one of the {len(below)} runs below it, such as {below[0]}" if below else ""
        raise LandbridgeError(f"{place} is not the folder of a run, because it has no {RECORD}{mend}")
    record = Record.read(place)
    if record.status != "done":
        why = f": {record.reason.removeprefix('LandbridgeError: ').splitlines()[0]}" if record.reason else ""
        raise LandbridgeError(f"the run in {place} is not finished (status {record.status}{why})")
    return record


def selected_checkpoint(folder: Path, record: Record) -> Path:
    """Return the file with the weights of the epoch that a run chose.

    Raises:
        LandbridgeError: the run keeps no weights of its own, or the file is missing.
    """
    name = record.selection.get("checkpoint")
    if not name:
        strategy = record.choices.get("strategy") or record.config["strategy"]["_target_"].rpartition(".")[2]
        begun = record.config["start"].get("path")
        raise LandbridgeError(
            f"the run in {folder} keeps no model of its own, because {strategy} trains nothing before the test; use "
            f"the run that its weights come from{f': {Path(begun).parent}' if begun else ''}"
        )
    place = folder.parent if folder.name == RECORD else folder
    if not (place / name).is_file():
        raise LandbridgeError(f"{place / name} is missing; it holds the weights of this run")
    return place / name
