"""A start from pretrained weights of a backbone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from landbridge.models.network import SOURCE_HEAD, Network
from landbridge.models.start.loading import LoadReport, load_matching, require_backbone
from landbridge.models.start.start import Start
from landbridge.models.weight_files import content_of, require_finite


class Pretrained(Start):
    """Load the backbone's pretrained weights; bottleneck and head are newly initialised.

    Args:
        path: a local file of weights under the backbone's own names (`.safetensors`, `.pth`). None takes the default
            weights of the backbone, from a package or from timm's hub.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = Path(path).expanduser() if path else None

    def contents(self) -> dict[str, str]:
        """Return the fingerprint of the file, if there is one."""
        return {"start": content_of(self.path)} if self.path else {}

    def apply(self, network: Network, classes: Sequence[str] | None = None) -> LoadReport:
        """Load the backbone's weights.

        Raises:
            LandbridgeError: they are those of another backbone, or not finite.
        """
        state, origin = network.backbone.pretrained_state(self.path)
        require_finite(state, origin)
        own = network.backbone.state_dict()
        beyond = {name: value for name, value in state.items() if name not in own}
        # The classifier of the weights reads the features of the backbone, which a bottleneck changes.
        self.auxiliary_state = _classifier(beyond, network.features) if network.bottleneck is None else {}
        self.why_new_head = "start=pretrained brings no head"
        self.why_new_bottleneck = "start=pretrained brings no bottleneck"
        named = {f"backbone.{name}": value for name, value in state.items()}
        report = load_matching(network, named, origin)
        require_backbone(report, network, named)
        return report


def _classifier(beyond: Mapping[str, Tensor], features: int) -> dict[str, Tensor]:
    """Return the only matrix (classes, features) and its bias among the entries outside the backbone, or {}."""
    matrices = [value.flatten(1) for value in beyond.values() if value.ndim > 1 and value[0].numel() == features]
    biases = [value for value in beyond.values() if value.ndim == 1 and [len(value)] == [len(m) for m in matrices]]
    if len(biases) != 1:
        return {}
    return {f"{SOURCE_HEAD}weight": matrices[0], f"{SOURCE_HEAD}bias": biases[0]}
