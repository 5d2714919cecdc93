"""An encoder as an ordered row of named stages: what freezing depth counts."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn

from landbridge.data.inputs import InputSpec
from landbridge.errors import LandbridgeError


class Backbone(nn.Module, ABC):
    """An encoder from inputs to features (b, `features`), cut into stages from the input on.

    Attributes:
        spec: what its inputs look like; None for vectors.
        features: width of its output.
    """

    spec: InputSpec | None
    features: int

    @abstractmethod
    def stage_of_parameter(self) -> dict[str, int]:
        """Map each parameter's name to its stage, 0 at the input."""

    def pretrained_state(self, path: Path | None) -> tuple[Mapping[str, Tensor], str]:
        """Return pretrained weights under this backbone's names, and where they come from.

        Args:
            path: a local file to read instead of the backbone's own place.

        Raises:
            LandbridgeError: there are none, or they cannot be reached.
        """
        raise LandbridgeError(
            f"start=pretrained: {type(self).__name__} has no pretrained weights; use start=scratch, "
            "or start=checkpoint with a file of your own"
        )

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages: what their parameters have in common."""
        members: dict[int, dict[str, None]] = {}
        for name, stage in self.stage_of_parameter().items():
            parts = name.split(".")[:-1]
            # A block is named by its path up to its number: `layer1`, `blocks.0`, `stages.2`.
            numbered = next((i for i, part in enumerate(parts) if part.isdigit()), 0)
            members.setdefault(stage, {})[".".join(parts[: numbered + 1]) or name] = None
        return tuple("+".join(members[stage]) for stage in sorted(members))

    def train_stages(self, trainable: Collection[int], mode: bool = True) -> None:
        """Let some stages train and hold the others still.

        A stage that stands still takes no gradient and is in evaluation mode, so that its BatchNorm statistics and its
        dropout stand still too.

        Args:
            trainable: indices of the stages that train.
            mode: False puts the trainable stages in evaluation mode as well, without freezing them.
        """
        stage_of = self.stage_of_parameter()
        for name, parameter in self.named_parameters():
            trains = stage_of[name] in trainable
            parameter.requires_grad_(trains)
            if not trains:
                # An optimizer would still move it by a gradient left from before.
                parameter.grad = None
        for module, stage in self._stage_of_module.items():
            module.training = mode and (stage is None or stage in trainable)

    @cached_property
    def _stage_of_module(self) -> dict[nn.Module, int | None]:
        """Stage of each module; None for one that spans several.

        A module without parameters, such as an activation or dropout, belongs to the stage of what stands before it.
        """
        stage_of = self.stage_of_parameter()
        stages: dict[nn.Module, int | None] = {}
        last = 0
        for name, module in self.named_modules():
            prefix = f"{name}." if name else ""
            inside = {stage_of[prefix + inner] for inner, _ in module.named_parameters()}
            if len(inside) == 1:
                last = next(iter(inside))
            stages[module] = None if len(inside) > 1 else last
        return stages


class Sequence(Backbone):
    """A backbone whose stages are its named parts, run one after the other.

    Args:
        parts: modules in order; the last gives features (b, `features`).
        spec: what its inputs look like; None for vectors.
        features: width of its output.
    """

    def __init__(self, parts: Mapping[str, nn.Module], spec: InputSpec | None, features: int) -> None:
        super().__init__()
        self.spec = spec
        self.features = features
        self.parts = tuple(parts)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        """Encode inputs (b, ...) as features (b, `features`)."""
        for name in self.parts:
            x = self.get_submodule(name)(x)
        return x

    def stage_of_parameter(self) -> dict[str, int]:
        """Map each parameter to the part it lies in."""
        order = {name: stage for stage, name in enumerate(self.parts)}
        return {name: order[name.split(".")[0]] for name, _ in self.named_parameters()}
