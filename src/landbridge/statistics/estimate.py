r"""The mean gain, and how far it may be from that over new seeds and new test items.

The model of the gain of test item i under seed s is $d_{si} = \mu + a_s + b_i + e_{si}$: seeds and items are both drawn
at random (Searle, Casella & McCulloch, 1992, chapters 4 and 5). A seed need not test every item.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from landbridge.statistics.gains import Gains
from landbridge.statistics.intervals import Interval

#: Smaller p values are not told apart.
LEAST_P = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    r"""A mean gain, and the two parts of its variance.

    The half-width of the interval is $\sqrt{v_S\,t^2_{(S-1)/2} + v_I\,t^2_I}$: each part has its own quantile of
    Student's t. If both parts are independent, such an interval covers at least what it states (Banerjee, 1960).
    Satterthwaite's degrees of freedom do not guarantee this: with five seeds, and at the small levels that a correction
    over many comparisons needs, they give several times the stated error. The seed part has half of the usual $S - 1$
    degrees of freedom, because the gains of seeds may be skewed: of ten runs of a method, one may collapse.

    Attributes:
        mean: Mean over the seeds of the mean gain of a seed.
        seeds: Number of seeds S.
        over_seeds: $v_S$, the part of the variance that shrinks with the number of seeds.
        over_items: $v_I$, the part that does not, because seeds share test items.
        items_df: Degrees of freedom of `over_items`.
    """

    mean: float
    seeds: int
    over_seeds: float
    over_items: float
    items_df: float

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(self.over_seeds + self.over_items)

    @property
    def is_known(self) -> bool:
        """Whether there is a variance: not with one seed, and not if all gains are equal."""
        return self.seeds > 1 and self.error > 0

    def half_width(self, level: float, seeds: int | None = None) -> float:
        """Return the half-width of the interval.

        Args:
            level: Nominal coverage, in (0, 1).
            seeds: Number of seeds to expect it for, at least 2; None for the observed number.
        """
        seeds = seeds or self.seeds
        return math.sqrt(self._squared((1 - level) / 2, seeds))

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the interval of the mean; None if the variance is not known."""
        if not self.is_known:
            return None
        half = self.half_width(level)
        return Interval(self.mean - half, self.mean + half, level, "t over seeds and test items")

    @property
    def p(self) -> float:
        """The two-sided p of a mean of zero, in (0, 1]: 1 - the level at which the interval touches 0.

        It is 1 if the variance is not known.
        """
        if not self.is_known or self.mean == 0:
            return 1.0
        squared = self.mean**2
        if self._squared(LEAST_P / 2, self.seeds) <= squared:
            return LEAST_P
        found: Any = optimize.brentq(
            lambda log_p: self._squared(math.exp(log_p) / 2, self.seeds) - squared, math.log(LEAST_P), 0.0, xtol=1e-7
        )
        return math.exp(found)

    def _squared(self, tail: float, seeds: int) -> float:
        """Return the square of the half-width. The lower quantile is exact for small tails, and its square the same."""
        own = self.over_seeds * self.seeds / seeds * special.stdtrit((seeds - 1) / 2, tail) ** 2
        return float(own + self.over_items * special.stdtrit(self.items_df, tail) ** 2)


def estimate(gains: Gains) -> Estimate:
    r"""Estimate the mean gain, and its variance over new seeds and new test items.

    Write $D_s$ for the mean gain of seed s. Then $\mathrm{Var}(\bar D) = \mathrm E[\hat s^2_D]/S + c$, where
    $\hat s^2_D$ is the variance of the $D_s$, and $c$ is the covariance of two seeds, which is there because they are
    tested on the same items: $c = \sigma_b^2$ times the mean over pairs of seeds of (shared items / product of the
    sizes of both test sets). $\sigma_b^2$ is estimated by the products of the gains, each centred by its seed, of one
    item under two seeds (a method of moments, without bias also if seeds share only some items). If all seeds share
    all items, the sum is the one of the balanced analysis of variance, $(MS_a + MS_b - MS_e)/SI$.

    Two bounds guard against estimates that are too small by chance: $c$ is not negative, and the variance is not
    smaller than that over items alone, with the seeds held fixed.

    Without gains of items, $c = \hat s^2_D\,$`test_ratio` (Nadeau & Bengio, 2003), so that 0, with a shared test set,
    makes a statement on this test set only.

    Args:
        gains: of at least one seed. With one seed, no variance is known.
    """
    by_seed, seeds = gains.by_seed, gains.by_seed.size
    mean = float(by_seed.mean())
    if seeds < 2:
        return Estimate(mean, seeds, math.inf, 0.0, 1.0)
    # Equal gains can differ by rounding.
    equal = np.ptp(by_seed) <= 1e-12 * np.abs(by_seed).max()
    spread = 0.0 if equal else float(by_seed.var(ddof=1))
    if gains.values is None or gains.seeds is None or gains.items is None:
        return Estimate(mean, seeds, spread / seeds, spread * gains.test_ratio, (seeds - 1) / 2)
    centred = gains.values - by_seed[gains.seeds]
    sizes = np.bincount(gains.seeds)
    shared = shared_items(gains.seeds, gains.items)
    covariance = covariance_of_seeds(centred, gains.items, sizes, shared)
    items_alone, df = _over_items(centred / (seeds * sizes[gains.seeds]), gains.items)
    rest = max(covariance, items_alone - spread / seeds, 0.0)
    return Estimate(mean, seeds, spread / seeds, rest, df)


def shared_items(seeds: NDArray[np.intp], items: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the number of items that two seeds share, shape (S, S), with zeros on the diagonal."""
    tested = np.zeros((int(seeds.max()) + 1, int(items.max()) + 1), np.float32)
    tested[seeds, items] = 1
    shared = (tested @ tested.T).astype(float)
    np.fill_diagonal(shared, 0.0)
    return shared


def covariance_of_seeds(
    centred: NDArray[np.float64], items: NDArray[np.intp], sizes: NDArray[np.intp], shared: NDArray[np.float64]
) -> float:
    """Return the mean covariance of the mean gains of two seeds, from the items that they share."""
    inverse = 1 / sizes
    # The expected sum of products is the variance of item effects, times this number: centring takes away a little.
    expected = float((shared * (1 - inverse[:, None] - inverse + shared * inverse[:, None] * inverse)).sum())
    if expected < 1:
        return 0.0
    products = float((np.bincount(items, centred) ** 2).sum() - (centred**2).sum())
    pairs = sizes.size * (sizes.size - 1)
    return products / expected * float(inverse @ shared @ inverse) / pairs


def _over_items(parts: NDArray[np.float64], items: NDArray[np.intp]) -> tuple[float, float]:
    """Return the variance of the mean over items alone, and its degrees of freedom.

    The degrees of freedom follow from the spread of the squares. If five items of a thousand differ between the method
    and its reference, they are about twice five.

    Args:
        parts: what every gain, centred by its seed, adds to the mean.
        items: of the same gains.
    """
    count = int(np.count_nonzero(np.bincount(items)))
    if count < 2:
        return 0.0, 1.0
    squares = np.bincount(items, parts) ** 2
    total = float(squares.sum())
    excess = float((squares**2).sum()) - total**2 / count
    df = min(2 * total**2 / excess, count - 1) if excess > 0 else count - 1
    return total * count / (count - 1), float(max(df, 1.0))
