"""Consistency between augmentations, with pseudo-labels aligned with the source."""

import math
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import softmax

from landbridge.data.activations import Activation, joined
from landbridge.data.streams import STREAMS, Batch
from landbridge.losses import adamatch
from landbridge.strategies.self_training.tested_average import TestedAverage
from landbridge.training.output import Output

# The authors' averages of class predictions.
SHARE_DECAY, BATCHES_IN_MEAN = 0.999, 128


class AdaMatch(TestedAverage):
    r"""AdaMatch (Berthelot et al., 2022, arXiv:2106.04732).

    All views of source and target are encoded as one batch. The source's views are encoded a second time, alone,
    without changing BatchNorm's statistics. The source's logits are a random interpolation of both results, with a
    separate random share for each entry.

    The loss is $\frac12[\mathrm{CE}(g^{weak}_s, y_s) + \mathrm{CE}(g^{strong}_s, y_s)] + w\,\mu(t)\,\frac1m \sum_j
    \mathbb 1[\max_k \tilde p_{jk} \ge c]\,\mathrm{CE}(g^{strong}_j, \hat y_j)$. The pseudo-labels $\hat y$ are the most
    probable classes of $\tilde p$, the predictions for weak views after alignment with the source's mean prediction.
    The threshold $c$ is $\tau$ times the source's mean confidence. The warm-up is $\mu(t) = \frac12 - \frac12
    \cos(\min(\pi, 2 \pi t))$. A moving average of the weights is evaluated.

    All defaults are those of the authors' code (google-research/adamatch, domain_adaptation/adamatch.py), except that
    the decay of the average rises to its value at the start of training; see `TestedAverage`. Their mean prediction of
    the source is a moving average with decay 0.999, and that of the target is the mean of the last 128 batches. Both
    start from equal shares of all classes. Their code has three unlabelled images for every labelled image
    (`data.unlabelled_batch_size`), and learned strong augmentations (CTAugment). Here there is one unlabelled image for
    every labelled image by default, so that all strategies read equally many samples in a step, and the augmentations
    are those of `landbridge.data.augment`.

    The weak view of labelled images is changed as `augment` says; `strategy=adamatch` sets `augment=weak`. Their strong
    view is a part of the method. If target labels are visible, their cross-entropy in both views is added, without
    interpolation.

    Args:
        tau: factor of the threshold, $\tau$.
        weight: weight of the loss on unlabelled samples, $w$.
        hard: whether a pseudo-label is a class. Otherwise it is the distribution $\tilde p$, as in the paper's formula.
        running: whether the alignment takes averages over many batches. Otherwise it takes those of the batch.
        **averaged: `decay`, the decay of the moving average, with 0 the weights themselves are evaluated; see
            `TestedAverage`. For the others see `Strategy`.

    Raises:
        LandbridgeError: the backbone takes vectors.
    """

    source_share: Tensor
    target_shares: Tensor
    views: ClassVar = {
        **{stream: (stream, "augment") for stream in STREAMS},
        "target_unlabelled": ("target_unlabelled", "weak"),
        **{f"{stream}_strong": (stream, "strong") for stream in STREAMS},
    }

    def __init__(
        self,
        tau: Annotated[float, Ge(0), Le(1)] = 0.9,
        weight: Annotated[float, Ge(0)] = 1.0,
        hard: bool = True,
        running: bool = True,
        **averaged: Any,
    ) -> None:
        super().__init__(**averaged)
        self.tau = tau
        self.weight = weight
        self.hard = hard
        self.running = running
        classes = self.network.outputs
        self.register_buffer("source_share", torch.full((classes,), 1 / classes))
        self.register_buffer("target_shares", torch.full((BATCHES_IN_MEAN, classes), 1 / classes))

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
        self.passes += sum(sizes) + len(source)
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
        shares = self._mean_shares(source, target_unlabelled) if self.running else None
        agree = adamatch(
            source.logits, target_unlabelled.logits, target_unlabelled_strong.logits, self.tau, self.hard, shares
        )
        return {
            "supervised": self.supervised(source, target) / 2,
            "supervised_strong": self.supervised(source_strong, target_strong) / 2,
            "agree": self.weight * self.warmup * agree,
        }

    @torch.no_grad()
    def _mean_shares(self, source: Output, target: Output) -> tuple[Tensor, Tensor]:
        """Add a batch to the averages of predictions, and return those of source and target (classes,)."""
        of_source, of_target = (softmax(each.logits, dim=1).mean(dim=0) for each in (source, target))
        self.source_share.lerp_(of_source, 1 - SHARE_DECAY)
        self.target_shares[self.batches_seen % BATCHES_IN_MEAN] = of_target
        return self.source_share, self.target_shares.mean(dim=0)


def mix(together: Tensor, alone: Tensor, share: Tensor) -> Tensor:
    """Interpolate logits of the joint batch (n, K) and of the source alone (n, K).

    Args:
        together: logits of the joint batch (n, K).
        alone: logits of the source alone (n, K).
        share: share of the joint batch for each entry (n, K), in [0, 1].
    """
    return torch.lerp(alone, together, share)
