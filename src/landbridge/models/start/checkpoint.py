"""A start from a checkpoint of an earlier run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from landbridge.models.checkpoint import CheckpointWeights
from landbridge.models.network import SOURCE_HEAD, Network
from landbridge.models.start.loading import LoadReport, load_matching, require_backbone
from landbridge.models.start.start import Start
from landbridge.models.tuning import restore_adapters
from landbridge.models.weight_files import content_of
from landbridge.record import RECORD, Record, inherited

#: Prefixes of the entries that belong to the classes, or numbers, that a network predicts.
OF_CLASSES = ("head.", "units.")


class Checkpoint(Start):
    """Load a checkpoint of a landbridge run: backbone and bottleneck, and the head if its classes are the same.

    The names of the classes are in the checkpoint, or in the record beside it. If neither has them, only the number of
    classes is compared.

    A head is loaded only together with the bottleneck whose features it reads. If checkpoint and network have different
    bottlenecks, or only one of them has one, bottleneck and head stay new.

    With `label_sets=different`, the head of the checkpoint becomes the head of the source, and the target's stays new.

    Args:
        path: the checkpoint, such as `outputs/.../selected.ckpt`.
    """

    brings_head: ClassVar = True

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser()

    def contents(self) -> dict[str, str]:
        """Return the fingerprint of the checkpoint."""
        return {"start": content_of(self.path)}

    def earlier_runs(self) -> dict[Path, Record]:
        """Return the record next to the checkpoint, if there is one."""
        folder = self.path.parent
        return {folder: Record.read(folder)} if (folder / RECORD).is_file() else {}

    def knows(self, domain: Mapping[str, Any], classes: Sequence[str] | None) -> bool:
        """Compare with the record next to the checkpoint; return False if there is no record."""
        if not (self.path.parent / RECORD).is_file():
            return False
        record = Record.read(self.path.parent)
        learned = [role for role, data in record.data.items() if classes is None or data["classes"] == list(classes)]
        return any(record.config[role] == domain for role in learned)

    def apply(self, network: Network, classes: Sequence[str] | None = None) -> LoadReport:
        """Load the network's weights from the checkpoint.

        Raises:
            LandbridgeError: it holds another backbone, or values that are not finite.
        """
        weights = CheckpointWeights.read(self.path)
        own = weights.network
        restore_adapters(network, own)
        unlike = _unlike_bottleneck(network, own)
        head = {name: value for name, value in own.items() if name in ("head.weight", "head.bias") and not unlike}
        classifier = {f"{SOURCE_HEAD}{name.removeprefix('head.')}": value for name, value in head.items()}
        self.auxiliary_state = weights.auxiliary | classifier
        self.why_new_head = f"the head in {self.path} has another shape"
        of_others: dict[str, Tensor] = {}
        if unlike:
            of_others = {name: value for name, value in own.items() if not name.startswith("backbone.")}
            self.why_new_head = self.why_new_bottleneck = f"{self.path} {unlike}"
        elif classes is not None and weights.classes not in (None, tuple(classes)):
            of_others = {name: value for name, value in own.items() if name.startswith(OF_CLASSES)}
            self.why_new_head = f"{self.path} was trained on {_listed(weights.classes)}, not on {_listed(classes)}"
        fitting = {name: value for name, value in own.items() if name not in of_others}
        if network.source is not None:
            # The head of the checkpoint is the source's. The head of the target, whose task is another one, stays new.
            fitting = {
                name if name.startswith(("backbone.", "bottleneck.")) else f"source.{name}": value
                for name, value in fitting.items()
            }
        report = load_matching(network, fitting, str(self.path))
        require_backbone(report, network, fitting)
        if (self.path.parent / RECORD).is_file():
            self.trained = inherited(Record.read(self.path.parent))
        return replace(report, skipped=[*report.skipped, *of_others])


def _unlike_bottleneck(network: Network, state: Mapping[str, Tensor]) -> str:
    """Return how the bottleneck in a checkpoint differs from that of a network; an empty text if it does not."""
    theirs = {name: value.shape for name, value in state.items() if name.startswith("bottleneck.")}
    ours = {name: value.shape for name, value in network.state_dict().items() if name.startswith("bottleneck.")}
    if theirs == ours:
        return ""
    return f"has {'another' if theirs and ours else 'a' if theirs else 'no'} bottleneck"


def _listed(names: Sequence[str] | None) -> str:
    names = names or ()
    return f"the {len(names)} classes {', '.join(names[:5])}{', ...' * (len(names) > 5)}"
