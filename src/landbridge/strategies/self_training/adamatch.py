"""Consistency between augmentations, with pseudo-labels that follow the source."""

import math
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le
from torch import Tensor
from torch.func import functional_call

from landbridge.data.activations import Activation, joined
from landbridge.data.streams import STREAMS, Batch
from landbridge.losses import adamatch
from landbridge.strategies.self_training.two_views import TwoViews
from landbridge.training.output import Output


class AdaMatch(TwoViews):
    r"""AdaMatch (Berthelot et al., 2022, arXiv:2106.04732).

    All views of source and target are encoded as one batch, and the source's once more on their own, without moving
    BatchNorm's statistics; the source's logits are mixed from both with a random share for each entry. Then
    $\mathrm{CE}(g^{weak}_s, y_s) + \mathrm{CE}(g^{strong}_s, y_s) + w\,\mu(t)\,\frac1m \sum_j \mathbb 1[\max_k
    \tilde p_{jk} \ge c]\,\mathrm{CE}(g^{strong}_j, \tilde p_j)$, where the pseudo-labels $\tilde p$ of weak views are
    aligned with the source's mean prediction, the threshold is $c = \tau$ times the source's mean confidence, and
    $\mu(t) = \frac12 - \frac12 \cos(\min(\pi, 2 \pi t))$. The augmentations are those of `landbridge.data.augment`.
    Visible target labels, where there are any, add their cross-entropy in both views, without mixing.

    Args:
        tau: factor of the threshold, $\tau$.
        weight: of the unlabelled samples, $w$.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the backbone takes vectors.
    """

    views: ClassVar = {
        **{stream: (stream, "weak") for stream in STREAMS},
        **{f"{stream}_strong": (stream, "strong") for stream in STREAMS},
    }

    def __init__(
        self, tau: Annotated[float, Ge(0), Le(1)] = 0.9, weight: Annotated[float, Ge(0)] = 1.0, **base: Any
    ) -> None:
        super().__init__(**base)
        self.tau = tau
        self.weight = weight

    @property
    def warmup(self) -> float:
        r"""$\mu(t)$: rises from 0 to 1 in the first half of the training."""
        return 0.5 - 0.5 * math.cos(min(math.pi, 2 * math.pi * self.progress))

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode both views of all streams as one batch, and mix the source's logits with those it has alone."""
        views = self.with_views(batch)
        images = {name: self._rendered(view["x"]) for name, view in views.items()}
        sizes = [len(each) for each in images.values()]
        parts = [part.float().split(sizes) for part in self.network(joined(list(images.values())))]
        outputs = {
            name: Output(name, features, logits, view["index"], view.get("y"))
            for (name, view), features, logits in zip(views.items(), *parts, strict=True)
        }
        # On copies of the buffers, so that the statistics that count are those of both domains together.
        copies = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        source = joined([images["source"], images["source_strong"]])
        alone = functional_call(self.network, copies, (source,))[1].float().chunk(2)
        for name, logits in zip(("source", "source_strong"), alone, strict=True):
            outputs[name].logits = mix(outputs[name].logits, logits, torch.rand_like(logits))
        return outputs

    def _rendered(self, x: Activation) -> Activation:
        return Activation(0, self.format.render(x.tensors)) if x.depth == 0 else x

    def loss(
        self,
        source: Output,
        source_strong: Output,
        target_unlabelled: Output,
        target_unlabelled_strong: Output,
        target: Output | None = None,
        target_strong: Output | None = None,
    ) -> dict[str, Tensor]:
        """Classify labelled samples in both views; learn aligned pseudo-labels that can be trusted."""
        agree = adamatch(source.logits, target_unlabelled.logits, target_unlabelled_strong.logits, self.tau)
        return {
            "classify": self.classify(source, target),
            "classify_strong": self.classify(source_strong, target_strong),
            "agree": self.weight * self.warmup * agree,
        }


def mix(together: Tensor, alone: Tensor, share: Tensor) -> Tensor:
    """Interpolate logits (n, K) at random: a share (n, K) in [0, 1] of 1 keeps those of the joint batch."""
    return torch.lerp(alone, together, share)
