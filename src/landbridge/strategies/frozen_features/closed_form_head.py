"""The base of heads that are computed at once from frozen features."""

from typing import ClassVar

from landbridge.strategies.closed_form import ClosedForm


class ClosedFormHead(ClosedForm):
    """A strategy that computes its head from the features of the visible target samples.

    The backbone is frozen, so that its features are read from the cache. The configured freezing policy has no effect.
    """

    requirements: ClassVar = ClosedForm.requirements.but(streams={"target"}, frozen_backbone=True)

    def parameter_counts(self) -> tuple[int, int]:
        """Return the number of parameters, and that of the head, because only the head is computed."""
        return super().parameter_counts()[0], sum(p.numel() for p in self.network.head.parameters())
