"""What of a backbone may train at all, and how layers are picked for what is added to them."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

import torch
from torch import nn

from landbridge.errors import LandbridgeError, nearest
from landbridge.models.backbones.backbone import Backbone


class Tuning(ABC):
    """Prepares a network whose weights are loaded for training few of its parameters.

    Of what it leaves free, the freezing policy still chooses the stages that train. The head always trains.
    """

    @abstractmethod
    def apply(self, backbone: Backbone, stages: Collection[int] | None = None) -> None:
        """Change the backbone in place; what it computes stays the same.

        Args:
            backbone: to change.
            stages: those that train in some epoch, to which alone anything is added; None: all.
        """


class BitFit(Tuning):
    """Only the biases may train (Ben Zaken et al., 2022, arXiv:2106.10199), those of normalisation layers included.

    Scales of normalisation layers do not train, and the statistics of BatchNorm stand still.
    """

    def apply(self, backbone: Backbone, stages: Collection[int] | None = None) -> None:
        """Hold all that is no bias."""
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
    """Pick the layers of a backbone that something is added to.

    A layer counts only if its class is one of `kinds` itself, for what derives from one may compute something else,
    and only if the backbone calls it: some models of timm read a layer's weight and leave the layer out.

    Args:
        backbone: whose layers these are.
        stages: in which they lie, for what is added to a frozen stage would never train; None: all.
        kinds: classes of layers.
        targets: ends of dotted names, such as `qkv` or `attn.proj`; None picks all that there are.
        adding: what is added, for messages.

    Raises:
        LandbridgeError: a target is the end of no name, or names what nothing can be added to; or there is no layer.
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
    """Say why nothing can be added to a layer; None if something can."""
    if type(layer) not in kinds:
        return f"{type(layer).__name__} is none of {', '.join(sorted(kind.__name__ for kind in kinds))}"
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
    backbone.eval()(*(each.to(like.device, like.dtype if each.is_floating_point() else None) for each in example))
    for hook in hooks:
        hook.remove()
    for module, mode in modes.items():
        module.training = mode
    return called
