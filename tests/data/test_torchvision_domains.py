"""Data sets of torchvision, tested with small files in the published formats and a local web server."""

import bz2
import contextlib
import gzip
import hashlib
import os
import pickle
import struct
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets

from landbridge.data.sources.torchvision_datasets import SOURCES, torchvision_domain
from landbridge.errors import LandbridgeError

TRAIN, TEST = 100, 20
SHAPES = {
    "mnist": (1, 28, 28),
    "fashion_mnist": (1, 28, 28),
    "usps": (1, 16, 16),
    "svhn": (3, 32, 32),
    "cifar10": (3, 32, 32),
}
DATA = Path(os.environ.get("LANDBRIDGE_DATA", "no data"))
everyone = pytest.mark.parametrize("dataset", sorted(SOURCES))


def samples(dataset, n, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, *SHAPES[dataset]), dtype=np.uint8)
    return pixels, np.random.default_rng(seed).permutation(np.arange(n) % 10)


def idx_bytes(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def libsvm_bytes(pixels, labels):
    # The value of a pixel lies in [-1, 1]. It is slightly above the exact value, because the reader truncates decimals.
    rows = (pixels.reshape(len(pixels), -1) + 0.01) / 255 * 2 - 1
    lines = (
        f"{label + 1} " + " ".join(f"{k}:{value:.6f}" for k, value in enumerate(row, 1))
        for label, row in zip(labels, rows, strict=True)
    )
    return bz2.compress("\n".join(lines).encode())


def write_unpacked(dataset, root):
    """Write a data set in the layout that its reader expects, and return the samples."""
    parts = {"train": samples(dataset, TRAIN, 0), "test": samples(dataset, TEST, 1)}
    files = [root / file for file in SOURCES[dataset].files]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    if dataset in ("mnist", "fashion_mnist"):
        contents = [idx_bytes(array) for pixels, y in parts.values() for array in (pixels[:, 0], y)]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
    elif dataset == "usps":
        for file, part in zip(files, parts.values(), strict=True):
            file.write_bytes(libsvm_bytes(*part))
    elif dataset == "svhn":
        for file, (pixels, y) in zip(files, parts.values(), strict=True):
            # In the published files, the digit 0 has the label 10.
            savemat(file, {"X": pixels.transpose(2, 3, 1, 0), "y": np.where(y == 0, 10, y)[:, None].astype(np.uint8)})
    else:
        pixels, y = parts["train"]
        batches = [*zip(np.split(pixels, 5), np.split(y, 5), strict=True), parts["test"]]
        for file, (pixels, y) in zip(files, batches, strict=False):
            file.write_bytes(pickle.dumps({"data": pixels.reshape(len(y), -1), "labels": y.tolist()}))
        files[-1].write_bytes(pickle.dumps({"label_names": list(SOURCES[dataset].classes)}))
    return parts


def publish(dataset, unpacked, site):
    """Write a data set in the layout of its host, and return checksums by name."""
    for file in (unpacked / name for name in SOURCES[dataset].files):
        if dataset in ("mnist", "fashion_mnist"):
            (site / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        elif dataset != "cifar10":
            (site / file.name).write_bytes(file.read_bytes())
    if dataset == "cifar10":
        with tarfile.open(site / "cifar-10-python.tar.gz", "w:gz") as archive:
            archive.add(unpacked / "cifar-10-batches-py", "cifar-10-batches-py")
    return {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in site.iterdir()}


def redirect(monkeypatch, dataset, unpacked, md5, url):
    """Set the address and the checksums of the data set in torchvision."""
    reader = getattr(datasets, SOURCES[dataset].reader)
    if dataset in ("mnist", "fashion_mnist"):
        monkeypatch.setattr(reader, "mirrors", [url])
        monkeypatch.setattr(reader, "resources", [(name, md5[name]) for name, _ in reader.resources])
    elif dataset == "cifar10":
        local = {f.name: hashlib.md5(f.read_bytes()).hexdigest() for f in (unpacked / reader.base_folder).iterdir()}
        monkeypatch.setattr(reader, "url", url + reader.filename)
        monkeypatch.setattr(reader, "tgz_md5", md5[reader.filename])
        for batches in ("train_list", "test_list"):
            monkeypatch.setattr(reader, batches, [[name, local[name]] for name, _ in getattr(reader, batches)])
        monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": local[reader.meta["filename"]]})
    else:
        table = reader.split_list
        found = {split: [url + row[1], row[1], md5[row[1]]] for split, row in table.items() if row[1] in md5}
        monkeypatch.setattr(reader, "split_list", found)


class Host:
    """A web server for one folder, with a list of the requested paths."""

    def __init__(self, folder):
        self.requests = requests = []

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format, *args):
                requests.append(self.path)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Return a function that publishes a data set and returns (folder of unpacked files, samples, host)."""
    with contextlib.ExitStack() as stack:

        def start(dataset):
            unpacked, site = tmp_path / "unpacked", tmp_path / "site"
            site.mkdir()
            parts = write_unpacked(dataset, unpacked)
            md5 = publish(dataset, unpacked, site)
            host = Host(site)
            stack.callback(host.close)
            redirect(monkeypatch, dataset, unpacked, md5, host.url)
            return unpacked, parts, host

        yield start


def files_below(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def check_content(domain, dataset, parts):
    train, val, test = (domain.splits[name] for name in ("train", "val", "test"))
    assert domain.name == dataset
    assert domain.shape == SHAPES[dataset]
    assert domain.classes == SOURCES[dataset].classes
    assert train.inputs.tensor.dtype == torch.uint8
    for official, made in (("train", (train, val)), ("test", (test,))):
        got = [
            (bytes(image.flatten().tolist()), label)
            for part in made
            for image, label in zip(part.inputs.tensor, part.labels.open("test").tolist(), strict=True)
        ]
        written = [(image.tobytes(), label) for image, label in zip(*parts[official], strict=True)]
        assert sorted(got) == sorted(written)
    assert len(val.labels) == 10


@everyone
def test_existing_files_are_read_without_a_network(dataset, published):
    unpacked, parts, host = published(dataset)
    check_content(torchvision_domain(dataset, root=str(unpacked)), dataset, parts)
    assert host.requests == []


@everyone
def test_missing_files_are_downloaded_once_and_completely(dataset, published, tmp_path):
    _, parts, host = published(dataset)
    root = tmp_path / "new" / "cache"
    check_content(torchvision_domain(dataset, root=str(root)), dataset, parts)
    assert host.requests
    assert files_below(root) == sorted(SOURCES[dataset].files)
    host.requests.clear()
    check_content(torchvision_domain(dataset, root=str(root)), dataset, parts)
    assert host.requests == []


@everyone
def test_the_error_without_a_network_names_the_files_and_their_folder(dataset, published, tmp_path):
    host = published(dataset)[2]
    host.close()
    host.close = lambda: None
    with pytest.raises(LandbridgeError) as caught:
        torchvision_domain(dataset, root=str(tmp_path / "empty"))
    message = str(caught.value)
    assert all(part in message for part in (dataset, str(tmp_path / "empty"), *SOURCES[dataset].files))
    assert "\n" not in message
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("dataset", ["usps", "mnist"])
def test_a_failed_download_leaves_no_files(dataset, published, tmp_path):
    published(dataset)
    last = max((tmp_path / "site").iterdir())
    last.write_bytes(last.read_bytes()[:-9])
    with pytest.raises(LandbridgeError, match="downloading failed"):
        torchvision_domain(dataset, root=str(tmp_path / "root"))
    assert list((tmp_path / "root").iterdir()) == []


def test_an_existing_file_is_not_replaced_by_a_download(published, tmp_path):
    unpacked, parts, _ = published("usps")
    root = tmp_path / "root"
    root.mkdir()
    own = bz2.compress(bz2.decompress((unpacked / "usps.t.bz2").read_bytes()), 1)
    (root / "usps.t.bz2").write_bytes(own)
    check_content(torchvision_domain("usps", root=str(root)), "usps", parts)
    assert (root / "usps.t.bz2").read_bytes() == own


@everyone
def test_the_error_names_a_damaged_file(dataset, published):
    unpacked, _, _ = published(dataset)
    damaged = unpacked / SOURCES[dataset].files[0]
    damaged.write_bytes(damaged.read_bytes()[:-200])
    with pytest.raises(LandbridgeError, match=rf"{dataset}: its files in .* cannot be read .*{damaged.name}"):
        torchvision_domain(dataset, root=str(unpacked))


def test_the_split_seed_changes_the_validation_split_only(published):
    unpacked, _, _ = published("usps")
    one, same, other = (torchvision_domain("usps", root=str(unpacked), split_seed=seed) for seed in (0, 0, 1))
    assert one.fingerprint == same.fingerprint
    assert one.splits["val"].inputs.hashes() != other.splits["val"].inputs.hashes()
    assert one.splits["test"].inputs.hashes() == other.splits["test"].inputs.hashes()


def test_the_share_of_validation_and_the_name_can_be_set(published):
    unpacked, _, _ = published("usps")
    domain = torchvision_domain("usps", root=str(unpacked), name="post", val=0.5)
    assert domain.name == "post"
    assert [len(part.inputs) for part in domain.splits.values()] == [50, 50, 20]


def test_a_home_folder_may_be_abbreviated(published, monkeypatch):
    unpacked, parts, _ = published("usps")
    monkeypatch.setenv("HOME", str(unpacked.parent))
    check_content(torchvision_domain("usps", root="~/unpacked"), "usps", parts)


def test_class_names_of_fashion_mnist_have_the_published_order():
    published = [name.split("/")[0].lower() for name in datasets.FashionMNIST.classes]
    assert published == list(SOURCES["fashion_mnist"].classes)


@pytest.mark.skipif(not (DATA / "usps" / "usps.bz2").exists(), reason="needs LANDBRIDGE_DATA with usps")
def test_the_real_usps_is_read():
    domain = torchvision_domain("usps", root=str(DATA / "usps"))
    with np.load(DATA / "usps" / "usps.npz") as opened:
        arrays = dict(opened)
    pixels = ((arrays["x"] + 1) / 2 * 255).astype(np.uint8)
    test = arrays["split"] == "test"
    split = domain.splits["test"]
    in_file = split.inputs.rows.argsort()
    assert np.array_equal(split.inputs.tensor[in_file, 0].numpy(), pixels[test])
    assert np.array_equal(split.labels.open("test")[in_file].numpy(), arrays["y"][test])
    counts = sum(domain.splits[name].labels.open("test").bincount() for name in ("train", "val"))
    assert counts.tolist() == np.bincount(arrays["y"][~test]).tolist()
