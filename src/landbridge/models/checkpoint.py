"""What a checkpoint of a landbridge run holds: the one reader for all that starts from such files."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from landbridge.models.tuning import merge_lora
from landbridge.models.weight_files import read_weights

NETWORK = "network."


@dataclass(frozen=True)
class CheckpointWeights:
    """The weights in a checkpoint.

    Attributes:
        network: of backbone and head, by name, with low-rank paths merged into the weights beside them.
        auxiliary: what the strategy kept beside its network, by name, such as the Gaussians of its features.
    """

    network: dict[str, Tensor]
    auxiliary: dict[str, Tensor]

    @classmethod
    def read(cls, path: Path) -> "CheckpointWeights":
        """Read a checkpoint.

        Args:
            path: such as `outputs/.../selected.ckpt`.

        Raises:
            LandbridgeError: there is no such file, or it holds no weights.
        """
        state = read_weights(path)
        network = {name.removeprefix(NETWORK): value for name, value in state.items() if name.startswith(NETWORK)}
        auxiliary = {name: value for name, value in state.items() if not name.startswith(NETWORK)}
        return cls(merge_lora(network), auxiliary)
