"""The store of entries: an entry is complete or missing, even if files are damaged or processes are killed."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from landbridge.activation_cache.store import Store

ROWS = 10
GENEROUS = 1e6


def batches(seed: int = 0, rows: int = ROWS):
    """Return rows of vectors and of images in channels-last layout, in batches of 4."""
    draw = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, 3, generator=draw)
    images = torch.randn(rows, 2, 5, 5, generator=draw).to(memory_format=torch.channels_last)
    return zip(vectors.split(4), images.split(4), strict=True)


def same(entry, seed: int = 0) -> bool:
    wanted = [torch.cat(parts) for parts in zip(*batches(seed), strict=True)]
    return all(torch.equal(a, b) for a, b in zip(entry.tensors, wanted, strict=True))


def never():
    raise AssertionError("the entry is made again")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", GENEROUS)


def test_an_entry_is_read_with_the_content_and_layout_that_was_written(store):
    assert store.find("key", ROWS) is None
    assert same(store.fetch("key", ROWS, batches))
    entry = store.fetch("key", ROWS, never)
    assert same(entry)
    assert [tensor.is_contiguous() for tensor in entry.tensors] == [True, False]
    assert entry.tensors[1].is_contiguous(memory_format=torch.channels_last)
    assert entry.bytes == ROWS * (3 + 50) * 4
    entry.tensors[0].zero_()  # changes a copy of the page and not the file
    assert same(store.find("key", ROWS))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint8, torch.float64])
def test_rows_of_any_type_are_read_back(store, dtype):
    rows = torch.arange(6).view(6, 1).to(dtype)
    assert torch.equal(store.fetch("key", 6, lambda: iter([[rows]])).tensors[0], rows)


def truncate(folder: Path) -> None:
    os.truncate(folder / "1.bin", 90)


def flip(folder: Path) -> None:
    raw = bytearray((folder / "0.bin").read_bytes())
    raw[7] ^= 16
    (folder / "0.bin").write_bytes(raw)


def flip_in_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("[3]", "[4]"))


DAMAGES = {
    "truncated": truncate,
    "flipped": flip,
    "flipped in the manifest": flip_in_manifest,
    "without a manifest": lambda folder: (folder / "manifest.json").unlink(),
    "with half a manifest": lambda folder: os.truncate(folder / "manifest.json", 20),
    "without a file": lambda folder: (folder / "0.bin").unlink(),
    "empty": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_detected_and_made_again(store, damage, caplog):
    store.fetch("key", ROWS, batches)
    DAMAGES[damage](store.root / "key")
    assert store.find("key", ROWS) is None
    assert "is damaged and not used" in caplog.text
    assert same(store.fetch("key", ROWS, batches))
    assert same(store.fetch("key", ROWS, never))


def test_an_entry_with_another_number_of_rows_is_not_used(store):
    store.fetch("key", ROWS, batches)
    assert store.find("key", ROWS + 1) is None


def test_a_failed_write_leaves_no_files_but_the_lock(store):
    def fails():
        yield from list(batches())[:2]
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        store.fetch("key", ROWS, fails)
    with pytest.raises(ValueError, match="8 rows instead of 10"):
        store.fetch("key", ROWS, lambda: iter(list(batches())[:2]))
    assert [path.name for path in store.root.iterdir()] == ["key.lock"]


def hang(root: Path, ready) -> None:
    def first_batch_and_no_more():
        yield next(iter(batches(seed=9)))
        ready.set()
        time.sleep(60)

    Store(root, GENEROUS).fetch("key", ROWS, first_batch_and_no_more)


def test_the_remains_of_a_killed_writer_are_not_used(store):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    writer = context.Process(target=hang, args=(store.root, ready))
    writer.start()
    assert ready.wait(30)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert (store.root / "key.part").exists()
    assert store.find("key", ROWS) is None
    # The next process that makes any entry removes the remains.
    store.fetch("other", ROWS, batches)
    assert not (store.root / "key.part").exists()
    assert same(store.fetch("key", ROWS, batches))


def write_slowly(root: Path, log: Path, barrier) -> None:
    def slow():
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        for batch in batches():
            time.sleep(0.1)
            yield batch

    barrier.wait()
    assert same(Store(root, GENEROUS).fetch("key", ROWS, slow))


def test_one_of_several_processes_makes_an_entry_and_the_others_wait(store, tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    processes = [context.Process(target=write_slowly, args=(store.root, tmp_path / "log", barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len((tmp_path / "log").read_text().splitlines()) == 1


SIZE = ROWS * (3 + 50) * 4


def test_the_least_recently_used_entry_is_removed_first(tmp_path):
    store = Store(tmp_path, 2.5 * SIZE)
    for seed, key in enumerate(("first", "second")):
        store.fetch(key, ROWS, lambda seed=seed: batches(seed))
        time.sleep(0.01)
    assert same(store.find("first", ROWS))  # now "first" is the most recently used entry
    store.fetch("third", ROWS, batches)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"first", "third"}


def test_an_entry_in_use_is_not_removed_and_one_without_room_is_refused(tmp_path):
    store = Store(tmp_path, 1.5 * SIZE)
    used = store.fetch("used", ROWS, batches)
    with pytest.raises(OSError, match="there is room for 0"):
        store.fetch("wanted", ROWS, batches)
    assert same(used)
    del used
    assert same(store.fetch("wanted", ROWS, batches))
    assert not (tmp_path / "used").exists()


def test_an_entry_larger_than_the_disk_is_refused_before_writing(tmp_path):
    huge = torch.zeros(1).expand(2, 10**14)
    with pytest.raises(OSError, match="are needed"):
        Store(tmp_path, 1e18).fetch("key", 2, lambda: iter([[huge]]))
    assert not (tmp_path / "key").exists()


def test_a_process_compares_the_content_with_its_checksums_once(store, monkeypatch):
    store.fetch("key", ROWS, batches)
    store.find("key", ROWS)
    monkeypatch.setattr("landbridge.activation_cache.entry._digests", lambda path: pytest.fail("compared again"))
    assert same(store.find("key", ROWS))


def test_a_large_file_is_hashed_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("landbridge.activation_cache.entry.BLOCK", 64)
    store = Store(tmp_path, GENEROUS)
    store.fetch("key", ROWS, batches)
    raw = np.memmap(tmp_path / "key" / "1.bin", mode="r+")
    raw[-1] ^= 1
    raw.flush()
    os.utime(tmp_path / "key" / "1.bin", (1, 1))
    assert store.find("key", ROWS) is None


def test_a_full_disk_makes_room_as_the_limit_does(store, monkeypatch):
    """The limit allows both entries, and the disk has room for one."""
    size = store.fetch("old", ROWS, batches).bytes

    def usage(_):
        used = sum(file.stat().st_size for file in store.root.rglob("*.bin"))
        return type("Usage", (), {"free": 1.5 * size - used})

    monkeypatch.setattr("landbridge.activation_cache.store.shutil.disk_usage", usage)
    assert same(store.fetch("new", ROWS, batches))
    assert store.find("old", ROWS) is None
