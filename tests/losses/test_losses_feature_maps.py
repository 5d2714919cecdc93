import numpy as np
import pytest
import torch

from landbridge.losses import attention_shares, delta


@pytest.fixture
def maps(draw):
    """Return feature maps of three samples in two layers: 4 positions of 2 channels, and 1 position of 5 channels."""
    return [draw(3, 4, 2).requires_grad_(), draw(3, 1, 5).requires_grad_()]


def uniform(maps):
    return [torch.full((x.shape[2],), 1 / x.shape[2], dtype=x.dtype) for x in maps]


def test_value_and_gradient_are_0_at_the_start(maps):
    loss = delta(maps, [x.detach() for x in maps], uniform(maps))
    assert loss == 0
    assert not any(gradient.any() for gradient in torch.autograd.grad(loss, maps))


def test_the_value_equals_a_value_computed_by_hand(maps, draw):
    start = [draw(*x.shape) for x in maps]
    attention = [torch.tensor([0.25, 0.75]).double(), torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0]).double()]
    expected = 0.0
    for now, then, share in zip(maps, start, attention, strict=True):
        n, positions, channels = now.shape
        for i in range(n):
            for j in range(channels):
                distance = np.linalg.norm((now - then)[i, :, j].detach().numpy()) ** 2
                expected += 0.5 / n * channels / positions * share[j].item() * distance
    assert delta(maps, start, attention).item() == pytest.approx(expected)


def test_with_uniform_attention_all_channels_have_equal_weight(maps, draw):
    x, y = maps[0].detach(), draw(3, 4, 2)
    assert delta([x], [y], uniform([x])).item() == pytest.approx(0.5 * ((x - y) ** 2).sum().item() / (3 * 4))


def test_the_loss_is_0_without_layers():
    assert delta([], [], []) == 0


def test_attention_increases_with_the_loss_and_does_not_depend_on_its_scale(draw):
    increases = draw(7)
    shares = attention_shares(increases)
    torch.testing.assert_close(shares.sum(), torch.ones((), dtype=torch.float64))
    assert shares.argsort().equal(increases.argsort())
    torch.testing.assert_close(attention_shares(3 * increases - 8), shares)
    z = (increases - increases.mean()).numpy() / np.std(increases.numpy()) / 5
    np.testing.assert_allclose(shares.numpy(), np.exp(z) / np.exp(z).sum())


def test_channels_with_equal_increases_get_equal_shares():
    torch.testing.assert_close(attention_shares(torch.full((4,), 2.5)), torch.full((4,), 0.25))
