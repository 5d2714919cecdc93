"""Selection rules that need no target label. Each is known to fail in its own way; its docstring says how."""

import math
from abc import abstractmethod
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.nn.functional import cross_entropy

from landbridge.selection import scores
from landbridge.selection.density_ratio import density_ratios
from landbridge.selection.rule import Rule, ValidationOutputs


class Unlabelled(Rule):
    """A score of the network's outputs for the target's validation samples."""

    #: The most samples that it looks at, where its cost grows faster than their number; the same in every epoch.
    most: ClassVar[int | None] = None

    def score(self, evidence: ValidationOutputs) -> float:
        """The rule's value; nan where an output is not finite."""
        if not evidence.finite["target"]:
            return math.nan
        logits, features = evidence.logits["target"], evidence.features["target"]
        if self.most is not None and len(logits) > self.most:
            chosen = sample(len(logits), self.most)
            logits, features = logits[chosen], features[chosen]
        return self.value(logits, features)

    @abstractmethod
    def value(self, logits: Tensor, features: Tensor) -> float:
        """Score logits (n, classes) and features (n, d) of the same samples."""


class Entropy(Unlabelled):
    """Negated mean entropy: how sure the predictions are. A model that is sure of one class for all is the best."""

    name: ClassVar = "entropy"
    tasks: ClassVar = frozenset({"classification"})
    caution: ClassVar = "it is highest for a model that is sure of one and the same class everywhere"

    def value(self, logits: Tensor, features: Tensor) -> float:
        """In [-log K, 0]."""
        return scores.entropy(logits)


class Diversity(Unlabelled):
    """Entropy of the mean prediction: whether all classes occur. A model that knows nothing and says so is the best."""

    name: ClassVar = "diversity"
    tasks: ClassVar = frozenset({"classification"})
    caution: ClassVar = "it is blind to how sure predictions are, and highest for a model that knows nothing"

    def value(self, logits: Tensor, features: Tensor) -> float:
        """In [0, log K]."""
        return scores.diversity(logits)


class InformationMaximisation(Unlabelled):
    """Diversity minus mean entropy. Where classes are unequal, it prefers a model that makes them equal."""

    name: ClassVar = "im"
    tasks: ClassVar = frozenset({"classification"})

    def value(self, logits: Tensor, features: Tensor) -> float:
        """In [0, log K]."""
        return scores.information_maximisation(logits)


class BNM(Unlabelled):
    """Nuclear norm of the predictions, high for sure and varied ones: it prefers what was trained for that."""

    name: ClassVar = "bnm"
    tasks: ClassVar = frozenset({"classification"})

    def value(self, logits: Tensor, features: Tensor) -> float:
        """In (0, 1]."""
        return scores.bnm(logits)


class SND(Unlabelled):
    """Soft neighbourhood density: how alike predictions are. Collapsed models, and hardly trained ones, are the best.

    Args:
        temperature: of the similarities.
    """

    name: ClassVar = "snd"
    tasks: ClassVar = frozenset({"classification"})
    most: ClassVar = 500
    least: ClassVar = 2
    caution: ClassVar = "it is highest for a model that predicts one class everywhere, high for a hardly trained one"

    def __init__(self, temperature: Annotated[float, Gt(0)] = 0.05) -> None:
        self.temperature = temperature

    def value(self, logits: Tensor, features: Tensor) -> float:
        """In [0, log(n - 1)]."""
        return scores.snd(logits, self.temperature)


class RankMe(Unlabelled):
    """Effective rank of the features. It never looks at predictions: noise in many dimensions is the best."""

    name: ClassVar = "rankme"
    most: ClassVar = 500
    caution: ClassVar = "it never looks at predictions, and can rank models against their accuracy"

    def value(self, logits: Tensor, features: Tensor) -> float:
        """In [1, min(n, d)]."""
        return scores.rankme(features)


class ClassAMI(Unlabelled):
    """Agreement of predictions with k-means clusters. Clusters with each other's names agree as well as right ones.

    Args:
        seed: of k-means.
    """

    name: ClassVar = "class_ami"
    tasks: ClassVar = frozenset({"classification"})
    most: ClassVar = 500

    def __init__(self, seed: Annotated[int, Ge(0)] = 0) -> None:
        self.seed = seed

    def value(self, logits: Tensor, features: Tensor) -> float:
        """At most 1, near 0 at chance."""
        return scores.class_ami(features, logits, self.seed)


class MixVal(Rule):
    """Agreement of predictions on mixtures of samples. A model with one predicted class has no mixtures and gets 0.

    It runs the network on three times as many inputs as it looks at, 500 at most.

    Args:
        share: of the sample that a mixture must be predicted as.
        seed: of the pairs.
    """

    name: ClassVar = "mixval"
    tasks: ClassVar = frozenset({"classification"})
    predicts: ClassVar = True
    most: ClassVar = 500

    def __init__(self, share: Annotated[float, Gt(0.5), Lt(1)] = 0.55, seed: Annotated[int, Ge(0)] = 0) -> None:
        self.share = share
        self.seed = seed

    def score(self, evidence: ValidationOutputs) -> float:
        """In [0, 1]; nan where an output is not finite."""
        assert evidence.inputs is not None, "the evidence lacks inputs"
        assert evidence.predict is not None, "the evidence lacks a way to predict"
        logits = evidence.logits["target"]
        if not evidence.finite["target"]:
            return math.nan
        return scores.mixval(evidence.inputs(sample(len(logits), self.most)), evidence.predict, self.seed, self.share)


class DEV(Rule):
    """Deep embedded validation: the source's validation loss, weighted by how much like the target each sample is.

    Half of the source's validation samples and the target's teach a domain classifier; the other half is weighted and
    judged. Where the domains are told apart with ease, the weights of a few samples decide, and the score is noise.

    Args:
        seed: of the halves.
    """

    name: ClassVar = "dev"
    tasks: ClassVar = frozenset({"classification"})
    required_labels: ClassVar = frozenset({"source_labels"})
    most: ClassVar = 500
    least: ClassVar = 4

    def __init__(self, seed: Annotated[int, Ge(0)] = 0) -> None:
        self.seed = seed

    def score(self, evidence: ValidationOutputs) -> float:
        """Negated risk, unbounded; nan where an output is not finite."""
        logits, features, labels = (each["source"] for each in (evidence.logits, evidence.features, evidence.labels))
        target = evidence.features["target"]
        if not all(evidence.finite.values()):
            return math.nan
        chosen = sample(len(logits), self.most)
        shuffled = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(self.seed))]
        learned, held_out = shuffled.tensor_split(2)
        weights = density_ratios(features[learned], target[sample(len(target), self.most)], features[held_out])
        return scores.dev(weights, cross_entropy(logits[held_out], labels[held_out], reduction="none"))


def sample(n: int, most: int | None) -> Tensor:
    """Return positions of at most so many of n samples, in ascending order; always the same ones."""
    if most is None or n <= most:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most].sort().values
