"""Fine-tuning that keeps feature maps close to those of the initial network."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.hooks import RemovableHandle

from landbridge.data.streams import Batch
from landbridge.errors import LandbridgeError
from landbridge.losses import attention_shares, delta
from landbridge.models.backbones.backbone import Backbone
from landbridge.strategies.fine_tuning.look_back import AT_START, WithInitialModel
from landbridge.tasks import ONE_CLASS
from landbridge.training.output import Output


class DELTA(WithInitialModel):
    r"""Deep learning transfer using feature maps with attention (Li et al., 2019, arXiv:1901.09229).

    The loss is
    $\mathrm{CE}(g_t, y_t) + w\,\frac12 \sum_l \frac{d_l}{p_l} \sum_j a_{lj}\,\frac1n \sum_i |F_{lij} - F^0_{lij}|^2 +
    \frac\beta2 |w_{head}|^2$, where $F_{lij}$ is channel j of sample i (p positions) after stage l, and $F^0$ is the
    same channel in the initial network.

    The attention $a_{lj}$ of a channel measures how important the channel is. A linear head is fitted to the initial
    network's features of labelled target samples. The attention grows with the loss under this head after the channel
    is set to zero. This takes one forward pass of the samples for every channel, once when training starts or resumes.
    On a CPU it takes seconds for a small network, and many minutes for a large one. Without attention all channels have
    the same weight; this is the paper's simpler variant. Here the layers are the backbone's stages that train, and a
    channel is set to zero at the output of its stage.

    Args:
        weight: weight of the feature maps, $w$. The paper's code sums over batches of 48 with 0.01.
        beta: weight decay of the head and of the bottleneck, $\beta$.
        attention: whether channels have different weights.
        samples: greatest number of labelled target samples for the attention.
        **base: see `Strategy`.
    """

    requirements: ClassVar = WithInitialModel.requirements.but(needs={ONE_CLASS})

    def __init__(
        self,
        weight: Annotated[float, Ge(0)] = 0.5,
        beta: Annotated[float, Ge(0)] = 0.01,
        attention: bool = True,
        samples: Annotated[int, Gt(0)] = 64,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.weight = weight
        self.beta = beta
        self.attention = attention
        self.samples = samples
        self._maps: dict[str, list[Tensor]] = {}
        self._attention: list[Tensor] | None = None

    def on_train_start(self) -> None:
        """Compute the attention.

        It depends only on the initial network and the visible labels, so that a resumed run computes the same.
        """
        super().on_train_start()
        self._attention = self._attend() if self.attention else None

    def encode(self, name: str, batch: Batch) -> Output:
        """Encode a stream. For the target, also store the feature maps of the stages that train."""
        if not self.training or name not in ("target", AT_START):
            return super().encode(name, batch)
        network = self.initial.network if name == AT_START else self.network
        self._maps[name] = []
        with _at_stages(network.backbone, self.trainable.ever, lambda _, x: self._maps[name].append(x)):
            return super().encode(name, batch)

    def loss(self, target: Output, target_at_start: Output) -> dict[str, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the cross-entropy of the target, the distance of the feature maps, and the head's weight decay."""
        backbone = self.network.backbone
        now, then = (
            [_channels_last(x, backbone).float() for x in self._maps.pop(name)] for name in ("target", AT_START)
        )
        attention = self._attention or [torch.full_like(x[0, 0], 1 / x.shape[2]) for x in then]
        decayed = (weight for part in self.network.behind_the_backbone.values() for weight in part.parameters())
        decay = torch.stack([weight.square().sum() for weight in decayed]).sum() / 2
        keep = delta(now, then, attention).to(decay.device)
        return {"supervised": self.supervised(target), "keep": self.weight * keep, "decay": self.beta * decay}

    @torch.no_grad()
    def _attend(self) -> list[Tensor]:
        stream = self.data.streams.training["target"]
        count = len(stream.inputs)
        chosen = torch.linspace(0, count - 1, min(self.samples, count)).round().long()
        batch = self.transfer_batch_to_device(stream.read(chosen), self.device, 0)
        self.eval()
        maps: list[Tensor] = []
        with _at_stages(self.initial.network.backbone, self.trainable.ever, lambda _, x: maps.append(x)):
            output = self.encode(AT_START, batch)
        head = fitted_head(output.features, output.y, self.network.outputs)
        shares = [
            self._losses_without(
                batch, stage, channels=_channels_last(x, self.initial.network.backbone).shape[2], head=head
            )
            for stage, x in zip(
                sorted(stage_ends(self.initial.network.backbone, self.trainable.ever)), maps, strict=True
            )
        ]
        self.train()
        return [attention_shares(each) for each in shares]

    def _losses_without(self, batch: Batch, stage: int, channels: int, head: nn.Linear) -> Tensor:
        """Return the loss under a head when one channel after a stage is set to zero, for each channel (channels,)."""

        def set_to_zero(channel: int, stage: int, x: Tensor) -> None:
            x.select(_channel_axis(x, self.initial.network.backbone), channel).zero_()

        losses: list[Tensor] = []
        for channel in range(channels):
            with _at_stages(self.initial.network.backbone, frozenset({stage}), partial(set_to_zero, channel)):
                output = self.encode(AT_START, batch)
            losses.append(cross_entropy(head(output.features), output.y))
        return torch.stack(losses)


