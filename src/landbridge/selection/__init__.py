"""Selection rules, and what the setting allows them to see."""

from landbridge.selection.rule import Evidence, Rule
from landbridge.selection.rules import Last, Oracle, SourceVal, TargetVal, accuracy

#: Every rule, with its default settings: all that the setting allows are computed at every epoch.
RULES: tuple[type[Rule], ...] = (Last, SourceVal, TargetVal, Oracle)

__all__ = ["RULES", "Evidence", "Last", "Oracle", "Rule", "SourceVal", "TargetVal", "accuracy"]
