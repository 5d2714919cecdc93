import numpy as np
import pytest
import torch

from landbridge.data.formats import VectorFormat
from landbridge.data.sources.vectors import vectors
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import GREY_28, MLP

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype(np.float32)
Y = np.arange(60) % 3


@pytest.fixture
def save(tmp_path):
    """Return a function that writes an `.npz` file of arrays and returns its path."""

    def write(name="features.npz", **arrays):
        np.savez(tmp_path / name, **{"x": X, "y": Y, **arrays})
        return str(tmp_path / name)

    return write


def pairs(domain, split):
    part = domain.splits[split]
    names = (domain.classes[label] for label in part.labels.open("test"))
    return set(zip(map(bytes, part.inputs.tensor.numpy()), names, strict=True))


def test_each_vector_keeps_its_values_and_its_label(save):
    domain = vectors(save())
    assert (domain.name, domain.shape, domain.modality) == ("features", (5,), "vector")
    assert domain.classes == ("0", "1", "2")
    found = set.union(*(pairs(domain, split) for split in domain.splits))
    assert found == set(zip(map(bytes, X), map(str, Y), strict=True))
    assert [len(part.inputs) for part in domain.splits.values()] == [42, 6, 12]
    assert vectors(save()).fingerprint == domain.fingerprint != vectors(save(), split_seed=1).fingerprint


@pytest.mark.parametrize(
    ("arrays", "classes"),
    [
        ({"y": np.array(["mug", "bike", "desk"])[Y]}, ("bike", "desk", "mug")),
        ({"y": np.array([10, -2, 9])[Y]}, ("-2", "9", "10")),
        ({"y": Y.astype(float)}, ("0", "1", "2")),
        ({"y": Y == 1}, ("0", "1")),
        ({"classes": np.array(["mug", "bike", "desk"])}, ("mug", "bike", "desk")),
    ],
)
def test_classes_are_the_sorted_labels_or_the_given_names(arrays, classes, save):
    domain = vectors(save(**arrays))
    assert domain.classes == classes
    labels = arrays["classes"][Y] if "classes" in arrays else arrays["y"]
    names = map(str, labels if labels.dtype.kind == "U" else labels.astype(int))
    found = set.union(*(pairs(domain, split) for split in domain.splits))
    assert found == set(zip(map(bytes, X), names, strict=True))


def test_given_splits_are_kept_and_missing_ones_are_taken_from_train(save):
    split = np.array(["train"] * 30 + ["val"] * 12 + ["test"] * 18)
    domain = vectors(save(split=split))
    for name in ("train", "val", "test"):
        assert {content for content, _ in pairs(domain, name)} == set(map(bytes, X[split == name]))
    without = vectors(save(split=np.where(split == "val", "train", split)))
    assert pairs(without, "test") == pairs(domain, "test")
    assert pairs(without, "train") | pairs(without, "val") == pairs(domain, "train") | pairs(domain, "val")


def test_groups_and_copies_stay_in_one_split(save):
    groups = np.arange(60) // 3
    domain = vectors(save(groups=groups))
    group_of = dict(zip(map(bytes, X), groups, strict=True))
    held = [{group_of[content] for content, _ in pairs(domain, split)} for split in domain.splits]
    assert sum(map(len, held)) == 20
    doubled = vectors(save(x=np.concatenate([X, X]), y=np.concatenate([Y, Y])))
    contents = [set(part.inputs.hashes()) for part in doubled.splits.values()]
    assert sum(map(len, contents)) == 60


