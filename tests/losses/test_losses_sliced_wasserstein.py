import ot
import pytest
import torch

from landbridge.losses import class_conditional_sliced_wasserstein2, random_directions, sliced_wasserstein2


def half_circle(count):
    angles = torch.pi * torch.arange(count, dtype=torch.float64) / count
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def by_pot(x, y, directions):
    """Compute the mean exact 1-D transport cost over the directions with POT."""
    if len(x) == 0 or len(y) == 0:
        return 0.0
    return ot.wasserstein_1d((x @ directions.T).numpy(), (y @ directions.T).numpy(), p=2).mean()


@pytest.fixture
def directions():
    return random_directions(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_golden(given, golden):
    a, b, direction = given["A"], given["B"], given["projection"][None]
    golden(sliced_wasserstein2(a, b, direction), "sw2_squared_one_direction")
    golden(sliced_wasserstein2(a, b, direction), "w2_squared_projected")
    golden(sliced_wasserstein2(a, b, half_circle(2000)), "sw2_squared_2000_directions")


@pytest.mark.parametrize(("n", "m"), [(6, 6), (6, 9), (5, 7), (1, 4), (4, 1)])
def test_equals_the_exact_one_dimensional_transport(draw, directions, n, m):
    x, y = draw(n, 3), draw(m, 3) + 1
    assert sliced_wasserstein2(x, y, directions).item() == pytest.approx(by_pot(x, y, directions), abs=1e-12)


def test_a_sample_has_distance_0_from_two_copies_of_itself(draw, directions):
    x, y = draw(5, 3), draw(4, 3)
    assert sliced_wasserstein2(x, x[torch.randperm(5)], directions) == 0
    assert sliced_wasserstein2(x, torch.cat([x, x]), directions) == 0
    torch.testing.assert_close(
        sliced_wasserstein2(x, torch.cat([y, y, y]), directions), sliced_wasserstein2(x, y, directions)
    )


@pytest.mark.parametrize("copies", [1, 2])
def test_the_distance_of_a_shift_is_its_square_along_the_direction(draw, directions, copies):
    x, shift = draw(5, 3), draw(3)
    shifted = (x + shift).repeat(copies, 1)
    for direction in directions:
        expected = (direction @ shift).square()
        torch.testing.assert_close(sliced_wasserstein2(x, shifted, direction[None]), expected)


def test_the_expected_distance_of_a_shift_is_its_squared_length_over_d(draw):
    x, shift = draw(5, 3), draw(3)
    many = random_directions(40_000, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(sliced_wasserstein2(x, x + shift, many), shift.square().sum() / 3, rtol=0.02, atol=0)


def test_directions_are_unit_vectors_and_repeatable():
    one = random_directions(50, 4, generator=torch.Generator().manual_seed(3))
    again = random_directions(50, 4, generator=torch.Generator().manual_seed(3))
    assert torch.equal(one, again)
    torch.testing.assert_close(one.norm(dim=1), torch.ones(50))
    assert not torch.equal(one, random_directions(50, 4, generator=torch.Generator().manual_seed(4)))


def test_class_conditional_term_is_the_sum_over_classes(draw, directions):
    x, y, threshold = draw(12, 3), draw(9, 3), 0.5
    # Class 0 has equal counts in both domains, class 1 unequal counts. Class 2 occurs only in the source, class 3 in no
    # domain, and class 4 only in target samples below the threshold.
    x_class = torch.tensor([0, 0, 0, 1, 1, 2, 2, 4, 4, 4, 1, 1])
    y_class = torch.tensor([1, 0, 0, 0, 1, 1, 4, 4, 0])
    confidence = torch.tensor([0.9, 0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.4, 0.3])
    expected = sum(by_pot(x[x_class == k], y[(y_class == k) & (confidence > threshold)], directions) for k in range(5))
    value = class_conditional_sliced_wasserstein2(x, x_class, y, y_class, confidence, threshold, 5, directions)
    assert value.item() == pytest.approx(expected, abs=1e-12)


def test_class_conditional_term_has_value_and_gradient_0_without_confident_targets(draw, directions):
    x, y, classes = draw(4, 3).requires_grad_(), draw(4, 3), torch.tensor([0, 1, 0, 1])
    value = class_conditional_sliced_wasserstein2(x, classes, y, classes, torch.full((4,), 0.5), 0.9, 2, directions)
    (gradient,) = torch.autograd.grad(value, x)
    assert value == 0
    assert torch.equal(gradient, torch.zeros_like(x))


def test_with_a_single_class_the_term_equals_the_distance(draw, directions):
    x, y = draw(6, 3), draw(4, 3)
    value = class_conditional_sliced_wasserstein2(
        x, torch.zeros(6, dtype=torch.long), y, torch.zeros(4, dtype=torch.long), torch.ones(4), 0.5, 1, directions
    )
    torch.testing.assert_close(value, sliced_wasserstein2(x, y, directions))


@pytest.mark.parametrize("m", [5, 3])
def test_gradient(draw, directions, m):
    samples = draw(5, 3).requires_grad_(), draw(m, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: sliced_wasserstein2(x, y, directions), samples)
    classes = torch.arange(5) % 2

    def conditional(x, y):
        return class_conditional_sliced_wasserstein2(x, classes, y, classes[:m], torch.ones(m), 0.5, 2, directions)

    assert torch.autograd.gradcheck(conditional, samples)
