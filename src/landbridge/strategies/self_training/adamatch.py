"""Consistency between augmentations, with pseudo-labels aligned with the source."""

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

    All views of source and target are encoded as one batch. The source's views are encoded a second time, alone,
    without changing BatchNorm's statistics. The source's logits are a random interpolation of both results, with a
    separate random share for each entry.

    The loss is $\mathrm{CE}(g^{weak}_s, y_s) + \mathrm{CE}(g^{strong}_s, y_s) + w\,\mu(t)\,\frac1m \sum_j \mathbb
    1[\max_k \tilde p_{jk} \ge c]\,\mathrm{CE}(g^{strong}_j, \tilde p_j)$. The pseudo-labels $\tilde p$ come from weak
    views, and are aligned with the source's mean prediction. The threshold $c$ is $\tau$ times the source's mean
    confidence. The warm-up is $\mu(t) = \frac12 - \frac12 \cos(\min(\pi, 2 \pi t))$.

    The augmentations are those of `landbridge.data.augment`. The weak view of labelled images is changed as `augment`
    says; `strategy=adamatch` sets `augment=weak`. Their strong view is a part of the method. If target labels are
    visible, their cross-entropy in both views is added, without interpolation.

    Args:
        tau: factor of the threshold, $\tau$.
        weight: weight of the loss on unlabelled samples, $w$.
        **base: see `Strategy`.

    Raises:
        LandbridgeError: the backbone takes vectors.
    """

    views: ClassVar = {
        **{stream: (stream, "augment") for stream in STREAMS},
        "target_unlabelled": ("target_unlabelled", "weak"),
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
        r"""The factor $\mu(t)$, which rises from 0 to 1 in the first half of the training."""
        return 0.5 - 0.5 * math.cos(min(math.pi, 2 * math.pi * self.progress))

    def encode_streams(self, batch: dict[str, Batch]) -> dict[str, Output]:
        """Encode both views of all streams as one batch, and interpolate the source's logits.

        Example:
            With 32 source and 32 target samples, the joint batch has 128 images: a weak and a strong view of each. The
            two views of the source are also encoded as a batch of 64. Suppose that an entry of the source's logits is
            2.0 in the joint batch and 1.0 in the batch of 64. With the random share 0.3 it becomes
            0.3 * 2.0 + 0.7 * 1.0 = 1.3. Target logits are those of the joint batch.

        Args:
            batch: the batch of each stream: `source`, `target_unlabelled` and, if target labels are visible, `target`.

        Returns:
            The outputs by name: `source` for the weak view, `source_strong` for the strong view, and so on.
        """
        views = self.with_views(batch)
        images = {name: self._rendered(view["x"]) for name, view in views.items()}
        sizes = [len(each) for each in images.values()]
        parts = [part.float().split(sizes) for part in self.network(joined(list(images.values())))]
        outputs = {
            name: Output(name, features, logits, view["index"], view.get("y"), view.get("weights"))
            for (name, view), features, logits in zip(views.items(), *parts, strict=True)
        }
        # This pass uses copies of the buffers, so that the running statistics come only from the joint batch.
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
        """Return the cross-entropies of labelled samples in both views, and that of confident pseudo-labels."""
        agree = adamatch(source.logits, target_unlabelled.logits, target_unlabelled_strong.logits, self.tau)
        return {
            "supervised": self.supervised(source, target),
            "supervised_strong": self.supervised(source_strong, target_strong),
            "agree": self.weight * self.warmup * agree,
        }


def mix(together: Tensor, alone: Tensor, share: Tensor) -> Tensor:
    """Interpolate logits of the joint batch (n, K) and of the source alone (n, K).

    Args:
        together: logits of the joint batch (n, K).
        alone: logits of the source alone (n, K).
        share: share of the joint batch for each entry (n, K), in [0, 1].
    """
    return torch.lerp(alone, together, share)
