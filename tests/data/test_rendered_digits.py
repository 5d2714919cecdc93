from dataclasses import replace
from functools import partial

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass

from landbridge.data.sources.digits import DIGITS
from landbridge.data.sources.rendered_digits import DEJAVU, Ranges, rendered_digits
from landbridge.errors import LandbridgeError

FONTS = [f"{matplotlib.get_data_path()}/fonts/ttf/{name}" for name in ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf")]
WIDE = Ranges(font=1, zoom=0.2, rotation=15, shear=20, shift=0.05, thickness=2, blur=0.8, contrast=0.4, noise=0.1)
few = partial(rendered_digits, fonts=FONTS, per_class=3, val_per_class=2, test_per_class=1)


def images(domain, split="train"):
    return domain.splits[split].inputs.tensor[:, 0].numpy().astype(float)


def classes(domain, split="train"):
    return domain.splits[split].labels.open("test")


def width(image):
    """Return the width of the bright part; for the transposed image, its height."""
    return int(np.ptp(np.flatnonzero(image.max(0) > 30))) + 1


@pytest.fixture(scope="module")
def fixed():
    return few()


def test_the_layout_is_that_of_mnist(fixed):
    """Digits are bright, 20 pixels high, centred by mass in 28 x 28 black pixels, and all different."""
    assert fixed.classes == DIGITS
    assert (fixed.shape, fixed.image_kind) == ((1, 28, 28), "digits")
    first = images(fixed)[:10]
    assert len({image.tobytes() for image in first}) == 10
    for image in first:
        np.testing.assert_allclose(center_of_mass(image), [13.5, 13.5], atol=0.3)
        # The blurred edge adds half a pixel at each end.
        assert 20 <= width(image.T) <= 22
        assert image.max() > 230
        assert np.median(image) == 0


def test_each_class_and_split_has_the_configured_number_of_images(fixed):
    counts = [classes(fixed, split).bincount().tolist() for split in ("train", "val", "test")]
    assert counts == [[3] * 10, [2] * 10, [1] * 10]
    assert {split: len(part.labels) for split, part in rendered_digits(fonts=FONTS[:1]).splits.items()} == {
        "train": 3500,
        "val": 500,
        "test": 1000,
    }


@pytest.mark.parametrize("zero", [{"seed": 5, "frozen_seed": 6}, {"ranges": WIDE, "strength": 0}])
def test_zero_ranges_give_the_fixed_render(zero, fixed):
    domain = few(**zero)
    for split in ("train", "val", "test"):
        for image, label in zip(images(domain, split), classes(domain, split), strict=True):
            assert np.array_equal(image, images(fixed)[label])


@pytest.mark.parametrize("limit", vars(WIDE))
def test_each_range_alone_changes_images(limit, fixed):
    domain = few(ranges=Ranges(**{limit: getattr(WIDE, limit)}))
    changed = np.abs(images(domain) - images(fixed)).max((1, 2)) > 3
    # The drawn font may be the first one, and a small random value may hardly change the image.
    assert changed.mean() > (0.2 if limit == "font" else 0.8)


def test_images_follow_from_seed_and_validation_and_test_images_from_frozen_seed():
    one, same = few(ranges=WIDE), few(ranges=WIDE)
    assert one.fingerprint == same.fingerprint
    other = few(ranges=WIDE, seed=1, per_class=4)
    assert not np.array_equal(images(other)[:30], images(one))
    for split in ("val", "test"):
        assert np.array_equal(images(other, split), images(one, split))
    thawed = few(ranges=WIDE, frozen_seed=1)
    assert np.array_equal(images(thawed), images(one))
    for split in ("val", "test"):
        assert not np.array_equal(images(thawed, split), images(one, split))


def test_no_randomised_image_is_in_two_splits():
    domain = rendered_digits(fonts=FONTS, ranges=WIDE, per_class=20, val_per_class=20, test_per_class=20)
    content = [digest for part in domain.splits.values() for digest in part.inputs.hashes()]
    assert len(set(content)) == 600


def test_thickness_and_zoom_change_the_total_brightness():
    def spread(**limit):
        domain = few(fonts=FONTS[:1], ranges=Ranges(**limit), per_class=40)
        return images(domain).sum((1, 2)).reshape(-1, 10).std(0).min()

    assert spread() == 0
    assert spread(thickness=1) > 2000
    assert spread(thickness=2) > 1.5 * spread(thickness=1)
    assert spread(zoom=0.3) > 2000


def test_shift_and_rotation_reach_their_limits_and_not_more(fixed):
    moved = images(few(ranges=Ranges(shift=0.1), per_class=50))
    offsets = np.array([center_of_mass(image) for image in moved]) - 13.5
    assert 2.5 < np.abs(offsets).max() <= 2.8 + 0.3
    turned = images(few(ranges=Ranges(rotation=90), per_class=50))[1::10]
    lying = [width(one) > width(one.T) for one in turned]
    assert not width(images(fixed)[1]) > width(images(fixed)[1].T)
    assert 0 < sum(lying) < 50, "some digits 1 must be wider than high"


@settings(max_examples=10, deadline=None)
@given(st.floats(0, 4), st.integers(0, 2**32))
def test_any_strength_gives_visible_digits(strength, seed):
    made = images(few(fonts=FONTS[:1], ranges=WIDE, strength=strength, seed=seed))
    assert made.shape == (30, 28, 28)
    assert made.max() > 60


def test_the_default_fonts_are_all_of_dejavu():
    domain = rendered_digits(ranges=Ranges(font=1), per_class=100, val_per_class=1, test_per_class=1)
    for digit in range(10):
        assert len({image.tobytes() for image in images(domain)[digit::10]}) >= len(DEJAVU) - 1


@pytest.mark.parametrize(
    ("font", "message"),
    [
        ("nowhere.ttf", "nowhere.ttf cannot be read"),
        ("DejaVuSansDisplay.ttf", "does not have ten different digits"),
    ],
)
def test_a_missing_font_and_a_font_without_digits_are_refused(font, message):
    path = f"{matplotlib.get_data_path()}/fonts/ttf/{font}"
    with pytest.raises(LandbridgeError, match=message):
        rendered_digits(fonts=[FONTS[0], path])


def test_the_configured_ranges_are_recorded_and_used(tiny):
    few_images = ["source.per_class=4", "source.val_per_class=1", "source.test_per_class=1"]
    record = tiny("source=rendered_digits", "target=uci_digits", "source.ranges.rotation=5", *few_images)
    assert record.config["source"]["ranges"]["rotation"] == 5
    assert record.config["source"]["ranges"].keys() == {"_target_", *vars(WIDE)}
    assert record.data["source"]["sizes"] == {"train": 40, "val": 10, "test": 10}
    domain = rendered_digits(ranges=replace(WIDE, rotation=5), per_class=4, val_per_class=1, test_per_class=1)
    assert record.data["source"]["fingerprint"] == domain.fingerprint


@pytest.mark.parametrize("setting", ["source.strength=-1", "source.ranges.contrast=1.5", "source.ranges.rotatoin=3"])
def test_invalid_ranges_are_refused(setting, tiny):
    with pytest.raises(LandbridgeError, match=setting.split("=")[0]):
        tiny("source=rendered_digits", "target=uci_digits", setting)