def with_(value, dtype=np.float64):
    x = X.astype(dtype)
    x[7, 2] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": with_(np.nan)}, r"1 numbers in x are not finite as 32-bit floats; the first is nan at \[7, 2\]"),
        ({"x": with_(1e300)}, r"not finite as 32-bit floats; the first is inf at \[7, 2\]"),
        ({"x": X[:, :, None]}, r"x holds float32 of the shape \(60, 5, 1\)"),
        ({"x": X.astype(str)}, "x holds <U32"),
        ({"x": np.array([{}, {}])}, "cannot be read as a .npz file of plain arrays"),
        ({"y": Y[:59]}, r"y has the shape \(59,\), not \(60,\)"),
        ({"y": np.where(Y, np.nan, 1)}, "y holds float64; it must"),
        ({"y": np.where(Y, np.inf, 1)}, "y holds float64; it must"),
        ({"y": np.zeros(60, int)}, "y has 1 classes"),
        ({"classes": np.array(["a", "b"])}, "y must hold whole numbers from 0 to 1"),
        ({"classes": np.array(["a", "b", "a"])}, "classes must be one row of different names"),
        ({"classes": np.array(["a", "b", "c", "d"])}, "class 'd' has no sample"),
        ({"y": np.array(["a", "b", "c"])[Y], "classes": np.array(["a", "b", "c"])}, "y must hold whole numbers"),
        ({"groups": np.arange(3)}, r"groups has the shape \(3,\)"),
        ({"split": np.array(["train", "dev"])[Y % 2]}, "split holds 'dev'; valid: train, val, test"),
        ({"split": Y}, "split holds 0, 1, 2; valid"),
        ({"split": np.array(["val", "test"])[Y % 2]}, "split assigns no sample to train"),
    ],
)
def test_invalid_arrays_are_refused_in_one_line(arrays, message, save):
    file = save(**arrays)
    with pytest.raises(LandbridgeError, match=message) as caught:
        vectors(file, stratify=True)
    assert "\n" not in str(caught.value)


def test_the_label_minus_one_is_a_class_only_beside_one_or_on_request(save):
    with pytest.raises(
        LandbridgeError, match=r"y holds -1 for 20 samples; leave them out .*target\.task=classification"
    ):
        vectors(save(y=Y - 1))
    assert vectors(save(y=Y - 1), task="classification").classes == ("-1", "0", "1")
    assert vectors(save(y=np.arange(60) % 2 * 2 - 1)).classes == ("-1", "1")
    with pytest.raises(LandbridgeError, match=r"from 0 to 2, but it holds -1 and 1"):
        vectors(save(y=Y - 1, classes=np.array(["a", "b", "c"])))


def test_a_given_split_may_lack_a_class_and_one_made_here_may_not(save, caplog):
    y, split = Y.copy(), np.repeat(["train", "val", "test"], [40, 10, 10])
    y[40:50] %= 2
    assert vectors(save(y=y, split=split)).splits["val"].labels.open("test").max() == 1
    assert "domain features: the given val split has no sample of 1 of 3 classes (2)" in caplog.text
    y[:40] %= 2
    with pytest.raises(LandbridgeError, match="class '2' has no sample for train"):
        vectors(save(y=y, split=split), stratify=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("people.csv", r"is a table, not a \.npz file; use target=table target\.file=.*people\.csv"),
        ("x.npy", r"holds one array; save samples and labels together: numpy\.savez\('x\.npz', x=x, y=y\)"),
        ("photos/a.jpg", r"photos is a folder, not a file; a folder of images is target=image_folder"),
        ("features/b.npz", r"features is a folder, not a file; name a file in it, such as b\.npz"),
    ],
)
def test_what_is_no_archive_is_refused_with_the_domain_that_reads_it(tmp_path, name, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(LandbridgeError, match=message) as caught:
        vectors(str(path if path.parent == tmp_path else path.parent))
    assert "\n" not in str(caught.value)


def test_a_missing_or_unreadable_file_is_refused(tmp_path):
    with pytest.raises(LandbridgeError, match="file is not set"):
        vectors()
    with pytest.raises(LandbridgeError, match="there is no such file"):
        vectors(str(tmp_path / "no.npz"))
    np.savez(tmp_path / "other.npz", features=X)
    with pytest.raises(LandbridgeError, match="holds features, but lacks x and y"):
        vectors(str(tmp_path / "other.npz"))
    (tmp_path / "text.npz").write_text("x, y")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:-40])
    for name in ("text.npz", "cut.npz"):
        with pytest.raises(LandbridgeError, match=f"{name}: cannot be read as a .npz file"):
            vectors(str(tmp_path / name))


