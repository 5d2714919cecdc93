"""The options of `augment`: each image has changes of its own, from a generator, that keep its class."""

import hydra
import pytest
import torch
from hydra import initialize_config_dir

from landbridge.cli.config_sources import conf_folder
from landbridge.config.build import build
from landbridge.data.augment import VIEWS
from landbridge.data.augment_policies import Affine, FlipCrop, RandAugment, TrivialAugment, Unchanged, Weak
from landbridge.data.mixing import mix
from landbridge.errors import LandbridgeError

OPTIONS = sorted(path.stem for path in (conf_folder() / "augment").glob("*.yaml"))
CHANGING = [FlipCrop(), RandAugment(), TrivialAugment(), Affine(), Weak(), Unchanged(random_erasing=1.0)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(n: int = 6, channels: int = 3) -> torch.Tensor:
    one = torch.rand(1, channels, 24, 30, generator=seeded()) * 255
    return one.to(torch.uint8).expand(n, -1, -1, -1)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_but_none_changes_or_mixes_images(option):
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        node = hydra.compose(f"augment/{option}").augment
    assert (node is None) == (option == "none")
    assert node is None or build(node).mixes == (option in ("mixup", "cutmix"))
    assert node is None or (build(node).change("photographs") is None) == build(node).mixes


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augment", CHANGING, ids=lambda each: type(each).__name__)
def test_each_image_changes_by_itself_and_only_the_generator_decides(augment, channels):
    change, raw = augment.change("photographs"), photographs(channels=channels)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    changed = change(raw, seeded())
    assert torch.equal(torch.get_rng_state(), before)  # dropout draws the same numbers with and without it
    assert changed.shape == raw.shape
    assert 0 <= changed.min() <= changed.max() <= 255
    assert len({image.numpy().tobytes() for image in changed}) > 3
    torch.manual_seed(2)
    assert torch.equal(change(raw, seeded()), changed)
    assert not torch.equal(change(raw, seeded(1)), changed)


def test_digits_are_never_mirrored_by_default():
    raw = torch.zeros(32, 1, 20, 20, dtype=torch.uint8)
    raw[:, :, :, :7] = 200  # bright on the left
    for augment in (FlipCrop(), Affine(), Weak(), RandAugment(magnitude=0)):
        changed = augment.change("digits")(raw, seeded()).float()
        assert (changed[..., :10].mean((1, 2, 3)) > changed[..., 10:].mean((1, 2, 3))).all()
    mirrored = FlipCrop().change("photographs")(raw, seeded()).float()
    assert 0.2 < (mirrored[..., :10].mean((1, 2, 3)) < mirrored[..., 10:].mean((1, 2, 3))).float().mean() < 0.8
    assert FlipCrop(flip=1.0, area=1.0).change("digits")(raw, seeded()).float()[0, 0, 5, -1] == 200
    with pytest.raises(LandbridgeError, match="augment=digits or augment=randaugment"):
        TrivialAugment().change("digits")


def test_weak_is_the_weak_view_of_fixmatch():
    for kind in ("digits", "photographs"):
        assert Weak().change(kind) == VIEWS[kind].weak


def test_erasing_comes_after_the_policy():
    changed = FlipCrop(random_erasing=1.0).change("photographs")(photographs(), seeded())
    grey = (changed == 127).all(dim=1).flatten(1).float().mean(dim=1)
    assert (grey > 0.01).all()


# ---- mixing


@pytest.mark.parametrize("seed", range(4))
def test_mixup_is_the_weighted_mean_of_partners(seed):
    images = torch.rand(5, 3, 8, 8, generator=seeded())
    mixed, partner, share = mix(images, 0.8, 0.0, seeded(seed))
    assert partner.tolist() == [4, 0, 1, 2, 3]
    assert share.unique().numel() == 1
    assert 0 <= float(share[0]) <= 1
    weight = share.view(-1, 1, 1, 1)
    torch.testing.assert_close(mixed, weight * images + (1 - weight) * images[partner])


@pytest.mark.parametrize("seed", range(4))
def test_the_share_of_cutmix_is_that_of_the_pixels(seed):
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 16, 16).contiguous()
    mixed, partner, share = mix(images, 0.0, 1.0, seeded(seed))
    own = (mixed == images).all(dim=1)
    assert ((mixed == images[partner]).all(dim=1) | own).all()
    torch.testing.assert_close(own.flatten(1).float().mean(dim=1), share)


def test_mixing_draws_from_its_generator_alone_and_takes_one_of_both_ways():
    images = torch.rand(4, 1, 8, 8, generator=seeded())
    before = torch.get_rng_state()
    first = mix(images, 1.0, 1.0, seeded(3))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(9)
    assert torch.equal(mix(images, 1.0, 1.0, seeded(3))[0], first[0])
    ways = {bool(torch.isin(mix(images, 1.0, 1.0, seeded(seed))[0], images).all()) for seed in range(12)}
    assert ways == {True, False}


def test_a_single_image_is_mixed_with_itself():
    image = torch.rand(1, 3, 8, 8, generator=seeded())
    mixed, partner, _ = mix(image, 1.0, 0.0, seeded())
    assert partner.tolist() == [0]
    torch.testing.assert_close(mixed, image)