def fitted_head(features: Tensor, y: Tensor, classes: int, decay: float = 1e-2) -> nn.Linear:
    """Fit a linear head to features (n, d) by logistic regression with a small weight decay.

    The result is deterministic, because the head starts at zero.
    """
    head = nn.Linear(features.shape[1], classes, device=features.device)
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = cross_entropy(head(features), y) + decay / 2 * head.weight.square().sum()
            loss.backward()
        return loss

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    return head.requires_grad_(False)


def stage_ends(backbone: Backbone, stages: frozenset[int]) -> dict[int, nn.Module]:
    """Return, for each stage, the module whose output is the output of the stage.

    Candidates are the modules with parameters of only this stage. Modules inside another candidate are left out. The
    last candidate is returned.
    """
    stage_of = backbone.stage_of
    ends: dict[int, nn.Module] = {}
    below: tuple[str, ...] = ()
    for path, module in backbone.named_modules():
        inside = {stage for name, stage in stage_of.items() if name.startswith(f"{path}.")}
        if len(inside) == 1 and not path.startswith(below):
            ends[inside.pop()] = module
            below = (*below, f"{path}.")
    return {stage: module for stage, module in ends.items() if stage in stages}


@contextmanager
def _at_stages(backbone: Backbone, stages: frozenset[int], read: Any) -> Iterator[None]:
    """Call `read(stage, output)` at the end of each of the given stages, in every forward pass within the context."""

    def hook(stage: int, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            raise LandbridgeError(
                f"strategy DELTA: the output of stage {backbone.stages[stage]} is not a single feature map; choose "
                "another backbone, or freeze this stage in all epochs"
            )
        read(stage, output)

    hooks: list[RemovableHandle] = [
        module.register_forward_hook(partial(hook, stage)) for stage, module in stage_ends(backbone, stages).items()
    ]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def _channel_axis(x: Tensor, backbone: Backbone) -> int:
    # Feature maps of images have channels first, unless a timm model has another `output_fmt`. Tokens and vectors have
    # channels last.
    return 1 if x.ndim == 4 and getattr(getattr(backbone, "model", None), "output_fmt", "NCHW") == "NCHW" else -1


def _channels_last(x: Tensor, backbone: Backbone) -> Tensor:
    """Return a feature map in the shape (samples, positions, channels)."""
    x = x.movedim(_channel_axis(x, backbone), -1)
    return x.reshape(len(x), -1, x.shape[-1])
