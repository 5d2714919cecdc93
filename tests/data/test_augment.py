import math

import pytest
import torch

from landbridge.data.augment import VIEWS, Augmentation, erase, recolour, warp


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def warped(x, angle=0.0, factor=1.0, right=0.0, down=0.0, mirror=False):
    n = len(x)
    return warp(
        x,
        torch.full((n,), math.radians(angle)),
        torch.full((n,), factor),
        torch.tensor([[right, down]]).expand(n, 2),
        torch.full((n,), mirror),
    )


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (3, 3, 6, 10)])
def test_warping_without_a_change_returns_the_image(shape):
    torch.testing.assert_close(warped(images(*shape)), images(*shape))


def test_mirror_rotation_and_shift_agree_with_moving_whole_pixels():
    x = images(2, 3, 8, 8)
    torch.testing.assert_close(warped(x, mirror=True), x.flip(3))
    torch.testing.assert_close(warped(x, angle=90), x.rot90(-1, (2, 3)))  # clockwise
    torch.testing.assert_close(warped(x, angle=90, mirror=True), x.flip(3).rot90(-1, (2, 3)))
    right = warped(x, right=2 / 8)
    torch.testing.assert_close(right[..., 2:], x[..., :-2])
    torch.testing.assert_close(right[..., :2], x[..., :1].expand(-1, -1, -1, 2))  # filled with the edge
    down = warped(x, angle=90, down=1 / 8)
    torch.testing.assert_close(down[:, :, 1:], x.rot90(-1, (2, 3))[:, :, :-1])


def test_rotation_keeps_shapes_in_images_that_are_not_square():
    x = torch.zeros(1, 1, 20, 40)
    x[:, :, 9:11, 10:30] = 1  # a bar of 2 x 20 pixels about the centre
    upright = warped(x, angle=90)
    assert upright[0, 0, :, 19:21].mean() > 0.9
    assert upright.sum() == pytest.approx(float(x.sum()), rel=0.05)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_factor_enlarges(factor):
    x = torch.zeros(1, 1, 32, 32)
    x[:, :, 12:20, 12:20] = 1
    assert warped(x, factor=factor).sum() == pytest.approx(64 * factor**2, rel=0.05)


def test_colours_are_scaled_about_black_mean_and_grey():
    x, one, none = images(2, 3, 4, 4), torch.ones(2), torch.zeros(2)
    torch.testing.assert_close(recolour(x, one, one, one), x)
    torch.testing.assert_close(
        recolour(x, torch.tensor([0.5, 2.0]), one, one), x * torch.tensor([0.5, 2.0]).view(2, 1, 1, 1)
    )
    flat = recolour(x, one, none, one)
    torch.testing.assert_close(flat, x.mean((1, 2, 3), keepdim=True).expand_as(x))
    grey = recolour(x, one, one, none)
    torch.testing.assert_close(grey, x.mean(1, keepdim=True).expand_as(x))


def test_only_the_part_of_a_square_inside_the_image_is_erased():
    x = torch.ones(2, 3, 10, 20)
    erased = erase(x, torch.tensor([[0.5, 0.5], [0.0, 1.0]]), 0.4) == 0.5
    assert erased[0].sum() == 3 * 4 * 8
    assert erased[0, 0, 3:7, 6:14].all()
    assert erased[1].sum() == 3 * 2 * 4
    assert erased[1, 2, 8:, :4].all()


def test_an_augmentation_without_limits_changes_nothing():
    raw = (255 * images(2, 3, 5, 5)).round().to(torch.uint8)
    torch.testing.assert_close(Augmentation()(raw), raw.float())


@pytest.mark.parametrize("kind", ["weak", "strong"])
@pytest.mark.parametrize("image_kind", sorted(VIEWS))
def test_each_sample_is_changed_differently_with_the_global_generator(image_kind, kind):
    raw = (255 * images(1, 3, 16, 16)).to(torch.uint8).expand(6, -1, -1, -1)
    augmentation = getattr(VIEWS[image_kind], kind)
    torch.manual_seed(1)
    first = augmentation(raw)
    assert first.dtype == torch.float32
    assert first.shape == raw.shape
    assert first.min() >= 0
    assert first.max() <= 255
    assert all(not torch.equal(first[0], other) for other in first[1:])
    assert not torch.equal(augmentation(raw), first)
    torch.manual_seed(1)
    assert torch.equal(augmentation(raw), first)


@pytest.mark.parametrize("image_kind", sorted(VIEWS))
def test_strong_views_change_more_than_weak_ones(image_kind):
    raw = torch.zeros(200, 1, 28, 28, dtype=torch.uint8)
    raw[:, :, 8:20, 12:16] = 255
    weak, strong = ((getattr(VIEWS[image_kind], kind)(raw) - raw).abs().mean().item() for kind in ("weak", "strong"))
    assert strong > 1.5 * weak > 0


def test_digits_are_neither_mirrored_nor_rotated_strongly():
    for augmentation in (VIEWS["digits"].weak, VIEWS["digits"].strong):
        assert not augmentation.flip
        assert augmentation.rotation <= 15
