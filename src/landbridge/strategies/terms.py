"""Terms that papers add to any loss: each usable beside every strategy, with `terms=[mcc]` or `terms={mcc: 0.5}`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge
from torch import Tensor

from landbridge.losses import bnm, bsp, coral, entropy, information_maximisation, mcc, mmd2, safn
from landbridge.strategies.output import Output

TermName = Literal["mcc", "bnm", "entropy", "information_maximisation", "safn", "bsp", "coral", "mmd"]
TermSettings = list[TermName] | dict[TermName, Annotated[float, Ge(0)]]


@dataclass(frozen=True)
class Term:
    """A loss term over the outputs of some streams.

    Attributes:
        value: computes the term.
        needs: streams that it reads.
        weight: by which it is multiplied unless the user says otherwise.
    """

    value: Callable[[Mapping[str, Output]], Tensor]
    needs: frozenset[str]
    weight: float = 1.0


def _on_target(loss: Callable[[Tensor], Tensor], sign: float = 1.0, weight: float = 1.0) -> Term:
    return Term(
        lambda streams: sign * loss(streams["target_unlabelled"].logits), frozenset({"target_unlabelled"}), weight
    )


def _on_both(loss: Callable[[Tensor, Tensor], Tensor], weight: float = 1.0) -> Term:
    return Term(
        lambda streams: loss(streams["source"].features, streams["target_unlabelled"].features),
        frozenset({"source", "target_unlabelled"}),
        weight,
    )


#: Every term by name, with its papers' weight; `landbridge.losses` has the equations.
TERMS: Mapping[str, Term] = {
    "mcc": _on_target(mcc),
    "bnm": _on_target(bnm),
    "entropy": _on_target(entropy),
    "information_maximisation": _on_target(information_maximisation, sign=-1.0),
    "safn": _on_both(lambda source, target: safn(source) + safn(target), weight=0.05),
    "bsp": _on_both(bsp, weight=2e-4),
    "coral": _on_both(coral),
    "mmd": _on_both(mmd2),
}


def weights(settings: Any) -> dict[str, float]:
    """Return the weight of each configured term.

    Args:
        settings: names, which take their own weight, or a mapping of names to weights.
    """
    if isinstance(settings, Mapping):
        return dict(settings)
    return {name: TERMS[name].weight for name in settings or ()}


def needs(terms: Mapping[str, float]) -> frozenset[str]:
    """Return the streams that terms read."""
    return frozenset().union(*(TERMS[name].needs for name in terms))
