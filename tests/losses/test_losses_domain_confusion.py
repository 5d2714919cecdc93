import math

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, softmax

from landbridge.losses import domain_loss, entropy_weights, multilinear_map, randomised_multilinear_map


def test_each_domain_has_weight_one_half_for_any_batch_size(draw):
    source, target = draw(3, 1), draw(7, 1)
    expected = 0.5 * binary_cross_entropy_with_logits(source, torch.ones_like(source))
    expected += 0.5 * binary_cross_entropy_with_logits(target, torch.zeros_like(target))
    torch.testing.assert_close(domain_loss(source, target), expected)
    torch.testing.assert_close(domain_loss(source.flatten(), target.flatten()), expected)


def test_the_loss_is_log_2_for_an_undecided_discriminator_and_finite_for_a_confident_one():
    zero, large = torch.zeros(4, 1), torch.full((4, 1), 1e4)
    torch.testing.assert_close(domain_loss(zero, zero), torch.tensor(math.log(2)))
    assert domain_loss(large, -large) == 0
    assert domain_loss(-large, large) == 1e4


def test_weights_are_normalised_per_domain(draw):
    source, target, w_s, w_t = draw(3), draw(5), draw(3).exp(), draw(5).exp()
    source_part = w_s / w_s.sum() * binary_cross_entropy_with_logits(source, torch.ones_like(source), reduction="none")
    target_part = w_t / w_t.sum() * binary_cross_entropy_with_logits(target, torch.zeros_like(target), reduction="none")
    expected = (source_part.sum() + target_part.sum()) / 2
    torch.testing.assert_close(domain_loss(source, target, w_s, w_t), expected)
    torch.testing.assert_close(domain_loss(source[:, None], target[:, None], 9 * w_s, w_t), expected)
    torch.testing.assert_close(domain_loss(source, target, torch.ones(3), torch.ones(5)), domain_loss(source, target))


def test_entropy_weights(given, golden):
    logits = given["logits"].clone().requires_grad_()
    weights = entropy_weights(softmax(logits, dim=1))
    golden(weights, "cdan_weights")
    assert not weights.requires_grad
    one_hot_and_uniform = torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(entropy_weights(one_hot_and_uniform), torch.tensor([2.0, 4 / 3]))


def test_multilinear_map_is_the_outer_product_and_gives_the_head_no_gradient(draw):
    features, logits = draw(3, 4).requires_grad_(), draw(3, 2).requires_grad_()
    mapped = multilinear_map(features, softmax(logits, dim=1))
    for row, f, p in zip(mapped, features, softmax(logits, dim=1), strict=True):
        torch.testing.assert_close(row, torch.outer(f, p).flatten())
    gradients = torch.autograd.grad(mapped.square().sum(), [features, logits], allow_unused=True)
    assert gradients[0] is not None
    assert gradients[1] is None


def test_the_randomised_map_keeps_inner_products_in_expectation(draw):
    features, probabilities, dimension = draw(2, 4), softmax(draw(2, 3), dim=1), 200_000
    sketch = randomised_multilinear_map(features, probabilities, draw(4, dimension), draw(3, dimension))
    exact = multilinear_map(features, probabilities)
    torch.testing.assert_close(sketch @ sketch.T, exact @ exact.T, rtol=0.03, atol=0.03)


def test_the_randomised_map_formula_and_its_gradient(draw):
    features, logits, r_f, r_p = draw(5, 4).requires_grad_(), draw(5, 3).requires_grad_(), draw(4, 9), draw(3, 9)
    mapped = randomised_multilinear_map(features, softmax(logits, dim=1), r_f, r_p)
    expected = torch.stack([(r_f.T @ f) * (r_p.T @ p) / 3 for f, p in zip(features, softmax(logits, 1), strict=True)])
    torch.testing.assert_close(mapped, expected)
    gradients = torch.autograd.grad(mapped.square().sum(), [features, logits], allow_unused=True)
    assert gradients[0] is not None
    assert gradients[1] is None
