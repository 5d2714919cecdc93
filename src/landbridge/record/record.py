"""The record of a run: one JSON file with its configuration, scores, results and cost, written atomically."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from landbridge.errors import LandbridgeError
from landbridge.record.old_names import with_new_entries, with_new_losses, with_new_names

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 2
#: Layouts of older versions that are still read.
READABLE = (1, SCHEMA)
RECORD = "record.json"
#: File next to the record: outputs, labels and ids of every test sample, for confusion matrices, curves, paired tests,
#: and to find the sample of an error.
OUTPUTS = "test_outputs.npz"
#: File next to the record: embeddings of a few test samples before and after training, and pictures of mistakes.
SAMPLES = "test_samples.npz"

Status = Literal["running", "done", "failed"]


@dataclass
class Record:
    """The record of one run: its configuration, data, scores of every epoch, test results and cost.

    Attributes:
        status: `running`, `done` or `failed`.
        reason: why the run failed.
        name: name of the run's group, as configured.
        fingerprint: hash of everything that determines the result: configuration and data.
        overrides: the overrides that the user typed.
        choices: the chosen option of each config group, such as `strategy: linear_probe`.
        config: the resolved configuration.
        environment: library versions, git revision, hardware.
        data: for each role, the domain's name, fingerprint, task, classes, kind of inputs and split sizes.
        parent: the run that this one continues: its folder, its fingerprint and the number of its epochs.
        start: report of the weights that were loaded before training.
        selection: the rule, the epoch it chose, whether it is an oracle, and the checkpoint of the epoch. If training
            stopped before its last planned epoch, `stopped_early` is the number of epochs.
        results: for each role, metrics on the test split; shares are fractions of 1. If the initial weights include a
            head for the classes, `accuracy_at_start` is the accuracy of the initial network on the same samples.
        cost: seconds by phase, peak memory in bytes, numbers of parameters. `steps` are the steps of training, and
            `passes` the samples that the network read in these steps, every augmented view counted. `source_steps` and
            `source_passes` are those of the model that the run started from.
        epochs: one row for each epoch: losses; the scores under every rule that the setting allows and under the
            oracle; notes of the strategy, such as the point of a curve.
        seal: for each role and split, the reasons for which hidden labels were opened.
        schema: version of this layout.
    """

    status: Status = "running"
    reason: str | None = None
    name: str = ""
    fingerprint: str | None = None
    overrides: list[str] = field(default_factory=list)
    choices: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    parent: dict[str, Any] | None = None
    start: dict[str, Any] | None = None
    selection: dict[str, Any] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    seal: dict[str, list[str]] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def leading(self) -> str:
        """The leading metric of the target's task, such as `accuracy`."""
        return self.leading_of("target")

    def leading_of(self, role: str) -> str:
        """The leading metric of the task of a domain, by role."""
        return self.data.get(role, {}).get("task", {}).get("leading", "accuracy")

    def score(self) -> float | None:
        """Return the score of the selected epoch under the rule that selected it, or None if there is none.

        Sweepers compare runs by this score.
        """
        epoch = self.selection.get("epoch")
        return None if epoch is None else self.epochs[epoch]["scores"].get(self.selection["rule"])

    def write(self, folder: Path) -> None:
        """Write the record to a run's folder. The file is replaced at once, so that readers never see half of it."""
        draft = folder / f".{RECORD}.{os.getpid()}"
        try:
            draft.write_text(
                json.dumps({each.name: getattr(self, each.name) for each in fields(self)}, indent=1, allow_nan=True)
                + "\n"
            )
            draft.replace(folder / RECORD)
        except OSError as error:
            raise LandbridgeError(f"cannot write {folder / RECORD}: {error.strerror}") from error

    @classmethod
    def read(cls, folder: Path | str) -> "Record":
        """Read the record of a run.

        Args:
            folder: the run's folder, or the file itself.

        Raises:
            LandbridgeError: there is no record, it is damaged, or a newer version of landbridge wrote it.
        """
        folder = Path(folder)
        path = folder if folder.name == RECORD else folder / RECORD
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise LandbridgeError(f"no record at {path}") from error
        except (OSError, ValueError) as error:
            raise LandbridgeError(f"the record {path} cannot be read: {error}") from error
        if not isinstance(content, dict) or content.get("schema") not in READABLE:
            found = content.get("schema") if isinstance(content, dict) else None
            raise LandbridgeError(
                f"the record {path} has schema {found}, this landbridge reads {SCHEMA} and older ones"
            )
        from landbridge.record.schema import find_fault  # only readers need pydantic

        known = {f.name for f in fields(cls)}
        if unknown := content.keys() - known:
            raise LandbridgeError(f"the record {path} has unknown entries: {', '.join(sorted(unknown))}")
        if fault := find_fault(content):
            raise LandbridgeError(f"the record {path} is damaged: {fault}")
        if content["schema"] == 1:
            _add_tasks(content.get("data", {}))
        changed = {
            "config": with_new_entries(with_new_names(content.get("config", {}))),
            "epochs": with_new_losses(content.get("epochs", [])),
            "schema": SCHEMA,
        }
        return cls(**content | changed)


def _add_tasks(data: dict[str, Any]) -> None:
    """Describe the task of each domain in a record of schema 1, in which all were classifications."""
    for domain in data.values():
        names = domain.get("classes", [])
        domain.setdefault("task", {"kind": "classification", "leading": "accuracy", "names": names})


def best_epoch(scores: "Sequence[float] | np.ndarray") -> int:
    """Return the number of the epoch with the highest score, counted from 0.

    If several epochs are equal, the last of them is returned. NaN is the worst score.
    """
    ranked = [-math.inf if math.isnan(score) else score for score in scores]
    return max(range(len(ranked)), key=lambda epoch: (ranked[epoch], epoch))


def read_arrays(path: Path) -> "dict[str, np.ndarray]":
    """Read all arrays of a file next to a record, such as `OUTPUTS`, and close the file."""
    import numpy as np

    with np.load(path) as kept:
        return dict(kept)
