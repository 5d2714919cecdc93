"""Maximum mean discrepancy with Gaussian kernels: of one layer (DAN) and of several layers jointly (JAN)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from landbridge.losses.distance import squared_distances

Estimator = Literal["biased", "unbiased", "linear"]
BANDWIDTHS = (0.125, 0.25, 0.5, 1.0, 2.0)


def mmd2(
    source: Tensor,
    target: Tensor,
    bandwidths: Sequence[float] = BANDWIDTHS,
    estimator: Estimator = "biased",
    sigma2: Sequence[float] | None = None,
) -> Tensor:
    r"""Compute the squared multi-kernel MMD between two samples: DAN (Long et al., 2015), arXiv:1502.02791.

    $$\mathrm{MMD}^2 = E\,k(x, x') + E\,k(y, y') - 2 E\,k(x, y), \qquad
    k(x, y) = \sum_u \exp\left(-\frac{|x - y|^2}{2 \sigma_u^2}\right)$$

    The estimators are those of Gretton et al., "A Kernel Two-Sample Test", JMLR 13 (2012):

    - `biased` includes the diagonals of the kernel matrices and is >= 0.
    - `unbiased` leaves the diagonals out. It may be negative, so do not take its square root.
    - `linear` reads each sample once, in the disjoint pairs (0, 1), (2, 3), ... It needs equal sizes. If the size is
      odd, the last sample is left out.

    Without `sigma2`, the bandwidths are computed from the data: $\sigma_u^2 = \alpha_u \cdot$ mean squared distance
    over all pairs of the pooled sample. The mean includes the zero distance of each point to itself, as in TLLib.
    The bandwidths are detached. The kernels are summed with equal weights, as in TLLib; the paper learns the weights.
    TLLib's value is the unbiased one plus the constant 2 / (n - 1).

    Args:
        source: (n, d).
        target: (m, d).
        bandwidths: the factors $\alpha_u$.
        estimator: estimator of the expectations.
        sigma2: fixed squared bandwidths $\sigma_u^2$ instead of adaptive ones; `bandwidths` is then ignored.

    Returns:
        A scalar, at most twice the number of kernels.

    Raises:
        ValueError: the estimator is unknown, or the sizes of the samples are invalid for it.
    """
    return joint_mmd2([(source, target)], bandwidths, estimator, [sigma2])


def joint_mmd2(
    layers: Sequence[tuple[Tensor, Tensor]],
    bandwidths: Sequence[float] = BANDWIDTHS,
    estimator: Estimator = "biased",
    sigma2: Sequence[Sequence[float] | None] | None = None,
) -> Tensor:
    r"""Compute the squared MMD of the joint distribution of several layers: JAN (Long et al., 2017), arXiv:1605.06636.

    The kernel is the product of the layers' kernels,

    $$k\bigl((x^1, \dots, x^L), (y^1, \dots, y^L)\bigr) = \prod_\ell k^\ell(x^\ell, y^\ell),$$

    and each factor is as in `mmd2`. With a single layer, the result equals `mmd2`. The product is near 0 if the
    bandwidth of one layer is too small. The authors' choice for features and class probabilities is
    `sigma2=(None, (0.84,))`; TLLib has 0.92**2. As in `mmd2`, TLLib's constant 2 / (n - 1) is left out.

    Args:
        layers: a pair (source (n, d_l), target (m, d_l)) per layer. Row i of all layers belongs to the same sample.
        bandwidths: the factors of every adaptive layer.
        estimator: as in `mmd2`.
        sigma2: fixed squared bandwidths per layer; None for a layer with adaptive ones.

    Returns:
        A scalar.

    Raises:
        ValueError: the estimator is unknown, the sizes of the samples are invalid for it, or `sigma2` and `layers`
            have different lengths.
    """
    _check(layers, estimator)
    fixed = [None] * len(layers) if sigma2 is None else sigma2
    widths = [
        _adaptive_sigma2(source, target, bandwidths) if given is None else given
        for (source, target), given in zip(layers, fixed, strict=True)
    ]
    if estimator == "linear":
        return _linear_time(layers, widths)
    n = len(layers[0][0])
    kernel = torch.ones((), dtype=layers[0][0].dtype, device=layers[0][0].device)
    for layer, width in zip(layers, widths, strict=True):
        pooled = torch.cat(layer)
        kernel = kernel * gaussian_kernel_sum(squared_distances(pooled, pooled), width)
    within = _mean if estimator == "biased" else _off_diagonal_mean
    return within(kernel[:n, :n]) + within(kernel[n:, n:]) - 2 * kernel[:n, n:].mean()


def gaussian_kernel_sum(distances: Tensor, sigma2: Sequence[float | Tensor]) -> Tensor:
    r"""Compute the sum of Gaussian kernels $\sum_u \exp(-D / (2 \sigma_u^2))$ of squared distances $D$.

    Args:
        distances: squared distances, any shape.
        sigma2: the squared bandwidths.

    Returns:
        Values in (0, number of kernels], in the shape of `distances`.
    """
    return sum((torch.exp(-distances / (2 * width)) for width in sigma2), start=torch.zeros_like(distances))


def _adaptive_sigma2(source: Tensor, target: Tensor, bandwidths: Sequence[float]) -> list[Tensor]:
    pooled = torch.cat([source, target]).detach()
    # The mean squared distance of all pairs equals twice the total variance, which is cheaper to compute.
    mean_distance = 2 * pooled.var(dim=0, correction=0).sum()
    smallest = torch.finfo(pooled.dtype).tiny  # if all points are equal, the kernel is 1 and not 0 / 0
    return [(factor * mean_distance).clamp(min=smallest) for factor in bandwidths]


def _linear_time(layers: Sequence[tuple[Tensor, Tensor]], widths: Sequence[Sequence[float | Tensor]]) -> Tensor:
    even = len(layers[0][0]) // 2 * 2
    kernels = torch.ones((), dtype=layers[0][0].dtype, device=layers[0][0].device)
    for (source, target), width in zip(layers, widths, strict=True):
        x1, x2, y1, y2 = source[:even:2], source[1:even:2], target[:even:2], target[1:even:2]
        differences = torch.stack([x1 - x2, y1 - y2, x1 - y2, x2 - y1])
        kernels = kernels * gaussian_kernel_sum(differences.square().sum(dim=-1), width)
    return (kernels[0] + kernels[1] - kernels[2] - kernels[3]).mean()


def _mean(kernel: Tensor) -> Tensor:
    return kernel.mean()


def _off_diagonal_mean(kernel: Tensor) -> Tensor:
    n = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))


def _check(layers: Sequence[tuple[Tensor, Tensor]], estimator: str) -> None:
    if estimator not in ("biased", "unbiased", "linear"):
        raise ValueError(f"mmd2: estimator {estimator!r} is unknown; valid are 'biased', 'unbiased' and 'linear'.")
    n, m = (len(sample) for sample in layers[0])
    if estimator != "biased" and min(n, m) < 2:
        raise ValueError(f"mmd2: estimator {estimator!r} needs at least two rows per domain, got {n} and {m}.")
    if estimator == "linear" and n != m:
        raise ValueError(f"mmd2: estimator 'linear' needs equal batches, got {n} and {m} rows.")
