"""Selection rules that need no target labels. Each docstring describes a known failure of the rule."""

import math
from abc import abstractmethod
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.nn.functional import cross_entropy

from landbridge.selection import scores
from landbridge.selection.density_ratio import density_ratios
from landbridge.selection.rule import ONE_CLASS, Rule, ValidationOutputs


class Unlabelled(Rule):
    """Base class of scores of the network's outputs for the target's validation samples."""

    #: The largest number of samples that the rule reads, for rules with a high cost per sample; None means all samples.
    #: The chosen samples are the same in every epoch.
    most: ClassVar[int | None] = None

    def score(self, evidence: ValidationOutputs) -> float:
        """Return the rule's value; nan if an output for the target is not finite."""
        if not evidence.finite["target"]:
            return math.nan
        logits, features = evidence.logits["target"], evidence.features["target"]
        if self.most is not None and len(logits) > self.most:
            chosen = sample(len(logits), self.most)
            logits, features = logits[chosen], features[chosen]
        return self.value(logits, features)

    @abstractmethod
    def value(self, logits: Tensor, features: Tensor) -> float:
        """Compute the score from logits (n, classes) and features (n, d) of the same samples."""


class Entropy(Unlabelled):
    """Negated mean entropy: how confident the predictions are.

    The score is highest for a model that predicts one class with high confidence for all samples.
    """

    name: ClassVar = "entropy"
    needs: ClassVar = frozenset({ONE_CLASS})
    caution: ClassVar = "it is highest for a model that predicts one class with high confidence for all samples"

    def value(self, logits: Tensor, features: Tensor) -> float:
        """Return the score, in [-log K, 0]."""
        return scores.entropy(logits)


class Diversity(Unlabelled):
    """Entropy of the mean prediction: whether all classes occur.

    The score is highest for a model that predicts uniform probabilities for all samples.
    """

    name: ClassVar = "diversity"
    needs: ClassVar = frozenset({ONE_CLASS})
    caution: ClassVar = "it ignores confidence, and is highest for a model that predicts uniform probabilities"

    def value(self, logits: Tensor, features: Tensor) -> float:
        """Return the score, in [0, log K]."""
        return scores.diversity(logits)


class InformationMaximisation(Unlabelled):
    """Diversity minus mean entropy.

    If the true classes have unequal sizes, the score prefers a model that predicts classes of equal size.
    """

    name: ClassVar = "im"
    needs: ClassVar = frozenset({ONE_CLASS})

    def value(self, logits: Tensor, features: Tensor) -> float:
        """Return the score, in [0, log K]."""
        return scores.information_maximisation(logits)


class BNM(Unlabelled):
    """Nuclear norm of the predictions, high for confident and diverse predictions.

    The score prefers models that were trained for confident and diverse predictions.
    """

    name: ClassVar = "bnm"
    needs: ClassVar = frozenset({ONE_CLASS})

    def value(self, logits: Tensor, features: Tensor) -> float:
        """Return the score, in (0, 1]."""
        return scores.bnm(logits)


class SND(Unlabelled):
    """Soft neighbourhood density: how similar the predictions are to each other.

    The score is highest for a model that predicts one class for all samples. It is high after very little training.

    Args:
        temperature: temperature of the similarities.
    """

    name: ClassVar = "snd"
    needs: ClassVar = frozenset({ONE_CLASS})
    most: ClassVar = 500
    least: ClassVar = 2
    caution: ClassVar = (
        "it is highest for a model that predicts one class for all samples, and high after very little training"
    )

    def __init__(self, temperature: Annotated[float, Gt(0)] = 0.05) -> None:
        self.temperature = temperature

    def value(self, logits: Tensor, features: Tensor) -> float:
        """Return the score, in [0, log(n - 1)]."""
        return scores.snd(logits, self.temperature)


class RankMe(Unlabelled):
    """Effective rank of the features.

    The score does not use predictions. It is highest for features that are noise in many dimensions. It reads at most
    25,600 samples, the number that the paper recommends. With fewer samples than dimensions it measures the number of
    samples, too.
    """

    name: ClassVar = "rankme"
    most: ClassVar = 25_600
    caution: ClassVar = "it does not use predictions, and can be higher for models with lower accuracy"

    def value(self, logits: Tensor, features: Tensor) -> float:
        """Return the score, in [1, min(n, d)]."""
        return scores.rankme(features)


class ClassAMI(Unlabelled):
    """Agreement of predictions with k-means clusters.

    A model that predicts a wrong class for each cluster gets the same score as a correct model.

    Args:
        seed: seed of k-means.
    """

    name: ClassVar = "class_ami"
    needs: ClassVar = frozenset({ONE_CLASS})
    most: ClassVar = 500

    def __init__(self, seed: Annotated[int, Ge(0)] = 0) -> None:
        self.seed = seed

    def value(self, logits: Tensor, features: Tensor) -> float:
        """Return the score, at most 1 and near 0 at chance."""
        return scores.class_ami(features, logits, self.seed)


class MixVal(Rule):
    """Agreement of predictions on mixtures of samples; see `scores.mixval`.

    A model that predicts one class for all samples gets 0. The rule reads at most 500 samples, and it runs the network
    on three times as many inputs.

    Args:
        share: weight of the sample whose predicted class the mixture should have.
        seed: seed of the random pairs.
    """

    name: ClassVar = "mixval"
    needs: ClassVar = frozenset({ONE_CLASS})
    predicts: ClassVar = True
    kinds: ClassVar = frozenset({"image", "vector"})
    most: ClassVar = 500

    def __init__(self, share: Annotated[float, Gt(0.5), Lt(1)] = 0.55, seed: Annotated[int, Ge(0)] = 0) -> None:
        self.share = share
        self.seed = seed

    def score(self, evidence: ValidationOutputs) -> float:
        """Return the score, in [0, 1]; nan if an output for the target is not finite."""
        assert evidence.inputs is not None, "the evidence lacks inputs"
        assert evidence.predict is not None, "the evidence lacks a way to predict"
        logits = evidence.logits["target"]
        if not evidence.finite["target"]:
            return math.nan
        return scores.mixval(evidence.inputs(sample(len(logits), self.most)), evidence.predict, self.seed, self.share)


class DEV(Rule):
    """Deep embedded validation: the source's validation loss, weighted by density ratios of target to source.

    Half of the source's validation samples, together with the target's, train a domain classifier. Its weight decay is
    chosen on a fifth of these samples. The risk is computed on the other half, with weights from this classifier. If
    the domains are easy to separate, a few samples have most of the weight, and the score is noise.

    Args:
        seed: seed of the split into halves.
    """

    name: ClassVar = "dev"
    separate_heads: ClassVar = False
    needs: ClassVar = frozenset({ONE_CLASS})
    required_labels: ClassVar = frozenset({"source_labels"})
    most: ClassVar = 500
    least: ClassVar = 4

    def __init__(self, seed: Annotated[int, Ge(0)] = 0) -> None:
        self.seed = seed

    def score(self, evidence: ValidationOutputs) -> float:
        """Return the negated risk, unbounded; nan if an output is not finite."""
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
    """Return positions of at most `most` of n samples, in ascending order; equal arguments give equal positions."""
    if most is None or n <= most:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most].sort().values
