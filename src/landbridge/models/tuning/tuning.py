"""The interface of tunings, BitFit, and the choice of layers that get additional parameters."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

import torch
from torch import nn

from landbridge.errors import LandbridgeError, nearest
from landbridge.models.backbones.backbone import Backbone


class Tuning(ABC):
    """Limits training to few parameters, in a network whose weights are already loaded.

    The freezing policy still selects the stages in which these parameters train. The head always trains.
    """

    @abstractmethod
    def apply(self, backbone: Backbone, stages: Collection[int] | None = None) -> None:
        """Change the backbone in place. Its outputs stay the same.

        Args:
            backbone: the backbone to change.
            stages: stages that train in some epoch. Only these get additional parameters. None: all stages.
        """


class BitFit(Tuning):
    """Only the biases may train (Ben Zaken et al., 2022, arXiv:2106.10199), those of normalisation layers included.

    Scales of normalisation layers do not train, and the statistics of BatchNorm are frozen.
    """

    def apply(self, backbone: Backbone, stages: Collection[int] | None = None) -> None:
        """Freeze all parameters except biases."""
        held = [name for name, _ in backbone.named_parameters() if not name.endswith(("bias", "bias_v", "bias_k"))]
        if len(held) == sum(1 for _ in backbone.parameters()):
            raise LandbridgeError(f"tuning=bitfit: {type(backbone).__name__} has no biases")
        backbone.hold(held)


def pick_layers(
    backbone: Backbone,
    stages: Collection[int] | None,
    kinds: Collection[type[nn.Module]],
    targets: Sequence[str] | None,
    adding: str,
) -> dict[str, nn.Module]:
    """Pick the layers of a backbone that get additional parameters.

    A layer is valid only if its class is exactly one of `kinds`, because a subclass may compute something else. The
    backbone must also call the layer: some timm models read a layer's weight without calling the layer.

    Args:
        backbone: the backbone whose layers are picked.
        stages: pick only layers in these stages, because additions to a frozen stage would never train. None: all.
        kinds: valid classes of layers.
        targets: endings of dotted names, such as `qkv` or `attn.proj`; None picks all valid layers.
        adding: what is added, for messages.

    Raises:
        LandbridgeError: no layer's name ends with a target, a target's layer is not valid, or there is no valid layer.
    """
    layers: dict[str, nn.Module] = dict(backbone.named_modules())
    called = _called(backbone)
    unfit = {name: reason for name, layer in layers.items() if (reason := _unfit(layer, kinds, called))}
    wanted = list(layers)
    if targets is not None:
        ends = {target: [name for name in layers if f".{name}".endswith(f".{target}")] for target in targets}
        for target, names in ends.items():
            if not names:
                best = nearest(target, sorted({name.rpartition(".")[2] for name in layers if name not in unfit}))
                hint = f"; nearest: {best}" if best else ""
                raise LandbridgeError(f"tuning.targets: no layer's name ends with '{target}'{hint}")
            if refused := [name for name in names if name in unfit]:
                raise LandbridgeError(
                    f"tuning.targets: {adding} cannot be added to {refused[0]}: {unfit[refused[0]]}; "
                    f"leave '{target}' out"
                )
        wanted = [name for name in layers if any(name in names for names in ends.values())]
    picked = {name: layers[name] for name in wanted if name not in unfit}
    if not picked:
        raise LandbridgeError(f"tuning: {type(backbone).__name__} has no layer that {adding} can be added to")
    if stages is None:
        return picked
    return {name: layer for name, layer in picked.items() if backbone.stages_of_module[layer] <= set(stages)}


def _unfit(layer: nn.Module, kinds: Collection[type[nn.Module]], called: set[nn.Module]) -> str | None:
    """Return why nothing can be added to a layer, or None if something can be added."""
    if type(layer) not in kinds:
        return f"{type(layer).__name__} is not one of {', '.join(sorted(kind.__name__ for kind in kinds))}"
    if (groups := getattr(layer, "groups", 1)) > 1:
        return f"it is a convolution of {groups} groups, whose change could not be merged"
    if layer not in called:
        return "the backbone does not call it"
    return None


@torch.no_grad()
def _called(backbone: Backbone) -> set[nn.Module]:
    """Return the modules that a forward pass calls."""
    called: set[nn.Module] = set()
    modes = {module: module.training for module in backbone.modules()}
    hooks = [module.register_forward_pre_hook(lambda module, _: called.add(module)) for module in modes]
    example = backbone.format.example(1, torch.Generator().manual_seed(0))
    like = next(backbone.parameters())
    try:
        backbone.eval()(*(each.to(like.device, like.dtype if each.is_floating_point() else None) for each in example))
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    return called
