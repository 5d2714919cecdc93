import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch.nn.functional import cross_entropy, one_hot

from landbridge.losses import confidence_mask, fixmatch, shot_pseudo_labels


def test_the_mask_requires_more_than_the_threshold():
    probabilities = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]])
    assert confidence_mask(probabilities, 0.75).tolist() == [False, False, True]
    assert confidence_mask(probabilities, 0.5).tolist() == [True, False, True]
    assert not confidence_mask(torch.eye(3), 1.0).any()


def test_fixmatch_averages_over_all_samples_and_uses_only_confident_ones(draw):
    weak, strong = torch.tensor([[5.0, 0.0], [0.1, 0.0], [0.0, 6.0], [0.0, 0.2]]).double(), draw(4, 2)
    sure = [0, 2]
    expected = cross_entropy(strong[sure], torch.tensor([0, 1]), reduction="sum") / 4
    torch.testing.assert_close(fixmatch(weak, strong, 0.9), expected)


def test_fixmatch_gives_no_gradient_to_weak_views_and_unconfident_samples(draw):
    weak = torch.tensor([[5.0, 0.0], [0.1, 0.0]]).double().requires_grad_()
    strong = draw(2, 2).requires_grad_()
    value = fixmatch(weak, strong, 0.9)
    weak_gradient, strong_gradient = torch.autograd.grad(value, [weak, strong], allow_unused=True)
    assert weak_gradient is None
    assert strong_gradient[0].abs().sum() > 0
    assert torch.equal(strong_gradient[1], torch.zeros(2).double())


@pytest.mark.parametrize("threshold", [1.0, 1.5])
def test_fixmatch_is_0_with_a_threshold_of_at_least_1(draw, threshold):
    strong = draw(3, 2).requires_grad_()
    value = fixmatch(1000 * torch.eye(2)[[0, 1, 0]], strong, threshold)
    assert value == 0
    assert torch.equal(torch.autograd.grad(value, strong)[0], torch.zeros(3, 2).double())


def shot_by_hand(features, probabilities, min_count):
    """Compute SHOT's pseudo-labels class by class: two rounds of cosine centroids of frequently predicted classes."""
    points = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    counts = np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])
    kept = np.flatnonzero(counts > min_count)
    centroids = np.stack([(probabilities[:, [k]] * points).sum(0) / probabilities[:, k].sum() for k in kept])
    labels = kept[cdist(points, centroids, "cosine").argmin(1)]
    kept = np.unique(labels)
    centroids = np.stack([points[labels == k].mean(0) for k in kept])
    return kept[cdist(points, centroids, "cosine").argmin(1)]


@pytest.mark.parametrize("min_count", [0, 3])
def test_shot_labels_equal_two_rounds_by_hand(draw, min_count):
    for _ in range(20):
        features, probabilities = draw(25, 3), (2 * draw(25, 6)).softmax(dim=1)
        expected = shot_by_hand(features.numpy(), probabilities.numpy(), min_count)
        assert shot_pseudo_labels(features, probabilities, min_count).tolist() == expected.tolist()


def test_no_sample_is_assigned_to_a_class_without_members_after_the_first_round(draw):
    emptied = 0
    for _ in range(100):
        features, probabilities = 10 * draw(12, 2), (0.3 * draw(12, 6)).softmax(dim=1)
        labels = shot_pseudo_labels(features, probabilities)
        assert labels.tolist() == shot_by_hand(features.numpy(), probabilities.numpy(), 0).tolist()
        emptied += len(labels.unique()) < len(probabilities.argmax(1).unique())
    assert emptied > 0


def test_shot_labels_correct_wrong_predictions_in_clean_clusters(draw):
    labels = torch.arange(3).repeat_interleave(20)
    features = 5 * one_hot(labels, 3).double() + 0.1 * draw(60, 3)
    wrong = labels.clone()
    wrong[::5] = (labels[::5] + 1) % 3
    probabilities = (2.0 * one_hot(wrong, 3).double()).softmax(dim=1)
    assert torch.equal(shot_pseudo_labels(features, probabilities), labels)


def test_shot_never_assigns_a_rarely_predicted_class(draw):
    features = draw(30, 4)
    probabilities = (3 * draw(30, 5)).softmax(dim=1)
    counts = probabilities.argmax(1).bincount(minlength=5)
    threshold = counts.sort().values[1].item()
    dropped = (counts <= threshold).nonzero().flatten()
    assert not torch.isin(shot_pseudo_labels(features, probabilities, threshold), dropped).any()