# ---- backbones for vectors


def test_the_mlp_reads_vectors_of_any_width_and_all_images_as_grey_ones():
    network = MLP(shape=(7,), widths=(6, 4))
    assert network.format == VectorFormat(7)
    assert network(torch.randn(3, 7)).shape == (3, 4)
    for shape in ((1, 28, 28), (3, 0, 0), (3, 32, 32)):
        network = MLP(shape=shape)
        assert network.format is GREY_28
        assert network(torch.randn(3, 1, 28, 28)).shape == (3, 64)


def blobs(width, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    y = np.arange(240) % 3
    return {"x": 4 * np.eye(3, width)[y] + shift + 0.5 * rng.normal(size=(240, width)), "y": y}


@pytest.fixture
def transfer(tiny, save):
    """Return a function that runs a transfer between two files of vectors of the given widths."""

    def launch(widths, *overrides, **settings):
        files = [save(f"{role}.npz", **blobs(width, n, n)) for n, (role, width) in enumerate(widths.items())]
        paths = (f"{role}.file='{file}'" for role, file in zip(widths, files, strict=True))
        return tiny("backbone=mlp", *(f"{role}=vectors" for role in widths), *paths, *overrides, **settings)

    return launch


@pytest.mark.parametrize("width", [3, 11])
def test_dann_learns_from_vectors_of_any_width(width, transfer, tmp_path):
    widths = {"source": width, "target": width}
    record = transfer(widths, "strategy=dann", "trainer.max_epochs=4", "data.steps_per_epoch=10")
    assert record.status == "done"
    assert "shape" not in record.config["backbone"]
    weights = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert weights["network.backbone.layer1.1.weight"].shape == (256, width)
    assert record.results["source"]["accuracy"] > 0.9
    checkpoint = f"start.path='{tmp_path / 'run' / 'last.ckpt'}'"
    again = transfer(widths, "start=checkpoint", checkpoint, folder="again")
    assert not again.start["skipped"]
    assert not again.start["initialised"]


def test_the_source_model_reads_vectors_of_the_same_width(transfer, tmp_path):
    cache = f"start.cache='{tmp_path / 'cache'}'"
    record = transfer({"source": 4, "target": 4}, "strategy=fine_tune", "target_labels=2", "start=source", cache)
    assert record.start["loaded"] > 0
    assert record.start["skipped"] == []


@pytest.mark.parametrize("strategy", [["dann"], ["fine_tune", "start=source", "target_labels=2"]])
def test_domains_of_two_widths_are_refused_before_training(strategy, transfer, tmp_path):
    strategy, *more = strategy
    with pytest.raises(LandbridgeError) as caught:
        transfer({"source": 3, "target": 5}, f"strategy={strategy}", *more)
    assert str(caught.value) == (
        "source source holds vectors of width 3, but target target holds vectors of width 5: "
        "one backbone must take both"
    )
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_source_of_images_with_a_target_of_vectors_is_refused(tiny, save):
    file = save(classes=np.array(["bar", "beam", "cross"]))
    with pytest.raises(LandbridgeError, match="source noon holds images, but target features holds vectors of width 5"):
        tiny("target=vectors", f"target.file='{file}'", "backbone=mlp")


def test_a_backbone_for_images_refuses_vectors(transfer):
    with pytest.raises(LandbridgeError, match="takes image inputs, but domain source holds vectors"):
        transfer({"source": 3, "target": 3}, "backbone=digits_cnn")


def test_the_width_cannot_be_configured(transfer):
    with pytest.raises(LandbridgeError, match=r"backbone\.shape +is set by landbridge"):
        transfer({"source": 3, "target": 3}, "backbone.shape=[3]")


def wide(shape: tuple[int, ...]) -> MLP:
    return MLP(shape, widths=(12,))


def test_a_function_that_returns_a_backbone_gets_the_shape_too(transfer):
    function = f"backbone._target_={wide.__module__}.wide"
    record = transfer({"source": 3, "target": 3}, function)
    assert record.cost["parameters"] == (3 * 12 + 2 * 12) + (12 * 3 + 3)
