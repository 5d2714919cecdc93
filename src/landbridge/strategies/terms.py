"""Terms that papers add to any loss: each usable beside every strategy, with `terms=[mcc]` or `terms={mcc: 0.5}`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from landbridge.losses import (
    bnm,
    bsp,
    bss,
    coral,
    entropy,
    information_maximisation,
    l2_sp,
    mcc,
    mmd2,
    random_directions,
    safn,
    sliced_wasserstein2,
)
from landbridge.strategies.output import Output

TermName = Literal[
    "mcc", "bnm", "entropy", "information_maximisation", "safn", "bsp", "bss", "coral", "mmd", "swd", "l2_sp"
]
TermSettings = list[TermName] | dict[TermName, Annotated[float, Ge(0)]]


@dataclass(frozen=True)
class Term:
    """A loss term over the outputs of some streams, or over the weights that training has reached.

    Attributes:
        value: computes the term from the outputs of all streams, the backbone, and the backbone's parameters at the
            start as one vector (None unless some term `looks_back`).
        needs: streams that it reads.
        weight: by which it is multiplied unless the user says otherwise. It is constant over the training.
        looks_back: whether it reads the parameters at the start.
        optimises: names of the selection rules that score the same quantity.
    """

    value: Callable[[Mapping[str, Output], nn.Module, Tensor | None], Tensor]
    needs: frozenset[str] = frozenset()
    weight: float = 1.0
    looks_back: bool = False
    optimises: frozenset[str] = frozenset()


def _on_target(loss: Callable[[Output], Tensor], optimises: set[str], weight: float = 1.0) -> Term:
    return Term(
        lambda streams, *_: loss(streams["target_unlabelled"]),
        frozenset({"target_unlabelled"}),
        weight,
        optimises=frozenset(optimises),
    )


def _on_both(loss: Callable[[Tensor, Tensor], Tensor], weight: float = 1.0) -> Term:
    return Term(
        lambda streams, *_: loss(streams["source"].features, streams["target_unlabelled"].features),
        frozenset({"source", "target_unlabelled"}),
        weight,
    )


def _row_per_class(loss: Callable[[Tensor], Tensor]) -> Callable[[Output], Tensor]:
    def checked(target: Output) -> Tensor:
        target.require_row_per_class(f"terms: {loss.__name__}")
        return loss(target.logits)

    return checked


def _coral(streams: Mapping[str, Output], *_: Any) -> Tensor:
    source, target = streams["source"], streams["target_unlabelled"]
    for stream in (source, target):
        stream.require_rows(2, "terms: coral")
    return coral(source.features, target.features)


def _swd(source: Tensor, target: Tensor) -> Tensor:
    directions = random_directions(64, source.shape[1], device=source.device, dtype=source.dtype)
    return sliced_wasserstein2(source, target, directions)


def _l2_sp(streams: Mapping[str, Output], backbone: nn.Module, start: Tensor | None) -> Tensor:
    assert start is not None, "the parameters at the start are kept for a term that looks back"
    return l2_sp({"backbone": parameters_to_vector(backbone.parameters())}, {"backbone": start}, alpha=1.0)


#: Every term by name, with the weight of the strategy that is built on it; `landbridge.losses` has the equations.
TERMS: Mapping[str, Term] = {
    "mcc": _on_target(_row_per_class(mcc), {"bnm", "im"}),
    "bnm": _on_target(_row_per_class(bnm), {"bnm", "im"}),
    "entropy": _on_target(lambda target: entropy(target.logits), {"entropy", "im"}, weight=0.1),
    "information_maximisation": _on_target(
        lambda target: -information_maximisation(target.logits), {"im", "entropy", "diversity"}
    ),
    "safn": _on_both(lambda source, target: safn(source) + safn(target), weight=0.05),
    "bsp": _on_both(bsp, weight=2e-4),
    "bss": Term(lambda streams, *_: bss(streams["target"].features), frozenset({"target"}), weight=1e-3),
    "coral": Term(_coral, frozenset({"source", "target_unlabelled"}), weight=100.0),
    "mmd": _on_both(mmd2),
    "swd": _on_both(_swd),
    # Set the optimizer's weight decay to 0 beside it, which pulls the same parameters towards zero.
    "l2_sp": Term(_l2_sp, weight=0.01, looks_back=True),
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


def start_for(terms: Mapping[str, float], backbone: nn.Module) -> Tensor | None:
    """Return a copy of a backbone's parameters as one vector, if one of the terms looks back at them."""
    if not any(TERMS[name].looks_back for name in terms):
        return None
    return parameters_to_vector(backbone.parameters()).detach().clone()


def optimises(terms: Mapping[str, float]) -> frozenset[str]:
    """Return the names of the selection rules that score what terms optimise."""
    return frozenset().union(*(TERMS[name].optimises for name, weight in terms.items() if weight))
