import pytest
import torch

from landbridge.selection import scores
from landbridge.selection.features_only import of_features


def test_a_result_is_computed_once_for_equal_features_and_again_for_others():
    computed = []

    @of_features
    def norm(features, power, scale=1.0):
        computed.append(features)
        return scale * float(features.norm() ** power)

    features = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert norm(features, 2) == norm(features.clone(), 2) == float(features.norm() ** 2)
    assert len(computed) == 1
    assert norm(features, 2, scale=3.0) == 3 * float(features.norm() ** 2)
    assert norm(features, 1, scale=3.0) == 3 * float(features.norm())
    assert norm(features.view(3, 5), 1) == pytest.approx(norm(features.to(torch.float64), 1))
    assert len(computed) == 5
    features[0, 0] += 1  # in place: the same tensor object with other values
    assert norm(features, 1) == float(features.norm())
    assert len(computed) == 6


def test_predictions_are_scored_again_on_cached_clusters():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(20)
    features = 9 * torch.eye(3)[labels] + torch.randn(60, 3, generator=generator)
    right, wrong = torch.eye(3)[labels], torch.eye(3)[labels[torch.randperm(60, generator=generator)]]
    assert scores.class_ami(features, right) > 0.99
    assert scores.class_ami(features, wrong) < 0.2
    assert scores.class_ami(features[torch.arange(59, -1, -1)], right.flip(0)) > 0.99
