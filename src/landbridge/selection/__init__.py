"""Selection rules, and what the setting allows them to see."""

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

#: Every rule, with its default settings: all that the setting allows are computed at every epoch.
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
