"""An encoder as an ordered row of named stages: what freezing depth counts."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from itertools import chain, takewhile
from pathlib import Path

from torch import Tensor, nn
from torch.nn import Parameter

from landbridge.data.activations import Activation
from landbridge.data.formats import Format
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.stage_graph import CannotCut, Segment


class Backbone(nn.Module, ABC):
    """An encoder from inputs to features (b, `features`), cut into stages from the input on.

    Attributes:
        format: what its inputs are.
        features: width of its output.
    """

    format: Format
    features: int
    #: Names of parameters that train in no epoch, whatever their stage.
    held: frozenset[str] = frozenset()
    #: Modules of stages that stand still.
    _at_rest: Collection[nn.Module] = ()

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

    def segment(self, first: int, last: int) -> Segment:
        """Return what runs the stages from `first` on, until `last`, on all tensors that cross before `first`.

        It runs this backbone's own modules, in their present mode.

        Args:
            first: stages that the tensors have been through; at 0 they are the rendered inputs.
            last: stages that the results will have been through; after all of them they are the features.

        Raises:
            CannotCut: this backbone has no such seams.
        """
        if (first, last) == (0, len(self.stages)):
            return lambda tensors: (self(*tensors),)
        return (lambda tensors: tensors) if first == last else self.between(first, last)

    def between(self, first: int, last: int) -> Segment:
        """Return what runs some of the stages; see `segment`."""
        raise CannotCut(f"{type(self).__name__} does not say how it is cut")

    def finish(self, activation: Activation) -> Tensor:
        """Return the features (b, `features`) of a batch that has been through some stages."""
        (features,) = self.segment(activation.depth, len(self.stages))(activation.tensors)
        return features

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages: the shortest paths that lead to parameters of no other stage, without the way to all."""
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
        """Keep some parameters from training in any epoch; the statistics of BatchNorm then stand still too."""
        self.held = frozenset(parameters)
        self.forget_modules()

    def forget_modules(self) -> None:
        """Look anew, when next asked, which modules there are: for whatever adds or replaces some."""
        for known in ("stage_of", "stages_of_module", "_parameters_with_stage"):
            vars(self).pop(known, None)

    @cached_property
    def stage_of(self) -> dict[str, int]:
        """The stage of each parameter, asked once: training asks in every epoch."""
        return self.stage_of_parameter()

    def train_stages(self, trainable: Collection[int]) -> None:
        """Let some stages train and hold the others still.

        A stage that stands still takes no gradient and is in evaluation mode, so that its BatchNorm statistics and its
        dropout stand still too. In a stage that trains, parameters that are held take no gradient either.

        Args:
            trainable: indices of the stages that train.
        """
        for parameter, stage, held in self._parameters_with_stage:
            trains = stage in trainable and not held
            if parameter.requires_grad != trains:
                parameter.requires_grad_(trains)
            if not trains:
                # An optimizer would still move it by a gradient left from before.
                parameter.grad = None
        self._at_rest = {
            module
            for module, stages in self.stages_of_module.items()
            if stages.isdisjoint(trainable) or (self.held and hasattr(module, "running_mean"))
        }
        self.train()

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode of all modules but those that stand still, which stay in evaluation mode."""
        for module in self.modules():
            trains = mode and module not in self._at_rest
            if module.training != trains:
                module.training = trains
        return self

    @cached_property
    def _parameters_with_stage(self) -> list[tuple[Parameter, int, bool]]:
        """Each parameter, its stage, and whether it is held: training asks whenever it changes the mode."""
        return [(each, self.stage_of[name], name in self.held) for name, each in self.named_parameters()]

    @cached_property
    def stages_of_module(self) -> dict[nn.Module, frozenset[int]]:
        """Stages that each module has parameters of.

        A module without parameters, such as an activation or dropout, belongs to the stage of what stands before it.
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


class SequentialBackbone(Backbone):
    """A backbone whose stages are its named parts, run one after the other.

    A part without parameters is no stage: it belongs to that of the part before it.

    Args:
        parts: modules in order; the last gives features (b, `features`).
        format: what its inputs are.
        features: width of its output.
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
        """Return what runs the stages from `first` on, until `last`."""

        def run(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            (x,) = tensors
            for name in chain(*self._stages[first:last]):
                x = self.get_submodule(name)(x)
            return (x,)

        return run

    def stage_of_parameter(self) -> dict[str, int]:
        """Map each parameter to the stage that its part is or belongs to."""
        order = {name: stage for stage, parts in enumerate(self._stages) for name in parts}
        return {name: order[name.split(".")[0]] for name, _ in self.named_parameters()}


def _grouped(parts: Mapping[str, nn.Module]) -> list[list[str]]:
    """Group the names of parts into stages: each begins with a part that has parameters, but for the first."""
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
    """Return a dotted name from its first part to the whole: `a`, `a.b`, `a.b.weight`."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
