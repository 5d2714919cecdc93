"""Load the weights that match a module by name and shape, and report what was loaded and what was not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn

from landbridge.errors import LandbridgeError


@dataclass(frozen=True)
class LoadReport:
    """Report of the entries that a start loaded, by name.

    Attributes:
        origin: where the weights come from.
        loaded: entries of the network that were filled.
        skipped: entries of the file that the network does not have, or has with another shape.
        initialised: entries of the network that keep their fresh initialisation.
        before: what a source model was trained from; None for other weights.
    """

    origin: str
    loaded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    initialised: list[str] = field(default_factory=list)
    before: str | None = None

    def summary(self) -> str:
        """Return one line with the numbers of loaded, skipped and new tensors."""
        fresh = f" ({', '.join(self.initialised[:4])}{', ...' if len(self.initialised) > 4 else ''})"
        return (
            f"start: {len(self.loaded)} tensors loaded from {self.origin}, {len(self.skipped)} skipped, "
            f"{len(self.initialised)} newly initialised{fresh if self.initialised else ''}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report for the record: counts, and the names of what was not loaded."""
        kept = {name: value for name, value in asdict(self).items() if value is not None}
        return kept | {"loaded": len(self.loaded)}


def require_backbone(report: LoadReport, network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Refuse weights that leave a part of the backbone random, as those of another architecture do.

    Args:
        report: what was loaded.
        network: with a `backbone`.
        state: the weights that were given.

    Raises:
        LandbridgeError: names the first entry that is missing or has another shape.
    """
    # Files from before torch 0.4.1 lack the counters of BatchNorm, which nothing reads.
    own = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    whole = [name for name in own if name.startswith("backbone.")]
    if missing := [name for name in report.initialised if name in whole]:
        first = missing[0]
        theirs = f"the shape {tuple(state[first].shape)}" if first in state else "no such entry"
        raise LandbridgeError(
            f"start.path: {report.origin} holds another backbone: {len(missing)} of {len(whole)} tensors would stay "
            f"random; for {first} of the shape {tuple(own[first].shape)} it has {theirs}"
        )


def load_matching(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> LoadReport:
    """Load the entries that match a module by name and shape.

    Raises:
        LandbridgeError: nothing matches.
    """
    own = module.state_dict()
    matching = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not any(name in dict(module.named_parameters()) for name in matching):
        theirs, ours = (_in_file(next(iter(names), "nothing")) for names in (state, own))
        if theirs.startswith("network."):
            raise LandbridgeError(f"start: {origin} is a checkpoint of a landbridge run; type start=checkpoint")
        raise LandbridgeError(
            f"start: no entry of {origin} matches this network by name and shape "
            f"(the file begins with '{theirs}', the network with '{ours}')"
        )
    module.load_state_dict(matching, strict=False)
    return LoadReport(
        origin,
        loaded=list(matching),
        skipped=[name for name in state if name not in matching],
        initialised=[name for name in own if name not in matching],
    )


def _in_file(name: str) -> str:
    """Return the name of an entry of the network as files of the backbone's library have it."""
    return name.removeprefix("backbone.").removeprefix("model.")
