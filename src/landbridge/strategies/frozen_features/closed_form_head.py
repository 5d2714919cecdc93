"""The base of heads that are computed at once from frozen features."""

from typing import ClassVar

from landbridge.strategies.closed_form import ClosedForm


class ClosedFormHead(ClosedForm):
    """A strategy that computes its head from the features of the visible target samples.

    If no target label is visible (`target_labels=0`), the head is computed from the samples of the source.

    The backbone is frozen, so that its features are read from the cache. The configured freezing policy has no effect.
    """

    requirements: ClassVar = ClosedForm.requirements.but(streams={"target"}, source_instead=True, frozen_backbone=True)

    @property
    def learned_from(self) -> str:
        """The domain that the head is computed from: `target`, or `source` if no target label is visible."""
        return "target" if "target" in self.data.streams.training else "source"

    def parameter_counts(self) -> tuple[int, int]:
        """Return the number of parameters, and that of the head, because only the head is computed."""
        return super().parameter_counts()[0], sum(p.numel() for p in self.network.head.parameters())
