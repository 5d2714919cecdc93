"""Domains with a deliberate defect: what the defect changes, and what it does not change."""

import pytest
import torch

from dusk import dusk
from landbridge.data.sources.altered import altered
from landbridge.data.sources.vectors import vectors
from landbridge.errors import LandbridgeError

SPLITS = ("train", "val", "test")


def parts(domain, split):
    part = domain.splits[split]
    return part.inputs.tensor, part.labels.open("to compare")


def test_inverted_images_are_negatives_and_keep_their_labels():
    before, after = dusk("noon"), altered(dusk("noon"), "inverted")
    for split in SPLITS:
        (old, labels), (new, same) = parts(before, split), parts(after, split)
        assert (old.int() + new.int() == 255).all()
        assert same.equal(labels)


def test_pixels_are_permuted_in_the_same_way_in_every_image_of_every_split():
    before, after = dusk("noon"), altered(dusk("noon"), "permuted")
    # The values of a pixel over all training images identify the pixel, so its new place can be found.
    old, new = (parts(domain, "train")[0].flatten(1).T for domain in (before, after))
    rows = {tuple(row.tolist()): i for i, row in enumerate(old)}
    assert len(rows) == len(old)
    places = torch.tensor([rows[tuple(row.tolist())] for row in new])
    assert (places != torch.arange(len(places))).float().mean() > 0.9
    for split in SPLITS:
        (old, labels), (new, same) = parts(before, split), parts(after, split)
        assert new.flatten(1).equal(old.flatten(1)[:, places])
        assert same.equal(labels)


def test_random_labels_are_permuted_within_their_split():
    before, after = dusk("noon", n=300), altered(dusk("noon", n=300), "random_labels")
    for split in SPLITS:
        (old, labels), (new, moved) = parts(before, split), parts(after, split)
        assert new.equal(old)
        assert moved.sort().values.equal(labels.sort().values)
        assert 0.1 < (moved == labels).float().mean() < 0.6


def test_each_alteration_gives_a_domain_with_its_own_name_and_fingerprint():
    prints = {altered(dusk("noon"), how).fingerprint for how in ("inverted", "permuted", "random_labels")}
    assert len(prints | {dusk("noon").fingerprint}) == 4
    assert altered(dusk("noon"), "permuted").name == "noon_permuted"
    assert altered(dusk("noon"), "permuted", seed=1).fingerprint not in prints


def test_vectors_are_refused(tmp_path):
    import numpy as np

    np.savez(tmp_path / "v.npz", x=np.random.default_rng(0).normal(size=(60, 4)).astype("float32"), y=np.arange(60) % 3)
    with pytest.raises(LandbridgeError, match="only images in memory"):
        altered(vectors(str(tmp_path / "v.npz")), "inverted")
