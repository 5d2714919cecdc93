"""An encoder as an ordered sequence of named stages. The freezing depth counts these stages."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from torch import Tensor, nn
from torch.nn import Parameter

from landbridge.data.activations import Activation
from landbridge.data.formats import Format
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.stage_graph import CannotCut, Segment


class Backbone(nn.Module, ABC):
    """An encoder from inputs to features (b, `features`), divided into stages that are ordered from the input.

    Attributes:
        format: format of the inputs.
        features: width of the output.
    """

    format: Format
    features: int
    #: Versions of libraries and hashes of files that determine the outputs, in addition to code, settings and weights.
    origin: str = ""
    #: Names of parameters that are frozen in every epoch, even in stages that train.
    held: frozenset[str] = frozenset()
    #: Modules that stay in evaluation mode.
    _frozen_modules: Collection[nn.Module] = ()

    #: What holds the configured pretrained weights: a package or a folder. None if the configuration names none.
    weights: str | None = None

    @classmethod
    def contents(cls, settings: Mapping[str, Any]) -> dict[str, str]:
        """Return fingerprints of the files that the backbone's settings name, by a short description of the files."""
        return {}

    @abstractmethod
    def stage_of_parameter(self) -> dict[str, int]:
        """Map each parameter's name to its stage, 0 at the input."""

    def pretrained_state(self, path: Path | None) -> tuple[Mapping[str, Tensor], str]:
        """Return pretrained weights under this backbone's names, and a description of their origin.

        Args:
            path: a local file to read instead of the backbone's default weights.

        Raises:
            LandbridgeError: there are no pretrained weights, or they cannot be read.
        """
        raise LandbridgeError(
            f"start=pretrained: {type(self).__name__} has no pretrained weights; use start=scratch, "
            "or start=checkpoint with your own file"
        )

    def segment(self, first: int, last: int) -> Segment:
        """Return a function that runs the stages `first` to `last` - 1, on all tensors that these stages need.

        The function runs this backbone's own modules, in their current mode.

        Args:
            first: number of stages that the tensors have passed through; at 0, they are the rendered inputs.
            last: number of stages that the results have passed through; after all stages, they are the features.

        Raises:
            CannotCut: this backbone cannot be divided at `first` or `last`.
        """
        if (first, last) == (0, len(self.stages)):
            return lambda tensors: (self(*tensors),)
        return (lambda tensors: tensors) if first == last else self.between(first, last)

    def between(self, first: int, last: int) -> Segment:
        """Return a function that runs some of the stages; see `segment`."""
        raise CannotCut(f"{type(self).__name__} cannot be run stage by stage, because it does not implement `between`")

    def finish(self, activation: Activation) -> Tensor:
        """Return the features (b, `features`) of a batch that has passed through some of the stages."""
        (features,) = self.segment(activation.depth, len(self.stages))(activation.tensors)
        return features

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, in order from the input.

        A stage is named by the shortest dotted paths whose parameters all belong to this stage. Several paths are
        joined by `+`. A prefix that all parameters share is left out.

        Example:
            If `model.conv1.weight` and `model.bn1.weight` are in stage 0, and `model.layer1.0.weight` and
            `model.layer1.1.weight` in stage 1, the names are `("conv1+bn1", "layer1")`.
        """
        stage_of = self.stage_of
        below: dict[str, set[int]] = {}
        for name, stage in stage_of.items():
            for path in _paths(name):
                below.setdefault(path, set()).add(stage)
        steps = zip(*(name.split(".")[:-1] for name in stage_of), strict=False)
        way = "".join(f"{step}." for step, *_ in takewhile(lambda parts: len(set(parts)) == 1, steps))
        members: dict[int, dict[str, None]] = {}
        for name, stage in stage_of.items():
            own = next(path for path in _paths(name) if len(below[path]) == 1)
            members.setdefault(stage, {})[own.removeprefix(way)] = None
        return tuple("+".join(members[stage]) for stage in sorted(members))

    def hold(self, parameters: Iterable[str]) -> None:
        """Freeze some parameters in every epoch. The statistics of all BatchNorm layers are then frozen too."""
        self.held = frozenset(parameters)
        self.forget_modules()

    def forget_modules(self) -> None:
        """Forget the cached lists of modules; call this after modules were added or replaced."""
        for known in ("stage_of", "stages_of_module", "_parameters_with_stage"):
            vars(self).pop(known, None)

    @cached_property
    def stage_of(self) -> dict[str, int]:
        """Stage of each parameter, cached because training reads it in every epoch."""
        return self.stage_of_parameter()

    def train_stages(self, trainable: Collection[int]) -> None:
        """Make some stages trainable and freeze the others.

        A frozen stage gets no gradient and is in evaluation mode, so that its BatchNorm statistics do not change and
        its dropout is off. In a stage that trains, parameters in `held` get no gradient either.

        Args:
            trainable: indices of the stages that train.
        """
        for parameter, stage, held in self._parameters_with_stage:
            trains = stage in trainable and not held
            if parameter.requires_grad != trains:
                parameter.requires_grad_(trains)
            if not trains:
                # An optimizer would still update the parameter with an old gradient.
                parameter.grad = None
        self._frozen_modules = {
            module
            for module, stages in self.stages_of_module.items()
            if stages.isdisjoint(trainable) or (self.held and hasattr(module, "running_mean"))
        }
        self.train()

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode of all modules except frozen ones, which stay in evaluation mode."""
        for module in self.modules():
            trains = mode and module not in self._frozen_modules
            if module.training != trains:
                module.training = trains
        return self

    @cached_property
    def _parameters_with_stage(self) -> list[tuple[Parameter, int, bool]]:
        """Each parameter, its stage, and whether it is held. Cached because each change of mode reads it."""
        return [(each, self.stage_of[name], name in self.held) for name, each in self.named_parameters()]

    @cached_property
    def stages_of_module(self) -> dict[nn.Module, frozenset[int]]:
        """The stages whose parameters each module contains.

        A module without parameters, such as a ReLU or a dropout, belongs to the stage of the module before it.
        """
        stages: dict[nn.Module, frozenset[int]] = {}
        last = frozenset({0})
        for name, module in self.named_modules():
            prefix = f"{name}." if name else ""
            inside = frozenset(self.stage_of[prefix + inner] for inner, _ in module.named_parameters())
            if len(inside) == 1:
                last = inside
            stages[module] = inside or last
        return stages


