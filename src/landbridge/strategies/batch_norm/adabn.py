"""Adaptive batch normalisation."""

from typing import Any, ClassVar

from landbridge.strategies.closed_form import ClosedForm
from landbridge.training.batch_norm_statistics import measure_statistics
from landbridge.training.norm_layers import layers_with_statistics


class AdaBN(ClosedForm):
    r"""Adaptive batch normalisation (Li et al., 2016, arXiv:1603.04779), the cheapest strong baseline.

    The source model's BatchNorm statistics give way to those of the target's training split: for each channel the mean
    and the unbiased variance of the layer's input, pooled over all samples and positions. No weight changes, and no
    label is read. The statistics are exact: see `measure_statistics`. Averages over batches, as in the paper, would
    miss how the batches' means differ. Frozen stages keep their statistics. One epoch is all it takes, and it ends
    training after that.

    Args:
        **base: see `Strategy`.
    """

    requirements: ClassVar = ClosedForm.requirements.but(streams={"target_unlabelled"}, source_model=True)

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        layers_with_statistics(self)  # or refuse, before anything is read

    def solve(self) -> None:
        """Measure every layer."""
        # Looked up here: trainer.sync_batchnorm puts others in the place of those that were built.
        layers = layers_with_statistics(self)
        self.eval()
        measure_statistics(self, layers)
