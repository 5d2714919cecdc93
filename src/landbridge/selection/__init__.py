"""Selection rules: they choose the epoch of a run whose model is kept."""

from landbridge.selection.rule import Judge, Rule, ValidationOutputs
from landbridge.selection.rules import Last, Oracle, SourceVal, TargetVal
from landbridge.selection.unlabelled import (
    BNM,
    DEV,
    SND,
    ClassAMI,
    Diversity,
    Entropy,
    InformationMaximisation,
    MixVal,
    RankMe,
)

#: All rules, with their default settings. Every rule that the setting allows is computed at every epoch.
RULES: tuple[type[Rule], ...] = (
    Last,
    SourceVal,
    TargetVal,
    Entropy,
    Diversity,
    InformationMaximisation,
    BNM,
    SND,
    DEV,
    RankMe,
    ClassAMI,
    MixVal,
    Oracle,
)

__all__ = [
    "BNM",
    "DEV",
    "RULES",
    "SND",
    "ClassAMI",
    "Diversity",
    "Entropy",
    "InformationMaximisation",
    "Judge",
    "Last",
    "MixVal",
    "Oracle",
    "RankMe",
    "Rule",
    "SourceVal",
    "TargetVal",
    "ValidationOutputs",
]
