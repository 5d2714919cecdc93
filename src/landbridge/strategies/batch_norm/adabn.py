"""Adaptive batch normalisation."""

from typing import Any, ClassVar

from landbridge.strategies.closed_form import ClosedForm
from landbridge.training.batch_norm_statistics import measure_statistics
from landbridge.training.norm_layers import layers_with_statistics


class AdaBN(ClosedForm):
    r"""Adaptive batch normalisation (Li et al., 2016, arXiv:1603.04779), a strong baseline at very low cost.

    The BatchNorm statistics of the source model are replaced by those of the target's training split. For each channel
    these are the mean and the unbiased variance of the layer's input, pooled over all samples and positions. No weight
    changes, and no label is read. The statistics are exact: see `measure_statistics`. The paper averages variances over
    batches, which leaves out the variance between the means of batches. Frozen stages keep their statistics. Training
    stops after one epoch.

    Args:
        **base: see `Strategy`.
    """

    requirements: ClassVar = ClosedForm.requirements.but(
        streams={"target_unlabelled"}, source_model=True, separate_heads=False
    )

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        layers_with_statistics(self)  # raises an error before any data is read, if there is no such layer

    def solve(self) -> None:
        """Measure the statistics of every BatchNorm layer."""
        # The layers are listed here and not at construction, because trainer.sync_batchnorm replaces them later.
        layers = layers_with_statistics(self)
        self.eval()
        measure_statistics(self, layers)
