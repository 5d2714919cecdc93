"""Every record below some folders, each run once, and what could not be used."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from landbridge.errors import LandbridgeError
from landbridge.record import RECORD, Record
from landbridge.report.runs import Run, name_apart


@dataclass
class Collection:
    """What was found.

    Attributes:
        folders: that were searched.
        runs: with test results, in the order of their folders.
        unfinished: runs that failed or have not ended.
        duplicates: folders of runs that are counted already under another folder.
        damaged: one line for each record that cannot be read.
    """

    folders: Sequence[Path]
    runs: list[Run] = field(default_factory=list)
    unfinished: list[Run] = field(default_factory=list)
    duplicates: list[Path] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def partial(self) -> bool:
        """Whether something is missing that was meant to be there."""
        return bool(self.unfinished or self.damaged)


def collect(folders: Sequence[Path], metric: str = "accuracy") -> Collection:
    """Read all records below some folders.

    A run whose fingerprint occurs twice is counted once, a finished one before one that is not.

    Args:
        folders: of finished or partial sweeps, or of single runs.
        metric: by which runs are compared, `accuracy` or `macro_f1`.

    Raises:
        LandbridgeError: a folder does not exist, or no record can be read below any.
    """
    found = Collection(folders)
    seen: dict[str, Run] = {}
    for path in record_files(folders):
        try:
            run = Run(path.parent, Record.read(path), metric)
            # What a report reads of every record; one that lacks it is as useless as half a file.
            _ = run.seed, run.steps, run.settings, run.done and (run.score, run.source_score)
        except LandbridgeError as error:
            found.damaged.append(str(error))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            found.damaged.append(f"the record {path} is damaged: {type(error).__name__} {error}")
        else:
            _add(found, seen, run)
    if not found.runs and not found.unfinished:
        where = ", ".join(map(str, folders))
        problem = f"; {found.damaged[0]}" if found.damaged else ""
        raise LandbridgeError(f"no record that can be read lies below {where}{problem}")
    name_apart([*found.runs, *found.unfinished])
    return found


def record_files(folders: Iterable[Path]) -> list[Path]:
    """Return the paths of all records below some folders, sorted, each once."""
    paths: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise LandbridgeError(f"there is no folder {folder}")
        inside = sorted(Path(where) / RECORD for where, _, files in os.walk(folder) if RECORD in files)
        paths |= dict.fromkeys(path.resolve() for path in inside)
    return list(paths)


def _add(found: Collection, seen: dict[str, Run], run: Run) -> None:
    fingerprint = run.record.fingerprint
    earlier = seen.get(fingerprint) if fingerprint else None
    if earlier and (earlier.done or not run.done):
        found.duplicates.append(run.folder)
        return
    if earlier:
        found.unfinished.remove(earlier)
        found.duplicates.append(earlier.folder)
    if fingerprint:
        seen[fingerprint] = run
    (found.runs if run.done else found.unfinished).append(run)
