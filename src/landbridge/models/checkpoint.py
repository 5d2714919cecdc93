"""The reader for checkpoints of landbridge runs. All code that starts from such files uses it."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from landbridge.errors import LandbridgeError
from landbridge.models.tuning import merge_lora
from landbridge.models.weight_files import read_checkpoint, require_finite
from landbridge.record import RECORD, Record

NETWORK = "network."


@dataclass(frozen=True)
class CheckpointWeights:
    """The weights in a checkpoint.

    Attributes:
        network: weights of backbone and head, by name. Low-rank matrices are merged into the weights of their layers.
        auxiliary: state that the strategy keeps in addition to its network, by name, such as Gaussians of features.
        classes: names of the outputs of the head, from the checkpoint or from the record beside it; None if unknown.
    """

    network: dict[str, Tensor]
    auxiliary: dict[str, Tensor]
    classes: tuple[str, ...] | None

    @classmethod
    def read(cls, path: Path) -> "CheckpointWeights":
        """Read a checkpoint.

        Args:
            path: the checkpoint, such as `outputs/.../selected.ckpt`.

        Raises:
            LandbridgeError: the file does not exist, or it holds no weights or weights that are not finite.
        """
        state, classes = read_checkpoint(path)
        if not any(name.startswith(NETWORK) for name in state):
            raise LandbridgeError(
                f"start.path: {path} is no checkpoint of a landbridge run (it begins with '{next(iter(state))}'); for "
                f"the weights of a backbone, type start=pretrained start.path={path}"
            )
        network = {name.removeprefix(NETWORK): value for name, value in state.items() if name.startswith(NETWORK)}
        auxiliary = {name: value for name, value in state.items() if not name.startswith(NETWORK)}
        # Heads that diverged beside the tested one, as `linear_probes` keeps them, do no harm.
        require_finite(network, path)
        if classes is None and (path.parent / RECORD).is_file():
            classes = tuple(Record.read(path.parent).data["target"]["classes"])
        return cls(merge_lora(network), auxiliary, classes)
