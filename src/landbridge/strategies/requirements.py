"""The facts about a strategy that the rest of landbridge asks for."""

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any

ALL_TASKS = frozenset({"classification", "multi_label", "regression", "several"})
#: For what needs a probability for each class of a sample.
CLASSES = frozenset({"classification"})


@dataclass(frozen=True)
class Requirements:
    """What a strategy needs, and what it does to the network.

    Attributes:
        streams: training streams without which it cannot train: `source`, `target`, `target_unlabelled`.
        tasks: kinds of tasks that it can serve.
        optional_streams: training streams that it uses where the setting provides them.
        looks_back: whether it keeps the network as it was before training, as `Strategy.initial`.
        source_model: whether it continues a source model with its head, so that it cannot start from scratch.
        source_classifier: whether it needs the classifier that the initial weights were trained with.
        source_strategy: the class that trains the source model for `start=source`, with the source as its target.
        trains: whether it is trained before the test.
        trains_head: whether the head may train.
        adapts_at_test: whether it changes its weights during the test, for which it needs gradients.
        reads_inputs: whether training reads the inputs themselves, so that activations of frozen stages cannot replace
            them.
        replaces_weights: whether it sets all weights, also those of frozen stages.
        can_be_averaged: whether an average over its steps or epochs can replace its weights.
        no_terms_because: why no term can be added to its loss; empty if terms can be added.
        biased_rules: names of the selection rules that score what its loss minimises, and therefore prefer it.
        ignored_groups: config groups without effect on it. Runs that differ only there are the same run.
    """

    streams: Set[str]
    tasks: Set[str] = ALL_TASKS
    optional_streams: Set[str] = frozenset()
    looks_back: bool = False
    source_model: bool = False
    source_classifier: bool = False
    source_strategy: str = "landbridge.strategies.TargetOnly"
    trains: bool = True
    trains_head: bool = True
    adapts_at_test: bool = False
    reads_inputs: bool = False
    replaces_weights: bool = False
    can_be_averaged: bool = True
    no_terms_because: str = ""
    biased_rules: Set[str] = frozenset()
    ignored_groups: Set[str] = frozenset()

    @property
    def all_streams(self) -> Set[str]:
        """The streams that it may be given."""
        return self.streams | self.optional_streams

    def but(self, **changes: Any) -> "Requirements":
        """Return a copy with some facts changed: for a strategy that differs from its base."""
        return replace(self, **changes)
