"""Nearest class mean on frozen features."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from landbridge.heads import require_linear
from landbridge.strategies.frozen_features.closed_form_head import ClosedFormHead
from landbridge.tasks import ONE_CLASS


class NearestMean(ClosedFormHead):
    r"""Nearest class mean: a class is represented by the mean $\mu_k$ of the features of its labelled target samples.

    Logits are $f \cdot \mu_k - \lVert\mu_k\rVert^2 / 2 = (\lVert f\rVert^2 - \lVert f - \mu_k\rVert^2) / 2$. So the
    head is linear, and the largest logit is that of the nearest mean (Mensink et al., 2013). The backbone does not
    change.

    Args:
        **base: see `Strategy`.
    """

    requirements: ClassVar = ClosedFormHead.requirements.but(needs={ONE_CLASS})

    @torch.no_grad()
    def solve(self) -> None:
        """Compute the class means, and put them into the head."""
        seen = self.collect(self.learned_from)
        means, head = class_means(seen.features, seen.y, self.network.outputs), require_linear(self.network.head, self)
        head.weight.copy_(means)
        # A class without samples must never be the nearest.
        absent = torch.bincount(seen.y, minlength=len(means)) == 0
        head.bias.copy_((-means.square().sum(1) / 2).masked_fill(absent, -1e30))


def class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the mean feature of every class (classes, d). The mean of a class without samples is 0.

    Args:
        features: (n, d).
        labels: class indices (n,).
        classes: number of classes.
    """
    onehot = one_hot(labels, classes).to(features.dtype)
    return onehot.T @ features / onehot.sum(0).clamp(min=1).unsqueeze(1)
