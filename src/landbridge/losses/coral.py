"""Correlation alignment: the distance between the covariances of two samples."""

from torch import Tensor


def coral(source: Tensor, target: Tensor) -> Tensor:
    r"""Compute the DeepCORAL loss as in the paper (Sun & Saenko, 2016), arXiv:1607.01719.

    $$\frac{1}{4 d^2} \, |C_s - C_t|_F^2$$

    The covariances are divided by n - 1. The loss does not depend on the means of the samples.

    Args:
        source: (n, d), n >= 2.
        target: (m, d), m >= 2.

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: a sample has fewer than two rows.
    """
    return (_covariance(source) - _covariance(target)).square().mean() / 4


def coral_with_mean(source: Tensor, target: Tensor) -> Tensor:
    r"""Compute CORAL as TLLib and DomainBed do: the means are also aligned, and there is no factor 1/4.

    $$\frac1d \, |m_s - m_t|^2 + \frac{1}{d^2} \, |C_s - C_t|_F^2$$

    Args:
        source: (n, d), n >= 2.
        target: (m, d), m >= 2.

    Returns:
        A scalar >= 0; zero when means and covariances are equal.

    Raises:
        ValueError: a sample has fewer than two rows.
    """
    means = (source.mean(dim=0) - target.mean(dim=0)).square().mean()
    return means + (_covariance(source) - _covariance(target)).square().mean()


def _covariance(x: Tensor) -> Tensor:
    if len(x) < 2:
        raise ValueError(f"coral: a covariance needs at least two rows, got {len(x)}; use larger batches.")
    centred = x - x.mean(dim=0)
    return centred.T @ centred / (len(x) - 1)
