"""Sliced Wasserstein distance: 1-D optimal transport along random directions, for whole batches or per class."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def random_directions(
    count: int,
    dimension: int,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw unit vectors uniformly from the sphere.

    Args:
        count: L, the number of vectors.
        dimension: d, the dimension of the features.
        generator: random generator on the same device; None means torch's global one.
        device: device of the vectors.
        dtype: dtype of the vectors, equal to that of the features.

    Returns:
        (L, d), rows of length 1.
    """
    return normalize(torch.randn(count, dimension, generator=generator, device=device, dtype=dtype), dim=1)


def sliced_wasserstein2(source: Tensor, target: Tensor, directions: Tensor) -> Tensor:
    r"""Compute the squared sliced 2-Wasserstein distance (Gabourie et al., 2019), arXiv:1907.02271.

    $$\mathrm{SW}_2^2 = \frac1L \sum_l \int_0^1
    \bigl(F^{-1}_{\theta_l^\top X}(q) - F^{-1}_{\theta_l^\top Y}(q)\bigr)^2 dq$$

    For batches of equal size, the integral is the mean squared difference of the sorted projections. For unequal
    sizes, both quantile functions are evaluated at all levels where one of them steps. This is the exact 1-D
    transport; the common linear interpolation on a grid is only an approximation. The sum over the d coordinates is
    not divided by d. Draw new directions at each training step. This is not the discrepancy of Lee et al.
    (arXiv:1903.04064), which compares two classifiers.

    Args:
        source: (n, d).
        target: (m, d).
        directions: (L, d), rows of length 1, for example from `random_directions`.

    Returns:
        A scalar >= 0; for two samples that differ by a shift v, it is $|v|^2 / d$ in expectation.
    """
    x, y = _project(source, directions), _project(target, directions)
    if len(source) == len(target):
        return (x.sort(dim=-1).values - y.sort(dim=-1).values).square().mean()
    all_members = [torch.ones(1, len(z), dtype=torch.bool, device=z.device) for z in (source, target)]
    return _transport(x, all_members[0], y, all_members[1]).mean()


def class_conditional_sliced_wasserstein2(
    source: Tensor,
    source_y: Tensor,
    target: Tensor,
    target_pseudo: Tensor,
    target_confidence: Tensor,
    threshold: float,
    classes: int,
    directions: Tensor,
) -> Tensor:
    r"""Compute the class-conditional sliced Wasserstein term (Gabourie et al., 2019), arXiv:1907.02271.

    $$\sum_k \mathrm{SW}_2^2\bigl(f_s \mid y = k,\; f_t \mid \hat y = k,\ \text{confidence} > \tau\bigr)$$

    A class that is missing in one of the domains contributes 0. Pseudo-labels of an untrained classifier are noise:
    use this term only after a warm-up.

    Args:
        source: (n, d).
        source_y: class indices, (n,).
        target: (m, d).
        target_pseudo: predicted class indices, (m,).
        target_confidence: probabilities of the predicted classes, (m,).
        threshold: $\tau$; target samples with at most this confidence are left out.
        classes: K.
        directions: (L, d), rows of length 1.

    Returns:
        A scalar >= 0.
    """
    index = torch.arange(classes, device=source.device)[:, None]
    source_members = source_y == index
    target_members = (target_pseudo == index) & (target_confidence > threshold)
    per_class = _transport(_project(source, directions), source_members, _project(target, directions), target_members)
    return per_class.mean(dim=1).sum()


def _project(x: Tensor, directions: Tensor) -> Tensor:
    return directions @ x.T


def _transport(x: Tensor, x_members: Tensor, y: Tensor, y_members: Tensor) -> Tensor:
    """Compute the exact squared 1-D transport between the members of two samples, for all classes and directions.

    Shapes do not depend on the number of members, so that the CPU does not wait for the device. Quantile levels are
    integers, in units of 1 / (members of x times members of y). Therefore equal levels compare as exactly equal.

    Args:
        x: projections, (L, n).
        x_members: for each class, which samples are members, (K, n).
        y: projections, (L, m).
        y_members: for each class, which samples are members, (K, m).

    Returns:
        (K, L); 0 for a class that has no member in one of the samples.
    """
    x, x_order = x.sort(dim=-1)
    y, y_order = y.sort(dim=-1)
    x_rank = x_members[:, x_order].cumsum(dim=-1)
    y_rank = y_members[:, y_order].cumsum(dim=-1)
    x_count, y_count = x_rank[..., -1:], y_rank[..., -1:]
    x_level, y_level = x_rank * y_count, y_rank * x_count
    level = torch.cat([x_level, y_level], dim=-1).sort(dim=-1).values
    mass = level.diff(dim=-1, prepend=torch.zeros_like(x_count))
    difference = _quantile(x, x_level, level) - _quantile(y, y_level, level)
    return (mass * difference.square()).sum(dim=-1) / (x_count * y_count).squeeze(-1).clamp(min=1)


def _quantile(ordered: Tensor, own_level: Tensor, level: Tensor) -> Tensor:
    """Return the first of the `ordered` values (L, n) whose `own_level` (K, L, n) reaches `level` (K, L, q)."""
    first = torch.searchsorted(own_level, level)
    return ordered.expand_as(own_level).gather(-1, first)
