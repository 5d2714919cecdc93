"""Squared Euclidean distances between all pairs of two samples."""

from torch import Tensor


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    r"""Compute the pairwise squared distances $D_{ij} = |x_i - y_j|^2$.

    The distances are computed from inner products, so that memory is n m and not n m d. Both samples are first
    shifted by one common vector. The shift changes no distance, and it keeps rounding errors small when features are
    far from 0. Unlike the square of `torch.cdist`, this function can be differentiated twice.

    Args:
        x: (n, d).
        y: (m, d).

    Returns:
        (n, m), >= 0.
    """
    shift = y.detach().mean(dim=0)
    x, y = x - shift, y - shift
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return (squares - 2 * x @ y.T).clamp(min=0)
