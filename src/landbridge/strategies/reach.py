"""Which parameters a loss can change, read from the graph of its computation."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from landbridge.errors import LandbridgeError


class VainLossError(LandbridgeError):
    """A loss cannot change what is tested."""


def reaches(loss: Tensor, parameters: Collection[Tensor]) -> bool:
    """Return whether the backward pass of a loss would write a gradient into one of some parameters.

    Only the graph is read. Nothing is computed, so a gradient that happens to be zero counts as well, such as the one
    of an adversarial loss in the first step.

    Args:
        loss: a scalar with its graph.
        parameters: leaves of graphs.
    """
    wanted = {id(each) for each in parameters}
    ahead: list[Any] = [loss.grad_fn] if loss.grad_fn else []
    seen = set(ahead)
    while ahead:
        node = ahead.pop()
        if id(getattr(node, "variable", None)) in wanted:
            return True
        # Nodes of several outputs occur several times.
        for below, _ in node.next_functions:
            if below is not None and below not in seen:
                seen.add(below)
                ahead.append(below)
    return id(loss) in wanted


def require_reach(
    strategy: str,
    own: Mapping[str, Tensor],
    added: Mapping[str, Mapping[str, Tensor]],
    tested: Collection[Tensor],
    all_frozen: bool,
) -> None:
    """Refuse losses that cannot change what is tested, such as an alignment of features that are all frozen.

    Args:
        strategy: its name, for the message.
        own: the losses of the strategy by name.
        added: the losses of each term by name; a term counts as a whole.
        tested: the parameters that train and that the test uses.
        all_frozen: whether all stages of the backbone are frozen in all epochs.

    Raises:
        VainLossError: names the losses.
    """
    vain = [f"its loss {name}" for name, value in own.items() if not reaches(value, tested)]
    vain += [f"terms: {name}" for name, each in added.items() if not any(reaches(x, tested) for x in each.values())]
    if vain:
        because = ", because all stages of the backbone are frozen" if all_frozen else ""
        raise VainLossError(
            f"strategy {strategy}: {' and '.join(vain)} cannot change any weight that the test uses{because}: freeze "
            "fewer stages (freeze.depth=0 trains all), or use a strategy without this loss"
        )
