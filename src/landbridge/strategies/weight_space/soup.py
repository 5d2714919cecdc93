"""Averages of the trained models of a sweep."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.models.checkpoint import CheckpointWeights
from landbridge.models.weight_files import content_of
from landbridge.record import RECORD, Record
from landbridge.strategies.closed_form import ClosedForm
from landbridge.training.weight_vectors import as_vector, pour, renew_statistics

log = logging.getLogger(__name__)


class Soup(ClosedForm):
    r"""Model soups (Wortsman et al., 2022, arXiv:2203.05482): the mean of the weights of finished runs.

    A uniform soup is the mean of all runs. A greedy soup starts with the best run, and tries to add the other runs in
    the order of their accuracy. It keeps a run if the accuracy of the mean does not fall. The accuracy is that on the
    visible labels of the target's validation split. For every mean the BatchNorm statistics are measured on the
    target's inputs (`measure_statistics`, one pass over the data for each layer).

    All runs should have the same initial weights. Models with different initial weights lie in different basins of the
    loss, so their mean usually has a low accuracy. All runs must have the same splits. Splits follow the seed, so a
    sweep over seeds needs a fixed one: `target.split_seed=0`.

    Args:
        folder: folder that contains the runs, such as the folder of a sweep. Runs that are not finished are left out.
        how: `uniform` or `greedy`.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: there is no run; or a run has other classes, has another architecture, predicts in other units,
            was chosen by an oracle, was trained on target labels that this setting hides, or had the target in other
            splits.
    """

    requirements: ClassVar = ClosedForm.requirements.but(streams={"target_unlabelled"}, replaces_weights=True)

    def __init__(self, folder: str, how: Literal["uniform", "greedy"] = "uniform", **base: Any) -> None:
        super().__init__(**base)
        self.folder = Path(folder).expanduser()
        self.how = how
        self._units: tuple[Path, dict[str, Tensor]] | None = None

    @classmethod
    def contents(cls, settings: Mapping[str, Any]) -> dict[str, str]:
        """Return a fingerprint of the runs in the folder: of their relative paths and the contents of checkpoints."""
        folder = Path(settings["folder"]).expanduser()
        chosen = {path.parent: record.selection.get("checkpoint") for path, record in _finished(folder)}
        runs = [
            (str(run.relative_to(folder)), content_of(run / name))
            for run, name in chosen.items()
            if name and (run / name).is_file()  # `solve` refuses the others
        ]
        return {"ingredients": hashlib.blake2b(json.dumps(runs).encode(), digest_size=16).hexdigest()}

    @classmethod
    def earlier_runs(cls, settings: Mapping[str, Any]) -> dict[Path, Record]:
        """Return the records of the runs in the folder."""
        return {path.parent: record for path, record in _finished(Path(settings["folder"]).expanduser())}

    def solve(self) -> None:
        """Put the mean of the runs into the network."""
        paths = {path.parent: self._checkpoint(path.parent, record) for path, record in _finished(self.folder)}
        if not paths:
            raise LandbridgeError(
                f"strategy.folder: no finished run lies under {self.folder}; give the folder of a sweep"
            )
        kept = self._uniform(paths) if self.how == "uniform" else self._greedy(paths)
        self.note = {"ingredients": [str(run.relative_to(self.folder)) for run in kept]}
        log.info("the soup is the mean of %d of %d runs", len(kept), len(paths))

    def _uniform(self, paths: dict[Path, Path]) -> list[Path]:
        mean = None
        for number, path in enumerate(paths.values(), start=1):
            weights = self._load(path)
            mean = weights if mean is None else mean + (weights - mean) / number
        assert mean is not None
        self._mix(mean, len(paths))
        return list(paths)

    def _greedy(self, paths: dict[Path, Path]) -> list[Path]:
        labels = self.visible_validation_labels("a greedy soup compares accuracies")
        scores = {}
        for run, path in paths.items():
            self._load(path)
            scores[run] = self._score(labels)
        best, *others = sorted(paths, key=lambda run: -scores[run])
        kept, soup, score = [best], self._load(paths[best]), scores[best]
        for run in others:
            weights = self._load(paths[run])
            larger = soup + (weights - soup) / (len(kept) + 1)
            self._mix(larger, len(kept) + 1)
            new_score = self._score(labels)
            if new_score >= score:
                kept, soup, score = [*kept, run], larger, new_score
        self._load(paths[best])
        self._mix(soup, len(kept))
        return kept

    def _score(self, labels: Tensor) -> float:
        return self.task.score(self.validation_outputs().logits.cpu(), labels)

    def _mix(self, weights: Tensor, ingredients: int) -> None:
        pour(weights, self.network)
        if ingredients > 1:
            renew_statistics(self)

    def _checkpoint(self, run: Path, record: Record) -> Path:
        """Return the path of a run's selected checkpoint, or refuse the run."""
        refusal = None
        seen, shown = record.config["target_labels"], self.data.streams.target_labels
        same_seed = record.config["seed"] == self.data.streams.seed
        if record.data["target"]["classes"] != list(self.data.streams.task.names):
            refusal = "has other classes"
        elif record.selection.get("oracle"):
            refusal = "was chosen by an oracle"
        elif not record.selection.get("checkpoint"):
            refusal = "has no checkpoint"
        elif seen and shown != "all" and (seen == "all" or seen > shown or not same_seed):
            refusal = (
                f"was trained on target_labels={seen} of seed={record.config['seed']}, which target_labels={shown} and "
                f"seed={self.data.streams.seed} hide"
            )
        if refusal:
            raise LandbridgeError(f"strategy.folder: {run} {refusal}; remove this run from the folder")
        return run / record.selection["checkpoint"]

    def _load(self, path: Path) -> Tensor:
        """Put a checkpoint's weights into the network, and return them as a vector."""
        state = CheckpointWeights.read(path).network
        own = self.network.state_dict()
        unlike = [name for name in {**own, **state} if name not in own or name not in state]
        unlike += [name for name in own if name not in unlike and own[name].shape != state[name].shape]
        if unlike:
            raise LandbridgeError(
                f"strategy.folder: {path} holds another architecture, first at {unlike[0]}; remove it from the folder"
            )
        self._require_same_units(path, state)
        self.network.load_state_dict(state)
        return as_vector(self.network.state_dict())

    def _require_same_units(self, path: Path, state: Mapping[str, Tensor]) -> None:
        """Refuse a run whose outputs have other units than those of the runs before it.

        Weights that were trained for different units have no meaningful mean.
        """
        own = {name: state[name] for name in ("units.centre", "units.scale") if name in state}
        first, units = self._units or (path, own)
        self._units = (first, units)
        if any(not torch.equal(units[name].cpu(), own[name].cpu()) for name in own):
            raise LandbridgeError(
                f"strategy.folder: {path} predicts numbers in other units than {first}, because other labels were "
                "visible; remove one of them from the folder"
            )


def _finished(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Yield the paths and records of the finished runs under a folder. Runs that are soups are left out."""
    for path in sorted(folder.rglob(RECORD)):
        record = Record.read(path)
        soup = record.config.get("strategy", {}).get("_target_", "").endswith(f".{Soup.__name__}")
        if record.status == "done" and not soup:
            yield path, record
