import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from landbridge.losses import adamatch, aligned_distribution, relative_threshold


def test_alignment_changes_nothing_if_the_mean_predictions_are_equal(draw):
    p = draw(6, 4).softmax(1)
    torch.testing.assert_close(aligned_distribution(p, p.flip(0)), p)


def test_alignment_moves_predictions_towards_frequent_source_classes(draw):
    source, target = draw(50, 3).softmax(1), (draw(40, 3) + torch.tensor([2.0, 0.0, 0.0])).softmax(1)
    aligned = aligned_distribution(target, source)
    torch.testing.assert_close(aligned.sum(1), torch.ones(40, dtype=torch.float64))
    gap = (target.mean(0) - source.mean(0)).abs().sum()
    assert (aligned.mean(0) - source.mean(0)).abs().sum() < gap / 2


def test_a_class_with_target_probability_0_gives_finite_values():
    target = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert aligned_distribution(target, torch.full((2, 2), 0.5)).isfinite().all()


def test_the_threshold_is_proportional_to_the_sources_confidence():
    assert relative_threshold(torch.eye(3), 0.9) == pytest.approx(0.9)
    assert relative_threshold(torch.full((2, 4), 0.25), 0.8) == pytest.approx(0.2)


def test_loss_equals_its_definition(draw):
    source, weak, strong = 3 * draw(9, 4), 3 * draw(7, 4), draw(7, 4)
    p, q = softmax(source.numpy(), 1), softmax(weak.numpy(), 1)
    aligned = q * p.mean(0) / q.mean(0)
    aligned /= aligned.sum(1, keepdims=True)
    trusted = aligned.max(1) >= 0.9 * p.max(1).mean()
    assert 0 < trusted.sum() < 7
    losses = -log_softmax(strong.numpy(), 1)
    soft, hard = (aligned * losses).sum(1), losses[range(7), aligned.argmax(1)]
    assert float(adamatch(source, weak, strong)) == pytest.approx(np.float64((trusted * hard).mean()))
    assert float(adamatch(source, weak, strong, hard=False)) == pytest.approx(np.float64((trusted * soft).mean()))


def test_shares_from_more_samples_replace_those_of_the_batch(draw):
    source, weak, strong = 3 * draw(9, 4), 3 * draw(7, 4), draw(7, 4)
    own = source.softmax(1).mean(0), weak.softmax(1).mean(0)
    torch.testing.assert_close(adamatch(source, weak, strong, shares=own), adamatch(source, weak, strong))
    # All of the source's mass on class 2: every aligned prediction is this class, and is confident.
    only = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    losses = -log_softmax(strong.numpy(), 1)[:, 2]
    assert float(adamatch(source, weak, strong, shares=(only, own[1]))) == pytest.approx(losses.mean())


def test_only_strong_views_get_a_gradient(draw):
    logits = [draw(5, 3).requires_grad_() for _ in range(3)]
    adamatch(*logits, tau=0.0).backward()
    assert [each.grad is None for each in logits] == [True, True, False]
