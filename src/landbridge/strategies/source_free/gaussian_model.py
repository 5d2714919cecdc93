"""A supervised model that stores the distribution of its features, for adaptation without the source data."""

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le
from torch import Tensor

from landbridge.strategies.supervised.supervised import TargetOnly
from landbridge.tasks import ONE_CLASS


class GaussianModel(TargetOnly):
    r"""Supervised training that fits one Gaussian per class to the features after every epoch.

    This trains the source model of Stan & Rostami (2021, arXiv:2009.12518). The Gaussians are saved in its checkpoint,
    so that `gmm_prototypes` needs no source sample. They are fitted in evaluation mode to the samples that the model
    classifies correctly. If all samples of a class are misclassified, its Gaussian is fitted to all of them. The
    covariance is shrunk, $(1 - s)\,C + s\,\frac{\operatorname{tr} C}{d} I$, because the covariance of few samples in
    many dimensions is singular.

    Args:
        shrinkage: $s$, in [0, 1].
        **base: see `Strategy`.
    """

    means: Tensor
    factors: Tensor
    shares: Tensor
    requirements: ClassVar = TargetOnly.requirements.but(needs={ONE_CLASS})

    def __init__(self, shrinkage: Annotated[float, Ge(0), Le(1)] = 0.1, **base: Any) -> None:
        super().__init__(**base)
        self.shrinkage = shrinkage
        classes, d = self.network.outputs, self.network.features
        self.register_buffer("means", torch.zeros(classes, d))
        self.register_buffer("factors", torch.zeros(classes, d, d))
        self.register_buffer("shares", torch.zeros(classes))

    def on_train_epoch_end(self) -> None:
        """Fit the Gaussians to the features at the end of the epoch."""
        super().on_train_epoch_end()
        seen = self.collect("target")
        right = seen.logits.argmax(dim=1) == seen.y
        for label in range(len(self.means)):
            members = (seen.y == label) & right
            if not members.any():
                members = seen.y == label
            self.means[label], self.factors[label] = gaussian(seen.features[members], self.shrinkage)
            self.shares[label] = (seen.y == label).float().mean()


def gaussian(x: Tensor, shrinkage: float) -> tuple[Tensor, Tensor]:
    r"""Fit a Gaussian with a shrunk covariance.

    Args:
        x: (n, d), n >= 1.
        shrinkage: in [0, 1].

    Returns:
        The mean (d,), and the lower triangular factor $L$ (d, d) of the covariance $L L^\top$. The covariance is
        positive definite, because 1e-6 is added to its diagonal.
    """
    x = x.double()
    mean = x.mean(dim=0)
    covariance = (x - mean).T @ (x - mean) / len(x)
    identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    covariance = (1 - shrinkage) * covariance + (shrinkage * covariance.diagonal().mean() + 1e-6) * identity
    return mean.float(), torch.linalg.cholesky(covariance).float()
