"""Numbers."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from landbridge.tasks.metrics import Metrics
from landbridge.tasks.task import NUMBERS, Task


@dataclass(frozen=True)
class Regression(Task):
    r"""Numbers. Labels and outputs are (n, k), in the units of the data; nan is a hidden or missing number.

    The loss is $\frac1k \sum_j ((\hat y_j - y_j) / s_j)^2$ over the numbers that are there, so that numbers in
    different units count alike. Centre $c$ and scale $s$ are mean and standard deviation of the visible labels. A
    network's output is $\hat y_j = c_j + s_j\,g_j$ with the head's output $g_j$. A label budget is a number of samples.
    Splits are stratified by ten quantiles of the first number. A sample's score is its negative absolute error. Of
    several numbers it is the mean of the negative errors, each divided by the standard deviation of this number in the
    test split, as in R2. So the number with the largest unit does not decide alone.

    Attributes:
        targets: names of the numbers.
    """

    targets: tuple[str, ...]
    kind: ClassVar = "regression"
    gives: ClassVar = frozenset({NUMBERS})
    leading: ClassVar = "r2"
    shown_metrics: ClassVar = {"r2": "R2", "mae": "mean absolute error", "rmse": "root mean squared error"}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the numbers."""
        return self.targets

    def losses(self, outputs: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        """Mean squared error over the numbers that are there."""
        seen = ~y.isnan()
        errors = torch.where(seen, outputs - y, 0.0) / (1.0 if scale is None else scale)
        return errors.square().sum(1) / seen.sum(1).clamp(min=1)

    @property
    def has_units(self) -> bool:
        """Numbers have units."""
        return True

    def units(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each number; 1 where a number does not vary."""
        y = y.double()
        centre = y.nanmean(0).nan_to_num()
        variance = (y - centre).square().nanmean(0).nan_to_num()
        scale = torch.where(variance > 0, variance.sqrt(), 1.0)
        return centre.float(), scale.float()

    def sample_scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Negative absolute error; for several numbers, its mean in standard deviations."""
        errors = (outputs.double() - y.double()).abs()
        return -(errors / self.units(y)[1] if self.outputs > 1 else errors).nanmean(1)

    def metrics(self) -> "RegressionMetrics":
        """Return R2, mean absolute error and root mean squared error."""
        return RegressionMetrics(self.targets)

    def to_labels(self, values: Tensor) -> Tensor:
        """Return float32 numbers (n, k)."""
        values = values.float()
        values = values.unsqueeze(1) if values.ndim == 1 else values
        if values.ndim != 2 or values.shape[1] != self.outputs:
            raise ValueError(f"numbers are (n, {self.outputs}), not {tuple(values.shape)}")
        return values

    def strata(self, y: Tensor) -> Tensor:
        """Stratify by ten quantiles of the first number; without any number, all samples are one stratum."""
        first = y[:, 0].double()
        ranked = first[~first.isnan()].sort().values
        if not len(ranked):
            return torch.zeros(len(y), dtype=torch.long)
        # `torch.quantile` refuses more than 16 million numbers. This is its linear interpolation.
        ranks = torch.linspace(0.1, 0.9, 9, dtype=torch.double) * (len(ranked) - 1)
        edges = torch.lerp(ranked[ranks.long()], ranked[ranks.ceil().long()], ranks.frac())
        return torch.bucketize(first.nan_to_num(), edges)


class RegressionMetrics(Metrics):
    """R2, MAE and RMSE, from sums in double precision.

    Args:
        names: of the numbers.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        zeros = torch.zeros(len(names), dtype=torch.double)
        self.count, self.mean, self.spread = zeros.clone(), zeros.clone(), zeros.clone()
        self.squares, self.absolute = zeros.clone(), zeros.clone()
        self.n = 0

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch of numbers (b, k); those that are nan do not count."""
        outputs, y = outputs.double().cpu(), y.double().cpu()
        seen = ~y.isnan()
        errors = torch.where(seen, outputs - y, 0.0)
        self.squares += errors.square().sum(0)
        self.absolute += errors.abs().sum(0)
        # Mean and spread are pooled (Chan et al., 1979), because sums of squares would lose their digits.
        count = seen.sum(0).double()
        mean = torch.where(seen, y, 0.0).sum(0) / count.clamp(min=1)
        spread = torch.where(seen, y - mean, 0.0).square().sum(0)
        total = (self.count + count).clamp(min=1)
        gap = mean - self.mean
        self.spread += spread + gap.square() * self.count * count / total
        self.mean += gap * count / total
        self.count += count
        self.n += len(y)

    def compute(self) -> dict[str, Any]:
        """Return means over the numbers, and each of them by name.

        R2 is in (-inf, 1]; it is undefined for a number without spread in the test split, which is named and not
        averaged in.
        """
        defined = (self.spread > 0) & (self.count > 1)
        r2 = 1 - self.squares / self.spread
        count = self.count.clamp(min=1)
        mae, rmse = self.absolute / count, (self.squares / count).sqrt()
        there = self.count > 0

        def by_name(values: Tensor, which: Tensor) -> dict[str, float]:
            return {name: float(v) for name, v, ok in zip(self.names, values, which, strict=True) if ok}

        several = len(self.names) > 1
        return {
            "n": self.n,
            "r2": float(r2[defined].mean()) if bool(defined.any()) else float("nan"),
            "mae": float(mae[there].mean()) if bool(there.any()) else float("nan"),
            "rmse": float(rmse[there].mean()) if bool(there.any()) else float("nan"),
            **({"r2_by_name": by_name(r2, defined), "mae_by_name": by_name(mae, there)} if several else {}),
            "undefined": [name for name, ok in zip(self.names, defined, strict=True) if not ok],
        }
