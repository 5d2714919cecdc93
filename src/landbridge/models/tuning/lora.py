"""Low-rank adaptation, through the peft library."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from landbridge.errors import LandbridgeError
from landbridge.models.backbones.backbone import Backbone
from landbridge.models.tuning.tuning import Tuning, pick_layers

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d)
A, B, SCALE = ".lora_A.default.weight", ".lora_B.default.weight", ".lora_scale"


class LoRA(Tuning):
    r"""Low-rank adaptation (Hu et al., 2022, arXiv:2106.09685): $W + \frac{\alpha}{r} B A$.

    Only A and B train. B starts at 0, so the outputs are unchanged at first. For a convolution, A has the kernel and B
    is 1 x 1. Weights and BatchNorm statistics of the backbone are frozen. `start=checkpoint` merges A and B of an
    earlier run into the weights, so that any run can continue from them.

    Args:
        rank: $r$.
        alpha: $\alpha$.
        dropout: share of the inputs of A that dropout sets to 0 in training.
        targets: endings of layer names, such as `[qkv]` or `[conv_pw, conv_pwl]`. None takes all linear and
            convolution layers except grouped ones (for instance depthwise ones), where A and B could not be merged.
    """

    def __init__(
        self,
        rank: Annotated[int, Gt(0)] = 8,
        alpha: Annotated[float, Gt(0)] = 16.0,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        targets: Sequence[str] | None = None,
    ) -> None:
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.targets = targets

    def apply(self, backbone: Backbone, stages: Collection[int] | None = None) -> None:
        """Add the matrices A and B to every target in stages that train.

        Raises:
            LandbridgeError: peft is not installed, or a target is neither a plain linear layer nor an ungrouped
                convolution layer.
        """
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise LandbridgeError("tuning=lora needs the package peft: pip install 'landbridge[peft]'") from error
        layers = pick_layers(backbone, stages, KINDS, self.targets, "LoRA")
        if layers:
            config = LoraConfig(
                r=self.rank,
                lora_alpha=self.alpha,  # type: ignore[arg-type]
                lora_dropout=self.dropout,
                target_modules="|".join(name.replace(".", r"\.") for name in layers),
            )
            inject_adapter_in_model(config, backbone)
        for name in layers:
            # With the scale in the state, A and B can be merged from the state alone.
            backbone.get_submodule(name).register_buffer("lora_scale", torch.tensor(self.alpha / self.rank))
        backbone.hold([name for name, _ in backbone.named_parameters() if ".lora_" not in name])


def merge_lora(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Merge low-rank matrices into the weights of their layers.

    Args:
        state: state of a network, by name. A state without low-rank matrices is returned unchanged.
    """
    scales = [value.double() for name, value in state.items() if name.endswith(SCALE)]  # the same for all layers
    merged = {name.replace(".base_layer.", "."): value for name, value in state.items() if ".lora_" not in name}
    for name, up in state.items():
        if name.endswith(B):
            layer = name.removesuffix(B)
            weight, down = merged[f"{layer}.weight"], state[f"{layer}{A}"]
            change = (up.flatten(1).double() @ down.flatten(1).double()).view_as(weight)
            merged[f"{layer}.weight"] = (weight.double() + scales[0] * change).to(weight.dtype)
    return merged
