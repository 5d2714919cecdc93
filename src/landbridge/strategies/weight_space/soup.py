"""Averages of the models of a sweep."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

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

    A uniform soup is the mean of all. A greedy one goes through the runs from the best on, and keeps what does not
    lower accuracy on the visible labels of the target's validation split; every mix is judged with BatchNorm
    statistics of its own, measured on the target's inputs (`measure_statistics`, a pass for each layer). Ingredients
    should have the same start: those that were trained from different ones lie in different basins.

    Args:
        folder: under it lie the runs, such as the folder of a sweep. Those that are not done are left out.
        how: `uniform` or `greedy`.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: there is no run; or one has other classes, another architecture, was chosen by an oracle, or
            has seen target labels that this setting hides.
    """

    requirements: ClassVar = ClosedForm.requirements.but(streams={"target_unlabelled"}, replaces_weights=True)

    def __init__(self, folder: str, how: Literal["uniform", "greedy"] = "uniform", **base: Any) -> None:
        super().__init__(**base)
        self.folder = Path(folder).expanduser()
        self.how = how

    @classmethod
    def contents(cls, settings: Mapping[str, Any]) -> dict[str, str]:
        """Return a fingerprint of the runs in the folder: their places under it, and what their checkpoints hold."""
        folder = Path(settings["folder"]).expanduser()
        chosen = {path.parent: record.selection.get("checkpoint") for path, record in _finished(folder)}
        runs = [
            (str(run.relative_to(folder)), content_of(run / name))
            for run, name in chosen.items()
            if name and (run / name).is_file()  # solving refuses the others
        ]
        return {"ingredients": hashlib.blake2b(json.dumps(runs).encode(), digest_size=16).hexdigest()}

    def solve(self) -> None:
        """Cook."""
        paths = {path.parent: self._checkpoint(path.parent, record) for path, record in _finished(self.folder)}
        if not paths:
            raise LandbridgeError(f"strategy.folder: no finished run lies under {self.folder}")
        kept = self._uniform(paths) if self.how == "uniform" else self._greedy(paths)
        self.note = {"ingredients": [str(run.relative_to(self.folder)) for run in kept]}
        log.info("soup: %d of %d runs", len(kept), len(paths))

    def _uniform(self, paths: dict[Path, Path]) -> list[Path]:
        mean = None
        for number, path in enumerate(paths.values(), start=1):
            weights = self._load(path)
            mean = weights if mean is None else mean + (weights - mean) / number
        assert mean is not None
        self._mix(mean, len(paths))
        return list(paths)

    def _greedy(self, paths: dict[Path, Path]) -> list[Path]:
        labels = self.visible_validation_labels("a greedy soup tastes")
        alone = {}
        for run, path in paths.items():
            self._load(path)
            alone[run] = self._taste(labels)
        best, *others = sorted(paths, key=lambda run: -alone[run])
        kept, soup, score = [best], self._load(paths[best]), alone[best]
        for run in others:
            weights = self._load(paths[run])
            richer = soup + (weights - soup) / (len(kept) + 1)
            self._mix(richer, len(kept) + 1)
            taste = self._taste(labels)
            if taste >= score:
                kept, soup, score = [*kept, run], richer, taste
        self._load(paths[best])
        self._mix(soup, len(kept))
        return kept

    def _taste(self, labels: Tensor) -> float:
        return self.task.score(self.validation_outputs().logits.cpu(), labels)

    def _mix(self, weights: Tensor, ingredients: int) -> None:
        pour(weights, self.network)
        if ingredients > 1:
            renew_statistics(self)

    def _checkpoint(self, run: Path, record: Record) -> Path:
        """Return the checkpoint that a run has chosen, or refuse the run."""
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
                f"has seen target_labels={seen} of seed={record.config['seed']}, which target_labels={shown} and "
                f"seed={self.data.streams.seed} hide"
            )
        if refusal:
            raise LandbridgeError(f"strategy.folder: {run} {refusal}")
        return run / record.selection["checkpoint"]

    def _load(self, path: Path) -> Tensor:
        """Put a checkpoint's weights into the network, and return them as a vector."""
        state = CheckpointWeights.read(path).network
        own = self.network.state_dict()
        unlike = [name for name in {**own, **state} if name not in own or name not in state]
        unlike += [name for name in own if name not in unlike and own[name].shape != state[name].shape]
        if unlike:
            raise LandbridgeError(f"strategy.folder: {path} holds another architecture, first at {unlike[0]}")
        self.network.load_state_dict(state)
        return as_vector(self.network.state_dict())


def _finished(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Yield the finished runs under a folder, but for other soups, and where their records lie."""
    for path in sorted(folder.rglob(RECORD)):
        record = Record.read(path)
        soup = record.config.get("strategy", {}).get("_target_", "").endswith(f".{Soup.__name__}")
        if record.status == "done" and not soup:
            yield path, record
