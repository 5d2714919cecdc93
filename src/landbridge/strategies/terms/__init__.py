"""Auxiliary losses that can be added to a strategy's own loss.

They are set by `terms=[mcc]`, `terms={mcc: 0.5}` or `terms={mcc: {temperature: 2}}`. A method that only adds an
auxiliary loss to supervised training is a file in `conf/strategy/`, and needs no class.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from landbridge.errors import LandbridgeError
from landbridge.strategies.terms.alignment import CORALTerm, DeepJDOTTerm, JointMMDTerm, MMDTerm, SWDTerm
from landbridge.strategies.terms.features import BSPTerm, BSSTerm, SAFNTerm
from landbridge.strategies.terms.predictions import (
    BNMTerm,
    EntropyTerm,
    InformationMaximisationTerm,
    MCCTerm,
    PseudoLabelTerm,
)
from landbridge.strategies.terms.term import Term, Training
from landbridge.strategies.terms.weights import L2SPTerm

__all__ = [
    "TERMS",
    "BNMTerm",
    "BSPTerm",
    "BSSTerm",
    "CORALTerm",
    "DeepJDOTTerm",
    "EntropyTerm",
    "InformationMaximisationTerm",
    "JointMMDTerm",
    "L2SPTerm",
    "MCCTerm",
    "MMDTerm",
    "PseudoLabelTerm",
    "SAFNTerm",
    "SWDTerm",
    "Term",
    "TermSettings",
    "Training",
    "build_terms",
    "join_terms",
]

#: Every auxiliary loss by its name.
TERMS: Mapping[str, type[Term]] = {
    term.name: term
    for term in (
        MCCTerm,
        BNMTerm,
        EntropyTerm,
        InformationMaximisationTerm,
        PseudoLabelTerm,
        SAFNTerm,
        BSPTerm,
        BSSTerm,
        CORALTerm,
        MMDTerm,
        JointMMDTerm,
        SWDTerm,
        DeepJDOTTerm,
        L2SPTerm,
    )
}

#: The value of `terms` in a configuration: a list of names, or a mapping from names to a weight or to settings. `check`
#: compares the settings with the signature of the term's class.
TermSettings = Annotated[Any, "terms"]


def build_terms(settings: Any) -> dict[str, Term]:
    """Build the auxiliary losses of a checked configuration, by name.

    Args:
        settings: a list of names, a mapping from names to a weight or to settings, or None for no auxiliary loss.
    """
    if not isinstance(settings, Mapping):
        settings = dict.fromkeys(settings or ())
    return {name: _build(TERMS[name], value) for name, value in settings.items()}


def _build(term: type[Term], value: Any) -> Term:
    if isinstance(value, int | float):
        return term(weight=value)
    return term(**(value or {}))


def join_terms(of_strategy: Any, added: Any) -> dict[str, Term]:
    """Build the auxiliary losses that are part of a strategy, and those that the user adds.

    Args:
        of_strategy: settings in the strategy's own file, `strategy.terms`.
        added: settings at the root of the configuration, `terms`.

    Raises:
        LandbridgeError: the same auxiliary loss is in both.
    """
    own, more = build_terms(of_strategy), build_terms(added)
    for name in own.keys() & more.keys():
        raise LandbridgeError(
            f"terms: {name} is a part of this strategy already; set strategy.terms.{name}.weight, or remove {name} "
            "from terms"
        )
    return own | more
