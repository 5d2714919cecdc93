"""Fine-tuning whose feature maps stay near those of its start."""

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
from landbridge.strategies.requirements import CLASSES
from landbridge.training.output import Output


class DELTA(WithInitialModel):
    r"""Deep learning transfer using feature maps with attention (Li et al., 2019, arXiv:1901.09229).

    $\mathrm{CE}(g_t, y_t) + w\,\frac12 \sum_l \frac{d_l}{p_l} \sum_j a_{lj}\,\frac1n \sum_i |F_{lij} - F^0_{lij}|^2 +
    \frac\beta2 |w_{head}|^2$, where $F_{lij}$ is channel j of sample i (p positions) after stage l, and $F^0$ the same
    in the starting network. The attention of a channel grows with the loss that the starting network has when that
    channel is silenced, under a linear head that is fitted to its features of labelled target samples. This takes a
    forward pass of those samples for every channel, once when training starts or resumes: seconds for a small network,
    and many minutes for a large one on a CPU. Without attention, the paper's simpler variant, all channels count alike.
    Here the layers are the backbone's stages that train, and a channel is silenced at their output.

    Args:
        weight: of the feature maps, $w$. The paper's code sums over batches of 48 with 0.01.
        beta: pull of the head towards zero.
        attention: whether channels differ.
        samples: how many labelled target samples the attention rests on, at most.
        **base: see `Strategy`.
    """

    requirements: ClassVar = WithInitialModel.requirements.but(tasks=CLASSES)

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
        """Find the attention, from the origin and the visible labels alone, so that a resume finds the same."""
        super().on_train_start()
        self._attention = self._attend() if self.attention else None

    def encode(self, name: str, batch: Batch) -> Output:
        """Encode a stream; of the target, keep the feature maps of stages that train."""
        if not self.training or name not in ("target", AT_START):
            return super().encode(name, batch)
        network = self.initial.network if name == AT_START else self.network
        self._maps[name] = []
        with _at_stages(network.backbone, self.trainable.ever, lambda _, x: self._maps[name].append(x)):
            return super().encode(name, batch)

    def loss(self, target: Output, target_at_start: Output) -> dict[str, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Classify target samples; keep the feature maps near the start's and the head small."""
        backbone = self.network.backbone
        now, then = (
            [_channels_last(x, backbone).float() for x in self._maps.pop(name)] for name in ("target", AT_START)
        )
        attention = self._attention or [torch.full_like(x[0, 0], 1 / x.shape[2]) for x in then]
        decay = torch.stack([weight.square().sum() for weight in self.network.head.parameters()]).sum() / 2
        keep = delta(now, then, attention).to(decay.device)
        return {"classify": self.classify(target), "keep": self.weight * keep, "decay": self.beta * decay}

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
        """Return the loss under a head when each channel after a stage is silenced (channels,)."""

        def silence(channel: int, stage: int, x: Tensor) -> None:
            x.select(_channel_axis(x, self.initial.network.backbone), channel).zero_()

        losses: list[Tensor] = []
        for channel in range(channels):
            with _at_stages(self.initial.network.backbone, frozenset({stage}), partial(silence, channel)):
                output = self.encode(AT_START, batch)
            losses.append(cross_entropy(head(output.features), output.y))
        return torch.stack(losses)


def fitted_head(features: Tensor, y: Tensor, classes: int, decay: float = 1e-2) -> nn.Linear:
    """Fit a linear head to features (n, d) by logistic regression with a little decay; nothing in it is random."""
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
    """Return the module whose output is a stage's: the last of the largest that hold parameters of that stage alone."""
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
def _at_stages(backbone: Backbone, stages: frozenset[int], look: Any) -> Iterator[None]:
    """Call `look(stage, output)` at the end of each of some stages in every forward pass."""

    def hook(stage: int, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            raise LandbridgeError(f"strategy DELTA: stage {backbone.stages[stage]} gives more than a feature map")
        look(stage, output)

    hooks: list[RemovableHandle] = [
        module.register_forward_hook(partial(hook, stage)) for stage, module in stage_ends(backbone, stages).items()
    ]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def _channel_axis(x: Tensor, backbone: Backbone) -> int:
    # Images of features have their channels first, unless a timm model says otherwise; tokens and vectors last.
    return 1 if x.ndim == 4 and getattr(getattr(backbone, "model", None), "output_fmt", "NCHW") == "NCHW" else -1


def _channels_last(x: Tensor, backbone: Backbone) -> Tensor:
    """Lay a feature map out as (samples, positions, channels)."""
    x = x.movedim(_channel_axis(x, backbone), -1)
    return x.reshape(len(x), -1, x.shape[-1])
