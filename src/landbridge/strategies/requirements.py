"""The facts about a strategy that other parts of landbridge read."""

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Requirements:
    """What a strategy needs, and what it does to the network.

    Attributes:
        streams: names of the training streams that the strategy needs: `source`, `target`, `target_unlabelled`.
        needs: what a task must give in addition to a loss (`Task.gives`), such as `landbridge.tasks.ONE_CLASS`. With an
            empty set, it serves every task.
        optional_streams: names of training streams that it uses if the setting provides them.
        looks_back: whether it keeps a copy of the network before training, as `Strategy.initial`.
        source_model: whether it continues a source model with its head. Such a strategy cannot start from scratch.
        source_classifier: whether it needs the classifier that the initial weights were trained with.
        source_strategy: the class that trains the source model for `start=source`. It is trained with the source domain
            as its target.
        trains: whether it is trained before the test.
        trains_head: whether the head may train. The bottleneck trains with the backbone.
        source_instead: whether it learns from the source if no target label is visible.
        frozen_backbone: whether backbone and bottleneck are frozen in all epochs, whatever the freezing policy.
        adapts_at_test: whether it changes its weights during the test. It then needs gradients.
        separate_heads: whether source and target may have different tasks, each with a head of its own.
        reads_inputs: whether training reads the inputs themselves. Then activations of frozen stages cannot replace the
            inputs.
        takes_mixed_labels: whether it reads the labels of training batches by `supervised` only. Then mixup and CutMix
            can give a sample the labels of two.
        replaces_weights: whether it sets all weights, including those of frozen stages.
        can_be_averaged: whether an average over its steps or epochs can replace its weights.
        no_terms_because: why no auxiliary loss can be added. Empty if auxiliary losses can be added.
        biased_rules: names of the selection rules that score the quantity which its loss minimises. These rules are
            biased in favour of the strategy.
        unused_groups: further config groups without effect on it; see `ignored_groups`.
        balancing: the settings against class imbalance that have an effect on it, if it has a labelled stream.
    """

    streams: Set[str]
    needs: Set[str] = frozenset()
    optional_streams: Set[str] = frozenset()
    looks_back: bool = False
    source_model: bool = False
    source_classifier: bool = False
    source_strategy: str = "landbridge.strategies.TargetOnly"
    trains: bool = True
    trains_head: bool = True
    source_instead: bool = False
    frozen_backbone: bool = False
    adapts_at_test: bool = False
    separate_heads: bool = False
    reads_inputs: bool = False
    takes_mixed_labels: bool = True
    replaces_weights: bool = False
    can_be_averaged: bool = True
    no_terms_because: str = ""
    biased_rules: Set[str] = frozenset()
    unused_groups: Set[str] = frozenset()
    balancing: Set[str] = frozenset({"task.class_weights", "data.sampler"})

    @property
    def all_streams(self) -> Set[str]:
        """The names of all streams that the strategy can use."""
        return self.streams | self.optional_streams

    @property
    def ignored_groups(self) -> Set[str]:
        """The config groups without effect. Two runs that differ only in these groups are the same run."""
        return self.unused_groups | ({"freeze"} if self.frozen_backbone else set())

    def but(self, **changes: Any) -> "Requirements":
        """Return a copy with changed attributes, for a strategy that differs from its base class."""
        return replace(self, **changes)