def backbone_contents(config: Mapping[str, Any]) -> dict[str, str]:
    """Return fingerprints of the files that the configuration of a backbone names; see `Backbone.contents`."""
    made = get_object(config["_target_"])
    return made.contents(config) if isinstance(made, type) and issubclass(made, Backbone) else {}


class SequentialBackbone(Backbone):
    """A backbone whose stages are its named parts, which run one after the other.

    A part without parameters is not a separate stage. It belongs to the stage of the part before it, or to the first
    stage.

    Args:
        parts: modules in order; the last returns features (b, `features`).
        format: format of the inputs.
        features: width of the output.
    """

    def __init__(self, parts: Mapping[str, nn.Module], format: Format, features: int) -> None:
        super().__init__()
        self.format = format
        self.features = features
        self.parts = tuple(parts)
        for name, part in parts.items():
            self.add_module(name, part)
        self._stages = _grouped(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Encode inputs (b, ...) as features (b, `features`)."""
        for name in self.parts:
            x = self.get_submodule(name)(x)
        return x

    def between(self, first: int, last: int) -> Segment:
        """Return a function that runs the stages `first` to `last` - 1; see `segment`."""

        def run(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            (x,) = tensors
            for name in chain(*self._stages[first:last]):
                x = self.get_submodule(name)(x)
            return (x,)

        return run

    def stage_of_parameter(self) -> dict[str, int]:
        """Map each parameter's name to the stage of its part."""
        order = {name: stage for stage, parts in enumerate(self._stages) for name in parts}
        return {name: order[name.split(".")[0]] for name, _ in self.named_parameters()}


def _grouped(parts: Mapping[str, nn.Module]) -> list[list[str]]:
    """Group the names of parts into stages. Each stage after the first begins with a part that has parameters."""
    stages: list[list[str]] = [[]]
    begun = False
    for name, part in parts.items():
        has_parameters = next(part.parameters(), None) is not None
        if has_parameters and begun:
            stages.append([])
        begun = begun or has_parameters
        stages[-1].append(name)
    return stages


def _paths(name: str) -> list[str]:
    """Return the prefixes of a dotted name and the name itself: `a`, `a.b`, `a.b.weight`."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
