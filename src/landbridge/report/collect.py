"""Collect the records below some folders: each run once, and a list of the records that cannot be used."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from landbridge.errors import LandbridgeError, nearest
from landbridge.record import RECORD, Record
from landbridge.report.names import name_apart
from landbridge.report.numbers import plural
from landbridge.report.runs import Method, Pair, Run


@dataclass
class Collection:
    """The collected runs.

    Attributes:
        folders: searched folders.
        runs: runs with test results, in the order of their folders.
        unfinished: runs that failed or have not ended.
        duplicates: folders of runs that are already counted from another folder.
        damaged: one line for each record that cannot be read.
        left_out: one line for each run whose metric is not finite, for each pair whose runs do not all have the metric,
            and for each run that a later one with the same settings replaces. These runs are left out.
    """

    folders: Sequence[Path]
    runs: list[Run] = field(default_factory=list)
    unfinished: list[Run] = field(default_factory=list)
    duplicates: list[Path] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def partial(self) -> bool:
        """Whether results are missing, because of unfinished runs, damaged records or a metric that runs lack."""
        return bool(self.unfinished or self.damaged or self.left_out)


def collect(folders: Sequence[Path], metric: str | None = None) -> Collection:
    """Read all records below some folders.

    Runs with the same fingerprint count as one run. A finished run is preferred to one that is not finished.

    Args:
        folders: folders of finished or partial sweeps, or of single runs.
        metric: name of the metric to compare runs by; None: the leading metric of the task of each target.

    Raises:
        LandbridgeError: a folder does not exist, none of the folders contains a readable record, or there is no pair
            whose runs all have the metric.
    """
    found = Collection(folders)
    seen: dict[str, Run] = {}
    for path in record_files(folders):
        try:
            run = Run(path.parent, Record.read(path), metric)
            # A report reads these values of every record. A record without them is treated as damaged.
            _ = run.seed, run.steps, run.settings, run.metric, run.values, run.source_score
            _ = run.strategy, run.as_reference, run.is_source_only, run.target_labels
        except LandbridgeError as error:
            found.damaged.append(str(error))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            found.damaged.append(f"the record {path} is damaged: {type(error).__name__} {error}")
        else:
            _add(found, seen, run)
    if not found.runs and not found.unfinished:
        where = ", ".join(map(str, folders))
        problem = found.damaged[0] if found.damaged else "give the folder of a run or of a sweep"
        raise LandbridgeError(f"no readable record below {where}; {problem}")
    name_apart([*found.runs, *found.unfinished])
    _leave_out(found, metric)
    _leave_out_earlier(found)
    return found


def _leave_out_earlier(found: Collection) -> None:
    """Of finished runs with the same settings and seed, keep the one that was written last.

    They have another fingerprint, for example because a default of the code has changed between them.
    """
    newest: dict[tuple[Method, Pair, int], Run] = {}
    for run in sorted(found.runs, key=lambda each: (each.folder / RECORD).stat().st_mtime):
        key = (run.method, run.pair, run.seed)
        if earlier := newest.get(key):
            found.left_out.append(
                f"{earlier.folder / RECORD}: {run.folder / RECORD} has the same settings and was written later; they "
                "differ in data or in defaults of the code"
            )
        newest[key] = run
    kept = {run.folder for run in newest.values()}
    found.runs = [run for run in found.runs if run.folder in kept]


def _leave_out(found: Collection, metric: str | None) -> None:
    """Leave out the runs whose metric is not finite, and the pairs whose runs do not all have the metric.

    A metric may be undefined for one run, for example because its training diverged. The other runs of the pair can
    still be compared. If runs never computed the metric, or no run of a pair has a finite one, there is nothing to
    compare.
    """
    by_pair: dict[Pair, list[Run]] = {}
    for run in found.runs:
        by_pair.setdefault(run.pair, []).append(run)
    kept: set[Pair] = set()
    undefined: set[Path] = set()
    for pair, runs in by_pair.items():
        without = [run for run in runs if run.metric.key not in run.values]
        if len(without) < len(runs) and all(_is_undefined(run) for run in without):
            kept.add(pair)
            undefined |= {run.folder for run in without}
            found.left_out += [f"{run.folder / RECORD}: {run.metric.key} is not finite" for run in without]
        else:
            found.left_out.append(
                f"{pair}: {len(without)} of {plural(len(runs), 'run')} have no finite {runs[0].metric.key}"
            )
    if by_pair and not kept:
        shared = set.union(*(set.intersection(*(set(run.values) for run in runs)) for runs in by_pair.values()))
        best = nearest(metric or "", shared)
        hint = (
            f"nearest: {best}" if best else f"metrics: {', '.join(sorted(each for each in shared if '.' not in each))}"
        )
        raise LandbridgeError(f"metric {metric or found.runs[0].metric.key}: no pair whose runs all have it; {hint}")
    found.runs = [run for run in found.runs if run.pair in kept and run.folder not in undefined]
    # Pairs without a finished run count as declared, and pairs that are left out do not.
    found.unfinished = [run for run in found.unfinished if run.pair in kept or run.pair not in by_pair]


def _is_undefined(run: Run) -> bool:
    """Return whether a run computed the metric on the target's test split, and its value is not finite."""
    node: Any = run.record.results.get("target", {})
    for key in run.metric.key.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return isinstance(node, float) and not math.isfinite(node)


def record_files(folders: Iterable[Path]) -> list[Path]:
    """Return the paths of all records below some folders, each path once, sorted within each folder."""
    paths: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise LandbridgeError(f"there is no folder {folder}; give the folder of a run or of a sweep")
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
