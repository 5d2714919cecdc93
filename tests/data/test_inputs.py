import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from landbridge.data.formats import ImageFormat
from landbridge.data.inputs import TensorInputs


def image_format(channels, size, mean=0.0, std=1.0, **rest):
    return ImageFormat(channels, size, (mean,) * channels, (std,) * channels, **rest)


def images(n, channels, height, width, seed=0):
    return torch.randint(0, 256, (n, channels, height, width), generator=torch.Generator().manual_seed(seed)).byte()


def smooth(channels, height, width):
    """Make a smooth image, as photographs are. On noise, filters of different precision would differ."""
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    waves = torch.stack([(torch.sin(x * (k + 1)) * torch.cos(y + k) + 1) / 2 for k in range(channels)])
    return (waves * 255).byte().unsqueeze(0)


def test_normalisation_is_per_channel_on_the_scale_from_0_to_1():
    raw = images(2, 3, 5, 7)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = (raw.numpy() / 255 - np.array(mean).reshape(3, 1, 1)) / np.array(std).reshape(3, 1, 1)
    got = ImageFormat(3, (5, 7), mean, std).normalised(raw)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)


def test_rendering_does_not_change_the_raw_images():
    raw = images(2, 3, 8, 8)
    before = raw.clone()
    image_format(1, (4, 4)).normalised(raw)
    assert torch.equal(raw, before)


def test_grey_becomes_three_equal_channels():
    raw = images(2, 1, 6, 6)
    got = image_format(3, (6, 6)).normalised(raw)
    torch.testing.assert_close(got, (raw.float() / 255).expand(-1, 3, -1, -1))
    assert torch.equal(got[:, 0], got[:, 2])


def test_each_channel_of_a_grey_image_is_normalised():
    got = ImageFormat(3, (4, 4), (0.1, 0.2, 0.3), (1.0, 2.0, 4.0)).normalised(images(1, 1, 4, 4))
    grey = got[:, 0] * 1.0 + 0.1
    torch.testing.assert_close(got[:, 1] * 2 + 0.2, grey)
    torch.testing.assert_close(got[:, 2] * 4 + 0.3, grey)


def test_rgb_becomes_grey_as_in_pillow():
    raw = images(1, 3, 16, 16)
    pillow = np.asarray(Image.fromarray(raw[0].permute(1, 2, 0).numpy()).convert("L"))
    got = image_format(1, (16, 16)).normalised(raw)[0, 0].numpy() * 255
    assert np.abs(got - pillow).max() < 1


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(13, 10), (40, 60)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_equals_torchvision_and_is_close_to_pillow(interpolation, size, channels):
    raw = smooth(channels, 26, 30)
    got = image_format(channels, size, interpolation=interpolation).normalised(raw)
    mode = InterpolationMode(interpolation)
    reference = resize(raw.float() / 255, list(size), interpolation=mode, antialias=True).clamp(0, 1)
    torch.testing.assert_close(got, reference)
    image = Image.fromarray(raw[0].permute(1, 2, 0).squeeze(2).numpy())
    pillow = np.asarray(image.resize(size[::-1], Image.Resampling[interpolation.upper()])).reshape(*size, channels)
    assert np.abs(got[0].permute(1, 2, 0).numpy() * 255 - pillow).max() < 2.5


def test_overshoot_of_bicubic_interpolation_is_clipped():
    raw = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    raw[..., 4:] = 255
    got = image_format(1, (31, 31), interpolation="bicubic").normalised(raw)
    assert got.min() == 0
    assert got.max() == 1


@given(st.sampled_from([1, 3]), st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 40))
@settings(deadline=None, max_examples=25)
def test_the_shape_is_that_of_the_format(given_channels, channels, height, width):
    got = image_format(channels, (height, width)).normalised(images(2, given_channels, 17, 23))
    assert got.shape == (2, channels, height, width)


@pytest.mark.parametrize("rows", [images(6, 3, 4, 5), torch.arange(12.0).view(6, 2)])
def test_tensors_are_read_and_selected_by_position(rows):
    inputs = TensorInputs(rows)
    where = torch.tensor([4, 0, 4])
    assert len(inputs) == 6
    assert inputs.shape == tuple(rows.shape[1:])
    assert torch.equal(inputs.read(where, None)[0], rows[where])
    chosen = inputs.select(where)
    assert len(chosen) == 3
    assert torch.equal(chosen.read(torch.tensor([1]), None)[0], rows[:1])
    assert chosen.hashes() == [inputs.hashes()[i] for i in where.tolist()]


def test_a_selection_is_a_copy_of_the_selected_samples_only():
    rows = torch.zeros(1000, 3)
    chosen = TensorInputs(rows).select(torch.tensor([1, 2]))
    rows[1] = 7
    assert chosen.tensor.untyped_storage().nbytes() == 2 * 3 * 4
    assert not chosen.tensor.any()


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError, match="float64"):
        TensorInputs(torch.zeros(3, 2, dtype=torch.float64))


@given(st.integers(0, 3), st.integers(0, 11))
@settings(deadline=None)
def test_hashes_depend_on_the_content_only(row, pixel):
    rows = images(4, 1, 3, 4)
    before = TensorInputs(rows).hashes()
    # Another memory layout is the same content.
    assert TensorInputs(rows.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)).hashes() == before
    assert pickle.loads(pickle.dumps(TensorInputs(rows))).hashes() == before
    rows.view(4, -1)[row, pixel] += 1
    after = TensorInputs(rows).hashes()
    assert [i for i in range(4) if before[i] != after[i]] == [row]


def test_equal_samples_have_equal_hashes():
    rows = images(3, 1, 4, 4)
    hashes = TensorInputs(torch.cat([rows, rows[:1]])).hashes()
    assert hashes[3] == hashes[0]
    assert len(set(hashes)) == 3
