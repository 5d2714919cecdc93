"""The nearest class mean on frozen features."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from landbridge.heads import require_linear
from landbridge.strategies.closed_form import ClosedForm
from landbridge.strategies.requirements import CLASSES


class NearestMean(ClosedForm):
    r"""Nearest class mean: each class is the mean $\mu_k$ of the features of its visible target labels.

    Logits are $f \cdot \mu_k - \lVert\mu_k\rVert^2 / 2 = (\lVert f\rVert^2 - \lVert f - \mu_k\rVert^2) / 2$, so the
    head stays linear and its largest logit belongs to the nearest mean (Mensink et al., 2013). The backbone is as it
    was loaded.

    Args:
        **base: see `Strategy`.
    """

    requirements: ClassVar = ClosedForm.requirements.but(streams={"target"}, tasks=CLASSES)

    def parameter_counts(self) -> tuple[int, int]:
        """Count the head, which is all that is set."""
        return super().parameter_counts()[0], sum(p.numel() for p in self.network.head.parameters())

    @torch.no_grad()
    def solve(self) -> None:
        """Put the means into the head."""
        seen = self.collect("target")
        means, head = class_means(seen.features, seen.y, self.network.outputs), require_linear(self.network.head, self)
        head.weight.copy_(means)
        # A class without a sample is never the nearest.
        absent = torch.bincount(seen.y, minlength=len(means)) == 0
        head.bias.copy_((-means.square().sum(1) / 2).masked_fill(absent, -1e30))


def class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the mean feature of every class (classes, d), 0 for one without samples.

    Args:
        features: (n, d).
        labels: class indices (n,).
        classes: how many there are.
    """
    onehot = one_hot(labels, classes).to(features.dtype)
    return onehot.T @ features / onehot.sum(0).clamp(min=1).unsqueeze(1)
