import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from landbridge.cli.config_sources import conf_folder
from landbridge.selection import (
    BNM,
    DEV,
    RULES,
    SND,
    ClassAMI,
    Diversity,
    Entropy,
    InformationMaximisation,
    MixVal,
    RankMe,
    SourceVal,
    TargetVal,
    ValidationOutputs,
    density_ratio,
    scores,
)
from landbridge.selection.density_ratio import density_ratios
from landbridge.selection.unlabelled import sample
from landbridge.tasks import Classification

CENTRES = torch.tensor([[6.0, 0.0], [0.0, 6.0], [-5.0, -5.0]])
THREE = Classification(("a", "b", "c"))
NO_LABELS = [Entropy, Diversity, InformationMaximisation, BNM, SND, RankMe, ClassAMI]


def blobs(counts=(30, 30, 30), seed=0, shift=0.0):
    """Return well separated classes of the given sizes: inputs (n, 2) and labels (n,), in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels), generator=generator)]
    return CENTRES[labels] + shift + torch.randn(len(labels), 2, generator=generator), labels


def right(inputs):
    """Return the logits of a correct classifier."""
    return -torch.cdist(inputs, CENTRES).square() / 20


def constant(inputs):
    """Return the logits of a model that predicts class 1 with high confidence for all samples."""
    return torch.tensor([0.0, 30.0, 0.0]).expand(len(inputs), 3)


def ignorant(inputs):
    """Return the logits of a model that predicts uniform probabilities."""
    return torch.zeros(len(inputs), 3)


def wrong(inputs):
    """Return the logits of a model that predicts a wrong class for each class, with high confidence."""
    return 100 * right(inputs)[:, [2, 0, 1]]


def seen(predict, counts=(30, 30, 30), source=None, features=None):
    """Return the validation outputs of a model; its features are its inputs unless others are given."""
    inputs, labels = blobs(counts)
    source, source_labels = source or blobs(seed=1)
    return ValidationOutputs(
        epoch=0,
        logits={"target": predict(inputs), "source": predict(source)},
        features={"target": inputs if features is None else features, "source": source},
        labels={"target": torch.full_like(labels, -1), "source": source_labels},
        task=THREE,
        inputs=lambda positions: inputs[positions],
        predict=predict,
    )


def accuracy(predict, counts=(30, 30, 30)):
    inputs, labels = blobs(counts)
    return float((predict(inputs).argmax(1) == labels).float().mean())


def test_every_rule_has_a_file_of_its_name():
    files = {path.stem: path.read_text() for path in (conf_folder() / "selection").glob("*.yaml")}
    assert files.keys() == {rule.name for rule in RULES}
    assert all(f"landbridge.selection.{rule.__name__}" in files[rule.name] for rule in RULES)


def test_rules_equal_their_scores():
    evidence = seen(right)
    logits, features = evidence.logits["target"], evidence.features["target"]
    assert Entropy().score(evidence) == scores.entropy(logits)
    assert Diversity().score(evidence) == scores.diversity(logits)
    assert InformationMaximisation().score(evidence) == scores.information_maximisation(logits)
    assert BNM().score(evidence) == scores.bnm(logits)
    assert SND(temperature=0.2).score(evidence) == scores.snd(logits, 0.2) != scores.snd(logits)
    assert RankMe().score(evidence) == scores.rankme(features)
    assert ClassAMI().score(evidence) == scores.class_ami(features, logits)
    assert MixVal(share=0.7, seed=3).score(evidence) == scores.mixval(features, right, 3, 0.7)


@pytest.mark.parametrize("rule", [Diversity, InformationMaximisation, BNM, ClassAMI, MixVal, DEV, SourceVal])
def test_a_correct_model_scores_higher_than_a_collapsed_one(rule):
    assert rule().score(seen(right)) > rule().score(seen(constant))


@pytest.mark.parametrize("rule", [*NO_LABELS, DEV, MixVal])
def test_outputs_that_are_not_finite_have_no_score(rule):
    assert math.isnan(rule().score(seen(lambda x: right(x) * torch.nan)))


def test_accuracy_is_nan_if_outputs_of_its_own_domain_are_not_finite():
    evidence = seen(right)
    for role, rule, other in (("source", SourceVal(), TargetVal()), ("target", TargetVal(), SourceVal())):
        broken = replace(
            evidence,
            logits=evidence.logits | {role: evidence.logits[role].index_fill(0, torch.tensor([3]), math.inf)},
            labels=evidence.labels | {"target": blobs()[1]},
        )
        assert math.isnan(rule.score(broken))
        assert other.score(broken) == 1


# The documented failure of each rule: a worse model gets a higher score.


@pytest.mark.parametrize("rule", [Entropy, SND])
def test_entropy_and_density_prefer_a_collapsed_model_and_have_a_caution(rule):
    assert accuracy(constant) < accuracy(right)
    assert rule().score(seen(constant)) > rule().score(seen(right))
    assert "one" in rule.caution


def test_density_prefers_a_model_after_very_little_training():
    def hardly_trained(inputs):
        return 1e-3 * right(inputs)[:, [2, 0, 1]]

    assert accuracy(hardly_trained) < accuracy(right)
    assert SND().score(seen(hardly_trained)) > SND().score(seen(right))


def test_diversity_prefers_uniform_predictions():
    assert accuracy(ignorant) < accuracy(right)
    unequal = (30, 20, 20)
    assert Diversity().score(seen(ignorant, unequal)) > Diversity().score(seen(right, unequal))


def test_information_maximisation_prefers_equal_classes():
    def equal_classes(inputs):
        """Return logits that divide the samples into three classes of equal size."""
        parts = inputs[:, 0].argsort().argsort() * 3 // len(inputs)
        return 30 * one_hot(parts, 3).float()

    unequal, rule = (80, 5, 5), InformationMaximisation()
    assert accuracy(equal_classes, unequal) < accuracy(right, unequal)
    assert rule.score(seen(equal_classes, unequal)) > rule.score(seen(right, unequal))


@pytest.mark.parametrize("rule", [BNM, InformationMaximisation])
def test_confident_and_diverse_predictions_are_preferred_even_if_wrong(rule):
    assert accuracy(wrong) == 0
    assert rule().score(seen(wrong)) > rule().score(seen(right))


def test_rank_prefers_noise_to_features_that_separate_the_classes():
    evidence = seen(right, features=CENTRES[blobs()[1]])
    noise = torch.randn(90, 20, generator=torch.Generator().manual_seed(0))
    assert RankMe().score(seen(right, features=noise)) > RankMe().score(evidence)


def test_cluster_agreement_does_not_depend_on_the_class_of_a_cluster():
    assert accuracy(wrong) == 0
    assert ClassAMI().score(seen(wrong)) == pytest.approx(ClassAMI().score(seen(right))) == pytest.approx(1)


def test_mixtures_of_one_predicted_class_get_the_worst_value():
    assert MixVal().score(seen(constant)) == 0
    assert MixVal().score(seen(wrong)) > 0.85  # a wrong model with wide margins still gets a high score


def test_source_accuracy_does_not_depend_on_target_predictions():
    def fails_on_the_target(inputs):
        return torch.where(inputs[:, :1] > 50, constant(inputs), right(inputs))

    evidence = ValidationOutputs(
        epoch=0,
        logits={"target": fails_on_the_target(blobs(shift=100.0)[0]), "source": fails_on_the_target(blobs(seed=1)[0])},
        features={},
        labels={"source": blobs(seed=1)[1]},
        task=THREE,
    )
    assert SourceVal().score(evidence) == SourceVal().score(seen(right)) == 1


def shifted(shift, steep=1.0):
    """Return validation outputs with one feature, and the model's loss on the target.

    The target's mean is higher by `shift`, and the model's loss increases with the feature.
    """
    generator = torch.Generator().manual_seed(0)
    source, target = (mean + torch.randn(500, 1, generator=generator) for mean in (0.0, shift))
    evidence = ValidationOutputs(
        epoch=0,
        logits={"source": torch.cat([torch.zeros_like(source), -steep * source.clamp(min=0)], 1)},
        features={"source": source, "target": target},
        labels={"source": torch.ones(500, dtype=torch.long)},
        task=Classification(("a", "b")),
    )
    return evidence, float(torch.log1p((steep * target.clamp(min=0)).exp()).mean())


def test_embedded_validation_depends_on_few_samples_if_domains_are_easy_to_separate():
    risks = {shift: [-DEV(seed).score(shifted(shift)[0]) for seed in range(10)] for shift in (0.0, 6.0)}
    assert np.std(risks[6.0]) > 10 * np.std(risks[0.0])
    assert max(risks[6.0]) < 0.8 * shifted(6.0)[1]
    features = shifted(6.0)[0].features
    weights = density_ratios(features["source"][::2], features["target"], features["source"][1::2])
    assert weights.sum().square() / weights.square().sum() < 10  # effective number of samples, of 250


# Deep embedded validation and its density ratios


def test_density_ratios_of_two_gaussians_are_near_the_exact_ones():
    generator = torch.Generator().manual_seed(0)
    source, target = (mean + torch.randn(4000, 1, generator=generator) for mean in (0.0, 1.0))
    at = torch.linspace(-2, 3, 11)[:, None]
    expected = (at - 0.5).exp().squeeze(1).double()  # density ratio of N(1, 1) to N(0, 1)
    torch.testing.assert_close(density_ratios(source, target, at), expected, rtol=0.3, atol=0)
    # The ratio does not depend on the sizes of the samples.
    torch.testing.assert_close(density_ratios(source[:1000], target, at), expected, rtol=0.3, atol=0)
    # It does not depend on the units of features or on constant features.
    scaled = [torch.cat([1e4 * x, torch.full_like(x, 0.1)], 1) for x in (source, target, at)]
    torch.testing.assert_close(density_ratios(*scaled), density_ratios(source, target, at), rtol=1e-3, atol=0)


def test_embedded_validation_is_computed_on_a_held_out_half():
    evidence = seen(right)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(4))
    learned, held_out = order[:45], order[45:]
    features, target = evidence.features["source"], evidence.features["target"]
    weights = density_ratios(features[learned], target, features[held_out])
    losses = cross_entropy(evidence.logits["source"][held_out], evidence.labels["source"][held_out], reduction="none")
    assert DEV(seed=4).score(evidence) == pytest.approx(scores.dev(weights, losses), rel=1e-9)


@pytest.mark.parametrize("steep", [0.5, 2.0])
def test_embedded_validation_estimates_the_loss_on_a_shifted_target(steep):
    evidence, loss = shifted(1.0, steep)
    on_source = cross_entropy(evidence.logits["source"], evidence.labels["source"])
    risk = -DEV().score(evidence)
    assert risk > 1.2 * on_source
    assert risk == pytest.approx(loss, rel=0.25)


# Limited number of samples


def test_costly_rules_read_the_same_random_samples_in_every_epoch():
    assert sample(400, 500).equal(torch.arange(400))
    assert sample(400, None).equal(torch.arange(400))
    chosen = sample(5000, 500)
    assert chosen.equal(sample(5000, 500))
    assert len(chosen.unique()) == 500
    assert (chosen.diff() > 0).all()
    # The positions must not be at regular distances, because some data sets repeat their classes in a fixed order.
    counts = (chosen % 10).bincount(minlength=10)
    assert counts.min() > 25
    with_many = seen(right, counts=(400, 400, 400))
    assert SND().score(with_many) == scores.snd(with_many.logits["target"][sample(1200, 500)])


def test_a_decay_is_chosen_that_predicts_the_domain_of_held_out_samples():
    # One feature of 200 differs between the domains. A weak decay fits the others too, and is almost certain.
    generator = torch.Generator().manual_seed(0)
    source, target, at = (torch.randn(n, 200, generator=generator) for n in (150, 150, 400))
    target[:, 0] += 1
    exact = (at[:, 0] - 0.5).double()
    chosen = density_ratios(source, target, at).log()
    assert (chosen - exact).abs().mean() <= weakest(source, target, at).log().sub(exact).abs().mean()


def weakest(source, target, at):
    """Return the ratios with the weakest decay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(density_ratio, "DECAYS", density_ratio.DECAYS[-1:])
        return density_ratios(source, target, at)


def test_few_samples_have_ratios_without_a_choice_of_the_decay():
    assert density_ratios(torch.randn(2, 3), torch.randn(9, 3), torch.randn(4, 3)).isfinite().all()


def test_the_effective_rank_counts_more_dimensions_than_500():
    noise = torch.randn(4000, 700, generator=torch.Generator().manual_seed(0))
    assert RankMe().score(seen(right, features=noise)) > 600
